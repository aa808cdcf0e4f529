"""The coordinate of a cube in its group: stored, made longer, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from virtual_tiff.cubes.coordinate import EPOCH, UNITS, encoded
from virtual_tiff.cubes.gaps import PRESENT_ATTRIBUTES
from virtual_tiff.cubes.plan import Axis
from virtual_tiff.errors import ErrorKind, RepositoryError

#: Steps in one chunk of a coordinate; an append rewrites one chunk.
CHUNK_STEPS = 32_768
_TILE_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "y": {"long_name": "row of the first pixel of each tile"},
    "x": {"long_name": "column of the first pixel of each tile"},
}


def write_coordinate(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Store the coordinate of the first dimension, or make it longer; equal chunks are kept.

    `values` are `datetime64[us]`, numbers or text; see `virtual_tiff.cubes.coordinate.encoded`.
    """
    stored, attributes = encoded(name, values)
    if name not in group:
        array = group.create_array(
            name,
            shape=stored.shape,
            chunks=(CHUNK_STEPS,),
            dtype="string" if stored.dtype.kind == "T" else stored.dtype,
            dimension_names=(name,),
            attributes=attributes,
        )
        array[:] = stored
        return
    array = _array(group, name)
    before = np.asarray(array[:])
    if dict(array.attrs) != attributes:
        array.attrs.update(attributes)
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


def write_presence(
    group: zarr.Group, name: str, axes: Sequence[Axis], values: NDArray[np.uint8]
) -> None:
    """Store where a variable has images, along some axes, or store it anew."""
    if name not in group:
        inner = values.shape[1:]
        group.create_array(
            name,
            shape=values.shape,
            chunks=(max(1, CHUNK_STEPS // max(1, prod(inner))), *(max(1, n) for n in inner)),
            dtype="uint8",
            fill_value=0,
            dimension_names=tuple(axis.name for axis in axes),
            attributes=dict(PRESENT_ATTRIBUTES),
        )
    array = _array(group, name)
    if array.shape != values.shape:
        array.resize(values.shape)
    array[...] = values


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    node = group[name]
    if not isinstance(node, zarr.Array):
        raise RepositoryError(f"{name!r} is a group, not a coordinate.")
    return node
