"""The way of README: publish with defaults; open, plot, clip and export without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from virtual_tiff import publish

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("elevation", "aerial", "land_cover", "wind", "reflectance_20240412_red")

READER = """
import json, sys
from importlib.abc import MetaPathFinder


class Block(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("virtual_tiff", "virtualizarr", "tifffile"):
            raise ImportError(name)


sys.meta_path.insert(0, Block())

import icechunk
import matplotlib
import numpy as np
import rioxarray
import xarray as xr

matplotlib.use("Agg")
import matplotlib.pyplot as plt

icechunk.set_logs_filter("error")
repo, examples, *names = sys.argv[1:]
access = icechunk.containers_credentials(
    {f"file://{examples}/": icechunk.Credentials.LocalFileSystemAccess()}
)
repository = icechunk.Repository.open(
    icechunk.local_filesystem_storage(repo), authorize_virtual_chunk_access=access
)
store = repository.readonly_session("main").store
found = {}
for name in names:
    dataset = xr.open_zarr(
        store, group=f"{name}/0", zarr_format=3, consolidated=False, chunks=None,
        mask_and_scale=False,
    )
    image = dataset["image"]
    (image if image.ndim == 2 else image.isel(band=0)).plot()
    plt.savefig(f"{name}.png")
    plt.close()
    left, bottom, right, top = image.rio.bounds()
    part = image.rio.clip_box(left + (right - left) / 2, bottom, right, top)
    image.rio.to_raster(f"{name}.tif")
    part.rio.to_raster(f"{name}_part.tif")
    del dataset.attrs["zarr_conventions"]
    dataset.to_netcdf(f"{name}.nc")
    with xr.open_dataset(f"{name}.nc", decode_coords="all", mask_and_scale=False) as copy:
        found[name] = {
            "netcdf": bool(copy["image"].equals(image)),
            "attributes": [
                key for key, value in image.attrs.items()
                if key != "grid_mapping" and not np.array_equal(copy["image"].attrs.get(key), value)
            ],
            "crs": copy.rio.crs == dataset.rio.crs,
            "bounds": copy.rio.bounds() == dataset.rio.bounds(),
        }
print(json.dumps(found))
"""


def test_what_readers_do_with_the_defaults(tmp_path: Path) -> None:
    result = publish([EXAMPLES / f"{name}.tif" for name in NAMES], tmp_path / "repo")
    assert sorted(result.groups.values()) == sorted(NAMES)
    done = subprocess.run(
        [sys.executable, "-I", "-c", READER, str(tmp_path / "repo"), str(EXAMPLES), *NAMES],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    same = {"netcdf": True, "attributes": [], "crs": True, "bounds": True}
    assert found == dict.fromkeys(NAMES, same)
    for name in NAMES:
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
        with (
            rasterio.open(EXAMPLES / f"{name}.tif") as source,
            rasterio.open(tmp_path / f"{name}.tif") as copy,
            rasterio.open(tmp_path / f"{name}_part.tif") as part,
        ):
            pixels = source.read()
            assert np.array_equal(copy.read(), pixels)
            assert copy.transform == source.transform
            assert copy.crs == source.crs
            assert copy.nodata == source.nodata
            assert copy.scales == source.scales
            assert copy.offsets == source.offsets
            check_tags(copy.tags())
            column = round((part.bounds.left - source.bounds.left) / source.res[0])
            assert 0 < column < source.width
            assert np.array_equal(part.read(), pixels[..., column:])


def check_tags(tags: dict[str, str]) -> None:
    """Nothing is as Python prints it: what looks like a list or a mapping is JSON."""
    assert tags
    for value in tags.values():
        if value[:1] in ("[", "{", "("):
            json.loads(value)
