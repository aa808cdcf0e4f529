"""The table of sources of a repository: which file each image came from, and its state.

`verify` compares the files with it, and it keeps an image from being added twice. It is the group
`_virtual_tiff/sources`, of one-dimensional arrays that xarray opens as a table: a row for each
image of each array, whatever published it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.planning.names import RESERVED
from virtual_tiff.storage.source import Source

GROUP = f"{RESERVED}/sources"
#: No dimension of a cube at the root has this name, which `open_datatree` would align it with.
DIMENSION = f"{RESERVED}_row"
#: Rows in one chunk. Text is encoded by whole chunks, even if few rows are new.
CHUNK_ROWS = 8_192
#: Rows that are read at a time, where all are.
PART_ROWS = 8 * CHUNK_ROWS
#: Value of `last_modified` if it is unknown.
NO_TIME = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Columns, their Zarr data types and what they hold.
COLUMNS = {
    "array": ("string", "path of the array"),
    "position": ("string", "where in the array the image is: a JSON object by name of dimension"),
    "url": ("string", "address of the file"),
    "ifd": ("string", "path of the image file directory in the file, the first of a stack"),
    "band": ("int64", "band of the image that the array holds, from 0; -1 for all"),
    "size": ("uint64", "length of the file in bytes"),
    "etag": ("string", "entity tag of the file; empty where unknown"),
    "last_modified": ("int64", "microseconds since 1970 in UTC; the least int64 where unknown"),
    "header": ("string", "ranges of bytes of the header and their CRC-32; empty where unknown"),
}
_DESCRIPTIONS = {
    RESERVED: "Written by virtual-tiff for its own use; not part of the data.",
    GROUP: "The files that the images of this repository came from: a row for each image.",
}
#: What a row holds where a table that another version wrote lacks the column.
_DEFAULTS: Mapping[str, Any] = {"position": "{}", "band": -1, "last_modified": NO_TIME}


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Columns of the table, of equal length; see `COLUMNS`."""

    #: Columns of an inventory that the table has too.
    OF_FILES: ClassVar = ("url", "ifd", "size", "etag", "last_modified", "header")

    columns: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        if set(self.columns) != set(COLUMNS):
            raise AssertionError(f"columns {sorted(self.columns)}")
        if len({len(column) for column in self.columns.values()}) > 1:
            raise AssertionError("columns of unequal length")

    @classmethod
    def of(cls, **columns: Sequence[Any] | NDArray[Any]) -> Sources:
        """Make a table of columns; values of `etag` and `header` may be `None`."""
        for name in ("etag", "header"):
            columns[name] = [value or "" for value in columns[name]]
        return cls({name: np.asarray(columns[name], _dtype(name)) for name in COLUMNS})

    @classmethod
    def of_rows(cls, table: pa.Table, array: str, position: Sequence[str], band: int) -> Sources:
        """Make the rows of images of one array, with columns `OF_FILES` of an inventory."""
        count = table.num_rows
        return cls(
            {
                "array": np.full(count, array, _dtype("array")),
                "position": np.asarray(position, _dtype("position")),
                "band": np.full(count, band, _dtype("band")),
                "size": table["size"].cast(pa.uint64()).to_numpy(),
                "last_modified": modified_times(table["last_modified"]),
                **{name: _texts(table[name]) for name in ("url", "ifd", "etag", "header")},
            }
        )

    def __len__(self) -> int:
        return len(self.columns["url"])

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Sources:
        """Keep these rows."""
        chosen = np.asarray(rows, np.int64)
        return Sources({name: values[chosen] for name, values in self.columns.items()})

    def files(self, rows: Sequence[int] | None = None) -> pa.Table:
        """Return what was recorded of the files of rows, for Arrow's functions."""
        chosen = slice(None) if rows is None else list(rows)
        url, size, etag, times = (
            self[name][chosen] for name in ("url", "size", "etag", "last_modified")
        )
        return pa.table(
            {
                "url": pa.array(url.tolist(), pa.string()),
                "size": pa.array(size.astype(np.int64)),
                "etag": pa.array(etag.tolist(), pa.string()),
                "last_modified": pa.array(times, pa.timestamp("us", "UTC"), mask=times == NO_TIME),
            }
        )

    def source(self, row: int) -> Source:
        """Return what was recorded of the file of a row."""
        modified = time_of(int(self["last_modified"][row]))
        return Source(
            url=str(self["url"][row]),
            size=int(self["size"][row]),
            etag=str(self["etag"][row]) or None,
            last_modified=modified,
            header=str(self["header"][row]),
        )


class Recorded:
    """The table of sources of a session, read when it is needed."""

    def __init__(self, store: IcechunkStore) -> None:
        self._store = store

    @cached_property
    def table(self) -> Sources:
        """All rows."""
        return read_sources_table(self._store)

    @cached_property
    def _places(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The columns `array` and `position`: less than the whole table."""
        found = read_columns(self._store, ("array", "position"))
        return found["array"], found["position"]

    def rows(self, array: str, positions: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of the images at positions of an array; -1 where there is none."""
        arrays, places = self._places
        wanted = dict.fromkeys(positions, -1)
        rows = np.flatnonzero(arrays == array)
        for row, place in zip(rows.tolist(), places[rows].tolist(), strict=True):
            if place in wanted:
                wanted[place] = row
        return np.array([wanted[position] for position in positions], np.int64)

    def take(self, rows: NDArray[np.int64]) -> Sources:
        """Read some rows only."""
        return Sources(read_columns(self._store, COLUMNS, rows))


def concatenated(tables: Sequence[Sources]) -> Sources:
    """Concatenate tables."""
    if not tables:
        return Sources.of(**{name: [] for name in COLUMNS})
    if len(tables) == 1:
        return tables[0]
    return Sources({name: np.concatenate([t[name] for t in tables]) for name in COLUMNS})


def microseconds(time: datetime | None) -> int:
    """A time as the table holds it."""
    return NO_TIME if time is None else (time - _EPOCH) // timedelta(microseconds=1)


def time_of(count: int) -> datetime | None:
    """The time that the table holds."""
    return None if count == NO_TIME else _EPOCH + timedelta(microseconds=count)


def _texts(column: pa.ChunkedArray) -> NDArray[Any]:
    """An Arrow column of text as the table holds it, with "" for null.

    Few Python objects exist at a time, since they take several times the memory of the text.
    """
    found = np.empty(len(column), np.dtypes.StringDType())
    for start in range(0, len(column), CHUNK_ROWS):
        part = pc.fill_null(column.slice(start, CHUNK_ROWS), "")
        found[start : start + CHUNK_ROWS] = part.to_numpy()
    return found


def modified_times(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """An Arrow column of timestamps as the table holds them."""
    counts = pc.fill_null(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), NO_TIME)
    values: NDArray[np.int64] = counts.to_numpy()
    return values


def change_sources(store: IcechunkStore, added: Sources, dropped: Sequence[int] = ()) -> None:
    """Drop rows of the table of a repository, and add others; create it if it does not exist.

    New rows take the place of those that are dropped, and the last rows move into what is left, so
    that few chunks of the table are written.
    """
    group = _group(store)
    count = group["url"].shape[0] if "url" in group else 0  # type: ignore[union-attr]
    holes = np.unique(np.asarray(dropped, np.int64))
    filled, left = holes[: len(added)], holes[len(added) :]
    end = count - left.size
    moved = np.setdiff1d(np.arange(end, count), left)
    for name in COLUMNS:
        array, values = _column(group, name, count), added[name]
        if filled.size:
            array.oindex[filled] = values[: filled.size]
        if moved.size:
            array.oindex[left[left < end]] = np.asarray(array.oindex[moved])
        array.resize((end + len(values) - filled.size,))
        if filled.size < len(values):
            array[end:] = values[filled.size :]


def move_places(store: IcechunkStore, arrays: Collection[str], offset: Mapping[str, int]) -> None:
    """Add an offset to the positions of all images of some arrays, by name of the dimension."""
    group = _group(store)
    if "array" not in group or "position" not in group:
        return
    names, column = (_column(group, name, 0) for name in ("array", "position"))
    rows = np.flatnonzero(np.isin(np.asarray(names[:]).astype(object), list(arrays)))
    if not rows.size:
        return
    first, last = int(rows[0]), int(rows[-1]) + 1
    positions = np.asarray(column[first:last])
    for row in (rows - first).tolist():
        place = json.loads(str(positions[row]))
        place.update({name: place[name] + offset[name] for name in offset if name in place})
        positions[row] = json.dumps(place, ensure_ascii=False)
    column[first:last] = positions


def _column(group: zarr.Group, name: str, count: int) -> Any:
    """Return the array of a column; make it if it does not exist, also in an older table."""
    if name in group:
        return group[name]
    kind, description = COLUMNS[name]
    array = group.create_array(
        name,
        shape=(count,),
        chunks=(CHUNK_ROWS,),
        dtype=kind,
        dimension_names=(DIMENSION,),
        attributes={"description": description},
    )
    if count:
        array[:] = np.full(count, _default(name), _dtype(name))
    return array


def _group(store: IcechunkStore) -> zarr.Group:
    try:
        return zarr.open_group(store, path=GROUP, mode="r+", zarr_format=3)
    except FileNotFoundError:
        for path, description in _DESCRIPTIONS.items():
            made = zarr.create_group(
                store, path=path, zarr_format=3, attributes={"description": description}
            )
        return made


def read_sources_table(store: IcechunkStore) -> Sources:
    """Read the table of a repository; return an empty one if there is none."""
    return Sources(read_columns(store, COLUMNS))


def read_columns(
    store: IcechunkStore, names: Collection[str], rows: NDArray[np.int64] | slice = slice(None)
) -> dict[str, NDArray[Any]]:
    """Read columns of the table, all their rows by default."""
    found: dict[str, NDArray[Any]] = {}
    total, is_slice = 0, isinstance(rows, slice)
    with suppress(FileNotFoundError):
        group = zarr.open_group(store, path=GROUP, mode="r", zarr_format=3)
        columns: dict[str, Any] = {name: group[name] for name in names if name in group}
        total = max((column.shape[0] for column in columns.values()), default=0)
        for name, column in columns.items():
            found[name] = np.asarray(column[rows] if is_slice else column.oindex[rows])
    for name in set(names) - found.keys():
        length = len(range(total)[rows]) if isinstance(rows, slice) else rows.size
        found[name] = np.full(length, _default(name), _dtype(name))
    return found


def source_parts(store: IcechunkStore, names: Collection[str]) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield columns of the table, `PART_ROWS` rows at a time."""
    start, length = 0, PART_ROWS
    while length == PART_ROWS:
        part = read_columns(store, names, slice(start, start + PART_ROWS))
        length = len(next(iter(part.values())))
        if length:
            yield part
        start += PART_ROWS


def _default(column: str) -> Any:
    return _DEFAULTS.get(column, "" if COLUMNS[column][0] == "string" else 0)


def _dtype(column: str) -> np.dtype[Any]:
    kind = COLUMNS[column][0]
    return np.dtypes.StringDType() if kind == "string" else np.dtype(kind)
