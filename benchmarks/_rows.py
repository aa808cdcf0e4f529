"""Inventories of any size: the header of one file, repeated under other names and times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import virtual_tiff
from virtual_tiff.inventory.table import SCHEMA, Inventory

FIRST = np.datetime64("2000-01-01", "us")
STEP = np.timedelta64(6, "h")

_LENGTHS = (40_000, 90_000)  # bytes of a tile: 256 × 256 uint16, compressed
_SLACK = 16  # bytes between tiles, as GDAL leaves between those of a COG


def header(path: Path) -> Inventory:
    """Scan one file."""
    return virtual_tiff.scan([path.absolute().as_uri()])


def repeated(
    inventory: Inventory, count: int, prefix: str, *, first: int = 0, grid: int | None = None
) -> Inventory:
    """Repeat the one row of an inventory.

    Parameters
    ----------
    inventory
        Of one image.
    count
        Rows of the result: one each six hours, with a URL of its own.
    prefix
        What the URLs begin with; a number and `.tif` follow.
    first
        Number of the first row.
    grid
        Pretend that each image has `grid` × `grid` chunks: one behind the other, of lengths as
        random as those of compressed tiles, since regular ones make small manifests.
    """
    numbers = np.arange(first, first + count)
    columns: dict[str, Any] = {
        "url": pa.array([f"{prefix}{number:08}.tif" for number in numbers], pa.string()),
        "datetime": pa.array(FIRST + numbers * STEP),
    }
    if grid is not None:
        row = inventory.table.select(["chunk_shape"]).to_pylist()[0]
        columns |= _grid(row["chunk_shape"], count, grid, seed=first)
    table = inventory.table.take(pa.array(np.zeros(count, np.int64)))
    for name, values in columns.items():
        field = SCHEMA.field(name)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, field, values.cast(field.type))
    return Inventory(table)


def _grid(chunk_shape: list[int], count: int, grid: int, *, seed: int) -> dict[str, Any]:
    lengths = np.random.default_rng(seed).integers(*_LENGTHS, (count, grid * grid), np.uint64)
    ends = np.cumsum(lengths + np.uint64(_SLACK), axis=1, dtype=np.uint64)
    size = np.array([grid * size for size in chunk_shape])
    return {
        "offsets": _lists(ends - lengths),
        "lengths": _lists(lengths),
        "shape": _lists(np.tile(size, (count, 1))),
        "height": pa.array(np.full(count, size[0])),
        "width": pa.array(np.full(count, size[1])),
    }


def _lists(values: NDArray[Any]) -> Any:
    starts = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(values.ravel()))


def tiled(
    inventory: Inventory,
    side: int,
    dates: int,
    prefix: str,
    *,
    first: int = 0,
    grid: int | None = None,
) -> Inventory:
    """Repeat the one row of an inventory as tiles of a square beside each other.

    Parameters
    ----------
    inventory
        Of one image.
    side
        Rows and columns of tiles.
    dates
        Images of each tile, six hours apart.
    prefix
        What the URLs begin with; a number and `.tif` follow.
    first
        Number of the first date.
    grid
        Pretend that each image has `grid` × `grid` chunks.
    """
    count = side * side
    table = repeated(inventory, count * dates, prefix, first=first * count, grid=grid).table
    row = table.slice(0, 1).select(["transform", "height", "width"]).to_pylist()[0]
    a, b, left, d, e, top = row["transform"]
    y, x = np.divmod(np.tile(np.arange(count), dates), side)
    transforms = np.tile([a, b, left, d, e, top], (count * dates, 1)).astype(float)
    transforms[:, 2] += a * row["width"] * x
    transforms[:, 5] += e * row["height"] * y
    times = FIRST + (first + np.repeat(np.arange(dates), count)) * STEP
    for name, values in {"transform": _lists(transforms), "datetime": pa.array(times)}.items():
        field = SCHEMA.field(name)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, field, values.cast(field.type))
    return Inventory(table)
