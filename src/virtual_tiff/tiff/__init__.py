"""Read TIFFs: directories, tags, georeferencing, metadata, sidecars."""
