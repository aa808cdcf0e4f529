"""Read units, coordinate systems and citations from GeoKeys.

GeoTIFF 1.1 section 7.3.1 (units) and the citations of sections 7.2.3, 7.4.1 and 7.5.1.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import isclose

from pyproj.database import get_units_map

from virtual_tiff.json_type import JSON
from virtual_tiff.tiff.geokeys._codes import USER_DEFINED, GeoKey, GeoKeys
from virtual_tiff.tiff.geokeys._projections import DEGREE, METRE, Unit, Units

type Object = dict[str, JSON]

# Files have rounded sizes of units, with 9 digits or more.
_RELATIVE_TOLERANCE = 1e-8
_IMAGINE = "IMAGINE GeoTIFF Support"


@lru_cache(maxsize=1)
def _units() -> dict[int, Unit]:
    return {
        int(unit.code): Unit(
            unit.name, unit.conv_factor, angular=category == "angular", epsg=int(unit.code)
        )
        for category in ("angular", "linear")
        for unit in get_units_map(
            auth_name="EPSG", category=category, allow_deprecated=True
        ).values()
        if unit.conv_factor > 0  # sexagesimal notations are not units
    }


def unit_of_code(code: int | None, *, angular: bool) -> Unit | None:
    """Return the unit with this EPSG code, if it is one of the requested kind."""
    if code is None:
        return None
    if code in (9102, 9122):
        return DEGREE if angular else None
    if code == 9001:
        return None if angular else METRE
    unit = _units().get(code)
    return unit if unit is not None and unit.angular == angular else None


def angular_unit(keys: GeoKeys) -> Unit | None:
    """Return the unit of angles (GeogAngularUnitsGeoKey); `None` if not given."""
    found = unit_of_code(keys.code(GeoKey.GEOG_ANGULAR_UNITS), angular=True)
    if found is not None:
        return found
    size = keys.double(GeoKey.GEOG_ANGULAR_UNIT_SIZE)
    if size is None or size <= 0 or isclose(size, DEGREE.factor, rel_tol=_RELATIVE_TOLERANCE):
        return None
    name = citation(keys.text(GeoKey.GEODETIC_CITATION)).get("AUnits", "unknown")
    return Unit(name, size, angular=True)


#: EPSG codes of the units that ERDAS IMAGINE and ArcGIS write into citations, and GDAL reads.
_CITED_UNITS = {
    **dict.fromkeys(("meter", "meters", "metre", "metres", "m"), 9001),
    **dict.fromkeys(("foot", "feet", "ft", "foot_us", "us_survey_feet", "us_survey_foot"), 9003),
    **dict.fromkeys(("international_feet", "international_foot"), 9002),
    **dict.fromkeys(("centimeter", "centimeters", "cm"), 1033),
    **dict.fromkeys(("kilometer", "kilometers", "km"), 9036),
    **dict.fromkeys(("yard", "yards"), 9096),
}
_CITED_UNIT = re.compile(r"^(?:GeoTIFF Units|Units|LUnits) = (\w+)\.?\s*$", re.MULTILINE)


def _cited_unit(keys: GeoKeys) -> Unit | None:
    """Return the unit in a citation, which takes precedence over keys, as in GDAL.

    That of PCSCitationGeoKey counts for user-defined systems alone.
    """
    citations = [GeoKey.GT_CITATION]
    if keys.short(GeoKey.PROJECTED_CRS) in (None, USER_DEFINED):
        citations.append(GeoKey.PROJECTED_CITATION)
    for key in citations:
        text = keys.text(key) or ""
        if text.startswith(_IMAGINE) or "LUnits = " in text:
            found = _CITED_UNIT.search(text.replace("|", "\n"))
            code = None if found is None else _CITED_UNITS.get(found[1].lower())
            if code is not None:
                return unit_of_code(code, angular=False)
    return None


def linear_unit(keys: GeoKeys, known: Object | None = None) -> Unit | None:
    """Return the unit of the map (ProjLinearUnitsGeoKey); `None` if not given.

    Parameters
    ----------
    keys
        The keys.
    known
        The registered projected CRS that the keys name, whose unit holds unless they give another.
    """
    return _cited_unit(keys) or _unit_of_keys(keys, known)


def _unit_of_keys(keys: GeoKeys, known: Object | None) -> Unit | None:
    if known is not None:
        # GDAL reads a size, and units of geocentric coordinates, for user-defined systems alone.
        found = unit_of_code(keys.code(GeoKey.PROJ_LINEAR_UNITS), angular=False)
        metres = keys.double(GeoKey.PROJ_LINEAR_UNIT_SIZE)
        if keys.short(GeoKey.PROJ_LINEAR_UNITS) == USER_DEFINED and metres and metres > 0:
            return Unit("unknown", metres, angular=False)
        return found or _registered_unit(known)
    for code, size in (
        (GeoKey.PROJ_LINEAR_UNITS, GeoKey.PROJ_LINEAR_UNIT_SIZE),
        (GeoKey.GEOG_LINEAR_UNITS, GeoKey.GEOG_LINEAR_UNIT_SIZE),
    ):
        found = unit_of_code(keys.code(code), angular=False)
        if found is not None:
            return found
        metres = keys.double(size)
        if metres is not None and metres > 0:
            return Unit("unknown", metres, angular=False)
    return None


def _registered_unit(crs: Object) -> Unit | None:
    """Return the unit of the axes of a registered projected CRS."""
    unit = axis_unit(crs)
    if unit == METRE.json:
        return METRE
    if not isinstance(unit, dict):
        return None
    factor = unit.get("conversion_factor")
    known = next((u for u in _units().values() if u.name == unit.get("name")), None)
    if known is None and isinstance(factor, int | float):
        return Unit(str(unit.get("name")), factor, angular=False)
    return known


def projection_units(keys: GeoKeys, known: Object | None = None) -> Units:
    """Return the units of the parameters of a projection from keys.

    GeoTIFF 1.1 section 7.5.2: angles are in GeogAngularUnits, azimuths in GeogAzimuthUnits,
    lengths in ProjLinearUnits; a unit in a citation is that of coordinates alone, as in GDAL.
    `known` is that of `linear_unit`.
    """
    azimuth = unit_of_code(keys.code(GeoKey.GEOG_AZIMUTH_UNITS), angular=True)
    return Units(
        angle=angular_unit(keys) or DEGREE,
        azimuth=azimuth or DEGREE,
        length=_unit_of_keys(keys, known) or METRE,
    )


def citation(text: str | None) -> dict[str, str]:
    """Return the named parts of a citation; `""` is the first part without a name.

    GDAL and ArcGIS write `GCS Name = …|Datum = …|Primem = …|`, ERDAS IMAGINE lines of
    `Ellipsoid = …` after a copyright notice that ends in a `$`.
    """
    if text is None:
        return {}
    if text.startswith(_IMAGINE):
        text = text.rpartition("$")[2]
    parts: dict[str, str] = {}
    for part in re.split(r"[|\n]", text):
        name, separator, value = part.partition(" = ")
        if separator:
            parts.setdefault(name.strip(), value.strip())
        elif part.strip():
            parts.setdefault("", part.strip())
    return parts


def cited_name(keys: GeoKeys, *citations: GeoKey) -> str:
    """Return the name of a system from the first citation that has one."""
    for key in citations:
        text = keys.text(key)
        if text is None or text.startswith("LUnits = "):
            continue
        parts = citation(text)
        for part in ("PCS Name", "Projection Name", ""):
            if parts.get(part):
                return parts[part]
        return next(iter(parts.values()), "unnamed")
    return "unnamed"


def axis_unit(crs: Object) -> JSON:
    """Return the unit of the first axis, as PROJJSON."""
    system = crs.get("coordinate_system")
    axes = system.get("axis") if isinstance(system, dict) else None
    first = axes[0] if isinstance(axes, list) and axes else None
    return first.get("unit") if isinstance(first, dict) else None


def same_unit(json: JSON, unit: Unit) -> bool:
    """Return whether a PROJJSON unit equals this unit."""
    factor: JSON = json.get("conversion_factor") if isinstance(json, dict) else None
    if json in ("degree", "metre"):
        factor = DEGREE.factor if json == "degree" else METRE.factor
    return isinstance(factor, int | float) and isclose(factor, unit.factor, rel_tol=1e-9)


def ellipsoidal(unit: Unit) -> Object:
    return {
        "subtype": "ellipsoidal",
        "axis": [
            {"name": name, "abbreviation": short, "direction": direction, "unit": unit.json}
            for name, short, direction in (
                ("Latitude", "Lat", "north"),
                ("Longitude", "Lon", "east"),
            )
        ],
    }


def cartesian(unit: Unit, directions: tuple[str, str] = ("east", "north")) -> Object:
    """Return a Cartesian coordinate system of easting and northing."""
    return {
        "subtype": "Cartesian",
        "axis": [
            {"name": name, "abbreviation": name[0], "direction": direction, "unit": unit.json}
            for name, direction in zip(("Easting", "Northing"), directions, strict=True)
        ],
    }
