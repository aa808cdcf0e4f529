"""Streams of images that their directory does not describe: right, or refused before reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from numpy.typing import NDArray

from tests.helpers.assemble import DATA_AT, PLAIN, assemble, changed, long, short
from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.planning.encoding.codec_chain import SMALL_FILE_BYTES

_ROWS, _COLUMNS = np.mgrid[:64, :96].astype("uint8")
RGB = np.stack([_ROWS * 3, _COLUMNS, 255 - _ROWS], axis=-1)


def opened(path: Path) -> Any:
    store = VirtualTIFF(band_axis="last")(f"file://{path}", local_registry())
    return zarr.open_group(store, mode="r", zarr_format=3)["0"]


def refused(path: Path) -> ErrorKind:
    with pytest.raises(VirtualTIFFError) as caught:
        opened(path)
    return caught.value.kind


def streams(path: Path, *data: bytes, **fields: Any) -> Path:
    """Write planes or strips of JPEG, 96 pixels wide, of YCbCr images."""
    starts = np.cumsum([DATA_AT, *map(len, data)])[:-1]
    ours = {
        "IMAGE_WIDTH": short(96),
        "IMAGE_LENGTH": short(64),
        "ROWS_PER_STRIP": short(64),
        "BITS_PER_SAMPLE": short(8, 8, 8),
        "SAMPLES_PER_PIXEL": short(3),
        "PHOTOMETRIC_INTERPRETATION": short(6),
        "COMPRESSION": short(7),
        "STRIP_OFFSETS": long(*map(int, starts)),
        "STRIP_BYTE_COUNTS": long(*map(len, data)),
    }
    image = changed(PLAIN, **(ours | fields))
    path.write_bytes(assemble([image], data=b"".join(data)))
    return path


@pytest.mark.parametrize("subsampling", ["420", "422"])
def test_subsampled_jfif_that_is_declared_rgb(tmp_path: Path, subsampling: str) -> None:
    """libtiff refuses it; tifffile goes by the marker of JFIF, for which samples are YCbCr."""
    stream = bytes(imagecodecs.jpeg8_encode(RGB, level=90, subsampling=subsampling))
    path = streams(tmp_path / "a.tif", stream, PHOTOMETRIC_INTERPRETATION=short(2))
    found = opened(path)[...]
    assert np.array_equal(found, tifffile.imread(path))
    assert np.abs(found.astype(int) - RGB.astype(int)).max() < 40


@pytest.mark.parametrize("predictor", [3, 34894, 34895])
@pytest.mark.parametrize("order", ["<", ">"])
def test_floating_point_predictors_of_complex_numbers(
    tmp_path: Path, predictor: int, order: Literal["<", ">"]
) -> None:
    pixels = (np.arange(640).reshape(20, 32) * (1.5 - 0.25j)).astype(order + "c8")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, compression="zlib", predictor=predictor, byteorder=order)
    assert np.array_equal(opened(path)[...], tifffile.imread(path))


def _write_lossless(path: Path, pixels: NDArray[Any], **layout: Any) -> None:
    """Write lossless JPEG of RGB, which tifffile declares YCbCr."""
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb",
        compression="jpeg",
        compressionargs={"lossless": True},
        **layout,
    )


@pytest.mark.parametrize(
    "layout", [{}, {"rowsperstrip": 16}, {"rowsperstrip": 24}, {"tile": (32, 32)}]
)
@pytest.mark.parametrize("data_type", ["uint8", "uint16"])
def test_lossless_jpeg_that_is_declared_ycbcr(
    tmp_path: Path, layout: dict[str, Any], data_type: str
) -> None:
    pixels = RGB.astype(data_type) * (257 if data_type == "uint16" else 1)
    path = tmp_path / "a.tif"
    _write_lossless(path, pixels, **layout)
    with tifffile.TiffFile(path) as tif:
        assert tif.pages.first.photometric == tifffile.PHOTOMETRIC.YCBCR
    assert np.array_equal(opened(path)[...], pixels)


def test_lossless_jpeg_of_a_large_file(tmp_path: Path) -> None:
    pixels = np.tile(RGB, (16, 8, 1)) ^ np.random.default_rng(1).integers(
        0, 255, (1024, 768, 3), "uint8"
    )
    path = tmp_path / "a.tif"
    _write_lossless(path, pixels, tile=(256, 256))
    assert path.stat().st_size > SMALL_FILE_BYTES
    assert np.array_equal(opened(path)[...], pixels)


def test_lossless_jpeg_of_ycbcr_is_refused(tmp_path: Path) -> None:
    """The marker of JFIF says that the components are YCbCr, which nothing converts."""
    stream = imagecodecs.jpeg8_encode(RGB, lossless=True, colorspace="YCBCR", outcolorspace="YCBCR")
    kind = refused(streams(tmp_path / "a.tif", bytes(stream)))
    assert kind == ErrorKind.UNSUPPORTED_COMPRESSION


@pytest.mark.parametrize("step", [(2, 2), (1, 2)])
def test_planes_of_subsampled_jpeg_are_refused(tmp_path: Path, step: tuple[int, int]) -> None:
    plane = np.ascontiguousarray(RGB[..., 0])
    chroma = np.ascontiguousarray(plane[:: step[0], :: step[1]])
    data = [bytes(imagecodecs.jpeg8_encode(one)) for one in (plane, chroma, chroma)]
    path = streams(tmp_path / "a.tif", *data, PLANAR_CONFIGURATION=short(2))
    assert refused(path) == ErrorKind.UNSUPPORTED_COMPRESSION


def test_planes_of_whole_jpeg(tmp_path: Path) -> None:
    data = [bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(RGB[..., i]))) for i in range(3)]
    path = streams(tmp_path / "a.tif", *data, PLANAR_CONFIGURATION=short(2))
    expected = np.stack([imagecodecs.jpeg8_decode(one) for one in data], axis=-1)
    assert np.array_equal(opened(path)[...], expected)


@pytest.mark.parametrize(
    ("number", "encode"),
    [
        (34712, imagecodecs.jpeg2k_encode),
        (50002, imagecodecs.jpegxl_encode),
        (34933, imagecodecs.png_encode),
        (22610, imagecodecs.jpegxr_encode),
        (7, imagecodecs.jpeg8_encode),
    ],
)
@pytest.mark.parametrize("damage", ["size", "kind"])
@pytest.mark.parametrize("is_small", [True, False])
def test_streams_of_other_images_are_refused(
    tmp_path: Path, number: int, encode: Any, damage: str, is_small: bool
) -> None:
    stream = bytes(encode(RGB[:, :32] if damage == "size" else RGB))
    if damage == "kind":
        stream = b"\x00" * 16 + stream
    path = streams(
        tmp_path / "a.tif",
        stream,
        COMPRESSION=short(number),
        PHOTOMETRIC_INTERPRETATION=short(2),
    )
    if not is_small:
        with path.open("ab") as file:
            file.write(bytes(SMALL_FILE_BYTES))
    assert refused(path) == ErrorKind.UNSUPPORTED_COMPRESSION


def test_predictors_of_packbits_are_refused(tmp_path: Path) -> None:
    """Libtiff returns the differences, tifffile the pixels; the file must not be one chunk."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression="packbits", predictor=True)
    assert refused(path) == ErrorKind.UNSUPPORTED_PREDICTOR


@pytest.mark.parametrize("masked", [False, True])
def test_lerc_with_reversed_bits(tmp_path: Path, masked: bool) -> None:
    """Libtiff reverses the bits of LERC, and the reversed bytes may mask pixels as any others."""
    valid = np.ones(RGB.shape[:2], bool)
    valid[3, 4] = not masked
    stream = bytes(imagecodecs.lerc_encode(RGB, masks=valid if masked else None))
    path = streams(
        tmp_path / "a.tif",
        bytes(imagecodecs.bitorder_encode(stream)),
        COMPRESSION=short(34887),
        LERC_PARAMETERS=long(4, 0),
        PHOTOMETRIC_INTERPRETATION=short(2),
        FILL_ORDER=short(2),
    )
    if masked:
        assert refused(path) == ErrorKind.UNSUPPORTED_MASK
        return
    with rasterio.open(path) as dataset:
        expected = dataset.read()
    assert np.array_equal(expected.transpose(1, 2, 0), RGB)
    assert np.array_equal(opened(path)[...], RGB)
