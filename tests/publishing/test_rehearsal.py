"""A dry run says what a commit would write, with all its checks, and writes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
from rasterio.transform import Affine

from tests.helpers.archive import PATTERN, write_scene, write_scenes
from tests.helpers.special import write_special
from virtual_tiff import append, open_repository, publish, stack
from virtual_tiff.cli import main
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError, RepositoryError
from virtual_tiff.publishing.results import PublishResult

OPTIONS: dict[str, Any] = {"datetime_pattern": PATTERN}
#: Left, bottom, right and top of three rows and columns of tiles.
BOUNDS = (500_000, 5_400_000 - 1440, 500_000 + 1920, 5_400_000)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arrays_of(repo: Path) -> dict[str, tuple[int, ...]]:
    store = open_repository(str(repo)).readonly_session("main").store
    root = zarr.open_group(store, mode="r")
    return {
        path: node.shape
        for path, node in root.members(max_depth=None)
        if isinstance(node, zarr.Array) and not path.startswith("_virtual_tiff")
    }


def assert_same(rehearsed: PublishResult, done: PublishResult, repo: Path) -> None:
    assert rehearsed.dry_run
    assert rehearsed.snapshot_id is None
    shapes = arrays_of(repo)
    planned = {path: array.shape for path, array in rehearsed.planned.items()}
    assert planned == {path: shapes[path] for path in planned}
    for total in ("images", "references", "stored"):
        assert getattr(rehearsed, total) == getattr(done, total)


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks of an array in a repository: how many refer to files, and what is stored of images."""

    shape: tuple[int, ...] = ()
    data_type: str = ""
    virtual: int = 0
    of_images: int = 0
    bytes_of_images: int = 0
    gaps: int = 0


def chunks_of(repo: str) -> dict[str, Chunks]:
    session = open_repository(repo).readonly_session("main")
    root = zarr.open_group(session.store, mode="r")
    found = {}
    for path in arrays_of(Path(repo)):
        array: Any = root[path]
        places = [tuple(place) for place in asyncio.run(places_of(session, path))]
        virtual = icechunk.ChunkType.virtual
        stored = [place for place in places if session.chunk_type(f"/{path}", place) != virtual]
        is_of_images = {"y", "x"} <= set(array.metadata.dimension_names) and path[-1] not in "yx"
        keys = [f"{path}/c/{'/'.join(map(str, place))}" for place in stored if is_of_images]
        present: Any = root.get(f"{path}_present")
        found[path] = Chunks(
            shape=array.chunks,
            data_type=str(array.dtype),
            virtual=len(places) - len(stored),
            of_images=len(keys),
            bytes_of_images=sum(asyncio.run(sizes_of(session.store, keys))),
            gaps=0 if present is None else int((np.asarray(present[...]) == 0).sum()),
        )
    return found


async def places_of(session: icechunk.Session, path: str) -> list[Any]:
    return [place async for place in session.chunk_coordinates(f"/{path}")]


async def sizes_of(store: icechunk.IcechunkStore, keys: Sequence[str]) -> list[int]:
    return [await store.getsize(key) for key in keys]


def test_a_new_cube_and_more_of_it(tmp_path: Path) -> None:
    write_scenes(tmp_path / "a", 3)
    write_scenes(tmp_path / "b", 2, first=3)
    repo = tmp_path / "r"
    first, second = str(tmp_path / "a") + "/", str(tmp_path / "b") + "/"
    rehearsed = stack(first, str(repo), dry_run=True, **OPTIONS)
    assert not repo.exists()
    assert_same(rehearsed, stack(first, str(repo), **OPTIONS), repo)
    assert set(rehearsed.planned) == set(arrays_of(repo))
    before = files_in(repo)
    rehearsed = append(second, str(repo), dry_run=True, **OPTIONS)
    assert files_in(repo) == before
    assert rehearsed.planned["data"].shape[0] == 5
    assert_same(rehearsed, append(second, str(repo), **OPTIONS), repo)
    with pytest.raises(InvalidOptionError) as caught:
        append(second, str(repo), dry_run=True, **OPTIONS)
    assert caught.value.kind == ErrorKind.DUPLICATE
    with pytest.raises(RepositoryError):
        stack(second, str(repo), dry_run=True, **OPTIONS)


def test_a_tree_with_chunks_to_copy(tmp_path: Path) -> None:
    write_special("gdal:lerc-deflate-short", tmp_path / "a.tif")
    repo = tmp_path / "r"
    rehearsed = publish(str(tmp_path / "a.tif"), str(repo), dry_run=True)
    assert not repo.exists()
    done = publish(str(tmp_path / "a.tif"), str(repo))
    assert_same(rehearsed, done, repo)
    assert rehearsed.planned["a/0/image"].bytes_stored > 0
    before = files_in(repo)
    rehearsed = publish(str(tmp_path / "a.tif"), str(repo), group="b", dry_run=True)
    assert files_in(repo) == before
    assert "b/a/0/image" in rehearsed.planned
    with pytest.raises(RepositoryError):
        publish(str(tmp_path / "a.tif"), str(repo), dry_run=True)


def test_gaps_are_counted(tmp_path: Path) -> None:
    write_scenes(tmp_path, 3, nodata=0, prefix="red")
    write_scenes(tmp_path, 2, nodata=0, prefix="nir")
    result = stack(
        str(tmp_path) + "/",
        str(tmp_path / "r"),
        dry_run=True,
        variable_pattern=r"/(red|nir)_",
        **OPTIONS,
    )
    assert {path: array.gaps for path, array in result.planned.items() if array.gaps} == {"nir": 1}


def test_gaps_that_stay_are_counted(tmp_path: Path) -> None:
    """Of an array of presence that an append fills in part, only a chunk is written."""
    paths = write_scenes(tmp_path / "a", 4, nodata=0, prefix="red")
    paths[:0] = write_scenes(tmp_path / "a", 1, nodata=0, prefix="nir")
    options: dict[str, Any] = {**OPTIONS, "variable_pattern": r"/(red|nir)_"}
    stack([str(path) for path in paths], str(tmp_path / "r"), **options)
    write_scenes(tmp_path / "b", 1, first=1, nodata=0, prefix="nir")
    result = append(f"{tmp_path / 'b'}/", str(tmp_path / "r"), dry_run=True, **options)
    assert {path: array.gaps for path, array in result.planned.items() if array.gaps} == {"nir": 2}


def test_mismatches_are_found(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    write_scenes(tmp_path, 1, first=2, dtype="int32")
    with pytest.raises(MismatchError):
        stack(str(tmp_path) + "/", str(tmp_path / "r"), dry_run=True, **OPTIONS)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scenes(tmp_path / "a", 3)
    arguments = [str(tmp_path / "a") + "/", "--to", str(tmp_path / "r"), "--dry-run"]
    assert main(["stack", *arguments, "--datetime-pattern", PATTERN]) == 0
    out = capsys.readouterr().out
    assert "/data (time 3, " in out
    assert "nothing was written" in out
    assert main(["publish", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dry_run"]
    assert len([path for path in found["planned"] if path.endswith("/image")]) == 3
    assert not (tmp_path / "r").exists()


def write_tiles(folder: Path, places: Sequence[tuple[int, int, int]], **options: Any) -> None:
    """Write tiles of two rows and columns for these dates, rows and columns."""
    for day, i, j in places:
        left, top = 500_000 + 640 * j, 5_400_000 - 480 * i
        where = Affine(10, 0, left, 0, -10, top)
        path = folder / f"{'ab'[i]}{j}_2024010{day}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_scene(path, seed=9 * day + 2 * i + j, transform=where, **options)


ALL = [(day, i, j) for day in (1, 2) for i in (0, 1) for j in (0, 1)]
DANGLING: dict[str, Any] = {"BLOCKXSIZE": 48, "BLOCKYSIZE": 32}
SHORT: dict[str, Any] = {"TILED": "NO", "BLOCKYSIZE": 20, "BLOCKXSIZE": 64}
PLANES: dict[str, Any] = {"shape": (3, 48, 64), "INTERLEAVE": "BAND"}
STITCHED: dict[str, Any] = {"stitch": True, "along": "datetime"}
#: Places that are there at first and later, options of the images, and those of the cube.
ARRANGEMENTS: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
    "dates": (ALL[:1], ALL[4:5], {}, {}),
    "short strips": (ALL[:1], ALL[4:5], SHORT, {}),
    "without coordinates": (ALL[:1], ALL[4:5], {}, {"coordinates": False}),
    "an earlier date": (ALL[4:5], ALL[:1], {}, {}),
    "bands": (ALL[:1], ALL[4:5], PLANES, {"split_bands": True}),
    "variables": (ALL, [(3, 0, 0)], {}, {"variable_pattern": r"/([ab])", **STITCHED}),
    "cubes": (ALL, [(3, 0, 0), (3, 1, 1)], {}, {"group": "of/{row}/{column}"}),
    "regular": (ALL[:-1], [ALL[-1], (3, 0, 1)], {}, STITCHED),
    "regular that grows": ([(1, 1, 1)], [(1, 0, 0), (2, 1, 1)], {}, STITCHED),
    "tiles": (ALL[1:], [ALL[0], (3, 0, 0)], DANGLING, STITCHED),
    "tiles of short strips": (ALL[1:], [(3, 0, 0)], SHORT, STITCHED),
    "tiles of planes": (ALL[:6], ALL[6:], PLANES | DANGLING, {**STITCHED, "grid": "tiles"}),
    "room": (ALL[:2], ALL[2:4], {}, {"stitch": True, "bounds": BOUNDS}),
    "filled": (
        ALL[1:],
        ALL[:1],
        {"nodata": None},
        {**STITCHED, "on_gap": "fill", "fill_value": 9},
    ),
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_what_is_said_is_what_is_written(name: str, tmp_path: Path) -> None:
    """Of every array of a new cube, and of one that grows."""
    there, added, images, options = ARRANGEMENTS[name]
    repo = str(tmp_path / "r")
    given: dict[str, Any] = {**OPTIONS, "columns": {"row": "/([ab])", "column": r"/[ab](\d)"}}
    given |= options
    calls: list[tuple[Any, Any]] = [(there, stack), (added, append)]
    for number, (places, publish_) in enumerate(calls):
        folder = tmp_path / str(number)
        write_tiles(folder, places, **images)
        more = {"out_of_order": "insert"} if publish_ is append else {}
        rehearsed = publish_(str(folder), repo, dry_run=True, **given, **more)
        before = chunks_of(repo) if publish_ is append else {}
        assert_same(rehearsed, publish_(str(folder), repo, **given, **more), Path(repo))
        after = chunks_of(repo)
        changed = {path for path in after if after[path] != before.get(path)}
        assert changed <= rehearsed.planned.keys()
        for path, array in rehearsed.planned.items():
            now, then = after[path], before.get(path, Chunks())
            assert (array.chunks, array.data_type) == (now.shape, now.data_type)
            assert array.references == now.virtual - then.virtual, path
            assert array.gaps == now.gaps, path
            assert array.stored == now.of_images - then.of_images, path
            assert array.bytes_stored == now.bytes_of_images - then.bytes_of_images, path
