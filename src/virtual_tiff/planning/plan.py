"""Plans of arrays, groups and references of chunks, as frozen data.

This module does no I/O and is independent of VirtualiZarr and Icechunk, which are both written from
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.frozen import unchecked_copy
from virtual_tiff.json_type import JSON
from virtual_tiff.messages import redacted_links
from virtual_tiff.storage.source import Source

type Codec = dict[str, JSON]
type ChunkIndex = tuple[int, ...]


class Inspection(StrEnum):
    """What a directory cannot tell of its segments, so that some bytes of them are read.

    Members
    -------
    REVERSED_BITS
        The bits of every byte are reversed (FillOrder 2), for which no codec exists: segments are
        reversed and stored.
    SIZES
        Segments may decode to more or fewer bytes than their chunk, as some writers leave them.
    STREAMS
        Segments may be streams that the codec does not decode, or of other colours.
    KINDS
        The compression has several meanings.
    """

    REVERSED_BITS = "reversed-bits"
    SIZES = "sizes"
    STREAMS = "streams"
    KINDS = "kinds"


@dataclass(frozen=True, slots=True)
class PartialSegment:
    """A segment that has fewer rows than its chunk, so that it must be rewritten.

    Parameters
    ----------
    index
        Position of the chunk in the chunk grid.
    offset, length
        Position and size of the segment in the file, in bytes.
    shape
        Shape of the decoded segment, in the order of the dimensions of its image.
    image
        Plan of the image that the segment belongs to, if the array is a stack of images; `None` if
        the array is the image.
    """

    index: ChunkIndex
    offset: int
    length: int
    shape: tuple[int, ...]
    image: ArrayPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayPlan:
    """One Zarr v3 array and the references of its chunks.

    Parameters
    ----------
    shape, chunk_shape
        In elements, in the order of `dimension_names`.
    data_type
        Native-endian NumPy data type with a Zarr v3 name.
    codecs
        Zarr v3 codec metadata, array side first.
    fill_value
        A Python scalar of the data type: the value of missing chunks.
    source
        The TIFF that holds the image, which references point into; `None` for coordinates and
        the like.
    offsets, lengths
        Shape of the chunk grid, uint64, bytes. Length 0 is a missing chunk, or an inline one.
    inline
        Encoded bytes of the chunks that are stored in the manifest.
    partial
        Segments that must be fetched, padded and put into `inline` before this can be written.
    inspection
        What must be inspected before this can be written.
    attributes
        Attributes of the array, JSON; passwords, signatures and tokens of addresses in them are
        replaced.
    ifd
        Path of the directory of the image, the first one of a stack; `None` for coordinates and
        other variables.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    data_type: np.dtype[np.generic]
    codecs: tuple[Codec, ...]
    fill_value: bool | int | float | complex | str
    dimension_names: tuple[str, ...]
    source: Source | None
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    inline: Mapping[ChunkIndex, bytes] = field(default_factory=dict)
    partial: tuple[PartialSegment, ...] = ()
    inspection: Inspection | None = None
    attributes: Mapping[str, JSON] = field(default_factory=dict)
    ifd: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not len(self.shape) == len(self.chunk_shape) == len(self.dimension_names):
            raise AssertionError(
                f"shape {self.shape}, chunks {self.chunk_shape} and dimensions "
                f"{self.dimension_names} differ in rank"
            )
        if not self.offsets.shape == self.lengths.shape == self.grid_shape:
            raise AssertionError(
                f"references of shape {self.offsets.shape} and {self.lengths.shape} "
                f"for a chunk grid of {self.grid_shape}"
            )
        object.__setattr__(self, "attributes", redacted_links(self.attributes))

    def with_references(
        self,
        *,
        ifd: tuple[int, ...] | None,
        offsets: NDArray[np.uint64],
        lengths: NDArray[np.uint64],
        partial: tuple[PartialSegment, ...],
    ) -> ArrayPlan:
        """Return the plan of an image that differs only in its references."""
        return unchecked_copy(self, ifd=ifd, offsets=offsets, lengths=lengths, partial=partial)

    @property
    def is_incomplete(self) -> bool:
        """Whether segments have to be fetched before this can be written."""
        if self.source is None:
            return False
        return bool(self.partial) or self.inspection is not None or self.is_lerc

    @property
    def is_sparse(self) -> bool:
        """Whether chunks are missing, which read as the fill value."""
        return bool(np.count_nonzero(self.lengths) + len(self.inline) < self.lengths.size)

    @property
    def is_lerc(self) -> bool:
        """Whether segments may mask pixels, so that they have to be inspected."""
        return any(codec["name"] == "imagecodecs_lerc" for codec in self.codecs)

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Number of chunks along each dimension."""
        return tuple([-(-s // c) for s, c in zip(self.shape, self.chunk_shape, strict=True)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupPlan:
    """One Zarr v3 group.

    Parameters
    ----------
    arrays, groups
        Children by name.
    attributes
        Attributes of the group, JSON, as those of arrays.
    """

    arrays: Mapping[str, ArrayPlan] = field(default_factory=dict)
    groups: Mapping[str, GroupPlan] = field(default_factory=dict)
    attributes: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if both := self.arrays.keys() & self.groups.keys():
            raise AssertionError(f"names of both an array and a group: {sorted(both)}")
        object.__setattr__(self, "attributes", redacted_links(self.attributes))

    def walk(self, path: str = "") -> Iterator[tuple[str, GroupPlan]]:
        """Yield this group and all below it, with their paths (empty for the root)."""
        yield path, self
        for name, group in self.groups.items():
            yield from group.walk(f"{path}/{name}" if path else name)
