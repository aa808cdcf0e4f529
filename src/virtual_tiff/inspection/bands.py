"""Describe the place of an image, its bands, and GDAL's metadata."""

from __future__ import annotations

from contextlib import suppress
from typing import TypedDict

import numpy as np

from virtual_tiff.errors import UnsupportedTIFFError
from virtual_tiff.inspection.records import BandInfo
from virtual_tiff.messages import redacted_links
from virtual_tiff.planning.attributes import color_interpretation, image_metadata
from virtual_tiff.planning.encoding.data_type import Scalar, band_nodata, sample_type
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.gdal_metadata import BandMetadata, Domains, GDALMetadata
from virtual_tiff.tiff.ifd import GeoKeyValue, ImageFileDirectory

_STATISTICS = "STATISTICS_"


class Georeferencing(TypedDict):
    """Fields of `ImageInfo` that this module makes."""

    transform: tuple[float, ...] | None
    bounds: tuple[float, float, float, float] | None
    resolution: tuple[float, float] | None
    band_info: tuple[BandInfo, ...]
    area_or_point: str | None
    control_points: int
    rpcs: bool
    metadata: Domains
    geo_keys: dict[str, GeoKeyValue]


def georeferencing(ifd: ImageFileDirectory, full: ImageFileDirectory | None) -> Georeferencing:
    """Describe the place and the bands of an image; `full` is the one that it is an overview of."""
    metadata = image_metadata(ifd, full)
    found = Georeferencing(
        transform=None,
        bounds=None,
        resolution=None,
        band_info=_bands(ifd, metadata, full),
        area_or_point=None,
        control_points=0,
        rpcs=False,
        metadata={domain: dict(items) for domain, items in metadata.domains.items()},
        geo_keys={},
    )
    place = ifd if full is None else full
    if _has_place(place):
        _add_place(found, ifd, full)
    return found


def _has_place(ifd: ImageFileDirectory) -> bool:
    tags = (ifd.geo_keys, ifd.model_tiepoint, ifd.model_transformation, ifd.auxiliary)
    return any(tags) or Tag.RPC_COEFFICIENT in ifd.other_tags


def _add_place(
    found: Georeferencing, ifd: ImageFileDirectory, full: ImageFileDirectory | None
) -> None:
    # Imported here: PROJ is slow to import, and not every TIFF has a place.
    from virtual_tiff.tiff import geokeys

    place = ifd if full is None else full
    shape = (ifd.image_length, ifd.image_width)
    transform = geokeys.geotransform(place)
    if transform is not None:
        if full is not None:
            size = (full.image_length, full.image_width)
            transform = geokeys.overview_transform(transform, size, shape)
        x, a, b, y, d, e = transform
        found["transform"] = (a, b, x, d, e, y)
        found["bounds"] = geokeys.bounds(transform, shape)
        found["resolution"] = (float(np.hypot(a, d)), float(np.hypot(b, e)))
    kind = geokeys.raster_type(place)
    if kind is not None:
        found["area_or_point"] = "Point" if kind == geokeys.RasterType.PIXEL_IS_POINT else "Area"
    points = geokeys.gcps(place) or {}
    features = points.get("features")
    found["control_points"] = len(features) if isinstance(features, list) else 0
    found["rpcs"] = geokeys.rpcs(place) is not None
    found["geo_keys"] = {geokeys.key_title(key): value for key, value in ifd.geo_keys.items()}


def _bands(
    ifd: ImageFileDirectory, metadata: GDALMetadata, full: ImageFileDirectory | None
) -> tuple[BandInfo, ...]:
    count = ifd.samples_per_pixel
    source = ifd if full is None or full.samples_per_pixel != count else full
    told = metadata.bands or source.gdal_nodata or source.auxiliary
    if not told or count > _MOST_BANDS:
        return ()
    known = [metadata.band(i) for i in range(count)]
    colors = color_interpretation(ifd, known)
    values: tuple[Scalar | None, ...] = (None,) * count
    with suppress(UnsupportedTIFFError):
        values = band_nodata(source, sample_type(source).data_type)
    return tuple(_band(*one) for one in zip(known, colors, values, strict=True))


#: Bands that are described; some images have thousands.
_MOST_BANDS = 1024


def _band(band: BandMetadata, color: str, nodata: Scalar | None) -> BandInfo:
    statistics = {}
    others = {domain: dict(items) for domain, items in band.domains.items()}
    for key in list(others.get("", {})):
        if key.startswith(_STATISTICS):
            with suppress(ValueError):
                name = key.removeprefix(_STATISTICS).lower()
                statistics[name] = float(others[""][key])
                del others[""][key]
    return BandInfo(
        name=redacted_links(band.description),
        color=color,
        scale=1.0 if band.scale is None else band.scale,
        offset=0.0 if band.offset is None else band.offset,
        unit=redacted_links(band.units),
        nodata=nodata,
        statistics=statistics,
        metadata=redacted_links({domain: items for domain, items in others.items() if items}),
    )
