"""Images to add to a cube: those whose place is free, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.coordinate import Merged, as_text, positions
from virtual_tiff.cubes.plan import Axis, CubePlan, CubeVariable
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError


def without_present(
    prefix: str,
    cube: CubePlan,
    taken: Mapping[str, NDArray[np.bool_]],
    same: Mapping[str, NDArray[np.bool_]],
    on_present: OnPresent,
    *,
    resumes: bool = False,
) -> tuple[CubePlan, int]:
    """Leave out images whose place is taken, unless they replace others; count those left out.

    Parameters
    ----------
    prefix
        Start of the paths of the arrays of the cube.
    cube
        The images to add.
    taken, same
        Shape `(images,)`, by name of the variable: whether the place of an image is taken, and
        whether by the image itself.
    on_present
        Whether to `raise` for an image whose place is taken, to `skip` it, or to `replace` what is
        there, unless it is the same.
    resumes
        Whether images that are there themselves are skipped without an error.

    Raises
    ------
    InvalidOptionError
        With kind `duplicate`.
    """
    if on_present == "replace":
        taken = same
    skipped = sum(int(places.sum()) for places in taken.values())
    refused = {
        name: places & ~same[name] if resumes else places
        for name, places in taken.items()
        if on_present == "raise"
    }
    count = sum(int(places.sum()) for places in refused.values())
    if count:
        name = next(name for name, places in refused.items() if places.any())
        first = int(np.flatnonzero(refused[name])[0])
        where = positions(cube.axes, cube.variables[name], cube.grid_kind)[first]
        raise InvalidOptionError(
            f"{count} of {cube.images} images are in the cube already: {where.strip('{}')} of "
            f"{prefix + name!r} is taken.",
            kind=ErrorKind.DUPLICATE,
            url=url_of(cube, cube.variables[name], first),
            remedy='Pass on_present="skip" to add only the others, or on_present="replace" to '
            "renew those that have changed.",
        )
    left = {name: v.of(~taken[name]) for name, v in cube.variables.items() if not taken[name].all()}
    return _without_empty(cube, left), skipped


def _without_empty(cube: CubePlan, variables: Mapping[str, CubeVariable]) -> CubePlan:
    """Leave out positions along the axes that no image of these variables has."""
    axes = []
    places = {name: v.places.copy() for name, v in variables.items()}
    for number, axis in enumerate(cube.axes):
        columns = [v.places[:, number] for v in variables.values()]
        kept = np.unique(np.concatenate(columns)) if columns else np.empty(0, np.int64)
        axes.append(Axis(axis.name, axis.values[kept]))
        for name, variable in variables.items():
            places[name][:, number] = np.searchsorted(kept, variable.places[:, number])
    left = {name: replace(v, places=places[name]) for name, v in variables.items()}
    return replace(cube, axes=tuple(axes), variables=left)


def check_order(
    cube: CubePlan,
    number: int,
    existing: NDArray[Any],
    together: Merged,
    out_of_order: OutOfOrder,
) -> None:
    """Refuse images before the last of a cube along the axis of this number, unless inserted.

    Tiles may come in any order.

    Raises
    ------
    MismatchError
        Names the first of them.
    """
    axis = cube.axes[number]
    if together.is_extension or out_of_order == "insert" or axis.is_of_tiles:
        return
    early = np.flatnonzero(together.new < together.old[-1])
    variable, step = next(
        (v, int(found[0]))
        for v in cube.variables.values()
        if (found := np.flatnonzero(np.isin(v.places[:, number], early))).size
    )
    raise MismatchError(
        f"{early.size} of {len(axis.values)} steps come before the last of the cube, "
        f"{as_text(existing[-1:])[0]}.",
        url=url_of(cube, variable, step),
        remedy='Pass out_of_order="insert" to insert them.',
    )


def url_of(cube: CubePlan, variable: CubeVariable, image: int = 0) -> str:
    """Return the URL of an image of a variable."""
    url: str = cube.inventory.table["url"][int(variable.rows[image])].as_py()
    return url
