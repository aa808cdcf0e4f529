"""Values at points, read from the published bands with one request for each chunk.

    python examples/wind_at_points.py [FOLDER]

publishes wind.tif to FOLDER/wind and prints speed and direction at three masts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import icechunk
import numpy as np
import xarray

import virtual_tiff
from virtual_tiff import open_repository

#: Coordinates of the masts in EPSG:32633, metres.
MASTS = {
    "meadow": (400_600.0, 5_299_400.0),
    "ridge": (402_100.0, 5_299_600.0),
    "lake": (401_900.0, 5_298_300.0),
}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build") / "gallery"
    icechunk.set_logs_filter("error")
    virtual_tiff.publish(Path(__file__).with_name("wind.tif"), folder / "wind")
    store = open_repository(folder / "wind").readonly_session("main").store
    options = {"zarr_format": 3, "consolidated": False, "chunks": None}
    wind = xarray.open_zarr(store, group="wind/0", **options)["image"]

    points = xarray.Dataset(
        {
            "x": ("mast", [x for x, _ in MASTS.values()]),
            "y": ("mast", [y for _, y in MASTS.values()]),
        },
        coords={"mast": list(MASTS)},
    )
    found = wind.sel(x=points.x, y=points.y, method="nearest").transpose("mast", "band")
    for mast, (east, north) in zip(found.mast.values, found.values, strict=True):
        # The direction that the wind comes from, as in weather reports.
        direction = np.degrees(np.arctan2(-east, -north)) % 360
        print(f"{mast:<8}{np.hypot(east, north):5.1f} m/s from {direction:3.0f}°")


if __name__ == "__main__":
    main()
