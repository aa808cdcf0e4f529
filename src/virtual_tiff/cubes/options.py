"""Options of a cube, and the names of its dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from virtual_tiff.choices import Grid, OnDuplicate, OnGap, OnMismatch, check_choice
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.planning.names import check_name
from virtual_tiff.planning.stacks import TILES

DATETIME = "datetime"
#: Greatest distance from a lattice, in pixels.
DEFAULT_SNAP = 0.01
#: Dimension of a cube that is stacked along the column `datetime`.
TIME = "time"
DEFAULT_VARIABLE = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeOptions:
    """Options of a cube.

    Parameters
    ----------
    along
        Columns along whose values images are stacked, a dimension for each of them; `datetime`
        makes the dimension `time`. By default `datetime`; with `stitch`, no column as long as no
        two images claim one place, and the axes of the cube that images are appended to.
    stitch
        Whether images continue each other along y and x, as tiles of one grid do. Their pixels
        are not resampled: they have to be on one lattice.
    grid
        `regular`: one array of `(…, y, x)`, where images begin and end on multiples of their
        chunks. `tiles`: `(…, tile_y, tile_x, y, x)` for images of one size, whatever their chunks;
        also with overlaps and uneven distances. `auto`: `regular` if possible.
    snap
        Greatest distance of an image from the lattice that all of them are on, in pixels.
    bounds
        Left, bottom, right and top of a stitched cube, in CRS units, to leave room for images that
        are appended later; by default those of the images. Later ones may lie beyond them.
    on_gap
        What to do about places without an image, of variables without a nodata value, which would
        read as pixels: `raise`, or `fill` them with `fill_value`. `append` takes the same.
    fill_value
        Nodata value of all variables that have none, written as `_FillValue`.
    variable
        Column that names the variable of each image.
    variable_pattern
        Regular expression such as `_(red|nir)` whose group finds the name of the variable in a URL,
        if no column has it.
    name
        Name of the only variable, if neither is given; `data` for a new cube. `append` to a cube
        whose variables have other names needs one of the three.
    split_bands
        Make each band of planar images a variable, named by its description if each band has
        another one, else by its number: `data_1`.
    on_duplicate
        Which of several images at the same position of a variable is used: the `first` or `last` in
        the inventory, or the `newest` (by time of the last change); `raise` refuses them.
    on_mismatch
        What to do about images with another grid, encoding or meaning of their values than most
        others, or than those of the cube that they are added to: `raise` an error that lists all
        of them, or `skip` them; the result lists them.
    overviews
        Make a pyramid: a cube of the images in the group `0`, and one of each level of their
        overviews in `1`, `2`, …. All images must have overviews of the same sizes, and the
        inventory must contain them: `scan(…, parser=VirtualTIFF())` reads all images of a file.
        Levels of a stitched cube that are on no lattice are left out.
    masks
        Add the masks of the images (NewSubfileType 4): `NAME_mask` for each variable. All images
        must have one, and the inventory must contain them, as for `overviews`. Places without an
        image are masked.
    item_properties
        Properties of STAC Items, or other columns, to store as coordinates along the first axis:
        numbers, booleans, text and times. Images of one step have to agree; where no Item has a
        value it is missing: NaN, NaT, or empty text. `append` extends those that a cube has.
    coordinates
        Whether to write x, y and band.
    """

    along: str | Sequence[str] | None = None
    stitch: bool = False
    grid: Grid = "auto"
    snap: float = DEFAULT_SNAP
    bounds: Sequence[float] | None = None
    on_gap: OnGap = "raise"
    fill_value: float | None = None
    variable: str | None = None
    variable_pattern: str | None = None
    name: str | None = None
    split_bands: bool = False
    on_duplicate: OnDuplicate = "raise"
    on_mismatch: OnMismatch = "raise"
    overviews: bool = False
    masks: bool = False
    item_properties: str | Sequence[str] | None = None
    coordinates: bool = True

    def __post_init__(self) -> None:
        check_choice("on_duplicate", self.on_duplicate, OnDuplicate)
        check_choice("grid", self.grid, Grid)
        check_choice("on_gap", self.on_gap, OnGap)
        check_choice("on_mismatch", self.on_mismatch, OnMismatch)
        if not 0 < self.snap < 0.5:
            raise InvalidOptionError(f"snap is {self.snap!r}, but must be between 0 and 0.5.")
        if self.bounds is not None and not _are_bounds(self.bounds):
            raise InvalidOptionError("bounds are left, bottom, right and top, in this order.")
        if not self.stitch and (self.bounds is not None or self.grid != "auto"):
            raise InvalidOptionError("bounds and grid are of cubes with stitch.")
        dimensions = [dimension_of(column) for column in self.columns or ()]
        for position, name in enumerate(dimensions):
            reserved = TILES if self.stitch else ()
            check_name(name, "dimension", taken=(*reserved, *dimensions[:position]))
        if self.variable is None and self.variable_pattern is None and not self.split_bands:
            check_name(self.label, "variable", taken=dimensions)
        for position, name in enumerate(self.properties):
            check_name(name, "variable", taken=(*dimensions, *self.properties[:position]))
            if len(name.split()) > 1:
                raise InvalidOptionError(
                    f"{name!r} has a space, so it cannot be the name of a coordinate (CF section "
                    "5.2).",
                    remedy="Rename the column.",
                )

    @property
    def label(self) -> str:
        """Name of the only variable, unless a column or a pattern names several."""
        return DEFAULT_VARIABLE if self.name is None else self.name

    @property
    def is_named(self) -> bool:
        """Whether the caller says which variable an image belongs to."""
        return (self.name, self.variable, self.variable_pattern) != (None, None, None)

    @property
    def properties(self) -> tuple[str, ...]:
        """Columns to store as coordinates along the first axis."""
        named = self.item_properties or ()
        return (named,) if isinstance(named, str) else tuple(named)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Columns along which images are stacked; `None` if that depends on the images."""
        if self.along is None:
            return None if self.stitch else (DATETIME,)
        return (self.along,) if isinstance(self.along, str) else tuple(self.along)


def dimension_of(column: str) -> str:
    """Return the name of the dimension along which images are stacked by a column."""
    return TIME if column == DATETIME else column


def column_of(dimension: str) -> str:
    """Return the column by which images are stacked along a dimension, as `dimension_of` has it."""
    return DATETIME if dimension == TIME else dimension


def _are_bounds(bounds: Sequence[float]) -> bool:
    return len(bounds) == 4 and bounds[0] < bounds[2] and bounds[1] < bounds[3]
