"""Virtual references of images, straight from numpy: columns of an inventory, or one plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from icechunk import IcechunkStore
from numpy.typing import NDArray
from zarr.buffer.cpu import Buffer

from virtual_tiff.cubes.plan import Band
from virtual_tiff.errors import RepositoryError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.planning.metadata import chunk_key
from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex
from virtual_tiff.publishing.sources_table import microseconds, modified_times, time_of
from virtual_tiff.storage.addresses import checksum_of, chunk_location

#: Kind of virtual chunks in `IcechunkStore.array_chunk_iterator`.
VIRTUAL = 2
#: Chunks that were written: references, and stored ones.
type Counts = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """References of the chunks of many images, as columns.

    Parameters
    ----------
    urls, etags
        URL and ETag of each image.
    last_modified
        Shape `(images,)`, microseconds since 1970 in UTC; the least int64 if unknown.
    starts
        Shape `(images + 1,)`: start of the chunks of each image in `offsets` and `lengths`.
    offsets, lengths
        Shape `(chunks,)`, uint64, bytes, in C order of each image's chunk grid.
    inline
        Chunks stored as bytes, by image and index in its chunk grid.
    """

    urls: Sequence[str]
    etags: Sequence[str | None]
    last_modified: Sequence[int] | NDArray[np.int64]
    starts: Sequence[int] | NDArray[np.int64]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    inline: Mapping[int, Sequence[tuple[ChunkIndex, bytes]]]

    @classmethod
    def of(cls, inventory: Inventory, rows: NDArray[np.int64]) -> References:
        """Return the references of rows of an inventory."""
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

    @classmethod
    def of_plan(cls, plan: ArrayPlan) -> References:
        """Take those of one array."""
        if plan.partial:
            raise AssertionError("partial segments must be completed first")
        source = plan.source
        return cls(
            urls=["" if source is None else source.url],
            etags=[None if source is None else source.etag],
            last_modified=[microseconds(None if source is None else source.last_modified)],
            starts=[0, plan.lengths.size],
            offsets=np.ascontiguousarray(plan.offsets).reshape(-1),
            lengths=np.ascontiguousarray(plan.lengths).reshape(-1),
            inline={0: list(plan.inline.items())},
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """References of an array that are still to be written.

    Parameters
    ----------
    group
        Path of the group that they are counted for.
    array
        Path of the array.
    grid
        Chunks along each dimension of an image, which are in `grids` where images have several
        sizes (shape `(images, dimensions)`).
    references
        Of the images.
    first
        Shape `(images, dimensions of the array)`: index of the first chunk of each image; `None`
        where the one image is the array.
    within
        Which dimensions of the array are those of an image.
    band
        The band of planar images that the array holds; `None` for all.
    images
        Number of images that are done with it, for progress.
    replaced
        Shape `(images,)`: which images take the place of others, whose chunks they delete.
    """

    group: str
    array: str
    grid: tuple[int, ...]
    references: References
    grids: NDArray[np.int64] | None = None
    first: NDArray[np.int64] | None = None
    within: tuple[int, ...] = ()
    band: Band | None = None
    images: int = 0
    replaced: NDArray[np.bool_] | None = None

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of references and of stored chunks, and the bytes of those."""
        starts = np.asarray(self.references.starts).tolist()
        referenced = 0
        for image in range(len(starts) - 1):
            grid = self.grid if self.grids is None else tuple(self.grids[image].tolist())
            lengths = self.references.lengths[starts[image] : starts[image + 1]]
            referenced += int(np.count_nonzero(_of_band(lengths, grid, self.band)))
        chunks = [
            data
            for image in self.references.inline.values()
            for index, data in image
            if _place_of_band(index, self.band) is not None
        ]
        return referenced, len(chunks), sum(map(len, chunks))

    async def write(self, store: IcechunkStore) -> Counts:
        """Write them into a session or fork; refuse URLs that no container covers."""
        starts = np.asarray(self.references.starts).tolist()
        within = tuple(range(len(self.grid))) if self.first is None else self.within
        places = [[0] * len(self.grid)] if self.first is None else self.first.tolist()
        grid = self.grid
        references = stored = 0
        for image, place in enumerate(places):
            if self.grids is not None:
                grid = tuple(self.grids[image].tolist())
            shape = [1] * len(place)
            for dimension, size in zip(within, grid, strict=True):
                shape[dimension] = size
            chunks = slice(starts[image], starts[image + 1])
            if self.replaced is not None and self.replaced[image]:
                await delete_chunks(store, self.array, place, shape)
            references += self._refer(store, image, chunks, grid, tuple(place), tuple(shape))
            for index, data in self.references.inline.get(image, ()):
                inner = _place_of_band(index, self.band)
                if inner is not None:
                    at = list(place)
                    for dimension, i in zip(within, inner, strict=True):
                        at[dimension] += i
                    key = f"{self.array}/{chunk_key(tuple(at))}"
                    await store.set(key, Buffer.from_bytes(data))
                    stored += 1
        return references, stored

    def _refer(
        self,
        store: IcechunkStore,
        image: int,
        chunks: slice,
        grid: tuple[int, ...],
        place: ChunkIndex,
        shape: tuple[int, ...],
    ) -> int:
        """Write the references of one image, and count them."""
        found = self.references
        lengths = _of_band(found.lengths[chunks], grid, self.band)
        count = int(np.count_nonzero(lengths))
        if not count:
            return 0
        url = found.urls[image]
        # One string for all chunks.
        locations = [chunk_location(url)] * lengths.size
        if count < lengths.size:
            for missing in np.flatnonzero(lengths == 0).tolist():
                locations[missing] = ""
        refused = store.set_virtual_refs_arr(
            f"/{self.array}",
            shape,
            locations,
            _of_band(found.offsets[chunks], grid, self.band),
            lengths,
            arr_offset=place,
            checksum=checksum_of(url, found.etags[image], time_of(int(found.last_modified[image]))),
        )
        if refused:
            raise RepositoryError(
                "no virtual chunk container of the repository covers this URL.",
                url=url,
                remedy="Open the repository with a container for its prefix, and save that.",
            )
        return count


async def delete_chunks(
    store: IcechunkStore, array: str, first: Sequence[int], shape: Sequence[int]
) -> None:
    """Delete the chunks of an array from a first one on, so many along each dimension."""
    for index in np.ndindex(*shape):
        at = tuple(start + i for start, i in zip(first, index, strict=True))
        await store.delete(f"{array}/{chunk_key(at)}")


def _of_band(
    values: NDArray[np.uint64], grid: tuple[int, ...], band: Band | None
) -> NDArray[np.uint64]:
    if band is None:
        return values
    whole = values.reshape(*grid[: band.axis], band.count, *grid[band.axis :])
    return np.ascontiguousarray(whole.take(band.index, band.axis)).reshape(-1)


def _place_of_band(index: ChunkIndex, band: Band | None) -> ChunkIndex | None:
    """Return the index of an inline chunk in the array of a band; `None` for other bands."""
    if band is None:
        return index
    if index[band.axis] != band.index:
        return None
    return (*index[: band.axis], *index[band.axis + 1 :])


def _flat(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the values of a column of lists, and the start of each list."""
    arrays = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    sizes = [np.diff(array.offsets.to_numpy()) for array in arrays]
    values = [array.flatten().to_numpy() for array in arrays]
    starts = np.concatenate([[0], *sizes]).astype(np.int64).cumsum()
    return starts, np.concatenate(values) if values else np.empty(0, np.uint64)
