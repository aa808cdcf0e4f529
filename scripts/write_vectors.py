"""Write clients/vectors: encoded chunks, their metadata, and the samples that readers return.

One JSON file for each codec. `decoded` is what zarr-python with imagecodecs-zarr returns: samples
in C order, little-endian. Readers in other languages are tested with these files.
"""

from __future__ import annotations

import base64
import json
import lzma
import struct
import sys
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
import rasterio
import tifffile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.assemble import PLAIN, assemble, changed, long, short
from tests.helpers.electron_events import BITS, event_stream
from tests.helpers.microscopes import restarted_jpeg
from tests.helpers.vectors import VECTORS, Vector, decode

Codec = dict[str, Any]
Samples = np.ndarray[Any, np.dtype[Any]]

LITTLE: Codec = {"name": "bytes", "configuration": {"endian": "little"}}
BIG: Codec = {"name": "bytes", "configuration": {"endian": "big"}}
BYTE: Codec = {"name": "bytes"}
BANDS_FIRST: Codec = {"name": "transpose", "configuration": {"order": [1, 2, 0]}}
#: End-of-line code of ITU-T T.4.
EOL = "000000000001"


def codec(name: str, **configuration: Any) -> Codec:
    return {"name": name, "configuration": configuration} if configuration else {"name": name}


def wave(*shape: int, dtype: str = "uint8", most: float = 255) -> Samples:
    """Smooth samples: rows, columns and, if there is a third number, bands."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    flat = (np.sin(x / 3) + np.cos(y / 4) + 2) / 4 * most
    if len(shape) == 3:
        flat = np.stack([flat * (i + 1) / shape[2] for i in range(shape[2])], axis=-1)
    return flat.astype(dtype)


def noise(*shape: int, dtype: str = "uint8") -> Samples:
    width = np.dtype(dtype).itemsize
    data = np.random.default_rng(14).integers(0, 256, (*shape, width), "u1")
    return data.view(dtype).reshape(shape)


def vector(
    name: str, data_type: str, shape: tuple[int, ...], codecs: list[Codec], data: bytes
) -> Vector:
    return Vector(name=name, data_type=data_type, shape=shape, codecs=codecs, encoded=bytes(data))


# --- bytes to bytes ----------------------------------------------------------------------------


def compressions() -> Iterator[Vector]:
    data = wave(9, 11, dtype="uint16", most=4000)
    raw = data.astype("<u2").tobytes()
    shape = data.shape
    zlib_codec = codec("numcodecs.zlib", level=6)
    lzma_codec = codec("numcodecs.lzma", format=1)
    yield vector(
        "numcodecs.zlib: 16 bits", "uint16", shape, [LITTLE, zlib_codec], zlib.compress(raw)
    )
    for name, filters in {
        "plain": [{"id": lzma.FILTER_LZMA2}],
        "delta filter": [{"id": lzma.FILTER_DELTA, "dist": 2}, {"id": lzma.FILTER_LZMA2}],
    }.items():
        stream = lzma.compress(raw, check=lzma.CHECK_NONE, filters=filters)
        yield vector(f"numcodecs.lzma: {name}", "uint16", shape, [LITTLE, lzma_codec], stream)
    long = wave(64, 80, dtype="uint8")
    stream = lzma.compress(np.ascontiguousarray(noise(64, 80)).tobytes(), check=lzma.CHECK_CRC32)
    yield vector("numcodecs.lzma: stored", "uint8", (64, 80), [BYTE, lzma_codec], stream)
    lzw = codec("imagecodecs_lzw")
    yield vector(
        "imagecodecs_lzw: 16 bits", "uint16", shape, [LITTLE, lzw], imagecodecs.lzw_encode(raw)
    )
    mixed = np.where(noise(64, 80) > 127, long, noise(64, 80))
    yield vector(
        "imagecodecs_lzw: table full",
        "uint8",
        (64, 80),
        [BYTE, lzw],
        imagecodecs.lzw_encode(mixed.tobytes()),
    )
    yield vector(
        "imagecodecs_lzw: old style", "uint8", (64, 80), [BYTE, lzw], old_style_lzw(mixed.tobytes())
    )
    packbits = codec("imagecodecs_packbits")
    runs = (wave(9, 200) > 100).astype("u1")
    yield vector(
        "imagecodecs_packbits: runs",
        "uint8",
        runs.shape,
        [BYTE, packbits],
        imagecodecs.packbits_encode(runs, axis=-1),
    )
    # 128 is no operation.
    yield vector(
        "imagecodecs_packbits: by hand",
        "uint8",
        (1, 8),
        [BYTE, packbits],
        bytes([2, 1, 2, 3, 128, 253, 9, 0, 7]),
    )


def old_style_lzw(data: bytes) -> bytes:
    """LZW before TIFF 6.0: the lowest bit first, and codes grow one code later."""
    bits, count, table, width = 0, 0, {bytes([i]): i for i in range(256)}, 9

    def put(code: int) -> None:
        nonlocal bits, count
        bits |= code << count
        count += width

    put(256)
    following, text = 258, b""
    for byte in data:
        if text + bytes([byte]) in table:
            text += bytes([byte])
            continue
        put(table[text])
        table[text + bytes([byte])] = following
        following += 1
        # The decoder's table is one code behind.
        if following - 1 >= 1 << width and width < 12:
            width += 1
        text = bytes([byte])
        if following == 4095:
            put(table[text])
            put(256)
            table, width, following, text = {bytes([i]): i for i in range(256)}, 9, 258, b""
    if text:
        put(table[text])
    put(257)
    return bits.to_bytes(-(-count // 8), "little")


# --- samples -----------------------------------------------------------------------------------


def predictors() -> Iterator[Vector]:
    for dtype, endian in (
        ("uint8", BYTE),
        ("int16", BIG),
        ("uint32", LITTLE),
        ("int64", LITTLE),
        ("float32", LITTLE),
        ("float64", BIG),
    ):
        data = noise(5, 7, dtype=dtype)
        if dtype.startswith("float"):
            data = wave(5, 7, dtype=dtype)
        encoded = imagecodecs.delta_encode(data)
        order = ">" if endian is BIG else "<"
        yield vector(
            f"imagecodecs_delta: {dtype}",
            dtype,
            (5, 7),
            [codec("imagecodecs_delta", axis=-1, dist=1), endian],
            encoded.astype(encoded.dtype.newbyteorder(order)).tobytes(),
        )
    bands = noise(4, 6, 3, dtype="uint16")
    stored = imagecodecs.delta_encode(bands, axis=-2).astype("<u2").tobytes()
    yield vector(
        "imagecodecs_delta: bands last",
        "uint16",
        (4, 6, 3),
        [codec("imagecodecs_delta", axis=-2, dist=1), LITTLE],
        stored,
    )
    yield vector(
        "imagecodecs_delta: bands first",
        "uint16",
        (3, 4, 6),
        [codec("imagecodecs_delta", axis=-1, dist=1), BANDS_FIRST, LITTLE],
        stored,
    )
    yield vector(
        "imagecodecs_delta: after a transpose",
        "uint16",
        (3, 4, 6),
        [BANDS_FIRST, codec("imagecodecs_delta", axis=-2, dist=1), LITTLE],
        stored,
    )
    for dtype in ("float32", "float64"):
        data = wave(5, 7, dtype=dtype)
        yield vector(
            f"imagecodecs_floatpred: {dtype}",
            dtype,
            (5, 7),
            [codec("imagecodecs_floatpred", axis=-1, dist=1)],
            imagecodecs.floatpred_encode(data).tobytes(),
        )
    for dist in (2, 4):
        yield vector(
            f"imagecodecs_floatpred: dist {dist}",
            "float32",
            (5, 8),
            [codec("imagecodecs_floatpred", axis=-1, dist=dist)],
            imagecodecs.floatpred_encode(wave(5, 8, dtype="float32"), dist=dist).tobytes(),
        )
    bands = wave(4, 6, 3, dtype="float32")
    stored = imagecodecs.floatpred_encode(bands, axis=-2).tobytes()
    chain = [codec("imagecodecs_floatpred", axis=-2, dist=1)]
    yield vector("imagecodecs_floatpred: bands last", "float32", (4, 6, 3), chain, stored)
    yield vector(
        "imagecodecs_floatpred: bands first", "float32", (3, 4, 6), [BANDS_FIRST, *chain], stored
    )


def widths() -> Iterator[Vector]:
    for bits, dtype in (
        (1, "uint8"),
        (3, "uint8"),
        (7, "uint8"),
        (12, "uint16"),
        (15, "uint16"),
        (24, "uint32"),
        (31, "uint32"),
    ):
        data = noise(5, 7, dtype=dtype) & np.array(2**bits - 1, dtype)
        rows = (np.packbits([b == "1" for v in row for b in f"{v:0{bits}b}"]) for row in data)
        yield vector(
            f"imagecodecs_packints: {bits} bits",
            dtype,
            (5, 7),
            [codec("imagecodecs_packints", bitspersample=bits, runlen=7)],
            b"".join(row.tobytes() for row in rows),
        )
    special = np.array(
        [[0, -0.0, 1, -2.5, np.inf, -np.inf], [2**-63, 2**-70, 3e19, 1e-30, -1e-19, 0.1]], "f4"
    )
    for name, order in (("little", "<"), ("big", ">")):
        yield vector(
            f"imagecodecs_float24: {name}-endian",
            "float32",
            special.shape,
            [codec("imagecodecs_float24", byteorder=order)],
            imagecodecs.float24_encode(special, byteorder=order),
        )
    yield vector(
        "imagecodecs_float24: not numbers",
        "float32",
        (1, 2),
        [codec("imagecodecs_float24", byteorder=">")],
        bytes.fromhex("7f0001 ffffff"),
    )
    for dtype in ("uint8", "uint16"):
        data = noise(4, 5, dtype=dtype)
        yield vector(
            f"imagecodecs_bitorder: {dtype}",
            dtype,
            (4, 5),
            [codec("imagecodecs_bitorder"), LITTLE if dtype == "uint16" else BYTE],
            imagecodecs.bitorder_encode(data.tobytes()),
        )


def electron_events() -> Iterator[Vector]:
    for bits in BITS.values():
        skip, horizontal, vertical = bits
        eer = codec(
            "imagecodecs_eer",
            shape=[20, 30],
            skipbits=skip,
            horzbits=horizontal,
            vertbits=vertical,
        )
        data = event_stream([0, 1, 29, 30, 400, 599], 600, bits)
        yield vector(f"imagecodecs_eer: {skip} bits", "uint8", (20, 30), [eer], data)
        # A reader finds no events in the rest.
        cut = event_stream(range(0, 600, 7), 600, bits)[:40]
        yield vector(f"imagecodecs_eer: {skip} bits, cut short", "uint8", (20, 30), [eer], cut)


def by_gdal(path: Path, data: Samples, name: str) -> bytes:
    """Encode one strip of black and white pixels."""
    height, width = data.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=1,
        dtype="uint8",
        NBITS=1,
        COMPRESS=f"CCITT{name.upper()}",
        BLOCKYSIZE=height,
        PHOTOMETRIC="MINISWHITE",
    ) as out:
        out.write(data, 1)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        offset, size = page.dataoffsets[0], page.databytecounts[0]
    return path.read_bytes()[offset : offset + size]


def bits_of(stream: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in stream)


def two_dimensional_rows(path: Path, data: Samples) -> list[str]:
    """Codes of each row in relation to the row before it, as Group 4 has them."""
    ends = ["", *(bits_of(by_gdal(path, data[: i + 1], "fax4")) for i in range(len(data)))]
    ends = [bits[: bits.rindex(EOL + EOL)] if bits else bits for bits in ends]
    return [after[len(before) :] for before, after in pairwise(ends)]


def fax(folder: Path) -> Iterator[Vector]:
    data = (wave(16, 40) > 128).astype("u1")
    data[5] = 0
    data[6] = 1
    data[7, ::2] = 1
    streams = {
        name: by_gdal(folder / f"{name}.tif", data, name) for name in ("rle", "fax3", "fax4")
    }
    for name, stream in streams.items():
        yield vector(
            f"imagecodecs_ccitt{name}: by GDAL",
            "uint8",
            (16, 40),
            [codec(f"imagecodecs_ccitt{name}")],
            stream,
        )
        yield vector(
            f"imagecodecs_ccitt{name}: fewer rows",
            "uint8",
            (20, 40),
            [codec(f"imagecodecs_ccitt{name}")],
            stream,
        )
    bits = bits_of(streams["fax3"])
    rows = bits.split(EOL)[1:]
    # Every fourth row is one-dimensional.
    mixed = [
        f"1{one}" if i % 4 == 0 else f"0{two}"
        for i, (one, two) in enumerate(
            zip(rows, two_dimensional_rows(folder / "rows.tif", data), strict=True)
        )
    ]
    aligned = ""
    for row in rows:
        aligned += "0" * ((4 - len(aligned)) % 8) + EOL + row
    for name, text, options in (
        ("first EOL absent", EOL.join(rows), {}),
        ("no EOL", "".join(rows), {}),
        ("EOL ends on a byte", aligned, {"t4options": 4}),
        ("fill before every EOL", "".join("0" * 21 + EOL + row for row in rows), {"t4options": 4}),
        (
            "two EOLs before a row",
            "".join(EOL * (1 + (i == 4)) + row for i, row in enumerate(rows)),
            {},
        ),
        ("bits before the first EOL", "1011" + bits, {}),
        ("two-dimensional", EOL + EOL.join(mixed), {"t4options": 5}),
        ("two-dimensional, no EOL", "".join(mixed), {"t4options": 5}),
    ):
        stream = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
        yield vector(
            f"imagecodecs_ccittfax3: {name}",
            "uint8",
            (16, 40),
            [codec("imagecodecs_ccittfax3", **options)],
            stream,
        )


# --- images ------------------------------------------------------------------------------------


def jpeg() -> Iterator[Vector]:
    def one(
        name: str, data: Samples, stored: str, wanted: str | None = None, **options: Any
    ) -> Vector:
        configuration = {"colorspace_jpeg": stored, "colorspace_data": wanted or stored}
        stream = imagecodecs.jpeg8_encode(
            data, colorspace=wanted or stored, outcolorspace=stored, **options
        )
        return vector(
            f"imagecodecs_jpeg: {name}",
            str(data.dtype),
            data.shape,
            [codec("imagecodecs_jpeg", **configuration)],
            stream,
        )

    grey, colour = wave(19, 21), wave(19, 21, 3)
    yield one("grey", grey, "GRAYSCALE", level=90)
    yield one("RGB", colour, "RGB", level=90)
    for sampling in ("444", "422", "420", "440", "411"):
        yield one(
            f"YCbCr {sampling}",
            noise(19, 21, 3) // 2 + colour // 2,
            "YCbCr",
            "RGB",
            level=85,
            subsampling=sampling,
        )
    yield one("CMYK", wave(19, 21, 4), "CMYK", level=90)
    yield one(
        "12 bits", wave(19, 21, dtype="uint16", most=4095), "GRAYSCALE", level=90, bitspersample=12
    )
    yield one("optimised", colour, "YCbCr", "RGB", level=60, subsampling="420", optimize=True)
    for predictor in range(1, 8):
        yield one(
            f"lossless, predictor {predictor}",
            noise(9, 11),
            "GRAYSCALE",
            lossless=True,
            predictor=predictor,
        )
    yield one(
        "lossless, 16 bits",
        noise(9, 11, dtype="uint16"),
        "GRAYSCALE",
        lossless=True,
        predictor=4,
        bitspersample=16,
    )
    yield one(
        "lossless, 12 bits",
        noise(9, 11, dtype="uint16") & 4095,
        "GRAYSCALE",
        lossless=True,
        predictor=6,
        bitspersample=12,
    )
    yield one("lossless, RGB", noise(9, 11, 3), "RGB", lossless=True, predictor=1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tables.tif"
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=32,
            height=16,
            count=3,
            dtype="uint8",
            INTERLEAVE="PIXEL",
            COMPRESS="JPEG",
            PHOTOMETRIC="YCBCR",
            TILED="YES",
            BLOCKXSIZE=32,
            BLOCKYSIZE=16,
        ) as out:
            out.write(np.moveaxis(wave(16, 32, 3), -1, 0))
        with tifffile.TiffFile(path) as tif:
            page = tif.pages.first
            offset, size = page.dataoffsets[0], page.databytecounts[0]
            tables = page.jpegtables
        stream = path.read_bytes()[offset : offset + size]
    text = base64.b64encode(tables).decode()
    chain = codec("imagecodecs_jpeg", tables=text, colorspace_jpeg="YCbCr", colorspace_data="RGB")
    yield vector("imagecodecs_jpeg: tables", "uint8", (16, 32, 3), [chain], stream)
    yield vector(
        "imagecodecs_jpeg: tables, bands first", "uint8", (3, 16, 32), [BANDS_FIRST, chain], stream
    )
    yield from spaces_by_markers(colour)
    yield from restart_segments()


def spaces_by_markers(colour: Samples) -> Iterator[Vector]:
    """Streams without a configuration: JFIF and Adobe markers, or identifiers, tell the colours."""
    jfif, adobe, cmyk = (
        imagecodecs.jpeg8_encode(data, colorspace=given, outcolorspace=stored, level=90)
        for data, given, stored in (
            (colour, "RGB", "YCBCR"),
            (colour, "RGB", "RGB"),
            (wave(19, 21, 4), "CMYK", "CMYK"),
        )
    )
    transform = cmyk.index(b"Adobe") + 11
    # Without the segment after SOI, components 1, 2 and 3 are YCbCr, and R, G and B are RGB.
    streams = {"JFIF": jfif, "Adobe, RGB": adobe, "Adobe, CMYK": cmyk}
    streams["Adobe, YCCK"] = cmyk[:transform] + b"\2" + cmyk[transform + 1 :]
    for name, stream in (("identifiers 1, 2, 3", jfif), ("identifiers R, G, B", adobe)):
        streams[name] = stream[:2] + stream[4 + int.from_bytes(stream[4:6], "big") :]
    for name, stream in streams.items():
        shape = (19, 21, 4 if "K" in name else 3)
        yield vector(
            f"imagecodecs_jpeg: by markers, {name}",
            "uint8",
            shape,
            [codec("imagecodecs_jpeg")],
            stream,
        )


def restart_segments() -> Iterator[Vector]:
    """Segments of one stream, as chunks: the first with the RST marker after it, and the last."""
    stream, starts = restarted_jpeg(wave(16, 64, 3), 32)
    header = bytearray(stream[: starts[0]])
    # The header has the size of a chunk.
    struct.pack_into(">HH", header, header.index(b"\xff\xc0") + 5, 8, 32)
    text = base64.b64encode(header).decode()
    chain = codec("imagecodecs_jpeg", header=text, colorspace_jpeg="YCbCr", colorspace_data="RGB")
    for name, start, end in (("first", *starts[:2]), ("last", starts[-1], len(stream) - 2)):
        yield vector(
            f"imagecodecs_jpeg: header, {name} segment",
            "uint8",
            (8, 32, 3),
            [chain],
            stream[start:end],
        )
    yield vector(
        "imagecodecs_jpeg: header, bands first",
        "uint8",
        (3, 8, 32),
        [BANDS_FIRST, chain],
        stream[starts[1] : starts[2]],
    )


def components() -> Iterator[Vector]:
    """JPEG 2000 of two and more components, with packets in all orders and of several shapes."""
    options = {
        "LRCP": {"QUALITY": "10,30,100", "SOP": "YES", "EPH": "YES"},
        "RLCP": {"QUALITY": "10,100", "CODEBLOCK_STYLE": "BYPASS"},
        "RPCL": {"PRECINCTS": "{32,32},{16,16}", "BLOCKXSIZE": 40, "BLOCKYSIZE": 32},
        "PCRL": {"CODEBLOCK_WIDTH": 16, "CODEBLOCK_HEIGHT": 8, "CODEBLOCK_STYLE": "TERMALL"},
        "CPRL": {"PRECINCTS": "{32,16}", "CODEBLOCK_STYLE": "BYPASS|TERMALL", "CODEC": "JP2"},
    }
    for samples, (progression, given) in zip((2, 4, 5, 2, 4), options.items(), strict=True):
        data = wave(33, 41, samples)
        profile: dict[str, Any] = {
            **{"driver": "JP2OpenJPEG", "height": 33, "width": 41, "count": samples},
            **{"dtype": "uint8", "REVERSIBLE": "YES", "QUALITY": "100", "YCC": "NO"},
            **{"CODEC": "J2K", "PROGRESSION": progression, "WRITE_METADATA": "NO"},
        }
        with rasterio.MemoryFile() as memory:
            with memory.open(**profile | given) as out:
                out.write(np.moveaxis(data, -1, 0))
            stream = memory.read()
        yield vector(
            f"imagecodecs_jpeg2k: {samples} components, {progression}",
            "uint8",
            data.shape,
            [codec("imagecodecs_jpeg2k")],
            stream,
        )


def lossy_webp() -> Iterator[Vector]:
    """Blocks of all kinds, weak and strong filters, alpha; and lossless images of few colours."""
    mixed = np.where(wave(45, 39, 4) > 150, noise(45, 39, 4) // 4, wave(45, 39, 4))
    mixed[:20, :20] = 77
    few = np.asarray([[0, 9, 200], [255, 3, 1], [8, 8, 8]], "u1")[wave(23, 21, most=2.9)]
    for name, data, options in (
        ("lossy, RGB", mixed[..., :3], {"level": 90, "method": 6}),
        ("lossy, strong filter", mixed[..., :3], {"level": 5, "method": 4}),
        ("lossy, RGBA", mixed, {"level": 60, "method": 4}),
        ("few colours", few, {"lossless": True}),
    ):
        yield vector(
            f"imagecodecs_webp: {name}",
            "uint8",
            data.shape,
            [codec("imagecodecs_webp", hasalpha=data.shape[-1] == 4)],
            imagecodecs.webp_encode(np.ascontiguousarray(data), **options),
        )


def images() -> Iterator[Vector]:
    for dtype, most in (("uint8", 255), ("uint16", 65535)):
        for name, shape in {"grey": (9, 11), "RGB": (9, 11, 3), "RGBA": (9, 11, 4)}.items():
            data = wave(*shape, dtype=dtype, most=most)
            title = f"{name}, {dtype}"
            yield vector(
                f"imagecodecs_png: {title}",
                dtype,
                shape,
                [codec("imagecodecs_png")],
                imagecodecs.png_encode(data),
            )
            yield vector(
                f"imagecodecs_jpegxl: {title}",
                dtype,
                shape,
                [codec("imagecodecs_jpegxl")],
                imagecodecs.jpegxl_encode(data, lossless=True),
            )
            yield vector(
                f"imagecodecs_jpeg2k: {title}",
                dtype,
                shape,
                [codec("imagecodecs_jpeg2k")],
                imagecodecs.jpeg2k_encode(data, level=0, reversible=True),
            )
            large = np.ascontiguousarray(data.repeat(2, axis=0).repeat(2, axis=1))
            stream = imagecodecs.jpegxr_encode(large, level=1.0)
            yield vector(
                f"imagecodecs_jpegxr: {title}",
                dtype,
                large.shape,
                [codec("imagecodecs_jpegxr")],
                stream,
            )
            if name != "grey" and dtype == "uint8":
                yield vector(
                    f"imagecodecs_webp: {title}",
                    dtype,
                    shape,
                    [codec("imagecodecs_webp", hasalpha=name == "RGBA")],
                    imagecodecs.webp_encode(data, lossless=True),
                )
    for dtype in ("int8", "int16"):
        for name, shape in {"grey": (9, 11), "bands": (9, 11, 3)}.items():
            yield vector(
                f"imagecodecs_jpeg2k: {name}, {dtype}",
                dtype,
                shape,
                [codec("imagecodecs_jpeg2k")],
                imagecodecs.jpeg2k_encode(noise(*shape, dtype=dtype), level=0, reversible=True),
            )
    yield from components()
    yield vector(
        "imagecodecs_jpegxl: one row, RGBA, uint16",
        "uint16",
        (1, 11, 4),
        [codec("imagecodecs_jpegxl")],
        imagecodecs.jpegxl_encode(wave(1, 11, 4, dtype="uint16", most=65535), lossless=True),
    )
    yield vector(
        "imagecodecs_jpegxl: rows that are rendered apart, uint8",
        "uint8",
        (1030, 5),
        [codec("imagecodecs_jpegxl")],
        imagecodecs.jpegxl_encode(wave(1030, 5), lossless=True),
    )
    yield from lossy_webp()
    # The stream leaves out an opaque alpha channel.
    opaque = np.concatenate([wave(9, 11, 3), np.full((9, 11, 1), 255, "u1")], axis=-1)
    yield vector(
        "imagecodecs_webp: opaque",
        "uint8",
        (9, 11, 4),
        [codec("imagecodecs_webp", hasalpha=True)],
        imagecodecs.webp_encode(np.ascontiguousarray(opaque[..., :3]), lossless=True),
    )
    for dtype in ("uint8", "int16", "uint16", "int32", "float32", "float64"):
        data = wave(9, 11, dtype=dtype, most=100)
        yield vector(
            f"imagecodecs_lerc: {dtype}",
            dtype,
            (9, 11),
            [codec("imagecodecs_lerc")],
            imagecodecs.lerc_encode(data, level=0),
        )
    bands = wave(9, 11, 3, dtype="float32")
    yield vector(
        "imagecodecs_lerc: bands",
        "float32",
        (9, 11, 3),
        [codec("imagecodecs_lerc")],
        imagecodecs.lerc_encode(bands, level=0),
    )
    yield vector(
        "imagecodecs_lerc: in Deflate",
        "float32",
        (9, 11, 3),
        [codec("imagecodecs_lerc"), codec("numcodecs.zlib", level=6)],
        zlib.compress(imagecodecs.lerc_encode(bands, level=0)),
    )


def whole_files(folder: Path) -> Iterator[Vector]:
    """Images that libtiff decodes, in files of two segments."""

    def one(name: str, pixels: tuple[int, ...], data: bytes, dtype: str = "uint8") -> Vector:
        chain = [codec("imagecodecs_tiff", index=0)]
        return vector(f"imagecodecs_tiff: {name}", dtype, pixels, chain, data)

    def file(segments: list[bytes], first: bytes = b"", order: str = "<", **fields: Any) -> bytes:
        starts = np.cumsum([8 + len(first), *map(len, segments)])[:-1].tolist()
        strips = {
            "STRIP_OFFSETS": long(*starts),
            "STRIP_BYTE_COUNTS": long(*map(len, segments)),
        }
        entries = changed(PLAIN, **(strips | fields))
        return assemble([entries], data=first + b"".join(segments), order=order)

    colour = {
        "BITS_PER_SAMPLE": short(8, 8, 8),
        "SAMPLES_PER_PIXEL": short(3),
        "PHOTOMETRIC_INTERPRETATION": short(6),
    }
    size = {"IMAGE_WIDTH": short(11), "IMAGE_LENGTH": short(13), "ROWS_PER_STRIP": short(8)}
    for across, down in ((2, 2), (4, 1), (1, 2)):
        units = [-(-11 // across) * -(-rows // down) * (across * down + 2) for rows in (8, 5)]
        strips = [noise(n).tobytes() for n in units]
        sampling = colour | size | {"YCBCR_SUBSAMPLING": short(across, down)}
        name = f"YCbCr {across}, {down}"
        yield one(name, (13, 11, 3), file(strips, **sampling))
        packed = [bytes(imagecodecs.lzw_encode(strip)) for strip in strips]
        narrow = {
            "COMPRESSION": short(5),
            "REFERENCE_BLACK_WHITE": long(16, 235, 128, 240, 128, 240),
        }
        yield one(
            f"{name}, LZW, big-endian", (13, 11, 3), file(packed, order=">", **sampling, **narrow)
        )

    # Three pixels, 2-bit and 3-bit differences, runs of odd and even lengths; each row has eleven.
    row = bytes([0xC9, 0b01011111, 0b10001110, 0x03, 0xC3, 0x01])
    fields = {"COMPRESSION": short(32809), "BITS_PER_SAMPLE": short(4)}
    scans = [row * rows for rows in (8, 5)]
    yield one("ThunderScan", (13, 11), file(scans, **size, **fields))
    # Rows as they are, in part, and as runs; rows at the end are white.
    rows = b"\x00\x1b\xe4\x93" + b"\x40\0\1\0\2\x1b\x2c" + b"\x43\x85\xc1\x02" + b"\x0b"
    fields = {"COMPRESSION": short(32766), "BITS_PER_SAMPLE": short(2)}
    yield one("NeXT", (13, 11), file([rows + rows, rows], **size, **fields))

    def stream(rows: slice) -> tuple[bytes, bytes]:
        data = np.ascontiguousarray(wave(29, 21, 3)[rows])
        found = bytes(
            imagecodecs.jpeg8_encode(
                data, colorspace="YCBCR", outcolorspace="YCBCR", subsampling="420"
            )
        )
        end = found.index(b"\xff\xda") + 14
        return found[:end], found[end:-2]

    old = colour | {"COMPRESSION": short(6), "IMAGE_WIDTH": short(21), "IMAGE_LENGTH": short(29)}
    header, scan = stream(slice(None))
    yield one(
        "old-style JPEG, a stream",
        (29, 21, 3),
        file([header + scan], ROWS_PER_STRIP=short(29), **old),
    )
    scans = [stream(rows)[1] for rows in (slice(16), slice(16, None))]
    interchange = {
        "JPEG_INTERCHANGE_FORMAT": long(8),
        "JPEG_INTERCHANGE_FORMAT_LENGTH": long(len(header)),
    }
    data = file(scans, header, ROWS_PER_STRIP=short(16), **interchange, **old)
    yield one("old-style JPEG, header and strips", (29, 21, 3), data)

    light = noise(4, 5, dtype="int16")
    rows = [
        bytes([5, *(row >> 8 & 255).tolist(), 130, row[0] & 255, 1, row[4] & 255]) for row in light
    ]
    luminance = {
        "BITS_PER_SAMPLE": short(16),
        "SAMPLE_FORMAT": short(2),
        "COMPRESSION": short(34676),
        "PHOTOMETRIC_INTERPRETATION": short(32844),
        "ROWS_PER_STRIP": short(2),
    }
    strips = [rows[0] + rows[1], rows[2] + rows[3]]
    yield one("SGI LogL", (4, 5), file(strips, **luminance), "int16")
    yield from masked_lerc(folder)


def masked_lerc(folder: Path) -> Iterator[Vector]:
    """Files of GDAL whose NaNs LERC keeps in masks: one for all bands, or one for each."""
    hidden: Any = (slice(2, 5), slice(3, 7))
    bands: dict[str, Any] = {"count": 3, "INTERLEAVE": "PIXEL"}
    swapped: dict[str, Any] = {"ENDIANNESS": "BIG", "BIGTIFF": "YES"}
    one_of_them = (*hidden, 1)
    yield lerc_file(folder, "LERC with a mask", "float32", hidden)
    yield lerc_file(folder, "LERC_DEFLATE with a mask", "float64", hidden, COMPRESS="LERC_DEFLATE")
    yield lerc_file(folder, "LERC of bands with a mask", "float32", hidden, **bands)
    yield lerc_file(
        folder,
        "LERC of bands with masks",
        "float32",
        one_of_them,
        COMPRESS="LERC_DEFLATE",
        **bands,
    )
    yield lerc_file(
        folder, "LERC of bands, the first without valid pixels", "float32", (..., 0), **bands
    )
    # Samples were swapped before they were encoded.
    yield lerc_file(folder, "LERC, big-endian", "int16", (), **swapped)
    yield lerc_file(
        folder,
        "LERC of planes with masks, big-endian",
        "float64",
        one_of_them,
        **bands | swapped | {"INTERLEAVE": "BAND"},
    )


def lerc_file(folder: Path, name: str, dtype: str, hidden: Any, **options: Any) -> Vector:
    """A file of GDAL, with NaN where `hidden` selects."""
    profile: dict[str, Any] = {"driver": "GTiff", "width": 11, "height": 9, "COMPRESS": "LERC"}
    profile |= {"count": 1, "BLOCKYSIZE": 4, "INTERLEAVE": "PIXEL"} | options
    values = wave(9, 11, profile["count"], dtype=dtype)
    if hidden:
        values[hidden] = np.nan
    path = folder / f"{name}.tif"
    with rasterio.open(path, "w", dtype=dtype, **profile) as out:
        out.write(np.moveaxis(values, -1, 0))
    shape = values.shape if profile["count"] > 1 else values.shape[:2]
    if profile["INTERLEAVE"] == "BAND":
        shape = (shape[2], *shape[:2])
    chain = [codec("imagecodecs_tiff", index=0)]
    return vector(f"imagecodecs_tiff: {name}", dtype, shape, chain, path.read_bytes())


def main() -> None:
    VECTORS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        found = [*compressions(), *predictors(), *widths(), *fax(Path(folder)), *jpeg(), *images()]
        found += [*whole_files(Path(folder)), *electron_events()]
        by_codec: dict[str, list[str]] = {}
        for i, one in enumerate(found):
            expected = decode(one, Path(folder) / str(i))
            line = {
                "name": one.name.partition(": ")[2],
                "data_type": one.data_type,
                "chunk_shape": list(one.shape),
                "codecs": one.codecs,
                "encoded": base64.b64encode(one.encoded).decode(),
                "decoded": base64.b64encode(expected).decode(),
            }
            by_codec.setdefault(one.name.partition(": ")[0], []).append(json.dumps(line))
    for name, lines in by_codec.items():
        (VECTORS / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
