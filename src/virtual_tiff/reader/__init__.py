"""The only header I/O: a URL becomes frozen image file directories.

One GET fetches the start of the file. A bounded look at the entries in it (`_screen`) decides
which of two libraries reads them: async-tiff where it is known to be safe and fast, tifffile for
everything else. Both see the bytes already fetched and go to the store only beyond them.
"""

from virtual_tiff.reader._read import DEFAULT_PREFETCH, read_header
from virtual_tiff.reader._source import ByteSource, open_source, resolve_store, storage_error

__all__ = [
    "DEFAULT_PREFETCH",
    "ByteSource",
    "open_source",
    "read_header",
    "resolve_store",
    "storage_error",
]
