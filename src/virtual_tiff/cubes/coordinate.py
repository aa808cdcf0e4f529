"""Coordinates along which images are stacked: encoded, as text, and merged with later ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.cubes.plan import Axis, CubeVariable, GridKind
from virtual_tiff.errors import MismatchError

EPOCH = "1970-01-01T00:00:00"
UNITS = {"s": "seconds", "us": "microseconds"}


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """Coordinate values of a cube and of the images that are added to it, together.

    Parameters
    ----------
    values
        Sorted, distinct values.
    old, new
        Positions of the values of the cube and of the added ones in `values`.
    """

    values: NDArray[Any]
    old: NDArray[np.int64]
    new: NDArray[np.int64]

    @property
    def is_extension(self) -> bool:
        """Whether all values of the cube keep their positions."""
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
    together = np.concatenate([existing, added])
    if ascends(together):
        places = np.arange(together.size)
        return Merged(together, places[: existing.size], places[existing.size :])
    values = np.unique(together)
    return Merged(
        values,
        np.searchsorted(values, existing).astype(np.int64),
        np.searchsorted(values, added).astype(np.int64),
    )


def ascends(values: NDArray[Any]) -> bool:
    """Return whether values are distinct and in order, which is faster than to sort them."""
    return bool(np.all(values[1:] > values[:-1]))


def encoded(name: str, values: NDArray[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
    """Values as they are stored, and the attributes that say how.

    Times are int64 counts of seconds (of microseconds where they are finer) since 1970 in UTC,
    as CF section 4.4 has them; numbers and text are stored as they are.
    """
    if values.dtype.kind != "M":
        return values, {}
    counts, attributes = times_attributes(values)
    return counts, {"standard_name": "time", "axis": "T", **attributes}


def times_attributes(values: NDArray[Any]) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Times as they are stored, and the attributes of any variable that has times."""
    counts = values.astype("datetime64[us]").astype(np.int64)
    resolution = "us"
    if not np.any(counts % 1_000_000):
        counts, resolution = counts // 1_000_000, "s"
    units = f"{UNITS[resolution]} since {EPOCH}"
    return counts, {"units": units, "calendar": "proleptic_gregorian"}


def as_text(values: NDArray[Any]) -> list[str]:
    """Return coordinate values as text, ISO 8601 for times."""
    if values.dtype.kind == "M":
        return [str(text) for text in np.datetime_as_string(values.astype("datetime64[us]"))]
    return [str(value) for value in values.tolist()]


def fragments(axis: str, values: NDArray[Any]) -> list[str]:
    """Values of an axis as members of a JSON object, such as `"time": "2024-01-30T00:00:00"`."""
    plain = values.dtype.kind in "iub"
    found = values.tolist() if plain else as_text(values)
    name = json.dumps(axis, ensure_ascii=False)
    if values.dtype.kind == "M":
        return [f'{name}: "{text}"' for text in found]
    return [f"{name}: {json.dumps(value, ensure_ascii=False)}" for value in found]


def positions(axes: Sequence[Axis], variable: CubeVariable, kind: GridKind | None) -> list[str]:
    """Positions of the images of a variable as JSON, such as `{"time": "2024-01-30T00:00:00"}`.

    On a regular grid, `y` and `x` are row and column of the first pixel.
    """
    columns = [
        [texts[place] for place in variable.places[:, number].tolist()]
        for number, texts in enumerate(fragments(axis.name, axis.values) for axis in axes)
    ]
    if kind == "regular" and variable.corners is not None:
        columns.append([f'"y": {y}, "x": {x}' for y, x in variable.corners.tolist()])
    if not columns:
        return ["{}"] * variable.rows.size
    return [f"{{{', '.join(parts)}}}" for parts in zip(*columns, strict=True)]
