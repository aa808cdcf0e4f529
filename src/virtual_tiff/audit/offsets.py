"""Where in its file the chunk of an array is, as the references of a repository say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.publishing.references import VIRTUAL
from virtual_tiff.storage.run import run


class Offsets:
    """Offsets of virtual chunks, read for a whole array when the first of them is asked for."""

    def __init__(self, store: IcechunkStore) -> None:
        self._store = store
        self._array: str | None = None
        self._places: NDArray[np.uint32] = np.empty((0, 0), np.uint32)
        self._offsets: NDArray[np.uint64] = np.empty(0, np.uint64)

    def find(self, array: str, index: Sequence[int]) -> int | None:
        """Return the offset of a chunk; `None` if it is no reference."""
        if array != self._array:
            # Only the last array is kept: samples of one array follow each other.
            run(self._read(array))
            self._array = array
        if not self._places.size:
            return None
        found = np.flatnonzero((self._places == np.asarray(index, np.uint32)).all(axis=1))
        return int(self._offsets[found[0]]) if found.size else None

    async def _read(self, array: str) -> None:
        places, offsets = [], []
        async for coords, kinds, _, starts, *_ in self._store.array_chunk_iterator(f"/{array}"):
            virtual = kinds == VIRTUAL
            places.append(coords[virtual])
            offsets.append(starts[virtual])
        self._places = np.concatenate(places) if places else np.empty((0, 0), np.uint32)
        self._offsets = np.concatenate(offsets) if offsets else np.empty(0, np.uint64)
