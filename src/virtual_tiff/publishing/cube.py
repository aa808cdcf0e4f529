"""The plan of a cube → a part of a commit: a new cube, or more images of one that is there.

A cube with overviews is a group for each level, under the `multiscales` Zarr convention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from virtual_tiff.publishing.parts import Written
from virtual_tiff.publishing.results import Added
from virtual_tiff.publishing.sources_table import concatenated, read_sources_table
from virtual_tiff.storage.run import run


@dataclass(frozen=True, slots=True, eq=False)
class NewCube:
    """A cube that is not there yet.

    Parameters
    ----------
    path
        Path of the group, without slashes at its ends; empty for the root.
    cube
        Plan of the cube.
    coordinates
        Whether x, y and band are written.
    """

    path: str
    cube: CubePlan
    coordinates: bool = True

    @property
    def grows(self) -> Mapping[str, int]:
        """Chunks of one step of the largest variable, by the dimension of the cube."""
        variables = self.cube.variables.values()
        return {self.cube.dimension: max(v.image.offsets.size for v in variables)}

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
                remedy=TAKEN,
            )
        if cube.overviews:
            attributes = multiscales_attributes([description(each.grid) for each in cube.levels])
            run(write_frame(store, path, GroupPlan(attributes=attributes)))
        levels = [
            write_level(store, level, each, coordinates=self.coordinates)
            for level, each in _levels(path, cube).items()
        ]
        return [_written(path, levels)]


@dataclass(frozen=True, slots=True, eq=False)
class MoreImages:
    """Images for a cube that is there.

    Parameters
    ----------
    path
        Path of the group of the cube.
    cube
        The images to add, as a cube.
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
    #: How manifests are cut was decided with the first images.
    grows: Mapping[str, int] = field(default_factory=dict, init=False)

    @property
    def is_small(self) -> bool:
        """Never: stored chunks of later images are added to the same manifests."""
        return False

    def write(self, session: icechunk.Session) -> list[Written]:
        """Make room in all levels.

        Raises
        ------
        MismatchError
            Images do not fit, or have other levels than the cube.
        InvalidOptionError
            With kind `duplicate` if they exist already.
        RepositoryError
            The cube does not exist.
        """
        there = level_count(session.store, self.path) or 1
        if there != len(self.cube.levels):
            wanted = "Pass overviews=True." if there > 1 else "Leave overviews out."
            raise MismatchError(
                f"the cube in {self.path or '/'!r} has {there} levels, but the images have "
                f"{len(self.cube.levels)}.",
                remedy=wanted
                if 1 in (there, len(self.cube.levels))
                else "Build the same overviews as those of the existing images.",
            )
        present = read_sources_table(session.store).places()
        levels = [
            extend_level(
                session,
                level,
                each,
                present,
                on_present=self.on_present,
                out_of_order=self.out_of_order,
            )
            for level, each in _levels(self.path, self.cube).items()
        ]
        return [_written(self.path, levels)]


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
    document = get_json(store, f"{key_prefix(path)}zarr.json") or {}
    multiscales = document.get("attributes", {}).get("multiscales", {})
    return len(multiscales.get("layout", ()))


def _levels(path: str, cube: CubePlan) -> dict[str, CubePlan]:
    if not cube.overviews:
        return {path: cube}
    return {f"{key_prefix(path)}{number}": each for number, each in enumerate(cube.levels)}
