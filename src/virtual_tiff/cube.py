"""The plan of a cube → Icechunk: a new cube, or more steps of one that is there.

Everything happens in a session; nothing is visible to readers until it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import zarr
from numpy.typing import NDArray
from zarr.buffer import default_buffer_prototype

from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    MismatchError,
    RepositoryError,
    shorten,
)
from virtual_tiff.frame import GRID_MAPPING, grid_of
from virtual_tiff.matching import same_crs, same_transform
from virtual_tiff.metadata import array_document, to_bytes
from virtual_tiff.plan import JSON, GroupPlan
from virtual_tiff.provenance import (
    Sources,
    modified_times,
    read_sources_table,
    sources_table,
)
from virtual_tiff.references import References, write_references_of
from virtual_tiff.scan import run_async as run
from virtual_tiff.stack import CubePlan, CubeVariable, stacked
from virtual_tiff.steps import Merged, as_text, merge, read_coordinate, write_coordinate
from virtual_tiff.writer import write_group, write_parents
from virtual_tiff.zarr_store import exists, get_json, put

type Store = Any
type OnPresent = Literal["raise", "skip"]
type OutOfOrder = Literal["raise", "insert"]
type Writer = Any

#: What has to be the same in the metadata of an array for more images to go into it.
_SAME = ("dimension_names", "data_type", "chunk_grid", "codecs", "fill_value")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written:
    """What a session holds now: a summary, and rows for the table of sources."""

    added: Added
    sources: Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What was written.

    Parameters
    ----------
    images, steps
        How many images, and how many new steps of the first dimension.
    first, last
        Least and greatest coordinate of the images, as text.
    variables
        Names of the variables they went into.
    skipped
        Images that were there before.
    """

    images: int
    steps: int
    first: str
    last: str
    variables: tuple[str, ...]
    skipped: int = 0

    def as_json(self) -> dict[str, JSON]:
        """For the metadata of a commit."""
        return {
            "images": self.images,
            "steps": self.steps,
            "first": self.first,
            "last": self.last,
            "variables": list(self.variables),
        }


def write_cube(
    store: Store, path: str, cube: CubePlan, *, frame: GroupPlan | None = None
) -> Written:
    """Write a new cube into a session, but for the table of sources.

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
        if exists(store, f"{_below(path)}{name}/zarr.json"):
            raise RepositoryError(
                f"the group {path or '/'!r} has an array {name!r} already.",
                kind=ErrorKind.REPOSITORY_EXISTS,
                remedy="Append to it, or publish into another group.",
            )
    run(_write_frame(store, path, frame))
    steps = len(cube.coordinate)
    for name, variable in cube.variables.items():
        _create(store, path, name, variable, cube.dimension, steps)
    write_coordinate(_open_cube(store, path), cube.dimension, cube.coordinate)
    _write_images(store, path, cube, np.arange(steps))
    return _written(path, cube, steps=steps)


def extend_cube(
    store: Store,
    path: str,
    cube: CubePlan,
    *,
    session: Any,
    on_present: OnPresent = "raise",
    out_of_order: OutOfOrder = "raise",
) -> Written:
    """Add images to a cube in a session, but for the table of sources.

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

    Returns
    -------
    Written
        With `images` 0 if there was nothing to write.

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
    check_fits(store, path, cube)
    present = read_sources_table(store).places()
    cube, skipped = _without_present(path, cube, present, on_present)
    if cube.images == 0:
        return _written(path, cube, steps=0, skipped=skipped)
    together = merge(existing, cube.coordinate)
    _check_order(cube, existing, together, out_of_order)
    arrays = _grown_arrays(store, path, cube.dimension)
    for name in arrays:
        _resize(store, f"{_below(path)}{name}", len(together.values))
    if not together.is_extension:
        for name in arrays:
            _move(session, f"/{_below(path)}{name}", together)
    for name, variable in cube.variables.items():
        if name not in arrays:
            _create(store, path, name, variable, cube.dimension, len(together.values))
    write_coordinate(group, cube.dimension, together.values)
    _write_images(store, path, cube, together.new)
    steps = len(together.values) - len(existing)
    return _written(path, cube, steps=steps, skipped=skipped)


def _written(path: str, cube: CubePlan, *, steps: int, skipped: int = 0) -> Written:
    texts = as_text(cube.coordinate[[0, -1]]) if cube.images else ["", ""]
    added = Added(
        images=cube.images,
        steps=steps,
        first=texts[0],
        last=texts[1],
        variables=tuple(cube.variables),
        skipped=skipped,
    )
    return Written(added=added, sources=_sources(path, cube))


def check_fits(store: Store, path: str, cube: CubePlan) -> None:
    """Compare the arrays of a cube that is there with those of images to add.

    Raises
    ------
    MismatchError
        Names the variable and what differs.
    """
    for name, variable in cube.variables.items():
        document = get_json(store, f"{_below(path)}{name}/zarr.json")
        url = _url(cube, variable)
        if document is None:
            continue
        wanted = array_document(stacked(variable.image, cube.dimension, 1))
        pairs = [(key, wanted[key], document.get(key)) for key in _SAME]
        pairs.insert(2, ("shape", list(variable.image.shape), _inner_shape(document)))
        for key, ours, theirs in pairs:
            if _json(ours) != _json(theirs):
                raise MismatchError(
                    f"the {key.replace('_', ' ')} of variable {name!r} is {_json(ours)}, but "
                    f"{_json(theirs)} in the cube.",
                    url=url,
                    remedy="Publish the images as another variable, or as a cube of their own.",
                )


def check_grid(store: Store, path: str, cube: CubePlan) -> None:
    """Compare the grid of a cube that is there with that of images to add.

    Raises
    ------
    MismatchError
        They have another CRS or transform.
    """
    document = get_json(store, f"{_below(path)}{GRID_MAPPING}/zarr.json")
    attributes = {} if document is None else document["attributes"]
    there = grid_of(attributes, cube.grid.width, cube.grid.height)
    url = _url(cube, next(iter(cube.variables.values())))
    ours, theirs = cube.grid, there
    for name, one, other, same in (
        ("CRS", ours.crs, theirs.crs, same_crs(ours.crs, theirs.crs)),
        (
            "transform",
            ours.transform,
            theirs.transform,
            same_transform(ours.transform, theirs.transform, ours.width, ours.height),
        ),
    ):
        if not same:
            raise MismatchError(
                f"the {name} is {shorten(one)}, but {shorten(other)} in the cube.",
                url=url,
                remedy="Images on other grids need a cube of their own.",
            )


def _write_images(store: Store, path: str, cube: CubePlan, steps: NDArray[np.int64]) -> None:
    for name, variable in cube.variables.items():
        there = np.flatnonzero(variable.rows >= 0)
        references = References.of(cube.inventory, variable.rows[there])
        write_references_of(store, f"/{_below(path)}{name}", variable, references, steps[there])


def _without_present(
    path: str, cube: CubePlan, present: set[tuple[str, str]], on_present: OnPresent
) -> tuple[CubePlan, int]:
    """Leave out images whose place is taken."""
    texts = as_text(cube.coordinate)
    variables: dict[str, CubeVariable] = {}
    skipped = 0
    for name, variable in cube.variables.items():
        array = f"{_below(path)}{name}"
        taken = np.array([(array, text) in present for text in texts], bool)
        taken &= variable.rows >= 0
        if taken.any():
            first = int(np.flatnonzero(taken)[0])
            if on_present == "raise":
                raise InvalidOptionError(
                    f"{int(taken.sum())} of {cube.images} images are in the cube already: "
                    f"{cube.dimension} {texts[first]} of {array!r} is taken.",
                    kind=ErrorKind.DUPLICATE,
                    url=_url(cube, variable, first),
                    remedy='Pass on_present="skip" to add only the others.',
                )
            skipped += int(taken.sum())
        rows = np.where(taken, -1, variable.rows)
        variables[name] = CubeVariable(image=variable.image, rows=rows, band=variable.band)
    kept = np.array([v.rows >= 0 for v in variables.values()]).any(axis=0)
    variables = {
        name: CubeVariable(image=v.image, rows=v.rows[kept], band=v.band)
        for name, v in variables.items()
    }
    return (
        CubePlan(
            dimension=cube.dimension,
            coordinate=cube.coordinate[kept],
            variables={n: v for n, v in variables.items() if (v.rows >= 0).any()},
            grid=cube.grid,
            inventory=cube.inventory,
        ),
        skipped,
    )


def _check_order(
    cube: CubePlan, existing: NDArray[Any], together: Merged, out_of_order: OutOfOrder
) -> None:
    if together.is_extension or out_of_order == "insert":
        return
    early = np.flatnonzero(together.new < together.old[-1])
    row = next(int(v.rows[early[0]]) for v in cube.variables.values() if v.rows[early[0]] >= 0)
    raise MismatchError(
        f"{early.size} of {len(cube.coordinate)} steps come before the last of the cube, "
        f"{as_text(existing[-1:])[0]}.",
        url=cube.inventory.table["url"][row].as_py(),
        remedy='Pass out_of_order="insert" to put them where they belong.',
    )


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
    if exists(store, f"{_below(path)}{GRID_MAPPING}/zarr.json"):
        # CF section 5.6; the second so that xarray makes a coordinate of it.
        named = {"grid_mapping": GRID_MAPPING, "coordinates": GRID_MAPPING}
        plan = replace(plan, attributes={**named, **plan.attributes})
    put(store, f"{_below(path)}{name}/zarr.json", to_bytes(array_document(plan)))


def _resize(store: Store, array: str, steps: int) -> None:
    document = get_json(store, f"{array}/zarr.json")
    if document is None:
        raise RepositoryError(f"there is no array {array!r}.", kind=ErrorKind.NOT_FOUND)
    document["shape"][0] = steps
    put(store, f"{array}/zarr.json", json.dumps(document, ensure_ascii=False).encode())


def _grown_arrays(store: Store, path: str, dimension: str) -> list[str]:
    """Names of the arrays of a group whose first dimension is this one, but for itself."""
    group = _open_cube(store, path)
    return [
        name
        for name, array in group.arrays()
        if name != dimension and (array.metadata.dimension_names or ("",))[0] == dimension  # type: ignore[union-attr]
    ]


async def _write_frame(store: Store, path: str, frame: GroupPlan) -> None:
    """Write the group, and what is above it; attributes that are there stay."""
    if path:
        await write_parents(store, path)
    there = await store.get(f"{_below(path)}zarr.json", default_buffer_prototype())
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


def _sources(path: str, cube: CubePlan) -> Sources:
    arrays: list[str] = []
    coordinates: list[str] = []
    bands: list[int] = []
    chosen: list[NDArray[np.int64]] = []
    texts = as_text(cube.coordinate)
    for name, variable in cube.variables.items():
        there = np.flatnonzero(variable.rows >= 0)
        arrays += [f"{_below(path)}{name}"] * there.size
        coordinates += [texts[step] for step in there]
        bands += [-1 if variable.band is None else variable.band.index] * there.size
        chosen.append(variable.rows[there])
    rows = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    table = cube.inventory.table.select(["url", "ifd", "size", "etag", "last_modified"])
    table = table.take(pa.array(rows))
    return sources_table(
        arrays=arrays,
        coordinates=coordinates,
        urls=table["url"].to_pylist(),
        ifds=table["ifd"].to_pylist(),
        bands=bands,
        sizes=table["size"].to_pylist(),
        etags=table["etag"].to_pylist(),
        last_modified=modified_times(table["last_modified"]),
    )


def _below(path: str) -> str:
    return f"{path}/" if path else ""


def _url(cube: CubePlan, variable: CubeVariable, step: int | None = None) -> str:
    rows = variable.rows
    row = rows[rows >= 0][0] if step is None else rows[step]
    url: str = cube.inventory.table["url"][int(row)].as_py()
    return url


def _inner_shape(document: Mapping[str, Any]) -> list[int]:
    return list(document["shape"][1:])


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)
