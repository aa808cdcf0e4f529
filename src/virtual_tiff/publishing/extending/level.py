"""Extend one resolution of a cube in a session: make room for more images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import icechunk
import numpy as np
import zarr
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.coordinate import Merged, ascends, merge, positions
from virtual_tiff.cubes.extending import check_order, without_present
from virtual_tiff.cubes.gaps import PRESENT
from virtual_tiff.cubes.growth import grown, growth_of, placed_on
from virtual_tiff.cubes.plan import CubePlan, CubeVariable
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.planning.agreement import shared_attributes
from virtual_tiff.publishing.coordinate import (
    extended_properties,
    read_coordinate,
    write_coordinate,
    write_property,
)
from virtual_tiff.publishing.extending.fitting import (
    check_axes,
    check_bands,
    check_fits,
    check_grid,
    check_named,
    check_pages,
)
from virtual_tiff.publishing.extending.growth import check_growth, grow
from virtual_tiff.publishing.extending.presence import PresenceUpdate
from virtual_tiff.publishing.extending.replacing import check_extents
from virtual_tiff.publishing.levels import (
    CubeLevel,
    beside_attributes,
    create_variable,
    dimensions_of,
    existing_of,
    is_variable,
    no_cube,
    open_cube,
    write_places_of_tiles,
)
from virtual_tiff.publishing.nodes import get_json, key_prefix, set_document
from virtual_tiff.publishing.sources_table import Recorded
from virtual_tiff.storage.run import run

#: Attributes of an array that come from its cube, not from its images.
_OF_THE_CUBE = ("grid_mapping", "coordinates")


def extend_level(
    session: icechunk.Session,
    path: str,
    cube: CubePlan,
    recorded: Recorded,
    *,
    on_present: OnPresent,
    out_of_order: OutOfOrder,
    resumes: bool = False,
) -> CubeLevel:
    """Make room for more images at one resolution, of which `recorded` has those that are there."""
    store = session.store
    group = open_cube(store, path)
    if not any(is_variable(*each) for each in group.arrays()):
        raise no_cube(path)
    check_named(group, cube)
    check_axes(group, cube)
    existing = [read_coordinate(group, axis.name) for axis in cube.axes]
    cube = _checked(store, path, group, cube)
    holders = _holders(path, cube, existing, recorded)
    taken = {name: rows >= 0 for name, rows in holders.items()}
    same = {name: _same(cube, name, rows, recorded) for name, rows in holders.items()}
    cube, skipped = without_present(
        key_prefix(path), cube, taken, same, on_present, resumes=resumes
    )
    left_out = same if on_present == "replace" else taken
    renewing = {name: (rows >= 0)[~left_out[name]] for name, rows in holders.items()}
    if cube.images == 0:
        return CubeLevel(
            path, cube, tuple(np.empty(0, np.int64) for _ in cube.axes), skipped=skipped
        )
    if on_present == "replace" and cube.grid_kind == "regular":
        ours = {name: rows[~same[name]] for name, rows in holders.items()}
        check_extents(store, path, group, cube, existing, ours, recorded)
    together = [merge(there, axis.values) for there, axis in zip(existing, cube.axes, strict=True)]
    for number, merged in enumerate(together):
        check_order(cube, number, existing[number], merged, out_of_order)
    sizes = {a.name: len(m.values) for a, m in zip(cube.axes, together, strict=True)}
    arrays = _with_axes(group, list(sizes))
    growth = growth_of(cube)
    if growth:
        check_growth(group, growth)
        cube = grown(cube, growth)
    gaps = PresenceUpdate.read(group, cube, arrays, together, renewing, growth)
    holders = {n: r[~same[n]] for n, r in holders.items()} if on_present == "replace" else {}
    replaced = {name: rows >= 0 for name, rows in holders.items() if name in cube.variables}
    properties, notes = extended_properties(group, cube, together, replaced)
    cube = replace(cube, notes=(*cube.notes, *notes))
    for name in arrays:
        variable = cube.variables.get(name)
        shown = [f"{name}{PRESENT}"] if name in gaps.after else []
        _resize(store, f"{key_prefix(path)}{name}", sizes, variable, [*shown, *properties])
        _move(session, f"/{key_prefix(path)}{name}", arrays[name], sizes, together)
    for name, variable in cube.variables.items():
        if name not in arrays:
            shown = [f"{name}{PRESENT}"] if name in gaps.after else []
            create_variable(store, path, name, variable, sizes, [*shown, *properties])
    if growth:
        grow(session, path, cube, growth)
    for axis, merged in zip(cube.axes, together, strict=True):
        write_coordinate(group, axis.name, merged.values)
    for name, values in properties.items():
        write_property(group, name, cube.axes[0].name, values)
    if cube.grid_kind == "tiles" and "y" in group:
        write_places_of_tiles(group, cube)
    gaps.write(group)
    return CubeLevel(
        path,
        cube,
        tuple(merged.new for merged in together),
        grown=len(together[0].values) - len(existing[0]) if together else 0,
        skipped=skipped,
        arrays=len(cube.variables) + len(cube.axes) + len(properties),
        is_larger=bool(growth) or cube.grid_kind == "tiles",
        holders=holders,
    )


def _checked(store: IcechunkStore, path: str, group: zarr.Group, cube: CubePlan) -> CubePlan:
    """Refuse images that do not fit; return the others at their places on the grid of now."""
    if cube.grid_kind == "regular":
        # It may have grown since the images were planned.
        cube = placed_on(cube, existing_of(group).grid)
    check_grid(group, cube)
    check_pages(group, cube)
    check_bands(group, path, cube)
    check_fits(store, path, cube)
    return cube


def _holders(
    path: str, cube: CubePlan, existing: Sequence[NDArray[Any]], recorded: Recorded
) -> dict[str, NDArray[np.int64]]:
    """Return the row of the table of sources that holds the place of each image, or -1.

    The table is read only for images all of whose coordinates the cube has.
    """
    found = {}
    there = [
        # Values of another kind are refused when they are merged.
        _is_in(axis.values, values)
        if axis.values.dtype.kind == values.dtype.kind
        else np.zeros(len(axis.values), bool)
        for axis, values in zip(cube.axes, existing, strict=True)
    ]
    for name, variable in cube.variables.items():
        candidates = np.ones(variable.rows.size, bool)
        for number, known in enumerate(there):
            candidates &= known[variable.places[:, number]]
        rows = np.full(variable.rows.size, -1, np.int64)
        if candidates.any():
            texts = positions(cube.axes, variable.of(candidates), cube.grid_kind)
            rows[candidates] = recorded.rows(f"{key_prefix(path)}{name}", texts)
        found[name] = rows
    return found


def _is_in(values: NDArray[Any], there: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values are among others."""
    if not there.size or not ascends(there):
        return np.isin(values, there)
    places = np.minimum(np.searchsorted(there, values), there.size - 1)
    found: NDArray[np.bool_] = there[places] == values
    return found


def _same(
    cube: CubePlan, name: str, holders: NDArray[np.int64], recorded: Recorded
) -> NDArray[np.bool_]:
    """Return which images are the very ones that hold their places."""
    same = np.zeros(holders.size, bool)
    images = np.flatnonzero(holders >= 0)
    before = recorded.take(holders[images])
    for number, image in enumerate(images.tolist()):
        source = cube.inventory.source(int(cube.variables[name].rows[image]))
        same[image] = before.source(number).is_same(source)
    return same


def _move(
    session: icechunk.Session,
    array_path: str,
    dimensions: Sequence[str],
    sizes: Mapping[str, int],
    together: Sequence[Merged],
) -> None:
    """Move the chunks of an array to the new positions along the axes."""
    moves = {
        dimensions.index(name): merged.old.tolist()
        for name, merged in zip(sizes, together, strict=True)
        if not merged.is_extension
    }
    if not moves:
        return
    back = {at: {new: old for old, new in enumerate(to)} for at, to in moves.items()}

    def forward(index: Any) -> list[int]:
        return [moves[at][i] if at in moves else i for at, i in enumerate(index)]

    def backward(index: Any) -> list[int] | None:
        if any(index[at] not in to for at, to in back.items()):
            return None
        return [back[at][i] if at in back else i for at, i in enumerate(index)]

    session.reindex_array(array_path, forward, backward)


def _resize(
    store: IcechunkStore,
    array: str,
    sizes: Mapping[str, int],
    variable: CubeVariable | None,
    beside: Sequence[str],
) -> None:
    """Resize an array; keep only the attributes that the new images have too."""
    document = get_json(store, array)
    if document is None:
        raise RepositoryError(f"there is no array {array!r}.", kind=ErrorKind.NOT_FOUND)
    for at, name in enumerate(document["dimension_names"]):
        document["shape"][at] = sizes.get(name, document["shape"][at])
    if variable is not None:
        there = document["attributes"]
        kept = {key: there[key] for key in _OF_THE_CUBE if key in there}
        document["attributes"] = shared_attributes([there, variable.image.attributes]) | kept
    if beside:
        path = array.rpartition("/")[0]
        there = document["attributes"]
        document["attributes"] = {**there, **beside_attributes(store, path, beside, there)}
    run(set_document(store, array, json.dumps(document, ensure_ascii=False).encode()))


def _with_axes(group: zarr.Group, axes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the dimensions of the variables of a cube that have all these axes, by name."""
    found = {n: dimensions_of(each) for n, each in group.arrays() if is_variable(n, each)}
    return {name: dimensions for name, dimensions in found.items() if {*axes} <= {*dimensions}}
