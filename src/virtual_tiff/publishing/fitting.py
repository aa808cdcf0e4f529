"""Whether images fit into a cube that is there, and which of them are there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.grid import GRID_MAPPING, grid_of
from virtual_tiff.cubes.plan import CubePlan, CubeVariable
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError, shorten
from virtual_tiff.planning.agreement import disagreements
from virtual_tiff.planning.metadata import array_document
from virtual_tiff.planning.same_grid import same_crs, same_transform
from virtual_tiff.planning.stacks import stacked
from virtual_tiff.publishing.coordinate import Merged, as_text
from virtual_tiff.publishing.zarr_store import get_json

type Store = Any

_ANOTHER = "Publish the images as another variable, or as a cube of their own."
#: What has to be the same in the metadata of an array for more images to go into it.
_SAME = ("dimension_names", "data_type", "shape", "chunk_grid", "codecs", "fill_value")


def check_fits(store: Store, path: str, cube: CubePlan) -> None:
    """Compare the arrays of a cube that is there with those of images to add.

    Raises
    ------
    MismatchError
        Names the variable and what differs.
    """
    for name, variable in cube.variables.items():
        document = get_json(store, f"{key_prefix(path)}{name}/zarr.json")
        url = url_of(cube, variable)
        if document is None:
            continue
        wanted = array_document(stacked(variable.image, cube.dimension, 1))
        encodings = disagreements([_of_steps(document), _of_steps(wanted)], _SAME)
        meanings = disagreements([document["attributes"], variable.image.attributes])
        for found in (*encodings, *meanings):
            what = f"the {found.key.replace('_', ' ')}" if found.key in _SAME else found.key
            raise MismatchError(
                f"{what} of variable {name!r} is {shorten(found.value)}, but "
                f"{shorten(found.expected)} in the cube.",
                url=url,
                remedy=_ANOTHER,
            )


def check_bands(group: Any, path: str, cube: CubePlan) -> None:
    """Compare the names of the bands of a cube that is there with those of images to add.

    Parameters
    ----------
    group
        Of the cube, as zarr opens it.
    path, cube
        Its path; the images to add.

    Raises
    ------
    MismatchError
        The cube would give bands the names of others.
    """
    if not cube.bands or "band" not in group:
        return
    theirs = [str(value) for value in group["band"][:].tolist()]
    plain = [str(number) for number in range(1, len(theirs) + 1)]
    ours = list(cube.band_names or plain)
    numbers = all(name.isdecimal() for name in ours)
    # Where the cube has plain numbers, it calls no band by a name.
    if ours == theirs or (theirs == plain and not numbers):
        return
    raise MismatchError(
        f"the bands are {shorten(', '.join(ours))}, but {shorten(', '.join(theirs))} in the "
        f"cube {path or '/'!r}.",
        url=url_of(cube, next(iter(cube.variables.values()))),
        remedy=_ANOTHER,
    )


def check_grid(store: Store, path: str, cube: CubePlan) -> None:
    """Compare the grid of a cube that is there with that of images to add.

    Raises
    ------
    MismatchError
        They have another CRS or transform.
    """
    document = get_json(store, f"{key_prefix(path)}{GRID_MAPPING}/zarr.json")
    attributes = {} if document is None else document["attributes"]
    there = grid_of(attributes, cube.grid.width, cube.grid.height)
    url = url_of(cube, next(iter(cube.variables.values())))
    ours, theirs = cube.grid, there
    for name, one, other, same in (
        ("CRS", ours.crs, theirs.crs, same_crs(ours.crs, theirs.crs)),
        (
            "transform",
            ours.transform,
            theirs.transform,
            same_transform(ours.transform, theirs.transform, ours.width, ours.height),
        ),
        (
            "extra georeferencing",
            ours.extra_georeferencing,
            theirs.extra_georeferencing,
            ours.extra_georeferencing == theirs.extra_georeferencing,
        ),
    ):
        if not same:
            raise MismatchError(
                f"the {name} is {shorten(str(one))}, but {shorten(str(other))} in the cube.",
                url=url,
                remedy="Images on other grids need a cube of their own.",
            )


def without_present(
    path: str, cube: CubePlan, present: set[tuple[str, str]], on_present: OnPresent
) -> tuple[CubePlan, int]:
    """Leave out images whose place is taken."""
    texts = as_text(cube.coordinate)
    taken = {
        name: (variable.rows >= 0)
        & np.array([(f"{key_prefix(path)}{name}", text) in present for text in texts], bool)
        for name, variable in cube.variables.items()
    }
    skipped = sum(int(places.sum()) for places in taken.values())
    if skipped and on_present == "raise":
        name = next(name for name, places in taken.items() if places.any())
        first = int(np.flatnonzero(taken[name])[0])
        raise InvalidOptionError(
            f"{skipped} of {cube.images} images are in the cube already: "
            f"{cube.dimension} {texts[first]} of {key_prefix(path) + name!r} is taken.",
            kind=ErrorKind.DUPLICATE,
            url=url_of(cube, cube.variables[name], first),
            remedy='Pass on_present="skip" to add only the others.',
        )
    variables: dict[str, CubeVariable] = {}
    for name, variable in cube.variables.items():
        rows = np.where(taken[name], -1, variable.rows)
        variables[name] = CubeVariable(image=variable.image, rows=rows, band=variable.band)
    kept = np.array([v.rows >= 0 for v in variables.values()]).any(axis=0)
    variables = {
        name: CubeVariable(image=v.image, rows=v.rows[kept], band=v.band)
        for name, v in variables.items()
    }
    return (
        replace(
            cube,
            coordinate=cube.coordinate[kept],
            variables={n: v for n, v in variables.items() if (v.rows >= 0).any()},
        ),
        skipped,
    )


def check_order(
    cube: CubePlan, existing: NDArray[Any], together: Merged, out_of_order: OutOfOrder
) -> None:
    """Refuse images that come before the last of a cube, unless they are to be inserted.

    Raises
    ------
    MismatchError
        Names the first of them.
    """
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


def key_prefix(path: str) -> str:
    """Start of the keys below a group: empty for the root, else with a slash at its end."""
    return f"{path}/" if path else ""


def url_of(cube: CubePlan, variable: CubeVariable, step: int | None = None) -> str:
    """URL of the image of a variable at a step; of its first image if `step` is `None`."""
    rows = variable.rows
    row = rows[rows >= 0][0] if step is None else rows[step]
    url: str = cube.inventory.table["url"][int(row)].as_py()
    return url


def _of_steps(document: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of an array, whatever the number of its steps."""
    return {**document, "shape": document["shape"][1:]}
