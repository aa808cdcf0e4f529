"""GeoKeys, tiepoints and matrices → CRS and grid: equal to what GDAL makes of the same file."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj.database import query_crs_info
from pyproj.enums import PJType
from rasterio.crs import CRS
from rasterio.enums import Resampling

from scripts.compare_georeferencing import GDAL_OPTIONS, compare, crs_equal, read
from virtual_tiff.tiff.geokeys import (
    CRSResult,
    GeoKey,
    RasterType,
    bounds,
    crs,
    crs_of_keys,
    gcps,
    geotransform,
    height_scaling,
    overview_transform,
    raster_type,
    rpcs,
)
from virtual_tiff.tiff.geokeys._methods import ProjMethod
from virtual_tiff.tiff.ifd import GeoKeyValue, ImageFileDirectory

type Keys = Mapping[int, GeoKeyValue]
type Doubles = tuple[float, ...]

SCALE = (10.0, 20.0, 0.0)
TIEPOINT = (0.0, 0.0, 0.0, 500.0, 600.0, 0.0)
MATRIX = (1.0, 2.0, 0.0, 100.0, 3.0, -4.0, 0.0, 200.0, *(0.0,) * 4, 0.0, 0.0, 0.0, 1.0)
UTM: dict[int, GeoKeyValue] = {
    GeoKey.GT_MODEL_TYPE: 1,
    GeoKey.GT_RASTER_TYPE: 1,
    GeoKey.PROJECTED_CRS: 32631,
}


def geotiff(
    path: Path,
    keys: Keys | None,
    *,
    scale: Doubles = SCALE,
    tiepoint: Doubles = TIEPOINT,
    matrix: Doubles = (),
    minor: int = 0,
) -> Path:
    """Write a small TIFF with these tags and no others of GeoTIFF."""
    tags: list[tuple[int, int, int, Any, bool]] = []
    if keys is not None:
        directory, doubles, text = [1, 1, minor, len(keys)], list[float](), ""
        for key, value in sorted(keys.items()):
            if isinstance(value, int):
                directory += [int(key), 0, 1, value]
            elif isinstance(value, str):
                directory += [int(key), 34737, len(value) + 1, len(text)]
                text += value + "|"
            else:
                values = value if isinstance(value, tuple) else (value,)
                directory += [int(key), 34736, len(values), len(doubles)]
                doubles += values
        tags.append((34735, 3, len(directory), tuple(directory), True))
        if doubles:
            tags.append((34736, 12, len(doubles), tuple(doubles), True))
        if text:
            tags.append((34737, 2, len(text) + 1, text, True))
    for code, numbers in ((33550, scale), (33922, tiepoint), (34264, matrix)):
        if numbers:
            tags.append((code, 12, len(numbers), numbers, True))
    pixels = np.zeros((11, 7), np.uint8)
    tifffile.imwrite(path, pixels, extratags=tags, metadata=None, software=False)
    return path


def first(path: Path, minor: int | None = None) -> ImageFileDirectory:
    """Read the first directory; `minor` is the revision of its GeoKeys."""
    ifd = read(path.read_bytes()).ifds[0]
    return ifd if minor is None else replace(ifd, geo_key_revision=(1, minor))


def both(path: Path, keys: Keys, minor: int = 0) -> tuple[CRSResult, Any]:
    """What we and what rasterio make of GeoKeys."""
    geotiff(path, keys, minor=minor)
    with rasterio.open(path) as dataset:
        return crs(first(path, minor)), dataset.crs


# --- user-defined projections -------------------------------------------------------------------

#: A distinct value for every parameter, so that no two can be mistaken for each other.
PARAMETERS: dict[int, float] = {
    key: float(value)
    for key, value in zip(
        range(GeoKey.PROJ_STD_PARALLEL_1, GeoKey.PROJ_RECTIFIED_GRID_ANGLE + 1),
        (30, 45, 10, 40, 1000, 2000, 11, 41, 1100, 2100, 12, 42, 1200, 2200, 0.9, 0.8, 33, -45, 60),
        strict=True,
    )
}
USER_DEFINED: dict[int, GeoKeyValue] = {
    GeoKey.GT_MODEL_TYPE: 1,
    GeoKey.GT_RASTER_TYPE: 1,
    GeoKey.GEODETIC_CRS: 4326,
    GeoKey.PROJECTED_CRS: 32767,
    GeoKey.PROJECTION: 32767,
    GeoKey.PROJ_LINEAR_UNITS: 9001,
}
VARIANTS: dict[str, Keys] = {
    "all-parameters": PARAMETERS,
    "no-parameter": {},
    "us-feet": {**PARAMETERS, GeoKey.PROJ_LINEAR_UNITS: 9003},
    "own-unit": {
        **PARAMETERS,
        GeoKey.PROJ_LINEAR_UNITS: 32767,
        GeoKey.PROJ_LINEAR_UNIT_SIZE: 0.25,
    },
    "grads": {
        **PARAMETERS,
        GeoKey.GEODETIC_CRS: 32767,
        GeoKey.GEODETIC_DATUM: 6326,
        GeoKey.GEOG_ANGULAR_UNITS: 9105,
    },
    "false-origin": {k: v for k, v in PARAMETERS.items() if 3084 <= k <= 3087 or k <= 3079},
    "center": {k: v for k, v in PARAMETERS.items() if k >= 3088 and k != 3092},
    "pole": {
        GeoKey.PROJ_NAT_ORIGIN_LAT: -90.0,
        GeoKey.PROJ_STRAIGHT_VERT_POLE_LONG: 5.0,
        GeoKey.PROJ_SCALE_AT_NAT_ORIGIN: 0.994,
    },
}
#: GeoTIFF 1.1 annex C names these methods; GDAL 3.12 makes a local system of them.
UNKNOWN_TO_GDAL = {
    ProjMethod.TRANSVERSE_MERCATOR_MODIFIED_ALASKA,
    ProjMethod.OBLIQUE_MERCATOR_ROSENMUND,
    ProjMethod.OBLIQUE_MERCATOR_SPHERICAL,
}


@pytest.mark.parametrize(
    ("method", "variant"),
    [
        (method, variant)
        for method in ProjMethod
        for variant in VARIANTS
        if method not in UNKNOWN_TO_GDAL
        # There is no such map, and GDAL refuses it.
        and (method, variant) != (ProjMethod.MERCATOR, "pole")
    ],
)
def test_every_projection_method(method: ProjMethod, variant: str, tmp_path: Path) -> None:
    keys = {**USER_DEFINED, **VARIANTS[variant], GeoKey.PROJ_METHOD: int(method)}
    ours, theirs = both(tmp_path / "a.tif", keys)
    assert ours.note is None
    assert ours.crs is not None
    assert ours.crs.is_projected
    assert crs_equal(ours.crs, theirs), ours.crs.to_wkt()


def test_methods_that_gdal_does_not_know(tmp_path: Path) -> None:
    swiss = {
        **USER_DEFINED,
        GeoKey.GEODETIC_CRS: 4149,
        GeoKey.PROJ_METHOD: int(ProjMethod.OBLIQUE_MERCATOR_ROSENMUND),
        GeoKey.PROJ_CENTER_LONG: 7.43958333333333,
        GeoKey.PROJ_CENTER_LAT: 46.9524055555556,
        GeoKey.PROJ_FALSE_EASTING: 600_000.0,
        GeoKey.PROJ_FALSE_NORTHING: 200_000.0,
    }
    ours, theirs = both(tmp_path / "a.tif", swiss)
    assert CRS.from_user_input(theirs).to_wkt().startswith("LOCAL_CS")
    assert ours.crs is not None
    assert ours.crs.equals(pyproj.CRS("EPSG:21781"))

    alaska = {
        **USER_DEFINED,
        GeoKey.GEODETIC_CRS: 4267,
        GeoKey.PROJ_METHOD: int(ProjMethod.TRANSVERSE_MERCATOR_MODIFIED_ALASKA),
    }
    ours, _ = both(tmp_path / "a.tif", alaska)
    to_map = pyproj.Transformer.from_crs("EPSG:4267", ours.crs, always_xy=True)
    expected = pyproj.Proj("+proj=alsk +ellps=clrk66")(-150, 64)
    assert to_map.transform(-150, 64) == pytest.approx(expected, abs=1e-3)

    sphere = {
        **USER_DEFINED,
        GeoKey.GEODETIC_CRS: 32767,
        GeoKey.ELLIPSOID_SEMI_MAJOR_AXIS: 6_370_000.0,
        GeoKey.ELLIPSOID_SEMI_MINOR_AXIS: 6_370_000.0,
        GeoKey.PROJ_METHOD: int(ProjMethod.OBLIQUE_MERCATOR_SPHERICAL),
        GeoKey.PROJ_CENTER_LONG: 10.0,
        GeoKey.PROJ_CENTER_LAT: 40.0,
        GeoKey.PROJ_AZIMUTH_ANGLE: 30.0,
    }
    ours, _ = both(tmp_path / "a.tif", sphere)
    assert ours.crs is not None
    to_map = pyproj.Transformer.from_crs(ours.crs.geodetic_crs, ours.crs, always_xy=True)
    expected = pyproj.Proj(
        "+proj=omerc +R=6370000 +lonc=10 +lat_0=40 +alpha=30 +gamma=90 +no_uoff"
    )(12, 43)
    assert to_map.transform(12, 43) == pytest.approx(expected, abs=1e-3)


# --- single files, from what writers were seen to do ---------------------------------------------

ESRI_WKT = (
    'PROJCS["WGS_1984_UTM_Zone_31N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",'
    'SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],'
    'UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],'
    'PARAMETER["Central_Meridian",3.0],PARAMETER["Scale_Factor",0.9996],'
    'PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
)
ERDAS = (
    "IMAGINE GeoTIFF Support\nCopyright 1991 - 2001 by ERDAS, Inc. All Rights Reserved\n"
    "@(#)$RCSfile$ $Revision$ $Date$\n"
)
ALBERS: dict[int, GeoKeyValue] = {
    **USER_DEFINED,
    GeoKey.GEODETIC_CRS: 4269,
    GeoKey.PROJ_METHOD: 11,
    3078: 29.5,
    3079: 45.5,
    3080: -96.0,
    3081: 23.0,
}
#: GeoKeys by number; the raster type is added.
FILES: dict[str, dict[int, GeoKeyValue]] = {
    "raster-type-alone": {},
    "geographic-code": {1024: 2, 2048: 4326},
    "projected-code": {1024: 1, 3072: 32631},
    "no-model-type": {3072: 32631},
    "projected-code-as-geographic": {1024: 2, 2048: 32631},
    "geographic-code-as-projected": {1024: 1, 3072: 4326},
    "model-type-0": {1024: 0, 3072: 32631},
    "geographic-without-definition": {1024: 2},
    "geocentric-code": {1024: 3, 2048: 4978},
    "geocentric-datum": {1024: 3, 1026: "geoc", 2048: 32767, 2050: 6258, 2052: 9001},
    "local-in-feet": {1026: "foo bar", 3076: 9003},
    # a registered system, changed by keys
    "same-base": {1024: 1, 2048: 4326, 3072: 32631, 3076: 9001},
    "other-base": {1024: 1, 2048: 4269, 3072: 32631, 3076: 9001},
    "projected-in-feet": {1024: 1, 3072: 32631, 3076: 9002},
    "projected-in-own-unit": {1024: 1, 3072: 32631, 3076: 32767, 3077: 0.5},
    "feet-on-another-base": {1024: 1, 2048: 4326, 3072: 2263},
    "feet-on-another-datum": {1024: 1, 2050: 6326, 3072: 2992},
    "feet-with-parameters": {
        1024: 1,
        2048: 4269,
        3072: 2263,
        3074: 32767,
        3075: 8,
        3078: 41.0333333333333,
        3079: 40.6666666666667,
        3084: -74.0,
        3085: 40.1666666666667,
        3086: 984250.0,
        3087: 0.0,
    },
    "unit-of-geocentric-coordinates": {1024: 1, 2052: 9002, 3072: 3035},
    "size-of-a-unit-without-a-code": {1024: 1, 3072: 32631, 3077: 0.5},
    "size-of-a-geocentric-unit": {1024: 1, 2052: 32767, 2053: 0.3048, 3072: 2263},
    "wgs84-on-another-ellipsoid": {1024: 2, 2048: 4326, 2057: 6378000.0, 2059: 300.0},
    "nad27-on-another-ellipsoid": {1024: 2, 2048: 4267, 2057: 6378000.0, 2059: 300.0},
    "nad27-with-another-datum": {1024: 2, 2048: 4267, 2050: 6326},
    "rounded-ellipsoid": {1024: 2, 2048: 4269, 2057: 6378137.0, 2059: 298.257222101004},
    "web-mercator-with-method": {1024: 1, 2048: 4326, 3072: 3857, 3075: 7, 3076: 9001},
    "web-mercator-on-another-base": {1024: 1, 2048: 4258, 3072: 3857, 3076: 9001},
    "web-mercator-on-another-ellipsoid": {1024: 1, 2056: 7019, 3072: 3857, 3076: 9001},
    "longitude-of-a-meridian-beside-a-code": {1024: 1, 2061: 2.5, 3072: 28992, 3074: 16033},
    "another-meridian-beside-a-code": {1024: 1, 2051: 32767, 2056: 7001, 2061: 2.5, 3072: 27700},
    "another-meridian-of-a-geographic-code": {1024: 2, 2048: 4267, 2051: 32767, 2061: 2.5},
    "projected-code-of-a-geographic-model": {1024: 2, 2049: "CH1903", 3072: 21781},
    "projected-code-of-a-geocentric-model": {1024: 3, 2052: 9001, 3072: 28992},
    # user-defined geographic systems
    "own-with-datum-code": {1024: 2, 2048: 32767, 2050: 6267},
    "own-with-ellipsoid-code": {1024: 2, 2048: 32767, 2050: 32767, 2056: 7008},
    "own-sphere": {1024: 2, 2048: 32767, 2056: 32767, 2057: 6370000.0, 2058: 6370000.0},
    "own-citation": {1024: 2, 2048: 32767, 2049: "My GCS", 2057: 6370000.0, 2059: 300.0},
    "own-named-as-registered": {
        1024: 2,
        2048: 32767,
        2049: "NAD83",
        2057: 6378137.0,
        2059: 298.257,
    },
    "own-esri-names": {
        1024: 2,
        2048: 32767,
        2049: "GCS Name = GCS_WGS_1984|Datum = D_WGS_1984|Ellipsoid = WGS_1984|Primem = Greenwich|",
        2057: 6378137.0,
        2059: 298.257223563,
    },
    "own-planet": {
        1024: 2,
        2048: 32767,
        2049: "GCS Name = Mars 2000|Datum = D_Mars_2000|Ellipsoid = Mars_2000|"
        "Primem = Reference_Meridian|",
        2057: 3396190.0,
        2059: 169.89444722361179,
    },
    "own-prime-meridian-code": {1024: 2, 2048: 32767, 2050: 6326, 2051: 8903},
    "own-prime-meridian": {1024: 2, 2048: 32767, 2050: 6326, 2061: 2.5},
    "own-angular-unit": {
        1024: 2,
        2048: 32767,
        2049: "GCS Name = foo|Datum = D_WGS_1984|Ellipsoid = WGS_1984|AUnits = Grad|",
        2055: 0.015707963267949,
        2057: 6378137.0,
        2059: 298.257223563,
    },
    "towgs84-of-7": {
        1024: 2,
        2048: 32767,
        2049: "Foo",
        2057: 6377397.155,
        2059: 299.1528128,
        2062: (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
    },
    "towgs84-of-3": {1024: 2, 2048: 32767, 2049: "Foo", 2057: 6.4e6, 2062: (1.0, 2.0, 3.0)},
    "towgs84-of-a-known-datum": {1024: 1, 3072: 28992, 2062: (1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0)},
    "towgs84-projected": {
        **USER_DEFINED,
        2048: 32767,
        2049: "Foo",
        2057: 6377397.155,
        2059: 299.1528128,
        2062: (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
        3075: 1,
    },
    # citations
    "named-as-registered": {**ALBERS, 1026: "NAD83 / Conus Albers"},
    "named-as-by-esri": {**ALBERS, 1026: "NAD_1983_Contiguous_USA_Albers"},
    "named-otherwise": {**ALBERS, 1026: "Albers"},
    "pcs-name": {**ALBERS, 3073: "PCS Name = My Albers|LUnits = meters|"},
    "units-in-citation": {**ALBERS, 1026: "foo", 3073: "LUnits = meters"},
    "erdas-utm": {
        **USER_DEFINED,
        1026: ERDAS + "Projection Name = UTM\nUnits = meters\nGeoTIFF Units = meters",
        2048: 4267,
        3073: ERDAS + "UTM Zone 10N\nEllipsoid = Clarke 1866\nDatum = NAD27 (CONUS)",
        3074: 16010,
    },
    "old-web-mercator": {**USER_DEFINED, 1026: "WGS_1984_Web_Mercator_Auxiliary_Sphere", 3075: 7},
    "google-mercator": {**USER_DEFINED, 1026: "Google Maps Global Mercator", 3075: 7},
    "esri-pe": {1024: 32767, 3073: "ESRI PE String = " + ESRI_WKT},
    "unreadable-esri-pe": {1024: 32767, 1026: 'ESRI PE String = PROJCS["x"]', 3072: 32631},
    # what cannot be resolved
    "projected-without-definition": {1024: 1, 2048: 4326},
    "unknown-projected-code": {1024: 1, 3072: 1234},
    "private-projected-code": {1024: 1, 3072: 54009},
    "unknown-geographic-code": {1024: 2, 2048: 1234},
    "unknown-method": {**USER_DEFINED, 3075: 99},
    "geographic-code-without-model-type": {2048: 4326},
}


@pytest.mark.parametrize("name", FILES)
def test_as_gdal(name: str, tmp_path: Path) -> None:
    ours, theirs = both(tmp_path / "a.tif", {1025: 1, **FILES[name]})
    assert crs_equal(ours.crs, theirs), (ours.crs and ours.crs.to_wkt(), theirs.to_wkt())


@pytest.mark.parametrize(
    ("name", "mentions"),
    [
        ("projected-without-definition", "projection"),
        ("unknown-projected-code", "EPSG:1234"),
        ("private-projected-code", "54009"),
        ("unknown-geographic-code", "EPSG:1234"),
        ("unknown-method", "99"),
        ("geographic-code-without-model-type", "GTModelTypeGeoKey"),
    ],
)
def test_unresolved_keys_are_kept_with_a_note(name: str, mentions: str) -> None:
    keys = {1025: 1, **FILES[name]}
    result = crs_of_keys(tuple(keys.items()), (1, 1))
    assert result.note is not None
    assert mentions in result.note
    assert len(result.unresolved) == len(keys)
    assert dict(result.unresolved)["GTRasterTypeGeoKey"] == 1


def test_keys_that_proj_rejects_are_kept_with_a_note() -> None:
    keys = {1024: 2, 2048: 32767, 2057: 6378137.0, 2059: 1.0}
    result = crs_of_keys(tuple(keys.items()), (1, 1))
    assert result.crs is None
    assert result.name is None
    assert result.note is not None
    assert dict(result.unresolved)["EllipsoidInvFlatteningGeoKey"] == 1.0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (3034, "EPSG:3034"),
        (3116, "EPSG:3116"),
        (3408, "EPSG:3408"),
        # Found equal, but not by name: the text has no codes of the parts.
        (7415, None),
        (5555, None),
        (9707, None),
    ],
)
def test_text_of_arcgis_has_heights_and_codes(
    code: int, expected: str | None, tmp_path: Path
) -> None:
    """Axes to the north and south, which that text cannot have; heights that keys have too."""
    file = tmp_path / "a.tif"
    profile: dict[str, Any] = {"driver": "GTiff", "width": 8, "height": 8, "count": 1}
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    options: dict[str, Any] = {"dtype": "uint8", "transform": transform}
    with rasterio.open(
        file, "w", **profile, **options, crs=f"EPSG:{code}", GEOTIFF_KEYS_FLAVOR="ESRI_PE"
    ) as dataset:
        dataset.write(np.ones((1, 8, 8), np.uint8))
    with rasterio.Env(**GDAL_OPTIONS):
        result = compare(file, "a")
    assert result is not None
    assert result.differences == ()
    found = crs(read(file.read_bytes()).ifds[0])
    assert found.note is None
    assert found.authority == expected


def test_esri_wkt_of_a_projected_model(tmp_path: Path) -> None:
    # GDAL takes the text for a name and makes a local system of it.
    keys = {**USER_DEFINED, GeoKey.PROJECTED_CITATION: "ESRI PE String = " + ESRI_WKT}
    ours, theirs = both(tmp_path / "a.tif", keys)
    assert theirs.to_wkt().startswith("LOCAL_CS")
    assert ours.authority == "EPSG:32631"


def test_utm_zone_in_a_citation_alone(tmp_path: Path) -> None:
    keys = {**USER_DEFINED, 2048: 4267, 3073: ERDAS + "UTM Zone 10N\nDatum = NAD27"}
    ours, theirs = both(tmp_path / "a.tif", keys)
    assert theirs.to_wkt().startswith("LOCAL_CS")
    assert ours.crs is not None
    assert ours.crs.equals(pyproj.CRS("EPSG:26710"))


# --- heights ------------------------------------------------------------------------------------

VERTICAL: dict[str, dict[int, GeoKeyValue]] = {
    "code": {**UTM, 4096: 5703},
    "code-of-a-known-compound": {1024: 1, 3072: 27700, 4096: 5701},
    "geographic": {1024: 2, 2048: 4326, 4096: 5773},
    "in-feet": {1024: 1, 3072: 2263, 4096: 6360},
    "datum-and-unit": {**UTM, 4098: 5103, 4099: 9003},
    "unit-alone": {**UTM, 4099: 9001},
    "own": {**UTM, 4096: 32767, 4097: "my height", 4098: 32767, 4099: 9001},
    "own-with-known-name": {**UTM, 4096: 32767, 4097: "NN2000 height", 4098: 32767, 4099: 9001},
    "esri-citation": {**UTM, 4096: 32767, 4097: "VCS Name = foo|bar", 4099: 9001},
    "ellipsoidal-height": {1024: 2, 2048: 4326, 4096: 4979},
    "ellipsoidal-height-of-1.0": {1024: 2, 2048: 4326, 4096: 5030, 4099: 9001},
    "projected-ellipsoidal-height": {**UTM, 4096: 4979},
    "unknown-code": {**UTM, 4096: 1234},
    "private-code": {**UTM, 4096: 40000},
    "datum-as-code": {**UTM, 4096: 5103},
    "egm96-datum-as-code": {**UTM, 4096: 5171},
    "with-citation": {**UTM, 1026: "my map + my heights", 4096: 5703},
    "local": {1026: "foo", 3076: 9001, 4096: 5703},
    "local-in-a-unit": {1026: "foo", 3076: 9001, 4097: "bar", 4098: 5103, 4099: 9002},
}


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("name", VERTICAL)
def test_heights_as_gdal(name: str, minor: int, tmp_path: Path) -> None:
    ours, theirs = both(tmp_path / "a.tif", VERTICAL[name], minor)
    assert crs_equal(ours.crs, theirs), (ours.crs and ours.crs.to_wkt(), theirs.to_wkt())
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.units == (ours.vertical_unit,)


def test_known_compound_systems_get_their_code(tmp_path: Path) -> None:
    ours, _ = both(tmp_path / "a.tif", VERTICAL["code-of-a-known-compound"], 1)
    assert ours.authority == "EPSG:7405"


def test_coordinate_epoch() -> None:
    result = crs_of_keys(((1024, 2), (2048, 9989), (5120, 2020.5)), (1, 1))
    assert result.authority == "EPSG:9989"
    assert result.coordinate_epoch == 2020.5


# --- what GDAL itself writes --------------------------------------------------------------------


@cache
def registered(kind: PJType, count: int) -> list[str]:
    """Some registered systems, the same every time."""
    found = query_crs_info(auth_name="EPSG", pj_types=[kind])
    codes = sorted(info.code for info in found if "(lon-lat)" not in info.name)
    return random.Random(3072).sample(codes, count)


def anonymous(code: str) -> CRS:
    """A registered system without anything it could be recognised by."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in ("id", "usages", "bbox")}
        return [plain(v) for v in value] if isinstance(value, list) else value

    definition = plain(pyproj.CRS.from_epsg(code).to_json_dict())
    definition["name"] = "custom"
    base = definition.get("base_crs", definition)
    if "datum" in base:
        base["datum"]["name"] = "custom datum"
    return CRS.from_wkt(pyproj.CRS.from_json_dict(definition).to_wkt())


def written_by_gdal(path: Path, system: CRS) -> tuple[CRSResult, Any]:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=2,
        height=2,
        count=1,
        dtype="uint8",
        crs=system,
        transform=rasterio.Affine(10, 0, 100, 0, -10, 200),
    ):
        pass
    with tifffile.TiffFile(path) as tiff:
        minor = tiff.pages.first.tags[34735].value[2]
    with rasterio.open(path) as dataset:
        return crs(first(path, minor)), dataset.crs


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (PJType.PROJECTED_CRS, 40),
        (PJType.GEOGRAPHIC_2D_CRS, 15),
        (PJType.GEOGRAPHIC_3D_CRS, 10),
        (PJType.GEOCENTRIC_CRS, 10),
        (PJType.COMPOUND_CRS, 15),
    ],
)
def test_registered_systems(kind: PJType, count: int, tmp_path: Path) -> None:
    for code in registered(kind, count):
        ours, theirs = written_by_gdal(tmp_path / "a.tif", CRS.from_epsg(code))
        assert crs_equal(ours.crs, theirs), code
        if kind in (PJType.PROJECTED_CRS, PJType.GEOGRAPHIC_2D_CRS):
            assert ours.authority == f"EPSG:{code}"


@pytest.mark.parametrize("kind", [PJType.PROJECTED_CRS, PJType.GEOGRAPHIC_2D_CRS])
def test_systems_made_of_nothing_but_parameters(kind: PJType, tmp_path: Path) -> None:
    for code in registered(kind, 20):
        ours, theirs = written_by_gdal(tmp_path / "a.tif", anonymous(code))
        assert crs_equal(ours.crs, theirs), code
        assert ours.note is None


@settings(max_examples=150, deadline=None)
@given(
    keys=st.dictionaries(
        st.sampled_from([int(key) for key in GeoKey]) | st.integers(0, 65535),
        st.one_of(
            st.integers(0, 65535),
            st.sampled_from([0, 1, 2, 3, 4326, 3857, 4979, 5773, 6326, 7030, 9001, 9102, 32767]),
            st.floats(),
            st.text(max_size=40),
            st.sampled_from(
                ["ESRI PE String = PROJCS[", ERDAS, "Datum = D_X|Primem = P", "UTM Zone 0N"]
            ),
            st.lists(st.floats(), max_size=8).map(tuple),
        ),
        max_size=12,
    ),
    model=st.sampled_from([1, 2, 3, 32767]),
    minor=st.integers(0, 1),
)
def test_no_keys_raise(keys: dict[int, GeoKeyValue], model: int, minor: int) -> None:
    result = crs_of_keys(tuple({1024: model, **keys}.items()), (1, minor))
    assert result.crs is not None or result.note is not None


def test_deeply_nested_wkt_ends_in_a_note() -> None:
    text = "ESRI PE String = " + "PROJCS[" * 20_000
    result = crs_of_keys(((1024, 32767), (3073, text)), (1, 1))
    assert result.note is not None


# --- the grid -----------------------------------------------------------------------------------

POINT: Keys = {**UTM, GeoKey.GT_RASTER_TYPE: 2}
GRIDS: dict[str, dict[str, Any]] = {
    "scale-and-tiepoint": {},
    "no-keys": {"keys": None},
    "tiepoint-elsewhere": {"tiepoint": (3.0, 4.0, 0.0, 500.0, 600.0, 0.0)},
    "point": {"keys": POINT},
    "point-elsewhere": {"keys": POINT, "tiepoint": (3.0, 4.0, 0.0, 500.0, 600.0, 0.0)},
    "undefined-raster-type": {"keys": {**UTM, GeoKey.GT_RASTER_TYPE: 0}},
    "no-raster-type": {"keys": {1024: 1, 3072: 32631}},
    "matrix": {"scale": (), "tiepoint": (), "matrix": MATRIX},
    "point-and-matrix": {"keys": POINT, "scale": (), "tiepoint": (), "matrix": MATRIX},
    "matrix-and-tiepoint": {"scale": (), "matrix": MATRIX},
    "matrix-and-scale-and-tiepoint": {"matrix": MATRIX},
    "matrix-of-12": {"scale": (), "tiepoint": (), "matrix": MATRIX[:12]},
    "zero-scale-and-matrix": {"scale": (0.0, 20.0, 0.0), "matrix": MATRIX},
    "negative-scale-y": {"scale": (10.0, -20.0, 0.0)},
    "negative-scale-x": {"scale": (-10.0, 20.0, 0.0)},
    "scale-of-2": {"scale": (10.0, 20.0)},
    "scale-of-1": {"scale": (10.0,)},
    "two-tiepoints": {"tiepoint": (*TIEPOINT, 1.0, 1.0, 0.0, 510.0, 580.0, 0.0)},
    "tiepoint-of-7": {"tiepoint": (*TIEPOINT, 9.0)},
    "nothing": {"scale": (), "tiepoint": ()},
}


@pytest.mark.parametrize("name", GRIDS)
def test_transform_as_gdal(name: str, tmp_path: Path) -> None:
    options = {"keys": UTM, **GRIDS[name]}
    path = geotiff(tmp_path / "a.tif", options.pop("keys"), **options)
    ifd = first(path)
    found = geotransform(ifd)
    with rasterio.open(path) as dataset:
        assert (found or (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)) == dataset.transform.to_gdal()
        kind = raster_type(ifd)
        names = {
            None: None,
            RasterType.PIXEL_IS_AREA: "Area",
            RasterType.PIXEL_IS_POINT: "Point",
        }
        assert names[kind] == dataset.tags().get("AREA_OR_POINT")
        if found is not None and dataset.transform.is_rectilinear:
            left, bottom, right, top = dataset.bounds
            ordered = (min(left, right), min(bottom, top), max(left, right), max(bottom, top))
            assert bounds(found, dataset.shape) == ordered


@pytest.mark.parametrize(
    "options",
    [
        {"scale": (), "tiepoint": (), "matrix": (0.0,) * 16},
        {"scale": (float("nan"), 20.0, 0.0)},
        {"scale": (float("inf"), 20.0, 0.0)},
        {"tiepoint": ()},
        {"tiepoint": TIEPOINT[:4]},
    ],
)
def test_no_transform_where_none_can_be_inverted(options: dict[str, Any], tmp_path: Path) -> None:
    assert geotransform(first(geotiff(tmp_path / "a.tif", UTM, **options))) is None


def test_bounds_of_a_rotated_image() -> None:
    assert bounds((100.0, 1.0, 2.0, 200.0, 3.0, -4.0), (11, 7)) == (100.0, 156.0, 129.0, 221.0)


@pytest.mark.parametrize("size", [(257, 131), (256, 256), (101, 1003)])
def test_overviews_as_gdal(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    transform = rasterio.Affine.from_gdal(0.1, 0.3, 0.01, 7.7, 0.02, -0.7)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=size[0],
        width=size[1],
        count=1,
        dtype="uint8",
        transform=transform,
    ) as dataset:
        dataset.write(np.zeros((1, *size), np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 3, 7], Resampling.nearest)
    full, *levels = read(path.read_bytes()).ifds
    found = geotransform(full)
    assert found is not None
    assert len(levels) == 3
    for i, level in enumerate(levels):
        shape = (level.image_length, level.image_width)
        with rasterio.open(path, overview_level=i) as dataset:
            assert dataset.shape == shape
            assert overview_transform(found, size, shape) == dataset.transform.to_gdal()


@pytest.mark.parametrize("keys", [UTM, POINT])
def test_control_points_as_gdal(keys: Keys, tmp_path: Path) -> None:
    points = (*TIEPOINT, 1.0, 0.0, 0.0, 510.0, 600.0, 0.0, 0.0, 1.5, 0.0, 500.0, 580.0, 7.0)
    path = geotiff(tmp_path / "a.tif", keys, scale=(), tiepoint=points)
    found: Any = gcps(first(path))
    with rasterio.open(path) as dataset:
        theirs, system = dataset.gcps
        assert crs_equal(crs(first(path)).crs, system)
    assert [
        (p["properties"]["id"], p["properties"]["row"], p["properties"]["col"])
        for p in found["features"]
    ] == [(p.id, p.row, p.col) for p in theirs]
    assert [p["geometry"]["coordinates"] for p in found["features"]] == [
        [p.x, p.y, p.z] for p in theirs
    ]


def test_points_and_polynomials_of_overviews_as_gdal(tmp_path: Path) -> None:
    values = tuple(np.random.default_rng(6).uniform(1, 200, 92).round(6).tolist())
    points = (*TIEPOINT, 130.0, 0.0, 0.0, 510.0, 600.0, 0.0, 7.0, 256.5, 0.0, 500.0, 580.0, 7.0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.zeros((257, 131), np.uint8),
        extratags=[(50844, 12, 92, values, True), (33922, 12, len(points), points, True)],
        metadata=None,
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2], Resampling.nearest)
    full, level = read(path.read_bytes()).ifds
    shape = (level.image_length, level.image_width)
    found: Any = gcps(full, shape)
    polynomials: Any = rpcs(full, shape)
    with rasterio.open(path, overview_level=0) as dataset:
        for name in ("row", "col"):
            ours = [p["properties"][name] for p in found["features"]]
            assert ours == pytest.approx([getattr(p, name) for p in dataset.gcps[0]], rel=1e-14)
        theirs = dataset.rpcs.to_dict()
        assert theirs.keys() == polynomials.keys()
        for key, value in theirs.items():
            assert polynomials[key] == pytest.approx(value, rel=1e-14), key


def test_no_control_points_beside_a_transform(tmp_path: Path) -> None:
    assert gcps(first(geotiff(tmp_path / "a.tif", UTM))) is None
    assert gcps(first(geotiff(tmp_path / "a.tif", UTM, scale=(), matrix=MATRIX))) is None
    assert gcps(first(geotiff(tmp_path / "a.tif", UTM, tiepoint=()))) is None


def test_rational_polynomials_as_gdal(tmp_path: Path) -> None:
    values = tuple(np.random.default_rng(5).uniform(1, 2, 92).round(6).tolist())
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.zeros((11, 7), np.uint8),
        extratags=[(50844, 12, 92, values, True)],
        metadata=None,
    )
    with rasterio.open(path) as dataset:
        assert rpcs(first(path)) == dataset.rpcs.to_dict()
    assert rpcs(replace(first(path), other_tags={50844: values[:91]})) is None
    assert rpcs(replace(first(path), other_tags={50844: (float("nan"), *values[1:])})) is None


def test_scale_of_heights(tmp_path: Path) -> None:
    # GDAL: the third scale and the third coordinate of the tiepoint, if the CRS has heights.
    keys = VERTICAL["code"]
    scale, tiepoint = (10.0, 10.0, 0.5), (0.0, 0.0, 2.0, 100.0, 200.0, 3.0)
    path = geotiff(tmp_path / "a.tif", keys, scale=scale, tiepoint=tiepoint, minor=1)
    ifd = first(path, 1)
    with rasterio.open(path) as dataset:
        assert height_scaling(ifd, crs(ifd)) == (*dataset.scales, *dataset.offsets)
    assert height_scaling(replace(ifd, model_pixel_scale=SCALE), crs(ifd)) is None
    assert height_scaling(ifd, crs(replace(ifd, geo_keys=UTM))) is None


def test_corpus(corpus_file: Path) -> None:
    with rasterio.Env(**GDAL_OPTIONS):
        result = compare(corpus_file, corpus_file.name)
    if result is not None:
        assert result.differences == ()


# --- citations, identification, declared keys --------------------------------------------------

IMAGINE = (
    "IMAGINE GeoTIFF Support\nCopyright 1991 - 2005 by Leica Geosystems Geospatial Imaging, LLC. "
    "All Rights Reserved\n@(#)$RCSfile: egtf.c $ IMAGINE 9.0 $Revision: 10.0 $ "
    "$Date: 2005/07/26 15:10:00 EST $\n"
)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        *(
            (f"{IMAGINE}Projection Name = LCC\nUnits = {unit}\nGeoTIFF Units = {unit}", None)
            for unit in ("international_FeeT", "feet", "US_survey_feet", "meters", "yards", "junk")
        ),
        (f"{IMAGINE}GeoTIFF Units = feet", None),
        (f"{IMAGINE}Projection Name = LCC\nUnits = feet", 9001),
        ("LUnits = feet", None),
        ("Projection Name = LCC\nUnits = feet", None),
    ],
)
@pytest.mark.parametrize("code", [2838, 26910])
def test_units_in_citations_as_gdal(text: str, key: int | None, code: int, tmp_path: Path) -> None:
    keys: dict[int, GeoKeyValue] = {
        GeoKey.GT_MODEL_TYPE: 1,
        GeoKey.GT_CITATION: text,
        GeoKey.PROJECTED_CRS: code,
    }
    if key is not None:
        keys[GeoKey.PROJ_LINEAR_UNITS] = key
    ours, theirs = both(tmp_path / "a.tif", keys)
    assert crs_equal(ours.crs, theirs)


@pytest.mark.parametrize("key", [GeoKey.GT_CITATION, GeoKey.PROJECTED_CITATION])
@pytest.mark.parametrize(
    "text",
    [
        f"{IMAGINE}Projection Name = State Plane\nUnits = us_survey_feet",
        f"{IMAGINE}Projection Name = State Plane.\nUnits = us_survey_feet.",
        f"{IMAGINE}Projection Name = State Plane\nUnits = us_survey_feet\nGeoTIFF Units = meters",
        f"{IMAGINE}Projection Name = State Plane\nUnits = international_feet",
        "PCS Name = x|LUnits = Foot|",
        "LUnits = feet",
        "Units = feet",
    ],
)
@pytest.mark.parametrize("unit", [None, 9001])
def test_units_of_user_defined_systems_in_citations(
    text: str, key: GeoKey, unit: int | None, tmp_path: Path
) -> None:
    keys: dict[int, GeoKeyValue] = {
        GeoKey.GT_MODEL_TYPE: 1,
        key: text,
        GeoKey.PROJECTED_CRS: 32767,
        GeoKey.GEODETIC_CRS: 4269,
        GeoKey.PROJECTION: 15914,
    }
    if unit is not None:
        keys[GeoKey.PROJ_LINEAR_UNITS] = unit
    ours, theirs = both(tmp_path / "a.tif", keys)
    assert ours.crs is not None
    factor = ours.crs.axis_info[0].unit_conversion_factor
    assert factor == pytest.approx(theirs.linear_units_factor[1], rel=1e-9)


def test_a_projection_without_a_unit_has_a_note(tmp_path: Path) -> None:
    keys = {**USER_DEFINED, GeoKey.PROJ_METHOD: 7, GeoKey.GEOG_ANGULAR_UNIT_SIZE: 0.0174532925}
    del keys[GeoKey.PROJ_LINEAR_UNITS]
    ours, theirs = both(tmp_path / "a.tif", keys)
    assert crs_equal(ours.crs, theirs)
    assert ours.note is not None


def test_an_ensemble_with_another_unit_is_a_system() -> None:
    keys = {**USER_DEFINED, GeoKey.PROJ_METHOD: 7, GeoKey.GEOG_ANGULAR_UNITS: 9105}
    assert crs_of_keys(tuple(keys.items()), (1, 1)).crs is not None


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        (32633, {3075: 1, 3080: 15.0, 3081: 0.0, 3082: 500000.0, 3083: 0.0, 3092: 0.9996}),
        (3395, {3075: 7, 3080: 0.0, 3081: 0.0, 3082: 0.0, 3083: 0.0, 3092: 1.0}),
        (3413, {3075: 15, 3095: -45.0, 3081: 70.0, 3092: 1.0, 3082: 0.0, 3083: 0.0}),
        (None, {3075: 1, 3080: 15.1, 3081: 0.0, 3082: 500000.0, 3083: 0.0, 3092: 0.9996}),
    ],
)
def test_user_defined_systems_get_the_code_of_their_equal(
    code: int | None, parameters: dict[int, GeoKeyValue], tmp_path: Path
) -> None:
    ours, theirs = both(tmp_path / "a.tif", {**USER_DEFINED, **parameters})
    assert theirs.to_epsg() == code
    assert ours.authority == (None if code is None else f"EPSG:{code}")
    assert crs_equal(ours.crs, theirs)


@pytest.mark.parametrize("declared", [0, 1, 3, 5])
def test_as_many_keys_as_declared(declared: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    directory = (1, 1, 0, declared, 1024, 0, 1, 1, 1025, 0, 1, 2, 3072, 0, 1, 32633)
    tags = [(34735, 3, len(directory), directory, True), (33550, 12, 3, SCALE, True)]
    tags.append((33922, 12, 6, TIEPOINT, True))
    tifffile.imwrite(path, np.zeros((11, 7), np.uint8), extratags=tags, metadata=None)
    with rasterio.open(path) as dataset:
        assert crs_equal(crs(first(path)).crs, dataset.crs) or declared == 1
        assert geotransform(first(path)) == dataset.transform.to_gdal()
    assert (crs(first(path)).authority == "EPSG:32633") == (declared == 3)


@pytest.mark.parametrize("name", ["SAR_Ka_Band", "MWIR", "nonsense"])
def test_the_comparison_survives_what_gdal_has_no_name_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    text = f'<Item name="COLORINTERP" sample="0" role="colorinterp">{name}</Item>'
    text = f"<GDALMetadata>{text}</GDALMetadata>"
    tags = [(42112, 2, len(text) + 1, text, True)]
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), extratags=tags, metadata=None)
    with rasterio.Env(**GDAL_OPTIONS):
        result = compare(path, path.name)
    assert result is not None
    assert {d.field for d in result.differences} <= {"colors"}
