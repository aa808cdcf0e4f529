"""Arrange the images of a file into groups, with the variables that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from virtual_tiff.choices import IFDLayout
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import Description
from virtual_tiff.planning.axes import PART
from virtual_tiff.planning.image_plan import ImageOptions
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.planning.pyramid import Pyramid, multiscales_attributes
from virtual_tiff.planning.variables import band_names, band_numbers, coordinate, grid_mapping
from virtual_tiff.tiff.philips import level_factors
from virtual_tiff.tiff.relations import Related, masks


def _no_check(nbytes: int) -> None:
    """Allow any time."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Choices that change what is planned.

    Parameters
    ----------
    layout
        `flat`: all images in one group. `nested`: a group for each image. `multiscale`: a group
        for each level of an image. `pages` is planned by `virtual_tiff.planning.pages.hierarchy`.
    image
        Options of each image.
    coords
        Whether to write variables beside the arrays: coordinates of pixel centres, and the grid
        mapping.
    alone
        Omit coordinates and attributes of groups, for a caller that writes them once for many
        files.
    check
        Called for each image with the bytes of its attributes; raises if they are too many.
    """

    layout: IFDLayout = "flat"
    image: ImageOptions = field(default_factory=ImageOptions)
    coords: bool = True
    alone: bool = False
    check: Callable[[int], None] = _no_check


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


def arrange_pyramids(
    pyramids: Sequence[Pyramid],
    plan: Callable[[Related, str], ArrangedImage],
    options: PlanOptions,
) -> GroupPlan:
    """Put each level of an image into a group; several images into groups named by directory.

    `plan` plans an image under a name.
    """
    groups = {
        pyramid.name: _levels(
            [[plan(one, name) for name, one in level.items()] for level in pyramid.levels], options
        )
        for pyramid in pyramids
    }
    return next(iter(groups.values())) if len(groups) == 1 else GroupPlan(groups=groups)


def _levels(levels: Sequence[Sequence[ArrangedImage]], options: PlanOptions) -> GroupPlan:
    factors = level_factors(levels[0][0].related.directory, len(levels))
    return GroupPlan(
        groups={str(i): _group(images, options) for i, images in enumerate(levels)},
        attributes=multiscales_attributes(
            {str(i): images[0].description for i, images in enumerate(levels)}, factors
        ),
    )


def _group(images: Sequence[ArrangedImage], options: PlanOptions) -> GroupPlan:
    """Put images into one group, with the variables that they share."""
    arrays: dict[str, ArrayPlan] = {}
    beside: dict[str, ArrayPlan] = {}
    names = _Names()
    mappings: dict[tuple[object, ...], str] = {}
    mask_of = masks(image.related for image in images)
    name_of = {image.related: image.name for image in images}
    # Images that are alike have one description, and differ only in their references.
    alike: dict[tuple[int, ...], ArrayPlan] = {}
    for image in images:
        of_array = image.array.codecs, image.array.attributes, image.array.inline
        key = (id(image.description), *map(id, of_array))
        same = None if image.related in mask_of else alike.get(key)
        if same is not None:
            arrays[image.name] = same.with_references(
                ifd=image.array.ifd,
                offsets=image.array.offsets,
                lengths=image.array.lengths,
                partial=image.array.partial,
            )
            continue
        dimensions = names.of(image)
        attributes = {**image.description.array_attributes, **image.array.attributes}
        found = None
        if options.coords or options.alone:
            found = grid_mapping(image.description, coordinates=not options.alone)
        if found is None:
            attributes = without_grid_mapping(attributes)
        else:
            mapping = f"spatial_ref_{image.name}" if mappings else "spatial_ref"
            mapping = mappings.setdefault(_mapping_key(image.description, found), mapping)
            beside.setdefault(mapping, found)
            attributes["grid_mapping"] = attributes["coordinates"] = mapping
        if image.related in mask_of:
            attributes["ancillary_variables"] = name_of[mask_of[image.related]]
        array = replace(image.array, dimension_names=dimensions, attributes=attributes)
        arrays[image.name] = array
        if image.related not in mask_of:
            alike[key] = array
        if options.coords and not options.alone:
            for name, variable in _coordinates(image, dimensions, options.image):
                beside.setdefault(name, variable)
    group_attributes = (
        images[0].description.group_attributes if images and not options.alone else {}
    )
    return GroupPlan(arrays=arrays | beside, attributes=group_attributes)


def without_grid_mapping(attributes: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the attributes of an array that has no grid mapping beside it."""
    return {k: v for k, v in attributes.items() if k not in ("grid_mapping", "coordinates")}


def _mapping_key(description: Description, found: ArrayPlan) -> tuple[object, ...]:
    """Return a key that distinguishes grid mappings, without their long texts."""
    there = found.attributes
    return (description.crs, *(there.get(name) for name in ("GeoTransform", "gcps", "rpcs")))


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
        elif plain == PART:
            variable = band_names(("real", "imaginary"), name)
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
