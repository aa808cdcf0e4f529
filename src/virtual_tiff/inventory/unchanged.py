"""Which files are what they were, by what a listing tells: no request to any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from virtual_tiff.inventory.listing import Listing
from virtual_tiff.storage.addresses import WEB_SCHEMES, is_local, local_path

_TIME = pa.timestamp("us", "UTC")


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

    Certain are those whose size is equal, and whose ETag or time of the last change is, wherever
    both tell it; `virtual_tiff.storage.source.Source.difference` compares two alike.

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
    place, same = compared(recorded, table_of(urls, listing))
    good = np.bincount(place[same & (place >= 0)], minlength=len(urls)) > 0
    bad = np.bincount(place[~same & (place >= 0)], minlength=len(urls)) > 0
    return good & ~bad


def compared(recorded: pa.Table, now: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Compare what was recorded of files with a table of what is known now; see `unchanged`.

    Returns
    -------
    place : numpy.ndarray
        Shape `(rows,)`: the row of `now` that is of the same file; -1 for files that it lacks.
    same : numpy.ndarray
        Shape `(rows,)`: whether the file is certainly what it was.
    """
    found = pc.fill_null(pc.index_in(recorded["url"], value_set=now["url"]), -1)
    all_places: NDArray[np.int64] = found.to_numpy().astype(np.int64)
    rows = np.flatnonzero(all_places >= 0)
    place = all_places[rows]
    before, after = recorded.take(pa.array(rows)), now.take(pa.array(place))
    same = _equal(before["size"], after["size"])
    tags = [_text(table["etag"]) for table in (before, after)]
    tagged = (tags[0] != "") & (tags[1] != "")
    same &= ~tagged | (tags[0] == tags[1])
    times = [before["last_modified"].cast(_TIME), after["last_modified"]]
    timed = np.logical_and(*(_numpy(pc.is_valid(each)) for each in times))
    # The ETag of an object store alone tells: equal content may be written again.
    strong = tagged & ~_is_weak(before)
    same &= strong | ~timed | _equal(*times)
    same &= tagged | timed
    all_same = np.zeros(all_places.size, bool)
    all_same[rows] = same
    return all_places, all_same


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


def _is_weak(table: pa.Table) -> NDArray[np.bool_]:
    """Whether an ETag may stay the same when the content changes; see `Source.has_strong_tag`."""
    weak = pc.starts_with(pc.fill_null(table["etag"], ""), "W/")
    for scheme in ("file", *WEB_SCHEMES):
        weak = pc.or_(weak, pc.starts_with(table["url"], f"{scheme}://"))
    return _numpy(weak)


def _text(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return ETags without quotes, which Azure's listings leave out; empty where unknown."""
    texts = pc.utf8_trim(pc.fill_null(column.cast(pa.string()), ""), '"')
    return np.asarray(texts.to_numpy(zero_copy_only=False), object)


def _equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> NDArray[np.bool_]:
    if pa.types.is_integer(one.type):
        one = one.cast(pa.int64())
    return _numpy(pc.fill_null(pc.equal(one, other), False))


def _numpy(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(column.to_numpy(zero_copy_only=False), bool)
