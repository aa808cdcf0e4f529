"""Every encoding that a chain of codecs is written for, as small TIFFs with known pixels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from tests.helpers.make import COMPLEX, FLOATS, INTEGERS, TILE, Encoding, write
from tests.readers._bit_cases import fax, fill_order, odd_widths, reversed_packbits
from tests.readers._case import (
    DATA_TYPES,
    DEFLATE,
    HEIGHT,
    LAYOUTS,
    LZMA,
    LZW_PACKBITS,
    MISSING,
    ONE_BAND,
    PREDICTOR_2,
    PREDICTOR_3,
    STRIPS,
    TILES,
    UNCOMPRESSED,
    WIDTH,
    ZSTANDARD,
    Case,
    write_with_gdal,
)
from tests.readers._image_cases import images, jpeg, lerc


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case, in the order of the tables."""
    cases = (
        *_lossless(),
        *odd_widths(),
        *fax(),
        *jpeg(),
        *images(),
        *lerc(),
        *fill_order(),
        *_missing(),
        *reversed_packbits(),
        *_data_types(),
    )
    if len({case.name for case in cases}) != len(cases):
        raise AssertionError("two cases have one name")
    return cases


#: Name in the tables → (name in `tests.helpers.make`, predictors, group).
_COMPRESSIONS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "Uncompressed": ("none", (1,), UNCOMPRESSED),
    "Deflate (8)": ("deflate", (1, 2, 3), DEFLATE),
    "Deflate (32946)": ("deflate-32946", (1,), DEFLATE),
    "Zstandard": ("zstd", (1, 2, 3), ZSTANDARD),
    "LZMA": ("lzma", (1, 2, 3), LZMA),
    "LZW": ("lzw", (1, 2, 3), LZW_PACKBITS),
    "PackBits": ("packbits", (1,), LZW_PACKBITS),
}
_SEGMENTS = {TILES: "tiles", STRIPS: "strips-short-last"}
_PREDICTORS = {2: PREDICTOR_2, 3: PREDICTOR_3}
_DATA_TYPES = {1: "uint16", 2: "int16", 3: "float32"}


def _lossless() -> Iterator[Case]:
    for compression, (key, predictors, group) in _COMPRESSIONS.items():
        for predictor, layout, segments in product(predictors, LAYOUTS, _SEGMENTS):
            samples, planar, _ = LAYOUTS[layout]
            encoding = Encoding(
                dtype=_DATA_TYPES[predictor],
                compression=key,
                predictor=predictor,
                segments=_SEGMENTS[segments],
                samples=samples,
                planar=planar,
            )
            yield Case(
                group=_PREDICTORS.get(predictor, group),
                encoding=compression + (f" with predictor {predictor}" if predictor > 1 else ""),
                layout=layout,
                detail=segments,
                write=partial(write, encoding, height=HEIGHT, width=WIDTH),
            )


def _data_types() -> Iterator[Case]:
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for dtype, order in product((*INTEGERS, *FLOATS, *COMPLEX), orders):
        if order == "big" and np.dtype(dtype).itemsize == 1:
            continue
        encoding = Encoding(dtype=dtype, byte_order=order)
        yield Case(
            group=DATA_TYPES,
            encoding=dtype,
            layout=ONE_BAND,
            detail=f"{order}-endian",
            write=partial(write, encoding, height=HEIGHT, width=WIDTH),
        )


def _missing() -> Iterator[Case]:
    for dtype, nodata in (("int16", -9999.0), ("float32", float("nan")), ("uint8", None)):
        yield Case(
            group=MISSING,
            encoding=f"Missing tiles {'without' if nodata is None else 'with'} nodata",
            layout=ONE_BAND,
            detail=dtype,
            write=partial(_write_sparse, dtype=dtype, nodata=nodata),
        )


def _write_sparse(path: Path, dtype: str, nodata: float | None) -> None:
    data = np.full((HEIGHT, WIDTH), 0 if nodata is None else nodata, dtype)
    data[: TILE[0], : TILE[1]] = 7
    write_with_gdal(path, data, tiled=True, COMPRESS="NONE", SPARSE_OK="TRUE", nodata=nodata)
