"""Convert GeoKeys to a coordinate reference system.

OGC GeoTIFF 1.1 (19-008r4) section 7 defines the keys. Where it is ambiguous, or where real files
violate it, this follows GDAL 3.12, the common reference, with a comment. Systems are built as
PROJJSON, so that PROJ does the interpretation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import pyproj
from pyproj.crs import BoundCRS
from pyproj.crs.coordinate_operation import ToWGS84Transformation
from pyproj.enums import WktVersion
from pyproj.exceptions import CRSError

from virtual_tiff.errors import InvalidTIFFError
from virtual_tiff.tiff.geokeys._codes import USER_DEFINED, GeoKey, GeoKeys, ModelType, key_title
from virtual_tiff.tiff.geokeys._datum import known_datum
from virtual_tiff.tiff.geokeys._geodetic import (
    base_crs,
    engineering_crs,
    geocentric_crs,
    ignores_overrides,
    implied_crs,
    registered,
    unresolved,
)
from virtual_tiff.tiff.geokeys._names import code_of_name
from virtual_tiff.tiff.geokeys._projected import projected_crs
from virtual_tiff.tiff.geokeys._projections import METRE
from virtual_tiff.tiff.geokeys._units import Object, cited_name, linear_unit
from virtual_tiff.tiff.geokeys._vertical import Vertical, add_heights, vertical_keys, vertical_unit
from virtual_tiff.tiff.ifd import GeoKeyValue, ImageFileDirectory

_ESRI_PE = "ESRI PE String = "
#: Per cent of confidence that PROJ must have in a code, as in GDAL; equality is checked besides.
_CONFIDENCE = 70


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CRSResult:
    """Coordinate reference system of a GeoKeyDirectory.

    Equal GeoKeys give the same object, so that results can be cached by identity: comparing or
    hashing a `pyproj.CRS` writes its WKT each time.

    Parameters
    ----------
    crs
        The system; `None` if there is none or it cannot be determined.
    authority
        Code such as `EPSG:32633`, if the system is registered.
    coordinate_epoch
        Decimal year at which coordinates in a dynamic system are valid (CoordinateEpochGeoKey).
    vertical_unit
        Name of the unit of heights, if the file has vertical keys.
    unresolved
        Names and values of all keys, if they could not be interpreted.
    note
        Reason why, in one line.
    """

    crs: pyproj.CRS | None = None
    authority: str | None = None
    coordinate_epoch: float | None = None
    vertical_unit: str | None = None
    unresolved: tuple[tuple[str, GeoKeyValue], ...] = ()
    note: str | None = None

    @property
    def name(self) -> str | None:
        """Display name of the system."""
        return None if self.crs is None else self.crs.name


def crs(ifd: ImageFileDirectory) -> CRSResult:
    """Find the coordinate reference system of an image.

    Never raises: invalid keys are returned as unresolved, with a note.

    Parameters
    ----------
    ifd
        The directory with the GeoKeys; overviews and masks have none. A sidecar takes precedence
        over them.
    """
    found = ifd.auxiliary
    if found is not None and found.crs is not None:
        return crs_of_text(found.crs, found.coordinate_epoch)
    return crs_of_keys(crs_key(ifd), ifd.geo_key_revision)


@lru_cache(maxsize=1024)
def crs_of_text(text: str, coordinate_epoch: float | None = None) -> CRSResult:
    """Return the CRS of a sidecar, from WKT or a code; empty text is no CRS."""
    if not text:
        return CRSResult()
    try:
        found, authority = _identified(pyproj.CRS.from_user_input(text))
    except CRSError:
        return CRSResult(note="PROJ cannot make a CRS from the text of the sidecar.")
    return CRSResult(crs=found, authority=authority, coordinate_epoch=coordinate_epoch)


def crs_key(ifd: ImageFileDirectory) -> tuple[tuple[int, GeoKeyValue], ...]:
    """Return the GeoKeys as a hashable value, for caches."""
    return tuple(ifd.geo_keys.items())


@lru_cache(maxsize=1024)
def crs_of_keys(items: tuple[tuple[int, GeoKeyValue], ...], revision: tuple[int, int]) -> CRSResult:
    """Cached part of `crs`: an archive has few systems and many files."""
    if not items:
        return CRSResult()
    keys = GeoKeys(dict(items))
    try:
        return _resolve(keys, revision)
    except CRSError as error:
        # pyproj repeats the whole definition before PROJ's message.
        reason = str(error).rpartition("Internal Proj Error: ")[2].rstrip(")")
        return CRSResult(
            unresolved=_titled(keys),
            note=f"PROJ cannot make a CRS from the GeoKeys: {reason[:200]}",
        )


def _resolve(keys: GeoKeys, revision: tuple[int, int]) -> CRSResult:
    note = _doubt(keys)
    try:
        horizontal = _horizontal(keys)
    except InvalidTIFFError as error:
        # GDAL makes a local system if it cannot determine the type; so do we, with a note.
        note = note or error.message
        horizontal = _coded(keys) or _local(keys)
    system, unit = horizontal, None
    vertical = vertical_keys(keys, revision)
    if horizontal.get("type") == "CompoundCRS":
        # The text of ArcGIS has the heights.
        vertical, unit = Vertical(None, None, None), vertical_unit(horizontal)
    if horizontal.get("type") == "EngineeringCRS" and keys.code(GeoKey.PROJECTED_CRS) is None:
        # GDAL adds heights to a local system only if their unit is given.
        vertical = replace(vertical, code=None) if vertical.units else Vertical(None, None, None)
    if vertical:
        horizontal = _as_json(_identified(pyproj.CRS.from_json_dict(horizontal))[0])
        system = add_heights(horizontal, vertical, keys)
        unit = vertical_unit(system)
        if revision == (1, 0) and system.get("type") == "CompoundCRS":
            # GDAL ignores vertical keys of GeoTIFF 1.0, since they are often wrong.
            system = horizontal
    crs, authority = _identified(_bound(system, keys))
    return CRSResult(
        crs=crs,
        authority=authority,
        coordinate_epoch=keys.double(GeoKey.COORDINATE_EPOCH),
        vertical_unit=unit,
        unresolved=_titled(keys) if note else (),
        note=note,
    )


def _doubt(keys: GeoKeys) -> str | None:
    """Describe a code that cannot be looked up; other keys may still define the system."""
    for key in (GeoKey.PROJECTED_CRS, GeoKey.GEODETIC_CRS, GeoKey.VERTICAL):
        value = keys.short(key)
        if value is not None and value > USER_DEFINED:
            return f"{key.title} {value} is in the range for private codes."
        code = keys.code(key)
        # GeoTIFF 1.0 used codes of vertical datums, which are not systems, in the vertical key.
        if code is None or (key == GeoKey.VERTICAL and 5001 <= code <= 5171):
            continue
        if registered(code) is None:
            return f"EPSG:{code} ({key.title}) is not in PROJ's registry."
    if keys.short(GeoKey.PROJECTED_CRS) == USER_DEFINED and linear_unit(keys) is None:
        return "the projection has no linear unit (ProjLinearUnitsGeoKey): metres are assumed."
    return None


def _titled(keys: GeoKeys) -> tuple[tuple[str, GeoKeyValue], ...]:
    return tuple((key_title(number), value) for number, value in keys.values.items())


def _horizontal(keys: GeoKeys) -> Object:
    model = keys.short(GeoKey.GT_MODEL_TYPE)
    undefined = model in (None, USER_DEFINED)
    if undefined and (esri := _esri_pe(keys)) is not None:
        return esri
    if undefined and keys.code(GeoKey.PROJECTED_CRS) is not None:
        model = ModelType.PROJECTED
    if model == ModelType.PROJECTED:
        try:
            return projected_crs(keys)
        except InvalidTIFFError:
            if (esri := _esri_pe(keys)) is None:
                raise
            return esri
    if model == ModelType.GEOGRAPHIC_2D:
        return _geographic(keys)
    if model == ModelType.GEOCENTRIC:
        return geocentric_crs(keys)
    if keys.code(GeoKey.GEODETIC_CRS) is not None:
        raise unresolved(
            f"GTModelTypeGeoKey is {model}, which does not define whether coordinates are those of "
            "the GeodeticCRSGeoKey."
        )
    return _local(keys)


def _coded(keys: GeoKeys) -> Object | None:
    """Return the registered projected CRS beside text that cannot be read."""
    code = keys.code(GeoKey.PROJECTED_CRS)
    if code is None or registered(code) is None:
        return None
    try:
        return projected_crs(keys)
    except InvalidTIFFError:
        return None


def _local(keys: GeoKeys) -> Object:
    name = cited_name(keys, GeoKey.GT_CITATION, GeoKey.GEODETIC_CITATION)
    return engineering_crs(name, linear_unit(keys) or METRE)


def _geographic(keys: GeoKeys) -> Object:
    code = keys.code(GeoKey.GEODETIC_CRS)
    known = registered(code) if code is not None else None
    if known is not None and known.get("type") not in ("GeographicCRS", "GeodeticCRS"):
        return known  # a projected code in the wrong key
    if known is not None and ignores_overrides(known):
        return known
    return base_crs(keys, implied_crs(keys))


def _esri_pe(keys: GeoKeys) -> Object | None:
    """Return the WKT that ArcGIS writes into a citation if keys cannot express the system."""
    for key in (GeoKey.PROJECTED_CITATION, GeoKey.GT_CITATION):
        text = keys.text(key)
        if text is None or _ESRI_PE not in text:
            continue
        try:
            found, _ = _identified(pyproj.CRS.from_wkt(text.partition(_ESRI_PE)[2]))
        except CRSError as error:
            raise unresolved(f"{key.title} holds WKT that PROJ cannot read.") from error
        return _as_json(found)
    return None


def _as_json(crs: pyproj.CRS) -> Object:
    return {k: v for k, v in crs.to_json_dict().items() if k != "$schema"}


def _bound(system: Object, keys: GeoKeys) -> pyproj.CRS:
    """Make the CRS; use GeogTOWGS84GeoKey if the datum is not registered."""
    crs = pyproj.CRS.from_json_dict(system)
    parameters = keys.doubles(GeoKey.GEOG_TOWGS84)
    base = system.get("base_crs", system)
    if (
        len(parameters) not in (3, 7)
        or not isinstance(base, dict)
        or base.get("type") != "GeographicCRS"
        or "id" in base
        or "id" in known_datum(base)
    ):
        return crs
    geodetic = crs.geodetic_crs
    assert geodetic is not None
    return BoundCRS(crs, "WGS 84", ToWGS84Transformation(geodetic, *parameters))


def _identified(crs: pyproj.CRS) -> tuple[pyproj.CRS, str | None]:
    """Replace a CRS by the registered one of its name if they are equal; return its code too.

    Keys cannot hold the code of a compound CRS or codes of other registries than EPSG's, so GDAL
    finds them by name. Where no name helps, PROJ searches EPSG's registry for the definition, which
    takes up to 0.2 s; results are cached by keys.
    """
    found = crs.to_json_dict().get("id")
    if isinstance(found, dict):
        return crs, f"{found['authority']}:{found['code']}"
    if crs.is_compound:
        parts = [part.to_json_dict() for part in crs.sub_crs_list]
        match = crs.to_authority(min_confidence=100) if all("id" in p for p in parts) else None
        code = ":".join(match) if match is not None else None
    elif crs.is_projected or crs.is_geographic:
        code = code_of_name(crs.name, "projected" if crs.is_projected else "geographic")
    else:
        code = None
    if code is None:
        return _searched(crs)
    candidate = pyproj.CRS.from_user_input(code)
    return (candidate, code) if _same_keys(crs, candidate) else (crs, None)


def _searched(crs: pyproj.CRS) -> tuple[pyproj.CRS, str | None]:
    """Do the same as `_identified` by the definition; a code is returned only for an equal CRS."""
    if not (crs.is_projected or crs.is_geographic) or crs.is_compound or crs.is_bound:
        return crs, None
    found = crs.to_authority(auth_name="EPSG", min_confidence=_CONFIDENCE)
    if found is None:
        return crs, None
    candidate = pyproj.CRS.from_authority(*found)
    return (candidate, ":".join(found)) if candidate.equals(crs) else (crs, None)


def _same_keys(crs: pyproj.CRS, candidate: pyproj.CRS) -> bool:
    """Return whether two systems are equal in everything that GeoKeys can express.

    GeoKeys cannot express the order of axes, and in planetary systems whether longitudes are
    positive westwards; neither can WKT 1, and that of ArcGIS no directions of axes either.
    """
    if candidate.equals(crs, ignore_axis_order=True):
        return True
    version = WktVersion.WKT1_GDAL if candidate.is_geographic else WktVersion.WKT1_ESRI
    if not candidate.is_geographic and not candidate.is_projected:
        return False
    try:
        plain = pyproj.CRS.from_wkt(candidate.to_wkt(version))
    except CRSError:
        return False
    return plain.equals(crs, ignore_axis_order=True)
