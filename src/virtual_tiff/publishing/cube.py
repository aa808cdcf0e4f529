"""The plan of a cube → a part of a commit: a new cube, or more images of one that is there.

A cube with overviews is a group for each level, under the `multiscales` Zarr convention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod, sqrt

import icechunk
import zarr
from icechunk import IcechunkStore

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.coordinate import as_text
from virtual_tiff.cubes.grid import description
from virtual_tiff.cubes.pages import ome_attributes
from virtual_tiff.cubes.plan import CubePlan, Existing
from virtual_tiff.errors import ErrorKind, MismatchError, RepositoryError
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.planning.pyramid import multiscales_attributes
from virtual_tiff.planning.stacks import TILES
from virtual_tiff.publishing.extending.level import extend_level
from virtual_tiff.publishing.georeferencing import georeference
from virtual_tiff.publishing.levels import (
    TAKEN,
    CubeLevel,
    existing_of,
    is_variable,
    write_frame,
    write_level,
)
from virtual_tiff.publishing.manifests import MANIFEST_REFERENCES
from virtual_tiff.publishing.nodes import check_outside, get_json, key_prefix
from virtual_tiff.publishing.parts import Part, Written
from virtual_tiff.publishing.results import Added
from virtual_tiff.publishing.sources_table import Recorded, concatenated
from virtual_tiff.storage.run import run

#: Most steps of the first axis in a manifest of tiles.
_STEPS = 25
#: References that one step more may rewrite, about 11 bytes each.
_REWRITTEN = 60_000
#: References of one step in a manifest, which the chunks of one place are searched in.
_SERIES = 1_500
#: Squares of tiles from which on manifests are larger: a commit takes time for each of them.
_SQUARES = 9
#: Most squares, whether or not there are tiles in them: a commit looks at each of them.
_MOST_SQUARES = 4_096


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
        Whether to `raise` for an image whose place is taken, to `skip` it, or to `replace` what is
        there.
    out_of_order
        Whether to `raise` for images that come before the last of the cube, or to `insert`
        them, for which the references after them are rewritten.
    resumes
        Whether images that have their places already are skipped, whatever `on_present` says.
    """

    path: str
    cube: CubePlan
    coordinates: bool = True
    is_new: bool = True
    on_present: OnPresent = "raise"
    out_of_order: OutOfOrder = "raise"
    resumes: bool = False

    @property
    def grows(self) -> Mapping[str, int]:
        """Chunks of the largest variable; more images do not change how manifests are cut."""
        if not self.is_new:
            return {}
        largest = max(
            (v.image for v in self.cube.variables.values()), key=lambda image: image.offsets.size
        )
        chunks = largest.offsets.size
        sizes = self.cube.sizes
        # Along these, tiles of one grid follow each other.
        stitched = {name: sizes.pop(name) for name in TILES if name in sizes}
        first, *others = sizes or [""]
        within = prod(sizes[name] for name in others)
        if self.cube.grid_kind == "regular" and chunks * within > MANIFEST_REFERENCES / _STEPS:
            grid = dict(zip(largest.dimension_names, largest.grid_shape, strict=True))
            stitched = {name: grid[name] for name in ("y", "x")}
            chunks //= prod(stitched.values())
        count = prod(stitched.values())
        # A manifest holds a square of tiles, and some steps of the first axis: few enough that a
        # step more rewrites little, and that a series reads little.
        steps = min(_STEPS, max(2, _REWRITTEN // (chunks * within * count))) if stitched else 1
        square = MANIFEST_REFERENCES / 2 / (steps * chunks * within)
        square = min(square, max(_SERIES / (chunks * within), count / _SQUARES))
        square = max(square, count / _MOST_SQUARES)
        side = max(1, ceil(sqrt(square))) if stitched else 1
        grows = dict.fromkeys(stitched, max(1, MANIFEST_REFERENCES // side))
        if first:
            size = prod(min(side, n) for n in stitched.values())
            grows[first] = MANIFEST_REFERENCES // steps if stitched else chunks * within * size
        return grows

    def write(self, session: icechunk.Session) -> list[Written]:
        """Write or extend the arrays of all levels, which have to be those of the cube."""
        there = level_count(session.store, self.path)
        if self.is_new:
            self._check_new(session.store, there)
            levels = [
                write_level(
                    session.store,
                    level,
                    each,
                    coordinates=self.coordinates,
                    alone=not self.cube.overviews,
                )
                for level, each in _levels(self.path, self.cube).items()
            ]
        else:
            self._check_levels(there or 1)
            recorded = Recorded(session.store)
            levels = [
                extend_level(
                    session,
                    level,
                    each,
                    recorded,
                    on_present=self.on_present,
                    out_of_order=self.out_of_order,
                    resumes=self.resumes,
                )
                for level, each in _levels(self.path, self.cube).items()
            ]
            if self.cube.overviews and any(level.is_larger for level in levels):
                georeference(session.store, self.path)
        return [_written(self.path, levels)]

    def _check_new(self, store: IcechunkStore, there: int) -> None:
        """Refuse a cube with other levels than one that is there; write the group above levels."""
        path, cube = self.path, self.cube
        run(check_outside(store, [path]))
        names = [*cube.sizes, *cube.variables]
        alone = any(get_json(store, f"{key_prefix(path)}{name}") is not None for name in names)
        if there or (cube.overviews and alone):
            raise RepositoryError(
                f"the group {path or '/'!r} holds a cube {'with' if there else 'without'} "
                "overviews.",
                kind=ErrorKind.CONFLICT,
                remedy=TAKEN,
            )
        if cube.overviews:
            described = {str(i): description(each.grid) for i, each in enumerate(cube.levels)}
            attributes = multiscales_attributes(described)
            levels = {f"{i}/": each for i, each in enumerate(cube.levels)}
            attributes |= ome_attributes(levels)
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


def _written(path: str, levels: Sequence[CubeLevel]) -> Written:
    """Sum up the levels of a cube, the first of which is of full resolution."""
    full = levels[0]
    cube = full.cube
    first, last = "", ""
    if cube.images and cube.axes:
        first, last = as_text(cube.axes[0].values[[0, -1]])
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
            replaced=full.replaced,
            levels=len(levels),
            notes=cube.notes,
        ),
        tasks=(task for level in levels for task in level.tasks(path, full=level is full)),
        sources=concatenated([level.sources() for level in levels]),
        dropped=[row for level in levels for row in level.dropped],
    )


def level_count(store: IcechunkStore, path: str) -> int:
    """Return the number of levels of a cube with overviews; 0 if there is none."""
    document = get_json(store, path) or {}
    multiscales = document.get("attributes", {}).get("multiscales", {})
    return len(multiscales.get("layout", ()))


def has_cube(store: IcechunkStore, path: str) -> bool:
    """Return whether a group holds a cube, with or without overviews."""
    try:
        group = zarr.open_group(store, path=path or None, mode="r", zarr_format=3)
    except FileNotFoundError:
        return False
    return level_count(store, path) > 0 or any(is_variable(*each) for each in group.arrays())


def existing_levels(store: IcechunkStore, path: str) -> tuple[Existing, ...]:
    """Return the levels of a stitched cube that is there; empty if there is none.

    The grid of tiles is kept at their coordinates: it does not depend on which tiles there are.
    """
    count = level_count(store, path)
    paths = [f"{key_prefix(path)}{number}" for number in range(count)] if count else [path]
    found = []
    for each in paths:
        try:
            group = zarr.open_group(store, path=each or None, mode="r", zarr_format=3)
        except FileNotFoundError:
            return ()
        found.append(existing_of(group))
    return tuple(found)


def _levels(path: str, cube: CubePlan) -> dict[str, CubePlan]:
    if not cube.overviews:
        return {path: cube}
    return {f"{key_prefix(path)}{number}": each for number, each in enumerate(cube.levels)}
