"""Build projected CRSs from GeoKeys, as PROJJSON (GeoTIFF 1.1 section 7.5)."""

from __future__ import annotations

import re
from functools import lru_cache

import pyproj
from pyproj.crs import CoordinateOperation  # type: ignore[attr-defined]
from pyproj.exceptions import CRSError

from virtual_tiff.errors import InvalidTIFFError
from virtual_tiff.json_type import JSON
from virtual_tiff.tiff.geokeys._codes import USER_DEFINED, GeoKey, GeoKeys
from virtual_tiff.tiff.geokeys._geodetic import (
    base_crs,
    registered,
    unresolved,
)
from virtual_tiff.tiff.geokeys._projections import METRE, Unit, axis_directions, conversion, utm
from virtual_tiff.tiff.geokeys._units import (
    Object,
    axis_unit,
    cartesian,
    cited_name,
    linear_unit,
    projection_units,
    same_unit,
)

# Keys that redefine a registered projected CRS: if one is present, GDAL builds from keys.
_REDEFINING = (
    GeoKey.PROJECTION,
    GeoKey.PROJ_METHOD,
    GeoKey.GEODETIC_CRS,
    GeoKey.GEODETIC_DATUM,
    GeoKey.ELLIPSOID,
)
# Web Mercator before it had an EPSG code; GDAL writes it as Mercator on the WGS 84 ellipsoid.
_WEB_MERCATORS = {
    "WGS_1984_Web_Mercator": "ESRI:102113",
    "WGS_1984_Web_Mercator_Auxiliary_Sphere": "EPSG:3857",
    "Google Maps Global Mercator": "EPSG:3857",
}
_PSEUDO_MERCATOR = "Popular Visualisation Pseudo Mercator"


def projected_crs(keys: GeoKeys) -> Object:
    """Return the projected CRS of the keys."""
    code = keys.code(GeoKey.PROJECTED_CRS)
    known = registered(code) if code is not None else None
    if known is not None and known.get("type") != "ProjectedCRS":
        return known  # a geographic code in the wrong key
    if known is not None and not _is_redefined(known, keys):
        return _in_unit(known, linear_unit(keys, known))
    name = cited_name(keys, GeoKey.PROJECTED_CITATION, GeoKey.GT_CITATION)
    if known is None and name in _WEB_MERCATORS:
        return dict(pyproj.CRS.from_user_input(_WEB_MERCATORS[name]).to_json_dict())
    operation = _operation(keys, known)
    if operation is None:
        raise _no_projection(keys)
    implied = known.get("base_crs") if known is not None else None
    base = base_crs(keys, implied if isinstance(implied, dict) else None)
    if known is not None and base is implied and operation is known.get("conversion"):
        return _in_unit(known, linear_unit(keys, known))
    unit = linear_unit(keys, known) or METRE
    built: Object = {
        "type": "ProjectedCRS",
        "name": name if known is None else known["name"],
        "base_crs": {k: v for k, v in base.items() if k != "$schema"},
        "conversion": operation,
        "coordinate_system": cartesian(unit, axis_directions(operation)),
    }
    if known is not None and _equal(built, known):
        return known
    return built


def _is_redefined(known: Object, keys: GeoKeys) -> bool:
    """Return whether keys change a registered projected CRS; GDAL never changes Web Mercator."""
    operation = known.get("conversion")
    if isinstance(operation, dict) and _method_name(operation) == _PSEUDO_MERCATOR:
        return False
    return any(key in keys.values for key in _REDEFINING)


def _no_projection(keys: GeoKeys) -> InvalidTIFFError:
    method = keys.short(GeoKey.PROJ_METHOD)
    if method is not None:
        return unresolved(f"ProjMethodGeoKey {method} is not a method of GeoTIFF 1.1.")
    return unresolved("the projection of a projected CRS is not given.")


def _operation(keys: GeoKeys, known: Object | None) -> Object | None:
    """Return the conversion: from a method with parameters, a code, or a citation."""
    registered_operation = known.get("conversion") if known is not None else None
    found = registered_operation if isinstance(registered_operation, dict) else None
    method = keys.short(GeoKey.PROJ_METHOD)
    if method not in (None, 0, USER_DEFINED):
        made = conversion(method, keys, projection_units(keys, known))
        if made is not None:
            return made
    if found is not None:
        return found
    code = keys.code(GeoKey.PROJECTION)
    if code is not None and (operation := _registered_operation(code)) is not None:
        return operation
    return _cited_operation(keys)


def _method_name(operation: Object) -> str:
    method = operation.get("method")
    return str(method.get("name")) if isinstance(method, dict) else ""


@lru_cache(maxsize=256)
def _registered_operation(code: int) -> Object | None:
    try:
        found = dict(CoordinateOperation.from_epsg(code).to_json_dict())
    except CRSError:
        return None
    if found.get("type") != "Conversion":
        return None
    return {k: v for k, v in found.items() if k in ("type", "name", "method", "parameters", "id")}


def _cited_operation(keys: GeoKeys) -> Object | None:
    """Return the UTM zone that ERDAS IMAGINE writes only into the citation."""
    for key in (GeoKey.PROJECTED_CITATION, GeoKey.GT_CITATION):
        found = re.search(r"\bUTM Zone (\d{1,2}) ?([NS])\b", keys.text(key) or "")
        if found is not None and 1 <= int(found[1]) <= 60:
            return utm(int(found[1]), north=found[2] == "N")
    return None


def _in_unit(crs: Object, unit: Unit | None) -> Object:
    """Return a registered CRS with another unit of coordinates."""
    if unit is None or same_unit(axis_unit(crs), unit):
        return crs
    system = crs["coordinate_system"]
    assert isinstance(system, dict)
    axes = system["axis"]
    assert isinstance(axes, list)
    changed: list[JSON] = [{**axis, "unit": unit.json} for axis in axes if isinstance(axis, dict)]
    return {
        **{k: v for k, v in crs.items() if k != "id"},
        "coordinate_system": {**system, "axis": changed},
    }


def _equal(one: Object, other: Object) -> bool:
    first, second = pyproj.CRS.from_json_dict(one), pyproj.CRS.from_json_dict(other)
    if first.equals(second):
        return True
    # Keys cannot express the order of axes, so a different order is ignored.
    system = one["coordinate_system"]
    assert isinstance(system, dict)
    return pyproj.CRS.from_json_dict({**other, "coordinate_system": system}).equals(first)
