"""The plan of a cube, as frozen data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.inventory.pages import PageFacts
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.planning.stacks import TILES

type Rows = NDArray[np.int64]
type GridKind = Literal["regular", "tiles"]


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
class Existing:
    """A level of a cube that images are added to: its grid, and how images continue each other.

    `dimensions` are those of its variables.
    """

    grid: ImageGrid
    kind: GridKind | None
    dimensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """One band of planar images: its index, and the axis and number of all bands."""

    index: int
    axis: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """A dimension of size 1 in every image, along which images have positions.

    Parameters
    ----------
    name
        Of the dimension and its coordinate.
    values
        Sorted, distinct values of the coordinate: `datetime64[us]`, numbers or text; for tiles,
        rows or columns of their first pixels on the grid of the cube.
    """

    name: str
    values: NDArray[Any]

    @property
    def is_of_tiles(self) -> bool:
        """Whether tiles of one grid follow each other along it."""
        return self.name in TILES


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CubeVariable:
    """One array of a cube.

    Parameters
    ----------
    image
        Plan of the array at one position of the axes, with the attributes that all images share.
        It is that of an image, or of all images that continue each other along y and x.
    rows
        Shape `(images,)`: row of the inventory of each image.
    places
        Shape `(images, axes)`: positions of the images along the axes.
    corners, sizes
        Shape `(images, 2)`: row and column of the first pixel of each image on the grid of a
        stitched cube, and its rows and columns; else `None`.
    band
        The band of planar images that this variable is; else `None`.
    is_mask
        Whether it holds masks of the images of another variable.
    """

    image: ArrayPlan
    rows: Rows
    places: Rows
    corners: Rows | None = None
    sizes: Rows | None = None
    band: Band | None = None
    is_mask: bool = False

    @property
    def counts(self) -> bool:
        """Whether its images are counted: not masks, and each image once."""
        return not self.is_mask and (self.band is None or self.band.index == 0)

    def of(self, chosen: NDArray[Any]) -> CubeVariable:
        """Return the variable with some of its images."""
        return replace(
            self,
            rows=self.rows[chosen],
            places=self.places[chosen],
            corners=None if self.corners is None else self.corners[chosen],
            sizes=None if self.sizes is None else self.sizes[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CubePlan:
    """A cube: variables on one grid, along the same axes.

    Parameters
    ----------
    axes
        Along which images are stacked, and, with `grid_kind="tiles"`, `tile_y` and `tile_x`.
    variables
        Variables by name.
    grid
        Grid of each image; of a stitched cube, the one grid that all of them are on.
    grid_kind
        How images continue each other: along y and x themselves (`regular`), as `tiles` with
        axes of their own; `None` if they do not.
    inventory
        Inventory that `rows` of the variables refer to.
    band_names
        Names or numbers of the bands; `None` if they are 1, 2, ….
    overviews
        Smaller levels with the same axes and variables.
    notes
        What the plan decided for the caller, and why.
    pages
        What the metadata of the files say of the dimensions of pages; `None` for other images.
    left_out
        URLs of images that are not like the others (`on_mismatch="skip"`), and why.
    factors
        Rows and columns of the full resolution that a pixel covers.
    item_properties
        Columns of the inventory to store as coordinates along the first axis.
    is_named
        Whether the caller or the files, not a default, name the variables.
    """

    axes: tuple[Axis, ...]
    variables: Mapping[str, CubeVariable]
    grid: ImageGrid
    inventory: Inventory
    grid_kind: GridKind | None = None
    band_names: tuple[str, ...] | None = None
    overviews: tuple[CubePlan, ...] = ()
    notes: tuple[str, ...] = ()
    pages: PageFacts | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    factors: tuple[float, float] = (1.0, 1.0)
    item_properties: tuple[str, ...] = ()
    is_named: bool = True

    @property
    def levels(self) -> tuple[CubePlan, ...]:
        """This cube and its overviews."""
        return (self, *self.overviews)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of positions along each axis."""
        return {axis.name: len(axis.values) for axis in self.axes}

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
        return sum(v.rows.size for v in self.variables.values() if v.counts)
