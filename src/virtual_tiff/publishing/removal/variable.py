"""Remove images from one variable of a cube, where other images of their steps stay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from icechunk import IcechunkStore

from virtual_tiff.cubes.gaps import PRESENT, Presence, gap_error
from virtual_tiff.cubes.plan import Axis
from virtual_tiff.publishing.coordinate import (
    read_coordinate,
    read_presence,
    write_coordinate,
    write_presence,
)
from virtual_tiff.publishing.levels import beside_attributes, dimensions_of
from virtual_tiff.publishing.nodes import get_json, key_prefix, set_document
from virtual_tiff.publishing.references import delete_chunks
from virtual_tiff.publishing.removal.owners import Owners, delete_owned
from virtual_tiff.publishing.removal.rows import PIXELS, Cell, Image
from virtual_tiff.publishing.removal.steps import Steps
from virtual_tiff.storage.run import run

_REMEDY = "Remove all images of the step, or of the whole cube."


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a cube from which images are removed, and the images that stay in it."""

    store: IcechunkStore
    group: zarr.Group
    path: str
    name: str
    steps: Steps
    kept: Sequence[Image]

    @property
    def array(self) -> Any:
        """Its Zarr array."""
        return self.group[self.name]

    @property
    def key(self) -> str:
        """Its path in the repository."""
        return f"{key_prefix(self.path)}{self.name}"

    @property
    def is_mask(self) -> bool:
        """Whether it has the masks of another variable, which has gaps at the same places."""
        arrays = (array for _, array in self.group.arrays())
        return any(array.attrs.get("ancillary_variables") == self.name for array in arrays)

    def clear(self, removed: Sequence[Image], gone: Mapping[str, Sequence[int]]) -> None:
        """Delete the chunks of images, and say that their places are gaps.

        Parameters
        ----------
        removed
            The images.
        gone
            Positions, by axis, of steps that are cut out afterwards, with what is there.

        Raises
        ------
        MismatchError
            There would be gaps in a variable without a nodata value.
        """
        cells: list[Cell] = []
        regular: list[Image] = []
        for image in removed:
            axes = [axis for axis in image.place if axis not in PIXELS]
            numbers = {axis: self.steps.number(axis, image.place[axis]) for axis in axes}
            there = {axis: number for axis, number in numbers.items() if number is not None}
            removed_by_others = len(there) < len(numbers)
            with_its_step = any(number in gone.get(axis, ()) for axis, number in there.items())
            if removed_by_others or with_its_step:
                continue
            if image.on_regular_grid:
                regular.append(image)
            else:
                self._delete(there)
                cells.append(tuple(there.values()))
        owners = Owners(self.steps, regular, self.kept) if regular else None
        if owners:
            run(delete_owned(self.store, self.key, self.array, owners))
        if (cells or regular) and not self.is_mask:
            if "_FillValue" not in self.array.attrs:
                raise gap_error(self.name, len(cells) + len(regular), _REMEDY)
            self._mark(removed, cells, owners)

    def _delete(self, numbers: Mapping[str, int]) -> None:
        """Delete all chunks at positions of some axes."""
        array = self.array
        names = dimensions_of(array)
        grid = [-(-s // c) for s, c in zip(array.shape, array.chunks, strict=True)]
        first = [numbers.get(axis, 0) for axis in names]
        shape = [1 if axis in numbers else n for axis, n in zip(names, grid, strict=True)]
        run(delete_chunks(self.store, self.key, first, shape))

    def _mark(self, removed: Sequence[Image], cells: Sequence[Cell], owners: Owners | None) -> None:
        """Write that some places have no image any more."""
        shown = f"{self.name}{PRESENT}"
        axes = self._axes_of_presence(shown, removed)
        found = read_presence(self.group, shown, tuple(len(axis.values) for axis in axes))
        if owners:
            rows, columns = (axis.values.tolist() for axis in axes[-2:])
            gone = [
                owners.is_removed(tuple(step), rows[y], columns[x])
                for *step, y, x in found.places.tolist()
            ]
            found = found.without(np.array(gone, bool))
            for axis in axes:
                write_coordinate(self.group, axis.name, axis.values)
        if cells:
            removed_cells = Presence.at(found.shape, np.array(cells)).cells
            found = found.without(np.isin(found.cells, removed_cells))
        write_presence(self.group, shown, axes, found)
        document = get_json(self.store, self.key) or {}
        there = document["attributes"]
        beside = beside_attributes(self.store, self.path, [shown], there)
        document["attributes"] = {**there, **beside}
        text = json.dumps(document, ensure_ascii=False).encode()
        run(set_document(self.store, self.key, text))

    def _axes_of_presence(self, shown: str, removed: Sequence[Image]) -> list[Axis]:
        """Return the axes of the array of presence, that of a regular grid included."""
        if shown in self.group:
            there: Any = self.group[shown]
            return [Axis(axis, read_coordinate(self.group, axis)) for axis in dimensions_of(there)]
        axes = []
        for axis in removed[0].place:
            if axis in PIXELS:
                # Without gaps, images begin where others end.
                corners = np.unique([each.place[axis] for each in (*removed, *self.kept)])
                axes.append(Axis(f"tile_{axis}", corners.astype(np.int64)))
            else:
                axes.append(Axis(axis, self.steps.values(axis)))
        return axes
