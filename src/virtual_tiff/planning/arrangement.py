"""Arrange the images of a file into groups, with the variables that they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from virtual_tiff.choices import IFDLayout
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import Description
from virtual_tiff.planning.image_plan import ImageOptions
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.planning.pyramid import multiscales_attributes
from virtual_tiff.planning.variables import band_names, band_numbers, coordinate, grid_mapping
from virtual_tiff.tiff.philips import level_factors
from virtual_tiff.tiff.relations import Related, masks


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Choices that change what is planned.

    Parameters
    ----------
    layout
        `flat`: all images in one group. `nested`: a group for each image. `multiscale`: a group
        for each level of one image. `pages` is planned by `virtual_tiff.planning.pages.hierarchy`.
    image
        Options of each image.
    coords
        Whether to write coordinates of pixel centres.
    alone
        Omit coordinates and attributes of groups, for a caller that writes them once for many
        files.
    """

    layout: IFDLayout = "flat"
    image: ImageOptions = field(default_factory=ImageOptions)
    coords: bool = True
    alone: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ArrangedImage:
    """An image to be put into a group.

    Parameters
    ----------
    name
        Name of its array.
    related
        The directory, and the image it belongs to.
    array, description
        Plan of its array, and its metadata.
    """

    name: str
    related: Related
    array: ArrayPlan
    description: Description


def arrange(images: Sequence[ArrangedImage], options: PlanOptions) -> GroupPlan:
    """Put images into one group, or with the layout `nested` each into its own."""
    if options.layout == "nested":
        return GroupPlan(groups={image.name: _group([image], options) for image in images})
    return _group(images, options)


def arrange_levels(levels: Sequence[Sequence[ArrangedImage]], options: PlanOptions) -> GroupPlan:
    """Put the images of each level into a separate group."""
    factors = level_factors(levels[0][0].related.directory, len(levels))
    return GroupPlan(
        groups={str(i): _group(images, options) for i, images in enumerate(levels)},
        attributes=multiscales_attributes([images[0].description for images in levels], factors),
    )


def _group(images: Sequence[ArrangedImage], options: PlanOptions) -> GroupPlan:
    """Put images into one group, with the variables that they share."""
    arrays: dict[str, ArrayPlan] = {}
    beside: dict[str, ArrayPlan] = {}
    names = _Names()
    mappings: dict[tuple[object, ...], str] = {}
    mask_of = masks(image.related for image in images)
    name_of = {image.related: image.name for image in images}
    for image in images:
        dimensions = names.of(image)
        attributes = {**image.description.array_attributes, **image.array.attributes}
        found = image.description.spatial_ref_attributes
        if found is not None:
            mapping = f"spatial_ref_{image.name}" if mappings else "spatial_ref"
            mapping = mappings.setdefault(_mapping_key(image.description, found), mapping)
            if mapping not in beside:
                beside[mapping] = grid_mapping(found)
            attributes["grid_mapping"] = attributes["coordinates"] = mapping
        if image.related in mask_of:
            attributes["ancillary_variables"] = name_of[mask_of[image.related]]
        arrays[image.name] = replace(image.array, dimension_names=dimensions, attributes=attributes)
        if options.coords and not options.alone:
            for name, variable in _coordinates(image, dimensions, options.image):
                beside.setdefault(name, variable)
    group_attributes = (
        images[0].description.group_attributes if images and not options.alone else {}
    )
    return GroupPlan(arrays=arrays | beside, attributes=group_attributes)


def _mapping_key(description: Description, attributes: Mapping[str, JSON]) -> tuple[object, ...]:
    """Return a key that distinguishes grid mappings, without their long texts."""
    return (description.crs, *(attributes.get(name) for name in ("GeoTransform", "gcps", "rpcs")))


def _coordinates(
    image: ArrangedImage, dimensions: tuple[str, ...], options: ImageOptions
) -> Iterator[tuple[str, ArrayPlan]]:
    for plain, name, size in zip(
        image.array.dimension_names, dimensions, image.array.shape, strict=True
    ):
        variable: ArrayPlan | None = None
        if plain == "x":
            variable = coordinate(image.description, name, size, "x")
        elif plain == "y":
            variable = coordinate(image.description, name, size, "y")
        elif plain == "band":
            described = image.description.band_names
            if options.bands is not None and described:
                described = tuple(described[band - 1] for band in options.bands)
            if len(described) == size and all(described) and len(set(described)) == size:
                variable = band_names(described, name)
            else:
                variable = band_numbers(size, name, options.bands)
        if variable is not None:
            yield name, variable


class _Names:
    """Names of dimensions such that each has one size and one position, as xarray requires.

    The first image keeps the plain names. A later one that differs gets the name of its array as a
    suffix, which later images of the same size share.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[object, ...], str] = {}
        self._taken: set[str] = set()

    def of(self, image: ArrangedImage) -> tuple[str, ...]:
        array = image.array
        return tuple(
            self._name(image, dimension, size)
            for dimension, size in zip(array.dimension_names, array.shape, strict=True)
        )

    def _name(self, image: ArrangedImage, dimension: str, size: int) -> str:
        place = image.description.geotransform if dimension in ("x", "y") else None
        key = (dimension, size, place)
        if key not in self._names:
            name = dimension if dimension not in self._taken else f"{dimension}_{image.name}"
            self._names[key] = name
            self._taken.add(name)
        return self._names[key]
