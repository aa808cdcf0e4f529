"""A dry run says what a commit would write, with all its checks, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zarr

from tests.helpers.archive import PATTERN, write_scenes
from tests.helpers.special import write_special
from virtual_tiff import append, open_repository, publish, stack
from virtual_tiff.cli import main
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError, RepositoryError
from virtual_tiff.publishing.results import PublishResult

OPTIONS: dict[str, Any] = {"datetime_pattern": PATTERN}


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arrays_of(repo: Path) -> dict[str, tuple[int, ...]]:
    store = open_repository(str(repo)).readonly_session("main").store
    root = zarr.open_group(store, mode="r")
    return {
        path: node.shape
        for path, node in root.members(max_depth=None)
        if isinstance(node, zarr.Array) and not path.startswith("_virtual_tiff")
    }


def assert_same(rehearsed: PublishResult, done: PublishResult, repo: Path) -> None:
    assert rehearsed.dry_run
    assert rehearsed.snapshot_id is None
    shapes = arrays_of(repo)
    planned = {path: array.shape for path, array in rehearsed.planned.items()}
    assert planned == {path: shapes[path] for path in planned}
    for total in ("images", "references", "stored"):
        assert getattr(rehearsed, total) == getattr(done, total)


def test_a_new_cube_and_more_of_it(tmp_path: Path) -> None:
    write_scenes(tmp_path / "a", 3)
    write_scenes(tmp_path / "b", 2, first=3)
    repo = tmp_path / "r"
    first, second = str(tmp_path / "a") + "/", str(tmp_path / "b") + "/"
    rehearsed = stack(first, str(repo), dry_run=True, **OPTIONS)
    assert not repo.exists()
    assert_same(rehearsed, stack(first, str(repo), **OPTIONS), repo)
    assert set(rehearsed.planned) == set(arrays_of(repo))
    before = files_in(repo)
    rehearsed = append(second, str(repo), dry_run=True, **OPTIONS)
    assert files_in(repo) == before
    assert rehearsed.planned["data"].shape[0] == 5
    assert_same(rehearsed, append(second, str(repo), **OPTIONS), repo)
    with pytest.raises(InvalidOptionError) as caught:
        append(second, str(repo), dry_run=True, **OPTIONS)
    assert caught.value.kind == ErrorKind.DUPLICATE
    with pytest.raises(RepositoryError):
        stack(second, str(repo), dry_run=True, **OPTIONS)


def test_a_tree_with_chunks_to_copy(tmp_path: Path) -> None:
    write_special("gdal:lerc-deflate-short", tmp_path / "a.tif")
    repo = tmp_path / "r"
    rehearsed = publish(str(tmp_path / "a.tif"), str(repo), dry_run=True)
    assert not repo.exists()
    done = publish(str(tmp_path / "a.tif"), str(repo))
    assert_same(rehearsed, done, repo)
    assert rehearsed.planned["a/0/image"].bytes_stored > 0
    before = files_in(repo)
    rehearsed = publish(str(tmp_path / "a.tif"), str(repo), group="b", dry_run=True)
    assert files_in(repo) == before
    assert "b/a/0/image" in rehearsed.planned
    with pytest.raises(RepositoryError):
        publish(str(tmp_path / "a.tif"), str(repo), dry_run=True)


def test_gaps_are_counted(tmp_path: Path) -> None:
    write_scenes(tmp_path, 3, nodata=0, prefix="red")
    write_scenes(tmp_path, 2, nodata=0, prefix="nir")
    result = stack(
        str(tmp_path) + "/",
        str(tmp_path / "r"),
        dry_run=True,
        variable_pattern=r"/(red|nir)_",
        **OPTIONS,
    )
    assert {path: array.gaps for path, array in result.planned.items() if array.gaps} == {"nir": 1}


def test_gaps_that_stay_are_counted(tmp_path: Path) -> None:
    """Of an array of presence that an append fills in part, only a chunk is written."""
    paths = write_scenes(tmp_path / "a", 4, nodata=0, prefix="red")
    paths[:0] = write_scenes(tmp_path / "a", 1, nodata=0, prefix="nir")
    options: dict[str, Any] = {**OPTIONS, "variable_pattern": r"/(red|nir)_"}
    stack([str(path) for path in paths], str(tmp_path / "r"), **options)
    write_scenes(tmp_path / "b", 1, first=1, nodata=0, prefix="nir")
    result = append(f"{tmp_path / 'b'}/", str(tmp_path / "r"), dry_run=True, **options)
    assert {path: array.gaps for path, array in result.planned.items() if array.gaps} == {"nir": 2}


def test_mismatches_are_found(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    write_scenes(tmp_path, 1, first=2, dtype="int32")
    with pytest.raises(MismatchError):
        stack(str(tmp_path) + "/", str(tmp_path / "r"), dry_run=True, **OPTIONS)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scenes(tmp_path / "a", 3)
    arguments = [str(tmp_path / "a") + "/", "--to", str(tmp_path / "r"), "--dry-run"]
    assert main(["stack", *arguments, "--datetime-pattern", PATTERN]) == 0
    out = capsys.readouterr().out
    assert "/data (time 3, " in out
    assert "nothing was written" in out
    assert main(["publish", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dry_run"]
    assert len([path for path in found["planned"] if path.endswith("/image")]) == 3
    assert not (tmp_path / "r").exists()
