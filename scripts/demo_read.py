"""Read what demo.py published, in a process that cannot import virtual_tiff.

Usage: python -I demo_read.py REPOSITORY PREVIEW.png
"""

from __future__ import annotations

import atexit
import inspect
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

#: The package, and the libraries with which it reads TIFFs.
ABSENT = ("virtual_tiff", "async_tiff", "tifffile", "virtualizarr")


#: The code that `main` shows.
LINES = """
cube = xarray.open_zarr(open_store("…"), zarr_format=3, consolidated=False)
print(cube)
"""


class Blocker:
    """An import hook that comes first and refuses `ABSENT`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in ABSENT:
            raise ImportError(f"{name} is blocked in this process", name=name)
        return None


sys.meta_path.insert(0, Blocker())

# Threads of Icechunk may still release objects when the script ends; if Python exits at that
# moment, the process crashes with a segmentation fault.
atexit.register(time.sleep, 0.1)


def prove_absence() -> None:
    for name in ABSENT:
        try:
            __import__(name)
        except ImportError:
            continue
        raise SystemExit(f"{name} can be imported, so this process proves nothing")
    print(f"   Tried and failed to import {', '.join(ABSENT)}.\n")


def open_store(location: str) -> Any:
    import icechunk

    storage = icechunk.local_filesystem_storage(location)
    # Every reader names the locations that a repository may fetch from.
    config = icechunk.Repository.fetch_config(storage)
    local = icechunk.Credentials.LocalFileSystemAccess()
    access = icechunk.containers_credentials(dict.fromkeys(config.virtual_chunk_containers, local))
    repository = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
    return repository.readonly_session("main").store


def open_dataset(store: Any, group: str | None = None) -> Any:
    import xarray

    return xarray.open_zarr(store, group=group, zarr_format=3, consolidated=False, chunks=None)


def ndvi(series: Any) -> Any:
    """Vegetation index, from -1 to 1; NaN where there is no data."""
    red, nir = (series[band].astype("float64") for band in ("red", "nir"))
    return ((nir - red) / (nir + red).where(nir + red > 0)).rename("ndvi")


def save_preview(index: Any, path: Path) -> None:
    """Save the dates side by side, from brown over yellow to green."""
    import imagecodecs
    import numpy as np

    stops = np.array([-0.1, 0.2, 0.45, 0.8])
    colors = np.array([[70, 110, 160], [190, 150, 100], [235, 225, 140], [20, 105, 45]])
    values = index.transpose("time", "y", "x").values
    rgb = np.stack([np.interp(values, stops, colors[:, i]) for i in range(3)], axis=-1)
    rgb[np.isnan(values)] = 255
    gap = np.full((rgb.shape[1], 8, 3), 255.0)
    parts = [part for image in rgb for part in (gap, image)]
    picture = np.concatenate([*parts[1:]], axis=1)
    path.write_bytes(imagecodecs.png_encode(np.round(picture).astype(np.uint8)))


def show(text: str, before: str) -> None:
    print("\n".join(f"{before}{line}".rstrip() for line in text.rstrip().splitlines()))


def main() -> None:
    repository, preview = Path(sys.argv[1]), Path(sys.argv[2])
    # zarr-python warns every time that numcodecs' codecs are not in the Zarr specification.
    warnings.filterwarnings("ignore", module="zarr")
    prove_absence()
    show(inspect.getsource(open_store), "   > ")
    show(LINES, "   > ")
    print()
    import icechunk

    icechunk.set_logs_filter("error")
    store = open_store(str(repository))
    series = open_dataset(store)
    show(str(series), "   ")
    index = ndvi(series)
    print("\n   Mean vegetation index (NDVI) of the cube")
    for day, value in zip(index.time.values, index.mean(("y", "x")).values, strict=True):
        print(f"   {str(day)[:10]}  {value:.3f}  {'█' * round(60 * value)}")
    height = open_dataset(store, "images/elevation/0")["image"].sel(
        x=401_500, y=5_299_000, method="nearest"
    )
    print(f"\n   Height at one point of images/elevation: {float(height):.1f} m")
    save_preview(index, preview)
    shown = preview.relative_to(Path.cwd()) if preview.is_relative_to(Path.cwd()) else preview
    print(f"   Preview: {shown}")


if __name__ == "__main__":
    main()
