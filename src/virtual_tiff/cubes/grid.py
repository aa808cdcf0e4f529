"""Plan the variables of the grid of a cube: x, y, spatial_ref, attributes of the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from virtual_tiff.cubes.pages import ome_attributes, page_coordinates
from virtual_tiff.cubes.plan import CubePlan, ImageGrid
from virtual_tiff.inventory.table import EXTRA_GEOREFERENCING
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import Description, crs_attributes
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.planning.variables import band_names as band_names_of
from virtual_tiff.planning.variables import (
    band_numbers,
    coordinate,
    geotransform_of,
    grid_mapping,
)
from virtual_tiff.tiff.geokeys import CRSResult, GeoTransform

GRID_MAPPING = "spatial_ref"


def frame(cube: CubePlan, *, coordinates: bool = True, alone: bool = True) -> GroupPlan:
    """Plan the variables that all arrays of a cube share.

    Parameters
    ----------
    cube
        The cube.
    coordinates
        Whether to write x and y, if the grid is not rotated, band, and coordinates of pages.
    alone
        Whether the cube has one level, so that its own group has the metadata of OME-Zarr.

    Returns
    -------
    GroupPlan
        `x` and `y` (pixel centres, CF section 4), `band`, `spatial_ref` (CF section 5.6), and the
        attributes of the `proj` convention, as far as they are known. Tiles have coordinates of
        their own, and nothing here says where they are.
    """
    grid = cube.grid
    tiled = cube.grid_kind == "tiles"
    described = description(replace(grid, transform=None) if tiled else grid)
    arrays: dict[str, ArrayPlan] = {}
    sizes: tuple[tuple[Literal["x", "y"], int], ...] = (("y", grid.height), ("x", grid.width))
    for axis, size in sizes if coordinates and not tiled else ():
        variable = coordinate(described, axis, size, axis)
        if variable is not None:
            arrays[axis] = variable
    if cube.bands and coordinates:
        arrays["band"] = _bands(cube.bands, cube.band_names)
    if coordinates:
        arrays |= page_coordinates(cube)
    mapping = grid_mapping(described, coordinates=coordinates)
    if mapping is not None:
        arrays[GRID_MAPPING] = mapping
    attributes = described.group_attributes
    if alone:
        attributes = {**attributes, **ome_attributes({"": cube})}
    return GroupPlan(arrays=arrays, attributes=attributes)


def _bands(count: int, names: Sequence[str] | None) -> ArrayPlan:
    if names is None:
        return band_numbers(count, "band")
    if all(name.isdecimal() for name in names):
        return band_numbers(count, "band", [int(name) for name in names])
    return band_names_of(names, "band")


def description(grid: ImageGrid) -> Description:
    """Return the metadata of an image on this grid."""
    system = crs_result(grid.crs)
    mapping = crs_attributes(system)
    transform: GeoTransform | None = None
    if grid.transform is not None:
        a, b, c, d, e, f = grid.transform
        transform = (c, a, b, f, d, e)
        mapping["GeoTransform"] = " ".join(map(repr, transform))
    mapping |= grid.extra_georeferencing
    return Description(
        array_attributes={},
        spatial_ref_attributes=mapping or None,
        crs=system,
        geotransform=transform,
        band_names=(),
        notes=(),
        shape=(grid.height, grid.width),
    )


def grid_of(
    attributes: Mapping[str, object],
    width: int,
    height: int,
    *,
    x: NDArray[np.float64] | None = None,
    y: NDArray[np.float64] | None = None,
) -> ImageGrid:
    """Read a grid from the attributes of its grid mapping variable, and from its coordinates."""
    transform = None
    found = geotransform_of(x, y, attributes.get("GeoTransform"))
    if found is not None:
        left, a, b, top, d, e = found
        transform = (a, b, left, d, e, top)
    return ImageGrid(
        crs=None if (crs := attributes.get("crs_wkt")) is None else str(crs),
        transform=transform,
        width=width,
        height=height,
        extra_georeferencing={
            key: cast(JSON, attributes[key]) for key in EXTRA_GEOREFERENCING if key in attributes
        },
    )


@lru_cache(maxsize=256)
def crs_result(text: str | None) -> CRSResult:
    """Parse the CRS of an inventory: `EPSG:32633`, or WKT."""
    if text is None:
        return CRSResult()
    system = CRS(text)
    return CRSResult(crs=system, authority=text if text.partition(":")[0].isalpha() else None)
