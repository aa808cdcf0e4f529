"""List assets of STAC 1.0 Items, ItemCollections and STAC GeoParquet, a row for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from virtual_tiff.errors import InvalidOptionError

#: Columns of STAC GeoParquet that are not properties.
_STRUCTURE = frozenset({"assets", "links", "stac_version", "stac_extensions", "type", "bbox"})


def items_to_table(document: Mapping[str, Any], assets: Sequence[str] | None) -> pa.Table:
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


def stac_table_to_urls(table: pa.Table, assets: Sequence[str] | None) -> pa.Table:
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
        href = _nested(table["assets"], [key, "href"])
        wanted = pc.is_valid(href)
        if assets is None:
            if fields.get_field_index("type") >= 0:
                media = pc.fill_null(_nested(table["assets"], [key, "type"]), "")
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


def _nested(column: pa.ChunkedArray, path: Sequence[str]) -> pa.ChunkedArray:
    return pc.struct_field(column, list(path))
