"""Attributes that hold for all pages of an image; pages that mean different things are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from virtual_tiff.errors import MismatchError, shorten
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import Description, describe
from virtual_tiff.planning.encoding.data_type import nodata_value
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Attributes that change what pixels mean.
_OF_VALUES = (
    *("_FillValue", "scale_factor", "add_offset", "scales", "offsets"),
    *("units", "band_units"),
)
#: Those that are not taken from a page.
_OF_GROUPS = frozenset({"tiff", "grid_mapping", "coordinates"})


def describe_page(
    page: ImageFileDirectory,
    data_type: np.dtype[np.generic],
    full: ImageFileDirectory | None,
) -> Description:
    """Describe one page.

    Parameters
    ----------
    data_type
        Of the array.
    full
        First page of the image that this is a smaller level of.
    """
    return describe(page, fill_value=nodata_value(page.gdal_nodata, data_type), full=full)


def shared_attributes(
    description: Description,
    pages: Sequence[ImageFileDirectory],
    data_type: np.dtype[np.generic],
    full: ImageFileDirectory | None,
) -> dict[str, JSON]:
    """Attributes of the first page as far as they hold for all.

    Parameters
    ----------
    description
        Of the first page.
    pages
        All pages, at least one.
    data_type, full
        As for `describe_page`.

    Raises
    ------
    MismatchError
        Pages lie in different places, or their values mean different things. A page without
        georeferencing of its own is where the first is.
    """
    shared = dict(description.array_attributes)
    shared.pop("tiff", None)
    if tags := _tags_of_all(description.array_attributes.get("tiff"), pages):
        shared["tiff"] = tags
    # Most pages say the same, and describing one takes a while.
    seen = {_described_by(pages[0])}
    for page in pages[1:]:
        if (key := _described_by(page)) in seen:
            continue
        seen.add(key)
        other = describe_page(page, data_type, full)
        place = other.spatial_ref_attributes
        if place is not None and place != description.spatial_ref_attributes:
            raise mismatch(page, "the georeferencing is not that of the first.")
        for name in _OF_VALUES:
            found = other.array_attributes.get(name)
            wanted = description.array_attributes.get(name)
            if found != wanted:
                raise mismatch(
                    page, f"{name} is {shorten(found)}, but {shorten(wanted)} in the first."
                )
        for name in shared.keys() - _OF_GROUPS:
            if other.array_attributes.get(name) != shared[name]:
                del shared[name]
    return shared


def mismatch(page: ImageFileDirectory, how: str) -> MismatchError:
    """Make the error of a page that cannot be in one array with the others."""
    return MismatchError(
        f"pages of one image differ: {how}",
        ifd=page.index,
        remedy='The layout "flat" has every page as an array of its own.',
    )


def _described_by(page: ImageFileDirectory) -> tuple[object, ...]:
    """What the attributes of an image are made of, but for tags that only people read."""
    return (
        page.gdal_metadata,
        page.gdal_nodata,
        page.photometric_interpretation,
        page.extra_samples,
        tuple(page.geo_keys.items()),
        page.model_pixel_scale,
        page.model_tiepoint,
        page.model_transformation,
        None if page.color_map is None else page.color_map.tobytes(),
    )


def _tags_of_all(tags: JSON, pages: Sequence[ImageFileDirectory]) -> dict[str, JSON]:
    """Tags that every page has alike: texts and dates often differ."""
    titles = {tag.title: tag for tag in Tag}
    first = pages[0].other_tags
    return {
        title: value
        for title, value in (tags if isinstance(tags, dict) else {}).items()
        if title == Tag.GDAL_NODATA.title
        or all(page.other_tags.get(titles[title]) == first.get(titles[title]) for page in pages)
    }
