"""`clients/python/flatten.py`: a lazy array of many tiles, used as users of xarray do."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import icechunk
import matplotlib as mpl
import numpy as np
import pytest
import rasterio
import rasterix
import rioxarray  # noqa: F401
import xarray as xr
from rasterio.merge import merge
from rasterio.transform import Affine

from clients.python.flatten import flatten
from tests.helpers.archive import opened
from tests.helpers.make import pixels, write_with_rasterio
from virtual_tiff import open_repository, stack
from virtual_tiff.errors import ErrorKind, MismatchError

mpl.use("agg")
#: rioxarray and rasterix with affine 3.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
SIZE = (48, 64)
#: Tiles that overlap by a few pixels, in chunks that do not divide them.
OPTIONS: dict[str, Any] = {"TILED": "YES", "BLOCKXSIZE": 32, "BLOCKYSIZE": 32}
ROWS, COLUMNS = (0, 45), (0, 60, 124)


def write_tile(path: Path, row: int, column: int, *, seed: int = 0, **options: Any) -> None:
    given: dict[str, Any] = {"COMPRESS": "DEFLATE", "nodata": 7, **OPTIONS} | options
    shape = given.pop("shape", (2, *SIZE))
    dtype = given.pop("dtype", "int16")
    data = pixels(dtype, shape, seed)
    path.parent.mkdir(exist_ok=True)
    transform = Affine(10, 0, 500_000 + 10 * column, 0, -10, 5_400_000 - 10 * row)
    write_with_rasterio(path, data, transform=transform, **given)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """Files of two dates; of the second one, a tile is missing."""
    folder = tmp_path_factory.mktemp("tiles") / "a"
    found: list[list[Path]] = [[], []]
    for date, i, j in np.ndindex(2, 2, 3):
        if (date, i, j) != (1, 1, 1):
            path = folder / f"t{i}{j}_2024010{date + 1}.tif"
            write_tile(path, ROWS[i], COLUMNS[j], seed=100 * date + 10 * i + j)
            with rasterio.open(path, "r+") as file:
                file.scales, file.offsets = (0.5, 0.5), (3, 3)
            found[date].append(path)
    return found


@pytest.fixture(scope="module")
def repository(paths: list[list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    repo = str(tmp_path_factory.mktemp("repository") / "repo")
    folder = str(paths[0][0].parent)
    stack(folder, repo, stitch=True, along="datetime", datetime_pattern=r"_(\d{8})")
    return open_repository(repo)


@pytest.fixture(scope="module")
def expected(paths: list[list[Path]]) -> Any:
    bounds = (500_000, 5_400_000 - 930, 501_880, 5_400_000)
    return np.stack([merge(each, bounds=bounds, method="last")[0] for each in paths])


@pytest.mark.parametrize("decode", [None, "all"])
@pytest.mark.parametrize("mask", [True, False])
def test_values_and_what_describes_them(
    mask: bool, decode: Any, repository: icechunk.Repository, expected: Any
) -> None:
    options = {"decode_coords": decode} if decode else {}
    tiles = opened(repository, mask_and_scale=mask, **options)["data"]
    flat = flatten(tiles)
    assert flat.dims == ("time", "band", "y", "x")
    assert flat["time"].size == 2
    assert flat["band"].values.tolist() == [1, 2]
    assert flat.rio.crs.to_epsg() == 32633
    assert flat.rio.transform() == Affine(10, 0, 500_000, 0, -10, 5_400_000)
    wanted = np.where(expected == 7, np.nan, expected * 0.5 + 3) if mask else expected
    assert np.array_equal(flat.values, wanted, equal_nan=mask)
    # The place without a tile, but for what others overlap.
    assert flat.isel(time=1, y=slice(50, 90), x=slice(70, 120)).isnull().all() == mask
    assert flat.dtype == tiles.dtype


@pytest.fixture
def flat(repository: icechunk.Repository) -> xr.DataArray:
    return flatten(opened(repository, mask_and_scale=True)["data"])


def test_selections(flat: xr.DataArray, expected: Any) -> None:
    wanted = np.where(expected == 7, np.nan, expected * 0.5 + 3)
    box = flat.rio.clip_box(500_505, 5_399_405, 501_395, 5_399_695)
    assert np.array_equal(box.values, wanted[..., 30:60, 50:140], equal_nan=True)
    assert box.rio.bounds() == (500_500, 5_399_400, 501_400, 5_399_700)
    points = {
        "x": xr.DataArray([500_005.0, 501_871], dims="point"),
        "y": xr.DataArray([5_399_995.0, 5_399_077], dims="point"),
    }
    nearest = flat.sel(points, method="nearest")
    assert np.array_equal(nearest.values, wanted[..., [0, 92], [0, 187]], equal_nan=True)
    assert np.array_equal(flat[..., [3, 91, 40], 5], wanted[..., [3, 91, 40], 5], equal_nan=True)
    assert np.array_equal(flat[::-1, 1, 91:2:-7, -1], wanted[::-1, 1, 91:2:-7, -1], equal_nan=True)
    assert flat[..., 5:5, :].shape == (2, 2, 0, 188)
    several = flat.sel(band=[2, 1], time="2024-01-02")
    assert np.array_equal(several.values.squeeze(), wanted[1, ::-1], equal_nan=True)


@pytest.mark.parametrize("window", [np.s_[3:9:-1, 5:8], np.s_[5, 8:8:-2], np.s_[4:4, 9:3]])
def test_empty_selections(window: Any, flat: xr.DataArray, expected: Any) -> None:
    found = flat[(..., *window)]
    assert found.values.shape == expected[(..., *window)].shape


def test_some_of_the_tiles(repository: icechunk.Repository, expected: Any) -> None:
    tiles = opened(repository)["data"]
    left = flatten(tiles.isel(tile_x=slice(0, 2), tile_y=[0], time=0))
    assert left.shape == (2, 48, 124)
    assert np.array_equal(left.values[:, :45], expected[0, :, :45, :124])
    right = flatten(tiles.isel(tile_x=[2], time=0))
    assert np.array_equal(right.values, expected[0, :, :, 124:])
    assert right["x"].values[0] == 501_245


def test_dask_and_pickles(flat: xr.DataArray, expected: Any) -> None:
    wanted = np.where(expected == 7, np.nan, expected * 0.5 + 3)
    again = pickle.loads(pickle.dumps(flat))
    assert np.array_equal(again.values, wanted, equal_nan=True)
    chunked = flat.chunk({"time": -1, "y": 45, "x": 64})
    assert chunked.chunks == ((2,), (2,), (45, 45, 3), (64, 64, 60))
    found = chunked.mean("time").compute(scheduler="threads").values
    assert np.array_equal(found, chunked.load().mean("time").values, equal_nan=True)
    assert np.array_equal(chunked.values, wanted, equal_nan=True)


def test_tiles_of_dask(repository: icechunk.Repository, expected: Any) -> None:
    tiles = opened(repository, chunks={})["data"]
    assert np.array_equal(flatten(tiles).values, expected)


def test_a_picture(flat: xr.DataArray) -> None:
    mesh: Any = xr.plot.pcolormesh(flat.isel(time=0, band=0, x=slice(40, 130)))
    assert mesh.get_array().shape == (93, 90)


@pytest.mark.parametrize("mask", [True, False])
def test_a_netcdf_file(mask: bool, repository: icechunk.Repository, tmp_path: Path) -> None:
    flat = flatten(opened(repository, mask_and_scale=mask, decode_coords="all")["data"])
    flat.attrs = {k: v for k, v in flat.attrs.items() if not isinstance(v, (dict, list))}
    flat.to_netcdf(tmp_path / "flat.nc")
    with xr.open_dataset(tmp_path / "flat.nc", decode_coords="all", mask_and_scale=mask) as again:
        assert np.array_equal(again["data"].values, flat.values, equal_nan=mask)
        assert again.rio.crs.to_epsg() == 32633
    with xr.open_dataset(tmp_path / "flat.nc", mask_and_scale=False) as stored:
        assert stored["data"].dtype == np.int16
        assert stored["data"].attrs["_FillValue"] == 7


def test_rasterix(flat: xr.DataArray) -> None:
    indexed = rasterix.assign_index(flat.to_dataset(name="data"))
    found = indexed["data"].sel(x=slice(500_501, 500_999), y=slice(5_399_699, 5_399_501))
    assert found.shape == (2, 2, 20, 50)
    assert indexed.xindexes["x"].transform() == Affine(10, 0, 500_000, 0, -10, 5_400_000)


def test_a_result_has_no_fill_value_of_its_own(repository: icechunk.Repository) -> None:
    """Computations drop `_FillValue`: NaN tells that floats are missing, nothing for integers."""
    tiles = opened(repository, mask_and_scale=True)["data"]
    doubled = flatten(tiles * 2)
    assert np.isnan(doubled.values[1, :, 50:90, 70:120]).all()
    whole = (opened(repository)["data"] + 1).drop_attrs()
    with pytest.raises(ValueError, match="fill_value"):
        flatten(whole)
    assert (flatten(whole, fill_value=-1).values[1, :, 50:90, 70:120] == -1).all()


@pytest.mark.parametrize("nodata", [None, 7])
def test_holes_between_tiles(nodata: int | None, tmp_path: Path) -> None:
    for column in (0, 100):
        write_tile(tmp_path / "a" / f"{column}.tif", 0, column, nodata=nodata, shape=SIZE)
    repo = str(tmp_path / "repo")
    stack(str(tmp_path / "a"), repo, stitch=True)
    tiles = opened(open_repository(repo))["data"]
    if nodata is None:
        with pytest.raises(ValueError, match="fill_value"):
            flatten(tiles)
    flat = flatten(tiles, fill_value=None if nodata else 9)
    assert (flat[:, 64:100] == (nodata or 9)).all()


@pytest.mark.parametrize("nodata", [None, 7])
def test_smaller_last_tiles(nodata: int | None, tmp_path: Path) -> None:
    """Past their end there is no pixel, neither a zero nor one that hides an earlier tile."""
    for i, j in np.ndindex(2, 3):
        shape = (32 if i else 48, 32 if j == 2 else 64)
        path = tmp_path / "a" / f"{i}{j}.tif"
        write_tile(path, 20 * i, (0, 40, 60)[j], seed=i + 3 * j, shape=shape, nodata=nodata)
    folder, repo = str(tmp_path / "a"), str(tmp_path / "repo")
    if nodata is None:
        with pytest.raises(MismatchError) as caught:
            stack(folder, repo, stitch=True)
        assert caught.value.kind == ErrorKind.MISMATCH
        return
    stack(folder, repo, stitch=True)
    flat = flatten(opened(open_repository(repo))["data"])
    wanted, _ = merge(sorted((tmp_path / "a").iterdir()), method="last")
    assert np.array_equal(flat.values, wanted[0])


def test_many_tiles_take_no_time() -> None:
    tile = np.arange(4.0)
    starts = (4 * np.arange(180), 4 * np.arange(360))
    coordinates: dict[str, Any] = {
        f"tile_{axis}": (f"tile_{axis}", first) for axis, first in zip("yx", starts, strict=True)
    }
    coordinates |= {
        axis: ((f"tile_{axis}", axis), first[:, None] + tile)
        for axis, first in zip("yx", starts, strict=True)
    }
    data = np.zeros((180, 360, 4, 4), np.uint8)
    tiles = xr.DataArray(data, coordinates, ("tile_y", "tile_x", "y", "x"))
    flatten(tiles)
    began = time.process_time()
    flat = flatten(tiles)
    assert time.process_time() - began < 0.05
    assert flat.shape == (720, 1440)
