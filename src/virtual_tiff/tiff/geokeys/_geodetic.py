"""Build geodetic CRSs from GeoKeys, as PROJJSON.

GeoTIFF 1.1 section 7.4.1. A code is looked up first; keys that redefine a part replace that part,
as in GDAL.
"""

from __future__ import annotations

from functools import lru_cache

import pyproj
from pyproj.exceptions import CRSError

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.geokeys._codes import GeoKey, GeoKeys
from virtual_tiff.tiff.geokeys._datum import datum_of, known_datum, official_name
from virtual_tiff.tiff.geokeys._projections import DEGREE, METRE, Unit
from virtual_tiff.tiff.geokeys._units import (
    Object,
    angular_unit,
    axis_unit,
    cartesian,
    citation,
    ellipsoidal,
    linear_unit,
    same_unit,
)


def unresolved(message: str) -> InvalidTIFFError:
    """Return an error about the GeoKeys; `crs` turns it into a note."""
    return InvalidTIFFError(message, kind=ErrorKind.INVALID_TAG, tag=Tag.GEO_KEY_DIRECTORY)


@lru_cache(maxsize=256)
def registered(code: int) -> Object | None:
    """Return an entry of the EPSG registry as PROJJSON; `None` if the code does not exist.

    The object is shared: do not change it.
    """
    try:
        return dict(pyproj.CRS.from_epsg(code).to_json_dict())
    except CRSError:
        return None


def base_crs(keys: GeoKeys, implied: Object | None = None) -> Object:
    """Return the geographic CRS: a registered one, possibly modified by keys, or from keys.

    A GeodeticCRSGeoKey replaces `implied`, that of the registered projected CRS.
    """
    known = implied
    code = keys.code(GeoKey.GEODETIC_CRS)
    if code is not None:
        found = registered(code)
        known = found if found is not None and _is_geodetic(found) else implied
    names = citation(keys.text(GeoKey.GEODETIC_CITATION)) if known is None else {}
    datum = datum_of(keys, known, names)
    unit = angular_unit(keys)
    changed_unit = unit is not None and not (
        known is not None and same_unit(axis_unit(known), unit)
    )
    if known is not None and datum is known_datum(known) and not changed_unit:
        return known
    name = str(known["name"]) if known is not None else names.get("GCS Name", names.get(""))
    axes = known.get("coordinate_system") if known is not None and not changed_unit else None
    # Within a CRS, PROJJSON has no type of an ensemble.
    key = "datum_ensemble" if "members" in datum else "datum"
    return {
        "type": "GeographicCRS",
        "name": official_name("crs", name) or str(datum.get("name", "unnamed")),
        key: datum,
        "coordinate_system": axes or ellipsoidal(unit or DEGREE),
    }


def implied_crs(keys: GeoKeys) -> Object | None:
    """Return the geographic CRS below the registered projected one; `None` if there is none."""
    code = keys.code(GeoKey.PROJECTED_CRS)
    projected = registered(code) if code is not None else None
    base = projected.get("base_crs") if projected is not None else None
    entry = base.get("id") if isinstance(base, dict) else None
    return registered(int(str(entry["code"]))) if isinstance(entry, dict) else None


def ignores_overrides(crs: Object) -> bool:
    """Return whether GDAL ignores other keys for a registered geographic CRS.

    It does so for dynamic systems, such as WGS 84, since PROJ does not consider them equal to a
    copy made from keys.
    """
    datum = known_datum(crs)
    return datum.get("type") == "DynamicGeodeticReferenceFrame" or (
        str(datum.get("name")).startswith("World Geodetic System 1984")
    )


def _is_geodetic(crs: Object) -> bool:
    return crs.get("type") in ("GeographicCRS", "GeodeticCRS") and "coordinate_system" in crs


def geocentric_crs(keys: GeoKeys) -> Object:
    """Return a geocentric CRS on the datum of the keys (GTModelTypeGeoKey 3)."""
    code = keys.code(GeoKey.GEODETIC_CRS)
    found = registered(code) if code is not None else None
    if found is not None and found.get("type") == "GeodeticCRS":
        return found
    base = base_crs(keys, implied_crs(keys))
    unit = (linear_unit(keys) or METRE).json
    key = "datum_ensemble" if "datum_ensemble" in base else "datum"
    name = keys.text(GeoKey.GT_CITATION) or keys.text(GeoKey.GEODETIC_CITATION) or "unnamed"
    return {
        "type": "GeodeticCRS",
        "name": name,
        key: base[key],
        "coordinate_system": {
            "subtype": "Cartesian",
            "axis": [
                {
                    "name": f"Geocentric {axis}",
                    "abbreviation": axis,
                    "direction": f"geocentric{axis}",
                    "unit": unit,
                }
                for axis in "XYZ"
            ],
        },
    }


def engineering_crs(name: str, unit: Unit) -> Object:
    """Return a local system that is not related to the Earth."""
    return {
        "type": "EngineeringCRS",
        "name": name,
        "datum": {"name": "Unknown engineering datum"},
        "coordinate_system": cartesian(unit),
    }
