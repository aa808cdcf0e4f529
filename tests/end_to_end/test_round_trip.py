"""TIFF → `VirtualTIFF` → zarr: every pixel of every image, equal to what others read."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.helpers.assemble import PLAIN, Field, assemble, changed
from tests.helpers.make import (
    Encoding,
    Pixels,
    bands_first,
    covering,
    read_with_rasterio,
    read_with_tifffile,
    same_bits,
    write,
)
from tests.helpers.read import read_all
from tests.helpers.special import (
    NOT_BY_GDAL,
    NOT_BY_TIFFFILE,
    parameters,
    tifffile_pages,
    write_special,
)
from virtual_tiff.tags import FieldType

#: Grey levels that decoders of one lossy stream may differ by.
LOSSY_TOLERANCE = 4


@pytest.mark.parametrize("encoding", covering(), ids=lambda e: e.name)
def test_every_lossless_encoding(encoding: Encoding, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    written = write(encoding, path)
    # The generator itself: what was written is what others read.
    assert same_bits(read_with_tifffile(path), written)
    assert same_bits(read_with_rasterio(path), written)

    assert list(bands := read_all(path)) == ["0"]
    assert same_bits(bands["0"], written)

    last = read_all(path, band_axis="last")["0"]
    assert same_bits(last, np.moveaxis(written, 0, -1) if encoding.samples > 1 else written)


@pytest.mark.parametrize("name", parameters())
def test_special_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    lossy = write_special(name, path)
    found, last = read_all(path), read_all(path, band_axis="last")
    assert found.keys() == last.keys()
    for array, pixels in found.items():
        assert same_bits(last[array], np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels)
    assert name not in NOT_BY_GDAL or name not in NOT_BY_TIFFFILE
    if name not in NOT_BY_TIFFFILE:
        with tifffile.TiffFile(path) as tif:
            pages = dict(tifffile_pages(tif))
            assert sorted(found) == sorted(pages)
            for array, page in pages.items():
                assert same_bits(found[array], _as_stored(bands_first(page))), array
    if name not in NOT_BY_GDAL:
        gdal = read_with_rasterio(path)
        # GDAL widens half floats.
        assert found["0"].dtype in (gdal.dtype, np.dtype("float16"))
        if lossy:
            difference = np.abs(found["0"].astype(int) - gdal.astype(int))
            assert difference.max() <= LOSSY_TOLERANCE
        else:
            assert np.array_equal(found["0"], gdal, equal_nan=gdal.dtype.kind in "fc")


@pytest.mark.parametrize("name", ["script:pages", "script:sub-ifds", "script:overviews-and-mask"])
def test_every_image_as_gdal_reads_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special(name, path)
    with tifffile.TiffFile(path) as tif:
        offsets = {array: page.offset for array, page in tifffile_pages(tif)}
    found = read_all(path)
    assert found.keys() == offsets.keys()
    assert len(found) > 2
    for array, offset in offsets.items():
        gdal = read_with_rasterio(f"GTIFF_DIR:off:{offset}:{path}")
        assert np.array_equal(found[array], gdal, equal_nan=gdal.dtype.kind in "fc"), array


def _as_stored(expected: Pixels) -> Pixels:
    """tifffile gives bilevel images as booleans."""
    return expected.astype(np.uint8) if expected.dtype == bool else expected


@pytest.mark.parametrize("order", ["<", ">"])
def test_offsets_beyond_4_gib(order: str, tmp_path: Path) -> None:
    """A hole in a file costs nothing on disk."""
    path = tmp_path / "image.tif"
    far = 6 * 2**30
    fields = changed(PLAIN, STRIP_OFFSETS=Field(FieldType.LONG8, (far,)))
    head = assemble([fields], order=order, big=True)
    with path.open("wb") as file:
        file.write(head)
        file.seek(far)
        file.write(bytes(range(100, 120)))
    assert path.stat().st_blocks * 512 < 2**20
    expected = np.arange(100, 120, dtype=np.uint8).reshape(4, 5)
    assert same_bits(read_with_tifffile(path), expected)
    assert same_bits(read_all(path)["0"], expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_header_at_the_end_beyond_4_gib(order: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    head = assemble(
        [changed(PLAIN, STRIP_OFFSETS=Field(FieldType.LONG8, (16,)))], order=order, big=True
    )
    (at,) = struct.unpack_from(order + "Q", head, 8)
    far = 5 * 2**30
    with path.open("wb") as file:
        file.write(head[:8] + struct.pack(order + "Q", far) + head[16:at])
        file.seek(far)
        file.write(head[at:])
    expected = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert same_bits(read_with_tifffile(path), expected)
    assert same_bits(read_all(path)["0"], expected)


@pytest.mark.parametrize(
    "name", ["with space.tif", "ünï.tif", "100%.tif", "a+b&c.tif", "a%20b.tif"]
)
def test_names_of_files(name: str, tmp_path: Path) -> None:
    plain = tmp_path / "image.tif"
    encoding = Encoding(segments="strips-dividing")
    written = write(encoding, plain)
    path = tmp_path / name
    shutil.move(plain, path)
    assert same_bits(read_all(path)["0"], written)
