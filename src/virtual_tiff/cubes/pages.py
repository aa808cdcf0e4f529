"""Cubes of images with pages: axes from the metadata of files, coordinates, OME-Zarr metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from virtual_tiff.cubes.agreement import codes_of
from virtual_tiff.cubes.coordinate import as_text
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.inventory.pages import PageFacts
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.pages.ome_zarr import (
    image_attributes,
    is_image,
    omero_channels,
    steps_of,
)
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.planning.stacks import order_of
from virtual_tiff.planning.variables import band_names, positions
from virtual_tiff.tiff.series import Channel

#: Axes of images in several files.
_AXES = ("t", "c", "z")


def _facts(table: pa.Table) -> tuple[list[PageFacts | None], list[int]]:
    """Return the distinct facts of a table, and which of them each row has."""
    codes = codes_of(table["pages"]).tolist()
    rows = {code: row for row, code in reversed(list(enumerate(codes)))}
    texts = [table["pages"][rows[code]].as_py() for code in range(len(rows))]
    return [None if text is None else PageFacts.parse(text) for text in texts], codes


def with_places(images: Inventory) -> tuple[Inventory, tuple[str, ...]]:
    """Add columns `t`, `c` and `z` of planes of images in several files, as their metadata tell.

    Returns
    -------
    Inventory
        With the columns, except those that the caller has.
    tuple of str
        Columns along which such planes have several positions; empty for other images.
    """
    table = images.table
    if table["pages"].null_count == len(table):
        return images, ()
    facts, codes = _facts(table)
    if not all(one is not None and one.place for one in facts):
        return images, ()
    places = [facts[code].place for code in codes]  # type: ignore[union-attr]
    varying = []
    for axis in _AXES:
        steps = [place.get(axis, 0) for place in places]
        if axis not in table.column_names:
            table = table.append_column(axis, pa.array(steps, pa.int64()))
        if len(set(steps)) > 1:
            varying.append(axis)
    return Inventory(table), tuple(varying) or ("t",)


def shared_facts(table: pa.Table) -> tuple[PageFacts | None, tuple[str, ...]]:
    """Return what the metadata of all images say alike, and notes on what they do not."""
    if table["pages"].null_count:
        return None, ()
    found = [one for one in _facts(table)[0] if one is not None]
    first = replace(found[0], place={})
    spacing = {
        axis: step
        for axis, step in first.spacing.items()
        if all(one.spacing.get(axis) == step for one in found)
    }
    differing = {axis for one in found for axis in one.spacing} - spacing.keys()
    notes = tuple(
        f"the images have different distances along {axis}, so none is written"
        for axis in sorted(differing)
    )

    def alike[T](values: Sequence[T], default: T) -> T:
        return values[0] if all(value == values[0] for value in values) else default

    shared = replace(
        first,
        name=alike([one.name for one in found], ""),
        spacing=spacing,
        channels=alike([one.channels for one in found], ()),
        bits=alike([one.bits for one in found], None),
    )
    return shared, notes


def page_coordinates(cube: CubePlan) -> dict[str, ArrayPlan]:
    """Plan coordinates of the pages of a cube without georeferencing: positions, and channels."""
    facts = cube.pages
    if facts is None:
        return {}
    found: dict[str, ArrayPlan] = {}
    for variable in cube.variables.values():
        names, shape = variable.image.dimension_names, variable.image.shape
        steps = steps_of(names, cube.factors, facts.spacing)
        for name, size, (start, step) in zip(names, shape, steps, strict=True):
            made: ArrayPlan | None = None
            if name in ("y", "x") and cube.grid.transform is not None:
                continue
            if name in facts.spacing:
                made = positions(name, size, start, step, facts.spacing[name].unit)
            elif name == "c":
                labels = [channel.name for channel in facts.channels]
                if all(labels) and len(set(labels)) == len(labels) == size:
                    made = band_names(labels, name)
            if made is not None:
                found[name] = made
    return found


def ome_attributes(levels: Mapping[str, CubePlan]) -> dict[str, JSON]:
    """Return OME-Zarr metadata of a cube; empty if it is no image of a microscope.

    Parameters
    ----------
    levels
        The cube at each resolution by the start of the paths of its arrays, such as `0/`.
    """
    full = next(iter(levels.values()))
    facts = full.pages or PageFacts()
    if full.grid_kind is not None or full.grid.crs is not None or full.grid.transform is not None:
        return {}
    images: list[JSON] = []
    document: dict[str, JSON] = {}
    for name in full.variables:
        names = dimensions_of_variable(full, name)
        if not is_image(names) or set(names).isdisjoint(_AXES):
            return {}
        alone = len(full.variables) == 1
        attributes = image_attributes(
            names,
            [(f"{start}{name}", cube.factors) for start, cube in levels.items()],
            name=facts.name if alone and facts.name else name,
            spacing=facts.spacing,
            omero=_omero(full, name, facts) if alone else None,
        )["ome"]
        assert isinstance(attributes, dict)
        multiscales = attributes["multiscales"]
        assert isinstance(multiscales, list)
        images += multiscales
        document = attributes
    return {"ome": {**document, "multiscales": images}}


def dimensions_of_variable(cube: CubePlan, name: str) -> tuple[str, ...]:
    """Return the dimensions of the array of a variable, in their order."""
    return order_of(tuple(cube.sizes), cube.variables[name].image.dimension_names)


def _omero(cube: CubePlan, name: str, facts: PageFacts) -> JSON:
    """Return rendering settings of the channels of a variable."""
    image = cube.variables[name].image
    channels = facts.channels
    axis = next((axis for axis in cube.axes if axis.name == "c"), None)
    if axis is not None and axis.values.dtype.kind in "iu" and channels:
        steps = axis.values.tolist()
        known = min(steps) >= 0 and max(steps) < len(channels)
        channels = tuple(channels[step] for step in steps) if known else ()
    elif axis is not None:
        channels = tuple(Channel(name=text) for text in as_text(axis.values))
    else:
        sizes = dict(zip(image.dimension_names, image.shape, strict=True))
        if len(channels) != sizes.get("c", 1):
            channels = ()
    return omero_channels(channels, image.data_type, facts.bits)
