"""Images of an inventory → the plan of a cube: same grid, same encoding, one coordinate each.

Stacking is not mosaicking: what differs is reported, never resampled. Nothing here does I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from virtual_tiff.archive.cube_plan import Band, CubePlan, CubeVariable, Grid, Rows, image_of_band
from virtual_tiff.archive.inventory import Inventory
from virtual_tiff.archive.matching import Difference, differences
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError
from virtual_tiff.plan import JSON, ArrayPlan

type OnDuplicate = Literal["raise", "first", "last", "newest"]

#: Dimension of a cube that is stacked along the column `datetime`.
TIME = "time"
DEFAULT_VARIABLE = "data"
_GRID = ("crs", "transform", "width", "height")
_ENCODING = ("data_type", "dimensions", "shape", "chunk_shape", "codecs", "fill_value")
#: What can be done about a difference in a column.
_REMEDIES = {
    **dict.fromkeys(_GRID, 'Images on other grids need cubes of their own: layout="tree".'),
    "codecs": "Images with other encodings need variables of their own, or a cube of their own.",
    "fill_value": "Other nodata values need variables of their own, or a cube of their own.",
}


def plan_cube(
    inventory: Inventory,
    *,
    along: str = "datetime",
    variable: str | None = None,
    name: str = DEFAULT_VARIABLE,
    split_bands: bool = False,
    on_duplicate: OnDuplicate = "raise",
) -> CubePlan:
    """Plan the cube of some images.

    Parameters
    ----------
    inventory
        Rows with an error, and overviews and masks, are left out.
    along
        Column whose values order the images; `datetime` makes the dimension `time`.
    variable
        Column that names the variable of each image.
    name
        Name of the only variable, where no column names it.
    split_bands
        Make each band of planar images a variable, such as `data_1`.
    on_duplicate
        Which of several images at the same place of the same variable is taken: the `first` or
        `last` in the inventory, or the `newest` (by last-modified); `raise` refuses.

    Raises
    ------
    MismatchError
        Images differ in grid or encoding; names the first, and counts the others.
    InvalidOptionError
        A column is absent or has nulls; two images claim one place (kind `duplicate`); there
        are no images (kind `no-sources`).
    """
    if on_duplicate not in get_args(OnDuplicate.__value__):
        raise InvalidOptionError(
            f"on_duplicate is {on_duplicate!r}, but must be one of "
            f"{', '.join(map(repr, get_args(OnDuplicate.__value__)))}."
        )
    inventory = stackable(inventory)
    table = inventory.table
    raise_first(differences(table, _GRID), len(inventory))
    names = _variables(inventory, variable, name)
    values, step = _coordinate(inventory, along)
    variables: dict[str, CubeVariable] = {}
    for label in sorted(set(names)):
        members = np.flatnonzero(np.array([n == label for n in names]))
        part = table.take(pa.array(members))
        raise_first(differences(part, _ENCODING), len(members))
        place = _placed(inventory, members, step, len(values), on_duplicate, along)
        image = replace(
            inventory.plan(int(members[0])), attributes=shared_attributes(part["attributes"])
        )
        parts = _bands(label, image) if split_bands else {label: (image, None)}
        for key, (array, band) in parts.items():
            if key in variables:
                raise InvalidOptionError(f"two variables would be named {key!r}.")
            variables[key] = CubeVariable(image=array, rows=place, band=band)
    _check_dimensions(variables)
    return CubePlan(
        dimension=TIME if along == "datetime" else along,
        coordinate=values,
        variables=variables,
        grid=_grid(table),
        inventory=inventory,
    )


def stackable(inventory: Inventory) -> Inventory:
    """The rows that can be stacked: full-resolution images that could be read.

    Raises
    ------
    InvalidOptionError
        With kind `no-sources` if there are none.
    """
    images = inventory.images
    chosen = images.filter(pc.equal(images.table["role"], "image"))
    if len(chosen) == 0:
        raise InvalidOptionError(
            f"none of the {len(inventory)} rows is an image that could be read.",
            kind=ErrorKind.NO_SOURCES,
            remedy="See the errors in inventory.failed." if len(inventory) > len(images) else None,
        )
    return chosen


def raise_first(found: Sequence[Difference], count: int) -> None:
    """Raise what keeps images out of one array.

    Raises
    ------
    MismatchError
        If there is a difference.
    """
    if not found:
        return
    first = found[0]
    files = len({difference.row for difference in found})
    others = f" So do {files - 1} others." if files > 1 else ""
    raise MismatchError(
        f"{first.column} is {first.value}, but {first.expected} in {count - files} of {count} "
        f"images.{others}",
        url=first.url,
        ifd=first.ifd,
        remedy=_REMEDIES.get(first.column, "Leave it out, or give it a cube of its own.")
        + " virtual_tiff.archive.matching.differences(inventory) lists all.",
    )


def shared_attributes(column: Any) -> dict[str, JSON]:
    """The attributes that all images have, with the same values."""
    documents = [json.loads(text) for text in column.unique().to_pylist()]
    first: dict[str, JSON] = documents[0]
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in documents[1:])
    }


def _variables(inventory: Inventory, column: str | None, name: str) -> list[str]:
    if column is None:
        return [name] * len(inventory)
    values = require(inventory, column, "variable")
    return [str(value).replace("/", "_") for value in values.to_pylist()]


def _coordinate(inventory: Inventory, column: str) -> tuple[NDArray[Any], Rows]:
    """Sorted values of the coordinate, and the step of each row."""
    values = require(inventory, column, "along")
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        array = values.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        array = values.to_numpy(zero_copy_only=False)
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        array = np.array(values.to_pylist(), np.dtypes.StringDType())
    else:
        raise InvalidOptionError(
            f"column {column!r} is {values.type}, which cannot be a coordinate.",
            remedy="Times, numbers and text can.",
        )
    unique, step = np.unique(array, return_inverse=True)
    return unique, step.astype(np.int64)


def require(inventory: Inventory, column: str, argument: str) -> Any:
    """Return a column without nulls.

    Raises
    ------
    InvalidOptionError
        It is absent, or null for an image.
    """
    table = inventory.table
    if column not in table.column_names:
        raise InvalidOptionError(
            f"there is no column {column!r} for {argument}.",
            remedy=f"The caller's columns are: {', '.join(inventory.own_columns) or 'none'}.",
        )
    values = table[column]
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        remedy = f"Fill column {column!r}, or leave the images out."
        if column == "datetime":
            remedy = (
                "Scan with datetime_column, datetime_pattern or datetime_tag, so that every "
                "image has a time."
            )
        raise InvalidOptionError(
            f"{values.null_count} of {len(inventory)} images have no {column}.",
            url=table["url"][row].as_py(),
            remedy=remedy,
        )
    return values


def _placed(
    inventory: Inventory,
    members: Rows,
    step: Rows,
    steps: int,
    on_duplicate: OnDuplicate,
    along: str,
) -> Rows:
    """Row at each step of a variable."""
    if on_duplicate == "newest":
        modified = inventory.table["last_modified"].take(pa.array(members))
        age = pc.fill_null(modified.cast(pa.int64()), 0).to_numpy()
        members = members[np.argsort(age, kind="stable")]
    place = np.full(steps, -1, np.int64)
    ordered = members[::-1] if on_duplicate == "first" else members
    place[step[ordered]] = ordered
    if on_duplicate == "raise" and np.count_nonzero(place >= 0) < len(members):
        lost = np.setdiff1d(members, place[place >= 0])
        one, other = int(lost[0]), int(place[step[lost[0]]])
        urls = inventory.table["url"]
        raise InvalidOptionError(
            f"has the same {along} as {urls[other].as_py()} "
            f"({inventory.table[along][one].as_py()}).",
            kind=ErrorKind.DUPLICATE,
            url=urls[one].as_py(),
            remedy='Pass on_duplicate="first", "last" or "newest" to take one of them, or a '
            "column for variable that tells them apart.",
        )
    return place


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
    return {f"{label}_{i + 1}": (one, Band(i, axis, count)) for i in range(count)}


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
                    remedy='Give the variables cubes of their own: layout="tree".',
                )


def _grid(table: Any) -> Grid:
    row = table.select(list(_GRID)).slice(0, 1).to_pylist()[0]
    transform = row["transform"]
    return Grid(
        crs=row["crs"],
        transform=None if transform is None else tuple(transform),
        width=row["width"],
        height=row["height"],
    )
