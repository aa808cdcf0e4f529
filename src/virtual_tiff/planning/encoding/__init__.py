"""How the samples of one image are stored, in Zarr's terms: data type, chunk grid, codecs."""
