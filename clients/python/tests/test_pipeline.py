"""The optional codec pipeline: the same values and the same errors as zarr-python's own."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import re
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from functools import cache, partial
from pathlib import Path
from threading import Barrier
from typing import Any

import imagecodecs
import numpy as np
import pytest
import zarr
import zarr_chunkwise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imagecodecs.zarr import Delta, Floatpred, Jpeg, Lzw
from zarr.codecs import BytesCodec, ZstdCodec
from zarr.codecs.numcodecs import Zlib
from zarr.storage import LocalStore, MemoryStore, WrapperStore
from zarr_chunkwise import _decoding

CHUNKWISE = "zarr_chunkwise.ChunkwiseCodecPipeline"
type Pixels = np.ndarray[Any, Any]
SHAPE = (20, 30)
BYTES = SHAPE[0] * SHAPE[1] * 2


@contextmanager
def numcodecs_names() -> Iterator[None]:
    """Quiet zarr's warning that `numcodecs.*` names are not in the Zarr specification."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not in the Zarr version 3 specification.*")
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")
        yield


def same_bits(one: Pixels, other: Pixels) -> bool:
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


@contextmanager
def chunkwise() -> Iterator[None]:
    """Arrays opened here are read by the pipeline."""
    with zarr.config.set({"codec_pipeline.path": CHUNKWISE}):
        yield


def both(open_array: Callable[[], Any]) -> tuple[Any, Any]:
    """An array as zarr-python reads it by default, and as the pipeline does."""
    with numcodecs_names():
        default = open_array()
        with chunkwise():
            ours = open_array()
    assert type(ours.async_array.codec_pipeline) is zarr_chunkwise.ChunkwiseCodecPipeline
    assert type(default.async_array.codec_pipeline) is not zarr_chunkwise.ChunkwiseCodecPipeline
    return default, ours


def outcome(read: Callable[[], Any]) -> bytes | tuple[str, str]:
    """Bytes that were read, or the error."""
    try:
        return np.asarray(read()).tobytes()
    except Exception as error:
        return type(error).__qualname__, str(error)


# Streams that a header does not vouch for.


def compressed(codec: str, data: bytes) -> bytes:
    match codec:
        case "zlib":
            return zlib.compress(data)
        case "zstd":
            return bytes(imagecodecs.zstd_encode(data))
    return bytes(imagecodecs.lzw_encode(data))


@cache
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 50, SHAPE).astype("<u2")


def array_of(codec: str, stream: bytes, folder: Path) -> tuple[Any, Any]:
    """An array of one chunk, that holds `stream`; read by default, and by the pipeline."""
    with numcodecs_names():
        zarr.create_array(
            folder,
            shape=SHAPE,
            chunks=SHAPE,
            dtype="<u2",
            serializer=BytesCodec(endian="little"),
            compressors={"zlib": Zlib(level=6), "lzw": Lzw(), "zstd": ZstdCodec()}[codec],
            overwrite=True,
        )
    (folder / "c" / "0").mkdir(parents=True)
    (folder / "c" / "0" / "0").write_bytes(stream)
    return both(lambda: zarr.open_array(folder, mode="r"))


def spoiled(codec: str) -> dict[str, bytes]:
    data = pixels().tobytes()
    stream = compressed(codec, data)
    return {
        "one element less": compressed(codec, data[:-2]),
        "one byte less": compressed(codec, data[:-1]),
        "one byte more": compressed(codec, data + b"\0"),
        "one element more": compressed(codec, data + b"\0\0"),
        "twice": compressed(codec, data * 2),
        "nothing": compressed(codec, b""),
        "no stream": b"",
        "half a stream": stream[: len(stream) // 2],
        "damaged": stream[:100] + b"\xff\xff\xff\xff" + stream[104:],
        "other bytes": bytes(range(256)),
    }


@pytest.mark.parametrize("case", spoiled("zlib"))
@pytest.mark.parametrize("codec", ["zlib", "lzw", "zstd"])
def test_spoiled_streams_raise_as_by_default(codec: str, case: str, tmp_path: Path) -> None:
    default, ours = array_of(codec, spoiled(codec)[case], tmp_path)
    expected = outcome(lambda: default[...])
    # ZSTD has a checksum only if a writer asks for one.
    is_unnoticed = (codec, case) == ("zstd", "damaged")
    assert isinstance(expected, tuple) or is_unnoticed, "this should not have been read"
    assert outcome(lambda: ours[...]) == expected


@pytest.mark.parametrize("codec", ["zlib", "lzw"])
def test_bytes_behind_a_stream_are_left_alone(codec: str, tmp_path: Path) -> None:
    stream = compressed(codec, pixels().tobytes()) + b"behind"
    for array in array_of(codec, stream, tmp_path):
        assert np.array_equal(array[...], pixels())


@pytest.mark.parametrize("codec", ["zlib", "lzw", "zstd"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_never_makes_other_values(codec: str, data: st.DataObject, tmp_path: Path) -> None:
    stream = bytearray(compressed(codec, pixels().tobytes()))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    del stream[data.draw(st.integers(0, len(stream)) | st.just(len(stream))) :]
    default, ours = array_of(codec, bytes(stream), tmp_path / str(len(list(tmp_path.iterdir()))))
    expected, found = outcome(lambda: default[...]), outcome(lambda: ours[...])
    # libdeflate does not mind what zlib's header says of the window, but checks the Adler-32.
    assert found == expected or (codec == "zlib" and found == pixels().tobytes())


@pytest.mark.parametrize("codec", ["zlib", "lzw", "zstd"])
def test_known_sizes_reach_the_decoder(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"zlib": "numcodecs.zlib", "lzw": "imagecodecs_lzw"}.get(codec, codec)
    decode, sizes = _decoding._SIZED[name], []

    def spy(data: Any, *, out: Any) -> Any:
        sizes.append(len(out))
        return decode(data, out=out)

    monkeypatch.setitem(_decoding._SIZED, name, spy)
    _, ours = array_of(codec, compressed(codec, pixels().tobytes()), tmp_path)
    assert np.array_equal(ours[...], pixels())
    assert sizes == [BYTES + 1]


# Memory that is used again.


def test_memory_of_one_chunk_is_not_seen_in_another(tmp_path: Path) -> None:
    """Threads decode many chunks, of two arrays in turn, into memory that they keep."""
    rng = np.random.default_rng(1)
    expected = [rng.integers(0, 90, (128, 96)).astype(dtype) for dtype in ("u2", "i4")]
    for number, data in enumerate(expected):
        with numcodecs_names():
            zarr.create_array(
                tmp_path / str(number),
                data=data,
                chunks=(8 + 8 * number, 16),
                filters=Delta(axis=-1),
                compressors=Zlib(level=1) if number else ZstdCodec(),
            )
    with zarr.config.set({"threading.max_workers": 2}):
        for _ in range(3):
            for number, data in enumerate(expected):
                path = tmp_path / str(number)
                _, ours = both(partial(zarr.open_array, path, mode="r"))
                assert np.array_equal(ours[...], data)


@pytest.mark.parametrize("dtype", ["i2", ">i2", "f4", "u1"])
@pytest.mark.parametrize("axis", [-1, 0])
def test_differences_are_added_up_as_by_default(dtype: str, axis: int, tmp_path: Path) -> None:
    data = np.random.default_rng(2).integers(0, 120, (40, 30)).astype(dtype)
    zarr.create_array(tmp_path, data=data, chunks=(16, 16), filters=Delta(axis=axis))
    default, ours = both(lambda: zarr.open_array(tmp_path, mode="r"))
    assert same_bits(np.asarray(ours[...]), np.asarray(default[...]))


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
def test_bytes_of_floats_are_gathered_as_by_default(
    dtype: str, axis: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    # All bits, NaN and infinity among them.
    size = 40 * 32 * np.dtype(dtype).itemsize
    data = rng.integers(0, 256, size).astype("u1").view(dtype).reshape(40, 32)
    zarr.create_array(
        tmp_path,
        shape=data.shape,
        chunks=(16, 16),
        dtype=dtype,
        serializer=Floatpred(axis=axis),
        compressors=ZstdCodec(),
        filters=None,
    )
    zarr.open_array(tmp_path, mode="r+")[...] = data
    default, ours = both(lambda: zarr.open_array(tmp_path, mode="r"))
    expected = [np.asarray(default[part]) for part in (..., slice(3, 39, 2))]
    if axis and dtype != ">f4":
        monkeypatch.setattr(imagecodecs, "floatpred_decode", None)
    for part, values in zip((..., slice(3, 39, 2)), expected, strict=True):
        assert same_bits(np.asarray(ours[part]), values)


@pytest.mark.parametrize("length", [0, 1, 16 * 16 * 4 - 4, 16 * 16 * 4 - 1, 16 * 16 * 4 + 4])
def test_floats_of_another_length_raise_as_by_default(length: int, tmp_path: Path) -> None:
    zarr.create_array(
        tmp_path,
        shape=(16, 16),
        chunks=(16, 16),
        dtype="<f4",
        serializer=Floatpred(),
        compressors=None,
    )
    (tmp_path / "c" / "0").mkdir(parents=True)
    (tmp_path / "c" / "0" / "0").write_bytes(bytes(length))
    default, ours = both(lambda: zarr.open_array(tmp_path, mode="r"))
    expected = outcome(lambda: default[...])
    assert isinstance(expected, tuple)
    assert outcome(lambda: ours[...]) == expected


@pytest.mark.parametrize("case", ["whole", "other shape", "half", "damaged", "no stream", "grey"])
def test_jpeg_as_by_default(case: str, tmp_path: Path) -> None:
    image = (np.mgrid[:24, :32].sum(axis=0)[..., None] * [1, 2, 3] % 256).astype("u1")
    stream = bytes(imagecodecs.jpeg8_encode(image, level=90))
    middle = len(stream) // 2
    streams = {
        "whole": stream,
        "other shape": bytes(imagecodecs.jpeg8_encode(image[:, :16].copy(), level=90)),
        "half": stream[:middle],
        "damaged": stream[:middle] + bytes(range(40)) + stream[middle + 40 :],
        "no stream": b"",
        "grey": bytes(imagecodecs.jpeg8_encode(image[..., 0].copy(), level=90)),
    }
    zarr.create_array(
        tmp_path,
        shape=(24, 32, 3),
        chunks=(24, 32, 3),
        dtype="u1",
        serializer=Jpeg(level=90, colorspace_jpeg="YCbCr", colorspace_data="RGB"),
        compressors=None,
    )
    (tmp_path / "c" / "0" / "0").mkdir(parents=True)
    (tmp_path / "c" / "0" / "0" / "0").write_bytes(streams[case])
    default, ours = both(lambda: zarr.open_array(tmp_path, mode="r"))
    assert outcome(lambda: ours[...]) == outcome(lambda: default[...])
    assert isinstance(outcome(lambda: default[...]), bytes) or case != "whole"


# Chunks that decoders write into their place in the result.

PLANAR = {
    "planes": ((3, 40, 50), (3, 16, 16), (1, 2, 0)),
    "pixels": ((40, 50, 3), (16, 16, 3), (0, 1, 2)),
    "columns first": ((50, 40, 3), (16, 16, 3), (1, 0, 2)),
}
SELECTIONS: dict[str, Any] = {
    "all": ...,
    "window": (..., slice(3, 41), slice(2, 35)),
    "one row": (..., 17, slice(None)),
    "first": 0,
    "steps": (..., slice(0, 40, 3), slice(1, 40, 2)),
    "edge": (slice(2, None), ..., slice(1, None)),
}


def planar(case: str, folder: Path) -> tuple[Any, Any]:
    """An array of JPEG tiles of three bands, whose chunks have the order of `case`."""
    shape, chunks, order = PLANAR[case]
    serializer = Jpeg(level=95, colorspace_jpeg="YCbCr", colorspace_data="RGB")
    zarr.create_array(
        folder,
        shape=shape,
        chunks=chunks,
        dtype="u1",
        filters=zarr.codecs.TransposeCodec(order=order),
        serializer=serializer,
        compressors=None,
    )
    for index in np.ndindex(*(-(-n // c) for n, c in zip(shape, chunks, strict=True))):
        chunk = (np.indices(chunks).sum(axis=0) * 5 + 7 * sum(index)).astype("u1")
        file = folder.joinpath("c", *map(str, index))
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.ascontiguousarray(chunk.transpose(order))
        file.write_bytes(imagecodecs.jpeg8_encode(pixels, level=95))
    return both(lambda: zarr.open_array(folder, mode="r"))


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("case", PLANAR)
def test_interleaved_jpeg_in_any_order(case: str, selection: str, tmp_path: Path) -> None:
    default, ours = planar(case, tmp_path)
    chosen = SELECTIONS[selection]
    expected = np.asarray(default[chosen])
    assert expected.any()
    assert same_bits(np.asarray(ours[chosen]), expected)


def test_whole_chunks_are_decoded_into_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    copy = _decoding._copy_planes

    def spy(pixels: Any, place: Any) -> None:
        assert place.base is not None
        shapes.append(place.shape)
        copy(pixels, place)

    monkeypatch.setattr(_decoding, "_copy_planes", spy)
    default, ours = planar("planes", tmp_path)
    assert same_bits(np.asarray(ours[...]), np.asarray(default[...]))
    # The rest are chunks at an edge, of which a part is copied.
    assert shapes == [(16, 16, 3)] * 6


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_selection_of_any_chain(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(["u1", "<u2", ">u2", "<i4", ">i8", "<f4"])))
    ndim = data.draw(st.integers(1, 4))
    sides = st.integers(1, 7)
    shape = tuple(data.draw(st.lists(sides, min_size=ndim, max_size=ndim)))
    chunks = tuple(data.draw(sides) for _ in shape)
    filters: list[Any] = []
    if data.draw(st.booleans()):
        filters.append(zarr.codecs.TransposeCodec(order=data.draw(st.permutations(range(ndim)))))
    if dtype.kind != "f" and data.draw(st.booleans()):
        filters.append(Delta(axis=data.draw(st.integers(-ndim, ndim - 1))))
        if data.draw(st.booleans()):
            order = data.draw(st.permutations(range(ndim)))
            filters.append(zarr.codecs.TransposeCodec(order=order))
    values = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 90, shape)
    store: dict[str, Any] = {}
    with numcodecs_names():
        zarr.create_array(
            store,
            data=values.astype(dtype),
            chunks=chunks,
            filters=filters,
            compressors=data.draw(st.sampled_from([None, Zlib(level=1), Lzw(), ZstdCodec()])),
            serializer=BytesCodec(endian=data.draw(st.sampled_from(["little", "big"]))),
        )
    default, ours = both(lambda: zarr.open_array(store, mode="r"))
    parts: list[Any] = []
    for side in shape:
        start = data.draw(st.integers(0, side - 1))
        stop = data.draw(st.integers(start, side))
        parts.append(data.draw(st.sampled_from([slice(None), slice(start, stop), start])))
    for chosen in (..., tuple(parts)):
        assert same_bits(np.asarray(ours[chosen]), np.asarray(default[chosen]))
    picks = tuple(np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=4))) for n in shape)
    if all(len(one) for one in picks):
        assert same_bits(ours.oindex[picks], default.oindex[picks])


# What is not decoding.


class Counting(WrapperStore[LocalStore]):
    """Counts the chunks that were asked for."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self.chunks = 0

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        self.chunks += key.startswith("c/")
        return await super().get(key, *arguments, **options)


def test_the_first_error_ends_reading(tmp_path: Path) -> None:
    zarr.create_array(tmp_path, shape=1000, chunks=10, dtype="u1")[...] = 1
    (tmp_path / "c" / "0").write_bytes(b"no stream")
    store = Counting(LocalStore(tmp_path, read_only=True))
    with chunkwise(), zarr.config.set({"async.concurrency": 3}):
        array = zarr.open_array(store, mode="r")
        with pytest.raises(RuntimeError):
            array[...]
        assert store.chunks < 50
        assert np.array_equal(array[10:], np.ones(990))


def test_errors_of_threads_that_fail_together_are_not_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    zarr.create_array(tmp_path, shape=20, chunks=10, dtype="u1")[...] = 1
    together = Barrier(2)

    def fail(*_: object) -> None:
        together.wait(timeout=10)
        raise RuntimeError

    monkeypatch.setattr(zarr_chunkwise, "decode_chunk", fail)
    with chunkwise(), zarr.config.set({"threading.max_workers": 2}):
        array = zarr.open_array(tmp_path, mode="r")
        for _ in range(20):
            with pytest.raises(RuntimeError):
                array[...]
    gc.collect()
    assert not caplog.records


@pytest.mark.parametrize("concurrency", [1, 2, 1000, None])
def test_chunks_that_are_missing(concurrency: int | None, tmp_path: Path) -> None:
    zarr.create_array(tmp_path, shape=100, chunks=10, dtype="i2", fill_value=7)[35:62] = 1
    with zarr.config.set({"async.concurrency": concurrency}):
        default, ours = both(lambda: zarr.open_array(tmp_path, mode="r"))
        assert same_bits(np.asarray(ours[...]), np.asarray(default[...]))
    assert ours[0] == 7
    with zarr.config.set({"array.read_missing_chunks": False}):
        default, ours = both(lambda: zarr.open_array(tmp_path, mode="r"))
        expected = outcome(lambda: default[...])
    assert isinstance(expected, tuple)
    assert outcome(lambda: ours[...]) == expected


@pytest.mark.parametrize("threads", [0, 1])
def test_one_chunk_changes_threads_only_to_be_decoded(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: dict[str, Any] = {}
    compressors = ZstdCodec() if threads else None
    zarr.create_array(store, data=np.arange(6), compressors=compressors)
    _, ours = both(lambda: zarr.open_array(store, mode="r"))
    calls: list[Any] = []
    to_thread = asyncio.to_thread

    async def spy(call: Any, *arguments: Any) -> Any:
        calls.append(call)
        return await to_thread(call, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", spy)
    assert np.array_equal(ours[::2], [0, 2, 4])
    assert (
        sum(getattr(call, "func", None) == zarr_pipeline(ours)._place for call in calls) == threads
    )


def zarr_pipeline(array: Any) -> Any:
    return array.async_array.codec_pipeline


@pytest.mark.parametrize("fill_value", [None, 7])
def test_zarr_v2(fill_value: int | None, tmp_path: Path) -> None:
    zarr.create_array(
        tmp_path, shape=100, chunks=10, dtype="i2", fill_value=fill_value, zarr_format=2
    )[35:62] = 1
    default, ours = both(lambda: zarr.open_array(tmp_path, mode="r", zarr_format=2))
    assert same_bits(np.asarray(ours[...]), np.asarray(default[...]))


@pytest.mark.parametrize("options", [{}, {"shards": (20, 40)}], ids=["chunks", "shards"])
@pytest.mark.parametrize("dtype", ["f4", "str"])
def test_writing_is_left_to_zarr(options: Any, dtype: str) -> None:
    data = np.arange(SHAPE[0] * 60).reshape(SHAPE[0], 60).astype(dtype)
    store = MemoryStore()
    with chunkwise():
        array = zarr.create_array(
            store, shape=data.shape, chunks=(5, 10), dtype=data.dtype, **options
        )
        array[...] = data
        array[3:7, 8:11] = data[3:7, 8:11]
    default, ours = both(lambda: zarr.open_array(store, mode="r"))
    assert np.array_equal(default[...], data)
    assert np.array_equal(ours[...], data)
    assert np.array_equal(ours[4:17:3, 59], data[4:17:3, 59])


def test_arrays_can_be_pickled(tmp_path: Path) -> None:
    zarr.create_array(tmp_path, shape=10, chunks=5, dtype="u1")[...] = 3
    with chunkwise():
        array = zarr.open_array(tmp_path, mode="r")
    assert np.array_equal(pickle.loads(pickle.dumps(array))[...], np.full(10, 3))
    pipeline = array.async_array.codec_pipeline
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline


# The distribution.

PROJECT = Path(__file__).resolve().parents[1]


def test_the_wheel_is_complete_and_needs_no_other_package(tmp_path: Path) -> None:
    """In a process that has the files and the entry point of the wheel."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (information,) = (tmp_path / "site").glob("*.dist-info")
    needed = Message()
    lines = (information / "METADATA").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    for line in lines:
        name, _, value = line.partition(": ")
        needed[name] = value
    names = {re.split(r"\W", value)[0] for value in needed.get_all("Requires-Dist", [])}
    assert names == {"imagecodecs", "numpy", "zarr"}
    script = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("icechunk", "tifffile", "virtual_tiff", "virtualizarr", "xarray"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import numpy as np, zarr
assert "zarr_chunkwise" not in sys.modules
array = zarr.create_array({}, shape=100, chunks=10, dtype="i2")
array[...] = np.arange(100)
assert np.array_equal(array[...], np.arange(100))
import zarr_chunkwise
assert type(array.async_array.codec_pipeline) is zarr_chunkwise.ChunkwiseCodecPipeline
print(zarr_chunkwise.__file__)
"""
    variables = {
        "PYTHONPATH": str(tmp_path / "site"),
        "ZARR_CODEC_PIPELINE__PATH": "zarr_chunkwise.ChunkwiseCodecPipeline",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "site"))
