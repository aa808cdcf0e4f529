"""Grow the regular grid of a cube in a session: arrays, coordinates, recorded places."""

from __future__ import annotations

import json
from typing import Any, Literal

import icechunk
import zarr
from icechunk import IcechunkStore

from virtual_tiff.cubes.grid import GRID_MAPPING, description
from virtual_tiff.cubes.growth import Growth
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.errors import MismatchError
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.planning.variables import coordinate, grid_mapping
from virtual_tiff.publishing.levels import dimensions_of, is_variable, write_frame
from virtual_tiff.publishing.nodes import get_json, key_prefix, set_document
from virtual_tiff.publishing.sources_table import move_places
from virtual_tiff.storage.run import run

_AXES: tuple[Literal["y", "x"], ...] = ("y", "x")


def check_growth(group: zarr.Group, growth: Growth) -> None:
    """Refuse to grow arrays whose chunks would not be whole then.

    Raises
    ------
    MismatchError
        Names the array.
    """
    for name, array in group.arrays():
        if not is_variable(name, array):
            continue
        chunks = dict(zip(dimensions_of(array), array.chunks, strict=True))
        for axis, begin, old, size in zip(
            _AXES, growth.before, growth.old, growth.shape, strict=True
        ):
            ends_within = size > begin + old and old % chunks[axis]
            if begin % chunks[axis] or ends_within:
                why = "end beyond its last pixel" if ends_within else "do not divide the distance"
                raise MismatchError(
                    f"images lie outside the grid of the cube along {axis}, and the chunks of "
                    f"{chunks[axis]} pixels of {name!r} {why}.",
                    remedy='Make the cube anew with grid="tiles", or with bounds that are wide '
                    "enough.",
                )


def grow(session: icechunk.Session, path: str, cube: CubePlan, growth: Growth) -> None:
    """Add rows and columns to all arrays of a group, and move what is there to its new places.

    `cube` is on the grid that has grown. The gaps are the caller's business.
    """
    store = session.store
    group = zarr.open_group(store, path=path or None, mode="r+", zarr_format=3)
    arrays = {name: array for name, array in group.arrays() if is_variable(name, array)}
    sizes: dict[str, int] = dict(zip(_AXES, growth.shape, strict=True))
    begins: dict[str, int] = dict(zip(_AXES, growth.before, strict=True))
    for name, array in arrays.items():
        key = f"{key_prefix(path)}{name}"
        document = get_json(store, key) or {}
        names = dimensions_of(array)
        document["shape"] = [
            sizes.get(each, size) for each, size in zip(names, document["shape"], strict=True)
        ]
        run(set_document(store, key, json.dumps(document, ensure_ascii=False).encode()))
        offset = [
            begins.get(each, 0) // chunk for each, chunk in zip(names, array.chunks, strict=True)
        ]
        if any(offset):
            session.shift_array(f"/{key}", offset)
    _write_grid(store, path, group, cube)
    if any(growth.before):
        keys = {f"{key_prefix(path)}{name}" for name in arrays}
        move_places(store, keys, begins)


def _write_grid(store: IcechunkStore, path: str, group: zarr.Group, cube: CubePlan) -> None:
    """Write the coordinates anew, and the transform where only an attribute tells it."""
    described = description(cube.grid)
    sizes = {"y": cube.grid.height, "x": cube.grid.width}
    there = [axis for axis in _AXES if axis in group]
    found = {axis: coordinate(described, axis, sizes[axis], axis) for axis in there}
    for axis in there:
        run(store.delete_dir(f"{key_prefix(path)}{axis}"))
    written: dict[str, ArrayPlan] = {axis: plan for axis, plan in found.items() if plan is not None}
    run(write_frame(store, path, GroupPlan(arrays=written, attributes={})))
    mapping = group.get(GRID_MAPPING)
    planned = grid_mapping(described, coordinates=bool(there))
    if isinstance(mapping, zarr.Array) and planned is not None:
        attributes: dict[str, Any] = dict(mapping.attrs)
        attributes.pop("GeoTransform", None)
        if (transform := planned.attributes.get("GeoTransform")) is not None:
            attributes["GeoTransform"] = transform
        mapping.attrs.put(attributes)
