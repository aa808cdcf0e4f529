"""Make the attributes of an array: values, bands, tags, and GDAL's items.

Their form follows xarray's decoding (CF 1.11 sections 2.5.1, 3.1, 5.6 and 8.1): `_FillValue` is
encoded for its Zarr v3 backend; `scale_factor` and `add_offset` are written only if one pair is
valid for all bands and the numbers are real, so that `mask_and_scale=True` gives the same as
rioxarray; a unit that xarray would decode as time is written as `band_units` instead of `units`.
Values are those that netCDF holds: mappings are JSON in a string, and what is absent in a list with
a text for each band is the empty string.
"""

from __future__ import annotations

from base64 import standard_b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import isfinite
from struct import pack

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import json_text
from virtual_tiff.planning.attributes._classes import flag_attributes
from virtual_tiff.planning.attributes._colors import color_attributes
from virtual_tiff.planning.encoding.data_type import nodata_tuple
from virtual_tiff.tags import SampleFormat, Tag
from virtual_tiff.tiff.gdal_metadata import BandMetadata, GDALMetadata
from virtual_tiff.tiff.geokeys import CRSResult, RasterType, height_scaling, raster_type
from virtual_tiff.tiff.ifd import ImageFileDirectory

type Attributes = dict[str, JSON]
type FillValue = bool | int | float | complex

MAX_TEXT = 1024 * 1024
"""Longest text of a tag or an item in the metadata, in characters."""

_DESCRIPTIVE_TAGS = (
    Tag.DOCUMENT_NAME,
    Tag.IMAGE_DESCRIPTION,
    Tag.MAKE,
    Tag.MODEL,
    Tag.ORIENTATION,
    Tag.MIN_SAMPLE_VALUE,
    Tag.MAX_SAMPLE_VALUE,
    Tag.X_RESOLUTION,
    Tag.Y_RESOLUTION,
    Tag.PAGE_NAME,
    Tag.RESOLUTION_UNIT,
    Tag.SOFTWARE,
    Tag.DATE_TIME,
    Tag.ARTIST,
    Tag.HOST_COMPUTER,
    Tag.COPYRIGHT,
)


def array_attributes(
    ifd: ImageFileDirectory,
    metadata: GDALMetadata,
    *,
    system: CRSResult,
    fill_value: FillValue | None = None,
    full: ImageFileDirectory | None = None,
) -> Attributes:
    """Return the attributes of an array: values, bands, colours, tags, and GDAL's items."""
    count = ifd.samples_per_pixel
    bands = [metadata.band(i) for i in range(count)] if metadata.bands else []
    attributes: Attributes = {}
    if fill_value is not None and not isinstance(fill_value, bool):
        attributes["_FillValue"] = encode_fill_value(fill_value)
    heights = CRSResult() if ifd.is_mask else system
    attributes |= _scaling(ifd, bands, heights, full)
    attributes |= _units(bands, count, heights)
    attributes |= _descriptions(bands)
    attributes |= color_attributes(ifd, bands)
    classes = {tuple(band.classes.items()) for band in bands}
    if len(classes) == 1:
        flags = [(value, None, name) for value, name in classes.pop()]
        attributes |= flag_attributes(flags, _limits(ifd))
    kind = raster_type(ifd if full is None else full)
    if kind is not None:
        attributes["AREA_OR_POINT"] = "Point" if kind == RasterType.PIXEL_IS_POINT else "Area"
    if tags := tag_attributes(ifd):
        attributes["tiff"] = json_text(tags)
    attributes |= _items(metadata, bands)
    if nodata := nodata_tuple(ifd):
        attributes["nodata_values"] = list_of_bands(nodata)
    return attributes


def _limits(ifd: ImageFileDirectory) -> tuple[int, int] | None:
    """Return the lowest and the highest integer that samples can hold; `None` for other numbers."""
    bits, form = ifd.bits_per_sample[0], ifd.sample_format[0]
    if form in (SampleFormat.UINT, SampleFormat.VOID):
        return 0, 2**bits - 1
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if form == SampleFormat.INT else None


def list_of_bands(values: Sequence[bool | int | float | complex | None]) -> list[JSON]:
    """Return a number for each band; texts where JSON or netCDF has no number for a band.

    The text of a band without a number is empty.
    """
    numbers: list[JSON] = [v for v in values if isinstance(v, int | float) and isfinite(v)]
    if len(numbers) == len(values):
        return numbers
    return ["" if v is None else str(v).strip("()") for v in values]


def encode_fill_value(value: int | float | complex) -> JSON:
    """Encode `_FillValue` as xarray's Zarr v3 backend decodes it.

    Integers are numbers; floats of any width the base64 of a little-endian double; complex numbers
    two of those.
    """
    if isinstance(value, complex):
        return [encode_fill_value(value.real), encode_fill_value(value.imag)]
    if isinstance(value, int):
        return value
    return standard_b64encode(pack("<d", value)).decode()


def _scaling(
    ifd: ImageFileDirectory,
    bands: Sequence[BandMetadata],
    system: CRSResult,
    full: ImageFileDirectory | None,
) -> Attributes:
    scales = [1.0 if band.scale is None else band.scale for band in bands]
    offsets = [0.0 if band.offset is None else band.offset for band in bands]
    heights = height_scaling(ifd if full is None else full, system)
    if heights is not None and ifd.samples_per_pixel == 1:
        scales, offsets = [heights[0]], [heights[1]]
    attributes: Attributes = {}
    is_complex = bool(
        {SampleFormat.COMPLEX_INT, SampleFormat.COMPLEX_FLOAT}.intersection(ifd.sample_format)
    )
    for values, neutral, one, many in (
        (scales, 1.0, "scale_factor", "scales"),
        (offsets, 0.0, "add_offset", "offsets"),
    ):
        if all(value == neutral for value in values):
            continue
        if len(set(values)) == 1 and not is_complex and _is_uniform(scales, offsets):
            attributes[one] = values[0]
        else:
            attributes[many] = list(values)
    return attributes


def _is_uniform(scales: Sequence[float], offsets: Sequence[float]) -> bool:
    """Return whether all bands have the same scale and offset, which belong together.

    A scale of 0 would make all pixels equal; GDAL ignores it too.
    """
    return len(set(scales)) == 1 and len(set(offsets)) == 1 and scales[0] != 0


def _units(bands: Sequence[BandMetadata], count: int, system: CRSResult) -> Attributes:
    # GDAL: heights of a compound CRS are in its vertical unit unless a band has a unit.
    units = [band.units or system.vertical_unit for band in bands or [BandMetadata()] * count]
    if not any(units):
        return {}
    first = units[0]
    if first is not None and len(set(units)) == 1 and "since" not in first:
        return {"units": _text(first)}
    return {"band_units": [_text(unit or "") for unit in units]}


def _descriptions(bands: Sequence[BandMetadata]) -> Attributes:
    """Return `long_name` as in rioxarray: one text, or a list with a text for each band."""
    texts = [None if band.description is None else _text(band.description) for band in bands]
    if not any(texts):
        return {}
    if len(texts) == 1:
        return {"long_name": texts[0]}
    return {"long_name": [text or "" for text in texts]}


def band_names(metadata: GDALMetadata, count: int) -> tuple[str, ...]:
    """Return a name for each band, its number without a description; empty if none has one."""
    names = [metadata.band(i).description for i in range(count)] if metadata.bands else []
    if not any(names):
        return ()
    return tuple(_text(name) if name else str(i) for i, name in enumerate(names, 1))


def tag_attributes(ifd: ImageFileDirectory) -> Attributes:
    """Return informative tags by their names of TIFF 6.0, and the nodata text as written."""
    tags: Attributes = {}
    for tag in _DESCRIPTIVE_TAGS:
        value = ifd.other_tags.get(tag)
        if value is None or value == "":
            continue
        if isinstance(value, str):
            tags[tag.title] = _text(value)
        elif isinstance(value, int | float):
            if isfinite(value):
                tags[tag.title] = value
        elif isinstance(value, tuple):
            tags[tag.title] = [v for v in value if isfinite(v)]
    if ifd.gdal_nodata:
        tags[Tag.GDAL_NODATA.title] = _text(ifd.gdal_nodata)
    return tags


def _items(metadata: GDALMetadata, bands: Sequence[BandMetadata]) -> Attributes:
    """Return GDAL's items by domain; the default domain is the empty string, as in GDAL."""
    attributes: Attributes = {}
    if dataset := _json_domains(metadata.domains):
        attributes["gdal_metadata"] = json_text(dataset)
    of_bands: list[JSON] = [_json_domains(band.domains) for band in bands]
    if any(of_bands):
        attributes["gdal_band_metadata"] = json_text(of_bands)
    return attributes


def _json_domains(domains: Mapping[str, Mapping[str, str]]) -> JSON:
    return {
        _text(domain): {_text(k): _text(v) for k, v in items.items()}
        for domain, items in domains.items()
    }


def _text(text: str) -> str:
    """Return a text that JSON can hold, truncated if it is very long."""
    if len(text) > MAX_TEXT:
        return _truncated(text)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@lru_cache(maxsize=4)
def _truncated(text: str) -> str:
    """Truncate a text, once for all directories that share it."""
    return (text[:MAX_TEXT] + "…").encode("utf-8", "replace").decode()
