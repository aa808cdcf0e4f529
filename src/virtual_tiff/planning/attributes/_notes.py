"""Say in words what the attributes of arrays cannot say in the way of CF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import listed
from virtual_tiff.planning.encoding.data_type import nodata_note
from virtual_tiff.planning.encoding.stream_headers import frame_header
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.geokeys import GeoTransform, gcps, rpcs
from virtual_tiff.tiff.ifd import ImageFileDirectory


def attribute_notes(attributes: Mapping[str, JSON]) -> tuple[str, ...]:
    """Return `value_notes`, and what of the metadata could not be read, one line each."""
    own = [attributes.get(name) for name in ("metadata_note", "crs_note")]
    if isinstance(lacking := listed("notes", attributes.get("notes")), list):
        own += lacking
    return (*value_notes(attributes), *(note for note in own if isinstance(note, str)))


def value_notes(attributes: Mapping[str, JSON]) -> tuple[str, ...]:
    """Return what readers have to know of the values of an array, one line each.

    xarray applies one scale and one nodata value to an array, so it leaves values as they are
    where bands differ.
    """
    notes = []
    if "scales" in attributes or "offsets" in attributes:
        notes.append(
            "the bands have different scales or offsets, or complex values, so readers get values "
            "without them: make bands that are separate planes a variable each (split_bands, or "
            "bands=[n]), or apply the attributes scales and offsets along the bands."
        )
    if "nodata_values" in attributes:
        notes.append(
            "only pixels in which every band has its value of nodata_values hold no data, which "
            "_FillValue cannot say: apply the attribute."
        )
    if "band_nodata" in attributes:
        notes.append(
            "the bands have different nodata values, of which _FillValue can say one: make bands "
            "that are separate planes a variable each (split_bands, or bands=[n]), or apply the "
            "attribute band_nodata along the bands."
        )
    return tuple(notes)


def tag_notes(ifd: ImageFileDirectory, transform: GeoTransform | None) -> list[JSON]:
    """Return what tags say that no attribute can, one line each, with `geotransform` of them."""
    notes: list[JSON] = []
    if (nodata := nodata_note(ifd)) is not None:
        notes.append(nodata)
    places = (ifd.model_pixel_scale, ifd.model_tiepoint, ifd.model_transformation)
    if transform is None and any(places) and gcps(ifd) is None:
        notes.append(
            "ModelPixelScale, ModelTiepoint or ModelTransformation are there, but make no affine "
            "transform that can be inverted: the image has no coordinates."
        )
    if Tag.RPC_COEFFICIENT in ifd.other_tags and rpcs(ifd) is None:
        notes.append("RPCCoefficientTag has not 92 finite numbers, and is left out.")
    if ifd.jpeg_header and frame_header(ifd.jpeg_header).is_subsampled:
        notes.append(
            "colours are subsampled, and each restart segment is decoded by itself: pixels at its "
            "edges may differ from those of a decoder of the whole stream."
        )
    return notes


def noted(array: ArrayPlan, *added: str) -> ArrayPlan:
    """Add notes to the attributes of an array."""
    if not added:
        return array
    notes = array.attributes.get("notes")
    before = notes if isinstance(notes, list) else []
    return replace(array, attributes={**array.attributes, "notes": [*before, *added]})


def plan_notes(plan: GroupPlan, path: str = "") -> dict[str, tuple[str, ...]]:
    """Return the notes of all arrays of a group and of those below it, by path of the array."""
    return {
        f"{below}/{name}".lstrip("/"): notes
        for below, group in plan.walk(path)
        for name, array in group.arrays.items()
        if (notes := attribute_notes(array.attributes))
    }
