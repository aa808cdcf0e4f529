"""The table of sources of a repository: which file each image came from, and its state.

`verify` compares the files with it, and it keeps an image from being added twice. It is the group
`_virtual_tiff/sources`, of one-dimensional arrays that xarray opens as a table: a row for each
image of each array, whatever published it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

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

    def __len__(self) -> int:
        return len(self.columns["url"])

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    def take(self, rows: Sequence[int]) -> Sources:
        """Keep these rows."""
        return Sources({name: values[list(rows)] for name, values in self.columns.items()})

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

    def places(self) -> set[tuple[str, str]]:
        """Array and position of every image."""
        return set(zip(self["array"].tolist(), self["position"].tolist(), strict=True))


def concatenated(tables: Sequence[Sources]) -> Sources:
    """Concatenate tables."""
    return Sources({name: np.concatenate([t[name] for t in tables]) for name in COLUMNS})


def microseconds(time: datetime | None) -> int:
    """A time as the table holds it."""
    return NO_TIME if time is None else (time - _EPOCH) // timedelta(microseconds=1)


def time_of(count: int) -> datetime | None:
    """The time that the table holds."""
    return None if count == NO_TIME else _EPOCH + timedelta(microseconds=count)


def modified_times(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """An Arrow column of timestamps as the table holds them."""
    counts = pc.fill_null(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), NO_TIME)
    values: NDArray[np.int64] = counts.to_numpy()
    return values


def add_sources(store: IcechunkStore, sources: Sources) -> None:
    """Add rows to the table of a repository; create it if it does not exist."""
    group = _group(store)
    count = group["url"].shape[0] if "url" in group else 0  # type: ignore[union-attr]
    for name, (kind, description) in COLUMNS.items():
        values = sources[name]
        if name not in group:
            array: Any = group.create_array(
                name,
                shape=(count + len(values),),
                chunks=(CHUNK_ROWS,),
                dtype=kind,
                dimension_names=(DIMENSION,),
                attributes={"description": description},
            )
        else:
            array = group[name]
            array.resize((count + len(values),))
        array[count:] = values


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
    try:
        group = zarr.open_group(store, path=GROUP, mode="r", zarr_format=3)
        found = {name: np.asarray(group[name][:]) for name in COLUMNS if name in group}  # type: ignore[index]
    except FileNotFoundError:
        found = {}
    count = max(map(len, found.values()), default=0)
    for name in COLUMNS.keys() - found.keys():
        kind = _dtype(name)
        default = _DEFAULTS.get(name, "" if kind.kind == "T" else 0)
        found[name] = np.full(count, default, kind)
    return Sources(found)


def _dtype(column: str) -> np.dtype[Any]:
    kind = COLUMNS[column][0]
    return np.dtypes.StringDType() if kind == "string" else np.dtype(kind)
