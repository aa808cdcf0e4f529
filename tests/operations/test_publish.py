"""TIFFs → an Icechunk repository → the same pixels, through zarr alone."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import icechunk
import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from icechunk.testing import LatencyStorage

from tests.helpers.make import Pixels, pixels, same_bits
from tests.helpers.range_server import RangeServer
from tests.helpers.read import local_registry, numcodecs_names
from virtual_tiff import VirtualTIFF, open_repository, publish, publish_async
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    RepositoryError,
    SourcesError,
    VirtualTIFFError,
)
from virtual_tiff.planning.names import RESERVED
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.publishing.commit import commit
from virtual_tiff.publishing.containers import containers_for
from virtual_tiff.publishing.nodes import write_group
from virtual_tiff.publishing.references import References, Task
from virtual_tiff.publishing.repository import repository_error, storage_at
from virtual_tiff.publishing.results import PublishResult
from virtual_tiff.publishing.target import Target
from virtual_tiff.publishing.tree import Tree
from virtual_tiff.storage.source import Source

TILE = 16
#: Names that are awkward in URLs, in Icechunk, or in both.
AWKWARD = ("plain.tif", "a b.tif", "a?b#c.tif", "a%20b;c.tif", "ü+&=@,[]{}^|.tif", "it's.tif")


@pytest.fixture(autouse=True, scope="module")
def _quiet_icechunk() -> None:
    icechunk.set_logs_filter("error")


def write_tiles(path: Path, seed: int = 0, dtype: str = "uint16") -> Pixels:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = pixels(dtype, (4 * TILE, 3 * TILE), seed)
    tifffile.imwrite(path, data, tile=(TILE, TILE), metadata=None, software=False)
    return data


def open_array(location: Any, path: str, branch: str = "main") -> zarr.Array[Any]:
    store = open_repository(location).readonly_session(branch).store
    with numcodecs_names():
        return zarr.open_array(store, path=path, mode="r", zarr_format=3)


def read(location: Any, path: str, branch: str = "main") -> Pixels:
    return np.asarray(open_array(location, path, branch)[...])


def groups(location: Any) -> set[str]:
    store = open_repository(location).readonly_session("main").store
    return set(zarr.open_group(store, mode="r", zarr_format=3)) - {RESERVED}


def write_tree(location: Any, groups: dict[str, GroupPlan], containers: Any = ()) -> None:
    tree = Tree({path: (f"file:///{path}", plan) for path, plan in groups.items()})
    commit(Target(location), [tree], containers=tuple(containers))


def messages(location: Path) -> list[str]:
    return [snapshot.message for snapshot in open_repository(location).ancestry(branch="main")]


# --- what comes back -------------------------------------------------------------------------


def test_names_that_have_to_be_escaped(tmp_path: Path) -> None:
    data = {name: write_tiles(tmp_path / "my files" / name, i) for i, name in enumerate(AWKWARD)}
    with RangeServer(tmp_path) as server:
        local = publish([tmp_path / "my files" / name for name in AWKWARD], tmp_path / "local")
        web = publish(
            [f"{server.url}/{quote(f'my files/{name}')}" for name in AWKWARD], tmp_path / "web"
        )
        for result, location in ((local, tmp_path / "local"), (web, tmp_path / "web")):
            assert list(result.groups.values()) == [name.removesuffix(".tif") for name in AWKWARD]
            for name in AWKWARD:
                path = f"{name.removesuffix('.tif')}/0/image"
                assert same_bits(read(location, path), data[name]), name
    assert local.containers == (f"file://{tmp_path}/",)
    assert web.containers == (f"{server.url}/",)
    assert not local.unchecked
    assert not web.unchecked


def test_every_kind_of_chunk(tmp_path: Path) -> None:
    """References, missing chunks, chunks that are stored, several images and bands."""
    striped = pixels("int16", (50, 20), 1)
    tifffile.imwrite(
        tmp_path / "striped.tif", striped, rowsperstrip=16, compression="zlib", metadata=None
    )
    sparse = np.zeros((4 * TILE, 3 * TILE), np.uint8)
    sparse[TILE : 2 * TILE, :TILE] = 7
    pages = pixels("uint8", (3, 2 * TILE, TILE), 2)
    with tifffile.TiffWriter(tmp_path / "several.tif") as writer:
        writer.write(sparse, tile=(TILE, TILE), metadata=None)
        writer.write(
            pages, tile=(TILE, TILE), photometric="rgb", planarconfig="separate", metadata=None
        )
    _punch_holes(tmp_path / "several.tif", sparse)
    result = publish([tmp_path / "striped.tif", tmp_path / "several.tif"], tmp_path / "repository")
    assert same_bits(read(tmp_path / "repository", "striped/0/image"), striped)
    assert same_bits(read(tmp_path / "repository", "several/0/0/image"), sparse)
    assert same_bits(read(tmp_path / "repository", "several/1/0/image"), pages)
    # Three of four strips, one of twelve tiles, two tiles in each of three bands.
    assert result.references == 3 + 1 + 6
    session = open_repository(tmp_path / "repository").readonly_session("main")
    kinds = icechunk.ChunkType
    for path, chunk, kind in (
        ("/striped/0/image", [0, 0], kinds.virtual),
        ("/striped/0/image", [3, 0], kinds.inline),
        ("/several/0/0/image", [1, 0], kinds.virtual),
        ("/several/0/0/image", [0, 0], kinds.uninitialized),
        ("/several/1/0/image", [2, 1, 0], kinds.virtual),
    ):
        assert session.chunk_type(path, chunk) == kind, (path, chunk)
    # At least the last strip; coordinates are stored too.
    assert result.stored >= 1
    assert result.arrays >= 3


def _punch_holes(path: Path, data: Pixels) -> None:
    """Take the tiles that hold nothing but zeros out of the first image."""
    with tifffile.TiffFile(path, mode="r+") as tif:
        tags = tif.pages.first.tags
        tiles = [
            data[y : y + TILE, x : x + TILE].any()
            for y in range(0, data.shape[0], TILE)
            for x in range(0, data.shape[1], TILE)
        ]
        for code in (324, 325):
            tags[code].overwrite([v * int(t) for v, t in zip(tags[code].value, tiles, strict=True)])


def test_groups_within_groups(tmp_path: Path) -> None:
    data = {year: write_tiles(tmp_path / year / "B04.tif", int(year)) for year in ("2024", "2025")}
    publish([tmp_path / year / "B04.tif" for year in data], tmp_path / "repository")
    store = open_repository(tmp_path / "repository").readonly_session("main").store
    root = zarr.open_group(store, mode="r", zarr_format=3)
    names = {name for name, _ in root.members(max_depth=None)}
    assert {name for name in names if not name.startswith(RESERVED)} == {
        *(
            "2024",
            "2024/B04",
            "2024/B04/0",
            "2024/B04/0/image",
            "2025",
            "2025/B04",
            "2025/B04/0",
            "2025/B04/0/image",
        ),
    }
    assert same_bits(read(tmp_path / "repository", "2025/B04/0/image"), data["2025"])


def test_options_of_the_parser(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a.tif")
    parser = VirtualTIFF(ifd_layout="nested")
    publish(tmp_path / "a.tif", tmp_path / "repository", parser=parser, names=lambda url: "x/y")
    assert read(tmp_path / "repository", "x/y/0/0").shape == (4 * TILE, 3 * TILE)


def test_stores_of_the_caller(tmp_path: Path) -> None:
    data = write_tiles(tmp_path / "a?b.tif")
    storage = icechunk.in_memory_storage()
    publish(tmp_path / "a?b.tif", storage, registry=local_registry())
    assert same_bits(read(storage, "a?b/0/image"), data)


def test_with_an_event_loop(tmp_path: Path) -> None:
    """As in a notebook, where a loop is running already."""
    data = write_tiles(tmp_path / "a.tif")

    async def both() -> tuple[PublishResult, PublishResult]:
        first = publish(tmp_path / "a.tif", tmp_path / "one")
        return first, await publish_async(tmp_path / "a.tif", tmp_path / "two")

    one, two = asyncio.run(both())
    assert one.groups == two.groups
    for name in ("one", "two"):
        assert same_bits(read(tmp_path / name, "a/0/image"), data)


def test_progress(tmp_path: Path) -> None:
    names = ["a.tif", "b.tif", "c.tif"]
    for name in names:
        write_tiles(tmp_path / name)
    calls: list[tuple[str, int, int, int]] = []
    publish(
        [tmp_path / name for name in names],
        tmp_path / "repository",
        progress=lambda *call: calls.append(call),
        concurrency=2,
    )
    counted = [(stage, done, 3, 0) for stage in ("read", "write") for done in (1, 2, 3)]
    assert calls == [*counted, ("commit", 0, 3, 0), ("commit", 3, 3, 0)]


# --- requests --------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[RangeServer, Pixels, Path]]:
    """A TIFF with tiles of 512 KiB behind HTTP, and the repository that refers to it."""
    data = pixels("uint32", (1024, 1024), 3)
    tifffile.imwrite(tmp_path / "a.tif", data, tile=(256, 512), metadata=None)
    with RangeServer(tmp_path) as server:
        publish(f"{server.url}/a.tif", tmp_path / "repository")
        yield server, data, tmp_path / "repository"


def test_one_request_a_header_and_one_a_chunk(served: tuple[RangeServer, Pixels, Path]) -> None:
    server, data, location = served
    assert [request.range for request in server.requests] == ["bytes=0-32767"]
    server.reset()
    array = open_array(location, "a/0/image")
    assert server.requests == []
    assert same_bits(np.asarray(array[:256, :512]), data[:256, :512])
    (request,) = server.requests
    assert request.sent == 256 * 512 * 4
    server.reset()
    assert same_bits(np.asarray(array[...]), data)
    assert len(server.requests) == array.cdata_shape[0] * array.cdata_shape[1]


def test_requests_that_fail_are_tried_again(served: tuple[RangeServer, Pixels, Path]) -> None:
    server, data, location = served
    server.configure(error_rate=0.4, seed=1)
    server.reset()
    assert same_bits(read(location, "a/0/image"), data)
    assert any(request.status >= 500 for request in server.requests)


def test_settings_are_saved_in_the_repository(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a.tif")
    publish(tmp_path / "a.tif", tmp_path / "repository")
    config = icechunk.Repository.fetch_config(storage_at(tmp_path / "repository"))
    assert config is not None
    assert config.storage is not None
    assert config.storage.concurrency is not None
    assert config.storage.concurrency.max_concurrent_requests_for_object == 1
    assert config.storage.concurrency.ideal_concurrent_request_size == 12 * 1024 * 1024
    assert config.storage.retries is not None
    assert config.storage.retries.max_tries == 10


def test_manifests_are_written_at_once(tmp_path: Path) -> None:
    """A hundred arrays in a store that takes a tenth of a second for every write."""
    write_tiles(tmp_path / "a.tif")
    storage = LatencyStorage(icechunk.in_memory_storage(), write_latency_ms=100)
    plan = VirtualTIFF().plan(f"file://{tmp_path}/a.tif", local_registry())
    groups = {f"a{i}": plan for i in range(100)}
    containers = containers_for([f"file://{tmp_path}/a.tif"])
    start = time.monotonic()
    write_tree(storage, groups, containers)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("count", "kind"), [(17, icechunk.ChunkType.inline), (18, icechunk.ChunkType.native)]
)
def test_small_chunks_lie_in_the_manifest(count: int, kind: icechunk.ChunkType) -> None:
    # 17 of them are less than the MiB that a manifest may hold, 18 are more.
    size = 60_000
    plan = ArrayPlan(
        shape=(count * size,),
        chunk_shape=(size,),
        data_type=np.dtype(np.uint8),
        codecs=({"name": "bytes"},),
        fill_value=0,
        dimension_names=("x",),
        source=Source(url="file:///a", size=1),
        ifd=(0,),
        offsets=np.zeros(count, np.uint64),
        lengths=np.zeros(count, np.uint64),
        inline={(i,): bytes([i]) * size for i in range(count)},
    )
    storage = icechunk.in_memory_storage()
    write_tree(storage, {"a": GroupPlan(arrays={"0": plan})})
    session = open_repository(storage).readonly_session("main")
    assert session.chunk_type("/a/0", [3]) == kind
    array = zarr.open_array(session.store, path="a/0", mode="r")
    assert np.unique(np.asarray(array[3 * size : 4 * size])).tolist() == [3]
    # It was the choice of this one commit.
    config = icechunk.Repository.fetch_config(storage)
    assert config is not None
    assert config.inline_chunk_threshold_bytes in (None, 512)


# --- sources that change ---------------------------------------------------------------------


@pytest.mark.parametrize("over_http", [False, True], ids=["file", "http"])
def test_a_source_that_changed_is_noticed(tmp_path: Path, over_http: bool) -> None:
    path = tmp_path / "a.tif"
    data = write_tiles(path)
    # With a fraction of a second, which neither Icechunk nor HTTP keeps.
    os.utime(path, (1.7e9 + 0.7, 1.7e9 + 0.7))
    with RangeServer(tmp_path) as server:
        publish(f"{server.url}/a.tif" if over_http else path, tmp_path / "repository")
        tile = np.s_[:TILE, :TILE]
        array = open_array(tmp_path / "repository", "a/0/image")
        assert same_bits(np.asarray(array[tile]), data[tile])
        os.utime(path)
        with pytest.raises(icechunk.StorageError) as raised:
            array[tile]
    assert raised.value.kind == icechunk.ErrorKind.VIRTUAL_CHUNK_MODIFIED


def test_sources_that_nobody_can_check(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a.tif")
    os.utime(tmp_path / "a.tif", (0, 0))
    result = publish(tmp_path / "a.tif", tmp_path / "repository")
    assert result.unchecked == (f"file://{tmp_path}/a.tif",)


# --- repositories ----------------------------------------------------------------------------


def test_adding_to_a_repository(tmp_path: Path) -> None:
    one, two = (write_tiles(tmp_path / name / f"{name}.tif", i) for i, name in enumerate("ab"))
    repository = tmp_path / "repository"
    publish(tmp_path / "a" / "a.tif", repository, message="First")
    publish(tmp_path / "b" / "b.tif", repository)
    assert messages(repository)[:2] == ["Publish b", "First"]
    assert same_bits(read(repository, "a/0/image"), one)
    assert same_bits(read(repository, "b/0/image"), two)
    prefixes = open_repository(repository).config.virtual_chunk_containers
    assert prefixes is not None
    assert set(prefixes) == {f"file://{tmp_path}/a/", f"file://{tmp_path}/b/"}


def test_a_container_that_is_there_is_used(tmp_path: Path) -> None:
    for name in ("a.tif", "b/b.tif"):
        write_tiles(tmp_path / name)
    publish(tmp_path / "a.tif", tmp_path / "repository")
    result = publish(tmp_path / "b" / "b.tif", tmp_path / "repository")
    assert result.containers == (f"file://{tmp_path}/",)
    assert open_repository(tmp_path / "repository").config.virtual_chunk_containers is not None


def test_groups_that_are_there_stay(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_tiles(tmp_path / name)
    publish(tmp_path / "a.tif", tmp_path / "repository")
    with RangeServer(tmp_path) as server:
        sources = [f"{server.url}/b.tif", f"{server.url}/a.tif"]
        with pytest.raises(RepositoryError) as raised:
            publish(sources, tmp_path / "repository")
        # It is known before anything is fetched.
        assert server.requests == []
    assert raised.value.kind == ErrorKind.CONFLICT
    assert "'a'" in str(raised.value)
    assert len(messages(tmp_path / "repository")) == 2


def test_an_array_cannot_hold_a_group(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a.tif")
    publish(tmp_path / "a.tif", tmp_path / "repository")
    with pytest.raises(RepositoryError) as raised:
        publish(tmp_path / "a.tif", tmp_path / "repository", names=["a/0/b"])
    assert raised.value.kind == ErrorKind.CONFLICT
    assert len(messages(tmp_path / "repository")) == 2


def test_other_peoples_repositories_are_left_alone(tmp_path: Path) -> None:
    data = write_tiles(tmp_path / "a.tif")
    location = tmp_path / "repository"
    theirs = icechunk.Repository.create(icechunk.local_filesystem_storage(str(location)))
    # An empty one is nobody's yet.
    publish(tmp_path / "a.tif", location, names=["before"], branch="mine")
    session = theirs.writable_session("main")
    zarr.create_group(session.store, path="theirs")
    session.commit("Theirs")
    with pytest.raises(RepositoryError) as raised:
        publish(tmp_path / "a.tif", location)
    assert raised.value.kind == ErrorKind.REPOSITORY_EXISTS
    assert messages(location)[0] == "Theirs"
    publish(tmp_path / "a.tif", location, into_existing=True)
    # From now on it is ours too.
    publish(tmp_path / "a.tif", location, names=["again"])
    assert same_bits(read(location, "again/0/image"), data)
    assert groups(location) == {"theirs", "a", "again"}


def test_branches(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a.tif")
    publish(tmp_path / "a.tif", tmp_path / "repository", names=["first"], branch="new")
    publish(tmp_path / "a.tif", tmp_path / "repository", names=["second"])
    assert read(tmp_path / "repository", "first/0/image", "new").shape == (4 * TILE, 3 * TILE)
    assert groups(tmp_path / "repository") == {"second"}


def test_an_open_repository(tmp_path: Path) -> None:
    data = write_tiles(tmp_path / "a.tif")
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    publish(tmp_path / "a.tif", repository)
    assert same_bits(read(repository.storage, "a/0/image"), data)


def test_two_writers_at_once(tmp_path: Path) -> None:
    """Other groups are no conflict; the same group is one, and the first commit stands."""
    storage = icechunk.in_memory_storage()
    path = tmp_path / "a.tif"
    write_tiles(path)

    def meanwhile(name: str) -> Any:
        left = [name]

        def progress(stage: str, done: int, total: int, failed: int, /) -> None:
            # What the slower writer does again is not disturbed again.
            if (stage, done) == ("commit", 0) and left:
                left.clear()
                publish(path, storage, names=[name], message=f"faster {name}")

        return progress

    publish(path, storage)
    publish(path, storage, names=["one"], progress=meanwhile("two"))
    assert groups(storage) == {"a", "one", "two"}
    with pytest.raises(RepositoryError) as raised:
        publish(path, storage, names=["same"], progress=meanwhile("same"))
    assert raised.value.kind == ErrorKind.CONFLICT
    assert next(iter(open_repository(storage).ancestry(branch="main"))).message == "faster same"


# --- what cannot be published ----------------------------------------------------------------


def test_all_files_that_fail_are_told(tmp_path: Path) -> None:
    write_tiles(tmp_path / "good.tif")
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("This is not a TIFF.")
    names = ["empty.tif", "good.tif", "text.tif", "missing.tif", "gone.tif"]
    with pytest.raises(SourcesError) as raised:
        publish([tmp_path / name for name in names], tmp_path / "repository")
    assert [error.kind for error in raised.value.errors] == [
        ErrorKind.EMPTY_FILE,
        ErrorKind.NOT_A_TIFF,
        ErrorKind.NOT_FOUND,
        ErrorKind.NOT_FOUND,
    ]
    assert raised.value.kind == ErrorKind.SEVERAL
    text = str(raised.value)
    assert text.startswith("4 of 5 sources failed: ")
    assert "and 1 more" in text
    assert not (tmp_path / "repository").exists()


def test_a_file_that_fails_leaves_a_repository_as_it_was(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a.tif")
    publish(tmp_path / "a.tif", tmp_path / "repository")
    before = sorted(tmp_path.joinpath("repository").rglob("*"))
    (tmp_path / "bad.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-10])
    with pytest.raises(VirtualTIFFError) as raised:
        publish([tmp_path / "bad.tif"], tmp_path / "repository")
    assert raised.value.kind == ErrorKind.TRUNCATED
    assert sorted(tmp_path.joinpath("repository").rglob("*")) == before


def test_places_that_are_no_repository(tmp_path: Path) -> None:
    write_tiles(tmp_path / "a.tif")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for place in (folder, tmp_path / "a.tif", folder / "notes.txt"):
        with pytest.raises(RepositoryError) as raised:
            publish(tmp_path / "a.tif", place)
        assert raised.value.kind == ErrorKind.NOT_A_REPOSITORY
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    with pytest.raises(RepositoryError) as raised:
        open_repository(tmp_path / "nowhere")
    assert raised.value.kind == ErrorKind.REPOSITORY_NOT_FOUND
    assert not (tmp_path / "nowhere").exists()
    # An empty folder is as good as none.
    (tmp_path / "empty").mkdir()
    publish(tmp_path / "a.tif", f"file://{tmp_path}/empty")
    assert read(tmp_path / "empty", "a/0/image").shape == (4 * TILE, 3 * TILE)


@pytest.mark.parametrize(
    ("sources", "options"),
    [
        ([], {}),
        (["a.tif"], {"concurrency": 0}),
        (["a.tif"], {"names": ["a", "b"]}),
        (["a.tif", "b.tif"], {"names": ["a", "a"]}),
        (["a.tif"], {"names": ["a//b"]}),
        (["a.tif"], {"names": ["../b"]}),
        (["a.tif"], {"names": [""]}),
        (["a.tif", "a.tif"], {}),
        (["https://h/a.tif?token=1"], {}),
    ],
)
def test_wrong_arguments(sources: list[str], options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError):
        publish(sources, tmp_path / "repository", **options)
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(
    "place", ["", "ftp://h/x", "https://h/repository", "s3://bucket", "gs://bucket/"]
)
def test_places_that_cannot_be(place: str, tmp_path: Path) -> None:
    write_tiles(tmp_path / "a.tif")
    with pytest.raises(InvalidOptionError):
        publish(tmp_path / "a.tif", place)


def test_what_icechunk_says_is_one_line() -> None:
    with pytest.raises(icechunk.IcechunkError) as raised:
        icechunk.Repository.open(icechunk.in_memory_storage())
    error = repository_error(raised.value, "s3://bucket/x")
    assert error.kind == ErrorKind.REPOSITORY_NOT_FOUND
    assert "\n" not in str(error)


# --- the lower level -------------------------------------------------------------------------


def _plan(source: Source, shape: tuple[int, ...], lengths: list[int], **more: Any) -> ArrayPlan:
    chunks = (1,) * len(shape)
    counts = np.array(lengths, np.uint64).reshape(shape)
    return ArrayPlan(
        shape=shape,
        chunk_shape=chunks,
        data_type=np.dtype(np.uint8),
        codecs=({"name": "bytes"},),
        fill_value=255,
        dimension_names=tuple("tyx"[-len(shape) :]),
        source=source,
        offsets=np.arange(counts.size, dtype=np.uint64).reshape(shape),
        lengths=counts,
        **more,
    )


def test_references_into_a_cube(tmp_path: Path) -> None:
    """Two steps of a cube of `(t, y, x)`, each from an image of `(y, x)`."""
    sources = []
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(range(6 * (name == "b"), 6 + 6 * (name == "b"))))
        modified = datetime.now(UTC)
        sources.append(Source(url=f"file://{tmp_path}/{name}", size=6, last_modified=modified))
    repository = open_repository(
        icechunk.in_memory_storage(),
        create=True,
        containers=containers_for([source.url for source in sources]),
    )
    session = repository.writable_session("main")
    cube = _plan(sources[0], (2, 2, 3), [0] * 12)
    first = _plan(sources[0], (2, 3), [1, 1, 0, 1, 1, 1])
    second = _plan(sources[1], (2, 3), [1, 1, 1, 0, 1, 1], inline={(1, 0): b"\x63"})

    async def write() -> None:
        await write_group(session.store, "", GroupPlan(arrays={"cube": cube}))
        for step, plan in enumerate((first, second)):
            task = Task(
                group="",
                array="cube",
                grid=plan.grid_shape,
                references=References.of_plan(plan),
                steps=np.array([step]),
            )
            counts = await task.write(session.store)
            assert counts == (5, step)

    asyncio.run(write())
    session.commit("Cube")
    array = zarr.open_array(repository.readonly_session("main").store, path="cube", mode="r")
    expected = [[[0, 1, 255], [3, 4, 5]], [[6, 7, 8], [99, 10, 11]]]
    assert np.asarray(array[...]).tolist() == expected


def test_references_that_no_container_holds_are_refused() -> None:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    store = repository.writable_session("main").store
    plan = _plan(Source(url="s3://bucket/a.tif", size=1), (1, 1), [1])
    asyncio.run(write_group(store, "a", GroupPlan(arrays={"0": plan})))
    references = References.of_plan(plan)
    with pytest.raises(RepositoryError):
        asyncio.run(Task(group="a", array="a/0", grid=(1, 1), references=references).write(store))


def test_the_root_can_be_written() -> None:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repository.writable_session("main")
    asyncio.run(write_group(session.store, "", GroupPlan(attributes={"a": 1})))
    assert dict(zarr.open_group(session.store, mode="r").attrs) == {"a": 1}
    asyncio.run(write_group(session.store, "b", GroupPlan()))
    assert set(zarr.open_group(session.store, mode="r")) == {"b"}


def test_a_million_chunks(tmp_path: Path) -> None:
    side = 1024
    source = Source(url="s3://bucket/a/folder/image.tif", size=2**32, etag='"abc"')
    lengths = np.full((side, side), 1000, np.uint64)
    lengths[::2, 5] = 0
    plan = ArrayPlan(
        shape=(side * 16, side * 16),
        chunk_shape=(16, 16),
        data_type=np.dtype(np.uint8),
        codecs=({"name": "bytes"},),
        fill_value=0,
        dimension_names=("y", "x"),
        source=source,
        offsets=np.arange(side * side, dtype=np.uint64).reshape(side, side) * np.uint64(1000),
        lengths=lengths,
        ifd=(0,),
    )
    containers = containers_for([source.url], anonymous=True)
    start = time.process_time()
    write_tree(tmp_path / "repository", {"a": GroupPlan(arrays={"0": plan})}, containers)
    # Seconds of CPU, of which Icechunk's manifest takes most; the machine may be busy otherwise.
    assert time.process_time() - start < 6
    session = open_repository(tmp_path / "repository").readonly_session("main")
    assert session.all_virtual_chunk_locations()[:1] == [source.url]
    assert session.chunk_type("/a/0", [1, 5]) == icechunk.ChunkType.virtual
    assert session.chunk_type("/a/0", [2, 5]) == icechunk.ChunkType.uninitialized


def test_what_was_copied_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "complex.tif"
    values = np.array([[1 + 2j, -3 + 4j], [5 - 6j, -7 - 8j]], np.complex64)
    profile = {"driver": "GTiff", "height": 2, "width": 2, "count": 1, "dtype": "complex_int16"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values, 1)
    repo = tmp_path / "repo"
    result = publish([path], str(repo), parser=VirtualTIFF(on_unsupported="copy"))
    ((url, (reason,)),) = result.copied.items()
    assert url == path.as_uri()
    assert reason.startswith("0: no Zarr codec decodes 32-bit samples")
    assert same_bits(np.asarray(open_array(repo, "complex/0")[...]), values)


def test_copies_keep_the_chosen_bands(tmp_path: Path) -> None:
    path = tmp_path / "bands.tif"
    values = np.arange(12).reshape(3, 2, 2).astype(np.complex64)
    profile = {"driver": "GTiff", "height": 2, "width": 2, "count": 3, "dtype": "complex_int16"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)
    repo = tmp_path / "repo"
    publish([path], str(repo), parser=VirtualTIFF(bands=[3, 1], on_unsupported="copy"))
    assert same_bits(read(repo, "bands/0"), values[[2, 0]])
    assert read(repo, "bands/band").tolist() == [3, 1]
    with pytest.raises(VirtualTIFFError, match="there is no band 4"):
        VirtualTIFF(bands=[4], on_unsupported="copy").plan(path.as_uri(), local_registry())


# --- what readers have to know ---------------------------------------------------------------


def test_scales_that_differ_by_band_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "width": 16, "height": 16, "dtype": "uint8", "count": 2}
    with rasterio.open(path, "w", interleave="band", **profile) as file:
        file.scales = (1, 0.5)
        file.write(np.ones((2, 16, 16), np.uint8))
    result = publish([str(path)], str(tmp_path / "repository"))
    (notes,) = result.notes.values()
    assert len(notes) == 1
    assert "split_bands" in notes[0]
    assert "bands=[n]" in notes[0]
    assert result.as_json()["notes"] == {name: list(notes) for name in result.notes}
    with pytest.warns(UserWarning, match="split_bands"):
        VirtualTIFF()(path.as_uri(), local_registry())
    # One band is scaled by xarray.
    plan = VirtualTIFF(bands=[2]).plan(path.as_uri(), local_registry())
    attributes = plan.arrays["0"].attributes
    assert attributes["scale_factor"] == 0.5
    assert "scales" not in attributes


def test_metadata_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    text = "<GDALMetadata><Item>"
    tifffile.imwrite(path, np.ones((16, 16), np.uint8), extratags=[(42112, "s", 0, text, True)])
    result = publish([str(path)], str(tmp_path / "repository"))
    (notes,) = result.notes.values()
    assert len(notes) == 1
    assert "not well-formed" in notes[0]
