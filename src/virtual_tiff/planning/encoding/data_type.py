"""Find the data type of an array from its samples, and its fill value from nodata text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError, shorten
from virtual_tiff.tags import SampleFormat, Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

type Scalar = bool | int | float | complex

_DATA_TYPES: dict[tuple[int, int], str] = {
    **{(SampleFormat.UINT, bits): f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{(SampleFormat.INT, bits): f"int{bits}" for bits in (8, 16, 32, 64)},
    **{(SampleFormat.FLOAT, bits): f"float{bits}" for bits in (16, 32, 64)},
    (SampleFormat.COMPLEX_FLOAT, 64): "complex64",
    (SampleFormat.COMPLEX_FLOAT, 128): "complex128",
}
#: Widths that `imagecodecs_packints` unpacks into the next larger unsigned type.
_MAX_PACKED_BITS = 31


@dataclass(frozen=True, slots=True)
class SampleType:
    """Stored form of a sample of `bits` bits, and its native-endian data type in Zarr."""

    data_type: np.dtype[np.generic]
    bits: int

    @property
    def is_packed(self) -> bool:
        """Whether samples are narrower than their type, so that rows are packed to the bit."""
        return self.data_type.kind == "u" and self.bits < 8 * self.data_type.itemsize

    @property
    def is_float24(self) -> bool:
        """Whether samples are the 24-bit floats of TIFF Technical Note 3."""
        return self.data_type.kind == "f" and self.bits == 24

    def row_bytes(self, samples: int) -> int:
        """Return the bytes of a row of samples (TIFF 6.0 section 3: rows begin on a byte)."""
        return (samples * self.bits + 7) // 8


def sample_type(ifd: ImageFileDirectory) -> SampleType:
    """Find the data type of an image."""
    bits, form = ifd.bits_per_sample[0], ifd.sample_format[0]
    if len(set(ifd.bits_per_sample)) > 1:
        raise _unsupported(ifd, f"samples of unequal widths {shorten(ifd.bits_per_sample)}")
    if len(set(ifd.sample_format)) > 1:
        raise _unsupported(ifd, f"samples of unequal formats {shorten(ifd.sample_format)}")
    if form == SampleFormat.VOID:
        # TIFF 6.0 section 19: undefined data; readers interpret the bits as unsigned integers.
        form = SampleFormat.UINT
    name = _DATA_TYPES.get((form, bits))
    if name is not None:
        return SampleType(np.dtype(name), bits)
    if form == SampleFormat.FLOAT and bits == 24:
        return SampleType(np.dtype("float32"), bits)
    if form == SampleFormat.UINT and 0 < bits <= _MAX_PACKED_BITS:
        width = 8 if bits < 8 else 16 if bits < 16 else 32
        return SampleType(np.dtype(f"uint{width}"), bits)
    kind = SampleFormat(form).name if form in SampleFormat.__members__.values() else str(form)
    raise _unsupported(ifd, f"{bits}-bit samples of format {kind}")


def _unsupported(ifd: ImageFileDirectory, what: str) -> UnsupportedTIFFError:
    return ifd.unsupported(
        ErrorKind.UNSUPPORTED_DATA_TYPE, Tag.BITS_PER_SAMPLE, f"no Zarr codec decodes {what}."
    )


def image_nodata(ifd: ImageFileDirectory, data_type: np.dtype[np.generic]) -> Scalar | None:
    """Return the nodata value of all bands; `None` if there is none, or they differ."""
    if ifd.auxiliary is None or not ifd.auxiliary.nodata:
        return nodata_value(ifd.gdal_nodata, data_type)
    values = band_nodata(ifd, data_type)
    # Compared as text, since NaN is not equal to itself.
    return values[0] if len(set(map(repr, values))) == 1 else None


def band_nodata(
    ifd: ImageFileDirectory, data_type: np.dtype[np.generic]
) -> tuple[Scalar | None, ...]:
    """Return the nodata value of each band; a sidecar takes precedence, as in GDAL."""
    beside = {} if ifd.auxiliary is None else ifd.auxiliary.nodata
    return tuple(
        nodata_value(beside.get(band, ifd.gdal_nodata), data_type)
        for band in range(ifd.samples_per_pixel)
    )


#: Texts of C runtimes for NaN and infinity: `-1.#QNAN`, `1.#INF00`, `-1.#IND`.
_MSVC = re.compile(r"^([+-]?)1\.#(QNAN|SNAN|NAN|IND|INF)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def nodata_value(text: str | None, data_type: np.dtype[np.generic]) -> Scalar | None:
    """Parse the text of GDAL_NODATA as a value of a data type.

    Parameters
    ----------
    text
        Value of tag 42113.
    data_type
        Type of the array.

    Returns
    -------
    scalar or None
        `None` if there is no text, if it is not a number, or if the data type cannot hold it, so
        that no pixel can equal it.
    """
    if text is None:
        return None
    cleaned = text.replace("\0", "").strip()
    if match := _MSVC.match(cleaned):
        cleaned = match[1] + ("inf" if match[2].upper() == "INF" else "nan")
    if data_type.kind in "iu":
        return _integer_nodata(cleaned, data_type)
    number = _number(cleaned)
    if number is None:
        return None
    if data_type.kind == "c":
        return complex(number)
    with np.errstate(over="ignore"):
        value = float(data_type.type(number))
    return None if math.isinf(value) and not math.isinf(number) else value


def _integer_nodata(text: str, data_type: np.dtype[np.generic]) -> int | None:
    try:
        # Not through a float, in which 64-bit values lose digits.
        value = int(text)
    except ValueError:
        number = _number(text)
        if number is None or not math.isfinite(number) or not number.is_integer():
            return None
        value = int(number)
    limits = np.iinfo(data_type.name)
    return value if limits.min <= value <= limits.max else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        # A decimal comma, from programs that write in the user's locale.
        return float(text.replace(",", "."))
    except ValueError:
        return None
