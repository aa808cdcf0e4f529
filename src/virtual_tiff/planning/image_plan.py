"""Plan the array of the image of one directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.choices import BandAxis, ComplexIntegers
from virtual_tiff.errors import InvalidOptionError, InvalidTIFFError, UnsupportedTIFFError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import list_of_bands
from virtual_tiff.planning.axes import Axes
from virtual_tiff.planning.encoding.chunk_grid import chunk_grid, chunk_grids
from virtual_tiff.planning.encoding.chunks import ChunkGrid, SegmentFacts
from virtual_tiff.planning.encoding.codec_chain import (
    codec_chain,
    inspection,
    is_cheap_to_inspect,
    is_compressed,
)
from virtual_tiff.planning.encoding.data_type import (
    SampleType,
    Scalar,
    band_nodata,
    image_nodata,
    sample_type,
)
from virtual_tiff.planning.encoding.image_codecs import CCITT, is_fax_2d, whole_stream
from virtual_tiff.planning.plan import ArrayPlan, Codec, PartialSegment
from virtual_tiff.planning.stacks import StackReferences
from virtual_tiff.storage.source import Source
from virtual_tiff.tags import (
    Compression,
    PhotometricInterpretation,
    PlanarConfiguration,
    Predictor,
    SampleFormat,
    Tag,
)
from virtual_tiff.tiff.auxiliary import invalid_sidecar
from virtual_tiff.tiff.ifd import ImageFileDirectory


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """Choices that change the array of an image.

    Parameters
    ----------
    band_axis
        Whether the arrays of several samples are `(band, y, x)` or `(y, x, band)`.
    bands
        Bands to keep, in this order, counted from 1 as in GDAL; `None` for all.
    merge_strips
        Whether uncompressed strips may become chunks of another height, depending on their offsets.
    complex_integers
        Whether complex integers become integers with a last dimension of real and imaginary part.
    """

    band_axis: BandAxis = "first"
    bands: tuple[int, ...] | None = None
    merge_strips: bool = True
    complex_integers: ComplexIntegers = "raise"


@dataclass(frozen=True, slots=True)
class _Image:
    """How the segments of an image are decoded and put in order."""

    directory: ImageFileDirectory
    axes: Axes
    sample: SampleType

    @classmethod
    def of(cls, directory: ImageFileDirectory, source: Source, options: ImageOptions) -> _Image:
        if directory.compression == Compression.OLD_JPEG:
            directory = whole_stream(directory, source.size)
        axes = Axes.of(directory, options.band_axis, options.bands)
        if options.complex_integers == "parts" and _is_complex_integer(directory):
            directory, axes = _parts(directory), Axes.of_parts()
        return cls(directory, axes, sample_type(directory))

    def facts(self, source: Source, options: ImageOptions) -> SegmentFacts:
        """Return what its chunk grid depends on."""
        columns = self.directory.segment_shape[1]
        return SegmentFacts(
            file_size=source.size,
            row_bytes=self.sample.row_bytes(columns * self.directory.samples_per_segment),
            compressed=is_compressed(self.directory),
            merge_strips=options.merge_strips,
            # Decoders stop at the end of the data, and what they decode is inspected.
            clipped=is_cheap_to_inspect(self.directory, source.size),
        )


def plan_image(directory: ImageFileDirectory, source: Source, options: ImageOptions) -> ArrayPlan:
    """Plan the array of one image."""
    image = _Image.of(directory, source, options)
    directory, axes, sample = image.directory, image.axes, image.sample
    codecs = _codecs(directory, sample, bands_last=axes.last and axes.planes > 1)
    grid = chunk_grid(directory, image.facts(source, options))
    if options.bands is not None:
        grid = _select_bands(directory, grid, options.bands)
    nodata = image_nodata(directory, sample.data_type, bands=options.bands)
    zero: Scalar = sample.data_type.type(0).item()
    return ArrayPlan(
        shape=axes.arrange(axes.planes, directory.image_length, directory.image_width),
        chunk_shape=axes.arrange(axes.chunk_planes, grid.rows, grid.columns),
        data_type=sample.data_type,
        codecs=codecs,
        fill_value=zero if nodata is None else nodata,
        dimension_names=axes.arrange(axes.name, "y", "x"),
        source=source,
        ifd=directory.index,
        offsets=axes.arrange_grid(grid.offsets),
        lengths=axes.arrange_grid(grid.lengths),
        partial=tuple(one for _, one in _partial_segments(image, grid, len(grid.offsets))),
        inspection=inspection(directory, sample, source.size),
        attributes=_band_nodata(directory, grid, sample.data_type, options.bands),
    )


def alike_references(
    directories: Sequence[ImageFileDirectory], plan: ArrayPlan, options: ImageOptions
) -> tuple[StackReferences, NDArray[np.intp]]:
    """Plan the references of images that differ only in their segments, all at once.

    Parameters
    ----------
    directories
        Directories of one `likeness`.
    plan
        Plan of any of them, or of another that is alike.
    options
        Those of the plan.

    Returns
    -------
    StackReferences
        Of the images that can be planned so.
    ndarray
        Numbers of these images. The others, or all, have to be planned one by one.
    """
    first, source = directories[0], plan.source
    nothing = np.empty((0, *plan.grid_shape), np.uint64), np.empty(0, np.intp)
    none = StackReferences(offsets=nothing[0], lengths=nothing[0]), nothing[1]
    if (
        source is None
        or options.bands is not None
        or first.auxiliary is not None
        or first.compression == Compression.OLD_JPEG
    ):
        return none
    image = _Image.of(first, source, options)
    try:
        grid, chosen = chunk_grids(directories, image.facts(source, options))
    except (InvalidTIFFError, UnsupportedTIFFError):
        # The plan of the image at fault raises it again, with its index.
        return none
    axes, planes = image.axes, first.grid_shape[0]
    if axes.arrange(axes.chunk_planes, grid.rows, grid.columns) != plan.chunk_shape:
        return none
    shape = (len(chosen), planes, *grid.offsets.shape[1:])
    whole = replace(plan, partial=())
    references = StackReferences(
        offsets=axes.arrange_grid(grid.offsets.reshape(shape)),
        lengths=axes.arrange_grid(grid.lengths.reshape(shape)),
        partial=tuple(
            (i, replace(one, image=replace(whole, ifd=directories[chosen[i]].index)))
            for i, one in _partial_segments(image, grid, planes)
        ),
    )
    return references, chosen


def _codecs(
    directory: ImageFileDirectory, sample: SampleType, *, bands_last: bool
) -> tuple[Codec, ...]:
    """Return the codecs of an image; any read one of which nothing was stored."""
    try:
        return codec_chain(directory, sample, bands_last=bands_last)
    except UnsupportedTIFFError:
        if directory.offsets.any() or directory.byte_counts.any():
            raise
    stored = replace(
        directory,
        compression=Compression.NONE,
        predictor=Predictor.NONE,
        photometric_interpretation=PhotometricInterpretation.BLACK_IS_ZERO,
    )
    return codec_chain(stored, sample, bands_last=bands_last)


def _is_complex_integer(directory: ImageFileDirectory) -> bool:
    """Return whether a pixel is one complex integer, whose parts follow each other."""
    return (
        directory.sample_format == (SampleFormat.COMPLEX_INT,)
        and directory.bits_per_sample[0] in (16, 32, 64)
        and directory.image_depth == 1
        # libtiff applies it to whole samples.
        and directory.predictor == Predictor.NONE
    )


def _parts(directory: ImageFileDirectory) -> ImageFileDirectory:
    """Return the directory of an image of two integers in each pixel."""
    return replace(
        directory,
        samples_per_pixel=2,
        bits_per_sample=(directory.bits_per_sample[0] // 2,) * 2,
        sample_format=(SampleFormat.INT,) * 2,
        planar_configuration=PlanarConfiguration.CHUNKY,
    )


def _band_nodata(
    directory: ImageFileDirectory,
    grid: ChunkGrid,
    data_type: np.dtype[np.generic],
    bands: tuple[int, ...] | None,
) -> dict[str, JSON]:
    """Return the attribute `band_nodata`, if a sidecar has different values for bands."""
    if directory.auxiliary is None or len(directory.auxiliary.nodata) == 0:
        return {}
    values = band_nodata(directory, data_type, bands)
    if len(set(map(repr, values))) == 1:
        return {}
    if not grid.lengths.all():
        raise invalid_sidecar(
            directory.auxiliary.urls[0],
            "bands have different nodata values, but an array has one fill value, and some "
            "segments of the image are missing.",
        )
    return {"band_nodata": list_of_bands(values)}


def check_bands(bands: tuple[int, ...], count: int, directory: ImageFileDirectory) -> None:
    """Raise if a chosen band does not exist."""
    if missing := [band for band in bands if band > count]:
        raise InvalidOptionError(
            f"there is no band {missing[0]}: the image has {count}.", ifd=directory.index
        )


def _select_bands(
    directory: ImageFileDirectory, grid: ChunkGrid, bands: tuple[int, ...]
) -> ChunkGrid:
    """Keep the planes of some bands."""
    count = directory.samples_per_pixel
    check_bands(bands, count, directory)
    if directory.image_depth > 1 or not (directory.is_planar or count == 1):
        if bands == tuple(range(1, count + 1)):
            return grid
        raise InvalidOptionError(
            "bands cannot be chosen by reference if every segment contains all of them "
            "(PlanarConfiguration 1).",
            ifd=directory.index,
            tag=Tag.PLANAR_CONFIGURATION,
            remedy="Open all bands, and select from the dataset: ds.isel(band=[2, 1, 0]).",
        )
    planes = [band - 1 for band in bands]
    return replace(grid, offsets=grid.offsets[planes], lengths=grid.lengths[planes])


def _partial_segments(
    image: _Image, grid: ChunkGrid, planes: int
) -> Iterator[tuple[int, PartialSegment]]:
    """Yield each with the number of its image, of which each has so many planes of the grid."""
    directory, axes = image.directory, image.axes
    if not grid.partial_rows or (directory.compression in CCITT and not is_fax_2d(directory)):
        return
    down = grid.offsets.shape[1]
    for i, column in np.argwhere(grid.lengths[:, -1]).tolist():
        length = int(grid.lengths[i, -1, column])
        if length != grid.whole_bytes:
            number, plane = divmod(i, planes)
            yield (
                number,
                PartialSegment(
                    index=axes.arrange(plane, down - 1, column),
                    offset=int(grid.offsets[i, -1, column]),
                    length=length,
                    shape=axes.arrange(axes.chunk_planes, grid.partial_rows, grid.columns),
                ),
            )
