"""Find the attributes shared by all pages of an image; refuse pages with other meanings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from virtual_tiff.errors import MismatchError, shorten
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import Disagreement, agreed, json_text, shared_attributes
from virtual_tiff.planning.attributes import MAX_TEXT, Description, describe, tag_attributes
from virtual_tiff.planning.encoding.data_type import image_nodata
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Names of the georeferencing: a page without any is where the first is.
_OF_GROUPS = ("grid_mapping", "coordinates")


def describe_page(
    page: ImageFileDirectory,
    data_type: np.dtype[np.generic],
    full: ImageFileDirectory | None,
) -> Description:
    """Describe a page; `full` is the first at full resolution if this is of a smaller level."""
    return describe(page, fill_value=image_nodata(page, data_type, full), full=full)


def page_attributes(
    description: Description,
    pages: Sequence[ImageFileDirectory],
    data_type: np.dtype[np.generic],
    full: ImageFileDirectory | None,
    check: Callable[[int], None],
) -> dict[str, JSON]:
    """Return the attributes of the first page that apply to all; refuse pages that contradict.

    A page without georeferencing has that of the first. `check` is that of `PlanOptions`.
    """
    # Most pages have equal metadata, and describing one is slow.
    seen: dict[tuple[object, ...], ImageFileDirectory] = {}
    for page in pages:
        seen.setdefault(_described_by(page), page)
    distinct = list(seen.values())

    def documents() -> Iterator[dict[str, JSON]]:
        yield _of_image(description)
        for page in distinct[1:]:
            # What is not kept takes time only.
            check(0)
            other = describe_page(page, data_type, full)
            place = other.spatial_ref_attributes
            if place is not None and place != description.spatial_ref_attributes:
                raise mismatch(page, "the georeferencing is not that of the first.")
            yield _of_image(other)

    def refuse(found: Disagreement) -> MismatchError:
        value, expected = shorten(found.value), shorten(found.expected)
        return mismatch(distinct[found.index], f"{found.key} is {value}, but {expected} before.")

    attributes = agreed(documents(), refuse)
    tags = shared_attributes(tag_attributes(page) for page in pages)
    # The first page describes the image: OME-XML, or the metadata of ImageJ.
    text = pages[0].other_tags.get(Tag.IMAGE_DESCRIPTION)
    if isinstance(text, str) and 0 < len(text) <= MAX_TEXT:
        tags = {Tag.IMAGE_DESCRIPTION.title: text, **tags}
    if tags:
        attributes["tiff"] = json_text(tags)
    first = description.array_attributes
    return attributes | {name: first[name] for name in _OF_GROUPS if name in first}


def _of_image(description: Description) -> dict[str, JSON]:
    """Attributes that are compared; tags, which only people read, often differ."""
    attributes = description.array_attributes
    return {k: v for k, v in attributes.items() if k not in (*_OF_GROUPS, "tiff")}


def mismatch(page: ImageFileDirectory, how: str) -> MismatchError:
    """Return the error for a page that does not fit the others."""
    return MismatchError(
        f"pages of one image differ: {how}",
        ifd=page.index,
        remedy='The layout "flat" has every page as a separate array.',
    )


def _described_by(page: ImageFileDirectory) -> tuple[object, ...]:
    """Return everything that affects the attributes of an image, without informative tags."""
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
        # A sidecar is about the first page of a file.
        id(page.auxiliary),
    )
