"""Which files a repository refers to, and for which arrays: columns of the table of sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.publishing.sources_table import read_columns


@dataclass(frozen=True, slots=True, eq=False)
class RecordedFiles:
    """Which files the table of sources names, for which arrays.

    Parameters
    ----------
    arrays, urls
        Distinct ones, in the order of their first rows.
    of_array, of_url
        Shape `(rows,)`: numbers of the array and of the file of each row.
    alone
        Shape `(rows,)`: whether the image is all of its array, as in the group of a file.
    size
        Of all files in bytes.
    """

    arrays: list[str]
    urls: pa.Array
    of_array: NDArray[np.int64]
    of_url: NDArray[np.int64]
    alone: NDArray[np.bool_]
    size: int

    @classmethod
    def read(cls, store: IcechunkStore) -> Self:
        """Read what is needed of the table, a column at a time."""
        arrays, of_array = numbered(read_columns(store, ["array"])["array"])
        urls, of_url = numbered(read_columns(store, ["url"])["url"])
        found = read_columns(store, ["position", "size"])
        sizes = np.zeros(len(urls), np.uint64)
        # Of a file that was recorded twice, the last row counts.
        sizes[of_url] = found["size"]
        return cls(
            arrays.to_pylist(), urls, of_array, of_url, found["position"] == "{}", int(sizes.sum())
        )

    @property
    def images(self) -> Mapping[str, int]:
        """Number of rows of each array; 0 for arrays without one."""
        counts = np.bincount(self.of_array, minlength=len(self.arrays)).tolist()
        return Counter(dict(zip(self.arrays, counts, strict=True)))

    def by_group(self, *, alone: bool) -> dict[str, tuple[int, str]]:
        """Number of files of each group, and one of them."""
        paths = [array.rpartition("/")[0] for array in self.arrays]
        numbers = {path: number for number, path in enumerate(dict.fromkeys(paths))}
        of_path = np.array([numbers[path] for path in paths], np.int64)
        rows = self.alone == alone
        files = max(1, len(self.urls))
        # `np.unique` takes ten times as long.
        pairs = np.sort(of_path[self.of_array[rows]] * files + self.of_url[rows])
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        first = np.flatnonzero(np.diff(pairs // files, prepend=-1))
        counts = np.diff(first, append=pairs.size)
        names = list(numbers)
        return {
            names[pair // files]: (count, self.urls[pair % files].as_py())
            for pair, count in zip(pairs[first].tolist(), counts.tolist(), strict=True)
        }


def numbered(texts: NDArray[Any]) -> tuple[pa.Array, NDArray[np.int64]]:
    """Distinct texts in the order in which they come, and the number of each text among them."""
    found = pa.array(texts.tolist(), pa.large_string()).dictionary_encode()
    return found.dictionary, found.indices.to_numpy().astype(np.int64)
