"""Write plans to Icechunk repositories: containers, references, table of sources, commits.

`commit` is the one way into a repository: a `tree` of files, a new `cube` and more images of one
are parts that are handed to it. `target`, `repository` and `containers` make the repository ready.
"""
