"""The coordinate of a cube in its group: stored, made longer, read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from virtual_tiff.cubes.coordinate import EPOCH, UNITS, encoded
from virtual_tiff.errors import ErrorKind, RepositoryError

#: Steps in one chunk of a coordinate; an append rewrites one chunk.
CHUNK_STEPS = 32_768


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


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    node = group[name]
    if not isinstance(node, zarr.Array):
        raise RepositoryError(f"{name!r} is a group, not a coordinate.")
    return node
