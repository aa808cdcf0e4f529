"""Multi-page TIFFs made by tifffile: OME, ImageJ, its own, plain, and a slide in Aperio's way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.helpers.make import Pixels

#: Unlike each other, no multiples of a tile or a strip.
HEIGHT, WIDTH = 45, 70
MPP = 0.25


def ramp(*shape: int, dtype: str = "uint16") -> Pixels:
    """Pixels of which no two neighbours, rows or pages are alike."""
    count = int(np.prod(shape))
    values = np.arange(count, dtype=np.uint64) * 2654435761 >> 7
    return values.astype(dtype).reshape(shape)


def smooth(*shape: int) -> Pixels:
    """Pixels that JPEG takes well."""
    *rest, height, width, samples = shape
    rows, columns = np.mgrid[:height, :width]
    page = np.stack([rows * 2, columns * 2, rows + columns], axis=-1)[..., :samples]
    shift = np.arange(int(np.prod(rest, dtype=int))).reshape(*rest, 1, 1, 1) * 5
    return (page + shift).astype(np.uint8)


def ome(axes: str, *sizes: int, dtype: str = "uint16", **options: Any) -> Callable[[Path], None]:
    """Write one image of an OME-TIFF."""

    def write(path: Path) -> None:
        pixels = (
            smooth(*sizes) if options.get("compression") == "jpeg" else ramp(*sizes, dtype=dtype)
        )
        metadata = {"axes": axes, **options.get("metadata", {})}
        tifffile.imwrite(path, pixels, **{"ome": True, **options, "metadata": metadata})

    return write


def plain(*sizes: int, dtype: str = "uint16", **options: Any) -> Callable[[Path], None]:
    """Write pages one by one, without any metadata."""

    def write(path: Path) -> None:
        pixels = (
            smooth(*sizes) if options.get("compression") == "jpeg" else ramp(*sizes, dtype=dtype)
        )
        with tifffile.TiffWriter(path, byteorder=options.pop("byteorder", "<")) as tif:
            for page in pixels:
                tif.write(page, metadata=None, contiguous=False, **options)

    return write


def shaped(*sizes: int, dtype: str = "uint16", **options: Any) -> Callable[[Path], None]:
    """Write one array as tifffile does by itself."""

    def write(path: Path) -> None:
        options_of_all = {"photometric": "minisblack", **options}
        tifffile.imwrite(path, ramp(*sizes, dtype=dtype), **options_of_all)

    return write


def imagej(axes: str, *sizes: int, dtype: str = "uint16", **options: Any) -> Callable[[Path], None]:
    """Write an ImageJ hyperstack."""

    def write(path: Path) -> None:
        metadata = {"axes": axes, **options.pop("metadata", {})}
        tifffile.imwrite(path, ramp(*sizes, dtype=dtype), imagej=True, metadata=metadata, **options)

    return write


def ome_pyramid(path: Path, **options: Any) -> None:
    """Write three levels of three channels, with sizes, names and colours."""
    options = {"tile": (16, 32), "compression": "zlib", **options}
    full = ramp(3, 160, 130)
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(
            full,
            subifds=2,
            metadata={
                "axes": "CYX",
                "Name": "Kidney",
                "SignificantBits": 12,
                "PhysicalSizeX": 500,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": 500,
                "PhysicalSizeYUnit": "nm",
                "Channel": {
                    "Name": ["DAPI", "GFP", "Cy5"],
                    "Color": [65535, 16711935, -16776961],
                },
            },
            **options,
        )
        tif.write(full[:, ::2, ::2], **options)
        tif.write(full[:, ::4, ::4], **options)


def ome_images(path: Path) -> None:
    """Write two images of unlike shape."""
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(ramp(4, HEIGHT, WIDTH), metadata={"axes": "ZYX", "Name": "stack"})
        tif.write(smooth(HEIGHT, WIDTH, 3), photometric="rgb", metadata={"axes": "YXS"})


def ome_holes(path: Path) -> None:
    """Write four of six planes, which the metadata puts out of order."""
    planes = "".join(
        f'<TiffData IFD="{i}" FirstT="{t}" FirstC="{c}" FirstZ="0" PlaneCount="1"/>'
        for i, (t, c) in enumerate([(2, 1), (0, 0), (1, 1), (0, 1)])
    )
    description = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="70" SizeY="45" '
        'SizeC="2" SizeZ="1" SizeT="3"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<Channel ID="Channel:0:1" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )
    with tifffile.TiffWriter(path) as tif:
        for i, page in enumerate(ramp(4, HEIGHT, WIDTH)):
            text = description if i == 0 else None
            tif.write(page, description=text, metadata=None, contiguous=False)


def svs(path: Path, **options: Any) -> None:
    """Write a slide as Aperio's scanners do: no level is marked by NewSubfileType."""
    options = {"tile": (32, 32), "photometric": "rgb", "compression": "jpeg", **options}
    full = smooth(160, 240, 3)
    about = f"Aperio Image Library v11.2.1\n240x160 (32x32) JPEG/RGB Q=75|AppMag = 20|MPP = {MPP}"
    other: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as tif:
        tif.write(full, description=about, metadata=None, **options)
        tif.write(full[::5, ::5], description="Aperio thumbnail", rowsperstrip=16, **other)
        tif.write(full[::2, ::2], description="Aperio level", metadata=None, **options)
        tif.write(full[::4, ::4], description="Aperio level", metadata=None, **options)
        tif.write(full[:20, :24], description="Aperio label", subfiletype=1, **other)
        tif.write(full[:30, :60], description="Aperio macro", subfiletype=9, **other)


_STRIPS: dict[str, Any] = {"rowsperstrip": 7}
_TILES: dict[str, Any] = {"tile": (16, 32)}

#: Every file, by name.
PAGED: dict[str, Callable[[Path], None]] = {
    "ome-tczyx": ome("TCZYX", 2, 3, 4, HEIGHT, WIDTH),
    "ome-zctyx": ome("ZCTYX", 4, 3, 2, HEIGHT, WIDTH, **_STRIPS),
    "ome-zyx-deflate-short": ome("ZYX", 3, HEIGHT, WIDTH, compression="zlib", **_STRIPS),
    "ome-tyx-big-endian": ome(
        "TYX", 3, HEIGHT, WIDTH, byteorder=">", predictor=2, compression="lzw"
    ),
    "ome-zyxs": ome(
        "ZYXS",
        4,
        HEIGHT,
        WIDTH,
        3,
        dtype="uint8",
        photometric="rgb",
        compression="zstd",
        predictor=2,
        **_TILES,
    ),
    "ome-zyxs-short": ome(
        "ZYXS", 4, HEIGHT, WIDTH, 3, dtype="uint8", photometric="rgb", compression="zlib", **_STRIPS
    ),
    "ome-tzsyx": ome(
        "TZSYX",
        2,
        4,
        3,
        HEIGHT,
        WIDTH,
        dtype="uint8",
        photometric="rgb",
        planarconfig="separate",
        **_TILES,
    ),
    "ome-tzyxs-jpeg": ome(
        "TZYXS", 2, 2, HEIGHT, WIDTH, 3, photometric="rgb", compression="jpeg", **_TILES
    ),
    "ome-jpeg-short": ome(
        "ZYXS",
        2,
        HEIGHT,
        WIDTH,
        3,
        photometric="rgb",
        compression="jpeg",
        rowsperstrip=16,
        subsampling=(1, 1),
    ),
    "ome-cyx-rgb": ome("CYXS", 2, HEIGHT, WIDTH, 3, dtype="uint8", photometric="rgb"),
    "ome-one-page": ome("YX", HEIGHT, WIDTH),
    "ome-float-predictor": ome(
        "CYX", 3, HEIGHT, WIDTH, dtype="float32", predictor=3, compression="zlib", **_TILES
    ),
    "ome-pyramid": ome_pyramid,
    "ome-images": ome_images,
    "ome-holes": ome_holes,
    "imagej-tzcyx": imagej("TZCYX", 2, 3, 2, HEIGHT, WIDTH),
    "imagej-contiguous": imagej("TZYX", 3, 4, HEIGHT, WIDTH, truncate=True),
    "imagej-contiguous-strips": imagej("ZYX", 4, HEIGHT, WIDTH, truncate=True, **_STRIPS),
    "imagej-rgb": imagej("TYXS", 3, HEIGHT, WIDTH, 3, dtype="uint8"),
    "imagej-deflate": imagej("ZCYX", 3, 2, HEIGHT, WIDTH, compression="zlib"),
    "shaped": shaped(2, 3, HEIGHT, WIDTH),
    "shaped-axes": shaped(2, 3, HEIGHT, WIDTH, metadata={"axes": "ZTYX"}),
    "shaped-contiguous": shaped(5, HEIGHT, WIDTH, truncate=True, dtype="float32"),
    "shaped-contiguous-rgb": shaped(
        5, HEIGHT, WIDTH, 3, truncate=True, dtype="uint8", photometric="rgb"
    ),
    "shaped-contiguous-planar": shaped(
        5,
        3,
        HEIGHT,
        WIDTH,
        truncate=True,
        dtype="uint8",
        photometric="rgb",
        planarconfig="separate",
    ),
    "shaped-tiles": shaped(3, HEIGHT, WIDTH, compression="zlib", **_TILES),
    "shaped-volume": shaped(2, 4, 32, 48, tile=(4, 16, 16), volumetric=True, dtype="uint8"),
    "plain": plain(9, HEIGHT, WIDTH),
    "plain-strips": plain(3, HEIGHT, WIDTH, **_STRIPS),
    "plain-packbits": plain(3, HEIGHT, WIDTH, compression="packbits", **_STRIPS),
    "plain-jpeg": plain(3, HEIGHT, WIDTH, 3, compression="jpeg", photometric="rgb", **_TILES),
    "plain-bits": plain(3, HEIGHT, WIDTH, dtype="bool"),
    "svs": svs,
}
