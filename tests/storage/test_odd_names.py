"""Names with odd characters: every door finds the same file, wherever it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import obstore
import pyarrow as pa
import pytest
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore, LocalStore

from tests.helpers.archive import write_scene
from tests.helpers.assemble import plain
from tests.helpers.range_server import RangeServer
from tests.helpers.s3 import make_bucket, moto_server, s3_environment
from virtual_tiff import VirtualTIFF, append, publish, scan, tile_matrix_set, verify
from virtual_tiff.audit.report import Status
from virtual_tiff.errors import ErrorKind, SourceError
from virtual_tiff.inspection.read import info
from virtual_tiff.operations.stack import stack
from virtual_tiff.storage.addresses import chunk_location

#: Each pair holds a name and one that a wrong reading of it finds instead.
NAMES = [
    *("a b.tif", "a%20b.tif"),
    *("c+d.tif", "c d.tif"),
    *("e?f.tif", "e"),
    *("g#h.tif", "g"),
    *("i;j.tif", "i"),
    *("k[1].tif", "k1.tif"),
    *("ü.tif", "%C3%BC.tif"),
    *("100%.tif", "m&n=o.tif", "p:q.tif", "r@s.tif", "t,u'v.tif", "~w.tif"),
]
#: Those that a listing takes for TIFFs.
LISTED = [name for name in NAMES if name.endswith(".tif")]
BUCKET = "odd"
SCHEMES = ("path", "file", "http", "s3")


@dataclass(frozen=True)
class Place:
    """The files as a user names them, their addresses, their folder, and a plain registry."""

    given: Sequence[str]
    addresses: Sequence[str]
    folder: str | None
    registry: ObjectStoreRegistry[Any]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for number, name in enumerate(NAMES):
        write_scene(folder / name, seed=number)
    return folder


@pytest.fixture(scope="module", params=SCHEMES)
def place(request: pytest.FixtureRequest, files: Path) -> Iterator[Place]:
    local = [f"file://{files}/{name}" for name in NAMES]
    match request.param:
        case "path" | "file" as scheme:
            paths = [files / name for name in NAMES]
            given = [p.as_uri() if scheme == "file" else str(p) for p in paths]
            folder = (f"file://{files}" if scheme == "file" else str(files)) + "/"
            yield Place(given, local, folder, ObjectStoreRegistry({"file://": LocalStore()}))
        case "http":
            with RangeServer(files) as server:
                urls = [f"{server.url}/{quote(name)}" for name in NAMES]
                store = HTTPStore(server.url, client_options={"allow_http": True})
                yield Place(urls, urls, None, ObjectStoreRegistry({server.url: store}))
        case "s3":
            with moto_server() as endpoint, pytest.MonkeyPatch.context() as patch:
                for name, value in s3_environment(endpoint).items():
                    patch.setenv(name, value)
                bucket = make_bucket(endpoint, BUCKET)
                for name in NAMES:
                    obstore.put(bucket, f"d/{name}", (files / name).read_bytes())
                urls = [f"s3://{BUCKET}/d/{name}" for name in NAMES]
                registry = ObjectStoreRegistry({f"s3://{BUCKET}": bucket})
                yield Place(urls, urls, f"s3://{BUCKET}/d/", registry)


def table(urls: Sequence[str], first: int = 0) -> pa.Table:
    """Name the files in a table, one for each day."""
    days = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(first + i) for i in range(len(urls))]
    return pa.table({"url": list(urls), "datetime": days})


def published(place: Place, repo: str) -> list[str]:
    return list(publish(list(place.given), repo).groups)


def scanned(place: Place, _: str) -> list[str]:
    found: list[str] = scan(list(place.given)).images.table["url"].to_pylist()
    return found


def stacked(place: Place, repo: str) -> list[str]:
    stack(table(place.given[:3]), repo)
    append(table(place.given[3:], 3), repo)
    return verified(repo)


def published_and_verified(place: Place, repo: str) -> list[str]:
    published(place, repo)
    return verified(repo)


def verified(repo: str) -> list[str]:
    """Files that are found, and whose chunks are those that tifffile reads."""
    report = verify(repo, sample=None)
    assert report.undecided == ()
    assert report.decoded == len(report.findings)
    return [f.url for f in report.findings if f.status == Status.OK]


def inspected(place: Place, _: str) -> list[str]:
    return [file.url for file in info(place.given)]


def tiled(place: Place, _: str) -> list[str]:
    for given in place.given:
        tile_matrix_set(given)
    return list(place.addresses)


def parsed(place: Place, _: str) -> list[str]:
    """As VirtualiZarr calls the parser: with an address, and a registry of obspec-utils."""
    arrays = [VirtualTIFF(ifd=0).plan(u, place.registry).arrays["0"] for u in place.addresses]
    return [array.source.url for array in arrays if array.source is not None]


DOORS: list[Callable[[Place, str], list[str]]] = [
    *(published, published_and_verified, scanned, stacked, inspected, tiled, parsed)
]


@pytest.mark.parametrize("door", DOORS)
def test_every_door_finds_a_file_of_an_odd_name(
    door: Callable[[Place, str], list[str]], place: Place, tmp_path: Path
) -> None:
    found = door(place, str(tmp_path / "repository"))
    assert sorted(map(chunk_location, found)) == sorted(map(chunk_location, place.addresses))


LISTINGS: list[Callable[[str, str], list[str]]] = [
    lambda folder, repo: list(publish(folder, repo).groups),
    lambda folder, repo: list(publish(f"{folder}*.tif", repo).groups),
    lambda folder, repo: scan(folder).images.table["url"].to_pylist(),
    lambda folder, repo: scan(f"{folder}*.tif").images.table["url"].to_pylist(),
    lambda folder, repo: [file.url for file in info(folder)],
]


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_folder_of_odd_names(
    listing: Callable[[str, str], list[str]], place: Place, tmp_path: Path
) -> None:
    if place.folder is None:
        pytest.skip("a web server has no listing")
    found = sorted(listing(place.folder, str(tmp_path / "repository")))
    names = zip(NAMES, place.addresses, strict=True)
    assert found == sorted(address for name, address in names if name in LISTED)


def _unreadable(folder: Path) -> dict[str, str]:
    """Put into a folder what cannot be read; return the kind of the error by name."""
    expected = {}
    for name in ("new\nline.tif", "bell\x07.tif", "esc\x1b[31m.tif", "del\x7f.tif", "return\r.tif"):
        (folder / name).write_bytes(plain())
        expected[name] = str(ErrorKind.NOT_A_FILE)
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.tif")).write_bytes(plain())
    expected[r"bad\udcff.tif"] = str(ErrorKind.NOT_A_FILE)
    os.mkfifo(folder / "fifo.tif")
    (folder / "zero.tif").symlink_to("/dev/zero")
    expected |= dict.fromkeys(("fifo.tif", "zero.tif"), str(ErrorKind.NOT_A_FILE))
    (folder / "dangling.tif").symlink_to("nowhere.tif")
    expected["dangling.tif"] = str(ErrorKind.NOT_FOUND)
    (folder / "cycle.tif").symlink_to("cycle.tif")
    expected["cycle.tif"] = str(ErrorKind.NOT_FOUND)
    (folder / "loop").symlink_to(".")
    return expected


#: Keys of S3, of which the first is found by every wrong reading of a sign.
KEYS = [
    *("%0A.tif", "%.tif", "%zz.tif", "back\\slash.tif", "c1\x85.tif", "\u2028.tif", "\u202e.tif"),
    *("\xa0.tif", " .tif", "\U0001f600.tif", "e\u0301.tif", "\xe9.tif", '"<&amp;>^|`{}.tif'),
    "L" * (1024 - len("d/.tif")) + ".tif",
]
#: Keys that obstore does not read.
UNREADABLE = ["tab\t.tif", "bell\x07.tif", "esc\x1b]0;t\x07.tif", "del\x7f.tif", "return\r.tif"]
UNREADABLE += ["/first.tif", "a//b.tif", "./a.tif", "a/../b.tif"]


def put(endpoint: str, key: str, data: bytes) -> None:
    """Put an object by a plain request, since obstore refuses some keys."""
    name = quote(key, safe="/")
    kind = {"Content-Type": "image/tiff"}
    with urlopen(Request(f"{endpoint}/{BUCKET}/d/{name}", data, kind, method="PUT"), timeout=30):
        pass


@pytest.fixture(scope="module")
def keys(files: Path) -> Iterator[str]:
    """The endpoint of a bucket with a folder of odd keys."""
    with moto_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment(endpoint).items():
            patch.setenv(name, value)
        make_bucket(endpoint, BUCKET)
        for name, file in zip(KEYS, sorted(files.iterdir()), strict=False):
            put(endpoint, name, file.read_bytes())
        yield endpoint


def test_keys_of_s3(keys: str, tmp_path: Path) -> None:
    urls = sorted(f"s3://{BUCKET}/d/{name}" for name in KEYS)
    assert sorted(scan(f"s3://{BUCKET}/d/").images.table["url"].to_pylist()) == urls
    publish(f"s3://{BUCKET}/d/", str(tmp_path / "folder"))
    assert sorted(verified(str(tmp_path / "folder"))) == urls
    for number, url in enumerate(urls):
        repo = str(tmp_path / str(number))
        publish([url], repo)
        assert verified(repo) == [url]


@pytest.mark.parametrize("name", UNREADABLE)
def test_keys_that_cannot_be_read(name: str, keys: str, tmp_path: Path) -> None:
    url = f"s3://{BUCKET}/d/{name}"
    rows = scan([url, f"s3://{BUCKET}/d/{KEYS[0]}"]).table
    assert rows["error_kind"].to_pylist() == [str(ErrorKind.NOT_A_FILE), None]
    assert all(text is None or text.isprintable() for text in rows["error"].to_pylist())
    result = publish([url, f"s3://{BUCKET}/d/{KEYS[0]}"], str(tmp_path / "r"), on_failed="skip")
    assert (len(result.added), len(result.failed)) == (1, 1)


def test_a_folder_with_a_key_that_cannot_be_read(keys: str, tmp_path: Path) -> None:
    """obstore lists nothing of such a folder, so that the error has to name the key."""
    put(keys, "sub/bell\x07.tif", plain())
    for address in (f"s3://{BUCKET}/d/sub/", f"s3://{BUCKET}/d/sub/*.tif"):
        with pytest.raises(SourceError) as caught:
            scan(address)
        assert caught.value.kind == ErrorKind.NOT_A_FILE
        assert str(caught.value).isprintable()
        assert "d/sub/bell" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("form", ["folder", "glob", "deep glob", "paths", "table"])
def test_unprintable_names_do_not_take_their_folder_down(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    sound = {"good.tif", "\u202ertl.tif", "link.tif", "\x9b.tif"}
    for name in ("good.tif", "\u202ertl.tif", "\x9b.tif"):
        (folder / name).write_bytes(plain())
    (folder / "link.tif").symlink_to("good.tif")
    expected = _unreadable(folder)
    paths = [str(folder / name) for name in os.listdir(folder) if name != "loop"]
    sources: object = {
        "folder": folder,
        "glob": f"{folder}/*.tif",
        "deep glob": f"{tmp_path}/**/*.tif",
        "paths": paths,
        "table": pa.table({"url": [p.encode("utf-8", "backslashreplace").decode() for p in paths]}),
    }[form]
    table = scan(sources).table
    found = {
        url.removeprefix(f"file://{folder}/"): kind
        for url, kind in zip(table["url"].to_pylist(), table["error_kind"].to_pylist(), strict=True)
    }
    assert found == {**expected, **dict.fromkeys(sound)}
    assert all(text is None or text.isprintable() for text in table["error"].to_pylist())
    result = publish(sources, str(tmp_path / "repository"), on_failed="skip")
    assert len(result.added) == len(sound)
    assert len(result.failed) == len(expected)
