"""Stacks of microscopes whose private tags have the order of the pages, made by hand."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import tifffile

from tests.helpers.microscopes import LSM, write_pages
from tests.helpers.paged import HEIGHT, WIDTH, ramp

type Make = Callable[[Path], None]
#: Name, size, distance and unit.
type Dimension = tuple[str, int, float, str]

_X, _Y = ("X", WIDTH, 0.2, "um"), ("Y", HEIGHT, 0.3, "um")


def fluoview(*dimensions: Dimension, x: Dimension = _X, y: Dimension = _Y) -> Make:
    """Write pages along dimensions, the fastest first (Olympus FluoView)."""

    def write(path: Path) -> None:
        header = np.zeros((), np.dtype(tifffile.TIFF.MM_HEADER))
        header["ImageName"] = b"cells"
        header["Dimensions"]["Size"] = 1
        for i, (name, size, step, unit) in enumerate((x, y, *dimensions)):
            header["Dimensions"][i] = (name.encode(), size, 0.0, step, unit.encode())
        count = int(np.prod([size for _, size, _, _ in dimensions]))
        tags = [(34361, 1, None, header.tobytes(), True), (34362, 12, 8, [0.0] * 8, True)]
        write_pages(path, list(ramp(count, HEIGHT, WIDTH)), {"extratags": tags})

    return write


def sis(*, z: int = 1, bands: int = 1, times: int = 1, claimed: str = "") -> Make:
    """Write slices of channels of times, as the INI text tells (Olympus SIS)."""

    def write(path: Path) -> None:
        lines = [
            "[Dimension]",
            *(claimed.split() or (f"Time={times}", f"Z={z}", f"Band={bands}")),
            *("[Time]", *(f"TimePos{i + 1}={40 * i}" for i in range(times))),
            *("[Z]", *(f"ZPos{i + 1}={1.5 * i}" for i in range(z))),
            *("[Band]", *(f"BandName{i + 1}=channel {i}" for i in range(bands))),
            *("[Info]", "UnitZ=um", "StepZ=1.5"),
        ]
        tags = [(33471, 2, 0, "\n".join(lines), True)]
        write_pages(path, list(ramp(times * z * bands, HEIGHT, WIDTH)), {"extratags": tags})

    return write


def nih(path: Path) -> None:
    """Write four slices (NIH Image)."""
    header = np.zeros((), np.dtype(tifffile.TIFF.NIH_IMAGE_HEADER).newbyteorder(">"))
    for name, value in {
        **{"FileID": b"IPICIMAG", "XScale": 4.0, "UnitsID": 1, "nSlices": 4},
        **{"SliceSpacing": 8.0, "PixelAspectRatio": 1.0},
    }.items():
        header[name] = value
    tags = [(43314, 1, None, header.tobytes() + bytes(200), True)]
    pages = list(ramp(4, HEIGHT, WIDTH, dtype="uint8"))
    write_pages(path, pages, {"extratags": tags}, byteorder=">")


_SUMMARY = {
    **{"MicroManagerVersion": "1.4", "Positions": 1, "SlicesFirst": True, "TimeFirst": False},
    **{"PixelSize_um": 0.5, "z-step_um": 2.0, "Interval_ms": 250},
}


def mmstack(*, missing: int = 0) -> Make:
    """Write two times of three slices of two channels, with an index (Micro-Manager)."""
    times, slices, channels = 2, 3, 2

    def write(path: Path) -> None:
        count = times * slices * channels - missing
        summary = {"Frames": times, "Slices": slices, "Channels": channels, "ChNames": ["a", "b"]}
        text = json.dumps(_SUMMARY | summary).encode()
        index_at = 40 + len(text) + len(text) % 2
        start = index_at + 8 + 20 * count
        pages, places = _directories(start, count)
        order = product(range(times), range(slices), range(channels))
        index = b"".join(
            struct.pack("<5I", c, z, t, 0, at)
            for (t, z, c), (at, _) in zip(order, places, strict=False)
        )
        numbers = (54773648, index_at, 0, 0, 0, 0, 2355492, len(text))
        head = struct.pack("<2sHI8I", b"II", 42, start, *numbers) + text
        index = struct.pack("<II", 3453623, count) + index
        path.write_bytes(head.ljust(index_at, b"\0") + index + pages)

    return write


def ndtiff(path: Path) -> None:
    """Write two times of three slices, whose order is in a file beside it (NDTiff 3)."""
    text = json.dumps({"PixelSize_um": 0.5, "z-step_um": 2.0}).encode()
    start = 28 + len(text) + len(text) % 2
    pages, places = _directories(start, 6)
    head = struct.pack("<2sHI5I", b"II", 42, start, 483729, 3, 0, 2355492, len(text)) + text
    path.write_bytes(head.ljust(start, b"\0") + pages)
    name = path.name.encode()
    index = b""
    for i, (_, data_at) in enumerate(places):
        axes = json.dumps({"time": i // 3, "z": i % 3}).encode()
        index += struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name
        index += struct.pack("<IiiiiIii", data_at, WIDTH, HEIGHT, 1, 0, 0, 0, 0)
    (path.parent / "NDTiff.index").write_bytes(index)


def _directories(start: int, count: int) -> tuple[bytes, Sequence[tuple[int, int]]]:
    """Return directories of planes, each followed by its pixels, and the offsets of both.

    Readers of Micro-Manager's files rely on directories of 162 bytes.
    """
    private = b'{"x":1}\0'
    data, places, at = b"", [], start
    for i, plane in enumerate(ramp(count, HEIGHT, WIDTH)):
        pixels = plane.astype("<u2").tobytes()
        pixels_at = at + 162
        entries = [(256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (258, 3, 1, 16), (259, 3, 1, 1)]
        entries += [(262, 3, 1, 1), (273, 4, 1, pixels_at), (277, 3, 1, 1), (278, 4, 1, HEIGHT)]
        entries += [(279, 4, 1, len(pixels)), (282, 4, 1, 1), (283, 4, 1, 1), (296, 3, 1, 1)]
        entries += [(51123, 2, len(private), pixels_at + len(pixels))]
        following = pixels_at + len(pixels) + len(private)
        data += struct.pack("<H", len(entries))
        data += b"".join(struct.pack("<HHII", *entry) for entry in entries)
        data += struct.pack("<I", following if i < count - 1 else 0) + pixels + private
        places.append((at, pixels_at))
        at = following
    return data, places


def lsm(*, positions: int = 0, mosaic: int = 0, times: int = 2, rows: str = "Y") -> Make:
    """Write times, slices and three channels of positions, or of tiles of a mosaic (Zeiss LSM).

    With `rows` of `T` or `Z`, the rows of one page are times or slices.
    """
    sizes = {"Y": (HEIGHT, 2, times), "T": (1, 1, HEIGHT), "Z": (1, HEIGHT, 1)}[rows]
    pages = 2 * times if rows == "Y" else 1

    def write(path: Path) -> None:
        info = np.zeros(
            (), np.dtype([(name or "_", kind) for name, kind in tifffile.TIFF.CZ_LSMINFO])
        )
        for name, value in {
            **{"MagicNumber": 67127628, "StructureSize": info.nbytes, "DataType": 2},
            **{"ScanType": {"Y": 6, "T": 2, "Z": 1}[rows], "DimensionX": WIDTH},
            **dict(zip(("DimensionY", "DimensionZ", "DimensionTime"), sizes, strict=True)),
            **{"DimensionChannels": 3, "DimensionP": positions, "DimensionM": mosaic},
            **{"VoxelSizeX": 1e-7, "VoxelSizeY": 2e-7, "VoxelSizeZ": 5e-7, "TimeIntervall": 2.0},
        }.items():
            info[name] = value
        planes = ramp(pages * max(1, positions) * max(1, mosaic), 3, HEIGHT, WIDTH)
        with tifffile.TiffWriter(path) as tif:
            for i, plane in enumerate(planes):
                tag = [(LSM, 1, None, info.tobytes(), True)] if i == 0 else []
                tif.write(
                    plane,
                    metadata=None,
                    contiguous=False,
                    extratags=tag,
                    planarconfig="separate",
                    photometric="minisblack",
                )
                thumbnail = plane[0, :16, :16].copy()
                tif.write(thumbnail, metadata=None, contiguous=False, subfiletype=1)

    return write


def flimage(path: Path) -> None:
    """Write lifetimes of each pixel as one row of a page (FLIMage)."""
    text = (
        "FLIMimage parameters\nFormat = Linear;\nState.Acq.pixelsPerLine = 16;\n"
        "State.Acq.linesPerFrame = 12;\nState.Acq.nChannels = 1;\n"
        "State.Spc.spcData.n_dataPoint = 8;\nState.Acq.acqFLIMA = [true];\n"
    )
    write_pages(path, list(ramp(2, 1, 16 * 12 * 8)), {"description": text})


#: As `PAGED`: arrays are exactly those of tifffile's series.
STACKS: dict[str, Make] = {
    "fluoview": fluoview(("Z", 3, 1.5, "um"), ("Time", 2, 4.0, "s")),
    "fluoview-channels": fluoview(("Ch", 3, 1.0, ""), ("XY", 2, 1.0, "")),
    "fluoview-events": fluoview(
        ("Event", 6, 1.0, ""), x=("X", WIDTH, 0.2, "mm"), y=("Y", HEIGHT, 0.2, "mm")
    ),
    "sis": sis(z=3, bands=2),
    "sis-times": sis(z=2, times=3),
    "nih": nih,
    "mmstack": mmstack(),
    "mmstack-missing": mmstack(missing=2),
    "lsm-channels": lsm(),
    "lsm-positions": lsm(positions=2),
    "lsm-mosaic": lsm(mosaic=2),
}
