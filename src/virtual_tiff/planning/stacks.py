"""Plan the array of a stack of images, with more dimensions and the same chunks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.axes import axis_of, place_of
from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex, Codec, PartialSegment

type ChunkValues = NDArray[np.uint64]

#: Dimensions along which tiles of one grid follow each other, downwards and to the right.
TILES = ("tile_y", "tile_x")
_OF_MICROSCOPES = frozenset("tcz")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StackReferences:
    """References of the chunks of images, one image after the other.

    Parameters
    ----------
    offsets, lengths
        Shape `(images, *chunk grid of an image)`, uint64, bytes; length 0 is a missing chunk, or
        an inline one.
    inline
        Encoded bytes by index of the image and of its chunk.
    partial
        Indices of images, and their segments that have to be completed.
    """

    offsets: ChunkValues
    lengths: ChunkValues
    inline: Mapping[ChunkIndex, bytes] = field(default_factory=dict)
    partial: tuple[tuple[int, PartialSegment], ...] = ()

    @classmethod
    def of(cls, images: Sequence[ArrayPlan | None], grid: tuple[int, ...]) -> StackReferences:
        """Collect the references of images; images may be missing."""
        offsets = np.zeros((len(images), *grid), np.uint64)
        lengths = np.zeros_like(offsets)
        inline: dict[ChunkIndex, bytes] = {}
        partial: list[tuple[int, PartialSegment]] = []
        for i, image in enumerate(images):
            if image is None:
                continue
            offsets[i], lengths[i] = image.offsets, image.lengths
            inline.update({(i, *index): data for index, data in image.inline.items()})
            whole = replace(image, partial=())
            partial += [(i, replace(segment, image=whole)) for segment in image.partial]
        return cls(offsets=offsets, lengths=lengths, inline=inline, partial=tuple(partial))


def stacked(image: ArrayPlan, sizes: Mapping[str, int]) -> ArrayPlan:
    """Plan the array of stacked images, without references.

    Parameters
    ----------
    image
        Plan of any of the images.
    sizes
        Names and sizes of the new dimensions; their chunks are of size 1.
    """
    nothing = np.broadcast_to(np.uint64(0), (math.prod(sizes.values()), *image.grid_shape))
    order = order_of(tuple(sizes), image.dimension_names)
    plan = stack(image, sizes, StackReferences(offsets=nothing, lengths=nothing), order)
    return replace(plan, source=None, ifd=None)


def order_of(axes: Sequence[str], dimensions: Sequence[str]) -> tuple[str, ...]:
    """Return the order of the dimensions of stacked images: those of tiles right before y.

    Nothing may come between y and x: some codecs take the last two dimensions for the image.
    Where any is `t`, `c` or `z`, the order is that of OME-Zarr, unless bands are stacked.
    """
    first = tuple(name for name in axes if name not in TILES)
    within = tuple(name for name in axes if name in TILES)
    at = dimensions.index("y")
    before = (*first, *dimensions[:at])
    if not _OF_MICROSCOPES.isdisjoint(before) and "band" not in axes:
        before = tuple(sorted(before, key=place_of))
    return (*before, *within, *dimensions[at:])


def stack(
    image: ArrayPlan, sizes: Mapping[str, int], references: StackReferences, order: Sequence[str]
) -> ArrayPlan:
    """Plan the array of a stack of images.

    Parameters
    ----------
    image
        Plan of any of the images, which differ only in their references.
    sizes
        Names and sizes of the new dimensions; images follow each other in their C order. Chunks
        are of size 1 along them.
    references
        References of all images.
    order
        Names of all dimensions in the order of the array; those of an image keep their order.
    """
    names = (*sizes, *image.dimension_names)
    axes = [names.index(name) for name in order]
    new = tuple(sizes.values())

    def arrange(values: Sequence[int]) -> tuple[int, ...]:
        return tuple(values[axis] for axis in axes)

    def place(index: ChunkIndex) -> ChunkIndex:
        """Return the index of a chunk in the stack, from the indices of image and chunk."""
        first = np.unravel_index(index[0], new) if new else ()
        return arrange([*(int(i) for i in first), *index[1:]])

    def spread(values: ChunkValues) -> ChunkValues:
        return values.reshape(*new, *image.grid_shape).transpose(axes)

    places = [order.index(name) for name in image.dimension_names]
    return replace(
        image,
        shape=arrange([*new, *image.shape]),
        chunk_shape=arrange([*(1 for _ in new), *image.chunk_shape]),
        dimension_names=tuple(order),
        codecs=tuple(codec_for_stack(codec, places, len(order)) for codec in image.codecs),
        offsets=spread(references.offsets),
        lengths=spread(references.lengths),
        inline={place(index): data for index, data in references.inline.items()},
        partial=tuple(
            replace(segment, index=place((i, *segment.index))) for i, segment in references.partial
        ),
    )


def codec_for_stack(codec: Codec, places: Sequence[int], rank: int) -> Codec:
    """Adapt a codec of an image to a chunk of `rank` dimensions, where those of it have `places`.

    All new dimensions are of size 1. Axes counted from the end do not change: no new dimension
    follows them.
    """
    configuration = codec.get("configuration")
    if not isinstance(configuration, dict):
        return codec
    changed: dict[str, JSON] = dict(configuration)
    order, axis = configuration.get("order"), configuration.get("axis")
    if codec["name"] == "transpose" and isinstance(order, list):
        # Stored order: the new dimensions, then those of the image in the order of the segment.
        new = [i for i in range(rank) if i not in places]
        changed["order"] = [*new, *(places[int(str(i))] for i in order)]
    elif isinstance(axis, int) and axis >= 0:
        changed["axis"] = places[axis]
    return {**codec, "configuration": changed}


def samples_of(image: ArrayPlan) -> int:
    """Return the number of samples per pixel in one chunk, for any name of the dimension."""
    sizes = dict(zip(map(axis_of, image.dimension_names), image.chunk_shape, strict=True))
    return math.prod(image.chunk_shape) // (sizes["y"] * sizes["x"])
