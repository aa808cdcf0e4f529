"""Twenty planted faults, in trees of every layout and in a cube: those of docs/how-to/verify.md."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from virtual_tiff.audit.report import Status, VerifyReport
from virtual_tiff.audit.verify import verify
from virtual_tiff.operations.publish import publish
from virtual_tiff.operations.stack import stack
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.publishing.repository import open_repository
from virtual_tiff.tags import Tag

SCALE = '<GDALMetadata><Item name="SCALE" sample="0" role="scale">0.1</Item></GDALMetadata>'


def write(path: Path, seed: int) -> None:
    """Write strips of 64 rows and a short last one; the file is longer than its first GET."""
    data = np.random.default_rng(seed).integers(0, 9999, (200, 256), np.uint16)
    tifffile.imwrite(
        path,
        data,
        rowsperstrip=64,
        compression="zlib",
        predictor=2,
        photometric="minisblack",
        metadata=None,
        extratags=[
            (int(Tag.GDAL_NODATA), "s", 0, "7", True),
            (int(Tag.GDAL_METADATA), "s", 0, SCALE, True),
            (int(Tag.MODEL_PIXEL_SCALE), "d", 3, (10.0, 10.0, 0.0), True),
            (int(Tag.MODEL_TIEPOINT), "d", 6, (0.0, 0.0, 0.0, 500000.0, 5400000.0, 0.0), True),
        ],
    )


def times_kept(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """Change a file in place, so that size, ETag and time stay the same."""

    def kept(path: Path) -> None:
        before = path.stat()
        change(path)
        assert path.stat().st_size == before.st_size
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return kept


def tag(number: Tag, value: object) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        with tifffile.TiffFile(path, mode="r+") as file:
            found: Any = file.pages[0]
            found.tags[int(number)].overwrite(value)

    return times_kept(rewrite)


def chunk(number: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages[0]
            offset, count = page.dataoffsets[number], page.databytecounts[number]
        with path.open("r+b") as opened:
            opened.seek(offset + count // 2)
            opened.write(bytes(16))

    return times_kept(damage)


def swapped_offsets(path: Path) -> None:
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        offsets = page.dataoffsets
    tag(Tag.STRIP_OFFSETS, (offsets[1], offsets[0], *offsets[2:]))(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def older(path: Path) -> None:
    """As `rsync -t` of a file from a backup."""
    write(path, 1000)
    os.utime(path, (1_500_000_000, 1_500_000_000))


def copied_over(path: Path) -> None:
    """As `cp -p` of a file with the same size and time."""
    other = path.with_suffix(".new")
    shutil.copy2(path, other)
    chunk(2)(other)
    other.replace(path)


#: Faults that leave a trace in size, ETag, time or header.
TRACES: dict[str, tuple[Callable[[Path], object], Status]] = {
    "deleted": (Path.unlink, Status.MISSING),
    "a directory": (directory, Status.MISSING),
    "emptied": (lambda path: path.write_bytes(b""), Status.CHANGED),
    "truncated": (lambda path: os.truncate(path, 50_000), Status.CHANGED),
    "grown": (grown, Status.CHANGED),
    "text": (lambda path: path.write_text("moved to another server"), Status.CHANGED),
    "touched": (lambda path: os.utime(path), Status.CHANGED),
    "replaced": (lambda path: write(path, 1000), Status.CHANGED),
    "replaced by an older file": (older, Status.CHANGED),
    "replaced with its size and time": (copied_over, Status.CHANGED),
    "nodata": (tag(Tag.GDAL_NODATA, "8"), Status.CHANGED),
    "scale": (tag(Tag.GDAL_METADATA, SCALE.replace("0.1", "0.2")), Status.CHANGED),
    "photometry": (tag(Tag.PHOTOMETRIC_INTERPRETATION, 0), Status.CHANGED),
    "rows of a strip": (tag(Tag.ROWS_PER_STRIP, 32), Status.CHANGED),
    "predictor": (tag(Tag.PREDICTOR, 1), Status.CHANGED),
    "pixel size": (tag(Tag.MODEL_PIXEL_SCALE, (20.0, 20.0, 0.0)), Status.CHANGED),
    "offsets": (swapped_offsets, Status.CHANGED),
    "pixels in the first 32 KiB": (chunk(0), Status.CHANGED),
}
#: Faults that only a comparison of chunks shows.
PIXELS: dict[str, tuple[Callable[[Path], object], Status]] = {
    "pixels": (chunk(2), Status.DAMAGED),
    "pixels of the short last strip": (chunk(3), Status.DAMAGED),
}
KINDS = {**TRACES, **PIXELS}


def names(report: VerifyReport) -> dict[str, Status]:
    return {Path(finding.url).stem: finding.status for finding in report.faults}


def archive(folder: Path) -> list[str]:
    folder.mkdir()
    for number in range(len(KINDS) + 3):
        write(folder / f"{number:03}.tif", number)
    return sorted(map(str, folder.iterdir()))


def plant(paths: list[str]) -> dict[str, Status]:
    planted = {}
    for path, (fault, status) in zip(paths, KINDS.values(), strict=False):
        fault(Path(path))
        planted[Path(path).stem] = status
    return planted


def check(repo: str, paths: list[str], *, pixels: bool = True) -> None:
    untouched = verify(repo, sample=None, chunks=4)
    assert (names(untouched), len(untouched.findings)) == ({}, len(paths))
    planted = plant(paths)
    traces = dict(list(planted.items())[: len(TRACES)])
    assert names(verify(repo)).items() >= traces.items()
    assert names(verify(repo, sample=0)) == traces
    report = verify(repo, sample=None, chunks=4)
    assert names(report) == (planted if pixels else traces)
    assert report.exit_status == 1


@pytest.mark.parametrize("layout", ["flat", "nested", "multiscale", "pages"])
def test_in_a_tree(layout: Any, tmp_path: Path) -> None:
    assert len(KINDS) == 20
    repo, paths = str(tmp_path / "repository"), archive(tmp_path / "a")
    publish(paths, repo, parser=VirtualTIFF(ifd_layout=layout))
    check(repo, paths)


def test_in_a_cube(tmp_path: Path) -> None:
    repo, paths = str(tmp_path / "repository"), archive(tmp_path / "a")
    stack(paths, repo, datetime_pattern=r"(?P<year>\d{3})\.tif", along="url")
    check(repo, paths)


def test_no_false_alarm_after_garbage_collection_and_removal(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    import zarr

    repo, paths = str(tmp_path / "repository"), archive(tmp_path / "a")[:4]
    publish(paths, repo)
    repository = open_repository(repo)
    session = repository.writable_session("main")
    group = zarr.open_group(session.store)
    del group["000"]
    del group["001"]
    session.commit("Remove two groups")
    # The one is published again after a change, the other is of no concern any more.
    write(Path(paths[0]), 99)
    write(Path(paths[1]), 99)
    publish(paths[:1], repo)
    now = datetime.now(UTC)
    repository = open_repository(repo)
    repository.expire_snapshots(older_than=now)
    repository.garbage_collect(now)
    report = verify(repo, sample=None, chunks=4)
    assert (names(report), report.exit_status) == ({}, 0)
    assert [Path(f.url).stem for f in report.findings] == ["002", "003", "000"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (404, Status.MISSING),
        (410, Status.MISSING),
        (200, Status.CHANGED),
        (403, Status.UNREACHABLE),
    ],
)
def test_answers_of_web_servers(answer: int, status: Status, tmp_path: Path) -> None:
    content = archive(tmp_path / "a")[0]
    data = Path(content).read_bytes()
    answers = {"status": 206}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = data if answers["status"] == 206 else b""
            start, end = 0, len(body)
            if body and (wanted := self.headers["Range"]):
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start, end = int(first), min(int(last) + 1, len(body))
            self.send_response(answers["status"])
            if body:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
            self.send_header("Content-Length", str(end - start))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[start:end])

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        repo = str(tmp_path / "repository")
        publish([f"http://127.0.0.1:{server.server_port}/a.tif"], repo)
        assert verify(repo, sample=0).exit_status == 0
        answers["status"] = answer
        assert [finding.status for finding in verify(repo, sample=0).findings] == [status]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
