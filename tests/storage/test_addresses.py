"""Addresses of files, as users, stores and Icechunk have them, and names of groups."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import icechunk
import pyarrow as pa
import pytest
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import AzureStore, HTTPStore, LocalStore

from tests.helpers.assemble import plain
from virtual_tiff import VirtualTIFF, publish, remove, verify
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError, VirtualTIFFError
from virtual_tiff.inspection.read import info
from virtual_tiff.inventory.scan import scan
from virtual_tiff.publishing.containers import containers_for
from virtual_tiff.publishing.repository import add_containers, create_in
from virtual_tiff.storage.addresses import (
    checksum_of,
    chunk_location,
    linked_url,
    parsed_url,
    source_url,
    split_url,
)
from virtual_tiff.storage.credentials import check_access
from virtual_tiff.storage.resolve import AddressRegistry, resolve_store
from virtual_tiff.storage.stores import registry_for


@pytest.mark.parametrize(
    ("source", "url", "location"),
    [
        ("/d/a b%20.tif", "file:///d/a b%20.tif", "file:///d/a%20b%2520.tif"),
        ("/d/./e/../a?#.tif", "file:///d/a?#.tif", "file:///d/a%3F%23.tif"),
        ("file:///d/a%20b.tif", "file:///d/a b.tif", "file:///d/a%20b.tif"),
        ("file://localhost/d/a.tif", "file:///d/a.tif", "file:///d/a.tif"),
        ("https://h/a%20b.tif", "https://h/a%20b.tif", "https://h/a%20b.tif"),
        ("https://h:1/ü b.tif", "https://h:1/ü b.tif", "https://h:1/%C3%BC%20b.tif"),
        ("s3://b/k%20?#.tif", "s3://b/k%20?#.tif", "s3://b/k%2520%3F%23.tif"),
        ("s3a://b/k.tif", "s3://b/k.tif", "s3://b/k.tif"),
        ("GS://b/k.tif", "gs://b/k.tif", "gs://b/k.tif"),
        (
            "abfss://c@a.dfs.core.windows.net/k ü",
            "abfs://c@a.dfs.core.windows.net/k ü",
            "az://c/k%20%C3%BC",
        ),
    ],
)
def test_an_address_and_its_location(source: str, url: str, location: str) -> None:
    assert source_url(source) == url
    assert chunk_location(url) == location


@pytest.mark.parametrize("name", ["a b.tif", "a%20b.tif", "100%25.tif", "ü%.tif", "x#y?.tif"])
@pytest.mark.parametrize("host", ["", "localhost"])
@pytest.mark.parametrize("is_encoded", [True, False])
def test_both_forms_of_a_file_url(name: str, host: str, is_encoded: bool, tmp_path: Path) -> None:
    """RFC 8089, and `file://` before a path: every door takes both."""
    path = tmp_path / "of %20" / name
    path.parent.mkdir()
    path.write_bytes(plain())
    url = path.as_uri() if is_encoded else f"file://{path}"
    url = url.replace("file://", f"file://{host}")
    address = f"file://{path}"
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    source = VirtualTIFF().plan(url, registry).arrays["0"].source
    assert source is not None
    assert source.url == address
    assert VirtualTIFF()(url, registry)
    assert source_url(url) == address
    folder = url.rpartition("/")[0]
    for given in (url, f"{folder}/", f"{folder}/*.tif", [url], pa.table({"url": [url]})):
        assert scan(given).images.table["url"].to_pylist() == [address]
    repo = tmp_path / "repository %20"
    repo.mkdir()
    location = repo.as_uri() if is_encoded else f"file://{repo}"
    publish(url, location)
    assert repo.is_dir()
    path.unlink()
    # The file is gone: what the repository has recorded says which one is meant.
    remove(url, location)
    assert verify(location).findings == ()


def test_a_file_url_of_two_files_has_escapes(tmp_path: Path) -> None:
    for name in ("a b.tif", "a%20b.tif"):
        (tmp_path / name).write_bytes(plain())
    assert source_url((tmp_path / "a b.tif").as_uri()) == f"file://{tmp_path}/a b.tif"
    assert source_url((tmp_path / "a%20b.tif").as_uri()) == f"file://{tmp_path}/a%20b.tif"
    # A parser is given addresses.
    literal = f"file://{tmp_path}/a%20b.tif"
    assert parsed_url(literal) == literal


def test_removing_a_file_of_two_readings(tmp_path: Path) -> None:
    repo = tmp_path / "repository"
    names = ("a b.tif", "a%20b.tif")
    for name in names:
        (tmp_path / name).write_bytes(plain())
    publish([str(tmp_path / name) for name in names], repo)
    (tmp_path / "a b.tif").unlink()
    remove((tmp_path / "a b.tif").as_uri(), repo)
    assert [f.url for f in verify(repo, sample=0).findings] == [f"file://{tmp_path}/a%20b.tif"]


def test_a_new_repository_at_a_file_url(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(plain())
    publish(tmp_path / "a.tif", (tmp_path / "new one").as_uri())
    assert (tmp_path / "new one").is_dir()
    with pytest.raises(InvalidOptionError):
        publish(tmp_path / "a.tif", "file://host/new")


def test_a_relative_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_url("a.tif") == source_url(Path("a.tif")) == f"file://{tmp_path}/a.tif"


@pytest.mark.parametrize("source", ["", "file://data/a.tif", "https://h/a.tif?signature=1"])
def test_what_is_no_address(source: str) -> None:
    with pytest.raises(InvalidOptionError) as raised:
        source_url(source)
    assert raised.value.kind == ErrorKind.INVALID_OPTION


def test_the_key_that_a_store_is_asked_for() -> None:
    urls = ["file:///d/a?b#c;d%20.tif", "http://h:1/a%20b%3F;.tif", "s3://b/x?y#z%20"]
    registry = registry_for(urls, anonymous=True)
    for each in (registry, pickle.loads(pickle.dumps(registry)), AddressRegistry(registry)):
        keys = [each.resolve(url)[1] for url in urls]
        assert keys == ["d/a?b#c;d%20.tif", "a b?;.tif", "x?y#z%20"]
        assert keys == [split_url(url)[2] for url in urls]


def test_a_store_with_a_prefix_of_odd_characters(tmp_path: Path) -> None:
    folder = tmp_path / "x?y #;%20"
    folder.mkdir()
    local = f"file://{folder}"
    web = "https://h/a%20b"
    registry = AddressRegistry(
        ObjectStoreRegistry({"file://": LocalStore(prefix=folder), web: HTTPStore(web)})
    )
    assert registry.resolve(f"{local}/z?.tif")[1] == "z?.tif"
    assert registry.resolve(f"{web}/c%2Bd.tif")[1] == "c+d.tif"
    # Not in the folder, although its name begins alike.
    assert registry.resolve(f"{local}2/z.tif")[1].endswith("%202/z.tif")
    with pytest.raises(ValueError, match="no store"):
        registry.resolve("https://h/other/c.tif")


def test_a_plain_registry_is_read_as_ours() -> None:
    """As VirtualiZarr calls the parser; the query of a web address is not part of the key."""
    store = HTTPStore("https://h")
    plain = ObjectStoreRegistry({"https://h": store})
    for url in ("https://h/a%20b.tif", "https://h/a%20b.tif?download=1"):
        assert resolve_store(url, plain) == (store, "a b.tif")
    with pytest.raises(SourceError) as raised:
        resolve_store("s3://b/a.tif", plain)
    assert raised.value.kind == ErrorKind.NO_STORE


@pytest.mark.parametrize(
    ("base", "href", "url"),
    [
        ("file:///d/items/i.json", "./a%20b?.tif", "file:///d/items/a%20b?.tif"),
        ("file:///d/items/i.json", "../a.tif", "file:///d/a.tif"),
        ("file:///d/i.json", "/e/a%20b.tif", "file:///e/a%20b.tif"),
        ("file:///d/i.json", "file:///e/a%20b.tif", "file:///e/a b.tif"),
        ("s3://b/k%20/i.json", "a#.tif", "s3://b/k%20/a#.tif"),
        ("https://h/d/i.json", "a%20b.tif", "https://h/d/a%20b.tif"),
        ("https://h/d/i.json", "/e/a.tif", "https://h/e/a.tif"),
        ("https://h/d/i.json", "s3://b/a.tif", "s3://b/a.tif"),
    ],
)
def test_what_a_document_links_to(base: str, href: str, url: str) -> None:
    assert linked_url(base, href) == url


def test_a_folder_and_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source_url("~/a.tif") == f"file://{tmp_path}/a.tif"
    assert source_url("b/", tmp_path) == f"file://{tmp_path}/b/"
    assert source_url("/b.tif", tmp_path) == "file:///b.tif"


def test_a_scheme_without_a_store() -> None:
    with pytest.raises(SourceError) as raised:
        registry_for(["ftp://h/a.tif"])
    assert raised.value.kind == ErrorKind.NO_STORE


def test_checksums() -> None:
    whole = datetime(2024, 1, 1, tzinfo=UTC)
    etag = '"abc"'
    assert checksum_of("s3://b/a", etag, whole) == etag
    assert checksum_of("s3://b/a", 'W/"abc"', whole) == whole
    assert checksum_of("https://h/a", etag, whole) == whole
    # Icechunk keeps whole seconds: what it keeps must not be before the change.
    later = whole.replace(second=1)
    assert checksum_of("file:///a", etag, whole.replace(microsecond=1)) == later
    assert checksum_of("https://h/a", etag, None) is None
    # obstore's time for a server that gives none.
    assert checksum_of("https://h/a", etag, datetime(1970, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("urls", "prefixes"),
    [
        (["file:///d/e/a.tif"], ["file:///d/e/"]),
        (["file:///d/e/a.tif", "file:///d/f/b.tif"], ["file:///d/"]),
        (["file:///d/a.tif", "file:///e/b.tif"], ["file:///d/", "file:///e/"]),
        (["file:///d/my files/e/a.tif"], ["file:///d/"]),
        (["http://h:1/x/a.tif", "https://h/b.tif"], ["http://h:1/", "https://h/"]),
        (["s3://b/x/a.tif", "s3://b/b.tif", "gs://c/a"], ["gs://c/", "s3://b/"]),
        (["abfs://c@account.dfs.core.windows.net/a"], ["az://c/"]),
    ],
)
def test_containers(urls: list[str], prefixes: list[str]) -> None:
    assert [container.prefix for container in containers_for(urls)] == prefixes


@pytest.mark.parametrize("url", ["file:///a.tif", "file:///my files/a.tif", "ftp://h/a.tif"])
def test_files_that_icechunk_cannot_reach(url: str) -> None:
    with pytest.raises(SourceError):
        containers_for([url])


def test_the_azure_account_has_to_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    for look in (containers_for, registry_for):
        with pytest.raises(VirtualTIFFError) as raised:
            look(["az://container/a.tif"])
        assert "AZURE_STORAGE_ACCOUNT_NAME" in str(raised.value)


def test_azure_accounts_are_not_mixed_up() -> None:
    urls = [f"abfs://c@{account}.dfs.core.windows.net/a.tif" for account in ("one", "two")]
    for name in urls:
        containers_for([name])
    with pytest.raises(InvalidOptionError, match="one and two"):
        containers_for(urls)
    repository = create_in(icechunk.in_memory_storage(), containers_for(urls[:1]))
    add_containers(repository, containers_for(urls[:1]))
    with pytest.raises(InvalidOptionError, match="one and two"):
        add_containers(repository, containers_for(urls[1:]))


def test_the_endpoint_of_azure_goes_with_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    (plain,) = containers_for(["az://c/a.tif"], anonymous=True)
    assert plain.store._0 == {"account": "account", "skip_signature": "true"}
    store = AzureStore("c", account_name="own", endpoint="https://own.blob.example.org")
    registry = ObjectStoreRegistry[Any]({"az://c": store})
    (own,) = containers_for(["az://c/a.tif"], registry=registry)
    assert own.store._0 == {"account": "own", "endpoint": "https://own.blob.example.org"}
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1/account")
    (here,) = containers_for(["az://c/a.tif"])
    assert here.store._0["endpoint"] == "http://127.0.0.1:1/account"
    assert here.store._0["allow_http"] == "true"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        # Closing alone does not wake the thread up.
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in kept:
        connection.close()


@pytest.mark.parametrize("look", [check_access, registry_for, scan, info])
def test_missing_credentials_are_noticed_soon(
    look: Callable[[Sequence[str]], object], silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", silent_server)
    start = time.monotonic()
    with pytest.raises(SourceError) as raised:
        look(["s3://bucket/a.tif", "s3://bucket/b.tif", "file:///c.tif"])
    assert raised.value.kind == ErrorKind.NOT_AUTHORIZED
    assert "AWS_ACCESS_KEY_ID" in str(raised.value)
    assert time.monotonic() - start < 20


def test_credentials_are_not_asked_for_in_vain(
    silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", silent_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    start = time.monotonic()
    check_access(["s3://bucket/a.tif", "http://127.0.0.1:1/a.tif"])
    assert time.monotonic() - start < 1
