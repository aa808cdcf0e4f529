"""The table of sources in a repository: which file each image of a cube came from, and its state.

It is what `verify` compares the files with, and what keeps an image from being added twice. It
lies in the group `sources` at the root, as one-dimensional arrays that xarray opens as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

GROUP = "sources"
DIMENSION = "image"
#: Rows in one chunk. Text is encoded a whole chunk at a time, however few rows are new.
_CHUNK_ROWS = 8_192
#: `last_modified` where it is not known.
NO_TIME = np.iinfo(np.int64).min

#: Columns and their Zarr data types. `array` is the path of the array, `coordinate` where in it
#: the image is (text; empty where the array is that image), `band` which band of the image the
#: array holds (from 0; -1 for all), `last_modified` microseconds since 1970 in UTC (the least int64
#: where unknown).
COLUMNS = {
    "array": "string",
    "coordinate": "string",
    "url": "string",
    "ifd": "string",
    "band": "int64",
    "size": "uint64",
    "etag": "string",
    "last_modified": "int64",
}


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Columns of the table, of equal length; see `COLUMNS`."""

    columns: dict[str, NDArray[Any]]

    def __post_init__(self) -> None:
        if set(self.columns) != set(COLUMNS):
            raise AssertionError(f"columns {sorted(self.columns)}")
        if len({len(column) for column in self.columns.values()}) > 1:
            raise AssertionError("columns of unequal length")

    def __len__(self) -> int:
        return len(self.columns["url"])

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    def places(self) -> set[tuple[str, str]]:
        """Array and coordinate of every image."""
        return set(zip(self["array"].tolist(), self["coordinate"].tolist(), strict=True))


def sources_table(
    *,
    arrays: Sequence[str],
    coordinates: Sequence[str],
    urls: Sequence[str],
    ifds: Sequence[str],
    bands: Sequence[int],
    sizes: Sequence[int],
    etags: Sequence[str | None],
    last_modified: NDArray[np.int64],
) -> Sources:
    """Make a table from columns.

    Parameters
    ----------
    last_modified
        Microseconds since 1970, UTC; the least int64 where unknown.
    """
    text = np.dtypes.StringDType()
    return Sources(
        {
            "array": np.array(arrays, text),
            "coordinate": np.array(coordinates, text),
            "url": np.array(urls, text),
            "ifd": np.array(ifds, text),
            "band": np.array(bands, np.int64),
            "size": np.array(sizes, np.uint64),
            "etag": np.array([etag or "" for etag in etags], text),
            "last_modified": last_modified,
        }
    )


def concatenated(tables: Sequence[Sources]) -> Sources:
    """Put the rows of several tables under one another."""
    return Sources({name: np.concatenate([t[name] for t in tables]) for name in COLUMNS})


def modified_times(column: Any) -> NDArray[np.int64]:
    """An Arrow column of timestamps as microseconds since 1970, the least int64 for null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = pc.fill_null(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), NO_TIME)
    values: NDArray[np.int64] = counts.to_numpy()
    return values


def add_sources(store: Any, sources: Sources) -> None:
    """Add rows to the table of a repository, which is made if it is not there."""
    if not len(sources):
        return
    group = zarr.open_group(store, path=GROUP, mode="a", zarr_format=3)
    count = 0
    for name, kind in COLUMNS.items():
        values = sources[name]
        if name not in group:
            array: Any = group.create_array(
                name,
                shape=values.shape,
                chunks=(_CHUNK_ROWS,),
                dtype=kind,
                dimension_names=(DIMENSION,),
            )
        else:
            array = group[name]
            count = array.shape[0]
            array.resize((count + len(values),))
        array[count:] = values


def read_sources_table(store: Any) -> Sources:
    """Read the table of a repository; it is empty if there is none."""
    try:
        group = zarr.open_group(store, path=GROUP, mode="r", zarr_format=3)
        columns = {name: np.asarray(group[name][:]) for name in COLUMNS}  # type: ignore[index]
    except (FileNotFoundError, KeyError):
        columns = {
            name: np.empty(0, np.dtypes.StringDType() if kind == "string" else kind)
            for name, kind in COLUMNS.items()
        }
    return Sources(columns)
