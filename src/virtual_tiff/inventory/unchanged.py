"""Which files are what they were, by what a listing tells: no request to any of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from virtual_tiff.inventory.listing import Listing
from virtual_tiff.storage.addresses import WEB_SCHEMES, is_local, local_path

_TIME = pa.timestamp("us", "UTC")
_NO_TIME = np.iinfo(np.int64).min
#: Rows of which there are texts at a time.
_PART = 65_536


def metadata_now(url: str, listing: Listing) -> Mapping[str, object] | None:
    """Return what is known of a file without a request to a server; `None` if nothing is."""
    if url in listing or not is_local(url):
        found: Mapping[str, object] | None = listing.get(url)
        return found
    try:
        status = local_path(url).stat()
    except (OSError, ValueError):
        return {"size": -1}
    time = datetime.fromtimestamp(status.st_mtime_ns // 1_000_000_000, UTC)
    time += timedelta(microseconds=status.st_mtime_ns // 1000 % 1_000_000)
    return {"size": status.st_size, "last_modified": time}


def unchanged(recorded: pa.Table, urls: Sequence[str], listing: Listing) -> NDArray[np.bool_]:
    """Return which of some files are certainly what they were when they were recorded.

    Parameters
    ----------
    recorded
        Table with the columns `url`, `size`, `etag` and `last_modified`, in which a file may have
        several rows: all of them have to be equal.
    urls
        Addresses of the files, each once.
    listing
        What is known of them now.

    Returns
    -------
    numpy.ndarray
        Shape `(urls,)`; false for files that have no row, or that no listing tells of.
    """
    before = FileStates.of(recorded)
    now = FileStates.of(table_of(urls, listing))
    _, place, same = compared(before, now, np.argsort(before.url, kind="stable"))
    good = np.bincount(place[same], minlength=len(urls)) > 0
    bad = np.bincount(place[~same], minlength=len(urls)) > 0
    return good & ~bad


@dataclass(frozen=True, slots=True, eq=False)
class FileStates:
    """What is known of files, 33 bytes for each: texts are hashes of this process.

    Parameters
    ----------
    url, size, tag, time
        Shape `(files,)`. `tag` is 0 and `time` the least int64 where unknown.
    weak
        Whether an ETag may stay the same when the content changes; see `Source.has_strong_tag`.
    """

    url: NDArray[np.int64]
    size: NDArray[np.int64]
    tag: NDArray[np.int64]
    time: NDArray[np.int64]
    weak: NDArray[np.bool_]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Take the columns `url`, `size`, `etag` and `last_modified` of a table."""
        parts = [table.slice(start, _PART) for start in range(0, len(table), _PART)]
        return cls.concatenated([cls._of_part(part) for part in parts])

    @classmethod
    def _of_part(cls, table: pa.Table) -> Self:
        tags = pc.fill_null(table["etag"].cast(pa.string()), "")
        times = pc.fill_null(table["last_modified"].cast(_TIME).cast(pa.int64()), _NO_TIME)
        return cls(
            url=hashes(table["url"].to_pylist()),
            size=pc.fill_null(table["size"].cast(pa.int64()), -1).to_numpy(),
            # Azure's listings leave out the quotes.
            tag=hashes(pc.utf8_trim(tags, '"').to_pylist()),
            time=times.to_numpy(),
            weak=_is_weak(table["url"], tags),
        )

    @classmethod
    def concatenated(cls, parts: Sequence[Self]) -> Self:
        """Concatenate states."""
        numbers, switches = np.empty(0, np.int64), np.empty(0, np.bool_)
        return cls(
            url=np.concatenate([numbers, *(part.url for part in parts)]),
            size=np.concatenate([numbers, *(part.size for part in parts)]),
            tag=np.concatenate([numbers, *(part.tag for part in parts)]),
            time=np.concatenate([numbers, *(part.time for part in parts)]),
            weak=np.concatenate([switches, *(part.weak for part in parts)]),
        )

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Keep these rows."""
        return type(self)(
            self.url[rows], self.size[rows], self.tag[rows], self.time[rows], self.weak[rows]
        )


def compared(
    recorded: FileStates, now: FileStates, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Compare what was recorded of files with what is known now.

    Certainly the same are those whose size is equal, and whose ETag or time of the last change is,
    wherever both tell it; `virtual_tiff.storage.source.Source.difference` compares two alike.

    Parameters
    ----------
    recorded, now
        The states; those of one file may be several rows of `recorded`.
    order
        Rows of `recorded` by `url`.

    Returns
    -------
    row, place : numpy.ndarray
        Rows of `recorded` and of `now` that are of one file.
    same : numpy.ndarray
        Whether the file is certainly what it was.
    """
    keys = recorded.url[order]
    start, end = (np.searchsorted(keys, now.url, side) for side in ("left", "right"))
    counts = end - start
    place = np.repeat(np.arange(now.url.size), counts)
    within = np.arange(place.size) - np.repeat(np.cumsum(counts) - counts, counts)
    row = order[np.repeat(start, counts) + within]
    before, after = recorded.take(row), now.take(place)
    same = (before.size == after.size) & (before.size >= 0)
    tagged = (before.tag != 0) & (after.tag != 0)
    same &= ~tagged | (before.tag == after.tag)
    timed = (before.time != _NO_TIME) & (after.time != _NO_TIME)
    # The ETag of an object store alone tells: equal content may be written again.
    strong = tagged & ~before.weak
    same &= strong | ~timed | (before.time == after.time)
    same &= tagged | timed
    return row, place, same


def hashes(values: Sequence[Hashable]) -> NDArray[np.int64]:
    """Return a hash of each value, of 64 bits that differ between processes; 0 for ""."""
    return np.fromiter(map(hash, values), np.int64, len(values))


def table_of(urls: Sequence[str], listing: Listing) -> pa.Table:
    """Make a table of what is known of files now: `url`, `size`, `etag` and `last_modified`."""
    found = [metadata_now(url, listing) or {} for url in urls]
    sizes = [each.get("size", -1) for each in found]
    tags = [each.get("e_tag") for each in found]
    times = [each.get("last_modified") for each in found]
    return pa.table(
        {
            "url": pa.array(urls, pa.string()),
            "size": pa.array(sizes, pa.int64()),
            "etag": pa.array(tags, pa.string()),
            "last_modified": pa.array(times, _TIME),
        }
    )


def _is_weak(urls: pa.ChunkedArray, tags: pa.ChunkedArray) -> NDArray[np.bool_]:
    weak = pc.starts_with(tags, "W/")
    for scheme in ("file", *WEB_SCHEMES):
        weak = pc.or_(weak, pc.starts_with(urls, f"{scheme}://"))
    return np.asarray(weak.to_numpy(zero_copy_only=False), bool)
