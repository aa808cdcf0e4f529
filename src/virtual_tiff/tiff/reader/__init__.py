"""The only header I/O: a URL becomes frozen image file directories.

One GET fetches the start of the file. Directories in which every value is what and where it
should be are decoded from those bytes at once (`_chain`, `_values`); anything unusual goes to
tifffile, over the same bytes. Neither goes to the store but for what lies beyond them.
"""

from virtual_tiff.tiff.reader._read import DEFAULT_PREFETCH, read_header

__all__ = ["DEFAULT_PREFETCH", "read_header"]
