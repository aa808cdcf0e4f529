"""Remove the group of a file, whatever the layout of its images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from icechunk import IcechunkStore

from virtual_tiff.planning.metadata import group_document, to_bytes
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.publishing.nodes import get_document, key_prefix, set_document
from virtual_tiff.publishing.sources_table import Sources
from virtual_tiff.storage.run import run


def remove_group(
    store: IcechunkStore, sources: Sources, rows: Sequence[int]
) -> tuple[str, list[int]]:
    """Remove the group of a file, and groups above it that hold nothing more.

    Parameters
    ----------
    store
        Of the session.
    sources
        The table of sources.
    rows
        Rows of the images of the file.

    Returns
    -------
    str
        Path of the group.
    list of int
        Rows of all images that were in it, those of sidecars included.
    """
    arrays = sources["array"].tolist()
    path = run(_remove(store, [arrays[row] for row in rows]))
    start = key_prefix(path)
    return path, [row for row, array in enumerate(arrays) if array.startswith(start)]


async def _remove(store: IcechunkStore, arrays: Sequence[str]) -> str:
    groups = [array.split("/")[:-1] for array in arrays]
    parts = groups[0]
    for group in groups[1:]:
        shared = zip(parts, group, strict=False)
        parts = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], shared)]
    # The datasets of levels are within a group that describes them.
    while len(parts) > 1 and "multiscales" in await _attributes(store, "/".join(parts[:-1])):
        parts.pop()
    path = "/".join(parts)
    await store.delete_dir(path)
    await remove_empty(store, path.rpartition("/")[0])
    return path


async def remove_empty(store: IcechunkStore, path: str) -> None:
    """Remove a group that holds nothing any more, and groups above it that hold nothing more."""
    while path:
        if [name async for name in store.list_dir(path) if name != "zarr.json"]:
            return
        await store.delete_dir(path)
        path = path.rpartition("/")[0]


async def remove_frame(store: IcechunkStore, path: str) -> None:
    """Remove what describes a cube that is gone: its group, or the attributes of the root."""
    if path:
        await remove_empty(store, path)
    else:
        await set_document(store, "", to_bytes(group_document(GroupPlan())))


async def _attributes(store: IcechunkStore, path: str) -> dict[str, object]:
    document = await get_document(store, path) or {}
    found: dict[str, object] = document.get("attributes", {})
    return found
