"""The one registry: stores for addresses, with credentials from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore, LocalStore, from_url

import virtual_tiff.storage.shutdown  # noqa: F401
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError
from virtual_tiff.storage.addresses import WEB_SCHEMES, chunk_location, has_query, split_url
from virtual_tiff.storage.credentials import check_access, cloud
from virtual_tiff.storage.resolve import AddressRegistry, Store, check_servers
from virtual_tiff.storage.retries import retry_settings
from virtual_tiff.storage.settings import (
    SOURCE_ENDPOINT,
    check_environment,
    check_server,
    culprit,
    own_server,
    server,
)

#: Client options of obstore that the environment may set, and the start of their variables.
_CLIENT_OPTIONS = (
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "timeout", "user_agent"),
    *("proxy_url", "proxy_ca_certificate", "proxy_excludes", "http1_only", "http2_only"),
    *("pool_idle_timeout", "pool_max_idle_per_host"),
)
_CLIENT_PREFIXES = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}


def registry_for(
    urls: Iterable[str],
    registry: ObjectStoreRegistry[Any] | None = None,
    *,
    anonymous: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> AddressRegistry:
    """Return the registry with which all of this package reads files.

    Parameters
    ----------
    urls
        Addresses of files, or of what has to be listed; see `virtual_tiff.storage.addresses`.
    registry
        The caller's stores. By default obstore's, one for each host or bucket.
    anonymous
        Send no credentials to cloud stores, as for public buckets. Otherwise obstore takes them
        from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`) or the cloud's metadata service.
        Neither this nor the credentials matter where the caller has a registry.
    settings
        Settings of obstore's stores, such as `endpoint`, by prefix of the locations of chunks.

    Raises
    ------
    SourceError
        With kind `no-store`: no store serves the scheme of a URL. With kind `not-authorized`: there
        are no credentials; see `check_access`.
    """
    stores = AddressRegistry(registry)
    check_servers(stores)
    firsts: dict[str, str] = {}
    for url in urls:
        scheme, netloc, _ = split_url(url)
        root = f"{scheme}://{netloc}"
        if has_query(url):
            # The store keeps the query of its own URL in each request.
            stores.queries[url] = _store(f"{root}/?{url.partition('?')[2]}", url, {})
        elif registry is None and root not in firsts:
            firsts[root] = url
            stores.register(root, _store(root, url, _settings(url, settings), anonymous=anonymous))
    if registry is None and not anonymous:
        signed = (u for u in firsts.values() if not _settings(u, settings).get("skip_signature"))
        check_access(signed)
    return stores


def _settings(url: str, settings: Mapping[str, Mapping[str, Any]] | None) -> Mapping[str, Any]:
    """Return the settings that apply to a URL; empty if there are none."""
    if not settings or split_url(url)[0] in ("file", *WEB_SCHEMES):
        return {}
    location = chunk_location(url)
    return next((found for start, found in settings.items() if location.startswith(start)), {})


def _store(root: str, url: str, settings: Mapping[str, Any], *, anonymous: bool = False) -> Store:
    scheme = root.partition("://")[0]
    try:
        if scheme == "file":
            return LocalStore()
        if scheme in WEB_SCHEMES:
            retries = retry_settings()
            retries["client_options"]["allow_http"] = scheme == "http"
            return HTTPStore(root, **retries)
        if cloud(scheme) is not None:
            return _cloud_store(root, scheme, settings, anonymous=anonymous)
    except InvalidOptionError:
        raise
    except Exception as error:
        variable = culprit(cloud(scheme) or "s3", str(error))
        if variable is not None:
            raise InvalidOptionError(
                f"a store does not take {variable}: {_first_line(error)}."
            ) from error
        raise SourceError(
            f"no store can be made for this URL: {_first_line(error)}.",
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


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _cloud_store(root: str, scheme: str, settings: Mapping[str, Any], *, anonymous: bool) -> Store:
    name = cloud(scheme) or "s3"
    check_environment(name)
    options: dict[str, Any] = {**retry_settings(), **settings}
    if "@" in root:
        # The address has the Azure account, which may be given once.
        options.pop("account_name", None)
    if anonymous:
        options["skip_signature"] = True
    # Client options that are passed replace all those of the environment.
    prefix = _CLIENT_PREFIXES[name]
    for option in _CLIENT_OPTIONS:
        if value := os.environ.get(f"{prefix}_{option.upper()}"):
            options["client_options"][option] = value
    own = own_server(SOURCE_ENDPOINT) if name == "s3" and not settings else None
    endpoint = own or options.get("endpoint") or server(name)
    if endpoint is not None:
        options["endpoint"] = endpoint
        check_server("the endpoint", endpoint)
    if endpoint is not None and endpoint.startswith("http://"):
        options["client_options"]["allow_http"] = True
    return from_url(root, **options)
