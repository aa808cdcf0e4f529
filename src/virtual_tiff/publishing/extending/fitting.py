"""Validate images against an existing cube, and find those that it has already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import zarr
from icechunk import IcechunkStore

from virtual_tiff.cubes.agreement import ENCODING, GRID, codes_of
from virtual_tiff.cubes.extending import url_of
from virtual_tiff.cubes.masks import MASK
from virtual_tiff.cubes.options import DEFAULT_VARIABLE, CubeOptions, column_of
from virtual_tiff.cubes.pages import page_coordinates
from virtual_tiff.cubes.placing import stackable, variable_names
from virtual_tiff.cubes.plan import CubePlan, CubeVariable, Existing, GridKind
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import MismatchError, shorten
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.planning.agreement import Disagreement, disagreements, readable
from virtual_tiff.planning.metadata import array_document
from virtual_tiff.planning.same_grid import same_crs, same_transform
from virtual_tiff.planning.stacks import TILES, stacked
from virtual_tiff.publishing.georeferencing import read_grid
from virtual_tiff.publishing.levels import dimensions_of, is_variable
from virtual_tiff.publishing.nodes import get_json, key_prefix

_ANOTHER = "Publish the images as another variable, or as a separate cube."
_STITCHED = "Pass stitch=True if the images are tiles of one grid, as those of the cube."
#: Metadata of an array that has to be equal for images to be appended.
_SAME = ("dimension_names", "data_type", "shape", "chunk_grid", "codecs", "fill_value")


def check_named(group: zarr.Group, cube: CubePlan) -> None:
    """Refuse images of a variable that a cube lacks, unless the caller named it."""
    arrays = {name for name, array in group.arrays() if is_variable(name, array)}
    if cube.is_named or arrays & cube.variables.keys():
        return
    there = sorted(arrays - {f"{name}{MASK}" for name in arrays})
    ours = next(iter(cube.variables))
    remedy = "Pass variable=, variable_pattern= or name= as when the cube was made"
    if len(there) == 1:
        remedy = f'Pass name="{there[0]}" to add to it'
    raise MismatchError(
        f"the cube has {shorten(', '.join(there))}, but no variable {ours!r}, and nothing says "
        "which variable the images belong to.",
        url=url_of(cube, cube.variables[ours]),
        remedy=f'{remedy}, or name="{DEFAULT_VARIABLE}" for a new variable.',
    )


def check_axes(group: zarr.Group, cube: CubePlan) -> None:
    """Refuse images that have positions along other axes than those of a cube."""
    arrays = {name: dimensions_of(a) for name, a in group.arrays() if is_variable(name, a)}
    like = next((name for name in cube.variables if name in arrays), next(iter(arrays), None))
    if like is not None:
        image = next(iter(cube.variables.values())).image
        _check_same_axes(cube, [n for n in arrays[like] if n not in image.dimension_names])


def _check_same_axes(cube: CubePlan, axes: Sequence[str]) -> None:
    if axes == [*cube.sizes]:
        return
    stacked_by = [column_of(axis) for axis in axes if axis not in TILES]
    if not stacked_by or {*TILES} <= {*axes} - {*cube.sizes}:
        remedy = "Pass stitch=True and leave along= out: the axes are then those of the cube."
    else:
        named = ", ".join(f'"{column}"' for column in stacked_by)
        named = f"({named})" if len(stacked_by) > 1 else named
        remedy = f"Pass along={named}, or append the images to another cube."
    raise MismatchError(
        f"the images have positions along {', '.join(cube.sizes) or 'no axis'}, but those of the "
        f"cube along {', '.join(axes) or 'none'}.",
        url=url_of(cube, next(iter(cube.variables.values()))),
        remedy=remedy,
    )


def check_fits(store: IcechunkStore, path: str, cube: CubePlan) -> None:
    """Refuse images whose arrays differ from those of a cube, and name what differs."""
    for name, variable in cube.variables.items():
        document = get_json(store, f"{key_prefix(path)}{name}")
        url = url_of(cube, variable)
        if document is None:
            continue
        wanted = array_document(stacked(variable.image, cube.sizes))
        encodings = disagreements([_of_images(document, cube), _of_images(wanted, cube)], _SAME)
        meanings = disagreements([document["attributes"], variable.image.attributes])
        for found in (*encodings, *meanings):
            raise _difference(found, name, variable, url, cube.grid_kind)


def _difference(
    found: Disagreement, name: str, variable: CubeVariable, url: str, kind: GridKind | None
) -> MismatchError:
    """Make the error of images that differ from the array of a cube."""
    what = f"the {found.key.replace('_', ' ')}" if found.key in _SAME else found.key
    remedy = _ANOTHER
    if found.key == "shape" and kind is None:
        remedy = f"{_STITCHED} {_ANOTHER}"
    elif found.key in ("fill_value", "_FillValue"):
        value = readable("_FillValue", found.expected)
        if "_FillValue" not in variable.image.attributes and isinstance(value, int | float):
            remedy = (
                f'Pass on_gap="fill" and fill_value={value}, if no pixel of the images has it: '
                f"they have no nodata value. {_ANOTHER}"
            )
    return MismatchError(
        f"{what} of variable {name!r} is {shorten(found.value)}, but {shorten(found.expected)} in "
        "the cube.",
        url=url,
        remedy=remedy,
    )


def check_bands(group: zarr.Group, path: str, cube: CubePlan) -> None:
    """Refuse images whose bands would get the names of other bands of a cube."""
    if not cube.bands or "band" not in group:
        return
    there: Any = group["band"]
    theirs = [str(value) for value in there[:].tolist()]
    plain = [str(number) for number in range(1, len(theirs) + 1)]
    ours = list(cube.band_names or plain)
    numbers = all(name.isdecimal() for name in ours)
    # A cube with band numbers has no names to compare.
    if ours == theirs or (theirs == plain and not numbers):
        return
    raise MismatchError(
        f"the bands are {shorten(', '.join(ours))}, but {shorten(', '.join(theirs))} in the "
        f"cube {path or '/'!r}.",
        url=url_of(cube, next(iter(cube.variables.values()))),
        remedy=_ANOTHER,
    )


def check_pages(group: zarr.Group, cube: CubePlan) -> None:
    """Refuse images whose pages are at other distances than in a cube."""
    for name, plan in page_coordinates(cube).items():
        there = group.get(name)
        if not isinstance(there, zarr.Array) or plan.data_type.kind != "f":
            continue
        ours = np.frombuffer(plan.inline[(0,)], plan.data_type)
        theirs = np.asarray(there[:])
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-9, atol=0):
            raise MismatchError(
                f"the positions along {name} are {shorten(ours.tolist())}, but "
                f"{shorten(theirs.tolist())} in the cube.",
                url=url_of(cube, next(iter(cube.variables.values()))),
                remedy=_ANOTHER,
            )


def check_grid(group: zarr.Group, cube: CubePlan) -> None:
    """Refuse images with another CRS or transform than that of a cube."""
    ours = cube.grid
    tiled = cube.grid_kind == "tiles"
    theirs = read_grid(group, ours.width, ours.height)
    if cube.pages is not None and ours.transform is None:
        # Positions of pixels in micrometres are no place on a map.
        theirs = replace(theirs, transform=None)
    # Images are placed on the lattice of the tiles, which has the same transform.
    placed = tiled or same_transform(ours.transform, theirs.transform, ours.width, ours.height)
    further = ours.extra_georeferencing == theirs.extra_georeferencing
    for name, same, one, other in (
        ("CRS", same_crs(ours.crs, theirs.crs), ours.crs, theirs.crs),
        ("transform", placed, ours.transform, theirs.transform),
        (
            "extra georeferencing",
            further,
            ours.extra_georeferencing,
            theirs.extra_georeferencing,
        ),
    ):
        if not same:
            remedy = "Images on other grids need a separate cube."
            if name == "transform" and cube.grid_kind is None:
                remedy = f"{_STITCHED} Other grids need a separate cube."
            raise MismatchError(
                f"the {name} is {shorten(str(one))}, but {shorten(str(other))} in the cube.",
                url=url_of(cube, next(iter(cube.variables.values()))),
                remedy=remedy,
            )


def without_unfit(
    store: IcechunkStore,
    path: str,
    inventory: Inventory,
    options: CubeOptions,
    existing: Sequence[Existing],
) -> tuple[Inventory, dict[str, MismatchError]]:
    """Leave out images that do not fit a cube; return why, by URL.

    `existing` is its full resolution if it is stitched, else empty.
    """
    images = stackable(inventory)
    try:
        group = zarr.open_group(store, path=path or None, mode="r", zarr_format=3)
    except FileNotFoundError:
        # The commit refuses it.
        return inventory, {}
    alone = replace(options, overviews=False, on_mismatch="raise")
    columns = {*ENCODING, "attributes", "band_names"} - ({"shape"} if options.stitch else set())
    columns |= set() if options.stitch else {*GRID, "pages"}
    names = variable_names(images, options.variable, options.variable_pattern, options.label)
    codes = [codes_of(images.table[name]) for name in sorted(columns)]
    codes.append(codes_of(pa.array(names)))
    kinds = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    keys = [(*pair,) for pair in zip(*_keys(images), strict=True)]
    odd: set[tuple[str, str]] = set()
    left_out: dict[str, MismatchError] = {}
    for kind in range(int(kinds.max()) + 1):
        rows = np.flatnonzero(kinds == kind)
        try:
            cube = plan_cube(Inventory(images.table.take(pa.array(rows[:1]))), alone, existing)
            check_grid(group, cube)
            check_pages(group, cube)
            check_bands(group, path, cube)
            check_fits(store, path, cube)
        except MismatchError as error:
            odd.update(keys[row] for row in rows.tolist())
            left_out.update((keys[row][0], error) for row in rows.tolist())
    all_keys = zip(*_keys(inventory), strict=True)
    return inventory.filter(pa.array([key not in odd for key in all_keys])), left_out


def _keys(inventory: Inventory) -> tuple[list[str], list[str]]:
    """Return URL and image of each row."""
    table = inventory.table
    return table["url"].to_pylist(), table["full_ifd"].to_pylist()


def _of_images(document: Mapping[str, Any], cube: CubePlan) -> dict[str, Any]:
    """Metadata of an array, whatever its sizes along the axes."""
    names = document["dimension_names"]
    sizes = zip(names, document["shape"], strict=True)
    return {**document, "shape": [size for name, size in sizes if name not in cube.sizes]}
