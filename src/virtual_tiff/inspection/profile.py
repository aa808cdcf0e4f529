"""Describe an image as `rasterio.open(…).profile` does, from its header alone.

The values are those of GDAL 3.12, found by experiment: its driver changes block sizes, data types
and numbers of bands of some encodings.
"""

from __future__ import annotations

import os
from math import isfinite
from typing import Any, Unpack

import numpy as np
from affine import Affine

from virtual_tiff.choices import check_names
from virtual_tiff.inspection.directories import FileOptions, read_one
from virtual_tiff.planning.hierarchy import find_ifd
from virtual_tiff.tags import (
    Compression,
    PhotometricInterpretation,
    PlanarConfiguration,
    SampleFormat,
)
from virtual_tiff.tiff.geokeys import crs, gcps, geotransform
from virtual_tiff.tiff.ifd import ImageFileDirectory
from virtual_tiff.tiff.numbers import leading_integer, leading_number

#: GDAL's names of compressions, in the lower case of rasterio where it knows them.
_COMPRESSIONS: dict[int, str] = {
    Compression.CCITT_RLE: "ccittrle",
    Compression.CCITT_T4: "ccittfax3",
    Compression.CCITT_T6: "ccittfax4",
    Compression.CCITT_RLEW: "CCITTRLEW",
    Compression.LZW: "lzw",
    Compression.OLD_JPEG: "OJPEG",
    Compression.JPEG: "jpeg",
    Compression.ADOBE_DEFLATE: "deflate",
    Compression.DEFLATE: "deflate",
    Compression.NEXT: "NEXT",
    Compression.PACKBITS: "packbits",
    Compression.THUNDERSCAN: "THUNDERSCAN",
    Compression.PIXAR_LOG: "PIXARLOG",
    Compression.SGI_LOG: "SGILOG",
    Compression.SGI_LOG_24: "SGILOG24",
    Compression.JPEG_2000: "JP2000",
    Compression.LZMA: "lzma",
    Compression.ZSTD: "zstd",
    Compression.WEBP: "webp",
    Compression.JPEG_XL_OLD: "JXL",
    Compression.JPEG_XL: "JXL",
}
_LERC = ("lerc", "lerc_deflate", "lerc_zstd")
#: Bytes of the strips into which libtiff divides a single uncompressed one.
_DIVIDED_BYTES = 8192
#: Rows from which GDAL reads an image of a single strip row by row.
_LONG_STRIP = 2000


def profile(source: str | os.PathLike[str], **options: Unpack[FileOptions]) -> dict[str, Any]:
    """Return what `rasterio.open(source).profile` returns, without GDAL.

    Parameters
    ----------
    source
        Local path or URL, also one with a query.
    **options
        See `virtual_tiff.inspection.directories.FileOptions`. By default the metadata of sidecars
        counts (`aux.xml` and `world`), as in GDAL.

    Returns
    -------
    dict
        `driver`, `dtype`, `nodata`, `width`, `height`, `count`, `crs`, `transform`, `blockxsize`,
        `blockysize`, `tiled`, and `compress`, `interleave` and `photometric` where rasterio has
        them. `transform` is an `affine.Affine`, and `crs` a `pyproj.CRS`, which equals rasterio's
        and which `rasterio.open(…, "w")` takes; `None` without a CRS.

    Raises
    ------
    VirtualTIFFError
        The file cannot be read.

    Examples
    --------
    >>> from virtual_tiff import profile
    >>> found = profile("examples/aerial.tif")
    >>> found["dtype"], found["count"], found["blockxsize"], found["compress"]
    ('uint8', 3, 128, 'zstd')
    """
    check_names("profile", options, FileOptions)
    given: FileOptions = {"sidecars": ("aux.xml", "world"), **options}
    header = read_one(source, **given)
    return profile_of(find_ifd(header, (0,)))


def profile_of(ifd: ImageFileDirectory) -> dict[str, Any]:
    """Return the profile of an image."""
    converted = _bands(ifd)
    dtype = _dtype(ifd) if converted is None else "uint8"
    count = converted or ifd.samples_per_pixel
    transform = geotransform(ifd)
    beside = ifd.auxiliary is not None and bool(ifd.auxiliary.control_points)
    rows, columns = _block_shape(ifd, converted=converted is not None)
    found: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": dtype,
        "nodata": _nodata(ifd, dtype),
        "width": ifd.image_width,
        "height": ifd.image_length,
        "count": count,
        # With control points, GDAL takes the CRS for theirs, even beside a transform.
        "crs": None if beside or gcps(ifd) else crs(ifd).crs,
        "transform": Affine.identity() if transform is None else Affine.from_gdal(*transform),
        "blockxsize": columns,
        "blockysize": rows,
        "tiled": columns != ifd.image_width,
    }
    if (name := _compression(ifd)) is not None:
        found["compress"] = name
    pixel = count > 1 and not ifd.is_planar
    found["interleave"] = "pixel" if pixel else "band"
    if (space := _source_color_space(ifd)) is not None:
        found["photometric"] = space
    return found


def _dtype(ifd: ImageFileDirectory) -> str:
    """Return the data type as GDAL's driver chooses it from the first sample."""
    bits, form = ifd.bits_per_sample[0], ifd.sample_format[0]
    if bits <= 8:
        return "int8" if form == SampleFormat.INT else "uint8"
    if bits <= 16:
        if form == SampleFormat.FLOAT and bits == 16:
            return "float16"
        return "int16" if form == SampleFormat.INT else "uint16"
    if form == SampleFormat.COMPLEX_INT:
        return "complex_int16" if bits == 32 else "complex64"
    if form == SampleFormat.COMPLEX_FLOAT:
        return "complex64" if bits <= 64 else "complex128"
    if bits <= 32:
        if form == SampleFormat.FLOAT:
            return "float32"
        return "int32" if form == SampleFormat.INT else "uint32"
    if form == SampleFormat.FLOAT:
        return "float64"
    return "int64" if form == SampleFormat.INT else "uint64"


def _nodata(ifd: ImageFileDirectory, dtype: str) -> float | None:
    """Return the nodata value of the first band as rasterio does: a float, in range of the type.

    Text that is no number is 0, as in GDAL; no fill value is meant by a rounded text.
    """
    text = (
        ifd.gdal_nodata if ifd.auxiliary is None else ifd.auxiliary.nodata.get(0, ifd.gdal_nodata)
    )
    if not text:
        return None
    kind = np.dtype("int16" if dtype == "complex_int16" else dtype)
    if kind.kind in "iu" and kind.itemsize == 8:
        return _integer_nodata(leading_integer(text) or 0, np.iinfo(kind.name))
    value = leading_number(text)
    value = 0.0 if value is None else value
    if kind.kind in "iu":
        limits = np.iinfo(kind.name)
        return value if limits.min <= value <= limits.max else None
    if kind.name == "float32":
        with np.errstate(over="ignore"):
            return float(np.float32(value))
    # -3.4028235e+38 is the least float32 with fewer digits.
    is_outside = isfinite(value) and abs(value) > float(np.finfo(kind.name).max) * (1 + 1e-7)
    return None if is_outside else value


def _integer_nodata(value: int, limits: np.iinfo[Any]) -> float | None:
    """Return an integer of 64 bits as C reads it, and as a float."""
    if value < 0 and limits.min == 0:
        value += int(limits.max) + 1
    number = float(min(max(value, int(limits.min)), int(limits.max)))
    return number if number <= int(limits.max) else None


def _bands(ifd: ImageFileDirectory) -> int | None:
    """Return the number of bands of an image whose colours GDAL converts; `None` for others."""
    if ifd.bits_per_sample[0] != 8:
        return None
    photometric = ifd.photometric_interpretation
    if photometric == PhotometricInterpretation.CIELAB:
        return 4 if ifd.samples_per_pixel == 3 else None
    if photometric == PhotometricInterpretation.SEPARATED and ifd.samples_per_pixel >= 4:
        return 4
    is_decoded = ifd.compression in (Compression.JPEG, Compression.WEBP)
    return 3 if photometric == PhotometricInterpretation.YCBCR and not is_decoded else None


def _block_shape(ifd: ImageFileDirectory, *, converted: bool) -> tuple[int, int]:
    rows, columns = ifd.segment_shape
    if ifd.is_tiled:
        return rows, columns
    is_chunky = ifd.planar_configuration == PlanarConfiguration.CHUNKY
    if ifd.compression == Compression.NONE and ifd.offsets.size == 1 and is_chunky:
        row_bytes = (columns * ifd.samples_per_pixel * ifd.bits_per_sample[0] + 7) // 8
        rows = min(rows, max(_DIVIDED_BYTES // row_bytes, 1))
    bits = ifd.bits_per_sample[0]
    is_split = bits == 8 or (bits == 1 and ifd.samples_per_pixel == 1)
    is_long = rows == ifd.image_length > _LONG_STRIP and is_split
    return (1 if is_long and not converted else rows), columns


def _compression(ifd: ImageFileDirectory) -> str | None:
    if ifd.compression == Compression.NONE:
        return None
    if ifd.compression == Compression.LERC:
        further = ifd.lerc_parameters[1] if len(ifd.lerc_parameters) > 1 else 0
        return _LERC[further] if further < len(_LERC) else _LERC[0]
    return _COMPRESSIONS.get(ifd.compression, str(ifd.compression))


def _source_color_space(ifd: ImageFileDirectory) -> str | None:
    bits = ifd.bits_per_sample[0]
    if bits != 8 and (ifd.compression != Compression.JPEG or bits != 12):
        return None
    if ifd.photometric_interpretation == PhotometricInterpretation.CIELAB and _bands(ifd) is None:
        return None
    spaces: dict[int, str] = {
        PhotometricInterpretation.YCBCR: "ycbcr",
        PhotometricInterpretation.SEPARATED: "cmyk",
        PhotometricInterpretation.CIELAB: "cielab",
    }
    found = ifd.photometric_interpretation
    return None if found is None else spaces.get(found)
