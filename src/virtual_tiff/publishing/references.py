"""Rows of an inventory → virtual references of a stacked array, straight from numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.cubes.plan import Band, CubeVariable
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.planning.metadata import chunk_key
from virtual_tiff.publishing.sources_table import NO_TIME, modified_times
from virtual_tiff.publishing.zarr_store import put
from virtual_tiff.storage.addresses import checksum_of, chunk_location

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """Where the chunks of many images are, as columns.

    Parameters
    ----------
    urls, etags
        One for each image.
    last_modified
        Shape `(images,)`, microseconds since 1970 in UTC; the least int64 where unknown.
    starts
        Shape `(images + 1,)`: where the chunks of each image begin in the next two.
    offsets, lengths
        Shape `(chunks,)`, uint64, bytes, in C order of each image's chunk grid.
    inline
        Chunks that are kept as bytes, by image and index in its chunk grid.
    """

    urls: Sequence[str]
    etags: Sequence[str | None]
    last_modified: NDArray[np.int64]
    starts: NDArray[np.int64]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    inline: Mapping[int, Sequence[tuple[tuple[int, ...], bytes]]]

    @classmethod
    def of(cls, inventory: Inventory, rows: NDArray[np.int64]) -> References:
        """Take the columns of some rows of an inventory."""
        table = inventory.table.select(
            ["url", "etag", "last_modified", "offsets", "lengths", "inline"]
        ).take(pa.array(rows))
        starts, offsets = _flat(table["offsets"])
        _, lengths = _flat(table["lengths"])
        inline = {
            image: [(tuple(chunk["index"]), chunk["data"]) for chunk in chunks]
            for image, chunks in enumerate(table["inline"].to_pylist())
            if chunks
        }
        return cls(
            urls=table["url"].to_pylist(),
            etags=table["etag"].to_pylist(),
            last_modified=modified_times(table["last_modified"]),
            starts=starts,
            offsets=offsets,
            lengths=lengths,
            inline=inline,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """References that are still to be written: the arguments of `write_references_of`."""

    array_path: str
    variable: CubeVariable
    references: References
    steps: NDArray[np.int64]

    def write(self, store: Any) -> None:
        """Write them into a session."""
        write_references_of(store, self.array_path, self.variable, self.references, self.steps)


def write_references_of(
    store: Any,
    array_path: str,
    variable: CubeVariable,
    references: References,
    steps: NDArray[np.int64],
) -> None:
    """Write the references of images into a stacked array.

    Parameters
    ----------
    store
        Icechunk store of a writable session, or of a fork of one.
    array_path
        Such as `/data`.
    variable
        Whose array it is; its `rows` are not looked at.
    references
        Of the images.
    steps
        Shape `(images,)`: where each goes along the first dimension.

    Raises
    ------
    RepositoryError
        No virtual chunk container of the repository holds a URL.
    """
    grid = variable.image.grid_shape
    inner = (0,) * len(grid)
    starts = references.starts.tolist()
    for image, step in enumerate(steps.tolist()):
        part = slice(starts[image], starts[image + 1])
        offsets = _of_band(references.offsets[part], grid, variable.band)
        lengths = _of_band(references.lengths[part], grid, variable.band)
        url = references.urls[image]
        location = chunk_location(url)
        locations = [location] * lengths.size
        if not lengths.all():
            locations = [location if length else "" for length in lengths.tolist()]
        refused = store.set_virtual_refs_arr(
            array_path,
            (1, *grid),
            locations,
            offsets,
            lengths,
            arr_offset=(step, *inner),
            checksum=_checksum(references, image),
        )
        if refused:
            raise RepositoryError(
                "no virtual chunk container of the repository holds this URL.",
                kind=ErrorKind.REPOSITORY,
                url=url,
                remedy="Open the repository with a container for its prefix, and save that.",
            )
        for index, data in references.inline.get(image, ()):
            place = _place_of_band(index, variable.band)
            if place is not None:
                put(store, f"{array_path.lstrip('/')}/{chunk_key((step, *place))}", data)


def _of_band(
    values: NDArray[np.uint64], grid: tuple[int, ...], band: Band | None
) -> NDArray[np.uint64]:
    if band is None:
        return values
    whole = values.reshape(*grid[: band.axis], band.count, *grid[band.axis :])
    return np.ascontiguousarray(whole.take(band.index, band.axis)).reshape(-1)


def _place_of_band(index: tuple[int, ...], band: Band | None) -> tuple[int, ...] | None:
    """Index of an inline chunk in the array of a band; `None` if it is of another band."""
    if band is None:
        return index
    if index[band.axis] != band.index:
        return None
    return (*index[: band.axis], *index[band.axis + 1 :])


def _checksum(references: References, image: int) -> str | datetime | None:
    modified = int(references.last_modified[image])
    known = None if modified == NO_TIME else _EPOCH + timedelta(microseconds=modified)
    return checksum_of(references.urls[image], references.etags[image], known)


def _flat(column: Any) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Values of a column of lists, and where each list starts."""
    arrays = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    sizes = [np.diff(array.offsets.to_numpy()) for array in arrays]
    values = [array.flatten().to_numpy() for array in arrays]
    starts = np.concatenate([[0], *sizes]).astype(np.int64).cumsum()
    return starts, np.concatenate(values) if values else np.empty(0, np.uint64)
