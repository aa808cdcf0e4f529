"""Generate Python code that opens a published repository without this package."""

from __future__ import annotations

import os
from collections.abc import Sequence

from virtual_tiff.publishing.containers import s3_settings
from virtual_tiff.storage.addresses import WEB_SCHEMES, split_account, split_url
from virtual_tiff.storage.credentials import cloud

_CLOUD_ACCESS = {
    "s3": "icechunk.s3_credentials({})",
    "gs": "icechunk.gcs_credentials({})",
    "az": "icechunk.azure_credentials({})",
}


def reading_code(
    location: str,
    containers: Sequence[str],
    *,
    branch: str,
    group: str,
    tree: bool = False,
    anonymous: bool = False,
) -> str:
    """Return code that opens a group of a repository in xarray.

    Parameters
    ----------
    location
        Local path or URL of the repository.
    containers
        Prefixes to authorise.
    branch, group
        Branch and group to open.
    tree
        Whether the group contains groups.
    anonymous
        Whether the files are in public buckets.
    """
    access = "\n".join(
        f"    {prefix!r}: {_access(prefix, anonymous=anonymous)}," for prefix in containers
    )
    opened = (
        f"tree = xarray.open_datatree(store, group={group!r}, engine='zarr', "
        if tree
        else f"dataset = xarray.open_zarr(store, group={group!r}, "
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
{opened}zarr_format=3, consolidated=False)
"""


def _access(prefix: str, *, anonymous: bool) -> str:
    scheme = prefix.partition("://")[0]
    if scheme == "file":
        return "icechunk.Credentials.LocalFileSystemAccess()"
    if scheme in WEB_SCHEMES:
        return "icechunk.Credentials.HttpAccess()"
    choice = "anonymous=True" if anonymous else "from_env=True"
    return _CLOUD_ACCESS[cloud(scheme) or scheme].format(choice)


def _storage(location: str) -> str:
    scheme, separator, rest = location.partition("://")
    if not separator or scheme == "file":
        path = os.path.abspath(rest if separator else location)
        return f"icechunk.local_filesystem_storage({path!r})"
    _, netloc, prefix = split_url(location.rstrip("/"))
    if cloud(scheme) == "az":
        container, account = split_account(netloc)
        account = account or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
        return (
            f"icechunk.azure_storage(account={account!r}, container={container!r}, "
            f"prefix={prefix!r}, from_env=True)"
        )
    place = f"bucket={netloc!r}, prefix={prefix!r}"
    if cloud(scheme) == "gs":
        return f"icechunk.gcs_storage({place}, from_env=True)"
    settings = "".join(f", {name}={value!r}" for name, value in s3_settings({}).items() if value)
    return f"icechunk.s3_storage({place}{settings}, from_env=True)"
