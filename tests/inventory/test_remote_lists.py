"""Lists, tables and documents that are not on this machine do not name its files."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore, MemoryStore

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.source_options import SourceOptions
from virtual_tiff.inventory.sources import read_sources

_LOCAL = ["file:///etc/passwd.tif", "/etc/passwd.tif", "../passwd.tif"]


def _item(href: str) -> bytes:
    asset = {"href": href, "type": "image/tiff"}
    return json.dumps({"type": "Feature", "id": "a", "assets": {"a": asset}}).encode()


def _parquet(href: str) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"url": [href]}), file)
    return file.getvalue()


CONTENTS = {
    "list.txt": lambda href: f"memory://lists/good.tif\n{href}\n".encode(),
    "item.json": _item,
    "table.csv": lambda href: f"url\n{href}\n".encode(),
    "table.parquet": _parquet,
}


def _urls(name: str, content: bytes) -> list[str]:
    store = MemoryStore()
    store.put(name, content)
    registry = ObjectStoreRegistry({"memory://lists": store, "file://": LocalStore()})
    table = read_sources(f"memory://lists/{name}", SourceOptions(), registry=registry)
    return list(table["url"].to_pylist())


@pytest.mark.parametrize("href", _LOCAL)
@pytest.mark.parametrize("name", CONTENTS)
def test_a_remote_list_of_local_files(
    name: str, href: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "item.json" and href.startswith(".."):
        # A link that is relative to the document stays in its bucket.
        assert _urls(name, CONTENTS[name](href)) == ["memory://lists/passwd.tif"]
        return
    with pytest.raises(InvalidOptionError) as caught:
        _urls(name, CONTENTS[name](href))
    assert caught.value.url == f"memory://lists/{name}"
    monkeypatch.setenv("VIRTUAL_TIFF_LOCAL_LINKS", "1")
    assert _urls(name, CONTENTS[name](href))[-1].endswith("passwd.tif")


@pytest.mark.parametrize("name", CONTENTS)
def test_a_remote_list_of_remote_files(name: str) -> None:
    assert _urls(name, CONTENTS[name]("s3://bucket/a.tif"))[-1] == "s3://bucket/a.tif"
