"""Samples of odd widths, bilevel images, and bits in the other order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np

from tests.helpers.assemble import short
from tests.helpers.make import Pixels, pixels
from tests.readers._case import (
    CCITT,
    FILL_ORDER,
    HEIGHT,
    LAYOUTS,
    ODD_WIDTHS,
    ONE_BAND,
    TILES,
    WIDTH,
    Case,
    segments,
    smooth,
    write_one_strip,
    write_with_gdal,
)
from virtual_tiff.tags import Compression


def odd_widths() -> Iterator[Case]:
    """Packed samples (TIFF 6.0 section 3) and 24-bit floats (TIFF Technical Note 3)."""
    for bits in (1, 2, 4, 10, 12, 14, 24, 31):
        # Packed rows cannot be cut where a byte is shared, so strips are what GDAL makes of them.
        for layout, tiled in ((ONE_BAND, True), ("chunky (band first)", False)):
            data = _bits(bits, LAYOUTS[layout][0])
            options: dict[str, Any] = {"NBITS": bits, "COMPRESS": "NONE"}
            yield Case(
                group=ODD_WIDTHS,
                encoding=f"{bits} bit{'s' if bits > 1 else ''} per sample",
                layout=layout,
                detail=segments(tiled),
                write=partial(write_with_gdal, data=data, tiled=tiled, **options),
            )
    for name, compression in (("Deflate", "DEFLATE"), ("LZW", "LZW")):
        options = {"NBITS": 12, "COMPRESS": compression}
        yield Case(
            group=ODD_WIDTHS,
            encoding=f"12 bits per sample in {name}",
            layout=ONE_BAND,
            detail=TILES,
            write=partial(write_with_gdal, data=_bits(12, 1), tiled=True, **options),
        )
    orders: dict[str, Literal["<", ">"]] = {"little": "<", "big": ">"}
    for name, order in orders.items():
        yield Case(
            group=ODD_WIDTHS,
            encoding="24-bit floats",
            layout=ONE_BAND,
            detail=f"one strip, {name}-endian",
            write=partial(_write_float24, order=order),
        )


def _bits(bits: int, samples: int) -> Pixels:
    dtype = "uint8" if bits < 8 else "uint16" if bits < 16 else "uint32"
    shape = (HEIGHT, WIDTH) if samples == 1 else (samples, HEIGHT, WIDTH)
    data: Pixels = pixels(dtype, shape) & np.array(2**bits - 1, dtype)
    return data


def _write_float24(path: Path, order: Literal["<", ">"]) -> None:
    encoded = bytes(imagecodecs.float24_encode(smooth(1, "float32", 1000.0), byteorder=order))
    fields = {"BITS_PER_SAMPLE": short(24), "SAMPLE_FORMAT": short(3)}
    write_one_strip(path, encoded, fields, byte_order=order)


def fax() -> Iterator[Case]:
    """CCITT streams (TIFF 6.0 sections 10 and 11)."""
    names = {
        "CCITT RLE": "CCITTRLE",
        "CCITT Group 3": "CCITTFAX3",
        "CCITT Group 4": "CCITTFAX4",
    }
    for (encoding, compression), tiled in product(names.items(), (True, False)):
        data = smooth(1, "uint8", 1.99)
        options: dict[str, Any] = {"NBITS": 1, "COMPRESS": compression}
        yield Case(
            group=CCITT,
            encoding=encoding,
            layout=ONE_BAND,
            detail=segments(tiled),
            write=partial(write_with_gdal, data=data, tiled=tiled, **options),
        )


def fill_order() -> Iterator[Case]:
    """FillOrder 2 (TIFF 6.0 section 8), where a codec undoes it."""
    for bits in (8, 16):
        yield Case(
            group=FILL_ORDER,
            encoding=f"FillOrder 2 with {bits} bits",
            layout=ONE_BAND,
            detail="one strip",
            write=partial(_write_reversed_bits, bits=bits),
        )


def _write_reversed_bits(path: Path, bits: int) -> None:
    encoded = _reversed_bits(pixels(f"uint{bits}", (HEIGHT, WIDTH)).tobytes())
    write_one_strip(path, encoded, {"BITS_PER_SAMPLE": short(bits), "FILL_ORDER": short(2)})


def reversed_packbits() -> Iterator[Case]:
    """Compressed bytes with their bits reversed, which are stored the right way around."""
    yield Case(
        group=FILL_ORDER,
        encoding="FillOrder 2 in PackBits",
        layout=ONE_BAND,
        detail="one strip",
        write=_write_reversed_packbits,
    )


def _write_reversed_packbits(path: Path) -> None:
    encoded = imagecodecs.packbits_encode(pixels("uint8", (HEIGHT, WIDTH)), axis=1)
    fields = {"COMPRESSION": short(Compression.PACKBITS), "FILL_ORDER": short(2)}
    write_one_strip(path, _reversed_bits(bytes(encoded)), fields)


def _reversed_bits(data: bytes) -> bytes:
    return bytes(imagecodecs.bitorder_encode(data))
