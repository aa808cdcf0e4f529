"""What `info` reads, and how much of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.archive import write_scenes
from tests.helpers.range_server import RangeServer
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.inspection.read import info


def test_so_many_files_at_once_in_the_order_they_were_named(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 12)
    with RangeServer(tmp_path, latency=0.02) as server:
        urls = [f"{server.url}/{path.name}" for path in reversed(paths)]
        assert [file.url for file in info(urls, concurrency=3)] == urls
        assert 1 < server.statistics["peak_waiting"] <= 3


def test_one_file_and_a_folder(tmp_path: Path) -> None:
    first, second = write_scenes(tmp_path, 2)
    assert [file.url for file in info(str(first))] == [f"file://{first}"]
    assert [file.url for file in info(tmp_path)] == [f"file://{first}", f"file://{second}"]


def test_nothing_and_something_broken(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError) as nothing:
        info([])
    assert nothing.value.kind == ErrorKind.NO_SOURCES
    (path,) = write_scenes(tmp_path, 1)
    (tmp_path / "broken.tif").write_bytes(b"broken")
    with pytest.raises(VirtualTIFFError) as broken:
        info([path, tmp_path / "broken.tif"])
    assert broken.value.url == f"file://{tmp_path}/broken.tif"
