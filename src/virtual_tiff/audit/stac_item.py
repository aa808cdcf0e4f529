"""Describe a published cube as a STAC Item (STAC 1.1; Datacube 2.2, Projection 2.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from pyproj import CRS

from virtual_tiff.audit.history import open_version
from virtual_tiff.cubes.grid import crs_result
from virtual_tiff.cubes.plan import ImageGrid
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.inventory.footprint import footprint
from virtual_tiff.publishing.containers import stored_containers
from virtual_tiff.publishing.coordinate import read_coordinate
from virtual_tiff.publishing.cube import level_count
from virtual_tiff.publishing.georeferencing import read_whole_grid
from virtual_tiff.publishing.levels import is_variable
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.reading_code import reading_code
from virtual_tiff.publishing.repository import Location, icechunk_errors, open_repository, text_of

STAC_VERSION = "1.1.0"
EXTENSIONS = (
    "https://stac-extensions.github.io/datacube/v2.2.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
)
_NUMBERS = np.empty(0, np.int64)
MEDIA_TYPE = "application/vnd.zarr; version=3"


def stac_item(
    repo: Location,
    *,
    group: str = "",
    identifier: str | None = None,
    branch: str = "main",
    version: str | None = None,
) -> dict[str, Any]:
    """Describe a cube as a STAC Item.

    Parameters
    ----------
    repo
        The repository, or its location.
    group
        Group of the cube; of one with overviews the full resolution is described.
    identifier
        Id of the Item; by default made from the names of repository and group.
    branch
        Branch to describe.
    version
        A tag, or the id of a snapshot, to describe instead.

    Returns
    -------
    dict
        A GeoJSON Feature: footprint, extent in time, dimensions, variables, and one asset with
        the code that opens it.

    Raises
    ------
    RepositoryError
        The repository does not exist, or the group is no cube.
    """
    repository = open_repository(repo)
    with icechunk_errors(repo):
        session, opened = open_version(repository, branch, version)
        written = repository.lookup_snapshot(session.snapshot_id).written_at
        pyramid = level_count(session.store, group) > 0
        full = f"{key_prefix(group)}0" if pyramid else group
        cube = _Cube.read(session.store, full)
    outline = None
    grid = cube.grid
    if grid.crs is not None and grid.transform is not None:
        outline = footprint(grid.crs, grid.transform, grid.width, grid.height)
    location = text_of(repo)
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": identifier or _identifier(location, group),
        "geometry": None if outline is None else outline.geojson,
        "properties": {
            **cube.times(written),
            **cube.projection(),
            "cube:dimensions": cube.dimensions(),
            "cube:variables": cube.variables(),
        },
        "links": [],
        "assets": {
            "cube": {
                "href": location,
                "type": MEDIA_TYPE,
                "roles": ["data"],
                "title": "Icechunk repository",
                "description": reading_code(
                    location,
                    tuple(c.prefix for c in stored_containers(repository.config)),
                    version=opened,
                    group=full,
                    first=cube.first_time,
                    last=cube.last_time,
                ),
                "icechunk:snapshot_id": session.snapshot_id,
                "zarr:group": f"/{group}",
            }
        },
    }
    if outline is not None:
        item["bbox"] = list(outline.bbox)
    return item


class _Cube:
    """Variables and grid of the group of a cube."""

    def __init__(
        self,
        arrays: Mapping[str, zarr.Array[Any]],
        grid: ImageGrid,
        axes: Mapping[str, NDArray[Any]],
    ) -> None:
        self.arrays = arrays
        self.grid = grid
        self.axes = axes

    @classmethod
    def read(cls, store: Any, group: str) -> _Cube:
        try:
            node = zarr.open_group(store, path=group or None, mode="r", zarr_format=3)
        except FileNotFoundError as error:
            raise _no_cube(group) from error
        arrays = dict(node.arrays())
        cubes = {n: a for n, a in arrays.items() if is_variable(n, a)}
        if not cubes:
            raise _no_cube(group)
        array = next(iter(cubes.values()))
        axes = {
            each: read_coordinate(node, each)
            for each in _dimensions(array)
            if each in arrays and each not in ("y", "x")
        }
        sizes = dict(zip(_dimensions(array), array.shape, strict=True))
        return cls(cubes, read_whole_grid(node, sizes["x"], sizes["y"]), axes)

    @property
    def _time(self) -> NDArray[Any] | None:
        return next((v for v in self.axes.values() if v.dtype.kind == "M"), None)

    @property
    def first_time(self) -> str:
        return "" if self._time is None else str(self._time[0])

    @property
    def last_time(self) -> str:
        return "" if self._time is None else str(self._time[-1])

    def times(self, written: datetime) -> dict[str, str | None]:
        values = self._time
        if values is None:
            return {"datetime": _iso(written)}
        first, last = (_iso(_as_datetime(value)) for value in values[[0, -1]])
        if first == last:
            return {"datetime": first}
        return {"datetime": None, "start_datetime": first, "end_datetime": last}

    def projection(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.grid.crs is not None:
            code = _code(self.grid.crs)
            found["proj:code"] = code
            if code is None:
                found["proj:wkt2"] = self.grid.crs
        found["proj:shape"] = [self.grid.height, self.grid.width]
        if self.grid.transform is not None:
            found["proj:transform"] = list(self.grid.transform)
        return found

    def dimensions(self) -> dict[str, Any]:
        found: dict[str, Any] = {name: _axis(values) for name, values in self.axes.items()}
        for array in self.arrays.values():
            for name, size in zip(_dimensions(array), array.shape, strict=True):
                if name == "band" and self.axes.get("band", _NUMBERS).dtype.kind != "T":
                    found[name] = {"type": "bands", "values": list(range(1, size + 1))}
        a, b, c, d, e, f = self.grid.transform or (1, 0, 0, 0, 1, 0)
        if not b and not d:
            system = _reference_system(self.grid.crs)
            for axis, start, step, size in (
                ("x", c, a, self.grid.width),
                ("y", f, e, self.grid.height),
            ):
                ends = (start + step / 2, start + step * (size - 0.5))
                found[axis] = {
                    "type": "spatial",
                    "axis": axis,
                    "extent": [min(ends), max(ends)],
                    "step": step,
                    **({} if system is None else {"reference_system": system}),
                }
        return found

    def variables(self) -> dict[str, Any]:
        return {
            name: {
                "dimensions": list(_dimensions(array)),
                "type": "data",
                "data_type": str(array.dtype),
            }
            for name, array in sorted(self.arrays.items())
        }


def _axis(values: NDArray[Any]) -> dict[str, Any]:
    if values.dtype.kind == "M":
        return {"type": "temporal", "extent": [_iso(_as_datetime(v)) for v in values[[0, -1]]]}
    plain = values.tolist()
    if values.dtype.kind in "iuf":
        return {"type": "other", "extent": [plain[0], plain[-1]]}
    return {"type": "other", "values": plain}


def _dimensions(array: zarr.Array[Any]) -> tuple[str, ...]:
    names = getattr(array.metadata, "dimension_names", None) or ()
    return tuple(str(name) for name in names)


def _no_cube(group: str) -> RepositoryError:
    return RepositoryError(
        f"there is no cube in the group {group or '/'!r}.",
        kind=ErrorKind.NOT_FOUND,
        remedy="Name the group of a cube.",
    )


def _as_datetime(value: np.datetime64) -> datetime:
    time: datetime = value.astype("datetime64[us]").item()
    return time.replace(tzinfo=UTC)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _code(crs: str) -> str | None:
    result = crs_result(crs)
    if result.authority is not None:
        return result.authority
    found = None if result.crs is None else result.crs.to_authority()
    return None if found is None else ":".join(found)


def _reference_system(crs: str | None) -> int | dict[str, Any] | None:
    """Return the CRS as EPSG number or PROJJSON, for the Datacube extension."""
    if crs is None:
        return None
    code = _code(crs)
    if code is not None and code.startswith("EPSG:"):
        return int(code.removeprefix("EPSG:"))
    document: dict[str, Any] = json.loads(CRS(crs).to_json())
    return document


def _identifier(location: str, group: str) -> str:
    name = location.rstrip("/").rsplit("/", 1)[-1] or "cube"
    return f"{name}-{group.replace('/', '-')}" if group else name
