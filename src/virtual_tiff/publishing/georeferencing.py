"""Read the grid of a dataset in a store, and describe it in the group above for viewers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import zarr

from virtual_tiff.cubes.grid import GRID_MAPPING, description, grid_of
from virtual_tiff.cubes.plan import ImageGrid
from virtual_tiff.errors import ErrorKind, MismatchError, RepositoryError
from virtual_tiff.planning.attributes import Description
from virtual_tiff.planning.pyramid import multiscales_attributes
from virtual_tiff.planning.same_grid import same_crs
from virtual_tiff.planning.stacks import TILES

#: Georeferencing that no coordinates tell, so that slices do not change it.
_FIXED = ("gcps", "rpcs")
_LEVELS = "Write each level into a group with its number, the full resolution into 0."


def georeference(store: Any, group: str = "") -> None:
    """Describe the levels of an image in the group that holds them, for viewers of maps.

    Levels are datasets in the groups `0`, `1`, … of the group, with coordinates `x` and `y`. Their
    sizes, transforms and CRS become attributes of the group: the `multiscales`, `spatial` and
    `proj` conventions. Call it after you have written levels that xarray sliced or joined. No TIFF
    is read, and nothing but these attributes is written.

    Parameters
    ----------
    store
        A Zarr store that can be written, such as that of an Icechunk session; or a Zarr group.
    group
        Path of the group that holds the levels.

    Raises
    ------
    RepositoryError
        With kind `not-found`: there is no such group, or it holds no levels.
    MismatchError
        The grid of a level is rotated, or only control points or polynomials tell its place. xarray
        does not change these when it slices, so where the level is now is not known. Or it has one
        row or column and no `GeoTransform`, so that nothing tells the size of its pixels.
    """
    try:
        if isinstance(store, zarr.Group):
            parent: Any = store[group] if group else store
        else:
            parent = zarr.open_group(store, path=group or None, mode="r+", zarr_format=3)
    except (FileNotFoundError, KeyError) as error:
        raise RepositoryError(
            f"there is no group {group or '/'!r}.", kind=ErrorKind.NOT_FOUND
        ) from error
    found = {name: child for name, child in parent.groups() if name.isdecimal()}
    levels = {name: _described(name, found[name]) for name in sorted(found, key=int)}
    if not levels:
        raise RepositoryError(
            f"the group {group or '/'!r} holds no levels.", kind=ErrorKind.NOT_FOUND, remedy=_LEVELS
        )
    kept = {k: v for k, v in parent.attrs.items() if not k.startswith(("proj:", "spatial:"))}
    parent.attrs.put({**kept, **multiscales_attributes(levels)})


def read_grid(group: zarr.Group, width: int, height: int) -> ImageGrid:
    """Read the grid of a dataset from its coordinates and the attributes of its grid mapping."""
    mapping, *axes = (group.get(name) for name in (GRID_MAPPING, "x", "y"))
    x, y = (
        # Those of tiles have two dimensions, and tell no one grid.
        np.asarray(axis[:], np.float64) if isinstance(axis, zarr.Array) and axis.ndim == 1 else None
        for axis in axes
    )
    attributes = dict(mapping.attrs) if isinstance(mapping, zarr.Array) else {}
    return grid_of(attributes, width, height, x=x, y=y)


def read_whole_grid(group: zarr.Group, width: int, height: int) -> ImageGrid:
    """Read the grid of a dataset as `read_grid`; of tiles, the one that they make together."""
    lines = []
    for name, size in zip(TILES, (height, width), strict=True):
        tiles = group.get(name)
        if not isinstance(tiles, zarr.Array) or "origin" not in tiles.attrs:
            return read_grid(group, width, height)
        origin, step = (float(str(tiles.attrs[key])) for key in ("origin", "step"))
        starts = np.asarray(tiles[:], np.int64)
        first = int(starts[0])
        # The last tile may be smaller than others.
        end = int(str(tiles.attrs.get("end", int(starts[-1]) + size)))
        lines.append((origin + step * first, step, end - first))
    (top, e, height), (left, a, width) = lines
    grid = read_grid(group, width, height)
    transform = (a, 0.0, left, 0.0, e, top)
    return replace(grid, transform=transform, width=width, height=height)


def _described(name: str, group: zarr.Group) -> Description:
    """Describe the grid of a level; refuse one whose place is not told by coordinates."""
    sizes: dict[str, int] = {}
    for _, array in group.arrays():
        names = getattr(array.metadata, "dimension_names", None) or ()
        sizes.update(zip(names, array.shape, strict=False))
    if not {"x", "y"} <= sizes.keys():
        raise RepositoryError(
            f"no array of the level {name} has the dimensions y and x.",
            kind=ErrorKind.NOT_FOUND,
            remedy=_LEVELS,
        )
    grid = read_whole_grid(group, sizes["x"], sizes["y"])
    axes = [group.get(axis) for axis in ("x", "y")]
    if grid.transform is None and any(
        isinstance(axis, zarr.Array) and axis.shape == (1,) for axis in axes
    ):
        raise MismatchError(
            f"level {name} has one row or column, so coordinates do not tell the size of pixels.",
            remedy="Slice two rows and columns at least, or write GeoTransform of the slice into "
            "the attributes of spatial_ref.",
        )
    _, b, _, d, *_ = grid.transform or (1, 0, 0, 0, 1, 0)
    if b or d or any(key in grid.extra_georeferencing for key in _FIXED):
        raise MismatchError(
            f"the place of level {name} is not told by coordinates: the grid is rotated, or has "
            "control points or polynomials.",
            remedy="Publish the whole image with publish, which describes it.",
        )
    code = group.attrs.get("proj:code")
    if isinstance(code, str) and (grid.crs is None or same_crs(code, grid.crs)):
        grid = replace(grid, crs=code)
    return description(grid)
