"""The plan of a cube → a part of a commit: a new cube, or more images of one that is there.

A cube with overviews is a group for each level, under the `multiscales` Zarr convention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import icechunk
from icechunk import IcechunkStore

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.coordinate import as_text
from virtual_tiff.cubes.grid import description
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.errors import ErrorKind, MismatchError, RepositoryError
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.planning.pyramid import multiscales_attributes
from virtual_tiff.publishing.levels import TAKEN, Level, extend_level, write_frame, write_level
from virtual_tiff.publishing.nodes import check_outside, get_json, key_prefix
from virtual_tiff.publishing.parts import Part, Written
from virtual_tiff.publishing.results import Added
from virtual_tiff.publishing.sources_table import concatenated, read_sources_table
from virtual_tiff.storage.run import run


@dataclass(frozen=True, slots=True, eq=False)
class CubePart(Part):
    """A cube, or more images for one that is there.

    Parameters
    ----------
    path
        Path of the group, without slashes at its ends; empty for the root.
    cube
        Plan of the cube, or of the images to add.
    coordinates
        Whether x, y and band of a new cube are written.
    is_new
        Whether the cube is not there yet. The rest matters if it is.
    on_present
        Whether to `raise` for an image whose place is taken, or to `skip` it.
    out_of_order
        Whether to `raise` for images that come before the last of the cube, or to `insert`
        them, for which the references after them are rewritten.
    """

    path: str
    cube: CubePlan
    coordinates: bool = True
    is_new: bool = True
    on_present: OnPresent = "raise"
    out_of_order: OutOfOrder = "raise"

    @property
    def grows(self) -> Mapping[str, int]:
        """Chunks of the largest variable; more images do not change how manifests are cut."""
        if not self.is_new:
            return {}
        variables = self.cube.variables.values()
        return {self.cube.dimension: max(v.image.offsets.size for v in variables)}

    def write(self, session: icechunk.Session) -> list[Written]:
        """Write or extend the arrays of all levels, which have to be those of the cube."""
        there = level_count(session.store, self.path)
        if self.is_new:
            self._check_new(session.store, there)
            levels = [
                write_level(session.store, level, each, coordinates=self.coordinates)
                for level, each in _levels(self.path, self.cube).items()
            ]
        else:
            self._check_levels(there or 1)
            present = read_sources_table(session.store).places()
            levels = [
                extend_level(session, level, each, present, self.on_present, self.out_of_order)
                for level, each in _levels(self.path, self.cube).items()
            ]
        return [_written(self.path, levels)]

    def _check_new(self, store: IcechunkStore, there: int) -> None:
        """Refuse a cube with other levels than one that is there; write the group above levels."""
        path, cube = self.path, self.cube
        run(check_outside(store, [path]))
        alone = f"{key_prefix(path)}{cube.dimension}"
        if there or (cube.overviews and get_json(store, alone) is not None):
            raise RepositoryError(
                f"the group {path or '/'!r} holds a cube {'with' if there else 'without'} "
                "overviews.",
                kind=ErrorKind.CONFLICT,
                remedy=TAKEN,
            )
        if cube.overviews:
            described = {str(i): description(each.grid) for i, each in enumerate(cube.levels)}
            attributes = multiscales_attributes(described)
            run(write_frame(store, path, GroupPlan(attributes=attributes)))

    def _check_levels(self, there: int) -> None:
        count = len(self.cube.levels)
        if there == count:
            return
        remedy = "Build the same overviews as those of the existing images."
        if 1 in (there, count):
            remedy = "Pass overviews=True." if there > 1 else "Leave overviews out."
        raise MismatchError(
            f"the cube in {self.path or '/'!r} has {there} levels, but the images have {count}.",
            remedy=remedy,
        )


def _written(path: str, levels: Sequence[Level]) -> Written:
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
            dataset=full.path,
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


def level_count(store: IcechunkStore, path: str) -> int:
    """Return the number of levels of a cube with overviews; 0 if there is none."""
    document = get_json(store, path) or {}
    multiscales = document.get("attributes", {}).get("multiscales", {})
    return len(multiscales.get("layout", ()))


def _levels(path: str, cube: CubePlan) -> dict[str, CubePlan]:
    if not cube.overviews:
        return {path: cube}
    return {f"{key_prefix(path)}{number}": each for number, each in enumerate(cube.levels)}
