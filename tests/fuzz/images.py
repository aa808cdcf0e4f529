"""Images with all their pixels, in forms that few writers use together.

Every stream decodes: what differs is what decides their values. Bits, sample formats, predictors,
bytes order, planes, extra samples, polarity, palettes, nodata, sizes of strips and tiles, segments
that are missing, short, in any order, or one for several.
"""

from __future__ import annotations

import lzma
import random
import zlib

import imagecodecs
import numpy as np

from tests.helpers.assemble import (
    BIG_DATA_AT,
    DATA_AT,
    Field,
    assemble,
    double,
    long,
    short,
    text,
)
from virtual_tiff.tags import FieldType, SampleFormat, Tag

_BITS = (1, 2, 4, 6, 7, 8, 8, 8, 10, 12, 14, 16, 16, 16, 24, 32, 32, 64)
_COMPRESSIONS = (1, 1, 1, 8, 8, 32_946, 5, 5, 32_773, 50_000, 34_925)
_NODATA = ("0", "7", "-9999", "255", "nan", "-inf", "1e5", "65535", "0.1", "-3.4e+38", " 3", "")


def image(rng: random.Random) -> bytes:
    """Return a TIFF of one image."""
    order, big = rng.choice("<<>"), rng.random() < 0.2
    width, height = rng.randrange(1, 41), rng.randrange(1, 41)
    samples, bits = rng.choice((1, 1, 1, 2, 3, 4, 5)), rng.choice(_BITS)
    planes = samples if rng.random() < 0.4 else 1
    tile = _tile(rng)
    rows = rng.choice((1, 2, 3, 7, 8, 16, height, height))
    rows, columns = tile or (min(rows, height), width)
    down, across = -(-height // rows), -(-width // columns)
    compression = rng.choice(_COMPRESSIONS)
    row = (columns * samples // planes * bits + 7) // 8
    segments: list[bytes] = []
    for _ in range(planes):
        for strip in range(down):
            whole = tile is not None or rng.random() < 0.3
            length = rows if whole else min(rows, height - strip * rows)
            segments += [
                _encoded(rng, rng.randbytes(length * row), compression) for _ in "x" * across
            ]
    start = BIG_DATA_AT if big else DATA_AT
    data, offsets = _placed(rng, segments, start)
    counts = [len(segment) for segment in segments]
    _hide(rng, offsets, counts)
    fields = _pixel_tags(rng, samples, bits, planes)
    fields |= {Tag.IMAGE_WIDTH: short(width), Tag.IMAGE_LENGTH: short(height)}
    fields |= {Tag.COMPRESSION: short(compression)}
    names = (Tag.STRIP_OFFSETS, Tag.STRIP_BYTE_COUNTS)
    if tile is not None:
        fields |= {Tag.TILE_WIDTH: short(columns), Tag.TILE_LENGTH: short(rows)}
        names = (Tag.TILE_OFFSETS, Tag.TILE_BYTE_COUNTS)
    elif rows < height or rng.random() < 0.5:
        fields[Tag.ROWS_PER_STRIP] = long(rows)
    elif rng.random() < 0.5:
        fields[Tag.ROWS_PER_STRIP] = long(rng.choice((0, height + 1, 2**31, 2**32 - 1)))
    kind = FieldType.LONG8 if big and rng.random() < 0.5 else FieldType.LONG
    fields |= {
        name: Field(kind, tuple(v)) for name, v in zip(names, (offsets, counts), strict=True)
    }
    return assemble([fields], data=data, order=order, big=big)


def _tile(rng: random.Random) -> tuple[int, int] | None:
    """Return rows and columns of a tile, some of which are no multiples of 16."""
    if rng.random() < 0.6:
        return None
    sizes = (16, 16, 16, 32, 48, 8, 20, 17)
    return rng.choice(sizes), rng.choice(sizes)


def _encoded(rng: random.Random, data: bytes, compression: int) -> bytes:
    if compression in (8, 32_946):
        return zlib.compress(data, rng.choice((0, 1, 9)))
    if compression == 5:
        return bytes(imagecodecs.lzw_encode(data))
    if compression == 32_773:
        return bytes(imagecodecs.packbits_encode(np.frombuffer(data, np.uint8)))
    if compression == 50_000:
        return bytes(imagecodecs.zstd_encode(data))
    return lzma.compress(data, preset=1) if compression == 34_925 else data


def _placed(rng: random.Random, segments: list[bytes], start: int) -> tuple[bytes, list[int]]:
    """Place segments one after the other, in any order, apart, with leaders, or onto each other."""
    order = list(range(len(segments)))
    if rng.random() < 0.25:
        rng.shuffle(order)
    gap = rng.choice((0, 0, 0, 1, 4))
    data, offsets = b"", [0] * len(segments)
    for i in order:
        # GDAL's leader is the size of the segment that follows, sometimes a wrong one.
        size = len(segments[i]) if rng.random() < 0.8 else rng.choice((0, 1, 2**32 - 1))
        data += size.to_bytes(4, "little") if gap == 4 else bytes(gap)
        offsets[i] = start + len(data)
        data += segments[i]
    if rng.random() < 0.05:
        offsets = [rng.choice(offsets)] * len(offsets)
    # Without it, the directory follows the last segment.
    return data + bytes(rng.choice((0, 0, 7, 4000))), offsets


def _hide(rng: random.Random, offsets: list[int], counts: list[int]) -> None:
    """Let some segments be missing, uncounted, or counted wrongly."""
    for i in range(len(offsets)):
        if rng.random() < 0.03:
            counts[i] = 0
            offsets[i] = rng.choice((0, 0, offsets[i]))
        elif rng.random() < 0.02:
            counts[i] += rng.choice((-1, 1, 100))
    if len(counts) > 1 and rng.random() < 0.03:
        del counts[rng.randrange(1, len(counts)) :]


def _pixel_tags(rng: random.Random, samples: int, bits: int, planes: int) -> dict[int, Field]:
    """Return the tags that say what the bits of a pixel mean."""
    form = rng.choice(tuple(SampleFormat)) if rng.random() < 0.3 else rng.choice((1, 1, 2, 3))
    if form == SampleFormat.FLOAT and bits not in (16, 24, 32, 64):
        form = SampleFormat.UINT
    fields = {
        Tag.BITS_PER_SAMPLE: short(*[bits] * (samples if rng.random() < 0.9 else 1)),
        Tag.SAMPLES_PER_PIXEL: short(samples),
        Tag.PHOTOMETRIC_INTERPRETATION: short(rng.choice((0, 1, 1, 1, 2 if samples > 2 else 1))),
    }
    if planes > 1 or rng.random() < 0.3:
        fields[Tag.PLANAR_CONFIGURATION] = short(2 if planes > 1 else 1)
    if form != SampleFormat.UINT or rng.random() < 0.3:
        fields[Tag.SAMPLE_FORMAT] = short(*[int(form)] * (samples if rng.random() < 0.9 else 1))
    if samples > 1 and rng.random() < 0.6:
        fields[Tag.EXTRA_SAMPLES] = short(*rng.choices((0, 1, 2), k=rng.randrange(1, samples + 1)))
    if samples == 1 and bits <= 16 and rng.random() < 0.1:
        fields[Tag.PHOTOMETRIC_INTERPRETATION] = short(3)
        fields[Tag.COLOR_MAP] = short(*rng.choices(range(65_536), k=3 * 2**bits))
    if rng.random() < 0.35:
        fields[Tag.PREDICTOR] = short(3 if form == SampleFormat.FLOAT else 2)
    if rng.random() < 0.15:
        fields[Tag.FILL_ORDER] = short(rng.choice((1, 2)))
    if rng.random() < 0.3:
        fields[Tag.GDAL_NODATA] = text(rng.choice(_NODATA))
    if rng.random() < 0.2:
        fields[Tag.MODEL_PIXEL_SCALE] = double(10, 10, 0)
        fields[Tag.MODEL_TIEPOINT] = double(0, 0, 0, 5e5, 46e5, 0)
    return {int(tag): field for tag, field in fields.items()}
