"""Make attributes: CF, the `proj` and `spatial` conventions, TIFF and GDAL tags.

`describe` makes all attributes of an image; the other functions are its parts.
"""

from virtual_tiff.planning.attributes._array import (
    MAX_TEXT,
    array_attributes,
    band_names,
    encode_fill_value,
    list_of_bands,
    tag_attributes,
)
from virtual_tiff.planning.attributes._bands import of_bands, of_one_band
from virtual_tiff.planning.attributes._classes import Flag, flag_attributes
from virtual_tiff.planning.attributes._colors import color_interpretation
from virtual_tiff.planning.attributes._describe import Description, describe, image_metadata
from virtual_tiff.planning.attributes._notes import attribute_notes, noted, plan_notes, value_notes
from virtual_tiff.planning.attributes._spatial import (
    coordinate_attributes,
    coordinate_values,
    crs_attributes,
    group_attributes,
    spatial_attributes,
    spatial_ref_attributes,
)

__all__ = [
    "MAX_TEXT",
    "Description",
    "Flag",
    "array_attributes",
    "attribute_notes",
    "band_names",
    "color_interpretation",
    "coordinate_attributes",
    "coordinate_values",
    "crs_attributes",
    "describe",
    "encode_fill_value",
    "flag_attributes",
    "group_attributes",
    "image_metadata",
    "list_of_bands",
    "noted",
    "of_bands",
    "of_one_band",
    "plan_notes",
    "spatial_attributes",
    "spatial_ref_attributes",
    "tag_attributes",
    "value_notes",
]
