"""A month of an archive in S3 (moto's server): every night costs the listing and what is new."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import obstore
import pytest
import rasterio
import xarray as xr
from obstore.store import S3Store
from rasterio.transform import Affine

from tests.helpers.archive import FIRST, PATTERN, write_scene
from tests.helpers.counting import Counting, counting
from tests.helpers.make import Pixels
from tests.helpers.read import numcodecs_names
from tests.helpers.s3 import make_bucket, moto_server, s3_environment
from virtual_tiff import cli
from virtual_tiff.audit.describe import describe
from virtual_tiff.audit.history import log
from virtual_tiff.publishing.repository import open_repository

NAMES = ("blue", "green", "nir", "red")
NIGHTS = 30
#: Days of the archive when it is made: 44 files in the first night.
DAYS = 10
SOURCES = "s3://scenes/"
REPO = "s3://archive/repository"
SHIFTED = Affine(10, 0, 500_010, 0, -10, 5_400_000)
OPTIONS = ["--variable-pattern", "_([a-z]+)\\.", "--datetime-pattern", PATTERN]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    with moto_server() as moto, counting(moto) as proxy:
        for name, value in s3_environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        make_bucket(proxy.url, "scenes")
        obstore.put(S3Store("scenes", client_options={"allow_http": True}), "x", b"")
        yield proxy


class Archive:
    """The bucket of the provider, and the pixels that are right, by day and name."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.store = S3Store("scenes", client_options={"allow_http": True})
        call = urllib.request.Request(f"{endpoint}/archive", method="PUT")
        urllib.request.urlopen(call, timeout=10).close()
        self.right: dict[tuple[int, str], Pixels] = {}

    def key(self, day: int, name: str) -> str:
        return f"scene_{FIRST + timedelta(days=day):%Y%m%d}_{name}.tif"

    def put(self, day: int, name: str, *, seed: int | None = None, **options: Any) -> str:
        key = self.key(day, name)
        path = self.folder / key
        write_scene(path, seed=10 * day + NAMES.index(name) if seed is None else seed, **options)
        obstore.put(self.store, key, path.read_bytes())
        with rasterio.open(path) as file:
            self.right[day, name] = file.read(1)
        return key

    def put_day(self, day: int) -> list[str]:
        return [self.put(day, name) for name in NAMES]


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


def read(
    without: frozenset[tuple[int, str]] = frozenset(), **version: Any
) -> dict[tuple[int, str], Pixels]:
    """All images that a version of the cube has, as they are stored, without some of them."""
    session = open_repository(REPO).readonly_session(**version)
    with numcodecs_names():
        cube = xr.open_zarr(
            session.store, consolidated=False, zarr_format=3, chunks=None, mask_and_scale=False
        )
        days = (cube["time"].values - np.datetime64(FIRST)) // np.timedelta64(1, "D")
        found: dict[tuple[int, str], Pixels] = {}
        for name in map(str, cube.data_vars):
            there = cube.coords.get(f"{name}_present")
            for step, day in enumerate(days.tolist()):
                present = there is None or there.values[step]
                if present and (day, name) not in without:
                    found[day, name] = cube[name][step].values
    return found


def same(one: dict[tuple[int, str], Pixels], other: dict[tuple[int, str], Pixels]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def test_a_month(server: Counting, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = Archive(tmp_path, server.url)
    obstore.delete(archive.store, "x")
    for day in range(DAYS):
        archive.put_day(day)
    assert run("stack", SOURCES, "--to", REPO, *OPTIONS, "--json") == 0
    tagged: dict[str, dict[tuple[int, str], Pixels]] = {}
    capsys.readouterr()

    def night(*more: str, status: int = 0) -> dict[str, Any]:
        arguments = [SOURCES, "--to", REPO, *OPTIONS, "--on-present", "replace", "--json", *more]
        assert run("append", *arguments) == status
        out = capsys.readouterr().out
        return json.loads(out) if out else {}

    for number in range(1, NIGHTS + 1):
        day = DAYS + number - 1
        new = archive.put_day(day)
        more: list[str] = []
        if number == 7:
            new.append(archive.put(3, "red", seed=999))
        if number == 12:
            # A pixel to the right: refused, until it is made again, before anything is written.
            good = archive.right[day, "nir"]
            archive.put(day, "nir", transform=SHIFTED)
            before = open_repository(REPO).lookup_branch("main")
            server.take("/scenes/")
            night(status=1)
            assert server.take("/scenes/") == sorted(["LIST", *(f"GET {key}" for key in new)])
            assert open_repository(REPO).lookup_branch("main") == before
            archive.put(day, "nir")
            assert np.array_equal(archive.right[day, "nir"], good)
        if number == 18:
            # A file that is cut off: left out for a night.
            key = archive.key(day, "green")
            obstore.put(archive.store, key, (tmp_path / key).read_bytes()[:200])
            lost = archive.right.pop((day, "green"))
            more = ["--skip-failed"]
        if number == 19:
            new.append(archive.put(day - 1, "green"))
            assert np.array_equal(archive.right[day - 1, "green"], lost)
        if number == 25:
            # Withdrawn by the provider.
            obstore.delete(archive.store, archive.key(5, "blue"))
            del archive.right[5, "blue"]
            assert run("remove", f"{SOURCES}{archive.key(5, 'blue')}", "--from", REPO) == 0
            capsys.readouterr()
        server.take("/scenes/")
        result = night(*more, status=3 if more else 0)
        # Icechunk reads none of the files, and the known ones are not read again.
        assert server.take("/scenes/") == sorted(["LIST", *(f"GET {key}" for key in new)])
        assert result["images"] == len(new) - (number == 18)
        assert result["replaced"] == (number == 7)
        assert len(result["failed"]) == (number == 18)
        if number in (6, 13, 24, 30):
            assert run("tag", REPO, f"night-{number}") == 0
            tagged[f"night-{number}"] = dict(archive.right)
            capsys.readouterr()

    assert len(archive.right) == 4 * (DAYS + NIGHTS) - 1
    assert same(read(branch="main"), archive.right)
    assert run("verify", REPO, "--sample", "-1", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"ok": len(archive.right)}

    # A night without anything new: the listing, and no commit.
    server.take("/scenes/")
    assert night()["snapshot_id"] is None
    assert server.take("/scenes/") == ["LIST"]
    assert run("verify", REPO, "--sample", "0", "--listing", SOURCES, "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"ok": len(archive.right)}
    assert server.take("/scenes/") == ["LIST"]
    # Only what the listing does not show unchanged is asked for.
    key, other = archive.key(8, "red"), archive.key(9, "nir")
    content = (tmp_path / key).read_bytes()
    obstore.put(archive.store, key, content[:-1] + bytes([content[-1] ^ 1]))
    obstore.delete(archive.store, other)
    server.take("/scenes/")
    assert run("verify", REPO, "--sample", "0", "--listing", f"{SOURCES}scene_*.tif", "--json") == 1
    faults = json.loads(capsys.readouterr().out)["faults"]
    assert {fault["url"]: fault["status"] for fault in faults} == {
        f"{SOURCES}{key}": "changed",
        f"{SOURCES}{other}": "missing",
    }
    assert server.take("/scenes/") == sorted(["LIST", f"HEAD {key}", f"HEAD {other}"])
    for name in (key, other):
        obstore.put(archive.store, name, (tmp_path / name).read_bytes())

    commits = len(log(REPO))
    assert commits == 1 + NIGHTS + 1
    assert run("expire", REPO, "--older-than", "0m") == 0
    capsys.readouterr()
    # Readers at every tag get the pixels of that day. What the provider has replaced or withdrawn
    # since is an error there, and no other pixels.
    assert {*tagged} == {*describe(REPO).tags}
    for name, right in tagged.items():
        number = int(name.removeprefix("night-"))
        changed = {(3, "red"): 7, (5, "blue"): 25}
        gone = {image for image, night_of in changed.items() if number < night_of}
        left = {image: pixels for image, pixels in right.items() if image not in gone}
        assert same(read(frozenset(gone), tag=name), left)
        for image in gone:
            others = frozenset(right.keys() - {image})
            with pytest.raises(icechunk.IcechunkError):
                read(others, tag=name)
    assert run("verify", REPO, "--sample", "10") == 0
