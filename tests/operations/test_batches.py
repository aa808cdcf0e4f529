"""Inventories in several files, and commits of some images each."""

from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
from rasterio.transform import Affine

from tests.helpers.archive import (
    opened,
    read_paths,
    scanned,
    write_scene,
    write_scenes,
)
from virtual_tiff import (
    Inventory,
    PublishResult,
    append,
    open_repository,
    publish,
    publish_async,
    stack,
    verify,
)
from virtual_tiff.choices import Grid
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.operations import batches, large
from virtual_tiff.operations.batches import batches_of, inventory_files


@pytest.fixture(autouse=True, scope="module")
def _quiet_icechunk() -> None:
    icechunk.set_logs_filter("error")


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def commits(repo: str) -> int:
    return sum(s.parent_id is not None for s in open_repository(repo).ancestry(branch="main"))


def test_groups_of_batches_are_apart_before_the_first_commit(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 5)
    inventory = scanned(*paths)
    same = {"tile": r"(scene_20240[12])"}
    options: dict[str, Any] = {"columns": same, "images_per_commit": 1}
    with pytest.raises(InvalidOptionError) as caught:
        publish(inventory, repo, group="tree/{tile}", **options)
    assert caught.value.kind == ErrorKind.DUPLICATE
    assert caught.value.url is not None
    assert not Path(repo).exists()
    publish(inventory, repo, group="tree/{stem}", **options)
    assert commits(repo) == 5


def in_parts(folder: Path, paths: list[Path], rows: int) -> Path:
    """Write an inventory in files of so many rows."""
    folder.mkdir()
    inventory = scanned(*paths)
    for number, start in enumerate(range(0, len(inventory), rows)):
        inventory.slice(start, rows).write(folder / f"part-{number:03}.parquet")
    return folder


def test_what_an_inventory_is(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "tiffs", 3)
    folder = in_parts(tmp_path / "parts", paths, 1)
    files = sorted(folder.iterdir())
    assert len(files) == 3
    assert inventory_files(folder) == files
    assert inventory_files(str(folder)) == files
    assert inventory_files(str(folder / "*.parquet")) == files
    assert inventory_files([files[1], str(files[0])]) == [files[1], files[0]]
    assert inventory_files(tmp_path / "tiffs") == []
    assert inventory_files([folder, tmp_path / "tiffs"]) == []
    assert inventory_files(str(tmp_path / "nothing-*.parquet")) == []
    # A table beside TIFFs is not what the folder is for.
    files[0].rename(tmp_path / "tiffs" / "table.parquet")
    assert inventory_files(tmp_path / "tiffs") == []


def test_parts_are_one_inventory(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 5)
    folder = in_parts(tmp_path / "parts", paths, 2)
    assert stack(folder, repo, group="cube").images == 5
    assert commits(repo) == 1
    assert publish(str(folder / "part-*.parquet"), repo, group="files").images == 5
    cube = opened(open_repository(repo), "cube")
    assert np.array_equal(cube["data"].values, read_paths(paths))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("whole", [False, True])
def test_batches_hold_whole_files_and_times(
    size: int, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_READ_ROWS", 2)
    red = write_scenes(tmp_path / "a", 3, prefix="red")
    nir = write_scenes(tmp_path / "a", 3, prefix="nir")
    paths = [path for pair in zip(red, nir, strict=True) for path in pair]
    source: Any = scanned(*paths)
    rows = source.table.select(["url", "datetime"]).to_pylist()
    if not whole:
        source = inventory_files(in_parts(tmp_path / "parts", paths, 4))
    found = list(batches_of(source, size))
    assert [
        row for one in found for row in one.table.select(["url", "datetime"]).to_pylist()
    ] == rows
    times = [set(one.table["datetime"].to_pylist()) for one in found]
    assert sum(map(len, times)) == 3
    assert all(len(one) <= size + 1 for one in found)


def test_images_of_one_time_are_cut_where_they_are_many(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 9)
    inventory = scanned(*paths, datetime_pattern=r"_(2024)")
    assert [len(one) for one in batches_of(inventory, 2)] == [2, 2, 2, 3]


def test_commits_that_go_on_after_an_interruption(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 7)
    folder = in_parts(tmp_path / "parts", paths, 3)

    def stop(stage: str, done: int, total: int, failed: int) -> None:
        if stage == "write" and commits_so_far():
            raise KeyboardInterrupt

    def commits_so_far() -> bool:
        return (Path(repo) / "manifests").exists() and commits(repo) == 2

    with pytest.raises(KeyboardInterrupt):
        stack(folder, repo, images_per_commit=2, progress=stop)
    assert commits(repo) == 2
    result = stack(folder, repo, images_per_commit=2)
    assert (result.images, result.added[""].skipped, commits(repo)) == (3, 4, 4)
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))
    report = verify(repo)
    assert (report.exit_status, len(report.findings)) == (0, 7)
    again = stack(folder, repo, images_per_commit=3)
    assert (again.snapshot_id, again.images, commits(repo)) == (None, 0, 4)


def test_one_commit_and_several_make_the_same(repo: str, tmp_path: Path) -> None:
    """Also where the rows have no order, and groups begin in a later batch."""
    paths = [
        path
        for number, day in enumerate((3, 0, 4, 1, 5, 2))
        for path in write_scenes(tmp_path / "a", 1, first=day, prefix="ab"[number % 2])
    ]
    columns = {"kind": r"/([ab])_"}
    folder = in_parts(tmp_path / "parts", paths, 4)
    options: dict[str, Any] = {"group": "{kind}", "columns": columns}
    whole = stack(folder, str(tmp_path / "whole"), **options)
    several = stack(folder, repo, images_per_commit=2, **options)
    assert commits(repo) == 3
    for name in "ab":
        one, other = (
            opened(open_repository(place), name) for place in (str(tmp_path / "whole"), repo)
        )
        assert one.identical(other)
        assert whole.added[name].first == several.added[name].first
        assert whole.added[name].last == several.added[name].last
    assert whole.images == several.images == 6
    assert whole.references == several.references


def test_a_place_that_another_file_has_is_refused(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    other = write_scenes(tmp_path / "b", 1)
    folder = in_parts(tmp_path / "parts", [*paths, *other], 4)
    with pytest.raises(InvalidOptionError) as caught:
        stack(folder, repo, images_per_commit=3)
    assert caught.value.kind == ErrorKind.DUPLICATE
    assert commits(repo) == 1


def test_a_changed_file_is_no_reason_to_go_on(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    stack(scanned(*paths), repo, images_per_commit=2)
    write_scene(paths[1], seed=99)
    later = scanned(*paths)
    with pytest.raises(InvalidOptionError) as caught:
        append(later, repo, images_per_commit=2)
    assert caught.value.kind == ErrorKind.DUPLICATE
    assert append(later, repo, images_per_commit=2, on_present="replace").replaced == 1
    assert verify(repo).exit_status == 0


def test_rows_with_errors_and_other_sources(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    for number in range(3):
        bad = tmp_path / "a" / f"bad{number}_20240101.tif"
        bad.write_bytes(b"II*\0 nothing")
        paths.append(bad)
    inventory: Inventory = scanned(*paths)
    result = stack(inventory, repo, images_per_commit=2, on_failed="skip")
    assert (result.images, len(result.failed)) == (3, 3)
    for sources in (paths[:3], str(tmp_path / "a")):
        with pytest.raises(InvalidOptionError):
            stack(sources, repo, images_per_commit=2)
    with pytest.raises(InvalidOptionError):
        stack(inventory, repo, images_per_commit=0)


@pytest.mark.parametrize("grid", ["regular", "tiles"])
@pytest.mark.parametrize("size", [2, 6, 7])
def test_stitched_cubes(grid: Grid, size: int, repo: str, tmp_path: Path) -> None:
    paths = []
    for day, row, column in product(range(3), range(2), range(3)):
        if (day, row, column) != (1, 0, 1):
            folder = tmp_path / f"{row}{column}"
            folder.mkdir(exist_ok=True)
            path = folder / f"scene_2024013{day}.tif" if day < 2 else folder / "scene_20240202.tif"
            place = Affine(10, 0, 500_000 + column * 640, 0, -10, 5_400_000 - row * 480)
            write_scene(path, seed=9 * day + 3 * row + column, transform=place)
            paths.append(path)
    inventory = scanned(*paths)
    options: dict[str, Any] = {"stitch": True, "grid": grid}
    with pytest.raises(InvalidOptionError):  # the first images alone would have no time
        stack(inventory, repo, images_per_commit=size, **options)
    options["along"] = "datetime"
    stack(inventory, str(tmp_path / "whole"), **options)
    stack(inventory, repo, images_per_commit=size, **options)
    assert commits(repo) > 1
    whole, several = (opened(open_repository(r)) for r in (str(tmp_path / "whole"), repo))
    assert whole.identical(several)
    assert verify(repo).exit_status == 0


@pytest.mark.parametrize("options", [{}, {"images_per_commit": 2}])
def test_an_inventory_without_rows(options: dict[str, Any], repo: str, tmp_path: Path) -> None:
    inventory = scanned(*write_scenes(tmp_path / "a", 2))
    stack(inventory, repo)
    empty = inventory.slice(0, 0)
    empty.write(tmp_path / "empty.parquet")
    for sources in (empty, tmp_path / "empty.parquet"):
        for operation in (stack, append, publish)[: 2 if options else 3]:
            with pytest.raises(InvalidOptionError) as caught:
                operation(sources, repo, **options)
            assert caught.value.kind == ErrorKind.NO_SOURCES
    assert commits(repo) == 1


def test_columns_have_the_types_of_all_rows(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of "07" and "ab" both are text, also where each is in a commit of its own."""
    paths = [
        path
        for number, tile in enumerate(("07", "10", "ab"))
        for path in write_scenes(tmp_path / tile, 2, first=2 * number)
    ]
    folder = in_parts(tmp_path / "parts", paths, 2)
    columns = {"tile": r"/(..)/scene"}
    for number in range(3):
        cubes: dict[str, Any] = {"group": f"cubes{number}/{{tile}}", "columns": columns}
        trees: dict[str, Any] = {"group": f"trees{number}/{{tile}}/{{stem}}", "columns": columns}
        if number == 1:
            monkeypatch.setattr(large, "_AT_ONCE", 2)
        size = None if number < 2 else 2
        made = stack(folder, repo, images_per_commit=size, **cubes)
        assert set(made.added) == {f"cubes{number}/{tile}" for tile in ("07", "10", "ab")}
        groups = publish(folder, repo, images_per_commit=size, **trees).groups.values()
        assert {path.split("/")[1] for path in groups} == {"07", "10", "ab"}
    with pytest.raises(InvalidOptionError):
        stack(folder, repo, group="{url}", columns={"url": "(.)"}, images_per_commit=2)


@pytest.mark.parametrize("group", ["", "archive", "{kind}/{stem}"])
def test_trees_of_one_commit_and_of_several(group: str, repo: str, tmp_path: Path) -> None:
    """Names tell the files of all batches apart, and are those of one commit."""
    paths = [*write_scenes(tmp_path / "a", 3), *write_scenes(tmp_path / "b", 2)]
    folder = in_parts(tmp_path / "parts", paths, 2)
    options: dict[str, Any] = {"group": group, "columns": {"kind": r"/([ab])/"}}
    whole = publish(folder, str(tmp_path / "whole"), **options)
    several = publish(folder, repo, images_per_commit=2, **options)
    assert commits(repo) == 3
    assert several.groups == whole.groups
    assert len(several.groups) == 5
    assert (several.images, several.references) == (whole.images, whole.references)
    for path in several.groups.values():
        one, other = (
            opened(open_repository(place), f"{path}/0") for place in (str(tmp_path / "whole"), repo)
        )
        assert one.identical(other)
    assert verify(repo, sample=None).exit_status == 0


def test_trees_go_on_after_an_interruption(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 5)
    folder = in_parts(tmp_path / "parts", paths, 2)

    def stop(stage: str, done: int, total: int, failed: int) -> None:
        if stage == "commit" and (Path(repo) / "manifests").exists() and commits(repo) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(folder, repo, images_per_commit=2, progress=stop)
    result = publish(folder, repo, images_per_commit=2)
    assert (result.images, result.known, commits(repo)) == (1, 4, 3)
    assert publish(folder, repo, images_per_commit=3).snapshot_id is None
    write_scene(paths[1], seed=99)
    again = scanned(*paths)
    with pytest.raises(RepositoryError) as caught:
        publish(again, repo, images_per_commit=2)
    assert (caught.value.kind, caught.value.url) == (ErrorKind.CONFLICT, paths[1].as_uri())
    assert publish(again, repo, images_per_commit=2, on_present="skip").images == 0
    assert publish(again, repo, images_per_commit=2, on_present="replace").replaced == 1
    assert verify(repo, sample=None).exit_status == 0


def test_trees_refuse_what_batches_cannot_hold(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    inventory = scanned(*paths, *paths[:1])
    with pytest.raises(InvalidOptionError) as caught:
        publish(inventory, repo, images_per_commit=2)
    assert caught.value.kind == ErrorKind.DUPLICATE
    with pytest.raises(InvalidOptionError):
        publish(paths, repo, images_per_commit=2)
    bad = tmp_path / "a" / "bad_20240101.tif"
    bad.write_bytes(b"II*\0 nothing")
    result = publish(scanned(*paths, bad), repo, images_per_commit=1, on_failed="skip")
    assert (result.images, list(result.failed)) == (3, [bad.as_uri()])


async def _published(inventory: Inventory, repo: str) -> PublishResult:
    return await publish_async(inventory, repo, images_per_commit=2)


def test_trees_in_an_event_loop(repo: str, tmp_path: Path) -> None:
    inventory = scanned(*write_scenes(tmp_path / "a", 3))
    assert asyncio.run(_published(inventory, repo)).images == 3
    assert commits(repo) == 2
