"""Compare the pixels of damaged files that are still TIFFs with what tifffile and GDAL read.

Damage can turn one sound TIFF into another: a changed RowsPerStrip, byte order, or sample format.
Where both oracles still agree on what such a file holds, so must we.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from obspec_utils.registry import ObjectStoreRegistry
from rasterio.io import MemoryFile

from scripts.compare_georeferencing import hushed
from tests.fuzz.check import Finding
from tests.helpers.make import bands_first
from virtual_tiff.manifest import manifest_store
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.tags import Tag

#: Pixels that are worth decoding three times.
MOST_PIXELS = 100_000
#: Compressions whose decoders may differ.
_LOSSY = frozenset({6, 7, 33_003, 33_004, 33_005, 34_712, 34_887, 50_001, 50_002, 52_546})


def compare(data: bytes, plan: GroupPlan, registry: ObjectStoreRegistry[Any]) -> str | None:
    """Compare the first image of a flat plan.

    Returns
    -------
    str or None
        `parsed, pixels equal`, or `None` where there is nothing to compare with.

    Raises
    ------
    Finding
        Both oracles read the same pixels, and ours are others.
    """
    array = plan.arrays.get("0")
    if array is None or math.prod(array.shape) > MOST_PIXELS:
        return None
    expected = _expected(data)
    if expected is None:
        return None
    try:
        group = zarr.open_group(manifest_store(plan, registry), mode="r", zarr_format=3)
        member = group["0"]
        assert isinstance(member, zarr.Array)
        found = np.asarray(member[...])
    except Exception:
        # Damaged pixels: decoders differ in how much of a stream they put up with.
        return None
    if found.shape != expected.shape or not _equal(found, expected):
        raise Finding(
            "wrong pixels",
            f"{found.shape} {found.dtype}, but {expected.shape} {expected.dtype}\n{array.codecs}\n"
            f"{found.reshape(-1)[:8]}\n{expected.reshape(-1)[:8]}",
        )
    return "parsed, pixels equal"


def _expected(data: bytes) -> NDArray[Any] | None:
    """Pixels on which both oracles agree."""
    try:
        with hushed():
            with tifffile.TiffFile(io.BytesIO(data)) as tif:
                page = tif.pages.first
                if page.compression in _LOSSY or page.size > MOST_PIXELS:
                    return None
                if not page.is_tiled and Tag.TILE_OFFSETS in page.tags:
                    # libtiff takes one for the other.
                    return None
                if any(
                    not at and n
                    for at, n in zip(page.dataoffsets, page.databytecounts, strict=False)
                ):
                    # A segment that is missing to us; the oracles may read the header as pixels.
                    return None
                counted = np.count_nonzero(page.databytecounts)
                if not counted or len(page.databytecounts) < len(page.dataoffsets):
                    # Uncompressed segments without counts are missing to the oracles, not to us.
                    return None
                if not all(page.dataoffsets) and Tag.GDAL_NODATA in page.tags and page.nodata == 0:
                    # tifffile takes 0 for a text that it cannot read, and GDAL for some segments.
                    return None
                by_tifffile = bands_first(page)
            with MemoryFile(data) as memory, memory.open() as file:
                if file.width * file.height * file.count > MOST_PIXELS:
                    return None
                by_gdal = file.read()
    except Exception:
        return None
    if by_tifffile.dtype == bool:
        by_tifffile = by_tifffile.astype(np.uint8)
    by_gdal = by_gdal[0] if by_gdal.shape[0] == 1 and by_tifffile.ndim == 2 else by_gdal
    return by_tifffile if _equal(by_tifffile, by_gdal) else None


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    floating = one.dtype.kind in "fc" and other.dtype.kind in "fc"
    with np.errstate(all="ignore"):
        return one.shape == other.shape and np.array_equal(one, other, equal_nan=floating)
