"""Georeferencing of a TIFF: CRS, affine transform, control points (OGC GeoTIFF 1.1).

All functions are pure functions of an `ImageFileDirectory`. Overviews and masks have no GeoKeys:
use the full-resolution directory, and `overview_transform`.
"""

from virtual_tiff.tiff.geokeys._codes import GeoKey, GeoKeys, ModelType, RasterType, key_title
from virtual_tiff.tiff.geokeys._crs import CRSResult, crs, crs_key, crs_of_keys
from virtual_tiff.tiff.geokeys._grid import (
    GeoTransform,
    bounds,
    gcps,
    geotransform,
    height_scaling,
    overview_transform,
    raster_type,
    rpcs,
)

__all__ = [
    "CRSResult",
    "GeoKey",
    "GeoKeys",
    "GeoTransform",
    "ModelType",
    "RasterType",
    "bounds",
    "crs",
    "crs_key",
    "crs_of_keys",
    "gcps",
    "geotransform",
    "height_scaling",
    "key_title",
    "overview_transform",
    "raster_type",
    "rpcs",
]
