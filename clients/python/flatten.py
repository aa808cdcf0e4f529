"""Read a cube of tiles, `(…, tile_y, tile_x, y, x)`, as one lazy array of `(…, y, x)`.

Copy this file: it needs xarray and NumPy only. `flatten(dataset["data"])` has 1-D coordinates, on
which `sel`, `rio.clip_box`, `plot`, `chunk` and `to_netcdf` work; a read fetches only the tiles
that it touches. Use it on the variable as it was opened, with or without `mask_and_scale`, before
other computations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

_AXES = ("y", "x")
_GONE = {"tile_y", "tile_x", *_AXES}
_THREADS = 16
#: Encoding that does not depend on tiles, which files written from the result should have too.
_ENCODING = {"_FillValue", "scale_factor", "add_offset", "dtype", "grid_mapping"}


def flatten(
    tiles: xr.DataArray, present: xr.DataArray | None = None, fill_value: Any = None
) -> xr.DataArray:
    """Return the array that tiles make together.

    Parameters
    ----------
    tiles
        Variable of a cube with the dimensions `tile_y`, `tile_x`, `y` and `x`.
    present
        Where there is an image: by default the coordinate `NAME_present` of the variable, if it
        has one. Where tiles overlap, the later one counts; where it, or a pixel of it, is missing,
        the earlier one.
    fill_value
        Value of places without a tile: by default NaN where xarray masks, else `_FillValue`, as in
        missing tiles. Integers without `_FillValue` need it where tiles leave holes.

    Returns
    -------
    xarray.DataArray
        Dimensions `(…, y, x)`, with the attributes of the tiles, and their encoding but for chunks.

    Raises
    ------
    ValueError
        The tiles are not in order, or leave holes that would read as pixels.
    """
    if present is None:
        present = tiles.coords.get(f"{tiles.name}_present")
    front = [str(name) for name in tiles.dims if name not in _GONE]
    coordinates: dict[str, Any] = {
        str(name): c for name, c in tiles.coords.items() if not _GONE & {*c.dims}
    }
    starts, is_covered = [], True
    for axis in _AXES:
        ends = tiles[axis].isel({f"tile_{axis}": [0, -1]}).transpose(f"tile_{axis}", axis).values
        first = tiles[f"tile_{axis}"].values.astype(np.int64)
        if (np.diff(first) <= 0).any():
            raise ValueError(f"tiles are not in the order of {axis}")
        tile = ends.shape[1]
        is_covered &= bool((np.diff(first) <= tile).all())
        starts.append(first - first[0])
        # The last tile of all may be smaller than others.
        end = min(tiles[f"tile_{axis}"].attrs.get("end", np.inf), first[-1] + tile)
        size = int(end - first[0])
        step = (ends[-1, -1] - ends[0, 0]) / max(1, int(starts[-1][-1]) + tile - 1)
        coordinates[axis] = (axis, ends[0, 0] + step * np.arange(size), tiles[axis].attrs)
    shape = (*(tiles.sizes[name] for name in front), *(len(coordinates[a][1]) for a in _AXES))
    there = None if present is None else present.variable.load()
    if fill_value is None:
        fill_value = _missing(tiles)
    if fill_value is None:
        if not is_covered or not (there is None or there.values.all()):
            raise ValueError("tiles leave holes, and have no _FillValue: pass a fill_value")
        fill_value = 0
    lazy = indexing.LazilyIndexedArray(
        _Flat(tiles.variable, there, starts, front, shape, fill_value)
    )
    variable = xr.Variable((*front, *_AXES), lazy, tiles.attrs)
    flat = xr.DataArray(variable, coordinates, name=tiles.name)
    flat.encoding = {name: value for name, value in tiles.encoding.items() if name in _ENCODING}
    return flat


def _missing(tiles: xr.DataArray | xr.Variable) -> Any:
    """Return the value of missing tiles; `None` if no value says that pixels are missing."""
    if "_FillValue" in tiles.attrs:
        return tiles.attrs["_FillValue"]
    # xarray moves it to the encoding where it masks. Results of computations have lost both.
    return np.nan if tiles.dtype.kind in "fc" else tiles.encoding.get("_FillValue")


class _Flat(BackendArray):
    """The array that tiles make together, as xarray's backends have arrays."""

    def __init__(
        self,
        tiles: xr.Variable,
        present: xr.Variable | None,
        starts: Sequence[np.ndarray[Any, Any]],
        front: list[str],
        shape: tuple[int, ...],
        fill_value: Any,
    ) -> None:
        self.tiles, self.present, self.starts, self.front = tiles, present, starts, front
        self.shape, self.dtype, self.fill_value = shape, tiles.dtype, fill_value
        overlap = any(
            (np.diff(first) < tiles.sizes[axis]).any()
            for first, axis in zip(starts, _AXES, strict=True)
        )
        # Of pixels, which the images have to declare; not that of places without a tile.
        declared = "_FillValue" in {**tiles.encoding, **tiles.attrs}
        self.missing = _missing(tiles) if overlap and declared else None

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        # xarray cannot divide an empty slice that runs backwards.
        parts = (
            slice(0, 0) if isinstance(k, slice) and not range(*k.indices(n)) else k
            for k, n in zip(key.tuple, self.shape, strict=True)
        )
        key = type(key)(tuple(parts))
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[int | slice, ...]) -> Any:
        slices = [k if isinstance(k, slice) else slice(k, k + 1) for k in key]
        sizes = [len(range(*k.indices(n))) for k, n in zip(slices, self.shape, strict=True)]
        found = np.full(sizes, self.fill_value, self.dtype)
        front = dict(zip(self.front, slices[:-2], strict=True))
        rows, columns = (list(self._pieces(axis, slices[axis - 2])) for axis in (0, 1))
        pairs = list(product(rows, columns))
        with ThreadPoolExecutor(_THREADS) as pool:
            loaded = pool.map(lambda pair: self._load(sizes, front, *pair), pairs)
            # Read at once, but put down in their order: where tiles overlap, the later one counts.
            for (row, column), (values, there) in zip(pairs, loaded, strict=True):
                np.copyto(found[..., row[2], column[2]], values, where=there)
        return found[tuple(slice(None) if isinstance(k, slice) else 0 for k in key)]

    def _load(self, sizes: list[int], front: dict[str, slice], row: Any, column: Any) -> Any:
        """Return the pixels of a part of a tile, and where there are any."""
        where = {"tile_y": row[0], "tile_x": column[0]}
        there: Any = True
        if self.present is not None:
            named = {k: v for k, v in front.items() if k in self.present.dims}
            part = self.present.isel(named | where)
            if not part.values.any():
                return self.fill_value, False
            # A dimension such as band has images at all its positions, or at none.
            shape = [
                n if name in part.dims else 1 for name, n in zip(self.front, sizes, strict=False)
            ]
            there = part.transpose(*(name for name in self.front if name in part.dims))
            there = there.values.astype(bool).reshape(*shape, 1, 1)
        tile = self.tiles.isel(front | where | {"y": row[1], "x": column[1]}).load()
        # Transposed when it is loaded: a lazy one would be read pixel by pixel.
        values = tile.transpose(*self.front, *_AXES).values
        if self.missing is not None:
            is_nan = self.missing != self.missing
            there = there & ~(np.isnan(values) if is_nan else values == self.missing)
        return values, there

    def _pieces(self, axis: int, key: slice) -> Iterator[tuple[int, slice, slice]]:
        """Yield tile, pixels of it and pixels of the result, in the order of the tiles."""
        index = np.arange(self.shape[axis - 2])[key]
        starts, size = self.starts[axis], self.tiles.sizes[_AXES[axis]]
        if not index.size:
            return
        first = np.searchsorted(starts, index.min() - size, "right")
        for tile in range(int(first), int(np.searchsorted(starts, index.max(), "right"))):
            inside = np.flatnonzero((index >= starts[tile]) & (index < starts[tile] + size))
            if inside.size:
                part = index[inside] - starts[tile]
                end = int(part[-1]) + (1 if (key.step or 1) > 0 else -1)
                pixels = slice(int(part[0]), None if end < 0 else end, key.step)
                yield tile, pixels, slice(int(inside[0]), int(inside[-1]) + 1)
