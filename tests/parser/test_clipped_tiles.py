"""Uncompressed tiles at the very end of a file that lack the rows below the image."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from numpy.typing import NDArray

from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF

ROWS, COLUMNS = 40, 50


def clipped(path: Path, pixels: NDArray[np.generic], planar: str) -> None:
    """Write pages of 16 × 16 tiles, the last of which ends with the image."""
    with tifffile.TiffWriter(path) as writer:
        for page in pixels:
            photometric = "rgb" if page.ndim == 3 else "minisblack"
            planes = planar if page.ndim == 3 else None
            writer.write(
                page,
                tile=(16, 16),
                photometric=photometric,
                planarconfig=planes,
                contiguous=False,
                metadata=None,
            )
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[-1].aspage()
        end, whole = page.dataoffsets[-1] + page.databytecounts[-1], page.databytecounts[-1]
        counts = page.tags["TileByteCounts"]
        formats = {3: "<H", 4: "<I"}
        kind = formats[int(counts.dtype)]
        at = counts.valueoffset + (counts.count - 1) * struct.calcsize(kind)
    kept = whole * (ROWS % 16) // 16
    data = bytearray(path.read_bytes())
    assert len(data) == end
    struct.pack_into(kind, data, at, kept)
    path.write_bytes(data[: end - whole + kept])


@pytest.mark.parametrize("dtype", ["u1", "i2", "f8", "c8"])
@pytest.mark.parametrize("planar", ["contig", "separate", "gray"])
@pytest.mark.parametrize("pages", [1, 3])
def test_its_rows_are_read(tmp_path: Path, dtype: str, planar: str, pages: int) -> None:
    samples = {"contig": (ROWS, COLUMNS, 3), "separate": (3, ROWS, COLUMNS)}
    shape = (pages, *samples.get(planar, (ROWS, COLUMNS)))
    pixels = np.random.default_rng(5).integers(0, 255, shape).astype(dtype)
    path = tmp_path / "a.tif"
    clipped(path, pixels, planar)
    group = zarr.open_group(VirtualTIFF()(f"file://{path}", local_registry()), mode="r")
    for i, page in enumerate(pixels):
        want = np.moveaxis(page, -1, 0) if planar == "contig" else page
        assert np.array_equal(np.asarray(group[str(i)]), want)
        with rasterio.open(f"GTIFF_DIR:{i + 1}:{path}") as dataset:
            assert np.array_equal(dataset.read().squeeze(), want)
