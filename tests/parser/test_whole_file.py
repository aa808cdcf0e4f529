"""Images that only libtiff decodes: the whole file is the one chunk of their array."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
import zarr

from tests.helpers.assemble import PLAIN, assemble, changed, long, short
from tests.helpers.make import write_with_rasterio
from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF
from virtual_tiff.completing import whole_file
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.planning.plan import ArrayPlan

_YCBCR = {
    "IMAGE_WIDTH": short(4),
    "BITS_PER_SAMPLE": short(8, 8, 8),
    "SAMPLES_PER_PIXEL": short(3),
    "PHOTOMETRIC_INTERPRETATION": short(6),
    "YCBCR_SUBSAMPLING": short(2, 2),
}


def subsampled(directories: int = 1, **fields: Any) -> bytes:
    """Images of 4 × 4 pixels, chroma halved both ways; the last has the pixels that differ."""
    data = bytes(range(10, 58))
    images = [
        changed(
            PLAIN, **(_YCBCR | fields), STRIP_OFFSETS=long(8 + 24 * i), STRIP_BYTE_COUNTS=long(24)
        )
        for i in range(directories)
    ]
    return assemble(images, data=data)


def subsampled_by_four(width: int) -> bytes:
    """Two strips of four rows, chroma of 4 × 4 pixels."""
    size = width // 4 * 18
    fields = {
        "IMAGE_WIDTH": short(width),
        "IMAGE_LENGTH": short(8),
        "ROWS_PER_STRIP": short(4),
        "YCBCR_SUBSAMPLING": short(4, 4),
        "STRIP_OFFSETS": long(8, 8 + size),
        "STRIP_BYTE_COUNTS": long(size, size),
    }
    return assemble([changed(PLAIN, **(_YCBCR | fields))], data=bytes(range(2 * size)))


def thunder_scan() -> bytes:
    """4-bit pixels, each stated by itself."""
    data = bytes(0xC0 | value for value in range(16))
    return assemble(
        [
            changed(
                PLAIN,
                IMAGE_WIDTH=short(4),
                BITS_PER_SAMPLE=short(4),
                COMPRESSION=short(32809),
                STRIP_BYTE_COUNTS=long(16),
            )
        ],
        data=data,
    )


def run_lengths_in_words() -> bytes:
    """CCITT RLE whose rows are words of 16 bits: eight white pixels, then eight black ones."""
    data = bytes([0b10011000, 0, 0b00110101, 0b00010100])
    return assemble(
        [
            changed(
                PLAIN,
                IMAGE_WIDTH=short(8),
                BITS_PER_SAMPLE=short(1),
                PHOTOMETRIC_INTERPRETATION=short(0),
                ROWS_PER_STRIP=short(2),
                COMPRESSION=short(32771),
                STRIP_OFFSETS=long(8, 8),
                STRIP_BYTE_COUNTS=long(4, 4),
            )
        ],
        data=data,
    )


def complex_predictor() -> bytes:
    """Floating-point complex numbers with predictor 2."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        data = (np.arange(60) + 1j * np.arange(60)[::-1]).astype("complex64").reshape(1, 6, 10)
        write_with_rasterio(path, data, COMPRESS="LZW", PREDICTOR=2)
        return path.read_bytes()


def lerc(dtype: str, *, hole: bool = False, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        data = np.arange(16 * 32).reshape(1, 16, 32).astype(dtype)
        if hole:
            data[0, :4, :4] = np.nan
        with TemporaryDirectory() as folder:
            path = Path(folder) / "image.tif"
            write_with_rasterio(path, data, COMPRESS="LERC", **options)
            return path.read_bytes()

    return make


def lerc_of_bands() -> bytes:
    """Three bands with masks of their own; the first has no valid pixel, and NaN is the nodata."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        data = np.arange(3 * 16 * 32).reshape(3, 16, 32).astype("float32")
        data[0] = np.nan
        options = {"COMPRESS": "LERC", "INTERLEAVE": "PIXEL"}
        write_with_rasterio(path, data, nodata=np.nan, **options)
        return path.read_bytes()


FILES: dict[str, Callable[[], bytes]] = {
    "subsampled YCbCr": subsampled,
    "YCbCr subsampled by four": lambda: subsampled_by_four(16),
    "ThunderScan": thunder_scan,
    "CCITT RLE in words": run_lengths_in_words,
    "complex predictor": complex_predictor,
    "LERC with a mask": lerc("float32", hole=True),
    "LERC with masks of bands": lerc_of_bands,
    "big-endian LERC": lerc("uint16", ENDIANNESS="BIG"),
}


def planned(path: Path, **options: Any) -> dict[str, ArrayPlan]:
    plan = VirtualTIFF(coords=False, **options).plan(f"file://{path}", local_registry())
    return dict(plan.arrays)


def opened(path: Path, name: str = "0", **options: Any) -> Any:
    store = VirtualTIFF(**options)(f"file://{path}", local_registry())
    return zarr.open_group(store, mode="r", zarr_format=3)[name]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("band_axis", ["first", "last"])
def test_pixels_are_those_of_gdal(tmp_path: Path, name: str, band_axis: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(FILES[name]())
    array = opened(path, band_axis=band_axis)
    with rasterio.open(path) as file:
        expected = file.read()
    expected = expected[0] if len(expected) == 1 else expected
    if band_axis == "last" and expected.ndim == 3:
        expected = np.moveaxis(expected, 0, -1)
    assert array[...].dtype == expected.dtype
    np.testing.assert_array_equal(array[...], expected)
    assert len(json.loads(array.attrs["notes"])) == 1


def test_nothing_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(subsampled())
    (plan,) = planned(path).values()
    assert not plan.inline
    assert plan.lengths.ravel().tolist() == [path.stat().st_size]
    assert plan.attributes["color_interpretation"] == ["red", "green", "blue"]


def test_each_directory_has_its_own_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(subsampled(2))
    both = [opened(path, str(i))[...] for i in range(2)]
    assert not np.array_equal(*both)
    with rasterio.open(f"GTIFF_DIR:2:{path}") as file:
        np.testing.assert_array_equal(both[1], file.read())


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (subsampled(), ErrorKind.UNSUPPORTED_COLOR),
        (FILES["LERC with a mask"](), ErrorKind.UNSUPPORTED_MASK),
    ],
)
def test_large_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, kind: ErrorKind
) -> None:
    monkeypatch.setattr(whole_file, "MAX_FILE_BYTES", 100)
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    with pytest.raises(VirtualTIFFError) as caught:
        planned(path)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "fields",
    [
        *({"ORIENTATION": short(n)} for n in range(2, 9)),
        {"YCBCR_SUBSAMPLING": short(4, 4)},
    ],
    ids=str,
)
def test_colours_that_depend_on_how_libtiff_is_asked_are_refused(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    """libtiff turns images, GDAL through it each strip; odd rows of 4 × 4 units lose the last."""
    path = tmp_path / "a.tif"
    path.write_bytes(subsampled(**fields))
    with pytest.raises(VirtualTIFFError) as caught:
        planned(path)
    assert caught.value.kind == ErrorKind.UNSUPPORTED_COLOR


def test_odd_rows_of_units_of_four_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(subsampled_by_four(12))
    with pytest.raises(VirtualTIFFError) as caught:
        planned(path)
    assert caught.value.kind == ErrorKind.UNSUPPORTED_COLOR


def test_masked_integers_are_refused(tmp_path: Path) -> None:
    """For libtiff they are what LERC has in their place."""
    valid = np.ones((4, 5), bool)
    valid[0] = False
    blob = bytes(imagecodecs.lerc_encode(np.arange(20, dtype="u1").reshape(4, 5), masks=valid))
    path = tmp_path / "a.tif"
    path.write_bytes(
        assemble(
            [
                changed(
                    PLAIN,
                    COMPRESSION=short(34887),
                    LERC_PARAMETERS=long(4, 0),
                    STRIP_BYTE_COUNTS=long(len(blob)),
                )
            ],
            data=blob,
        )
    )
    with pytest.raises(VirtualTIFFError) as caught:
        planned(path)
    assert caught.value.kind == ErrorKind.UNSUPPORTED_MASK


@pytest.mark.parametrize("photometric", ["cielab", "icclab", "itulab", "logluv"])
def test_jpeg_of_colour_spaces_that_it_does_not_have(photometric: str, tmp_path: Path) -> None:
    """libtiff does not convert the samples of such a stream, tifffile does: neither is right."""
    path = tmp_path / "image.tif"
    pixels = np.arange(3 * 32 * 32, dtype="uint8").reshape(32, 32, 3)
    tifffile.imwrite(path, pixels, photometric=photometric, compression="jpeg")
    with pytest.raises(VirtualTIFFError) as caught:
        VirtualTIFF(ifd=0)(path.as_uri(), local_registry())
    assert caught.value.kind == ErrorKind.UNSUPPORTED_COLOR
    store = VirtualTIFF(ifd=0, band_axis="last", on_unsupported="copy")(
        path.as_uri(), local_registry()
    )
    copied: Any = zarr.open_group(store, mode="r")["0"]
    assert np.array_equal(copied[:], tifffile.imread(path))
    # Others tell what they hold.
    tifffile.imwrite(path, pixels, photometric=photometric, compression="deflate")
    store = VirtualTIFF(ifd=0, band_axis="last")(path.as_uri(), local_registry())
    referenced: Any = zarr.open_group(store, mode="r")["0"]
    assert np.array_equal(referenced[:], pixels)
