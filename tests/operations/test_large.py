"""Large inventories: several commits, of which readers see all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from rasterio.enums import Resampling

from tests.helpers.archive import opened, read_paths, scanned, write_scene, write_scenes
from virtual_tiff import Inventory, VirtualTIFF, append, open_repository, publish, stack, verify
from virtual_tiff.errors import ErrorKind, MismatchError, RepositoryError, VirtualTIFFError
from virtual_tiff.operations import large
from virtual_tiff.operations.batches import batches_of
from virtual_tiff.publishing import target


@pytest.fixture(autouse=True)
def _two_images_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    icechunk.set_logs_filter("error")
    monkeypatch.setattr(large, "_AT_ONCE", 2)


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def commits(repo: str) -> int:
    return sum(s.parent_id is not None for s in open_repository(repo).ancestry(branch="main"))


def branches(repo: str) -> set[str]:
    return set(icechunk.Repository.open(icechunk.local_filesystem_storage(repo)).list_branches())


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("branch", ["main", "trial"])
@pytest.mark.parametrize("options", [{}, {"overviews": True}, {"along": "datetime"}])
def test_the_cube_is_that_of_one_commit(
    repo: str,
    tmp_path: Path,
    there: bool,
    branch: str,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = write_scenes(tmp_path / "a", 7)
    for path in paths:
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], Resampling.nearest)
    inventory = scanned(*paths, parser=VirtualTIFF())
    if there:
        publish(paths[:1], repo, group="other")
    result = stack(inventory, repo, group="cube", branch=branch, **options)
    monkeypatch.setattr(large, "_AT_ONCE", 100)
    place = str(tmp_path / "one")
    one = stack(inventory, place, group="cube", **options)
    assert (result.branch, result.images, result.references) == (branch, 7, one.references)
    assert result.added["cube"] == one.added["cube"]
    assert branches(repo) == {"main", branch}
    saved = open_repository(repo)
    assert saved.lookup_branch(branch) == result.snapshot_id
    assert len(list(saved.ancestry(branch=branch))) == 8 + there
    found = datasets(repo, branch)
    expected = datasets(place, "main")
    assert found.keys() == expected.keys()
    assert len(found) == (2 if "overviews" in options else 1)
    assert all(found[path].identical(expected[path]) for path in found)
    full = found[one.added["cube"].dataset]
    assert np.array_equal(full["data"].values, read_paths(paths))
    assert verify(repo, branch=branch, sample=None).exit_status == 0


def datasets(repo: str, branch: str) -> dict[str, xr.Dataset]:
    """Open all datasets of the cube."""
    store: Any = open_repository(repo).readonly_session(branch=branch).store
    tree = xr.open_datatree(
        store, group="cube", engine="zarr", consolidated=False, mask_and_scale=False
    )
    return {f"cube{node.path}".rstrip("/"): node.to_dataset() for node in tree.leaves}


def test_readers_see_all_or_nothing(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(tmp_path / "a", 6)
    inventory = scanned(*paths)
    seen: list[int] = []

    def look(stage: str, done: int, total: int, failed: int, /) -> None:
        if stage == "commit" and done:
            seen.append(commits(repo))
            if len(seen) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stack(inventory, repo, progress=look)
    assert seen == [0, 0, 0]
    assert (commits(repo), branches(repo)) == (0, {"main"})
    # What a killed process leaves.
    left = icechunk.Repository.open(icechunk.local_filesystem_storage(repo))
    left.create_branch("main.aside-12345678", left.lookup_branch("main"))
    left.create_branch("main.other", left.lookup_branch("main"))
    assert stack(inventory, repo).images == 6
    assert (commits(repo), branches(repo)) == (3, {"main", "main.other", "main.aside-12345678"})
    monkeypatch.setattr(target, "_ABANDONED", timedelta(0))
    stack(inventory, repo, group="again")
    assert branches(repo) == {"main", "main.other"}
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))


def test_a_commit_of_another_writer_in_between(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(tmp_path / "a", 5)
    publish(paths[:1], repo, group="first")

    def interrupted(inventory: Inventory, *options: Any) -> Iterator[Inventory]:
        for number, batch in enumerate(batches_of(inventory, *options)):
            if number == 1:
                publish(paths[:1], repo, group="second")
            yield batch

    monkeypatch.setattr(large, "batches_of", interrupted)
    assert stack(scanned(*paths), repo, group="cube").images == 5
    # One commit, on top of the other.
    assert (commits(repo), branches(repo)) == (3, {"main"})
    assert np.array_equal(opened(open_repository(repo), "cube")["data"].values, read_paths(paths))
    assert verify(repo, sample=None).exit_status == 0


def test_two_large_cubes_at_once(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(tmp_path / "a", 5)
    inventory = scanned(*paths)
    publish(paths[:1], repo, group="first")
    inner: list[str | None] = []

    def interleaved(inventory: Inventory, *options: Any) -> Iterator[Inventory]:
        for number, batch in enumerate(batches_of(inventory, *options)):
            if number == 2 and not inner:
                # Another writer begins and ends in between.
                inner.append(None)
                inner.append(stack(inventory, repo, group="two").snapshot_id)
                assert open_repository(repo).lookup_branch("main") == inner[-1]
                assert not opened_groups(repo) & {"one"}
            yield batch

    monkeypatch.setattr(large, "batches_of", interleaved)
    assert stack(inventory, repo, group="one").images == 5
    assert opened_groups(repo) == {"first", "one", "two"}
    assert branches(repo) == {"main"}
    for group in ("one", "two"):
        values = opened(open_repository(repo), group)["data"].values
        assert np.array_equal(values, read_paths(paths))
    assert verify(repo, sample=None).exit_status == 0


def opened_groups(repo: str) -> set[str]:
    """Return the names of the groups that readers of the branch see."""
    store = open_repository(repo).readonly_session("main").store
    return {name for name, _ in zarr.open_group(store, mode="r").groups() if name[0] != "_"}


def raised(inventory: Inventory, repo: str, **options: Any) -> VirtualTIFFError:
    with pytest.raises(VirtualTIFFError) as caught:
        stack(inventory, repo, **options)
    return caught.value


def test_errors_are_those_of_one_commit(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(tmp_path / "a", 6)
    good = scanned(*paths)
    other = write_scenes(tmp_path / "b", 2, first=6, nodata=9)
    bad = tmp_path / "a" / "x_20250101.tif"
    bad.write_bytes(b"no TIFF at all")
    twice = write_scenes(tmp_path / "c", 1, first=5)
    stack(good.slice(0, 4), str(tmp_path / "there"))
    cases: list[tuple[Inventory, str]] = [
        (scanned(*paths, *other), repo),
        (scanned(*paths, bad), repo),
        (scanned(*paths, *twice), repo),
        (scanned(*paths, paths[-1]), repo),
        (good, str(tmp_path / "there")),
    ]
    found = [raised(*case) for case in cases]
    assert commits(repo) == 0
    assert commits(str(tmp_path / "there")) == 2
    monkeypatch.setattr(large, "_AT_ONCE", 100)
    for error, case in zip(found, cases, strict=True):
        expected = raised(*case)
        assert (error.kind, error.message) == (expected.kind, expected.message)
    assert isinstance(found[0], MismatchError)
    assert isinstance(found[4], RepositoryError)
    assert found[4].kind == ErrorKind.CONFLICT
    monkeypatch.setattr(large, "_AT_ONCE", 2)
    raised(scanned(paths[0], *other), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    # The repository that is left is used by the next call.
    assert stack(good, repo).images == 6


def test_one_commit_where_several_are_of_no_use(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 4)
    assert stack(scanned(*reversed(paths)), repo, group="no order").images == 4
    assert commits(repo) == 1
    stack(scanned(*paths), repo, group="filled", on_gap="fill", fill_value=0)
    assert commits(repo) == 2
    append(scanned(*write_scenes(tmp_path / "b", 4, first=4)), repo, group="no order")
    assert commits(repo) == 3
    assert stack(scanned(*paths), "memory").images == 4
    write_scene(tmp_path / "a" / "late_20250101.tif")
    assert stack(scanned(*paths), repo, group="planned", dry_run=True).planned
    assert commits(repo) == 3
