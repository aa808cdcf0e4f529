"""Steps of an axis: where they are, which have no image any more, and how they are cut out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import icechunk
import numpy as np
import zarr
from numpy.typing import NDArray

from virtual_tiff.cubes.coordinate import fragments
from virtual_tiff.cubes.gaps import PRESENT
from virtual_tiff.publishing.coordinate import (
    read_coordinate,
    read_presence,
    read_properties,
    write_coordinate,
    write_presence,
    write_property,
)
from virtual_tiff.publishing.levels import dimensions_of
from virtual_tiff.publishing.nodes import get_json, key_prefix, set_document
from virtual_tiff.publishing.removal.rows import LevelRows
from virtual_tiff.storage.run import run


class Steps:
    """Positions of values along the axes of a group, read when they are needed."""

    def __init__(self, group: zarr.Group) -> None:
        self.group = group
        self._values: dict[str, NDArray[Any]] = {}
        self._numbers: dict[str, dict[str, int]] = {}

    def values(self, axis: str) -> NDArray[Any]:
        """Return the coordinate of an axis."""
        if axis not in self._values:
            self._values[axis] = read_coordinate(self.group, axis)
        return self._values[axis]

    def number(self, axis: str, value: object) -> int | None:
        """Return the position of a value; `None` if the axis does not have it any more."""
        if axis not in self._numbers:
            found = fragments(axis, self.values(axis))
            self._numbers[axis] = {text: i for i, text in enumerate(found)}
        return self._numbers[axis].get(json.dumps({axis: value}, ensure_ascii=False)[1:-1])


def steps_without_images(
    steps: Steps, rows: LevelRows, left: Mapping[str, zarr.Array[Any]]
) -> dict[str, list[int]]:
    """Return the positions, by axis, at which no image is left.

    None where the group has arrays that are not in the table of sources, since others wrote them.
    """
    if not {*rows.kept, *rows.removed}.issuperset(left):
        return {}
    # Also of variables that are removed as a whole.
    gone = _values_by_axis(rows.removed.values())
    for axis, values in _values_by_axis(rows.kept.values()).items():
        gone.get(axis, set()).difference_update(values)
    found = {}
    for axis, values in gone.items():
        numbers = [steps.number(axis, json.loads(value)) for value in values]
        known = sorted(number for number in numbers if number is not None)
        if known and all(axis in dimensions_of(array) for array in left.values()):
            found[axis] = known
    return found


def _values_by_axis(images: Iterable[Mapping[int, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rows in images:
        for image in rows.values():
            for axis, value in image.stacked:
                found.setdefault(axis, set()).add(json.dumps(value))
    return found


def cut_steps(
    session: icechunk.Session,
    path: str,
    group: zarr.Group,
    names: Sequence[str],
    axis: str,
    numbers: Sequence[int],
) -> None:
    """Remove steps from an axis: move the chunks of later ones, and cut the arrays."""
    values = read_coordinate(group, axis)
    kept = np.setdiff1d(np.arange(values.size), numbers)
    for name in names:
        array: Any = group[name]
        dimensions = dimensions_of(array)
        if axis not in dimensions:
            continue
        at = dimensions.index(axis)
        _reindex(session, f"/{key_prefix(path)}{name}", at, len(dimensions), kept, values.size - 1)
        document = get_json(session.store, f"{key_prefix(path)}{name}") or {}
        document["shape"][at] = int(kept.size)
        text = json.dumps(document, ensure_ascii=False).encode()
        run(set_document(session.store, f"{key_prefix(path)}{name}", text))
        shown = f"{name}{PRESENT}"
        if shown in group:
            _cut_presence(group, shown, axis, kept)
    for name, found in read_properties(group, axis).items():
        write_property(group, name, axis, found.take(kept))
    write_coordinate(group, axis, values[kept])


def _cut_presence(group: zarr.Group, name: str, axis: str, kept: NDArray[np.int64]) -> None:
    array: Any = group[name]
    found = read_presence(group, name, array.shape)
    write_presence(group, name, (), found.only(dimensions_of(array).index(axis), kept))


def _reindex(
    session: icechunk.Session,
    array: str,
    at: int,
    dimensions: int,
    kept: NDArray[np.int64],
    last: int,
) -> None:
    """Move the chunks of some steps together, and delete those of all others."""
    first = int(kept[0])
    if first and np.array_equal(kept, np.arange(first, first + kept.size)) and last == kept[-1]:
        # Steps before all others: without a call of Python for each chunk.
        offset = [0] * dimensions
        offset[at] = -first
        session.shift_array(array, offset)
        return
    old = kept.tolist()
    new = {step: number for number, step in enumerate(old)}

    def forward(index: Any) -> list[int] | None:
        moved: list[int] = list(index)
        if moved[at] not in new:
            return None
        moved[at] = new[moved[at]]
        return moved

    def backward(index: Any) -> list[int] | None:
        moved: list[int] = list(index)
        if moved[at] >= len(old):
            return None
        moved[at] = old[moved[at]]
        return moved

    session.reindex_array(array, forward, backward)
