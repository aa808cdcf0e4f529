"""The plan of a cube, as frozen data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.inventory.table import Inventory
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.plan import ArrayPlan

type Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGrid:
    """The grid of a cube.

    Parameters
    ----------
    crs
        `EPSG:32633` or WKT; `None` if the images have none.
    transform
        a, b, c, d, e, f of the affine transform from pixel corners to CRS units.
    width, height
        In pixels.
    extra_georeferencing
        Attributes of the grid mapping beyond these, such as control points.
    """

    crs: str | None
    transform: tuple[float, float, float, float, float, float] | None
    width: int
    height: int
    extra_georeferencing: Mapping[str, JSON] = field(default_factory=dict)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the grid of the image in a row of an inventory."""
        transform, extra = row["transform"], row["grid_mapping"]
        return cls(
            crs=row["crs"],
            transform=None if transform is None else tuple(transform),
            width=row["width"],
            height=row["height"],
            extra_georeferencing={} if extra is None else json.loads(extra),
        )


@dataclass(frozen=True, slots=True)
class Band:
    """One band of planar images: its index, and the axis and number of all bands."""

    index: int
    axis: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CubeVariable:
    """One array of a cube.

    Parameters
    ----------
    image
        Plan of the array of any of the images, with the attributes that all of them share.
    rows
        Shape `(steps,)`: row of the inventory at each step, -1 where there is no image.
    band
        The band of planar images that this variable is; else `None`.
    """

    image: ArrayPlan
    rows: Rows
    band: Band | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CubePlan:
    """A cube: variables on one grid, along one coordinate.

    Parameters
    ----------
    dimension
        Name of the first dimension of the variables.
    coordinate
        Shape `(steps,)`, sorted: `datetime64[us]`, numbers, or text.
    variables
        Variables by name.
    grid
        Grid of all images.
    inventory
        Inventory that `rows` of the variables refer to.
    band_names
        Names or numbers of the bands; `None` if they are 1, 2, ….
    overviews
        Smaller levels with the same coordinate and variables.
    """

    dimension: str
    coordinate: NDArray[np.generic]
    variables: Mapping[str, CubeVariable]
    grid: ImageGrid
    inventory: Inventory
    band_names: tuple[str, ...] | None = None
    overviews: tuple[CubePlan, ...] = ()

    @property
    def levels(self) -> tuple[CubePlan, ...]:
        """This cube and its overviews."""
        return (self, *self.overviews)

    @property
    def bands(self) -> int:
        """Size of the dimension `band`; 0 if no variable has it."""
        for variable in self.variables.values():
            image = variable.image
            if "band" in image.dimension_names:
                return image.shape[image.dimension_names.index("band")]
        return 0

    @property
    def images(self) -> int:
        """Number of images."""
        firsts = (v for v in self.variables.values() if v.band is None or v.band.index == 0)
        rows = [v.rows for v in firsts]
        return int(sum(np.count_nonzero(r >= 0) for r in rows))


def image_of_band(image: ArrayPlan, axis: int) -> ArrayPlan:
    """Plan one band of a planar image, without references."""

    def without[T](values: Sequence[T]) -> tuple[T, ...]:
        return (*values[:axis], *values[axis + 1 :])

    grid = without(image.grid_shape)
    nothing = np.broadcast_to(np.uint64(0), grid)
    return replace(
        image,
        shape=without(image.shape),
        chunk_shape=without(image.chunk_shape),
        dimension_names=without(image.dimension_names),
        offsets=nothing,
        lengths=nothing,
        inline={},
    )
