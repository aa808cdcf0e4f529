"""Masks of the images of a cube: arrays at the same places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from virtual_tiff.cubes.plan import Rows
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import Inventory

#: End of the name of the array with the masks of a variable.
MASK = "_mask"
_ROLES = ("mask", "mask overview")
_KEY = ("url", "full_ifd", "width", "height")


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """Images and, after them, their masks.

    `image_of` has the row of the image of each mask; `members` the rows of the variable of masks of
    each variable.
    """

    images: Inventory
    image_of: Rows
    members: Mapping[str, Rows]


def masked(inventory: Inventory, images: Inventory, members: Mapping[str, Rows]) -> Masked:
    """Find the mask of each image that is used.

    Parameters
    ----------
    inventory
        With the masks.
    images, members
        Images of one resolution, and those of each variable.

    Raises
    ------
    MismatchError
        An image has no mask, but others have: its pixels would be masked.
    InvalidOptionError
        No image has a mask.
    """
    found = inventory.images
    masks = found.filter(pc.is_in(found.table["role"], value_set=pa.array(_ROLES)))
    rows_of = {key: row for row, key in enumerate(_keys(masks))}
    keys = _keys(images)
    used = np.unique(np.concatenate([*members.values()]))
    without = [row for row in used.tolist() if keys[row] not in rows_of]
    if len(without) == used.size:
        raise InvalidOptionError(
            "no image has a mask.",
            url=keys[int(used[0])][0],
            remedy="Leave masks out. Or scan all images of each file (parser=VirtualTIFF()).",
        )
    if without:
        raise MismatchError(
            f"{len(without)} of {used.size} images have no mask, so all their pixels would be "
            "masked.",
            url=keys[without[0]][0],
            remedy="Leave masks out, or these images.",
        )
    chosen = np.array([rows_of[keys[row]] for row in used.tolist()], np.int64)
    position = {row: len(images) + place for place, row in enumerate(used.tolist())}
    beside = _with_columns(masks.table.take(pa.array(chosen)), images.table)
    table = pa.concat_tables([images.table, beside]).unify_dictionaries()
    return Masked(
        Inventory(table),
        used,
        {
            f"{label}{MASK}": np.array([position[row] for row in rows.tolist()], np.int64)
            for label, rows in members.items()
        },
    )


def _with_columns(table: pa.Table, like: pa.Table) -> pa.Table:
    """Add columns that another table has, without values."""
    for field in like.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(like.column_names)


def _keys(inventory: Inventory) -> list[tuple[str, str, int, int]]:
    columns = [inventory.table[name].to_pylist() for name in _KEY]
    return list(zip(*columns, strict=True))
