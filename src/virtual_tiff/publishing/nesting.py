"""Whether groups would lie within what a repository holds already."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from zarr.buffer import default_buffer_prototype

from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.publishing.fitting import key_prefix

if TYPE_CHECKING:
    from icechunk import IcechunkStore


async def check_outside(store: IcechunkStore, paths: Iterable[str]) -> None:
    """Refuse groups within an array, a cube, or the group of a file.

    A DataTree that holds them could not be opened: its groups inherit coordinates. A cube at the
    root may have groups beside it.

    Parameters
    ----------
    store
        Of a session of the repository.
    paths
        Of the groups, without slashes at their ends.

    Raises
    ------
    RepositoryError
        With kind `conflict`.
    """
    above: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above.setdefault("/".join(parts[:depth]), path)
    for parent, path in above.items():
        if await _holds_arrays(store, parent):
            raise RepositoryError(
                f"the group {path!r} would lie within {parent!r}, which holds arrays.",
                kind=ErrorKind.CONFLICT,
                remedy="Name a group beside it.",
            )


async def _holds_arrays(store: IcechunkStore, path: str) -> bool:
    """Whether a path is an array, a pyramid, or a group with arrays in it."""
    document = await _document(store, path)
    if document is None:
        return False
    if document["node_type"] == "array" or "multiscales" in document["attributes"]:
        return True
    async for name in store.list_dir(path):
        child = await _document(store, f"{key_prefix(path)}{name}")
        if child is not None and child["node_type"] == "array":
            return True
    return False


async def _document(store: IcechunkStore, path: str) -> dict[str, Any] | None:
    found = await store.get(f"{key_prefix(path)}zarr.json", default_buffer_prototype())
    if found is None:
        return None
    document: dict[str, Any] = json.loads(found.to_bytes())
    return {"attributes": {}, **document}
