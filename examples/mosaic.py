"""Tiles of one grid as one array, and a map of them with their chunks and the gap.

    python examples/mosaic.py [FOLDER]

publishes examples/tiles to FOLDER/mosaic, and saves FOLDER/mosaic.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import icechunk
import imagecodecs
import numpy as np
import xarray
from numpy.typing import NDArray

from virtual_tiff import open_repository, stack

TILES = Path(__file__).with_name("tiles")
#: Colours of elevations, from 400 to 1,500 m.
COLORS = np.array([[52, 110, 72], [196, 190, 120], [150, 108, 74], [245, 245, 245]], float)


def publish(folder: Path) -> xarray.Dataset:
    """Publish the tiles as one cube, and open it."""
    stack(TILES, folder / "mosaic", stitch=True, name="elevation")
    store = open_repository(folder / "mosaic").readonly_session("main").store
    return xarray.open_zarr(store, zarr_format=3, consolidated=False, chunks=None)


def tile_picture(tile: xarray.DataArray) -> NDArray[np.uint8]:
    """Draw one tile, transparent where it is missing, with the edges of its chunks."""
    values = tile.values
    place = np.clip((values - 400) / 1100, 0, 1) * (len(COLORS) - 1)
    steps = np.arange(len(COLORS))
    bands = [np.interp(np.nan_to_num(place), steps, band) for band in COLORS.T]
    bands.append(np.where(np.isnan(values), 0, 255))
    pixels = np.stack(bands, axis=-1).astype(np.uint8)
    for axis in (0, 1):
        size = tile.encoding["preferred_chunks"]["yx"[axis]]
        lines = pixels[(slice(None),) * axis + (slice(size, None, size),)]
        lines[lines[..., 3] > 0] = (255, 190, 0, 255)
        pixels[(slice(None),) * axis + (0,)] = (90, 90, 90, 255)
    return pixels


def picture(dataset: xarray.Dataset) -> bytes:
    """Draw all tiles where they are, as PNG."""
    elevation = dataset["elevation"]
    rows = [
        np.concatenate([tile_picture(tile) for tile in row.transpose("tile_x", ...)], axis=1)
        for row in elevation.transpose("tile_y", ...)
    ]
    return bytes(imagecodecs.png_encode(np.concatenate(rows)))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build") / "gallery"
    icechunk.set_logs_filter("error")
    dataset = publish(folder)
    print(dict(dataset["elevation"].sizes))
    (folder / "mosaic.png").write_bytes(picture(dataset))


if __name__ == "__main__":
    main()
