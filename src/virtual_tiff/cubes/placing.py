"""Find the position of images in a cube: variable and step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from virtual_tiff.choices import OnDuplicate
from virtual_tiff.cubes.options import DATETIME, CubeOptions, column_of
from virtual_tiff.cubes.plan import Existing, Rows
from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.inventory.times import compiled_pattern
from virtual_tiff.planning.stacks import TILES


def stackable(inventory: Inventory) -> Inventory:
    """Return the rows that can be stacked: readable full-resolution images.

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
            remedy="Each row has its error." if len(inventory) > len(images) else None,
        )
    return chosen


def variable_names(
    inventory: Inventory, column: str | None, pattern: str | None, name: str
) -> list[str]:
    """Name the variable of each image: from a column, by a pattern in its URL, or `name`."""
    if column is not None and pattern is not None:
        raise InvalidOptionError("variables come from a column or from a pattern, not from both.")
    if pattern is not None:
        return _found(inventory, pattern)
    if column is None:
        return [name] * len(inventory)
    return [str(value) for value in require(inventory, column, "variable").to_pylist()]


def _found(inventory: Inventory, pattern: str) -> list[str]:
    remedy = "Put the name of the variable in parentheses, as in '_(red|nir)'."
    compiled = compiled_pattern(pattern, "variable", remedy)
    names = []
    for url in inventory.table["url"].to_pylist():
        match = compiled.search(url)
        if match is None or not match[1]:
            raise InvalidOptionError(
                f"the variable pattern {pattern!r} finds nothing.",
                url=url,
                remedy="Name only files that it matches, or remove the others from the table.",
            )
        names.append(match[1])
    return names


def columns_along(
    images: Inventory,
    options: CubeOptions,
    existing: Sequence[Existing] | None,
    of_places: tuple[str, ...],
    claims: Sequence[Rows],
) -> tuple[str, ...]:
    """Return the columns along which images are stacked.

    Parameters
    ----------
    existing
        Levels of the stitched cube that images are added to, if there is one.
    of_places
        Columns of the places of planes in several files.
    claims
        Numbers, equal for images of one variable at one place.
    """
    if options.along is None and existing:
        # What the images do not have themselves.
        own = {*images.table["dimensions"][0].as_py(), *TILES}
        return tuple(column_of(name) for name in existing[0].dimensions if name not in own)
    if options.along is None and of_places:
        return of_places
    if options.columns is not None:
        return options.columns
    # Along time only where images claim one place, and all have a time.
    alone = np.unique(keys_of(claims, len(images))).size == len(images)
    return () if alone or images.table[DATETIME].null_count else (DATETIME,)


def coordinate_of(inventory: Inventory, column: str) -> tuple[NDArray[np.generic], Rows]:
    """Return the sorted values of the coordinate, and the step of each row."""
    values = require(inventory, column, "along")
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if column == "ifd" and not pc.any(pc.match_substring(values, ".")).as_py():
        # Text would put the tenth page before the second.
        values = values.cast(pa.int64())
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        try:
            array = values.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid as error:
            raise InvalidOptionError(
                f"column {column!r} has times that are finer than microseconds, or too far away.",
                remedy="Round them to microseconds.",
            ) from error
    elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        array = values.to_numpy(zero_copy_only=False)
        if not (finite := np.isfinite(array)).all():
            raise InvalidOptionError(
                f"{np.count_nonzero(~finite)} of {len(array)} images have a {column} that is no "
                "finite number.",
                url=inventory.table["url"][int(np.argmin(finite))].as_py(),
                remedy=f"Fill column {column!r}, or leave the images out.",
            )
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        array = np.array(values.to_pylist(), np.dtypes.StringDType())
    else:
        raise InvalidOptionError(
            f"column {column!r} is {values.type}, which cannot be a coordinate.",
            remedy="Use times, numbers or text.",
        )
    unique, step = np.unique(array, return_inverse=True)
    return unique, step.astype(np.int64)


def require(inventory: Inventory, column: str, argument: str) -> pa.ChunkedArray:
    """Return a column; refuse one that is absent, or null for an image."""
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


def keys_of(columns: Sequence[Rows], count: int) -> Rows:
    """Return a number for each of `count` images, in the order of their positions, most first."""
    keys = np.zeros(count, np.int64)
    for column in columns:
        distinct, codes = np.unique(column, return_inverse=True)
        keys = keys * distinct.size + codes.reshape(-1)
        if len(columns) > 1:
            # Small numbers, whatever the sizes of the axes.
            keys = np.unique(keys, return_inverse=True)[1].reshape(-1)
    return keys


def chosen_of(inventory: Inventory, members: Rows, keys: Rows, on_duplicate: OnDuplicate) -> Rows:
    """Return the rows of a variable that are used, in the order of their positions.

    Parameters
    ----------
    members
        Rows of its images.
    keys
        A number for the position of each row of the inventory; see `keys_of`.
    on_duplicate
        Which of several images at one position is used.
    """
    if on_duplicate == "newest":
        modified = inventory.table["last_modified"].take(pa.array(members))
        age = pc.fill_null(modified.cast(pa.int64()), 0).to_numpy()
        members = members[np.argsort(age, kind="stable")]
    ordered = members if on_duplicate in ("raise", "first") else members[::-1]
    first = np.unique(keys[ordered], return_index=True)[1]
    used: Rows = ordered[first]
    return used
