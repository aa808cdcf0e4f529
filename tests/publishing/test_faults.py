"""Things that go wrong on the way: nothing is lost, nothing is half-published, a rerun finishes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.archive import PATTERN, opened, read_paths, scanned, write_scenes
from tests.helpers.range_server import RangeServer
from virtual_tiff.audit.report import Status
from virtual_tiff.audit.verify import verify
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.publishing.repository import open_repository

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def messages(repo: str) -> list[str]:
    return [s.message for s in open_repository(repo).ancestry(branch="main")][:-1]


def test_one_percent_of_the_requests_fail(tmp_path: Path, repo: str) -> None:
    """Retries of the store carry a scan through; readers of the cube retry too."""
    paths = write_scenes(tmp_path / "tiffs", 150)
    with RangeServer(tmp_path / "tiffs", error_rate=0.03, seed=5) as server:
        urls = [f"{server.url}/{path.name}" for path in paths]
        inventory = scan(urls, datetime_pattern=PATTERN)
        assert any(request.status == 503 for request in server.requests)
        assert not inventory.failed.num_rows
        stack(inventory, repo)
        dataset = opened(open_repository(repo))
        assert np.array_equal(dataset["data"].values, read_paths(paths))
        assert verify(repo, sample=10).exit_status == 0


def test_a_server_that_stops_half_way(tmp_path: Path, repo: str) -> None:
    from datetime import timedelta

    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import HTTPStore

    paths = write_scenes(tmp_path / "tiffs", 60)
    checkpoint = tmp_path / "checkpoint"
    with RangeServer(tmp_path / "tiffs") as server:
        # Without patience, so that the test does not take minutes.
        store = HTTPStore.from_url(
            server.url,
            client_options={"allow_http": True, "timeout": "2s"},
            retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=1)},
        )
        registry = ObjectStoreRegistry({server.url: store})
        urls = [f"{server.url}/{path.name}" for path in paths]

        def run() -> Any:
            return scan(urls, registry=registry, datetime_pattern=PATTERN, checkpoint=checkpoint)

        server.configure(stop_after=25)
        half = run()
        assert 0 < half.failed.num_rows < 60
        assert set(half.failed["error_kind"].to_pylist()) == {ErrorKind.STORAGE}
        with pytest.raises(VirtualTIFFError, match="images could not be read") as caught:
            stack(half, repo)
        assert caught.value.kind == ErrorKind.STORAGE
        assert not Path(repo).exists()
        server.configure(stop_after=None)
        server.reset()
        whole = run()
        assert not whole.failed.num_rows
        # What had been read was not read again.
        assert len(server.requests) == half.failed.num_rows
        stack(whole, repo)
        dataset = opened(open_repository(repo))
        assert np.array_equal(dataset["data"].values, read_paths(paths))


KILLED = """
import os, sys
import virtual_tiff, virtual_tiff.publishing.commit
from tests.helpers.archive import scanned
where, action, folder, repo = sys.argv[1:]
if where == "before the commit":
    # Everything is written into the session, nothing is committed.
    virtual_tiff.publishing.commit.change_sources = lambda *_: os._exit(9)
else:
    # In the middle of the references.
    original = virtual_tiff.publishing.references.Task.write
    async def half(*arguments):
        await original(*arguments)
        os._exit(9)
    virtual_tiff.publishing.references.Task.write = half
work = virtual_tiff.stack if action == "publish" else virtual_tiff.append
work(scanned(folder), repo)
"""


@pytest.mark.parametrize("where", ["before the commit", "while writing"])
def test_killed_between_write_and_commit(where: str, tmp_path: Path, repo: str) -> None:
    first = write_scenes(tmp_path / "a", 3)
    later = write_scenes(tmp_path / "b", 2, first=3)

    def killed(action: str, folder: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, where, action, str(tmp_path / folder), repo],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 9, done.stderr

    killed("publish", "a")
    assert messages(repo) == []
    stack(scanned(tmp_path / "a"), repo)
    killed("append", "b")
    assert len(messages(repo)) == 1
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(first))
    append(scanned(tmp_path / "b"), repo)
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(first + later))
    assert verify(repo, sample=None).exit_status == 0


def _append(sources: Any, repo: str, start: Any, outcomes: Any) -> None:
    inventory = scan(sources, datetime_pattern=PATTERN)
    outcomes.put("ready")
    start.wait()
    try:
        append(inventory, repo, out_of_order="insert")
        outcomes.put("committed")
    except VirtualTIFFError as error:
        outcomes.put(str(error.kind))


def race_urls(sources: list[Any], repo: str) -> list[str]:
    """Append each of these from a process of its own, all at once; how each ended, sorted."""
    context = multiprocessing.get_context("spawn")
    start, outcomes = context.Event(), context.Queue()
    writers = [
        context.Process(target=_append, args=(each, repo, start, outcomes)) for each in sources
    ]
    for writer in writers:
        writer.start()
    assert [outcomes.get(timeout=120) for _ in writers] == ["ready"] * len(writers)
    start.set()
    found = sorted(outcomes.get(timeout=120) for _ in writers)
    for writer in writers:
        writer.join(60)
    return found


def race(folders: list[Path], repo: str) -> list[str]:
    """As `race_urls`, for folders."""
    return race_urls([str(folder) for folder in folders], repo)


def test_two_processes_append_at_once(tmp_path: Path, repo: str) -> None:
    for number, name in enumerate("abc"):
        write_scenes(tmp_path / name, 2, first=2 * number)
    stack(scanned(tmp_path / "a"), repo)
    assert race([tmp_path / "b", tmp_path / "c"], repo) == ["committed", "committed"]
    every = sorted(tmp_path.glob("*/*.tif"), key=lambda path: path.name)
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(every))
    assert len(messages(repo)) == 3
    # The same images twice: one commit, one clear refusal.
    write_scenes(tmp_path / "d", 1, first=9)
    assert race([tmp_path / "d", tmp_path / "d"], repo) == ["committed", "duplicate"]
    assert opened(open_repository(repo))["time"].size == 7
    assert verify(repo, sample=None).exit_status == 0


def test_a_source_that_changed_is_noticed_by_readers_and_by_verify(
    tmp_path: Path, repo: str
) -> None:
    paths = write_scenes(tmp_path / "tiffs", 3)
    old = 1_700_000_000
    for path in paths:
        os.utime(path, (old, old))
    with RangeServer(tmp_path / "tiffs") as server:
        urls = [f"{server.url}/{path.name}" for path in paths]
        stack(scan(urls, datetime_pattern=PATTERN), repo)
        write_scenes(tmp_path / "tiffs", 1, first=1)
        report = verify(repo)
        assert [finding.status for finding in report.findings] == [
            Status.OK,
            Status.CHANGED,
            Status.OK,
        ]
        dataset = opened(open_repository(repo))
        with pytest.raises(Exception, match="has changed"):
            _ = dataset["data"].values
        methods = {request.method for request in server.requests[-3:]}
        assert methods <= {"HEAD", "GET"}
