"""Make an `ImageFileDirectory` from the tag values of either reader.

The defaults of TIFF 6.0 and the repairs of incomplete files are implemented only here, so that both
readers give the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.tags import Compression, NewSubfileType, PhotometricInterpretation, Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory, TagValue
from virtual_tiff.tiff.reader._geo_keys import geo_key_revision, parse_geo_keys

type RawTags = Mapping[int, Any]

#: Tags that have a field, or from which a field is made.
_FIELDS = frozenset(
    {
        Tag.NEW_SUBFILE_TYPE,
        Tag.SUBFILE_TYPE,
        Tag.IMAGE_WIDTH,
        Tag.IMAGE_LENGTH,
        Tag.BITS_PER_SAMPLE,
        Tag.COMPRESSION,
        Tag.PHOTOMETRIC_INTERPRETATION,
        Tag.FILL_ORDER,
        Tag.STRIP_OFFSETS,
        Tag.SAMPLES_PER_PIXEL,
        Tag.ROWS_PER_STRIP,
        Tag.STRIP_BYTE_COUNTS,
        Tag.PLANAR_CONFIGURATION,
        Tag.PREDICTOR,
        Tag.COLOR_MAP,
        Tag.TILE_WIDTH,
        Tag.TILE_LENGTH,
        Tag.IMAGE_DEPTH,
        Tag.TILE_DEPTH,
        Tag.TILE_OFFSETS,
        Tag.TILE_BYTE_COUNTS,
        Tag.SUB_IFDS,
        Tag.EXTRA_SAMPLES,
        Tag.SAMPLE_FORMAT,
        Tag.JPEG_TABLES,
        Tag.LERC_PARAMETERS,
        Tag.MODEL_PIXEL_SCALE,
        Tag.MODEL_TIEPOINT,
        Tag.MODEL_TRANSFORMATION,
        Tag.GEO_KEY_DIRECTORY,
        Tag.GEO_DOUBLE_PARAMS,
        Tag.GEO_ASCII_PARAMS,
        Tag.GDAL_METADATA,
        Tag.GDAL_NODATA,
    }
)
#: Other tags that are kept: those with a name in this package. The rest are private, some of them
#: megabytes.
KEPT = frozenset(Tag) - _FIELDS
#: Tags whose values are read.
NEEDED = _FIELDS | KEPT
#: RowsPerStrip of a single strip (TIFF 6.0 section 8: the default is 2**32 - 1).
_ALL_ROWS = 2**32 - 1
_SUBFILE_TYPES = {2: NewSubfileType.REDUCED_RESOLUTION, 3: NewSubfileType.PAGE}


class Shared:
    """Converts values that directories share once.

    A file can have thousands of directories with one value of megabytes.
    """

    def __init__(self) -> None:
        # The values are kept too, since an `id` is unique only as long as its object exists.
        self._made: dict[tuple[object, ...], tuple[object, Any]] = {}

    def __call__[T](self, make: Callable[..., T], *values: Any, **place: Any) -> T:
        """Return `make(*values, **place)`; the place is for an error."""
        for value in values:
            if value is not None and _is_long(value):
                break
        else:
            return make(*values, **place)
        key = (make, *map(_key, values))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = (values, make(*values, **place))
        made: T = found[1]
        return made


_APERIO_YCBCR = (
    "the values are Y, Cb and Cr, as Aperio's compression 33003 says, although "
    "PhotometricInterpretation is RGB; no Zarr codec converts them."
)
#: Characters or numbers of a value from which it is converted once; also values to be repeated.
_LONG = 64
_HASHABLE = (str, bytes, tuple)
_INTEGERS = (int, np.integer)
_SIZED = (*_HASHABLE, np.ndarray)


def _is_long(value: object) -> bool:
    if isinstance(value, int):
        return value >= _LONG
    return isinstance(value, _SIZED) and len(value) >= _LONG


def _key(value: object) -> object:
    """Return what tells a value from others."""
    short = isinstance(value, _HASHABLE) and not _is_long(value)
    return value if short or isinstance(value, int) else id(value)


def build_ifd(
    tags: RawTags,
    *,
    index: tuple[int, ...],
    position: int,
    byte_order: Literal["little", "big"],
    shared: Shared,
    sub_ifds: tuple[ImageFileDirectory, ...] = (),
    notes: tuple[str, ...] = (),
    jpeg_header: bytes | None = None,
) -> ImageFileDirectory:
    """Make a directory from tag numbers and values."""
    for tag in (Tag.IMAGE_WIDTH, Tag.IMAGE_LENGTH):
        if tags.get(tag) is None:
            raise InvalidTIFFError(
                f"{tag.title} is absent.", kind=ErrorKind.MISSING_TAG, ifd=index, tag=tag
            )
    compression = _integer(tags, Tag.COMPRESSION, 1, index)
    photometric = _integer(tags, Tag.PHOTOMETRIC_INTERPRETATION, None, index)

    def integers(tag: Tag) -> tuple[int, ...]:
        value = tags.get(tag)
        return () if value is None else shared(_integers, value, tag=tag, index=index)

    bits = integers(Tag.BITS_PER_SAMPLE) or (1,)
    samples = _integer(tags, Tag.SAMPLES_PER_PIXEL, None, index)
    if samples is None:
        samples = _default_samples(photometric, compression, len(bits))
    # Aperio says RGB of these too.
    converted = (
        compression == Compression.JPEG_2000_APERIO_YCBCR
        and photometric == PhotometricInterpretation.RGB
    )
    height = _integer(tags, Tag.IMAGE_LENGTH, 0, index)
    tiled = tags.get(Tag.TILE_WIDTH) is not None or tags.get(Tag.TILE_LENGTH) is not None
    # Some writers of strips write TileWidth, and some of tiles use the tags of strips.
    offsets_tag = Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS
    counts_tag = Tag.TILE_BYTE_COUNTS if tiled else Tag.STRIP_BYTE_COUNTS
    if tiled and tags.get(Tag.TILE_OFFSETS) is None and tags.get(Tag.STRIP_OFFSETS) is not None:
        offsets_tag, counts_tag = Tag.STRIP_OFFSETS, Tag.STRIP_BYTE_COUNTS
    if offsets_tag is Tag.STRIP_OFFSETS:
        _check_no_tiles(tags, index)
    rows_per_strip = _integer(tags, Tag.ROWS_PER_STRIP, _ALL_ROWS, index)
    subfile_type = _integer(tags, Tag.NEW_SUBFILE_TYPE, 0, index)
    if not subfile_type:
        old = _integer(tags, Tag.SUBFILE_TYPE, 1, index)
        subfile_type = _SUBFILE_TYPES.get(old, 0)
    geo_keys = tags.get(Tag.GEO_KEY_DIRECTORY)
    return ImageFileDirectory(
        index=index,
        position=position,
        byte_order=byte_order,
        image_width=_integer(tags, Tag.IMAGE_WIDTH, 0, index),
        image_length=height,
        bits_per_sample=shared(_per_sample, bits, samples),
        sample_format=shared(_per_sample, integers(Tag.SAMPLE_FORMAT) or (1,), samples),
        samples_per_pixel=samples,
        compression=compression,
        planar_configuration=_integer(tags, Tag.PLANAR_CONFIGURATION, 1, index),
        offsets=shared(segment_values, tags.get(offsets_tag), tag=offsets_tag, index=index),
        byte_counts=shared(segment_values, tags.get(counts_tag), tag=counts_tag, index=index),
        photometric_interpretation=PhotometricInterpretation.YCBCR if converted else photometric,
        predictor=_integer(tags, Tag.PREDICTOR, 1, index),
        fill_order=_integer(tags, Tag.FILL_ORDER, 1, index),
        # Some writers write 0 for a single strip.
        rows_per_strip=min(rows_per_strip or _ALL_ROWS, max(height, 1)),
        tile_width=_integer(tags, Tag.TILE_WIDTH, None, index),
        tile_length=_integer(tags, Tag.TILE_LENGTH, None, index),
        image_depth=_integer(tags, Tag.IMAGE_DEPTH, 1, index),
        tile_depth=_integer(tags, Tag.TILE_DEPTH, 1, index) if tiled else 1,
        new_subfile_type=int(subfile_type),
        # Surplus values are about samples that are not there.
        extra_samples=integers(Tag.EXTRA_SAMPLES)[: max(samples, 0)],
        jpeg_header=jpeg_header,
        jpeg_tables=shared(_bytes, tags.get(Tag.JPEG_TABLES), tag=Tag.JPEG_TABLES, index=index),
        color_map=shared(_color_map, tags.get(Tag.COLOR_MAP), index=index),
        lerc_parameters=integers(Tag.LERC_PARAMETERS),
        geo_keys={}
        if geo_keys is None
        else shared(
            parse_geo_keys,
            geo_keys,
            tags.get(Tag.GEO_DOUBLE_PARAMS, ()),
            tags.get(Tag.GEO_ASCII_PARAMS, ""),
        ),
        geo_key_revision=geo_key_revision(geo_keys),
        model_pixel_scale=shared(_floats, tags.get(Tag.MODEL_PIXEL_SCALE)),
        model_tiepoint=shared(_floats, tags.get(Tag.MODEL_TIEPOINT)),
        model_transformation=shared(_floats, tags.get(Tag.MODEL_TRANSFORMATION)),
        gdal_nodata=shared(_text, tags.get(Tag.GDAL_NODATA)),
        gdal_metadata=shared(_text, tags.get(Tag.GDAL_METADATA)),
        sub_ifds=sub_ifds,
        notes=(*notes, _APERIO_YCBCR) if converted else notes,
        other_tags={
            tag: kept
            for tag in KEPT.intersection(tags)
            if (kept := shared(kept_value, tags[tag])) is not None
        },
    )


def with_hidden_planes(directory: ImageFileDirectory, planes: int) -> ImageFileDirectory:
    """Note that planes follow the one of a directory, if there are several."""
    if planes < 2:
        return directory
    note = (
        f"the file has {planes} planes, of which only the first has a directory; the layout pages, "
        'or stack with pages="axes", has all.'
    )
    return replace(directory, hidden_planes=planes, notes=(*directory.notes, note))


def _default_samples(photometric: int | None, compression: int, bits_count: int) -> int:
    """Return SamplesPerPixel for a missing tag: 1 (TIFF 6.0).

    Old-style JPEG files without it have three samples unless they are grey (libtiff).
    """
    if compression == Compression.OLD_JPEG and bits_count > 1:
        return bits_count
    if compression == Compression.OLD_JPEG and photometric not in (
        PhotometricInterpretation.WHITE_IS_ZERO,
        PhotometricInterpretation.BLACK_IS_ZERO,
    ):
        return 3
    return 1


def _per_sample(values: tuple[int, ...], samples: int) -> tuple[int, ...]:
    """Return one value per sample: repeat a single value, drop surplus ones.

    SamplesPerPixel is compared with the number of values first, since it may be malicious.
    """
    if len(values) >= samples:
        return values[:samples]
    return (values[0],) * samples if len(set(values)) == 1 and samples <= 65535 else values


def _integer[D: (int, None)](
    tags: RawTags, tag: Tag, default: D, index: tuple[int, ...]
) -> int | D:
    value = tags.get(tag)
    if type(value) is int:
        return value
    if value is None:
        return default
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes):
        if len(value) == 0:
            return default
        value = value[0]
    if isinstance(value, bytes) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and _is_whole(value):
        value = int(value)
    if not isinstance(value, int | np.integer):
        raise _invalid(f"{tag.title} is {str(value)[:40]!r}, but must be an integer.", tag, index)
    return int(value)


def _integers(value: Any, tag: Tag, index: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(value, _INTEGERS):
        return (int(value),)
    if isinstance(value, tuple) and set(map(type, value)) == {int}:
        return value
    if isinstance(value, bytes):
        return tuple(value)
    try:
        numbers = np.atleast_1d(np.asarray(value))
        if not (numbers.dtype.kind in "iu" or _is_whole(numbers)):
            raise ValueError
        return tuple(int(number) for number in numbers.tolist())
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid(
            f"{tag.title} is {str(value)[:40]!r}, but must be integers.", tag, index
        ) from error


def _is_whole(values: float | NDArray[Any]) -> bool:
    """Return whether floating-point numbers are integers of 64 bits."""
    with np.errstate(invalid="ignore"):
        return bool(np.all((np.abs(values) < 2.0**63) & (np.floor(values) == values)))


def _bytes(value: Any, tag: Tag, index: tuple[int, ...]) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    numbers = _integers(value, tag, index)
    if not all(0 <= number < 256 for number in numbers):
        raise _invalid(f"{tag.title} is {str(value)[:40]!r}, but must be bytes.", tag, index)
    return bytes(numbers)


def segment_values(value: Any, tag: Tag, index: tuple[int, ...]) -> NDArray[np.uint64]:
    """Return the values of a tag of segments."""
    if type(value) is int and value >= 0:
        return np.array([value], np.uint64)
    if value is None:
        return np.empty(0, np.uint64)
    return whole_numbers(value, tag, index).astype(np.uint64, copy=False)


def whole_numbers(value: Any, tag: Tag, index: tuple[int, ...]) -> NDArray[np.integer[Any]]:
    """Return one or several values as an array; they must be integers from 0."""
    # BYTE values are bytes.
    given = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.asarray(value)
    values = np.atleast_1d(given)
    kind = values.dtype.kind
    if kind != "u" and values.size and (kind != "i" or values.min() < 0):
        raise _invalid(f"{tag.title} holds something other than integers from 0.", tag, index)
    return values


def _check_no_tiles(tags: RawTags, index: tuple[int, ...]) -> None:
    """Refuse strips for which the tags of tiles tell other segments.

    libtiff takes both tags for one field, of which the last counts: that of tiles.
    """
    for strips, tiles in (
        (Tag.STRIP_OFFSETS, Tag.TILE_OFFSETS),
        (Tag.STRIP_BYTE_COUNTS, Tag.TILE_BYTE_COUNTS),
    ):
        of_strips, of_tiles = tags.get(strips), tags.get(tiles)
        if of_strips is None or of_tiles is None:
            continue
        both = (whole_numbers(of_strips, strips, index), whole_numbers(of_tiles, tiles, index))
        if not np.array_equal(*both):
            raise _invalid(f"{strips.title} and {tiles.title} differ.", tiles, index)


def _invalid(message: str, tag: int, index: tuple[int, ...]) -> InvalidTIFFError:
    return InvalidTIFFError(message, kind=ErrorKind.INVALID_TAG, ifd=index, tag=tag)


def _color_map(value: Any, index: tuple[int, ...]) -> NDArray[np.uint16] | None:
    if value is None:
        return None
    colors = whole_numbers(value, Tag.COLOR_MAP, index)
    if colors.ndim != 2:
        colors = colors.reshape(-1)
        if colors.size == 0 or colors.size % 3:
            raise _invalid(
                f"ColorMap has {colors.size} values, not a multiple of 3.", Tag.COLOR_MAP, index
            )
        colors = colors.reshape(3, -1)
    return colors.astype(np.uint16)


def _floats(value: Any) -> tuple[float, ...]:
    if value is None or isinstance(value, str | bytes):
        return ()
    if isinstance(value, int | float):
        return (float(value),)
    return tuple(float(v) for v in value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return str(value).rstrip("\0").strip()


def kept_value(value: Any) -> TagValue | None:
    """Return the value of another tag, independent of the library that read it."""
    if isinstance(value, str):
        return value.rstrip("\0").strip()
    if isinstance(value, bytes):
        return tuple(value)
    # int() and item() because tifffile gives members of its own enumerations.
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else value
    values = tuple(np.asarray(value).tolist())
    return values[0] if len(values) == 1 else values
