"""Directories of a TIFF → a group of arrays, in one of the layouts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from virtual_tiff.axes import Axes, BandAxis
from virtual_tiff.chunk_grid import ChunkGrid, chunk_grid
from virtual_tiff.codec_chain import codec_chain, is_compressed
from virtual_tiff.data_type import nodata_value, sample_type
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.ifd import Header, ImageFileDirectory, Source
from virtual_tiff.image_codecs import CCITT
from virtual_tiff.plan import ArrayPlan, GroupPlan, PartialSegment
from virtual_tiff.tags import Tag

type Layout = Literal["flat", "nested"]
type IFDPath = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Choices that change what is planned.

    Parameters
    ----------
    layout
        `flat`: all images in one group. `nested`: a group for each image.
    band_axis
        Whether the arrays of several samples are `(band, y, x)` or `(y, x, band)`.
    bands
        Bands to keep, in this order, counted from 1 as GDAL counts them; `None` for all.
    """

    layout: Layout = "flat"
    band_axis: BandAxis = "first"
    bands: tuple[int, ...] | None = None


def plan_header(
    header: Header,
    options: PlanOptions,
    *,
    ifd: IFDPath | None,
    copies: Mapping[IFDPath, ArrayPlan] | None = None,
) -> GroupPlan:
    """Plan the images of a TIFF.

    Parameters
    ----------
    header
        What the reader found.
    options
        Layout and axes.
    ifd
        Path of the one image to plan; `None` for all, sub-IFDs included.
    copies
        Arrays of images that cannot be referenced, by path.

    Raises
    ------
    InvalidTIFFError, UnsupportedTIFFError
        With the URL and the directory to blame.
    InvalidOptionError
        With kind `ifd-out-of-range`.
    """
    url = header.source.url
    if ifd is not None:
        chosen: list[ImageFileDirectory] = [find_ifd(header, ifd)]
    else:
        if header.damage is not None:
            raise _with_remedy(header.damage, len(header.ifds))
        chosen = list(walk_ifds(header.ifds))
    arrays: dict[str, ArrayPlan] = {}
    for directory in chosen:
        name = array_name(directory.index)
        if copies is not None and directory.index in copies:
            arrays[name] = copies[directory.index]
            continue
        try:
            arrays[name] = plan_image(directory, header.source, options)
        except VirtualTIFFError as error:
            raise error.at(url=url, ifd=directory.index) from error.__cause__
    if options.layout == "nested":
        return GroupPlan(
            groups={name: GroupPlan(arrays={name: array}) for name, array in arrays.items()}
        )
    return GroupPlan(arrays=dict(_unequal_dimensions_apart(arrays)))


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


def plan_image(directory: ImageFileDirectory, source: Source, options: PlanOptions) -> ArrayPlan:
    """Plan the array of one image."""
    sample = sample_type(directory)
    axes = Axes.of(directory, options.band_axis, options.bands)
    codecs = codec_chain(directory, sample, bands_last=axes.last and axes.planes > 1)
    grid = chunk_grid(
        directory,
        file_size=source.size,
        row_bytes=sample.row_bytes(directory.segment_shape[1] * directory.samples_per_segment),
        compressed=is_compressed(directory),
    )
    if options.bands is not None:
        grid = _select_bands(directory, grid, options.bands)
    nodata = nodata_value(directory.gdal_nodata, sample.data_type)
    return ArrayPlan(
        shape=axes.arrange(axes.planes, directory.image_length, directory.image_width),
        chunk_shape=axes.arrange(axes.chunk_planes, grid.rows, grid.columns),
        data_type=sample.data_type,
        codecs=codecs,
        fill_value=_fill_value(nodata, sample.data_type),
        dimension_names=axes.arrange(axes.name, "y", "x"),
        source=source,
        ifd=directory.index,
        offsets=axes.arrange_grid(grid.offsets),
        lengths=axes.arrange_grid(grid.lengths),
        partial=tuple(_partial_segments(directory, grid, axes)),
    )


def _select_bands(
    directory: ImageFileDirectory, grid: ChunkGrid, bands: tuple[int, ...]
) -> ChunkGrid:
    """Keep the planes of some bands.

    Raises
    ------
    InvalidOptionError
        There is no such band, or the segments hold all bands together.
    """
    count = directory.samples_per_pixel
    if missing := [band for band in bands if band > count]:
        raise InvalidOptionError(
            f"there is no band {missing[0]}: the image has {count}.", ifd=directory.index
        )
    if directory.image_depth > 1 or not (directory.is_planar or count == 1):
        if bands == tuple(range(1, count + 1)):
            return grid
        raise InvalidOptionError(
            "bands cannot be chosen by reference where every segment holds all of them "
            "(PlanarConfiguration 1).",
            ifd=directory.index,
            tag=Tag.PLANAR_CONFIGURATION,
            remedy="Open all bands, and select from the dataset: ds.isel(band=[2, 1, 0]).",
        )
    planes = [band - 1 for band in bands]
    return replace(grid, offsets=grid.offsets[planes], lengths=grid.lengths[planes])


def _fill_value(
    nodata: bool | int | float | complex | None, data_type: np.dtype[np.generic]
) -> bool | int | float | complex:
    if nodata is not None:
        return nodata
    zero: bool | int | float | complex = data_type.type(0).item()
    return zero


def _partial_segments(
    directory: ImageFileDirectory, grid: ChunkGrid, axes: Axes
) -> Iterator[PartialSegment]:
    if not grid.partial_rows or directory.compression in CCITT:
        return
    planes, down, _ = grid.offsets.shape
    for plane in range(planes):
        length = int(grid.lengths[plane, -1, 0])
        if length:
            yield PartialSegment(
                index=axes.arrange(plane, down - 1, 0),
                offset=int(grid.offsets[plane, -1, 0]),
                length=length,
                shape=axes.arrange(axes.chunk_planes, grid.partial_rows, grid.columns),
            )


def _unequal_dimensions_apart(arrays: dict[str, ArrayPlan]) -> Iterator[tuple[str, ArrayPlan]]:
    """Rename dimensions so that one name has one size, as xarray wants of a group.

    The first array keeps the plain names. A later one of another size gets its own name after
    an underscore, and arrays that follow with that size share it.
    """
    names: dict[tuple[str, int], str] = {}
    taken: set[str] = set()
    for name, array in arrays.items():
        dimensions = []
        for dimension, size in zip(array.dimension_names, array.shape, strict=True):
            if (dimension, size) not in names:
                new = dimension if dimension not in taken else f"{dimension}_{name}"
                names[dimension, size] = new
                taken.add(new)
            dimensions.append(names[dimension, size])
        if tuple(dimensions) == array.dimension_names:
            yield name, array
        else:
            yield name, replace(array, dimension_names=tuple(dimensions))


def _with_remedy(damage: VirtualTIFFError, readable: int) -> VirtualTIFFError:
    choice = "ifd=0" if readable == 1 else f"ifd=0 to ifd={readable - 1}"
    damage.remedy = f"The {readable} before it can be read: pass {choice}."
    return damage
