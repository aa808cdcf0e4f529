"""Credentials and settings of clouds: what requests say, for headers of TIFFs and for their chunks.

A server on loopback is every bucket, and notes what it is asked. docs/how-to/credentials.md says in
prose what is tested here.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import icechunk
import numpy as np
import pytest
from obspec_utils.registry import ObjectStoreRegistry
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from tests.helpers.archive import opened, read_paths, write_scene
from virtual_tiff import CubeOptions, publish, stack
from virtual_tiff.cli import main
from virtual_tiff.errors import ErrorKind, SourceError
from virtual_tiff.publishing.repository import open_repository


class Listener(ThreadingHTTPServer):
    """Serves one file at every path, and notes the headers of the requests."""

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data = data
        self.headers: list[dict[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    """One request; the part of S3 that readers use."""

    protocol_version = "HTTP/1.1"
    server: Listener

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.headers.append(headers)
        data = self.server.data
        first, last = (
            int(number) if number else len(data) - 1
            for number in headers["range"].removeprefix("bytes=").split("-")
        )
        part = data[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.send_header("ETag", '"0123"')
        self.send_header("Last-Modified", "Tue, 02 Jan 2024 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A server that is every bucket, and an environment that has no credentials."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    # Neither files of this machine nor the services of a cloud.
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    path = tmp_path / "scene.tif"
    write_scene(path)
    with Listener(path.read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        yield server
        server.shutdown()
        thread.join()


def read_scene(repo: Path, url: str = "s3://bucket/scene.tif", **options: Any) -> Any:
    publish([url], str(repo), names=["scene"], **options)
    return opened(open_repository(str(repo)), "scene/0")["image"].values


def users(listener: Listener) -> set[str | None]:
    """Whose keys the requests were signed with."""
    found = set()
    for headers in listener.headers:
        match = re.search(r"Credential=(\w+)/", headers.get("authorization", ""))
        found.add(match and match.group(1))
    return found


def set_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_keys_of_the_environment(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_keys(monkeypatch)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    pixels = read_scene(tmp_path / "repository")
    assert np.array_equal(pixels, read_paths([tmp_path / "scene.tif"])[0])
    assert users(listener) == {"FROMENV"}
    assert {headers["x-amz-security-token"] for headers in listener.headers} == {"token"}
    assert not any("x-amz-request-payer" in headers for headers in listener.headers)


def test_public_buckets_are_scanned(listener: Listener, tmp_path: Path) -> None:
    table = str(tmp_path / "scenes.parquet")
    assert main(["scan", "s3://bucket/scene.tif", "-o", table, "--anonymous"]) == 0
    options = CubeOptions(along="width")
    cube = str(tmp_path / "cube")
    stack(["s3://bucket/scene.tif"], cube, anonymous=True, options=options)
    assert len(listener.headers) == 2
    assert users(listener) == {None}


@pytest.mark.parametrize("by", ["option", "variable"])
def test_public_buckets(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "variable":
        monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    read_scene(tmp_path / "repository", anonymous=by == "option")
    assert len(listener.headers) > 1
    assert users(listener) == {None}


def payers(listener: Listener) -> set[str | None]:
    return {headers.get("x-amz-request-payer") for headers in listener.headers}


def test_the_requester_pays_for_headers(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_keys(monkeypatch)
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    repo = str(tmp_path / "repository")
    publish(["s3://bucket/scene.tif"], repo)
    assert payers(listener) == {"requester"}
    config = icechunk.Repository.fetch_config(icechunk.local_filesystem_storage(repo))
    assert "requester_pays=True" in str(config and config.virtual_chunk_containers)


@pytest.mark.xfail(
    strict=True, reason="Icechunk 2.3.0 does not say it for virtual chunks: docs/design/upstream.md"
)
def test_the_requester_pays_for_pixels(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_keys(monkeypatch)
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    read_scene(tmp_path / "repository")
    assert payers(listener) == {"requester"}


def test_profiles(listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Icechunk reads them, obstore does not: a registry with boto3's credentials does."""
    (tmp_path / "credentials").write_text(
        "[mine]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "mine")
    with pytest.raises(SourceError) as raised:
        read_scene(tmp_path / "repository")
    assert raised.value.kind == ErrorKind.NOT_AUTHORIZED
    assert listener.headers == []
    store = S3Store(
        "bucket",
        region="us-east-1",
        client_options={"allow_http": True},
        credential_provider=Boto3CredentialProvider(boto3.session.Session(profile_name="mine")),
    )
    read_scene(tmp_path / "repository", registry=ObjectStoreRegistry({"s3://bucket": store}))
    assert len(listener.headers) > 1
    assert users(listener) == {"FROMPROFILE"}


@pytest.mark.parametrize(
    "variable",
    ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_SERVICE_ACCOUNT_KEY"],
)
def test_key_files_of_google(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The key itself names the server, so that requests show that it was read."""
    for name in [name for name in os.environ if name.startswith("GOOGLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GOOGLE_ALLOW_HTTP", "true")
    key = json.dumps(
        {
            "gcs_base_url": f"http://127.0.0.1:{listener.server_address[1]}",
            "disable_oauth": True,
            **dict.fromkeys(("client_email", "private_key", "private_key_id"), ""),
        }
    )
    file = tmp_path / "key.json"
    file.write_text(key)
    monkeypatch.setenv(variable, key if variable.endswith("KEY") else str(file))
    pixels = read_scene(tmp_path / "repository", "gs://bucket/scene.tif")
    assert np.array_equal(pixels, read_paths([tmp_path / "scene.tif"])[0])
    assert len(listener.headers) > 1
