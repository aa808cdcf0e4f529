"""A cube with its overviews: a group for each level, under the `multiscales` Zarr convention."""

from __future__ import annotations

from typing import Any

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.grid import description, frame
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.errors import ErrorKind, MismatchError, RepositoryError
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.planning.pyramid import multiscales_attributes
from virtual_tiff.publishing.cube import extend_cube, write_cube, write_frame
from virtual_tiff.publishing.fitting import key_prefix
from virtual_tiff.publishing.sources_table import read_sources_table
from virtual_tiff.publishing.written import Written
from virtual_tiff.publishing.zarr_store import exists, get_json

type Store = Any


def write_levels(store: Store, path: str, cube: CubePlan, *, coordinates: bool = True) -> Written:
    """Write a new cube, with overviews in the groups `0`, `1`, … of its group.

    The parameters are as for `write_cube`; `coordinates` says whether x, y and band are written.

    Raises
    ------
    RepositoryError
        With kind `repository-exists` if there is a cube.
    """
    there = level_count(store, path)
    if there or (cube.overviews and exists(store, f"{key_prefix(path)}{cube.dimension}/zarr.json")):
        raise RepositoryError(
            f"the group {path or '/'!r} holds a cube {'with' if there else 'without'} overviews.",
            kind=ErrorKind.REPOSITORY_EXISTS,
            remedy="Append to it, or publish into another group.",
        )
    levels = _paths(path, cube)
    if cube.overviews:
        attributes = multiscales_attributes([description(each.grid) for each in cube.levels])
        write_frame(store, path, GroupPlan(attributes=attributes))
    parts = []
    for level, each in levels.items():
        beside = frame(
            each.grid, bands=each.bands, band_names=each.band_names, coordinates=coordinates
        )
        parts.append(write_cube(store, level, each, frame=beside))
    return Written.of(parts)


def extend_levels(
    store: Store,
    path: str,
    cube: CubePlan,
    *,
    session: Any,
    on_present: OnPresent = "raise",
    out_of_order: OutOfOrder = "raise",
) -> Written:
    """Make room in all levels of a cube; the parameters are as for `extend_cube`.

    Raises
    ------
    MismatchError
        The images do not fit, or have other levels than the cube.
    """
    there = level_count(store, path) or 1
    if there != len(cube.levels):
        wanted = "Pass overviews=True." if there > 1 else "Leave overviews out."
        raise MismatchError(
            f"the cube in {path or '/'!r} has {there} levels, but the images have "
            f"{len(cube.levels)}.",
            remedy=wanted
            if 1 in (there, len(cube.levels))
            else "Make the same overviews as those of the images that are there.",
        )
    present = read_sources_table(store).places()
    return Written.of(
        [
            extend_cube(
                store,
                level,
                each,
                session=session,
                on_present=on_present,
                out_of_order=out_of_order,
                present=present,
            )
            for level, each in _paths(path, cube).items()
        ]
    )


def level_count(store: Store, path: str) -> int:
    """Count the levels of a cube with overviews; 0 where there is none."""
    document = get_json(store, f"{key_prefix(path)}zarr.json") or {}
    multiscales = document.get("attributes", {}).get("multiscales", {})
    return len(multiscales.get("layout", ()))


def _paths(path: str, cube: CubePlan) -> dict[str, CubePlan]:
    if not cube.overviews:
        return {path: cube}
    return {f"{key_prefix(path)}{number}": each for number, each in enumerate(cube.levels)}
