"""Add names, spacings and channels to the series of a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import tifffile

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.ome_xml import LENGTHS, TIMES, OMEImage
from virtual_tiff.tiff.series import SLIDES, Channel, Series, Spacing

#: Rows or columns of the largest slide.
_MAX_SIDE = 2**22


def matched(
    found: Sequence[tifffile.TiffPageSeries], images: Sequence[OMEImage]
) -> list[OMEImage | None]:
    """Return the OME-XML's image of each series; tifffile omits images without pages."""
    if len(found) == len(images) and all(one.kind == "ome" for one in found):
        return list(images)
    names = [image.name for image in images]
    return [
        images[names.index(one.name)] if one.kind == "ome" and names.count(one.name) == 1 else None
        for one in found
    ]


def described(
    tif: tifffile.TiffFile,
    found: tifffile.TiffPageSeries,
    plain: Series,
    image: OMEImage | None,
    header: Header,
) -> Series:
    """Add names, spacings and channels to a series, from tifffile or the OME-XML."""
    name = plain.name
    spacing: Mapping[str, Spacing] = {}
    channels: tuple[Channel, ...] = ()
    bits = None
    if image is not None:
        # tifffile names an unnamed image after the file, or by its role.
        name, spacing, channels, bits = image.name, image.spacing, image.channels, image.bits
    elif found.kind == "imagej":
        spacing, channels = _imagej(tif.imagej_metadata or {}, header.ifds[0])
    elif found.kind in SLIDES:
        spacing = _slide(found, plain)
    return replace(plain, name=name, spacing=spacing, channels=channels, bits=bits)


def _slide(found: tifffile.TiffPageSeries, plain: Series) -> dict[str, Spacing]:
    # tifffile computes coordinates of all pixels to find their distance.
    if max(plain.levels[0].size) > _MAX_SIDE or found.mpp is None:
        return {}
    x, y = (float(step) for step in found.mpp)
    if not (0 < x < math.inf and 0 < y < math.inf):
        return {}
    return {"x": Spacing(x, "micrometer"), "y": Spacing(y, "micrometer")}


def _imagej(
    metadata: Mapping[str, Any], directory: ImageFileDirectory
) -> tuple[dict[str, Spacing], tuple[Channel, ...]]:
    """Return spacings and labels of ImageJ, whose resolutions are pixels per `unit`."""
    unit = _imagej_unit(metadata.get("unit"), LENGTHS)
    spacing: dict[str, Spacing] = {}
    for axis, tag in (("x", Tag.X_RESOLUTION), ("y", Tag.Y_RESOLUTION)):
        resolution = directory.other_tags.get(tag)
        if unit and isinstance(resolution, float) and 0 < resolution < math.inf:
            spacing[axis] = Spacing(1 / resolution, unit)
    step, interval = metadata.get("spacing"), metadata.get("finterval")
    if unit and isinstance(step, int | float) and 0 < step < math.inf:
        spacing["z"] = Spacing(float(step), unit)
    tick = _imagej_unit(metadata.get("tunit", "s"), TIMES)
    if tick and isinstance(interval, int | float) and 0 < interval < math.inf:
        spacing["t"] = Spacing(float(interval), tick)
    labels = metadata.get("Labels")
    named = labels if isinstance(labels, list) else []
    return spacing, tuple(Channel(name=str(label)) for label in named)


def _imagej_unit(text: object, units: Mapping[str, str]) -> str | None:
    """Return the unit of ImageJ's metadata, which has several spellings."""
    name = str(text).strip().replace("\\u00B5", "µ")
    name = {"micron": "µm", "microns": "µm", "inch": "in", "sec": "s"}.get(name, name)
    return units.get(name, name if name in units.values() else None)
