"""Validate images against an existing cube, and find those that it has already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zarr
from icechunk import IcechunkStore

from virtual_tiff.cubes.extending import url_of
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.errors import MismatchError, shorten
from virtual_tiff.planning.agreement import disagreements
from virtual_tiff.planning.metadata import array_document
from virtual_tiff.planning.same_grid import same_crs, same_transform
from virtual_tiff.planning.stacks import stacked
from virtual_tiff.publishing.georeferencing import read_grid
from virtual_tiff.publishing.nodes import get_json, key_prefix

_ANOTHER = "Publish the images as another variable, or as a separate cube."
#: Metadata of an array that has to be equal for images to be appended.
_SAME = ("dimension_names", "data_type", "shape", "chunk_grid", "codecs", "fill_value")


def check_fits(store: IcechunkStore, path: str, cube: CubePlan) -> None:
    """Refuse images whose arrays differ from those of a cube, and name what differs."""
    for name, variable in cube.variables.items():
        document = get_json(store, f"{key_prefix(path)}{name}")
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


def check_bands(group: zarr.Group, path: str, cube: CubePlan) -> None:
    """Refuse images whose bands would get the names of other bands of a cube."""
    if not cube.bands or "band" not in group:
        return
    there: Any = group["band"]
    theirs = [str(value) for value in there[:].tolist()]
    plain = [str(number) for number in range(1, len(theirs) + 1)]
    ours = list(cube.band_names or plain)
    numbers = all(name.isdecimal() for name in ours)
    # A cube with band numbers has no names to compare.
    if ours == theirs or (theirs == plain and not numbers):
        return
    raise MismatchError(
        f"the bands are {shorten(', '.join(ours))}, but {shorten(', '.join(theirs))} in the "
        f"cube {path or '/'!r}.",
        url=url_of(cube, next(iter(cube.variables.values()))),
        remedy=_ANOTHER,
    )


def check_grid(group: zarr.Group, cube: CubePlan) -> None:
    """Refuse images with another CRS or transform than that of a cube."""
    ours = cube.grid
    theirs = read_grid(group, ours.width, ours.height)
    placed = same_transform(ours.transform, theirs.transform, ours.width, ours.height)
    further = ours.extra_georeferencing == theirs.extra_georeferencing
    for name, same, one, other in (
        ("CRS", same_crs(ours.crs, theirs.crs), ours.crs, theirs.crs),
        ("transform", placed, ours.transform, theirs.transform),
        (
            "extra georeferencing",
            further,
            ours.extra_georeferencing,
            theirs.extra_georeferencing,
        ),
    ):
        if not same:
            raise MismatchError(
                f"the {name} is {shorten(str(one))}, but {shorten(str(other))} in the cube.",
                url=url_of(cube, next(iter(cube.variables.values()))),
                remedy="Images on other grids need a separate cube.",
            )


def _of_steps(document: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of an array, whatever the number of its steps."""
    return {**document, "shape": document["shape"][1:]}
