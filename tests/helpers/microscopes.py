"""TIFFs of microscopes, scanners of slides and gels, made by hand as their software writes them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.helpers.assemble import DATA_AT, PLAIN, Field, assemble, changed, long, short
from tests.helpers.make import Pixels
from tests.helpers.paged import HEIGHT, WIDTH, ramp

type Make = Callable[[Path], None]

_LSM, _UIC1, _UIC2, _UIC3 = 34412, 33628, 33629, 33630
_GEL, _SEM, _FEI = 33445, 34118, 34682


def _pages(path: Path, pages: Sequence[Pixels], first: dict[str, Any], **options: Any) -> None:
    """Write pages one by one; `first` has options of the first only."""
    with tifffile.TiffWriter(path) as tif:
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
            tag = [(_LSM, 1, 600, bytes(info), True)] if i == 0 else []
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
    _pages(path, pages, {"description": text}, tile=(16, 16))


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
    _pages(path, [ramp(HEIGHT, WIDTH)], {"extratags": tags})


def sem(path: Path) -> None:
    """Write an image of a Zeiss electron microscope."""
    text = "\r\n0\r\n1e-9\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 12.5 nm\r\n"
    _pages(path, [ramp(HEIGHT, WIDTH)], {"extratags": [(_SEM, 2, 0, text, True)]})


def fei(path: Path) -> None:
    """Write an image of an FEI electron microscope."""
    text = "[Scan]\r\nPixelWidth=1.25e-008\r\nPixelHeight=2.5e-008\r\n"
    _pages(path, [ramp(HEIGHT, WIDTH)], {"extratags": [(_FEI, 2, 0, text, True)]})


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
    """Write two wells, one of two fields, as one OME-TIFF."""
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

    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Plate ID="Plate:0" Name="screen">{well(0, 1, 0, 1)}{well(2, 4, 2)}</Plate>{images}</OME>'
    )
    _pages(path, list(ramp(3, HEIGHT, WIDTH)), {"description": text})


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


#: As `PAGED`: arrays are exactly those of tifffile's series.
MICROSCOPES: dict[str, Make] = {
    "lsm": lsm,
    "lsm-lzw": lambda path: lsm(path, compression="lzw", rowsperstrip=16),
    "stk": stk,
    "scanimage": scan_image,
    "scn": scn,
    "bif": bif,
    "qptiff": qptiff,
    "sem": sem,
    "fei": fei,
    "generic-pyramid": generic_pyramid,
    "imagej-colors": imagej_colors,
}
