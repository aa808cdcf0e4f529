"""Read the pixels around many geometries, or at points, from a lazy array, each chunk once.

Copy this file: it needs xarray and NumPy only, and rasterio for `outside` of `patches`. A loop of
`sel` reads a chunk anew for each geometry in it; here each chunk is read once for all of them. Use
it on the variable as `xarray.open_zarr` returns it (`chunks=None`), with or without
`mask_and_scale`.

Geometries are those of Shapely, or tuples `(left, bottom, right, top)`, in the CRS of the
coordinates. A GeoSeries or GeoDataFrame of another CRS is transformed, where the variable has a
grid mapping. Missing and empty geometries, and those beyond the array, touch no pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

_AXES = ("y", "x")
_THREADS = 4
#: Bytes that a thread reads at once, besides those of single chunks.
_BYTES = 64 * 1024 * 1024
#: Side of the blocks that are read of arrays that do not know their chunks.
_BLOCK = 512
#: Largest difference of a coordinate from an even grid, in pixels.
_EVEN = 0.01

type Pixels = np.ndarray[Any, Any]
type Window = tuple[slice, slice]


def windows(variable: xr.DataArray, geometries: Iterable[Any]) -> list[Window]:
    """Return the rows and columns that the bounds of each geometry touch, cut at the edges.

    A point touches one pixel: on an edge between two the later one, as in rasterio.

    Raises
    ------
    ValueError
        `y` and `x` are no even grid, or something is no geometry.
    """
    return _windows(variable, _placed(variable, geometries))


def sample(
    variable: xr.DataArray, points: Iterable[Any], *, outside: Any, threads: int = _THREADS
) -> Pixels:
    """Read the pixel at each point; `outside` is the value of points that touch none.

    Returns
    -------
    ndarray
        The dimensions of `variable` without `y` and `x`, and then the points in their order; of
        floats where `variable` has integers and `outside` is NaN.

    Raises
    ------
    ValueError
        As for `windows`; or a geometry touches several pixels.
    """
    boxes = _windows(variable, _placed(variable, points))
    for number, box in enumerate(boxes):
        if any(part.stop - part.start > 1 for part in box):
            raise ValueError(f"geometry {number} is no point: it touches several pixels")
    front = [variable.sizes[d] for d in variable.dims if d not in _AXES]
    dtype = np.result_type(variable.dtype, outside)
    values = np.full((len(boxes), *front), outside, dtype)
    for number, found in enumerate(_read(variable, boxes, threads)):
        if all(part.start < part.stop for part in boxes[number]):
            values[number] = found.reshape(front)
    return np.moveaxis(values, 0, -1)


def patches(
    variable: xr.DataArray,
    geometries: Iterable[Any],
    *,
    outside: Any = None,
    all_touched: bool = False,
    threads: int = _THREADS,
) -> list[Pixels]:
    """Read the box around each geometry.

    Parameters
    ----------
    variable
        With the 1-D coordinates `y` and `x`, the centres of pixels.
    geometries
        See above.
    outside
        Value of pixels whose centre is outside of the geometry; by default they are kept.
    all_touched
        Whether pixels are inside that a geometry touches, also if their centre is outside.
    threads
        Reads at once. Each requests as many chunks as zarr's `async.concurrency` says.

    Returns
    -------
    list of ndarray
        One for each geometry, with the dimensions of `variable`; those of `y` and `x` are the
        lengths of its window. Memory is that of the result and of 64 MiB for each thread.

    Raises
    ------
    ValueError
        As for `windows`.
    """
    placed = _placed(variable, geometries)
    boxes = _windows(variable, placed)
    found = _read(variable, boxes, threads)
    if outside is not None:
        for geometry, box, array in zip(placed, boxes, found, strict=True):
            inside = _inside(variable, geometry, box, all_touched)
            np.copyto(array, outside, where=~inside)
    return found


def _placed(variable: xr.DataArray, geometries: Iterable[Any]) -> list[Any]:
    """Return geometries in the CRS of a variable, where both say which one they have."""
    # The geometries of a GeoDataFrame; a GeoSeries is its own.
    found: Any = getattr(geometries, "geometry", geometries)
    mapping = variable.attrs.get("grid_mapping", variable.encoding.get("grid_mapping"))
    crs = variable.coords[mapping].attrs.get("crs_wkt") if mapping in variable.coords else None
    if crs and getattr(found, "crs", None) is not None:
        found = found.to_crs(crs)
    return list(found)


def _windows(variable: xr.DataArray, geometries: list[Any]) -> list[Window]:
    bounds = np.array([_bounds(i, one) for i, one in enumerate(geometries)]).reshape(-1, 4)
    rows = _touched(variable, "y", bounds[:, [1, 3]])
    columns = _touched(variable, "x", bounds[:, [0, 2]])
    return list(zip(rows, columns, strict=True))


def _bounds(number: int, geometry: Any) -> Pixels:
    """Return left, bottom, right and top; NaN for a missing geometry, as for an empty one."""
    bounds = (np.nan,) * 4 if geometry is None else getattr(geometry, "bounds", geometry)
    try:
        found = np.array(bounds, float)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (4,):
        raise ValueError(f"geometry {number} is {geometry!r:.60}, neither of Shapely nor bounds")
    # A transformation makes points infinite where a CRS does not reach.
    if np.isinf(found).any() and not (found == found[0]).all():
        raise ValueError(f"geometry {number} is infinite on some sides: {found.tolist()}")
    return found


def _read(variable: xr.DataArray, boxes: list[Window], threads: int) -> list[Pixels]:
    """Return the pixels of windows, reading each chunk once."""
    found = [
        np.empty([_length(box, d, variable.sizes[d]) for d in variable.dims], variable.dtype)
        for box in boxes
    ]

    def read(part: tuple[dict[Any, slice], list[int]]) -> None:
        where, numbers = part
        values = variable[where].to_numpy()
        for number in numbers:
            inner, outer = _overlap(variable.dims, where, boxes[number])
            found[number][outer] = values[inner]

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(read, _parts(variable, boxes)):
            pass
    return found


def _touched(variable: xr.DataArray, axis: str, bounds: Any) -> list[slice]:
    """Return the pixels of an axis that intervals touch with more than their edge."""
    # Of a dimension without a coordinate, xarray returns the positions.
    known = axis in variable.coords and variable[axis].dims == (axis,)
    centres = variable[axis].values.astype(float) if known else np.zeros(1)
    size = len(centres)
    step = (centres[-1] - centres[0]) / (size - 1) if size > 1 else 0.0
    even = centres[:1] + step * np.arange(size)
    if not step or not np.abs(centres - even).max() <= _EVEN * abs(step):
        raise ValueError(f"{axis} is no 1-D coordinate with an even grid of two pixels or more")
    # Positions are those of edges: 0 is the outer edge of the first pixel. Rounding errors of
    # coordinates make no pixel of their own.
    ends = np.sort((bounds - centres[0]) / step + 0.5, axis=1)
    with np.errstate(invalid="ignore"):
        first = np.clip(np.floor(ends[:, 0] + 1e-6), 0, size)
        last = np.maximum(np.ceil(ends[:, 1] - 1e-6), np.floor(ends[:, 0] + 1e-6) + 1)
        last = np.clip(last, 0, size)
    pairs = np.stack([first, last], axis=1)
    pairs[np.isnan(pairs).any(axis=1)] = 0
    return [slice(*pair) for pair in pairs.astype(int).tolist()]


def _length(box: Window, dimension: Any, size: int) -> int:
    if dimension not in _AXES:
        return size
    part = box[_AXES.index(dimension)]
    return int(part.stop - part.start)


def _parts(
    variable: xr.DataArray, boxes: list[Window]
) -> Iterator[tuple[dict[Any, slice], list[int]]]:
    """Yield what is read at once, and the numbers of the windows that it has pixels of."""
    chunks = variable.encoding.get("preferred_chunks") or {}
    sides = [int(chunks.get(axis, _BLOCK)) for axis in _AXES]
    blocks: dict[tuple[int, ...], list[int]] = {}
    for number, box in enumerate(boxes):
        if all(part.start < part.stop for part in box):
            spans = (
                range(part.start // side, -(-part.stop // side))
                for part, side in zip(box, sides, strict=True)
            )
            for block in product(*spans):
                blocks.setdefault(block, []).append(number)
    front = [d for d in variable.dims if d not in _AXES]
    for block, numbers in sorted(blocks.items()):
        where: dict[Any, slice] = {}
        for axis, (place, side) in enumerate(zip(block, sides, strict=True)):
            first = min(boxes[n][axis].start for n in numbers)
            last = max(boxes[n][axis].stop for n in numbers)
            where[_AXES[axis]] = slice(max(first, place * side), min(last, (place + 1) * side))
        if not front:
            yield where, numbers
            continue
        one = variable.dtype.itemsize * int(np.prod([variable.sizes[d] for d in front[1:]]))
        for part in where.values():
            one *= part.stop - part.start
        along = int(chunks.get(front[0], 1))
        step = max(1, _BYTES // max(1, one) // along) * along
        for start in range(0, variable.sizes[front[0]], step):
            yield {front[0]: slice(start, start + step), **where}, numbers


def _overlap(
    dims: tuple[Any, ...], where: dict[Any, slice], box: Window
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the place of the pixels of a window in what was read, and in its array."""
    inner, outer = [], []
    for dimension in dims:
        read = where.get(dimension, slice(None))
        if dimension in _AXES:
            part = box[_AXES.index(dimension)]
            first, last = max(part.start, read.start), min(part.stop, read.stop)
            inner.append(slice(first - read.start, last - read.start))
            outer.append(slice(first - part.start, last - part.start))
        else:
            inner.append(slice(None))
            outer.append(read)
    return tuple(inner), tuple(outer)


def _inside(variable: xr.DataArray, geometry: Any, box: Window, all_touched: bool) -> Any:
    """Return which pixels of a window are inside of a geometry, for all dimensions."""
    # Imported here: only this needs it.
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    shape = tuple(part.stop - part.start for part in box)
    if not all(shape):
        return np.True_
    places = []
    for axis, part in zip(_AXES, box, strict=True):
        centres = variable[axis].values
        step = (centres[-1] - centres[0]) / (len(centres) - 1)
        places.append((step, centres[0] + step * (part.start - 0.5)))
    (height, top), (width, left) = places
    transform = Affine(width, 0, left, 0, height, top)
    if not hasattr(geometry, "bounds"):
        west, south, east, north = geometry
        ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        geometry = {"type": "Polygon", "coordinates": [ring]}
    found = rasterize([geometry], shape, transform=transform, all_touched=all_touched)
    if [d for d in variable.dims if d in _AXES] == ["x", "y"]:
        found = found.T
    rest = tuple(slice(None) if d in _AXES else None for d in variable.dims)
    return found.astype(bool)[rest]
