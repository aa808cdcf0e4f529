"""Plan a cube from the images of an inventory: each image has a position on every axis.

Images that are stacked must share grid and encoding, those that are stitched a lattice; differences
are reported, never resampled. This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from virtual_tiff.cubes.agreement import canonical_codes, check_grids
from virtual_tiff.cubes.gaps import filled
from virtual_tiff.cubes.item_properties import check_item_properties
from virtual_tiff.cubes.lattice import Fitted, fitted, off_lattice
from virtual_tiff.cubes.options import CubeOptions, dimension_of
from virtual_tiff.cubes.overviews import overview_rows
from virtual_tiff.cubes.pages import with_places
from virtual_tiff.cubes.placing import (
    chosen_of,
    columns_along,
    coordinate_of,
    keys_of,
    stackable,
    variable_names,
)
from virtual_tiff.cubes.plan import (
    Axis,
    CubePlan,
    Existing,
    Rows,
)
from virtual_tiff.cubes.survey import Problem, error_of, survey
from virtual_tiff.cubes.variables import Level, cube_of
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.planning.pages.ome_zarr import factors_of


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
        cube = cube_of(*level, options, existing[0] if existing else None)
        check_item_properties(cube)
    except MismatchError as error:
        claims = _claims(images, options, existing, of_places)
        problems = _problems(images, options, existing, claims)
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
) -> tuple[Level, Fitted | None]:
    """Find the position of each image on the axes of a cube."""
    labels, of_label = _labels(images, options)
    fit = None
    if options.stitch:
        grid = existing[0].grid if existing else None
        fit = fitted(images.table, options.snap, options.bounds, grid)
    else:
        check_grids(images.table)
    corners = [] if fit is None else list(fit.corners.T)
    columns = columns_along(images, options, existing, of_places, [of_label, *corners])
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
        problems = _problems(images, options, existing, (keys, columns))
        raise error_of(images.table, problems)
    places = np.stack(steps, axis=1) if steps else np.empty((len(images), 0), np.int64)
    return Level(images, members, tuple(axes), places), fit


def _problems(
    images: Inventory,
    options: CubeOptions,
    existing: Sequence[Existing] | None,
    claims: tuple[Rows | None, tuple[str, ...]],
) -> list[Problem]:
    """Find all that keeps images out of one cube; `claims` are their positions along columns."""
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
    keys, columns = claims
    what = " and ".join([*columns, *(["place"] if options.stitch else [])])
    found += survey(images.table, labels, of_label, stitched=options.stitch, keys=keys, what=what)
    return found


def _claims(
    images: Inventory,
    options: CubeOptions,
    existing: Sequence[Existing] | None,
    of_places: tuple[str, ...],
) -> tuple[Rows | None, tuple[str, ...]]:
    """Number the positions of images that are on several grids: of one number are duplicates."""
    if options.on_duplicate != "raise":
        return None, ()
    places = []
    if options.stitch:
        places = [canonical_codes(images.table, name) for name in ("crs", "transform")]
    try:
        of_label = _labels(images, options)[1]
        columns = columns_along(images, options, existing, of_places, [of_label, *places])
        steps = [coordinate_of(images, column)[1] for column in columns]
    except InvalidOptionError:
        # It is raised when the grids are mended.
        return None, ()
    return keys_of([*steps, *places], len(images)), columns


def _labels(images: Inventory, options: CubeOptions) -> tuple[list[str], Rows]:
    """Return the names of variables, and which of them each image belongs to."""
    if options.variable is None and options.variable_pattern is None:
        return [options.label], np.zeros(len(images), np.int64)
    names = np.array(
        variable_names(images, options.variable, options.variable_pattern, options.label),
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


def _level_like(images: Inventory, levels: Sequence[Existing]) -> Existing | None:
    """Return the next level of a cube, if its pixels have about the size of those of images."""
    size = images.table["transform"][0].as_py()
    known = levels[0].grid.transform if levels else None
    if size is None or known is None:
        return None
    # Sizes of levels are rounded, and those of their pixels with them.
    return levels[0] if 3 / 4 < abs(size[0] / known[0]) < 4 / 3 else None


def _with_overviews(
    cube: CubePlan,
    inventory: Inventory,
    full: Level,
    options: CubeOptions,
    existing: Sequence[Existing],
) -> CubePlan:
    """Add the levels of the overviews; leave out those that cannot be stitched."""
    overviews, notes = [], list(cube.notes)
    chosen = np.concatenate([*full.members.values()])
    for number, (images, rows) in enumerate(overview_rows(inventory, full.images, chosen), 1):
        members = {label: rows[of_full] for label, of_full in full.members.items()}
        below = Level(images, members, full.axes, full.places[np.unique(chosen)])
        if not options.stitch:
            check_grids(images.table)
            level = below.with_masks(inventory, None, options)
            smaller = cube_of(*level, options, None)
            sizes = (smaller.grid.height, smaller.grid.width)
            factors = factors_of(sizes, (cube.grid.height, cube.grid.width))
            overviews.append(replace(smaller, factors=factors))
            continue
        there = _level_like(images, existing[len(overviews) + 1 :])
        if existing and there is None:
            # It could not be stitched when the cube was made.
            notes.append(f"level {number} of the overviews is left out: the cube has none")
            continue
        try:
            grid = None if there is None else there.grid
            fit = fitted(images.table, options.snap, options.bounds, grid)
            level = below.with_masks(inventory, fit, options)
            overviews.append(cube_of(*level, options, there))
        except MismatchError as error:
            if existing:
                raise _beyond_level(number, error) from error
            notes.append(f"level {number} of the overviews is left out: {error.message}")
    return replace(cube, overviews=tuple(overviews), notes=tuple(notes))


def _beyond_level(number: int, error: MismatchError) -> MismatchError:
    """Make the error of images that fit a cube, but one of whose overviews does not."""
    return MismatchError(
        f"level {number} of the overviews: {error.message}",
        url=error.url,
        remedy="Make the cube anew with all images, which leaves out levels that some do not fit, "
        "or without overviews; or put these images into another group.",
    )
