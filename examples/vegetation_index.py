"""A cube of two bands and three dates, and a map of the vegetation index made from it.

    python examples/vegetation_index.py [FOLDER]

publishes the red and near-infrared TIFFs beside this file to FOLDER/cube, and saves
FOLDER/ndvi.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import icechunk
import imagecodecs
import numpy as np
import pyarrow
import xarray

from virtual_tiff import CubeOptions, open_repository, stack

#: Colours from bare to green, and white for no data.
STOPS = (-0.1, 0.2, 0.45, 0.8)
COLORS = ((70, 110, 160), (190, 150, 100), (235, 225, 140), (20, 105, 45))


def publish_cube(folder: Path) -> None:
    """Say of each file which band and date it has, and publish them all as one cube."""
    paths = sorted(Path(__file__).parent.glob("reflectance_*.tif"))
    parts = [path.stem.split("_") for path in paths]
    table = pyarrow.table(
        {
            "url": [str(path.resolve()) for path in paths],
            "band_name": [band for _, _, band in parts],
            "date": [f"{date[:4]}-{date[4:6]}-{date[6:]}" for _, date, _ in parts],
        }
    )
    options = CubeOptions(variable="band_name")
    stack(table, folder / "cube", options=options, datetime_column="date")


def vegetation_index(folder: Path) -> xarray.DataArray:
    """NDVI of every date, from -1 to 1."""
    store = open_repository(folder / "cube").readonly_session("main").store
    cube = xarray.open_zarr(store, zarr_format=3, consolidated=False)
    return (cube["nir"] - cube["red"]) / (cube["nir"] + cube["red"])


def picture(index: xarray.DataArray) -> bytes:
    """Dates side by side, as PNG."""
    values = index.transpose("time", "y", "x").values
    rgb = np.stack([np.interp(values, STOPS, [c[i] for c in COLORS]) for i in range(3)], axis=-1)
    rgb[np.isnan(values)] = 255
    gap = np.full((values.shape[1], 8, 3), 255.0)
    parts = [part for image in rgb for part in (gap, image)][1:]
    return bytes(imagecodecs.png_encode(np.concatenate(parts, axis=1).round().astype("uint8")))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build") / "gallery"
    icechunk.set_logs_filter("error")
    publish_cube(folder)
    index = vegetation_index(folder)
    for date, value in zip(index.time.values, index.mean(("y", "x")).values, strict=True):
        print(f"{str(date)[:10]}  {value:.3f}")
    (folder / "ndvi.png").write_bytes(picture(index))


if __name__ == "__main__":
    main()
