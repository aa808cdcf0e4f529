"""Map projections of GeoTIFF 1.1: methods, parameters and their GeoKeys.

GeoTIFF 1.1 annex C lists the methods of ProjMethodGeoKey (ProjCoordTransGeoKey in 1.0) and the
keys that hold their parameters. Writers differ in their use of NatOrigin, FalseOrigin and Center,
so each parameter is looked up under all of its names, as in libgeotiff. Methods and
parameters are named and numbered as in the EPSG registry, where they have an entry there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from virtual_tiff.tiff.geokeys._codes import GeoKey

type Quantity = Literal["angle", "azimuth", "length", "scale"]


class ProjMethod(IntEnum):
    """Values of ProjMethodGeoKey (GeoTIFF 1.1 annex C.3); 9815 is an EPSG code GDAL writes."""

    TRANSVERSE_MERCATOR = 1
    TRANSVERSE_MERCATOR_MODIFIED_ALASKA = 2
    OBLIQUE_MERCATOR = 3
    OBLIQUE_MERCATOR_LABORDE = 4
    OBLIQUE_MERCATOR_ROSENMUND = 5
    OBLIQUE_MERCATOR_SPHERICAL = 6
    MERCATOR = 7
    LAMBERT_CONIC_CONFORMAL_2SP = 8
    LAMBERT_CONIC_CONFORMAL_1SP = 9
    LAMBERT_AZIMUTHAL_EQUAL_AREA = 10
    ALBERS_EQUAL_AREA = 11
    AZIMUTHAL_EQUIDISTANT = 12
    EQUIDISTANT_CONIC = 13
    STEREOGRAPHIC = 14
    POLAR_STEREOGRAPHIC = 15
    OBLIQUE_STEREOGRAPHIC = 16
    EQUIRECTANGULAR = 17
    CASSINI_SOLDNER = 18
    GNOMONIC = 19
    MILLER_CYLINDRICAL = 20
    ORTHOGRAPHIC = 21
    POLYCONIC = 22
    ROBINSON = 23
    SINUSOIDAL = 24
    VAN_DER_GRINTEN = 25
    NEW_ZEALAND_MAP_GRID = 26
    TRANSVERSE_MERCATOR_SOUTH_ORIENTED = 27
    CYLINDRICAL_EQUAL_AREA = 28
    HOTINE_OBLIQUE_MERCATOR_B = 9815


@dataclass(frozen=True, slots=True)
class ParameterSource:
    """Source of a parameter: GeoKeys in order of preference, then a default."""

    keys: tuple[GeoKey, ...]
    quantity: Quantity
    default: float = 0.0

    @property
    def is_length(self) -> bool:
        """Whether the default is in metres, not degrees."""
        return self.quantity == "length"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation method, with its EPSG code if it has one."""

    name: str
    epsg: int | None
    source: ParameterSource


@dataclass(frozen=True, slots=True)
class Method:
    """An operation method, with its EPSG code if it has one."""

    name: str
    epsg: int | None
    parameters: tuple[Parameter, ...]


LON = ParameterSource(
    (GeoKey.PROJ_NAT_ORIGIN_LONG, GeoKey.PROJ_FALSE_ORIGIN_LONG, GeoKey.PROJ_CENTER_LONG), "angle"
)
LAT = ParameterSource(
    (GeoKey.PROJ_NAT_ORIGIN_LAT, GeoKey.PROJ_FALSE_ORIGIN_LAT, GeoKey.PROJ_CENTER_LAT), "angle"
)
_POLE_LON = ParameterSource((GeoKey.PROJ_STRAIGHT_VERT_POLE_LONG, *LON.keys), "angle")
PARALLEL_1 = ParameterSource((GeoKey.PROJ_STD_PARALLEL_1,), "angle")
_PARALLEL_2 = ParameterSource((GeoKey.PROJ_STD_PARALLEL_2,), "angle")
SCALE = ParameterSource(
    (GeoKey.PROJ_SCALE_AT_NAT_ORIGIN, GeoKey.PROJ_SCALE_AT_CENTER), "scale", 1.0
)
ORIGIN_SCALE = ParameterSource((GeoKey.PROJ_SCALE_AT_NAT_ORIGIN,), "scale", 1.0)
_AZIMUTH = ParameterSource((GeoKey.PROJ_AZIMUTH_ANGLE,), "azimuth")
_GRID_ANGLE = ParameterSource((GeoKey.PROJ_RECTIFIED_GRID_ANGLE,), "angle", 90.0)
EASTING = ParameterSource(
    (
        GeoKey.PROJ_FALSE_EASTING,
        GeoKey.PROJ_CENTER_EASTING,
        GeoKey.PROJ_FALSE_ORIGIN_EASTING,
    ),
    "length",
)
NORTHING = ParameterSource(
    (
        GeoKey.PROJ_FALSE_NORTHING,
        GeoKey.PROJ_CENTER_NORTHING,
        GeoKey.PROJ_FALSE_ORIGIN_NORTHING,
    ),
    "length",
)

_FALSE = (
    Parameter("False easting", 8806, EASTING),
    Parameter("False northing", 8807, NORTHING),
)
_NATURAL_LAT = Parameter("Latitude of natural origin", 8801, LAT)
_NATURAL_LON = Parameter("Longitude of natural origin", 8802, LON)
_NATURAL_SCALE = Parameter("Scale factor at natural origin", 8805, SCALE)
_NATURAL = (_NATURAL_LAT, _NATURAL_LON, *_FALSE)
_SCALED = (_NATURAL_LAT, _NATURAL_LON, _NATURAL_SCALE, *_FALSE)
# For these two GDAL reads the scale from one key only.
_SCALED_AT_ORIGIN = (
    _NATURAL_LAT,
    _NATURAL_LON,
    Parameter("Scale factor at natural origin", 8805, ORIGIN_SCALE),
    *_FALSE,
)
_MERIDIAN = (_NATURAL_LON, *_FALSE)
_STANDARD = Parameter("Latitude of 1st standard parallel", 8823, PARALLEL_1)
_CONIC = (
    Parameter("Latitude of false origin", 8821, LAT),
    Parameter("Longitude of false origin", 8822, LON),
    _STANDARD,
    Parameter("Latitude of 2nd standard parallel", 8824, _PARALLEL_2),
    Parameter("Easting at false origin", 8826, EASTING),
    Parameter("Northing at false origin", 8827, NORTHING),
)
_CENTRE = (
    Parameter("Latitude of projection centre", 8811, LAT),
    Parameter("Longitude of projection centre", 8812, LON),
    Parameter("Azimuth at projection centre", 8813, _AZIMUTH),
)
_SKEW = Parameter("Angle from Rectified to Skew Grid", 8814, _GRID_ANGLE)
_CENTRE_SCALE = Parameter("Scale factor at projection centre", 8815, SCALE)
_AT_CENTRE = (
    Parameter("Easting at projection centre", 8816, EASTING),
    Parameter("Northing at projection centre", 8817, NORTHING),
)

# On a sphere Hotine's formulas are those of the spherical oblique Mercator.
_HOTINE_A = Method(
    "Hotine Oblique Mercator (variant A)", 9812, (*_CENTRE, _SKEW, _CENTRE_SCALE, *_FALSE)
)
_HOTINE_B = Method(
    "Hotine Oblique Mercator (variant B)", 9815, (*_CENTRE, _SKEW, _CENTRE_SCALE, *_AT_CENTRE)
)
# Rosenmund's projection of Switzerland is the Hotine one along the equator of the oblique
# sphere: the EPSG registry defines CH1903 / LV03 with both angles at 90 degrees.
_RIGHT_ANGLE = ParameterSource((), "angle", 90.0)
_ROSENMUND = Method(
    "Hotine Oblique Mercator (variant B)",
    9815,
    (
        *_CENTRE[:2],
        Parameter("Azimuth at projection centre", 8813, _RIGHT_ANGLE),
        Parameter("Angle from Rectified to Skew Grid", 8814, _RIGHT_ANGLE),
        _CENTRE_SCALE,
        *_AT_CENTRE,
    ),
)
MERCATOR_A = Method("Mercator (variant A)", 9804, _SCALED_AT_ORIGIN)
MERCATOR_B = Method("Mercator (variant B)", 9805, (_STANDARD, *_MERIDIAN))
MERCATOR_B_SHIFTED = Method("Mercator (variant B)", 9805, (_STANDARD, _NATURAL_LAT, *_MERIDIAN))
MERCATOR_B_LATITUDE = Method(
    "Mercator (variant B)",
    9805,
    (Parameter("Latitude of 1st standard parallel", 8823, LAT), *_MERIDIAN),
)
EQUIRECTANGULAR = Method("Equidistant Cylindrical", 1028, (_STANDARD, *_MERIDIAN))
EQUIRECTANGULAR_SHIFTED = Method(
    "Equidistant Cylindrical", 1028, (_NATURAL_LAT, _STANDARD, *_MERIDIAN)
)
POLAR_A = Method(
    "Polar Stereographic (variant A)",
    9810,
    (
        _NATURAL_LAT,
        Parameter("Longitude of natural origin", 8802, _POLE_LON),
        _NATURAL_SCALE,
        *_FALSE,
    ),
)
POLAR_B = Method(
    "Polar Stereographic (variant B)",
    9829,
    (
        Parameter("Latitude of standard parallel", 8832, LAT),
        Parameter("Longitude of origin", 8833, _POLE_LON),
        *_FALSE,
    ),
)
# A standard parallel with a scale factor has no EPSG method; PROJ supports that of WKT 1.
POLAR_WKT1 = Method(
    "Polar_Stereographic",
    None,
    (
        Parameter("latitude_of_origin", None, LAT),
        Parameter("central_meridian", None, _POLE_LON),
        Parameter("scale_factor", None, SCALE),
        Parameter("false_easting", None, EASTING),
        Parameter("false_northing", None, NORTHING),
    ),
)

METHODS: dict[ProjMethod, Method] = {
    ProjMethod.TRANSVERSE_MERCATOR: Method("Transverse Mercator", 9807, _SCALED),
    ProjMethod.TRANSVERSE_MERCATOR_MODIFIED_ALASKA: Method("PROJ alsk", None, _FALSE),
    ProjMethod.OBLIQUE_MERCATOR: _HOTINE_A,
    ProjMethod.OBLIQUE_MERCATOR_LABORDE: Method(
        "Laborde Oblique Mercator", 9813, (*_CENTRE, _CENTRE_SCALE, *_FALSE)
    ),
    ProjMethod.OBLIQUE_MERCATOR_ROSENMUND: _ROSENMUND,
    ProjMethod.OBLIQUE_MERCATOR_SPHERICAL: _HOTINE_A,
    ProjMethod.LAMBERT_CONIC_CONFORMAL_2SP: Method("Lambert Conic Conformal (2SP)", 9802, _CONIC),
    ProjMethod.LAMBERT_CONIC_CONFORMAL_1SP: Method("Lambert Conic Conformal (1SP)", 9801, _SCALED),
    ProjMethod.LAMBERT_AZIMUTHAL_EQUAL_AREA: Method("Lambert Azimuthal Equal Area", 9820, _NATURAL),
    ProjMethod.ALBERS_EQUAL_AREA: Method("Albers Equal Area", 9822, _CONIC),
    ProjMethod.AZIMUTHAL_EQUIDISTANT: Method("Azimuthal Equidistant", 1125, _NATURAL),
    ProjMethod.EQUIDISTANT_CONIC: Method("Equidistant Conic", 1119, _CONIC),
    ProjMethod.STEREOGRAPHIC: Method("Stereographic", None, _SCALED_AT_ORIGIN),
    ProjMethod.OBLIQUE_STEREOGRAPHIC: Method("Oblique Stereographic", 9809, _SCALED),
    ProjMethod.CASSINI_SOLDNER: Method("Cassini-Soldner", 9806, _NATURAL),
    ProjMethod.GNOMONIC: Method("Gnomonic", None, _NATURAL),
    ProjMethod.MILLER_CYLINDRICAL: Method("Miller Cylindrical", None, _MERIDIAN),
    ProjMethod.ORTHOGRAPHIC: Method("Orthographic", 9840, _NATURAL),
    ProjMethod.POLYCONIC: Method("American Polyconic", 9818, _NATURAL),
    ProjMethod.ROBINSON: Method("Robinson", None, _MERIDIAN),
    ProjMethod.SINUSOIDAL: Method("Sinusoidal", None, _MERIDIAN),
    ProjMethod.VAN_DER_GRINTEN: Method("Van Der Grinten", None, _MERIDIAN),
    ProjMethod.NEW_ZEALAND_MAP_GRID: Method("New Zealand Map Grid", 9811, _NATURAL),
    ProjMethod.TRANSVERSE_MERCATOR_SOUTH_ORIENTED: Method(
        "Transverse Mercator (South Orientated)", 9808, _SCALED
    ),
    ProjMethod.CYLINDRICAL_EQUAL_AREA: Method(
        "Lambert Cylindrical Equal Area", 9835, (_STANDARD, *_MERIDIAN)
    ),
    ProjMethod.HOTINE_OBLIQUE_MERCATOR_B: _HOTINE_B,
}
