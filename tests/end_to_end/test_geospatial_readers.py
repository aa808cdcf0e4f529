"""Readers × what people do with a published archive: the same place, CRS and masked value in each.

Oracles are computed from the pixels and the transform that the TIFFs were written with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import odc.geo.xr  # noqa: F401 - brings .odc
import pytest
import rasterio
import rasterix
import rioxarray  # noqa: F401 - brings .rio
import xarray as xr
import zarr
from affine import Affine
from rasterio.crs import CRS
from rio_tiler.io import Reader
from rio_tiler.io.xarray import XarrayReader
from virtualizarr import open_virtual_dataset, open_virtual_mfdataset

from clients.python.flatten import flatten
from tests.helpers.make import Pixels, pixels, write_with_rasterio
from tests.helpers.read import local_registry
from virtual_tiff import (
    VirtualTIFF,
    agreeing,
    containers_for,
    georeference,
    open_repository,
    publish,
    stack,
)

pytestmark = pytest.mark.filterwarnings("ignore")

TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_400_000)
UTM = CRS.from_epsg(32633)
SIZE, TILE, NODATA = 128, 32, 7
#: Row and column in the whole image of a pixel, and of one without a value.
SEEN, HIDDEN = (84, 92), (86, 94)


@dataclass(frozen=True, slots=True)
class Case:
    """A dataset in the store.

    Parameters
    ----------
    group, level, variable
        Where it is: `group/level/variable`.
    corner, shape
        Row and column of its first pixel in the whole image, and its rows and columns.
    factor
        Size of its pixels, in those of the whole image.
    tiles
        It has dimensions `tile_y` and `tile_x`, which `flatten` makes one image.
    """

    group: str
    level: int
    variable: str
    corner: tuple[int, int]
    shape: tuple[int, int]
    factor: int = 1
    tiles: bool = False

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        row, column = self.corner
        height, width = (size * self.factor for size in self.shape)
        left, top = TRANSFORM @ (column, row)
        right, bottom = TRANSFORM @ (column + width, row + height)
        return left, bottom, right, top


CASES = {
    "whole": Case("image", 0, "image", (0, 0), (SIZE, SIZE)),
    "overview": Case("image", 1, "image", (0, 0), (SIZE // 2, SIZE // 2), 2),
    "opened and sliced": Case("slice", 0, "0", (TILE, 2 * TILE), (3 * TILE, 2 * TILE)),
    "two tiles joined": Case("tiles", 0, "0", (0, 0), (SIZE, SIZE)),
    "time stack": Case("cube", 0, "data", (0, 0), (SIZE, SIZE)),
    "overview of a time stack": Case("cube", 1, "data", (0, 0), (SIZE // 2, SIZE // 2), 2),
    "joined along time": Case("times", 0, "0", (0, 0), (SIZE, SIZE)),
    "two tiles stitched": Case("mosaic", 0, "data", (0, 0), (SIZE, SIZE)),
    "tiles of any grid": Case("grid", 0, "data", (0, 0), (SIZE, SIZE), tiles=True),
    "overview of tiles": Case("grid", 1, "data", (0, 0), (SIZE // 2, SIZE // 2), 2, tiles=True),
    "stitched and sliced": Case("part", 0, "data", (TILE, TILE), (3 * TILE, 3 * TILE)),
}


def write(path: Path, data: Pixels, column: int = 0, *, overview: bool = False) -> str:
    """A TIFF of a part of the image; nearest neighbours make its overview."""
    transform = TRANSFORM @ Affine.translation(column, 0)
    tiles: dict[str, Any] = {
        "TILED": "YES",
        "BLOCKXSIZE": TILE,
        "BLOCKYSIZE": TILE,
        "COMPRESS": "DEFLATE",
    }
    write_with_rasterio(path, data, transform=transform, nodata=NODATA, **tiles)
    if overview:
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2], rasterio.enums.Resampling.nearest)
    return path.as_uri()


@pytest.fixture(scope="module")
def image() -> Pixels:
    data = pixels("uint16", (SIZE, SIZE))
    data[SEEN[0] : SEEN[0] + 2, SEEN[1] : SEEN[1] + 2] = 1234
    data[HIDDEN[0] : HIDDEN[0] + 2, HIDDEN[1] : HIDDEN[1] + 2] = NODATA
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readers")


@pytest.fixture(scope="module")
def store(image: Pixels, folder: Path) -> Any:
    icechunk.set_logs_filter("error")
    repo = str(folder / "repository")
    names = [f"image_2024010{day}.tif" for day in (1, 2)]
    urls = [write(folder / name, image, overview=True) for name in names]
    halves = [image[:, : SIZE // 2], image[:, SIZE // 2 :]]
    tiles = [
        write(folder / f"{i}.tif", half, i * SIZE // 2, overview=True)
        for i, half in enumerate(halves)
    ]
    # A cube without overviews has no group above it.
    stack([folder / names[0]], repo, group="alone", datetime_pattern=r"_(\d{8})")
    stack(
        [folder / f"{i}.tif" for i in range(2)], repo, group="mosaic", stitch=True, overviews=True
    )
    stack(
        [folder / f"{i}.tif" for i in range(2)],
        repo,
        group="grid",
        stitch=True,
        grid="tiles",
        overviews=True,
    )
    publish(folder / names[0], repo, names=["image"])
    options: dict[str, Any] = {"datetime_pattern": r"_(\d{8})", "overviews": True}
    stack([folder / name for name in names], repo, group="cube", **options)

    registry, parser = local_registry(), VirtualTIFF(ifd=0)
    many: dict[str, Any] = {
        "registry": registry,
        "parser": parser,
        "combine_attrs": agreeing,
    }
    one = open_virtual_dataset(urls[0], registry=registry, parser=parser)
    datasets = {
        "slice": one.isel(y=slice(TILE, None), x=slice(2 * TILE, None)),
        "tiles": open_virtual_mfdataset(tiles, combine="by_coords", **many),
        "times": open_virtual_mfdataset(urls, combine="nested", concat_dim="time", **many),
    }
    repository = open_repository(repo, create=True, containers=containers_for(urls))
    session = repository.writable_session("main")
    stitched = xr.open_zarr(
        session.store, group="mosaic/0", zarr_format=3, consolidated=False, mask_and_scale=False
    )
    part = stitched.isel(y=slice(TILE, None), x=slice(TILE, None)).drop_encoding()
    # rio-tiler takes the fill value of Zarr for nodata.
    encoding = {"data": {"fill_value": NODATA}}
    part.load().to_zarr(session.store, group="part/0", consolidated=False, encoding=encoding)
    georeference(session.store, "part")
    for group, dataset in datasets.items():
        dataset.vz.to_icechunk(session.store, group=f"{group}/0")
        georeference(session.store, group)
    session.commit("By xarray")
    return open_repository(repo).readonly_session("main").store


def opened(store: Any, case: Case) -> xr.Dataset:
    """The first step of the variable, as `data`, masked."""
    dataset: xr.Dataset = xr.open_zarr(
        store,
        group=f"{case.group}/{case.level}",
        zarr_format=3,
        consolidated=False,
        chunks=None,
    )
    if case.tiles:
        flat = flatten(dataset[case.variable]).to_dataset(name="data")
        # rasterix takes the CRS from attributes of the dataset, which a variable does not have.
        return flat.assign_attrs(dataset.attrs)
    first = {name: 0 for name in dataset.dims if name not in ("y", "x")}
    return dataset[[case.variable]].rename({case.variable: "data"}).isel(first, drop=True)


# --- readers: bounds, CRS, and the value at a place, None where it is masked ----------------------

type Place = tuple[float, float]
type Found = tuple[Any, Any, list[float | None]]


def _values(dataset: xr.Dataset, places: list[Place]) -> list[float | None]:
    found = [float(dataset["data"].sel(x=x, y=y, method="nearest")) for x, y in places]
    return [None if np.isnan(value) else value for value in found]


def by_rioxarray(dataset: xr.Dataset, places: list[Place]) -> Found:
    return dataset.rio.bounds(), dataset.rio.crs, _values(dataset, places)


def by_rasterix(dataset: xr.Dataset, places: list[Place]) -> Found:
    indexed = rasterix.assign_index(dataset)
    index: Any = indexed.xindexes["x"]
    bounds = rasterio.transform.array_bounds(*indexed["data"].shape, index.transform())
    return bounds, CRS.from_user_input(index.crs), _values(indexed, places)


def by_odc_geo(dataset: xr.Dataset, places: list[Place]) -> Found:
    box = dataset.odc.geobox
    return tuple(box.extent.boundingbox), CRS.from_wkt(box.crs.to_wkt()), _values(dataset, places)


def by_rio_tiler(dataset: xr.Dataset, places: list[Place]) -> Found:
    with XarrayReader(dataset["data"]) as reader:
        points = [reader.point(x, y, coord_crs=UTM) for x, y in places]
        return reader.bounds, reader.crs, [_value(point) for point in points]


def _value(point: Any) -> float | None:
    return None if np.ma.getmaskarray(point.array)[0] else float(point.data[0])


BY_DATASET: dict[str, Callable[[xr.Dataset, list[Place]], Found]] = {
    "rioxarray": by_rioxarray,
    "rasterix": by_rasterix,
    "odc-geo": by_odc_geo,
    "rio-tiler XarrayReader": by_rio_tiler,
}


def compare(found: Found, case: Case, image: Pixels) -> None:
    bounds, crs, values = found
    assert tuple(bounds) == pytest.approx(case.bounds, abs=1e-5 * 10, rel=0)
    assert crs == UTM
    assert values == [float(image[SEEN]), None]


def places() -> list[Place]:
    """A place within each of the two pixels, not at an edge of any level."""
    return [TRANSFORM @ (column + 0.4, row + 0.4) for row, column in (SEEN, HIDDEN)]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reader", BY_DATASET)
def test_datasets(reader: str, name: str, store: Any, image: Pixels) -> None:
    case = CASES[name]
    compare(BY_DATASET[reader](opened(store, case), places()), case, image)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reader", BY_DATASET)
def test_clipped(reader: str, name: str, store: Any, image: Pixels) -> None:
    case = CASES[name]
    corner, size = (80, 84), 16
    part = Case(case.group, 0, "", corner, (size // case.factor,) * 2, case.factor)
    left, bottom, right, top = part.bounds
    clipped = opened(store, case).rio.clip_box(left + 1, bottom + 1, right - 1, top - 1)
    compare(BY_DATASET[reader](clipped, places()), part, image)


def of_groups(level: int | None = None) -> list[str]:
    """Cases with arrays of `(y, x)`, of one level."""
    return [name for name, case in CASES.items() if not case.tiles and level in (None, case.level)]


@pytest.mark.parametrize("name", of_groups(level=0))
def test_groups(name: str, store: Any, image: Pixels) -> None:
    """rio-tiler's GroupReader finds the place in the group above, and chooses the level."""
    from rio_tiler.experimental.zarr import GroupReader  # warns that it is experimental

    case = CASES[name]
    with GroupReader(zarr.open_group(store, path=case.group, mode="r")) as reader:
        points = [reader.point(x, y, variables=[case.variable], coord_crs=UTM) for x, y in places()]
        compare((reader.bounds, reader.crs, [_value(point) for point in points]), case, image)


@pytest.mark.parametrize("name", of_groups())
def test_arrays(name: str, store: Any, image: Pixels) -> None:
    """rio-tiler's ArrayReader refuses arrays; with the place from the group it reads them."""
    from rio_tiler.experimental.zarr import ArrayReader

    case = CASES[name]
    group = zarr.open_group(store, path=case.group, mode="r")
    array: Any = group[f"{case.level}/{case.variable}"]
    with pytest.raises(AssertionError, match="transform is required"):
        ArrayReader(array)
    layout: Any = group.attrs["multiscales"]
    transform = Affine(*layout["layout"][case.level]["spatial:transform"])
    crs = CRS.from_user_input(group.attrs["proj:code"])
    with ArrayReader(array, transform=transform, crs=crs) as reader:
        points = [reader.point(x, y, coord_crs=UTM) for x, y in places()]
        compare((reader.bounds, reader.crs, [_value(point) for point in points]), case, image)


def test_a_cube_without_overviews_is_refused_by_what_reads_groups(store: Any) -> None:
    """Nothing of the group says where it is, which a slice would make wrong: docs/viewers.md."""
    from rio_tiler.experimental.zarr import GroupReader

    group = zarr.open_group(store, path="alone", mode="r")
    assert not [name for name in group.attrs if name.startswith("spatial:")]
    x, y = places()[0]
    with GroupReader(group) as reader, pytest.raises(ValueError, match="not found"):
        reader.point(x, y, variables=["data"], coord_crs=UTM)
    dataset = xr.open_zarr(store, group="alone", zarr_format=3, consolidated=False, chunks=None)
    assert dataset.rio.bounds() == CASES["whole"].bounds


def test_tiles_that_are_not_flattened_are_read_one_by_one_or_refused(
    store: Any, image: Pixels
) -> None:
    """Readers find two dimensions more than they know; docs/viewers.md says what to do."""
    from rio_tiler.experimental.zarr import ArrayReader, GroupReader

    group = zarr.open_group(store, path="grid", mode="r")
    x, y = places()[0]
    with GroupReader(group) as reader:
        assert reader.bounds == CASES["whole"].bounds
        with pytest.raises(ValueError, match="2D or 3D"):
            reader.point(x, y, variables=["data"], coord_crs=UTM)
    array: Any = group["0/data"]
    with pytest.raises(ValueError, match="2D or 3D"):
        ArrayReader(array, transform=TRANSFORM, crs=UTM)
    tiles = xr.open_zarr(store, group="grid/0", zarr_format=3, consolidated=False, chunks=None)
    assert tiles.odc.geobox is None
    with pytest.raises(ValueError, match="1D"):
        rasterix.assign_index(tiles)
    for read in (lambda: tiles.rio.bounds(), lambda: XarrayReader(tiles["data"])):
        with pytest.raises(TypeError, match="arrays can be converted to Python scalars"):
            read()
    right = Case("", 0, "data", (0, SIZE // 2), (SIZE, SIZE // 2))
    for reads in BY_DATASET.values():
        compare(reads(tiles.isel(tile_y=0, tile_x=1, drop=True), places()), right, image)


def test_an_empty_dataset_says_where_the_image_is(store: Any) -> None:
    above = xr.open_zarr(store, group="image", zarr_format=3, consolidated=False)
    assert not above.data_vars
    assert "group=…/0" in above.attrs["description"]
    with pytest.raises(ValueError, match="not dimensions"):
        rasterix.assign_index(above)


@pytest.mark.parametrize("name", ["whole", "time stack"])
def test_tiles_of_a_map(name: str, store: Any, folder: Path) -> None:
    """XarrayReader, as titiler-xarray serves it, makes the tiles that rio-tiler makes of a TIFF."""
    with (
        Reader(str(folder / "image_20240101.tif")) as expected,
        XarrayReader(opened(store, CASES[name])["data"]) as reader,
    ):
        assert reader.get_geographic_bounds("EPSG:4326") == pytest.approx(
            expected.get_geographic_bounds("EPSG:4326")
        )
        for zoom in (14, 15):  # Below, Reader would take the overview.
            tile = next(reader.tms.tiles(*reader.get_geographic_bounds("EPSG:4326"), zoom))
            ours = reader.tile(tile.x, tile.y, tile.z, tilesize=256)
            theirs = expected.tile(tile.x, tile.y, tile.z, tilesize=256)
            masks = [np.ma.getmaskarray(image.array) for image in (ours, theirs)]
            seen = ~(masks[0] | masks[1])
            assert seen.any()
            # Nearest neighbours: GDAL approximates the places of pixels, by rows of other lengths.
            assert np.mean(masks[0] == masks[1]) > 0.99
            assert np.mean((ours.array == theirs.array).filled(False)[seen]) > 0.98
