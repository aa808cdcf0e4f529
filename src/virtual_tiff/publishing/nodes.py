"""Documents of groups and arrays in an Icechunk session.

They are set as they are: no xarray and no zarr object for each node. Nothing is visible to others
before the commit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from icechunk import IcechunkStore
from zarr.buffer.cpu import Buffer, buffer_prototype

from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.planning.metadata import array_document, group_document, to_bytes
from virtual_tiff.planning.names import RESERVED
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.storage.run import run

#: Nodes that an error names.
_NAMED = 3
#: Attribute of the root that readers see, where it holds groups alone.
_DESCRIPTION = "description"
_EMPTY_ROOT = "The data are in groups, such as"
_HOW_TO_LIST = "Open one of them with group=…; `virtual-tiff describe` lists all."


def key_prefix(path: str) -> str:
    """Return the prefix of keys below a group: empty for the root, else with a slash at its end."""
    return f"{path}/" if path else ""


def get_json(store: IcechunkStore, path: str) -> dict[str, Any] | None:
    """Read the document of a node and wait for it; see `get_document`."""
    return run(get_document(store, path))


async def get_document(store: IcechunkStore, path: str) -> dict[str, Any] | None:
    """Read the document of a node; `None` if it is not there."""
    found = await store.get(f"{key_prefix(path)}zarr.json", buffer_prototype)
    return None if found is None else json.loads(found.to_bytes())


async def set_document(store: IcechunkStore, path: str, document: bytes) -> None:
    """Set the document of a node."""
    await store.set(f"{key_prefix(path)}zarr.json", Buffer.from_bytes(document))


async def write_group(store: IcechunkStore, path: str, plan: GroupPlan) -> None:
    """Write the documents of a group, of its arrays and of the groups below it."""
    for within, group in plan.walk(path):
        await set_document(store, within, to_bytes(group_document(group)))
        for name, array in group.arrays.items():
            await set_document(store, key_prefix(within) + name, to_bytes(array_document(array)))


async def write_parents(store: IcechunkStore, paths: Collection[str]) -> None:
    """Write the missing groups above some paths, with the root; none may be an array."""
    above = {parent: path for path in paths if path for parent in _parents(path)}
    for parent, path in above.items():
        there = await get_document(store, parent)
        if there is None:
            await set_document(store, parent, to_bytes(group_document(GroupPlan())))
        elif there["node_type"] != "group":
            raise RepositoryError(
                f"{parent!r} is an array, so it cannot hold {path!r}.",
                kind=ErrorKind.CONFLICT,
                remedy="Use another name for the group.",
            )


async def describe_root(store: IcechunkStore, paths: Sequence[str]) -> None:
    """Say in an attribute of the root that the data are in groups, unless the root has a cube.

    xarray opens a root without arrays as an empty dataset, which then says where to look.
    """
    root = await get_document(store, "")
    if root is None or not paths:
        return
    attributes = root.get("attributes", {})
    said = str(attributes.get(_DESCRIPTION, ""))
    if "" in paths:
        if not said.startswith(_EMPTY_ROOT):
            return
        del attributes[_DESCRIPTION]
    elif said or await has_arrays(store, ""):
        return
    else:
        named = ", ".join(map(repr, paths[:_NAMED]))
        more = ", …" if len(paths) > _NAMED else ""
        attributes[_DESCRIPTION] = f"{_EMPTY_ROOT} {named}{more}. {_HOW_TO_LIST}"
    root["attributes"] = attributes
    await set_document(store, "", json.dumps(root, ensure_ascii=False).encode())


async def describe_root_again(store: IcechunkStore) -> None:
    """Name other groups in the attribute of `describe_root` after groups were removed."""
    root = await get_document(store, "") or {}
    if not str(root.get("attributes", {}).get(_DESCRIPTION, "")).startswith(_EMPTY_ROOT):
        return
    del root["attributes"][_DESCRIPTION]
    await set_document(store, "", json.dumps(root, ensure_ascii=False).encode())
    left = [name async for name in store.list_dir("") if name not in (RESERVED, "zarr.json")]
    await describe_root(store, sorted(left))


async def check_free(store: IcechunkStore, paths: Sequence[str], *, remedy: str) -> None:
    """Refuse paths that nodes of the repository have, with kind `conflict`."""
    taken = [path for path in paths if await store.exists(f"{key_prefix(path)}zarr.json")]
    if not taken:
        return
    named = ", ".join(map(repr, taken[:_NAMED]))
    more = f" and {len(taken) - _NAMED} more" if len(taken) > _NAMED else ""
    raise RepositoryError(
        f"the repository has {named}{more} already.", kind=ErrorKind.CONFLICT, remedy=remedy
    )


async def check_outside(store: IcechunkStore, paths: Iterable[str]) -> None:
    """Refuse groups within an array, a cube, a pyramid or the group of a file.

    A DataTree that holds them could not be opened: its groups inherit coordinates. A cube at the
    root may have groups beside it.
    """
    above = {parent: path for path in paths for parent in _parents(path)[1:]}
    for parent, path in above.items():
        if await _holds_arrays(store, parent):
            raise RepositoryError(
                f"the group {path!r} would lie within {parent!r}, which holds arrays.",
                kind=ErrorKind.CONFLICT,
                remedy="Name a group beside it.",
            )


async def _holds_arrays(store: IcechunkStore, path: str) -> bool:
    """Whether a path is an array, a pyramid, or a group with arrays in it."""
    document = await get_document(store, path)
    if document is None:
        return False
    if document["node_type"] == "array" or "multiscales" in document.get("attributes", {}):
        return True
    return await has_arrays(store, path)


async def has_arrays(store: IcechunkStore, path: str) -> bool:
    """Return whether there are arrays in a group, not counting those of groups in it."""
    async for name in store.list_dir(path):
        child = await get_document(store, f"{key_prefix(path)}{name}")
        if child is not None and child["node_type"] == "array":
            return True
    return False


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts))]
