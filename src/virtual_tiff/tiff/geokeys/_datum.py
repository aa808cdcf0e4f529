"""Find datums, ellipsoids and prime meridians of GeoKeys, as PROJJSON (GeoTIFF 1.1 section 7.4.2).

Keys that redefine a part of a registered system replace that part, as in GDAL.
"""

from __future__ import annotations

from functools import lru_cache
from math import isclose
from typing import Literal

import pyproj
from pyproj.crs import Datum, Ellipsoid, PrimeMeridian  # type: ignore[attr-defined]
from pyproj.exceptions import CRSError

from virtual_tiff.json_type import JSON
from virtual_tiff.tiff.geokeys._codes import USER_DEFINED, GeoKey, GeoKeys
from virtual_tiff.tiff.geokeys._projections import DEGREE
from virtual_tiff.tiff.geokeys._units import Object, angular_unit

# Relative difference up to which two ellipsoids are the same, rounded differently.
_RELATIVE_TOLERANCE = 1e-10
_ENSEMBLE = " ensemble"


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


def known_datum(crs: Object) -> Object:
    """Return the datum, or datum ensemble, of a geodetic CRS."""
    datum = crs.get("datum") or crs.get("datum_ensemble")
    assert isinstance(datum, dict)
    return datum


def datum_of(keys: GeoKeys, known: Object | None, names: dict[str, str]) -> Object:
    """Return the datum of the keys, or of a system that they do not change."""
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
        "name": (official_name("datum", name) or "unnamed").removesuffix(_ENSEMBLE),
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
    shape: Object = {"name": official_name("ellipsoid", name) or name}
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
    # GDAL takes a longitude only if no code implies one, or the meridian is user-defined.
    coded = any(keys.code(key) is not None for key in (GeoKey.GEODETIC_CRS, GeoKey.PROJECTED_CRS))
    if datum is not None and coded and keys.short(GeoKey.PRIME_MERIDIAN) != USER_DEFINED:
        return current
    if name == "Greenwich" and not longitude:
        return current
    unit = (angular_unit(keys) or DEGREE).json
    value: JSON = longitude if unit == "degree" else {"value": longitude, "unit": unit}
    return {"name": name, "longitude": value}


@lru_cache(maxsize=256)
def official_name(kind: Literal["crs", "datum", "ellipsoid"], name: str | None) -> str | None:
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
