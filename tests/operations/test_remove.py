"""Images out of cubes and trees: what is left reads as GDAL reads it, and `verify` is clean."""

from __future__ import annotations

import itertools
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr

import tests.cubes.test_masks as masked
from tests.cubes.test_stitch import (
    EVEN,
    KINDS,
    OVERLAPPING,
    SHAPES,
    flat,
    mosaic,
    write_tile,
    write_tiles,
)
from tests.helpers.archive import PATTERN, opened, read_paths, scanned, write_scene, write_scenes
from virtual_tiff.audit.verify import verify
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.operations.publish import publish
from virtual_tiff.operations.remove import remove
from virtual_tiff.operations.renew import renew
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.publishing.repository import open_repository
from virtual_tiff.publishing.sources_table import read_sources_table


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def assert_holds(repo: str, images: int) -> None:
    report = verify(repo, sample=None, chunks=100)
    assert (report.exit_status, len(report.findings)) == (0, images), report.faults
    assert not report.undecided


def data(repo: str, group: str = "", name: str = "data") -> Any:
    return opened(open_repository(repo), group)[name].values


@pytest.mark.parametrize("gone", [[0], [5], [0, 1], [4, 5], [2], [1, 3, 4], [0, 5], [1, 2, 3, 4]])
def test_steps_of_a_cube(gone: list[int], tmp_path: Path, repo: str) -> None:
    """First, last and middle steps; and what comes later is not what was there before."""
    paths = write_scenes(tmp_path / "a", 6)
    stack(scanned(tmp_path / "a"), repo)
    result = remove([str(paths[i]) for i in gone], repo)
    assert (result.removed, result.images) == (len(gone), 0)
    left = [path for i, path in enumerate(paths) if i not in gone]
    assert np.array_equal(data(repo), read_paths(left))
    assert_holds(repo, len(left))
    # A sparse image must not show chunks of one that was removed.
    with rasterio.open(paths[0]) as file:
        profile = file.profile
    later = tmp_path / "b" / "scene_20250101.tif"
    later.parent.mkdir()
    with rasterio.open(later, "w", **profile, sparse_ok=True) as file:
        file.write(np.full((16, 32), 3, "uint16"), 1, window=((0, 16), (0, 32)))
    append(scanned(tmp_path / "b"), repo)
    assert np.array_equal(data(repo), read_paths([*left, later]))
    append(scanned(tmp_path / "a"), repo, on_present="skip", out_of_order="insert")
    assert np.array_equal(data(repo), read_paths([*paths, later]))
    assert_holds(repo, 7)


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ({"before": "2024-02-01"}, [2, 3, 4, 5]),
        ({"where": "time<=2024-02-01"}, [3, 4, 5]),
        ({"where": "time=2024-02-01"}, [0, 1, 3, 4, 5]),
        ({"where": "time!=2024-02-01"}, [2]),
        ({"where": ["time>=2024-01-31", "time<2024-02-03T12:00"]}, [0, 5]),
        ({"where": "time>2024-02-01T00:00Z"}, [0, 1, 2]),
        ({"where": "time<2024-02-01T00:00:00-02:00"}, [3, 4, 5]),
        ({"where": "time<2024-02-01 01:00+0200"}, [2, 3, 4, 5]),
        ({"before": "2024-02-01T02:00:00+02:00"}, [2, 3, 4, 5]),
        ({"before": datetime(2024, 2, 1, 2, tzinfo=timezone(timedelta(hours=2)))}, [2, 3, 4, 5]),
        ({"where": "time>2024-01"}, [0, 1]),
        ({"where": "time=2024-02*"}, [0, 1]),
        ({"where": "size<1000"}, [0, 1, 2, 3, 4, 5]),
        ({"where": ["band=-1", "size>=1e3", "time<=2024-01-31"]}, [2, 3, 4, 5]),
        ({"where": "url=*_20240203.tif"}, [0, 1, 2, 3, 5]),
        ({"urls": ["*0130.tif", "*/scene_2024020[12].tif"]}, [1, 4, 5]),
        ({"urls": "*", "where": "variable=other"}, [0, 1, 2, 3, 4, 5]),
        ({"before": "2020-01-01"}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_conditions(arguments: dict[str, Any], left: list[int], tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 6)
    stack(scanned(tmp_path / "a"), repo)
    before = open_repository(repo).lookup_branch("main")
    given = {"urls": [], **arguments}
    planned = remove(given.pop("urls"), repo, dry_run=True, **given)
    assert planned.snapshot_id is None
    assert open_repository(repo).lookup_branch("main") == before
    given = {"urls": [], **arguments}
    result = remove(given.pop("urls"), repo, **given)
    assert result.removed == planned.removed == 6 - len(left)
    assert (result.snapshot_id is None) == (len(left) == 6)
    assert np.array_equal(data(repo), read_paths([paths[i] for i in left]))
    assert_holds(repo, len(left))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"where": "tile=33UVP"},
        {"where": "time"},
        {"where": "time=garbage"},
        {"where": "time<20240131"},
        {"where": "time<2024-01-31Z"},
        {"where": "size>=10kB"},
        {"where": "band=first"},
        {"before": "yesterday"},
        {"urls": ["nowhere.tif"]},
        {"urls": "*", "group": "_virtual_tiff"},
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 2)
    stack(scanned(tmp_path / "a"), repo)
    before = open_repository(repo).lookup_branch("main")
    given = {"urls": [], **arguments}
    with pytest.raises(VirtualTIFFError):
        remove(given.pop("urls"), repo, **given)
    assert open_repository(repo).lookup_branch("main") == before


def test_a_branch_that_is_not_there(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 2)
    stack(scanned(tmp_path / "a"), repo)
    with pytest.raises(VirtualTIFFError) as caught:
        remove([str(paths[0])], repo, branch="typo")
    assert caught.value.kind == ErrorKind.NOT_FOUND
    assert open_repository(repo).list_branches() == {"main"}


def test_one_of_several_images_of_a_step(tmp_path: Path, repo: str) -> None:
    """It is a gap then, which an array shows; the last one takes the step with it."""
    red = write_scenes(tmp_path / "a", 3, prefix="red")
    nir = write_scenes(tmp_path / "a", 3, prefix="nir")
    stack(scanned(tmp_path / "a"), repo, variable_pattern="(red|nir)_")
    remove([str(red[1])], repo)
    dataset = opened(open_repository(repo))
    assert dataset["time"].size == 3
    assert dataset["red_present"].values.tolist() == [1, 0, 1]
    assert (dataset["red"].values[1] == 7).all()
    assert np.array_equal(dataset["nir"].values, read_paths(nir))
    assert_holds(repo, 5)
    remove([str(nir[1])], repo)
    dataset = opened(open_repository(repo))
    assert dataset["time"].size == 2
    assert np.array_equal(dataset["red"].values, read_paths([red[0], red[2]]))
    assert np.array_equal(dataset["nir"].values, read_paths([nir[0], nir[2]]))
    assert dataset["red_present"].values.tolist() == [1, 1]
    assert_holds(repo, 4)
    remove("*/nir_*", repo)
    dataset = opened(open_repository(repo))
    assert list(dataset.data_vars) == ["red"]
    assert_holds(repo, 2)


def test_steps_that_only_a_removed_variable_had(tmp_path: Path, repo: str) -> None:
    red = write_scenes(tmp_path / "a", 2, prefix="red")
    write_scenes(tmp_path / "a", 3, prefix="nir")
    stack(scanned(tmp_path / "a"), repo, variable_pattern="(red|nir)_")
    remove("*/nir_*", repo)
    dataset = opened(open_repository(repo))
    assert list(dataset.data_vars) == ["red"]
    assert dataset["time"].size == 2
    assert np.array_equal(dataset["red"].values, read_paths(red))
    assert_holds(repo, 2)


def test_a_gap_needs_a_nodata_value(tmp_path: Path, repo: str) -> None:
    red = write_scenes(tmp_path / "a", 2, prefix="red", nodata=None)
    write_scenes(tmp_path / "a", 2, prefix="nir", nodata=None)
    stack(scanned(tmp_path / "a"), repo, variable_pattern="(red|nir)_")
    with pytest.raises(VirtualTIFFError) as caught:
        remove([str(red[0])], repo)
    assert caught.value.kind == ErrorKind.MISMATCH
    assert_holds(repo, 4)
    assert remove("*_20240130.tif", repo).removed == 2
    assert_holds(repo, 2)


def test_split_bands_and_several_axes(tmp_path: Path, repo: str) -> None:
    for day in range(2):
        for tile in "AB":
            path = tmp_path / "a" / f"{tile}_2024010{day + 1}.tif"
            path.parent.mkdir(exist_ok=True)
            write_scene(path, seed=10 * day + ord(tile), shape=(2, 48, 64), INTERLEAVE="BAND")
    options: dict[str, Any] = {
        "along": ["datetime", "tile"],
        "columns": {"tile": "/([AB])_"},
        "datetime_pattern": PATTERN,
        "split_bands": True,
    }
    stack(f"{tmp_path}/a/", repo, **options)
    result = remove([], repo, where=["tile=A", "time=2024-01-01"])
    assert result.removed == 1
    dataset = opened(open_repository(repo))
    assert dataset["data_1_present"].values.tolist() == [[0, 1], [1, 1]]
    assert (dataset["data_2"].values[0, 0] == 7).all()
    assert_holds(repo, 3)
    remove([], repo, where="tile=A")
    dataset = opened(open_repository(repo))
    assert dataset["tile"].values.tolist() == ["B"]
    wanted = read_paths([tmp_path / "a" / f"B_2024010{day}.tif" for day in (1, 2)])
    assert np.array_equal(dataset["data_1"].values[:, 0], wanted[:, 0])
    assert np.array_equal(dataset["data_2"].values[:, 0], wanted[:, 1])
    assert_holds(repo, 2)


def test_all_levels_of_a_pyramid(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 3, shape=(64, 128))
    for path in paths:
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
    stack(f"{tmp_path}/a/", repo, group="p", overviews=True, datetime_pattern=PATTERN)
    assert remove([str(paths[1])], repo).removed == 1
    for level in ("p/0", "p/1"):
        assert opened(open_repository(repo), level)["time"].size == 2
    assert np.array_equal(data(repo, "p/0"), read_paths([paths[0], paths[2]]))
    assert_holds(repo, 2)
    # Also where a condition names one level.
    remove([], repo, where=["array=p/1/data", "time=2024-01-30"])
    assert np.array_equal(data(repo, "p/0"), read_paths([paths[2]]))
    assert opened(open_repository(repo), "p/1")["time"].size == 1
    assert_holds(repo, 1)


@pytest.mark.parametrize(
    ("where", "shape", "kind"),
    [
        *((EVEN, shape, "one band") for shape in SHAPES),
        *((EVEN, "short strips", kind) for kind in ("planar", "12 bit")),
        *((EVEN, "tiles", kind) for kind in KINDS if kind != "one band"),
        *((OVERLAPPING, shape, "planar") for shape in ("tiles", "dangling tiles")),
    ],
)
def test_tiles(where: Any, shape: str, kind: str, tmp_path: Path, repo: str) -> None:
    """One tile of one date is a gap; all tiles of a date are a step."""
    options = {**SHAPES[shape], **KINDS[kind]}
    if kind == "LERC":
        options["nodata"] = 7
    first, second = write_tiles(tmp_path / "a", *where, dates=2, **options)
    stack(f"{tmp_path}/a/", repo, stitch=True, along="datetime", datetime_pattern=PATTERN)
    assert remove([str(first[1])], repo).removed == 1
    dataset = opened(open_repository(repo))
    if where is EVEN:
        left = [path for path in first if path != first[1]]
        with rasterio.open(first[0]) as one, rasterio.open(first[-1]) as other:
            bounds = (one.bounds.left, other.bounds.bottom, other.bounds.right, one.bounds.top)
        values = flat(dataset).values
        assert np.array_equal(values[0], mosaic(left, bounds, nodata=7))
        assert np.array_equal(values[1], mosaic(second))
    assert dataset["data_present"].values.size - dataset["data_present"].values.sum() == 1
    assert_holds(repo, len(first) + len(second) - 1)
    append(
        f"{tmp_path}/a/",
        repo,
        stitch=True,
        along="datetime",
        datetime_pattern=PATTERN,
        on_present="skip",
    )
    assert opened(open_repository(repo))["data_present"].values.all()
    remove([], repo, before="2024-01-02")
    dataset = opened(open_repository(repo))
    assert dataset["time"].size == 1
    if where is EVEN:
        assert np.array_equal(flat(dataset).values[0], mosaic(second))
    assert_holds(repo, len(second))


def test_an_image_that_covers_several_cells(tmp_path: Path, repo: str) -> None:
    """Beside images of half its height: all of its cells are gaps, and only those."""
    folder = tmp_path / "a"
    write_tile(folder / "tall.tif", 0, 0, seed=1, shape=(96, 64), **SHAPES["tiles"])
    write_tile(folder / "upper.tif", 0, 64, seed=2, **SHAPES["tiles"])
    write_tile(folder / "lower.tif", 48, 64, seed=3, **SHAPES["tiles"])
    stack(f"{folder}/", repo, stitch=True, grid="regular")
    remove([str(folder / "tall.tif")], repo)
    dataset = opened(open_repository(repo))
    assert dataset["data_present"].values.tolist() == [[0, 1], [0, 1]]
    assert (dataset["data"].values[:, :64] == 7).all()
    others = [folder / name for name in ("upper.tif", "lower.tif")]
    assert np.array_equal(dataset["data"].values[:, 64:], mosaic(others))
    assert_holds(repo, 2)


def test_an_image_beside_one_that_begins_later(tmp_path: Path, repo: str) -> None:
    """Pixels of the tall image lie after the beginning of another, on its left."""
    folder = tmp_path / "a"
    tiles = SHAPES["tiles"]
    write_tile(folder / "upper.tif", 0, 0, seed=2, **tiles)
    write_tile(folder / "lower.tif", 48, 0, seed=3, **tiles)
    write_tile(folder / "tall.tif", 0, 64, seed=1, shape=(96, 64), **tiles)
    stack(f"{folder}/", repo, stitch=True, grid="regular")
    remove([str(folder / "tall.tif")], repo)
    dataset = opened(open_repository(repo))
    assert dataset["data_present"].values.tolist() == [[1, 0], [1, 0]]
    assert (dataset["data"].values[:, 64:] == 7).all()
    others = [folder / name for name in ("upper.tif", "lower.tif")]
    assert np.array_equal(dataset["data"].values[:, :64], mosaic(others))
    assert_holds(repo, 2)


@pytest.mark.parametrize("overviews", [False, True])
def test_masks_go_with_their_images(overviews: bool, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    written = [
        masked.write(tmp_path / "a" / f"s_2024010{day}.tif", 0, seed=day) for day in (1, 2, 3)
    ]
    options = {**masked.OPTIONS, "overviews": overviews, "group": "g"}
    stack(f"{tmp_path}/a/", repo, **options)
    base = "g/0" if overviews else "g"
    assert remove([], str(repo), where=["variable=data", "time=2024-01-02"]).removed == 1
    for number, day in enumerate((0, 2)):
        data, valid = written[day]
        assert np.array_equal(masked.read(repo, f"{base}/data")[number], data)
        assert np.array_equal(masked.read(repo, f"{base}/data_mask")[number] != 0, valid)
    assert verify(str(repo), sample=None).exit_status == 0
    # And they are renewed together.
    path = tmp_path / "a" / "s_20240103.tif"
    before = path.stat().st_mtime_ns
    data, valid = masked.write(path, 0, seed=77)
    os.utime(path, ns=(before + 10**9,) * 2)
    assert renew(str(repo)).replaced == 1
    assert np.array_equal(masked.read(repo, f"{base}/data")[1], data)
    assert np.array_equal(masked.read(repo, f"{base}/data_mask")[1] != 0, valid)
    assert verify(str(repo), sample=None).exit_status == 0


def test_a_cube_without_images_is_gone(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 2)
    stack(scanned(tmp_path / "a"), repo, group="a/b")
    stack(scanned(tmp_path / "a"), repo, name="root")
    remove("*", repo, group="a")
    store = open_repository(repo).readonly_session("main").store
    assert sorted(zarr.open_group(store, mode="r").array_keys()) == [
        "root",
        "spatial_ref",
        "time",
        "x",
        "y",
    ]
    remove("*", repo)
    store = open_repository(repo).readonly_session("main").store
    assert len(read_sources_table(store)) == 0
    assert list(zarr.open_group(store, mode="r").array_keys()) == []
    assert_holds(repo, 0)
    with pytest.raises(VirtualTIFFError) as caught:
        append(scanned(tmp_path / "a"), repo)
    assert caught.value.kind == ErrorKind.NOT_FOUND
    assert "stack" in (caught.value.remedy or "")
    # The place is free again.
    stack(scanned(tmp_path / "a"), repo, group="a/b")
    stack(scanned(tmp_path / "a"), repo)
    assert_holds(repo, 2)


@pytest.mark.parametrize("group", ["", "a/b"])
def test_the_place_of_a_pyramid_without_images_is_free(
    group: str, tmp_path: Path, repo: str
) -> None:
    folder = tmp_path / "a"
    for day in (1, 2):
        masked.write(folder / f"s_2024010{day}.tif", 0, seed=day)
    options = {**masked.OPTIONS, "overviews": True, "group": group}
    stack(f"{folder}/", repo, **options)
    remove("*", repo)
    root = zarr.open_group(open_repository(repo).readonly_session("main").store, mode="r")
    assert (list(root.keys()), "multiscales" in root.attrs) == (["_virtual_tiff"], False)
    stack(f"{folder}/", repo, **{**options, "overviews": False})
    remove("*", repo)
    stack(f"{folder}/", repo, **options)
    assert_holds(repo, 2)


@pytest.mark.parametrize("layout", ["multiscale", "flat", "nested"])
def test_groups_of_files(layout: Any, tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    with rasterio.open(paths[0], "r+") as file:
        file.build_overviews([2], rasterio.enums.Resampling.nearest)
    publish(f"{tmp_path}/a/", repo, group="g/h", ifd_layout=layout)
    publish([paths[0]], repo, names=["other"], ifd_layout=layout)
    result = remove([str(paths[0])], repo, group="g")
    assert result.removed == 2
    assert_holds(repo, 3)
    store = open_repository(repo).readonly_session("main").store
    groups = sorted(zarr.open_group(store, path="g/h", mode="r").group_keys())
    assert groups == [path.stem for path in paths[1:]]
    remove("*_2024*", repo, group="g")
    store = open_repository(repo).readonly_session("main").store
    assert "g" not in zarr.open_group(store, mode="r")
    assert "other" in zarr.open_group(store, mode="r")
    publish([paths[0]], repo, names=["g/h/again"])
    assert_holds(repo, 1)


def test_arrays_of_others_keep_their_steps(tmp_path: Path, repo: str) -> None:
    """A variable that this package did not write has no rows: its steps stay."""
    paths = write_scenes(tmp_path / "a", 3)
    stack(scanned(tmp_path / "a"), repo)
    session = open_repository(repo).writable_session("main")
    group = zarr.open_group(session.store, mode="r+")
    theirs = group.create_array(
        "theirs",
        shape=(3, 48, 64),
        chunks=(1, 48, 64),
        dtype="uint8",
        dimension_names=("time", "y", "x"),
    )
    theirs[:] = np.arange(3, dtype="uint8")[:, None, None]
    session.commit("theirs")
    remove([str(paths[1])], repo)
    dataset = opened(open_repository(repo))
    assert dataset["time"].size == 3
    assert dataset["theirs"].values[:, 0, 0].tolist() == [0, 1, 2]
    assert (dataset["data"].values[1] == 7).all()
    for number in itertools.chain((0, 2)):
        assert np.array_equal(dataset["data"].values[number], read_paths([paths[number]])[0])


def test_the_root_names_the_groups_that_are_left(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    publish([str(path) for path in paths], repo, names=["one", "two", "three"])

    def said() -> str:
        root = zarr.open_group(open_repository(repo).readonly_session("main").store, mode="r")
        return str(root.attrs.get("description", ""))

    assert "'one'" in said()
    remove(paths[0].as_uri(), repo)
    assert "'one'" not in said()
    assert "'two'" in said()
    remove([path.as_uri() for path in paths[1:]], repo)
    assert said() == ""
