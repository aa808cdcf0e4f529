"""Remove the group of a file, whatever the layout of its images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from icechunk import IcechunkStore

from virtual_tiff.publishing.nodes import get_document, key_prefix
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
    while len(parts) > 1:
        parts.pop()
        above = "/".join(parts)
        names = [name async for name in store.list_dir(above)]
        if any(name != "zarr.json" for name in names):
            break
        await store.delete_dir(above)
    return path


async def _attributes(store: IcechunkStore, path: str) -> dict[str, object]:
    document = await get_document(store, path) or {}
    found: dict[str, object] = document.get("attributes", {})
    return found
