"""Make attributes of OME-Zarr 0.5 (https://ngff.openmicroscopy.org/0.5/).

Transformations map the index of a pixel to its centre, as most readers expect. The outer corners of
all levels coincide, so smaller levels begin later by half the difference of the pixel sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.axes import is_custom, place_of, type_of
from virtual_tiff.tiff.series import Channel, Spacing, Well

VERSION = "0.5"
#: Colours of channels without one: red, green, blue, yellow, magenta, cyan.
_COLORS = ("FF0000", "00FF00", "0000FF", "FFFF00", "FF00FF", "00FFFF")


def is_image(dimensions: Sequence[str]) -> bool:
    """Return whether OME-Zarr allows these dimensions in this order (section 3.4)."""
    types = [type_of(dimension) for dimension in dimensions]
    places = [place_of(dimension) for dimension in dimensions]
    return (
        2 <= len(dimensions) <= 5
        and places == sorted(places)
        and all(types.count(kind) <= 1 for kind in ("time", "channel"))
        and sum(map(is_custom, dimensions)) <= 1
        and list(dimensions[-2:]) == ["y", "x"]
    )


def image_attributes(
    dimensions: Sequence[str],
    levels: Sequence[tuple[str, tuple[float, float]]],
    *,
    name: str = "",
    spacing: Mapping[str, Spacing] | None = None,
    omero: JSON = None,
) -> dict[str, JSON]:
    """Return the attributes of the group of an image for which `is_image` is true.

    `levels` has the path of the array, and its factors (`factors_of`), from full resolution to the
    smallest.
    Axes without a spacing are in pixels.
    """
    known = spacing or {}
    axes: list[JSON] = []
    for dimension in dimensions:
        axis: dict[str, JSON] = {"name": dimension, "type": type_of(dimension)}
        if (found := known.get(dimension)) is not None and found.unit is not None:
            axis["unit"] = found.unit
        axes.append(axis)
    datasets: list[JSON] = []
    for path, factors in levels:
        steps = steps_of(dimensions, factors, known)
        scale: list[JSON] = [step for _, step in steps]
        transformations: list[JSON] = [{"type": "scale", "scale": scale}]
        if any(start for start, _ in steps):
            translation: list[JSON] = [start for start, _ in steps]
            transformations.append({"type": "translation", "translation": translation})
        datasets.append({"path": path, "coordinateTransformations": transformations})
    multiscale: dict[str, JSON] = {"axes": axes, "datasets": datasets}
    if name:
        multiscale["name"] = name
    ome: dict[str, JSON] = {"version": VERSION, "multiscales": [multiscale]}
    if omero is not None:
        ome["omero"] = omero
    return {"ome": ome}


def collection_attributes() -> dict[str, JSON]:
    """Return the attributes of the group above several images ("bioformats2raw.layout")."""
    return {"ome": {"version": VERSION, "bioformats2raw.layout": 3}}


def series_attributes(paths: Sequence[str]) -> dict[str, JSON]:
    """Return the attributes of the group `OME`, with the order of the images beside it."""
    return {"ome": {"version": VERSION, "series": list(paths)}}


def plate_attributes(wells: Sequence[Well]) -> dict[str, JSON]:
    """Return the attributes of the group of a plate (section 3.9), by the places of its images."""
    rows = sorted({well.row for well in wells})
    columns = sorted({well.column for well in wells})
    places = sorted({(well.row, well.column) for well in wells})
    plate: dict[str, JSON] = {
        "name": wells[0].plate,
        "version": VERSION,
        "field_count": max(well.field for well in wells) + 1,
        "rows": [{"name": row_name(row)} for row in rows],
        "columns": [{"name": str(column + 1)} for column in columns],
        "wells": [
            {
                "path": f"{row_name(row)}/{column + 1}",
                "rowIndex": rows.index(row),
                "columnIndex": columns.index(column),
            }
            for row, column in places
        ],
    }
    acquisitions: list[JSON] = [
        {"id": number, **({"name": name} if name else {})}
        for number, name in sorted({well.acquisition for well in wells if well.acquisition})
    ]
    if acquisitions:
        plate["acquisitions"] = acquisitions
    return {"ome": {"version": VERSION, "plate": plate}}


def well_attributes(fields: Sequence[Well]) -> dict[str, JSON]:
    """Return the attributes of the group of a well (section 3.10), whose images are its fields."""
    images: list[JSON] = [
        {"path": str(one.field)}
        | ({"acquisition": one.acquisition[0]} if one.acquisition is not None else {})
        for one in fields
    ]
    return {"ome": {"version": VERSION, "well": {"images": images, "version": VERSION}}}


def row_name(row: int) -> str:
    """Return the letters of a row of a plate: A to Z, AA, AB, …."""
    letters = chr(ord("A") + row % 26)
    return letters if row < 26 else row_name(row // 26 - 1) + letters


def factors_of(
    size: tuple[int, int], full: tuple[int, int], factor: float | None = None
) -> tuple[float, float]:
    """Return the rows and columns of the full image that a pixel of a level covers.

    `factor` is that of levels whose sizes are padded.
    """
    if factor is not None:
        return factor, factor
    return full[0] / size[0], full[1] / size[1]


def steps_of(
    dimensions: Sequence[str], level: tuple[float, float], spacing: Mapping[str, Spacing]
) -> list[tuple[float, float]]:
    """Return position and spacing of the pixels along each dimension of a level."""
    factors = dict(zip("yx", level, strict=True))
    steps = []
    for dimension in dimensions:
        step = spacing[dimension].step if dimension in spacing else 1.0
        factor = factors.get(dimension, 1.0)
        steps.append(((factor - 1) / 2 * step, step * factor))
    return steps


def rgb_channels(interpretation: Sequence[JSON]) -> tuple[Channel, ...]:
    """Return the channels of colour images, by the names of their samples; none for others.

    Other samples than red, green and blue, such as alpha, are not shown at first.
    """
    if list(interpretation[:3]) != ["red", "green", "blue"]:
        return ()
    others = (str(name) for name in interpretation[3:])
    return tuple(
        Channel(name=str(name), color=color)
        for name, color in zip(interpretation[:3], _COLORS, strict=False)
    ) + tuple(
        Channel(name="" if name == "undefined" else name, color="FFFFFF", active=False)
        for name in others
    )


def omero_channels(
    channels: Sequence[Channel],
    data_type: np.dtype[np.generic],
    bits: int | None,
    *,
    name: str = "",
) -> JSON:
    """Return rendering settings of channels (section 3.6) if names, colours or windows are known.

    The window, without which no channel is allowed, is that of the file, or else the range of the
    data type: 0 to 1 of floating-point numbers, as viewers assume.
    """
    known = any(channel.name or channel.color or channel.window for channel in channels)
    if not known or data_type.kind not in "iuf":
        return None
    colors = ["FFFFFF"] if len(channels) == 1 else _COLORS
    settings: list[JSON] = []
    for i, channel in enumerate(channels):
        settings.append(
            {
                **({"label": channel.name} if channel.name else {}),
                "color": channel.color or colors[i % len(colors)],
                "active": channel.active,
                "window": _window(channel, data_type, bits),
            }
        )
    colored = any(setting["color"] != "FFFFFF" for setting in settings if isinstance(setting, dict))
    model = "color" if colored else "greyscale"
    named: dict[str, JSON] = {"name": name} if name else {}
    return {**named, "channels": settings, "rdefs": {"model": model}}


def _window(channel: Channel, data_type: np.dtype[np.generic], bits: int | None) -> dict[str, JSON]:
    if data_type.kind == "f":
        start, end = channel.window or (0.0, 1.0)
        return {"min": start, "max": end, "start": start, "end": end}
    limits = np.iinfo(data_type.name)
    most = limits.max if bits is None or not 0 < bits < limits.bits else 2**bits - 1
    start, end = channel.window or (limits.min, most)
    return {"min": limits.min, "max": limits.max, "start": start, "end": end}
