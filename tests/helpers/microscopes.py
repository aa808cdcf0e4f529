"""TIFFs of microscopes, scanners of slides and gels, made by hand as their software writes them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from tests.helpers.assemble import DATA_AT, PLAIN, Field, assemble, changed, long, short
from tests.helpers.electron_events import eer
from tests.helpers.make import Pixels
from tests.helpers.paged import HEIGHT, WIDTH, ramp

type Make = Callable[[Path], None]

#: A document of OME-XML, to be filled in.
OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{}</OME>'
LSM, _UIC1, _UIC2, _UIC3 = 34412, 33628, 33629, 33630
_GEL, _SEM, _FEI, _MICRO_MANAGER = 33445, 34118, 34682, 51123


def write_pages(path: Path, pages: Sequence[Pixels], first: dict[str, Any], **options: Any) -> None:
    """Write pages one by one; `first` has options of the first only."""
    with tifffile.TiffWriter(path, byteorder=options.pop("byteorder", "<")) as tif:
        for i, page in enumerate(pages):
            tif.write(page, metadata=None, contiguous=False, **options, **(first if i == 0 else {}))


def lsm(path: Path, **options: Any) -> None:
    """Write two times of three slices, each followed by its thumbnail (Zeiss LSM)."""
    info = bytearray(600)
    struct.pack_into("<8i", info, 0, 67127628, 600, WIDTH, HEIGHT, 3, 1, 2, 2)
    struct.pack_into("<2i", info, 32, 16, 16)
    struct.pack_into("<3d", info, 40, 1e-7, 2e-7, 5e-7)
    struct.pack_into("<H", info, 88, 6)  # ScanType XYZT
    planes = ramp(2, 3, HEIGHT, WIDTH).reshape(-1, HEIGHT, WIDTH)
    with tifffile.TiffWriter(path) as tif:
        for i, plane in enumerate(planes):
            tag = [(LSM, 1, 600, bytes(info), True)] if i == 0 else []
            tif.write(plane, metadata=None, contiguous=False, extratags=tag, **options)
            tif.write(
                plane[:16, :16].copy(),
                metadata=None,
                contiguous=False,
                subfiletype=1,
                photometric="minisblack",
            )


def stk(path: Path) -> None:
    """Write five slices after one directory (MetaMorph)."""
    data = ramp(5, HEIGHT, WIDTH).tobytes()
    place = struct.pack("<6I", 1, 2, 2451545, 1000, 2451545, 0)
    fields = changed(
        PLAIN,
        IMAGE_WIDTH=short(WIDTH),
        IMAGE_LENGTH=short(HEIGHT),
        ROWS_PER_STRIP=short(HEIGHT),
        BITS_PER_SAMPLE=short(16),
        STRIP_OFFSETS=long(DATA_AT),
        STRIP_BYTE_COUNTS=long(HEIGHT * WIDTH * 2),
    )
    fields |= {
        _UIC1: long(0, 0),
        _UIC2: Field(5, place * 5, count=5),
        _UIC3: Field(5, struct.pack("<2I", 500, 1) * 5, count=5),
    }
    fields[_UIC1] = Field(4, struct.pack("<2I", 0, 0), count=1)
    path.write_bytes(assemble([fields], data=data))


def scan_image(path: Path) -> None:
    """Write two channels of six frames (ScanImage BigTIFF)."""
    software = (
        "SI.VERSION_MAJOR = 2020\nSI.hChannels.channelSave = [1;2]\n"
        "SI.hStackManager.framesPerSlice = 1\nSI.hStackManager.stackZStepSize = 2.5\n"
        "SI.hRoiManager.scanFramePeriod = 0.033\n"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for i, page in enumerate(ramp(12, HEIGHT, WIDTH, dtype="int16")):
            tif.write(
                page,
                metadata=None,
                contiguous=False,
                software=software,
                description=f"frameNumbers = {i // 2 + 1}\n",
            )


def scn(path: Path, *, last: int = 1) -> None:
    """Write a slide of two levels and two channels, beside an overview (Leica SCN)."""
    levels = [(64, 96), (32, 48)]
    dimensions = "".join(
        f'<dimension sizeX="{w}" sizeY="{h}" r="{r}" c="{c * last}" ifd="{1 + 2 * r + c}"/>'
        for r, (h, w) in enumerate(levels)
        for c in range(2)
    )
    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        '<collection sizeX="96" sizeY="64"><image name="overview"><pixels sizeX="48" sizeY="32">'
        '<dimension sizeX="48" sizeY="32" r="0" ifd="0"/></pixels></image>'
        f'<image name="slide"><pixels sizeX="96" sizeY="64">{dimensions}</pixels></image>'
        "</collection></scn>"
    )
    pages = [ramp(32, 48), *ramp(2, 64, 96), *ramp(2, 32, 48)]
    write_pages(path, pages, {"description": text}, tile=(16, 16))


def bif(path: Path) -> None:
    """Write a label and two levels (Ventana)."""
    text = b"<iScan Magnification='40' ScanRes='0.25' UnitNumber='1'></iScan>"
    pages: list[tuple[Pixels, str, dict[str, Any]]] = [
        (
            ramp(32, 48, 3, dtype="uint8"),
            "Label Image",
            {"extratags": [(700, 1, None, text, True)]},
        ),
        (ramp(64, 96, 3, dtype="uint8"), "level=0 mag=40 quality=90", {"tile": (16, 16)}),
        (ramp(32, 48, 3, dtype="uint8"), "level=1 mag=20 quality=90", {"tile": (16, 16)}),
    ]
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for page, description, options in pages:
            tif.write(page, metadata=None, description=description, photometric="rgb", **options)


def qptiff(path: Path) -> None:
    """Write two levels of three stains, and a thumbnail (PerkinElmer QPTIFF)."""
    stains = {"DAPI": "0,0,255", "CD8": "255,255,0", "CD3": "255,0,0"}

    def write(tif: tifffile.TiffWriter, *size: int) -> None:
        for plane, (name, color) in zip(ramp(3, *size), stains.items(), strict=True):
            tif.write(
                plane,
                tile=(16, 16),
                metadata=None,
                contiguous=False,
                software="PerkinElmer-QPI",
                resolution=(20000, 20000),
                resolutionunit="centimeter",
                description=f"<PerkinElmer-QPI-ImageDescription><Name>{name}</Name>"
                f"<Color>{color}</Color></PerkinElmer-QPI-ImageDescription>",
            )

    with tifffile.TiffWriter(path) as tif:
        write(tif, 64, 96)
        tif.write(
            ramp(20, 30, 3, dtype="uint8"),
            photometric="rgb",
            metadata=None,
            software="PerkinElmer-QPI",
        )
        write(tif, 32, 48)


def gel(path: Path, *, tag: int = 2, scale: tuple[int, int] = (1, 4)) -> None:
    """Write a gel of Molecular Dynamics; `tag` says whether values are square roots."""
    tags = [(_GEL, 4, 1, tag, True), (_GEL + 1, 5, 1, scale, True)]
    write_pages(path, [ramp(HEIGHT, WIDTH)], {"extratags": tags})


def sem(path: Path) -> None:
    """Write an image of a Zeiss electron microscope."""
    text = "\r\n0\r\n1e-9\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 12.5 nm\r\n"
    write_pages(path, [ramp(HEIGHT, WIDTH)], {"extratags": [(_SEM, 2, 0, text, True)]})


def fei(path: Path) -> None:
    """Write an image of an FEI electron microscope."""
    text = "[Scan]\r\nPixelWidth=1.25e-008\r\nPixelHeight=2.5e-008\r\n"
    write_pages(path, [ramp(HEIGHT, WIDTH)], {"extratags": [(_FEI, 2, 0, text, True)]})


def generic_pyramid(path: Path) -> None:
    """Write three levels in sub-IFDs, with a resolution."""
    options: dict[str, Any] = {
        "tile": (16, 16),
        "photometric": "rgb",
        "resolutionunit": "centimeter",
        "metadata": None,
    }
    with tifffile.TiffWriter(path) as tif:
        for i in range(3):
            tif.write(
                ramp(64 >> i, 96 >> i, 3, dtype="uint8"),
                subifds=2 if i == 0 else 0,
                subfiletype=1 if i else 0,
                resolution=(20000 / 2**i, 20000 / 2**i),
                **options,
            )


def plate(path: Path) -> None:
    """Write two wells, one of two fields in two runs, as one OME-TIFF."""
    images = "".join(
        f'<Image ID="Image:{i}"><Pixels ID="Pixels:{i}" DimensionOrder="XYCZT" Type="uint16" '
        f'SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeC="1" SizeZ="1" SizeT="1">'
        f'<TiffData IFD="{i}" PlaneCount="1"/></Pixels></Image>'
        for i in range(3)
    )

    def well(row: int, column: int, *fields: int) -> str:
        samples = "".join(
            f'<WellSample ID="WellSample:{i}" Index="{i}"><ImageRef ID="Image:{i}"/></WellSample>'
            for i in fields
        )
        return f'<Well ID="Well:{row}{column}" Row="{row}" Column="{column}">{samples}</Well>'

    runs = "".join(
        f'<PlateAcquisition ID="PlateAcquisition:{i}" Name="{name}">'
        + "".join(f'<WellSampleRef ID="WellSample:{field}"/>' for field in fields)
        + "</PlateAcquisition>"
        for i, (name, fields) in enumerate({"before": (0, 2), "after": (1,)}.items())
    )
    wells = well(0, 1, 0, 1) + well(2, 4, 2)
    text = OME.format(f'<Plate ID="Plate:0" Name="screen">{wells}{runs}</Plate>{images}')
    write_pages(path, list(ramp(3, HEIGHT, WIDTH)), {"description": text})


def micro_manager(path: Path) -> None:
    """Write two channels whose names are in the summary before the pixels (Micro-Manager)."""
    summary = json.dumps(
        {
            "PixelSize_um": 0.65,
            "ChNames": ["DAPI", "Cy5"],
            "ChColors": [-16776961, -65536],
        }
    ).encode()
    planes = ramp(2, HEIGHT, WIDTH)
    data = struct.pack("<4I", 483729, 2, 2355492, len(summary)) + summary
    data += bytes(len(data) % 2)
    first = DATA_AT + len(data)
    document = OME.format(
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
        f'SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeC="2" SizeZ="1" SizeT="1"><TiffData/></Pixels>'
        "</Image>"
    )
    directories = [
        changed(
            PLAIN,
            IMAGE_WIDTH=short(WIDTH),
            IMAGE_LENGTH=short(HEIGHT),
            ROWS_PER_STRIP=short(HEIGHT),
            BITS_PER_SAMPLE=short(16),
            STRIP_OFFSETS=long(first + i * planes[0].nbytes),
            STRIP_BYTE_COUNTS=long(planes[0].nbytes),
            **({"IMAGE_DESCRIPTION": Field(2, document)} if i == 0 else {}),
        )
        | {_MICRO_MANAGER: Field(2, '{"Frame": 0}')}
        for i in range(2)
    ]
    path.write_bytes(assemble(directories, data=data + planes.tobytes()))


def imagej_colors(path: Path) -> None:
    """Write two channels with lookup tables and ranges (ImageJ)."""
    ramp_of = np.arange(256, dtype=np.uint8)
    zero = np.zeros_like(ramp_of)
    tifffile.imwrite(
        path,
        ramp(2, HEIGHT, WIDTH),
        imagej=True,
        metadata={
            "axes": "CYX",
            "mode": "composite",
            "LUTs": [np.stack([zero, ramp_of, ramp_of]), np.stack([ramp_of, ramp_of, zero])],
            "Ranges": (10.0, 900.0, 0.0, 4095.0),
        },
    )


def restarted_jpeg(
    image: Pixels, columns: int, subsampling: str = "444"
) -> tuple[bytes, list[int]]:
    """Encode an image as one JPEG stream, restarted after each row of blocks of so many columns.

    Returns the stream and the offsets of its segments.
    """
    height, width, _ = image.shape
    block = 16 if subsampling == "420" else 8
    streams = [
        bytes(
            imagecodecs.jpeg_encode(
                image[y : y + block, x : x + columns], level=95, subsampling=subsampling
            )
        )
        for y in range(0, height, block)
        for x in range(0, width, columns)
    ]
    scan = streams[0].index(b"\xff\xda")
    start = scan + 2 + int.from_bytes(streams[0][scan + 2 : scan + 4], "big")
    frame = streams[0].index(b"\xff\xc0") + 5
    head = bytearray(streams[0][:scan])
    struct.pack_into(">HH", head, frame, height, width)
    head += struct.pack(">3H", 0xFFDD, 4, columns // block) + streams[0][scan:start]
    data = bytes(head)
    starts = []
    for i, stream in enumerate(streams):
        starts.append(len(data))
        last = i == len(streams) - 1
        data += stream[start:-2] + (b"\xff\xd9" if last else bytes([0xFF, 0xD0 + i % 8]))
    return data, starts


#: Rows, columns, and magnification (-1: the glass, -2: a map) of the images of a slide.
NDPI_LEVELS = ((64, 96, 20.0), (32, 64, 10.0))


def ndpi(
    path: Path,
    *,
    at: int = 4096,
    columns: int = 32,
    images: Sequence[tuple[int, int, float]] = NDPI_LEVELS,
    subsampling: str = "444",
) -> None:
    """Write images of a slide as Hamamatsu's scanners do, with everything from `at` on.

    Parameters
    ----------
    at
        Offset of the first stream.
    columns
        Columns between restarts of the streams.
    images
        Images; those of one size and magnification are focal planes.
    subsampling
        Of the colours: 444 or 420.
    """
    data = b""
    directories = []
    for i, (height, width, magnification) in enumerate(images):
        ramps = np.meshgrid(np.arange(width), np.arange(height))
        image = np.stack([*ramps, np.full((height, width), 90 + i)], axis=-1).astype(np.uint8)
        stream, starts = restarted_jpeg(image, columns, subsampling)
        if magnification == -2:
            stream, starts = image[..., 0].tobytes(), []
        is_map = not starts
        samples = 1 if is_map else 3
        entries: list[tuple[int, int, list[int] | bytes]] = [
            (256, 4, [width]),
            (257, 4, [height]),
            (258, 3, [8] * samples),
            (259, 3, [1 if is_map else 7]),
            (262, 3, [1 if is_map else 6]),
            (271, 2, b"Hamamatsu\0"),
            (273, 4, [at + len(data)]),
            (277, 3, [samples]),
            (278, 4, [height]),
            (279, 4, [len(stream)]),
            *([] if is_map else [(530, 3, [1, 1])]),
            (65420, 4, [1]),
            (65421, 11, struct.pack("<f", magnification)),
            *([(65426, 4, starts)] if starts else []),
        ]
        directories.append(entries)
        data += stream + b"\0" * (len(stream) % 2)
    first = place = at + len(data)
    for i, entries in enumerate(directories):
        following = place + len(_ndpi_directory(place, entries, 0))
        last = i == len(directories) - 1
        data += _ndpi_directory(place, entries, 0 if last else following)
        place = following
    with path.open("wb") as file:
        file.write(struct.pack("<2sHQ", b"II", 42, first))
        file.seek(at)
        file.write(data)


def _ndpi_directory(
    at: int, entries: Sequence[tuple[int, int, list[int] | bytes]], following: int
) -> bytes:
    """Return a directory at an offset, with its values."""
    body = at + 2 + 12 * len(entries) + 8 + 4 * len(entries)
    fields, high, values = b"", b"", b""
    for tag, kind, value in entries:
        form = {3: "H", 4: "I"}.get(kind, "B")
        numbers = value if isinstance(value, list) else list(value)
        count = {2: len(numbers), 11: 1}.get(kind, len(numbers))
        upper = 0
        if kind == 4 and count == 1:
            upper, low = divmod(numbers[0], 2**32)
            raw = struct.pack("<I", low)
        else:
            raw = struct.pack(f"<{len(numbers)}{form}", *numbers)
        if len(raw) > 4:
            upper, low = divmod(body + len(values), 2**32)
            values += raw + b"\0" * (len(raw) % 2)
            raw = struct.pack("<I", low)
        fields += struct.pack("<HHI", tag, kind, count) + raw.ljust(4, b"\0")
        high += struct.pack("<I", upper)
    return struct.pack("<H", len(entries)) + fields + struct.pack("<Q", following) + high + values


#: As `PAGED`: arrays are exactly those of tifffile's series.
MICROSCOPES: dict[str, Make] = {
    "lsm": lsm,
    "lsm-lzw": lambda path: lsm(path, compression="lzw", rowsperstrip=16),
    "stk": stk,
    "scanimage": scan_image,
    "scn": scn,
    "bif": bif,
    "qptiff": qptiff,
    "eer": eer,
    "sem": sem,
    "fei": fei,
    "generic-pyramid": generic_pyramid,
    "imagej-colors": imagej_colors,
    "micro-manager": micro_manager,
}
