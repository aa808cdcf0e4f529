"""TIFFs that are well-formed entry by entry, with structures that no writer makes.

Mutated bytes seldom reach what stands behind the checks of a header. These files pass them: types
and signs of the tags of the grid, parameters of codecs, counts of 64 bits, directories that
overlap, values that directories share, cyclic sub-IFDs, GeoKeys into each other, sizes of OME-XML,
and files beside a TIFF.
"""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from functools import cache

import numpy as np
import tifffile

from tests.helpers.assemble import (
    BIG_DATA_AT,
    DATA_AT,
    PLAIN,
    Directory,
    DirectoryAt,
    Field,
    assemble,
    changed,
    double,
    long,
    short,
    text,
)
from virtual_tiff.tags import FieldType, Tag

type _Random = random.Random

_NUMBERS = (0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 20, 32, 255, 256, 4096, 65_535, 65_536)
_LARGE = (2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1)
_INTEGERS = {
    FieldType.BYTE: (0, 2**8 - 1),
    FieldType.SBYTE: (-(2**7), 2**7 - 1),
    FieldType.SHORT: (0, 2**16 - 1),
    FieldType.SSHORT: (-(2**15), 2**15 - 1),
    FieldType.LONG: (0, 2**32 - 1),
    FieldType.SLONG: (-(2**31), 2**31 - 1),
    FieldType.LONG8: (0, 2**64 - 1),
    FieldType.SLONG8: (-(2**63), 2**63 - 1),
    FieldType.IFD: (0, 2**32 - 1),
}
_GRID = (
    Tag.IMAGE_WIDTH,
    Tag.IMAGE_LENGTH,
    Tag.BITS_PER_SAMPLE,
    Tag.COMPRESSION,
    Tag.PHOTOMETRIC_INTERPRETATION,
    Tag.FILL_ORDER,
    Tag.STRIP_OFFSETS,
    Tag.ORIENTATION,
    Tag.SAMPLES_PER_PIXEL,
    Tag.ROWS_PER_STRIP,
    Tag.STRIP_BYTE_COUNTS,
    Tag.PLANAR_CONFIGURATION,
    Tag.PREDICTOR,
    Tag.COLOR_MAP,
    Tag.TILE_WIDTH,
    Tag.TILE_LENGTH,
    Tag.TILE_OFFSETS,
    Tag.TILE_BYTE_COUNTS,
    Tag.EXTRA_SAMPLES,
    Tag.SAMPLE_FORMAT,
    Tag.JPEG_TABLES,
    Tag.YCBCR_SUBSAMPLING,
    Tag.NEW_SUBFILE_TYPE,
    Tag.T4_OPTIONS,
    Tag.LERC_PARAMETERS,
)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, float("nan"), float("inf"), 16.0)


def _field(rng: _Random, most: int = 4) -> Field:
    """Return numbers of any type that can hold them, rarely text, bytes or floats."""
    count = rng.choice((0, 1, 1, 1, 1, 2, most))
    if rng.random() < 0.15:
        kind = rng.choice((FieldType.FLOAT, FieldType.DOUBLE))
        values = [
            rng.choice(_FLOATS[:5] if kind == FieldType.FLOAT else _FLOATS) for _ in "x" * count
        ]
        return Field(kind, tuple(values))
    if rng.random() < 0.05:
        return rng.choice((text("16"), Field(FieldType.UNDEFINED, b"\x10\0\0\0")))
    if rng.random() < 0.05:
        return Field(FieldType.SRATIONAL, (rng.choice((-16, 16, 0)), rng.choice((-1, 0, 1))))
    kind = rng.choice(tuple(_INTEGERS))
    least, largest = _INTEGERS[kind]

    def number() -> int:
        value = rng.choice(_LARGE if rng.random() < 0.1 else _NUMBERS)
        return min(max(-value if rng.random() < 0.15 else value, least), largest)

    return Field(kind, tuple(number() for _ in range(count)))


def _grid(rng: _Random) -> Directory:
    """Return a directory with one to four tags of its grid replaced or left out."""
    fields = changed(PLAIN)
    if rng.random() < 0.3:
        for tag in (Tag.STRIP_OFFSETS, Tag.ROWS_PER_STRIP, Tag.STRIP_BYTE_COUNTS):
            del fields[tag]
        fields |= {Tag.TILE_WIDTH: short(16), Tag.TILE_LENGTH: short(16)}
        fields |= {Tag.TILE_OFFSETS: long(DATA_AT), Tag.TILE_BYTE_COUNTS: long(256)}
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        tag = rng.choice(_GRID)
        if rng.random() < 0.1:
            fields.pop(tag, None)
        else:
            fields[tag] = _field(rng)
    return fields


def _grid_tags(rng: _Random) -> bytes:
    directories = [_grid(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
    return assemble(directories, data=_pixels(rng), order=rng.choice("<>"), big=rng.random() < 0.25)


def _pixels(rng: _Random) -> bytes:
    """Return bytes of a segment: plain numbers, or a stream of any compression."""
    streams = _streams()
    return rng.choice(streams) if rng.random() < 0.4 else bytes(range(256))


@cache
def _streams() -> tuple[bytes, ...]:
    found = []
    for compression in ("zlib", "lzw", "packbits", "jpeg", "zstd", "lzma", "jpeg2000", "webp"):
        buffer = io.BytesIO()
        image = np.arange(256, dtype=np.uint8).reshape(16, 16)
        image = np.dstack([image] * 3) if compression == "webp" else image
        photometric = "rgb" if compression == "webp" else "minisblack"
        tifffile.imwrite(
            buffer, image, compression=compression, photometric=photometric, metadata=None
        )
        with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
            page = file.pages.first
            at, size = page.dataoffsets[0], page.databytecounts[0]
        found.append(buffer.getvalue()[at : at + size])
    return tuple(found)


_COMPRESSIONS = (8, 5, 32_773, 7, 50_000, 34_925, 34_712, 50_001)
_SPECIAL = (2, 3, 4, 6, 32_809, 34_676, 34_677, 34_887, 34_933, 50_002, 52_546)


def _parameters(rng: _Random) -> bytes:
    """Give a sound stream the tags of its codec, with wrong parameters, tables and samples."""
    number = rng.randrange(len(_COMPRESSIONS))
    stream = _streams()[number]
    if rng.random() < 0.2:
        stream = stream[: rng.randrange(len(stream))]
    fields = changed(
        PLAIN,
        IMAGE_WIDTH=short(16),
        IMAGE_LENGTH=short(rng.choice((16, 16, 17, 40))),
        ROWS_PER_STRIP=short(16),
        COMPRESSION=short(rng.choice(_SPECIAL) if rng.random() < 0.3 else _COMPRESSIONS[number]),
    )
    strips = -(-int(fields[Tag.IMAGE_LENGTH].values[0]) // 16)  # type: ignore[arg-type]
    fields[Tag.STRIP_OFFSETS] = long(*[DATA_AT] * strips)
    fields[Tag.STRIP_BYTE_COUNTS] = long(*[len(stream)] * strips)
    samples = rng.choice((1, 1, 2, 3, 4, 5))
    if samples > 1:
        fields |= changed(
            {},
            SAMPLES_PER_PIXEL=short(samples),
            BITS_PER_SAMPLE=short(*[rng.choice((8, 8, 1, 12, 16))] * samples),
            PHOTOMETRIC_INTERPRETATION=short(rng.choice((1, 2, 5, 6, 8, 32_803))),
            EXTRA_SAMPLES=short(*rng.choices((0, 1, 2, 3, 999), k=rng.randrange(1, 5))),
        )
    tables = rng.choice((_jpeg_tables(), _jpeg_tables()[: rng.randrange(60)], b"\xff\xd8\xff\xd9"))
    wrong: dict[int, Field] = {
        Tag.JPEG_TABLES: Field(FieldType.UNDEFINED, tables),
        Tag.T4_OPTIONS: long(rng.choice((0, 1, 2, 3, 4, 5, 7, 8, 2**32 - 1))),
        Tag.PREDICTOR: short(rng.choice((0, 1, 2, 3, 4, 34_892, 34_893, 65_535))),
        Tag.FILL_ORDER: short(rng.choice((0, 1, 2, 3))),
        Tag.SAMPLE_FORMAT: short(*rng.choices(range(8), k=rng.choice((1, samples)))),
        Tag.BITS_PER_SAMPLE: short(*rng.choices((1, 2, 7, 8, 12, 16, 24, 32, 64, 128), k=samples)),
        Tag.YCBCR_SUBSAMPLING: short(*rng.choices((0, 1, 2, 3, 4, 8), k=rng.choice((1, 2, 3)))),
        Tag.LERC_PARAMETERS: long(*rng.choices(range(9), k=rng.choice((0, 1, 2, 3)))),
        Tag.PLANAR_CONFIGURATION: short(rng.choice((0, 1, 2, 3))),
        Tag.COLOR_MAP: short(*[rng.choice((0, 255, 65_535))] * rng.choice((3, 48, 768, 769))),
    }
    fields |= {int(tag): wrong[tag] for tag in rng.sample(sorted(wrong), rng.choice((1, 1, 2, 3)))}
    return assemble([fields] * rng.choice((1, 1, 2)), data=stream, order=rng.choice("<<>"))


@cache
def _jpeg_tables() -> bytes:
    """Return quantization and Huffman tables of a JPEG, without an image."""
    stream = _streams()[3]
    return stream[: stream.index(b"\xff\xc0")] + b"\xff\xd9"


def _counts(rng: _Random) -> bytes:
    """State counts and places of values that are not there, as a BigTIFF can in 64 bits."""
    big = rng.random() < 0.8
    edges = [0, 1, 2, 255, 2**16, 2**31, 2**32 - 1]
    if big:
        edges += [2**32, 2**61, 2**63 - 1, 2**63, 2**64 - 1]
    start = BIG_DATA_AT if big else DATA_AT
    fields = changed(PLAIN, STRIP_OFFSETS=long(start))
    for _ in range(rng.choice((1, 1, 2, 3))):
        tag = rng.choice((*_GRID, *_LONG))
        field = fields.get(tag) or rng.choice((text("1 2 3"), double(1, 2, 3), short(1, 2)))
        kind = field.kind if rng.random() < 0.6 else rng.choice((*FieldType, 0, 99, 65_535))
        place = rng.choice((None, start, start + 8, 20, *edges))
        values = field.values if kind == field.kind else b"12345678" * rng.choice((1, 2))
        fields[tag] = Field(kind, values, count=rng.choice(edges), offset=place)
    return assemble([fields] * rng.choice((1, 2)), order=rng.choice("<>"), big=big)


def _overlapping(rng: _Random) -> bytes:
    """Let directories begin within the entries of others, each with many entries."""
    count = rng.choice((2, 5, 40))
    data = bytearray(assemble([PLAIN] * count))
    size = 2 + 12 * len(PLAIN) + 4
    first = DATA_AT + 20
    for _ in range(rng.choice((1, 3, count))):
        at = first + size * rng.randrange(count)
        if rng.random() < 0.5:
            struct.pack_into("<H", data, at, rng.choice((1, 9, 18, 30, 200)))
        target = first + rng.choice((12, size, 2)) * rng.randrange(count)
        struct.pack_into("<I", data, at + size - 4, target)
    return bytes(data)


def _shared(rng: _Random) -> bytes:
    """Let many directories refer to one long value."""
    size = rng.choice((100, 5_000, 60_000))
    tag = rng.choice((*_GRID, *_LONG))
    kind = rng.choice((FieldType.ASCII, FieldType.DOUBLE, FieldType.LONG, FieldType.SHORT, 99))
    unit = {FieldType.DOUBLE: 8, FieldType.LONG: 4, FieldType.SHORT: 2}.get(
        FieldType(kind) if kind != 99 else FieldType.BYTE, 1
    )
    field = Field(kind, b"12345678", count=size // unit, offset=DATA_AT)
    data = rng.choice((b"x", b"\0", b"1 ", b"<a>")) * size
    return assemble([{**PLAIN, tag: field}] * rng.choice((2, 20, 150)), data=data[:size])


_LONG = (
    Tag.IMAGE_DESCRIPTION,
    Tag.SOFTWARE,
    Tag.GDAL_METADATA,
    Tag.GDAL_NODATA,
    Tag.GEO_KEY_DIRECTORY,
    Tag.GEO_DOUBLE_PARAMS,
    Tag.GEO_ASCII_PARAMS,
    Tag.MODEL_TIEPOINT,
    Tag.MODEL_PIXEL_SCALE,
    Tag.MODEL_TRANSFORMATION,
    Tag.RPC_COEFFICIENT,
    Tag.SUB_IFDS,
    65_000,
)


def _sub_ifds(rng: _Random) -> bytes:
    """Make any graph of directories and sub-IFDs, cycles included."""
    count = rng.choice((2, 3, 5, 12))
    directories = []
    for _ in range(count):
        fields = changed(PLAIN)
        if rng.random() < 0.7:
            kind = rng.choice((FieldType.IFD, FieldType.LONG, FieldType.IFD8, FieldType.SHORT))
            children = rng.choice((1, 1, 2, 3, 50))
            targets = tuple(DirectoryAt(rng.randrange(count)) for _ in range(children))
            fields[Tag.SUB_IFDS] = Field(kind, targets)
        if rng.random() < 0.5:
            fields[Tag.NEW_SUBFILE_TYPE] = rng.choice((long(0), long(1), long(4), long(5)))
        if rng.random() < 0.3:
            fields |= {Tag.IMAGE_WIDTH: short(rng.choice((1, 2, 3, 10)))}
        directories.append(fields)
    chain = rng.sample(range(count), rng.randrange(1, count + 1))
    return assemble(directories, chain=chain)


_KEYS = tuple(
    int(key)
    for key in [
        "1024",
        "1025",
        "1026",
        "2048",
        "2049",
        "2050",
        "2051",
        "2052",
        "2054",
        "2056",
        "2057",
        "2058",
        "2059",
        "2061",
        "2062",
        "3072",
        "3073",
        "3074",
        "3075",
        "3076",
        "3077",
        "3078",
        "3079",
        "3080",
        "3081",
        "3082",
        "3084",
        "3088",
        "3092",
        "3093",
        "3094",
        "3095",
        "4096",
        "4097",
        "4098",
        "4099",
    ]
)
_CODES = tuple(
    int(code)
    for code in [
        "0",
        "1",
        "2",
        "3",
        "7",
        "9",
        "15",
        "16",
        "27",
        "1024",
        "4326",
        "5703",
        "6326",
        "7030",
        "8901",
        "9001",
        "9102",
        "32633",
        "32661",
        "32767",
        "3857",
        "3035",
        "65535",
        "9122",
        "9003",
        "4269",
        "2056",
        "2180",
    ]
)


def _geo_keys(rng: _Random) -> bytes:
    """Give GeoKeys any codes, and places in any tag, their own included."""
    keys = [1, rng.choice((0, 1, 1, 1, 2)), rng.choice((0, 1)), 0]
    chosen = rng.sample(_KEYS, rng.randrange(1, 16))
    for key in sorted(chosen) if rng.random() < 0.8 else chosen:
        location = rng.choice((0, 0, 0, 34_736, 34_737, 34_735, 256))
        number = rng.choice((0, 1, 1, 1, 2, 7, 60_000))
        keys += [key, location, number, rng.choice(_CODES)]
        if location and rng.random() < 0.8:
            keys[-1] = rng.randrange(9)
    keys[3] = rng.choice((len(keys) // 4 - 1, len(keys) // 4 - 1, 0, 1, 60_000))
    numbers = [rng.choice((*_FLOATS, 45.0, -180.0, 6_378_137.0, 298.257)) for _ in range(9)]
    names = rng.choice(("name|", "a|b|c", "", "|", "ESRI PE String = PROJCS[]|", "PCS Name = é|"))
    place: dict[int, Field] = {
        Tag.GEO_KEY_DIRECTORY: short(*keys),
        Tag.GEO_DOUBLE_PARAMS: double(*numbers),
        Tag.GEO_ASCII_PARAMS: text(names),
    }
    if rng.random() < 0.7:
        place[Tag.MODEL_PIXEL_SCALE] = double(*rng.choices((*_FLOATS, 10.0), k=rng.choice((2, 3))))
    if rng.random() < 0.7:
        points = rng.choices((*_FLOATS, 10.0, 5e5), k=6 * rng.choice((1, 1, 2, 4, 30)))
        place[Tag.MODEL_TIEPOINT] = double(*points)
    if rng.random() < 0.3:
        place[Tag.MODEL_TRANSFORMATION] = double(*rng.choices((*_FLOATS, 10.0), k=16))
    return assemble([{**PLAIN, **place}])


def _attributes(rng: _Random, names: tuple[str, ...]) -> str:
    values = ("0", "1", "2", "5", "-1", "1e3", "NaN", "", "x", "99999999999999999999", "0.5", "µm")
    chosen = rng.sample(names, rng.randrange(len(names) + 1))
    return " ".join(f'{name}="{rng.choice(values)}"' for name in chosen)


def _pixels_element(rng: _Random, number: int) -> str:
    sizes = {"X": 5, "Y": 4, "Z": 1, "C": 1, "T": 1}
    for letter in sizes:
        if rng.random() < 0.3:
            sizes[letter] = rng.choice((*_NUMBERS, *_LARGE, -1))
    letters = rng.choice(("XYZCT", "XYCZT", "XYTZC", "XYXYX", "TCZYX", "XY"))
    kind = rng.choice(("uint8", "uint8", "float", "complex", "bit", "nonsense"))
    body = "".join(
        f"<TiffData {_attributes(rng, ('IFD', 'FirstZ', 'FirstC', 'FirstT', 'PlaneCount'))}/>"
        for _ in range(rng.choice((0, 1, 1, 2, 5)))
    )
    if rng.random() < 0.2:
        name = rng.choice(("a.tif", "damaged.tif", "", "../x"))
        body += f'<TiffData><UUID FileName="{name}">urn:uuid:1</UUID></TiffData>'
    channels = "".join(
        f"<Channel {_attributes(rng, ('ID', 'Name', 'SamplesPerPixel', 'Color'))}/>"
        for _ in range(rng.choice((0, 0, 1, 3)))
    )
    spacing = _attributes(
        rng, ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeXUnit", "TimeIncrement")
    )
    size = " ".join(f'Size{letter}="{value}"' for letter, value in sizes.items())
    return (
        f'<Image ID="Image:{number}"><Pixels ID="Pixels:{number}" DimensionOrder="{letters}" '
        f'Type="{kind}" {size} {spacing}>{channels}{body}</Pixels></Image>'
    )


def _ome(rng: _Random) -> bytes:
    """Let OME-XML or ImageJ promise sizes, planes, spacings and files that are not there."""
    pages = rng.choice((1, 1, 2, 4, 6))
    if rng.random() < 0.3:
        values = ("0", "1", "2", "4", "-1", "99999999999", "x", "1e9")
        keys = ("images", "slices", "frames", "channels", "hyperstack", "spacing", "finterval")
        lines = [f"{key}={rng.choice(values)}" for key in rng.sample(keys, rng.randrange(1, 7))]
        description = "\n".join(("ImageJ=1.53", *lines, ""))
    elif rng.random() < 0.1:
        shape = [rng.choice((1, 2, 4, 5, -1, 0, 2**31)) for _ in range(rng.randrange(5))]
        description = f'{{"shape": {shape}, "axes": "TYX"}}'
    else:
        body = "".join(_pixels_element(rng, i) for i in range(rng.choice((0, 1, 1, 2, 20))))
        space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
        description = f'<?xml version="1.0"?><OME xmlns="{space}">{body}</OME>'
    first = changed(PLAIN, IMAGE_DESCRIPTION=text(description))
    return assemble([first] + [PLAIN] * (pages - 1))


def _xml(rng: _Random, depth: int = 3) -> str:
    """Return elements that GDAL knows, with any attributes and text."""
    name = rng.choice(
        ("GDALMetadata", "Item", "PAMDataset", "PAMRasterBand", "SRS", "GeoTransform")
    )
    name = rng.choice((name, "Metadata", "MDI", "NoDataValue", "Scale", "Offset", "UnitType"))
    keys = ["name", "sample", "role", "domain", "key", "band", "format", "dataAxisToSRSAxisMapping"]
    values = [
        "0",
        "1",
        "-1",
        "2",
        "scale",
        "offset",
        "x",
        "NaN",
        "1e400",
        "99999999999999999999",
        "description",
        "unittype",
    ]
    values += ["colorinterp", "STATISTICS_MEAN", "&#9;", "é", ""]
    inner = rng.choice(values)
    if depth:
        inner = "".join(_xml(rng, depth - 1) for _ in range(rng.randrange(4))) or inner
    given = " ".join(f'{k}="{rng.choice(values)}"' for k in rng.sample(keys, rng.randrange(4)))
    text_ = f"<{name} {given}>{inner}</{name}>"
    return text_[: rng.randrange(len(text_))] if rng.random() < 0.03 else text_


def _metadata(rng: _Random) -> bytes:
    """Write XML of GDAL into the tags, nodata, and tags with text for numbers."""
    nodata = rng.choice(("nan", "-1.#IND", "1e999", "0x10", "-9999", "255", "256", " ", "1,5", "∞"))
    return assemble(
        [
            changed(
                PLAIN,
                GDAL_METADATA=text(f"<GDALMetadata>{_xml(rng)}{_xml(rng)}</GDALMetadata>"),
                GDAL_NODATA=text(nodata),
                BITS_PER_SAMPLE=short(rng.choice((8, 16, 32))),
                SAMPLE_FORMAT=short(rng.choice((1, 2, 3))),
                DATE_TIME=text(rng.choice(("2026:01:02 03:04:05", "2026:13:41 25:61:61", ""))),
                X_RESOLUTION=_field(rng),
            )
        ]
    )


_KINDS: tuple[Callable[[_Random], bytes], ...] = (
    *(_grid_tags,) * 4,
    *(_parameters,) * 3,
    _counts,
    _overlapping,
    _shared,
    *(_sub_ifds,) * 2,
    *(_geo_keys,) * 2,
    *(_ome,) * 3,
    _metadata,
)


def structure(rng: _Random) -> tuple[str, bytes]:
    """Return the name of a kind of structure, and a TIFF with one of them."""
    make = rng.choice(_KINDS)
    return make.__name__.removeprefix("_"), make(rng)


def _keywords(rng: _Random, sign: str) -> str:
    """Return the metadata of a satellite image: numbers and lists by keyword, in groups."""
    names = ["lineOffset", "sampOffset", "LINE_OFF", "LINE_NUM_COEFF_1", "lineNumCoef", "satId"]
    names += ["BEGIN_GROUP", "END_GROUP", "cloudCover", "firstLineTime", "END", "ERR_BIAS"]
    lines = []
    for name in rng.choices(names, k=rng.choice((0, 3, 30))):
        number = rng.choice((*_FLOATS, 5, "x", "1e400", "IMAGE", '"', "2026-13-41T25:61:61.0Z"))
        terms = ", ".join([str(number)] * 20)
        lines.append(f"{name}{sign}{rng.choice((number, f'({terms})', f'({terms}'))};")
    return "\n".join(lines)


def _reference(rng: _Random) -> str:
    code = rng.choice(("32633", "0", "-1", "99999999999999999999", "x", "102100", ""))
    inner = f'<RefSystem><refSysID><identCode code="{code}"/></refSysID></RefSystem>'
    return f"<refSysInfo>{inner}</refSysInfo>"


def sidecars(rng: _Random) -> dict[str, bytes]:
    """Return files beside a TIFF, by the endings of their names."""
    world = "\n".join(
        str(rng.choice((*_FLOATS, 10, "x", "1e400", ""))) for _ in range(rng.choice((6, 6, 5)))
    )
    every = {
        ".aux.xml": f"<PAMDataset>{_xml(rng)}{_xml(rng)}</PAMDataset>".encode(),
        ".ovr": structure(rng)[1],
        ".msk": structure(rng)[1],
        ".tfw": world.encode(),
        ".RPB": _keywords(rng, " = ").encode(),
        "_RPC.TXT": _keywords(rng, ": ").encode(),
        ".IMD": _keywords(rng, " = ").encode(),
        ".xml": f"<metadata>{_reference(rng)}{_xml(rng)}</metadata>".encode(),
    }
    chosen = rng.sample(sorted(every), rng.choice((0, 1, 1, 2, 4, 8)))
    return {ending: every[ending] for ending in chosen}
