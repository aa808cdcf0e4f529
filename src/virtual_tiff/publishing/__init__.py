"""Publishing: plans go to Icechunk, and its repositories are made so that chunks read well.

`publish` is what users call; `repository`, `containers` and `stores` set up both ends; `writer`
turns plans into documents and references.
"""
