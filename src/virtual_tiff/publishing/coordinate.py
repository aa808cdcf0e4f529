"""The coordinate of a cube in its group: stored, made longer, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from virtual_tiff.cubes.coordinate import EPOCH, UNITS, Merged, encoded
from virtual_tiff.cubes.gaps import PRESENT_ATTRIBUTES, Presence
from virtual_tiff.cubes.item_properties import ITEM_PROPERTY, Property, item_property, joined
from virtual_tiff.cubes.plan import Axis, CubePlan
from virtual_tiff.errors import ErrorKind, RepositoryError

#: Steps in one chunk of a coordinate; an append rewrites one chunk.
CHUNK_STEPS = 32_768
#: Places of a cube from which its array of presence has chunks of `_LARGE_CHUNK` places.
_MANY_CELLS = 2**24
_LARGE_CHUNK = 2**20
#: Attributes that a coordinate has only while a value is missing, or while none is.
_OF_VALUES = ("_FillValue", "dtype")
_TILE_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "y": {"long_name": "row of the first pixel of each tile"},
    "x": {"long_name": "column of the first pixel of each tile"},
}


def write_coordinate(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Store the coordinate of the first dimension, or make it longer; equal chunks are kept.

    `values` are `datetime64[us]`, numbers or text; see `virtual_tiff.cubes.coordinate.encoded`.
    """
    _write_values(group, name, name, *encoded(name, values))


def write_property(group: zarr.Group, name: str, axis: str, values: Property) -> None:
    """Store an Item property along an axis, or the values of an axis that has changed."""
    stored, attributes = values.encoded()
    if name in group and _array(group, name).dtype.kind != stored.dtype.kind:
        # Integers are numbers now, or what had no value has some.
        del group[name]
    _write_values(group, name, axis, stored, {ITEM_PROPERTY: name, **attributes})


def read_properties(group: zarr.Group, axis: str) -> dict[str, Property]:
    """Read the Item properties along an axis, by name."""
    found = {}
    for name, array in group.arrays():
        names = getattr(array.metadata, "dimension_names", None)
        if ITEM_PROPERTY in array.attrs and tuple(names or ()) == (axis,):
            times = read_coordinate(group, name) if "units" in array.attrs else None
            found[name] = Property.decoded(np.asarray(array[:]), times)
    return found


def extended_properties(
    group: zarr.Group,
    cube: CubePlan,
    together: Sequence[Merged],
    replaced: Mapping[str, NDArray[np.bool_]],
) -> tuple[dict[str, Property], list[str]]:
    """Return the Item properties of a cube with those of more images, and notes on what lacks.

    Parameters
    ----------
    group
        Of the cube, before it is extended.
    cube
        The images to add.
    together
        Values along the axes, together.
    replaced
        Which images take the place of others, by name of the variable.
    """
    if not together or cube.axes[0].is_of_tiles:
        return {}, []
    axis, merged = cube.axes[0], together[0]
    size = len(merged.values)
    there = read_properties(group, axis.name)
    if not (there or cube.item_properties):
        return {}, []
    steps = np.zeros(size, bool)
    for name, images in replaced.items():
        steps[merged.new[cube.variables[name].places[images, 0]]] = True
    found, notes = {}, []
    for name in dict.fromkeys([*there, *cube.item_properties]):
        before = there.get(name, Property.nothing(merged.old.size))
        added = item_property(cube, name)
        if added is None:
            added = Property.nothing(merged.new.size)
            if size > merged.old.size:
                notes.append(f"there is no column {name!r}: it is missing at the new steps")
        elif name not in there:
            notes.append(f"{name!r} is missing at the steps that the cube had")
        found[name] = joined(
            name,
            before.at(merged.old, size),
            added.at(merged.new, size),
            steps,
            Axis(axis.name, merged.values),
        )
    return found, notes


def _write_values(
    group: zarr.Group,
    name: str,
    dimension: str,
    stored: NDArray[Any],
    attributes: Mapping[str, Any],
) -> None:
    """Store the values along a dimension; of an array that is there, those that are different."""
    if name not in group:
        array = group.create_array(
            name,
            shape=stored.shape,
            chunks=(CHUNK_STEPS,),
            dtype="string" if stored.dtype.kind == "T" else stored.dtype,
            dimension_names=(dimension,),
            attributes=dict(attributes),
        )
        array[:] = stored
        return
    array = _array(group, name)
    before = np.asarray(array[:])
    there = {k: v for k, v in array.attrs.items() if k not in _OF_VALUES or k in attributes}
    if dict(array.attrs) != {**there, **attributes}:
        array.attrs.put({**there, **attributes})
    array.resize(stored.shape)
    same = min(before.size, stored.size)
    changed = np.flatnonzero(before[:same] != stored[:same])
    first = int(changed[0]) if changed.size else same
    if first < stored.size:
        array[first:] = stored[first:]


def read_coordinate(group: zarr.Group, name: str) -> NDArray[Any]:
    """Read a coordinate of `write_coordinate`.

    Raises
    ------
    RepositoryError
        The coordinate does not exist, or was not written by this package.
    """
    if name not in group:
        raise RepositoryError(
            f"the group has no coordinate {name!r}.",
            kind=ErrorKind.NOT_FOUND,
            remedy="Name the group and the dimension of a cube that was published here.",
        )
    array = _array(group, name)
    values = np.asarray(array[:])
    units = array.attrs.get("units")
    if not isinstance(units, str) or " since " not in units:
        return values
    for resolution, word in UNITS.items():
        if units == f"{word} since {EPOCH}":
            return values.astype(f"datetime64[{resolution}]").astype("datetime64[us]")
    raise RepositoryError(
        f"coordinate {name!r} counts {units!r}, which was not written by this package."
    )


def write_tiles(
    group: zarr.Group, name: str, step: float, origin: float, size: int, end: int
) -> None:
    """Store the pixel centres of tiles: `y(tile_y, y)` or `x(tile_x, x)`, in CRS units.

    Parameters
    ----------
    group
        Holds the coordinate `tile_y` or `tile_x`, of rows or columns on the grid of the cube.
    name
        `y` or `x`.
    step, origin
        Size of a pixel, and the corner of the first one of the grid.
    size
        Rows or columns of a tile.
    end
        Row or column after the last one of the images to write. It is an attribute, since the last
        tile may be smaller than others.
    """
    tiles = _array(group, f"tile_{name}")
    end = max(end, int(str(tiles.attrs.get("end", end))))
    tiles.attrs.update({"origin": origin, "step": step, "end": end, **_TILE_ATTRIBUTES[name]})
    first = np.asarray(tiles[:], np.float64)
    values = origin + step * (first[:, None] + np.arange(size) + 0.5)
    if name not in group:
        chunks = (max(1, CHUNK_STEPS // size), size)
        group.create_array(
            name,
            shape=values.shape,
            chunks=chunks,
            dtype="float64",
            fill_value=float("nan"),
            dimension_names=(f"tile_{name}", name),
            attributes={"axis": name.upper()},
        )
    array = _array(group, name)
    array.resize(values.shape)
    array[...] = values


def write_presence(group: zarr.Group, name: str, axes: Sequence[Axis], values: Presence) -> None:
    """Store where a variable has images, along some axes; of an array that is there, changes."""
    shape = values.shape
    before: tuple[int, ...] | None = None
    if name not in group:
        inner = shape[1:]
        # Where most places are empty, chunks are large, of which few are stored.
        cells = CHUNK_STEPS if prod(shape) <= _MANY_CELLS else _LARGE_CHUNK
        group.create_array(
            name,
            shape=shape,
            chunks=(max(1, cells // max(1, prod(inner))), *(max(1, n) for n in inner)),
            dtype="uint8",
            fill_value=0,
            dimension_names=tuple(axis.name for axis in axes),
            attributes=dict(PRESENT_ATTRIBUTES),
        )
        there = Presence(shape, np.empty(0, np.int64))
    else:
        before = _array(group, name).shape
        places = read_presence(group, name, before).places
        # At the same indices in the new shape.
        there = Presence.at(shape, places[(places < np.array(shape)).all(axis=1)])
    array = _array(group, name)
    if before is not None and before != shape:
        array.resize(shape)
    changed = np.setxor1d(there.cells, values.cells)
    if not shape:
        array[...] = values.cells.size
        return
    rows = array.chunks[0]
    inner_cells = max(1, prod(shape[1:]))
    for slab in np.unique(changed // inner_cells // rows).tolist():
        start, stop = slab * rows, min((slab + 1) * rows, shape[0])
        array[start:stop] = values.slab(start, stop)


def read_presence(group: zarr.Group, name: str, shape: tuple[int, ...]) -> Presence:
    """Read where a variable has images; everywhere if no array says otherwise."""
    if name not in group:
        return Presence(shape, np.arange(prod(shape)))
    array = _array(group, name)
    if not shape:
        return Presence(shape, np.flatnonzero(np.asarray(array[...])))
    rows, inner = array.chunks[0], prod(shape[1:])
    # A part at a time: all of it may be large.
    found = [
        np.flatnonzero(np.asarray(array[start : start + rows])) + start * inner
        for start in range(0, shape[0], rows)
    ]
    return Presence(shape, np.concatenate([np.empty(0, np.int64), *found]))


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    node = group[name]
    if not isinstance(node, zarr.Array):
        raise RepositoryError(f"{name!r} is a group, not a coordinate.")
    return node
