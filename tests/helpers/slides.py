"""Slides of scanners that tifffile knows, made by hand as its readers expect them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tifffile

from tests.helpers.make import Pixels
from tests.helpers.microscopes import ndpi
from tests.helpers.paged import ramp

type Make = Callable[[Path], None]
#: Pixels of a page and what `TiffWriter.write` is told of it.
type Page = tuple[Pixels, dict[str, Any]]

#: Rows and columns of the levels: none is a multiple of a tile.
SIZES = ((160, 240), (80, 120), (40, 60))
TILE: dict[str, Any] = {"tile": (32, 32)}
#: 0.25 µm a pixel.
_FINE: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "centimeter"}


def _write(path: Path, pages: Sequence[Page], **options: Any) -> None:
    with tifffile.TiffWriter(path, bigtiff=options.pop("bigtiff", False)) as tif:
        for pixels, own in pages:
            told = {"photometric": "rgb" if pixels.ndim == 3 else "minisblack", **options, **own}
            tif.write(pixels, metadata=None, contiguous=False, **told)


def _rgb(*size: int) -> Pixels:
    return ramp(*size, 3, dtype="uint8")


def as_aperio(first: str, *, planes: int = 1, **options: Any) -> Make:
    """Write three levels of focal planes, a thumbnail, a label and the glass, as Aperio does."""

    def write(path: Path) -> None:
        levels = [(plane, TILE) for size in SIZES for plane in _planes(planes, *size)]
        levels[0] = (levels[0][0], {"description": first, **TILE})
        others: list[Page] = [
            (_rgb(20, 24), {"subfiletype": 1}),
            (_rgb(30, 60), {"subfiletype": 9}),
        ]
        _write(path, [levels[0], (_rgb(32, 48), {}), *levels[1:], *others], **options)

    return write


def _planes(count: int, *size: int) -> list[Pixels]:
    return list(ramp(count, *size, 3, dtype="uint8"))


def trestle(path: Path) -> None:
    """Write levels whose resolution is micrometres a pixel (Trestle, MedScan)."""
    pages: list[Page] = [(_rgb(*size), {**TILE}) for size in SIZES]
    pages[0][1].update(description="Background Color=DAE6F0;OverlapsXY= 64 64 32 32")
    _write(path, pages, software="MedScan 1.0", resolution=(0.25, 0.25), resolutionunit="none")


def avs(path: Path, *, planes: int = 3) -> None:
    """Write levels of focal planes, a map and the glass (Argos AVS)."""
    text = "<Argos><ObjectiveMagnification>40</ObjectiveMagnification><ZRange>4.0</ZRange></Argos>"
    tag = {"extratags": [(65000, 2, 0, text, True)]}
    pages: list[Page] = []
    for i, size in enumerate(SIZES):
        factor = 2**i
        pages += [
            (
                plane,
                {
                    **TILE,
                    "resolution": (40000 / factor, 40000 / factor),
                    "subfiletype": 1 if i else 0,
                },
            )
            for plane in _planes(planes, *size)
        ]
    pages += [(_rgb(50, 20), {}), (_rgb(20, 70), {})]
    pages[0][1].update(tag)
    _write(path, pages, resolutionunit="centimeter", bigtiff=True)


_PHILIPS = (
    '<DataObject ObjectType="DPUfsImport"><Attribute Name="PIM_DP_SCANNED_IMAGES"><Array>'
    '<DataObject ObjectType="DPScannedImage">'
    '<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>{}</Array></Attribute>'
    "</DataObject></Array></Attribute></DataObject>"
)


def philips(path: Path) -> None:
    """Write levels padded to whole tiles, a label and the glass (Philips)."""
    spacings = "".join(
        '<DataObject ObjectType="PixelDataRepresentation"><Attribute Name="DICOM_PIXEL_SPACING">'
        f"&quot;{0.00025 * 2**i}&quot; &quot;{0.00025 * 2**i}&quot;</Attribute></DataObject>"
        for i in range(3)
    )
    pages: list[Page] = [
        (_rgb(160, 224), {"description": _PHILIPS.format(spacings), **TILE}),
        (_rgb(96, 128), {"description": "level=1", "subfiletype": 1, **TILE}),
        (_rgb(64, 64), {"description": "level=2", "subfiletype": 1, **TILE}),
        (_rgb(40, 80), {"description": "Macro", "subfiletype": 1}),
        (_rgb(40, 40), {"description": "Label", "subfiletype": 1}),
    ]
    _write(path, pages, software="Philips DP v1.0")


def indica(path: Path) -> None:
    """Write three levels of two channels (IndicaLabs)."""
    dimensions = "".join(
        f'<dimension level="{level}" channel="{channel}" ifd="{2 * level + channel}"/>'
        for level in range(3)
        for channel in range(2)
    )
    text = (
        '<?xml version="1.0"?><indica><image><objective value="20"/><channels>'
        '<channel id="0" name="DAPI"/><channel id="1" name="CD8"/></channels>'
        f"<pixels>{dimensions}</pixels></image></indica>"
    )
    pages = [(plane, {**TILE}) for size in SIZES for plane in ramp(2, *size)]
    pages[0][1].update(description=text)
    _write(path, pages, software="IndicaLabsImageWriter v1.2", **_FINE)


def ndpi_planes(path: Path) -> None:
    """Write three levels of two focal planes, the glass and a map (Hamamatsu)."""
    levels = [(64 >> i, 128 >> i, 20.0 / 2**i) for i in range(3) for _ in range(2)]
    ndpi(path, images=[*levels, (24, 96, -1.0), (16, 32, -2.0)])


#: As `PAGED`: arrays are exactly those of tifffile's series, but for the padding of Philips.
SLIDE_FORMATS: dict[str, Make] = {
    "aperio": as_aperio("Aperio Image Library v11.2.1\n240x160 (32x32)|AppMag = 20|MPP = 0.25"),
    "aperio-planes": as_aperio("Aperio Image Library v11.2.1\n240x160|MPP = 0.25", planes=3),
    "mikroscan": as_aperio("Mikroscan Image Structure\n240x160|AppMag = 20|MPP = 0.25"),
    "motic": as_aperio("Motic Image\n240x160|AppMag = 20|MPP = 0.25"),
    "huron": as_aperio("", extratags=[(271, 2, 0, "Huron Technologies", True)], **_FINE),
    "trestle": trestle,
    "avs": avs,
    "philips": philips,
    "indica": indica,
    "ndpi": ndpi,
    "ndpi-planes": ndpi_planes,
}
