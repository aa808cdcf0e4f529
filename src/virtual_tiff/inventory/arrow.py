"""Take Arrow tables of other libraries without loss, and add the metadata of GeoParquet 1.1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from virtual_tiff.messages import redacted_links

_VERSION = "1.1.0"
SIDES = ("xmin", "ymin", "xmax", "ymax")


class ArrowStream(Protocol):
    """A table of any library that implements the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand over the table."""


def without_views(table: pa.Table) -> pa.Table:
    """Return a table with types of text and bytes that all Arrow functions support."""
    for position, field in enumerate(table.schema):
        column = table.column(position)
        kind = field.type
        if pa.types.is_dictionary(kind) and kind.value_type == pa.string_view():
            chunks = [
                pa.DictionaryArray.from_arrays(c.indices, c.dictionary.cast(pa.string()))
                for c in column.chunks
            ]
            column = pa.chunked_array(chunks, pa.dictionary(kind.index_type, pa.string()))
        elif kind == pa.string_view():
            column = column.cast(pa.string())
        elif kind == pa.binary_view():
            column = column.cast(pa.binary())
        else:
            continue
        table = table.set_column(position, field.with_type(column.type), column)
    return table


def converted(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Return a column with another type; refuse to lose information."""
    if column.type == wanted:
        return column
    if pa.types.is_dictionary(wanted):
        plain = column.cast(wanted.value_type)
        return plain.dictionary_encode()
    return column.cast(wanted)


def with_cells(table: pa.Table, field: pa.Field, cells: Sequence[Any]) -> pa.Table:
    """Replace the values of a column that a table has, with the type of a field."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    column = converted(pa.chunked_array([pa.array(cells, kind)]), field.type)
    return table.set_column(table.column_names.index(field.name), field, column)


def without_secrets(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace passwords, signatures and tokens of addresses in a column of any type."""
    if not any(_has_links(chunk) for chunk in column.chunks):
        return column
    if pa.types.is_dictionary(column.type) and _is_text(column.type.value_type):
        chunks = [
            pa.DictionaryArray.from_arrays(chunk.indices, _without_secrets(chunk.dictionary))
            for chunk in column.chunks
        ]
    else:
        chunks = [_without_secrets(chunk) for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type)


def _without_secrets(array: pa.Array) -> pa.Array:
    return pa.array([redacted_links(value) for value in array.to_pylist()], array.type)


def _has_links(array: pa.Array) -> bool:
    """Return whether a text of an array may contain an address."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _has_links(array.storage)
    if pa.types.is_dictionary(kind):
        return _has_links(array.dictionary)
    if _is_text(kind):
        return bool(pc.any(pc.match_substring_regex(array, r"//|\\/")).as_py())
    if pa.types.is_map(kind):
        return _has_links(array.keys) or _has_links(array.items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _has_links(array.flatten())
    return pa.types.is_struct(kind) and any(_has_links(field) for field in array.flatten())


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    )


def with_geo_metadata(table: pa.Table) -> pa.Table:
    """Add `geo` to the metadata of a table with columns `geometry` (WKB) and `bbox`."""
    column: dict[str, object] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon", "Polygon"],
        "crs": _epsg_4326(),
        "covering": {"bbox": {side: ["bbox", side] for side in SIDES}},
    }
    bounds = _bounds(table["bbox"])
    if bounds is not None:
        column["bbox"] = bounds
    geo = {
        "version": _VERSION,
        "primary_column": "geometry",
        "columns": {"geometry": column},
    }
    metadata = {**(table.schema.metadata or {}), b"geo": json.dumps(geo).encode()}
    return table.replace_schema_metadata(metadata)


def common_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the schema of tables of `with_geo_metadata`, with the bounds of all of them."""
    columns = [json.loads(schema.metadata[b"geo"])["columns"]["geometry"] for schema in schemas]
    boxes = [dict(zip(SIDES, one["bbox"], strict=True)) for one in columns if "bbox" in one]
    kind = pa.struct([(side, pa.float64()) for side in SIDES])
    together = with_geo_metadata(pa.table({"bbox": pa.array(boxes, kind)}))
    return schemas[0].with_metadata(together.schema.metadata)


def _bounds(boxes: pa.ChunkedArray) -> list[float] | None:
    """Return the bounds of all boxes; all longitudes if one of several crosses the antimeridian."""
    sides = {side: pc.struct_field(boxes, [side]) for side in SIDES}
    edges = [(pc.min if s.endswith("min") else pc.max)(sides[s]).as_py() for s in SIDES]
    if None in edges:
        return None
    crossing = pc.greater(sides["xmin"], sides["xmax"])
    if pc.any(crossing).as_py() and not pc.all(crossing).as_py():
        edges[0], edges[2] = -180.0, 180.0
    return edges


def _epsg_4326() -> dict[str, object]:
    from pyproj import CRS

    return CRS.from_epsg(4326).to_json_dict()
