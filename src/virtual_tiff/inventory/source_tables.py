"""Bring tables of sources into one form: URL, time, and the caller's own columns."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from virtual_tiff.errors import InvalidOptionError, shorten
from virtual_tiff.inventory.source_options import SourceOptions
from virtual_tiff.inventory.table import COLUMNS
from virtual_tiff.inventory.times import as_time
from virtual_tiff.storage.addresses import check_reach, is_local, local_path, source_url

_TIME = pa.timestamp("us", "UTC")


def as_arrow(table: object) -> pa.Table:
    """Return the table of another library as one of Arrow."""
    try:
        return pa.table(table)
    except (pa.ArrowException, TypeError) as error:
        raise InvalidOptionError(
            f"Arrow has no type for a column of this table: {shorten(error)}",
            remedy="Pass the columns that are needed alone, with times as datetime64.",
        ) from error


def url_table(urls: Sequence[str]) -> pa.Table:
    """Make the table of addresses that have nothing beside them."""
    return pa.table({"url": pa.array(urls, pa.string()), "datetime": pa.nulls(len(urls), _TIME)})


def table_of_files(table: pa.Table, url: str | None, options: SourceOptions) -> pa.Table:
    """Take a table of the caller with a column of URLs.

    Relative paths start from `url`, the address of its file.
    """
    names, url_column = table.column_names, options.url_column
    if url_column not in names:
        raise InvalidOptionError(
            f"there is no column {url_column!r} among {', '.join(names)}.",
            url=url,
            remedy="Name the column that holds the URLs with url_column.",
        )
    else:
        position = names.index(url_column)
        values = table.column(position).to_pylist()
        if not all(isinstance(value, str) for value in values):
            raise InvalidOptionError(
                f"column {url_column!r} holds something other than text.", url=url
            )
        folder = local_path(url).parent if url is not None and is_local(url) else ""
        found = [source_url(value, folder) for value in values]
        check_reach(url, found)
        urls = pa.array(found, pa.string())
        table = table.remove_column(position)
        if "url" in table.column_names:
            table = _renamed(table, ["url"])
        table = table.add_column(0, "url", urls)
    return with_time(table, options.datetime_column)


def with_time(table: pa.Table, datetime_column: str | None) -> pa.Table:
    """Make the column of times, and rename columns that an inventory has itself."""
    column = datetime_column or "datetime"
    times = pa.nulls(table.num_rows, _TIME)
    if column in table.column_names:
        times = _times(table[column], column)
        if column == "datetime":
            table = table.drop_columns([column])
    elif datetime_column is not None:
        raise InvalidOptionError(
            f"there is no column {column!r} among {', '.join(table.column_names)}.",
            remedy="Name the column that holds the times with datetime_column.",
        )
    taken = [name for name in table.column_names if name in COLUMNS and name != "url"]
    return _renamed(table, taken).add_column(1, "datetime", times)


def _times(column: pa.ChunkedArray, name: str) -> pa.Array | pa.ChunkedArray:
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return column.cast(_TIME, safe=False)
    return pa.array([as_time(value, name) for value in column.to_pylist()], _TIME)


def _renamed(table: pa.Table, taken: Sequence[str]) -> pa.Table:
    names = [f"source_{name}" if name in taken else name for name in table.column_names]
    return table.rename_columns(names)


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Join tables; a column that has another type in each becomes text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        kinds: dict[str, set[pa.DataType]] = {}
        for field in (field for table in tables for field in table.schema):
            if not pa.types.is_null(field.type):
                kinds.setdefault(field.name, set()).add(field.type)
        mixed = {name for name, found in kinds.items() if len(found) > 1}
        same = [_as_text(table, mixed) for table in tables]
        return pa.concat_tables(same, promote_options="permissive").combine_chunks()


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    for i, name in enumerate(table.column_names):
        if name in names:
            values = [None if v is None else str(v) for v in table.column(i).to_pylist()]
            table = table.set_column(i, name, pa.array(values, pa.string()))
    return table
