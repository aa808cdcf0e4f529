"""Decide how images of one lattice continue each other: along y and x, or as tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from virtual_tiff.choices import Grid
from virtual_tiff.cubes.lattice import Fitted
from virtual_tiff.cubes.plan import Axis, GridKind, Rows
from virtual_tiff.errors import MismatchError
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.planning.stacks import TILES

#: Most rows or columns of an array of y and x, whose coordinates are written as numbers.
_LONGEST = 100_000_000
#: Rows and columns of a chunk.
type Chunk = tuple[int, int]


def decided(
    fit: Fitted,
    chunks: Sequence[tuple[Rows, Chunk]],
    keys: Rows,
    choice: Grid,
    *,
    is_there: bool = False,
) -> tuple[GridKind, str]:
    """Choose the kind of grid, and say why.

    Parameters
    ----------
    fit
        The images, on one lattice.
    chunks
        Rows of the images of each variable, and their chunk.
    keys
        Shape `(images,)`: a number for each variable and position along other axes; images with
        equal numbers are beside each other.
    choice
        What the caller wants, or what the cube has.
    is_there
        Whether images are added to a cube.

    Raises
    ------
    MismatchError
        The grid that the caller wants is not possible.
    """
    reason = _not_regular(fit, chunks, keys, is_there=is_there)
    if is_there and reason is not None and choice == "regular":
        raise MismatchError(
            f"the images do not fit the regular grid of the cube: {reason}.",
            remedy='Make the cube anew with grid="tiles", or put these images into another group.',
        )
    if choice != "tiles" and reason is None:
        ends = [(fit.corners[rows] + fit.sizes[rows]) % chunk for rows, chunk in chunks]
        if any(end.any() for end in ends):
            return "regular", (
                "images begin on multiples of their chunks; the last ones end within a chunk, so "
                "none can be appended beyond them"
            )
        return "regular", "images begin and end on multiples of their chunks"
    if choice == "regular":
        raise MismatchError(
            f"the grid cannot be regular: {reason}.",
            remedy='Pass grid="tiles", whose tiles have dimensions of their own.',
        )
    return "tiles", reason or "the caller's choice"


def _not_regular(
    fit: Fitted, chunks: Sequence[tuple[Rows, Chunk]], keys: Rows, *, is_there: bool
) -> str | None:
    """Say what keeps images from being parts of one array; `None` if nothing does.

    The grid of a cube that is there grows, if images lie outside.
    """
    shape = np.array(fit.shape)
    if is_there:
        used = np.concatenate([rows for rows, _ in chunks])
        shape = np.maximum(shape, (fit.corners + fit.sizes)[used].max(axis=0))
    if shape.max() > _LONGEST:
        return f"it would have {shape[0]:,} rows and {shape[1]:,} columns"
    for rows, chunk in chunks:
        corners = fit.corners[rows]
        ends = corners + fit.sizes[rows]
        cut = (shape > fit.shape) & (np.array(fit.shape) % chunk != 0)
        if cut.any():
            axis = "rows" if cut[0] else "columns"
            return (
                f"images lie beyond its last {axis}, which end within a chunk of {chunk[0]} × "
                f"{chunk[1]}"
            )
        if (corners % chunk).any():
            return f"images begin within a chunk of {chunk[0]} × {chunk[1]}"
        if ((ends % chunk != 0) & (ends != shape)).any():
            return f"images end within a chunk of {chunk[0]} × {chunk[1]}"
        if _overlap(corners // chunk, -(-ends // chunk), keys[rows]):
            return "images overlap"
    return None


def _overlap(first: Rows, end: Rows, keys: Rows) -> bool:
    """Return whether images with one key share chunks; `first` and `end` are in chunks."""
    size = end - first
    if (size == size[0]).all() and not ((first - first[0]) % size[0]).any():
        # One pattern of equal tiles: they overlap only where they are the same, a duplicate.
        return False
    per_row = np.array([row for row, n in enumerate(size[:, 0].tolist()) for _ in range(n)])
    starts = np.concatenate([[0], np.cumsum(size[:, 0])[:-1]])
    line = np.arange(per_row.size) - starts[per_row] + first[per_row, 0]
    # Images in one row of chunks, from left to right: none begins before the one before ends.
    order = np.lexsort((first[per_row, 1], line, keys[per_row]))
    image = per_row[order]
    same = (line[order][1:] == line[order][:-1]) & (keys[image][1:] == keys[image][:-1])
    inside = first[image[1:], 1] < end[image[:-1], 1]
    twins = (first[image[1:]] == first[image[:-1]]).all(axis=1)
    twins &= (end[image[1:]] == end[image[:-1]]).all(axis=1)
    return bool((same & inside & ~twins).any())


def tile_axes(fit: Fitted, used: Rows) -> tuple[tuple[Axis, Axis], Rows]:
    """Return the axes of tiles of the images that are `used`, and the positions of all images."""
    axes, places = [], []
    for dimension, name in enumerate(TILES):
        values = np.unique(fit.corners[used, dimension])
        axes.append(Axis(name, values))
        places.append(np.searchsorted(values, fit.corners[:, dimension]))
    return (axes[0], axes[1]), np.stack(places, axis=1)


def check_sizes(
    fit: Fitted,
    chunks: Sequence[tuple[Rows, Chunk]],
    places: Rows,
    urls: Sequence[str],
    there: tuple[int, int] = (0, 0),
) -> tuple[int, int]:
    """Return the size of a tile; smaller ones may only be last, and must end on a chunk.

    `there` is the size of a tile of the cube that the images are added to.

    Raises
    ------
    MismatchError
        Tiles have several sizes.
    """
    tile = np.maximum(fit.sizes.max(axis=0), there)
    smaller = fit.sizes < tile
    last = places == places.max(axis=0)
    for rows, chunk in chunks:
        odd = smaller[rows] & ~(last[rows] & (fit.sizes[rows] % chunk == 0))
        if odd.any():
            bad = rows[odd.any(axis=1)]
            row = int(bad[0])
            found, counts = np.unique(fit.sizes, axis=0, return_counts=True)
            listed = ", ".join(
                f"{w} × {h} ({count} images)"
                for (h, w), count in zip(found.tolist(), counts.tolist(), strict=True)
            )
            raise MismatchError(
                f"tiles have one size, but these images have {len(found)}: {listed}. A smaller "
                "one has to be the last of its row or column, and to end on a chunk.",
                url=urls[row],
                remedy="Make a cube for each size, with a column for group.",
            )
    return int(tile[0]), int(tile[1])


def resized(image: ArrayPlan, height: int, width: int) -> ArrayPlan:
    """Return the plan of an image of another size, without references."""
    sizes = dict(zip(image.dimension_names, image.shape, strict=True))
    shape = tuple((sizes | {"y": height, "x": width}).values())
    grid = tuple(-(-s // c) for s, c in zip(shape, image.chunk_shape, strict=True))
    nothing = np.broadcast_to(np.uint64(0), grid)
    return replace(image, shape=shape, offsets=nothing, lengths=nothing, inline={})
