"""Directories of a TIFF → a group of arrays, in one of the layouts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from virtual_tiff.attributes import Description, describe, of_bands
from virtual_tiff.data_type import image_nodata
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.image_plan import ImageOptions, plan_image
from virtual_tiff.plan import JSON, ArrayPlan, GroupPlan
from virtual_tiff.pyramid import levels_of, multiscales_attributes
from virtual_tiff.relations import Related, masks, relate, relate_sidecars
from virtual_tiff.variables import band_names, band_numbers, coordinate, grid_mapping

type Layout = Literal["flat", "nested", "multiscale", "pages"]
type IFDPath = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Choices that change what is planned.

    Parameters
    ----------
    layout
        `flat`: all images in one group. `nested`: a group for each image. `multiscale`: a group
        for each level of one image. `pages` is planned by `virtual_tiff.pages`.
    image
        What each image becomes.
    coords
        Whether to write coordinates of pixel centres.
    alone
        Leave out coordinates and the attributes of groups, for a caller that writes them once for
        many files.
    """

    layout: Layout = "flat"
    image: ImageOptions = field(default_factory=ImageOptions)
    coords: bool = True
    alone: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """An image on its way into a group."""

    name: str
    related: Related
    array: ArrayPlan
    description: Description


def plan_header(
    header: Header,
    options: PlanOptions,
    *,
    ifd: IFDPath | None,
    copies: Mapping[tuple[str, IFDPath], ArrayPlan] | None = None,
) -> GroupPlan:
    """Plan the images of a TIFF.

    Parameters
    ----------
    header
        What the reader found.
    options
        Layout and axes.
    ifd
        Path of the one image to plan, in the layout `multiscale` with its overviews and masks;
        `None` for all, sub-IFDs included.
    copies
        Arrays of images that cannot be referenced, by URL and path.

    Raises
    ------
    InvalidTIFFError, UnsupportedTIFFError
        With the URL and the directory to blame.
    InvalidOptionError
        With kind `ifd-out-of-range`; or the layout `multiscale` needs another `ifd`.
    """
    related = (*relate(header.ifds), *relate_sidecars(header))
    chosen = None if ifd is None else find_ifd(header, ifd)
    if chosen is None:
        check_undamaged(header)

    def plan_one(one: Related, name: str | None = None) -> _Image:
        try:
            return _plan_one(one, header, options, copies or {}, name)
        except VirtualTIFFError as error:
            url = (one.source or header.source).url
            raise error.at(url=url, ifd=one.directory.index) from error.__cause__

    if options.layout == "multiscale":
        levels = levels_of(related, ifd, url=header.source.url)
        return _pyramid(
            [[plan_one(one, name) for name, one in level.items()] for level in levels], options
        )
    images = [plan_one(one) for one in related if chosen in (None, one.directory)]
    if options.layout == "nested":
        return GroupPlan(groups={image.name: _group([image], options) for image in images})
    return _group(images, options)


def check_undamaged(header: Header) -> None:
    """Raise what ends the chain of directories early, if anything does."""
    damage, readable = header.damage, len(header.ifds)
    if damage is not None:
        choice = "ifd=0" if readable == 1 else f"ifd=0 to ifd={readable - 1}"
        damage.remedy = f"The {readable} before it can be read: pass {choice}."
        raise damage


def walk_ifds(ifds: Iterable[ImageFileDirectory]) -> Iterator[ImageFileDirectory]:
    """Every directory, each followed by its sub-IFDs."""
    for directory in ifds:
        yield directory
        yield from walk_ifds(directory.sub_ifds)


def find_ifd(header: Header, path: IFDPath) -> ImageFileDirectory:
    """Return the directory with this path.

    Raises
    ------
    InvalidOptionError
        With kind `ifd-out-of-range`; says how many there are.
    """
    found: ImageFileDirectory | None = None
    candidates = header.ifds
    for depth in range(1, len(path) + 1):
        found = next((d for d in candidates if d.index == path[:depth]), None)
        if found is None:
            where = f"IFD {array_name(path[: depth - 1])}" if depth > 1 else "the file"
            what = "sub-IFDs" if depth > 1 else "IFDs"
            raise InvalidOptionError(
                f"there is no IFD {array_name(path)}: {where} has {len(candidates)} {what}.",
                kind=ErrorKind.IFD_OUT_OF_RANGE,
                url=header.source.url,
            )
        candidates = found.sub_ifds
    if found is None:
        raise InvalidOptionError("the path of an IFD is empty.", url=header.source.url)
    return found


def array_name(path: IFDPath) -> str:
    """Name of the array of a directory: `0`, or `0.1` for a sub-IFD."""
    return ".".join(str(i) for i in path)


def _plan_one(
    related: Related,
    header: Header,
    options: PlanOptions,
    copies: Mapping[tuple[str, IFDPath], ArrayPlan],
    name: str | None,
) -> _Image:
    directory = related.directory
    source = related.source or header.source
    array = copies.get((source.url, directory.index))
    if array is None:
        array = plan_image(directory, source, options.image)
    description = describe(
        directory,
        fill_value=image_nodata(directory, array.data_type),
        full=related.full,
    )
    if options.image.bands is not None:
        chosen = of_bands(
            description.array_attributes, options.image.bands, directory.samples_per_pixel
        )
        description = replace(description, array_attributes=chosen)
    name = name or related.prefix + array_name(directory.index)
    return _Image(name, related, array, description)


def _pyramid(levels: list[list[_Image]], options: PlanOptions) -> GroupPlan:
    """Put the images of each level into a group of its own."""
    return GroupPlan(
        groups={str(i): _group(images, options) for i, images in enumerate(levels)},
        attributes=multiscales_attributes([images[0].description for images in levels]),
    )


def _group(images: list[_Image], options: PlanOptions) -> GroupPlan:
    """Put images into one group, with what they share beside them."""
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
    """What makes one grid mapping different from another, without its long texts."""
    return (description.crs, *(attributes.get(name) for name in ("GeoTransform", "gcps", "rpcs")))


def _coordinates(
    image: _Image, dimensions: tuple[str, ...], options: ImageOptions
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
    """Names for dimensions such that one name has one size and one position, as xarray wants.

    The first image keeps the plain names. A later one that differs gets its own name after an
    underscore, and images that follow and agree with it share that.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[object, ...], str] = {}
        self._taken: set[str] = set()

    def of(self, image: _Image) -> tuple[str, ...]:
        array = image.array
        return tuple(
            self._name(image, dimension, size)
            for dimension, size in zip(array.dimension_names, array.shape, strict=True)
        )

    def _name(self, image: _Image, dimension: str, size: int) -> str:
        place = image.description.geotransform if dimension in ("x", "y") else None
        key = (dimension, size, place)
        if key not in self._names:
            name = dimension if dimension not in self._taken else f"{dimension}_{image.name}"
            self._names[key] = name
            self._taken.add(name)
        return self._names[key]
