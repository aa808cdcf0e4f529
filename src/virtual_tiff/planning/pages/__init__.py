"""Pages of a TIFF that belong together, as one array of more dimensions."""
