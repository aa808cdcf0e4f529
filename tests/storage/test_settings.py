"""Settings from the environment: each does what its row in the reference says."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import AzureStore, HTTPStore, LocalStore, S3Store

import virtual_tiff
from tests.helpers.archive import write_scenes
from tests.helpers.range_server import RangeServer
from virtual_tiff import (
    VirtualTIFF,
    info,
    preview,
    profile,
    publish,
    read_directories,
    scan,
    stack,
)
from virtual_tiff.cli import main
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.publishing.containers import s3_settings
from virtual_tiff.publishing.repository import storage_at
from virtual_tiff.storage.settings import MEANINGS, own_server
from virtual_tiff.storage.stores import registry_for

PACKAGE = Path(virtual_tiff.__file__).parent


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    logger = logging.getLogger("virtual_tiff")
    yield
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()


def test_every_variable_is_in_the_table() -> None:
    code = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    own = {name for name in MEANINGS if name.startswith("VIRTUAL_TIFF_")}
    assert set(re.findall(r"VIRTUAL_TIFF_[A-Z_]+", code)) == own


def test_prefetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write_scenes(tmp_path, 1)
    monkeypatch.setenv("VIRTUAL_TIFF_PREFETCH", "600")
    with RangeServer(tmp_path) as server:
        url = f"{server.url}/{path.name}"
        info(url)
        scan([url])
        info(url, prefetch=700)
        firsts = [r.range for r in server.requests if (r.range or "").startswith("bytes=0-")]
    assert firsts.count("bytes=0-599") == 2
    assert firsts.count("bytes=0-699") == 1
    assert VirtualTIFF(prefetch=16).prefetch == 16


def test_concurrency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_scenes(tmp_path, 12)
    monkeypatch.setenv("VIRTUAL_TIFF_CONCURRENCY", "2")
    with RangeServer(tmp_path, latency=0.02) as server:
        urls = [f"{server.url}/{path.name}" for path in paths]
        info(urls, concurrency=10)
        scan(urls)
        assert server.statistics["peak_waiting"] == 2


@pytest.mark.parametrize("name", ["PREFETCH", "CONCURRENCY", "LOG"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "9" * 30])
def test_wrong_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (path,) = write_scenes(tmp_path, 1)
    monkeypatch.setenv(f"VIRTUAL_TIFF_{name}", value)
    assert main(["info", str(path)]) == 2
    if name != "LOG":
        with pytest.raises(InvalidOptionError):
            info(path)


@pytest.mark.parametrize("name", ["RETRY_SECONDS", "TIMEOUT_SECONDS"])
@pytest.mark.parametrize("value", ["-1", "x", "nan", "inf", "1e300", "10s"])
def test_wrong_seconds(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"VIRTUAL_TIFF_{name}", value)
    with pytest.raises(InvalidOptionError, match=name):
        registry_for(["https://host/a.tif"])


def test_no_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 is no repetition, but no time for a request is a mistake."""
    monkeypatch.setenv("VIRTUAL_TIFF_RETRY_SECONDS", "0")
    registry_for(["https://host/a.tif"])
    for value in ("0", "-0.0"):
        monkeypatch.setenv("VIRTUAL_TIFF_TIMEOUT_SECONDS", value)
        with pytest.raises(InvalidOptionError, match="TIMEOUT_SECONDS"):
            registry_for(["https://host/a.tif"])


#: Addresses of servers to which obstore sends no request, but panics.
NO_SERVERS = [
    *("localhost:9000", "minio", "", "//minio:9000", "ftp://host", "http://", "https://a b"),
    *("http://host:99999", "http://[::1", "http:host", "https://host/?x=1", "http://hôst"),
]


@pytest.mark.parametrize("address", NO_SERVERS)
@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("AWS_ENDPOINT_URL", "s3://b/a.tif"),
        ("AWS_ENDPOINT_URL_S3", "s3://b/a.tif"),
        ("AWS_ENDPOINT", "s3://b/a.tif"),
        ("VIRTUAL_TIFF_SOURCE_ENDPOINT", "s3://b/a.tif"),
        ("AZURE_STORAGE_ENDPOINT", "az://c/a.tif"),
    ],
)
def test_addresses_that_are_no_servers(
    monkeypatch: pytest.MonkeyPatch, address: str, variable: str, url: str
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    if variable.startswith("VIRTUAL") and not address:
        pytest.skip("an empty variable of ours is not set")
    monkeypatch.setenv(variable, address)
    for read in (info, scan):
        with pytest.raises(InvalidOptionError, match=variable) as caught:
            read([url], anonymous=True)
        assert caught.value.remedy
    if url.startswith("s3://"):
        with pytest.raises(InvalidOptionError, match=variable):
            s3_settings({"endpoint": own_server(variable)} if "VIRTUAL" in variable else {})
    if not variable.startswith("VIRTUAL"):
        with pytest.raises(InvalidOptionError, match=variable):
            storage_at(url)


@pytest.mark.parametrize("address", NO_SERVERS[:-4])
def test_options_that_are_no_servers(address: str, tmp_path: Path) -> None:
    (path,) = write_scenes(tmp_path, 1)
    repo = str(tmp_path / "repo")
    command = ["publish", str(path), "--to", repo]
    assert main([*command, "--source-endpoint", address]) == 2
    assert main([*command, "--repository-endpoint", address]) == 2


def doors(url: str, registry: Any) -> Iterator[Callable[[], object]]:
    """All that reads a file with a registry of the caller."""
    yield lambda: info(url, registry=registry)
    yield lambda: scan(url, registry=registry)
    yield lambda: scan(url.rpartition("/")[0] + "/", registry=registry)
    yield lambda: VirtualTIFF()(url, registry)
    yield lambda: profile(url, registry=registry)
    yield lambda: list(read_directories(url, registry=registry))
    yield lambda: preview(url, registry=registry)
    yield lambda: xr.open_dataset(url, engine="virtual-tiff", registry=registry)
    yield lambda: publish(url, "unused", registry=registry)
    yield lambda: stack(url, "unused", registry=registry)


@pytest.mark.parametrize("address", NO_SERVERS)
def test_stores_of_the_caller_that_have_no_server(address: str) -> None:
    store = S3Store("b", endpoint=address, region="eu", skip_signature=True)
    for read in doors("s3://b/a.tif", ObjectStoreRegistry({"s3://b": store})):
        with pytest.raises(InvalidOptionError, match="s3://b") as caught:
            read()
        assert caught.value.remedy


def test_other_stores_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    azure = AzureStore("c", account_name="a", endpoint="here:80", skip_signature=True)
    web = HTTPStore("localhost:80/files")
    for url, prefix, store in (("az://c/a.tif", "az://c", azure), ("http://h/a", "http://h", web)):
        with pytest.raises(InvalidOptionError, match=prefix):
            info(url, registry=ObjectStoreRegistry({prefix: store}))
    monkeypatch.setenv("AWS_ENDPOINT", "localhost:9000")
    registry = ObjectStoreRegistry({"s3://b": S3Store("b", region="eu")})
    with pytest.raises(InvalidOptionError, match="AWS_ENDPOINT"):
        VirtualTIFF()("s3://b/a.tif", registry)


def test_what_is_no_registry(tmp_path: Path) -> None:
    (path,) = write_scenes(tmp_path, 1)
    for registry in (3, {"file://": LocalStore()}, LocalStore()):
        for read in doors(path.as_uri(), registry):
            with pytest.raises(InvalidOptionError, match="registry"):
                read()


def test_the_repository_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_TIFF_REPOSITORY_ENDPOINT", "localhost:9000")
    with pytest.raises(InvalidOptionError, match="REPOSITORY_ENDPOINT"):
        storage_at("s3://bucket/repository")


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("AWS_REQUEST_PAYER", "s3://b/a.tif"),
        ("AWS_SKIP_SIGNATURE", "s3://b/a.tif"),
        ("AWS_ALLOW_HTTP", "s3://b/a.tif"),
        ("GOOGLE_SKIP_SIGNATURE", "gs://b/a.tif"),
        ("AZURE_SKIP_SIGNATURE", "abfs://c@a.dfs.core.windows.net/a.tif"),
        # Only obstore reads these.
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "s3://b/a.tif"),
        ("AWS_TIMEOUT", "s3://b/a.tif"),
    ],
)
@pytest.mark.parametrize("value", ["maybe", "2", " true"])
def test_wrong_switches(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidOptionError, match=variable):
        scan([url])


def test_all_words_for_who_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What obstore takes for yes when it reads headers, the repository tells its readers."""
    for word, pays in [("requester", True), ("1", True), ("Yes", True), ("no", False)]:
        monkeypatch.setenv("AWS_REQUEST_PAYER", word)
        registry_for(["s3://b/a.tif"], anonymous=True)
        assert s3_settings({})["requester_pays"] is pays


def test_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_scenes(tmp_path, 1)
    with RangeServer(tmp_path) as server:
        url = f"{server.url}/{path.name}"
        assert main(["info", url]) == 0
        assert capsys.readouterr().err == ""
        monkeypatch.setenv("VIRTUAL_TIFF_LOG", "debug")
        assert main(["info", f"{url}?sig=secret"]) == 0
    logged = capsys.readouterr().err
    assert "bytes 0 to 32767" in logged
    assert path.name in logged
    assert "secret" not in logged
