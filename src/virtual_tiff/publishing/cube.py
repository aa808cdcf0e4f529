"""The plan of a cube → Icechunk: a new cube, or more steps of one that is there.

Everything happens in a session; nothing is visible to readers until it is committed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import zarr
from zarr.buffer import default_buffer_prototype

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.grid import GRID_MAPPING
from virtual_tiff.cubes.plan import CubePlan, CubeVariable
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.planning.agreement import shared_attributes
from virtual_tiff.planning.metadata import array_document, to_bytes
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.planning.stacks import stacked
from virtual_tiff.publishing.coordinate import Merged, merge, read_coordinate, write_coordinate
from virtual_tiff.publishing.fitting import (
    check_bands,
    check_fits,
    check_grid,
    check_order,
    key_prefix,
    without_present,
)
from virtual_tiff.publishing.writer import write_group, write_parents
from virtual_tiff.publishing.written import Part
from virtual_tiff.publishing.zarr_store import exists, get_json, put
from virtual_tiff.storage.run import run

type Store = Any

#: Attributes that an array has from its cube, not from its images.
_OF_THE_CUBE = ("grid_mapping", "coordinates")


def write_cube(store: Store, path: str, cube: CubePlan, *, frame: GroupPlan | None = None) -> Part:
    """Write a new cube into a session, but for its references and the table of sources.

    Parameters
    ----------
    store
        Icechunk store of a writable session.
    path
        Of the group, without slashes at its ends; empty for the root.
    cube
        What to write.
    frame
        Coordinates of the grid and attributes of the group.

    Raises
    ------
    RepositoryError
        With kind `repository-exists` if one of the arrays is there.
    """
    frame = frame or GroupPlan()
    for name in (*cube.variables, cube.dimension, *frame.arrays):
        if exists(store, f"{key_prefix(path)}{name}/zarr.json"):
            raise RepositoryError(
                f"the group {path or '/'!r} has an array {name!r} already.",
                kind=ErrorKind.REPOSITORY_EXISTS,
                remedy="Append to it, or publish into another group.",
            )
    write_frame(store, path, frame)
    steps = len(cube.coordinate)
    for name, variable in cube.variables.items():
        _create(store, path, name, variable, cube.dimension, steps)
    write_coordinate(_open_cube(store, path), cube.dimension, cube.coordinate)
    return Part(path=path, cube=cube, steps=np.arange(steps), grown=steps)


def extend_cube(
    store: Store,
    path: str,
    cube: CubePlan,
    *,
    session: Any,
    present: set[tuple[str, str]],
    on_present: OnPresent = "raise",
    out_of_order: OutOfOrder = "raise",
) -> Part:
    """Make room for images in a cube, but for their references and the table of sources.

    Parameters
    ----------
    store, session
        Icechunk store of a writable session, and that session.
    path
        Of the group of the cube.
    cube
        The images to add, as a cube of their own.
    on_present
        Whether to `raise` for an image whose place is taken, or to `skip` it.
    out_of_order
        Whether to `raise` for images that come before the last of the cube, or to `insert`
        them, for which the references after them are rewritten.
    present
        Arrays and coordinates of the images that are there.

    Returns
    -------
    Part
        Whose cube has no images if there was nothing to write.

    Raises
    ------
    MismatchError
        The images do not fit the cube.
    InvalidOptionError
        With kind `duplicate` if they are there already.
    RepositoryError
        There is no such cube.
    """
    group = _open_cube(store, path)
    existing = read_coordinate(group, cube.dimension)
    check_grid(store, path, cube)
    check_bands(group, path, cube)
    check_fits(store, path, cube)
    cube, skipped = without_present(path, cube, present, on_present)
    if cube.images == 0:
        return Part(path=path, cube=cube, steps=np.empty(0, np.int64), grown=0, skipped=skipped)
    together = merge(existing, cube.coordinate)
    check_order(cube, existing, together, out_of_order)
    arrays = _grown_arrays(store, path, cube.dimension)
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
    grown = len(together.values) - len(existing)
    return Part(path=path, cube=cube, steps=together.new, grown=grown, skipped=skipped)


def _move(session: Any, array_path: str, together: Merged) -> None:
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
    store: Store, path: str, name: str, variable: CubeVariable, dimension: str, steps: int
) -> None:
    plan = stacked(variable.image, dimension, steps)
    if exists(store, f"{key_prefix(path)}{GRID_MAPPING}/zarr.json"):
        # CF section 5.6; the second so that xarray makes a coordinate of it.
        named = {"grid_mapping": GRID_MAPPING, "coordinates": GRID_MAPPING}
        plan = replace(plan, attributes={**named, **plan.attributes})
    put(store, f"{key_prefix(path)}{name}/zarr.json", to_bytes(array_document(plan)))


def _resize(store: Store, array: str, steps: int, variable: CubeVariable | None) -> None:
    """Make an array longer; of its attributes, those stay that the new images have as well."""
    document = get_json(store, f"{array}/zarr.json")
    if document is None:
        raise RepositoryError(f"there is no array {array!r}.", kind=ErrorKind.NOT_FOUND)
    document["shape"][0] = steps
    if variable is not None:
        there = document["attributes"]
        kept = {key: there[key] for key in _OF_THE_CUBE if key in there}
        document["attributes"] = shared_attributes([there, variable.image.attributes]) | kept
    put(store, f"{array}/zarr.json", json.dumps(document, ensure_ascii=False).encode())


def _grown_arrays(store: Store, path: str, dimension: str) -> list[str]:
    """Names of the arrays of a group whose first dimension is this one, but for itself."""
    group = _open_cube(store, path)
    return [
        name
        for name, array in group.arrays()
        if name != dimension and (array.metadata.dimension_names or ("",))[0] == dimension  # type: ignore[union-attr]
    ]


def write_frame(store: Store, path: str, frame: GroupPlan) -> None:
    """Write a group, and what is above it; attributes that are there stay."""
    run(_write_frame(store, path, frame))


async def _write_frame(store: Store, path: str, frame: GroupPlan) -> None:
    if path:
        await write_parents(store, path)
    there = await store.get(f"{key_prefix(path)}zarr.json", default_buffer_prototype())
    if there is not None:
        attributes = json.loads(there.to_bytes()).get("attributes", {})
        frame = replace(frame, attributes={**attributes, **frame.attributes})
    await write_group(store, path, frame)


def _open_cube(store: Store, path: str) -> zarr.Group:
    try:
        return zarr.open_group(store, path=path or None, mode="r+", zarr_format=3)
    except FileNotFoundError as error:
        raise RepositoryError(
            f"the repository has no group {path or '/'!r}.",
            kind=ErrorKind.NOT_FOUND,
            remedy="Publish a cube there first.",
        ) from error
