"""Remove images from a repository: steps of cubes, places in them, and groups of files."""
