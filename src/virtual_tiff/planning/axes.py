"""Order and names of the dimensions of an image's array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.choices import BandAxis
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Name of the dimension of real and imaginary parts.
PART = "part"
#: Types of axes in OME-Zarr by name, which is tifffile's letter in lower case. Readers and schemas
#: take an axis without a type for one of space, so those without a meaning have the type `other`.
_TYPES = {
    **{"t": "time", "time": "time", "c": "channel", "s": "channel", "band": "channel"},
    **{"z": "space", "y": "space", "x": "space", "i": "page", "r": "position", "a": "angle"},
    **{"p": "phase", "h": "lifetime", "e": "lambda", "l": "exposure", "v": "event", "m": "mosaic"},
}
#: Order of the types (OME-Zarr 0.5, section 3.4): time, then channel or custom, then space.
_RANKS = {"time": 0, "channel": 2, "space": 3}
_CUSTOM = 1


def place_of(dimension: str) -> int:
    """Return the rank of a dimension in OME-Zarr's order; equal ranks keep their order."""
    return _RANKS.get(type_of(dimension), _CUSTOM)


def type_of(dimension: str) -> str:
    """Return the type of a dimension as an axis of OME-Zarr."""
    return _TYPES.get(dimension, "other")


def is_custom(dimension: str) -> bool:
    """Return whether a dimension has a type that OME-Zarr does not define."""
    return type_of(dimension) not in _RANKS


def axis_of(dimension: str) -> str:
    """Return the axis of a dimension: `y` also for `y_1`, if images of two sizes share a group."""
    return dimension.partition("_")[0]


@dataclass(frozen=True, slots=True)
class Axes:
    """Order of bands (or slices of a volume), rows and columns.

    Parameters
    ----------
    planes
        Number of bands or slices; if it and `chunk_planes` are 1, there is no such dimension.
    chunk_planes
        Number of planes in one segment.
    name
        `band` or `z`.
    last
        Whether the dimension follows rows and columns instead of preceding them.
    """

    planes: int
    chunk_planes: int
    name: str = "band"
    last: bool = False

    @classmethod
    def of_parts(cls) -> Axes:
        """Return the axes of a complex image as real and imaginary parts."""
        return cls(2, 2, PART, last=True)

    @classmethod
    def of(
        cls,
        directory: ImageFileDirectory,
        band_axis: BandAxis,
        bands: Sequence[int] | None = None,
    ) -> Axes:
        """Return the axes of an image whose segments are referenced.

        Parameters
        ----------
        directory
            The image.
        band_axis
            Position of the band dimension.
        bands
            Chosen bands, if not all.
        """
        if directory.image_depth > 1 or directory.tile_depth > 1:
            return cls(directory.image_depth, directory.tile_depth, "z")
        return cls(
            directory.samples_per_pixel if bands is None else len(bands),
            directory.samples_per_segment,
            last=band_axis == "last",
        )

    @property
    def are_two(self) -> bool:
        """Whether rows and columns are the only dimensions."""
        return self.planes == 1 and self.chunk_planes == 1

    def arrange[T](self, plane: T, y: T, x: T) -> tuple[T, ...]:
        """Put one item for each dimension in order."""
        if self.are_two:
            return (y, x)
        return (y, x, plane) if self.last else (plane, y, x)

    def arrange_grid(self, grid: NDArray[Any]) -> NDArray[Any]:
        """Put an array of shape `(…, planes, y, x)` in order."""
        if self.are_two:
            first: NDArray[Any] = grid[..., 0, :, :]
            return first
        if not self.last:
            return grid
        moved: NDArray[Any] = np.moveaxis(grid, -3, -1)
        return moved
