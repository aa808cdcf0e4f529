"""Images to add to a cube: those whose place is free, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cubes.coordinate import Merged, as_text, positions
from virtual_tiff.cubes.plan import CubePlan, CubeVariable
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError


def without_present(
    prefix: str, cube: CubePlan, present: set[tuple[str, str]], on_present: OnPresent
) -> tuple[CubePlan, int]:
    """Leave out images whose place is taken, and count them.

    Parameters
    ----------
    prefix
        Start of the paths of the arrays of the cube.
    cube
        The images to add.
    present
        Arrays and positions of the images of the repository.
    on_present
        Whether to `raise` for an image whose place is taken, or to `skip` it.

    Raises
    ------
    InvalidOptionError
        With kind `duplicate`.
    """
    texts = positions(cube.dimension, cube.coordinate)
    taken = {
        name: (variable.rows >= 0)
        & np.array([(f"{prefix}{name}", text) in present for text in texts], bool)
        for name, variable in cube.variables.items()
    }
    skipped = sum(int(places.sum()) for places in taken.values())
    if skipped and on_present == "raise":
        name = next(name for name, places in taken.items() if places.any())
        first = int(np.flatnonzero(taken[name])[0])
        raise InvalidOptionError(
            f"{skipped} of {cube.images} images are in the cube already: {cube.dimension} "
            f"{as_text(cube.coordinate)[first]} of {prefix + name!r} is taken.",
            kind=ErrorKind.DUPLICATE,
            url=url_of(cube, cube.variables[name], first),
            remedy='Pass on_present="skip" to add only the others.',
        )
    left = {name: np.where(taken[name], -1, v.rows) for name, v in cube.variables.items()}
    kept = np.array([rows >= 0 for rows in left.values()]).any(axis=0)
    variables = {
        name: CubeVariable(image=v.image, rows=left[name][kept], band=v.band)
        for name, v in cube.variables.items()
        if (left[name] >= 0).any()
    }
    return replace(cube, coordinate=cube.coordinate[kept], variables=variables), skipped


def check_order(
    cube: CubePlan, existing: NDArray[Any], together: Merged, out_of_order: OutOfOrder
) -> None:
    """Refuse images before the last of a cube, unless they are inserted.

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
        remedy='Pass out_of_order="insert" to insert them.',
    )


def url_of(cube: CubePlan, variable: CubeVariable, step: int | None = None) -> str:
    """Return the URL of the image at a step; of the first image if `step` is `None`."""
    rows = variable.rows
    row = rows[rows >= 0][0] if step is None else rows[step]
    url: str = cube.inventory.table["url"][int(row)].as_py()
    return url
