"""Make attributes of georeferencing: CF grid mapping, `proj` and `spatial` conventions.

Datasets have nothing that depends on their extent, since it would be wrong after a slice or a join:
the `spatial` convention is for the groups above them.

CF 1.11 section 5.6 and appendix F; GDAL's `GeoTransform` and rioxarray's `gcps` and `rpcs` on the
grid mapping variable; Zarr conventions `proj` and `spatial`, v0.1 both (r3 in zarr-cm).
"""

from __future__ import annotations

import json
import warnings
from functools import lru_cache
from math import degrees, isclose, isfinite
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from zarr_cm import proj, spatial

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import json_text
from virtual_tiff.tiff.geokeys import (
    CRSResult,
    GeoTransform,
    crs,
    gcps,
    rpcs,
)
from virtual_tiff.tiff.ifd import GeoKeyValue, ImageFileDirectory

type Attributes = dict[str, JSON]

#: Units of angles in parameters whose category PROJ does not tell.
_ANGLES = frozenset({"degree", "grad", "radian"})
_ZERO = 1e-12


def spatial_ref_attributes(
    ifd: ImageFileDirectory,
    transform: GeoTransform | None,
    level_shape: tuple[int, int] | None = None,
) -> Attributes | None:
    """Return the attributes of the grid mapping variable; `None` without georeferencing.

    `level_shape` has the rows and columns of the image if it is an overview, as `transform` is its
    own.
    """
    points, polynomials = gcps(ifd, level_shape), rpcs(ifd, level_shape)
    attributes = _grid_mapping(crs(ifd), transform)
    # rioxarray keeps these two as JSON in a string.
    if points is not None:
        attributes = {**attributes, "gcps": json.dumps(points)}
    if polynomials is not None:
        attributes = {**attributes, "rpcs": json.dumps(polynomials)}
    return attributes or None


@lru_cache(maxsize=256)
def _grid_mapping(result: CRSResult, transform: GeoTransform | None) -> Attributes:
    attributes = crs_attributes(result)
    if transform is not None:
        attributes["GeoTransform"] = " ".join(map(repr, transform))
    return attributes


def crs_attributes(result: CRSResult) -> Attributes:
    """Return the attributes of the grid mapping that depend only on the CRS.

    Returns
    -------
    dict
        `crs_wkt` and `spatial_ref` (WKT 2:2019, under both names that readers use), CF's parameters
        if CF has the projection, `coordinate_epoch` as a decimal year; keys that could not be
        resolved are in `geo_keys`, JSON in a string, with the reason in `crs_note`.
    """
    attributes: Attributes = {}
    system = result.crs
    if system is not None:
        wkt = system.to_wkt()
        attributes["crs_wkt"] = wkt
        attributes["spatial_ref"] = wkt
        for name, value in _cf_parameters(result).items():
            attributes.setdefault(name, value)
    if result.coordinate_epoch is not None:
        attributes["coordinate_epoch"] = result.coordinate_epoch
    if result.unresolved:
        attributes["geo_keys"] = json_text(
            {name: _key_value(value) for name, value in result.unresolved}
        )
    if result.note is not None:
        attributes["crs_note"] = result.note
    return attributes


@lru_cache(maxsize=256)
def _cf_parameters(result: CRSResult) -> Attributes:
    system = result.crs
    if system is None or not (system.is_geographic or system.is_projected):
        return {}  # CF has only these
    try:
        with warnings.catch_warnings():
            # pyproj warns of a parameter that CF does not have: the others alone say another place.
            warnings.simplefilter("error", UserWarning)
            parameters = system.to_cf()
    except (CRSError, KeyError, AttributeError, UserWarning):
        return {}  # a projection that CF does not have, for which pyproj raises
    parameters.pop("crs_wkt", None)
    found: Attributes = {
        name: value for name, raw in parameters.items() if (value := _plain(raw)) is not None
    }
    return found if _has_all_numbers(found, system) else {}


def _has_all_numbers(parameters: Attributes, system: CRS) -> bool:
    """Return whether CF's parameters have every number of a CRS, and angles in degrees.

    pyproj leaves out the scale of conic projections with one parallel, which CF does not have, and
    writes angles in the unit of the CRS, such as grads.
    """
    said = [
        number
        for value in parameters.values()
        for number in (value if isinstance(value, list) else [value])
        if isinstance(number, int | float)
    ]
    horizontal = system.sub_crs_list[0] if system.is_compound else system
    if horizontal.is_bound and horizontal.source_crs is not None:
        horizontal = horizontal.source_crs  # whose operation is no shift to WGS 84
    operation, meridian = horizontal.coordinate_operation, horizontal.prime_meridian
    wanted: list[float] = []
    for one in [] if operation is None else operation.params:
        value = float(one.value)  # pyproj declares them as text
        if one.unit_category == "angular" or one.unit_name in _ANGLES:
            wanted.append(degrees(value * float(one.unit_conversion_factor)))
        elif one.unit_name != "unity" or value != 1:
            wanted.append(value)
    if meridian is not None:
        wanted.append(degrees(float(meridian.longitude) * float(meridian.unit_conversion_factor)))
    return all(
        abs(value) < _ZERO or any(isclose(value, number, rel_tol=1e-9) for number in said)
        for value in wanted
    )


def _plain(value: object) -> JSON:
    """Return a CF parameter as JSON; `None` if JSON has no such number."""
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return None if None in items else items
    return None


def _key_value(value: GeoKeyValue) -> JSON:
    if isinstance(value, tuple):
        return [_key_value(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if isfinite(value) else str(value)


@lru_cache(maxsize=256)
def group_attributes(result: CRSResult) -> Attributes:
    """Return the `proj` convention of an image; empty without a CRS.

    A registered CRS is written as code and as WKT, for readers without a registry. The object is
    shared by all images with this CRS: do not modify it.
    """
    if result.crs is None:
        return {}
    found = proj.create(code=result.authority, wkt2=result.crs.to_wkt())
    declared = cast("Attributes", dict(proj.CMO))
    return {"zarr_conventions": [declared], **cast("Attributes", found)}


@lru_cache(maxsize=1)
def spatial_attributes() -> Attributes:
    """Return the `spatial` convention of a group above levels, each of which has a grid.

    Transforms map outer corners of pixels, so `spatial:registration` is `pixel`, independent of
    GTRasterTypeGeoKey. Do not modify the object.
    """
    found = spatial.create(dimensions=["y", "x"], registration="pixel")
    declared = cast("Attributes", dict(spatial.CMO))
    return {"zarr_conventions": [declared], **cast("Attributes", found)}


def coordinate_values(
    transform: GeoTransform, size: int, axis: Literal["x", "y"]
) -> NDArray[np.float64] | None:
    """Return the pixel centres along one axis: shape `(size,)`, float64, in CRS units.

    `None` if the grid is rotated or sheared, so that no vector of coordinates describes it.
    """
    x, a, b, y, d, e = transform
    if b != 0 or d != 0:
        return None
    # Bit for bit as in rioxarray: computed from the centre of the first pixel.
    index = np.arange(size, dtype=np.float64)
    return index * a + (x + a * 0.5) if axis == "x" else index * e + (y + e * 0.5)


def coordinate_attributes(result: CRSResult, axis: Literal["x", "y"]) -> Attributes:
    """Return the CF attributes of a coordinate (CF 1.11 sections 4.1, 4.2 and 5.6)."""
    return dict(_coordinate_attributes(result, axis))


@lru_cache(maxsize=256)
def _coordinate_attributes(result: CRSResult, axis: Literal["x", "y"]) -> Attributes:
    attributes: Attributes = {"axis": axis.upper()}
    system = result.crs
    if system is None or not (system.is_geographic or system.is_projected):
        return attributes
    for found in system.cs_to_cf():
        if found.get("axis") == axis.upper():
            return {k: v for k, raw in found.items() if (v := _plain(raw)) is not None}
    return attributes
