"""Read what was published, as its users do: with Icechunk and Zarr alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import icechunk
import zarr


def open_session(storage: icechunk.Storage) -> icechunk.Session:
    """Open the main branch, with access to all that it refers to on disks and the web."""
    config = icechunk.Repository.fetch_config(storage)
    containers = (config.virtual_chunk_containers if config else None) or {}
    access = icechunk.containers_credentials(
        {
            prefix: icechunk.Credentials.HttpAccess()
            if prefix.startswith("http")
            else icechunk.Credentials.LocalFileSystemAccess()
            for prefix in containers
        }
    )
    repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
    return repo.readonly_session("main")


def open_group(repository: Path) -> zarr.Group:
    """Root of the main branch of a repository on the local disk."""
    session = open_session(icechunk.local_filesystem_storage(str(repository)))
    return zarr.open_group(session.store, mode="r", zarr_format=3)


def largest_array(group: zarr.Group) -> zarr.Array[Any]:
    """The array with the most elements: the full resolution."""
    arrays = [node for _, node in group.members(max_depth=None) if isinstance(node, zarr.Array)]
    return max(arrays, key=lambda array: array.size)
