"""Several writers at once: what is reported as done is there, and the others are told."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr

from tests.helpers.archive import scanned, write_scenes
from virtual_tiff import PublishResult, VirtualTIFF, append, publish, stack, verify
from virtual_tiff.audit.report import Status
from virtual_tiff.errors import ErrorKind, RepositoryError, VirtualTIFFError
from virtual_tiff.planning.names import RESERVED
from virtual_tiff.publishing import commit as committing
from virtual_tiff.publishing import manifests, sources_table
from virtual_tiff.publishing import target as targets
from virtual_tiff.publishing.commit import commit
from virtual_tiff.publishing.locking import locked
from virtual_tiff.publishing.repository import local_folder, open_repository
from virtual_tiff.publishing.sources_table import read_sources_table, time_of
from virtual_tiff.publishing.target import Target
from virtual_tiff.publishing.tree import Tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="module")
def _quiet_icechunk() -> None:
    icechunk.set_logs_filter("error")


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def snapshots(repo: Any) -> list[str]:
    return [s.id for s in open_repository(repo).ancestry(branch="main") if s.parent_id]


def groups(repo: Any) -> set[str]:
    store = open_repository(repo).readonly_session("main").store
    return {name for name, _ in zarr.open_group(store, mode="r").members()} - {RESERVED}


# --- writers at once -------------------------------------------------------------------------


def _work(name: str, kind: str, files: list[str], repos: list[str], start: Any, out: Any) -> None:
    """Publish prepared files to one repository after the other, as all others do."""
    icechunk.set_logs_filter("error")
    tree = VirtualTIFF() if kind == "publish" else None
    inventory = scanned(*files, parser=tree)
    for repo in repos:
        start.wait(120)
        try:
            if kind == "publish":
                result = publish(inventory, repo, group=name)
            elif kind == "create":
                result = stack(inventory, repo, group=name)
            else:
                result = append(inventory, repo, group="cube", out_of_order="insert")
            out.put((repo, name, result.snapshot_id))
        except VirtualTIFFError as error:
            out.put((repo, name, str(error)))


@pytest.mark.parametrize(
    "kinds", [["publish"] * 4, ["publish", "append", "create"] * 2], ids=["new", "mixed"]
)
def test_processes_at_once(kinds: list[str], tmp_path: Path) -> None:
    """Nothing is lost that was reported as done, and everybody's turn comes."""
    repos = [str(tmp_path / f"memory_{number}") for number in range(2)]
    files = [write_scenes(tmp_path / str(n), 5, first=2 + 5 * n) for n in range(len(kinds))]
    if "append" in kinds:
        write_scenes(tmp_path / "first", 1)
        for repo in repos:
            stack(scanned(tmp_path / "first"), repo, group="cube")
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(len(kinds)), context.Queue()
    processes = [
        context.Process(
            target=_work, args=(f"g{n}", kind, list(map(str, files[n])), repos, start, out)
        )
        for n, kind in enumerate(kinds)
    ]
    for process in processes:
        process.start()
    outcomes = [out.get(timeout=180) for _ in repos for _ in processes]
    for process in processes:
        process.join(60)
    for repo in repos:
        there = snapshots(repo)
        done = {name: snapshot for where, name, snapshot in outcomes if where == repo}
        assert set(done.values()) <= set(there), done
        assert {f"g{n}" for n, kind in enumerate(kinds) if kind != "append"} <= groups(repo)
        report = verify(repo, sample=None)
        assert report.exit_status == 0
        assert len(report.findings) == 5 * len(kinds) + ("append" in kinds)


def at_once(works: list[Callable[[], PublishResult]]) -> list[PublishResult]:
    """Do all at once, in threads."""
    barrier = threading.Barrier(len(works))
    results: list[PublishResult] = []
    errors: list[BaseException] = []

    def work(one: Callable[[], PublishResult]) -> None:
        barrier.wait()
        try:
            results.append(one())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return results


@pytest.mark.parametrize("where", ["memory", "folder", "storage of a folder"])
def test_a_repository_that_several_make_at_once(where: str, tmp_path: Path) -> None:
    """With conditional writes, as in object stores, and in a local folder."""
    paths = write_scenes(tmp_path / "a", 4)
    for number in range(5):
        folder = tmp_path / f"repository_{number}"
        repo: Any = str(folder)
        if where == "memory":
            repo = icechunk.in_memory_storage()
        elif where == "storage of a folder":
            repo = icechunk.local_filesystem_storage(str(folder))

        def one(path: Path, repo: Any = repo) -> Callable[[], PublishResult]:
            return lambda: publish([path], repo)

        results = at_once([one(path) for path in paths])
        assert {result.snapshot_id for result in results} == set(snapshots(repo))
        assert groups(repo) == {path.stem for path in paths}


def test_an_answer_that_is_lost(repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that has made the commit, but tells of a conflict: it is not made twice."""
    paths = write_scenes(tmp_path / "a", 2)
    original = icechunk.Session.commit

    def lost(session: icechunk.Session, *arguments: Any, **options: Any) -> str:
        original(session, *arguments, **options)
        raise icechunk.ConflictError("lost")

    publish([paths[0]], repo)
    with monkeypatch.context() as patch:
        patch.setattr(icechunk.Session, "commit", lost)
        result = publish([paths[1]], repo)
    assert snapshots(repo)[0] == result.snapshot_id
    assert len(snapshots(repo)) == 2


def test_a_conflict_over_settings_is_none_over_the_commit(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scenes(tmp_path / "a", 1)[0]
    original = Target.ready
    calls: list[int] = []

    def ready(*arguments: Any) -> icechunk.Repository:
        calls.append(1)
        if len(calls) == 2:
            raise icechunk.ConflictError("settings")
        return original(*arguments)

    monkeypatch.setattr(Target, "ready", ready)
    assert publish([path], repo).snapshot_id == snapshots(repo)[0]
    assert len(calls) == 2


def test_gives_up(repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scenes(tmp_path / "a", 1)[0]
    calls: list[int] = []

    def beaten(*arguments: Any, **options: Any) -> str:
        calls.append(1)
        raise icechunk.ConflictError("beaten")

    monkeypatch.setattr(icechunk.Session, "commit", beaten)
    with pytest.raises(RepositoryError) as caught:
        publish([path], repo)
    assert caught.value.kind == ErrorKind.CONFLICT
    assert len(calls) == committing.TRIES


# --- the lock --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("memory_cube", "memory_cube"),
        ("memory/cube", "memory/cube"),
        (Path("memories"), "memories"),
        ("file:///a/b", "/a/b"),
        ("memory", None),
        ("memory:", None),
        ("memory://", None),
        ("s3://bucket/memory", None),
        (icechunk.local_filesystem_storage("/a/it's b"), "/a/it's b"),
        (icechunk.in_memory_storage(), None),
        (icechunk.s3_storage(bucket="b", prefix="p", region="x", anonymous=True), None),
    ],
    ids=str,
)
def test_what_is_locked(location: Any, folder: str | None) -> None:
    found = local_folder(location)
    assert (found if found is None else str(found)) == folder


LOCKS = """
import os, sys, pathlib
from virtual_tiff.publishing.locking import locked
with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
    os._exit(9)
"""


def test_a_writer_waits_for_another_process(repo: str, tmp_path: Path) -> None:
    """Also where the repository is not there yet; and a process that is killed blocks no other."""
    path = write_scenes(tmp_path / "a", 1)[0]
    other = subprocess.Popen(
        [sys.executable, "-c", LOCKS, repo],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == b"locked\n"
    thread = threading.Thread(target=publish, args=([path], repo))
    thread.start()
    thread.join(1)
    assert thread.is_alive()
    assert list(Path(repo).iterdir()) == []
    other.stdin.close()
    thread.join(60)
    assert other.wait(60) == 9
    other.stdout.close()
    assert groups(repo) == {path.stem}


def test_nothing_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "repository"
    with locked(folder):
        assert folder.is_dir()
    assert not folder.exists()
    folder.mkdir(parents=True)
    with locked(folder):
        pass
    assert folder.exists()
    (tmp_path / "file").touch()
    with pytest.raises(RepositoryError), locked(tmp_path / "file"):
        pass


# --- the table of sources --------------------------------------------------------------------


def test_every_image_of_a_tree_is_in_the_table(repo: str, tmp_path: Path) -> None:
    """Overviews and masks too, with the file that has them; the times as they were served."""
    path = tmp_path / "sources.tif"
    with tifffile.TiffWriter(path) as writer:
        for size in (64, 32):
            writer.write(np.ones((size, size), np.uint8), tile=(16, 16), metadata=None)
    os.utime(path, (1.7e9 + 0.7, 1.7e9 + 0.7))
    tifffile.imwrite(tmp_path / "sources.tif.ovr", np.ones((32, 32), np.uint8), metadata=None)
    publish([path], repo, parser=VirtualTIFF(sidecars=["ovr"]), group="a")
    publish([path], repo, parser=VirtualTIFF(ifd_layout="nested"), group="b")
    sources = read_sources_table(open_repository(repo).readonly_session("main").store)
    rows = zip(sources["array"], sources["url"], sources["ifd"], strict=True)
    assert [tuple(map(str, row)) for row in rows] == [
        ("a/sources/0", path.as_uri(), "0"),
        ("a/sources/1", path.as_uri(), "1"),
        ("a/sources/ovr.0", f"{path.as_uri()}.ovr", "0"),
        ("b/sources/0/0", path.as_uri(), "0"),
        ("b/sources/1/1", path.as_uri(), "1"),
    ]
    assert set(sources["position"].tolist()) == {"{}"}
    assert sources["size"][0] == path.stat().st_size
    time = time_of(int(sources["last_modified"][0]))
    assert time is not None
    assert time.microsecond == 700_000
    assert verify(repo, sample=None).exit_status == 0


def test_a_file_replaced_by_an_older_one_is_found(repo: str, tmp_path: Path) -> None:
    """Icechunk reads it without a word, since it is not newer."""
    path = write_scenes(tmp_path / "a", 1, COMPRESS="NONE")[0]
    publish([path], repo)
    size = path.stat().st_size
    write_scenes(tmp_path / "a", 1, COMPRESS="NONE")
    os.utime(path, (1.6e9, 1.6e9))
    assert path.stat().st_size == size
    assert [finding.status for finding in verify(repo).findings] == [Status.CHANGED]


def test_the_table_is_not_written_again(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks and manifests of rows that are there stay, however often rows are added."""
    monkeypatch.setattr(sources_table, "CHUNK_ROWS", 2)
    monkeypatch.setattr(manifests, "_TABLE_CHUNKS", 1)
    paths = write_scenes(tmp_path / "a", 6)
    publish(paths[:4], repo)

    def manifest_files() -> set[str]:
        repository = open_repository(repo)
        snapshot = repository.lookup_branch("main")
        return {str(m.id) for m in repository.list_manifest_files(snapshot)}

    before = manifest_files()
    publish(paths[4:], repo)
    assert before < manifest_files()
    sources = read_sources_table(open_repository(repo).readonly_session("main").store)
    assert sources["url"].tolist() == [path.as_uri() for path in paths]


def test_readers_open_the_table_and_all_beside_it(repo: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    inventory = scanned(tmp_path / "a")
    stack(inventory, repo, along="height", on_duplicate="first")
    publish(paths, repo)
    store: Any = open_repository(repo).readonly_session("main").store
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs")
        tree = xr.open_datatree(store, engine="zarr", zarr_format=3, consolidated=False)
        table = xr.open_zarr(
            store, group=f"{RESERVED}/sources", zarr_format=3, consolidated=False
        ).to_dataframe()
    assert set(tree.children) == {RESERVED, *(path.stem for path in paths)}
    assert tree[RESERVED].attrs["description"]
    assert list(table["url"])[1:] == [path.as_uri() for path in paths]


def test_parts_of_both_kinds_in_one_commit(repo: str, tmp_path: Path) -> None:
    from virtual_tiff.cubes.stack import plan_cube
    from virtual_tiff.operations.tree import plan_files
    from virtual_tiff.planning.arrangement import PlanOptions
    from virtual_tiff.publishing.containers import containers_for
    from virtual_tiff.publishing.cube import CubePart

    paths = write_scenes(tmp_path / "a", 3)
    inventory = scanned(tmp_path / "a")
    plans = plan_files(inventory, PlanOptions())
    tree = Tree({f"images/{n}": each for n, each in enumerate(plans.items())})
    result = commit(
        Target(repo),
        [CubePart("cube", plan_cube(inventory)), tree],
        containers=containers_for([path.as_uri() for path in paths]),
    )
    assert len(snapshots(repo)) == 1
    assert list(result.added) == ["cube", "images/0", "images/1", "images/2"]
    assert (result.images, result.references) == (6, 2 * 3 * 6)
    assert list(result.groups) == [path.as_uri() for path in paths]
    assert verify(repo, sample=None).decoded == 6


def test_chosen_bands_are_verified(repo: str, tmp_path: Path) -> None:
    write_scenes(tmp_path / "a", 1, shape=(4, 48, 64), INTERLEAVE="BAND")
    publish(tmp_path / "a", repo, parser=VirtualTIFF(bands=[3, 4]))
    report = verify(repo, sample=None, chunks=100)
    assert (report.exit_status, report.undecided) == (0, ())
    publish(tmp_path / "a", repo, parser=VirtualTIFF(bands=[3, 1]), group="b")
    assert verify(repo, sample=None, chunks=100).exit_status == 0


def test_pages_are_not_suspected(repo: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    data = np.arange(3 * 32 * 32, dtype=np.uint16).reshape(3, 32, 32)
    tifffile.imwrite(path, data, metadata={"axes": "TYX"}, ome=True, tile=(16, 16))
    publish([path], repo, parser=VirtualTIFF(ifd_layout="pages"))
    report = verify(repo, sample=None, chunks=100)
    assert report.exit_status == 0
    assert [finding.url for finding in report.findings] == [path.as_uri()]


def test_half_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer began to make it: wait for that, and say so where it takes too long."""
    path = write_scenes(tmp_path / "a", 1)[0]
    storage = icechunk.in_memory_storage()
    original = icechunk.Repository.exists
    icechunk.Repository.create(storage)
    seen: list[int] = []

    def late(*arguments: Any) -> bool:
        seen.append(1)
        return len(seen) > 4 and original(*arguments)

    monkeypatch.setattr(icechunk.Repository, "exists", late)
    assert publish([path], storage).snapshot_id
    assert len(seen) > 4
    another = icechunk.in_memory_storage()
    icechunk.Repository.create(another)
    monkeypatch.setattr(icechunk.Repository, "exists", lambda *_: False)
    monkeypatch.setattr(targets, "_PATIENCE", 0.1)
    with pytest.raises(RepositoryError) as caught:
        publish([path], another)
    assert caught.value.kind == ErrorKind.CONFLICT


@pytest.mark.parametrize("left", [(), ("snapshots",), ("snapshots", "transactions")])
def test_a_beginning_that_was_killed_is_finished(
    left: tuple[str, ...], tmp_path: Path, repo: str
) -> None:
    path = write_scenes(tmp_path / "a", 1)[0]
    icechunk.Repository.create(icechunk.local_filesystem_storage(repo))
    (Path(repo) / "repo").rename(Path(repo) / "repo#1")
    for name in {"snapshots", "transactions"} - set(left):
        for file in (Path(repo) / name).iterdir():
            # An object that was not complete.
            file.rename(file.with_name(f"{file.name}#1"))
    assert publish([path], repo).snapshot_id
    assert verify(repo, sample=None).exit_status == 0


def test_a_folder_with_other_files_is_no_beginning(tmp_path: Path, repo: str) -> None:
    path = write_scenes(tmp_path / "a", 1)[0]
    icechunk.Repository.create(icechunk.local_filesystem_storage(repo))
    (Path(repo) / "repo").unlink()
    (Path(repo) / "snapshots" / "mine.txt").write_text("mine")
    with pytest.raises(RepositoryError) as caught:
        publish([path], repo)
    assert caught.value.kind == ErrorKind.NOT_A_REPOSITORY
    assert (Path(repo) / "snapshots" / "mine.txt").read_text() == "mine"
