"""Generate Python code that opens a published repository without this package."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from virtual_tiff.publishing.containers import credential
from virtual_tiff.publishing.repository import cloud_storage
from virtual_tiff.storage.addresses import file_url_path, split_url

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?=T|$)")
#: Dates between which 64-bit nanoseconds since 1970 express all times, which xarray decodes to.
_FIRST_DATE, _LAST_DATE = "1677-09-22", "2262-04-11"


def reading_code(
    location: str,
    containers: Sequence[str],
    *,
    version: Mapping[str, str],
    group: str,
    anonymous: bool = False,
    first: str = "",
    last: str = "",
) -> str:
    """Return code that opens a group of a repository in xarray.

    Without Dask (`chunks=None`), which would make a task of every tile.

    Parameters
    ----------
    location
        Local path or URL of the repository.
    containers
        Prefixes to authorise.
    version
        Argument of Icechunk's `readonly_session`: `branch`, `tag` or `snapshot_id`.
    group
        Group to open.
    anonymous
        Whether the files are in public buckets.
    first, last
        Least and greatest coordinate of a cube, as text.
    """
    access = "\n".join(
        f"    {prefix!r}: {_call(*credential(prefix, anonymous=anonymous))},"
        for prefix in containers
    )
    arguments = ", ".join(f"{name}={value!r}" for name, value in version.items())
    return f"""\
import icechunk
import xarray

storage = {_storage(location)}
access = icechunk.containers_credentials({{
{access}
}})
repository = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
store = repository.readonly_session({arguments.removeprefix("branch=")}).store
dataset = xarray.open_zarr(
    store, group={group!r}, zarr_format=3, consolidated=False, chunks=None{_times(first, last)}
)
"""


def _times(first: str, last: str) -> str:
    """Return the option for times that nanoseconds since 1970 cannot express."""
    dates = [found[0] for text in (first, last) if (found := _DATE.match(text))]
    if all(_FIRST_DATE <= date < _LAST_DATE for date in dates):
        return ""
    return ", decode_times=xarray.coders.CFDatetimeCoder(time_unit='us')"


def _storage(location: str) -> str:
    scheme, separator, _ = location.partition("://")
    if not separator or scheme == "file":
        path = os.path.abspath(file_url_path(location) if separator else location)
        return f"icechunk.local_filesystem_storage({path!r})"
    _, netloc, prefix = split_url(location.rstrip("/"))
    name, arguments = cloud_storage(scheme, netloc, prefix)
    return _call(name, {**arguments, "from_env": True})


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return f"icechunk.{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
