"""One resolution of a cube in a session: its group and arrays, made or extended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import zarr
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.cubes.coordinate import positions
from virtual_tiff.cubes.gaps import PRESENT, presence, presence_axes
from virtual_tiff.cubes.grid import GRID_MAPPING, frame
from virtual_tiff.cubes.item_properties import item_property
from virtual_tiff.cubes.plan import CubePlan, CubeVariable, Existing
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.inventory.table import rows_of
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.metadata import array_document, to_bytes
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.planning.stacks import TILES, order_of, stacked
from virtual_tiff.publishing.coordinate import (
    write_coordinate,
    write_presence,
    write_property,
    write_tiles,
)
from virtual_tiff.publishing.georeferencing import read_grid
from virtual_tiff.publishing.nodes import (
    check_free,
    get_document,
    get_json,
    key_prefix,
    set_document,
    write_group,
    write_parents,
)
from virtual_tiff.publishing.references import References, Task
from virtual_tiff.publishing.sources_table import Sources, concatenated
from virtual_tiff.storage.run import run

#: Number of images whose references are written in one task.
TASK_IMAGES = 20_000
TAKEN = "Append to it, or publish into another group."


@dataclass(frozen=True, slots=True, eq=False)
class CubeLevel:
    """One resolution of a cube that a session holds, but not yet its references.

    `places` are, for each axis of `cube`, where its positions are in the arrays; `grown` is the
    number of new ones along the first axis, `arrays` the number of arrays that were made or
    extended, and `skipped` the number of images that the group at `path` had already. `is_larger`
    says that the images may lie beyond those that were there. `holders` are, by name of the
    variable, the rows of the table of sources whose place each image takes, or -1.
    """

    path: str
    cube: CubePlan
    places: tuple[NDArray[np.int64], ...]
    grown: int = 0
    skipped: int = 0
    arrays: int = 0
    is_larger: bool = False
    holders: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def replaced(self) -> int:
        """Number of images that take the place of others."""
        return sum(
            int(np.count_nonzero(self.holders[name] >= 0))
            for name, variable in self.cube.variables.items()
            if name in self.holders
            and not variable.is_mask
            and (variable.band is None or variable.band.index == 0)
        )

    @property
    def dropped(self) -> list[int]:
        """Rows of the table of sources that do not hold any more."""
        return [row for rows in self.holders.values() for row in rows.tolist() if row >= 0]

    def tasks(self, group: str, *, full: bool) -> Iterator[Task]:
        """References to write, of some images at a time."""
        for name, variable in self.cube.variables.items():
            counts = full and variable.counts
            names = variable.image.dimension_names
            order = order_of(tuple(self.cube.sizes), names)
            first = self._first_chunks(variable, order)
            grids = _grids(variable)
            replaced = self.holders.get(name, np.empty(0, np.int64)) >= 0
            for start in range(0, variable.rows.size, TASK_IMAGES):
                part = slice(start, start + TASK_IMAGES)
                rows = variable.rows[part]
                yield Task(
                    group=group,
                    array=f"{key_prefix(self.path)}{name}",
                    grid=variable.image.grid_shape,
                    grids=None if grids is None else grids[part],
                    references=References.of(self.cube.inventory, rows),
                    first=first[part],
                    within=tuple(order.index(each) for each in names),
                    band=variable.band,
                    images=rows.size if counts else 0,
                    replaced=replaced[part] if replaced.any() else None,
                )

    def _first_chunks(self, variable: CubeVariable, order: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of the first chunk of each image: shape `(images, dimensions)`."""
        first = np.zeros((variable.rows.size, len(order)), np.int64)
        for number, axis in enumerate(self.cube.axes):
            first[:, order.index(axis.name)] = self.places[number][variable.places[:, number]]
        if self.cube.grid_kind == "regular" and variable.corners is not None:
            image = variable.image
            for number, name in enumerate(("y", "x")):
                chunk = image.chunk_shape[image.dimension_names.index(name)]
                first[:, order.index(name)] = variable.corners[:, number] // chunk
        return first

    def sources(self) -> Sources:
        """Return rows for the table of sources."""
        tables = []
        columns = self.cube.inventory.table.select(list(Sources.OF_FILES))
        for name, variable in self.cube.variables.items():
            places = positions(self.cube.axes, variable, self.cube.grid_kind)
            band = -1 if variable.band is None else variable.band.index
            array = f"{key_prefix(self.path)}{name}"
            tables.append(Sources.of_rows(rows_of(columns, variable.rows), array, places, band))
        return concatenated(tables)


def _grids(variable: CubeVariable) -> NDArray[np.int64] | None:
    """Return the chunks along each dimension of each image, where images have several sizes."""
    sizes, image = variable.sizes, variable.image
    if sizes is None:
        return None
    grids = np.tile(np.array(image.grid_shape), (variable.rows.size, 1))
    for number, name in enumerate(("y", "x")):
        at = image.dimension_names.index(name)
        grids[:, at] = -(-sizes[:, number] // image.chunk_shape[at])
    return grids


def write_level(
    store: IcechunkStore,
    path: str,
    cube: CubePlan,
    *,
    coordinates: bool = True,
    alone: bool = True,
) -> CubeLevel:
    """Write the arrays of a new cube at one resolution; refuse arrays that are there.

    `alone` says that it has no other.
    """
    beside = frame(cube, coordinates=coordinates, alone=alone)
    tiled = cube.grid_kind == "tiles" and coordinates
    axes = presence_axes(cube)
    gaps = {
        name: found
        for name, variable in cube.variables.items()
        if not variable.is_mask and (found := presence(cube, variable, axes)).gaps
    }
    shown = [f"{name}{PRESENT}" for name in gaps]
    more = TILES if gaps and cube.grid_kind == "regular" else ()
    names = [*cube.variables, *cube.sizes, *beside.arrays, *shown, *more, *cube.item_properties]
    names += ["y", "x"] if tiled else []
    run(check_free(store, [f"{key_prefix(path)}{name}" for name in names], remedy=TAKEN))
    run(write_frame(store, path, beside))
    for name, variable in cube.variables.items():
        shown = [f"{name}{PRESENT}"] if name in gaps else []
        create_variable(store, path, name, variable, cube.sizes, [*shown, *cube.item_properties])
    group = open_cube(store, path)
    for axis in axes if gaps else cube.axes:
        write_coordinate(group, axis.name, axis.values)
    for name in cube.item_properties:
        if (values := item_property(cube, name)) is not None:
            write_property(group, name, cube.axes[0].name, values)
    if tiled:
        write_places_of_tiles(group, cube)
    for name, present in gaps.items():
        write_presence(group, f"{name}{PRESENT}", axes, present)
    sizes = list(cube.sizes.values())
    places = tuple(np.arange(size) for size in sizes)
    return CubeLevel(path, cube, places, grown=sizes[0] if sizes else 0, arrays=len(names))


def write_places_of_tiles(group: zarr.Group, cube: CubePlan) -> None:
    """Write the pixel centres of the tiles of a group, which has their rows and columns."""
    assert cube.grid.transform is not None
    a, _, c, _, e, f = cube.grid.transform
    image = next(iter(cube.variables.values())).image
    sizes = dict(zip(image.dimension_names, image.shape, strict=True))
    ends = [
        variable.corners + variable.sizes
        for variable in cube.variables.values()
        if variable.corners is not None and variable.sizes is not None
    ]
    bottom, right = np.concatenate(ends).max(axis=0).tolist()
    write_tiles(group, "y", e, f, sizes["y"], bottom)
    write_tiles(group, "x", a, c, sizes["x"], right)


def existing_of(group: zarr.Group) -> Existing:
    """Return the grid of the cube in a group; of tiles that of one, at the origin of all."""
    arrays = dict(group.arrays())
    array = next((each for name, each in arrays.items() if is_variable(name, each)), None)
    if array is None:
        raise RepositoryError(
            "the group holds no cube.",
            kind=ErrorKind.NOT_FOUND,
            remedy="Publish a cube there first.",
        )
    names = dimensions_of(array)
    sizes = dict(zip(names, array.shape, strict=True))
    grid = read_grid(group, sizes["x"], sizes["y"])
    if TILES[0] not in names:
        return Existing(grid, "regular", names)
    y, x = (dict(arrays[name].attrs) for name in TILES)
    values = [_number(each.get(key)) for each in (x, y) for key in ("step", "origin")]
    dx, left, dy, top = values
    return Existing(replace(grid, transform=(dx, 0.0, left, 0.0, dy, top)), "tiles", names)


def _number(value: object) -> float:
    if not isinstance(value, float | int):
        raise RepositoryError("the coordinates of the tiles do not say where their grid is.")
    return float(value)


async def write_frame(store: IcechunkStore, path: str, plan: GroupPlan) -> None:
    """Write a group and its parents; existing attributes are kept."""
    await write_parents(store, [path])
    there = await get_document(store, path)
    if there is not None:
        plan = replace(plan, attributes={**there.get("attributes", {}), **plan.attributes})
    await write_group(store, path, plan)
    for name, array in plan.arrays.items():
        references = References.of_plan(array)
        task = Task(
            group=path,
            array=f"{key_prefix(path)}{name}",
            grid=array.grid_shape,
            references=references,
        )
        await task.write(store)


def create_variable(
    store: IcechunkStore,
    path: str,
    name: str,
    variable: CubeVariable,
    sizes: Mapping[str, int],
    beside: Sequence[str],
) -> None:
    """Write the array of a variable, without references; `beside` names its coordinates."""
    plan = stacked(variable.image, sizes)
    named = beside_attributes(store, path, beside)
    # First, where the images do not say other things of a group of their own.
    plan = replace(plan, attributes={**named, **plan.attributes, **named})
    run(set_document(store, f"{key_prefix(path)}{name}", to_bytes(array_document(plan))))


def beside_attributes(
    store: IcechunkStore,
    path: str,
    more: Sequence[str],
    there: Mapping[str, JSON] | None = None,
) -> dict[str, JSON]:
    """Attributes that name the grid mapping (CF section 5.6) and other variables of a cube.

    Parameters
    ----------
    store, path
        Where the cube is.
    more
        Names of coordinates of the array beyond those of its dimensions.
    there
        Attributes of the array, which may name some.
    """
    mapped = get_json(store, f"{key_prefix(path)}{GRID_MAPPING}") is not None
    # Named as coordinates so that xarray makes coordinates of them.
    before = str((there or {}).get("coordinates", "")).split()
    beside = list(dict.fromkeys([*[GRID_MAPPING] * mapped, *before, *more]))
    found: dict[str, JSON] = {"grid_mapping": GRID_MAPPING} if mapped else {}
    return found | ({"coordinates": " ".join(beside)} if beside else {})


def is_variable(name: str, array: zarr.Array[Any]) -> bool:
    """Return whether an array of a cube holds images; else it is a coordinate."""
    return name not in ("y", "x") and {"y", "x"} <= set(dimensions_of(array))


def dimensions_of(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Return the names of the dimensions of an array; empty where it has none."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    return tuple(name or "" for name in names)


def open_cube(store: IcechunkStore, path: str) -> zarr.Group:
    """Open the group of a cube, to write it."""
    try:
        return zarr.open_group(store, path=path or None, mode="r+", zarr_format=3)
    except FileNotFoundError as error:
        raise no_cube(path) from error


def no_cube(path: str) -> RepositoryError:
    """Return the error for a group that is not there, or of which no image is left."""
    return RepositoryError(
        f"the repository has no cube {path or '/'!r}.",
        kind=ErrorKind.NOT_FOUND,
        remedy="Publish one there first, with virtual_tiff.stack or virtual-tiff stack.",
    )
