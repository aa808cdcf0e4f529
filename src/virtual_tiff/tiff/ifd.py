"""A frozen image file directory with the defaults of TIFF 6.0.

Both header readers produce this class, so other modules do not depend on the reader.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError
from virtual_tiff.frozen import unchecked_copy
from virtual_tiff.storage.source import Source
from virtual_tiff.tags import NewSubfileType, PlanarConfiguration, Tag

if TYPE_CHECKING:
    from virtual_tiff.tiff.auxiliary import Auxiliary

# Plain integers, since flags of an enumeration are slow to combine.
_REDUCED = int(NewSubfileType.REDUCED_RESOLUTION)
_MASK = int(NewSubfileType.MASK)

#: Informative tags that often differ between the pages of one image, which no plan depends on.
TAGS_OF_PAGES = frozenset(
    {
        Tag.DOCUMENT_NAME,
        Tag.IMAGE_DESCRIPTION,
        Tag.MIN_SAMPLE_VALUE,
        Tag.MAX_SAMPLE_VALUE,
        Tag.PAGE_NAME,
        Tag.DATE_TIME,
    }
)

type TagValue = int | float | str | bytes | tuple[int, ...] | tuple[float, ...]
type GeoKeyValue = int | float | str | tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEntry:
    """An entry of a directory as it is in the file (TIFF 6.0 section 2).

    Parameters
    ----------
    code
        Number of the tag.
    name
        Its name, such as `ImageWidth`; the number of an unknown tag.
    type
        Field type, such as `SHORT`; the number of an unknown type.
    count
        Number of values.
    value
        One number, text without its NUL, bytes (BYTE, UNDEFINED), or a tuple of numbers; rational
        numbers are numerator and denominator in turn. `None` if it cannot be read. For the
        directories of Exif and Dectris (34665, 34853, 40965, 51192) it is a mapping of names to
        such values; or their offset if there is none.
    """

    code: int
    name: str
    type: str
    count: int
    value: TagValue | Mapping[str, TagValue | None] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageFileDirectory:
    """A directory of a TIFF: its tags, named as in TIFF 6.0.

    Parameters
    ----------
    index
        Path of this directory: `(2,)` is the third of the main chain, `(0, 1)` the second
        sub-IFD (tag 330) of the first.
    position
        Offset of the directory in the file, in bytes.
    byte_order
        Byte order of the whole file.
    offsets, byte_counts
        Shape `(segments,)`, uint64, in bytes. TileOffsets/TileByteCounts if the image is tiled,
        else StripOffsets/StripByteCounts. `byte_counts` is empty if the tag is absent.
    bits_per_sample, sample_format
        One value per sample.
    rows_per_strip
        RowsPerStrip, clipped to the image; `image_length` if the tag is absent (TIFF 6.0: the
        default is one strip).
    image_depth, tile_depth
        Slices of a volume, and of one tile of it (SGI's tags 32997 and 32998).
    photometric_interpretation
        `None` if the tag is absent; TIFF 6.0 requires it, but real files lack it.
    jpeg_header
        Start of the one JPEG stream whose restart segments are the tiles, up to its data, for the
        size of a tile (Hamamatsu NDPI).
    color_map
        Shape `(3, 2**bits)`, uint16: red, green, blue.
    geo_keys
        GeoKeyDirectory (GeoTIFF 1.1 section 7.1.2), key number to value.
    geo_key_revision
        KeyRevision and MinorRevision of the GeoKeyDirectory: `(1, 0)` is GeoTIFF 1.0.
    model_pixel_scale, model_tiepoint, model_transformation
        GeoTIFF 1.1 section 7.1.3, in CRS units; empty if absent.
    gdal_nodata, gdal_metadata
        Text of GDAL's private tags, unchanged.
    sub_ifds
        Directories that tag 330 points to.
    hidden_planes
        Number of planes that the file has, of which only the first has a directory; else 0.
    notes
        What the file has of this image that no directory tells, or that cannot be read.
    auxiliary
        Metadata of the image from sidecars; `None` if there are none, or not requested.
    other_tags
        All remaining tags, number to value. Strings are stripped of NUL; rationals are floats.
    tags
        All entries as they are in the file, private ones included; empty unless
        `virtual_tiff.read_directories` read them.
    """

    index: tuple[int, ...]
    position: int
    byte_order: Literal["little", "big"]
    image_width: int
    image_length: int
    bits_per_sample: tuple[int, ...]
    sample_format: tuple[int, ...]
    samples_per_pixel: int
    compression: int
    planar_configuration: int
    offsets: NDArray[np.uint64]
    byte_counts: NDArray[np.uint64]
    photometric_interpretation: int | None = None
    predictor: int = 1
    fill_order: int = 1
    rows_per_strip: int = 0
    tile_width: int | None = None
    tile_length: int | None = None
    image_depth: int = 1
    tile_depth: int = 1
    new_subfile_type: int = 0
    extra_samples: tuple[int, ...] = ()
    jpeg_tables: bytes | None = None
    jpeg_header: bytes | None = None
    color_map: NDArray[np.uint16] | None = None
    lerc_parameters: tuple[int, ...] = ()
    geo_keys: Mapping[int, GeoKeyValue] = field(default_factory=dict)
    geo_key_revision: tuple[int, int] = (1, 1)
    model_pixel_scale: tuple[float, ...] = ()
    model_tiepoint: tuple[float, ...] = ()
    model_transformation: tuple[float, ...] = ()
    gdal_nodata: str | None = None
    gdal_metadata: str | None = None
    sub_ifds: tuple[ImageFileDirectory, ...] = ()
    hidden_planes: int = 0
    notes: tuple[str, ...] = ()
    auxiliary: Auxiliary | None = None
    other_tags: Mapping[int, TagValue] = field(default_factory=dict)
    tags: tuple[TagEntry, ...] = ()

    def __post_init__(self) -> None:
        for tag, value in (
            (Tag.IMAGE_WIDTH, self.image_width),
            (Tag.IMAGE_LENGTH, self.image_length),
            (Tag.SAMPLES_PER_PIXEL, self.samples_per_pixel),
            (Tag.IMAGE_DEPTH, self.image_depth),
            (Tag.TILE_DEPTH, self.tile_depth),
        ):
            if value < 1:
                raise self.invalid(tag, f"{tag.title} is {value}, but must be at least 1.")
        if (self.tile_width is None) != (self.tile_length is None):
            tag = Tag.TILE_WIDTH if self.tile_width is None else Tag.TILE_LENGTH
            raise self.invalid(tag, "only one of TileWidth and TileLength is present.")
        if self.is_tiled:
            for tag, size in (
                (Tag.TILE_WIDTH, self.tile_width),
                (Tag.TILE_LENGTH, self.tile_length),
            ):
                if size is None or size < 1:
                    raise self.invalid(tag, f"{tag.title} is {size}, but must be at least 1.")
        elif self.rows_per_strip < 1:
            raise self.invalid(
                Tag.ROWS_PER_STRIP,
                f"RowsPerStrip is {self.rows_per_strip}, but must be at least 1.",
            )
        if self.planar_configuration not in (1, 2):
            raise self.invalid(
                Tag.PLANAR_CONFIGURATION,
                f"PlanarConfiguration is {self.planar_configuration}, but must be 1 or 2.",
            )
        for tag, values in (
            (Tag.BITS_PER_SAMPLE, self.bits_per_sample),
            (Tag.SAMPLE_FORMAT, self.sample_format),
        ):
            if len(values) != self.samples_per_pixel:
                raise self.invalid(
                    tag,
                    f"{tag.title} has {len(values)} values for {self.samples_per_pixel} samples.",
                )

    def invalid(self, tag: int, message: str) -> InvalidTIFFError:
        """Return an error about a tag of this directory."""
        return InvalidTIFFError(message, kind=ErrorKind.INVALID_TAG, ifd=self.index, tag=tag)

    def unsupported(self, kind: ErrorKind, tag: int, message: str) -> UnsupportedTIFFError:
        """Return an error about an encoding of this directory that no codec expresses."""
        return UnsupportedTIFFError(message, kind=kind, ifd=self.index, tag=tag)

    @property
    def is_tiled(self) -> bool:
        """Whether the segments are tiles, not strips."""
        return self.tile_width is not None

    @property
    def is_planar(self) -> bool:
        """Whether every sample has separate segments (and there is more than one sample)."""
        return (
            self.planar_configuration == PlanarConfiguration.PLANAR and self.samples_per_pixel > 1
        )

    @property
    def is_reduced(self) -> bool:
        """Whether this is an overview of another image (NewSubfileType bit 0)."""
        return bool(self.new_subfile_type & _REDUCED)

    @property
    def is_mask(self) -> bool:
        """Whether this is a transparency mask of another image (NewSubfileType bit 2)."""
        return bool(self.new_subfile_type & _MASK)

    @property
    def samples_per_segment(self) -> int:
        """Samples interleaved in one tile or strip."""
        return 1 if self.is_planar else self.samples_per_pixel

    @property
    def segment_shape(self) -> tuple[int, int]:
        """Rows and columns of a whole tile or strip, in pixels."""
        if self.tile_width is not None and self.tile_length is not None:
            return self.tile_length, self.tile_width
        return self.rows_per_strip, self.image_width

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Planes, segments down and segments across.

        A plane is a sample of a planar image, or a layer of tiles of a volume.
        """
        rows, columns = self.segment_shape
        planes = self.samples_per_pixel if self.is_planar else 1
        return (
            planes * -(-self.image_depth // self.tile_depth),
            -(-self.image_length // rows),
            -(-self.image_width // columns),
        )


_OF_ALIKE = attrgetter(
    *sorted(
        {one.name for one in fields(ImageFileDirectory)}
        - {"index", "position", "offsets", "byte_counts", "other_tags", "tags"}
    )
)


def copy_with(
    directory: ImageFileDirectory,
    *,
    index: tuple[int, ...],
    position: int,
    offsets: NDArray[np.uint64],
    byte_counts: NDArray[np.uint64],
    other_tags: Mapping[int, TagValue],
) -> ImageFileDirectory:
    """Return a directory that is alike, at another place and with other segments."""
    return unchecked_copy(
        directory,
        index=index,
        position=position,
        offsets=offsets,
        byte_counts=byte_counts,
        other_tags=other_tags,
    )


def likeness(directory: ImageFileDirectory) -> Hashable:
    """Return a key that is equal for directories whose plans differ only in their segments.

    These have the same objects as values, as `copy_with` makes them; equal values that were read
    twice may have other keys. The key is valid as long as the directory exists.
    """
    tags = directory.other_tags
    of_image = [(tag, id(value)) for tag, value in tags.items() if tag not in TAGS_OF_PAGES]
    return (*map(id, _OF_ALIKE(directory)), *of_image)


def walk_ifds(ifds: Iterable[ImageFileDirectory]) -> Iterator[ImageFileDirectory]:
    """Yield every directory, each followed by its sub-IFDs."""
    for directory in ifds:
        yield directory
        yield from walk_ifds(directory.sub_ifds)


def is_dependent(directory: ImageFileDirectory) -> bool:
    """Return whether an image is an overview or a mask of another."""
    return directory.is_reduced or directory.is_mask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Header:
    """The directories of one TIFF and its sidecars.

    Parameters
    ----------
    source
        URL and metadata of the file.
    big_tiff
        Whether offsets are 64 bits wide.
    ifds
        Directories of the main chain, in order.
    damage
        Why the chain ends early, if a directory after the last of `ifds` cannot be read.
    sidecars
        TIFFs with overviews and masks of the first image, if requested.
    following
        Offset of the first directory of the chain that was not read; 0 if there is none.
    """

    source: Source
    byte_order: Literal["little", "big"]
    big_tiff: bool
    ifds: tuple[ImageFileDirectory, ...]
    damage: InvalidTIFFError | None = None
    sidecars: tuple[Sidecar, ...] = ()
    following: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sidecar:
    """A TIFF with overviews or masks of the first image of another TIFF.

    Parameters
    ----------
    suffix
        Suffix that its name adds to that of the other: `ovr`, `msk` or `msk.ovr`.
    header
        Its directories, with the NewSubfileType that they have for the other file.
    """

    suffix: str
    header: Header
