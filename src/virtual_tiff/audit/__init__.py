"""Check and describe a repository: sources, history, STAC Items."""
