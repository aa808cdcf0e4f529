"""Add names, spacings and channels to the series of a file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import tifffile

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.ome_xml import LENGTHS, TIMES, OMEImage, plain_unit
from virtual_tiff.tiff.philips import level_factors
from virtual_tiff.tiff.series import SLIDES, Channel, Level, Series, Spacing

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
        plain = replace(plain, levels=_levels(plain, header))
    return replace(plain, name=name, spacing=spacing, channels=channels, bits=bits)


def _levels(plain: Series, header: Header) -> tuple[Level, ...]:
    """Return the levels with their scales, if those are not told by the sizes."""
    factors = level_factors(header.ifds[0], len(plain.levels)) if plain.kind == "philips" else None
    if factors is None:
        return plain.levels
    return tuple(
        replace(level, factor=factor) for level, factor in zip(plain.levels, factors, strict=True)
    )


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
    unit = metadata.get("unit")
    rate = _positive(metadata.get("fps"))
    # ImageJ writes units of y and z only where they are not that of x.
    found = {
        "x": (_inverse(directory.other_tags.get(Tag.X_RESOLUTION)), unit),
        "y": (_inverse(directory.other_tags.get(Tag.Y_RESOLUTION)), metadata.get("yunit", unit)),
        "z": (_positive(metadata.get("spacing")), metadata.get("zunit", unit)),
    }
    spacing = {
        axis: Spacing(step, name)
        for axis, (step, text) in found.items()
        if step and (name := _imagej_unit(text, LENGTHS))
    }
    interval = _positive(metadata.get("finterval"))
    tick = _imagej_unit(metadata.get("tunit", "s"), TIMES)
    if interval and tick:
        spacing["t"] = Spacing(interval, tick)
    elif rate:
        spacing["t"] = Spacing(1 / rate, "second")
    labels = metadata.get("Labels")
    named = labels if isinstance(labels, list) else []
    return spacing, tuple(Channel(name=str(label)) for label in named)


def _positive(value: object) -> float | None:
    if isinstance(value, int | float) and 0 < value < math.inf:
        return float(value)
    return None


def _inverse(resolution: object) -> float | None:
    found = _positive(resolution)
    return None if found is None else 1 / found


#: Spellings of units in ImageJ's metadata that are none of OME-XML or OME-Zarr.
_SPELLINGS = {"micron": "µm", "inch": "in", "inches": "in", "sec": "s", "msec": "ms", "feet": "ft"}


def _imagej_unit(text: object, units: Mapping[str, str]) -> str | None:
    r"""Return the unit of ImageJ's metadata, which has several spellings.

    ImageJ escapes characters that are not ASCII, as `\\u00B5`.
    """
    escaped = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), str(text))
    name = plain_unit(escaped)
    singular = name.removesuffix("s") if len(name) > 3 else name
    for spelling in (name, singular, singular.replace("metre", "meter")):
        known = _SPELLINGS.get(spelling, spelling)
        for unit in (known, known.lower()):
            if unit in units or unit in units.values():
                return units.get(unit, unit)
    return None
