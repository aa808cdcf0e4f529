"""The scripts that download test data, against a server on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.range_server import RangeServer, Settings

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
REF = "v1.2"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with RangeServer(folder) as running:
        yield running


@pytest.fixture
def folder(server: RangeServer, tmp_path: Path) -> Path:
    """What the server serves."""
    return tmp_path / "server"


def some_bytes(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def blob_name(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def write_repository(folder: Path, repository: str, files: dict[str, bytes], **wrong: str) -> None:
    """Put files where GitHub has them, and the list of them where its API has it."""
    tree: list[dict[str, Any]] = [{"path": "autotest", "type": "tree", "sha": "0" * 40}]
    for path, data in files.items():
        file = folder / repository / REF / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        sha = wrong.get(Path(path).stem, blob_name(data))
        tree.append({"path": path, "type": "blob", "size": len(data), "sha": sha})
    api = folder / "repos" / repository / "git" / "trees" / REF
    api.parent.mkdir(parents=True, exist_ok=True)
    api.write_text(json.dumps({"tree": tree, "truncated": False}))


def run(script: str, to: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), "--to", str(to), *more],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"RUST_BACKTRACE": "0"},
    )


def sync_gdal(server: RangeServer, to: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run("sync_gdal_tiffs.py", to, *("--api", server.url, "--raw", server.url), *more, *REF_)


REF_ = ("--ref", REF)
GDAL_FILES = {
    "autotest/gcore/data/byte.tif": some_bytes(1, 700),
    "autotest/gcore/data/a name.TIF": some_bytes(2, 300_000),
    "autotest/gdrivers/data/netcdf/none.nc": b"not a TIFF",
    "doc/images/other.tif": b"not below autotest",
}


def test_gdal(server: RangeServer, folder: Path, tmp_path: Path) -> None:
    write_repository(folder, "OSGeo/gdal", GDAL_FILES)
    to = tmp_path / "to"
    done = sync_gdal(server, to)
    assert done.returncode == 0, done.stderr
    assert "2 downloaded, 0 kept, 0 removed, 0 failed" in done.stdout
    assert done.stderr == ""
    found = sorted(path.relative_to(to).as_posix() for path in to.rglob("*") if path.is_file())
    assert found == ["gcore/data/a name.TIF", "gcore/data/byte.tif", "manifest.json"]
    for name in ("byte.tif", "a name.TIF"):
        assert (to / "gcore/data" / name).read_bytes() == GDAL_FILES[f"autotest/gcore/data/{name}"]
    manifest = json.loads((to / "manifest.json").read_text())["files"]
    assert manifest["gcore/data/byte.tif"] == {
        "url": f"{server.url}/OSGeo/gdal/{REF}/autotest/gcore/data/byte.tif",
        "size": 700,
        "sha256": hashlib.sha256(GDAL_FILES["autotest/gcore/data/byte.tif"]).hexdigest(),
    }

    server.reset()
    again = sync_gdal(server, to)
    assert "0 downloaded, 2 kept" in again.stdout
    assert len(server.requests) == 1  # the list


def test_geotiff_test_data(server: RangeServer, folder: Path, tmp_path: Path) -> None:
    files = {"rasterio_generated/fixtures/a.tif": b"II*\0", "README.md": b""}
    write_repository(folder, "developmentseed/geotiff-test-data", files)
    to = tmp_path / "to"
    address = ("--api", server.url, "--raw", server.url)
    done = run("sync_geotiff_test_data.py", to, *address, *REF_)
    assert done.returncode == 0, done.stderr
    assert (to / "rasterio_generated/fixtures/a.tif").read_bytes() == b"II*\0"


def test_external_list(server: RangeServer, folder: Path, tmp_path: Path) -> None:
    data = some_bytes(3, 5000)
    (folder / "deep").mkdir()
    (folder / "deep" / "one.tif").write_bytes(data)
    (folder / "two.tif").write_bytes(b"two")
    listed = tmp_path / "list.txt"
    sha256 = hashlib.sha256(data).hexdigest()
    listed.write_text(
        f"# a comment\n{sha256}  {server.url}/deep/one.tif\n\n{server.url}/two.tif # another\n"
    )
    to = tmp_path / "to"
    done = run("sync_external_tiffs.py", to, "--list", str(listed))
    assert done.returncode == 0, done.stderr
    host = server.url.removeprefix("http://").replace(":", "_")
    assert (to / host / "deep" / "one.tif").read_bytes() == data

    # What is not listed any more goes away, and nothing else does.
    (to / "mine.tif").write_bytes(b"")
    listed.write_text(f"{sha256} {server.url}/deep/one.tif\n")
    done = run("sync_external_tiffs.py", to, "--list", str(listed))
    assert "0 downloaded, 1 kept, 1 removed" in done.stdout
    assert not (to / host / "two.tif").exists()
    assert (to / "mine.tif").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ftp://example.com/a.tif", "no URL"),
        ("abc http://example.com/a.tif", "no URL"),
        ("http://example.com/a.tif\nhttp://example.com/a.tif", "twice"),
        ("http://example.com/../../a.tif", "no place below"),
    ],
)
def test_bad_lists_download_nothing(tmp_path: Path, line: str, message: str) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(line)
    done = run("sync_external_tiffs.py", tmp_path / "to", "--list", str(listed))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "to").exists()


def test_the_list_of_the_repository_is_sound(tmp_path: Path) -> None:
    code = "import sync_external_tiffs as s; print(len(s.read_list(s.LIST)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, timeout=60
    )
    assert int(done.stdout) > 3, done.stderr


def etag(url: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10) as answer:
        return str(answer.headers["ETag"])


@pytest.mark.parametrize("changed", [False, True])
def test_resumes_unless_the_file_changed(
    server: RangeServer, folder: Path, tmp_path: Path, changed: bool
) -> None:
    data = some_bytes(4, 100_000)
    (folder / "image.tif").write_bytes(data)
    url = f"{server.url}/image.tif"
    place = tmp_path / "to" / server.url.removeprefix("http://").replace(":", "_")
    place.mkdir(parents=True)
    half = b"x" * 40_000 if changed else data[:40_000]
    (place / "image.tif.part").write_bytes(half)
    tag = '"of another version"' if changed else etag(url)
    (place / "image.tif.part.json").write_text(json.dumps({"url": url, "etag": tag}))
    server.reset()
    listed = tmp_path / "list.txt"
    listed.write_text(url)
    done = run("sync_external_tiffs.py", tmp_path / "to", "--list", str(listed))
    assert done.returncode == 0, done.stderr
    assert (place / "image.tif").read_bytes() == data
    ranges = [request.range for request in server.requests]
    assert ranges == (["bytes=40000-", None] if changed else ["bytes=40000-"])
    assert [path.name for path in place.iterdir()] == ["image.tif"]


def test_broken_connections_are_taken_up_again(
    server: RangeServer, folder: Path, tmp_path: Path
) -> None:
    data = some_bytes(5, 2_000_000)
    (folder / "image.tif").write_bytes(data)
    seed = next(
        seed
        for seed in range(100)
        if Settings(disconnect_rate=0.5, seed=seed).fault("/image.tif", None, 0)
    )
    server.configure(disconnect_rate=0.5, seed=seed)
    listed = tmp_path / "list.txt"
    listed.write_text(f"{server.url}/image.tif")
    done = run("sync_external_tiffs.py", tmp_path / "to", "--list", str(listed))
    assert done.returncode == 0, done.stderr
    (found,) = (tmp_path / "to").rglob("image.tif")
    assert found.read_bytes() == data
    # Not from the beginning again.
    assert sum(request.sent for request in server.requests) < 2 * len(data)
    assert len(server.requests) > 1


def test_wrong_checksums_and_missing_files_are_reported(
    server: RangeServer, folder: Path, tmp_path: Path
) -> None:
    write_repository(folder, "OSGeo/gdal", GDAL_FILES, byte="0" * 40)
    (folder / "OSGeo/gdal" / REF / "autotest/gcore/data/a name.TIF").unlink()
    done = sync_gdal(server, tmp_path / "to")
    assert done.returncode == 1
    assert "0 downloaded, 0 kept, 0 removed, 2 failed" in done.stdout
    assert "git's checksum" in done.stderr
    assert "there is no such file" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "to").rglob("*.*")] == ["manifest.json"]


def test_verify_notices_what_sizes_do_not(
    server: RangeServer, folder: Path, tmp_path: Path
) -> None:
    write_repository(folder, "OSGeo/gdal", GDAL_FILES)
    to = tmp_path / "to"
    assert sync_gdal(server, to).returncode == 0
    file = to / "gcore/data/byte.tif"
    file.write_bytes(bytes(700))
    assert "0 downloaded" in sync_gdal(server, to).stdout
    assert "1 downloaded, 1 kept" in sync_gdal(server, to, "--verify").stdout
    assert file.read_bytes() == GDAL_FILES["autotest/gcore/data/byte.tif"]


def test_a_list_that_cannot_be_had(server: RangeServer, tmp_path: Path) -> None:
    done = sync_gdal(server, tmp_path / "to")
    assert done.returncode == 1
    assert "404" in done.stderr
    assert "Traceback" not in done.stderr
