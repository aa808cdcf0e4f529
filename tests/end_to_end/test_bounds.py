"""Small files that stand for gigabytes: what they may cost in memory and processor time.

Each is parsed in a process of its own, with an address space of 2 GiB.
"""

from __future__ import annotations

import io
import json
import lzma
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.assemble import (
    PLAIN,
    DirectoryAt,
    Field,
    assemble,
    changed,
    double,
    long,
    plain,
    short,
    text,
)
from tests.helpers.read import MEMORY_URL
from tests.helpers.stores import recording
from virtual_tiff import Inventory, scan
from virtual_tiff.errors import ErrorKind, InvalidOptionError, InvalidTIFFError, SourceError
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.storage.stores import registry_for
from virtual_tiff.tags import FieldType, Tag

_GIGABYTE = 10**9
#: With all libraries: the newest ones take at most 290 for any of these files, the oldest 320.
_MOST_MEGABYTES = 330
_MOST_SECONDS = 5.0


def _overlapping_directories() -> bytes:
    """Every entry is part of thousands of directories, each with 2,000 entries."""
    count, size = 2000, 241_000
    data = bytearray(size)
    struct.pack_into("<2sHI", data, 0, b"II", 42, 8)
    entries = (size - 20) // 12
    for j in range(entries):
        # The last two bytes of a value are the count of the directory that begins there.
        struct.pack_into("<HHIHH", data, 10 + 12 * j, 65_000, 4, 1, 0, count)
    struct.pack_into("<H", data, 8, count)
    directories = entries - count - 1
    for k in range(directories):
        following = 8 + 12 * (k + 1) if k + 1 < directories else 0
        struct.pack_into("<I", data, 10 + 12 * (k + count), following)
    return bytes(data)


def _geo_keys_into_each_other() -> bytes:
    keys = [1, 1, 0, 23_749]
    for i in range(23_749):
        keys += [2000 + i, 34_735, 60_000, 0]
    return plain(GEO_KEY_DIRECTORY=short(*keys), MODEL_PIXEL_SCALE=double(1, 1, 0))


def _directories(count: int) -> bytes:
    values = ((256, 5), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (278, 4), (279, 20))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values)
    size = 2 + len(entries) + 4
    head = struct.pack("<2sHI", b"II", 42, 28) + bytes(20)
    return head + b"".join(
        struct.pack("<H", 8) + entries + struct.pack("<I", 28 + (i + 1) * size)
        for i in range(count)
    )


def _ome(images: int, frames: int) -> bytes:
    image = (
        '<Image ID="Image:{0}"><Pixels ID="Pixels:{0}" DimensionOrder="XYZCT" Type="uint8" '
        f'SizeX="5" SizeY="4" SizeZ="1" SizeC="1" SizeT="{frames}"><TiffData/></Pixels></Image>'
    )
    body = "".join(image.format(i) for i in range(images))
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    return plain(IMAGE_DESCRIPTION=text(f'<?xml version="1.0"?><OME xmlns="{space}">{body}</OME>'))


def _ome_planes(count: int) -> bytes:
    """Describe each plane in two elements."""
    plane = (
        '<TiffData IFD="{0}" FirstZ="{0}" FirstC="0" FirstT="0" PlaneCount="1"/><Plane '
        'TheZ="{0}" TheC="0" TheT="0" DeltaT="0.1" ExposureTime="0.1" PositionX="1.0"/>'
    )
    return plain(
        IMAGE_DESCRIPTION=text(
            f'<?xml version="1.0"?>{_OME}<Image ID="Image:0"><Pixels ID="Pixels:0" SizeX="5" '
            f'SizeY="4" SizeZ="{count}" SizeC="1" SizeT="1" DimensionOrder="XYZCT" Type="uint8">'
            + "".join(plane.format(i) for i in range(count))
            + "</Pixels></Image></OME>"
        )
    )


def _shared(tag: str, kind: FieldType, size: int = 1) -> bytes:
    """A thousand directories with one value of 8 MB."""
    field = Field(kind, b"12345678" * 2, count=8_000_000 // size, offset=8)
    return assemble([changed(PLAIN, **{tag: field})] * 1000, data=b"x" * 8_000_000)


def _shared_value(tag: str, kind: FieldType, data: bytes, count: int, **others: Field) -> bytes:
    """A thousand directories of few pixels with one value."""
    fields = changed(PLAIN, **{tag: Field(kind, b"12345678" * 2, count=count, offset=8)}, **others)
    return assemble([fields] * 1000, data=data)


def _rows(kind: FieldType, one: bytes, rows: int, directories: int = 1) -> bytes:
    """Strips of one pixel, whose offsets and byte counts are one table of ones."""
    table = Field(kind, b"12345678" * 2, count=rows, offset=8)
    size = {"IMAGE_WIDTH": long(1), "IMAGE_LENGTH": long(rows), "ROWS_PER_STRIP": long(1)}
    tables = {"STRIP_OFFSETS": table, "STRIP_BYTE_COUNTS": table}
    return assemble([changed(PLAIN, **size, **tables)] * directories, data=one * rows)


_ONE_PIXEL = {"IMAGE_WIDTH": short(1), "IMAGE_LENGTH": short(1), "ROWS_PER_STRIP": short(1)}
_BANDS = {**_ONE_PIXEL, "SAMPLES_PER_PIXEL": short(60_000), "STRIP_BYTE_COUNTS": long(60_000)}


def _shared_tables() -> bytes:
    tables = bytes(imagecodecs.jpeg8_encode(np.zeros((16, 16), np.uint8))) + bytes(100_000)
    kind = FieldType.UNDEFINED
    return _shared_value("JPEG_TABLES", kind, tables, len(tables), COMPRESSION=short(7))


def _strips(
    compression: int, last: bytes, *, rows: int = 16, width: int = 16, **others: Field
) -> bytes:
    """Sparse strips of `rows`, and a last one of one row, whose bytes are `last`."""
    return plain_with(
        last,
        IMAGE_WIDTH=long(width),
        IMAGE_LENGTH=long(rows + 1),
        ROWS_PER_STRIP=long(rows),
        COMPRESSION=short(compression),
        STRIP_OFFSETS=long(0, 8),
        STRIP_BYTE_COUNTS=long(0, len(last)),
        **others,
    )


def plain_with(data: bytes, **changes: Field | None) -> bytes:
    """Make a TIFF of one directory with these bytes at offset 8."""
    return assemble([changed(PLAIN, **changes)], data=data)


def _huge_jpeg() -> bytes:
    stream = bytearray(imagecodecs.jpeg8_encode(np.zeros((16, 16), np.uint8)))
    struct.pack_into(">HH", stream, stream.find(b"\xff\xc0") + 5, 65_500, 65_500)
    return bytes(stream)


def _huge_jpeg_2000(codec_format: str) -> bytes:
    """Make an image of few pixels that says it has 60,000 rows and columns, in one tile."""
    pixels = np.zeros((16, 16), np.uint8)
    stream = bytearray(imagecodecs.jpeg2k_encode(pixels, codecformat=codec_format))
    size = stream.find(b"\xff\x51")
    struct.pack_into(">2I", stream, size + 6, 60_000, 60_000)
    struct.pack_into(">2I", stream, size + 22, 60_000, 60_000)
    return bytes(stream)


def _huge(encode: Callable[..., bytes | bytearray | memoryview[int]]) -> bytes:
    return bytes(encode(np.zeros((4096, 4096), np.uint8)))


def _lerc_in_zstandard() -> bytes:
    mask = np.eye(16, dtype=bool)
    blob = imagecodecs.lerc_encode(np.ones((16, 16), np.float32), level=0, masks=mask)
    # All pixels of the upper left corner are valid, so that the mask has to be decoded.
    data = bytes(imagecodecs.zstd_encode(bytes(blob) + bytes(_GIGABYTE), level=1))
    return plain_with(
        data,
        **{"IMAGE_WIDTH": short(2), "IMAGE_LENGTH": short(2), "BITS_PER_SAMPLE": short(32)},
        **{"TILE_WIDTH": short(16), "TILE_LENGTH": short(16), "SAMPLE_FORMAT": short(3)},
        **{"COMPRESSION": short(34_887), "LERC_PARAMETERS": long(4, 2), "ROWS_PER_STRIP": None},
        **{"STRIP_OFFSETS": None, "STRIP_BYTE_COUNTS": None},
        **{"TILE_OFFSETS": long(8), "TILE_BYTE_COUNTS": long(len(data))},
    )


def _cyclic_sub_ifds() -> bytes:
    return assemble(
        [
            changed(PLAIN, SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(1),) * 60_000)),
            changed(PLAIN, SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(0),))),
        ],
        chain=[0],
    )


def _many_padded() -> bytes:
    """Two hundred directories share a strip, which is padded to 32 MiB for each."""
    data = zlib.compress(bytes(32_768))
    size = {"IMAGE_WIDTH": long(32_768), "IMAGE_LENGTH": long(1025), "ROWS_PER_STRIP": long(1024)}
    strips = {"STRIP_OFFSETS": long(0, 8), "STRIP_BYTE_COUNTS": long(0, len(data))}
    return assemble([changed(PLAIN, **size, COMPRESSION=short(8), **strips)] * 200, data=data)


def _many_reversed() -> bytes:
    """Fifty directories share 60 strips of 1 MB, whose bits are reversed and stored for each."""
    strips = {"STRIP_OFFSETS": long(*[8] * 60), "STRIP_BYTE_COUNTS": long(*[10**6] * 60)}
    size = {"IMAGE_WIDTH": long(6000), "IMAGE_LENGTH": long(60), "ROWS_PER_STRIP": long(1)}
    order = {"COMPRESSION": short(5), "FILL_ORDER": short(2)}
    return assemble([changed(PLAIN, **size, **order, **strips)] * 50, data=b"\xff" * 10**6)


def _many_documents() -> bytes:
    """A hundred directories with 800 kB of XML each."""
    items = f'<Item name="a">{"b" * 8}</Item>' * 30_000
    return assemble(
        [
            changed(PLAIN, GDAL_METADATA=text(f"<GDALMetadata>{items}{i}</GDALMetadata>"))
            for i in range(100)
        ]
    )


_ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY a{i} "{("&a" + (str(i - 1) if i > 1 else "") + ";") * 10}">'
        for i in range(1, 10)
    )
    + "]>"
)
_OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'


#: Name → file, layout and outcome: the kind of the error, or `parsed`.
BOMBS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "overlapping directories": (_overlapping_directories, "flat", ErrorKind.HEADER_TOO_LARGE),
    "GeoKeys in each other": (_geo_keys_into_each_other, "flat", ErrorKind.HEADER_TOO_LARGE),
    "a million directories": (lambda: _directories(1_000_000), "flat", ErrorKind.HEADER_TOO_LARGE),
    "OME-XML of 2,000 images": (lambda: _ome(2000, 4_000_000), "pages", ErrorKind.HEADER_TOO_LARGE),
    "OME-XML of 200,000 planes": (
        lambda: _ome_planes(200_000),
        "pages",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "OME-XML of 30,000 planes": (lambda: _ome_planes(30_000), "pages", "parsed"),
    "a shared description": (
        lambda: _shared("IMAGE_DESCRIPTION", FieldType.ASCII),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "shared tiepoints": (
        lambda: _shared("MODEL_TIEPOINT", FieldType.DOUBLE, 8),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "shared colours": (
        lambda: _shared_value(
            "COLOR_MAP",
            FieldType.SHORT,
            bytes(range(256)) * 1536,
            196_608,
            PHOTOMETRIC_INTERPRETATION=short(3),
            BITS_PER_SAMPLE=short(16),
            STRIP_BYTE_COUNTS=long(40),
        ),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "shared bits of 60,000 bands": (
        lambda: _shared_value(
            "BITS_PER_SAMPLE", FieldType.SHORT, b"\x08\0" * 60_000, 60_000, **_BANDS
        ),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "60,000 bands": (
        lambda: assemble([changed(PLAIN, **_BANDS)] * 1000, data=bytes(60_000)),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "shared further samples": (
        lambda: _shared_value("EXTRA_SAMPLES", FieldType.SHORT, bytes(131_070), 65_535),
        "flat",
        "parsed",
    ),
    "shared further samples of 2 ** 900": (
        lambda: _shared_value("EXTRA_SAMPLES", FieldType.DOUBLE, b"x" * 60_000, 7500),
        "flat",
        ErrorKind.INVALID_TAG,
    ),
    "shared parameters of LERC": (
        lambda: _shared_value("LERC_PARAMETERS", FieldType.LONG, bytes(400_000), 100_000),
        "flat",
        "parsed",
    ),
    "shared tables of JPEG": (_shared_tables, "flat", ErrorKind.HEADER_TOO_LARGE),
    "a shared resolution": (
        lambda: _shared_value("X_RESOLUTION", FieldType.DOUBLE, b"12345678" * 50_000, 50_000),
        "pages",
        "parsed",
    ),
    "shared offsets": (
        lambda: _shared("STRIP_OFFSETS", FieldType.LONG, 4),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "10 million segments": (
        lambda: _rows(FieldType.BYTE, b"\1", 10_000_000),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "10 million segments of signed numbers": (
        lambda: _rows(FieldType.SBYTE, b"\1", 10_000_000),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "2.5 million segments": (
        lambda: _rows(FieldType.LONG, b"\1\0\0\0", 2_500_000),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "a million segments": (
        lambda: _rows(FieldType.LONG, b"\1\0\0\0", 1_000_000),
        "flat",
        "parsed",
    ),
    "a thousand directories share 100,000 segments": (
        lambda: _rows(FieldType.LONG, b"\1\0\0\0", 100_000, 1000),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "offsets that are fractions": (
        lambda: _rows(FieldType.RATIONAL, b"\1\0\0\0" * 2, 2_000_000),
        "flat",
        ErrorKind.INVALID_TAG,
    ),
    "long descriptions": (
        lambda: assemble([changed(PLAIN, IMAGE_DESCRIPTION=text("a" * 1_000_000))] * 100),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "a strip padded to 1 GiB": (
        lambda: _strips(8, zlib.compress(bytes(32_768)), rows=32_768, width=32_768),
        "flat",
        ErrorKind.UNSUPPORTED_LAYOUT,
    ),
    "a strip padded to 32 MiB": (
        lambda: _strips(8, zlib.compress(bytes(32_768)), rows=1024, width=32_768),
        "flat",
        "parsed",
    ),
    "Deflate": (
        lambda: _strips(8, zlib.compress(bytes(10**8), 9)),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "Zstandard": (
        lambda: _strips(50_000, bytes(imagecodecs.zstd_encode(bytes(_GIGABYTE), level=1))),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "LZMA": (
        lambda: _strips(34_925, lzma.compress(bytes(_GIGABYTE // 10), preset=0)),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "LERC in Zstandard": (_lerc_in_zstandard, "flat", ErrorKind.INVALID_SEGMENT),
    "JPEG": (lambda: _strips(7, _huge_jpeg()), "flat", ErrorKind.INVALID_SEGMENT),
    "JPEG 2000": (
        lambda: _strips(34_712, _huge_jpeg_2000("jp2")),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "JPEG 2000 without boxes": (
        lambda: _strips(34_712, _huge_jpeg_2000("j2k")),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "JPEG XL": (
        lambda: _strips(50_002, _huge(imagecodecs.jpegxl_encode)),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "WebP": (
        lambda: _strips(
            50_001,
            bytes(imagecodecs.webp_encode(np.zeros((4096, 4096, 3), np.uint8))),
            SAMPLES_PER_PIXEL=short(3),
            BITS_PER_SAMPLE=short(8, 8, 8),
            PHOTOMETRIC_INTERPRETATION=short(2),
        ),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "LZW": (
        lambda: _strips(5, bytes(imagecodecs.lzw_encode(bytes(10**8)))),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "PackBits": (
        lambda: _strips(32_773, b"\x81\0" * 800_000),
        "flat",
        ErrorKind.INVALID_SEGMENT,
    ),
    "CCITT of 2 ** 62 pixels": (
        lambda: plain_with(
            b"\xff" * 10**6,
            **dict.fromkeys(("IMAGE_WIDTH", "IMAGE_LENGTH", "ROWS_PER_STRIP"), long(2**31 - 1)),
            **{"COMPRESSION": short(4), "BITS_PER_SAMPLE": short(1)},
            STRIP_BYTE_COUNTS=long(10**6),
        ),
        "flat",
        ErrorKind.UNSUPPORTED_LAYOUT,
    ),
    "100,000 directories": (lambda: _directories(100_000), "flat", ErrorKind.HEADER_TOO_LARGE),
    "many padded strips": (_many_padded, "flat", ErrorKind.TIME_LIMIT),
    "many reversed strips": (_many_reversed, "flat", ErrorKind.UNSUPPORTED_FILL_ORDER),
    "many documents": (_many_documents, "flat", ErrorKind.HEADER_TOO_LARGE),
    "a long GeoKey": (
        lambda: plain(
            GEO_KEY_DIRECTORY=short(1, 1, 0, 1, 1026, 34_737, 60_000, 0),
            GEO_ASCII_PARAMS=text("a|" * 20_000_000),
        ),
        "flat",
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "deep XML": (
        lambda: plain(GDAL_METADATA=text("<GDALMetadata>" + "<a>" * 1_300_000)),
        "flat",
        "parsed",
    ),
    "entities": (
        lambda: plain(GDAL_METADATA=text(f"{_ENTITIES}<GDALMetadata>&a9;</GDALMetadata>")),
        "flat",
        "parsed",
    ),
    "entities in OME-XML": (
        lambda: plain(IMAGE_DESCRIPTION=text(f'<?xml version="1.0"?>{_ENTITIES}{_OME}&a9;</OME>')),
        "pages",
        ErrorKind.INVALID_TAG,
    ),
    "deep OME-XML": (
        lambda: plain(IMAGE_DESCRIPTION=text(f'<?xml version="1.0"?>{_OME}' + "<a>" * 5_000_000)),
        "pages",
        # What does not end is no OME-XML, so its pages are plain ones.
        "parsed",
    ),
    "cyclic sub-IFDs": (_cyclic_sub_ifds, "flat", ErrorKind.IFD_CYCLE),
}

_PARSE = """
import json, os, re, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30,) * 2)
from virtual_tiff import VirtualTIFF, VirtualTIFFError
from virtual_tiff.storage.stores import registry_for
url, layout = "file://" + sys.argv[1], sys.argv[2]
sidecars = len(os.listdir(os.path.dirname(sys.argv[1]))) > 1
try:
    VirtualTIFF(ifd_layout=layout, sidecars=sidecars)(url, registry_for([url]))
    outcome = "parsed"
except VirtualTIFFError as error:
    outcome = str(error.kind)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([outcome, peak, time.process_time()]))
"""


#: As `_PARSE`, for what `info` describes.
_INFO = _PARSE.replace(
    "VirtualTIFF(ifd_layout=layout, sidecars=sidecars)(url, registry_for([url]))",
    "from virtual_tiff import info; info(url)",
)

_COPY = _PARSE.replace("sidecars=sidecars", 'on_unsupported="copy"')

#: Name → ending of a sidecar, its first bytes, its size (`None`: that of these) and the outcome.
SIDECAR_BOMBS: dict[str, tuple[str, Callable[[], bytes], int | None, str]] = {
    "metadata of 1 GB": (".aux.xml", lambda: b"<PAMDataset>", 10**9, ErrorKind.INVALID_SIDECAR),
    "deep metadata": (
        ".aux.xml",
        lambda: b"<PAMDataset>" + b"<a>" * 1_300_000,
        None,
        ErrorKind.INVALID_SIDECAR,
    ),
    "entities": (
        ".aux.xml",
        lambda: f"{_ENTITIES}<PAMDataset>&a9;</PAMDataset>".encode(),
        None,
        ErrorKind.INVALID_SIDECAR,
    ),
    "100,000 overviews": (
        ".ovr",
        lambda: _directories(100_000),
        None,
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "a mask of 1 GB": (".msk", plain, 10**9, "parsed"),
}


def _parse(file: Path, layout: str, script: str = _PARSE) -> str:
    """Parse a file in a process with limits; return the outcome."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(file), layout],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    outcome, megabytes, seconds = json.loads(done.stdout)
    assert megabytes <= _MOST_MEGABYTES
    assert seconds <= _MOST_SECONDS
    return str(outcome)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_bomb(name: str, tmp_path: Path) -> None:
    make, layout, expected = BOMBS[name]
    file = tmp_path / "bomb.tif"
    file.write_bytes(make())
    assert _parse(file, layout) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_copies_take(tmp_path: Path) -> None:
    """Streams that no codec of an array decodes; a decoder that trusts them would allocate."""
    file = tmp_path / "bomb.tif"
    pixels = np.zeros((8192, 8192, 3), np.uint8)
    file.write_bytes(_strips(50_001, bytes(imagecodecs.webp_encode(pixels, lossless=True))))
    assert _parse(file, "flat") == ErrorKind.UNSUPPORTED_LAYOUT
    assert _parse(file, "flat", _COPY) == ErrorKind.INVALID_SEGMENT
    lossless = bytearray(imagecodecs.ljpeg_encode(np.zeros((16, 16), np.uint16), bitspersample=16))
    struct.pack_into(">HH", lossless, lossless.find(b"\xff\xc3") + 5, 65_500, 65_500)
    file.write_bytes(_strips(7, bytes(lossless), BITS_PER_SAMPLE=short(16)))
    assert _parse(file, "flat", _COPY) == ErrorKind.INVALID_SEGMENT


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_info_takes(tmp_path: Path) -> None:
    """A thousand directories share a document, which is parsed for each."""
    items = "".join(f'<Item name="a{i}">b{i}</Item>' for i in range(20_000))
    document = f"<GDALMetadata>{items}</GDALMetadata>\0".encode()
    file = tmp_path / "bomb.tif"
    file.write_bytes(_shared_value("GDAL_METADATA", FieldType.ASCII, document, len(document)))
    assert _parse(file, "flat", _INFO) == ErrorKind.TIME_LIMIT
    # Each image keeps its codecs, with tables of JPEG.
    file.write_bytes(_shared_tables())
    assert _parse(file, "flat", _INFO) == ErrorKind.HEADER_TOO_LARGE


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", SIDECAR_BOMBS)
def test_bomb_beside_a_file(name: str, tmp_path: Path) -> None:
    ending, make, size, expected = SIDECAR_BOMBS[name]
    file = tmp_path / "bomb.tif"
    file.write_bytes(plain())
    beside = tmp_path / f"bomb.tif{ending}"
    beside.write_bytes(make())
    if size is not None:
        os.truncate(beside, size)
    assert _parse(file, "flat") == expected


def _parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", **options)
    return sink.getvalue()


def _repeated(row: dict[str, Any], count: int) -> pa.Table:
    return pa.Table.from_pylist([row]).take(pa.array(np.zeros(count, np.int64)))


def _same(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [text])


def _assets(title: str, count: int) -> pa.StructArray:
    red = pa.StructArray.from_arrays(
        [_same("/a.tif", count), _same(title, count)], ["href", "title"]
    )
    return pa.StructArray.from_arrays([red], ["red"])


def _long_list(items: pa.Array) -> pa.Table:
    return pa.table({"url": ["/a.tif"], "a": pa.ListArray.from_arrays([0, len(items)], items)})


def _json_of(item: bytes) -> bytes:
    return b'{"type":"FeatureCollection","features":[' + item * (50_000_000 // len(item)) + b"{}]}"


#: Name → lists of files that take far more memory than they have bytes.
LIST_BOMBS: dict[str, Callable[[], bytes]] = {
    # 100 GB, 200 MB and 20 GB of text.
    "dictionary.parquet": lambda: _parquet(
        pa.table({"url": _same("/a", 100_000), "a": _same("x" * 10**6, 100_000)}),
        store_schema=False,
    ),
    "text.parquet": lambda: _parquet(pa.table({"url": ["x" * 200_000_000]}), use_dictionary=False),
    "items.parquet": lambda: _parquet(
        pa.table({"id": _same("a", 20_000), "assets": _assets("x" * 10**6, 20_000)}),
        store_schema=False,
    ),
    "rows.parquet": lambda: _parquet(_repeated({"url": "/a.tif"}, 5_000_000)),
    "nulls.parquet": lambda: _parquet(
        pa.table({"url": ["/a.tif"] + [None] * 5_000_000, "a": pa.nulls(5_000_001, pa.int64())})
    ),
    "lists.parquet": lambda: _parquet(_long_list(pa.array(np.zeros(40_000_000, np.int64)))),
    "objects.parquet": lambda: _parquet(
        _long_list(_repeated({"k": "v"}, 10_000_000).to_struct_array().combine_chunks())
    ),
    "columns.parquet": lambda: _parquet(
        pa.table({"url": ["/a.tif"], **{str(i): [1] for i in range(20_000)}})
    ),
    "footer.parquet": lambda: _parquet(
        pa.table({"url": ["/a.tif"]}).replace_schema_metadata({"a": "x" * 50_000_000})
    ),
    "objects.json": lambda: _json_of(b'{"a":1},'),
    "arrays.json": lambda: _json_of(b"[],"),
    "numbers.json": lambda: _json_of(b"1.5,"),
    "emoji.json": lambda: _json_of(b'{"a":"\xf0\x9f\x98\x80"},' + b" " * 500),
    "many-emoji.json": lambda: _json_of(b'{"a":"' + b"\xf0\x9f\x98\x80" * 20_000 + b'"},'),
    "long.json": lambda: _json_of(b'{"a":"' + b"a" * 30_000_000 + b'\xf0\x9f\x98\x80"},'),
    "emoji.txt": lambda: b"/a" * 100_000_000 + b"\xf0\x9f\x98\x80\n",
    "short.txt": lambda: b"a\n" * 25_000_000,
    "empty.txt": lambda: b"\n" * 50_000_000,
    "short.csv": lambda: b"url\n" + b"a\n" * 25_000_000,
    "columns.csv": lambda: b"url" + b",a" * 1_000_000 + b"\n/a.tif\n",
}

_SCAN = _PARSE.replace(
    "VirtualTIFF(ifd_layout=layout, sidecars=sidecars)(url, registry_for([url]))",
    "virtual_tiff.scan(url) if layout == 'scan' else virtual_tiff.Inventory.read(sys.argv[1])",
).replace("import json", "import virtual_tiff, json")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", LIST_BOMBS)
def test_list_that_stands_for_gigabytes(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(LIST_BOMBS[name]())
    assert _parse(file, "scan", _SCAN) == ErrorKind.INVALID_OPTION
    if name.endswith(".parquet"):
        assert _parse(file, "read", _SCAN) == ErrorKind.INVALID_OPTION


def test_tables_that_compress_well_are_read(tmp_path: Path) -> None:
    # As many rows as an inventory of one kind of image may have: they differ in their address.
    file = tmp_path / "image.tif"
    file.write_bytes(plain())
    one = scan(str(file)).table
    count = 100_000
    table = one.take(pa.array(np.zeros(count, np.int64)))
    urls = pa.array([f"file:///{i:08}.tif" for i in range(count)])
    table = table.set_column(0, table.schema.field("url"), urls)
    Inventory(table).write(tmp_path / "inventory.parquet")
    found = Inventory.read(tmp_path / "inventory.parquet")
    assert found.table.equals(table)
    plainer = pa.table(
        [c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for c in table.columns],
        table.column_names,
    )
    pq.write_table(plainer, tmp_path / "others.parquet")
    assert Inventory.read(tmp_path / "others.parquet").table.equals(table)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", b"[" * 1_000_000),
        ("digits.json", b'{"type":"Feature","x":' + b"9" * 10_000 + b"}"),
        ("long.csv", b"url\n" + bytes(5_000_000)),
        ("latin.txt", b"/a\xff.tif\n"),
        ("half.parquet", b"PAR1" + bytes(100)),
    ],
)
def test_lists_that_are_none(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidOptionError) as caught:
        scan(str(tmp_path / name))
    assert caught.value.url == f"file://{tmp_path}/{name}"


@pytest.mark.parametrize("name", ["items.json", "list.txt", "table.csv"])
def test_lists_of_a_gigabyte_are_not_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"{")
    os.truncate(tmp_path / name, 10**9)
    with pytest.raises(InvalidOptionError) as caught:
        scan(str(tmp_path / name))
    assert caught.value.kind == ErrorKind.INVALID_OPTION


def _planned(path: Path, **options: float) -> None:
    url = f"file://{path}"
    VirtualTIFF(**options).plan(url, registry_for([url]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"header_limit": 10_000}, ErrorKind.HEADER_TOO_LARGE),
        ({"time_limit": 1e-9}, ErrorKind.TIME_LIMIT),
    ],
)
def test_the_limits_are_options(options: dict[str, float], kind: str, tmp_path: Path) -> None:
    file = tmp_path / "pages.tif"
    # Each directory is allowed 0.2 ms, and the text of one takes longer.
    description = changed(PLAIN, GDAL_METADATA=text("<GDALMetadata>" + "<a/>" * 5_000))
    file.write_bytes(assemble([description] * 20))
    _planned(file)
    with pytest.raises(InvalidTIFFError) as caught:
        _planned(file, **options)
    assert caught.value.kind == kind
    assert caught.value.url == f"file://{file}"


@pytest.mark.parametrize("options", [{"header_limit": 0}, {"time_limit": 0}])
def test_limits_are_checked_before_anything_is_read(options: dict[str, int]) -> None:
    with pytest.raises(InvalidOptionError):
        VirtualTIFF(**options)  # type: ignore[arg-type]


def test_one_bad_file_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = tmp_path / "good.tif", tmp_path / "bad.tif"
    good.write_bytes(plain())
    bad.write_bytes(plain())
    read = VirtualTIFF.read_async

    async def failing(self: VirtualTIFF, url: str, registry: object) -> object:
        if url.endswith("bad.tif"):
            raise MemoryError
        return await read(self, url, registry)  # type: ignore[arg-type]

    monkeypatch.setattr(VirtualTIFF, "read_async", failing)
    inventory = scan([str(good), str(bad)])
    assert inventory.table["error_kind"].to_pylist() == [None, str(ErrorKind.UNEXPECTED)]
    assert inventory.failed["url"].to_pylist() == [f"file://{bad}"]


@pytest.mark.parametrize("tag", ["TILE_WIDTH", "TILE_LENGTH"])
@pytest.mark.parametrize("size", [0, -16])
def test_sizes_of_tiles_below_1(tag: str, size: int, tmp_path: Path) -> None:
    sizes = {"TILE_WIDTH": short(16), "TILE_LENGTH": short(16), "TILE_OFFSETS": long(8)}
    file = tmp_path / "tiles.tif"
    file.write_bytes(plain(**{**sizes, tag: Field(FieldType.SSHORT, (size,))}))
    with pytest.raises(InvalidTIFFError) as caught:
        _planned(file)
    assert (caught.value.kind, caught.value.tag) == (ErrorKind.INVALID_TAG, Tag[tag])


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "good.tif").write_bytes(plain())
    inventory = scan([str(tmp_path / "pipe.tif"), str(tmp_path / "good.tif"), "/dev/zero"])
    kinds = [str(ErrorKind.NOT_A_FILE), None, str(ErrorKind.NOT_A_FILE)]
    assert inventory.table["error_kind"].to_pylist() == kinds


def test_tifffile_reads_the_version_of_the_first_request() -> None:
    # A value beyond the end makes tifffile read the directory, in a second request.
    far = plain_with(bytes(200_000), IMAGE_DESCRIPTION=Field(FieldType.ASCII, "x", 9000, 199_000))

    def replaced(number: int) -> None:
        if number:
            memory.put(MEMORY_URL.rsplit("/", 1)[-1], bytes(len(far)))

    store, registry, memory = recording(far, replaced)
    with pytest.raises(SourceError) as caught:
        VirtualTIFF().plan(MEMORY_URL, registry)
    assert caught.value.kind == ErrorKind.SOURCE_CHANGED
    assert len(store.requests) > 1
