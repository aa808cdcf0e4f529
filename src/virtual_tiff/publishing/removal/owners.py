"""Which chunks of a regular grid are of which image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import zarr
from icechunk import IcechunkStore

from virtual_tiff.planning.metadata import chunk_key
from virtual_tiff.publishing.levels import dimensions_of
from virtual_tiff.publishing.references import VIRTUAL
from virtual_tiff.publishing.removal.rows import PIXELS, Cell, Image
from virtual_tiff.publishing.removal.steps import Steps
from virtual_tiff.storage.addresses import chunk_location


class Owners:
    """Which image of a regular grid a chunk is of, as far as it can be told.

    The table of sources has no sizes of images. A chunk that refers to a file is of the image of
    that file, if it has one only at this step; any other is of the image that begins last before
    it. What `is_removed` said of chunks that exist, it says of the pixels there.
    """

    def __init__(self, steps: Steps, removed: Sequence[Image], kept: Iterable[Image]) -> None:
        self.axes = [axis for axis, _ in removed[0].stacked]
        self._begins: dict[Cell, dict[Cell, bool]] = {}
        self._files: dict[tuple[Cell, str], bool | None] = {}
        self._known: dict[tuple[Cell, int, int], bool] = {}
        affected = {self._step(steps, image) for image in removed}
        for images, is_removed in ((kept, False), (removed, True)):
            for image in images:
                step = self._step(steps, image)
                if step not in affected or not image.on_regular_grid:
                    continue
                corner = tuple(int(image.place[axis]) for axis in PIXELS)
                self._begins.setdefault(step, {})[corner] = is_removed
                key = (step, chunk_location(image.url))
                self._files[key] = None if key in self._files else is_removed

    def _step(self, steps: Steps, image: Image) -> Cell:
        numbers = (steps.number(axis, image.place[axis]) for axis in self.axes)
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


async def delete_owned(
    store: IcechunkStore, array_path: str, array: zarr.Array[Any], owners: Owners
) -> None:
    """Delete the chunks of the images that are removed."""
    names = dimensions_of(array)
    height, width = (array.chunks[names.index(name)] for name in PIXELS)
    order = [names.index(name) for name in (*owners.axes, *PIXELS)]
    doomed: list[Cell] = []
    async for found, kinds, locations, *_ in store.array_chunk_iterator(f"/{array_path}"):
        for number, (*step, y, x) in enumerate(found[:, order].tolist()):
            location = locations[number] if kinds[number] == VIRTUAL else None
            if owners.is_removed(tuple(step), y * height, x * width, location):
                doomed.append(tuple(found[number].tolist()))
    for index in doomed:
        await store.delete(f"{array_path}/{chunk_key(index)}")
