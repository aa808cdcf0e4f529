"""Tiles of one grid as one array: pixels equal to GDAL's mosaic, gaps and all."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import xarray as xr
import zarr
from rasterio.merge import merge
from rasterio.transform import Affine

from clients.python.flatten import flatten
from tests.helpers.archive import opened, scanned
from tests.helpers.make import pixels, write_with_rasterio
from virtual_tiff import append, georeference, open_repository, publish, stack, verify
from virtual_tiff.cubes.lattice import fitted
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.publishing.cube import CubePart
from virtual_tiff.publishing.manifests import MANIFEST_REFERENCES

STRIPS_1: dict[str, Any] = {"TILED": "NO", "BLOCKYSIZE": 1}
STRIPS_DIVIDE: dict[str, Any] = {"TILED": "NO", "BLOCKYSIZE": 16}
STRIPS_SHORT: dict[str, Any] = {"TILED": "NO", "BLOCKYSIZE": 20}
TILES_DIVIDE: dict[str, Any] = {"TILED": "YES", "BLOCKXSIZE": 16, "BLOCKYSIZE": 16}
TILES_DANGLE: dict[str, Any] = {"TILED": "YES", "BLOCKXSIZE": 32, "BLOCKYSIZE": 32}
#: Rows and columns of an image.
SIZE = (48, 64)
SHAPES: dict[str, dict[str, Any]] = {
    "rows": STRIPS_1,
    "strips": STRIPS_DIVIDE,
    "short strips": STRIPS_SHORT,
    "tiles": TILES_DIVIDE,
    "dangling tiles": TILES_DANGLE,
}
KINDS: dict[str, dict[str, Any]] = {
    "one band": {},
    "chunky": {"shape": (3, *SIZE), "INTERLEAVE": "PIXEL"},
    "planar": {"shape": (3, *SIZE), "INTERLEAVE": "BAND"},
    "12 bit": {"NBITS": 12},
    "LERC": {"COMPRESS": "LERC", "nodata": None},
    "LZW": {"COMPRESS": "LZW", "PREDICTOR": 2},
}
EVEN = ([0, 48], [0, 64, 128])
#: Like MGRS: distances of 40 and 50 rows for images of 48.
OVERLAPPING = ([0, 40], [0, 60, 128])


def write_tile(path: Path, row: float, column: float, *, seed: int, **options: Any) -> None:
    """Write an image of 48 × 64 pixels of 10 m, with its first pixel in a row and a column."""
    given: dict[str, Any] = {"COMPRESS": "DEFLATE", "nodata": 7} | options
    shape = given.pop("shape", SIZE)
    dtype = given.pop("dtype", "uint16")
    step = given.pop("step", 10.0)
    down = given.pop("down", -10.0)
    data = pixels(dtype, shape, seed)
    if "NBITS" in given:
        data = data % 4096
    transform = Affine(step, 0, 500_000 + 10 * column, 0, down, 5_400_000 + down * row)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_with_rasterio(path, data, transform=transform, **given)


def write_tiles(
    folder: Path,
    rows: list[int],
    columns: list[int],
    *,
    dates: int = 1,
    without: tuple[tuple[int, int, int], ...] = (),
    **options: Any,
) -> list[list[Path]]:
    """Write tiles for some dates, without those of these numbers of date, row and column."""
    found = []
    for date in range(dates):
        paths = []
        for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
            if (date, i, j) in without:
                continue
            path = folder / f"t{i}{j}_2024010{date + 1}.tif"
            seed = 100 * date + 10 * i + j + 1
            write_tile(path, row, column, seed=seed, **options)
            paths.append(path)
        found.append(paths)
    return found


def mosaic(paths: list[Path], bounds: tuple[float, ...] | None = None, nodata: Any = None) -> Any:
    """GDAL's view of tiles as one image; the last tile counts, as in `flatten`."""
    found, _ = merge([str(path) for path in paths], bounds=bounds, nodata=nodata, method="last")
    return found[0] if len(found) == 1 else found


def published(tmp_path: Path, **options: Any) -> xr.Dataset:
    repo = str(tmp_path / "repo")
    given: dict[str, Any] = {"datetime_pattern": r"_(\d{8})", "stitch": True} | options
    stack(str(tmp_path / "a"), repo, **given)
    return opened(open_repository(repo))


def assert_true(repo: str) -> None:
    """Every chunk is what tifffile decodes."""
    report = verify(repo, sample=100, chunks=100)
    assert report.decoded
    assert report.exit_status == 0
    assert not report.undecided


def flat(dataset: xr.Dataset, name: str = "data") -> xr.DataArray:
    data = dataset[name]
    return flatten(data) if "tile_y" in data.dims else data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_equal_a_mosaic(shape: str, kind: str, tmp_path: Path) -> None:
    given = {**SHAPES[shape], **KINDS[kind]}
    dates = write_tiles(tmp_path / "a", *EVEN, dates=2, without=((1, 0, 1),), **given)
    dataset = published(tmp_path, along="datetime", on_gap="fill", fill_value=7)
    data = flat(dataset)
    expected = np.stack([mosaic(paths, nodata=7) for paths in dates])
    assert data.dims[-2:] == ("y", "x")
    assert np.array_equal(data.values, expected)
    assert ("tile_y" in dataset["data"].dims) == (shape in ("short strips", "dangling tiles"))
    assert np.array_equal(data["x"].values, 500_005 + 10 * np.arange(192.0))
    assert np.array_equal(data["y"].values, 5_399_995 - 10 * np.arange(96.0))
    assert dataset["data_present"].values.tolist() == [[[1] * 3] * 2, [[1, 0, 1], [1] * 3]]
    # Windows across tiles, backwards and with steps.
    for window in (np.s_[40:60, 50:150], np.s_[90:10:-7, 180:3:-5], np.s_[::3, 63:65]):
        assert np.array_equal(data[(..., *window)].values, expected[(..., *window)])


@pytest.mark.parametrize("grid", ["auto", "tiles"])
def test_without_along_nothing_is_stacked(grid: Any, tmp_path: Path) -> None:
    ((*paths,),) = write_tiles(tmp_path / "a", *EVEN, **TILES_DIVIDE)
    dataset = published(tmp_path, grid=grid)
    assert dataset["data"].dims == (("y", "x") if grid == "auto" else TILED)
    assert np.array_equal(flat(dataset).values, mosaic(paths))
    assert "data_present" not in dataset


TILED = ("tile_y", "tile_x", "y", "x")
#: Rows and columns of tiles, and the width of each, in chunks of 64 × 64.
JOINED: dict[str, tuple[list[tuple[int, int]], int]] = {
    "a row": ([(0, 0), (0, 1), (0, 2)], 128),
    "a gap": ([(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)], 128),
    "a width of no whole chunks": ([(0, 0), (0, 1)], 100),
}


@pytest.mark.parametrize("name", JOINED)
def test_parts_of_an_image_are_joined(name: str, tmp_path: Path) -> None:
    """Wanted in VirtualiZarr's issues 882 and 1078, and kerchunk's 78."""
    places, width = JOINED[name]
    whole = np.arange(1, 256 * 384 + 1, dtype="uint32").reshape(256, 384)
    expected = np.zeros_like(whole)
    (tmp_path / "a").mkdir()
    chunks = {"COMPRESS": "DEFLATE", "TILED": "YES", "BLOCKXSIZE": "64", "BLOCKYSIZE": "64"}
    for i, j in places:
        window = np.s_[i * 128 : (i + 1) * 128, j * width : (j + 1) * width]
        expected[window] = whole[window]
        write_with_rasterio(
            tmp_path / "a" / f"tj_{i}{j}.tif",
            whole[window],
            transform=Affine(10, 0, 500_000 + 10 * width * j, 0, -10, 5_000_000 - 1280 * i),
            nodata=0,
            **chunks,
        )
    dataset = published(tmp_path, datetime_pattern=None)
    data = flat(dataset)
    assert dataset["data"].dims == (TILED if width == 100 else ("y", "x"))
    assert np.array_equal(data.values, expected[: data.shape[0], : data.shape[1]])
    assert data.shape == (128 * len({i for i, _ in places}), width * len({j for _, j in places}))


@pytest.mark.parametrize("missing", [(), ((0, 1, 2),)])
def test_where_tiles_overlap_the_later_one_counts(missing: Any, tmp_path: Path) -> None:
    ((*paths,),) = write_tiles(tmp_path / "a", *OVERLAPPING, without=missing, **TILES_DIVIDE)
    dataset = published(tmp_path)
    assert dataset["data"].dims == TILED
    assert dataset["tile_y"].values.tolist() == [0, 40]
    bounds = (500_000, 5_400_000 - 880, 500_000 + 1920, 5_400_000)
    # A pixel that is nodata is missing too.
    assert np.array_equal(flat(dataset).values, mosaic(paths, bounds))


def test_bottom_up(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a", *EVEN, down=10.0, **TILES_DIVIDE)
    data = published(tmp_path)["data"]
    one = rasterio.open(tmp_path / "a" / "t10_20240101.tif").read(1)
    assert np.array_equal(data[48:, :64].values, one)
    assert data["y"].values[0] == 5_400_005


def test_rounded_pixel_sizes_are_fitted(tmp_path: Path) -> None:
    """1/1200 with eight digits is off by 1.7 pixels over 360 tiles, but the lattice is exact."""
    table = scanned_with(tmp_path, step=round(1 / 1200, 8), count=360, width=1200)
    fit = fitted(table, 0.01)
    assert fit.corners[:, 1].tolist() == [1200 * n for n in range(360)]
    assert fit.grid.transform is not None
    assert abs(fit.grid.transform[0] - 1 / 1200) < 1e-12
    with pytest.raises(MismatchError):
        fitted(scanned_with(tmp_path, step=1 / 1200, count=3, width=1200, shift=0.3), 0.01)


def test_rounded_origins_of_one_row_tell_nothing_of_the_pixel_size(tmp_path: Path) -> None:
    """Their fit was 0 / 0, so y was NaN without a word."""
    for column, off in ((0, 0.0), (64, 2e-5), (128, -1e-5)):
        write_tile(tmp_path / "a" / f"t{column}_20240101.tif", off, column, seed=1, **TILES_DIVIDE)
    data = published(tmp_path)["data"]
    assert data.shape == (48, 192)
    assert np.allclose(data["y"].values[:2], [5_399_995, 5_399_985], atol=1e-3)


def test_origins_half_a_pixel_apart_are_on_no_lattice(tmp_path: Path) -> None:
    """As those of overviews are where tiles overlap by an odd number of pixels."""
    for column, off in ((0, 0.0), (64, 0.5)):
        write_tile(tmp_path / "a" / f"t{column}_20240101.tif", off, column, seed=1, **TILES_DIVIDE)
    with pytest.raises(MismatchError) as caught:
        published(tmp_path)
    assert caught.value.kind == ErrorKind.MISMATCH


@pytest.mark.parametrize(
    ("columns", "step", "is_one"),
    [
        ([0, 64.009], 10.0, True),
        ([0, 64.012], 10.0, False),
        ([0, 64.5], 10.0, False),
        ([0, 64.5, 129, 193.5], 10.0, False),
        ([0, 200.3], 10.0, False),
        # The fitted pixel has 9.9962 m, which is 9.996 with three decimals; 9.9984 is not.
        ([0, 6.4 * 9.9962], 9.996, True),
        ([0, 6.4 * 9.9984], 9.996, False),
    ],
)
def test_pixels_are_not_stretched_over_a_shift(
    columns: list[float], step: float, is_one: bool, tmp_path: Path
) -> None:
    """Any two origins are on some lattice, whose pixels are longer than those of the images."""
    for number, column in enumerate(columns):
        path = tmp_path / "a" / f"t{number}_20240101.tif"
        write_tile(path, 0, column, seed=1, step=step, down=-step, **TILES_DIVIDE)
    table = scanned(tmp_path / "a").table
    if is_one:
        assert fitted(table, 0.01).corners[:, 1].tolist() == [0, 64]
        return
    with pytest.raises(MismatchError) as caught:
        fitted(table, 0.01)
    assert caught.value.kind == ErrorKind.MISMATCH
    # A caller may say that the shift is of no importance.
    assert fitted(table, 0.6).corners.shape == (len(columns), 2)


def scanned_with(
    tmp_path: Path, *, step: float, count: int, width: int, shift: float = 0
) -> pa.Table:
    """Make rows of images a degree apart, the last of which is shifted by part of a pixel."""
    path = tmp_path / "one.tif"
    write_tile(path, 0, 0, seed=1)
    table = pa.concat_tables([scanned(path, datetime_pattern=None).table] * count)
    lefts = [-180.0 + n + (shift / width if n == count - 1 else 0) for n in range(count)]
    transforms = [[step, 0, round(left, 8), 0, -step, 1.0] for left in lefts]
    for name, values in (("transform", transforms), ("width", [width] * count)):
        at = table.schema.get_field_index(name)
        table = table.set_column(
            at, table.schema.field(name), pa.array(values, table.schema.field(name).type)
        )
    return table


def test_several_lattices_are_listed(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a", *EVEN)
    write_tile(tmp_path / "a" / "odd.tif", 0, 64 * 4, seed=9, step=20.0)
    with pytest.raises(MismatchError) as caught:
        plan_cube(scanned(tmp_path / "a"), CubeOptions(stitch=True))
    assert caught.value.kind == ErrorKind.MISMATCH
    assert "2 grids" in caught.value.message
    assert "6 images" in caught.value.message
    assert caught.value.url == (tmp_path / "a" / "odd.tif").as_uri()


def test_a_lattice_does_not_depend_on_the_order_of_images(tmp_path: Path) -> None:
    """Pixel sizes of levels are rounded: that of a narrow tile differs over a wide one."""
    write_tile(tmp_path / "a.tif", 0, 0, seed=1, shape=(16, 800))
    write_tile(tmp_path / "b.tif", 0, 800, seed=2, shape=(16, 100), step=10.005)
    paths = [str(tmp_path / name) for name in ("a.tif", "b.tif")]
    found = [fitted(scanned(*order).table, 0.01) for order in (paths, paths[::-1])]
    assert found[0].grid == found[1].grid
    assert found[0].corners.tolist() == found[1].corners[::-1].tolist()


@pytest.mark.parametrize(("width", "missing"), [(128, None), (128, (1, 1)), (100, None)])
@pytest.mark.parametrize("rows", [1, 2])
def test_tiles_of_one_array_are_joined(
    width: int, missing: tuple[int, int] | None, rows: int, tmp_path: Path
) -> None:
    """As VirtualiZarr#882 and kerchunk#78 wanted them: rows, gaps, widths that do not divide."""
    whole = np.arange(256 * 384, dtype="u2").reshape(256, 384)
    expected = np.full((128 * rows, 3 * width), 65535, "u2")
    for i, j in itertools.product(range(rows), range(3)):
        if (i, j) != missing:
            part = np.s_[i * 128 : (i + 1) * 128, j * width : (j + 1) * width]
            expected[part] = whole[part]
            transform = Affine(10, 0, 5e5 + 10 * width * j, 0, -10, 5e6 - 1280 * i)
            options: dict[str, Any] = {
                "TILED": "YES",
                "BLOCKXSIZE": 64,
                "BLOCKYSIZE": 64,
                "COMPRESS": "DEFLATE",
            }
            (tmp_path / "a").mkdir(exist_ok=True)
            write_with_rasterio(
                tmp_path / "a" / f"t{i}{j}.tif",
                whole[part],
                transform=transform,
                nodata=65535,
                **options,
            )
    stack(str(tmp_path / "a"), str(tmp_path / "r"), stitch=True)
    dataset = opened(open_repository(str(tmp_path / "r")))
    assert ("tile_x" in dataset["data"].dims) == (width == 100)
    assert np.array_equal(flat(dataset).values, expected)


def test_rotated_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    transform = Affine(10, 1, 5, 1, -10, 6)
    write_with_rasterio(path, pixels("uint16", SIZE, 1), transform=transform)
    with pytest.raises(MismatchError, match="rotated"):
        plan_cube(scanned(path), CubeOptions(stitch=True))


def test_sizes_and_directions_that_differ_are_refused(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a", [0, 48], [0, 64])
    write_tile(tmp_path / "a" / "narrow.tif", 0, 128, seed=9, shape=(48, 60))
    write_tile(tmp_path / "a" / "last.tif", 48, 192, seed=9)
    with pytest.raises(MismatchError) as caught:
        plan_cube(scanned(tmp_path / "a"), CubeOptions(stitch=True))
    assert caught.value.url == (tmp_path / "a" / "narrow.tif").as_uri()
    write_tile(tmp_path / "b" / "up.tif", 0, 0, seed=9, down=10.0)
    both = scanned(str(tmp_path / "a") + "/", str(tmp_path / "b" / "up.tif"))
    with pytest.raises(MismatchError) as caught:
        plan_cube(both, CubeOptions(stitch=True))
    assert "bottom-up" in caught.value.message


def test_a_gap_without_nodata_has_to_be_filled(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a", *EVEN, without=((0, 0, 1),), nodata=None, **TILES_DIVIDE)
    with pytest.raises(MismatchError) as caught:
        published(tmp_path)
    assert "1 place" in caught.value.message
    with pytest.raises(InvalidOptionError):
        published(tmp_path, on_gap="fill", fill_value=-1)
    dataset = published(tmp_path, on_gap="fill", fill_value=65535)
    assert dataset["data"].attrs["_FillValue"] == 65535
    assert (dataset["data"][:48, 64:128] == 65535).all()
    assert dataset["data_present"].values.tolist() == [[1, 0, 1], [1, 1, 1]]


def test_a_gap_in_time_without_nodata(tmp_path: Path) -> None:
    for name in ("red_20200101", "red_20200102", "nir_20200101"):
        write_tile(tmp_path / "a" / f"{name}.tif", 0, 0, seed=1, nodata=None)
    options: dict[str, Any] = {"variable_pattern": r"/(\w+)_\d", "stitch": False}
    with pytest.raises(MismatchError):
        published(tmp_path, **options)
    dataset = published(tmp_path, **options, on_gap="fill", fill_value=9)
    assert (dataset["nir"][1] == 9).all()
    assert dataset["nir_present"].values.tolist() == [1, 0]
    assert dataset["red"].attrs["_FillValue"] == 9
    write_tile(tmp_path / "b" / "red_20200103.tif", 0, 0, seed=3, nodata=None)
    more = str(tmp_path / "b" / "red_20200103.tif")
    given: dict[str, Any] = {"variable_pattern": r"/(\w+)_\d", "datetime_pattern": r"_(\d{8})"}
    with pytest.raises(MismatchError):
        append(more, str(tmp_path / "repo"), **given)
    append(more, str(tmp_path / "repo"), **given, on_gap="fill", fill_value=9)
    dataset = opened(open_repository(str(tmp_path / "repo")))
    assert dataset["nir_present"].values.tolist() == [1, 0, 0]
    assert dataset["red"].shape == (3, *SIZE)


def test_a_gap_that_append_would_make(tmp_path: Path) -> None:
    for name in ("a/red_20200101", "a/nir_20200101", "b/red_20200102", "b/nir_20200102"):
        write_tile(tmp_path / f"{name}.tif", 0, 0, seed=1, nodata=None)
    options: dict[str, Any] = {
        "variable_pattern": r"/(\w+)_\d",
        "datetime_pattern": r"_(\d{8})",
    }
    repo = str(tmp_path / "repo")
    stack(str(tmp_path / "a"), repo, **options)
    with pytest.raises(MismatchError):
        append(str(tmp_path / "b" / "red_20200102.tif"), repo, **options)
    append(str(tmp_path / "b"), repo, **options)
    assert "red_present" not in opened(open_repository(repo))


def test_a_fill_value_never_changes_a_sparse_image(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a", [0], [0, 128], nodata=None, SPARSE_OK="TRUE", **TILES_DIVIDE)
    sparse = tmp_path / "a" / "t01_20240101.tif"
    data = np.zeros(SIZE, np.uint16)
    data[:16, :16] = 1
    transform = Affine(10, 0, 501_280, 0, -10, 5_400_000)
    given: dict[str, Any] = {"COMPRESS": "DEFLATE", "SPARSE_OK": "TRUE", **TILES_DIVIDE}
    write_with_rasterio(sparse, data, transform=transform, **given)
    with pytest.raises(InvalidOptionError):
        published(tmp_path, on_gap="fill", fill_value=65535)
    dataset = published(tmp_path, on_gap="fill", fill_value=0)
    assert (dataset["data"][16:, 128:] == 0).all()


def test_two_stacked_axes(tmp_path: Path) -> None:
    expected: dict[tuple[str, str], Any] = {}
    for day, band in itertools.product(("20240101", "20240102"), ("B04", "B08")):
        path = tmp_path / "a" / f"{band}_{day}.tif"
        write_tile(path, 0, 0, seed=len(expected) + 1)
        expected[day, band] = rasterio.open(path).read(1)
    urls = sorted(str(path) for path in (tmp_path / "a").iterdir())
    table = pa.table({"url": urls, "band": [Path(url).name[:3] for url in urls]})
    repo = str(tmp_path / "repo")
    stack(table, repo, along=["datetime", "band"], datetime_pattern=r"_(\d{8})")
    dataset = opened(open_repository(repo))
    assert dataset["data"].dims == ("time", "band", "y", "x")
    assert dataset["band"].values.tolist() == ["B04", "B08"]
    for (day, band), values in expected.items():
        found = dataset["data"].sel(time=f"{day[:4]}-{day[4:6]}-{day[6:]}", band=band)
        assert np.array_equal(found.values.squeeze(), values)
    # A band more, for one date: the other date is a gap, of which the nodata value is known.
    write_tile(tmp_path / "b" / "B02_20240102.tif", 0, 0, seed=77)
    more = pa.table({"url": [str(tmp_path / "b" / "B02_20240102.tif")], "band": ["B02"]})
    options: dict[str, Any] = {"along": ["datetime", "band"], "datetime_pattern": r"_(\d{8})"}
    with pytest.raises(MismatchError):
        append(more, repo, **options)
    append(more, repo, **options, out_of_order="insert")
    dataset = opened(open_repository(repo))
    assert dataset["band"].values.tolist() == ["B02", "B04", "B08"]
    assert dataset["data_present"].values.tolist() == [[0, 1, 1], [1, 1, 1]]
    assert np.array_equal(
        dataset["data"][1, 0].values, rasterio.open(tmp_path / "b" / "B02_20240102.tif").read(1)
    )
    assert np.array_equal(dataset["data"][0, 2].values, expected["20240101", "B08"])
    assert_true(repo)


@pytest.mark.parametrize("shape", ["tiles", "dangling tiles"])
def test_dates_and_tiles_are_appended(shape: str, tmp_path: Path) -> None:
    given = SHAPES[shape]
    without = ((0, 1, 2), (1, 0, 0), (1, 1, 2))
    first, second = write_tiles(tmp_path / "all", *EVEN, dates=2, without=without, **given)
    for path in first:
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / path.name).symlink_to(path)
    published(tmp_path, along="datetime", bounds=(500_000, 5_399_040, 501_920, 5_400_000))
    repo = str(tmp_path / "repo")
    options: dict[str, Any] = {
        "along": "datetime",
        "stitch": True,
        "datetime_pattern": r"_(\d{8})",
    }
    append([str(path) for path in second], repo, **options)
    late = tmp_path / "all" / "t12_20240101.tif"
    write_tile(late, 48, 128, seed=88, **given)
    append([str(late)], repo, **options)
    with pytest.raises(InvalidOptionError) as caught:
        append([str(late)], repo, **options)
    assert caught.value.kind == ErrorKind.DUPLICATE
    dataset = opened(open_repository(repo))
    bounds = (500_000, 5_399_040, 501_920, 5_400_000)
    expected = np.stack([mosaic([*first, late], bounds), mosaic(second, bounds)])
    assert np.array_equal(flat(dataset).values, expected)
    present = [[[1, 1, 1], [1, 1, 1]], [[0, 1, 1], [1, 1, 0]]]
    assert dataset["data_present"].values.tolist() == present
    assert_true(repo)


def test_a_smaller_last_tile_is_appended_alone(tmp_path: Path) -> None:
    wide = write_tiles(tmp_path / "a", [0], [0, 64], **TILES_DIVIDE)[0]
    data = published(tmp_path, grid="tiles")
    assert data["data"].sizes["x"] == 64
    last = tmp_path / "b" / "t02_20240101.tif"
    write_tile(last, 0, 128, seed=9, shape=(48, 32), **TILES_DIVIDE)
    append(str(tmp_path / "b"), str(tmp_path / "repo"), stitch=True)
    found = flat(opened(open_repository(str(tmp_path / "repo"))))
    assert np.array_equal(found.values, mosaic([*wide, last]))


def test_appended_levels_are_those_of_the_cube(tmp_path: Path) -> None:
    """A level that the cube left out, since it could not be stitched, is left out again."""

    def write(path: Path, column: int) -> Path:
        write_tile(path, 0, column, seed=column, shape=(48, 62), **TILES_DIVIDE)
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
        return path

    # Pixels of the smallest level are 38.75 m, of which a hole of 20 m is no whole number.
    for column in (0, 64, 126):
        write(tmp_path / "a" / f"t{column}.tif", column)
    repo = str(tmp_path / "repo")
    given: dict[str, Any] = {"stitch": True, "overviews": True, "group": "cube"}
    notes = stack(str(tmp_path / "a"), repo, **given).added["cube"].notes
    assert sum("level 2" in note for note in notes) == 1
    last = write(tmp_path / "b" / "t188.tif", 188)
    notes = append(str(tmp_path / "b"), repo, **given).added["cube"].notes
    assert sum("level 2" in note for note in notes) == 1
    for level, width in (("0", 62), ("1", 31)):
        found = flat(opened(open_repository(repo), f"cube/{level}"))
        with rasterio.open(last, overview_level=0 if level == "1" else None) as file:
            assert np.array_equal(found.values[:, -width:], file.read(1))


def test_a_level_that_a_later_tile_does_not_fit(tmp_path: Path) -> None:
    """One tile fits every level; the next is an odd number of pixels away."""
    for folder, column in (("a", 0), ("b", 61)):
        path = tmp_path / folder / f"t{column}.tif"
        write_tile(path, 0, column, seed=column + 1, **TILES_DIVIDE)
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
    repo, folders = str(tmp_path / "repo"), [str(tmp_path / folder) for folder in "ab"]
    given: dict[str, Any] = {"stitch": True, "overviews": True}
    assert stack(folders[0], repo, grid="tiles", **given).added[""].levels == 2
    with pytest.raises(MismatchError) as caught:
        append(folders[1], repo, **given)
    assert caught.value.kind == ErrorKind.MISMATCH
    assert "level 1" in caught.value.message
    # As the remedy says.
    added = stack(folders, str(tmp_path / "anew"), **given).added[""]
    assert (added.levels, added.images) == (1, 2)
    assert any("level 1" in note for note in added.notes)
    bare = str(tmp_path / "bare")
    stack(folders[0], bare, grid="tiles", stitch=True)
    append(folders[1], bare, stitch=True)
    paths = [tmp_path / "a" / "t0.tif", tmp_path / "b" / "t61.tif"]
    assert np.array_equal(flat(opened(open_repository(bare))).values, mosaic(paths))


def test_a_regular_grid_that_cannot_grow_says_so(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a", [0], [0], **TILES_DANGLE)
    write_tiles(tmp_path / "b", [0], [0], **TILES_DIVIDE)
    for folder, cannot in (("a", True), ("b", False)):
        cube = plan_cube(scanned(tmp_path / folder), CubeOptions(stitch=True))
        assert cube.grid_kind == "regular"
        assert ("appended" in cube.notes[0]) == cannot


def test_tiles_far_apart(tmp_path: Path) -> None:
    """What a commit costs depends on the tiles, not on the places between them."""
    paths = [tmp_path / "a" / "t0.tif", tmp_path / "a" / "t1.tif"]
    for path, first in zip(paths, (0, 64 * 30_000), strict=True):
        write_tile(path, first, first, seed=first, **TILES_DIVIDE)
    inventory = scanned(tmp_path / "a")
    part = CubePart("", plan_cube(inventory, CubeOptions(stitch=True)))
    sizes = {"y": 16 * 7_501, "x": 30_001 * 4}
    squares = [sizes[n] * count / MANIFEST_REFERENCES for n, count in part.grows.items()]
    assert np.prod(squares) < 5_000
    data = published(tmp_path, grid="auto")["data"]
    assert data.dims == ("y", "x")
    for path, corner in zip(paths, ((0, 0), (-48, -64)), strict=True):
        rows, columns = (slice(c, c + n or None) for c, n in zip(corner, SIZE, strict=True))
        with rasterio.open(path) as file:
            assert np.array_equal(data[rows, columns].values, file.read(1))


def test_a_grid_too_large_for_coordinates_has_tiles(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a", *EVEN, **TILES_DIVIDE)
    wide: Any = (-1e12, -1e12, 1e12, 1e12)
    inventory = scanned(tmp_path / "a")
    found = plan_cube(inventory, CubeOptions(stitch=True, bounds=wide))
    assert found.grid_kind == "tiles"
    with pytest.raises(MismatchError) as caught:
        plan_cube(inventory, CubeOptions(stitch=True, bounds=wide, grid="regular"))
    assert caught.value.kind == ErrorKind.MISMATCH


def test_levels_are_stitched(tmp_path: Path) -> None:
    ((*paths,),) = write_tiles(tmp_path / "a", *EVEN, **TILES_DIVIDE)
    for path in paths:
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
    repo = str(tmp_path / "repo")
    stack(scanned(tmp_path / "a", parser=VirtualTIFF()), repo, stitch=True, overviews=True)
    store = open_repository(repo)
    full, half = (flat(opened(store, group=group)) for group in ("0", "1"))
    assert np.array_equal(full.values, mosaic(paths))
    assert half.shape == (48, 96)
    expected = np.block(
        [
            [
                rasterio.open(tmp_path / "a" / f"t{i}{j}_20240101.tif", overview_level=0).read(1)
                for j in range(3)
            ]
            for i in range(2)
        ]
    )
    assert np.array_equal(half.values, expected)
    assert half["x"].values[0] == 500_010


def test_levels_of_tiles_are_described_again(tmp_path: Path) -> None:
    """Of a part of the tiles, `georeference` describes the place of this part."""
    write_tiles(tmp_path / "a", *OVERLAPPING)
    for path in (tmp_path / "a").iterdir():
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
    repo = str(tmp_path / "repo")
    stack(scanned(tmp_path / "a", parser=VirtualTIFF()), repo, stitch=True, overviews=True)
    repository = open_repository(repo)
    root = zarr.open_group(repository.readonly_session("main").store, mode="r")
    found: dict[str, Any] = dict(root.attrs)
    part = zarr.open_group(zarr.storage.MemoryStore())
    for level in ("0", "1"):
        data = opened(repository, group=level).isel(tile_x=slice(1, None))
        data.load().to_zarr(part.store, group=level, zarr_format=3, consolidated=False)
    georeference(part.store)
    written: dict[str, Any] = dict(zarr.open_group(part.store, mode="r").attrs)
    full_level, half_level = written["multiscales"]["layout"]
    whole = found["multiscales"]["layout"]
    assert [each["spatial:shape"] for each in whole] == [[88, 192], [44, 96]]
    assert full_level["spatial:shape"] == [88, 132]
    assert full_level["spatial:transform"] == [10.0, 0.0, 500_600.0, 0.0, -10.0, 5_400_000.0]
    assert half_level["spatial:transform"] == [20.0, 0.0, 500_600.0, 0.0, -20.0, 5_400_000.0]


def test_columns_from_urls(tmp_path: Path) -> None:
    for number, band in itertools.product((2, 10), ("04", "8A")):
        write_tile(tmp_path / "a" / f"z{number}_B{band}.tif", 0, 0, seed=number)
    options: dict[str, Any] = {"columns": {"z": r"z(\d+)_", "band": r"_B(\w+)"}, "stitch": False}
    options |= {"along": ["z", "band"], "datetime_pattern": None}
    dataset = published(tmp_path, **options)
    assert dataset["data"].dims == ("z", "band", "y", "x")
    assert dataset["z"].values.tolist() == [2, 10]
    assert dataset["band"].values.tolist() == ["04", "8A"]
    repo = str(tmp_path / "repo")
    columns = {"tile": r"(z\d+)_"}
    stack(str(tmp_path / "a"), repo, columns=columns, group="c/{tile}", along="url")
    assert opened(open_repository(repo), "c/z10")["data"].shape == (2, *SIZE)
    columns["number"] = r"z(\d+)_"
    publish(str(tmp_path / "a"), repo, columns=columns, group="t/{tile}/{stem}")
    stack(str(tmp_path / "a"), repo, columns=columns, group="n/{number:03}", along="url")
    assert opened(open_repository(repo), "n/002")["data"].shape == (2, *SIZE)
    for wrong in ({"z": "z"}, {"z": "(~~)"}, {"width": "(z)"}):
        with pytest.raises(InvalidOptionError):
            scanned(tmp_path / "a", columns=wrong, datetime_pattern=None)


def test_long_numbers_in_urls_are_text(tmp_path: Path) -> None:
    for number in (1, 2):
        path = tmp_path / "a" / f"t{number}_2024{number:016}.tif"
        write_tile(path, 0, 0, seed=number, **TILES_DIVIDE)
    repo = str(tmp_path / "repo")
    stack(str(tmp_path / "a"), repo, along="id", columns={"id": r"_(\d+)\.tif"})
    values = opened(open_repository(repo))["id"].values.tolist()
    assert values == ["20240000000000000001", "20240000000000000002"]
