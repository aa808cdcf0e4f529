"""Express the encoding of an image in Zarr's terms: data type, chunk grid, codecs."""
