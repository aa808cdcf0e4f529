"""Inventories of several files: what a scan puts into a folder, again and again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import duckdb
import geopandas  # type: ignore[import-untyped]
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow.parquet as pq
import pytest
from rasterio.transform import Affine

from tests.helpers.archive import PATTERN, opened, read_paths, write_scene, write_scenes
from virtual_tiff import Inventory, open_repository, scan, scan_into, stack
from virtual_tiff.cli import main
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.headers import FileReader
from virtual_tiff.operations import scan_into as module
from virtual_tiff.operations.batches import inventory_files, joined_inventory

TIMES: dict[str, Any] = {"datetime_pattern": PATTERN}


@pytest.fixture(autouse=True)
def _two_files_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILE_ROWS", 2)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose headers were read."""
    found: list[str] = []
    read = FileReader.read

    async def noted(self: FileReader, url: str) -> Any:
        found.append(url.rpartition("/")[2])
        return await read(self, url)

    monkeypatch.setattr(FileReader, "read", noted)
    return found


def whole(folder: Path) -> Inventory:
    return joined_inventory([Inventory.read(file) for file in inventory_files(folder)])


def rows(inventory: Inventory) -> list[dict[str, Any]]:
    return list(inventory.table.drop_columns(["read_at"]).to_pylist())


def test_the_files_have_the_rows_of_a_scan(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 5)
    folder = tmp_path / "scenes"
    found = scan_into(folder, tmp_path / "a", **TIMES)
    assert (found.images, found.known, found.timeless, found.failed.num_rows) == (5, 0, 0, 0)
    files = sorted(file.name for file in folder.iterdir())
    assert files == ["_common_metadata", *(f"part-{n:05}.parquet" for n in range(3))]
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []
    assert rows(whole(folder)) == rows(scan(tmp_path / "a", **TIMES))
    assert stack(folder, str(tmp_path / "repository"), group="cube").images == 5
    cube = opened(open_repository(str(tmp_path / "repository")), "cube")
    assert np.array_equal(cube["data"].values, read_paths(paths))


def test_other_programs_read_the_folder_as_one_table(tmp_path: Path) -> None:
    for number in range(3):
        place = Affine(10, 0, 500_000 + number * 100_000, 0, -10, 5_000_000)
        write_scene(tmp_path / f"x_2024010{number + 1}.tif", transform=place)
    folder = tmp_path / "scenes"
    scan_into(folder, str(tmp_path / "*.tif"), **TIMES)
    frame = geopandas.read_parquet(folder)
    assert len(frame) == 3
    said = json.loads(pq.read_metadata(folder / "_common_metadata").metadata[b"geo"])
    bounds = said["columns"]["geometry"]["bbox"]
    assert bounds == pytest.approx(list(frame.total_bounds), abs=1e-6)
    count = duckdb.connect().execute(f"select count(*) from '{folder}/*.parquet'")
    assert count.fetchall() == [(3,)]


def test_only_what_is_new_or_changed_is_read(tmp_path: Path, reads: list[str]) -> None:
    paths = write_scenes(tmp_path / "a", 5)
    folder = tmp_path / "scenes"
    scan_into(folder, tmp_path / "a", **TIMES)
    reads.clear()
    assert scan_into(folder, tmp_path / "a", **TIMES).known == 5
    assert reads == []
    # The rows of all files move to others.
    write_scene(tmp_path / "a" / "a_20230101.tif")
    write_scene(paths[1], seed=77)
    os.utime(paths[1], (1, 1))
    paths[4].unlink()
    found = scan_into(folder, tmp_path / "a", **TIMES)
    assert (found.images, found.known) == (5, 3)
    assert sorted(reads) == sorted(["a_20230101.tif", paths[1].name])
    assert rows(whole(folder)) == rows(scan(tmp_path / "a", **TIMES))
    reads.clear()
    assert scan_into(folder, tmp_path / "a").known == 0, "other options"
    assert scan_into(folder, tmp_path / "a", restart=True).known == 0
    assert len(reads) == 10


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("table", [False, True])
def test_an_interrupted_scan_goes_on(
    tmp_path: Path, reads: list[str], there: bool, table: bool
) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    folder = tmp_path / "scenes"
    if there:
        scan_into(folder, paths[:1], **TIMES)
    paths = write_scenes(tmp_path / "a", 7)
    sources: Any = tmp_path / "a"
    if table:
        # Rows with the times of a table are not used by later scans, but by those that go on.
        times = pd.date_range("2020-01-01", periods=7, tz="UTC")
        sources = pd.DataFrame({"url": list(map(str, paths)), "datetime": times})
    before = whole(folder).table if there else None
    reads.clear()

    def stop(stage: str, done: int, total: int, failed: int, /) -> None:
        assert total == 7
        if stage == "read" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_into(folder, sources, progress=stop, concurrency=1, **TIMES)
    if before is None:
        assert not folder.exists()
    else:
        assert whole(folder).table.equals(before)
    first = len(reads)
    seen: list[tuple[int, int]] = []
    found = scan_into(
        folder, sources, progress=lambda _, done, total, __: seen.append((done, total)), **TIMES
    )
    assert found.images == 7
    assert len(reads) - first <= 3
    assert seen[-1] == (7, 7)
    assert rows(whole(folder)) == rows(scan(sources, **TIMES))


def test_files_that_fail_are_rows_and_are_read_again(tmp_path: Path, reads: list[str]) -> None:
    write_scenes(tmp_path / "a", 4)
    bad = tmp_path / "a" / "x_20230101.tif"
    bad.write_bytes(b"no TIFF at all")
    folder = tmp_path / "scenes"
    found = scan_into(folder, tmp_path / "a", **TIMES)
    assert (found.images, found.failed["url"].to_pylist()) == (4, [bad.as_uri()])
    write_scene(bad)
    reads.clear()
    found = scan_into(folder, tmp_path / "a", **TIMES)
    assert (found.images, found.known, reads) == (5, 4, [bad.name])


@pytest.mark.parametrize("name", ["scene.tif", "notes.txt", ".git"])
def test_other_folders_are_left_alone(tmp_path: Path, name: str) -> None:
    paths = write_scenes(tmp_path / "a", 1)
    folder = tmp_path / "scenes"
    scan_into(folder, paths)
    (folder / name).write_bytes(b"of somebody")
    with pytest.raises(InvalidOptionError):
        scan_into(folder, paths, restart=True)
    assert (folder / name).read_bytes() == b"of somebody"
    with pytest.raises(InvalidOptionError):
        scan_into(folder / name, paths)


def test_links_and_relative_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    (tmp_path / "disk" / "scenes").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk" / "scenes")
    monkeypatch.chdir(tmp_path / "disk" / "scenes")
    for folder in (link, ".", "../scenes/../scenes"):
        assert scan_into(folder, paths).images == 3
        assert len(whole(tmp_path / "disk" / "scenes")) == 3
        monkeypatch.chdir(tmp_path / "disk" / "scenes")
    assert link.is_symlink()
    assert [each.name for each in (tmp_path / "disk").iterdir()] == ["scenes"]


def test_the_command_takes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scenes(tmp_path / "a", 3)
    command = ["scan", str(tmp_path / "a"), "-o", f"{tmp_path}/scenes/", "--json"]
    command += ["--datetime-pattern", PATTERN]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 3
    (tmp_path / "a" / "x_20230101.tif").write_bytes(b"no TIFF at all")
    # A folder that exists needs no slash.
    command[3] = str(tmp_path / "scenes")
    assert main(command) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["known"], len(found["failed"])) == (3, 3, 1)
    assert len(inventory_files(tmp_path / "scenes")) == 2


@pytest.mark.parametrize("output", ["scenes.parquet", "scenes/"])
def test_a_dry_run_reads_nothing(
    tmp_path: Path, reads: list[str], capsys: pytest.CaptureFixture[str], output: str
) -> None:
    paths = write_scenes(tmp_path / "a", 5)
    target = f"{tmp_path}/{output}"
    arguments = ["scan", str(tmp_path / "a"), "-o", target, "--datetime-pattern", PATTERN]

    def rehearsed(*more: str) -> dict[str, Any]:
        reads.clear()
        assert main([*arguments, "--dry-run", "--json", *more]) == 0
        assert not reads
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    assert rehearsed()["known"] == 0
    assert not Path(target).exists()
    assert main(arguments) == 0
    os.utime(paths[1], (1, 1))
    paths[3].write_bytes(paths[3].read_bytes() + b"more")
    capsys.readouterr()
    found = rehearsed()
    assert (found["files"], found["known"]) == (5, 3)
    assert rehearsed("--restart")["known"] == 0
    assert main(arguments) == 0
    assert sorted(reads) == [paths[1].name, paths[3].name]
