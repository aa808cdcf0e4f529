"""List the TIFFs of STAC Items, with what the Items say.

Items come as JSON (STAC 1.0 and 1.1, Items and ItemCollections), from pystac, or as rows of STAC
GeoParquet. All become the same mappings, so the same Item gives the same columns.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

import pyarrow as pa

from virtual_tiff.catalog.pages import is_item, number_matched
from virtual_tiff.errors import InvalidOptionError, shorten
from virtual_tiff.inventory.source_options import SourceOptions
from virtual_tiff.inventory.stac.assets import (
    Item,
    asset_address,
    is_chosen,
    matches,
    objects_in,
)
from virtual_tiff.inventory.stac.metadata import metadata_of, plain_number
from virtual_tiff.inventory.times import as_time
from virtual_tiff.storage.addresses import check_reach

#: Name of the column with what Items say about the values of their assets, JSON.
STAC_METADATA = "stac_metadata"

_log = logging.getLogger(__name__)

#: Columns of STAC GeoParquet that are not properties.
_STRUCTURE = (
    "id",
    "collection",
    "assets",
    "links",
    "stac_version",
    "stac_extensions",
    "type",
    "bbox",
    "geometry",
)
#: Properties that are times (STAC common metadata); `datetime` becomes the time of the image.
_TIMES = (
    "start_datetime",
    "end_datetime",
    "created",
    "updated",
    "published",
    "unpublished",
    "expires",
)
#: Items of a table that are converted at once.
_BATCH = 1024


class StacRows:
    """Collects the assets of Items as rows, and makes a table of them."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._rows: list[dict[str, Any]] = []
        self._names: dict[str, None] = dict.fromkeys(("url", "item", "collection", "asset"))
        #: Keys of all assets, for the error about those that no Item has.
        self.keys: dict[str, None] = {}
        self._items = self._without_rows = 0

    def add(self, document: Mapping[str, Any], url: str | None) -> None:
        """Add an Item or an ItemCollection; relative links start from `url`."""
        for item in _items_in(document, url):
            self.add_item(item, url)

    def add_item(self, item: Item, url: str | None) -> None:
        """Add the chosen assets of one Item."""
        said = _with_both_codes(item.get("properties") or {})
        properties = {name: _plain(value) for name, value in said.items()}
        self._names.update(dict.fromkeys(properties))
        assets = {key: one for key, one in item["assets"].items() if one is not None}
        self.keys.update(dict.fromkeys(assets))
        before = len(self._rows)
        for key, asset in assets.items():
            if not is_chosen(key, asset, item, self._options):
                continue
            address = asset_address(key, asset, item, url, self._options.alternate)
            check_reach(url, [address])
            row = {
                **properties,
                "url": address,
                "item": item.get("id"),
                "collection": item.get("collection"),
                "asset": key,
            }
            if self._options.stac_metadata == "use":
                row[STAC_METADATA] = metadata_of(asset, item)
            self._rows.append(row)
        self._items += 1
        self._without_rows += len(self._rows) == before

    def take(self) -> pa.Table:
        """Return the rows as a table, and clear them."""
        rows, self._rows = self._rows, []
        if self._options.stac_metadata == "use":
            self._names[STAC_METADATA] = None
        return pa.table({name: _column(name, [r.get(name) for r in rows]) for name in self._names})

    def remedy(self) -> str | None:
        """Return what to do if no asset was chosen; `None` if there were no Items."""
        if not self.keys:
            return None
        return f"Name assets of the Items by their keys: {shorten(', '.join(self.keys))}."

    def check(self) -> None:
        """Refuse keys and patterns of assets that no Item has; log how many Items have none."""
        for wanted in self._options.assets or ():
            if self.keys and not any(matches(key, wanted) for key in self.keys):
                raise InvalidOptionError(
                    f"the Items have no asset {wanted!r}, but {', '.join(self.keys)}.",
                )
        if 0 < self._without_rows < self._items:
            _log.warning(
                "%d of %d Items have none of the assets to scan", self._without_rows, self._items
            )


def items_of_table(table: pa.Table) -> Iterator[Item]:
    """Make Items of the rows of a STAC GeoParquet table (specification 1.0)."""
    names = [name for name in table.column_names if name not in _STRUCTURE]
    known = [name for name in ("id", "collection", "assets") if name in table.column_names]
    for batch in _microseconds(table.select(known + names)).to_batches(_BATCH):
        for row in batch.to_pylist():
            listed = dict(row["assets"] or {})
            assets = {k: _present(one) for k, one in listed.items() if isinstance(one, Mapping)}
            yield {
                "id": row.get("id"),
                "collection": row.get("collection"),
                "properties": {name: _present(row[name]) for name in names},
                "assets": {key: asset for key, asset in assets.items() if asset},
            }


def is_stac_table(table: pa.Table) -> bool:
    """Return whether a table has a column of assets, as STAC GeoParquet."""
    if "assets" not in table.column_names:
        return False
    kind = table.schema.field("assets").type
    return bool(pa.types.is_struct(kind) or pa.types.is_map(kind))


def _microseconds(table: pa.Table) -> pa.Table:
    """Convert times in nanoseconds, which Python has no type for."""
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            kind = pa.timestamp("us", field.type.tz)
            table = table.set_column(i, field.name, table.column(i).cast(kind, safe=False))
    return table


def _present(value: Any) -> Any:
    """Leave out fields that are null because another row has them."""
    if isinstance(value, Mapping):
        return {k: _present(part) for k, part in value.items() if part is not None}
    return [_present(part) for part in value] if isinstance(value, list) else value


def _with_both_codes(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties with the CRS as `proj:code` and as `proj:epsg`, if either is said.

    The Projection extension renamed it in 2.0, and pystac renames it in older Items.
    """
    found = dict(properties)
    code, number = found.get("proj:code"), found.get("proj:epsg")
    if code is None and isinstance(number, int | float) and isfinite(number):
        found["proj:code"] = f"EPSG:{int(number)}"
    elif number is None and str(code).startswith("EPSG:") and str(code)[5:].isdecimal():
        found["proj:epsg"] = int(str(code)[5:])
    codes = ("proj:code", "proj:epsg")
    return {name: v for name, v in found.items() if v is not None or name not in codes}


def _items_in(document: Mapping[str, Any], url: str | None) -> Sequence[Item]:
    is_collection = document.get("type") == "FeatureCollection"
    items = document.get("features") if is_collection else [document]
    if not isinstance(items, list) or not all(map(is_item, items)):
        raise InvalidOptionError(
            "this is not a STAC Item or ItemCollection.",
            url=url,
            remedy="Put a list of URLs into a text file, one on each line.",
        )
    matched = number_matched(document) if is_collection else None
    links = objects_in(document, "links") if is_collection else ()
    has_next = any(link.get("rel") == "next" for link in links)
    if has_next if matched is None else matched > len(items):
        of = "" if matched is None else f" of {matched}"
        raise InvalidOptionError(
            f"this is one page of a search: {len(items)}{of} Items.",
            url=url,
            remedy="Search with pystac-client, which follows every page, and name its Items.",
        )
    return items


def _plain(value: Any) -> Any:
    """Return a property as a cell: objects and lists are JSON."""
    return json.dumps(_json(value), sort_keys=True) if isinstance(value, Mapping | list) else value


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _json(part) for k, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_json(part) for part in value]
    return value.isoformat() if isinstance(value, datetime) else plain_number(value)


def _column(name: str, values: list[object]) -> pa.Array:
    """Return a property as an Arrow array; as text if Items have different types."""
    if name in _TIMES:
        try:
            return pa.array([as_time(value, name) for value in values], pa.timestamp("us", "UTC"))
        except InvalidOptionError:
            pass
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if v is None else str(v) for v in values], pa.string())
