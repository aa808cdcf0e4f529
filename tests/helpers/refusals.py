"""TIFFs that no Zarr codec can express: what docs/reference/refused.md lists, as files."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
import rasterio

from tests.helpers.assemble import PLAIN, PLAIN_DATA, assemble, changed, long, plain, short


@dataclass(frozen=True, slots=True)
class Refusal:
    """An encoding that is refused.

    Parameters
    ----------
    what, why
        The encoding, and why no codec decodes it, in the words of the page.
    makes
        Each makes the smallest file of one such encoding.
    has_pixels
        Whether the files could be decoded by something, so that copying can be tried.
    """

    what: str
    why: str
    makes: Sequence[Callable[[], bytes]]
    has_pixels: bool = True


def _compressed_with(number: int) -> Callable[[], bytes]:
    return lambda: plain(COMPRESSION=short(number))


def _deflated(data: bytes, **changes: Any) -> bytes:
    stream = zlib.compress(data)
    fields = {"COMPRESSION": short(8), "STRIP_BYTE_COUNTS": long(len(stream))}
    return assemble([changed(PLAIN, **(fields | changes))], data=stream)


def _packed_565() -> bytes:
    return plain(
        BITS_PER_SAMPLE=short(5, 6, 5),
        SAMPLES_PER_PIXEL=short(3),
        PHOTOMETRIC_INTERPRETATION=short(2),
        STRIP_BYTE_COUNTS=long(40),
    )


def _volume() -> bytes:
    data = bytes(120)
    return assemble(
        [
            changed(
                PLAIN,
                IMAGE_DEPTH=long(2),
                BITS_PER_SAMPLE=short(8, 8, 8),
                SAMPLES_PER_PIXEL=short(3),
                PHOTOMETRIC_INTERPRETATION=short(2),
                STRIP_OFFSETS=long(8, 68),
                STRIP_BYTE_COUNTS=long(60, 60),
            )
        ],
        data=data,
    )


def _masked_integers() -> bytes:
    valid = np.ones((4, 5), bool)
    valid[0] = False
    stream = bytes(imagecodecs.lerc_encode(np.arange(20, dtype="u1").reshape(4, 5), masks=valid))
    fields = {"COMPRESSION": short(34887), "LERC_PARAMETERS": long(4, 0)}
    fields["STRIP_BYTE_COUNTS"] = long(len(stream))
    return assemble([changed(PLAIN, **fields)], data=stream)


def _complex_integers() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        profile = {"driver": "GTiff", "count": 1, "height": 4, "width": 5, "dtype": "complex_int16"}
        with rasterio.open(path, "w", **profile) as file:
            file.write(np.arange(20).reshape(1, 4, 5).astype("complex64"))
        return path.read_bytes()


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "Compressions that nobody has registered; 33004, 33007, or 65000 to 65002 whose segments "
        "are not JPEG 2000, JPEG, or EER of one bit",
        "there is no decoder: of raw YCbCr of Aperio neither, and libtiff takes the numbers for "
        "unknown",
        [_compressed_with(number) for number in (65_123, 33_004, 33_007, 65_000, 65_002)],
        has_pixels=False,
    ),
    Refusal(
        "Old-style JPEG (6) that libtiff cannot decode; ThunderScan (32809) of other than 4 bits",
        "`imagecodecs_tiff`, which is libtiff, has the only decoder",
        [_compressed_with(6), _compressed_with(32_809)],
        has_pixels=False,
    ),
    Refusal(
        "SGI LogLuv (34676)",
        "libtiff returns CIE XYZ, GDAL 16-bit integers",
        [_compressed_with(34_676)],
        has_pixels=False,
    ),
    Refusal(
        "Samples of unequal widths (5, 6, 5 bits) or formats; signed ones of 2 to 7, or of 12 bits",
        "an array has one data type, and `imagecodecs_packints` unpacks unsigned samples of one "
        "width",
        [
            _packed_565,
            lambda: plain(
                BITS_PER_SAMPLE=short(8, 8),
                SAMPLES_PER_PIXEL=short(2),
                SAMPLE_FORMAT=short(1, 2),
                STRIP_BYTE_COUNTS=long(40),
            ),
            lambda: plain(BITS_PER_SAMPLE=short(4), SAMPLE_FORMAT=short(2)),
        ],
        has_pixels=False,
    ),
    Refusal("Complex integers", "Zarr has no complex integers; see below", [_complex_integers]),
    Refusal(
        "24-bit integers of a big-endian file",
        "libtiff swaps the bytes of each, tifffile those of four",
        [
            lambda: assemble(
                [changed(PLAIN, BITS_PER_SAMPLE=short(24), STRIP_BYTE_COUNTS=long(60))],
                data=bytes(range(60)),
                order=">",
            )
        ],
    ),
    Refusal(
        "Predictor 2 with samples that are packed to the bit; predictor 3 with integers or "
        "complex128",
        "`imagecodecs_delta` adds whole bytes, `imagecodecs_floatpred` takes floating-point "
        "numbers up to 8 bytes; so does libtiff",
        [
            lambda: _deflated(bytes(32), BITS_PER_SAMPLE=short(12), PREDICTOR=short(2)),
            lambda: _deflated(PLAIN_DATA, PREDICTOR=short(3)),
        ],
        has_pixels=False,
    ),
    Refusal(
        "A predictor with PackBits",
        "Pillow, through libtiff, writes the tag and plain samples, tifffile differences; nothing "
        "tells which",
        [lambda: plain(COMPRESSION=short(32773), PREDICTOR=short(2))],
        has_pixels=False,
    ),
    Refusal(
        "JPEG of CIELab, ICCLab, ITULab or LogLuv images",
        "JPEG has no such colours; libtiff and tifffile return different samples",
        [
            lambda: plain(
                COMPRESSION=short(7),
                BITS_PER_SAMPLE=short(8, 8, 8),
                SAMPLES_PER_PIXEL=short(3),
                PHOTOMETRIC_INTERPRETATION=short(8),
            )
        ],
        has_pixels=False,
    ),
    Refusal(
        "LERC that masks pixels of integers, or of a large file",
        "`imagecodecs_lerc` returns 0 for masked pixels, and no mask",
        [_masked_integers],
        has_pixels=False,
    ),
    Refusal(
        "Volumes (ImageDepth) of several samples",
        "an array has one dimension besides rows and columns; libtiff reads one slice",
        [_volume],
        has_pixels=False,
    ),
    Refusal(
        "A strip or tile that decodes to more than 4 GiB",
        "decoders take buffers of at most 4 GiB",
        [
            lambda: _deflated(
                PLAIN_DATA,
                IMAGE_WIDTH=long(70_000),
                IMAGE_LENGTH=long(70_000),
                ROWS_PER_STRIP=long(70_000),
            )
        ],
        has_pixels=False,
    ),
)
