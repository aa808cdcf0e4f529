"""Generate Python code that opens a published repository without this package."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from virtual_tiff.publishing.containers import credential
from virtual_tiff.publishing.repository import cloud_storage
from virtual_tiff.storage.addresses import split_url


def reading_code(
    location: str,
    containers: Sequence[str],
    *,
    branch: str,
    group: str,
    anonymous: bool = False,
) -> str:
    """Return code that opens a group of a repository in xarray.

    Without Dask (`chunks=None`), which would make a task of every tile.

    Parameters
    ----------
    location
        Local path or URL of the repository.
    containers
        Prefixes to authorise.
    branch, group
        Branch and group to open.
    anonymous
        Whether the files are in public buckets.
    """
    access = "\n".join(
        f"    {prefix!r}: {_call(*credential(prefix, anonymous=anonymous))},"
        for prefix in containers
    )
    return f"""\
import icechunk
import xarray

storage = {_storage(location)}
access = icechunk.containers_credentials({{
{access}
}})
repository = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
store = repository.readonly_session({branch!r}).store
dataset = xarray.open_zarr(
    store, group={group!r}, zarr_format=3, consolidated=False, chunks=None
)
"""


def _storage(location: str) -> str:
    scheme, separator, rest = location.partition("://")
    if not separator or scheme == "file":
        path = os.path.abspath(rest if separator else location)
        return f"icechunk.local_filesystem_storage({path!r})"
    _, netloc, prefix = split_url(location.rstrip("/"))
    name, arguments = cloud_storage(scheme, netloc, prefix)
    return _call(name, {**arguments, "from_env": True})


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return f"icechunk.{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
