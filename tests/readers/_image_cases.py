"""Compressions whose streams are whole images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.helpers.make import TILE, Pixels
from tests.readers._case import (
    CHUNKY,
    IMAGES,
    JPEG,
    LAYOUTS,
    LERC,
    ONE_BAND,
    ROWS_PER_STRIP,
    TILES,
    Case,
    segments,
    smooth,
    write_with_gdal,
)

_YCBCR = "JPEG YCbCr 4:2:0"


def jpeg() -> Iterator[Case]:
    """JPEG streams (TIFF Technical Note 2), with their tables in the directory and without."""
    grey, colour = smooth(1, "uint8", 255), smooth(3, "uint8", 255)
    kinds: dict[str, tuple[tuple[str, ...], Pixels, dict[str, Any]]] = {
        "JPEG grey": ((ONE_BAND,), grey, {}),
        _YCBCR: (CHUNKY, colour, {"PHOTOMETRIC": "YCBCR"}),
        "JPEG RGB": (CHUNKY, colour, {"PHOTOMETRIC": "RGB"}),
        "JPEG CMYK": (CHUNKY, smooth(4, "uint8", 255), {"PHOTOMETRIC": "CMYK"}),
        "JPEG three grey bands": (
            ("planar (band first)", "planar (band last)"),
            colour,
            {"PHOTOMETRIC": "MINISBLACK", "INTERLEAVE": "BAND"},
        ),
    }
    for encoding, (layouts, data, options) in kinds.items():
        for layout, tiled in product(layouts, (True, False)):
            # 13 rows of 32: more is missing than what an encoder fills blocks up with.
            yield _jpeg(encoding, layout, data, tiled=tiled, detail=segments(tiled), **options)
    for tiled in (True, False):
        # By tifffile: GDAL 3.12 writes short strips of 12 bits from memory that it never filled.
        yield Case(
            group=JPEG,
            encoding="JPEG 12 bits",
            layout=ONE_BAND,
            detail=segments(tiled),
            write=partial(
                _write_with_tifffile,
                data=smooth(1, "uint16", 4095),
                tiled=tiled,
                compression="jpeg",
                bitspersample=12,
            ),
            lossy=True,
        )
    for layout in CHUNKY:
        # 16 rows of 32, so that the last row has no chroma below it.
        data = smooth(3, "uint8", 255, height=48)
        detail = "strips with a half empty last one"
        yield _jpeg(_YCBCR, layout, data, tiled=False, detail=detail, PHOTOMETRIC="YCBCR")
        yield Case(
            group=JPEG,
            encoding="JPEG YCbCr without JPEGTables",
            layout=layout,
            detail=TILES,
            write=partial(_write_with_tifffile, data=colour, tiled=True, compression="jpeg"),
            lossy=True,
        )


def _jpeg(
    encoding: str, layout: str, data: Pixels, *, tiled: bool, detail: str, **options: Any
) -> Case:
    options |= {"COMPRESS": "JPEG", "rows": 32}
    return Case(
        group=JPEG,
        encoding=encoding,
        layout=layout,
        detail=detail,
        write=partial(write_with_gdal, data=data, tiled=tiled, **options),
        lossy=True,
    )


def images() -> Iterator[Case]:
    """Formats of still images in tiles and strips."""
    every = ("uint8", "uint16")
    kinds: dict[str, tuple[str, tuple[str, ...], tuple[int, ...]]] = {
        "JPEG 2000": ("jpeg2000", every, (1, 3)),
        "JPEG XL": ("jpegxl", every, (1, 3, 4)),
        "JPEG XR": ("jpegxr", every, (1, 3)),
        "PNG": ("png", every, (1, 3, 4)),
        "WebP": ("webp", ("uint8",), (3, 4)),
    }
    for name, (compression, types, bands) in kinds.items():
        for dtype, samples, tiled in product(types, bands, (True, False)):
            most = np.iinfo(dtype).max
            data = smooth(samples, dtype, most)
            if samples == 4:
                # Opaque in some segments, where WebP leaves the alpha channel out.
                data[3, :24] = most
            for layout in (ONE_BAND,) if samples == 1 else CHUNKY:
                yield Case(
                    group=IMAGES,
                    encoding=f"{name} with alpha" if samples == 4 else name,
                    layout=layout,
                    detail=f"{dtype}, {segments(tiled)}",
                    write=partial(
                        _write_with_tifffile, data=data, tiled=tiled, compression=compression
                    ),
                )


def _write_with_tifffile(
    path: Path, data: Pixels, *, tiled: bool, compression: str, **options: Any
) -> None:
    """Write bands chunky."""
    several = data.ndim == 3
    options["photometric"] = "rgb" if several else "minisblack"
    if several:
        options["planarconfig"] = "contig"
    if data.shape[0] == 4:
        options["extrasamples"] = ["unassalpha"]
    options |= {"tile": TILE} if tiled else {"rowsperstrip": ROWS_PER_STRIP}
    tifffile.imwrite(
        path,
        np.moveaxis(data, 0, -1) if several else data,
        compression=compression,
        metadata=None,
        **options,
    )


def lerc() -> Iterator[Case]:
    """Esri's LERC, and what libtiff may put around it."""
    names = {
        "LERC": "LERC",
        "LERC in Deflate": "LERC_DEFLATE",
        "LERC in Zstandard": "LERC_ZSTD",
    }
    for (encoding, compression), dtype, layout, tiled in product(
        names.items(), ("uint16", "float32"), (ONE_BAND, *CHUNKY), (True, False)
    ):
        samples = LAYOUTS[layout][0]
        # GDAL masks what tiles of floats hold beyond the image.
        data = smooth(samples, dtype, 4000)
        options: dict[str, Any] = {"COMPRESS": compression, "MAX_Z_ERROR": 0}
        yield Case(
            group=LERC,
            encoding=encoding,
            layout=layout,
            detail=f"{dtype}, {segments(tiled)}",
            write=partial(write_with_gdal, data=data, tiled=tiled, **options),
        )
