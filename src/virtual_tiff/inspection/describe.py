"""Describe a file from its header."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from virtual_tiff.errors import UnsupportedTIFFError, VirtualTIFFError
from virtual_tiff.inspection.bands import georeferencing
from virtual_tiff.inspection.records import FileInfo, ImageInfo, Kind, SeriesInfo
from virtual_tiff.json_type import memory
from virtual_tiff.messages import redacted
from virtual_tiff.planning.encoding.readers import readers
from virtual_tiff.planning.hierarchy import array_name
from virtual_tiff.planning.image_plan import ImageOptions, plan_image
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.storage.budget import Budget
from virtual_tiff.storage.source import Source
from virtual_tiff.tags import Compression, NewSubfileType, PhotometricInterpretation
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.relations import relate, relate_sidecars
from virtual_tiff.tiff.series import Series

#: Names that differ from those of the members.
_COMPRESSIONS = {
    Compression.NONE: "none",
    Compression.CCITT_T4: "CCITT G3",
    Compression.CCITT_T6: "CCITT G4",
    Compression.CCITT_RLEW: "CCITT RLE-W",
    Compression.OLD_JPEG: "old JPEG",
    Compression.ADOBE_DEFLATE: "Deflate",
    Compression.DEFLATE: "Deflate",
    Compression.PACKBITS: "PackBits",
    Compression.JPEG_2000_ALT: "JPEG 2000",
    Compression.JPEG_2000_APERIO_RGB: "JPEG 2000",
    Compression.JPEG_2000_APERIO_YCBCR: "JPEG 2000",
    Compression.JPEG_XR_NDPI: "JPEG XR",
    Compression.JPEG_XL_OLD: "JPEG XL",
    Compression.WEBP: "WebP",
}
_PREDICTORS = {2: "horizontal", 3: "floating point"}


def describe(
    header: Header, series: Iterable[Series] = (), budget: Budget | None = None
) -> FileInfo:
    """Describe a TIFF from its header.

    Raises
    ------
    InvalidTIFFError
        With kind `time-limit` or `header-too-large`: it takes more than `budget` allows.
    """
    images = []
    for one in (*relate(header.ifds), *relate_sidecars(header)):
        if budget is not None:
            budget.add_directory()
        source = one.source or header.source
        image = describe_image(one.directory, source, one.prefix, one.full)
        if budget is not None:
            budget.keep(memory([*(image.codecs or ())]))
        images.append(image)
    metadata = header.ifds[0].auxiliary if header.ifds else None
    return FileInfo(
        url=redacted(header.source.url),
        size=header.source.size,
        byte_order=header.byte_order,
        big_tiff=header.big_tiff,
        images=tuple(images),
        damage=None if header.damage is None else header.damage.message,
        sidecars=(
            *(sidecar.header.source.url for sidecar in header.sidecars),
            *(() if metadata is None else metadata.urls),
        ),
        series=tuple(_describe_series(one) for one in series),
    )


def _describe_series(series: Series) -> SeriesInfo:
    return SeriesInfo(
        name=series.name,
        kind=series.kind,
        sizes=dict(series.sizes),
        levels=tuple(level.size for level in series.levels),
        first_ifd=array_name(next(p for p in series.levels[0].pages if p is not None)),
    )


def describe_image(
    ifd: ImageFileDirectory,
    source: Source,
    prefix: str = "",
    full: ImageFileDirectory | None = None,
) -> ImageInfo:
    """Describe one image.

    Parameters
    ----------
    ifd, source
        The image, and the file that has it.
    prefix
        Prefix of names of a sidecar's images.
    full
        The image that this is an overview or a mask of.
    """
    plan: ArrayPlan | None = None
    problem: str | None = None
    notes = ifd.notes
    try:
        plan = plan_image(ifd, source, ImageOptions())
    except VirtualTIFFError as error:
        problem = error.message
        notes = (*notes, *_as_whole_file(ifd, source, error))
    data_type = None if plan is None else plan.data_type.name
    known = () if plan is None or data_type is None else readers(plan.codecs, data_type)
    predicted = plan is not None and any(
        codec["name"] in ("imagecodecs_delta", "imagecodecs_floatpred") for codec in plan.codecs
    )
    empty = ifd.offsets == 0
    if ifd.byte_counts.size == ifd.offsets.size:
        empty = empty | (ifd.byte_counts == 0)
    return ImageInfo(
        ifd=prefix + array_name(ifd.index),
        kind=_kind(ifd),
        width=ifd.image_width,
        height=ifd.image_length,
        bands=ifd.samples_per_pixel,
        data_type=data_type,
        bits_per_sample=max(ifd.bits_per_sample),
        photometric=_photometric(ifd.photometric_interpretation),
        layout="tiles" if ifd.is_tiled else "strips",
        segment_shape=ifd.segment_shape,
        segments=int(ifd.offsets.size),
        # A count of 0 may be one that a writer left out.
        missing_segments=0 if plan and not plan.is_sparse else int(np.count_nonzero(empty)),
        interleaved=not ifd.is_planar,
        compression=_compression(ifd.compression),
        predictor=_PREDICTORS.get(ifd.predictor) if predicted else None,
        nodata=_nodata(ifd),
        crs=_crs_name(ifd),
        **georeferencing(ifd, full),
        chunk_shape=None if plan is None else plan.chunk_shape,
        codecs=None if plan is None else plan.codecs,
        readers=tuple(str(reader) for reader in known),
        problem=problem,
        notes=(*notes, *_notes(ifd)),
    )


def _as_whole_file(
    ifd: ImageFileDirectory, source: Source, error: VirtualTIFFError
) -> tuple[str, ...]:
    # Imported here: few files need it.
    from virtual_tiff.completing.whole_file import is_candidate

    if not isinstance(error, UnsupportedTIFFError) or not is_candidate(ifd, source.size, error):
        return ()
    return ("If libtiff decodes it, the whole file is referenced as one chunk.",)


def _notes(ifd: ImageFileDirectory) -> tuple[str, ...]:
    if not (ifd.geo_keys or ifd.gdal_metadata or ifd.auxiliary):
        return ()
    # Imported here, as in `_crs_name`.
    from virtual_tiff.planning.attributes import describe

    return describe(ifd).notes


def _kind(ifd: ImageFileDirectory) -> Kind:
    if ifd.is_mask:
        return "mask"
    if ifd.is_reduced:
        return "overview"
    if len(ifd.index) > 1:
        return "sub-image"
    if ifd.new_subfile_type & NewSubfileType.PAGE or ifd.index != (0,):
        return "page"
    return "image"


def _compression(value: int) -> str:
    try:
        known = Compression(value)
    except ValueError:
        return str(value)
    return _COMPRESSIONS.get(known, known.name.replace("_", " "))


def _photometric(value: int | None) -> str | None:
    if value is None:
        return None
    try:
        return PhotometricInterpretation(value).name.replace("_", " ").lower()
    except ValueError:
        return str(value)


def _nodata(ifd: ImageFileDirectory) -> str | None:
    if ifd.auxiliary is None or not ifd.auxiliary.nodata:
        return ifd.gdal_nodata
    beside = ifd.auxiliary.nodata
    texts = [beside.get(band, ifd.gdal_nodata or "none") for band in range(ifd.samples_per_pixel)]
    return texts[0] if len(set(texts)) == 1 else " ".join(texts)


def _crs_name(ifd: ImageFileDirectory) -> str | None:
    if not ifd.geo_keys and ifd.auxiliary is None:
        return None
    # Imported here: PROJ is slow to import, and not every TIFF has a CRS.
    from virtual_tiff.tiff.geokeys import crs

    found = crs(ifd)
    if found.name is None:
        return None
    return f"{found.authority} ({found.name})" if found.authority else found.name
