"""Sound TIFFs of some hundred bytes, one for every way through the parser."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tifffile
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from tests.helpers.assemble import (
    BIG_DATA_AT,
    PLAIN,
    DirectoryAt,
    Field,
    assemble,
    changed,
    double,
    long,
    short,
    text,
)
from virtual_tiff.tags import FieldType


def _tifffile(dtype: str, shape: tuple[int, ...], **options: Any) -> bytes:
    data = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, data, **{"photometric": "minisblack", "metadata": None, "software": False} | options
    )
    return buffer.getvalue()


def _gdal(dtype: str, shape: tuple[int, int, int], **options: Any) -> bytes:
    data = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    profile = {"driver": "GTiff", "count": shape[0], "height": shape[1], "width": shape[2]}
    profile |= {"dtype": dtype, "crs": "EPSG:32633", "transform": from_origin(5e5, 46e5, 10, 10)}
    with MemoryFile() as memory:
        with memory.open(**(profile | options)) as file:
            file.write(data)
            file.set_band_description(1, "first")
            file.update_tags(AREA_OR_POINT="Point", note="a < b")
        return bytes(memory.read())


def _pages(**options: Any) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **options) as writer:
        for size in (9, 5, 3):
            writer.write(
                np.full((size, size + 1), size, "uint8"),
                photometric="minisblack",
                subfiletype=0 if size == 9 else 1,
                metadata=None,
                software=False,
            )
    return buffer.getvalue()


def _sub_ifds() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
        writer.write(np.zeros((9, 8), "uint16"), subifds=2, software=False, **options)
        for size in (4, 2):
            writer.write(np.ones((size, size), "uint16"), subfiletype=1, **options)
        writer.write(np.zeros((3, 3), "uint8"), **options)
    return buffer.getvalue()


def _ome(levels: int = 1) -> bytes:
    buffer = io.BytesIO()
    data = np.arange(2 * 2 * 16 * 16, dtype="uint8").reshape(2, 2, 16, 16)
    options: dict[str, Any] = {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"}
    axes = {"axes": "TCYX", "Channel": {"Name": ["a", "b"]}, "PhysicalSizeX": 0.5}
    with tifffile.TiffWriter(buffer, ome=True) as writer:
        writer.write(data, subifds=levels - 1, metadata=axes, **options)
        for level in range(1, levels):
            step = 2**level
            writer.write(data[..., ::step, ::step], subfiletype=1, **options)
    return buffer.getvalue()


def _imagej(**options: Any) -> bytes:
    buffer = io.BytesIO()
    data = np.arange(2 * 3 * 8 * 6, dtype="uint16").reshape(2, 3, 8, 6)
    tifffile.imwrite(buffer, data, imagej=True, metadata={"axes": "TZYX"}, **options)
    return buffer.getvalue()


def _many_tags() -> bytes:
    """Every field type, and every tag that has a meaning, in one directory."""
    return assemble(
        [
            changed(
                PLAIN,
                NEW_SUBFILE_TYPE=long(0),
                FILL_ORDER=short(1),
                IMAGE_DESCRIPTION=text("what it shows"),
                ORIENTATION=short(1),
                X_RESOLUTION=Field(FieldType.RATIONAL, (72, 1)),
                PLANAR_CONFIGURATION=short(1),
                RESOLUTION_UNIT=short(2),
                SOFTWARE=text("none"),
                DATE_TIME=text("2026:01:02 03:04:05"),
                PREDICTOR=short(1),
                COLOR_MAP=short(*range(12)),
                EXTRA_SAMPLES=Field(FieldType.SHORT, (0,), count=0),
                SAMPLE_FORMAT=short(1),
                MODEL_PIXEL_SCALE=double(1, 2, 0),
                MODEL_TIEPOINT=double(0, 0, 0, 5, 6, 0),
                MODEL_TRANSFORMATION=double(*range(16)),
                GEO_KEY_DIRECTORY=short(
                    *(1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1),
                    *(1026, 34737, 5, 0, 2057, 34736, 1, 0),
                ),
                GEO_DOUBLE_PARAMS=double(6378137.0),
                GEO_ASCII_PARAMS=text("name|"),
                GDAL_METADATA=text('<GDALMetadata><Item name="a">b</Item></GDALMetadata>'),
                GDAL_NODATA=text("-1.#QNAN"),
                RPC_COEFFICIENT=double(*range(4)),
            )
            | {65000: Field(FieldType.FLOAT, (1.5,)), 65001: Field(FieldType.SSHORT, (-1, -2, -3))}
        ]
    )


def _nested_sub_ifds() -> bytes:
    return assemble(
        [
            changed(PLAIN, SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(1), DirectoryAt(2)))),
            changed(PLAIN, NEW_SUBFILE_TYPE=long(1), SUB_IFDS=long(0)),
            changed(
                PLAIN, NEW_SUBFILE_TYPE=long(4), SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(3),))
            ),
            PLAIN,
        ],
        chain=[0],
    )


def _sparse() -> bytes:
    return assemble(
        [
            changed(
                PLAIN,
                ROWS_PER_STRIP=short(1),
                STRIP_OFFSETS=long(8, 0, 18, 0),
                STRIP_BYTE_COUNTS=long(5, 0, 5, 0),
                GDAL_NODATA=text("7"),
            )
        ]
    )


def _packed(bits: int, samples: int) -> bytes:
    row = (5 * bits * samples + 7) // 8
    return assemble(
        [
            changed(
                PLAIN,
                BITS_PER_SAMPLE=short(*[bits] * samples),
                SAMPLES_PER_PIXEL=short(samples),
                STRIP_BYTE_COUNTS=long(4 * row),
            )
        ],
        data=bytes(i * 37 % 256 for i in range(4 * row)),
    )


def _big(order: str) -> bytes:
    fields = changed(
        PLAIN,
        ROWS_PER_STRIP=short(2),
        STRIP_OFFSETS=Field(FieldType.LONG8, (BIG_DATA_AT, BIG_DATA_AT + 10)),
        STRIP_BYTE_COUNTS=Field(FieldType.LONG8, (10, 10)),
        SOFTWARE=text("a name that does not fit"),
    )
    return assemble([fields, fields], order=order, big=True)


def _metadata_only(count: int) -> bytes:
    """More directories than one, one without an image."""
    return assemble([PLAIN] * count + [{305: text("no image here")}])


_MAKERS: dict[str, Callable[[], bytes]] = {
    "plain": lambda: assemble([PLAIN]),
    "plain-mm": lambda: assemble([PLAIN], order=">"),
    "many-tags": _many_tags,
    "sub-ifds": _sub_ifds,
    "nested-sub-ifds": _nested_sub_ifds,
    "sparse": _sparse,
    "big-ii": lambda: _big("<"),
    "big-mm": lambda: _big(">"),
    "packed-1": lambda: _packed(1, 1),
    "packed-12x3": lambda: _packed(12, 3),
    "metadata-only": lambda: _metadata_only(2),
    "pages": _pages,
    "pages-big-mm": lambda: _pages(byteorder=">", bigtiff=True),
    "ome": _ome,
    "ome-pyramid": lambda: _ome(2),
    "imagej": _imagej,
    "imagej-deflate": lambda: _imagej(compression="zlib"),
    "strips": lambda: _tifffile("uint16", (9, 5), rowsperstrip=1),
    "strips-short-last": lambda: _tifffile("uint8", (9, 5), rowsperstrip=4),
    "deflate-short-last": lambda: _tifffile(
        "int16", (9, 5), rowsperstrip=4, compression="zlib", predictor=2
    ),
    "lzw-short-last-rgb": lambda: _tifffile(
        "uint8", (7, 5, 3), rowsperstrip=4, compression="lzw", predictor=2, photometric="rgb"
    ),
    "packbits-short-last": lambda: _tifffile(
        "uint8", (9, 5), rowsperstrip=4, compression="packbits"
    ),
    "zstd-planar": lambda: _tifffile(
        "uint16", (3, 9, 5), rowsperstrip=3, compression="zstd", planarconfig="separate"
    ),
    "tiles-floatpred": lambda: _tifffile(
        "float32", (20, 20), tile=(16, 16), compression="zlib", predictor=3
    ),
    "complex-mm": lambda: _tifffile("complex64", (6, 5), rowsperstrip=2, byteorder=">"),
    "tiles-planar-big": lambda: _tifffile(
        "uint8", (2, 17, 33), tile=(16, 16), planarconfig="separate", bigtiff=True
    ),
    "palette": lambda: _tifffile(
        "uint8", (4, 4), photometric="palette", colormap=np.zeros((3, 256), "uint16")
    ),
    "jpeg": lambda: _tifffile("uint8", (16, 16, 3), compression="jpeg", photometric="rgb"),
    "gdal-deflate": lambda: _gdal("float32", (1, 9, 7), COMPRESS="DEFLATE", PREDICTOR=3, nodata=-9),
    "gdal-lerc": lambda: _gdal("float32", (1, 9, 7), COMPRESS="LERC_DEFLATE"),
    "gdal-webp": lambda: _gdal("uint8", (3, 16, 16), COMPRESS="WEBP", WEBP_LOSSLESS="YES"),
    "gdal-fax4": lambda: _gdal("uint8", (1, 9, 17), COMPRESS="CCITTFAX4", NBITS=1),
    "gdal-jpeg-ycbcr": lambda: _gdal("uint8", (3, 16, 16), COMPRESS="JPEG", PHOTOMETRIC="YCBCR"),
    "gdal-tiles-sparse": lambda: _gdal(
        "uint8", (1, 40, 40), TILED="YES", BLOCKXSIZE=16, BLOCKYSIZE=16, SPARSE_OK="YES", nodata=0
    ),
}


@cache
def seeds() -> dict[str, bytes]:
    """All seeds by name."""
    return {name: make() for name, make in _MAKERS.items()}


def flavour(data: bytes) -> tuple[str, bool] | None:
    """Byte order and whether it is a BigTIFF; `None` if it is no TIFF any more."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return None
    (version,) = struct.unpack(order + "H", data[2:4])
    return (order, version == 43) if version in (42, 43) else None
