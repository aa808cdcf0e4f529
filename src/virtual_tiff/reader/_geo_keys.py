"""GeoKeyDirectory (GeoTIFF 1.1 section 7.1.2): from its three tags, or from async-tiff's names."""

from __future__ import annotations

from collections.abc import Sequence

from virtual_tiff.ifd import GeoKeyValue
from virtual_tiff.tags import Tag

#: async-tiff's name of each key it keeps; it drops the others.
ASYNC_TIFF_NAMES: dict[str, int] = {
    "model_type": 1024,
    "raster_type": 1025,
    "citation": 1026,
    "geographic_type": 2048,
    "geog_citation": 2049,
    "geog_geodetic_datum": 2050,
    "geog_prime_meridian": 2051,
    "geog_linear_units": 2052,
    "geog_linear_unit_size": 2053,
    "geog_angular_units": 2054,
    "geog_angular_unit_size": 2055,
    "geog_ellipsoid": 2056,
    "geog_semi_major_axis": 2057,
    "geog_semi_minor_axis": 2058,
    "geog_inv_flattening": 2059,
    "geog_azimuth_units": 2060,
    "geog_prime_meridian_long": 2061,
    "projected_type": 3072,
    "proj_citation": 3073,
    "projection": 3074,
    "proj_coord_trans": 3075,
    "proj_linear_units": 3076,
    "proj_linear_unit_size": 3077,
    "proj_std_parallel1": 3078,
    "proj_std_parallel2": 3079,
    "proj_nat_origin_long": 3080,
    "proj_nat_origin_lat": 3081,
    "proj_false_easting": 3082,
    "proj_false_northing": 3083,
    "proj_false_origin_long": 3084,
    "proj_false_origin_lat": 3085,
    "proj_false_origin_easting": 3086,
    "proj_false_origin_northing": 3087,
    "proj_center_long": 3088,
    "proj_center_lat": 3089,
    "proj_center_easting": 3090,
    "proj_center_northing": 3091,
    "proj_scale_at_nat_origin": 3092,
    "proj_scale_at_center": 3093,
    "proj_azimuth_angle": 3094,
    "proj_straight_vert_pole_long": 3095,
    "vertical": 4096,
    "vertical_citation": 4097,
    "vertical_datum": 4098,
    "vertical_units": 4099,
}
ASYNC_TIFF_GEO_KEYS = frozenset(ASYNC_TIFF_NAMES.values())


def parse_geo_keys(
    directory: Sequence[int], doubles: Sequence[float], text: str
) -> dict[int, GeoKeyValue]:
    """Resolve a GeoKeyDirectory against GeoDoubleParams and GeoAsciiParams.

    Keys whose values lie outside the parameters they point to are left out: GDAL ignores them
    too, and the image itself is sound.

    Parameters
    ----------
    directory
        Values of tag 34735: a header of four, then four for each key.
    doubles
        Values of tag 34736.
    text
        Value of tag 34737; each string in it ends with a vertical bar.
    """
    keys: dict[int, GeoKeyValue] = {}
    for i in range(4, len(directory) - 3, 4):
        key, location, count, value = directory[i : i + 4]
        if location == 0:
            keys[key] = int(value)
        elif location == Tag.GEO_DOUBLE_PARAMS:
            values = tuple(float(v) for v in doubles[value : value + count])
            if values and len(values) == count:
                keys[key] = values[0] if count == 1 else values
        elif location == Tag.GEO_ASCII_PARAMS:
            # The count includes the bar that ends the string.
            keys[key] = text[value : value + count].split("\0")[0].removesuffix("|")
        elif location == Tag.GEO_KEY_DIRECTORY:
            shorts = tuple(float(v) for v in directory[value : value + count])
            if shorts and len(shorts) == count:
                keys[key] = int(shorts[0]) if count == 1 else shorts
    return keys
