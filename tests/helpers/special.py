"""TIFFs beside the lossless core that `_make` covers: sparse, odd widths, image codecs, pages.

Three tables say what is written, by whom, and how: `BY_GDAL`, `BY_TIFFFILE` and `BY_HAND`. The
pixels that are expected are those that tifffile and GDAL read.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import tifffile
from rasterio.io import MemoryFile

from tests.helpers.assemble import DATA_AT, PLAIN, Field, assemble, changed, long, short, text
from tests.helpers.make import (
    HEIGHT,
    TRANSFORM,
    WIDTH,
    Pixels,
    pixels,
    write_window,
    write_with_rasterio,
)
from virtual_tiff.tags import FieldType


@dataclass(frozen=True, slots=True)
class Made:
    """One file of a table.

    Parameters
    ----------
    dtype
        What the writer is given.
    shape
        `(bands, y, x)` for GDAL; as tifffile takes it for tifffile.
    options
        Creation options of GDAL, or arguments of tifffile.
    lossy
        Whether decoders may differ: then a few grey levels of GDAL's pixels are allowed, but
        nothing of tifffile's, which decodes with the codecs that readers use.
    """

    dtype: str
    shape: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    lossy: bool = False


_ONE, _THREE = (1, HEIGHT, WIDTH), (3, HEIGHT, WIDTH)
_TILED = {"TILED": "YES", "BLOCKYSIZE": 16, "BLOCKXSIZE": 32}
_SHORT = {"BLOCKYSIZE": 7}
#: Pixels within this window only; the rest is never written.
_WINDOW = {"window": (slice(16, 20), slice(0, 30))}
_SPARSE = {"SPARSE_OK": "YES"} | _WINDOW

BY_GDAL: dict[str, Made] = {
    "sparse-tiles": Made("uint8", _ONE, _SPARSE | _TILED),
    "sparse-tiles-nodata": Made("int16", _THREE, _SPARSE | _TILED | {"nodata": -9}),
    "sparse-tiles-nan": Made("float32", _ONE, _SPARSE | _TILED | {"nodata": float("nan")}),
    "sparse-tiles-deflate": Made("uint16", _ONE, _SPARSE | _TILED | {"COMPRESS": "DEFLATE"}),
    "sparse-strips": Made("uint8", _ONE, _SPARSE | _SHORT),
    "sparse-strips-nodata": Made("uint8", _ONE, _SPARSE | {"BLOCKYSIZE": 9, "nodata": 200}),
    "sparse-strips-lzw": Made("uint8", _THREE, _SPARSE | _SHORT | {"COMPRESS": "LZW"}),
    "sparse-planar": Made("uint8", _THREE, _SPARSE | _TILED | {"INTERLEAVE": "BAND"}),
    "nothing-written": Made("uint8", _ONE, _SPARSE | _TILED | {"window": None, "nodata": 3}),
    **{
        f"{bits}-bits-{layout.lower()}-{compression.lower()}{'-tiled' * tiled}": Made(
            f"uint{8 if bits <= 8 else 16 if bits <= 16 else 32}",
            _THREE,
            {"NBITS": bits, "INTERLEAVE": layout, "COMPRESS": compression}
            | (_TILED if tiled else _SHORT),
        )
        for bits, layout, compression, tiled in (
            *((1, "PIXEL", "NONE", False), (1, "BAND", "NONE", True), (1, "BAND", "LZW", False)),
            *(
                (2, "PIXEL", "DEFLATE", False),
                (2, "BAND", "NONE", False),
                (3, "PIXEL", "NONE", True),
            ),
            *((4, "PIXEL", "ZSTD", True), (4, "BAND", "DEFLATE", False), (5, "BAND", "NONE", True)),
            *(
                (6, "PIXEL", "PACKBITS", False),
                (7, "PIXEL", "NONE", False),
                (9, "BAND", "LZW", True),
            ),
            *(
                (10, "PIXEL", "NONE", False),
                (11, "BAND", "LZW", False),
                (12, "PIXEL", "NONE", True),
            ),
            *(
                (12, "BAND", "DEFLATE", False),
                (14, "PIXEL", "LZMA", False),
                (15, "BAND", "NONE", True),
            ),
            *(
                (17, "PIXEL", "NONE", False),
                (24, "PIXEL", "DEFLATE", False),
                (31, "BAND", "NONE", True),
            ),
        )
    },
    "10-bits-big-endian": Made("uint16", _ONE, {"NBITS": 10, "ENDIANNESS": "BIG"}),
    "float16-from-float32": Made("float32", _ONE, {"NBITS": 16, "COMPRESS": "LZW"} | _SHORT),
    "tile-larger-than-image": Made("uint8", (1, 5, 3), _TILED),
    "one-pixel": Made("uint16", (2, 1, 1), {}),
    "one-row": Made("uint8", (1, 1, 37), {"COMPRESS": "DEFLATE"}),
    "one-column": Made("uint8", (3, 27, 1), {"COMPRESS": "DEFLATE"} | _SHORT),
    "many-bands": Made("uint8", (17, 9, 8), {"INTERLEAVE": "PIXEL"} | _TILED),
    "many-planes": Made("uint16", (17, 9, 8), {"INTERLEAVE": "BAND", "BLOCKYSIZE": 4}),
    "alpha": Made("uint8", (4, HEIGHT, WIDTH), {"ALPHA": "YES", "PHOTOMETRIC": "RGB"} | _TILED),
    "cmyk": Made("uint8", (4, HEIGHT, WIDTH), {"PHOTOMETRIC": "CMYK"} | _SHORT),
    "cielab": Made("uint8", _THREE, {"PHOTOMETRIC": "CIELAB"} | _SHORT),
    "white-is-zero": Made("uint8", _ONE, {"PHOTOMETRIC": "MINISWHITE"} | _SHORT),
    "lerc": Made("float32", _ONE, {"COMPRESS": "LERC"} | _TILED),
    "lerc-deflate-short": Made("uint16", _THREE, {"COMPRESS": "LERC_DEFLATE"} | _SHORT),
    "lerc-zstd-planar": Made("int16", _THREE, {"COMPRESS": "LERC_ZSTD", "INTERLEAVE": "BAND"}),
    "webp-lossless": Made("uint8", _THREE, {"COMPRESS": "WEBP", "WEBP_LOSSLESS": "YES"} | _TILED),
    "webp-short": Made(
        "uint8", _THREE, {"COMPRESS": "WEBP", "WEBP_LEVEL": 50} | _SHORT, lossy=True
    ),
    "jpeg-grey": Made("uint8", _ONE, {"COMPRESS": "JPEG"} | _TILED, lossy=True),
    "jpeg-rgb": Made(
        "uint8", _THREE, {"COMPRESS": "JPEG", "PHOTOMETRIC": "RGB"} | _TILED, lossy=True
    ),
    "jpeg-ycbcr": Made(
        "uint8", _THREE, {"COMPRESS": "JPEG", "PHOTOMETRIC": "YCBCR"} | _TILED, lossy=True
    ),
    "jpeg-planar-short": Made(
        "uint8", _THREE, {"COMPRESS": "JPEG", "INTERLEAVE": "BAND", "BLOCKYSIZE": 8}, lossy=True
    ),
    "fax-rle": Made("uint8", _ONE, {"COMPRESS": "CCITTRLE", "NBITS": 1} | _SHORT),
    "fax3": Made("uint8", _ONE, {"COMPRESS": "CCITTFAX3", "NBITS": 1} | _TILED),
    "fax4": Made("uint8", _ONE, {"COMPRESS": "CCITTFAX4", "NBITS": 1} | _SHORT),
}

_PLANE = (HEIGHT, WIDTH)
_CHUNKY = (HEIGHT, WIDTH, 3)

BY_TIFFFILE: dict[str, Made] = {
    "extra-samples": Made(
        "uint8",
        (HEIGHT, WIDTH, 5),
        {"photometric": "rgb", "extrasamples": ("assocalpha", "unspecified")},
    ),
    "planar-with-alpha": Made(
        "uint16",
        (4, HEIGHT, WIDTH),
        {"photometric": "rgb", "planarconfig": "separate", "extrasamples": ("unassalpha",)},
    ),
    "palette": Made(
        "uint8",
        _PLANE,
        {"photometric": "palette", "colormap": np.arange(768, dtype="uint16").reshape(3, 256)},
    ),
    "jpeg-2000": Made("uint8", _CHUNKY, {"compression": "jpeg2000", "tile": (16, 32)}),
    "jpeg-2000-short": Made("uint16", _PLANE, {"compression": "jpeg2000", "rowsperstrip": 16}),
    "jpeg-xl": Made("uint8", _CHUNKY, {"compression": "jpegxl", "tile": (16, 32)}),
    "png-short": Made("uint8", _PLANE, {"compression": "png", "rowsperstrip": 16}),
    "jpeg-xr": Made("uint8", _PLANE, {"compression": "jpegxr", "tile": (16, 32)}),
    "lerc": Made("float64", _PLANE, {"compression": "lerc", "rowsperstrip": 7}),
    "jpeg-default-subsampling": Made(
        "uint8", (32, 32, 3), {"compression": "jpeg", "photometric": "rgb"}, lossy=True
    ),
    "many-one-row-strips": Made("uint8", (301, 4000), {"rowsperstrip": 1}),
    "prime-height": Made("uint16", (257, 3000), {"rowsperstrip": 100}),
}


def _strips(
    heights: list[int],
    *,
    order: list[int] | None = None,
    gap: int = 0,
    tail: bytes = b"",
    **more: Any,
) -> bytes:
    """Uncompressed strips of 5 columns, laid out in any order with gaps between them."""
    places, data = {}, b""
    for i in order or range(len(heights)):
        places[i] = DATA_AT + len(data)
        data += bytes((i * 50 + k) % 256 for k in range(5 * heights[i])) + b"\xee" * gap
    counts = [5 * height for height in heights]
    return assemble(
        [
            changed(
                PLAIN,
                IMAGE_LENGTH=short(sum(heights)),
                ROWS_PER_STRIP=short(heights[0]),
                STRIP_OFFSETS=long(*(places[i] for i in range(len(heights)))),
                STRIP_BYTE_COUNTS=long(*counts),
            )
            | more.get("fields", {})
        ],
        data=data + tail,
    )


def _deflated(heights: list[int], pad: int = 0, **changes: Field | None) -> bytes:
    """Deflated strips of 5 columns, with bytes after each stream that its byte count covers."""
    parts = [
        zlib.compress(bytes((i * 50 + k) % 256 for k in range(5 * height))) + b"\0" * pad
        for i, height in enumerate(heights)
    ]
    offsets = [DATA_AT + sum(map(len, parts[:i])) for i in range(len(parts))]
    fields: dict[str, Field | None] = {
        "IMAGE_LENGTH": short(sum(heights)),
        "ROWS_PER_STRIP": short(heights[0]),
        "COMPRESSION": short(8),
        "STRIP_OFFSETS": long(*offsets),
        "STRIP_BYTE_COUNTS": long(*map(len, parts)),
    }
    return assemble([changed(PLAIN, **(fields | changes))], data=b"".join(parts))


BY_HAND: dict[str, Callable[[], bytes]] = {
    "plain": lambda: assemble([PLAIN]),
    "rows-per-strip-absent": lambda: assemble([changed(PLAIN, ROWS_PER_STRIP=None)]),
    "rows-per-strip-larger": lambda: assemble([changed(PLAIN, ROWS_PER_STRIP=short(100))]),
    "rows-per-strip-all-ones": lambda: assemble([changed(PLAIN, ROWS_PER_STRIP=long(2**32 - 1))]),
    "rows-per-strip-larger-deflate": lambda: _deflated([4], ROWS_PER_STRIP=short(100)),
    "byte-counts-absent": lambda: assemble([changed(PLAIN, STRIP_BYTE_COUNTS=None)]),
    "byte-count-zero-deflate": lambda: _deflated([4], STRIP_BYTE_COUNTS=None),
    "byte-counts-surplus": lambda: assemble([changed(PLAIN, STRIP_BYTE_COUNTS=long(20, 20, 20))]),
    "samples-and-photometric-absent": lambda: assemble(
        [changed(PLAIN, SAMPLES_PER_PIXEL=None, PHOTOMETRIC_INTERPRETATION=None)]
    ),
    "bits-and-compression-absent": lambda: assemble(
        [changed(PLAIN, BITS_PER_SAMPLE=None, COMPRESSION=None)], data=bytes((0xA8, 0x50) * 10)
    ),
    "strips-in-reverse": lambda: _strips([2, 2, 2, 2], order=[3, 2, 1, 0]),
    "strips-with-gaps": lambda: _strips([3, 3, 3], gap=7),
    "strips-with-gaps-short-last": lambda: _strips([4, 4, 2], gap=3),
    "strips-short-last-at-end-of-data": lambda: _strips([4, 4, 3]),
    "strips-short-last-not-last-in-file": lambda: _strips([4, 4, 1], order=[2, 0, 1]),
    "strips-short-last-with-tail": lambda: _strips([4, 4, 1], tail=bytes(100)),
    "strips-prime-rest-out-of-order": lambda: _strips([4, 4, 3], order=[1, 0, 2]),
    "strips-overlap": lambda: _strips(
        [2, 2, 2], fields={273: long(DATA_AT, DATA_AT + 5, DATA_AT + 10)}
    ),
    "deflate-trailing-bytes": lambda: _deflated([4, 4, 4], pad=5),
    "deflate-trailing-bytes-short-last": lambda: _deflated([4, 4, 2], pad=5),
    "void-samples": lambda: assemble([changed(PLAIN, SAMPLE_FORMAT=short(4))]),
    "one-bits-value-for-three-samples": lambda: assemble(
        [
            changed(
                PLAIN,
                SAMPLES_PER_PIXEL=short(3),
                IMAGE_WIDTH=short(2),
                IMAGE_LENGTH=short(3),
                STRIP_BYTE_COUNTS=long(18),
                PHOTOMETRIC_INTERPRETATION=short(2),
            )
        ]
    ),
    "inline-software-without-nul": lambda: assemble(
        [changed(PLAIN, SOFTWARE=Field(FieldType.ASCII, b"abc"))]
    ),
    "latin-1-description": lambda: assemble(
        [changed(PLAIN, IMAGE_DESCRIPTION=Field(FieldType.ASCII, "© été".encode("latin-1")))]
    ),
    "unknown-field-type": lambda: assemble([changed(PLAIN) | {65000: Field(99, (1, 2, 3))}]),
    "unknown-tags": lambda: assemble([changed(PLAIN) | {65000: text("mine"), 65001: short(7)}]),
}


def _write_pages(path: Path) -> None:
    """Pages of unequal size and type, as tifffile writes them."""
    with tifffile.TiffWriter(path) as writer:
        for dtype, shape in (("uint8", (27, 37)), ("float32", (9, 5)), ("uint16", (27, 37, 3))):
            writer.write(
                pixels(dtype, shape),
                photometric="rgb" if len(shape) == 3 else "minisblack",
                metadata=None,
                compression="zlib" if dtype == "float32" else None,
            )


def _write_sub_ifds(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
        for _ in range(2):
            writer.write(pixels("uint16", (40, 36)), tile=(16, 16), subifds=2, **options)
            writer.write(pixels("uint16", (20, 18)), tile=(16, 16), subfiletype=1, **options)
            writer.write(pixels("uint16", (10, 9)), subfiletype=1, **options)


def _write_overviews_and_mask(path: Path) -> None:
    """A COG as GDAL writes it: image, overviews, and masks of all of them."""
    data = pixels("uint8", (3, 150, 130))
    profile = {"driver": "GTiff", "count": 3, "height": 150, "width": 130, "dtype": "uint8"}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(**profile, crs="EPSG:32633", transform=TRANSFORM) as file:
            file.write(data)
            file.write_mask(np.arange(150 * 130).reshape(150, 130) % 3 > 0)
        with memory.open() as source:
            rasterio.shutil.copy(
                source, path, driver="COG", BLOCKSIZE=64, COMPRESS="DEFLATE", PREDICTOR="YES"
            )


BY_SCRIPT: dict[str, Callable[[Path], None]] = {
    "pages": _write_pages,
    "sub-ifds": _write_sub_ifds,
    "overviews-and-mask": _write_overviews_and_mask,
}


#: Files that ought to be read and are not; strict, so that they leave the list in time.
BROKEN: dict[str, str] = {}
#: Files that an oracle cannot judge, and why.
NOT_BY_GDAL = {
    "gdal:cmyk": "GDAL converts CMYK to RGBA",
    "gdal:cielab": "GDAL converts CIELab to RGBA",
    "tifffile:jpeg-2000": "rasterio's wheel has no such codec in libtiff",
    "tifffile:jpeg-2000-short": "rasterio's wheel has no such codec in libtiff",
    "tifffile:jpeg-xl": "rasterio's wheel has no such codec in libtiff",
    "tifffile:jpeg-xr": "libtiff has no such codec",
    "tifffile:png-short": "libtiff has no such codec",
}
NOT_BY_TIFFFILE = {
    "gdal:jpeg-planar-short": "tifffile asks for RGB of a stream of one component",
    "hand:byte-count-zero-deflate": "tifffile wants a byte count",
}


def names() -> list[str]:
    """Every file of the tables."""
    tables: dict[str, Iterable[str]] = {
        "gdal": BY_GDAL,
        "tifffile": BY_TIFFFILE,
        "hand": BY_HAND,
        "script": BY_SCRIPT,
    }
    return [f"{by}:{name}" for by, table in tables.items() for name in table]


def parameters() -> list[Any]:
    """Make parameters of a test of `names()`; those of `BROKEN` are expected to fail."""
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=BROKEN[name])) if name in BROKEN else name
        for name in names()
    ]


def write_special(name: str, path: Path) -> bool:
    """Write a file of the tables; return whether its encoding is lossy."""
    by, _, key = name.partition(":")
    if by == "gdal":
        return _write_by_gdal(BY_GDAL[key], path)
    if by == "tifffile":
        made = BY_TIFFFILE[key]
        options = {"photometric": "minisblack", "metadata": None} | made.options
        if made.options.get("compression") == "jpegxl":
            options |= {"photometric": "rgb", "compressionargs": {"lossless": True}}
        tifffile.imwrite(path, _smooth(made), **options)
        return made.lossy
    if by == "hand":
        path.write_bytes(BY_HAND[key]())
        return False
    BY_SCRIPT[key](path)
    return False


def _smooth(made: Made) -> Pixels:
    """Pixels that lossy codecs keep close to what they were, and LERC keeps at all."""
    if made.lossy or np.dtype(made.dtype).kind == "f":
        size = int(np.prod(made.shape))
        return (np.arange(size).reshape(made.shape) % 251).astype(made.dtype)
    return pixels(made.dtype, made.shape)


def _write_by_gdal(made: Made, path: Path) -> bool:
    options = dict(made.options)
    bits = options.get("NBITS")
    data = _smooth(made)
    if bits is not None and data.dtype.kind == "u":
        data = data >> np.array(8 * data.itemsize - bits, data.dtype)
    if "window" in options:
        window = options.pop("window")
        part = None if window is None else data[(slice(None), *window)]
        options |= {"count": made.shape[0], "dtype": made.dtype}
        write_window(path, part, made.shape[1:], window or (slice(0), slice(0)), **options)
    else:
        write_with_rasterio(path, data, **options)
    return made.lossy


# --- what tifffile finds in a file -----------------------------------------------------------


def tifffile_pages(tif: tifffile.TiffFile) -> Iterator[tuple[str, Any]]:
    """Yield every page with its sub-IFDs, named as the arrays are."""
    for i, page in enumerate(tif.pages):
        yield str(i), page
        for j, inner in enumerate(getattr(page, "pages", None) or ()):
            yield f"{i}.{j}", inner
