"""GeoKey numbers of GeoTIFF 1.1, and typed access to a parsed GeoKeyDirectory.

Source: OGC GeoTIFF 1.1 (19-008r4), section 7 and annex B; `GEOG_TOWGS84` and
`COORDINATE_EPOCH` are additions GDAL and libgeotiff read and write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite

from virtual_tiff.tiff.ifd import GeoKeyValue

USER_DEFINED = 32767
"""Value of a code GeoKey whose definition follows in other keys (GeoTIFF 1.1 section 7.1.2)."""


class GeoKey(IntEnum):
    """GeoKey numbers; `title` is the name in the specification."""

    GT_MODEL_TYPE = 1024
    GT_RASTER_TYPE = 1025
    GT_CITATION = 1026
    GEODETIC_CRS = 2048
    GEODETIC_CITATION = 2049
    GEODETIC_DATUM = 2050
    PRIME_MERIDIAN = 2051
    GEOG_LINEAR_UNITS = 2052
    GEOG_LINEAR_UNIT_SIZE = 2053
    GEOG_ANGULAR_UNITS = 2054
    GEOG_ANGULAR_UNIT_SIZE = 2055
    ELLIPSOID = 2056
    ELLIPSOID_SEMI_MAJOR_AXIS = 2057
    ELLIPSOID_SEMI_MINOR_AXIS = 2058
    ELLIPSOID_INV_FLATTENING = 2059
    GEOG_AZIMUTH_UNITS = 2060
    PRIME_MERIDIAN_LONGITUDE = 2061
    GEOG_TOWGS84 = 2062
    PROJECTED_CRS = 3072
    PROJECTED_CITATION = 3073
    PROJECTION = 3074
    PROJ_METHOD = 3075
    PROJ_LINEAR_UNITS = 3076
    PROJ_LINEAR_UNIT_SIZE = 3077
    PROJ_STD_PARALLEL_1 = 3078
    PROJ_STD_PARALLEL_2 = 3079
    PROJ_NAT_ORIGIN_LONG = 3080
    PROJ_NAT_ORIGIN_LAT = 3081
    PROJ_FALSE_EASTING = 3082
    PROJ_FALSE_NORTHING = 3083
    PROJ_FALSE_ORIGIN_LONG = 3084
    PROJ_FALSE_ORIGIN_LAT = 3085
    PROJ_FALSE_ORIGIN_EASTING = 3086
    PROJ_FALSE_ORIGIN_NORTHING = 3087
    PROJ_CENTER_LONG = 3088
    PROJ_CENTER_LAT = 3089
    PROJ_CENTER_EASTING = 3090
    PROJ_CENTER_NORTHING = 3091
    PROJ_SCALE_AT_NAT_ORIGIN = 3092
    PROJ_SCALE_AT_CENTER = 3093
    PROJ_AZIMUTH_ANGLE = 3094
    PROJ_STRAIGHT_VERT_POLE_LONG = 3095
    PROJ_RECTIFIED_GRID_ANGLE = 3096
    VERTICAL = 4096
    VERTICAL_CITATION = 4097
    VERTICAL_DATUM = 4098
    VERTICAL_UNITS = 4099
    COORDINATE_EPOCH = 5120

    @property
    def title(self) -> str:
        """Name in the specification, such as `ProjectedCRSGeoKey`."""
        return _TITLES.get(self, self.name.title().replace("_", "")) + "GeoKey"


_TITLES = {
    GeoKey.GT_MODEL_TYPE: "GTModelType",
    GeoKey.GT_RASTER_TYPE: "GTRasterType",
    GeoKey.GT_CITATION: "GTCitation",
    GeoKey.GEODETIC_CRS: "GeodeticCRS",
    GeoKey.GEOG_TOWGS84: "GeogTOWGS84",
    GeoKey.PROJECTED_CRS: "ProjectedCRS",
}


class ModelType(IntEnum):
    """Values of GTModelTypeGeoKey (GeoTIFF 1.1 section 7.2.1)."""

    PROJECTED = 1
    GEOGRAPHIC_2D = 2
    GEOCENTRIC = 3


class RasterType(IntEnum):
    """Values of GTRasterTypeGeoKey (GeoTIFF 1.1 section 7.2.2)."""

    PIXEL_IS_AREA = 1
    PIXEL_IS_POINT = 2


def key_title(number: int) -> str:
    """Return the name of a GeoKey, or its number if it has no name."""
    try:
        return GeoKey(number).title
    except ValueError:
        return str(number)


@dataclass(frozen=True, slots=True)
class GeoKeys:
    """Typed, tolerant access to a GeoKeyDirectory: a key of the wrong type counts as absent."""

    values: Mapping[int, GeoKeyValue]

    def short(self, key: GeoKey) -> int | None:
        """Return the value of a SHORT key; `None` if it is absent."""
        value = self.values.get(key)
        return value if isinstance(value, int) else None

    def code(self, key: GeoKey) -> int | None:
        """Return an EPSG code; `None` if absent, undefined (0), user-defined or private.

        GeoTIFF 1.1 requirement class "Configuration GeoKeys": 1 to 32766 are EPSG codes,
        32767 is user-defined, 32768 to 65535 are private.
        """
        value = self.short(key)
        return value if value is not None and 0 < value < USER_DEFINED else None

    def text(self, key: GeoKey) -> str | None:
        """Return an ASCII key without its closing bar; `None` if absent or empty."""
        value = self.values.get(key)
        if not isinstance(value, str):
            return None
        text = value.partition("\0")[0].removesuffix("|").strip()
        return text.encode("utf-8", "replace").decode() or None

    def double(self, *keys: GeoKey) -> float | None:
        """Return the first value of the first of `keys` with a finite number."""
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, tuple):
                value = value[0] if value else None
            if isinstance(value, int | float) and isfinite(value):
                return float(value)
        return None

    def doubles(self, key: GeoKey) -> tuple[float, ...]:
        """Return all values of a DOUBLE key; empty if it is absent or not finite."""
        value = self.values.get(key)
        values = value if isinstance(value, tuple) else (value,)
        numbers = tuple(float(v) for v in values if isinstance(v, int | float) and isfinite(v))
        return numbers if len(numbers) == len(values) else ()
