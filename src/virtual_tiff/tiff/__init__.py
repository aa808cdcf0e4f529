"""What a TIFF says: directories, tags, georeferencing, metadata, sidecars."""
