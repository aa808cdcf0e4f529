"""Credentials of cloud stores: which cloud serves a scheme, and whether there are any for it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.store import from_url

from virtual_tiff.errors import ErrorKind, SourceError
from virtual_tiff.storage.addresses import split_url
from virtual_tiff.storage.settings import is_on

#: Environment variables that can have credentials, by scheme of the cloud.
_CLOUD_VARIABLES = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": (
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
    ),
}
_CLOUD_NAMES = {"s3": "AWS", "gs": "Google Cloud", "az": "Azure"}
_SKIP_SIGNATURE = {
    "s3": "AWS_SKIP_SIGNATURE",
    "gs": "GOOGLE_SKIP_SIGNATURE",
    "az": "AZURE_SKIP_SIGNATURE",
}
#: Settings of the request that checks whether there are credentials.
_SHORT: dict[str, Any] = {
    "client_options": {"timeout": "3s", "connect_timeout": "2s", "allow_http": True},
    "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
}


def cloud(scheme: str) -> str | None:
    """Return the cloud that serves a scheme: `s3`, `gs`, `az`, or `None`."""
    name = "az" if scheme == "abfs" else scheme
    return name if name in _CLOUD_VARIABLES else None


def is_anonymous(scheme: str) -> bool:
    """Return whether the environment disables credentials for a scheme."""
    name = cloud(scheme)
    return name is not None and is_on(_SKIP_SIGNATURE[name])


def check_access(urls: Iterable[str]) -> None:
    """Fail early if there are no credentials for a cloud.

    Without credentials, obstore queries the cloud's metadata service, which exists only inside that
    cloud, and retries for minutes for every file. Therefore, if the environment has none, this
    requests one byte of one file of every bucket, with a timeout of some seconds.
    """
    seen: set[tuple[str, str]] = set()
    for url in urls:
        scheme, netloc, key = split_url(url)
        name = cloud(scheme)
        if name is None or (name, netloc) in seen:
            continue
        seen.add((name, netloc))
        if _has_credentials(name):
            continue
        try:
            store = from_url(f"{scheme}://{netloc}", **_SHORT)
            obstore.get_range(store, key, start=0, length=1)
        except Exception as error:
            if _is_about_credentials(error):
                raise SourceError(
                    f"there are no {_CLOUD_NAMES[name]} credentials.",
                    kind=ErrorKind.NOT_AUTHORIZED,
                    url=url,
                    remedy=(
                        f"Set {_CLOUD_VARIABLES[name][0]} and the related variables in the "
                        "environment, or pass anonymous=True for a public bucket."
                    ),
                ) from error


def _has_credentials(name: str) -> bool:
    if any(os.environ.get(variable) for variable in _CLOUD_VARIABLES[name]):
        return True
    if is_anonymous(name):
        return True
    login = ".config/gcloud/application_default_credentials.json"
    return name == "gs" and (Path.home() / login).is_file()


def _is_about_credentials(error: Exception) -> bool:
    """Return whether a request failed before it was sent to the bucket."""
    text = str(error).lower()
    endpoint = os.environ.get("AWS_METADATA_ENDPOINT", "169.254.169.254").lower()
    signs = ("169.254.169.254", "metadata.google.internal", "credential", "token request", endpoint)
    return any(sign in text for sign in signs)
