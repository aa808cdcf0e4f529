"""Reading headers: one GET, both readers alike, every directory, and nothing but errors of ours."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import async_tiff
import numpy as np
import pytest
import tifffile
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore, LocalStore, MemoryStore

from tests.conftest import corpus_files
from tests.helpers.assemble import (
    PLAIN,
    DirectoryAt,
    Field,
    assemble,
    changed,
    double,
    long,
    plain,
    short,
    text,
)
from tests.helpers.make import covering, write
from tests.helpers.range_server import RangeServer
from tests.helpers.read import MEMORY_URL, in_memory, local_registry
from tests.helpers.special import names, tifffile_pages, write_special
from tests.helpers.stores import recording
from virtual_tiff.errors import ErrorKind, InvalidTIFFError, SourceError, VirtualTIFFError
from virtual_tiff.storage.opening import open_source
from virtual_tiff.tags import FieldType, NewSubfileType, Tag
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.reader import DEFAULT_PREFETCH, read_header
from virtual_tiff.tiff.reader._chain import read_chain
from virtual_tiff.tiff.reader._tifffile import read_with_tifffile
from virtual_tiff.tiff.reader._values import Unusual, Values

type Registry = ObjectStoreRegistry[Any]
type IFDs = tuple[ImageFileDirectory, ...]


def header_of(data: bytes, **options: Any) -> Header:
    """Header of a file in memory."""
    return asyncio.run(read_header(MEMORY_URL, in_memory(data), **options))[0]


def kind_of(data: bytes) -> ErrorKind:
    """Kind of the error that a file in memory ends in."""
    with pytest.raises(VirtualTIFFError) as caught:
        header_of(data)
    assert caught.value.url == MEMORY_URL
    return caught.value.kind


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing may be printed: no panic of a library, no line of its log."""
    yield
    assert capfd.readouterr() == ("", "")


def spread(pages: int) -> bytes:
    """Directories with a plane of 64,000 bytes between them."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tif:
        for i in range(pages):
            tif.write(np.full((160, 200), i, "u2"), metadata=None, contiguous=False)
    return file.getvalue()


@pytest.mark.parametrize(
    "start",
    [
        b"<VRTDataset rasterXSize='1'/>",
        b"PK\x03\x04" + bytes(30),
        b"\x89HDF\r\n\x1a\n" + bytes(30),
        b"version https://git-lfs.github.com/spec/v1\n",
        b"/annex/objects/SHA256E-s1--0.tif\n",
    ],
)
def test_other_formats_are_named(start: bytes) -> None:
    def raised(data: bytes) -> InvalidTIFFError:
        with pytest.raises(InvalidTIFFError) as caught:
            header_of(data)
        assert caught.value.kind == ErrorKind.NOT_A_TIFF
        return caught.value

    # Not what an unknown file, or a page of a server in its place, gets.
    for other in (b"nothing known, \0", b"<!DOCTYPE html><p>Log in"):
        assert raised(start).remedy != raised(other).remedy


def test_directories_between_planes_are_read_in_small_blocks() -> None:
    data = spread(60)
    store, registry, _ = recording(data)
    header, _ = asyncio.run(read_header(MEMORY_URL, registry))
    assert len(header.ifds) == 60
    beyond = [span for _, span in store.requests[1:] if span is not None]
    assert sum(end - start for start, end in beyond) < 60 * 3 * 4096
    assert len(beyond) <= 66


def test_small_pages_one_after_the_other_cost_few_requests() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tif:
        for _ in range(2000):
            tif.write(np.zeros((32, 32), "u2"), metadata=None, contiguous=False)
    store, registry, _ = recording(file.getvalue())
    header, _ = asyncio.run(read_header(MEMORY_URL, registry))
    assert len(header.ifds) == 2000
    spans = [span for _, span in store.requests if span is not None]
    assert len(spans) <= 10
    assert sum(end - start for start, end in spans) < 1.2 * len(file.getvalue())


def test_the_chain_is_followed_to_the_directory_that_is_needed() -> None:
    store, registry, _ = recording(spread(60))
    asyncio.run(read_header(MEMORY_URL, registry, only=0))
    assert len(store.requests) == 1


# --- both readers -----------------------------------------------------------------------------


async def read_both(url: str, registry: Registry) -> tuple[IFDs | None, IFDs | VirtualTIFFError]:
    """Directories as the quick reader finds them, if it does, and as tifffile does."""
    source = await open_source(url, registry, prefetch=DEFAULT_PREFETCH)
    chain = await read_chain(source)
    seen = {directory.position for directory in chain.directories}
    values = Values(source, chain.layout)
    quick: IFDs | None
    try:
        quick = tuple(
            [
                await values.read(directory, (i,), seen)
                for i, directory in enumerate(chain.directories)
            ]
        )
    except Unusual:
        quick = None
    try:
        return quick, await asyncio.to_thread(read_with_tifffile, source, chain, only=None)
    except VirtualTIFFError as error:
        return quick, error


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two directories, or any of their values, are not the same."""
    if isinstance(one, ImageFileDirectory) and isinstance(other, ImageFileDirectory):
        return [
            found
            for field in dataclasses.fields(one)
            for found in differences(
                getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}"
            )
        ]
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}[{i}]")]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [d for key in one for d in differences(one[key], other[key], f"{where}[{key}]")]
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        same = one.dtype == other.dtype and np.array_equal(one, other)
    else:
        nan = isinstance(one, float) and isinstance(other, float) and one != one and other != other
        same = nan or (type(one) is type(other) and one == other)
    return [] if same else [f"{where}: {str(one)[:80]!r} != {str(other)[:80]!r}"]


def test_differences_are_noticed() -> None:
    (one,), (other,) = header_of(plain()).ifds, header_of(plain(SOFTWARE=text("b"))).ifds
    assert differences(one, one) == []
    assert len(differences(one, other)) > 0
    shifted = dataclasses.replace(one, offsets=one.offsets + np.uint64(1))
    assert len(differences(one, shifted)) == 1


@pytest.mark.corpus
def test_both_readers_agree_on_the_corpus() -> None:
    registry = local_registry()

    async def compare() -> tuple[dict[str, list[str]], int, int]:
        astray, both, files = {}, 0, 0
        for path in corpus_files():
            try:
                quick, slow = await read_both(f"file://{path}", registry)
            except VirtualTIFFError:
                continue  # the chain itself is broken
            files += 1
            if quick is None or isinstance(slow, VirtualTIFFError):
                continue
            both += 1
            if found := differences(quick, slow):
                astray[path.name] = found
        return astray, both, files

    astray, both, files = asyncio.run(compare())
    assert astray == {}
    # What is compared has to be nearly everything, or the comparison proves nothing.
    assert both >= 0.9 * files
    assert files > 0


@pytest.mark.parametrize("name", names())
def test_both_readers_agree_on_special_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special(name, path)
    quick, slow = asyncio.run(read_both(f"file://{path}", local_registry()))
    assert not isinstance(slow, VirtualTIFFError)
    assert quick is not None or name == "hand:unknown-field-type"
    assert quick is None or differences(quick, slow) == []


def test_async_tiff_finds_the_same_segments(tmp_path: Path) -> None:
    """A third party, on files that it is known to read."""
    store = LocalStore(tmp_path)

    async def compare() -> None:
        for i, encoding in enumerate(covering()):
            path = tmp_path / f"{i}.tif"
            write(encoding, path)
            tiff = await async_tiff.TIFF.open(path.name, store=store)
            ours, _ = await read_header(f"file://{path}", local_registry())
            assert len(tiff.ifds) == len(ours.ifds) == 1
            theirs, (ifd,) = tiff.ifd(0), ours.ifds
            tiled = encoding.segments == "tiles"
            offsets = theirs.tile_offsets if tiled else theirs.strip_offsets
            counts = theirs.tile_byte_counts if tiled else theirs.strip_byte_counts
            assert (ifd.offsets.tolist(), ifd.byte_counts.tolist()) == (offsets, counts)
            assert (ifd.image_width, ifd.image_length) == (theirs.image_width, theirs.image_height)
            assert ifd.tile_width == theirs.tile_width
            assert list(ifd.bits_per_sample) == theirs.bits_per_sample
            assert ours.byte_order == encoding.byte_order
            assert ours.big_tiff == encoding.big_tiff

    asyncio.run(compare())


# --- requests ---------------------------------------------------------------------------------


def _cog(path: Path) -> Path:
    write_special("script:overviews-and-mask", path)
    return path


def test_a_cog_costs_one_get(tmp_path: Path) -> None:
    data = _cog(tmp_path / "cog.tif").read_bytes()
    store, registry, _ = recording(data)
    header, _ = asyncio.run(read_header(MEMORY_URL, registry))
    assert store.requests == [("GET", (0, DEFAULT_PREFETCH))]
    assert len(header.ifds) > 2


def test_a_cog_costs_one_request_over_http(tmp_path: Path) -> None:
    path = _cog(tmp_path / "cog.tif")
    with RangeServer(tmp_path) as server:
        http = HTTPStore.from_url(server.url, client_options={"allow_http": True})
        registry: Registry = ObjectStoreRegistry({server.url: http})
        url = f"{server.url}/cog.tif"
        header, _ = asyncio.run(read_header(url, registry))
        (request,) = server.requests
    assert (request.method, request.range) == ("GET", f"bytes=0-{DEFAULT_PREFETCH - 1}")
    source = header.source
    assert (source.url, source.size) == (url, path.stat().st_size)
    assert source.etag is not None
    assert source.etag.startswith('"')
    modified = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    assert source.last_modified == modified


@pytest.mark.parametrize("prefetch", [16, 100, 512, 4096, 2**20])
@pytest.mark.parametrize("name", ["script:overviews-and-mask", "script:pages", "script:sub-ifds"])
def test_prefetch_changes_requests_but_not_what_is_read(
    name: str, prefetch: int, tmp_path: Path
) -> None:
    path = tmp_path / "image.tif"
    write_special(name, path)
    data = path.read_bytes()
    store, registry, _ = recording(data)
    header, _ = asyncio.run(read_header(MEMORY_URL, registry, prefetch=prefetch))
    assert store.requests[0] == ("GET", (0, prefetch))
    assert {method for method, _ in store.requests} == {"GET"}
    # What is not in the first bytes is fetched in blocks, not value by value.
    assert len(store.requests) <= 3
    if prefetch >= len(data):
        assert len(store.requests) == 1
    for one, other in zip(header.ifds, header_of(data).ifds, strict=True):
        assert differences(one, other) == []


def test_header_at_the_end(tmp_path: Path) -> None:
    """As libtiff leaves a file that was written strip by strip."""
    data = bytes(1_000_000)
    fields = changed(
        PLAIN,
        SOFTWARE=text("at the end"),
        STRIP_OFFSETS=long(8, 13, 18, 23),
        STRIP_BYTE_COUNTS=long(5, 5, 5, 5),
        ROWS_PER_STRIP=short(1),
    )
    store, registry, _ = recording(assemble([fields] * 3, data=data))
    header, _ = asyncio.run(read_header(MEMORY_URL, registry))
    assert [ifd.offsets.tolist() for ifd in header.ifds] == [[8, 13, 18, 23]] * 3
    assert len(store.requests) == 2


def test_only_one_directory_is_read() -> None:
    data = assemble([changed(PLAIN, IMAGE_WIDTH=short(i + 1)) for i in range(5)])
    header = header_of(data, only=3)
    (ifd,) = header.ifds
    assert (ifd.index, ifd.image_width) == ((3,), 4)


def test_a_million_offsets_cost_few_requests() -> None:
    count = 300_000
    offsets = np.arange(1, count + 1, dtype="<u4") * 4
    fields = changed(
        PLAIN,
        IMAGE_LENGTH=long(count),
        ROWS_PER_STRIP=short(1),
        STRIP_OFFSETS=Field(FieldType.LONG, offsets.tobytes(), count=count),
        STRIP_BYTE_COUNTS=Field(FieldType.SHORT, np.full(count, 5, "<u2").tobytes(), count=count),
    )
    store, registry, _ = recording(assemble([fields]))
    header, _ = asyncio.run(read_header(MEMORY_URL, registry))
    assert np.array_equal(header.ifds[0].offsets, offsets)
    assert len(store.requests) <= 4


# --- what is in a directory -------------------------------------------------------------------


def test_defaults_of_tiff_6() -> None:
    (ifd,) = header_of(
        plain(
            BITS_PER_SAMPLE=None,
            COMPRESSION=None,
            PHOTOMETRIC_INTERPRETATION=None,
            SAMPLES_PER_PIXEL=None,
            ROWS_PER_STRIP=None,
        )
    ).ifds
    assert (ifd.bits_per_sample, ifd.compression, ifd.samples_per_pixel) == ((1,), 1, 1)
    assert ifd.photometric_interpretation is None
    assert (ifd.rows_per_strip, ifd.planar_configuration, ifd.fill_order) == (4, 1, 1)
    assert (ifd.predictor, ifd.sample_format, ifd.new_subfile_type) == (1, (1,), 0)
    assert (ifd.extra_samples, ifd.sub_ifds, ifd.color_map) == ((), (), None)


@pytest.mark.parametrize("number", [0.5, 1e300, float("nan"), float("inf")])
def test_numbers_that_are_no_integers(number: float) -> None:
    with pytest.raises(InvalidTIFFError) as caught:
        header_of(plain(EXTRA_SAMPLES=double(number, number)))
    assert (caught.value.kind, caught.value.tag) == (ErrorKind.INVALID_TAG, Tag.EXTRA_SAMPLES)
    assert header_of(plain(EXTRA_SAMPLES=double(2.0, 1.0))).ifds[0].extra_samples == (2,)


def test_tags_whose_value_is_zero_are_not_dropped() -> None:
    (ifd,) = header_of(
        plain(
            PHOTOMETRIC_INTERPRETATION=short(0),
            MIN_SAMPLE_VALUE=short(0),
            EXTRA_SAMPLES=short(0),
            GDAL_NODATA=text("0"),
            MODEL_TIEPOINT=double(0, 0, 0, 0, 0, 0),
        )
    ).ifds
    assert ifd.photometric_interpretation == 0
    assert ifd.other_tags[Tag.MIN_SAMPLE_VALUE] == 0
    assert ifd.extra_samples == (0,)
    assert ifd.gdal_nodata == "0"
    assert ifd.model_tiepoint == (0.0,) * 6


@pytest.mark.parametrize(
    ("old", "new"),
    [(1, 0), (2, NewSubfileType.REDUCED_RESOLUTION), (3, NewSubfileType.PAGE)],
)
def test_the_old_subfile_type(old: int, new: int) -> None:
    (ifd,) = header_of(plain(SUBFILE_TYPE=short(old))).ifds
    assert ifd.new_subfile_type == new


def test_new_subfile_type_wins_over_the_old_one() -> None:
    (ifd,) = header_of(plain(NEW_SUBFILE_TYPE=long(4), SUBFILE_TYPE=short(2))).ifds
    assert ifd.is_mask
    assert not ifd.is_reduced


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_field_types(order: str, big: bool) -> None:
    """A number is a number, whatever integer type a writer chose for it."""
    kinds = [FieldType.SHORT, FieldType.LONG] + [FieldType.LONG8] * big
    for kind in kinds:
        fields = changed(
            PLAIN,
            IMAGE_WIDTH=Field(kind, (5,)),
            IMAGE_LENGTH=Field(kind, (4,)),
            ROWS_PER_STRIP=Field(kind, (2,)),
            STRIP_OFFSETS=Field(kind, (20, 30)),
            STRIP_BYTE_COUNTS=Field(kind, (10, 10)),
        )
        (ifd,) = header_of(assemble([fields], order=order, big=big)).ifds
        assert (ifd.image_width, ifd.image_length, ifd.rows_per_strip) == (5, 4, 2)
        assert ifd.offsets.tolist() == [20, 30]
        assert ifd.byte_counts.tolist() == [10, 10]
        assert ifd.offsets.dtype == np.uint64
        assert ifd.byte_order == ("little" if order == "<" else "big")


def test_of_two_entries_of_one_tag_the_first_counts() -> None:
    """As in libtiff and tifffile."""
    data = bytearray(assemble([changed(PLAIN, IMAGE_WIDTH=short(5), SUBFILE_TYPE=short(7))]))
    at = data.index(struct.pack("<HHI", Tag.IMAGE_WIDTH, 3, 1))
    before = data.index(struct.pack("<HHI", Tag.SUBFILE_TYPE, 3, 1))
    assert before < at
    struct.pack_into("<H", data, before, Tag.IMAGE_WIDTH)
    (ifd,) = header_of(bytes(data)).ifds
    assert ifd.image_width == 7


def test_tags_of_strips_and_of_tiles_that_differ_are_refused() -> None:
    """One field for libtiff, of which the last tag counts; tifffile takes that of tiles."""
    counts = changed(PLAIN, TILE_BYTE_COUNTS=long(0))
    with pytest.raises(InvalidTIFFError) as caught:
        header_of(assemble([counts]))
    assert (caught.value.kind, caught.value.tag) == (ErrorKind.INVALID_TAG, Tag.TILE_BYTE_COUNTS)
    (plain_ifd,) = header_of(assemble([PLAIN])).ifds
    same = changed(PLAIN, TILE_BYTE_COUNTS=long(int(plain_ifd.byte_counts[0])))
    assert (
        header_of(assemble([same])).ifds[0].byte_counts.tolist() == plain_ifd.byte_counts.tolist()
    )


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (b"abc", "abc"),
        (b"abc\0", "abc"),
        (b"abcdefgh\0\0\0", "abcdefgh"),
        ("© Größe\0".encode(), "© Größe"),
        ("© Größe\0".encode("latin-1"), "© Größe"),
        (b"\0", ""),
    ],
)
def test_text(stored: bytes, expected: str, quiet: None) -> None:
    (ifd,) = header_of(plain(SOFTWARE=Field(FieldType.ASCII, stored))).ifds
    assert ifd.other_tags[Tag.SOFTWARE] == expected


def test_geo_keys() -> None:
    (ifd,) = header_of(
        plain(
            GEO_KEY_DIRECTORY=short(
                *(1, 1, 0, 5),
                *(1024, 0, 1, 1),
                *(1026, 34737, 7, 0),
                *(2049, 34737, 4, 7),
                *(2057, 34736, 1, 1),
                *(2062, 34736, 3, 0),
            ),
            GEO_DOUBLE_PARAMS=double(1.5, 6378137, 3.5),
            GEO_ASCII_PARAMS=text("a name|two|"),
        )
    ).ifds
    assert ifd.geo_keys == {
        1024: 1,
        1026: "a name",
        2049: "two",
        2057: 6378137.0,
        2062: (1.5, 6378137.0, 3.5),
    }


@pytest.mark.parametrize(
    "keys",
    [
        (),
        (1,),
        (1, 1, 0),
        (1, 1, 0, 9),
        (7, 1, 0, 1, 1024, 0, 1, 1),
        (1, 9, 9, 1, 1024, 0, 1, 1),
        (1, 1, 0, 1, 1026, 34737, 99, 0),
        (1, 1, 0, 1, 1026, 34737, 3, 999),
        (1, 1, 0, 1, 2057, 34736, 3, 0),
        (1, 1, 0, 1, 2057, 34736, 1, 60_000),
        (1, 1, 0, 1, 60_000, 0, 1, 1),
        (1, 1, 0, 1, 1024, 12_345, 1, 1),
        (1, 1, 0, 1, 1024, 34735, 1, 60_000),
    ],
)
@pytest.mark.parametrize("with_params", [False, True])
def test_geo_keys_that_lead_nowhere(keys: tuple[int, ...], with_params: bool, quiet: None) -> None:
    """They cost the georeferencing at most, never the image."""
    params = {"GEO_DOUBLE_PARAMS": double(1.0), "GEO_ASCII_PARAMS": text("naïve|")}
    (ifd,) = header_of(
        plain(
            GEO_KEY_DIRECTORY=Field(FieldType.SHORT, keys or (0,), count=len(keys)),
            **(params if with_params else {}),
        )
    ).ifds
    assert ifd.image_width == 5


#: Values that fit no tag, by field type; counts of one and of several.
ODD: dict[int, list[tuple[float, ...] | str | bytes]] = {
    FieldType.BYTE: [(0,), (255,), (1, 2, 3)],
    FieldType.ASCII: ["", "text", "a longer text that needs an offset"],
    FieldType.SHORT: [(0,), (65_535,), (7, 8, 9)],
    FieldType.LONG: [(0,), (2**32 - 1,), (7, 8, 9)],
    FieldType.RATIONAL: [(1, 2), (0, 0), (1, 0, 3, 2)],
    FieldType.SBYTE: [(-1,), (-128, 127, 0)],
    FieldType.UNDEFINED: [b"\0", b"\xff\xfe\xfd", bytes(range(40))],
    FieldType.SSHORT: [(-1,), (-32_768, 3)],
    FieldType.SLONG: [(-1,), (-(2**31), 3)],
    FieldType.SRATIONAL: [(-1, 2), (-1, 0)],
    FieldType.FLOAT: [(1.5,), (float("nan"),), (float("inf"), -1.0)],
    FieldType.DOUBLE: [(1e300,), (float("nan"), float("-inf"), 0.1)],
    FieldType.IFD: [(0,), (8,), (8, 9, 10)],
    FieldType.LONG8: [(2**64 - 1,), (2**63, 1)],
    FieldType.SLONG8: [(-1,), (-(2**63), 5)],
    FieldType.IFD8: [(8,), (2**64 - 1, 3)],
    99: [(1,)],
}


@pytest.mark.parametrize("tag", list(Tag), ids=lambda tag: tag.title)
def test_a_tag_of_any_type(tag: Tag, quiet: None) -> None:
    """Whatever a tag holds, the header is read or refused by an error of ours."""
    for kind, several in ODD.items():
        for values, count in [*((values, None) for values in several), (several[0], 0)]:
            fields = PLAIN | {int(tag): Field(kind, values, count=count)}
            try:
                (ifd,) = header_of(assemble([fields])).ifds
            except VirtualTIFFError:
                continue
            assert ifd.offsets.dtype == ifd.byte_counts.dtype == np.uint64
            assert all(isinstance(bits, int) for bits in ifd.bits_per_sample)
            json.dumps(dict(ifd.other_tags))


# --- sub-IFDs ---------------------------------------------------------------------------------


def test_sub_ifds_of_tifffile(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special("script:sub-ifds", path)
    header, _ = asyncio.run(read_header(f"file://{path}", local_registry()))
    assert [ifd.index for ifd in header.ifds] == [(0,), (1,)]
    for i, ifd in enumerate(header.ifds):
        assert [sub.index for sub in ifd.sub_ifds] == [(i, 0), (i, 1)]
        assert [sub.image_width for sub in ifd.sub_ifds] == [18, 9]
        assert all(sub.is_reduced for sub in ifd.sub_ifds)
    with tifffile.TiffFile(path) as tif:
        pages = [page for name, page in tifffile_pages(tif) if "." in name]
        expected = [list(page.dataoffsets) for page in pages]
    found = [sub.offsets.tolist() for ifd in header.ifds for sub in ifd.sub_ifds]
    assert found == expected


def test_nested_sub_ifds_and_gaps() -> None:
    def sub(*values: int | DirectoryAt) -> Field:
        return Field(FieldType.IFD, values)

    data = assemble(
        [
            changed(PLAIN, SUB_IFDS=sub(DirectoryAt(1), 0, DirectoryAt(2))),
            changed(PLAIN, IMAGE_WIDTH=short(1), SUB_IFDS=sub(DirectoryAt(3))),
            changed(PLAIN, IMAGE_WIDTH=short(2)),
            changed(PLAIN, IMAGE_WIDTH=short(3)),
        ],
        chain=[0],
    )
    (ifd,) = header_of(data).ifds
    assert [s.index for s in ifd.sub_ifds] == [(0, 0), (0, 2)]
    assert ifd.sub_ifds[0].sub_ifds[0].index == (0, 0, 0)
    assert ifd.sub_ifds[0].sub_ifds[0].image_width == 3


# --- damage -----------------------------------------------------------------------------------


def test_a_cycle_ends_the_chain(quiet: None) -> None:
    """Nothing is missing, as for libtiff and tifffile; a note says so."""
    header = header_of(assemble([PLAIN, PLAIN], chain=[0, 1, 0]))
    assert len(header.ifds) == 2
    assert header.damage is None
    assert [len(one.notes) for one in header.ifds] == [0, 1]


def test_a_chain_that_leaves_the_file(quiet: None) -> None:
    data = bytearray(assemble([PLAIN, PLAIN]))
    struct.pack_into("<I", data, len(data) - 4, 10**6)
    header = header_of(bytes(data))
    assert len(header.ifds) == 2
    assert header.damage is not None
    assert header.damage.kind == ErrorKind.TRUNCATED


def test_a_file_that_ends_with_its_last_entry(quiet: None) -> None:
    """Without the offset of a next directory, which some writers leave out."""
    header = header_of(assemble([PLAIN])[:-4])
    assert len(header.ifds) == 1
    assert header.damage is None


@pytest.mark.parametrize("big", [False, True])
def test_every_truncation(big: bool, quiet: None) -> None:
    """Cut anywhere, a header is read or refused, and refused wherever an entry is missing."""
    fields = changed(PLAIN, SOFTWARE=text("a longer name"), STRIP_OFFSETS=long(16))
    data = assemble([fields], big=big)
    entries_end = data.index(b"a longer name")
    kinds = set()
    for length in range(1, len(data)):
        try:
            header = header_of(data[:length])
        except InvalidTIFFError as error:
            kinds.add(error.kind)
        else:
            assert length >= entries_end - (8 if big else 4)
            assert header.ifds[0].image_width == 5
    assert kinds <= {ErrorKind.TRUNCATED, ErrorKind.NOT_A_TIFF, ErrorKind.INVALID_IFD}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", ErrorKind.EMPTY_FILE),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), ErrorKind.NOT_A_TIFF),
        (b"<!DOCTYPE html><html>not found</html>", ErrorKind.NOT_A_TIFF),
        (b"II*\0" + bytes(4), ErrorKind.INVALID_IFD),
        (b"II*\0\xff\xff\xff\xff" + bytes(100), ErrorKind.TRUNCATED),
        (b"II*\0\x08\0\0\0\0\0" + bytes(100), ErrorKind.INVALID_IFD),
        (zlib.compress(bytes(1000)), ErrorKind.NOT_A_TIFF),
        (b"II\x2b\0\4\0\0\0" + bytes(100), ErrorKind.NOT_A_TIFF),
        (plain(IMAGE_WIDTH=None), ErrorKind.MISSING_TAG),
        (plain(IMAGE_LENGTH=None), ErrorKind.MISSING_TAG),
        (plain(IMAGE_WIDTH=text("wide")), ErrorKind.INVALID_TAG),
        (plain(TILE_WIDTH=short(16)), ErrorKind.INVALID_TAG),
        (plain(STRIP_OFFSETS=double(float("nan"))), ErrorKind.INVALID_TAG),
        (plain(BITS_PER_SAMPLE=short(8, 16), SAMPLES_PER_PIXEL=short(3)), ErrorKind.INVALID_TAG),
    ],
)
def test_not_a_sound_tiff(data: bytes, kind: ErrorKind, quiet: None) -> None:
    assert kind_of(data) == kind


# --- sources ----------------------------------------------------------------------------------


def failure(url: str, registry: Registry) -> VirtualTIFFError:
    """Error that a URL ends in."""
    with pytest.raises(VirtualTIFFError) as caught:
        asyncio.run(read_header(url, registry))
    assert caught.value.url == url
    assert caught.value.remedy or caught.value.kind == ErrorKind.STORAGE
    return caught.value


def test_a_missing_file(tmp_path: Path, quiet: None) -> None:
    error = failure(f"file://{tmp_path}/none.tif", local_registry())
    assert (error.kind, type(error)) == (ErrorKind.NOT_FOUND, SourceError)
    assert isinstance(error, OSError)


def test_an_empty_file(tmp_path: Path, quiet: None) -> None:
    (tmp_path / "empty.tif").touch()
    error = failure(f"file://{tmp_path}/empty.tif", local_registry())
    assert (error.kind, type(error)) == (ErrorKind.EMPTY_FILE, InvalidTIFFError)


def test_a_directory(tmp_path: Path, quiet: None) -> None:
    assert failure(f"file://{tmp_path}", local_registry()).kind == ErrorKind.IS_DIRECTORY


@pytest.mark.parametrize("url", ["s3://bucket/image.tif", "image.tif", "https://example.org/a", ""])
def test_no_store(url: str, quiet: None) -> None:
    error = failure(url, local_registry())
    assert (error.kind, type(error)) == (ErrorKind.NO_STORE, SourceError)


def test_http_failures(tmp_path: Path, quiet: None) -> None:
    write_special("hand:plain", tmp_path / "image.tif")
    (tmp_path / "empty.tif").touch()
    retries: Any = {"max_retries": 0}
    options: Any = {"allow_http": True}
    with RangeServer(tmp_path) as server:
        http = HTTPStore.from_url(server.url, client_options=options, retry_config=retries)
        registry: Registry = ObjectStoreRegistry({server.url: http})
        assert failure(f"{server.url}/none.tif", registry).kind == ErrorKind.NOT_FOUND
        assert failure(f"{server.url}/empty.tif", registry).kind == ErrorKind.EMPTY_FILE
        server.configure(error_rate=1.0)
        assert failure(f"{server.url}/image.tif", registry).kind == ErrorKind.STORAGE
        url = server.url
    assert failure(f"{url}/image.tif", registry).kind == ErrorKind.STORAGE


def test_a_file_that_changes_while_it_is_read(quiet: None) -> None:
    first = assemble([PLAIN] * 3)
    second = assemble([changed(PLAIN, IMAGE_WIDTH=short(9))] * 3)

    def change(number: int) -> None:
        if number == 1:
            memory.put("image.tif", second)

    store, registry, memory = recording(first, before=change)
    with pytest.raises(SourceError) as caught:
        asyncio.run(read_header(MEMORY_URL, registry, prefetch=40))
    assert caught.value.kind == ErrorKind.SOURCE_CHANGED
    assert len(store.requests) == 2


def test_many_at_once(tmp_path: Path) -> None:
    memory = MemoryStore()
    for i in range(200):
        memory.put(f"{i}.tif", plain(IMAGE_WIDTH=short(i + 1), IMAGE_LENGTH=short(1)))
    registry: Registry = ObjectStoreRegistry({"memory://many": memory})

    async def read() -> list[int]:
        found = await asyncio.gather(
            *(read_header(f"memory://many/{i}.tif", registry) for i in range(200))
        )
        return [header.ifds[0].image_width for header, _ in found]

    assert asyncio.run(read()) == list(range(1, 201))
