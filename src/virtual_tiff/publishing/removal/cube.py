"""Remove images from one resolution of a cube: whole steps, or single places."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import icechunk
import numpy as np
import zarr
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.cubes.coordinate import fragments
from virtual_tiff.cubes.gaps import PRESENT, Presence, gap_error
from virtual_tiff.cubes.plan import Axis
from virtual_tiff.planning.metadata import chunk_key
from virtual_tiff.planning.stacks import TILES
from virtual_tiff.publishing.coordinate import (
    read_coordinate,
    read_presence,
    read_properties,
    write_coordinate,
    write_presence,
    write_property,
)
from virtual_tiff.publishing.levels import beside_attributes, dimensions_of, is_variable
from virtual_tiff.publishing.nodes import get_json, key_prefix, set_document
from virtual_tiff.publishing.references import VIRTUAL, delete_chunks
from virtual_tiff.storage.addresses import chunk_location
from virtual_tiff.storage.run import run

#: Coordinates of an image, in the order of its axes: text of each as the table of sources has it.
type Place = Mapping[str, Any]
#: Positions along axes.
type Cell = tuple[int, ...]

_REMEDY = "Remove all images of the step, or of the whole cube."


@dataclass(slots=True)
class LevelRows:
    """Rows of the table of sources of one resolution, by name of the variable and number."""

    removed: dict[str, dict[int, tuple[Place, str]]] = field(default_factory=dict)
    kept: dict[str, dict[int, tuple[Place, str]]] = field(default_factory=dict)

    def add(self, name: str, row: int, place: Place, url: str, *, removed: bool) -> None:
        """Add a row, with the place and the file of its image."""
        into = self.removed if removed else self.kept
        into.setdefault(name, {})[row] = (place, url)


def remove_from_level(session: icechunk.Session, path: str, rows: LevelRows) -> list[int]:
    """Remove images from the arrays of a group; return the rows that do not hold any more.

    A step whose images are all removed is removed from the axis, and a variable without any
    image from the group. Other places are gaps then.

    Raises
    ------
    MismatchError
        There would be gaps in a variable without a nodata value.
    """
    store = session.store
    group = zarr.open_group(store, path=path or None, mode="r+", zarr_format=3)
    arrays = {name: array for name, array in group.arrays() if is_variable(name, array)}
    empty = [name for name in rows.removed if name in arrays and not rows.kept.get(name)]
    left = {name: array for name, array in arrays.items() if name not in empty}
    if not left:
        _remove_all(store, path, group)
        return [row for removed in rows.removed.values() for row in removed]
    for name in empty:
        run(store.delete_dir(f"{key_prefix(path)}{name}"))
        if f"{name}{PRESENT}" in group:
            run(store.delete_dir(f"{key_prefix(path)}{name}{PRESENT}"))
    steps = _Steps(group)
    gone = _steps_gone(steps, rows, left)
    for name in left:
        if name in rows.removed:
            places = [each for each in rows.removed[name].values()]
            _clear(store, group, path, name, steps, places, gone, rows.kept[name].values())
    for axis, numbers in gone.items():
        _shrink(session, path, group, list(left), axis, numbers)
    return [row for removed in rows.removed.values() for row in removed]


class _Steps:
    """Positions of values along the axes of a group, read when they are needed."""

    def __init__(self, group: zarr.Group) -> None:
        self.group = group
        self.values: dict[str, NDArray[Any]] = {}
        self._numbers: dict[str, dict[str, int]] = {}

    def number(self, axis: str, value: object) -> int | None:
        """Return the position of a value; `None` if the axis does not have it any more."""
        if axis not in self._numbers:
            values = read_coordinate(self.group, axis)
            self.values[axis] = values
            self._numbers[axis] = {text: i for i, text in enumerate(fragments(axis, values))}
        return self._numbers[axis].get(json.dumps({axis: value}, ensure_ascii=False)[1:-1])


def _steps_gone(
    steps: _Steps, rows: LevelRows, left: Mapping[str, zarr.Array[Any]]
) -> dict[str, list[int]]:
    """Return the positions, by axis, at which no image is left.

    None where the group has arrays that are not in the table of sources, since others wrote them.
    """
    listed = {*rows.kept, *rows.removed}
    if not listed.issuperset(left):
        return {}
    gone: dict[str, set[str]] = {}
    # Also of variables that are removed as a whole.
    for removed in rows.removed.values():
        for place, _ in removed.values():
            for axis, value in _stacked(place):
                gone.setdefault(axis, set()).add(json.dumps(value))
    for kept in rows.kept.values():
        for place, _ in kept.values():
            for axis, value in _stacked(place):
                gone.get(axis, set()).discard(json.dumps(value))
    found = {}
    for axis, values in gone.items():
        numbers = [steps.number(axis, json.loads(value)) for value in values]
        known = sorted(number for number in numbers if number is not None)
        if known and all(axis in dimensions_of(array) for array in left.values()):
            found[axis] = known
    return found


def _stacked(place: Place) -> list[tuple[str, Any]]:
    return [(axis, v) for axis, v in place.items() if axis not in ("y", "x", *TILES)]


def _clear(
    store: IcechunkStore,
    group: zarr.Group,
    path: str,
    name: str,
    steps: _Steps,
    removed: Sequence[tuple[Place, str]],
    gone: Mapping[str, Sequence[int]],
    kept: Any,
) -> None:
    """Delete the chunks of images at places of steps that stay, and say that they are gaps."""
    array: Any = group[name]
    names = dimensions_of(array)
    grid = [-(-s // c) for s, c in zip(array.shape, array.chunks, strict=True)]
    cells: list[tuple[int, ...]] = []
    regular: list[tuple[Place, str]] = []
    for place, url in removed:
        numbers = {axis: steps.number(axis, v) for axis, v in place.items() if axis not in "yx"}
        if any(number is None for number in numbers.values()):
            continue  # removed by other software
        if any(numbers[axis] in found for axis, found in gone.items() if axis in numbers):
            continue  # with its step
        if "y" in place:
            regular.append((place, url))
            continue
        first = [numbers.get(axis) or 0 for axis in names]
        shape = [1 if axis in numbers else n for axis, n in zip(names, grid, strict=True)]
        run(delete_chunks(store, f"{key_prefix(path)}{name}", first, shape))
        cells.append(tuple(int(str(numbers[axis])) for axis in numbers))
    owners = None
    if regular:
        axes = [axis for axis, _ in _stacked(regular[0][0])]
        owners = _Owners(steps, axes, regular, [each for each in kept if "y" in each[0]])
        run(_delete_owned(store, f"{key_prefix(path)}{name}", array, owners))
    if (cells or regular) and not _is_mask(group, name):
        _mark(store, group, path, name, steps, [*removed], cells, owners, [*kept])


def _is_mask(group: zarr.Group, name: str) -> bool:
    """Whether a variable has the masks of another, which has gaps at the same places."""
    return any(array.attrs.get("ancillary_variables") == name for _, array in group.arrays())


def _mark(
    store: IcechunkStore,
    group: zarr.Group,
    path: str,
    name: str,
    steps: _Steps,
    removed: Sequence[tuple[Place, str]],
    cells: Sequence[tuple[int, ...]],
    owners: _Owners | None,
    kept: Sequence[tuple[Place, str]],
) -> None:
    """Write that some places of a variable have no image any more."""
    array: Any = group[name]
    if "_FillValue" not in array.attrs:
        raise gap_error(name, len(cells) + (owners.removed if owners else 0), _REMEDY)
    shown = f"{name}{PRESENT}"
    axes = _axes(group, shown, steps, removed, kept)
    found = read_presence(group, shown, tuple(len(axis.values) for axis in axes))
    if owners:
        rows, columns = (axis.values.tolist() for axis in axes[-2:])
        gone = [
            owners.is_removed(tuple(step), rows[y], columns[x])
            for *step, y, x in found.places.tolist()
        ]
        found = found.without(np.array(gone, bool))
        for axis in axes:
            write_coordinate(group, axis.name, axis.values)
    if cells:
        removed_cells = Presence.at(found.shape, np.array(cells)).cells
        found = found.without(np.isin(found.cells, removed_cells))
    write_presence(group, shown, axes, found)
    document = get_json(store, f"{key_prefix(path)}{name}") or {}
    there = document["attributes"]
    document["attributes"] = {**there, **beside_attributes(store, path, [shown], there)}
    text = json.dumps(document, ensure_ascii=False).encode()
    run(set_document(store, f"{key_prefix(path)}{name}", text))


def _axes(
    group: zarr.Group,
    shown: str,
    steps: _Steps,
    removed: Sequence[tuple[Place, str]],
    kept: Sequence[tuple[Place, str]],
) -> list[Axis]:
    """Return the axes of an array of presence, that of a regular grid included."""
    place = removed[0][0]
    if shown in group:
        there: Any = group[shown]
        return [Axis(axis, read_coordinate(group, axis)) for axis in dimensions_of(there)]
    axes = []
    for axis in place:
        if axis in ("y", "x"):
            # Without gaps, images begin where others end.
            corners = np.unique([each[axis] for each, _ in (*removed, *kept)])
            axes.append(Axis(f"tile_{axis}", corners.astype(np.int64)))
        else:
            steps.number(axis, place[axis])
            axes.append(Axis(axis, steps.values[axis]))
    return axes


class _Owners:
    """Which image of a regular grid a chunk is of, as far as it can be told.

    The table of sources has no sizes of images. A chunk that refers to a file is of the image of
    that file, if it has one only at this step; any other is of the image that begins last before
    it. What `is_removed` said of chunks that exist, it says of the pixels there.
    """

    def __init__(
        self,
        steps: _Steps,
        axes: Sequence[str],
        removed: Sequence[tuple[Place, str]],
        kept: Sequence[tuple[Place, str]],
    ) -> None:
        self.axes = axes
        self.removed = len(removed)
        self._begins: dict[Cell, dict[Cell, bool]] = {}
        self._files: dict[tuple[Cell, str], bool | None] = {}
        self._known: dict[tuple[Cell, int, int], bool] = {}
        affected = {self._step(steps, place) for place, _ in removed}
        for images, is_removed in ((kept, False), (removed, True)):
            for place, url in images:
                step = self._step(steps, place)
                if step not in affected:
                    continue
                corner = (int(place["y"]), int(place["x"]))
                self._begins.setdefault(step, {})[corner] = is_removed
                key = (step, chunk_location(url))
                self._files[key] = None if key in self._files else is_removed

    def _step(self, steps: _Steps, place: Place) -> Cell:
        numbers = (steps.number(axis, place[axis]) for axis in self.axes)
        return tuple(-1 if number is None else number for number in numbers)

    def is_removed(self, step: Cell, y: int, x: int, location: str | None = None) -> bool:
        """Whether the pixel at a step, row and column is of an image that is removed.

        `location` is that of the chunk that begins there, if it is a reference.
        """
        firsts = self._begins.get(step)
        if firsts is None:
            return False
        pixel = (step, y, x)
        if location is None and pixel in self._known:
            return self._known[pixel]
        found = None if location is None else self._files.get((step, location), False)
        if found is None:
            before = [first for first in firsts if first[0] <= y and first[1] <= x]
            found = bool(before) and firsts[max(before)]
        self._known[pixel] = found
        return found


async def _delete_owned(
    store: IcechunkStore, array_path: str, array: zarr.Array[Any], owners: _Owners
) -> None:
    """Delete the chunks of images on a regular grid."""
    names = dimensions_of(array)
    height, width = (array.chunks[names.index(name)] for name in ("y", "x"))
    order = [names.index(name) for name in (*owners.axes, "y", "x")]
    doomed: list[tuple[int, ...]] = []
    async for found, kinds, locations, *_ in store.array_chunk_iterator(f"/{array_path}"):
        for number, (*step, y, x) in enumerate(found[:, order].tolist()):
            location = locations[number] if kinds[number] == VIRTUAL else None
            if owners.is_removed(tuple(step), y * height, x * width, location):
                doomed.append(tuple(found[number].tolist()))
    for index in doomed:
        await store.delete(f"{array_path}/{chunk_key(index)}")


def _shrink(
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
            _shrink_presence(group, shown, axis, kept)
    for name, found in read_properties(group, axis).items():
        write_property(group, name, axis, found.take(kept))
    write_coordinate(group, axis, values[kept])


def _shrink_presence(group: zarr.Group, name: str, axis: str, kept: NDArray[np.int64]) -> None:
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


def _remove_all(store: IcechunkStore, path: str, group: zarr.Group) -> None:
    """Remove a cube: its group, or the arrays of it where it is the root."""
    if path:
        run(store.delete_dir(path))
        return
    for name, _ in list(group.arrays()):
        run(store.delete_dir(name))
