"""Read what was published, as its users do: with Icechunk and Zarr alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import icechunk
import zarr


def open_group(repository: Path) -> zarr.Group:
    """Root of the main branch of a repository on the local disk."""
    storage = icechunk.local_filesystem_storage(str(repository))
    config = icechunk.Repository.fetch_config(storage)
    containers = (config.virtual_chunk_containers if config else None) or {}
    local = icechunk.Credentials.LocalFileSystemAccess()
    access = icechunk.containers_credentials(dict.fromkeys(containers, local))
    repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
    return zarr.open_group(repo.readonly_session("main").store, mode="r", zarr_format=3)


def largest_array(group: zarr.Group) -> zarr.Array[Any]:
    """The array with the most elements: the full resolution."""
    arrays = [node for _, node in group.members(max_depth=None) if isinstance(node, zarr.Array)]
    return max(arrays, key=lambda array: array.size)
