"""No secret stands in anything that is written: repository, inventory, checkpoint, logs, code.

Secrets of every kind are planted wherever texts come from; then every byte that was written is
decompressed and searched.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import rasterio
import tifffile
import zarr
from obstore.store import S3Store

from tests.helpers.archive import write_scene
from tests.helpers.s3 import make_bucket, moto_server, s3_environment
from tests.storage.test_secrets import SECRETS
from virtual_tiff import VirtualTIFF, append, publish, scan, stack, verify
from virtual_tiff.audit.history import log
from virtual_tiff.audit.stac_item import stac_item
from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.publishing.repository import open_repository

_SECRET = "hunter2"
_ZSTD = b"\x28\xb5\x2f\xfd"
#: As authors write them: several addresses, with text around, also JSON in JSON.
TEXT = "see " + " and ".join(SECRETS) + " for more"
NESTED = json.dumps({"links": [json.dumps({"href": url}) for url in SECRETS], "mail": "a@b.c"})


def pieces(data: bytes) -> Iterator[bytes]:
    """Yield bytes and whatever is compressed in them, frame by frame."""
    yield data
    at = data.find(_ZSTD)
    while at >= 0:
        try:
            with pa.input_stream(pa.BufferReader(data[at:]), compression="zstd") as stream:
                yield stream.read(2**24)
        except OSError:
            pass  # these four bytes begin no frame
        at = data.find(_ZSTD, at + 1)


def check_bytes(name: str, data: bytes) -> None:
    for piece in pieces(data):
        for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
            at = piece.find(_SECRET.encode(encoding))
            assert at < 0, f"{name}: {piece[max(0, at - 200) : at + 100]!r}"


def check_folder(folder: Path) -> int:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        check_bytes(str(path), path.read_bytes())
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            check_bytes(str(path), repr(table.to_pydict()).encode())
            check_bytes(str(path), repr(table.schema.metadata).encode())
    return len(files)


def check_repository(repo: str) -> list[str]:
    """Read all metadata and all values of arrays, which Icechunk's own files hold compressed."""
    session = open_repository(repo).readonly_session("main")
    group = zarr.open_group(session.store, mode="r", zarr_format=3)
    check_bytes(repo, json.dumps(dict(group.attrs)).encode())
    found = []
    for path, member in group.members(max_depth=None):
        found.append(path)
        check_bytes(path, path.encode() + json.dumps(dict(member.attrs)).encode())
        if isinstance(member, zarr.Array) and member.ndim < 2:
            check_bytes(path, repr(np.asarray(member[...]).tolist()).encode())
    check_bytes(repo, repr(log(repo)).encode())
    check_bytes(repo, repr(verify(repo)).encode())
    return found


def test_the_search_finds_what_is_compressed() -> None:
    stream = pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, "zstd") as compressed:
        compressed.write(TEXT.encode())
    data = b"head" + stream.getvalue().to_pybytes()
    assert _SECRET.encode() not in data
    with pytest.raises(AssertionError):
        check_bytes("", data)


def write_with_secrets(path: Path, seed: int) -> None:
    """Write a TIFF whose tags and sidecar have secrets in their texts."""
    write_scene(path, seed=seed, shape=(2, 48, 64))
    with rasterio.open(path, "r+") as file:
        file.update_tags(note=TEXT, nested=NESTED, **{f"see {SECRETS[0]}": "a key"})
        file.update_tags(1, source=TEXT)
        file.update_tags(ns=SECRETS[4], of="a domain")
        file.set_band_description(1, SECRETS[7])
        file.set_band_unit(1, SECRETS[8])
        file.update_tags(
            TIFFTAG_IMAGEDESCRIPTION=NESTED, TIFFTAG_SOFTWARE=TEXT, TIFFTAG_DOCUMENTNAME=SECRETS[1]
        )
    aux = "".join(
        f"<MDI key='{i}'>{url.replace('&', '&amp;')}</MDI>" for i, url in enumerate(SECRETS)
    )
    beside = path.with_name(path.name + ".aux.xml")
    beside.write_text(f"<PAMDataset><Metadata>{aux}</Metadata></PAMDataset>")


@pytest.mark.parametrize("layout", ["flat", "nested", "multiscale", "pages"])
def test_texts_of_tiffs_and_sidecars(layout: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_with_secrets(path, 1)
    if layout == "pages":
        path = tmp_path / "ome.ome.tif"
        channels = {
            "Channel": {"Name": [SECRETS[0], SECRETS[5]]},
            "axes": "CYX",
            "Name": SECRETS[7],
        }
        tifffile.imwrite(path, np.zeros((2, 8, 8), np.uint8), ome=True, metadata=channels)
    repo = str(tmp_path / "repository")
    publish(
        [path], repo, parser=VirtualTIFF(ifd_layout=layout, sidecars=True), message=f"As {TEXT}"
    )
    assert check_folder(tmp_path / "repository") > 3
    assert len(check_repository(repo)) > 3
    message = log(repo)[0].message
    assert message.startswith("As see ")
    assert message.endswith(" for more")


def _root(repo: str) -> zarr.Group:
    store = open_repository(repo).readonly_session("main").store
    return zarr.open_group(store, mode="r", zarr_format=3)


def test_the_rest_of_a_text_stays(tmp_path: Path) -> None:
    path, repo = tmp_path / "a.tif", str(tmp_path / "repository")
    write_with_secrets(path, 1)
    publish([path], repo, ifd_layout="flat")
    (array,) = [m for p, m in _root(repo).members(max_depth=None) if p == "a/0"]
    tags = json.loads(str(array.attrs["tiff"]))
    assert tags["Software"].startswith("see https://…@host/a.tif and https://…@host/a.tif and ")
    inner = json.loads(tags["ImageDescription"])
    assert inner["mail"] == "a@b.c"
    assert [json.loads(link)["href"] for link in inner["links"]][4] == "https://host/a.tif#token=…"


def test_columns_of_tables(tmp_path: Path) -> None:
    paths = [tmp_path / "files" / f"{number}.tif" for number in range(3)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        write_with_secrets(path, number)
    signed = [f"https://host/{number}?sig={_SECRET}{number}" for number in range(3)]
    table = pa.table(
        {
            "url": [str(path) for path in paths],
            "step": [f"https://host/{number}" for number in range(3)],
            "signed": signed,
            "coded": pa.array(signed).dictionary_encode(),
            "large": pa.array(signed, pa.large_string()),
            "several": [SECRETS] * 3,
            "nested": [{"href": {"of": SECRETS}, "n": 1}] * 3,
            "pairs": pa.array([[("k", SECRETS[0])]] * 3, pa.map_(pa.string(), pa.string())),
            "text": [TEXT, NESTED, None],
        }
    )
    kept = tmp_path / "out" / "checkpoint"
    kept.mkdir(parents=True)
    inventory = scan(table, checkpoint=kept)
    assert pc.all(pc.ends_with(inventory.table["signed"], "?sig=…")).as_py()
    assert inventory.table["nested"].to_pylist()[0]["n"] == 1
    check_bytes("inventory", repr(inventory.table.to_pydict()).encode())
    inventory.write(tmp_path / "out" / "inventory.parquet")
    repo = str(tmp_path / "out" / "repository")
    stack(inventory, repo, along="step", message=TEXT)
    # Someone adds columns to the table of an inventory.
    later = inventory.table.slice(2).append_column("again", pa.array([signed[2]]))
    by_hand = Inventory(later.set_column(later.column_names.index("step"), "step", [["z " + TEXT]]))
    append(by_hand, repo, along="step")
    Inventory.from_arrow(later).write(tmp_path / "out" / "again.parquet")
    publish(inventory, str(tmp_path / "out" / "tree"))
    assert check_folder(tmp_path / "out") > 10
    check_repository(repo)


def test_addresses_in_an_inventory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_scene(path)
    table = scan([path]).table
    for url in SECRETS:
        changed = table.set_column(0, table.schema.field(0), [[url]])
        with pytest.raises(InvalidOptionError) as caught:
            Inventory(changed)
        assert caught.value.kind == ErrorKind.INVALID_OPTION
        assert _SECRET not in str(caught.value)


def test_properties_of_stac_items(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_with_secrets(path, 1)
    item = {
        "type": "Feature",
        "id": SECRETS[0],
        "collection": SECRETS[1],
        "properties": {
            "datetime": "2024-01-01T00:00:00Z",
            "source": TEXT,
            "providers": [{"url": url} for url in SECRETS],
            "nested": {"href": SECRETS[3]},
        },
        "assets": {
            "data": {
                "href": path.as_uri(),
                "type": "image/tiff; application=geotiff",
                "raster:bands": [{"name": SECRETS[4]}] * 2,
            },
            "preview": {"href": SECRETS[8], "type": "image/png"},
        },
        "links": [{"rel": "self", "href": SECRETS[6]}],
    }
    inventory = scan(item)
    check_bytes("inventory", repr(inventory.table.to_pydict()).encode())
    repo = str(tmp_path / "repository")
    stack(inventory, repo, item_properties=["source"])
    check_folder(tmp_path / "repository")
    check_repository(repo)
    check_bytes("item", json.dumps(stac_item(repo)).encode())
    for url in SECRETS:
        item["assets"]["data"]["href"] = url  # type: ignore[index]
        with pytest.raises(InvalidOptionError) as caught:
            scan(item)
        assert _SECRET not in str(caught.value)


def test_what_commands_print(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_with_secrets(path, 1)
    (tmp_path / "out").mkdir()
    repo, cube = str(tmp_path / "repository"), str(tmp_path / "out" / "cube")
    log_ = str(tmp_path / "out" / "log")
    for arguments in (
        ["info", str(path)],
        ["info", "--json", str(path)],
        ["publish", str(path), "--to", repo, "--message", TEXT],
        ["publish", str(path), "--to", repo, "--json"],
        ["log", repo],
        ["log", repo, "--json"],
        ["verify", repo],
        ["info", repo],
        ["describe", repo],
        ["describe", repo, "--json"],
        ["stack", str(path), "--to", cube, "--along", "url", "--message", TEXT],
        ["describe", cube, "--stac"],
        ["describe", SECRETS[3]],
        ["preview", str(path), "-o", str(tmp_path / "out" / "a.png")],
        ["preview", SECRETS[4], "-o", str(tmp_path / "out" / "b.png")],
        ["tag", repo, f"see {SECRETS[5]}"],
        ["remove", SECRETS[6], "--from", repo],
        ["append", str(path), "--to", cube, "--along", "url"],
        ["publish", SECRETS[0], "--to", repo],
        ["publish", str(path), "--to", SECRETS[3]],
        ["verify", SECRETS[3]],
        ["scan", SECRETS[8], "-o", str(tmp_path / "never.parquet")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "virtual_tiff.cli", *arguments, "--log-file", log_],
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert b"Traceback" not in done.stderr, arguments
        check_bytes(" ".join(arguments)[:40], done.stdout + done.stderr)
        assert b"no such option" not in done.stderr.lower(), arguments
    check_folder(tmp_path / "repository")
    assert check_folder(tmp_path / "out") > 5


def test_credentials_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Icechunk reads them from the environment again; the repository has the endpoint alone."""
    with moto_server() as endpoint:
        environment = {
            **s3_environment(endpoint),
            "AWS_ACCESS_KEY_ID": f"{_SECRET}key",
            "AWS_SECRET_ACCESS_KEY": f"{_SECRET}secret",
            "AWS_SESSION_TOKEN": f"{_SECRET}token",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        bucket: S3Store = make_bucket(endpoint, "archive")
        write_scene(tmp_path / "a.tif")
        obstore.put(bucket, "a.tif", (tmp_path / "a.tif").read_bytes())
        result = publish(["s3://archive/a.tif"], "s3://archive/repository")
        check_bytes("result", repr(result).encode())
        objects = [each["path"] for page in bucket.list() for each in page]
        assert len(objects) > 4
        for name in objects:
            check_bytes(name, bytes(bucket.get(name).buffer()))
        check_repository("s3://archive/repository")
