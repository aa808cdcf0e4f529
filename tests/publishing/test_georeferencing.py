"""What datasets and the groups above them say of their place, also after a slice or a join."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import rasterio
import rasterix
import rioxarray
import xarray as xr
import zarr
import zarr_cm
from affine import Affine
from virtualizarr import open_virtual_dataset, open_virtual_mfdataset

from tests.helpers.make import pixels, write_with_rasterio
from tests.helpers.read import local_registry
from virtual_tiff import (
    VirtualTIFF,
    agreeing,
    append,
    containers_for,
    georeference,
    open_repository,
    publish,
    stac_item,
    stack,
)
from virtual_tiff.errors import ErrorKind, MismatchError, RepositoryError, VirtualTIFFError

# rioxarray still writes `*` for products of matrices.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_400_000)
ROTATED = Affine(8, 6, 500_000, 6, -8, 5_400_000)
SIZE = 64
OPTIONS: dict[str, Any] = {"zarr_format": 3, "consolidated": False}


@pytest.fixture(autouse=True, scope="module")
def _quiet_icechunk() -> None:
    icechunk.set_logs_filter("error")


def write(
    path: Path,
    transform: Affine = TRANSFORM,
    shape: Any = None,
    scale: float | None = None,
    **options: Any,
) -> str:
    """A TIFF of 2 × 2 tiles, as a URL."""
    tiles: dict[str, Any] = {
        "TILED": "YES",
        "BLOCKXSIZE": 32,
        "BLOCKYSIZE": 32,
        "COMPRESS": "DEFLATE",
    }
    data = pixels("uint16", shape or (SIZE, SIZE))
    write_with_rasterio(path, data, transform=transform, **tiles, **options)
    if scale is not None:
        with rasterio.open(path, "r+") as dataset:
            dataset.scales = (scale,)
    return path.as_uri()


def opened(url: str, **options: Any) -> xr.Dataset:
    parser = VirtualTIFF(ifd=0, **options)
    dataset: xr.Dataset = open_virtual_dataset(url, registry=local_registry(), parser=parser)
    return dataset


def joined(urls: list[str], **options: Any) -> xr.Dataset:
    dataset: xr.Dataset = open_virtual_mfdataset(
        urls, registry=local_registry(), parser=VirtualTIFF(ifd=0), **options
    )
    return dataset


def write_virtual(dataset: xr.Dataset, repo: Path, urls: list[str], group: str = "") -> Any:
    """Write into a new repository; return a session that can be written."""
    repository = open_repository(repo, create=True, containers=containers_for(urls))
    session = repository.writable_session("main")
    dataset.vz.to_icechunk(session.store, group=group or None)
    return session


def layout(group: zarr.Group) -> list[dict[str, Any]]:
    multiscales: Any = group.attrs["multiscales"]
    found: list[dict[str, Any]] = multiscales["layout"]
    return found


# --- datasets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("overviews", [False, True])
def test_all_grids_of_a_flat_layout_share_one_grid_mapping(overviews: bool, tmp_path: Path) -> None:
    write(tmp_path / "a.tif")
    if overviews:
        with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
            dataset.build_overviews([2, 4])
    plan = VirtualTIFF().plan((tmp_path / "a.tif").as_uri(), local_registry())
    assert [name for name in plan.arrays if "spatial_ref" in name] == ["spatial_ref"]
    assert "GeoTransform" not in plan.arrays["spatial_ref"].attributes
    assert not any(key.startswith("spatial:") for key in plan.attributes)
    for array in plan.arrays.values():
        assert not any(key.startswith(("proj:", "spatial:")) for key in array.attributes)


def test_no_order_of_variables_is_another_grid_to_rasterix(tmp_path: Path) -> None:
    """Icechunk lists variables in another order in every process."""
    url = write(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.build_overviews([2, 4])
    flat = xr.open_zarr(VirtualTIFF()(url, local_registry()), chunks=None, **OPTIONS)
    found = set()
    for names in permutations(flat.data_vars):
        index: Any = rasterix.assign_index(flat[list(names)]).xindexes["x"]
        found.add(index.transform().a)
    assert len(flat.data_vars) == 3
    assert found == {10.0}


@pytest.mark.parametrize(
    ("transform", "shape"),
    [(ROTATED, (SIZE, SIZE)), (TRANSFORM, (1, SIZE)), (TRANSFORM, (SIZE, 1))],
)
def test_transform_where_coordinates_do_not_tell_it(
    transform: Affine, shape: tuple[int, int], tmp_path: Path
) -> None:
    url = write(tmp_path / "a.tif", transform, shape)
    store = VirtualTIFF(ifd=0)(url, local_registry())
    with xr.open_zarr(store, **OPTIONS) as dataset:
        assert dataset.rio.transform() == transform
        assert "GeoTransform" in dataset.spatial_ref.attrs


def test_a_slice_is_where_its_pixels_are(tmp_path: Path) -> None:
    url = write(tmp_path / "a.tif")
    part = opened(url).isel(x=slice(32, 64), y=slice(32, 64))
    session = write_virtual(part, tmp_path / "repo", [url])
    dataset = xr.open_zarr(session.store, **OPTIONS)
    assert tuple(dataset.rio.bounds()) == (500_320, 5_399_360, 500_640, 5_399_680)
    assert dataset.rio.crs.to_epsg() == 32633


# --- the group above -----------------------------------------------------------------------------


def test_levels_that_were_sliced(tmp_path: Path) -> None:
    url = write(tmp_path / "a.tif")
    session = write_virtual(opened(url).isel(x=slice(32, 64)), tmp_path / "repo", [url], "a/0")
    zarr.open_group(session.store, path="a", mode="r+").attrs["title"] = "east"
    georeference(session.store, "a")
    group = zarr.open_group(session.store, path="a", mode="r")
    (level,) = layout(group)
    assert level["asset"] == "0"
    assert level["spatial:shape"] == [64, 32]
    assert level["spatial:transform"] == [10, 0, 500_320, 0, -10, 5_400_000]
    assert group.attrs["proj:code"] == "EPSG:32633"
    assert group.attrs["title"] == "east"
    document: Any = {"zarr_format": 3, "node_type": "group", "attributes": dict(group.attrs)}
    for convention in (zarr_cm.proj, zarr_cm.spatial, zarr_cm.multiscales):
        convention.validate_group_metadata(document)
    before = dict(group.attrs)
    georeference(zarr.open_group(session.store, path="a", mode="r+"))
    assert dict(zarr.open_group(session.store, path="a", mode="r").attrs) == before


@pytest.mark.parametrize("overviews", [(), (2, 4)])
def test_what_publish_writes_is_what_georeference_writes(
    overviews: tuple[int, ...], tmp_path: Path
) -> None:
    write(tmp_path / "a.tif", Affine(0.1, 0, 11.3, 0, -0.3, 47.7), crs="EPSG:4326")
    if overviews:
        with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
            dataset.build_overviews(overviews)
    publish(tmp_path / "a.tif", tmp_path / "repo", ifd_layout="multiscale")
    session = open_repository(tmp_path / "repo").writable_session("main")
    group = zarr.open_group(session.store, path="a", mode="r+")
    before = dict(group.attrs)
    levels = layout(group)
    assert len(levels) == 1 + len(overviews)
    georeference(session.store, "a")
    group = zarr.open_group(session.store, path="a", mode="r")
    for one, other in zip(layout(group), levels, strict=True):
        assert one.pop("spatial:transform") == pytest.approx(other.pop("spatial:transform"))
        assert one == other
    without = {"multiscales": None}
    assert dict(group.attrs) | without == before | without


def test_places_that_coordinates_do_not_tell_are_refused(tmp_path: Path) -> None:
    url = write(tmp_path / "a.tif", ROTATED)
    session = write_virtual(opened(url), tmp_path / "repo", [url], "a/0")
    with pytest.raises(MismatchError):
        georeference(session.store, "a")
    # Without any attributes, rather than with wrong ones.
    assert dict(zarr.open_group(session.store, path="a", mode="r").attrs) == {}


@pytest.mark.parametrize("group", ["", "nothing", "a"])
def test_groups_without_levels_are_refused(group: str, tmp_path: Path) -> None:
    url = write(tmp_path / "a.tif")
    session = write_virtual(opened(url), tmp_path / "repo", [url], "a")
    with pytest.raises(RepositoryError) as caught:
        georeference(session.store, group)
    assert caught.value.kind == ErrorKind.NOT_FOUND


# --- cubes ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Variable.*have a chunk shape larger:UserWarning")
@pytest.mark.parametrize("shape", [(1, SIZE), (SIZE, 1), (1, 1)])
def test_levels_of_one_row_or_column(shape: tuple[int, int], tmp_path: Path) -> None:
    """An image says the size of its pixels; of a slice of one row, nothing does."""
    url = write(tmp_path / "a.tif", shape=shape)
    session = write_virtual(opened(url), tmp_path / "repo", [url], "a/0")
    georeference(session.store, "a")
    (level,) = layout(zarr.open_group(session.store, path="a", mode="r"))
    assert level["spatial:shape"] == list(shape)
    assert level["spatial:transform"] == [10, 0, 500_000, 0, -10, 5_400_000]


@pytest.mark.filterwarnings("ignore:Variable.*have a chunk shape larger:UserWarning")
@pytest.mark.parametrize(
    ("shape", "options", "part"),
    [
        ((8, 8), {"BLOCKYSIZE": 1}, {"y": slice(3, 4)}),
        ((8, 17), {"TILED": "YES", "BLOCKXSIZE": 16, "BLOCKYSIZE": 16}, {"x": slice(16, 17)}),
    ],
)
def test_slices_of_one_row_or_column_are_refused(
    shape: tuple[int, int], options: dict[str, Any], part: dict[str, slice], tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    data = pixels("uint16", shape)
    write_with_rasterio(path, data, transform=TRANSFORM, COMPRESS="DEFLATE", **options)
    sliced = opened(path.as_uri()).isel(part)
    session = write_virtual(sliced, tmp_path / "repo", [path.as_uri()], "a/0")
    with pytest.raises(MismatchError):
        georeference(session.store, "a")


@pytest.mark.parametrize("coordinates", [True, False])
@pytest.mark.parametrize("transform", [TRANSFORM, ROTATED])
def test_append_and_items_read_the_grid_back(
    coordinates: bool, transform: Affine, tmp_path: Path
) -> None:
    names = ["a_20240101.tif", "a_20240102.tif", "b_20240103.tif"]
    write(tmp_path / names[0], transform)
    write(tmp_path / names[1], transform)
    write(tmp_path / names[2], transform @ Affine.translation(1, 0))
    repo = str(tmp_path / "repo")
    options: dict[str, Any] = {"datetime_pattern": r"_(\d{8})", "variable": None}
    stack(tmp_path / names[0], repo, coordinates=coordinates, **options)
    append(tmp_path / names[1], repo, **options)
    with pytest.raises(MismatchError):
        append(tmp_path / names[2], repo, **options)
    properties = stac_item(repo)["properties"]
    assert properties["proj:transform"] == pytest.approx(list(transform)[:6])
    store = open_repository(repo).readonly_session("main").store
    told = coordinates and transform == TRANSFORM
    attributes = zarr.open_array(store, path="spatial_ref", mode="r").attrs
    assert ("GeoTransform" in attributes) == (not told)
    assert not any(k.startswith("spatial:") for k in zarr.open_group(store, mode="r").attrs)


# --- virtual datasets ----------------------------------------------------------------------------


def test_many_files_with_the_defaults_of_xarray(tmp_path: Path) -> None:
    urls = [write(tmp_path / f"{i}.tif") for i in range(3)]
    cube = joined(urls[:2], combine="nested", concat_dim="time")
    times = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])
    session = write_virtual(cube.assign_coords(time=times[:2]), tmp_path / "repo", urls)
    session.commit("two")
    session = open_repository(tmp_path / "repo").writable_session("main")
    later = opened(urls[2]).expand_dims("time").assign_coords(time=times[2:])
    later.vz.to_icechunk(session.store, append_dim="time")
    dataset = xr.open_zarr(session.store, **OPTIONS)
    assert dataset["0"].shape == (3, SIZE, SIZE)
    assert dataset.spatial_ref.shape == ()
    assert dataset.rio.transform() == TRANSFORM
    assert dataset.rio.crs.to_epsg() == 32633
    expected = rioxarray.open_rasterio(tmp_path / "2.tif")
    assert isinstance(expected, xr.DataArray)
    assert np.array_equal(dataset["0"].values[2], expected.values[0])


@pytest.mark.parametrize(
    "options", [{"combine": "by_coords"}, {"combine": "nested", "concat_dim": "x"}]
)
def test_tiles_beside_each_other(options: dict[str, Any], tmp_path: Path) -> None:
    urls = [
        write(tmp_path / f"{i}.tif", TRANSFORM @ Affine.translation(i * SIZE, 0)) for i in range(2)
    ]
    both = joined(urls, combine_attrs=agreeing, **options)
    session = write_virtual(both, tmp_path / "repo", urls)
    dataset = xr.open_zarr(session.store, **OPTIONS)
    assert dataset["0"].shape == (SIZE, 2 * SIZE)
    assert tuple(dataset.rio.bounds()) == (500_000, 5_399_360, 501_280, 5_400_000)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"scale": 0.1}, {"scale": 0.2}),
        ({"scale": 0.1}, {}),
        ({"nodata": 1}, {"nodata": 2}),
        ({"nodata": 1}, {}),
        ({"crs": "EPSG:32633"}, {"crs": "EPSG:32634"}),
    ],
)
@pytest.mark.parametrize("how", ["open_virtual_mfdataset", "concat"])
def test_images_with_other_meanings_are_not_joined(
    one: dict[str, Any], other: dict[str, Any], how: str, tmp_path: Path
) -> None:
    urls = [write(tmp_path / "a.tif", **one), write(tmp_path / "b.tif", **other)]
    datasets = [opened(url) for url in urls]
    with pytest.raises(VirtualTIFFError) as caught:  # noqa: PT012
        if how == "concat":
            xr.concat(datasets, "time", combine_attrs=agreeing)
        else:
            joined(urls, combine="nested", concat_dim="time", combine_attrs=agreeing)
    assert caught.value.kind == ErrorKind.MISMATCH


def test_agreeing_drops_what_differs_and_means_nothing() -> None:
    wkt = rasterio.crs.CRS.from_epsg(32633).to_wkt()
    again = rasterio.crs.CRS.from_epsg(32633).to_wkt(version="WKT2_2019")
    one = {"units": "m", "title": "a", "crs_wkt": wkt, "scale_factor": 1}
    other = {"units": "m", "title": "b", "crs_wkt": again}
    assert agreeing([one, other]) == {"units": "m"}
    assert agreeing([one]) == one
    assert agreeing([]) == {}
    with pytest.raises(MismatchError):
        agreeing([{"GeoTransform": "0 1 0 0 0 1"}, {"GeoTransform": "1 1 0 0 0 1"}])
