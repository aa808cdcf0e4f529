"""Spacings and channels in the metadata of ImageJ, as tifffile parses it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory
from virtual_tiff.tiff.numbers import positive
from virtual_tiff.tiff.series import Channel, Spacing
from virtual_tiff.tiff.units import LENGTHS, TIMES, unit_name


def imagej_facts(metadata: Mapping[str, Any], directory: ImageFileDirectory) -> dict[str, Any]:
    """Return fields of a `Series` of ImageJ, whose resolutions are pixels per `unit`."""
    unit = metadata.get("unit")
    period = _inverse(metadata.get("fps"))
    # ImageJ writes units of y and z only where they are not that of x.
    found = {
        "x": (_inverse(directory.other_tags.get(Tag.X_RESOLUTION)), unit),
        "y": (_inverse(directory.other_tags.get(Tag.Y_RESOLUTION)), metadata.get("yunit", unit)),
        "z": (_size(metadata.get("spacing")), metadata.get("zunit", unit)),
    }
    spacing = {
        axis: Spacing(step, name)
        for axis, (step, text) in found.items()
        if step and (name := unit_name(text, LENGTHS))
    }
    interval = positive(metadata.get("finterval"))
    tick = unit_name(metadata.get("tunit", "s"), TIMES)
    if interval and tick:
        spacing["t"] = Spacing(interval, tick)
    elif period:
        spacing["t"] = Spacing(period, "second")
    return {
        "spacing": spacing,
        "channels": _channels(metadata),
        "notes": _notes(metadata),
    }


def _notes(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what values mean that a straight line calibrates, as ImageJ does with signed ones."""
    start, slope = (metadata.get(key) for key in ("c0", "c1"))
    if metadata.get("cf") != 0 or not isinstance(start, int | float) or not positive(slope):
        return ()
    unit = metadata.get("vunit") or "no unit"
    return (f"ImageJ shows {start:g} + {slope:g} × value ({unit}).",)


def _channels(metadata: Mapping[str, Any]) -> tuple[Channel, ...]:
    """Return labels, colours (the last of each LUT) and ranges of the channels of ImageJ."""
    count = metadata.get("channels", 1)
    labels = _items(metadata.get("Labels"))
    tables = _items(metadata.get("LUTs"))
    tables = tables if len(tables) == count else []
    ranges = _ranges(metadata, count)
    if not tables and not ranges:
        return tuple(Channel(name=str(label)) for label in labels)
    size = len(tables) or len(ranges)
    names = [str(label) for label in labels] if len(labels) == size else [""] * size
    # Viewers show each channel in grey, whatever its table.
    gray = "FFFFFF" if tables and metadata.get("mode") == "grayscale" else None
    colors = [gray or "".join(f"{int(c):02X}" for c in table[:, -1]) for table in tables]
    return tuple(
        Channel(
            name=name,
            color=colors[i] if colors else None,
            window=ranges[i] if ranges else None,
        )
        for i, name in enumerate(names)
    )


def _items(value: object) -> list[Any]:
    """Return a list; tifffile makes none of a single table or label."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _ranges(metadata: Mapping[str, Any], count: int) -> list[tuple[float, float]]:
    """Return what each channel shows as black and white; that of one channel is `min`, `max`."""
    found = metadata.get("Ranges")
    if found is None and count == 1:
        found = (metadata.get("min"), metadata.get("max"))
    if not isinstance(found, tuple) or len(found) != 2 * count:
        return []
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in found):
        return []
    pairs = [(float(low), float(high)) for low, high in zip(found[::2], found[1::2], strict=True)]
    return pairs if all(low < high for low, high in pairs) else []


def _size(value: object) -> float | None:
    """Return a distance, of which ImageJ ignores the sign."""
    return positive(-value) if isinstance(value, int | float) and value < 0 else positive(value)


def _inverse(value: object) -> float | None:
    found = positive(value)
    return None if found is None else positive(1 / found)
