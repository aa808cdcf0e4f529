"""Find the data type of an array from its samples, and its fill value from nodata text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError, shorten
from virtual_tiff.tags import SampleFormat, Tag
from virtual_tiff.tiff.gdal_metadata import parse_gdal_metadata
from virtual_tiff.tiff.ifd import ImageFileDirectory
from virtual_tiff.tiff.numbers import leading_integer, leading_number, significant_digits

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
    if form == SampleFormat.VOID or (form == SampleFormat.INT and bits == 1):
        # TIFF 6.0 section 19: undefined data; readers interpret the bits as unsigned integers. One
        # bit has no sign, whatever the tag says.
        form = SampleFormat.UINT
    name = _DATA_TYPES.get((form, bits))
    if name is not None:
        return SampleType(np.dtype(name), bits)
    if form == SampleFormat.FLOAT and bits == 24:
        return SampleType(np.dtype("float32"), bits)
    if form == SampleFormat.UINT and bits == 24 and ifd.byte_order == "big":
        # libtiff swaps their bytes when it writes and reads, tifffile and others do not.
        raise _unsupported(ifd, "24-bit integers of big-endian files, whose bytes libtiff swaps")
    if form == SampleFormat.UINT and 0 < bits <= _MAX_PACKED_BITS:
        width = 8 if bits < 8 else 16 if bits < 16 else 32
        return SampleType(np.dtype(f"uint{width}"), bits)
    kind = SampleFormat(form).name if form in SampleFormat.__members__.values() else str(form)
    raise _unsupported(ifd, f"{bits}-bit samples of format {kind}")


def _unsupported(ifd: ImageFileDirectory, what: str) -> UnsupportedTIFFError:
    return ifd.unsupported(
        ErrorKind.UNSUPPORTED_DATA_TYPE, Tag.BITS_PER_SAMPLE, f"no Zarr codec decodes {what}."
    )


def image_nodata(
    ifd: ImageFileDirectory,
    data_type: np.dtype[np.generic],
    full: ImageFileDirectory | None = None,
    bands: Sequence[int] | None = None,
) -> Scalar | None:
    """Return the nodata value of all bands, or of those that were chosen, counted from 1.

    `None` if there is none, if bands differ, or if only the values of all bands together mean no
    data (`nodata_tuple`), in this image or in the one that it is an overview of (`full`).
    """
    if nodata_tuple(ifd) or (full is not None and not ifd.is_mask and nodata_tuple(full)):
        return None
    if ifd.auxiliary is None or not ifd.auxiliary.nodata:
        return nodata_value(ifd.gdal_nodata, data_type)
    values = band_nodata(ifd, data_type, bands)
    # Compared as text, since NaN is not equal to itself.
    return values[0] if len(set(map(repr, values))) == 1 else None


def nodata_tuple(ifd: ImageFileDirectory) -> tuple[float, ...]:
    """Return the values of all bands that together mean no data (GDAL's NODATA_VALUES).

    GDAL masks only pixels in which every band has its value, and ignores the nodata value of the
    bands then. No attribute of CF can say so. Empty if there are not as many values as bands, more
    than one.
    """
    count = ifd.samples_per_pixel
    if count < 2 or ifd.is_mask:
        return ()
    metadata = parse_gdal_metadata(ifd.gdal_metadata)
    if ifd.auxiliary is not None:
        metadata = metadata.overridden_by(ifd.auxiliary.metadata)
    texts = metadata.domains.get("", {}).get("NODATA_VALUES", "").split()
    values = [leading_number(text) for text in texts]
    found = tuple(value for value in values if value is not None)
    return found if len(found) == len(texts) == count else ()


def band_nodata(
    ifd: ImageFileDirectory, data_type: np.dtype[np.generic], bands: Sequence[int] | None = None
) -> tuple[Scalar | None, ...]:
    """Return the nodata value of each band; a sidecar takes precedence, as in GDAL."""
    beside = {} if ifd.auxiliary is None else ifd.auxiliary.nodata
    return tuple(
        nodata_value(beside.get(band - 1, ifd.gdal_nodata), data_type)
        for band in bands or range(1, ifd.samples_per_pixel + 1)
    )


#: Values of fields without data in float32, which texts of float64 images round too: the default
#: of netCDF (NC_FILL_FLOAT), and the largest finite number.
_FLOAT32_FILLS = (9.969209968386869e36, float(np.finfo(np.float32).max))
#: GDAL masks floating-point values that differ relatively by less than this.
_TOLERANCE = 4 * float(np.finfo(np.float32).eps)
#: Fewer digits may be meant as they are (-3.4e+38 is a nodata value of R).
_MIN_DIGITS = 4
#: As many tell two numbers apart that GDAL equates: only the fill value itself, rounded, is meant.
_NEARLY_EXACT_DIGITS = 15


@lru_cache(maxsize=1024)
def nodata_value(text: str | None, data_type: np.dtype[np.generic]) -> Scalar | None:
    """Parse the text of GDAL_NODATA as a value of a data type, as GDAL does.

    The text ends at its first NUL, and the number it begins with counts. GDAL masks values near
    that number, but CF has only one: where the text is a rounded fill value (the largest of the
    type, or one of float32), that fill value is meant.

    Parameters
    ----------
    text
        Value of tag 42113.
    data_type
        Type of the array.

    Returns
    -------
    scalar or None
        `None` if there is no text, or if the data type cannot hold the number, so that no pixel
        can equal it. 0 for text that is no number, as in GDAL; `nodata_note` says so.
    """
    text = (text or "").partition("\0")[0]
    if not text:
        return None
    if data_type.kind in "iu":
        return _integer_nodata(text, data_type)
    number = leading_number(text)
    if number is None:
        number = 0.0
    if data_type.kind == "c":
        return complex(number)
    if not math.isfinite(number):
        return number
    with np.errstate(over="ignore"):
        value = float(data_type.type(number))
    if data_type.itemsize == 2 and (math.isinf(value) or (value == 0 and number)):
        return None  # no float16 equals it, and neither infinity nor zero is meant
    digits = significant_digits(text)
    if math.isinf(value) or digits < _MIN_DIGITS:
        return value
    return _fill_meant(number, digits, data_type) or value


def _fill_meant(number: float, digits: int, data_type: np.dtype[np.generic]) -> float | None:
    """Return the fill value that a number of so many digits was rounded from; `None` if none."""
    limit = float(np.finfo(data_type.name).max)
    size = abs(number)
    for fill in (limit, *_FLOAT32_FILLS):
        if digits >= _NEARLY_EXACT_DIGITS:
            if fill <= limit and size == float(f"{fill:.{min(digits, 17) - 1}e}"):
                return math.copysign(fill, number)
            continue
        # GDAL's sum of two such numbers overflows, so all of that size are near each other.
        rounded = fill == limit and abs(size - fill) < 1e-3 * fill
        if rounded or (fill <= limit and abs(size - fill) < _TOLERANCE * fill):
            return math.copysign(fill, number)
    return None


def nodata_note(ifd: ImageFileDirectory) -> str | None:
    """Return a note about nodata text that is no number; `None` if it is one, or absent."""
    beside = () if ifd.auxiliary is None else tuple(ifd.auxiliary.nodata.values())
    wide = ifd.bits_per_sample[0] == 64 and ifd.sample_format[0] != SampleFormat.FLOAT
    for text in beside or (ifd.gdal_nodata,):
        text = (text or "").partition("\0")[0]
        number = leading_integer(text) if wide else leading_number(text)
        if text and number is None:
            return f"the nodata text {text[:40]!r} is no number: 0 is no data, as in GDAL."
        if text.lstrip().lower().startswith("-nan"):
            return f"the nodata text {text[:40]!r} is NaN, where GDAL takes 0."
    return None


def _integer_nodata(text: str, data_type: np.dtype[np.generic]) -> int | None:
    limits = np.iinfo(data_type.name)
    if data_type.itemsize == 8:
        # Not through a float, in which 64-bit values lose digits; like C, keep to the limits.
        value = leading_integer(text) or 0
        if -int(limits.max) <= value < 0 and not limits.min:
            return value + 2**64  # as strtoull: -1 is the largest value
        value = abs(value) if not limits.min else value
        return min(max(value, int(limits.min)), int(limits.max))
    number = leading_number(text)
    if number is None:
        return 0
    # GDAL masks the integer that a number with a fraction becomes in C, without its fraction.
    return int(number) if limits.min <= number <= limits.max else None
