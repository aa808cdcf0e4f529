"""Order and names of the dimensions of an image's array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.choices import BandAxis
from virtual_tiff.tiff.ifd import ImageFileDirectory


def axis_of(dimension: str) -> str:
    """Which axis a dimension is: `y` also for `y_1`, where images of two sizes share a group."""
    return dimension.partition("_")[0]


@dataclass(frozen=True, slots=True)
class Axes:
    """Where bands (or the slices of a volume), rows and columns go.

    Parameters
    ----------
    planes
        Number of bands or slices; with one, there is no such dimension.
    chunk_planes
        Of these, how many one segment holds.
    name
        `band` or `z`.
    last
        Whether the dimension comes after rows and columns rather than before.
    """

    planes: int
    chunk_planes: int
    name: str = "band"
    last: bool = False

    @classmethod
    def of(
        cls,
        directory: ImageFileDirectory,
        band_axis: BandAxis,
        bands: Sequence[int] | None = None,
    ) -> Axes:
        """Axes of an image whose segments are referenced as they are.

        Parameters
        ----------
        directory
            The image.
        band_axis
            Where its bands go.
        bands
            Chosen bands, if not all.
        """
        if directory.image_depth > 1:
            return cls(directory.image_depth, directory.tile_depth, "z")
        return cls(
            directory.samples_per_pixel if bands is None else len(bands),
            directory.samples_per_segment,
            last=band_axis == "last",
        )

    def arrange[T](self, plane: T, y: T, x: T) -> tuple[T, ...]:
        """Put one thing per dimension in order."""
        if self.planes == 1:
            return (y, x)
        return (y, x, plane) if self.last else (plane, y, x)

    def arrange_grid(self, grid: NDArray[Any]) -> NDArray[Any]:
        """Put an array of shape `(planes, y, x)` in order."""
        if self.planes == 1:
            first: NDArray[Any] = grid[0]
            return first
        if not self.last:
            return grid
        moved: NDArray[Any] = np.moveaxis(grid, 0, -1)
        return moved
