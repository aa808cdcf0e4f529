"""What was recorded of files is read in parts, and takes few bytes for each of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import icechunk
import numpy as np
import pytest

from tests.helpers.archive import write_scene, write_scenes
from virtual_tiff.audit import recorded
from virtual_tiff.audit.recorded import RecordedStates
from virtual_tiff.audit.report import SCHEMA, Status, VerifyReport
from virtual_tiff.audit.verify import verify
from virtual_tiff.operations.publish import publish
from virtual_tiff.publishing import sources_table
from virtual_tiff.publishing.sources_table import Sources, change_sources

#: Bytes that may be held for each row, and at the peak; an address alone takes 150 in Python.
_HELD, _PEAK = 40, 140


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


@pytest.fixture
def store() -> icechunk.IcechunkStore:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    return repository.writable_session("main").store


def _rows(store: icechunk.IcechunkStore, count: int) -> None:
    names = [f"s3://bucket/a/long/prefix/of/scenes/scene_{n:08}.tif" for n in range(count)]
    change_sources(
        store,
        Sources.of(
            array=np.full(count, "cube/data", np.dtypes.StringDType()),
            position=[f'{{"time": {n}}}' for n in range(count)],
            url=names,
            ifd=np.full(count, "0", np.dtypes.StringDType()),
            band=np.full(count, -1),
            size=np.full(count, 10),
            etag=[f"{n:032x}" for n in range(count)],
            last_modified=np.zeros(count, np.int64),
            header=[""] * count,
        ),
    )


def _memory(store: icechunk.IcechunkStore) -> tuple[int, int]:
    RecordedStates.current(store)
    tracemalloc.start()
    try:
        states = RecordedStates.current(store)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del states
    return held, peak


def test_memory_for_a_row_is_that_of_a_few_numbers(
    store: icechunk.IcechunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources_table, "PART_ROWS", sources_table.CHUNK_ROWS)
    count = 4 * sources_table.CHUNK_ROWS
    _rows(store, count)
    few = _memory(store)
    _rows(store, 3 * count)
    many = _memory(store)
    assert many[0] - few[0] < _HELD * 3 * count
    assert many[1] - few[1] < _PEAK * 3 * count


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 65_536])
def test_parts_of_any_size_give_one_report(
    rows: int, tmp_path: Path, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files with several rows, in several arrays, and of which one was replaced."""
    paths = write_scenes(tmp_path / "a", 5, shape=(2, 64, 64))
    publish(paths, repo, group="tree")
    publish(paths[2:], repo, group="again")
    write_scene(paths[3], shape=(2, 64, 64), seed=7)
    publish(paths, repo, group="tree", on_present="replace")
    paths[0].unlink()
    write_scene(paths[4], shape=(2, 64, 64), seed=8)
    whole = [_both(tmp_path, repo, sample) for sample in (0, None)]
    monkeypatch.setattr(sources_table, "PART_ROWS", rows)
    monkeypatch.setattr(recorded, "PART_ROWS", rows)
    assert [_both(tmp_path, repo, sample) for sample in (0, None)] == whole
    report = whole[0]
    assert {f.url: f.status for f in report.findings if f.status != Status.OK} == {
        paths[0].as_uri(): Status.MISSING,
        paths[3].as_uri(): Status.CHANGED,  # that in `again`
        paths[4].as_uri(): Status.CHANGED,
    }
    assert report.findings[1].status == Status.OK
    assert report.findings[-1] == list(report.findings)[-1]
    assert report.findings[1:3] == list(report.findings)[1:3]
    assert report.table().schema == SCHEMA
    assert report.table()["url"].to_pylist() == [finding.url for finding in report.findings]
    assert report.counts == {Status.OK: 2, Status.MISSING: 1, Status.CHANGED: 2}


def _both(folder: Path, repo: str, sample: int | None) -> VerifyReport:
    report = verify(repo, sample=sample)
    assert verify(repo, sample=sample, listing=f"{folder}/a/") == report
    return report
