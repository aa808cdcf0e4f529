"""What a repository recorded of each file: the table of sources, read in parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import batched, chain
from typing import Any, Self

import numpy as np
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.listing import before_glob, is_folder, is_glob, listed_parts
from virtual_tiff.inventory.unchanged import FileStates, compared, hashes, table_of
from virtual_tiff.publishing.sources_table import (
    COLUMNS,
    PART_ROWS,
    Sources,
    read_columns,
    source_parts,
)
from virtual_tiff.storage.resolve import AddressRegistry
from virtual_tiff.storage.run import run
from virtual_tiff.storage.source import Source

#: A file, and what was recorded of it.
type Recorded = tuple[str, Sequence[Source]]
#: Reads columns of rows of a table of sources.
type ReadRows = Callable[[Collection[str], NDArray[np.int64]], dict[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True, eq=False)
class RecordedStates:
    """What was recorded of each file: more than one state if it was published twice.

    Files have numbers in the order of their first rows. All texts stay in the table.

    Parameters
    ----------
    read
        Reads the table.
    rows
        Shape `(rows,)`: the rows of the table that count.
    of_url
        Shape `(rows,)`: number of the file of each row.
    first
        Shape `(files,)`: the first of the rows of each file.
    """

    read: ReadRows
    rows: NDArray[np.int64]
    of_url: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, sources: Sources) -> Self:
        """Find the files of rows that are in memory; all of them count."""

        def read(names: Collection[str], rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
            return {name: sources[name][rows] for name in names}

        return cls._of_rows(read, np.arange(len(sources)), hashes(sources["url"].tolist()))

    @classmethod
    def current(cls, store: IcechunkStore) -> Self:
        """Find the files of a repository.

        Rows count that are the last of their place, in arrays that are still there.
        """
        places, urls, there = [], [], []
        for part in source_parts(store, ("array", "position", "url")):
            arrays = part["array"].tolist()
            exist = run(_exist(store, set(arrays)))
            there.append(np.fromiter(map(exist.__getitem__, arrays), bool, len(arrays)))
            pairs = zip(arrays, part["position"].tolist(), strict=True)
            places.append(hashes(list(pairs)))
            urls.append(hashes(part["url"].tolist()))
        if not urls:
            return cls._of_rows(partial(read_columns, store), *np.empty((2, 0), np.int64))
        place = np.concatenate(places)
        order = np.argsort(place, kind="stable")
        kept = np.concatenate(there)
        kept[order[:-1][np.diff(place[order]) == 0]] = False
        rows = np.flatnonzero(kept)
        return cls._of_rows(partial(read_columns, store), rows, np.concatenate(urls)[rows])

    @classmethod
    def _of_rows(cls, read: ReadRows, rows: NDArray[np.int64], keys: NDArray[np.int64]) -> Self:
        _, first, of_key = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty_like(order)
        number[order] = np.arange(order.size)
        return cls(read, rows, number[of_key], first[order])

    def __len__(self) -> int:
        return self.first.size

    def sources(self, chosen: NDArray[np.int64]) -> Sources:
        """Read some of the rows that count, by their numbers among those."""
        return Sources(self.read(COLUMNS, self.rows[chosen]))

    def urls(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """Yield the addresses of files."""
        for part in _parts(self.first[start:stop]):
            yield from self.read(("url",), self.rows[part])["url"].tolist()

    def arrays(self) -> set[str]:
        """Return the paths of the arrays of the rows that count."""
        parts = (
            self.read(("array",), self.rows[part]) for part in _parts(np.arange(self.rows.size))
        )
        return {array for part in parts for array in part["array"].tolist()}

    def rows_without(self, urls: Collection[str]) -> NDArray[np.int64]:
        """Return numbers of the rows that count, but those of some files."""
        left = np.ones(len(self), bool)
        if urls:
            left[[number for number, url in enumerate(self.urls()) if url in urls]] = False
        return np.flatnonzero(left[self.of_url])

    def items(self, without: NDArray[np.bool_] | None = None) -> Iterator[Recorded]:
        """Yield each file with its states, but those of a mask."""
        wanted = np.arange(len(self)) if without is None else np.flatnonzero(~without)
        for files in _parts(wanted):
            chosen = np.zeros(len(self), bool)
            chosen[files] = True
            rows = np.flatnonzero(chosen[self.of_url])
            sources = self.sources(rows)
            states: dict[int, dict[Source, None]] = {number: {} for number in files.tolist()}
            for row, number in enumerate(self.of_url[rows].tolist()):
                states[number][sources.source(row)] = None
            for each in states.values():
                yield next(iter(each)).url, tuple(each)

    def unchanged(self, listings: Sequence[str], registry: AddressRegistry) -> NDArray[np.bool_]:
        """Return which files listings show as they were recorded; shape `(files,)`, false without.

        Raises
        ------
        InvalidOptionError
            An address is no folder and no pattern, or no file is below it.
        """
        if not listings:
            return np.zeros(len(self), bool)
        for listing in listings:
            self._check_listing(listing)
        parts = _parts(np.arange(self.rows.size))
        before = FileStates.concatenated([FileStates.of(self.sources(p).files()) for p in parts])
        order = np.argsort(before.url, kind="stable")
        seen, changed = np.zeros((2, self.rows.size), bool)
        listed = chain.from_iterable(listed_parts(each, registry) for each in listings)
        for some in batched(chain.from_iterable(part.items() for part in listed), PART_ROWS):
            part = dict(some)
            row, _, same = compared(before, FileStates.of(table_of(list(part), part)), order)
            seen[row[same]] = True
            changed[row[~same]] = True
        sound = np.ones(len(self), bool)
        sound[self.of_url[~seen | changed]] = False
        return sound

    def _check_listing(self, url: str) -> None:
        if not (is_folder(url) or is_glob(url)):
            raise InvalidOptionError(
                "this is no folder, prefix or pattern to list.",
                url=url,
                remedy="Prefixes end in a slash.",
            )
        start = before_glob(url)
        if not any(each.startswith(start) for each in self.urls()):
            raise InvalidOptionError("the repository refers to no file there.", url=url)


def _parts(numbers: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, numbers.size, PART_ROWS):
        yield numbers[start : start + PART_ROWS]


async def _exist(store: IcechunkStore, arrays: Iterable[str]) -> dict[str, bool]:
    return {array: await store.exists(f"{array}/zarr.json") for array in arrays}
