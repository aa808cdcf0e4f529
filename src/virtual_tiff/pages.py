"""Series of pages → arrays of more dimensions, in groups that OME-Zarr's viewers open.

An image of one resolution is the array `image` of its group. One of several has a group for each,
`0`, `1`, …, with an array `image`, as the layout `multiscale` has them. Images of a file with
several are in groups `0`, `1`, … by their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from virtual_tiff.attributes import Description, describe
from virtual_tiff.data_type import nodata_value
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    InvalidTIFFError,
    MismatchError,
    UnsupportedTIFFError,
    VirtualTIFFError,
    shorten,
)
from virtual_tiff.hierarchy import PlanOptions, array_name, check_undamaged, find_ifd, walk_ifds
from virtual_tiff.ifd import Header, ImageFileDirectory, Source
from virtual_tiff.image_plan import plan_image
from virtual_tiff.ome_zarr import (
    Dataset,
    collection_attributes,
    image_attributes,
    is_image,
    omero_channels,
    place_of,
    steps_of,
)
from virtual_tiff.plan import JSON, ArrayPlan, GroupPlan
from virtual_tiff.series import IFDPath, Series
from virtual_tiff.stacks import References, stack
from virtual_tiff.tags import Compression, Tag
from virtual_tiff.variables import band_names, band_numbers, coordinate, grid_mapping, positions

#: Name of the array of every image.
NAME = "image"


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """A level on its way into a group."""

    array: ArrayPlan
    description: Description
    size: tuple[int, int]


def plan_pages(
    header: Header,
    series: Sequence[Series],
    options: PlanOptions,
    *,
    ifd: IFDPath | None,
    copies: Mapping[IFDPath, ArrayPlan] | None = None,
) -> GroupPlan:
    """Plan the series of a TIFF.

    Parameters
    ----------
    header
        All directories.
    series
        How they belong together.
    options
        Axes and coordinates.
    ifd
        Path of any page of the one series to plan; `None` for all.
    copies
        Arrays of pages that cannot be referenced, by path.

    Raises
    ------
    MismatchError
        Pages of one series that differ in shape, data type, encoding, chunks or fill value.
    InvalidTIFFError, UnsupportedTIFFError
        With the URL and the directory to blame.
    InvalidOptionError
        With kind `ifd-out-of-range`; or the directory is in no series.
    """
    check_undamaged(header)
    if ifd is not None:
        find_ifd(header, ifd)
        series = [one for one in series if one.holds(ifd)][:1]
        if not series:
            raise InvalidOptionError(
                "the directory is a page of no image.",
                url=header.source.url,
                ifd=ifd,
                remedy='The layout "flat" has it as an array.',
            )
    directories = {directory.index: directory for directory in walk_ifds(header.ifds)}
    groups = [
        _group(_Planner(header.source, directories, one, options, copies or {})) for one in series
    ]
    if len(groups) == 1:
        return groups[0]
    attributes = collection_attributes() if all("ome" in g.attributes for g in groups) else {}
    return GroupPlan(
        groups={str(i): group for i, group in enumerate(groups)}, attributes=attributes
    )


def _group(planner: _Planner) -> GroupPlan:
    """Plan the group of one series."""
    levels = planner.levels()
    full = levels[0]
    groups = [planner.level_group(level, full) for level in levels]
    attributes: dict[str, JSON] = {}
    dimensions = full.array.dimension_names
    if is_image(dimensions):
        series = planner.series
        alone = len(levels) == 1
        attributes = image_attributes(
            dimensions,
            [
                Dataset(NAME if alone else f"{i}/{NAME}", level.size)
                for i, level in enumerate(levels)
            ],
            name=series.name,
            spacing=series.spacing,
            omero=omero_channels(series.channels, full.array.data_type, series.bits),
        )
    if len(groups) == 1:
        return replace(groups[0], attributes={**groups[0].attributes, **attributes})
    return GroupPlan(groups={str(i): g for i, g in enumerate(groups)}, attributes=attributes)


@dataclass(frozen=True, slots=True, eq=False)
class _Planner:
    """All that planning one series needs."""

    source: Source
    directories: Mapping[IFDPath, ImageFileDirectory]
    series: Series
    options: PlanOptions
    copies: Mapping[IFDPath, ArrayPlan]

    def levels(self) -> list[_Level]:
        """Plan the array of each level."""
        levels: list[_Level] = []
        full: ImageFileDirectory | None = None
        for level in self.series.levels:
            pages = [None if path is None else self.directories[path] for path in level.pages]
            first = next((page for page in pages if page is not None), None)
            if first is None:
                # tifffile ends a pyramid here too.
                break
            if (first.image_length, first.image_width) != level.size:
                raise UnsupportedTIFFError(
                    f"the level has {level.size[0]} × {level.size[1]} pixels by the metadata of "
                    f"the file, and {first.image_length} × {first.image_width} by its directory.",
                    kind=ErrorKind.UNSUPPORTED_LAYOUT,
                    url=self.source.url,
                    ifd=first.index,
                    remedy='The layout "flat" goes by the directories.',
                )
            if self.series.contiguous:
                image, references = self._contiguous(first)
            else:
                image, references = self._pages(pages)
            description = describe(
                first,
                fill_value=nodata_value(first.gdal_nodata, image.data_type),
                full=full,
            )
            array = self._stack(image, references)
            attributes = _shared(description.array_attributes, [p for p in pages if p is not None])
            array = replace(array, attributes={**attributes, **image.attributes})
            if levels and array.dimension_names != levels[0].array.dimension_names:
                self._differ(first, "dimensions", array.dimension_names, levels[0].array)
            levels.append(_Level(array, description, level.size))
            full = full or first
        return levels

    def _stack(self, image: ArrayPlan, references: References) -> ArrayPlan:
        names = tuple(self.series.samples if n == "band" else n for n in image.dimension_names)
        new = [*self.series.sizes, *names]
        last = names[-1] not in ("y", "x")
        # Pages are chunks of their own, so that they can be in any order: that of OME-Zarr.
        order = sorted(new[:-1] if last else new, key=place_of) + (new[-1:] if last else [])
        named = replace(image, dimension_names=names)
        return stack(named, self.series.sizes, references, order)

    def _plan(self, directory: ImageFileDirectory, *, merge_strips: bool = True) -> ArrayPlan:
        copied = self.copies.get(directory.index)
        if copied is not None:
            return copied
        options = replace(self.options.image, merge_strips=merge_strips)
        try:
            return plan_image(directory, self.source, options)
        except VirtualTIFFError as error:
            raise error.at(url=self.source.url, ifd=directory.index) from error.__cause__

    def _pages(self, pages: Sequence[ImageFileDirectory | None]) -> tuple[ArrayPlan, References]:
        """Plan pages that have a directory each."""
        there = [page for page in pages if page is not None]
        copied = [page for page in there if page.index in self.copies]
        if copied and len(copied) < len(there):
            # The parser then copies the others too, one by one.
            other = next(page for page in there if page.index not in self.copies)
            raise UnsupportedTIFFError(
                f"the image at IFD {array_name(copied[0].index)} was copied, and this is another "
                "page of it.",
                kind=ErrorKind.UNSUPPORTED_LAYOUT,
                url=self.source.url,
                ifd=other.index,
            )
        for merge_strips in (True, False):
            plans = [
                None if page is None else self._plan(page, merge_strips=merge_strips)
                for page in pages
            ]
            # Whether uncompressed strips can be merged depends on where they are, page by page.
            if len({plan.chunk_shape for plan in plans if plan is not None}) == 1:
                break
        image = next(plan for plan in plans if plan is not None)
        for page, plan in zip(pages, plans, strict=True):
            if page is not None and plan is not None:
                self._check(page, plan, image)
        return image, References.of(plans, image.grid_shape)

    def _check(self, page: ImageFileDirectory, plan: ArrayPlan, image: ArrayPlan) -> None:
        """Raise if a page cannot be in one array with the first."""
        for what, found, wanted in (
            ("shape", plan.shape, image.shape),
            ("dimensions", plan.dimension_names, image.dimension_names),
            ("data type", plan.data_type.name, image.data_type.name),
            ("chunk shape", plan.chunk_shape, image.chunk_shape),
            ("codecs", plan.codecs, image.codecs),
            # As text, in which NaN equals itself.
            ("fill value", repr(plan.fill_value), repr(image.fill_value)),
        ):
            if found != wanted:
                self._differ(page, what, found, image)

    def _differ(
        self, page: ImageFileDirectory, what: str, found: object, image: ArrayPlan
    ) -> NoReturn:
        wanted = {
            "shape": image.shape,
            "dimensions": image.dimension_names,
            "data type": image.data_type.name,
            "chunk shape": image.chunk_shape,
            "codecs": image.codecs,
            "fill value": repr(image.fill_value),
        }[what]
        first = "" if image.ifd is None else f" of IFD {array_name(image.ifd)}"
        raise MismatchError(
            f"pages of one image differ: the {what} is {shorten(found)}, but that{first} is "
            f"{shorten(wanted)}.",
            url=self.source.url,
            ifd=page.index,
            remedy='The layout "flat" has every page as an array of its own.',
        )

    def _contiguous(self, directory: ImageFileDirectory) -> tuple[ArrayPlan, References]:
        """Plan pages that lie one after the other, of which only the first has a directory."""
        steps = int(np.prod([*self.series.sizes.values()], dtype=object))
        if directory.compression != Compression.NONE or directory.index in self.copies:
            raise UnsupportedTIFFError(
                "pages without a directory of their own must be uncompressed.",
                kind=ErrorKind.UNSUPPORTED_LAYOUT,
                url=self.source.url,
                ifd=directory.index,
                tag=Tag.COMPRESSION,
            )
        image = self._plan(directory)
        page_bytes = (
            directory.image_width
            * directory.image_length
            * directory.image_depth
            * directory.samples_per_pixel
            * image.data_type.itemsize
        )
        end = int(image.offsets.flat[0]) + steps * page_bytes
        if end > self.source.size or not image.lengths.all():
            raise InvalidTIFFError(
                f"{steps} pages of {page_bytes} bytes end at {end}, beyond the end of the file "
                f"({self.source.size} bytes).",
                kind=ErrorKind.TRUNCATED,
                url=self.source.url,
                ifd=directory.index,
                remedy="The file was cut short: copy or download it again.",
            )
        moved = directory.offsets + np.uint64((steps - 1) * page_bytes)
        # Only the last can be too near to the end of the file to be read past its last row.
        last = self._plan(replace(directory, offsets=moved))
        self._check(directory, last, image)
        by = np.arange(steps, dtype=np.uint64) * np.uint64(page_bytes)
        tail = References.of([last], image.grid_shape)
        offsets = image.offsets[None] + by.reshape(-1, *(1 for _ in image.grid_shape))
        lengths = np.repeat(image.lengths[None], steps, axis=0)
        lengths[-1] = last.lengths
        return image, References(
            offsets=offsets,
            lengths=lengths,
            partial=tuple((steps - 1, segment) for _, segment in tail.partial),
        )

    def level_group(self, level: _Level, full: _Level) -> GroupPlan:
        """Put the array of a level into a group, with its coordinates."""
        attributes = dict(level.array.attributes)
        beside: dict[str, ArrayPlan] = {}
        found = level.description.spatial_ref_attributes
        if found is not None:
            beside["spatial_ref"] = grid_mapping(found)
        if self.options.coords:
            beside.update(self._coordinates(level, full))
        return GroupPlan(
            arrays={NAME: replace(level.array, attributes=attributes), **beside},
            attributes=level.description.group_attributes,
        )

    def _coordinates(self, level: _Level, full: _Level) -> Iterator[tuple[str, ArrayPlan]]:
        names, shape = level.array.dimension_names, level.array.shape
        spacing = self.series.spacing
        steps = steps_of(names, level.size, full.size, spacing)
        for name, size, (start, step) in zip(names, shape, steps, strict=True):
            made: ArrayPlan | None = None
            if level.description.geotransform is not None and name in ("y", "x"):
                made = coordinate(level.description, name, size, "y" if name == "y" else "x")
            elif name in spacing:
                made = positions(name, size, start, step, spacing[name].unit)
            elif name == "c" and self._channel_names(size):
                made = band_names(self._channel_names(size), name)
            elif name == "band":
                made = band_numbers(size, name, self.options.image.bands)
            if made is not None:
                yield name, made

    def _channel_names(self, size: int) -> list[str]:
        names = [channel.name for channel in self.series.channels]
        return names if len(set(names)) == size else []


def _shared(attributes: Mapping[str, JSON], pages: Sequence[ImageFileDirectory]) -> dict[str, JSON]:
    """Attributes of a page as far as they hold for all: texts and dates often do not."""
    shared = dict(attributes)
    tags = shared.pop("tiff", None)
    if isinstance(tags, dict):
        titles = {tag.title: tag for tag in Tag}
        first = pages[0].other_tags
        kept = {
            title: value
            for title, value in tags.items()
            if all(page.other_tags.get(titles[title]) == first.get(titles[title]) for page in pages)
        }
        if kept:
            shared["tiff"] = kept
    if any(page.gdal_metadata != pages[0].gdal_metadata for page in pages):
        for name in ("gdal_metadata", "gdal_band_metadata"):
            shared.pop(name, None)
    return shared
