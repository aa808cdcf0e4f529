"""Directories through async-tiff, for files the screening vouched for."""

from __future__ import annotations

from typing import Any

import async_tiff
import numpy as np

from virtual_tiff.errors import InvalidTIFFError, VirtualTIFFError
from virtual_tiff.ifd import GeoKeyValue, ImageFileDirectory
from virtual_tiff.reader._build import build_ifd
from virtual_tiff.reader._geo_keys import ASYNC_TIFF_NAMES
from virtual_tiff.reader._screen import Screened
from virtual_tiff.reader._source import ByteSource
from virtual_tiff.tags import Tag

#: async-tiff's attribute for each tag it gives a name; all others are in `other_tags`.
_ATTRIBUTES: dict[str, int] = {
    "new_subfile_type": Tag.NEW_SUBFILE_TYPE,
    "image_width": Tag.IMAGE_WIDTH,
    "image_height": Tag.IMAGE_LENGTH,
    "bits_per_sample": Tag.BITS_PER_SAMPLE,
    "compression": Tag.COMPRESSION,
    "photometric_interpretation": Tag.PHOTOMETRIC_INTERPRETATION,
    "document_name": Tag.DOCUMENT_NAME,
    "image_description": Tag.IMAGE_DESCRIPTION,
    "strip_offsets": Tag.STRIP_OFFSETS,
    "orientation": Tag.ORIENTATION,
    "samples_per_pixel": Tag.SAMPLES_PER_PIXEL,
    "rows_per_strip": Tag.ROWS_PER_STRIP,
    "strip_byte_counts": Tag.STRIP_BYTE_COUNTS,
    "min_sample_value": Tag.MIN_SAMPLE_VALUE,
    "max_sample_value": Tag.MAX_SAMPLE_VALUE,
    "x_resolution": Tag.X_RESOLUTION,
    "y_resolution": Tag.Y_RESOLUTION,
    "planar_configuration": Tag.PLANAR_CONFIGURATION,
    "resolution_unit": Tag.RESOLUTION_UNIT,
    "software": Tag.SOFTWARE,
    "date_time": Tag.DATE_TIME,
    "artist": Tag.ARTIST,
    "host_computer": Tag.HOST_COMPUTER,
    "predictor": Tag.PREDICTOR,
    "tile_width": Tag.TILE_WIDTH,
    "tile_height": Tag.TILE_LENGTH,
    "tile_offsets": Tag.TILE_OFFSETS,
    "tile_byte_counts": Tag.TILE_BYTE_COUNTS,
    "extra_samples": Tag.EXTRA_SAMPLES,
    "sample_format": Tag.SAMPLE_FORMAT,
    "jpeg_tables": Tag.JPEG_TABLES,
    "copyright": Tag.COPYRIGHT,
    "model_pixel_scale": Tag.MODEL_PIXEL_SCALE,
    "model_tiepoint": Tag.MODEL_TIEPOINT,
    "model_transformation": Tag.MODEL_TRANSFORMATION,
    "gdal_nodata": Tag.GDAL_NODATA,
    "gdal_metadata": Tag.GDAL_METADATA,
    "lerc_parameters": Tag.LERC_PARAMETERS,
}


async def read_with_async_tiff(
    source: ByteSource, screened: Screened, *, only: int | None
) -> tuple[ImageFileDirectory, ...]:
    """Read the main chain; with `only`, the one directory of that index."""
    try:
        tiff = await async_tiff.TIFF.open(
            source.path, store=source, prefetch=max(len(source.prefix), 1)
        )
    except VirtualTIFFError:
        raise
    except Exception as error:
        raise InvalidTIFFError(
            f"async-tiff cannot read the header ({error}).", url=source.source.url
        ) from error
    if only is not None:
        return (_directory(tiff.ifd(only), only, screened),)
    return tuple(_directory(ifd, i, screened) for i, ifd in enumerate(tiff.ifds))


def _directory(
    ifd: async_tiff.ImageFileDirectory, index: int, screened: Screened
) -> ImageFileDirectory:
    tags: dict[int, Any] = {
        tag: value
        for tag, value in ifd.other_tags.items()
        if isinstance(value, int | float | str) or len(value) > 0
    }
    tags.pop(Tag.GEO_KEY_DIRECTORY, None)
    for name in ifd.keys():
        if name in _ATTRIBUTES:
            tags[_ATTRIBUTES[name]] = getattr(ifd, name)
    if (colors := ifd.colormap) is not None:
        tags[Tag.COLOR_MAP] = np.asarray(colors).T
    geo_keys: dict[int, GeoKeyValue] = {}
    if (directory := ifd.geo_key_directory) is not None:
        geo_keys = {ASYNC_TIFF_NAMES[name]: directory[name] for name in directory.keys()}  # noqa: SIM118
    for tag, value in tags.items():
        if isinstance(value, tuple) and len(value) == 2:
            tags[tag] = _ratio(*value)
        elif isinstance(value, list) and value and isinstance(value[0], tuple):
            tags[tag] = tuple(_ratio(*v) for v in value)
    return build_ifd(
        tags,
        index=(index,),
        position=screened.offsets[index],
        byte_order=screened.byte_order,
        geo_keys=geo_keys,
    )


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
