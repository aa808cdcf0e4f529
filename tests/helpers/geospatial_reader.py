"""Run by test_geospatial.py in a process of its own: what a GIS user does with published TIFFs.

Imports nothing of this repository, and makes sure of it. Usage: `_geospatial_reader.py JOB`, where
JOB is a JSON file; what came of it goes to standard output as JSON, pixels to files beside it.
"""

import importlib.abc
import json
import sys
import warnings
from pathlib import Path
from typing import Any


class Block(importlib.abc.MetaPathFinder):
    """Refuses to import what a reader of the published data need not have installed."""

    blocked = frozenset(
        {"async_tiff", "obspec_utils", "obstore", "tifffile", "virtual_tiff", "virtualizarr"}
    )

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raise for a blocked module, and leave all others to the next finder."""
        if name.split(".")[0] in self.blocked:
            raise ImportError(f"blocked: {name}")


def open_store(job: dict[str, Any]) -> Any:
    """Store of the newest snapshot."""
    import icechunk

    access: dict[str, Any] = dict.fromkeys(
        job["containers"], icechunk.credentials.LocalFileSystemAccess
    )
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(job["repository"]), authorize_virtual_chunk_access=access
    )
    return repository.readonly_session("main").store


def look_at_image(store: Any, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Everything the issue of georeferencing promises for one image."""
    import numpy as np
    import rasterix
    import rioxarray  # noqa: F401
    import xarray as xr

    answer: dict[str, Any] = {}
    with xr.open_zarr(store, group=f"{job['image']}/0", zarr_format=3, consolidated=False) as ds:
        answer["crs"] = ds.rio.crs.to_wkt()
        answer["transform"] = list(ds.rio.transform())[:6]
        clipped = ds.rio.clip_box(*job["box"])
        answer["clipped_transform"] = list(clipped.rio.transform())[:6]
        np.save(folder / "clipped.npy", clipped["image"].values)
        indexed = rasterix.assign_index(ds)
        answer["index"] = type(indexed.xindexes["x"]).__name__
        answer["index_transform"] = list(indexed.xindexes["x"].transform())[:6]
        points = {axis: xr.DataArray(job["points"][axis], dims="point") for axis in ("x", "y")}
        np.save(folder / "nearest.npy", ds["image"].sel(points, method="nearest").values)
        ds.rio.to_raster(folder / "round_trip.tif")
    with xr.open_zarr(store, group=f"{job['colors']}/0", zarr_format=3, consolidated=False) as ds:
        answer["bands"] = [str(name) for name in ds["band"].values]
        red = ds["image"].sel(band=answer["bands"][0])
        np.save(folder / "red.npy", red.values)
        ds["image"].rio.to_raster(folder / "colors_copy.tif")
    return answer


def look_at_pyramid(store: Any, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Levels of a pyramid, opened as a tree."""
    import numpy as np
    import rioxarray  # noqa: F401
    import xarray as xr

    options: dict[str, Any] = {"zarr_format": 3, "consolidated": False}
    answer: dict[str, Any] = {}
    with xr.open_datatree(store, group=job["pyramid"], engine="zarr", **options) as tree:
        answer["layout"] = tree.attrs["multiscales"]["layout"]
        for entry in answer["layout"]:
            name = entry["asset"]
            ds = tree[name].to_dataset()
            np.save(folder / f"level{name}.npy", ds["image"].values)
            mask = ds["image"].attrs["ancillary_variables"]
            np.save(folder / f"level{name}-mask.npy", ds[mask].values)
            answer[name] = {
                "variables": sorted(map(str, ds.variables)),
                "crs": ds.rio.crs.to_wkt(),
                "transform": list(ds.rio.transform())[:6],
            }
    return answer


def main() -> None:
    """Do the job, and print what came of it."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text())
    sys.meta_path.insert(0, Block())
    warnings.simplefilter("ignore")
    store = open_store(job)
    answer = {
        "image": look_at_image(store, job, path.parent),
        "pyramid": look_at_pyramid(store, job, path.parent),
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
