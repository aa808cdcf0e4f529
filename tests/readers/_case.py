"""One TIFF of the table, and how it is published; writers that several of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.assemble import PLAIN, Field, assemble, changed, long, short
from tests.helpers.make import TILE, Pixels, read_with_tifffile, write_with_rasterio
from virtual_tiff.choices import BandAxis

type Write = Callable[[Path], object]

#: Rows of the short table, in order.
GROUPS = (
    UNCOMPRESSED := "Uncompressed",
    DEFLATE := "Deflate",
    ZSTANDARD := "Zstandard",
    LZMA := "LZMA",
    LZW_PACKBITS := "LZW, PackBits",
    PREDICTOR_2 := "Predictor 2 (horizontal differencing)",
    PREDICTOR_3 := "Predictor 3 (floating point)",
    ODD_WIDTHS := "1 to 31 bits per sample, 24-bit floats",
    CCITT := "CCITT RLE, Group 3, Group 4",
    JPEG := "JPEG",
    IMAGES := "JPEG 2000, JPEG XL, JPEG XR, PNG, WebP",
    LERC := "LERC, alone or in Deflate or Zstandard",
    FILL_ORDER := "FillOrder 2, alone or in PackBits",
    MISSING := "Missing tiles",
)
#: Cases of this group make a table of their own.
DATA_TYPES = "Data types"

#: Name → samples, whether planar, where the array has its bands.
LAYOUTS: dict[str, tuple[int, bool, BandAxis]] = {
    (ONE_BAND := "one band"): (1, False, "first"),
    "planar (band first)": (3, True, "first"),
    "planar (band last)": (3, True, "last"),
    "chunky (band first)": (3, False, "first"),
    "chunky (band last)": (3, False, "last"),
}
CHUNKY = ("chunky (band first)", "chunky (band last)")

TILES, STRIPS = "tiles", "strips with a short last one"
#: No multiples of a tile; strips of 7, of 16 and of 32 rows leave a short one.
HEIGHT, WIDTH = 45, 37
ROWS_PER_STRIP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One TIFF, and how it is published.

    Parameters
    ----------
    group, encoding
        Rows of the short and of the long table.
    layout
        How bands are stored, and where the array has them; one of `LAYOUTS`.
    detail
        What sets it apart from other cases of the same encoding and layout.
    write
        Writes the file.
    copy
        Whether no codec expresses it, so that it is copied.
    lossy
        Whether decoders of the stream may round differently.
    """

    group: str
    encoding: str
    layout: str
    detail: str
    write: Write
    copy: bool = False
    lossy: bool = False

    @property
    def name(self) -> str:
        """Identifier: name of the file and of the group."""
        text = f"{self.encoding}-{self.layout}-{self.detail}".lower()
        words = "".join(c if c.isalnum() else " " for c in text).split()
        return "-".join(words)

    @property
    def band_axis(self) -> BandAxis:
        """Option of the parser."""
        return LAYOUTS[self.layout][2]

    def expected(self, path: Path) -> Pixels:
        """Pixels as tifffile decodes them, on the axes of the array."""
        data = read_with_tifffile(path)
        if data.dtype == np.bool_:
            data = data.astype(np.uint8)
        return np.moveaxis(data, 0, -1) if self.band_axis == "last" and data.ndim == 3 else data


def segments(tiled: bool) -> str:
    """Name of how an image is cut."""
    return TILES if tiled else STRIPS


def smooth(samples: int, dtype: str, most: float, *, height: int = HEIGHT) -> Pixels:
    """Waves between 0 and `most`: what lossy codecs are made for, with nothing to mask."""
    y, x = np.mgrid[:height, :WIDTH]
    wave = (np.sin(x / 5) + np.cos(y / 7) + 2) / 4 * most
    planes = wave if samples == 1 else np.stack([wave * (i + 1) / samples for i in range(samples)])
    data: Pixels = planes.astype(dtype)
    return data


def write_with_gdal(
    path: Path, data: Pixels, *, tiled: bool, rows: int = ROWS_PER_STRIP, **options: Any
) -> None:
    """Write with GDAL, in tiles or in strips of which the last is short."""
    cut: dict[str, Any] = {"BLOCKYSIZE": rows}
    if tiled:
        cut = {"TILED": "YES", "BLOCKYSIZE": TILE[0], "BLOCKXSIZE": TILE[1]}
    interleave = {"INTERLEAVE": "PIXEL"} if data.ndim == 3 else {}
    write_with_rasterio(path, data, **(interleave | options | cut))


def write_one_strip(
    path: Path, data: bytes, fields: dict[str, Field], *, byte_order: str = "<"
) -> None:
    """Write what no writer writes: the image in one strip, fields as they are given."""
    directory = changed(
        PLAIN,
        IMAGE_WIDTH=short(WIDTH),
        IMAGE_LENGTH=short(HEIGHT),
        ROWS_PER_STRIP=short(HEIGHT),
        STRIP_BYTE_COUNTS=long(len(data)),
        **fields,
    )
    path.write_bytes(assemble([directory], data=data, order=byte_order))
