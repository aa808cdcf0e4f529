"""Read the header of a TIFF: URL → frozen image file directories.

One GET fetches the start of the file. Regular directories are decoded from those bytes (`_chain`,
`_values`); unusual ones are read by tifffile, from the same bytes. Both make further requests only
for bytes that the first GET does not contain.
"""

from virtual_tiff.storage.settings import DEFAULT_PREFETCH
from virtual_tiff.tiff.reader._entries import with_tags
from virtual_tiff.tiff.reader._following import Following, find_following
from virtual_tiff.tiff.reader._read import header_of, read_header

__all__ = [
    "DEFAULT_PREFETCH",
    "Following",
    "find_following",
    "header_of",
    "read_header",
    "with_tags",
]
