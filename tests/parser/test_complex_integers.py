"""Complex integers as real and imaginary parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr

from tests.helpers.assemble import PLAIN, assemble, changed, long, short
from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF, publish, scan
from virtual_tiff.errors import ErrorKind, VirtualTIFFError

SHAPE = (45, 70)
VALUES = (np.arange(45 * 70).reshape(SHAPE) - 900) + 1j * (5 - np.arange(45 * 70).reshape(SHAPE))


def write(path: Path, **options: Any) -> None:
    options = {"dtype": "complex_int16", "count": 1} | options
    with rasterio.open(path, "w", driver="GTiff", height=45, width=70, **options) as file:
        for band in file.indexes:
            file.write(VALUES.astype("complex64"), band)


def opened(path: Path, **options: Any) -> Any:
    parser = VirtualTIFF(complex_integers="parts", **options)
    return zarr.open_group(parser(f"file://{path}", local_registry()), mode="r", zarr_format=3)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compress": "DEFLATE", "blockysize": 16},
        {"compress": "LZW", "tiled": True, "blockxsize": 32, "blockysize": 32},
        {"compress": "ZSTD", "ENDIANNESS": "BIG", "blockysize": 20},
    ],
)
@pytest.mark.parametrize("band_axis", ["first", "last"])
def test_parts(tmp_path: Path, options: dict[str, Any], band_axis: str) -> None:
    path = tmp_path / "slc.tif"
    write(path, **options)
    root = opened(path, band_axis=band_axis)
    array = root["0"]
    assert array.metadata.dimension_names == ("y", "x", "part")
    assert array.dtype == np.int16
    found = array[...]
    np.testing.assert_array_equal(found[..., 0] + 1j * found[..., 1].astype(float), VALUES)
    assert root["part"][...].tolist() == ["real", "imaginary"]


def test_parts_of_32_bits(tmp_path: Path) -> None:
    data = np.arange(40, dtype="<i4").reshape(4, 5, 2) - 7
    fields = {"BITS_PER_SAMPLE": short(64), "SAMPLE_FORMAT": short(5)}
    path = tmp_path / "a.tif"
    path.write_bytes(
        assemble([changed(PLAIN, **fields, STRIP_BYTE_COUNTS=long(160))], data=data.tobytes())
    )
    found = opened(path)["0"]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found[...], data)


def test_on_request_only(tmp_path: Path) -> None:
    path = tmp_path / "slc.tif"
    write(path)
    with pytest.raises(VirtualTIFFError) as caught:
        VirtualTIFF().plan(f"file://{path}", local_registry())
    assert caught.value.kind == ErrorKind.UNSUPPORTED_DATA_TYPE
    write(path, count=2)
    with pytest.raises(VirtualTIFFError) as caught:
        opened(path)
    assert caught.value.kind == ErrorKind.UNSUPPORTED_DATA_TYPE


def test_published_and_scanned(tmp_path: Path) -> None:
    path = tmp_path / "slc.tif"
    write(path, compress="DEFLATE")
    parser = VirtualTIFF(complex_integers="parts")
    result = publish([path], tmp_path / "repository", parser=parser)
    assert result.images == 1
    table = scan([path], parser=parser)
    assert len(table) == 1
