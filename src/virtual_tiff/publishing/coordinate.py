"""Coordinates of a cube that grow: how they are stored, read back and merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, MismatchError, RepositoryError

#: Steps in one chunk of a coordinate: a reader fetches it in one request, an append rewrites one.
CHUNK_STEPS = 32_768
_EPOCH = "1970-01-01T00:00:00"
_UNITS = {"s": "seconds", "us": "microseconds"}


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """Coordinate values of a cube and of what is added to it, together.

    Parameters
    ----------
    values
        Sorted, without repeats.
    old, new
        Where the values of the cube and the added ones are in `values`.
    """

    values: NDArray[Any]
    old: NDArray[np.int64]
    new: NDArray[np.int64]

    @property
    def is_extension(self) -> bool:
        """Whether everything of the cube stays where it was."""
        return bool(np.array_equal(self.old, np.arange(self.old.size)))


def merge(existing: NDArray[Any], added: NDArray[Any]) -> Merged:
    """Merge sorted coordinate values.

    Raises
    ------
    MismatchError
        They are of different kinds, such as times and numbers.
    """
    if existing.dtype.kind != added.dtype.kind:
        raise MismatchError(
            f"the coordinate of the cube is {existing.dtype}, that of the images {added.dtype}.",
            remedy="Stack along the column that the cube was made with.",
        )
    values = np.unique(np.concatenate([existing, added]))
    return Merged(
        values,
        np.searchsorted(values, existing).astype(np.int64),
        np.searchsorted(values, added).astype(np.int64),
    )


def write_coordinate(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Store the coordinate of the first dimension; what was there is replaced.

    Times are int64 counts of seconds (of microseconds where they are finer) since 1970 in UTC,
    as CF section 4.4 has them; numbers and text are stored as they are. Chunks that stay as they
    were are not written again.

    Parameters
    ----------
    group
        Writable.
    name
        Of the coordinate and its dimension.
    values
        `datetime64[us]`, numbers or text.
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
    """Read what `write_coordinate` stored.

    Raises
    ------
    RepositoryError
        There is no such coordinate, or not in a form that was written here.
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
    for resolution, word in _UNITS.items():
        if units == f"{word} since {_EPOCH}":
            return values.astype(f"datetime64[{resolution}]").astype("datetime64[us]")
    raise RepositoryError(
        f"coordinate {name!r} counts {units!r}, which was not written by this package."
    )


def encoded(name: str, values: NDArray[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
    """Values as they are stored, and the attributes that say how."""
    if values.dtype.kind != "M":
        return values, {}
    counts = values.astype("datetime64[us]").astype(np.int64)
    resolution = "us"
    if not np.any(counts % 1_000_000):
        counts, resolution = counts // 1_000_000, "s"
    attributes = {
        "standard_name": "time",
        "axis": "T",
        "units": f"{_UNITS[resolution]} since {_EPOCH}",
        "calendar": "proleptic_gregorian",
    }
    return counts, attributes


def as_text(values: NDArray[Any]) -> list[str]:
    """Coordinate values as text, equal where they are equal: ISO 8601 for times."""
    if values.dtype.kind == "M":
        return [str(text) for text in np.datetime_as_string(values.astype("datetime64[us]"))]
    return [str(value) for value in values.tolist()]


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    node = group[name]
    if not isinstance(node, zarr.Array):
        raise RepositoryError(f"{name!r} is a group, not a coordinate.")
    return node
