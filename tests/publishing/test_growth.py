"""Images beyond the bounds of a cube: both kinds of grid grow, at the end and at the beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr

from tests.cubes.test_stitch import assert_true, flat, mosaic, write_tile
from tests.helpers.archive import opened
from virtual_tiff import append, describe, open_repository, remove, stack
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError
from virtual_tiff.operations.renew import renew
from virtual_tiff.publishing.cube import CubePart

DIVIDE: dict[str, Any] = {"TILED": "YES", "BLOCKXSIZE": 16, "BLOCKYSIZE": 16}
DANGLE: dict[str, Any] = {"TILED": "YES", "BLOCKXSIZE": 32, "BLOCKYSIZE": 32}
GIVEN: dict[str, Any] = {
    "along": "datetime",
    "stitch": True,
    "datetime_pattern": r"_(\d{8})",
}
#: Row and column of the tiles of one commit after the other.
COMMITS = [
    [(0, 0), (0, 64)],
    [(48, 64)],
    [(-48, 0), (0, -64)],
    [(-192, 192), (96, -128)],
]


def write(folder: Path, row: int, column: int, *, day: int = 1, **options: Any) -> Path:
    path = folder / f"t{row}.{column}_2024010{day}.tif"
    write_tile(path, row, column, seed=abs(7 * row + column) + day, **options)
    return path


def whole(paths: list[Path], dataset: xr.Dataset) -> Any:
    """GDAL's mosaic, in the bounds of a dataset."""
    data = flat(dataset)
    (x0, x1), (y0, y1) = (data[axis].values[[0, -1]] for axis in ("x", "y"))
    bounds = (x0 - 5, min(y0, y1) - 5, x1 + 5, max(y0, y1) + 5)
    return mosaic(paths, bounds, nodata=7)


@pytest.mark.parametrize("grid", ["regular", "tiles"])
def test_later_tiles_may_lie_anywhere(grid: Any, tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    given = DIVIDE if grid == "regular" else DANGLE
    done: list[Path] = []
    snapshots = []
    for number, tiles in enumerate(COMMITS):
        paths = [write(tmp_path / "a", *tile, **given) for tile in tiles]
        names = [str(path) for path in paths]
        if number == 0:
            snapshots.append(stack(names, repo, grid=grid, **GIVEN).snapshot_id)
        else:
            rehearsed = append(names, repo, dry_run=True, **GIVEN)
            assert rehearsed.images == len(names)
            snapshots.append(append(names, repo, **GIVEN).snapshot_id)
        done += paths
        dataset = opened(open_repository(repo))
        data = flat(dataset)
        assert ("tile_y" in dataset["data"].dims) == (grid == "tiles")
        assert np.array_equal(data.values, whole(done, dataset)[None])
        rows = [row for commit in COMMITS[: number + 1] for row, _ in commit]
        columns = [column for commit in COMMITS[: number + 1] for _, column in commit]
        assert data.shape == (1, max(rows) - min(rows) + 48, max(columns) - min(columns) + 64)
        assert data["x"].values[0] == 500_000 + 10 * min(columns) + 5
        assert data["y"].values[0] == 5_400_000 - 10 * min(rows) - 5
        assert int(dataset["data_present"].sum() if "data_present" in dataset else 2) >= len(done)
        assert_true(repo)
    # What an image has is known under its new place.
    with pytest.raises(InvalidOptionError) as caught:
        append([str(done[0])], repo, **GIVEN)
    assert caught.value.kind == ErrorKind.DUPLICATE
    assert append([str(path) for path in done], repo, on_present="skip", **GIVEN).images == 0
    # Old snapshots are as they were.
    for number, snapshot in enumerate(snapshots):
        store = open_repository(repo).readonly_session(snapshot_id=snapshot).store
        dataset = xr.open_zarr(store, consolidated=False, zarr_format=3, mask_and_scale=False)
        count = sum(map(len, COMMITS[: number + 1]))
        assert np.array_equal(flat(dataset).values, whole(done[:count], dataset)[None])


def test_presence_moves_with_the_grid(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    stack([str(write(tmp_path / "a", 0, 0, **DIVIDE))], repo, **GIVEN)
    append([str(write(tmp_path / "a", -48, -64, **DIVIDE))], repo, **GIVEN)
    dataset = opened(open_repository(repo))
    assert dataset["data_present"].values.tolist() == [[[1, 0], [0, 1]]]
    assert dataset["tile_y"].values.tolist() == [0, 48]
    assert dataset["tile_x"].values.tolist() == [0, 64]
    # A date more, at a place that was a gap, and one that lies below all others.
    more = [(0, -64), (96, 0)]
    append([str(write(tmp_path / "a", *tile, day=2, **DIVIDE)) for tile in more], repo, **GIVEN)
    dataset = opened(open_repository(repo))
    assert dataset["data_present"].values.tolist() == [
        [[1, 0], [0, 1], [0, 0], [0, 0]],
        [[0, 0], [1, 0], [0, 0], [0, 1]],
    ]
    assert_true(repo)


def test_images_are_renewed_and_removed_after_they_have_moved(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    first = write(tmp_path / "a", 0, 0, **DIVIDE)
    second = write(tmp_path / "a", 0, 64, **DIVIDE)
    stack([str(first), str(second)], repo, **GIVEN)
    third = write(tmp_path / "a", -48, -64, **DIVIDE)
    append([str(third)], repo, **GIVEN)
    write_tile(first, 0, 0, seed=99, **DIVIDE)
    renew(repo)
    dataset = opened(open_repository(repo))
    assert np.array_equal(flat(dataset).values, whole([first, second, third], dataset)[None])
    remove([second.as_uri()], repo)
    dataset = opened(open_repository(repo))
    assert np.array_equal(flat(dataset).values, whole([first, third], dataset)[None])
    assert_true(repo)


def test_chunks_have_to_stay_whole(tmp_path: Path) -> None:
    """The padding of the last tile of an image never becomes pixels."""
    repo = str(tmp_path / "repo")
    stack([str(write(tmp_path / "a", 0, 0, **DANGLE))], repo, grid="regular", **GIVEN)
    for place in ((48, 0), (-48, 0), (64, 0)):
        with pytest.raises(MismatchError):
            append([str(write(tmp_path / "b", *place, **DANGLE))], repo, **GIVEN)
    # To the right, images end on a chunk.
    right = write(tmp_path / "b", 0, 64, **DANGLE)
    append([str(right)], repo, **GIVEN)
    dataset = opened(open_repository(repo))
    left = tmp_path / "a" / "t0.0_20240101.tif"
    assert np.array_equal(flat(dataset).values, whole([left, right], dataset)[None])


def test_a_variable_with_larger_chunks_keeps_them_whole(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    for name, block in (("a", 16), ("b", 64)):
        path = tmp_path / f"{name}_20240101.tif"
        options = {"TILED": "YES", "BLOCKXSIZE": block, "BLOCKYSIZE": 16}
        write_tile(path, 0, 0, seed=block, **options)
    given = {**GIVEN, "variable_pattern": "/([ab])_"}
    stack([str(path) for path in sorted(tmp_path.glob("*.tif"))], repo, **given)
    narrow = tmp_path / "c" / "a_20240101.tif"
    write_tile(narrow, 0, -16, seed=3, shape=(48, 16), TILED="YES", BLOCKXSIZE=16, BLOCKYSIZE=16)
    with pytest.raises(MismatchError):
        append([str(narrow)], repo, **given)


def test_images_may_not_lie_upon_others(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    stack([str(write(tmp_path / "a", 0, 0, **DIVIDE))], repo, **GIVEN)
    with pytest.raises(InvalidOptionError) as caught:
        append([str(write(tmp_path / "b", 16, 0, **DIVIDE))], repo, **GIVEN)
    assert caught.value.kind == ErrorKind.DUPLICATE


def test_growth_without_nodata_is_refused_where_it_leaves_gaps(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    given = {**DIVIDE, "nodata": None}
    stack([str(write(tmp_path / "a", 0, 0, **given))], repo, **GIVEN)
    with pytest.raises(MismatchError):
        append([str(write(tmp_path / "b", 48, 64, **given))], repo, **GIVEN)
    append([str(write(tmp_path / "b", -48, 0, **given))], repo, **GIVEN)
    dataset = opened(open_repository(repo))
    assert dataset["data"].shape == (1, 96, 64)
    assert "data_present" not in dataset


@pytest.mark.parametrize("down", [-10.0, 10.0])
def test_levels_and_their_description_grow(down: float, tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    paths = []
    for row, column in ((0, 0), (-128, -128), (128, 128)):
        path = tmp_path / "a" / f"t{row}.{column}_20240101.tif"
        options = {"TILED": "YES", "BLOCKXSIZE": 64, "BLOCKYSIZE": 64, "down": down}
        write_tile(path, row, column, seed=200 + row, shape=(128, 128), **options)
        with rasterio.Env(GDAL_TIFF_OVR_BLOCKSIZE=64), rasterio.open(path, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
        paths.append(path)
        given = {**GIVEN, "overviews": True}
        (append if len(paths) > 1 else stack)([str(path)], repo, **given)
    repository = open_repository(repo)
    for level, size in (("0", 384), ("1", 192)):
        dataset = opened(repository, group=level)
        data = flat(dataset)
        assert data.shape == (1, size, size)
        expected = np.full((size, size), 7, data.dtype)
        part = size // 3
        for path, start in zip(paths, (part, 0, 2 * part), strict=True):
            with rasterio.open(path) as file:
                values = file.read(1, out_shape=(part, part))
            if level == "1":
                with rasterio.open(path, overview_level=0) as file:
                    values = file.read(1)
            expected[start : start + part, start : start + part] = values
        assert np.array_equal(data.values[0], expected)
    root: dict[str, Any] = dict(
        zarr.open_group(repository.readonly_session("main").store, mode="r").attrs
    )
    layout = root["multiscales"]["layout"]
    assert [each["spatial:shape"] for each in layout] == [[384, 384], [192, 192]]
    top = 5_400_000.0 - 128 * down
    assert [each["spatial:transform"] for each in layout] == [
        [10.0, 0.0, 498_720.0, 0.0, down, top],
        [20.0, 0.0, 498_720.0, 0.0, 2 * down, top],
    ]
    assert_true(repo)


def test_another_writer_moves_the_grid_meanwhile(tmp_path: Path) -> None:
    repo = icechunk.in_memory_storage()
    first = write(tmp_path / "a", 0, 0, **DIVIDE)
    stack([str(first)], repo, **GIVEN)
    left, right = (write(tmp_path / "a", 0, column, **DIVIDE) for column in (-64, 64))
    original = CubePart.write
    raced: list[bool] = []

    def racing(part: CubePart, session: icechunk.Session) -> Any:
        written = original(part, session)
        if not raced:
            raced.append(True)
            append([str(left)], repo, **GIVEN)
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CubePart, "write", racing)
        append([str(right)], repo, **GIVEN)
    dataset = opened(open_repository(repo))
    assert np.array_equal(flat(dataset).values, whole([first, left, right], dataset)[None])


def test_without_coordinates_the_transform_moves(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    stack([str(write(tmp_path / "a", 0, 0, **DIVIDE))], repo, coordinates=False, **GIVEN)
    append([str(write(tmp_path / "a", -48, 64, **DIVIDE))], repo, **GIVEN)
    dataset = opened(open_repository(repo))
    assert "x" not in dataset.coords
    found = dataset["spatial_ref"].attrs["GeoTransform"]
    assert list(map(float, found.split())) == [500_000, 10, 0, 5_400_480, 0, -10]
    described = describe(repo)
    assert described is not None


@pytest.mark.parametrize("shape", [(48, 32), (48, 128), (96, 128), (16, 16)])
def test_a_tile_takes_the_place_of_one_of_its_size(shape: Any, tmp_path: Path) -> None:
    """Neither chunks of the earlier one remain, nor are those of its neighbour replaced."""
    repo = str(tmp_path / "repo")
    tiles = [write(tmp_path / "a", 0, column, **DIVIDE) for column in (0, 64, 128)]
    stack([str(tile) for tile in tiles], repo, grid="regular", **GIVEN)
    before = opened(open_repository(repo))["data"].values
    other = str(write(tmp_path / "b", 0, 64, shape=shape, **DIVIDE))
    with pytest.raises(MismatchError) as caught:
        append([other], repo, on_present="replace", **GIVEN)
    assert caught.value.remedy
    assert np.array_equal(opened(open_repository(repo))["data"].values, before)
    # The remedy works where the new one is smaller.
    remove([str(tiles[1])], repo)
    if shape[1] > 64:
        with pytest.raises(InvalidOptionError) as overlapping:
            append([other], repo, **GIVEN)
        assert overlapping.value.kind == ErrorKind.DUPLICATE
        return
    append([other], repo, **GIVEN)
    dataset = opened(open_repository(repo))
    assert np.array_equal(
        flat(dataset).values, whole([tiles[0], tiles[2], Path(other)], dataset)[None]
    )
    assert_true(repo)


def test_a_tile_of_its_size_takes_a_place_of_several_dates(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    places = [(day, column) for day in (1, 2) for column in (0, 64)]
    tiles = [write(tmp_path / "a", 0, column, day=day, **DIVIDE) for day, column in places]
    stack([str(tile) for tile in tiles], repo, grid="regular", **GIVEN)
    other = tmp_path / "b" / tiles[3].name
    write_tile(other, 0, 64, seed=99, **DIVIDE)
    assert append([str(other)], repo, on_present="replace", **GIVEN).replaced == 1
    dataset = opened(open_repository(repo))
    for step, paths in enumerate(([tiles[0], tiles[1]], [tiles[2], other])):
        assert np.array_equal(flat(dataset).values[step], whole(paths, dataset))
