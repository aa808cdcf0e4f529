"""The commands for archives, and the documents that describe a cube."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers.archive import opened, read_paths, scanned, write_scene, write_scenes
from virtual_tiff import cli
from virtual_tiff.audit.history import log
from virtual_tiff.audit.stac_item import stac_item
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.stack import stack
from virtual_tiff.publishing.repository import open_repository

PATTERN = ["--datetime-pattern", r"_(\d{8})"]


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_changed_files_are_renewed_after_a_dry_run(
    tmp_path: Path, repo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    assert run("stack", tmp_path / "a", "--to", repo, *PATTERN) == 0
    before = len(log(repo))
    assert run("append", "--changed", "--to", repo, "--dry-run") == 0
    assert "nothing to add" in capsys.readouterr().out
    write_scene(paths[1], seed=7)
    os.utime(paths[1], ns=(10**18, 10**18))
    assert run("append", "--changed", "--to", repo, "--dry-run", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dry_run"], found["replaced"], len(log(repo))) == (True, 1, before)
    assert run("append", "--changed", "--to", repo) == 0
    assert "1 image replaced" in capsys.readouterr().out
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))


def test_a_night_with_nothing_but_a_file_that_does_not_fit(
    tmp_path: Path, repo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named each night, whether or not other files are new."""
    paths = write_scenes(tmp_path / "a", 3)
    assert run("stack", tmp_path / "a", "--to", repo, *PATTERN) == 0
    write_scene(tmp_path / "a" / "scene_20300101.tif", seed=9, shape=(48, 16))
    before = len(log(repo))
    night = ["append", tmp_path / "a", "--to", repo, *PATTERN, "--skip-mismatched"]
    for rule in (["skip"], ["skip", "--dry-run"], ["replace"]):
        capsys.readouterr()
        assert run(*night, "--json", "--on-present", *rule) == 3
        found = json.loads(capsys.readouterr().out)
        assert (found["snapshot_id"], found["known"], len(found["mismatched"])) == (None, 3, 1)
    # A file of the cube that is written again in another size is left out too.
    write_scene(paths[1], seed=7, shape=(48, 16))
    assert run(*night, "--on-present", "replace") == 3
    out = capsys.readouterr().out
    assert "2 files known and unchanged" in out
    assert "2 files left out" in out
    assert len(log(repo)) == before


def test_from_scan_to_verify(tmp_path: Path, repo: str, capsys: pytest.CaptureFixture[str]) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    table = tmp_path / "scenes.parquet"
    assert run("scan", tmp_path / "a", "-o", table, *PATTERN) == 0
    assert capsys.readouterr().out == f"{table}: 3 images, 0 failed\n"
    assert not (tmp_path / ".scenes.parquet.scan").exists()
    assert len(Inventory.read(table)) == 3

    assert run("stack", table, "--to", repo) == 0
    assert "3 images, snapshot" in capsys.readouterr().out
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))

    later = write_scenes(tmp_path / "a", 1, first=3)
    assert run("append", tmp_path / "a", "--to", repo, *PATTERN) == 1
    error = capsys.readouterr().err
    assert "3 of 4 images are in the cube already" in error
    assert error.count("\n") == 1
    assert run("append", tmp_path / "a", "--to", repo, "--on-present", "skip", *PATTERN) == 0
    assert "3 files known and unchanged" in capsys.readouterr().out
    assert run("append", tmp_path / "a", "--to", repo, "--on-present", "skip", *PATTERN) == 0
    assert "nothing to add" in capsys.readouterr().out
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths + later))

    assert run("log", repo) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[2] for line in lines] == [
        "Append 1 image, 2024-02-02: data",
        "Publish 3 images, 2024-01-30 to 2024-02-01: data",
    ]
    assert run("log", repo, "--json") == 0
    assert [c["images"] for c in json.loads(capsys.readouterr().out)] == [1, 3]

    assert run("verify", repo) == 0
    assert capsys.readouterr().out == "4 files: 4 ok; 4 chunks compared\n"
    paths[1].unlink()
    write_scene(paths[2], seed=99)
    report = tmp_path / "report.csv"
    assert run("verify", repo, "-o", report) == 1
    out = capsys.readouterr().out
    assert f"missing      {paths[1].as_uri()}" in out
    assert f"changed      {paths[2].as_uri()}" in out
    assert len(report.read_text().splitlines()) == 5
    assert run("verify", repo, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"ok": 2, "missing": 1, "changed": 1}


def test_failures_and_options(
    tmp_path: Path, repo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenes(tmp_path / "a", 2)
    (tmp_path / "a" / "x_20230101.tif").write_bytes(b"no TIFF at all")
    table = tmp_path / "scenes.parquet"
    assert run("scan", tmp_path / "a", "-o", table, "--executor", "2", *PATTERN) == 3
    out = capsys.readouterr().out
    assert "2 images, 1 failed" in out
    assert "x_20230101.tif" in out
    assert pq.read_table(table).num_rows == 3
    assert run("stack", table, "--to", repo) == 1
    assert "1 of 3 images could not be read" in capsys.readouterr().err
    assert run("stack", table, "--to", repo, "--skip-failed", "--json") == 3
    assert len(json.loads(capsys.readouterr().out)["failed"]) == 1
    assert run("scan", tmp_path / "a", "-o", table, "--executor", "many") == 2
    assert "neither dask nor a number" in capsys.readouterr().err
    assert run("stack", tmp_path / "a", "--to", repo, "--group", "{orbit}", "--skip-failed") == 2
    assert "no column 'orbit'" in capsys.readouterr().err
    assert run("verify", tmp_path / "nowhere") == 1
    assert "no Icechunk repository" in capsys.readouterr().err


@pytest.mark.parametrize("group", ["", "a/{stem}"])
def test_code_that_opens_a_cube(
    group: str, tmp_path: Path, repo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = write_scenes(tmp_path / "a", 2)
    arguments = ("stack", tmp_path / "a", "--to", repo, "--group", group, *PATTERN)
    assert run(*arguments) == 0
    _, told, code = capsys.readouterr().out.partition("Read it where xarray, icechunk and")
    assert told
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code.partition("\n")[2]), names)
    stored = read_paths(paths if group == "" else paths[:1])
    seen = np.where(stored == 7, np.nan, stored)  # as xarray masks nodata
    assert np.array_equal(names["dataset"]["data"].values, seen, equal_nan=True)


def test_times_that_are_not_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scenes(tmp_path / "a", 2)
    arguments = ("scan", tmp_path / "a", "-o", tmp_path / "scenes.parquet")
    assert run(*arguments) == 0
    assert "datetime" not in capsys.readouterr().out
    assert run(*arguments, "--restart", "--datetime-pattern", r"(\d{8})Z") == 0
    assert "2 images without a datetime" in capsys.readouterr().out


def test_images_that_are_there_are_counted_in_all_variables(
    tmp_path: Path, repo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenes(tmp_path / "a", 2)
    for path in sorted((tmp_path / "a").iterdir()):
        path.rename(path.with_name(f"{path.stem}_red.tif"))
        write_scene(path.with_name(f"{path.stem}_nir.tif"), seed=5)
    arguments = (tmp_path / "a", "--to", repo, "--variable-pattern", "_(red|nir)", *PATTERN)
    assert run("stack", *arguments) == 0
    capsys.readouterr()
    assert run("append", *arguments) == 1
    error = capsys.readouterr().err
    assert "4 of 4 images are in the cube already" in error
    assert "Pass --on-present skip" in error


def test_log_of_other_peoples_commits(tmp_path: Path, repo: str) -> None:
    import zarr

    write_scenes(tmp_path / "a", 1)
    stack(scanned(tmp_path / "a"), repo)
    repository = open_repository(repo)
    session = repository.writable_session("main")
    zarr.open_group(session.store).attrs["note"] = "mine"
    session.commit("A note")
    assert [(c.message, c.images) for c in log(repo)] == [
        ("A note", None),
        ("Publish 1 image, 2024-01-30: data", 1),
    ]
    with pytest.raises(RepositoryError):
        log(repo, branch="missing")


def test_log_of_groups(tmp_path: Path, repo: str, capsys: pytest.CaptureFixture[str]) -> None:
    paths = write_scenes(tmp_path / "a", 2)
    table = tmp_path / "scenes.parquet"
    assert run("scan", tmp_path / "a", "-o", table) == 0
    capsys.readouterr()
    assert run("publish", table, "--to", repo, "--group", "days/{stem}", "-q") == 0
    assert capsys.readouterr().out.startswith("Published 2 TIFFs to")
    (commit,) = log(repo)
    assert (commit.action, commit.groups, commit.images) == ("publish", 2, None)
    assert commit.message == f"Publish days/{paths[0].stem}, days/{paths[1].stem}"
    assert run("publish", table, "--to", repo, "--ifd", "0") == 2
    assert "its scan was told to take" in capsys.readouterr().err


def test_overviews(tmp_path: Path, repo: str, capsys: pytest.CaptureFixture[str]) -> None:
    import rasterio

    for path in write_scenes(tmp_path / "a", 2):
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2])
    assert run("stack", tmp_path / "a", "--to", repo, "--overviews", *PATTERN) == 0
    assert "data, 2 levels, 2 new steps" in capsys.readouterr().out
    assert opened(open_repository(repo), "1")["data"].shape == (2, 24, 32)
    later = write_scenes(tmp_path / "b", 1, first=2)
    assert run("append", later[0], "--to", repo, *PATTERN) == 1
    assert "--overviews" in capsys.readouterr().err


def test_stac_item(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 3, shape=(2, 48, 64))
    stack(scanned(tmp_path / "a"), repo, group="s2/t33")
    item: dict[str, Any] = stac_item(repo, group="s2/t33")
    # It is JSON, and what STAC 1.1's Item specification requires is there.
    assert json.loads(json.dumps(item)) == item
    assert {"type", "stac_version", "id", "geometry", "bbox", "properties", "links", "assets"} <= (
        set(item)
    )
    properties = item["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2024-01-30T00:00:00Z"
    assert properties["end_datetime"] == "2024-02-01T00:00:00Z"
    assert properties["proj:code"] == "EPSG:32633"
    assert properties["proj:shape"] == [48, 64]
    assert properties["cube:variables"]["data"]["dimensions"] == ["time", "band", "y", "x"]
    dimensions = properties["cube:dimensions"]
    assert dimensions["x"]["extent"] == [500_005, 500_635]
    assert dimensions["y"]["extent"] == [5_399_525, 5_399_995]
    assert dimensions["y"]["reference_system"] == 32633
    assert dimensions["band"] == {"type": "bands", "values": [1, 2]}
    assert item["bbox"][0] == pytest.approx(15, abs=0.01)
    # The code in it opens the cube.
    code = item["assets"]["cube"]["description"]
    namespace: dict[str, Any] = {}
    from tests.helpers.read import numcodecs_names

    with numcodecs_names():
        exec(code, namespace)
    assert namespace["dataset"].sizes == {"time": 3, "band": 2, "y": 48, "x": 64}
    with pytest.raises(RepositoryError) as caught:
        stac_item(repo)
    assert caught.value.kind == ErrorKind.NOT_FOUND


def test_stac_item_without_time_or_place(tmp_path: Path, repo: str) -> None:
    import pyarrow as pa

    write_scene(tmp_path / "x.tif", crs=None, transform=None)
    inventory = scanned(pa.table({"url": [str(tmp_path / "x.tif")], "depth": [4.5]}))
    stack(inventory, repo, options=CubeOptions(along="depth"))
    item = stac_item(repo, identifier="mine")
    assert (item["id"], item["geometry"]) == ("mine", None)
    assert "bbox" not in item
    assert item["properties"]["datetime"].endswith("Z")
    assert item["properties"]["cube:dimensions"]["depth"] == {"type": "other", "extent": [4.5, 4.5]}
