"""Archives in Azure: Azurite, Microsoft's emulator of Blob Storage, on loopback.

`make test-azure` installs it and runs this. The name of the file keeps it out of `make test`, which
needs no Node; so nothing here is ever skipped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import icechunk
import numpy as np
import obstore
import pytest
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import AzureStore

from tests.helpers.archive import PATTERN, opened, read_paths, write_scene, write_scenes
from tests.publishing.test_faults import race_urls
from virtual_tiff import publish
from virtual_tiff.audit.report import Status
from virtual_tiff.audit.verify import verify
from virtual_tiff.errors import ErrorKind, SourceError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.publishing.repository import open_repository

ROOT = Path(__file__).resolve().parents[2]
AZURITE = Path(__file__).parent / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
CONTAINER = "archive"
#: Documented by Microsoft; the same for everyone.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-08-06"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, on a free port."""
    assert AZURITE.is_file(), "Azurite is not there: `make test-azure` installs it"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("azurite")
    server = subprocess.Popen(
        [
            *("node", str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
            *("--location", str(folder), "--silent", "--disableTelemetry"),
            # Versions of the protocol newer than the emulator.
            "--skipApiVersionCheck",
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            assert server.poll() is None
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def sign(*lines: str) -> str:
    """Authorise a request as Azure's "Authorize with Shared Key" describes."""
    text = "\n".join(lines).encode()
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text, hashlib.sha256).digest()).decode()


def send(address: str, method: str, **headers: str) -> None:
    """Create or delete the container."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION} | headers
    signature = sign(
        method,
        *[""] * 11,
        *(f"{name}:{headers[name]}" for name in sorted(headers)),
        f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}",
        "restype:container",
    )
    call = urllib.request.Request(
        f"{address}/{ACCOUNT}/{CONTAINER}?restype=container",
        method=method,
        headers=headers | {"Authorization": f"SharedKey {ACCOUNT}:{signature}"},
    )
    with urllib.request.urlopen(call, timeout=10):
        pass


@pytest.fixture
def endpoint(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty container, which the public may read, and an environment without credentials."""
    for name in ("KEY", "SAS_TOKEN", "ACCOUNT_NAME", "ACCOUNT_KEY", "USE_EMULATOR", "ENDPOINT"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    send(address, "PUT", **{"x-ms-blob-public-access": "container"})
    yield f"{address}/{ACCOUNT}"
    send(address, "DELETE")


@pytest.fixture
def container(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> AzureStore:
    """The container, and the environment that the how-to about credentials describes."""
    for name, value in {
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        "AZURE_STORAGE_ENDPOINT": endpoint,
        "AZURE_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return AzureStore(CONTAINER)


def store_with_key(endpoint: str) -> AzureStore:
    return AzureStore(
        CONTAINER,
        account_name=ACCOUNT,
        account_key=KEY,
        endpoint=endpoint,
        client_options={"allow_http": True},
    )


def upload(store: AzureStore, paths: list[Path], folder: str) -> list[str]:
    for path in paths:
        obstore.put(store, f"{folder}/{path.name}", path.read_bytes())
    return [f"az://{CONTAINER}/{folder}/{path.name}" for path in paths]


def test_from_a_prefix_to_a_cube_and_back(container: AzureStore, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 4)
    urls = upload(container, paths[:3], "scenes")
    upload(container, paths[3:], "late ü")
    repo = f"az://{CONTAINER}/repository"
    inventory = scan(f"az://{CONTAINER}/scenes/", datetime_pattern=PATTERN)
    assert inventory.table["url"].to_pylist() == urls
    globbed = scan(f"az://{CONTAINER}/**/*_202402*.tif").table["url"].to_pylist()
    assert [url.rsplit("/", 1)[-1] for url in globbed] == [paths[3].name, paths[2].name]
    stack(inventory, repo)
    append(f"az://{CONTAINER}/late ü/", repo, datetime_pattern=PATTERN)
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))
    report = verify(repo, sample=None)
    assert (report.exit_status, report.decoded) == (0, 4)

    obstore.delete(container, "scenes/" + paths[2].name)
    found = {f.url: f.status for f in verify(repo).faults}
    assert found == {urls[2]: Status.MISSING}


READER = """
import sys
sys.modules["virtual_tiff"] = None
import icechunk, numpy, zarr
credentials = icechunk.azure_credentials(from_env=True)
access = icechunk.containers_credentials({"az://archive/": credentials})
storage = icechunk.azure_storage(
    account="devstoreaccount1", container="archive", prefix="repository", from_env=True
)
repository = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
store = repository.readonly_session("main").store
numpy.save(sys.argv[1], zarr.open_array(store, path="data")[...])
"""


def test_readers_need_icechunk_alone(container: AzureStore, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 2)
    stack(
        upload(container, paths, "scenes"),
        f"az://{CONTAINER}/repository",
        datetime_pattern=PATTERN,
    )
    pixels = tmp_path / "pixels.npy"
    done = subprocess.run(
        [sys.executable, "-c", READER, str(pixels)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(pixels), read_paths(paths))


def test_a_changed_source_is_noticed(container: AzureStore, tmp_path: Path) -> None:
    """By verify at once, by its ETag; by readers if its time in whole seconds is another."""
    (tmp_path / "b").mkdir()
    (path,) = write_scenes(tmp_path, 1, COMPRESS="NONE")
    other = tmp_path / "b" / path.name
    write_scene(other, seed=9, COMPRESS="NONE")
    assert path.stat().st_size == other.stat().st_size
    repo = f"az://{CONTAINER}/repository"
    (url,) = upload(container, [path], "scenes")
    stack([url], repo, datetime_pattern=PATTERN)
    # The second of the upload has to be over.
    time.sleep(1.5)
    upload(container, [other], "scenes")
    (fault,) = verify(repo, sample=0).faults
    assert (fault.url, fault.status) == (url, Status.CHANGED)
    assert "ETag" in fault.detail
    with pytest.raises(icechunk.IcechunkError, match="changed"):
        opened(open_repository(repo))["data"].load()


def test_processes_append_at_once(container: AzureStore, tmp_path: Path) -> None:
    """Conditional writes decide between writers: each ends in a commit or one clear conflict."""
    repo = f"az://{CONTAINER}/repository"
    paths = write_scenes(tmp_path, 5)
    urls = upload(container, paths, "scenes")
    stack(urls[:1], repo, datetime_pattern=PATTERN)
    outcomes = race_urls([urls[1:3], urls[3:]], repo)
    assert outcomes in (["committed", "committed"], ["committed", str(ErrorKind.CONFLICT)])
    dataset = opened(open_repository(repo))
    days = [f"{day:%Y%m%d}" for day in dataset["time"].dt.date.values]
    present = [path for path in paths if path.stem[-8:] in days]
    assert len(present) == len(days) == (5 if outcomes[1] == "committed" else 3)
    assert np.array_equal(dataset["data"].values, read_paths(present))
    assert verify(repo, sample=None).exit_status == 0


def test_the_emulator_by_its_own_variables(
    endpoint: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", address)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    paths = write_scenes(tmp_path, 2)
    repo = f"az://{CONTAINER}/repository"
    stack(upload(AzureStore(CONTAINER), paths, "s"), repo, datetime_pattern=PATTERN)
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))
    assert verify(repo, sample=None).exit_status == 0


def test_addresses_that_name_the_account(
    container: AzureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    paths = write_scenes(tmp_path, 3)
    for path in paths:
        obstore.put(container, path.name, path.read_bytes())
    root = f"abfs://{CONTAINER}@{ACCOUNT}.dfs.core.windows.net"
    repo = f"{root}/repository"
    stack([f"{root}/{path.name}" for path in paths[:2]], repo, datetime_pattern=PATTERN)
    append([f"{root}/{paths[2].name}"], repo, datetime_pattern=PATTERN)
    repository = open_repository(repo)
    assert list(repository.config.virtual_chunk_containers or {}) == [f"az://{CONTAINER}/"]
    assert np.array_equal(opened(repository)["data"].values, read_paths(paths))
    report = verify(repo, sample=None)
    assert (report.exit_status, report.decoded) == (0, 3)
    assert report.findings[0].url == f"{root}/{paths[0].name}"


def test_a_registry_says_what_the_environment_does_not(endpoint: str, tmp_path: Path) -> None:
    """Account and endpoint are saved in the repository; credentials are not."""
    (path,) = write_scenes(tmp_path / "tiffs", 1)
    store = store_with_key(endpoint)
    (url,) = upload(store, [path], "scenes")
    repo = str(tmp_path / "repository")
    registry = ObjectStoreRegistry({f"az://{CONTAINER}": store})
    publish([url], repo, names=["scene"], registry=registry)
    storage = icechunk.local_filesystem_storage(repo)
    assert KEY not in str(icechunk.Repository.fetch_config(storage))
    access = icechunk.containers_credentials(
        {f"az://{CONTAINER}/": icechunk.azure_credentials(access_key=KEY)}
    )
    repository = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
    pixels = opened(repository, "scene/0")["image"].values
    assert np.array_equal(pixels, read_paths([path])[0])


def test_a_public_container(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write_scenes(tmp_path / "tiffs", 1)
    (url,) = upload(store_with_key(endpoint), [path], "scenes")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", endpoint)
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    repo = str(tmp_path / "repository")
    publish([url], repo, names=["scene"], anonymous=True)
    pixels = opened(open_repository(repo), "scene/0")["image"].values
    assert np.array_equal(pixels, read_paths([path])[0])
    assert verify(repo, sample=None, anonymous=True).exit_status == 0


def shared_access_signature() -> str:
    """A token to read and list the container (Azure's "Create a service SAS")."""
    end = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    signature = sign(
        *("rl", "", end, f"/blob/{ACCOUNT}/{CONTAINER}", "", "", "", VERSION),
        *("c", "", "", "", "", "", "", ""),
    )
    return f"sv={VERSION}&sr=c&sp=rl&se={quote(end)}&sig={quote(signature, safe='')}"


def test_a_shared_access_signature(
    endpoint: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads; it does not let anyone write a repository."""
    send(address, "DELETE")
    send(address, "PUT")
    (path,) = write_scenes(tmp_path / "tiffs", 1)
    (url,) = upload(store_with_key(endpoint), [path], "scenes")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", endpoint)
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    repo = str(tmp_path / "repository")
    with pytest.raises(SourceError) as raised:
        publish([url], repo, names=["scene"], anonymous=True)
    assert raised.value.kind in (ErrorKind.NOT_AUTHORIZED, ErrorKind.NOT_FOUND)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", shared_access_signature())
    publish([url], repo, names=["scene"])
    pixels = opened(open_repository(repo), "scene/0")["image"].values
    assert np.array_equal(pixels, read_paths([path])[0])
    assert "sig=" not in str(
        icechunk.Repository.fetch_config(icechunk.local_filesystem_storage(repo))
    )
