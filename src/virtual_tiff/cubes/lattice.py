"""Fit one lattice to the images that continue each other: pixel size, origin, and whole positions.

The pixel size is fitted over all origins. That of the tags is rounded: 1/1200 written with eight
digits is off by 1.7 pixels over 360 tiles, although all tiles are on one lattice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

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
#: Digits of a pixel size from which it may be rounded.
_ROUNDED = 3
#: Lattices that an error describes.
_NAMED = 12
#: Groups of images that are compared with each other, whether they are on one lattice.
_MERGED = 64
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
    *,
    listed: bool = True,
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
    listed
        Whether an error lists all lattices.

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
    if not _is_one(table, transforms, sizes, known):
        raise _off(table, snap, existing, listed=listed)
    lines, corners = [], np.empty_like(sizes)
    for axis, (scale, start) in enumerate(_PARTS):
        line = None if known is None else (known[start], known[scale])
        step = _usual(transforms[:, scale], sizes[:, axis])
        origin, fit, exact = _line(transforms[:, start], step, line)
        corners[:, axis] = np.rint(exact)
        lines.append((origin, fit))
        longest = int(sizes[:, axis].max())
        # Not the opposite comparison, which a NaN would pass.
        if not np.abs(exact - corners[:, axis]).max() <= snap or (
            known is None and abs(fit / step - 1) * longest > _stretch(step, longest, snap)
        ):
            raise _off(table, snap, existing, listed=listed)
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
    origins: Floats, step: float, known: tuple[float, float] | None
) -> tuple[float, float, Floats]:
    """Fit origin and pixel size along one axis; return the origins in pixels, nearly whole."""
    if known is not None:
        return *known, (origins - known[0]) / known[1]
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
        # Origins less than half a pixel apart tell nothing of its size.
        if whole[-1]:
            step = float(from_middle @ (values - values.mean()) / (from_middle @ from_middle))
        start = float(values.mean() - step * whole.mean())
    return start, step, ((values - start) / step)[inverse]


def _stretch(step: float, size: int, snap: float) -> float:
    """Return how much longer than by its pixel size an image may be on a lattice, in pixels.

    Few images are on some lattice wherever they begin: two that are half a pixel apart from whole
    pixels are on one of pixels half a pixel longer. A size of few digits, such as 10, is exact;
    others are rounded by half a unit of their last digit.
    """
    _, digits, exponent = Decimal(repr(step)).normalize().as_tuple()
    rounded = 0.5 * 10.0 ** int(exponent) / abs(step) if len(digits) >= _ROUNDED else 0.0
    return max(snap, min(_STRETCH, snap + rounded * size))


def _usual(steps: Floats, sizes: NDArray[np.int64]) -> float:
    """Return the pixel size of most images, whatever their order; of equally many, of the larger.

    Sizes of levels are rounded, and so are their pixel sizes.
    """
    found, inverse, counts = np.unique(steps, return_inverse=True, return_counts=True)
    pixels = np.bincount(inverse.reshape(-1), weights=sizes)
    return float(found[np.lexsort((pixels, counts))[-1]])


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


def _is_one(
    table: pa.Table, transforms: Floats, sizes: Rows, known: Sequence[float] | None
) -> bool:
    """Return whether images have one CRS, and the same pixel sizes, those `known` if any are."""
    codes = codes_of(table["crs"])
    names = [table["crs"][int(row)].as_py() for row in np.unique(codes, return_index=True)[1]]
    one = all(same_crs(names[0], name) for name in names)
    for axis, (scale, _) in enumerate(_PARTS):
        steps = transforms[:, scale]
        expected = _usual(steps, sizes[:, axis]) if known is None else known[scale]
        apart = np.abs(steps / expected - 1) * sizes[:, axis]
        one = one and bool(apart.max() < _STRETCH)
    return one


def _off(
    table: pa.Table, snap: float, existing: ImageGrid | None, *, listed: bool
) -> MismatchError:
    """Make the error of images that are not on one lattice, or not on that of a cube."""
    if not listed:
        return MismatchError("the images are on several lattices.")
    if existing is None:
        return _several(table, snap)
    odd, _ = off_lattice(table, snap, existing)
    row = int(odd[0]) if odd.size else 0
    return MismatchError(
        f"{odd.size} of {len(table)} images are not on the lattice of the cube: "
        f"{_name_of(table['crs'][row].as_py())}, transform {table['transform'][row].as_py()}, but "
        f"{_name_of(existing.crs)}, {existing.transform}.",
        url=table["url"][row].as_py(),
        remedy='Make a cube for them in another group, or pass on_mismatch="skip".',
    )


def off_lattice(table: pa.Table, snap: float, grid: ImageGrid | None) -> tuple[Rows, str]:
    """Return the rows that are not on the lattice of most images, or of a `grid`, and why."""
    if grid is not None:
        found = [rows for rows in _candidates(table) if not _fits(table, rows, snap, grid)]
        why = "the image is not on the lattice of the cube."
    else:
        found = lattices(table, snap)[1:]
        why = "the image is not on the lattice of most images."
    return np.sort(np.concatenate([np.empty(0, np.int64), *found])), why


def lattices(table: pa.Table, snap: float) -> list[Rows]:
    """Group images by the lattice that they are on, the largest group first."""
    groups: list[Rows] = []
    candidates = _candidates(table)
    for rows in candidates:
        for number, group in enumerate(groups if len(candidates) <= _MERGED else ()):
            together = np.concatenate([group, rows])
            if _fits(table, together, snap):
                groups[number] = together
                break
        else:
            groups.append(rows)
    return sorted((np.sort(rows) for rows in groups), key=lambda rows: (-rows.size, rows[0]))


def lattice_names(table: pa.Table, snap: float) -> list[str]:
    """Name the lattice of each image by CRS and pixel size, such as `EPSG_32633_10`.

    Of several lattices of one name, the second largest gets the suffix `_2`, and so on.
    """
    names = [""] * len(table)
    taken: dict[str, int] = {}
    for rows in lattices(table, snap):
        row = table.slice(int(rows[0]), 1).select(["crs", "transform"]).to_pylist()[0]
        a, _, _, _, e, _ = row["transform"] or (0, 0, 0, 0, 0, 0)
        size = f"{abs(a):g}" if abs(a) == abs(e) else f"{abs(a):g}x{abs(e):g}"
        crs = row["crs"] or "none"
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{_name_of(crs)}_{size}")
        taken[name] = taken.get(name, 0) + 1
        name += f"_{taken[name]}" if taken[name] > 1 else ""
        for each in rows.tolist():
            names[each] = name
    return names


def _name_of(crs: str | None) -> str | None:
    """Return the code of a system, or its name, with which WKT begins."""
    return crs if crs is None or len(crs) < 20 else crs.partition('"')[2].partition('"')[0]


def _candidates(table: pa.Table) -> list[Rows]:
    """Group images by CRS, pixel size and phase of the origin; the largest group first."""
    values = np.array(
        [each or (np.nan,) * 6 for each in table["transform"].to_pylist()], np.float64
    )
    step = values[:, [0, 4]]
    with np.errstate(invalid="ignore", divide="ignore"):
        # Two origins are in phase if they are the same number of pixels apart, but for a whole.
        phase = np.rint((values[:, [2, 5]] / step) % 1 * 100) % 100
    digits = [[float(f"{value:.6g}") for value in pair] for pair in step.tolist()]
    crs = codes_of(table["crs"])[:, None]
    rotation = values[:, [1, 3]]
    keys = np.concatenate([crs, digits, np.where(np.isfinite(phase), phase, 0), rotation], axis=1)
    inverse = np.unique(np.nan_to_num(keys), axis=0, return_inverse=True)[1].reshape(-1)
    rows = [np.flatnonzero(inverse == number) for number in range(int(inverse.max()) + 1)]
    return sorted(rows, key=lambda found: (-found.size, found[0]))


def _fits(table: pa.Table, rows: Rows, snap: float, grid: ImageGrid | None = None) -> bool:
    try:
        # Of each of them the extremes would do, but a fit costs little.
        fitted(table.take(pa.array(rows)), snap, existing=grid, listed=False)
    except MismatchError:
        return False
    return True


def _several(table: pa.Table, snap: float) -> MismatchError:
    """Make the error of images on several lattices: all of them, with counts and an example."""
    groups = lattices(table, snap)
    lines = []
    for rows in groups:
        row = table.slice(int(rows[0]), 1).select([*GRID, "url"]).to_pylist()[0]
        dx, _, left, _, dy, top = row["transform"]
        lines.append(
            f"{row['crs']}, pixels of {dx:g} × {abs(dy):g}{', bottom-up' if dy > 0 else ''}, "
            f"origin {left!r}, {top!r}: "
            f"{rows.size} images, such as {row['url']} ({row['width']} × {row['height']})"
        )
    more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return MismatchError(
        f"the images are on {len(lines)} grids: {'; '.join(lines[:_NAMED])}{more}.",
        url=table["url"][int(groups[-1][0])].as_py(),
        remedy='Make a cube for each grid with {lattice} in group. Pass on_mismatch="skip" to '
        "leave out all but the largest.",
    )
