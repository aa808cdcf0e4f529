"""Strips and tiles → a regular grid: every row is where the grid says, and nothing is outside."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.helpers.ifd import make_ifd
from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError, VirtualTIFFError
from virtual_tiff.planning.encoding import strips as module
from virtual_tiff.planning.encoding.chunk_grid import chunk_grid
from virtual_tiff.planning.encoding.chunks import ChunkGrid, SegmentFacts
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

ROW = 5


def strips(height: int, rows: int, **fields: Any) -> ImageFileDirectory:
    """Strips of `ROW` bytes a row, one after the other from offset 8, unless told otherwise."""
    count = -(-height // rows)
    offsets = fields.pop("offsets", [8 + i * rows * ROW for i in range(count)])
    counts = [ROW * min(rows, height - i * rows) for i in range(count)]
    return make_ifd(
        image_length=height,
        rows_per_strip=rows,
        offsets=offsets,
        **({"byte_counts": counts} | fields),
    )


def grid_of(
    ifd: ImageFileDirectory, *, size: int = 10**6, row: int = ROW, compressed: bool = False
) -> ChunkGrid:
    """Lay the grid, as the planning does."""
    facts = SegmentFacts(file_size=size, row_bytes=row, compressed=compressed)
    return chunk_grid(ifd, facts)


# --- uncompressed strips ----------------------------------------------------------------------


def test_contiguous_strips_become_one_chunk_where_they_are_small() -> None:
    grid = grid_of(strips(12, 1))
    assert (grid.rows, grid.columns, grid.partial_rows) == (12, 5, 0)
    assert grid.offsets.tolist() == [[[8]]]
    assert grid.lengths.tolist() == [[[60]]]


def test_one_row_strips_are_merged_to_about_a_mebibyte() -> None:
    width, height = 1024, 10_000
    ifd = make_ifd(
        image_width=width,
        image_length=height,
        rows_per_strip=1,
        offsets=[8 + i * width for i in range(height)],
        byte_counts=[width] * height,
    )
    grid = grid_of(ifd, size=8 + width * height, row=width)
    assert grid.rows == 1000  # the largest divisor of 10,000 below 1,024
    assert grid.partial_rows == 0
    assert grid.offsets.shape == (1, 10, 1)
    assert set(grid.lengths.flat) == {1000 * width}


def test_a_large_single_strip_is_cut() -> None:
    width, height = 4096, 4096
    ifd = make_ifd(image_width=width, image_length=height, byte_counts=[width * height])
    grid = grid_of(ifd, size=8 + width * height, row=width)
    assert grid.rows * width == 2**20
    assert grid.offsets.shape == (1, 16, 1)


def test_a_prime_height_ends_in_a_partial_chunk() -> None:
    width, height = 4096, 4099
    ifd = make_ifd(image_width=width, image_length=height, byte_counts=[width * height])
    grid = grid_of(ifd, size=8 + width * height, row=width)
    assert grid.rows == 256
    assert grid.partial_rows == 4099 % 256
    assert grid.lengths[0, -1, 0] == grid.partial_rows * width


def test_a_prime_height_reads_on_where_the_file_goes_on() -> None:
    width, height = 4096, 4099
    ifd = make_ifd(image_width=width, image_length=height, byte_counts=[width * height])
    grid = grid_of(ifd, size=8 + width * (height + 300), row=width)
    assert grid.partial_rows == 0
    assert set(grid.lengths.flat) == {256 * width}


def test_strips_apart_keep_their_height() -> None:
    grid = grid_of(strips(8, 4, offsets=[100, 8]), size=200)
    assert (grid.rows, grid.partial_rows) == (4, 0)
    assert grid.offsets.tolist() == [[[100], [8]]]


def test_a_short_last_strip_apart_divides_the_others() -> None:
    grid = grid_of(strips(10, 4, offsets=[60, 8, 115]), size=125)
    # 4 rows and 2 rows: chunks of 2.
    assert (grid.rows, grid.partial_rows) == (2, 0)
    assert grid.offsets[0, :, 0].tolist() == [60, 70, 8, 18, 115]
    assert set(grid.lengths.flat) == {10}


def test_a_short_last_strip_reads_on_where_the_file_goes_on() -> None:
    grid = grid_of(strips(7, 4, offsets=[100, 8]), size=200)
    assert (grid.rows, grid.partial_rows) == (4, 0)
    assert grid.lengths.tolist() == [[[20], [20]]]


def test_a_short_last_strip_at_the_end_is_partial() -> None:
    ifd = strips(16 + 15, 16, offsets=[8, 200])
    grid = grid_of(ifd, size=200 + 15 * ROW)
    assert (grid.rows, grid.partial_rows) == (16, 15)
    assert grid.lengths.tolist() == [[[80], [75]]]


def test_byte_counts_do_not_matter_without_compression() -> None:
    """Writers get them wrong; the rows are where they are."""
    assert grid_of(strips(8, 8, byte_counts=[])).lengths.tolist() == [[[40]]]
    assert grid_of(strips(8, 4, byte_counts=[7, 7])).lengths.tolist() == [[[40]]]


# --- sparse segments --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offsets", "counts"), [([8, 0, 48], [20, 20, 20]), ([8, 28, 48], [20, 0, 20])]
)
def test_sparse_strips_are_missing_chunks(offsets: list[int], counts: list[int]) -> None:
    for compressed in (False, True):
        grid = grid_of(
            strips(12, 4, offsets=offsets, byte_counts=counts), size=100, compressed=compressed
        )
        assert grid.rows == 4
        assert grid.lengths[0, :, 0].tolist() == [20, 0, 20]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("counts", [[20, 20], [20, 0]])
def test_segments_with_bytes_have_an_offset(counts: list[int], compressed: bool) -> None:
    """Pillow's big-endian BigTIFF: libtiff and tifffile read the header as pixels."""
    with pytest.raises(InvalidTIFFError, match="all offsets are 0"):
        grid_of(strips(8, 4, offsets=[0, 0], byte_counts=counts), size=80, compressed=compressed)
    nothing = strips(8, 4, offsets=[0, 0], byte_counts=[0, 0])
    assert not grid_of(nothing, size=80, compressed=compressed).lengths.any()


def test_a_sparse_short_last_strip_is_not_partial() -> None:
    for compressed in (False, True):
        ifd = strips(10, 4, offsets=[8, 28, 0], byte_counts=[20, 20, 0])
        grid = grid_of(ifd, size=48, compressed=compressed)
        assert grid.partial_rows == 0
        assert grid.lengths[0, -1, 0] == 0


# --- compressed and tiled ---------------------------------------------------------------------


def test_compressed_strips_are_taken_whole() -> None:
    grid = grid_of(strips(10, 4, byte_counts=[7, 9, 3]), compressed=True)
    assert (grid.rows, grid.partial_rows) == (4, 2)
    assert grid.lengths[0, :, 0].tolist() == [7, 9, 3]
    assert grid.offsets[0, :, 0].tolist() == [8, 28, 48]


def tiles(*, planes: int = 1, **fields: Any) -> ImageFileDirectory:
    """Make 3 × 2 tiles of 16 × 16 over 40 rows of 20 columns."""
    defaults: dict[str, Any] = {
        "image_length": 40,
        "image_width": 20,
        "tile_width": 16,
        "tile_length": 16,
        "offsets": [8 + 256 * i for i in range(6 * planes)],
        "byte_counts": [256] * 6 * planes,
    }
    return make_ifd(**(defaults | fields))


def test_tiles() -> None:
    grid = grid_of(tiles(), row=16)
    assert (grid.rows, grid.columns, grid.partial_rows) == (16, 16, 0)
    assert grid.offsets.shape == (1, 3, 2)
    assert grid.offsets[0, 1].tolist() == [8 + 512, 8 + 768]
    assert set(grid.lengths.flat) == {256}


def test_planar_tiles() -> None:
    ifd = tiles(planes=3, samples=3, planar_configuration=2)
    grid = grid_of(ifd, row=16)
    assert grid.offsets.shape == (3, 3, 2)
    assert grid.offsets[:, 0, 0].tolist() == [8, 8 + 6 * 256, 8 + 12 * 256]


def test_a_last_tile_without_the_rows_below_the_image_is_partial() -> None:
    """Only that tile is copied: the one before it reads on, where nothing is visible."""
    counts = [256] * 4 + [128] * 2
    offsets = [8 + 256 * i for i in range(5)] + [8 + 256 * 4 + 128]
    grid = grid_of(tiles(byte_counts=counts, offsets=offsets), size=offsets[-1] + 128, row=16)
    assert (grid.rows, grid.partial_rows, grid.whole_bytes) == (16, 8, 256)
    assert grid.lengths[0].tolist() == [[256, 256], [256, 256], [256, 128]]


def test_a_last_tile_whose_bytes_are_beyond_the_end_is_refused() -> None:
    """GDAL refuses it too, though only rows below the image are absent."""
    with pytest.raises(InvalidTIFFError) as raised:
        grid_of(tiles(), size=8 + 256 * 5 + 128, row=16)
    assert raised.value.kind == ErrorKind.TRUNCATED


def test_surplus_values_are_ignored() -> None:
    ifd = tiles(offsets=[8 + 256 * i for i in range(9)], byte_counts=[256] * 9)
    assert grid_of(ifd, row=16).offsets.shape == (1, 3, 2)


@pytest.mark.parametrize("counts", [[0], [0, 0], [0, 65536]])
def test_one_strip_with_a_count_of_nothing_has_its_pixels(counts: list[int]) -> None:
    """As for libtiff and tifffile, whatever surplus counts say."""
    grid = grid_of(strips(4, 4, byte_counts=counts), size=50)
    assert grid.lengths.tolist() == [[[20]]]
    grid = grid_of(strips(4, 4, byte_counts=counts), size=50, compressed=True)
    assert grid.lengths.tolist() == [[[42]]]


@pytest.mark.parametrize("counts", [[20], [20, 0], [0, 0, 0]])
def test_packed_segments_need_no_byte_counts(counts: list[int]) -> None:
    """Their size follows from the directory, and offsets that follow each other are no gaps."""
    found = grid_of(strips(12, 4, offsets=[8, 28, 48], byte_counts=counts), size=68)
    assert found.offsets[0, :, 0].tolist() == [8]
    assert found.lengths.tolist() == [[[60]]]
    tiled = grid_of(tiles(byte_counts=[0] * len(counts)), row=16)
    assert set(tiled.lengths.flat) == {256}


@pytest.mark.parametrize("offsets", [[8, 30, 50], [8, 28, 28], [0, 20, 40]])
def test_other_segments_without_counts_are_refused_or_missing(offsets: list[int]) -> None:
    with pytest.raises(InvalidTIFFError):
        grid_of(strips(12, 4, offsets=offsets, byte_counts=[20]), size=80)
    sparse = grid_of(strips(12, 4, offsets=offsets, byte_counts=[0, 0, 0]), size=80)
    assert not sparse.lengths.any()


def test_planes_of_one_strip_need_no_byte_counts() -> None:
    """As for libtiff."""
    ifd = make_ifd(
        image_length=8,
        rows_per_strip=8,
        samples=2,
        planar_configuration=2,
        offsets=[48, 8],
        byte_counts=[],
    )
    assert grid_of(ifd, size=100).lengths.tolist() == [[[40]], [[40]]]
    assert grid_of(ifd, size=100, compressed=True).lengths.tolist() == [[[52]], [[92]]]


def test_one_compressed_segment_without_byte_count_ends_with_the_file() -> None:
    grid = grid_of(strips(4, 4, byte_counts=[]), size=50, compressed=True)
    assert grid.lengths.tolist() == [[[42]]]


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ifd", "compressed", "kind", "tag"),
    [
        (strips(8, 4, offsets=[8]), True, ErrorKind.INVALID_SEGMENT, Tag.STRIP_OFFSETS),
        (strips(8, 4, offsets=[]), False, ErrorKind.MISSING_TAG, Tag.STRIP_OFFSETS),
        (tiles(offsets=[8] * 5), False, ErrorKind.INVALID_SEGMENT, Tag.TILE_OFFSETS),
        (strips(8, 4, byte_counts=[]), True, ErrorKind.MISSING_TAG, Tag.STRIP_BYTE_COUNTS),
        # libtiff refuses it, and tifffile reads zeros after the first segment.
        (strips(8, 4, byte_counts=[]), False, ErrorKind.MISSING_TAG, Tag.STRIP_BYTE_COUNTS),
        (tiles(byte_counts=[]), False, ErrorKind.MISSING_TAG, Tag.TILE_BYTE_COUNTS),
        (tiles(byte_counts=[9]), True, ErrorKind.INVALID_SEGMENT, Tag.TILE_BYTE_COUNTS),
        (strips(8, 4, offsets=[8, 900]), False, ErrorKind.TRUNCATED, Tag.STRIP_OFFSETS),
        (strips(8, 4, offsets=[8, 900]), True, ErrorKind.TRUNCATED, Tag.STRIP_OFFSETS),
        (tiles(offsets=[8] * 5 + [900]), False, ErrorKind.TRUNCATED, Tag.TILE_OFFSETS),
        (strips(8, 4, byte_counts=[20, 2**64 - 1]), True, ErrorKind.TRUNCATED, Tag.STRIP_OFFSETS),
        (strips(8, 4, offsets=[8, 2**64 - 1]), False, ErrorKind.TRUNCATED, Tag.STRIP_OFFSETS),
        (strips(4, 4, offsets=[2**64 - 8]), False, ErrorKind.TRUNCATED, Tag.STRIP_OFFSETS),
    ],
)
def test_refused(ifd: ImageFileDirectory, compressed: bool, kind: ErrorKind, tag: Tag) -> None:
    with pytest.raises(InvalidTIFFError) as caught:
        grid_of(ifd, size=300, row=16 if ifd.is_tiled else ROW, compressed=compressed)
    assert (caught.value.kind, caught.value.ifd, caught.value.tag) == (kind, (0,), tag)


@pytest.mark.parametrize("width", [2**31, 2**32 - 1])
def test_chunks_that_no_reader_could_hold(width: int) -> None:
    ifd = make_ifd(image_width=width, image_length=width, rows_per_strip=width)
    with pytest.raises(UnsupportedTIFFError) as caught:
        grid_of(ifd, size=10**4, row=width, compressed=True)
    assert caught.value.kind == ErrorKind.UNSUPPORTED_LAYOUT
    with pytest.raises(VirtualTIFFError):
        grid_of(ifd, size=10**4, row=width)


@pytest.mark.parametrize("compressed", [False, True])
def test_one_strip_with_a_count_of_zero_is_not_missing(compressed: bool) -> None:
    grid = grid_of(strips(4, 4, byte_counts=[0]), size=50, compressed=compressed)
    assert grid.lengths.tolist() == [[[42 if compressed else 20]]]


@pytest.mark.parametrize("compressed", [False, True])
def test_one_tile_with_a_count_of_zero_is_missing(compressed: bool) -> None:
    """As for libtiff, which guesses the counts of strips only."""
    ifd = make_ifd(
        image_width=16,
        image_length=16,
        tile_width=16,
        tile_length=16,
        rows_per_strip=16,
        offsets=[8],
        byte_counts=[0],
    )
    assert grid_of(ifd, size=300, row=16, compressed=compressed).lengths.tolist() == [[[0]]]


def test_compressed_strips_with_fewer_counts_than_offsets_are_refused() -> None:
    """GDAL and tifffile read zeros, though the data may be there; neither is certain."""
    ifd = strips(12, 4, offsets=[8, 28, 48], byte_counts=[20, 0])
    with pytest.raises(InvalidTIFFError) as caught:
        grid_of(ifd, size=200, compressed=True)
    assert (caught.value.kind, caught.value.tag) == (
        ErrorKind.INVALID_SEGMENT,
        Tag.STRIP_BYTE_COUNTS,
    )


def test_strips_that_are_not_listed_are_missing() -> None:
    ifd = strips(8, 4, offsets=[100], byte_counts=[20])
    assert grid_of(ifd, compressed=True).lengths.tolist() == [[[20], [0]]]


# --- any strips at all ------------------------------------------------------------------------


@st.composite
def uncompressed_strips(
    draw: st.DrawFn,
) -> tuple[ImageFileDirectory, bytes, NDArray[np.uint8], int]:
    """Draw strips in any order, with gaps, holes and a tail: directory, file, rows, target."""
    height = draw(st.integers(1, 60))
    rows = draw(st.integers(1, height))
    count = -(-height // rows)
    order = draw(st.permutations(range(count)) | st.just(list(range(count))))
    gaps = draw(st.booleans())
    holes = draw(st.booleans())
    data = bytearray(b"\xaa" * draw(st.integers(1, 9)))
    offsets, counts = [0] * count, [0] * count
    image = np.zeros((height, ROW), np.uint8)
    for i in order:
        part = min(rows, height - i * rows)
        if holes and draw(st.booleans()):
            if count > 1 and draw(st.booleans()):
                offsets[i] = 1
            continue
        values = np.arange(part * ROW, dtype=np.uint8).reshape(part, ROW) + np.uint8(
            (17 * i + 1) % 256
        )
        image[i * rows : i * rows + part] = values
        offsets[i], counts[i] = len(data), part * ROW
        data += values.tobytes()
        if gaps:
            data += b"\xbb" * draw(st.integers(0, 3))
    data += b"\xcc" * draw(st.integers(0, 12) | st.just(rows * ROW))
    ifd = make_ifd(image_length=height, rows_per_strip=rows, offsets=offsets, byte_counts=counts)
    return ifd, bytes(data), image, draw(st.sampled_from([1, 30, 64, 2**20]))


@given(uncompressed_strips())
def test_every_row_is_where_the_grid_says(
    drawn: tuple[ImageFileDirectory, bytes, NDArray[np.uint8], int],
) -> None:
    ifd, data, image, target = drawn
    with patch.object(module, "TARGET_CHUNK_BYTES", target):
        grid = grid_of(ifd, size=len(data))
    height = ifd.image_length
    assert grid.offsets.shape == grid.lengths.shape == (1, -(-height // grid.rows), 1)
    found = np.zeros_like(image)
    for i, (offset, length) in enumerate(zip(grid.offsets.flat, grid.lengths.flat, strict=True)):
        first = i * grid.rows
        inside = min(grid.rows, height - first)
        if not length:
            continue
        assert offset + length <= len(data)
        stored, rest = divmod(int(length), ROW)
        assert rest == 0
        last = i == grid.offsets.shape[1] - 1
        assert stored == (grid.partial_rows if last and grid.partial_rows else grid.rows)
        chunk = np.frombuffer(data, np.uint8, stored * ROW, int(offset)).reshape(stored, ROW)
        found[first : first + inside] = chunk[:inside]
    assert np.array_equal(found, image)
