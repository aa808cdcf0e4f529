"""Where a mosaic of tiles is: for viewers in the group above, in STAC Items, flat again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import odc.geo.xr  # noqa: F401 - brings .odc
import pytest
import rasterio
import rioxarray  # noqa: F401 - brings .rio
import zarr
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.merge import merge
from rasterio.transform import Affine

from clients.python.flatten import flatten
from tests.helpers.archive import opened
from tests.helpers.make import pixels, write_with_rasterio
from virtual_tiff import append, georeference, open_repository, stac_item, stack

#: Those of rio-tiler and of affine 3.
pytestmark = pytest.mark.filterwarnings("ignore")
SIZE = (128, 256)
PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
OPTIONS: dict[str, Any] = {"stitch": True, "overviews": True}


def write(folder: Path, places: Sequence[tuple[int, int]], **options: Any) -> list[str]:
    """Write tiles with an overview, at these rows and columns of tiles."""
    folder.mkdir(exist_ok=True)
    paths = []
    for row, column in places:
        path = folder / f"t{row}{column}.tif"
        shape = options.get("shape", SIZE)
        left, top = 500_000 + 10 * SIZE[1] * column, 5_400_000 - 10 * SIZE[0] * row
        given: dict[str, Any] = {"TILED": "YES", "BLOCKXSIZE": 64, "BLOCKYSIZE": 64}
        given |= {"COMPRESS": "DEFLATE", "nodata": 0, "transform": Affine(10, 0, left, 0, -10, top)}
        write_with_rasterio(path, pixels("uint16", shape, row + 2 * column) | 1, **given)
        with rasterio.Env(GDAL_TIFF_OVR_BLOCKSIZE=64), rasterio.open(path, "r+") as file:
            file.build_overviews([2], Resampling.nearest)
        paths.append(str(path))
    return paths


def layout(store: Any) -> list[tuple[list[int], list[float]]]:
    """Shape and transform of each level, as the group above says."""
    attributes: Any = zarr.open_group(store, mode="r").attrs["multiscales"]
    return [(each["spatial:shape"], each["spatial:transform"]) for each in attributes["layout"]]


@pytest.mark.parametrize("grid", ["regular", "tiles"])
def test_the_group_above_describes_the_whole(grid: Any, tmp_path: Path) -> None:
    paths = write(tmp_path / "a", PLACES[:3])
    repo = str(tmp_path / "repo")
    bounds = (500_000, 5_397_440, 507_680, 5_400_000)
    given: dict[str, Any] = {"bounds": bounds} if grid == "regular" else {}
    stack(paths, repo, grid=grid, **OPTIONS, **given)
    columns = 3 if grid == "regular" else 2
    store = open_repository(repo).readonly_session("main").store
    assert layout(store) == [
        ([256, 256 * columns], [10, 0, 500_000, 0, -10, 5_400_000]),
        ([128, 128 * columns], [20, 0, 500_000, 0, -20, 5_400_000]),
    ]
    # Tiles that come later make the grid of tiles larger.
    append(write(tmp_path / "b", [(0, 2), (1, 1)]), repo, **OPTIONS)
    store = open_repository(repo).readonly_session("main").store
    assert layout(store) == [
        ([256, 768], [10, 0, 500_000, 0, -10, 5_400_000]),
        ([128, 384], [20, 0, 500_000, 0, -20, 5_400_000]),
    ]
    session = open_repository(repo).writable_session("main")
    georeference(session.store)
    assert layout(session.store) == layout(store)


def test_group_reader_reads_a_regular_mosaic(tmp_path: Path) -> None:
    from rio_tiler.experimental.zarr import GroupReader  # warns that it is experimental

    paths = write(tmp_path / "a", PLACES)
    repo = str(tmp_path / "repo")
    stack(paths, repo, grid="regular", **OPTIONS)
    store = open_repository(repo).readonly_session("main").store
    wanted, _ = merge(paths)
    with GroupReader(zarr.open_group(store, mode="r")) as reader:
        assert reader.bounds == (500_000, 5_397_440, 505_120, 5_400_000)
        for row, column in ((3, 5), (170, 350)):
            x, y = 500_005 + 10 * column, 5_399_995 - 10 * row
            point = reader.point(x, y, variables=["data"], coord_crs=reader.crs)
            assert point.array[0] == wanted[0, row, column]


@pytest.mark.parametrize("smaller", [False, True])
@pytest.mark.parametrize("grid", ["regular", "tiles"])
def test_items_and_flat_arrays(grid: Any, smaller: bool, tmp_path: Path) -> None:
    paths = write(tmp_path / "a", PLACES[:2])
    paths += write(tmp_path / "a", PLACES[2:3], shape=(64, 256) if smaller else SIZE)
    repo = str(tmp_path / "repo")
    stack(paths, repo, grid=grid, stitch=True)
    with rasterio.open(paths[0]) as file:
        crs = file.crs
    wanted, transform = merge(paths)
    item = stac_item(repo)
    assert item["properties"]["proj:shape"] == list(wanted.shape[1:])
    assert item["properties"]["proj:transform"] == list(transform)[:6]
    assert item["properties"]["proj:code"] == "EPSG:32633"
    box = Transformer.from_crs(32633, 4326, always_xy=True).transform_bounds(
        500_000, 5_400_000 - 10 * wanted.shape[1], 505_120, 5_400_000
    )
    assert np.allclose(item["bbox"], box, atol=1e-6)
    data = opened(open_repository(repo))["data"]
    flat = flatten(data) if grid == "tiles" else data
    assert np.array_equal(flat.values, wanted[0])
    assert flat.rio.transform() == transform
    assert flat.rio.crs == crs
    assert flat.odc.geobox.transform == transform
    assert flat.odc.geobox.shape == wanted.shape[1:]
    # One tile is an ordinary dataset.
    if grid == "tiles":
        tile = data.isel(tile_y=0, tile_x=1)
        assert tile.rio.bounds() == rasterio.open(paths[1]).bounds
        assert tile.odc.geobox.transform == rasterio.open(paths[1]).transform
