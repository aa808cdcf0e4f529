"""Stores for addresses: obstore, with credentials from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obspec_utils.registry import ObjectStoreRegistry, get_url_key
from obstore.store import HTTPStore, LocalStore, from_url

import virtual_tiff.storage.shutdown  # noqa: F401
from virtual_tiff.errors import ErrorKind, SourceError
from virtual_tiff.storage.addresses import WEB_SCHEMES, split_url

#: Stores of a cloud, by scheme, and the variables any of which holds credentials for them.
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
#: For one request that finds out whether there are credentials at all.
_SHORT = {
    "client_options": {"timeout": "3s", "connect_timeout": "2s", "allow_http": True},
    "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
}
#: The parent class splits URLs at these, so they are hidden from it as characters of no key.
_HIDE = str.maketrans("?#;", "\x01\x02\x03")
_SHOW = str.maketrans("\x01\x02\x03", "?#;")


class AddressRegistry(ObjectStoreRegistry[Any]):
    """A registry that reads addresses as `virtual_tiff.storage.addresses` defines them.

    Parameters
    ----------
    registry
        Whose stores to use; obspec-utils' own registry cuts keys at `?`, `#` and `;`, and asks web
        servers for the names with their escapes.
    """

    def __init__(self, registry: ObjectStoreRegistry[Any] | None = None) -> None:
        super().__init__()
        if registry is not None:
            self.map = registry.map

    def resolve(self, url: str) -> tuple[Any, str]:
        """Find the store of an address, and the key in it."""
        scheme, netloc, key = split_url(url)
        store, path = super().resolve(f"{scheme}://{netloc}/{key.translate(_HIDE)}")
        return store, path.translate(_SHOW)


def default_registry(urls: Iterable[str], *, anonymous: bool = False) -> AddressRegistry:
    """Make a registry with a store for each host or bucket.

    Parameters
    ----------
    urls
        Addresses of files; see `virtual_tiff.storage.addresses`.
    anonymous
        Ask cloud stores without credentials, as for public buckets. Else obstore takes them
        from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`) or the cloud's metadata service.

    Raises
    ------
    SourceError
        With kind `no-store`: nothing serves the scheme of a URL.
    """
    registry = AddressRegistry()
    for url in urls:
        scheme, netloc, _ = split_url(url)
        root = f"{scheme}://{netloc}"
        if get_url_key(root) not in registry.map:
            registry.register(root, _store(root, url, anonymous=anonymous))
    return registry


def registry_for(
    urls: Sequence[str], registry: ObjectStoreRegistry[Any] | None, *, anonymous: bool
) -> AddressRegistry:
    """The caller's registry, or one of obstore's stores after a look at the credentials.

    Raises
    ------
    SourceError
        As `default_registry` and `check_access`; not where the caller has a registry.
    """
    if registry is not None:
        return AddressRegistry(registry)
    stores = default_registry(urls, anonymous=anonymous)
    if not anonymous:
        check_access(urls)
    return stores


def _store(root: str, url: str, *, anonymous: bool) -> Any:
    scheme = root.partition("://")[0]
    try:
        if scheme == "file":
            return LocalStore()
        if scheme in WEB_SCHEMES:
            return HTTPStore(root, client_options={"allow_http": scheme == "http"})
        if cloud(scheme) is not None:
            return _from_url(root, **_options(scheme, anonymous=anonymous))
    except Exception as error:
        raise SourceError(
            f"no store can be made for this URL: {str(error).splitlines()[0].rstrip('.')}.",
            kind=ErrorKind.NO_STORE,
            url=url,
            remedy=(
                "Set AZURE_STORAGE_ACCOUNT_NAME, or write "
                "abfs://container@account.dfs.core.windows.net/…"
                if cloud(scheme) == "az"
                else "Check the URL, and the variables that configure its store."
            ),
        ) from error
    raise SourceError(
        f"no store serves {scheme}:// URLs.",
        kind=ErrorKind.NO_STORE,
        url=url,
        remedy="Use a local path or file, http, https, s3, gs, az or abfs. For others, "
        "pass registry=….",
    )


def _from_url(root: str, **options: Any) -> Any:
    # Its overloads have one signature for each store, and the scheme chooses.
    return from_url(root, **options)


def cloud(scheme: str) -> str | None:
    """Which cloud serves a scheme: `s3`, `gs`, `az`, or `None`."""
    name = "az" if scheme == "abfs" else scheme
    return name if name in _CLOUD_VARIABLES else None


def _options(scheme: str, *, anonymous: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if anonymous:
        options["skip_signature"] = True
    if cloud(scheme) == "s3" and os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["client_options"] = {"allow_http": True}
    return options


def is_anonymous(scheme: str) -> bool:
    """Whether the environment says to ask the stores of a scheme without credentials."""
    name = cloud(scheme)
    value = "" if name is None else os.environ.get(_SKIP_SIGNATURE[name], "")
    return value.lower() in ("1", "true", "yes", "on", "y")


def check_access(urls: Iterable[str]) -> None:
    """Fail soon where a cloud's credentials are missing altogether.

    Without any, obstore asks the cloud's metadata service, which answers inside that cloud alone,
    and waits and tries again for minutes for every file. So where the environment has none, this
    asks for one byte of one file of every bucket, in vain at most for some seconds.

    Raises
    ------
    SourceError
        With kind `not-authorized`.
    """
    seen = set()
    for url in urls:
        scheme, netloc, key = split_url(url)
        name = cloud(scheme)
        if name is None or (name, netloc) in seen or _has_credentials(name):
            continue
        seen.add((name, netloc))
        try:
            store = _from_url(f"{scheme}://{netloc}", **_SHORT)
            obstore.get_range(store, key, start=0, length=1)
        except Exception as error:
            if _is_about_credentials(error):
                raise SourceError(
                    f"there are no {_CLOUD_NAMES[name]} credentials.",
                    kind=ErrorKind.NOT_AUTHORIZED,
                    url=url,
                    remedy=(
                        f"Set {_CLOUD_VARIABLES[name][0]} and what belongs to it in the "
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
    """Whether a request failed before it went to the bucket."""
    text = str(error).lower()
    endpoint = os.environ.get("AWS_METADATA_ENDPOINT", "169.254.169.254").lower()
    signs = ("169.254.169.254", "metadata.google.internal", "credential", "token request", endpoint)
    return any(sign in text for sign in signs)
