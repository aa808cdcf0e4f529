"""Add heights from vertical GeoKeys: a compound CRS, or a three-dimensional one.

GeoTIFF 1.1 section 7.6 (VerticalGeoKey and its companions).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyproj

from virtual_tiff.json_type import JSON
from virtual_tiff.tiff.geokeys._codes import USER_DEFINED, GeoKey, GeoKeys
from virtual_tiff.tiff.geokeys._datum import component, known_datum
from virtual_tiff.tiff.geokeys._geodetic import registered
from virtual_tiff.tiff.geokeys._names import code_of_name
from virtual_tiff.tiff.geokeys._projections import METRE
from virtual_tiff.tiff.geokeys._units import Object, axis_unit, unit_of_code


@dataclass(frozen=True, slots=True)
class Vertical:
    """EPSG codes of the vertical keys, those of GeoTIFF 1.0 corrected; 32767 is user-defined."""

    code: int | None
    datum: int | None
    units: int | None

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.code, self.datum, self.units))


def vertical_keys(keys: GeoKeys, revision: tuple[int, int]) -> Vertical:
    """Read the vertical keys; ignore all of them if one is private, as in GDAL."""
    values = tuple(
        keys.short(key) or None
        for key in (GeoKey.VERTICAL, GeoKey.VERTICAL_DATUM, GeoKey.VERTICAL_UNITS)
    )
    if any(value is not None and not 0 < value <= USER_DEFINED for value in values):
        return Vertical(None, None, None)
    vertical = Vertical(*values)
    code = vertical.code
    if code is None:
        return vertical
    if revision == (1, 0):
        # GeoTIFF 1.0 listed vertical datums 5101 to 5106 as coordinate systems.
        if 5101 <= code <= 5112 and vertical.datum is None:
            return replace(vertical, code=code + 600, datum=code)
        if code == 5171:
            return replace(vertical, code=5773, datum=5171)
    if 5001 <= code <= 5033 and vertical.datum is None:
        # Ellipsoidal heights of 1.0: the datum code means the ellipsoid.
        return replace(vertical, code=None, datum=code + 1000)
    return vertical


def add_heights(horizontal: Object, vertical: Vertical, keys: GeoKeys) -> Object:
    """Combine a horizontal CRS with the vertical keys.

    The result is a compound CRS; a three-dimensional geographic one, or a projected one on such a
    base, if the vertical code is that of one; the horizontal CRS itself if the code is unknown.
    """
    with_height = _geographic_3d(horizontal, vertical)
    if with_height is not None:
        return with_height
    found = registered(vertical.code) if vertical.code not in (None, USER_DEFINED) else None
    if vertical.code not in (None, USER_DEFINED):
        if found is None or found.get("type") != "VerticalCRS":
            return horizontal
        name = str(found["name"])
    else:
        name = _citation(keys) or "unknown"
        found = _manual(name, vertical)
    citation = keys.text(GeoKey.GT_CITATION)
    return {
        "type": "CompoundCRS",
        "name": citation
        if citation is not None and " = " not in citation
        else f"{horizontal['name']} + {name}",
        "components": [horizontal, found],
    }


def vertical_unit(crs: Object) -> str | None:
    """Return the name of the unit of heights of a compound CRS."""
    components = crs.get("components")
    if not isinstance(components, list) or not isinstance(components[-1], dict):
        return None
    unit = axis_unit(components[-1])
    if isinstance(unit, dict):
        unit = unit.get("name")
    return unit if isinstance(unit, str) and unit != "unknown" else None


def _citation(keys: GeoKeys) -> str | None:
    text = keys.text(GeoKey.VERTICAL_CITATION)
    if text is None:
        return None
    prefix = "VCS Name = "
    return text.removeprefix(prefix).partition("|")[0] if text.startswith(prefix) else text


def _geographic_3d(horizontal: Object, vertical: Vertical) -> Object | None:
    code = vertical.code
    if vertical.datum == 6030:  # ellipsoidal heights on WGS 84
        code = 4979
    found = registered(code) if code is not None and code != USER_DEFINED else None
    if found is None or found.get("type") != "GeographicCRS":
        return None
    base = horizontal.get("base_crs") if horizontal["type"] == "ProjectedCRS" else horizontal
    if not isinstance(base, dict) or not ("datum" in base or "datum_ensemble" in base):
        return None
    if known_datum(base).get("name") != known_datum(found).get("name"):
        return None
    if base is horizontal:
        return found
    system = horizontal["coordinate_system"]
    assert isinstance(system, dict)
    assert isinstance(system["axis"], list)
    height: Object = {
        "name": "Ellipsoidal height",
        "abbreviation": "h",
        "direction": "up",
        "unit": "metre",
    }
    plain = {k: v for k, v in horizontal.items() if k not in ("id", "base_crs")}
    return {
        **plain,
        "base_crs": {k: v for k, v in found.items() if k not in ("scope", "area", "bbox")},
        "coordinate_system": {**system, "axis": [*system["axis"], height]},
    }


def _manual(name: str, vertical: Vertical) -> Object:
    datum: JSON = None
    if vertical.datum == USER_DEFINED:
        # The datum of the registered system that the citation names.
        code = code_of_name(name, "vertical")
        if code is not None:
            datum = pyproj.CRS.from_user_input(code).to_json_dict().get("datum")
    elif vertical.datum is not None:
        datum = component("datum", vertical.datum)
    unit = unit_of_code(vertical.units, angular=False) or METRE
    return {
        "type": "VerticalCRS",
        "name": name,
        "datum": datum or {"type": "VerticalReferenceFrame", "name": "unknown"},
        "coordinate_system": {
            "subtype": "vertical",
            "axis": [{"name": "Up", "abbreviation": "", "direction": "up", "unit": unit.json}],
        },
    }
