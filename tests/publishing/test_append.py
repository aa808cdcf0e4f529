"""Publishing archives and appending to them: one commit each, all or nothing."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pyarrow as pa
import pytest
import zarr
from rasterio.transform import Affine
from virtualizarr import open_virtual_mfdataset
from zarr.buffer import default_buffer_prototype

from tests.helpers.archive import (
    PATTERN,
    opened,
    read_paths,
    scanned,
    write_scenes,
)
from tests.helpers.read import local_registry, numcodecs_names
from virtual_tiff import VirtualTIFF
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    MismatchError,
    RepositoryError,
    VirtualTIFFError,
)
from virtual_tiff.inventory.scan import scan
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.publishing.cube import CubePart
from virtual_tiff.publishing.repository import open_repository
from virtual_tiff.publishing.sources_table import read_sources_table


def snapshots(repo: str) -> list[Any]:
    """Commits, the newest first, without the empty one that every repository begins with."""
    repository = open_repository(repo)
    return [s for s in repository.ancestry(branch="main") if s.parent_id is not None]


def read(repo: str, group: str = "", **options: Any) -> Any:
    return opened(open_repository(repo), group, **options)


def manifests(repo: str) -> set[str]:
    return {path.name for path in (Path(repo) / "manifests").iterdir()}


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def test_publish_then_append(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    first = stack(scanned(tmp_path / "a"), repo)
    assert (first.images, first.failed, first.unchecked) == (3, {}, ())
    later = write_scenes(tmp_path / "b", 2, first=3)
    second = append(scanned(tmp_path / "b"), repo)
    assert second.added[""].steps == 2

    dataset = read(repo)
    assert np.array_equal(dataset["data"].values, read_paths(paths + later))
    assert dataset["time"].size == 5
    log = snapshots(repo)
    assert [s.id for s in log] == [second.snapshot_id, first.snapshot_id]
    assert log[0].message == "Append 2 images, 2024-02-02 to 2024-02-03: data"
    assert log[1].message == "Publish 3 images, 2024-01-30 to 2024-02-01: data"
    assert log[0].metadata["added"][""]["images"] == 2

    session = open_repository(repo).readonly_session("main")
    sources = read_sources_table(session.store)
    assert sources["url"].tolist() == [path.as_uri() for path in paths + later]
    assert sources["array"].tolist() == ["data"] * 5
    assert sources["position"][0] == '{"time": "2024-01-30T00:00:00.000000"}'
    # The first commit still reads as it was.
    with numcodecs_names():
        old = zarr.open_array(
            open_repository(repo).readonly_session(snapshot_id=first.snapshot_id).store,
            path="data",
            mode="r",
        )
    assert old.shape[0] == 3


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_georeferencing_is_written_once(tmp_path: Path, repo: str) -> None:
    import rioxarray  # noqa: F401

    path = write_scenes(tmp_path / "a", 2)[0]
    stack(scanned(tmp_path / "a"), repo)
    dataset = read(repo, mask_and_scale=True)
    import rasterio

    with rasterio.open(path) as file:
        assert dataset.rio.crs == file.crs
        assert dataset.rio.transform() == file.transform
        assert dataset["data"].rio.bounds() == tuple(file.bounds)
    assert set(dataset.coords) == {"time", "x", "y", "spatial_ref"}
    without = str(tmp_path / "without")
    stack(scanned(tmp_path / "a"), without, options=CubeOptions(coordinates=False))
    assert set(read(without).coords) == {"time", "spatial_ref"}


def test_what_is_there_is_refused_or_skipped(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    inventory = scanned(tmp_path / "a")
    stack(inventory, repo)
    later = write_scenes(tmp_path / "a", 1, first=3)
    before = snapshots(repo)
    with pytest.raises(InvalidOptionError, match="3 of 4 images are in the cube") as caught:
        append(scanned(tmp_path / "a"), repo)
    assert caught.value.kind == ErrorKind.DUPLICATE
    assert caught.value.url == paths[0].as_uri()
    assert [s.id for s in snapshots(repo)] == [s.id for s in before]

    result = append(scanned(tmp_path / "a"), repo, on_present="skip")
    assert (result.images, result.added[""].skipped) == (1, 3)
    assert np.array_equal(read(repo)["data"].values, read_paths(paths + later))
    again = append(scanned(tmp_path / "a"), repo, on_present="skip")
    assert again.snapshot_id is None
    assert len(snapshots(repo)) == 2

    with pytest.raises(RepositoryError) as exists:
        stack(inventory, repo)
    assert exists.value.kind == ErrorKind.CONFLICT
    with pytest.raises(RepositoryError) as coordinate:
        stack(inventory, repo, options=CubeOptions(name="other"))
    assert coordinate.value.kind == ErrorKind.CONFLICT


def test_late_images_are_refused_or_inserted(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 2)
    write_scenes(tmp_path / "a", 2, first=5)
    stack(scanned(tmp_path / "a"), repo)
    write_scenes(tmp_path / "b", 2, first=3)
    write_scenes(tmp_path / "b", 1, first=9)
    with pytest.raises(MismatchError, match="2 of 3 steps come before the last of the cube"):
        append(scanned(tmp_path / "b"), repo)
    append(scanned(tmp_path / "b"), repo, out_of_order="insert")
    every = sorted([*(tmp_path / "a").iterdir(), *(tmp_path / "b").iterdir()], key=lambda p: p.name)
    dataset = read(repo)
    assert np.array_equal(dataset["data"].values, read_paths(every))
    assert dataset.indexes["time"].is_monotonic_increasing


def test_a_variable_and_a_gap_can_be_filled_later(tmp_path: Path, repo: str) -> None:
    red = write_scenes(tmp_path, 3, prefix="B04")
    green = write_scenes(tmp_path, 4, prefix="B03")

    def table(paths: list[Path]) -> Any:
        names = [path.name[:3] for path in paths]
        return scanned(pa.table({"url": [str(p) for p in paths], "band": names}))

    options = CubeOptions(variable="band")
    stack(table([*red, green[0]]), repo, options=options)
    append(table(green[1:]), repo, options=options)
    dataset = read(repo)
    assert np.array_equal(dataset["B03"].values, read_paths(green))
    assert np.array_equal(dataset["B04"].values[:3], read_paths(red))
    assert np.all(dataset["B04"].values[3] == 7)
    blue = write_scenes(tmp_path, 2, first=2, prefix="B02")
    append(table(blue), repo, options=options)
    dataset = read(repo)
    assert np.array_equal(dataset["B02"].values[2:], read_paths(blue))
    assert np.all(dataset["B02"].values[:2] == 7)


MISFITS: dict[str, dict[str, Any]] = {
    "crs": {"crs": "EPSG:32634"},
    "transform": {"transform": Affine(10, 0, 500_010, 0, -10, 5_400_000)},
    "shape": {"shape": (48, 80)},
    "chunk grid": {"BLOCKXSIZE": 16},
    "codecs": {"COMPRESS": "LZW"},
    "fill value": {"nodata": 9},
    "data type": {"dtype": "int32"},
    "dimension names": {"shape": (2, 48, 64)},
}


@pytest.mark.parametrize("what", MISFITS)
def test_misfits_leave_the_cube_as_it_was(what: str, tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 2)
    stack(scanned(tmp_path / "a"), repo)
    before = snapshots(repo)
    odd = write_scenes(tmp_path / "b", 1, first=5, **MISFITS[what])[0]
    with pytest.raises(MismatchError) as caught:
        append(scanned(tmp_path / "b"), repo)
    assert what.lower() in caught.value.message.lower()
    assert caught.value.url == odd.as_uri()
    assert [s.id for s in snapshots(repo)] == [s.id for s in before]
    assert np.array_equal(read(repo)["data"].values, read_paths(paths))


def test_failed_rows(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 2)
    broken = tmp_path / "a" / "scene_20240301.tif"
    broken.write_bytes(b"not a TIFF, though it says so")
    inventory = scanned(tmp_path / "a")
    with pytest.raises(VirtualTIFFError, match="1 of 3 images could not be read") as caught:
        stack(inventory, repo)
    assert (caught.value.kind, caught.value.url) == (ErrorKind.NOT_A_TIFF, broken.as_uri())
    assert not Path(repo).exists()
    result = stack(inventory, repo, on_failed="skip")
    assert (result.images, list(result.failed)) == (2, [broken.as_uri()])


def test_tree_of_cubes(tmp_path: Path, repo: str) -> None:
    paths, tiles = [], []
    for number, tile in enumerate(("T32", "T33")):
        shift = Affine(10, 0, 500_000 + 10_000 * number, 0, -10, 5_400_000)
        paths += write_scenes(tmp_path / tile, 2, transform=shift)
        tiles += [tile, tile]
    inventory = scanned(pa.table({"url": [str(p) for p in paths], "tile": tiles}))
    with pytest.raises(MismatchError):
        stack(inventory, repo)
    result = stack(inventory, repo, group="grids/{tile}")
    assert list(result.added) == ["grids/T32", "grids/T33"]
    for number, tile in enumerate(("T32", "T33")):
        cube = read(repo, f"grids/{tile}")
        assert np.array_equal(cube["data"].values, read_paths(paths[2 * number : 2 * number + 2]))
    later = write_scenes(tmp_path / "T33", 1, first=7, transform=shift)
    more = scanned(pa.table({"url": [str(p) for p in later], "tile": ["T33"]}))
    append(more, repo, group="grids/{tile}")
    assert read(repo, "grids/T33")["time"].size == 3
    assert read(repo, "grids/T32")["time"].size == 2
    assert len(snapshots(repo)) == 2
    with pytest.raises(InvalidOptionError, match="no column 'orbit'"):
        stack(inventory, repo, group="{orbit}")


def test_a_cube_must_be_there_to_append(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 1)
    with pytest.raises(RepositoryError) as caught:
        append(scanned(tmp_path / "a"), repo)
    assert caught.value.kind == ErrorKind.REPOSITORY_NOT_FOUND
    stack(scanned(tmp_path / "a"), repo)
    with pytest.raises(RepositoryError) as missing:
        append(scanned(tmp_path / "a"), repo, group="elsewhere")
    assert missing.value.kind == ErrorKind.NOT_FOUND


def test_foreign_repositories_are_left_alone(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 1)
    theirs = icechunk.Repository.create(icechunk.local_filesystem_storage(repo))
    session = theirs.writable_session("main")
    zarr.create_group(session.store)
    session.commit("theirs")
    with pytest.raises(RepositoryError) as caught:
        stack(scanned(tmp_path / "a"), repo, group="mine")
    assert caught.value.kind == ErrorKind.REPOSITORY_EXISTS
    stack(scanned(tmp_path / "a"), repo, group="mine", into_existing=True)
    assert read(repo, "mine")["time"].size == 1


def test_appending_rewrites_only_the_last_manifest(tmp_path: Path, repo: str) -> None:
    """Manifests are cut along the dimension that grows, so history is not written again."""
    import virtual_tiff.publishing.manifests as committing

    write_scenes(tmp_path / "a", 6)
    with pytest.MonkeyPatch.context() as patch:
        # Two steps of six chunks each in one manifest.
        patch.setattr(committing, "MANIFEST_REFERENCES", 12)
        stack(scanned(tmp_path / "a"), repo)
    before = manifests(repo)
    write_scenes(tmp_path / "b", 2, first=6)
    append(scanned(tmp_path / "b"), repo)
    assert read(repo)["time"].size == 8
    # One for the new references; those of small arrays are inline or their own.
    session = open_repository(repo).readonly_session("main")
    assert before & manifests(repo) == before
    assert len(session.all_virtual_chunk_locations()) == 8 * 6


@pytest.mark.parametrize("writers", [4])
def test_concurrent_appends_in_one_process(writers: int, tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "first", 1)
    stack(scanned(tmp_path / "first"), repo)
    inventories = []
    for number in range(writers):
        write_scenes(tmp_path / str(number), 2, first=1 + 2 * number)
        inventories.append(scanned(tmp_path / str(number)))
    errors: list[BaseException] = []

    def work(inventory: Any) -> None:
        try:
            append(inventory, repo, out_of_order="insert")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in inventories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    every = sorted(tmp_path.glob("*/*.tif"), key=lambda path: path.name)
    assert np.array_equal(read(repo)["data"].values, read_paths(every))
    assert len(snapshots(repo)) == 1 + writers


def test_conflict_is_planned_anew(tmp_path: Path) -> None:
    """Another commit between the session and its commit: both end up in the cube."""
    write_scenes(tmp_path / "a", 1)
    write_scenes(tmp_path / "b", 1, first=1)
    write_scenes(tmp_path / "c", 1, first=2)
    repo = icechunk.in_memory_storage()
    stack(scanned(tmp_path / "a"), repo)
    inventories = {name: scanned(tmp_path / name) for name in "bc"}
    original = CubePart.write
    raced: list[bool] = []

    def racing(part: CubePart, session: icechunk.Session) -> Any:
        written = original(part, session)
        if not raced:
            raced.append(True)
            append(inventories["b"], repo)
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CubePart, "write", racing)
        append(inventories["c"], repo)
    repository = open_repository(repo)
    every = sorted(tmp_path.glob("*/*.tif"), key=lambda path: path.name)
    assert np.array_equal(opened(repository)["data"].values, read_paths(every))
    messages = [s.message for s in repository.ancestry(branch="main")][:-1]
    assert messages == [
        "Append 1 image, 2024-02-01: data",
        "Append 1 image, 2024-01-31: data",
        "Publish 1 image, 2024-01-30: data",
    ]
    # The same images from two writers: the slower one is refused in so many words.
    write_scenes(tmp_path / "d", 1, first=3)
    raced.clear()
    inventories["b"] = scanned(tmp_path / "d")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CubePart, "write", racing)
        with pytest.raises(InvalidOptionError) as caught:
            append(scanned(tmp_path / "d"), repo)
    assert caught.value.kind == ErrorKind.DUPLICATE


def test_other_branch(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 1)
    stack(scanned(tmp_path / "a"), repo, branch="draft")
    repository = open_repository(repo)
    assert set(repository.list_branches()) == {"main", "draft"}
    write_scenes(tmp_path / "b", 1, first=1)
    append(scanned(tmp_path / "b"), repo, branch="draft")
    session = open_repository(repo).readonly_session("draft")
    with numcodecs_names():
        assert zarr.open_array(session.store, path="data", mode="r").shape[0] == 2


def test_work_is_shared_among_workers(tmp_path: Path) -> None:
    """Scan and references in threads and in a Dask cluster of two workers: results are equal."""
    distributed = pytest.importorskip("distributed")
    import virtual_tiff.publishing.levels as cubes

    paths = write_scenes(tmp_path / "a", 5)
    later = write_scenes(tmp_path / "b", 3, first=5)
    options: dict[str, Any] = {"datetime_pattern": PATTERN}
    kinds = ("alone", "threads", "dask")
    repos = {kind: str(tmp_path / kind) for kind in kinds}
    tables = {}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", processes=True
        ) as cluster,
        distributed.Client(cluster) as client,
        ThreadPoolExecutor(2) as threads,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(cubes, "TASK_IMAGES", 2)
        for kind, executor in zip(kinds, (None, threads, client), strict=True):
            found = scan(str(tmp_path / "a"), executor=executor, **options)
            tables[kind] = found.table.drop_columns(["read_at"])
            stack(str(tmp_path / "a"), repos[kind], executor=executor, **options)
            append(str(tmp_path / "b"), repos[kind], executor=executor, **options)
        virtual = [
            open_virtual_mfdataset(
                [path.as_uri() for path in paths],
                registry=local_registry(),
                parser=VirtualTIFF(ifd=0),
                combine="nested",
                concat_dim="time",
                coords="minimal",
                compat="override",
                parallel=parallel,
            )
            for parallel in (False, "dask")
        ]
    assert tables["alone"].equals(tables["threads"])
    assert tables["alone"].equals(tables["dask"])
    contents = [_content(repo) for repo in repos.values()]
    assert contents[0] == contents[1] == contents[2]
    for repo in repos.values():
        assert np.array_equal(read(repo)["data"].values, read_paths(paths + later))
        assert read(repo)["time"].size == 8
        assert len(snapshots(repo)) == 2
        session = open_repository(repo).readonly_session("main")
        assert len(read_sources_table(session.store)) == 8
    alone, shared = (dataset["0"].data.manifest.dict() for dataset in virtual)
    assert alone == shared


def _content(repo: str) -> dict[str, object]:
    """All documents and stored chunks of a repository, and the bytes of the others."""
    store = open_repository(repo).readonly_session("main").store

    async def collect() -> dict[str, object]:
        prototype = default_buffer_prototype()
        found: dict[str, object] = {}
        async for key in store.list():
            value = await store.get(key, prototype)
            found[key] = None if value is None else value.to_bytes()
        return found

    return asyncio.run(collect())
