"""What `info` reads, and how much of it at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import MemoryStore

from tests.helpers.archive import write_scenes
from tests.helpers.range_server import RangeServer
from virtual_tiff import preview, profile, read_directories
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


READERS: dict[str, Any] = {
    "info": info,
    "profile": profile,
    "read_directories": read_directories,
    "preview": preview,
    "open_dataset": partial(xr.open_dataset, engine="virtual-tiff"),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_path(name: str) -> None:
    for source in (3, None, b"a.tif", object(), "", "x" * 5000 + ".tif", "http://[::1/a.tif"):
        with pytest.raises(VirtualTIFFError):
            READERS[name](source)


@pytest.mark.parametrize("name", READERS)
def test_unknown_options_are_refused(name: str, tmp_path: Path) -> None:
    (path,) = write_scenes(tmp_path, 1)
    for option in ("sidecar", "band", "branch"):
        with pytest.raises(InvalidOptionError, match=option):
            READERS[name](path, **{option: True})


class CountingStore(MemoryStore):
    """Counts the parts of its listings."""

    parts = 0

    def list(self, *arguments: Any, **options: Any) -> Any:
        for part in super().list(*arguments, **options):
            self.parts += 1
            yield part


@pytest.mark.parametrize("place", ["memory://many/", "memory://many/*.tif"])
def test_a_listing_ends_where_there_are_too_many_files(place: str) -> None:
    store = CountingStore()
    for number in range(1200):
        store.put(f"{number:06}.tif", b"")
    registry = ObjectStoreRegistry({"memory://many": store})
    with pytest.raises(InvalidOptionError):
        info(place, registry=registry, limit=20)
    assert 0 < store.parts <= 2
