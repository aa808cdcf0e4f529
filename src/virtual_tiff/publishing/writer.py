"""Plans → groups, arrays and virtual references in an Icechunk session.

The documents are set as they are and the references go in as whole arrays: no xarray, no
VirtualiZarr and no object for each chunk. Nothing is visible to others before the commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from zarr.buffer import default_buffer_prototype
from zarr.buffer.cpu import Buffer

from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.planning.metadata import array_document, chunk_key, group_document, to_bytes
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.storage.addresses import chunk_checksum, chunk_location

if TYPE_CHECKING:
    from icechunk import IcechunkStore


async def write_group(store: IcechunkStore, path: str, plan: GroupPlan) -> None:
    """Write a group, its arrays and the groups below it.

    Parameters
    ----------
    store
        Of a writable session.
    path
        Of the group, without a slash at either end; empty for the root.
    plan
        Without partial segments.

    Raises
    ------
    RepositoryError
        No virtual chunk container of the repository holds a URL.
    """
    await set_document(store, path, to_bytes(group_document(plan)))
    for name, array in plan.arrays.items():
        await write_array(store, _joined(path, name), array)
    for name, group in plan.groups.items():
        await write_group(store, _joined(path, name), group)


async def write_array(store: IcechunkStore, path: str, plan: ArrayPlan) -> None:
    """Write an array and its references; the parameters are as for `write_group`."""
    await set_document(store, path, to_bytes(array_document(plan)))
    await write_references(store, path, plan)


async def write_references(
    store: IcechunkStore, path: str, plan: ArrayPlan, *, at: tuple[int, ...] | None = None
) -> None:
    """Write the chunks of a plan into an array that is there.

    Parameters
    ----------
    store
        Of a writable session.
    path
        Of the array, without a slash at either end.
    plan
        Whose chunks to write.
    at
        Chunk index in the array of the plan's first chunk. The array may have more dimensions
        than the plan: these come first, with one chunk each, such as the time of a cube.

    Raises
    ------
    RepositoryError
        No virtual chunk container of the repository holds the URL.
    """
    if plan.partial:
        raise AssertionError("partial segments must be completed first")
    start = (0,) * len(plan.shape) if at is None else at
    grid = (1,) * (len(start) - len(plan.shape)) + plan.grid_shape
    lengths = np.ascontiguousarray(plan.lengths).reshape(-1)
    if plan.source is not None and lengths.any():
        location = chunk_location(plan.source.url)
        # One string for all, however many there are.
        locations = [location] * lengths.size
        for missing in np.flatnonzero(lengths == 0).tolist():
            locations[missing] = ""
        refused = store.set_virtual_refs_arr(
            "/" + path,
            grid,
            locations,
            np.ascontiguousarray(plan.offsets).reshape(-1),
            lengths,
            arr_offset=start,
            checksum=chunk_checksum(plan.source),
        )
        if refused:
            raise RepositoryError(
                "no virtual chunk container of the repository holds this URL.",
                url=plan.source.url,
                remedy="Open the repository with a container for the start of the URL.",
            )
    for index, data in plan.inline.items():
        whole = (0,) * (len(start) - len(index)) + index
        key = chunk_key(tuple(s + i for s, i in zip(start, whole, strict=True)))
        await store.set(f"{path}/{key}", Buffer.from_bytes(data))


async def write_parents(store: IcechunkStore, path: str) -> None:
    """Write the groups above a path that are not there yet, the root among them.

    Raises
    ------
    RepositoryError
        With kind `conflict`: one of them is an array.
    """
    for parent in _parents(path):
        there = await store.get(_joined(parent, "zarr.json"), default_buffer_prototype())
        if there is None:
            await set_document(store, parent, to_bytes(group_document(GroupPlan())))
        elif json.loads(there.to_bytes())["node_type"] != "group":
            raise RepositoryError(
                f"{parent!r} is an array, so it cannot hold {path!r}.",
                kind=ErrorKind.CONFLICT,
                remedy="Give the group another name.",
            )


async def set_document(store: IcechunkStore, path: str, document: bytes) -> None:
    """Set the metadata document of a node."""
    await store.set(_joined(path, "zarr.json"), Buffer.from_bytes(document))


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    for depth in range(len(parts)):
        yield "/".join(parts[:depth])


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
