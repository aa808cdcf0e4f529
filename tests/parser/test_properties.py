"""TIFFs over the whole space of options, drawn at random: what is written is what is read.

`HYPOTHESIS_PROFILE=thorough` draws many more examples than a test run has time for.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.assemble import DATA_AT, PLAIN, assemble, changed, long, short, text
from tests.helpers.make import (
    AXES,
    Encoding,
    is_writable,
    pixels,
    read_with_rasterio,
    read_with_tifffile,
    same_bits,
    write,
    write_window,
    write_with_rasterio,
)
from tests.helpers.read import local_registry, numcodecs_names, read_all, read_bytes
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.parser import VirtualTIFF

COMMON: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}
settings.register_profile("tests", max_examples=40, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=2000, **COMMON)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))

SIZES = st.integers(1, 70)
TILES = st.tuples(*[st.sampled_from([16, 32, 48, 64, 128])] * 2)


@contextmanager
def a_file() -> Iterator[Path]:
    """Path of a file that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "image.tif"


@st.composite
def encodings(draw: st.DrawFn) -> Encoding:
    """Draw any encoding that a writer can write."""
    choices = {name: draw(st.sampled_from(values)) for name, values in AXES.items()}
    encoding = Encoding(**choices)
    while not is_writable(encoding):
        # The rest of the space is reached by taking back what forbids it.
        choices |= {"predictor": 1} if choices["predictor"] != 1 else {"planar": False}
        if Encoding(**choices) == encoding:
            choices |= {"writer": "tifffile"}
        encoding = Encoding(**choices)
    return encoding


@PROFILE
@given(encodings(), SIZES, SIZES, st.integers(1, 80) | TILES, st.data())
def test_what_is_written_is_read(
    encoding: Encoding,
    height: int,
    width: int,
    cut: int | tuple[int, int],
    data: st.DataObject,
) -> None:
    with a_file() as path:
        written = write(encoding, path, height=height, width=width, cut=cut)
        assert same_bits(read_with_tifffile(path), written)
        assert same_bits(read_all(path)["0"], written)
        last = VirtualTIFF(ifd=0, band_axis="last")(f"file://{path}", local_registry())
        with numcodecs_names():
            array = zarr.open_group(last, mode="r", zarr_format=3)["0"]
            assert isinstance(array, zarr.Array)
            # Any window is what it is in the whole.
            rows, columns = data.draw(windows(height)), data.draw(windows(width))
            found = np.asarray(array[rows, columns])
        moved = np.moveaxis(written, 0, -1) if encoding.samples > 1 else written
        assert same_bits(found, np.ascontiguousarray(moved[rows, columns]))


def windows(size: int) -> st.SearchStrategy[slice]:
    """Draw parts of a dimension that are not empty."""
    return st.tuples(st.integers(0, size - 1), st.integers(1, size)).map(
        lambda ends: slice(min(ends[0], ends[1] - 1), max(ends[1], ends[0] + 1))
    )


@PROFILE
@given(
    st.integers(1, 31).filter(lambda bits: bits not in (8, 16)),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(["NONE", "DEFLATE", "LZW", "ZSTD", "PACKBITS", "LZMA"]),
    st.sampled_from(["LITTLE", "BIG"]),
    SIZES,
    SIZES,
    st.integers(1, 80) | TILES,
)
def test_samples_packed_to_the_bit(
    bits: int,
    bands: int,
    planar: bool,
    compression: str,
    order: str,
    height: int,
    width: int,
    cut: int | tuple[int, int],
) -> None:
    if (bits, order) == (24, "BIG"):
        # GDAL swaps the bytes of such samples; tifffile, and TIFF 6.0, do not.
        order = "LITTLE"
    dtype = "uint8" if bits < 8 else "uint16" if bits < 16 else "uint32"
    data = pixels(dtype, (bands, height, width)) >> np.array(
        np.dtype(dtype).itemsize * 8 - bits, dtype
    )
    blocks: dict[str, Any] = (
        {"TILED": "YES", "BLOCKYSIZE": cut[0], "BLOCKXSIZE": cut[1]}
        if isinstance(cut, tuple)
        else {"BLOCKYSIZE": min(cut, height)}
    )
    with a_file() as path:
        write_with_rasterio(
            path,
            data,
            NBITS=bits,
            COMPRESS=compression,
            ENDIANNESS=order,
            INTERLEAVE="BAND" if planar else "PIXEL",
            PHOTOMETRIC="MINISBLACK",
            **blocks,
        )
        # Not `data`: GDAL takes some blocks of few bits for empty, and writes none of them.
        expected = read_with_rasterio(path)
        assert np.array_equal(read_with_tifffile(path), expected)
        assert same_bits(read_all(path)["0"], expected)


@PROFILE
@given(
    st.sampled_from(["uint8", "int16", "float32", "float64"]),
    st.sampled_from([None, 0, 7, -9, "nan"]),
    st.booleans(),
    st.sampled_from(["NONE", "DEFLATE", "LZW"]),
    st.integers(20, 70),
    st.integers(20, 70),
    st.integers(1, 30) | TILES,
    st.data(),
)
def test_segments_that_were_never_written(
    dtype: str,
    nodata: int | str | None,
    several: bool,
    compression: str,
    height: int,
    width: int,
    cut: int | tuple[int, int],
    data: st.DataObject,
) -> None:
    """GDAL and tifffile fill them with nodata, or else with 0."""
    if (nodata == "nan" and dtype[0] != "f") or (nodata == -9 and dtype[0] == "u"):
        nodata = None
    bands = 2 if several else 1
    rows, columns = data.draw(windows(height)), data.draw(windows(width))
    part = pixels(dtype, (bands, rows.stop - rows.start, columns.stop - columns.start))
    options: dict[str, Any] = {"COMPRESS": compression, "SPARSE_OK": "YES"}
    if nodata is not None:
        options["nodata"] = float(nodata)
    if isinstance(cut, tuple):
        options |= {"TILED": "YES", "BLOCKYSIZE": cut[0], "BLOCKXSIZE": cut[1]}
    else:
        options |= {"BLOCKYSIZE": cut}
    with a_file() as path:
        write_window(path, part, (height, width), (rows, columns), **options)
        expected = read_with_rasterio(path)
        found = read_all(path)["0"]
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected, equal_nan=dtype[0] == "f")


@PROFILE
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "7", "-1", "nan", "300"]),
    st.data(),
)
def test_strips_in_any_order(
    height: int, rows: int, deflate: bool, big: bool, nodata: str | None, data: st.DataObject
) -> None:
    """With gaps, and with some that were never written; all of it known from the start."""
    count = -(-height // rows)
    order = data.draw(st.permutations(range(count)))
    fill = 7 if nodata == "7" else 0
    image = np.full((height, 5), fill, np.uint8)
    stored = bytearray()
    offsets, counts = [0] * count, [0] * count
    for i in order:
        strip = image[i * rows : (i + 1) * rows]
        if data.draw(st.integers(0, 5)) == 0:
            continue
        strip[...] = pixels("uint8", strip.shape, seed=i) if strip.size > 1 else i % 256
        encoded = zlib.compress(strip.tobytes()) if deflate else strip.tobytes()
        offsets[i] = (16 if big else DATA_AT) + len(stored)
        counts[i] = len(encoded)
        stored += encoded + bytes(data.draw(st.integers(0, 4)))
    fields = changed(
        PLAIN,
        IMAGE_LENGTH=short(height),
        ROWS_PER_STRIP=short(rows),
        COMPRESSION=short(8 if deflate else 1),
        STRIP_OFFSETS=long(*offsets),
        STRIP_BYTE_COUNTS=long(*counts),
        GDAL_NODATA=None if nodata is None else text(nodata),
    )
    found = read_bytes(assemble([fields], data=bytes(stored), big=big))["0"]
    assert same_bits(found, image)


@PROFILE
@given(st.binary(max_size=300), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"]))
def test_any_bytes_at_all(data: bytes, start: bytes) -> None:
    try:
        read_bytes(start + data)
    except VirtualTIFFError as error:
        kind = error.kind
    else:
        raise AssertionError("parsed what nobody wrote")
    assert kind in ErrorKind
