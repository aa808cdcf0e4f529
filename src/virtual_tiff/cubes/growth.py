"""Grow the regular grid of a cube, so that images beyond its bounds have a place in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from virtual_tiff.cubes.plan import CubePlan, ImageGrid
from virtual_tiff.cubes.stitching import resized


@dataclass(frozen=True, slots=True)
class Growth:
    """Rows and columns that a regular grid gets, to hold more images.

    Parameters
    ----------
    before
        Rows and columns before the first ones.
    old, shape
        Rows and columns of the grid, without and with those that it gets.
    """

    before: tuple[int, int]
    old: tuple[int, int]
    shape: tuple[int, int]

    def __bool__(self) -> bool:
        return self.shape != self.old


def growth_of(cube: CubePlan) -> Growth:
    """Return how much the grid of a cube has to grow, so that it holds all images."""
    old = np.array([cube.grid.height, cube.grid.width])
    first, end = np.zeros(2, np.int64), old
    for variable in cube.variables.values() if cube.grid_kind == "regular" else ():
        assert variable.corners is not None
        assert variable.sizes is not None
        first = np.minimum(first, variable.corners.min(axis=0))
        end = np.maximum(end, (variable.corners + variable.sizes).max(axis=0))
    return Growth(_pair(-first), _pair(old), _pair(end - first))


def grown(cube: CubePlan, growth: Growth) -> CubePlan:
    """Return the images of a cube at their places on its grid with more rows and columns."""
    assert cube.grid.transform is not None
    a, b, c, d, e, f = cube.grid.transform
    (rows, columns), (height, width) = growth.before, growth.shape
    transform = (a, b, c - columns * a, d, e, f - rows * e)
    return placed_on(cube, replace(cube.grid, transform=transform, height=height, width=width))


def placed_on(cube: CubePlan, grid: ImageGrid) -> CubePlan:
    """Return the images of a cube at their places on another grid of its lattice.

    The cube is returned as it is if the grid is not on its lattice.
    """
    ours, theirs = cube.grid.transform, grid.transform
    if cube.grid_kind != "regular" or ours is None or theirs is None:
        return cube
    exact = np.array([(ours[5] - theirs[5]) / theirs[4], (ours[2] - theirs[2]) / theirs[0]])
    offset = np.rint(exact).astype(np.int64)
    if np.abs(exact - offset).max() > 0.1:
        return cube
    variables = {
        name: replace(
            variable,
            image=resized(variable.image, grid.height, grid.width),
            corners=None if variable.corners is None else variable.corners + offset,
        )
        for name, variable in cube.variables.items()
    }
    placed = replace(cube.grid, transform=theirs, height=grid.height, width=grid.width)
    return replace(cube, grid=placed, variables=variables)


def _pair(values: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[int, int]:
    return int(values[0]), int(values[1])
