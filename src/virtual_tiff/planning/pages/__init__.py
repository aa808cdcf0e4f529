"""Plan pages of a TIFF that make up one image as one array with more dimensions."""
