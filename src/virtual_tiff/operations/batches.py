"""Inventories in one file or in several, whole or as batches of rows."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from virtual_tiff.cubes.grouping import groups_of
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.parquet import column_names, read_parquet
from virtual_tiff.inventory.table import SCHEMA, Inventory, is_inventory
from virtual_tiff.inventory.unchanged import hashes
from virtual_tiff.inventory.url_columns import columns_in, with_columns
from virtual_tiff.planning.names import check_group_names

#: Rows that are read from a file at once.
_READ_ROWS = 65_536
#: Schema and bounds of all files of a folder, in none of which are rows.
COMMON_METADATA = "_common_metadata"


def inventory_files(sources: object) -> list[Path]:
    """Return the files of an inventory: one, those of a folder or of a pattern, or several.

    Empty if the sources are something else. A folder is one of an inventory if it has nothing but
    files of inventories, which are taken in the order of their names.
    """
    if isinstance(sources, list | tuple) and sources:
        several: list[Path] = []
        for source in sources:
            # Of a long list of TIFFs, only the first is looked at.
            if not (files := inventory_files(source)):
                return []
            several += files
        return several
    if not isinstance(sources, str | os.PathLike):
        return []
    path = Path(sources)
    if path.is_dir():
        inside = (one for one in path.iterdir() if one.name != COMMON_METADATA)
        found = sorted(one for one in inside if not one.name.startswith("."))
    elif path.is_file():
        found = [path]
    else:
        text = os.fspath(sources)
        found = [Path(one) for one in sorted(glob.glob(text))] if glob.has_magic(text) else []
    return found if all(map(is_inventory, found)) else []


def to_divide(sources: object, images_per_commit: int) -> Inventory | list[Path]:
    """Return the inventory of several commits, or its files; refuse other sources."""
    if images_per_commit < 1:
        raise InvalidOptionError(f"images_per_commit is {images_per_commit}, but must be above 0.")
    found = sources if isinstance(sources, Inventory) else inventory_files(sources)
    if not isinstance(found, Inventory) and not found:
        raise InvalidOptionError(
            "several commits need an inventory, which tells all images before the first.",
            remedy="Scan the files first, and pass the table instead of them.",
        )
    return found


def scan_column(sources: Inventory | Sequence[Path], name: str) -> pa.ChunkedArray:
    """Return a column of the scan; of files nothing else is read."""
    if isinstance(sources, Inventory):
        return sources.table[name]
    kind = SCHEMA.field(name).type
    columns = (read_parquet(each, column_names(each) - {name})[name] for each in sources)
    return pa.chunked_array([chunk for one in columns for chunk in one.cast(kind).chunks], kind)


def joined_inventory(parts: Sequence[Inventory]) -> Inventory:
    """Join inventories; columns of the caller that some lack are null there."""
    if len(parts) == 1:
        return parts[0]
    table = pa.concat_tables([part.table for part in parts], promote_options="permissive")
    return Inventory.from_arrow(table.unify_dictionaries())


def check_groups(batches: Callable[[], Iterable[Inventory]], template: str) -> None:
    """Refuse two files for one group, also of different batches; paths are kept as hashes.

    Raises
    ------
    InvalidOptionError
        With kind `duplicate`.
    """
    groups = (groups_of(batch.images.table, template) for batch in batches())
    hashed = [np.empty(0, np.int64), *(hashes(list(each.values())) for each in groups)]
    values, counts = np.unique(np.concatenate(hashed), return_counts=True)
    twice = set(values[counts > 1].tolist())
    if twice:
        groups = (groups_of(batch.images.table, template) for batch in batches())
        found = {u: path for each in groups for u, path in each.items() if hash(path) in twice}
        check_group_names(list(found.values()), list(found))


def batches_of(
    sources: Inventory | Sequence[Path], size: int, columns: Mapping[str, str] | None = None
) -> Iterator[Inventory]:
    """Yield an inventory in batches of about `size` rows, in the order of its rows.

    Rows of one file are in one batch, and so are images of one time that follow each other, unless
    they are more than `size`. `columns` are added whose types are those of all rows, as
    `with_url_columns` adds them.
    """
    added = columns_in(scan_column(sources, "url"), columns) if columns else None
    start = 0
    for batch in _batches(sources, size):
        if added is None:
            yield batch
            continue
        yield Inventory(with_columns(batch.table, added.slice(start, len(batch))))
        start += len(batch)


def _batches(sources: Inventory | Sequence[Path], size: int) -> Iterator[Inventory]:
    kept: list[Inventory] = []
    count = 0
    for part in _parts(sources):
        kept.append(part)
        count += len(part)
        while count > size:
            found = joined_inventory(kept)
            kept = [found]
            end = _end(found.table, size)
            if end is None:
                break
            yield found.slice(0, end)
            kept, count = [found.slice(end)], count - end
    if count:
        yield joined_inventory(kept)


def _parts(sources: Inventory | Sequence[Path]) -> Iterator[Inventory]:
    if isinstance(sources, Inventory):
        yield sources
        return
    for path in sources:
        yield from Inventory.read_batches(path, _READ_ROWS)


def _end(table: pa.Table, size: int) -> int | None:
    """Return a row from `size` on at which a file begins; `None` to look at more rows first."""
    files = size + np.flatnonzero(_begins(table["url"].slice(size - 1)))
    times = table["datetime"].slice(size - 1)
    if not times.null_count:
        both = files[_begins(times)[files - size]]
        if both.size:
            return int(both[0])
        if table.num_rows <= 2 * size:
            return None
    return int(files[0]) if files.size else None


def _begins(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return where a value differs from the one before, from the second on."""
    values = column.combine_chunks()
    same = pc.equal(values.slice(1), values.slice(0, len(values) - 1))
    found: NDArray[np.bool_] = ~same.to_numpy(zero_copy_only=False)
    return found
