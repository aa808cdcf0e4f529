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


def flatten(tiles: xr.DataArray, present: xr.DataArray | None = None) -> xr.DataArray:
    """Return the array that tiles make together.

    Parameters
    ----------
    tiles
        Variable of a cube with the dimensions `tile_y`, `tile_x`, `y` and `x`.
    present
        Where there is an image: by default the coordinate `NAME_present` of the variable, if it
        has one. Where tiles overlap, the later one counts; where it is missing, the earlier one.

    Returns
    -------
    xarray.DataArray
        Dimensions `(…, y, x)`. Places without a tile have the value of `_FillValue`, as missing
        tiles do: NaN where xarray masks, else the number.
    """
    if present is None:
        present = tiles.coords.get(f"{tiles.name}_present")
    front = [str(name) for name in tiles.dims if name not in _GONE]
    coordinates: dict[str, Any] = {
        str(name): c for name, c in tiles.coords.items() if not _GONE & {*c.dims}
    }
    starts = []
    for axis in _AXES:
        values = tiles[axis].transpose(f"tile_{axis}", axis).values
        first = tiles[f"tile_{axis}"].values.astype(np.int64)
        if (np.diff(first) <= 0).any():
            raise ValueError(f"tiles are not in the order of {axis}")
        starts.append(first - first[0])
        size = int(starts[-1][-1]) + values.shape[1]
        step = (values[-1, -1] - values[0, 0]) / max(1, size - 1)
        flat = values[0, 0] + step * np.arange(size)
        coordinates[axis] = (axis, flat, tiles[axis].attrs)
    shape = (*(tiles.sizes[name] for name in front), *(len(coordinates[a][1]) for a in _AXES))
    there = None if present is None else present.variable.load()
    lazy = indexing.LazilyIndexedArray(_Flat(tiles.variable, there, starts, front, shape))
    variable = xr.Variable((*front, *_AXES), lazy, tiles.attrs)
    return xr.DataArray(variable, coordinates, name=tiles.name)


class _Flat(BackendArray):
    """The array that tiles make together, as xarray's backends have arrays."""

    def __init__(
        self,
        tiles: xr.Variable,
        present: xr.Variable | None,
        starts: Sequence[np.ndarray[Any, Any]],
        front: list[str],
        shape: tuple[int, ...],
    ) -> None:
        self.tiles, self.present, self.starts, self.front = tiles, present, starts, front
        self.shape, self.dtype = shape, tiles.dtype
        missing = tiles.encoding.get("_FillValue", tiles.attrs.get("_FillValue", 0))
        is_masked = "_FillValue" in tiles.encoding and self.dtype.kind in "fc"
        self.missing = np.nan if is_masked else missing

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[int | slice, ...]) -> Any:
        slices = [k if isinstance(k, slice) else slice(k, k + 1) for k in key]
        sizes = [len(range(*k.indices(n))) for k, n in zip(slices, self.shape, strict=True)]
        found = np.full(sizes, self.missing, self.dtype)
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
                return self.missing, False
            # A dimension such as band has images at all its positions, or at none.
            shape = [
                n if name in part.dims else 1 for name, n in zip(self.front, sizes, strict=False)
            ]
            there = part.transpose(*(name for name in self.front if name in part.dims))
            there = there.values.astype(bool).reshape(*shape, 1, 1)
        tile = self.tiles.isel(front | where | {"y": row[1], "x": column[1]}).load()
        # Transposed when it is loaded: a lazy one would be read pixel by pixel.
        return tile.transpose(*self.front, *_AXES).values, there

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
