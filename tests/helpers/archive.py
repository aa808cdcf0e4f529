"""Small archives of TIFFs, and repositories to publish them into."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import rasterio
import xarray as xr
from rasterio.transform import Affine

from tests.helpers.make import Pixels, pixels, write_with_rasterio
from tests.helpers.read import local_registry, numcodecs_names
from virtual_tiff.inventory.scan import scan
from virtual_tiff.inventory.table import Inventory

FIRST = date(2024, 1, 30)
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_400_000)
#: Finds the date in the names that `write_scenes` gives.
PATTERN = r"_(\d{8})"


def write_scenes(
    folder: Path, count: int, *, first: int = 0, prefix: str = "scene", **options: Any
) -> list[Path]:
    """Write small TIFFs on one grid, one for each day, each with pixels of its own.

    Parameters
    ----------
    folder
        Made if it is not there.
    count, first
        How many, and the number of the first: its date is so many days after `FIRST`.
    prefix
        Of the names, such as `scene_20240130.tif`.
    **options
        Creation options of GDAL.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(first, first + count):
        day = FIRST + timedelta(days=number)
        path = folder / f"{prefix}_{day:%Y%m%d}.tif"
        write_scene(path, seed=number, **options)
        paths.append(path)
    return paths


def write_scene(
    path: Path, *, seed: int = 0, shape: tuple[int, ...] = (48, 64), **options: Any
) -> Pixels:
    """Write one small TIFF: tiles of 16 × 32, Deflate, EPSG:32633, no data 7."""
    data = pixels("uint16", shape, seed)
    defaults: dict[str, Any] = {
        "COMPRESS": "DEFLATE",
        "TILED": "YES",
        "BLOCKXSIZE": 32,
        "BLOCKYSIZE": 16,
        "transform": TRANSFORM,
        "nodata": 7,
    }
    write_with_rasterio(path, data, **(defaults | options))
    return data


def scanned(*sources: object, **options: Any) -> Inventory:
    """Scan local files."""
    options = {"datetime_pattern": PATTERN} | options
    return scan(list(sources), registry=local_registry(), **options)


def memory_repository(folder: Path) -> icechunk.Repository:
    """A repository in memory whose virtual chunks may be anywhere below a folder."""
    prefix = folder.as_uri() + "/"
    config = icechunk.RepositoryConfig.default()
    store = icechunk.local_filesystem_store(str(folder))
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
    access = icechunk.containers_credentials({prefix: icechunk.Credentials.LocalFileSystemAccess()})
    return icechunk.Repository.create(
        icechunk.in_memory_storage(), config=config, authorize_virtual_chunk_access=access
    )


def opened(repository: icechunk.Repository, group: str = "", **options: Any) -> xr.Dataset:
    """Open a cube as users do, but with the stored values."""
    session = repository.readonly_session("main")
    settings: dict[str, Any] = {"chunks": None, "mask_and_scale": False}
    with numcodecs_names():
        dataset: xr.Dataset = xr.open_zarr(
            session.store,
            group=group or None,
            consolidated=False,
            zarr_format=3,
            **(settings | options),
        )
    return dataset


def read_paths(paths: Sequence[Path]) -> Pixels:
    """Pixels of the first images of files on one grid, one after the other, by GDAL."""
    images = []
    for path in paths:
        with rasterio.open(path) as file:
            data: Pixels = file.read()
        images.append(data[0] if len(data) == 1 else data)
    return np.stack(images)
