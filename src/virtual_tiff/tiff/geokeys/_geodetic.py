"""Build geodetic CRSs from GeoKeys, as PROJJSON.

GeoTIFF 1.1 sections 7.4.1 (geodetic CRS), 7.4.2 (datum, ellipsoid, prime
meridian). A code is looked up first; keys that redefine a part replace that part, as in GDAL.
"""

from __future__ import annotations

from functools import lru_cache
from math import isclose
from typing import Literal

import pyproj
from pyproj.crs import Datum, Ellipsoid, PrimeMeridian  # type: ignore[attr-defined]
from pyproj.exceptions import CRSError

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.json_type import JSON
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.geokeys._codes import GeoKey, GeoKeys
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


# Relative difference up to which two ellipsoids are the same, rounded differently.
_RELATIVE_TOLERANCE = 1e-10
_ENSEMBLE = " ensemble"


@lru_cache(maxsize=256)
def registered(code: int) -> Object | None:
    """Return an entry of the EPSG registry as PROJJSON; `None` if the code does not exist.

    The object is shared: do not change it.
    """
    try:
        return dict(pyproj.CRS.from_epsg(code).to_json_dict())
    except CRSError:
        return None


@lru_cache(maxsize=256)
def component(kind: Literal["datum", "ellipsoid", "prime meridian"], code: int) -> Object | None:
    makers = {
        "datum": Datum.from_epsg,
        "ellipsoid": Ellipsoid.from_epsg,
        "prime meridian": PrimeMeridian.from_epsg,
    }
    try:
        found = dict(makers[kind](code).to_json_dict())
    except CRSError:
        return None
    return {k: v for k, v in found.items() if k in _CORE}


# Fields of a registered component that define it; the others are area and scope of use.
_CORE = frozenset(
    {
        "type",
        "name",
        "ellipsoid",
        "prime_meridian",
        "members",
        "accuracy",
        "frame_reference_epoch",
        "anchor",
        "longitude",
        "semi_major_axis",
        "semi_minor_axis",
        "inverse_flattening",
        "radius",
        "id",
    }
)


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
    datum = _datum(keys, known, names)
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
        "name": _official("crs", name) or str(datum.get("name", "unnamed")),
        key: datum,
        "coordinate_system": axes or ellipsoidal(unit or DEGREE),
    }


def known_datum(crs: Object) -> Object:
    """Return the datum, or datum ensemble, of a geodetic CRS."""
    datum = crs.get("datum") or crs.get("datum_ensemble")
    assert isinstance(datum, dict)
    return datum


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


def _datum(keys: GeoKeys, known: Object | None, names: dict[str, str]) -> Object:
    code = keys.code(GeoKey.GEODETIC_DATUM)
    found = component("datum", code) if code is not None else None
    current = known_datum(known) if known is not None else None
    if found is not None and (current is None or found.get("name") != current.get("name")):
        current = found
    name = names.get("Datum") if current is None else str(current["name"])
    ellipsoid = _ellipsoid(keys, current, names)
    meridian = _prime_meridian(keys, current, names)
    if (
        current is not None
        and ellipsoid is current.get("ellipsoid")
        and meridian is current.get("prime_meridian")
    ):
        return current
    datum: Object = {
        "type": "GeodeticReferenceFrame",
        "name": (_official("datum", name) or "unnamed").removesuffix(_ENSEMBLE),
        "ellipsoid": ellipsoid,
    }
    if meridian is not None:
        datum["prime_meridian"] = meridian
    return datum


def _ellipsoid(keys: GeoKeys, datum: Object | None, names: dict[str, str]) -> JSON:
    current = datum.get("ellipsoid") if datum is not None else None
    code = keys.code(GeoKey.ELLIPSOID)
    if (found := component("ellipsoid", code) if code is not None else None) is not None:
        same = isinstance(current, dict) and current.get("name") == found["name"]
        current = current if same else found
    axes = _axes(current) if isinstance(current, dict) else None
    major = keys.double(GeoKey.ELLIPSOID_SEMI_MAJOR_AXIS) or (axes[0] if axes else None)
    if not major or major <= 0:
        # GDAL uses WGS 84 if no ellipsoid is given.
        return current or component("ellipsoid", 7030)
    minor = keys.double(GeoKey.ELLIPSOID_SEMI_MINOR_AXIS) or (axes[1] if axes else major)
    flattening = keys.double(GeoKey.ELLIPSOID_INV_FLATTENING)
    if flattening is not None:
        minor = major * (1 - 1 / flattening) if flattening else major
    if axes and all(
        isclose(a, b, rel_tol=_RELATIVE_TOLERANCE)
        for a, b in zip(axes, (major, minor), strict=True)
    ):
        return current
    name = names.get("Ellipsoid") or (
        str(current["name"]) if isinstance(current, dict) else "unnamed"
    )
    shape: Object = {"name": _official("ellipsoid", name) or name}
    if minor == major:
        return {**shape, "radius": major}
    if flattening:
        return {**shape, "semi_major_axis": major, "inverse_flattening": flattening}
    return {**shape, "semi_major_axis": major, "semi_minor_axis": minor}


def _axes(ellipsoid: Object) -> tuple[float, float] | None:
    """Return semi-major and semi-minor axis in metres."""
    values = {k: v for k, v in ellipsoid.items() if isinstance(v, int | float)}
    if "radius" in values:
        return values["radius"], values["radius"]
    if "semi_major_axis" not in values:
        return None
    major = values["semi_major_axis"]
    if "semi_minor_axis" in values:
        return major, values["semi_minor_axis"]
    return major, major * (1 - 1 / values["inverse_flattening"])


def _prime_meridian(keys: GeoKeys, datum: Object | None, names: dict[str, str]) -> JSON:
    current = datum.get("prime_meridian") if datum is not None else None
    code = keys.code(GeoKey.PRIME_MERIDIAN)
    if code is not None and (found := component("prime meridian", code)) is not None:
        name = current.get("name") if isinstance(current, dict) else "Greenwich"
        return current if name == found["name"] else found
    longitude = keys.double(GeoKey.PRIME_MERIDIAN_LONGITUDE) or 0.0
    name = names.get("Primem", "unnamed" if longitude else "Greenwich")
    if datum is not None and keys.code(GeoKey.GEODETIC_CRS) is not None:
        return current
    if name == "Greenwich" and not longitude:
        return current
    unit = (angular_unit(keys) or DEGREE).json
    value: JSON = longitude if unit == "degree" else {"value": longitude, "unit": unit}
    return {"name": name, "longitude": value}


@lru_cache(maxsize=256)
def _official(kind: Literal["crs", "datum", "ellipsoid"], name: str | None) -> str | None:
    """Return the EPSG name for an ArcGIS name such as `GCS_…` or `D_…`; else the name itself."""
    if name is None or not name.strip():
        return None
    if name == "WGS_1984":
        return "World Geodetic System 1984" if kind == "datum" else "WGS 84"
    if "_" not in name or (kind == "crs" and not name.startswith("GCS_")):
        return name
    try:
        if kind == "crs":
            return pyproj.CRS.from_user_input(name).name
        if kind == "datum":
            return Datum.from_name(name, auth_name="EPSG").name
        return Ellipsoid.from_name(name, auth_name="EPSG").name
    except CRSError:
        return name


def geocentric_crs(keys: GeoKeys) -> Object:
    """Return a geocentric CRS on the datum of the keys (GTModelTypeGeoKey 3)."""
    code = keys.code(GeoKey.GEODETIC_CRS)
    found = registered(code) if code is not None else None
    if found is not None and found.get("type") == "GeodeticCRS":
        return found
    base = base_crs(keys)
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
