"""Tags, rollback and expiry; what a repository says of itself."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.helpers.archive import opened, read_paths, scanned, write_scenes
from virtual_tiff import cli
from virtual_tiff.audit.describe import describe, stac_items
from virtual_tiff.audit.history import log
from virtual_tiff.audit.verify import verify
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.operations.publish import publish
from virtual_tiff.operations.remove import remove
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.operations.versions import expire, rollback, tag
from virtual_tiff.publishing.repository import open_repository


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


@pytest.fixture
def paths(tmp_path: Path, repo: str) -> list[Path]:
    """A cube of two commits, of two images and one."""
    paths = write_scenes(tmp_path / "a", 2)
    stack(scanned(tmp_path / "a"), repo)
    later = write_scenes(tmp_path / "b", 1, first=2)
    append(scanned(tmp_path / "b"), repo)
    return paths + later


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def head(repo: str) -> str:
    return open_repository(repo).lookup_branch("main")


def test_a_tag_keeps_what_it_names(paths: list[Path], repo: str) -> None:
    first = log(repo)[1].snapshot_id
    made = tag(repo, "june", version=first)
    assert made.snapshot_id == first
    assert tag(repo, "july").snapshot_id == head(repo)
    assert tag(repo, "same", version="june").snapshot_id == first
    for name in ("june", "july"):
        with pytest.raises(RepositoryError) as caught:
            tag(repo, name)
        assert caught.value.kind == ErrorKind.CONFLICT
    with pytest.raises(RepositoryError) as missing:
        tag(repo, "other", version="nowhere")
    assert missing.value.kind == ErrorKind.NOT_FOUND
    assert tag(repo, "next", dry_run=True).snapshot_id == head(repo)
    assert tag(repo, "same", delete=True, dry_run=True).snapshot_id == first
    with pytest.raises(RepositoryError) as there:
        tag(repo, "same", dry_run=True)
    assert there.value.kind == ErrorKind.CONFLICT
    assert run("tag", repo, "next", "--dry-run") == 0
    assert set(describe(repo).tags) == {"june", "july", "same"}
    assert tag(repo, "same", delete=True).snapshot_id == first
    with pytest.raises(RepositoryError) as deleted:
        tag(repo, "same", delete=True)
    assert deleted.value.kind == ErrorKind.NOT_FOUND
    with pytest.raises(RepositoryError) as used:
        tag(repo, "same")
    assert used.value.kind == ErrorKind.CONFLICT
    with pytest.raises(InvalidOptionError):
        tag(repo, " ")
    store = open_repository(repo).readonly_session(tag="june").store
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = xr.open_zarr(store, consolidated=False, zarr_format=3, chunks=None)
        assert dataset["time"].size == 2
    assert describe(repo).tags == {"june": first, "july": head(repo)}
    (only,) = describe(repo, version="june").groups.values()
    assert only.axes["time"].size == 2


def test_a_branch_goes_back_and_forth(paths: list[Path], repo: str) -> None:
    newest = head(repo)
    first = log(repo)[1].snapshot_id
    planned = rollback(repo, first, dry_run=True)
    assert [commit.snapshot_id for commit in planned.undone] == [newest]
    assert head(repo) == newest
    done = rollback(repo, first)
    assert (done.before, done.after, head(repo)) == (newest, first, first)
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths[:2]))
    assert verify(repo, sample=None).exit_status == 0
    # What was undone can be appended again, and the other way is open too.
    assert rollback(repo, newest).undone == ()
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))
    for arguments in (("nowhere", "main"), (first, "nowhere")):
        with pytest.raises(RepositoryError) as caught:
            rollback(repo, arguments[0], branch=arguments[1])
        assert caught.value.kind == ErrorKind.NOT_FOUND
    assert head(repo) == newest


def test_expiry_keeps_tags_and_the_newest(paths: list[Path], tmp_path: Path, repo: str) -> None:
    tag(repo, "kept", version=log(repo)[1].snapshot_id)
    for number in range(3, 6):
        write_scenes(tmp_path / "c", 1, first=number)
        append(scanned(tmp_path / "c"), repo, on_present="skip")
    assert expire(repo, "1d").expired == ()
    commits = [commit.snapshot_id for commit in log(repo)]
    planned = expire(repo, timedelta(0), dry_run=True)
    assert set(planned.expired) == set(commits[1:-1])
    assert planned.freed["bytes"] > 0
    assert [commit.snapshot_id for commit in log(repo)] == commits
    before = size(repo)
    done = expire(repo, datetime.now(UTC))
    assert set(done.expired) == set(planned.expired)
    assert done.freed["manifests"] == planned.freed["manifests"]
    assert before - size(repo) >= planned.freed["bytes"]
    assert expire(repo, timedelta(0)).expired == ()
    assert verify(repo, sample=None).exit_status == 0
    store = open_repository(repo).readonly_session(tag="kept").store
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = xr.open_zarr(
            store, consolidated=False, zarr_format=3, chunks=None, mask_and_scale=False
        )
        assert np.array_equal(old["data"].values, read_paths(paths[:2]))


def size(repo: str) -> int:
    return sum(path.stat().st_size for path in Path(repo).rglob("*") if path.is_file())


@pytest.mark.parametrize("age", ["soon", "2999-01-01", "-3d", "", "30"])
def test_ages_that_are_none(age: str, paths: list[Path], repo: str) -> None:
    with pytest.raises(InvalidOptionError):
        expire(repo, age)


def test_what_a_repository_holds(paths: list[Path], tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "two", 2, prefix="red")
    write_scenes(tmp_path / "two", 2, prefix="nir")
    stack(scanned(tmp_path / "two"), repo, group="b/c", variable_pattern="(red|nir)_")
    remove("*/red_20240130.tif", repo)
    publish([paths[0]], repo, names=["files/one"])
    info = describe(repo)
    assert {path: group.kind for path, group in info.groups.items()} == {
        "": "cube",
        "b/c": "cube",
        "files/one": "file",
    }
    cube = info.groups["b/c"]
    assert (cube.files, cube.arrays["red"].missing, cube.arrays["nir"].missing) == (3, 1, 0)
    assert json.loads(cube.arrays["red"].gaps[0]) == {"time": "2024-01-30T00:00:00.000000"}
    assert cube.axes["time"].first == "2024-01-30T00:00:00.000000"
    assert info.groups["files/one"].source == paths[0].as_uri()
    assert info.groups["files/one"].arrays["image"].shape == (48, 64)
    assert info.files == 6
    assert info.file_bytes == sum(
        path.stat().st_size
        for path in [*paths, *(tmp_path / "two").iterdir()]
        if path.name != "red_20240130.tif"
    )
    assert (info.snapshot_id, info.branches) == (head(repo), ("main",))
    names: dict[str, xr.Dataset] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(info.code, names)
        assert names["dataset"]["data"].shape == (3, 48, 64)
    assert list(describe(repo, group="b").groups) == ["b/c"]
    assert list(describe(repo, group="files").groups) == ["files/one"]
    with pytest.raises(RepositoryError) as caught:
        describe(repo, group="nowhere")
    assert caught.value.kind == ErrorKind.NOT_FOUND
    items = stac_items(repo)
    assert [item["assets"]["cube"]["zarr:group"] for item in items["features"]] == ["/", "/b/c"]
    # Few groups in detail: the others are named.
    assert not any(group.arrays for group in describe(repo, limit=0).groups.values())


def test_code_opens_the_version_that_is_described(paths: list[Path], repo: str) -> None:
    first = head(repo)
    tag(repo, "now")
    remove(paths[0].as_uri(), repo)
    for version, named in ((None, "main"), ("now", "now"), (first, first), ("main", "main")):
        info = describe(repo, version=version)
        steps = info.groups[""].axes["time"].size
        (item,) = stac_items(repo, version=version)["features"]
        for code in (info.code, item["assets"]["cube"]["description"]):
            names: dict[str, xr.Dataset] = {}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(code, names)
                assert names["dataset"].sizes["time"] == steps == 3 - (named == "main")
        assert list(info.version.values()) == [named]


def test_a_pyramid_is_one_group(tmp_path: Path, repo: str) -> None:
    import rasterio

    for path in write_scenes(tmp_path / "a", 2, shape=(64, 128)):
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
    stack(f"{tmp_path}/a/", repo, group="p", overviews=True, datetime_pattern=r"_(\d{8})")
    publish(f"{tmp_path}/a/", repo, group="t")
    groups = describe(repo).groups
    assert sorted(groups) == ["p", "t/scene_20240130", "t/scene_20240131"]
    assert [group.levels for group in groups.values()] == [2, 2, 2]
    assert groups["p"].dataset == "p/0"


def test_a_root_without_data_says_so(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 5)
    publish(f"{tmp_path}/a/", repo)
    description = opened(open_repository(repo)).attrs["description"]
    assert "'scene_20240130'" in description
    publish(f"{tmp_path}/a/", repo, group="more")
    assert opened(open_repository(repo)).attrs["description"] == description
    # A cube at the root is data.
    stack(scanned(tmp_path / "a"), repo)
    dataset = opened(open_repository(repo))
    assert "description" not in dataset.attrs
    assert dataset["data"].shape[0] == 5
    publish(f"{tmp_path}/a/", repo, group="again")
    assert "description" not in opened(open_repository(repo)).attrs


def test_repositories_of_others(tmp_path: Path, repo: str) -> None:
    import icechunk
    import zarr

    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(repo))
    assert describe(repo).groups == {}
    session = repository.writable_session("main")
    zarr.open_group(session.store, path="x", mode="w").create_array(
        "a", shape=(2,), chunks=(1,), dtype="i4"
    )
    session.commit("theirs")
    (group,) = describe(repo).groups.values()
    assert (group.path, group.kind, list(group.arrays)) == ("x", "other", ["a"])
    with pytest.raises(RepositoryError) as caught:
        stac_items(repo)
    assert caught.value.kind == ErrorKind.NOT_FOUND


def test_what_commits_changed(paths: list[Path], repo: str) -> None:
    remove([str(paths[0])], repo)
    removed, appended, published = log(repo, diff=True)
    assert removed.changes is not None
    assert appended.changes is not None
    assert published.changes is not None
    assert "/data" in published.changes.new
    assert (appended.changes.new, appended.changes.deleted) == ((), ())
    assert appended.changes.chunks["/data"] == 6
    assert not any("_virtual_tiff" in path for path in appended.changes.chunks)
    assert removed.action == "remove"
    assert log(repo)[0].changes is None


def test_commands(paths: list[Path], repo: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = log(repo)[1].snapshot_id
    assert run("tag", repo, "june", "--version", first) == 0
    assert run("tag", repo, "june") == 1
    assert run("describe", repo) == 0
    out = capsys.readouterr().out
    assert "time: 3, 2024-01-30 to 2024-02-01" in out
    assert "tags: june" in out
    assert "xarray.open_zarr" in out
    for command in (
        ["describe", repo],
        ["describe", repo, "--stac"],
        ["log", repo, "--diff"],
        ["tag", repo, "july"],
        ["rollback", repo, "--to", "june"],
        ["rollback", repo, "--to", "july"],
        ["expire", repo, "--older-than", "30d"],
        ["remove", str(paths[0]), "--from", repo],
        ["remove", "--from", repo, "--before", "2024-02-01", "--dry-run"],
    ):
        arguments = command if "--stac" in command else [*command, "--json"]
        assert run(*arguments) == 0, command
        captured = capsys.readouterr()
        assert json.loads(captured.out)
        assert captured.err == ""
    assert run("describe", repo, "--group", "nowhere") == 1
    assert run("describe", repo, "--version", "nowhere") == 1
    assert run("expire", repo, "--older-than", "soon") == 2
    assert run("remove", "--from", repo) == 2
    capsys.readouterr()
    assert run("rollback", repo, "--to", "june", "--dry-run") == 0
    assert "undone:" in capsys.readouterr().out
    assert run("rollback", repo, "--to", "june") == 0
    assert "To undo this: virtual-tiff rollback" in capsys.readouterr().out
    assert run("log", repo, "--diff") == 0
    assert "+ /data" in capsys.readouterr().out
