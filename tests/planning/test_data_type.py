"""Sample formats → data types, and the text of GDAL_NODATA → values of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.helpers.ifd import make_ifd
from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError
from virtual_tiff.planning.encoding.data_type import nodata_value, sample_type
from virtual_tiff.tags import SampleFormat, Tag

UINT, INT, FLOAT = SampleFormat.UINT, SampleFormat.INT, SampleFormat.FLOAT
VOID, COMPLEX_INT, COMPLEX = (
    SampleFormat.VOID,
    SampleFormat.COMPLEX_INT,
    SampleFormat.COMPLEX_FLOAT,
)


@pytest.mark.parametrize(
    ("sample_format", "bits", "data_type"),
    [
        *((UINT, bits, f"uint{bits}") for bits in (8, 16, 32, 64)),
        *((INT, bits, f"int{bits}") for bits in (8, 16, 32, 64)),
        *((FLOAT, bits, f"float{bits}") for bits in (16, 32, 64)),
        *((VOID, bits, f"uint{bits}") for bits in (8, 16)),
        (COMPLEX, 64, "complex64"),
        (COMPLEX, 128, "complex128"),
        (FLOAT, 24, "float32"),
    ],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_whole_samples(sample_format: int, bits: int, data_type: str, samples: int) -> None:
    ifd = make_ifd(bits=bits, sample_format=sample_format, samples=samples)
    found = sample_type(ifd)
    assert found.data_type == np.dtype(data_type)
    assert found.data_type.isnative
    assert not found.is_packed
    assert found.is_float24 == (bits == 24)
    assert found.row_bytes(7) == 7 * bits // 8


@pytest.mark.parametrize(
    ("bits", "data_type"),
    [
        *((bits, "uint8") for bits in range(1, 8)),
        *((bits, "uint16") for bits in range(9, 16)),
        *((bits, "uint32") for bits in range(17, 32)),
    ],
)
def test_packed_samples(bits: int, data_type: str) -> None:
    found = sample_type(make_ifd(bits=bits))
    assert found.data_type == np.dtype(data_type)
    assert found.is_packed
    # TIFF 6.0 section 3: rows begin on a byte.
    assert found.row_bytes(5) == math.ceil(5 * bits / 8)


@pytest.mark.parametrize("sample_format", [UINT, INT, VOID])
def test_one_bit_has_no_sign(sample_format: int) -> None:
    """As for GDAL: ImageMagick writes signed samples of one bit."""
    assert sample_type(make_ifd(bits=1, sample_format=sample_format)).data_type == np.uint8


@pytest.mark.parametrize(
    ("sample_format", "bits"),
    [
        (UINT, (8, 16, 8)),
        ((UINT, INT, UINT), 8),
        (UINT, 33),
        (UINT, 128),
        (UINT, 0),
        (INT, 4),
        (INT, 12),
        (FLOAT, 8),
        (FLOAT, 128),
        (COMPLEX_INT, 32),
        (COMPLEX, 32),
        (99, 8),
    ],
)
def test_samples_without_a_data_type(
    sample_format: int | tuple[int, ...], bits: int | tuple[int, ...]
) -> None:
    with pytest.raises(UnsupportedTIFFError) as caught:
        sample_type(make_ifd(bits=bits, sample_format=sample_format, samples=3))
    assert caught.value.kind == ErrorKind.UNSUPPORTED_DATA_TYPE
    assert caught.value.tag in (Tag.BITS_PER_SAMPLE, Tag.SAMPLE_FORMAT)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "data_type", "value"),
    [
        ("0", "uint8", 0),
        ("255", "uint8", 255),
        (" 7 ", "uint8", 7),
        ("7\0", "uint8", 7),
        ("-9999", "int16", -9999),
        ("-9999.0", "int16", -9999),
        ("1e3", "int16", 1000),
        ("18446744073709551615", "uint64", 2**64 - 1),
        ("-9223372036854775808", "int64", -(2**63)),
        ("9007199254740993", "int64", 2**53 + 1),
        ("-9999", "float32", -9999.0),
        ("-3.4028234663852886e+38", "float32", float(np.finfo("float32").min)),
        ("-3.40282346638529e+38", "float32", float(np.finfo("float32").min)),
        ("-1.79769313486232e+308", "float64", -math.inf),
        ("-3.40282e+38", "float32", float(np.finfo("float32").min)),
        ("3.4028e38", "float32", float(np.finfo("float32").max)),
        ("-3.40282306074e+38", "float32", float(np.finfo("float32").min)),
        ("-3.40282306073709652508e+38", "float32", -3.4028230607370965e38),
        ("-3.4e+38", "float32", float(np.float32(-3.4e38))),
        ("-3.402823e+38", "float64", float(np.finfo("float32").min)),
        ("-3.4028235e+38", "float64", float(np.finfo("float32").min)),
        ("-1.797693e+308", "float64", float(np.finfo("float64").min)),
        ("9.96921e+36", "float64", 9.969209968386869e36),
        ("-3.40282346638529e+038", "float64", float(np.finfo("float32").min)),
        ("-3.402823466385289e+38", "float64", float(np.finfo("float32").min)),
        ("9.96920996838687e+36", "float64", 9.969209968386869e36),
        ("-3.40282306073709e+38", "float64", -3.40282306073709e38),
        ("9.96921e+36", "float32", 9.969209968386869e36),
        ("1e20", "float64", 1e20),
        ("1e39", "float32", math.inf),
        ("0\0255\0", "uint8", 0),
        ("-9999\0junk", "int16", -9999),
        ("255 255 255", "uint8", 255),
        ("-9999 m", "float32", -9999.0),
        ("1_000", "float64", 1.0),
        ("1,234.5", "float64", 1.234),
        ("0x10", "uint8", 0),
        ("1e400", "int64", 1),
        ("18446744073709551616", "uint64", 2**64 - 1),
        ("-1", "uint64", 2**64 - 1),
        ("-9999", "uint64", 2**64 - 9999),
        ("-18446744073709551616", "uint64", 2**64 - 1),
        ("0.1", "float32", float(np.float32(0.1))),
        ("-3,4", "float64", -3.4),
        ("inf", "float32", math.inf),
        ("-inf", "float64", -math.inf),
        ("1.#INF", "float32", math.inf),
        ("-1.#INF000", "float32", -math.inf),
        ("5", "complex64", 5 + 0j),
        # GDAL's masks have the integer that C makes of a fraction, and 0 for what is no number.
        ("0.5", "uint8", 0),
        ("3.5", "uint8", 3),
        ("-0.5", "int16", 0),
        ("-1.5", "int32", -1),
        ("none", "uint8", 0),
        ("n/a", "float32", 0.0),
        (" ", "float64", 0.0),
        ("NA", "int64", 0),
        ("nan", "int64", 0),
        (".5", "uint64", 0),
    ],
)
def test_nodata(text: str, data_type: str, value: complex) -> None:
    found = nodata_value(text, np.dtype(data_type))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["nan", "NaN", "-nan", "-1.#QNAN", "1.#QNAN0", "-1.#IND", "1.#SNAN"]
)
@pytest.mark.parametrize("data_type", ["float16", "float32", "float64"])
def test_nodata_that_is_not_a_number(text: str, data_type: str) -> None:
    found = nodata_value(text, np.dtype(data_type))
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    ("text", "data_type"),
    [
        (None, "uint8"),
        ("", "uint8"),
        ("\x00255", "uint8"),
        ("-1", "uint8"),
        ("256", "uint8"),
        ("-0.5", "uint8"),
        ("255.5", "uint8"),
        ("nan", "int16"),
        ("inf", "int16"),
        ("-10000", "uint16"),
    ],
)
def test_nodata_that_no_pixel_can_have(text: str | None, data_type: str) -> None:
    assert nodata_value(text, np.dtype(data_type)) is None
