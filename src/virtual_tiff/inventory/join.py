"""Join the rows that were read to the columns of the caller."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from virtual_tiff.inventory.rows import POSITION, Rows
from virtual_tiff.inventory.table import SCHEMA, Inventory


def joined(listed: pa.Table, urls: Sequence[str], parts: Sequence[pa.Table]) -> Inventory:
    """Join rows of the scan, which have positions in `urls`, with the columns of the caller."""
    read = pa.concat_tables(parts) if parts else Rows().take()
    position = read[POSITION].to_numpy()
    order = np.argsort(position, kind="stable")
    counts = np.bincount(position, minlength=len(urls))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    named = pc.index_in(listed["url"], value_set=pa.array(urls, pa.string())).to_numpy()
    # A URL that is named twice gets its rows twice; a file with three images has three rows.
    repeats = counts[named]
    callers = np.repeat(np.arange(len(named)), repeats)
    within = np.arange(callers.size) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    chosen: NDArray[np.intp] = order[np.repeat(starts[named], repeats) + within]
    table = read.drop_columns([POSITION]).take(pa.array(chosen)).unify_dictionaries()
    given = listed.take(pa.array(callers))
    times = pc.coalesce(given["datetime"], table["datetime"])
    table = table.set_column(SCHEMA.get_field_index("datetime"), SCHEMA.field("datetime"), times)
    for name in given.column_names:
        if name not in ("url", "datetime"):
            table = table.append_column(given.schema.field(name), given[name])
    return Inventory(table)
