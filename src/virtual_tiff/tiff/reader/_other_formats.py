"""What a file is that is not a TIFF, as far as its first bytes tell, and what to do about it."""

from __future__ import annotations

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.storage.errors import is_markup, web_page
from virtual_tiff.tags import JPEG_2000_STARTS

_CONVERT = "Convert it to a Cloud Optimized GeoTIFF, with gdal_translate -of COG for example."
_ITS_FILES = (
    "Name the TIFFs that it lists (SourceFilename) themselves; --stitch joins tiles of one grid."
)
_ARRAYS = "VirtualiZarr has parsers for HDF5 and netCDF; GDAL converts single variables."
#: First bytes (`HEADER_BYTES` at most), what such a file is, and the remedy.
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (b"<VRTDataset", "a GDAL VRT, which lists files", _ITS_FILES),
    (
        b"\x1f\x8b",
        "compressed with gzip, by its name or by the server (Content-Encoding)",
        "Store it as it is: ranges of a compressed file are not those of the TIFF.",
    ),
    (b"PK\x03\x04", "a ZIP archive", "Unpack it: a TIFF in it is usually compressed once more."),
    (
        b"version https://",
        "a pointer of Git LFS, not the file",
        "Fetch the file with git lfs pull.",
    ),
    (b"/annex/objects/", "a pointer of git-annex, not the file", "Get it with git annex get."),
    (b"\x89HDF\r\n\x1a\n", "HDF5 or netCDF 4", _ARRAYS),
    (b"CDF\x01", "netCDF 3", _ARRAYS),
    (b"CDF\x02", "netCDF 3", _ARRAYS),
    (b"CDF\x05", "netCDF 3", _ARRAYS),
    (b"GRIB", "GRIB", _CONVERT),
    (b"\x89PNG", "a PNG", _CONVERT),
    (b"\xff\xd8\xff", "a JPEG", _CONVERT),
    *((start, "JPEG 2000", _CONVERT) for start in JPEG_2000_STARTS),
    (b"GIF8", "a GIF", _CONVERT),
    (b"RIFF", "a WebP or another RIFF file", _CONVERT),
    (b"EHFA_HEADER_TAG", "an ERDAS Imagine file", _CONVERT),
    (b"SIMPLE  =", "FITS", _CONVERT),
    (b"%PDF", "a PDF", _CONVERT),
)


def not_a_tiff(start: bytes) -> InvalidTIFFError:
    """Return the error for a file that begins with other bytes than a TIFF."""
    for first, name, remedy in _FORMATS:
        if start.startswith(first):
            return _error(f"this is {name}, not a TIFF", remedy)
    if is_markup(start):
        return web_page(None, "a TIFF")
    return _error(
        f"this is not a TIFF: it begins with {start[:4]!r}, not with II or MM and 42 or 43",
        "Check that the file is what its name says.",
    )


def _error(message: str, remedy: str) -> InvalidTIFFError:
    return InvalidTIFFError(f"{message}.", kind=ErrorKind.NOT_A_TIFF, remedy=remedy)
