"""Add GeoParquet 1.1 metadata to a table of footprints."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

_VERSION = "1.1.0"
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def with_geo_metadata(table: pa.Table) -> pa.Table:
    """Add `geo` to the metadata of a table with columns `geometry` (WKB) and `bbox`."""
    column: dict[str, object] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon", "Polygon"],
        "crs": _epsg_4326(),
        "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
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


def _bounds(boxes: pa.ChunkedArray) -> list[float] | None:
    """Return the bounds of all boxes; all longitudes if one of several crosses the antimeridian."""
    sides = {side: pc.struct_field(boxes, [side]) for side in _SIDES}
    edges = [(pc.min if s.endswith("min") else pc.max)(sides[s]).as_py() for s in _SIDES]
    if None in edges:
        return None
    crossing = pc.greater(sides["xmin"], sides["xmax"])
    if pc.any(crossing).as_py() and not pc.all(crossing).as_py():
        edges[0], edges[2] = -180.0, 180.0
    return edges


def _epsg_4326() -> dict[str, object]:
    from pyproj import CRS

    return CRS.from_epsg(4326).to_json_dict()
