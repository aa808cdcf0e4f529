"""Make the variables of a cube from images whose positions are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from virtual_tiff.cubes.agreement import ENCODING, GRID, check_encodings, shared_band_names
from virtual_tiff.cubes.bands import bands_of
from virtual_tiff.cubes.gaps import PRESENT
from virtual_tiff.cubes.lattice import Fitted
from virtual_tiff.cubes.masks import MASK, masked
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.pages import shared_facts
from virtual_tiff.cubes.placing import keys_of
from virtual_tiff.cubes.plan import (
    Axis,
    Band,
    CubePlan,
    CubeVariable,
    Existing,
    GridKind,
    ImageGrid,
    Rows,
)
from virtual_tiff.cubes.stitching import check_sizes, decided, resized, tile_axes
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import Inventory, rows_of
from virtual_tiff.planning.names import check_name
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.planning.stacks import TILES

#: Columns from which it is decided whether images can share an array.
_SAID = ["url", "ifd", "bands", "band_names", *ENCODING, "attributes", "pages"]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Images of one resolution: the rows of each variable, axes, and places along them."""

    images: Inventory
    members: Mapping[str, Rows]
    axes: tuple[Axis, ...]
    places: Rows

    def with_masks(
        self, inventory: Inventory, fit: Fitted | None, options: CubeOptions
    ) -> tuple[Level, Fitted | None]:
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
        return Level(found.images, members, self.axes, places), fit


def cube_of(
    level: Level, fit: Fitted | None, options: CubeOptions, existing: Existing | None
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
            parts = bands_of(label, image, alone=len(plans) == 1)
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
        is_named=options.is_named or not {options.label, f"{options.label}_1"} & {*variables},
    )
    if cube.bands:
        of_bands = [v.rows for v in variables.values() if "band" in v.image.dimension_names]
        table = rows_of(said, np.concatenate(of_bands))
        cube = replace(cube, band_names=shared_band_names(table))
    return cube


def _arranged(
    level: Level,
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
    there = (0, 0) if existing is None else (existing.grid.height, existing.grid.width)
    size = check_sizes(fit, chunks, where, urls.to_pylist(), there)
    return (*level.axes, *tiles), np.concatenate([level.places, where], 1), kind, size, notes


def _chunk(image: ArrayPlan) -> tuple[int, int]:
    """Return rows and columns of a chunk."""
    sizes = dict(zip(image.dimension_names, image.chunk_shape, strict=True))
    return sizes["y"], sizes["x"]


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
