"""Bring tables and STAC documents into one form: URL, time, and the caller's own columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.arrow import without_views
from virtual_tiff.inventory.table import COLUMNS
from virtual_tiff.inventory.times import as_time
from virtual_tiff.storage.addresses import check_reach, is_local, linked_url, local_path, source_url

_TIME = pa.timestamp("us", "UTC")
#: Columns of STAC GeoParquet that are not properties.
_STRUCTURE = frozenset({"assets", "links", "stac_version", "stac_extensions", "type", "bbox"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Options for resolving sources.

    Parameters
    ----------
    url_column
        Column of a table that holds URLs or paths.
    datetime_column
        Column of a table, or property of a STAC Item, that holds the time. By default a column
        named `datetime`.
    assets
        Keys of the assets of STAC Items; `None` for all whose media type is TIFF.
    """

    url_column: str = "url"
    datetime_column: str | None = None
    assets: Sequence[str] | None = None


def url_table(urls: Sequence[str]) -> pa.Table:
    """Make the table of addresses that have nothing beside them."""
    return pa.table({"url": pa.array(urls, pa.string()), "datetime": pa.nulls(len(urls), _TIME)})


def table_of_files(table: pa.Table, url: str | None, options: SourceOptions) -> pa.Table:
    """Take a table of the caller: STAC GeoParquet, or one with a column of URLs.

    Relative paths start from `url`, the address of its file.
    """
    table = without_views(table)
    names, url_column = table.column_names, options.url_column
    if "assets" in names and pa.types.is_struct(table.schema.field("assets").type):
        table = _linked(_stac_table_to_urls(table, options.assets), url)
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
        found = [source_url(value, folder) for value in values]
        check_reach(url, found)
        urls = pa.array(found, pa.string())
        table = table.remove_column(position)
        if "url" in table.column_names:
            table = _renamed(table, ["url"])
        table = table.add_column(0, "url", urls)
    return _with_time(table, options.datetime_column)


def stac_document(document: Mapping[str, Any], url: str | None, options: SourceOptions) -> pa.Table:
    """Take a STAC Item or ItemCollection; relative links start from `url`."""
    table = _linked(_items_to_table(document, options.assets), url)
    return _with_time(table, options.datetime_column)


def _linked(table: pa.Table, url: str | None) -> pa.Table:
    """Make the hrefs of a document absolute."""
    hrefs = table["url"].to_pylist()
    urls = [source_url(href) if url is None else linked_url(url, href) for href in hrefs]
    check_reach(url, urls)
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


def _items_to_table(document: Mapping[str, Any], assets: Sequence[str] | None) -> pa.Table:
    """List the TIFFs of an Item or an ItemCollection (STAC 1.0), with their properties.

    Objects and lists become JSON. `assets` has the keys of assets; `None` takes all TIFFs.
    """
    items = document.get("features") if document.get("type") == "FeatureCollection" else [document]
    if not isinstance(items, list) or not all(_is_item(item) for item in items):
        raise InvalidOptionError(
            "this is not a STAC Item or ItemCollection.",
            remedy="Put a list of URLs into a text file, one on each line.",
        )
    names: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    for item in items:
        properties = item.get("properties") or {}
        names.update(dict.fromkeys(properties))
        for key, asset in _chosen(item, assets):
            rows.append(
                {
                    **{name: _plain(value) for name, value in properties.items()},
                    "url": _href(asset, item, key),
                    "item": item.get("id"),
                    "collection": item.get("collection"),
                    "asset": key,
                }
            )
    order = ["url", "item", "collection", "asset"]
    order += [name for name in names if name not in order]
    return pa.table({name: _column([row.get(name) for row in rows]) for name in order})


def _stac_table_to_urls(table: pa.Table, assets: Sequence[str] | None) -> pa.Table:
    """List the TIFFs of a STAC GeoParquet table (specification 1.0), with their properties."""
    kind = table.schema.field("assets").type
    present = [kind.field(i).name for i in range(kind.num_fields)]
    for key in assets or ():
        if key not in present:
            raise _no_asset(key, present, None)
    own = [name for name in table.column_names if name not in _STRUCTURE and name != "geometry"]
    parts = []
    for key in assets if assets is not None else present:
        fields = kind.field(key).type
        if not pa.types.is_struct(fields) or fields.get_field_index("href") < 0:
            continue
        href = pc.struct_field(table["assets"], [key, "href"])
        wanted = pc.is_valid(href)
        if assets is None:
            if fields.get_field_index("type") >= 0:
                media = pc.fill_null(pc.struct_field(table["assets"], [key, "type"]), "")
                tiff = pc.starts_with(media, "image/tiff")
            else:
                tiff = pc.match_substring_regex(pc.fill_null(href, ""), r"(?i)\.tiff?$")
            wanted = pc.and_(wanted, tiff)
        part = table.select(own).append_column("asset", pa.array([key] * len(table), pa.string()))
        part = part.add_column(0, "url", href.cast(pa.string()))
        parts.append(part.filter(wanted))
    if not parts:
        raise InvalidOptionError("no asset of these Items is a TIFF.")
    found = pa.concat_tables(parts)
    if "id" in found.column_names:
        found = found.rename_columns(["item" if n == "id" else n for n in found.column_names])
    return found


def _is_item(item: object) -> bool:
    return (
        isinstance(item, Mapping)
        and item.get("type") == "Feature"
        and isinstance(item.get("assets"), Mapping)
    )


def _chosen(
    item: Mapping[str, Any], assets: Sequence[str] | None
) -> list[tuple[str, Mapping[str, Any]]]:
    found: Mapping[str, Any] = item["assets"]
    if assets is None:
        return [(key, asset) for key, asset in found.items() if _is_tiff(asset)]
    for key in assets:
        if key not in found:
            raise _no_asset(key, list(found), item.get("id"))
    return [(key, found[key]) for key in assets]


def _is_tiff(asset: Mapping[str, Any]) -> bool:
    media = asset.get("type")
    if media:
        return str(media).startswith("image/tiff")
    return str(asset.get("href", "")).lower().endswith((".tif", ".tiff"))


def _href(asset: Mapping[str, Any], item: Mapping[str, Any], key: str) -> str:
    href = asset.get("href")
    if not isinstance(href, str):
        raise InvalidOptionError(f"asset {key!r} of Item {item.get('id')!r} has no href.")
    return href


def _no_asset(key: str, present: Sequence[str], item: str | None) -> InvalidOptionError:
    where = f"Item {item!r} has" if item is not None else "the Items have"
    return InvalidOptionError(f"{where} no asset {key!r}, but {', '.join(present) or 'none'}.")


def _plain(value: object) -> object:
    return json.dumps(value) if isinstance(value, Mapping | list) else value


def _column(values: list[object]) -> pa.Array:
    """Return a property as an Arrow array; as text if Items have different types."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if v is None else str(v) for v in values], pa.string())
