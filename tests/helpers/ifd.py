"""Image file directories for tests of the pure modules, without a file behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from virtual_tiff.tiff.ifd import ImageFileDirectory


def make_ifd(
    *,
    bits: int | Sequence[int] = 8,
    sample_format: int | Sequence[int] = 1,
    samples: int = 1,
    offsets: Sequence[int] = (8,),
    byte_counts: Sequence[int] | None = None,
    **fields: Any,
) -> ImageFileDirectory:
    """Make a directory of 4 rows of 5 pixels in one strip, with fields replaced."""
    length = fields.setdefault("image_length", 4)
    if "tile_width" not in fields:
        fields.setdefault("rows_per_strip", length)
    counts = [20] * len(offsets) if byte_counts is None else byte_counts
    defaults: dict[str, Any] = {
        "index": (0,),
        "position": 8,
        "byte_order": "little",
        "image_width": 5,
        "compression": 1,
        "planar_configuration": 1,
        "photometric_interpretation": 1,
    }
    return ImageFileDirectory(
        bits_per_sample=_per_sample(bits, samples),
        sample_format=_per_sample(sample_format, samples),
        samples_per_pixel=samples,
        offsets=np.array(offsets, np.uint64),
        byte_counts=np.array(counts, np.uint64),
        **(defaults | fields),
    )


def _per_sample(values: int | Sequence[int], samples: int) -> tuple[int, ...]:
    return (values,) * samples if isinstance(values, int) else tuple(values)
