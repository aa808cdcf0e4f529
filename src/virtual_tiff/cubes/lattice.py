"""Fit one lattice to the images that continue each other: pixel size, origin, and whole positions.

The pixel size is fitted over all origins. That of the tags is rounded: 1/1200 written with eight
digits is off by 1.7 pixels over 360 tiles, although all tiles are on one lattice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.cubes.agreement import GRID, codes_of
from virtual_tiff.cubes.plan import ImageGrid, Rows
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.planning.same_grid import same_crs

type Floats = NDArray[np.float64]

#: Pixel sizes are the same if they differ by less than this fraction of a pixel over an image.
_STRETCH = 0.1
#: Greatest error, in pixels, with which the pixel size of the tags is kept, not a fitted one.
_EXACT = 1e-6
#: Lattices that an error describes.
_NAMED = 12
#: Indices of pixel size and origin in a, b, c, d, e, f, for rows and for columns.
_PARTS = ((4, 5), (0, 2))
#: Further georeferencing that does not depend on the extent of an image.
_SHARED = ("coordinate_epoch", "geo_keys", "crs_note")


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Images on one lattice.

    `grid` is that of all images together, `corners` (shape `(images, 2)`) are row and column of
    the first pixel of each image on it, and `sizes` (the same shape) its rows and columns.
    """

    grid: ImageGrid
    corners: Rows
    sizes: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return self.grid.height, self.grid.width


def fitted(
    table: pa.Table,
    snap: float,
    bounds: Sequence[float] | None = None,
    existing: ImageGrid | None = None,
) -> Fitted:
    """Fit a lattice to images.

    Parameters
    ----------
    table
        Rows of an inventory.
    snap
        Greatest distance of an origin from the lattice, in pixels.
    bounds
        Left, bottom, right and top of the cube, in CRS units; by default those of the images.
    existing
        Grid of the cube that the images are added to, which they are placed on.

    Raises
    ------
    MismatchError
        The images are on several lattices, lists them; or they have no place, or a rotated one.
    InvalidOptionError
        Images lie outside the bounds.
    """
    transforms = _transforms(table)
    sizes = np.stack([table["height"].to_numpy(), table["width"].to_numpy()], axis=1)
    known = None if existing is None else existing.transform
    _check_one(table, transforms, sizes, known)
    lines, corners = [], np.empty_like(sizes)
    for axis, (scale, start) in enumerate(_PARTS):
        line = None if known is None else (known[start], known[scale])
        origin, step, exact = _line(transforms[:, start], transforms[:, scale], line)
        corners[:, axis] = np.rint(exact)
        lines.append((origin, step))
        if np.abs(exact - corners[:, axis]).max() > snap:
            raise _several(table, transforms, sizes)
    grid = ImageGrid.of_row(table.select(list(GRID)).slice(0, 1).to_pylist()[0])
    extra = {key: value for key, value in grid.extra_georeferencing.items() if key in _SHARED}
    grid = replace(grid, extra_georeferencing=extra)
    if existing is not None:
        height, width = existing.height, existing.width
        transform = existing.transform
        return Fitted(
            replace(grid, transform=transform, height=height, width=width), corners, sizes
        )
    first, end = corners.min(axis=0), (corners + sizes).max(axis=0)
    if bounds is not None:
        first, end = _within(bounds, lines)
    corners = corners - first
    outside = ((corners < 0) | (corners + sizes > end - first)).any(axis=1)
    if outside.any():
        raise InvalidOptionError(
            f"{np.count_nonzero(outside)} of {len(table)} images lie outside the bounds.",
            url=table["url"][int(np.flatnonzero(outside)[0])].as_py(),
            remedy="Pass wider bounds, or leave these images out.",
        )
    (y, dy), (x, dx) = lines
    height, width = (end - first).tolist()
    transform = (dx, 0.0, x + dx * float(first[1]), 0.0, dy, y + dy * float(first[0]))
    return Fitted(replace(grid, transform=transform, width=width, height=height), corners, sizes)


def _transforms(table: pa.Table) -> Floats:
    """Return the transforms, shape `(images, 6)`; refuse images without one, or rotated ones."""
    column = table["transform"]
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise MismatchError(
            f"{column.null_count} of {len(table)} images have no transform, so they have no place "
            "beside others.",
            url=table["url"][row].as_py(),
            remedy="Leave them out, or stack without stitch.",
        )
    values = column.combine_chunks().flatten().to_numpy().reshape(-1, 6)
    rotated = (values[:, 1] != 0) | (values[:, 3] != 0)
    if rotated.any():
        raise MismatchError(
            f"{np.count_nonzero(rotated)} of {len(table)} images are on rotated grids.",
            url=table["url"][int(np.flatnonzero(rotated)[0])].as_py(),
            remedy="Only images that are parallel to the axes can be stitched; leave these out.",
        )
    return np.asarray(values, np.float64)


def _line(
    origins: Floats, steps: Floats, known: tuple[float, float] | None
) -> tuple[float, float, Floats]:
    """Fit origin and pixel size along one axis; return the origins in pixels, nearly whole."""
    if known is not None:
        return *known, (origins - known[0]) / known[1]
    found, counts = np.unique(steps, return_counts=True)
    step = float(found[np.argmax(counts)])
    values, inverse = np.unique(origins, return_inverse=True)
    if step < 0:
        values, inverse = values[::-1], values.size - 1 - inverse
    start = float(values[0])
    gaps = np.diff(values)
    better = step
    # From the smallest gap to the largest, so that each one is nearly whole with the size so far.
    for gap in np.unique(np.abs(gaps)).tolist():
        count = round(gap / abs(better))
        if count > 1 / _STRETCH and abs(gap / abs(better) - count) < _STRETCH:
            better = float(np.copysign(gap / count, step))
    whole = np.concatenate([[0.0], np.cumsum(np.rint(gaps / better))])
    if np.abs((values - start) / step - whole).max() > _EXACT:
        from_middle = whole - whole.mean()
        step = float(from_middle @ (values - values.mean()) / (from_middle @ from_middle))
        start = float(values.mean() - step * whole.mean())
    return start, step, ((values - start) / step)[inverse]


def _within(
    bounds: Sequence[float], lines: Sequence[tuple[float, float]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row and column within bounds, and those after the last."""
    left, bottom, right, top = bounds
    first, end = [], []
    for (origin, step), ends in zip(lines, ((bottom, top), (left, right)), strict=True):
        a, b = sorted((each - origin) / step for each in ends)
        # A bound that lies on the edge of a pixel, but for rounding, is that edge.
        first.append(int(np.floor(a + _STRETCH)))
        end.append(int(np.ceil(b - _STRETCH)))
    return np.array(first), np.array(end)


def _check_one(
    table: pa.Table, transforms: Floats, sizes: Rows, known: Sequence[float] | None
) -> None:
    """Refuse images in several CRSs, or with other pixel sizes than others, or the `known` ones."""
    codes = codes_of(table["crs"])
    names = [table["crs"][int(row)].as_py() for row in np.unique(codes, return_index=True)[1]]
    one = all(same_crs(names[0], name) for name in names)
    for axis, (scale, _) in enumerate(_PARTS):
        steps = transforms[:, scale]
        expected = steps[0] if known is None else known[scale]
        apart = np.abs(steps / expected - 1) * sizes[:, axis]
        one = one and bool(apart.max() < _STRETCH)
    if not one:
        raise _several(table, transforms, sizes)


def _several(table: pa.Table, transforms: Floats, sizes: Rows) -> MismatchError:
    """Make the error of images on several lattices: all of them, with counts and an example."""
    step = transforms[:, [0, 4]]
    # Two origins are in phase if they are the same number of pixels apart from 0, but for a whole.
    phase = np.rint((transforms[:, [2, 5]] / step) % 1 * 100) % 100
    digits = [[float(f"{value:.6g}") for value in pair] for pair in step.tolist()]
    crs = codes_of(table["crs"])[:, None]
    keys = np.concatenate([crs, digits, np.where(np.isfinite(phase), phase, 0)], axis=1)
    _, first, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
    lines = []
    for row, count in sorted(
        zip(first.tolist(), counts.tolist(), strict=True), key=lambda e: -e[1]
    ):
        url = table["url"][row].as_py()
        dx, dy = digits[row]
        height, width = sizes[row].tolist()
        lines.append(
            f"{table['crs'][row].as_py()}, pixels of {dx:g} × {abs(dy):g}, origin "
            f"{transforms[row, 2]!r}, {transforms[row, 5]!r}: {count} images, such as {url} "
            f"({width} × {height})"
        )
    more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return MismatchError(
        f"the images are on {len(lines)} grids: {'; '.join(lines[:_NAMED])}{more}.",
        url=table["url"][int(first[np.argmin(counts)])].as_py(),
        remedy="Make a cube for each grid, with a column that tells them apart in group.",
    )
