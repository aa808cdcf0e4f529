"""Images of an inventory → the plan of a cube: same grid, same encoding, one coordinate each.

Stacking is not mosaicking: what differs is reported, never resampled. Nothing here does I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from virtual_tiff.choices import OnDuplicate, check_choice
from virtual_tiff.cubes.agreement import GRID, check_encodings, check_grids, shared_band_names
from virtual_tiff.cubes.overviews import overview_rows
from virtual_tiff.cubes.placing import (
    coordinate_of,
    placed,
    stackable,
    variable_names,
)
from virtual_tiff.cubes.plan import Band, CubePlan, CubeVariable, ImageGrid, Rows, image_of_band
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.planning.attributes import of_one_band
from virtual_tiff.planning.plan import ArrayPlan

#: Dimension of a cube that is stacked along the column `datetime`.
TIME = "time"
DEFAULT_VARIABLE = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeOptions:
    """How images become a cube.

    Parameters
    ----------
    along
        Column whose values order the images; `datetime` makes the dimension `time`.
    variable
        Column that names the variable of each image.
    variable_pattern
        Regular expression such as `_(red|nir)` whose group finds the name of the variable in a
        URL, where no column has it.
    name
        Name of the only variable, where neither is given.
    split_bands
        Make each band of planar images a variable, such as `data_1`.
    on_duplicate
        Which of several images at the same place of the same variable is taken: the `first` or
        `last` in the inventory, or the `newest` (by last-modified); `raise` refuses.
    overviews
        Make a pyramid: a cube of the images in the group `0`, and one of each level of their
        overviews in `1`, `2`, …. All images must have overviews of the same sizes, and the
        inventory must hold them: `scan(…, parser=VirtualTIFF())` reads all images of a file.
    coordinates
        Whether x, y and band are written.
    """

    along: str = "datetime"
    variable: str | None = None
    variable_pattern: str | None = None
    name: str = DEFAULT_VARIABLE
    split_bands: bool = False
    on_duplicate: OnDuplicate = "raise"
    overviews: bool = False
    coordinates: bool = True

    def __post_init__(self) -> None:
        check_choice("on_duplicate", self.on_duplicate, OnDuplicate)


def plan_cube(inventory: Inventory, options: CubeOptions | None = None) -> CubePlan:
    """Plan the cube of some images.

    Parameters
    ----------
    inventory
        Rows with an error and masks are left out; so are overviews, unless they are asked for.
    options
        How images become a cube.

    Raises
    ------
    MismatchError
        Images differ in grid or encoding, or in what their values mean; names the first, and
        counts the others.
    InvalidOptionError
        A column is absent or has nulls; two images claim one place (kind `duplicate`); there
        are no images (kind `no-sources`).
    """
    options = options or CubeOptions()
    images = stackable(inventory)
    names = np.array(
        variable_names(images, options.variable, options.variable_pattern, options.name),
        np.dtypes.StringDType(),
    )
    check_grids(images.table)
    coordinate, step = coordinate_of(images, options.along)
    places = {}
    for label in sorted(set(names.tolist())):
        members = np.flatnonzero(names == label)
        places[label] = placed(
            images, members, step, len(coordinate), options.on_duplicate, options.along
        )
    dimension = TIME if options.along == "datetime" else options.along
    cube = _cube(images, dimension, coordinate, places, options)
    if not options.overviews:
        return cube
    overviews = []
    for level, rows in overview_rows(inventory, images, np.concatenate([*places.values()])):
        check_grids(level.table)
        below = {label: np.where(place < 0, -1, rows[place]) for label, place in places.items()}
        overviews.append(_cube(level, dimension, coordinate, below, options))
    return replace(cube, overviews=tuple(overviews))


def _cube(
    images: Inventory,
    dimension: str,
    coordinate: Any,
    places: Mapping[str, Rows],
    options: CubeOptions,
) -> CubePlan:
    """Make variables of images whose places are known and whose grids agree."""
    variables: dict[str, CubeVariable] = {}
    # References are most of a table, and nothing here looks at them.
    said = images.table.drop_columns(["offsets", "lengths", "inline"])
    for label, place in places.items():
        members = place[place >= 0]
        attributes = check_encodings(said.take(pa.array(members)))
        image = replace(images.plan(int(members[0])), attributes=attributes)
        parts = _bands(label, image) if options.split_bands else {label: (image, None)}
        for name, (array, band) in parts.items():
            if name in variables:
                raise InvalidOptionError(f"two variables would be named {name!r}.")
            variables[name] = CubeVariable(image=array, rows=place, band=band)
    _check_dimensions(variables)
    cube = CubePlan(
        dimension=dimension,
        coordinate=coordinate,
        variables=variables,
        grid=_grid(images.table),
        inventory=images,
    )
    if not cube.bands:
        return cube
    of_bands = [
        v.rows[v.rows >= 0] for v in variables.values() if "band" in v.image.dimension_names
    ]
    table = said.take(pa.array(np.concatenate(of_bands)))
    return replace(cube, band_names=shared_band_names(table))


def _bands(label: str, image: ArrayPlan) -> dict[str, tuple[ArrayPlan, Band | None]]:
    """Take the bands of planar images apart: each has chunks of its own."""
    if "band" not in image.dimension_names:
        return {label: (image, None)}
    axis = image.dimension_names.index("band")
    if image.chunk_shape[axis] != 1:
        raise InvalidOptionError(
            "the bands share their chunks, so that they cannot be taken apart by reference.",
            url=None if image.source is None else image.source.url,
            remedy="Leave split_bands out: the variable has a band dimension.",
        )
    count = image.shape[axis]
    one = image_of_band(image, axis)
    found: dict[str, tuple[ArrayPlan, Band | None]] = {}
    for i in range(count):
        attributes = of_one_band(
            dict(image.attributes), i + 1, count, real=image.data_type.kind != "c"
        )
        found[f"{label}_{i + 1}"] = (replace(one, attributes=attributes), Band(i, axis, count))
    return found


def _check_dimensions(variables: Mapping[str, CubeVariable]) -> None:
    """One name has one size in a group."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, variable in variables.items():
        image = variable.image
        for dimension, size in zip(image.dimension_names, image.shape, strict=True):
            known, owner = sizes.setdefault(dimension, (size, name))
            if known != size:
                raise MismatchError(
                    f"dimension {dimension!r} is {size} long in variable {name!r}, but {known} in "
                    f"{owner!r}.",
                    url=None if image.source is None else image.source.url,
                    remedy="Give the variables cubes, or groups, of their own.",
                )


def _grid(table: Any) -> ImageGrid:
    row = table.select(list(GRID)).slice(0, 1).to_pylist()[0]
    transform, extra_georeferencing = row["transform"], row["grid_mapping"]
    return ImageGrid(
        crs=row["crs"],
        transform=None if transform is None else tuple(transform),
        width=row["width"],
        height=row["height"],
        extra_georeferencing={}
        if extra_georeferencing is None
        else json.loads(extra_georeferencing),
    )
