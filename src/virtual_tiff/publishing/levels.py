"""One resolution of a cube in a session: its group and arrays, made or extended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import icechunk
import numpy as np
import pyarrow as pa
import zarr
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.coordinate import Merged, merge, positions
from virtual_tiff.cubes.extending import check_order, without_present
from virtual_tiff.cubes.grid import GRID_MAPPING, frame
from virtual_tiff.cubes.plan import CubePlan, CubeVariable
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.planning.agreement import shared_attributes
from virtual_tiff.planning.metadata import array_document, to_bytes
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.planning.stacks import stacked
from virtual_tiff.publishing.coordinate import read_coordinate, write_coordinate
from virtual_tiff.publishing.fitting import check_bands, check_fits, check_grid
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
from virtual_tiff.publishing.sources_table import Sources, modified_times
from virtual_tiff.storage.run import run

#: Number of images whose references are written in one task.
TASK_IMAGES = 20_000
#: Attributes of an array that come from its cube, not from its images.
_OF_THE_CUBE = ("grid_mapping", "coordinates")
TAKEN = "Append to it, or publish into another group."


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One resolution of a cube that a session holds, but not yet its references.

    `steps` are the positions of the steps of `cube` along the first dimension of the arrays,
    `grown` the number of new ones, `arrays` the number of arrays that were made or extended, and
    `skipped` the number of images that the group at `path` had already.
    """

    path: str
    cube: CubePlan
    steps: NDArray[np.int64]
    grown: int = 0
    skipped: int = 0
    arrays: int = 0

    def tasks(self, group: str, *, full: bool) -> Iterator[Task]:
        """References to write, of some images at a time."""
        for name, variable in self.cube.variables.items():
            there = np.flatnonzero(variable.rows >= 0)
            counts = full and (variable.band is None or variable.band.index == 0)
            for start in range(0, there.size, TASK_IMAGES):
                part = there[start : start + TASK_IMAGES]
                yield Task(
                    group=group,
                    array=f"{key_prefix(self.path)}{name}",
                    grid=variable.image.grid_shape,
                    references=References.of(self.cube.inventory, variable.rows[part]),
                    steps=self.steps[part],
                    band=variable.band,
                    images=part.size if counts else 0,
                )

    def sources(self) -> Sources:
        """Return rows for the table of sources."""
        arrays: list[str] = []
        places: list[str] = []
        bands: list[int] = []
        rows = [np.empty(0, np.int64)]
        texts = positions(self.cube.dimension, self.cube.coordinate)
        for name, variable in self.cube.variables.items():
            there = np.flatnonzero(variable.rows >= 0)
            arrays += [f"{key_prefix(self.path)}{name}"] * there.size
            places += [texts[step] for step in there]
            bands += [-1 if variable.band is None else variable.band.index] * there.size
            rows.append(variable.rows[there])
        names = ("url", "ifd", "size", "etag", "header")
        table = self.cube.inventory.table.select([*names, "last_modified"])
        table = table.take(pa.array(np.concatenate(rows)))
        return Sources.of(
            array=arrays,
            position=places,
            band=bands,
            last_modified=modified_times(table["last_modified"]),
            **{name: table[name].to_pylist() for name in names},
        )


def write_level(
    store: IcechunkStore, path: str, cube: CubePlan, *, coordinates: bool = True
) -> Level:
    """Write the arrays of a new cube at one resolution; refuse arrays that are there."""
    beside = frame(cube.grid, bands=cube.bands, band_names=cube.band_names, coordinates=coordinates)
    names = (*cube.variables, cube.dimension, *beside.arrays)
    run(check_free(store, [f"{key_prefix(path)}{name}" for name in names], remedy=TAKEN))
    run(write_frame(store, path, beside))
    steps = len(cube.coordinate)
    for name, variable in cube.variables.items():
        _create(store, path, name, variable, cube.dimension, steps)
    write_coordinate(_open_group(store, path), cube.dimension, cube.coordinate)
    return Level(path, cube, np.arange(steps), grown=steps, arrays=len(names))


def extend_level(
    session: icechunk.Session,
    path: str,
    cube: CubePlan,
    present: set[tuple[str, str]],
    on_present: OnPresent,
    out_of_order: OutOfOrder,
) -> Level:
    """Make room for more images at one resolution, of which none is `present`."""
    store = session.store
    group = _open_group(store, path)
    existing = read_coordinate(group, cube.dimension)
    check_grid(group, cube)
    check_bands(group, path, cube)
    check_fits(store, path, cube)
    cube, skipped = without_present(key_prefix(path), cube, present, on_present)
    if cube.images == 0:
        return Level(path, cube, np.empty(0, np.int64), skipped=skipped)
    together = merge(existing, cube.coordinate)
    check_order(cube, existing, together, out_of_order)
    arrays = _along(group, cube.dimension)
    for name in arrays:
        variable = cube.variables.get(name)
        _resize(store, f"{key_prefix(path)}{name}", len(together.values), variable)
    if not together.is_extension:
        for name in arrays:
            _move(session, f"/{key_prefix(path)}{name}", together)
    for name, variable in cube.variables.items():
        if name not in arrays:
            _create(store, path, name, variable, cube.dimension, len(together.values))
    write_coordinate(group, cube.dimension, together.values)
    return Level(
        path,
        cube,
        together.new,
        grown=len(together.values) - len(existing),
        skipped=skipped,
        arrays=len(cube.variables) + 1,
    )


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


def _move(session: icechunk.Session, array_path: str, together: Merged) -> None:
    """Move the chunks of an array to the new positions of its steps."""
    to = together.old.tolist()
    back = {new: old for old, new in enumerate(to)}

    def forward(index: Any) -> list[int]:
        step, *inner = index
        return [to[step], *inner]

    def backward(index: Any) -> list[int] | None:
        step, *inner = index
        return [back[step], *inner] if step in back else None

    session.reindex_array(array_path, forward, backward)


def _create(
    store: IcechunkStore,
    path: str,
    name: str,
    variable: CubeVariable,
    dimension: str,
    steps: int,
) -> None:
    plan = stacked(variable.image, dimension, steps)
    if get_json(store, f"{key_prefix(path)}{GRID_MAPPING}") is not None:
        # CF section 5.6; the second so that xarray makes a coordinate of it.
        named = {"grid_mapping": GRID_MAPPING, "coordinates": GRID_MAPPING}
        plan = replace(plan, attributes={**named, **plan.attributes})
    run(set_document(store, f"{key_prefix(path)}{name}", to_bytes(array_document(plan))))


def _resize(store: IcechunkStore, array: str, steps: int, variable: CubeVariable | None) -> None:
    """Resize an array; keep only the attributes that the new images have too."""
    document = get_json(store, array)
    if document is None:
        raise RepositoryError(f"there is no array {array!r}.", kind=ErrorKind.NOT_FOUND)
    document["shape"][0] = steps
    if variable is not None:
        there = document["attributes"]
        kept = {key: there[key] for key in _OF_THE_CUBE if key in there}
        document["attributes"] = shared_attributes([there, variable.image.attributes]) | kept
    run(set_document(store, array, json.dumps(document, ensure_ascii=False).encode()))


def _along(group: zarr.Group, dimension: str) -> list[str]:
    """Return the names of arrays with this first dimension, without its coordinate."""
    return [
        name
        for name, array in group.arrays()
        if name != dimension and (array.metadata.dimension_names or ("",))[0] == dimension  # type: ignore[union-attr]
    ]


def _open_group(store: IcechunkStore, path: str) -> zarr.Group:
    try:
        return zarr.open_group(store, path=path or None, mode="r+", zarr_format=3)
    except FileNotFoundError as error:
        raise RepositoryError(
            f"the repository has no group {path or '/'!r}.",
            kind=ErrorKind.NOT_FOUND,
            remedy="Publish a cube there first.",
        ) from error
