"""Publishing: plans go to Icechunk, and its repositories are made so that chunks read well.

`commit` is the one way into a repository: a `tree` of files, a new `cube` and more images of one
are parts that are handed to it. `target`, `repository` and `containers` make the repository ready.
"""
