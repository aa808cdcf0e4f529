"""Plan a cube from the images of an inventory: each image has a position on every axis.

Images that are stacked must share grid and encoding, those that are stitched a lattice; differences
are reported, never resampled. This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from virtual_tiff.choices import Grid, OnDuplicate, OnGap, OnMismatch, check_choice
from virtual_tiff.cubes.agreement import (
    ENCODING,
    GRID,
    check_encodings,
    check_grids,
    shared_band_names,
)
from virtual_tiff.cubes.gaps import PRESENT, filled
from virtual_tiff.cubes.item_properties import check_item_properties
from virtual_tiff.cubes.lattice import Fitted, fitted, off_lattice
from virtual_tiff.cubes.masks import MASK, masked
from virtual_tiff.cubes.overviews import overview_rows
from virtual_tiff.cubes.pages import shared_facts, with_places
from virtual_tiff.cubes.placing import (
    chosen_of,
    coordinate_of,
    keys_of,
    stackable,
    variable_names,
)
from virtual_tiff.cubes.plan import (
    Axis,
    Band,
    CubePlan,
    CubeVariable,
    Existing,
    GridKind,
    ImageGrid,
    Rows,
    image_of_band,
)
from virtual_tiff.cubes.stitching import check_sizes, decided, resized, tile_axes
from virtual_tiff.cubes.survey import Problem, error_of, survey
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import Inventory, rows_of
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import of_one_band
from virtual_tiff.planning.names import check_name
from virtual_tiff.planning.pages.ome_zarr import factors_of
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.planning.stacks import TILES

DATETIME = "datetime"
#: Greatest distance from a lattice, in pixels.
DEFAULT_SNAP = 0.01
#: Dimension of a cube that is stacked along the column `datetime`.
TIME = "time"
DEFAULT_VARIABLE = "data"
#: Columns from which it is decided whether images can share an array.
_SAID = ["url", "ifd", "bands", "band_names", *ENCODING, "attributes", "pages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeOptions:
    """Options of a cube.

    Parameters
    ----------
    along
        Columns along whose values images are stacked, a dimension for each of them; `datetime`
        makes the dimension `time`. By default `datetime`; with `stitch`, no column as long as no
        two images claim one place.
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
        Name of the only variable, if neither is given.
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
    name: str = DEFAULT_VARIABLE
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
            check_name(self.name, "variable", taken=dimensions)
        for position, name in enumerate(self.properties):
            check_name(name, "variable", taken=(*dimensions, *self.properties[:position]))
            if len(name.split()) > 1:
                raise InvalidOptionError(
                    f"{name!r} has a space, so it cannot be the name of a coordinate (CF section "
                    "5.2).",
                    remedy="Rename the column.",
                )

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


def _are_bounds(bounds: Sequence[float]) -> bool:
    return len(bounds) == 4 and bounds[0] < bounds[2] and bounds[1] < bounds[3]


def plan_cube(
    inventory: Inventory,
    options: CubeOptions | None = None,
    existing: Sequence[Existing] | None = None,
) -> CubePlan:
    """Plan the cube of some images.

    Parameters
    ----------
    inventory
        Images to stack. Rows with an error, masks and, unless requested, overviews are ignored.
    options
        Options of a cube.
    existing
        Levels of the cube that the images are added to, if it is stitched; empty if it is not.
        `None` for a new cube.

    Raises
    ------
    MismatchError
        Images differ in grid, encoding or meaning of their values, or leave gaps that would read
        as pixels; says which, and how many.
    InvalidOptionError
        A column is absent or has nulls; two images have the same position (kind `duplicate`); there
        are no images (kind `no-sources`).
    """
    options = options or CubeOptions()
    images, of_places = with_places(stackable(inventory))
    left_out: dict[str, str] = {}
    if options.on_mismatch == "skip":
        images, left_out = _agreeing(images, options, existing)
    try:
        full, fit = _positions(images, options, existing, of_places)
        level = full.with_masks(inventory, fit, options)
        cube = _cube(*level, options, existing[0] if existing else None)
        check_item_properties(cube)
    except MismatchError as error:
        problems = _problems(images, options, existing)
        # An error of the lattice alone says all.
        if not problems or [problem.message for problem in problems] == [error.message]:
            raise
        raise error_of(images.table, problems) from error
    if options.overviews:
        cube = _with_overviews(cube, inventory, full, options, existing or ())
    levels = [
        filled(level, options.on_gap, options.fill_value, is_new=existing is None)
        for level in cube.levels
    ]
    notes = levels[0].notes
    if not options.masks and pc.any(pc.equal(inventory.table["role"], "mask")).as_py():
        notes = (*notes, "masks of the images are left out, and masked pixels are there")
    return replace(levels[0], overviews=tuple(levels[1:]), left_out=left_out, notes=notes)


def _positions(
    images: Inventory,
    options: CubeOptions,
    existing: Sequence[Existing] | None,
    of_places: tuple[str, ...],
) -> tuple[_Level, Fitted | None]:
    """Find the position of each image on the axes of a cube."""
    labels, of_label = _labels(images, options)
    fit = None
    if options.stitch:
        grid = existing[0].grid if existing else None
        fit = fitted(images.table, options.snap, options.bounds, grid)
    else:
        check_grids(images.table)
    corners = [] if fit is None else list(fit.corners.T)
    columns = options.columns
    if options.along is None and of_places:
        columns = of_places
    if columns is None:
        columns = _columns(images, [of_label, *corners])
    axes, steps = [], []
    for column in columns:
        values, step = coordinate_of(images, column)
        axes.append(Axis(dimension_of(column), values))
        steps.append(step)
    keys = keys_of([*steps, *corners], len(images))
    members = {
        label: chosen_of(images, np.flatnonzero(of_label == code), keys, options.on_duplicate)
        for code, label in enumerate(labels)
    }
    used = sum(rows.size for rows in members.values())
    if options.on_duplicate == "raise" and used < len(images):
        what = " and ".join([*columns, *(["place"] if corners else [])])
        problems = _problems(images, options, existing, keys=keys, what=what)
        raise error_of(images.table, problems)
    places = np.stack(steps, axis=1) if steps else np.empty((len(images), 0), np.int64)
    return _Level(images, members, tuple(axes), places), fit


def _problems(
    images: Inventory,
    options: CubeOptions,
    existing: Sequence[Existing] | None,
    *,
    keys: Rows | None = None,
    what: str = "",
) -> list[Problem]:
    """Find all that keeps images out of one cube."""
    found: list[Problem] = []
    if options.stitch:
        grid = existing[0].grid if existing else None
        try:
            fitted(images.table, options.snap, options.bounds, grid)
        except MismatchError as error:
            odd, _ = off_lattice(images.table, options.snap, grid)
            remedies = () if error.remedy is None else (error.remedy,)
            odd = odd if odd.size else np.arange(1)
            found.append(Problem(message=error.message, remedies=remedies, odd=odd))
    labels, of_label = _labels(images, options)
    found += survey(images.table, labels, of_label, stitched=options.stitch, keys=keys, what=what)
    return found


def _labels(images: Inventory, options: CubeOptions) -> tuple[list[str], Rows]:
    """Return the names of variables, and which of them each image belongs to."""
    if options.variable is None and options.variable_pattern is None:
        return [options.name], np.zeros(len(images), np.int64)
    names = np.array(
        variable_names(images, options.variable, options.variable_pattern, options.name),
        np.dtypes.StringDType(),
    )
    labels, of_label = np.unique(names, return_inverse=True)
    return [str(label) for label in labels.tolist()], of_label


def _agreeing(
    images: Inventory, options: CubeOptions, existing: Sequence[Existing] | None
) -> tuple[Inventory, dict[str, str]]:
    """Leave out images that are not as most others; return why, by URL.

    Those of a cube that is there are compared with it where it is known.
    """
    left_out: dict[str, str] = {}

    def without(odd: Rows, why: str) -> None:
        nonlocal images
        urls = images.table["url"]
        left_out.update((urls[row].as_py(), why) for row in odd.tolist())
        kept = np.ones(len(images), bool)
        kept[odd] = False
        images = images.filter(pa.array(kept))

    if options.stitch:
        grid = existing[0].grid if existing else None
        odd, why = off_lattice(images.table, options.snap, grid)
        without(odd, why)
    # Encodings are compared within the images of one grid.
    for _ in range(3):
        labels, of_label = _labels(images, options)
        problems = survey(images.table, labels, of_label, stitched=options.stitch)
        if not problems:
            break
        without(problems[0].odd, problems[0].message)
    return images, left_out


def _columns(images: Inventory, claims: Sequence[Rows]) -> tuple[str, ...]:
    """Stack along time only where images claim one place, and all have a time."""
    alone = np.unique(keys_of(claims, len(images))).size == len(images)
    timed = images.table[DATETIME].null_count == 0
    return (DATETIME,) if timed and not alone else ()


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """Images of one resolution: the rows of each variable, axes, and places along them."""

    images: Inventory
    members: Mapping[str, Rows]
    axes: tuple[Axis, ...]
    places: Rows

    def with_masks(
        self, inventory: Inventory, fit: Fitted | None, options: CubeOptions
    ) -> tuple[_Level, Fitted | None]:
        """Add a variable of masks for each variable, at the places of its images, if wanted."""
        if not options.masks:
            return self, fit
        found = masked(inventory, self.images, self.members)
        if fit is not None:
            corners, sizes = (
                np.concatenate([a, a[found.image_of]]) for a in (fit.corners, fit.sizes)
            )
            fit = replace(fit, corners=corners, sizes=sizes)
        places = np.concatenate([self.places, self.places[found.image_of]])
        members = {**self.members, **found.members}
        return _Level(found.images, members, self.axes, places), fit


def _with_overviews(
    cube: CubePlan,
    inventory: Inventory,
    full: _Level,
    options: CubeOptions,
    existing: Sequence[Existing],
) -> CubePlan:
    """Add the levels of the overviews; leave out those that cannot be stitched."""
    overviews, notes = [], list(cube.notes)
    chosen = np.concatenate([*full.members.values()])
    for number, (images, rows) in enumerate(overview_rows(inventory, full.images, chosen), 1):
        members = {label: rows[of_full] for label, of_full in full.members.items()}
        below = _Level(images, members, full.axes, full.places[np.unique(chosen)])
        if not options.stitch:
            check_grids(images.table)
            level = below.with_masks(inventory, None, options)
            smaller = _cube(*level, options, None)
            sizes = (smaller.grid.height, smaller.grid.width)
            factors = factors_of(sizes, (cube.grid.height, cube.grid.width))
            overviews.append(replace(smaller, factors=factors))
            continue
        there = existing[len(overviews) + 1] if len(existing) > len(overviews) + 1 else None
        try:
            grid = None if there is None else there.grid
            fit = fitted(images.table, options.snap, options.bounds, grid)
            level = below.with_masks(inventory, fit, options)
            overviews.append(_cube(*level, options, there))
        except MismatchError as error:
            if existing:
                raise
            notes.append(f"level {number} of the overviews is left out: {error.message}")
    return replace(cube, overviews=tuple(overviews), notes=tuple(notes))


def _cube(
    level: _Level, fit: Fitted | None, options: CubeOptions, existing: Existing | None
) -> CubePlan:
    """Make variables of images with known positions and equal grids."""
    images = level.images
    variables: dict[str, CubeVariable] = {}
    said = images.table.select(_SAID)
    plans = {}
    for label, rows in level.members.items():
        attributes = check_encodings(rows_of(said, rows), stitched=options.stitch)
        plans[label] = replace(images.plan(int(rows[0])), attributes=attributes)
    axes, places, kind, size, notes = _arranged(level, fit, plans, options, existing)
    masks = {f"{label}{MASK}" for label in plans} & plans.keys() if options.masks else set()
    for label, plan in plans.items():
        rows = level.members[label]
        if (mask := f"{label}{MASK}") in masks:
            plan = replace(plan, attributes={**plan.attributes, "ancillary_variables": mask})
        image = plan if size is None else resized(plan, *size)
        parts: dict[str, tuple[ArrayPlan, Band | None]] = {label: (image, None)}
        if options.split_bands:
            parts = _bands(label, image, alone=len(plans) == 1)
        for name, (array, band) in parts.items():
            if name in variables:
                raise InvalidOptionError(f"two variables would be named {name!r}.")
            variables[name] = CubeVariable(
                image=array,
                rows=rows,
                places=places[rows],
                corners=None if fit is None else fit.corners[rows],
                sizes=None if fit is None else fit.sizes[rows],
                band=band,
                is_mask=label in masks,
            )
    _check_dimensions(variables)
    _check_names(images, variables, axes, options)
    if fit is None:
        grid = ImageGrid.of_row(images.table.select(list(GRID)).slice(0, 1).to_pylist()[0])
    else:
        grid = fit.grid
    of_images = [rows for label, rows in level.members.items() if label not in masks]
    facts, odd = shared_facts(rows_of(said, np.concatenate(of_images)))
    cube = CubePlan(
        axes=axes,
        variables=variables,
        grid=grid,
        inventory=images,
        grid_kind=kind,
        notes=(*notes, *odd),
        pages=facts,
        item_properties=options.properties,
    )
    if cube.bands:
        of_bands = [v.rows for v in variables.values() if "band" in v.image.dimension_names]
        table = rows_of(said, np.concatenate(of_bands))
        cube = replace(cube, band_names=shared_band_names(table))
    return cube


def _arranged(
    level: _Level,
    fit: Fitted | None,
    plans: Mapping[str, ArrayPlan],
    options: CubeOptions,
    existing: Existing | None,
) -> tuple[tuple[Axis, ...], Rows, GridKind | None, tuple[int, int] | None, tuple[str, ...]]:
    """Return axes, places, the kind of grid, rows and columns of the arrays, and notes."""
    if fit is None:
        return level.axes, level.places, None, None, ()
    chunks = [(rows, _chunk(plans[label])) for label, rows in level.members.items()]
    variable = np.zeros(len(level.images), np.int64)
    for code, (rows, _) in enumerate(chunks):
        variable[rows] = code
    keys = keys_of([variable, *level.places.T], len(level.images))
    choice = options.grid if existing is None or existing.kind is None else existing.kind
    kind, reason = decided(fit, chunks, keys, choice, is_there=existing is not None)
    notes = (f"grid {kind}: {reason}",) if options.grid == "auto" and existing is None else ()
    if kind == "regular":
        return level.axes, level.places, kind, fit.shape, notes
    used = np.unique(np.concatenate([*level.members.values()]))
    tiles, where = tile_axes(fit, used)
    urls = level.images.table["url"]
    size = check_sizes(fit, chunks, where, urls.to_pylist())
    return (*level.axes, *tiles), np.concatenate([level.places, where], 1), kind, size, notes


def _chunk(image: ArrayPlan) -> tuple[int, int]:
    """Return rows and columns of a chunk."""
    sizes = dict(zip(image.dimension_names, image.chunk_shape, strict=True))
    return sizes["y"], sizes["x"]


def _bands(
    label: str, image: ArrayPlan, *, alone: bool
) -> dict[str, tuple[ArrayPlan, Band | None]]:
    """Split the bands of planar images, which have separate chunks.

    They are named by their descriptions, if each has another one; `alone` says that no other
    variable can have the same.
    """
    if "band" not in image.dimension_names:
        return {label: (image, None)}
    axis = image.dimension_names.index("band")
    if image.chunk_shape[axis] != 1:
        raise InvalidOptionError(
            "the bands share their chunks, so they cannot be split by reference.",
            url=None if image.source is None else image.source.url,
            remedy="Omit split_bands: the variable has a band dimension.",
        )
    count = image.shape[axis]
    one = image_of_band(image, axis)
    names = _names_of_bands(label, image.attributes.get("long_name"), count, alone=alone)
    found: dict[str, tuple[ArrayPlan, Band | None]] = {}
    for i in range(count):
        attributes, nodata = of_one_band(dict(image.attributes), i + 1, count, image.data_type)
        fill_value = one.fill_value if nodata is None else nodata
        array = replace(one, attributes=attributes, fill_value=fill_value)
        found[names[i]] = (array, Band(i, axis, count))
    return found


def _names_of_bands(label: str, names: JSON, count: int, *, alone: bool) -> list[str]:
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    usable = len(set(texts)) == count and all(name and "/" not in name for name in texts)
    if not usable:
        return [f"{label}_{number}" for number in range(1, count + 1)]
    return texts if alone else [f"{label}_{name}" for name in texts]


def _check_dimensions(variables: Mapping[str, CubeVariable]) -> None:
    """Check that each dimension has one size in the group."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, variable in variables.items():
        image = variable.image
        for dimension, size in zip(image.dimension_names, image.shape, strict=True):
            known, owner = sizes.setdefault(dimension, (size, name))
            if known != size:
                raise MismatchError(
                    f"dimension {dimension!r} is {size} long in variable {name!r}, but {known} in "
                    f"{owner!r}.",
                    url=None if image.source is None else image.source.url,
                    remedy="Publish the variables as separate cubes, or groups.",
                )


def _check_names(
    images: Inventory,
    variables: Mapping[str, CubeVariable],
    axes: Sequence[Axis],
    options: CubeOptions,
) -> None:
    """No name is that of two things in a group."""
    dimensions = {name for v in variables.values() for name in v.image.dimension_names}
    for axis in axes:
        check_name(axis.name, "dimension", taken=dimensions)
    taken = {*dimensions, *(axis.name for axis in axes), *TILES}
    taken |= {f"{name}{PRESENT}" for name in variables}
    for name in options.properties:
        check_name(name, "variable", taken={*taken, *variables})
    for name, variable in variables.items():
        url = images.table["url"][int(variable.rows[0])].as_py()
        check_name(name, "variable", taken=taken, url=url)
        if options.overviews and name.isdecimal():
            raise InvalidOptionError(
                f"a variable of a cube with overviews cannot be named {name!r}, as levels are.",
                url=url,
                remedy="Name the variable with a letter in it, or leave overviews out.",
            )
