"""Remove images from one resolution of a cube: variables, whole steps, or single places."""

from __future__ import annotations

import icechunk
import zarr
from icechunk import IcechunkStore

from virtual_tiff.cubes.gaps import PRESENT
from virtual_tiff.publishing.levels import is_variable
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.removal.rows import LevelRows
from virtual_tiff.publishing.removal.steps import Steps, cut_steps, steps_without_images
from virtual_tiff.publishing.removal.variable import Variable
from virtual_tiff.storage.run import run


def remove_from_level(session: icechunk.Session, path: str, rows: LevelRows) -> list[int]:
    """Remove images from the arrays of a group; return the rows that do not hold any more.

    A step whose images are all removed is removed from the axis, and a variable without any
    image from the group. Other places are gaps then.

    Raises
    ------
    MismatchError
        There would be gaps in a variable without a nodata value.
    """
    store = session.store
    group = zarr.open_group(store, path=path or None, mode="r+", zarr_format=3)
    arrays = {name: array for name, array in group.arrays() if is_variable(name, array)}
    empty = [name for name in rows.removed if name in arrays and not rows.kept.get(name)]
    left = {name: array for name, array in arrays.items() if name not in empty}
    dropped = [row for removed in rows.removed.values() for row in removed]
    if not left:
        _remove_all(store, path, group)
        return dropped
    for name in empty:
        run(store.delete_dir(f"{key_prefix(path)}{name}"))
        if f"{name}{PRESENT}" in group:
            run(store.delete_dir(f"{key_prefix(path)}{name}{PRESENT}"))
    steps = Steps(group)
    gone = steps_without_images(steps, rows, left)
    for name in left:
        if name in rows.removed:
            kept = tuple(rows.kept[name].values())
            variable = Variable(store, group, path, name, steps, kept)
            variable.clear(tuple(rows.removed[name].values()), gone)
    for axis, numbers in gone.items():
        cut_steps(session, path, group, list(left), axis, numbers)
    return dropped


def _remove_all(store: IcechunkStore, path: str, group: zarr.Group) -> None:
    """Remove a cube: its group, or the arrays of it where it is the root."""
    if path:
        run(store.delete_dir(path))
        return
    for name, _ in list(group.arrays()):
        run(store.delete_dir(name))
