"""Bring tables and STAC documents into one form: URL, time, and the caller's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.arrow import without_views
from virtual_tiff.inventory.stac_items import items_to_table, stac_table_to_urls
from virtual_tiff.inventory.table import COLUMNS
from virtual_tiff.inventory.times import as_time
from virtual_tiff.storage.addresses import is_local, linked_url, local_path, source_url

_TIME = pa.timestamp("us", "UTC")


def url_table(urls: Sequence[str]) -> pa.Table:
    """Make the table of addresses that have nothing beside them."""
    return pa.table({"url": pa.array(urls, pa.string()), "datetime": pa.nulls(len(urls), _TIME)})


def table_of_files(
    table: pa.Table,
    url: str | None,
    url_column: str,
    datetime_column: str | None,
    assets: Sequence[str] | None,
) -> pa.Table:
    """Take a table of the caller: STAC GeoParquet, or one with a column of URLs.

    Relative paths start from `url`, the address of its file.
    """
    table = without_views(table)
    names = table.column_names
    if "assets" in names and pa.types.is_struct(table.schema.field("assets").type):
        table = _linked(stac_table_to_urls(table, assets), url)
    elif url_column not in names:
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
        urls = pa.array([source_url(value, folder) for value in values], pa.string())
        table = table.remove_column(position)
        if "url" in table.column_names:
            table = _renamed(table, ["url"])
        table = table.add_column(0, "url", urls)
    return _with_time(table, datetime_column)


def stac_document(
    document: Mapping[str, Any],
    url: str | None,
    datetime_column: str | None,
    assets: Sequence[str] | None,
) -> pa.Table:
    """Take a STAC Item or ItemCollection; relative links start from `url`."""
    return _with_time(_linked(items_to_table(document, assets), url), datetime_column)


def _linked(table: pa.Table, url: str | None) -> pa.Table:
    """Make the hrefs of a document absolute."""
    hrefs = table["url"].to_pylist()
    urls = [source_url(href) if url is None else linked_url(url, href) for href in hrefs]
    return table.set_column(0, "url", pa.array(urls, pa.string()))


def _with_time(table: pa.Table, datetime_column: str | None) -> pa.Table:
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
