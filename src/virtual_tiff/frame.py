"""The grid of a cube → what is written of it once: x, y, spatial_ref, attributes of the group."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from virtual_tiff.attributes import (
    coordinate_attributes,
    coordinate_values,
    crs_attributes,
    group_attributes,
)
from virtual_tiff.geokeys import CRSResult, GeoTransform
from virtual_tiff.plan import JSON, ArrayPlan, GroupPlan
from virtual_tiff.cube_plan import Grid

GRID_MAPPING = "spatial_ref"


def frame(grid: Grid, *, coordinates: bool = True) -> GroupPlan:
    """Plan the variables that all arrays of a cube share.

    Parameters
    ----------
    grid
        Of the cube.
    coordinates
        Whether to write x and y, where the grid is not rotated.

    Returns
    -------
    GroupPlan
        `x` and `y` (pixel centres, CF section 4), `spatial_ref` (CF section 5.6), and the
        attributes of the `proj` and `spatial` conventions; empty where there is no
        georeferencing.
    """
    system = crs_result(grid.crs)
    transform = geotransform(grid)
    shape = (grid.height, grid.width)
    arrays: dict[str, ArrayPlan] = {}
    if transform is not None and coordinates:
        sizes: tuple[tuple[Literal["x", "y"], int], ...] = (("y", shape[0]), ("x", shape[1]))
        for axis, size in sizes:
            values = coordinate_values(transform, size, axis)
            if values is not None:
                attributes = coordinate_attributes(system, axis)
                arrays[axis] = stored_array(values, (axis,), attributes)
    if transform is not None or system.crs is not None:
        mapping = crs_attributes(system)
        if transform is not None:
            mapping["GeoTransform"] = " ".join(map(repr, transform))
        arrays[GRID_MAPPING] = stored_array(np.zeros((), np.int64), (), mapping)
    return GroupPlan(arrays=arrays, attributes=group_attributes(system, transform, shape))


def geotransform(grid: Grid) -> GeoTransform | None:
    """The affine of a grid in GDAL's order."""
    if grid.transform is None:
        return None
    a, b, c, d, e, f = grid.transform
    return (c, a, b, f, d, e)


def grid_of(attributes: Mapping[str, Any], width: int, height: int) -> Grid:
    """Read a grid back from the attributes of its grid mapping variable."""
    text = attributes.get("GeoTransform")
    transform = None
    if isinstance(text, str):
        x, a, b, y, d, e = map(float, text.split())
        transform = (a, b, x, d, e, y)
    return Grid(crs=attributes.get("crs_wkt"), transform=transform, width=width, height=height)


@lru_cache(maxsize=256)
def crs_result(text: str | None) -> CRSResult:
    """Read the CRS of an inventory: `EPSG:32633`, or WKT."""
    if text is None:
        return CRSResult()
    system = CRS(text)
    return CRSResult(crs=system, authority=text if text.partition(":")[0].isalpha() else None)


def stored_array(
    values: NDArray[np.float64] | NDArray[np.int64],
    dimensions: tuple[str, ...],
    attributes: dict[str, JSON],
) -> ArrayPlan:
    """Plan a small array that is stored as it is, in one chunk without compression."""
    nothing = np.zeros((1,) * values.ndim, np.uint64)
    little = values.astype(values.dtype.newbyteorder("<"))
    return ArrayPlan(
        shape=values.shape,
        chunk_shape=values.shape,
        data_type=values.dtype,
        codecs=({"name": "bytes", "configuration": {"endian": "little"}},),
        fill_value=values.dtype.type(0).item(),
        dimension_names=dimensions,
        source=None,
        offsets=nothing,
        lengths=nothing,
        inline={(0,) * values.ndim: little.tobytes()},
        attributes=attributes,
    )
