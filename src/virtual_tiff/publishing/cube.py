"""The plan of a cube → a part of a commit: a new cube, or more images of one that is there.

A cube with overviews is a group for each level, under the `multiscales` Zarr convention.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import icechunk
import numpy as np
import pyarrow as pa
import zarr
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.coordinate import Merged, as_text, merge, positions
from virtual_tiff.cubes.extending import check_order, without_present
from virtual_tiff.cubes.grid import GRID_MAPPING, description, frame
from virtual_tiff.cubes.plan import CubePlan, CubeVariable
from virtual_tiff.errors import ErrorKind, MismatchError, RepositoryError
from virtual_tiff.planning.agreement import shared_attributes
from virtual_tiff.planning.metadata import array_document, to_bytes
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.planning.pyramid import multiscales_attributes
from virtual_tiff.planning.stacks import stacked
from virtual_tiff.publishing.coordinate import read_coordinate, write_coordinate
from virtual_tiff.publishing.fitting import check_bands, check_fits, check_grid
from virtual_tiff.publishing.nodes import (
    check_free,
    check_outside,
    get_document,
    get_json,
    key_prefix,
    set_document,
    write_group,
    write_parents,
)
from virtual_tiff.publishing.parts import Written
from virtual_tiff.publishing.references import References, Task
from virtual_tiff.publishing.results import Added
from virtual_tiff.publishing.sources_table import (
    Sources,
    concatenated,
    modified_times,
    read_sources_table,
)
from virtual_tiff.storage.run import run

#: Images whose references are written in one task.
TASK_IMAGES = 20_000
#: Attributes that an array has from its cube, not from its images.
_OF_THE_CUBE = ("grid_mapping", "coordinates")
_TAKEN = "Append to it, or publish into another group."


@dataclass(frozen=True, slots=True, eq=False)
class NewCube:
    """A cube that is not there yet.

    Parameters
    ----------
    path
        Of the group, without slashes at its ends; empty for the root.
    cube
        What to write.
    coordinates
        Whether x, y and band are written.
    """

    path: str
    cube: CubePlan
    coordinates: bool = True

    @property
    def grows(self) -> Mapping[str, int]:
        """Chunks of one step of the largest variable, by the dimension of the cube."""
        return _grows(self.cube)

    @property
    def is_small(self) -> bool:
        """Never: stored chunks of later images are added to the same manifests."""
        return False

    def write(self, session: icechunk.Session) -> list[Written]:
        """Write the arrays of all levels.

        Raises
        ------
        RepositoryError
            With kind `conflict` if there is such a cube.
        """
        store, path, cube = session.store, self.path, self.cube
        run(check_outside(store, [path]))
        there = level_count(store, path)
        alone = f"{key_prefix(path)}{cube.dimension}/zarr.json"
        if there or (cube.overviews and get_json(store, alone) is not None):
            raise RepositoryError(
                f"the group {path or '/'!r} holds a cube {'with' if there else 'without'} "
                "overviews.",
                kind=ErrorKind.CONFLICT,
                remedy=_TAKEN,
            )
        if cube.overviews:
            attributes = multiscales_attributes([description(each.grid) for each in cube.levels])
            run(_write_frame(store, path, GroupPlan(attributes=attributes)))
        levels = [
            _write_level(store, level, each, coordinates=self.coordinates)
            for level, each in _levels(path, cube).items()
        ]
        return [_written(path, levels)]


@dataclass(frozen=True, slots=True, eq=False)
class MoreImages:
    """Images for a cube that is there.

    Parameters
    ----------
    path
        Of the group of the cube.
    cube
        The images to add, as a cube of their own.
    on_present
        Whether to `raise` for an image whose place is taken, or to `skip` it.
    out_of_order
        Whether to `raise` for images that come before the last of the cube, or to `insert`
        them, for which the references after them are rewritten.
    """

    path: str
    cube: CubePlan
    on_present: OnPresent = "raise"
    out_of_order: OutOfOrder = "raise"

    @property
    def grows(self) -> Mapping[str, int]:
        """As for a new cube; what is saved in the repository stays."""
        return _grows(self.cube)

    @property
    def is_small(self) -> bool:
        """Never: stored chunks of later images are added to the same manifests."""
        return False

    def write(self, session: icechunk.Session) -> list[Written]:
        """Make room in all levels.

        Raises
        ------
        MismatchError
            The images do not fit, or have other levels than the cube.
        InvalidOptionError
            With kind `duplicate` if they are there already.
        RepositoryError
            There is no such cube.
        """
        there = level_count(session.store, self.path) or 1
        if there != len(self.cube.levels):
            wanted = "Pass overviews=True." if there > 1 else "Leave overviews out."
            raise MismatchError(
                f"the cube in {self.path or '/'!r} has {there} levels, but the images have "
                f"{len(self.cube.levels)}.",
                remedy=wanted
                if 1 in (there, len(self.cube.levels))
                else "Make the same overviews as those of the images that are there.",
            )
        present = read_sources_table(session.store).places()
        levels = [
            self._extend_level(session, level, each, present)
            for level, each in _levels(self.path, self.cube).items()
        ]
        return [_written(self.path, levels)]

    def _extend_level(
        self, session: icechunk.Session, path: str, cube: CubePlan, present: set[tuple[str, str]]
    ) -> _Level:
        """Make room for images at one resolution."""
        store = session.store
        group = _open_group(store, path)
        existing = read_coordinate(group, cube.dimension)
        check_grid(store, path, cube)
        check_bands(group, path, cube)
        check_fits(store, path, cube)
        cube, skipped = without_present(key_prefix(path), cube, present, self.on_present)
        if cube.images == 0:
            return _Level(path, cube, np.empty(0, np.int64), skipped=skipped)
        together = merge(existing, cube.coordinate)
        check_order(cube, existing, together, self.out_of_order)
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
        return _Level(
            path,
            cube,
            together.new,
            grown=len(together.values) - len(existing),
            skipped=skipped,
            arrays=len(cube.variables) + 1,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """One resolution of a cube that a session holds, but not yet its references.

    `steps` says where those of `cube` go along the first dimension, `grown` how many steps the
    group had not before, `skipped` how many images were there before.
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
        """Rows for the table of sources."""
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
        names = ("url", "ifd", "size", "etag")
        table = self.cube.inventory.table.select([*names, "last_modified"])
        table = table.take(pa.array(np.concatenate(rows)))
        return Sources.of(
            array=arrays,
            position=places,
            band=bands,
            last_modified=modified_times(table["last_modified"]),
            **{name: table[name].to_pylist() for name in names},
        )


def _written(path: str, levels: Sequence[_Level]) -> Written:
    """Sum up the levels of a cube, the first of which is of full resolution."""
    full = levels[0]
    cube = full.cube
    first, last = as_text(cube.coordinate[[0, -1]]) if cube.images else ("", "")
    return Written(
        path=path,
        added=Added(
            images=cube.images,
            arrays=sum(level.arrays for level in levels),
            has_groups=len(levels) > 1,
            steps=full.grown,
            first=first,
            last=last,
            variables=tuple(cube.variables),
            skipped=full.skipped,
            levels=len(levels),
        ),
        tasks=(task for level in levels for task in level.tasks(path, full=level is full)),
        sources=concatenated([level.sources() for level in levels]),
    )


def _grows(cube: CubePlan) -> Mapping[str, int]:
    return {cube.dimension: max(v.image.offsets.size for v in cube.variables.values())}


def level_count(store: IcechunkStore, path: str) -> int:
    """Count the levels of a cube with overviews; 0 where there is none."""
    document = get_json(store, f"{key_prefix(path)}zarr.json") or {}
    multiscales = document.get("attributes", {}).get("multiscales", {})
    return len(multiscales.get("layout", ()))


def _levels(path: str, cube: CubePlan) -> dict[str, CubePlan]:
    if not cube.overviews:
        return {path: cube}
    return {f"{key_prefix(path)}{number}": each for number, each in enumerate(cube.levels)}


def _write_level(
    store: IcechunkStore, path: str, cube: CubePlan, *, coordinates: bool = True
) -> _Level:
    """Write the arrays of a new cube at one resolution.

    Raises
    ------
    RepositoryError
        With kind `conflict` if one of them is there.
    """
    beside = frame(cube.grid, bands=cube.bands, band_names=cube.band_names, coordinates=coordinates)
    names = (*cube.variables, cube.dimension, *beside.arrays)
    run(check_free(store, [f"{key_prefix(path)}{name}" for name in names], remedy=_TAKEN))
    run(_write_frame(store, path, beside))
    steps = len(cube.coordinate)
    for name, variable in cube.variables.items():
        _create(store, path, name, variable, cube.dimension, steps)
    write_coordinate(_open_group(store, path), cube.dimension, cube.coordinate)
    return _Level(path, cube, np.arange(steps), grown=steps, arrays=len(names))


async def _write_frame(store: IcechunkStore, path: str, plan: GroupPlan) -> None:
    """Write a group, and what is above it; attributes that are there stay."""
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
    """Move the chunks of an array to where its steps are now."""
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
    if get_json(store, f"{key_prefix(path)}{GRID_MAPPING}/zarr.json") is not None:
        # CF section 5.6; the second so that xarray makes a coordinate of it.
        named = {"grid_mapping": GRID_MAPPING, "coordinates": GRID_MAPPING}
        plan = replace(plan, attributes={**named, **plan.attributes})
    run(set_document(store, f"{key_prefix(path)}{name}", to_bytes(array_document(plan))))


def _resize(store: IcechunkStore, array: str, steps: int, variable: CubeVariable | None) -> None:
    """Make an array longer; of its attributes, those stay that the new images have as well."""
    document = get_json(store, f"{array}/zarr.json")
    if document is None:
        raise RepositoryError(f"there is no array {array!r}.", kind=ErrorKind.NOT_FOUND)
    document["shape"][0] = steps
    if variable is not None:
        there = document["attributes"]
        kept = {key: there[key] for key in _OF_THE_CUBE if key in there}
        document["attributes"] = shared_attributes([there, variable.image.attributes]) | kept
    run(set_document(store, array, json.dumps(document, ensure_ascii=False).encode()))


def _along(group: zarr.Group, dimension: str) -> list[str]:
    """Names of the arrays of a group whose first dimension is this one, but for itself."""
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
