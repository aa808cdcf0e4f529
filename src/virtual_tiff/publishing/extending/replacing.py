"""On a regular grid, an image replaces only one that has the same chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import zarr
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.cubes.extending import url_of
from virtual_tiff.cubes.plan import CubePlan, CubeVariable
from virtual_tiff.errors import MismatchError
from virtual_tiff.publishing.levels import dimensions_of
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.references import VIRTUAL
from virtual_tiff.publishing.sources_table import Recorded
from virtual_tiff.storage.addresses import chunk_location
from virtual_tiff.storage.run import run

#: Positions along the stacked axes, then the row and column of a chunk.
type Cell = tuple[int, ...]


def check_extents(
    store: IcechunkStore,
    path: str,
    group: zarr.Group,
    cube: CubePlan,
    existing: Sequence[NDArray[Any]],
    holders: Mapping[str, NDArray[np.int64]],
    recorded: Recorded,
) -> None:
    """Refuse images of another size than those whose places they take.

    The table of sources has no sizes; how far an image reaches is in the references of its array.

    Parameters
    ----------
    store, path, group
        The cube, before it grows.
    cube
        The images to add, at their places on its grid.
    existing
        Values along the axes that the group has.
    holders
        By name of the variable, the row of the table of sources that holds the place of each
        image, or -1.
    recorded
        The table of sources.

    Raises
    ------
    MismatchError
        Chunks of the earlier image would remain, or chunks of others would be replaced.
    """
    for name, rows in holders.items():
        if name not in cube.variables or not (rows >= 0).any():
            continue
        variable = cube.variables[name].of(rows >= 0)
        before = [chunk_location(url) for url in recorded.take(rows[rows >= 0])["url"].tolist()]
        array: Any = group[name]
        dimensions = dimensions_of(array)
        chunks = dict(zip(dimensions, array.chunks, strict=True))
        cells = _cells(cube, variable, existing, (chunks["y"], chunks["x"]))
        order = [dimensions.index(each) for each in (*cube.sizes, "y", "x")]
        odd = run(_first_odd(store, f"/{key_prefix(path)}{name}", order, cells, before))
        if odd is not None:
            raise MismatchError(
                "the image is larger or smaller than the one whose place it takes.",
                url=url_of(cube, variable, odd),
                remedy="Remove the one that is there, then append the image.",
            )


def _cells(
    cube: CubePlan,
    variable: CubeVariable,
    existing: Sequence[NDArray[Any]],
    chunks: tuple[int, int],
) -> list[list[Cell]]:
    """Return the chunks of each image in the array that is there."""
    steps = []
    for number, (axis, there) in enumerate(zip(cube.axes, existing, strict=True)):
        order = np.argsort(there, kind="stable")
        values = axis.values[variable.places[:, number]]
        steps.append(order[np.searchsorted(there, values, sorter=order)].tolist())
    assert variable.corners is not None
    assert variable.sizes is not None
    first = (variable.corners // chunks).tolist()
    end = (-(-(variable.corners + variable.sizes) // chunks)).tolist()
    return [
        [
            (*(step[image] for step in steps), *place)
            for place in product(range(top, bottom), range(left, right))
        ]
        for image, ((top, left), (bottom, right)) in enumerate(zip(first, end, strict=True))
    ]


async def _first_odd(
    store: IcechunkStore,
    array: str,
    order: Sequence[int],
    cells: Sequence[Sequence[Cell]],
    before: Sequence[str],
) -> int | None:
    """Return the number of the first image whose chunks are not those of the file before it."""
    owner = {cell: image for image, each in enumerate(cells) for cell in each}
    # Which image of a file a chunk is of cannot be told where it has several at one step.
    files: dict[tuple[Cell, str], int | None] = {}
    for number, each in enumerate(cells):
        key = (each[0][:-2], before[number])
        files[key] = None if key in files else number
    async for found, kinds, locations, *_ in store.array_chunk_iterator(array):
        for place, kind, location in zip(found[:, order].tolist(), kinds, locations, strict=True):
            if kind != VIRTUAL:
                continue
            cell = tuple(place)
            image = owner.get(cell)
            if image is None:
                image = files.get((cell[:-2], location))
            elif location == before[image]:
                continue
            if image is not None:
                return image
    return None
