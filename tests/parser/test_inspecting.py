"""Segments that their directory does not describe: they are read as libtiff reads them."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
import zarr

from tests.helpers.assemble import (
    DATA_AT,
    PLAIN,
    PLAIN_DATA,
    Field,
    assemble,
    changed,
    double,
    long,
    short,
    text,
)
from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF, publish
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.inspection.read import info

#: The pixels of `PLAIN_DATA`.
GIVEN = np.frombuffer(PLAIN_DATA, np.uint8).reshape(4, 5)


def written(path: Path, data: bytes, **fields: Field) -> Path:
    fields = {"STRIP_BYTE_COUNTS": long(len(data))} | fields
    path.write_bytes(assemble([changed(PLAIN, **fields)], data=data))
    return path


def opened(path: Path, **options: Any) -> Any:
    store = VirtualTIFF(**options)(f"file://{path}", local_registry())
    return zarr.open_group(store, mode="r", zarr_format=3)["0"]


def refused(path: Path) -> ErrorKind:
    with pytest.raises(VirtualTIFFError) as caught:
        opened(path)
    return caught.value.kind


def names(array: Any) -> list[str]:
    return [codec.to_dict()["name"] for codec in array.metadata.codecs]


@pytest.mark.parametrize("surplus", [b"\x01", b"\x01" * 7])
def test_surplus_bytes_are_cut_by_a_codec(tmp_path: Path, surplus: bytes) -> None:
    data = bytes(imagecodecs.lzw_encode(PLAIN_DATA + surplus))
    array = opened(written(tmp_path / "a.tif", data, COMPRESSION=short(5)))
    assert np.array_equal(array[...], GIVEN)
    assert names(array) == ["imagecodecs_packints", "imagecodecs_lzw"]


@pytest.mark.parametrize("times", [2, 3])
def test_surplus_bytes_of_whole_chunks_are_cut_in_the_repository(
    tmp_path: Path, times: int
) -> None:
    """The codec that cuts surplus bytes would unpack them to as many samples more."""
    data = bytes(imagecodecs.lzw_encode(PLAIN_DATA * times))
    array = opened(written(tmp_path / "a.tif", data, COMPRESSION=short(5)))
    assert np.array_equal(array[...], GIVEN)
    assert names(array) == ["bytes", "imagecodecs_lzw"]


@pytest.mark.parametrize("after", [b"\xff", b"\xff" * 5, b"\0\0\0", b"\xfd7z"])
def test_bytes_after_a_stream_of_lzma(tmp_path: Path, after: bytes) -> None:
    data = lzma.compress(PLAIN_DATA) + after
    array = opened(written(tmp_path / "a.tif", data, COMPRESSION=short(34925)))
    assert np.array_equal(array[...], GIVEN)


def test_surplus_bytes_of_wider_samples_are_cut_in_the_repository(tmp_path: Path) -> None:
    wide = GIVEN.astype("<u2") * 257
    data = bytes(imagecodecs.lzw_encode(wide.tobytes() + b"\x01"))
    array = opened(
        written(tmp_path / "a.tif", data, COMPRESSION=short(5), BITS_PER_SAMPLE=short(16))
    )
    assert np.array_equal(array[...], wide)
    assert names(array) == ["bytes", "imagecodecs_lzw"]


def test_surplus_bytes_of_the_last_strip(tmp_path: Path) -> None:
    strips = [bytes(imagecodecs.lzw_encode(PLAIN_DATA[i : i + 15] + b"\0")) for i in (0, 15)]
    path = written(
        tmp_path / "a.tif",
        b"".join(strips),
        COMPRESSION=short(5),
        ROWS_PER_STRIP=short(3),
        STRIP_OFFSETS=long(DATA_AT, DATA_AT + len(strips[0])),
        STRIP_BYTE_COUNTS=long(*map(len, strips)),
    )
    assert np.array_equal(opened(path)[...], GIVEN)


def test_a_stream_that_is_damaged_after_the_last_row(tmp_path: Path) -> None:
    """A code that is not in the table, where the end-of-information code should be."""
    data = bytearray(imagecodecs.lzw_encode(PLAIN_DATA))
    data[-1] ^= 0xFF
    data += b"\xff\xff"
    with pytest.raises(imagecodecs.LzwError):
        imagecodecs.lzw_decode(bytes(data))
    array = opened(written(tmp_path / "a.tif", bytes(data), COMPRESSION=short(5)))
    assert np.array_equal(array[...], GIVEN)


def test_a_strip_that_ends_early_is_refused(tmp_path: Path) -> None:
    data = bytes(imagecodecs.lzw_encode(PLAIN_DATA[:-1]))
    path = written(tmp_path / "a.tif", data, COMPRESSION=short(5))
    assert refused(path) == ErrorKind.INVALID_SEGMENT


def test_tiles_without_the_rows_below_the_image(tmp_path: Path) -> None:
    tile = np.zeros((4, 16), np.uint8)
    tile[:, :5] = GIVEN
    data = bytes(imagecodecs.packbits_encode(tile.tobytes()))
    fields = {
        "TILE_WIDTH": short(16),
        "TILE_LENGTH": short(16),
        "TILE_OFFSETS": long(DATA_AT),
        "TILE_BYTE_COUNTS": long(len(data)),
    }
    path = written(tmp_path / "a.tif", data, COMPRESSION=short(32773), **fields)
    assert np.array_equal(opened(path)[...], GIVEN)


TILES = {
    "TILE_WIDTH": short(16),
    "TILE_LENGTH": short(16),
    "TILE_OFFSETS": long(DATA_AT),
}
ENCODERS: dict[int, Callable[[bytes], Any]] = {
    5: imagecodecs.lzw_encode,
    8: zlib.compress,
    32773: imagecodecs.packbits_encode,
}


@pytest.mark.parametrize("compression", ENCODERS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("rows", [4, 10, 16, 17])
def test_tiles_of_other_sizes(tmp_path: Path, compression: int, bits: int, rows: int) -> None:
    """Of fewer rows than a tile, as long as those of the image are there, and of more bytes."""
    dtype = np.dtype(f"<u{bits // 8}")
    tile = np.zeros((rows, 16), dtype)
    tile[:4, :5] = GIVEN
    data = bytes(ENCODERS[compression](tile.tobytes()))
    fields = {**TILES, "TILE_BYTE_COUNTS": long(len(data)), "BITS_PER_SAMPLE": short(bits)}
    path = written(tmp_path / "a.tif", data, COMPRESSION=short(compression), **fields)
    assert np.array_equal(opened(path)[...], GIVEN)


@pytest.mark.parametrize("cut", [1, 4])
def test_streams_without_their_end(tmp_path: Path, cut: int) -> None:
    """The checksum of Deflate is missing; what it encodes is whole."""
    data = zlib.compress(PLAIN_DATA)[:-cut]
    assert np.array_equal(
        opened(written(tmp_path / "a.tif", data, COMPRESSION=short(8)))[...], GIVEN
    )


@pytest.mark.parametrize("compression", ENCODERS)
def test_counts_beyond_the_end_of_the_file(tmp_path: Path, compression: int) -> None:
    """Every decoder stops at the end of the data."""
    data = bytes(ENCODERS[compression](PLAIN_DATA))
    path = tmp_path / "a.tif"
    fields = {"COMPRESSION": short(compression), "STRIP_BYTE_COUNTS": long(len(data) + 5000)}
    size = len(assemble([changed(PLAIN, **fields)]))
    path.write_bytes(assemble([changed(PLAIN, **fields, STRIP_OFFSETS=long(size))]) + data)
    assert np.array_equal(opened(path)[...], GIVEN)
    # Without all data it is a file that was cut short.
    path.write_bytes(path.read_bytes()[: -len(data) + 5])
    assert refused(path) in (ErrorKind.INVALID_SEGMENT, ErrorKind.TRUNCATED)


def test_segments_of_large_files(tmp_path: Path) -> None:
    """It would cost a request for each COG."""
    data = zlib.compress(PLAIN_DATA + b"\0")
    geospatial = {"GEO_KEY_DIRECTORY": short(1, 1, 0, 1, 1024, 0, 1, 2)}
    for fields, expected in (({}, "imagecodecs_packints"), (geospatial, "bytes")):
        path = written(tmp_path / "a.tif", data, COMPRESSION=short(8), **fields)
        assert names(opened(path)) == ["imagecodecs_packints", "numcodecs.zlib"]
        with path.open("ab") as file:
            file.truncate(2 * 1024 * 1024)
        assert names(opened(path)) == [expected, "numcodecs.zlib"]


_TILED = np.random.default_rng(1).integers(0, 255, (72, 88), "uint8")


def _write_tiles(path: Path, compression: int, encode: Any, rows: int, columns: int) -> None:
    """Write tiles of 32 x 32 in a large file, the last of fewer rows and columns."""
    padded = np.pad(_TILED, ((0, 24), (0, 8)))
    tiles = [
        encode(np.ascontiguousarray(padded[y : y + 32, x : x + 32]))
        for y in range(0, 96, 32)
        for x in range(0, 96, 32)
    ]
    tiles[-1] = encode(np.ascontiguousarray(padded[64 : 64 + rows, 64 : 64 + columns]))
    tifffile.imwrite(
        path,
        iter(tiles),
        shape=_TILED.shape,
        dtype="uint8",
        tile=(32, 32),
        compression=compression,
        photometric="minisblack",
        metadata=None,
    )
    with path.open("ab") as file:
        file.truncate(2 * 1024 * 1024)


def _of_bytes(encode: Any) -> Any:
    return lambda tile: encode(tile.tobytes())


@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        (5, _of_bytes(imagecodecs.lzw_encode)),
        (8, _of_bytes(imagecodecs.zlib_encode)),
        (32773, _of_bytes(imagecodecs.packbits_encode)),
        (50000, _of_bytes(imagecodecs.zstd_encode)),
    ],
)
def test_tiles_of_large_files_without_rows(tmp_path: Path, compression: int, encode: Any) -> None:
    path = tmp_path / "a.tif"
    _write_tiles(path, compression, encode, 8, 32)
    assert np.array_equal(opened(path)[...], _TILED)
    _write_tiles(path, compression, encode, 8, 24)
    assert refused(path) == ErrorKind.UNSUPPORTED_LAYOUT


@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        (7, imagecodecs.jpeg_encode),
        (34712, imagecodecs.jpeg2k_encode),
        (34887, imagecodecs.lerc_encode),
        (34933, imagecodecs.png_encode),
        (50002, imagecodecs.jpegxl_encode),
    ],
)
def test_streams_of_large_files_that_end_with_the_image(
    tmp_path: Path, compression: int, encode: Any
) -> None:
    """libtiff reads the columns of JPEG that are there in the wrong places."""
    path = tmp_path / "a.tif"
    _write_tiles(path, compression, encode, 8, 24)
    assert refused(path) == ErrorKind.UNSUPPORTED_COMPRESSION


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_fill_order(tmp_path: Path, compression: int) -> None:
    packed = bytes([0b10110_000, 0b01001_000, 0b11111_000, 0b00001_000])
    encoders: dict[int, Callable[[bytes], Any]] = {
        1: bytes,
        5: imagecodecs.lzw_encode,
        8: zlib.compress,
        32773: imagecodecs.packbits_encode,
    }
    data = bytes(imagecodecs.bitorder_encode(bytes(encoders[compression](packed))))
    path = written(
        tmp_path / "a.tif",
        data,
        COMPRESSION=short(compression),
        FILL_ORDER=short(2),
        BITS_PER_SAMPLE=short(1),
    )
    expected = np.unpackbits(np.frombuffer(packed, np.uint8).reshape(4, 1), axis=1)[:, :5]
    assert np.array_equal(opened(path)[...], expected)


def test_old_jpeg_of_one_stream(tmp_path: Path) -> None:
    pixels = np.add.outer(np.arange(16), 3 * np.arange(16)).astype(np.uint8)
    pixels = np.stack([pixels, pixels[::-1], pixels[:, ::-1]], axis=-1)
    stream = bytes(imagecodecs.jpeg_encode(pixels, level=95, outcolorspace="YCBCR"))
    fields = {
        "IMAGE_WIDTH": short(16),
        "IMAGE_LENGTH": short(16),
        "ROWS_PER_STRIP": short(16),
        "BITS_PER_SAMPLE": short(8, 8, 8),
        "SAMPLES_PER_PIXEL": short(3),
        "PHOTOMETRIC_INTERPRETATION": short(6),
        "COMPRESSION": short(6),
        "JPEG_INTERCHANGE_FORMAT": long(DATA_AT),
    }
    path = written(tmp_path / "a.tif", stream, **fields)
    found = np.moveaxis(opened(path)[...], 0, -1)
    assert np.array_equal(found, tifffile.imread(path))
    assert names(opened(path))[-1] == "imagecodecs_jpeg"
    # Another stream within: tables apart from their strip, which libtiff reads.
    nested = written(tmp_path / "b.tif", stream[:-2] + stream, **fields)
    with rasterio.open(nested) as file:
        assert np.array_equal(opened(nested)[...], file.read())
    assert names(opened(nested))[-1] == "imagecodecs_tiff"


@pytest.mark.parametrize("compression", [33004, 33007])
def test_streams_that_are_not_what_the_compression_says(tmp_path: Path, compression: int) -> None:
    path = written(tmp_path / "a.tif", PLAIN_DATA, COMPRESSION=short(compression))
    assert refused(path) == ErrorKind.UNSUPPORTED_COMPRESSION


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_lossy_jpeg_of_dng(tmp_path: Path, photometric: str) -> None:
    """It is YCbCr, whatever the directory says, and the JFIF marker tells."""
    path = tmp_path / "a.tif"
    pixels = np.add.outer(np.arange(16), 3 * np.arange(16)).astype(np.uint8)
    pixels = np.stack([pixels, pixels[::-1], pixels[:, ::-1]], axis=-1)
    tifffile.imwrite(path, pixels, photometric=photometric, compression=34892)
    found = np.moveaxis(opened(path)[...], 0, -1)
    assert np.array_equal(found, tifffile.imread(path))


def test_webp_of_one_sample_in_each_segment(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.tif",
        PLAIN_DATA,
        COMPRESSION=short(50001),
        BITS_PER_SAMPLE=short(8, 8, 8),
        SAMPLES_PER_PIXEL=short(3),
        PLANAR_CONFIGURATION=short(2),
        STRIP_OFFSETS=long(DATA_AT, DATA_AT, DATA_AT),
        STRIP_BYTE_COUNTS=long(20, 20, 20),
    )
    assert refused(path) == ErrorKind.UNSUPPORTED_LAYOUT


def test_a_last_jpeg_strip_with_rows_below_the_image(tmp_path: Path) -> None:
    pixels = np.add.outer(np.arange(24), np.arange(16)).astype(np.uint8) * 4
    strips = [bytes(imagecodecs.jpeg_encode(pixels[i : i + n])) for i, n in ((0, 16), (16, 8))]
    path = written(
        tmp_path / "a.tif",
        b"".join(strips),
        IMAGE_WIDTH=short(16),
        IMAGE_LENGTH=short(19),
        ROWS_PER_STRIP=short(16),
        COMPRESSION=short(7),
        STRIP_OFFSETS=long(DATA_AT, DATA_AT + len(strips[0])),
        STRIP_BYTE_COUNTS=long(*map(len, strips)),
    )
    difference = opened(path)[...].astype(int) - tifffile.imread(path)
    assert np.abs(difference).max() <= 4


@pytest.mark.parametrize(("compression", "encode"), [(50013, zlib.compress), (34926, None)])
def test_other_numbers_of_known_compressions(tmp_path: Path, compression: int, encode: Any) -> None:
    data = bytes((encode or imagecodecs.zstd_encode)(PLAIN_DATA))
    path = written(tmp_path / "a.tif", data, COMPRESSION=short(compression))
    assert np.array_equal(opened(path)[...], GIVEN)


def test_offsets_that_are_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", PLAIN_DATA, STRIP_OFFSETS=Field(1, (200,)))
    raw = path.read_bytes()
    path.write_bytes(raw.ljust(200, b"\0")[:200] + PLAIN_DATA)
    assert np.array_equal(opened(path)[...], GIVEN)


def test_a_damaged_sub_ifd_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", PLAIN_DATA, SUB_IFDS=long(2**30))
    array = opened(path)
    assert np.array_equal(array[...], GIVEN)
    assert len(json.loads(array.attrs["notes"])) == 1
    result = publish(str(path), str(tmp_path / "repo"))
    assert len(result.notes) == 1


def test_planes_without_a_directory_are_reported(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.tif",
        PLAIN_DATA * 3,
        STRIP_BYTE_COUNTS=long(20),
        IMAGE_DESCRIPTION=text("ImageJ=1.54\nimages=3\nslices=3\n"),
    )
    assert "3 planes" in json.loads(opened(path).attrs["notes"])[0]
    assert "3 planes" in info(str(path))[0].images[0].notes[0]


@pytest.mark.parametrize(
    ("compression", "encode"),
    [(50000, imagecodecs.zstd_encode), (34925, lzma.compress), (8, zlib.compress)],
    ids=["zstd", "lzma", "deflate"],
)
@pytest.mark.parametrize("surplus", [1, 100_000])
def test_surplus_bytes_of_other_compressions(
    tmp_path: Path, compression: int, encode: Callable[[bytes], Any], surplus: int
) -> None:
    """A hundred thousand equal bytes are a few in Zstandard."""
    data = bytes(encode(PLAIN_DATA + bytes(surplus)))
    path = written(tmp_path / "a.tif", data, COMPRESSION=short(compression))
    if surplus == 1:
        assert np.array_equal(opened(path)[...], GIVEN)
    else:
        assert refused(path) == ErrorKind.INVALID_SEGMENT


def test_pixels_that_compress_well(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.zeros((3000, 1000), np.uint8)
    tifffile.imwrite(path, pixels, compression="zstd", rowsperstrip=3000, photometric=1)
    assert path.stat().st_size < 2000
    assert np.array_equal(opened(path)[...], pixels)


def test_a_short_strip_with_the_largest_dictionary_of_lzma(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.arange(2000, dtype=np.uint8).reshape(1, 50, 40)
    with rasterio.open(
        path,
        "w",
        **{"driver": "GTiff", "width": 40, "height": 50, "count": 1, "dtype": "uint8"},
        **{"compress": "LZMA", "lzma_preset": 9, "blockysize": 32, "crs": "EPSG:4326"},
        transform=rasterio.Affine(2, 0, 0, 0, -2, 0),
    ) as file:
        file.write(pixels)
    assert np.array_equal(opened(path)[...], pixels[0])


#: A row of 131 pixels by `tiffcp -c g3:2d:fill`.
_FAX_ROW = bytes.fromhex("0001ea05f63040")


@pytest.mark.parametrize("rows", [9, 15, 16])
@pytest.mark.parametrize("fill_order", [1, 2])
def test_a_short_strip_of_two_dimensional_fax(tmp_path: Path, rows: int, fill_order: int) -> None:
    strips = [_FAX_ROW * 8, _FAX_ROW * (rows - 8)]
    if fill_order == 2:
        strips = [bytes(imagecodecs.bitorder_encode(strip)) for strip in strips]
    path = written(
        tmp_path / "a.tif",
        b"".join(strips),
        **{"IMAGE_WIDTH": short(131), "IMAGE_LENGTH": short(rows), "BITS_PER_SAMPLE": short(1)},
        **{"ROWS_PER_STRIP": short(8), "COMPRESSION": short(3), "T4_OPTIONS": long(5)},
        **{"PHOTOMETRIC_INTERPRETATION": short(1), "FILL_ORDER": short(fill_order)},
        STRIP_OFFSETS=long(DATA_AT, DATA_AT + len(strips[0])),
        STRIP_BYTE_COUNTS=long(*map(len, strips)),
    )
    array = opened(path)
    assert array.chunks == (8, 131)
    expected = tifffile.imread(path)
    assert expected.any()
    assert np.array_equal(array[...], expected)


def test_webp_with_reversed_bits(tmp_path: Path) -> None:
    """libtiff reverses the bits of WebP, unlike those of JPEG."""
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    stream = bytes(imagecodecs.webp_encode(pixels, lossless=True))
    path = written(
        tmp_path / "a.tif",
        bytes(imagecodecs.bitorder_encode(stream)),
        **{"COMPRESSION": short(50001), "FILL_ORDER": short(2), "BITS_PER_SAMPLE": short(8, 8, 8)},
        **{"SAMPLES_PER_PIXEL": short(3), "PHOTOMETRIC_INTERPRETATION": short(2)},
    )
    with rasterio.open(path) as file:
        assert np.array_equal(file.read(), np.moveaxis(pixels, -1, 0))
    assert np.array_equal(opened(path)[...], np.moveaxis(pixels, -1, 0))


@pytest.mark.parametrize(
    "fields",
    [
        {"COMPRESSION": short(65_000)},
        {"COMPRESSION": short(4)},
        {"COMPRESSION": short(5), "PREDICTOR": short(3)},
    ],
    ids=["unknown", "fax of 8 bits", "predictor 3 of integers"],
)
def test_an_image_of_which_nothing_was_stored(tmp_path: Path, fields: dict[str, Field]) -> None:
    """Writers leave such files when their encoder refuses the pixels; readers fill them."""
    path = written(
        tmp_path / "a.tif", b"", STRIP_OFFSETS=long(0), STRIP_BYTE_COUNTS=long(0), **fields
    )
    assert np.array_equal(opened(path)[...], np.zeros((4, 5), np.uint8))


@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
def test_tiles_of_several_slices_in_an_image_of_one(
    tmp_path: Path, compression: str | None
) -> None:
    path = tmp_path / "a.tif"
    pixels = np.arange(20 * 30, dtype=np.uint16).reshape(1, 20, 30)
    tifffile.imwrite(
        path, pixels, tile=(4, 16, 16), volumetric=True, compression=compression, photometric=1
    )
    array = opened(path)
    assert array.metadata.dimension_names == ("z", "y", "x")
    assert np.array_equal(array[...], pixels)


@pytest.mark.parametrize("predictor", [34894, 34895])
@pytest.mark.parametrize("samples", [1, 3])
def test_floating_point_predictors_of_dng(tmp_path: Path, predictor: int, samples: int) -> None:
    path = tmp_path / "a.tif"
    pixels = np.linspace(0, 1, 20 * 30 * samples, dtype=np.float32).reshape(20, 30, samples)
    tifffile.imwrite(
        path,
        pixels.squeeze(),
        compression="deflate",
        predictor=predictor,
        tile=(16, 16),
        photometric="rgb" if samples == 3 else "minisblack",
    )
    expected = np.moveaxis(pixels, -1, 0).squeeze()
    assert np.array_equal(opened(path)[...], expected)
    assert np.array_equal(tifffile.imread(path).squeeze(), pixels.squeeze())


#: GeoKeys of a projected CRS, as in archives of COGs.
GEO = {
    "GEO_KEY_DIRECTORY": short(1, 1, 0, 1, 3072, 0, 1, 32633),
    "MODEL_PIXEL_SCALE": double(10.0, 10.0, 0.0),
    "MODEL_TIEPOINT": double(0.0, 0.0, 0.0, 5e5, 6e6, 0.0),
}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", [5, 8])
@pytest.mark.parametrize("surplus", [b"\x01", -1])
def test_large_files_with_geo_keys(
    tmp_path: Path, compression: int, bits: int, surplus: bytes | int
) -> None:
    """Surplus bytes, or tiles without the last row below the image, far from the header."""
    dtype = np.dtype(f"<u{bits // 8}")
    tile = np.zeros((16, 16), dtype)
    tile[:4, :5] = GIVEN
    pixels = tile.tobytes()
    pixels = pixels + surplus if isinstance(surplus, bytes) else pixels[: -16 * dtype.itemsize]
    data = bytes(ENCODERS[compression](pixels))
    at = 40_000
    fields = {**TILES, "TILE_OFFSETS": long(DATA_AT + at), "TILE_BYTE_COUNTS": long(len(data))}
    path = written(
        tmp_path / "a.tif",
        bytes(at) + data,
        COMPRESSION=short(compression),
        BITS_PER_SAMPLE=short(bits),
        **fields,
        **GEO,
    )
    assert np.array_equal(opened(path)[...], GIVEN)


@pytest.mark.parametrize("compression", ENCODERS)
def test_tiles_that_end_with_the_image(tmp_path: Path, compression: int) -> None:
    """They are not damaged: tifffile reads them."""
    data = bytes(ENCODERS[compression](PLAIN_DATA))
    fields = {**TILES, "TILE_BYTE_COUNTS": long(len(data))}
    path = written(tmp_path / "a.tif", data, COMPRESSION=short(compression), **fields)
    assert refused(path) == ErrorKind.UNSUPPORTED_LAYOUT
    assert np.array_equal(opened(path, on_unsupported="copy")[...], GIVEN)


@pytest.mark.parametrize("padding", [0, 4096])
def test_uncompressed_tiles_that_end_with_the_image(tmp_path: Path, padding: int) -> None:
    """Their rows are shorter than those of a tile; a copy has the pixels that tifffile finds."""
    fields = {**TILES, "TILE_BYTE_COUNTS": long(20)}
    path = written(tmp_path / "a.tif", PLAIN_DATA + bytes(padding), **fields)
    assert refused(path) == ErrorKind.UNSUPPORTED_LAYOUT
    assert np.array_equal(opened(path, on_unsupported="copy")[...], GIVEN)
