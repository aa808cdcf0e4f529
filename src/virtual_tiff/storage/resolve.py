"""Find the store that serves an address, and the key in it."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import unquote, urlparse, urlsplit

from obspec import Get, GetAsync
from obspec_utils.registry import ObjectStoreRegistry, UrlKey

from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError
from virtual_tiff.storage.addresses import check_no_secret, split_url
from virtual_tiff.storage.settings import check_server, server

#: Clouds, by the type of obstore's stores.
_CLOUDS = {"S3Store": "s3", "GCSStore": "gs", "AzureStore": "az"}


class Store(GetAsync, Get, Protocol):
    """The capabilities this package needs of a store: ranges, async and from threads."""


# The type of stores is open, since registries are invariant in it: a user's registry of S3 stores
# is no registry of `Store`.
class AddressRegistry(ObjectStoreRegistry[Any]):
    """A registry that reads addresses as `virtual_tiff.storage.addresses` defines them.

    Parameters
    ----------
    registry
        Registry whose stores to use; obspec-utils' registry cuts keys at `?`, `#` and `;`, and does
        not decode escapes of web addresses.

    Raises
    ------
    InvalidOptionError
        It is no registry.
    """

    def __init__(self, registry: ObjectStoreRegistry[Any] | None = None) -> None:
        super().__init__()
        #: Stores of URLs with a query, which only `registry_for` makes, for reading.
        self.queries: dict[str, Any] = {}
        if isinstance(registry, AddressRegistry):
            self.map, self.queries = registry.map, registry.queries
        elif isinstance(registry, ObjectStoreRegistry):
            self.map = registry.map
        elif registry is not None:
            raise InvalidOptionError(
                f"the registry is {type(registry).__name__}, not ObjectStoreRegistry.",
                remedy="Pass one of obspec-utils, with an obstore store for each prefix.",
            )

    def resolve(self, url: str) -> tuple[Any, str]:
        """Find the store of an address, and the key in it.

        Raises
        ------
        ValueError
            No store is registered for it.
        """
        scheme, netloc, key = split_url(url)
        if url in self.queries:
            return self.queries[url], key
        entry = self.map.get(UrlKey(scheme.lower(), netloc))
        # Stores of web servers are registered under URLs, so with escapes.
        path = url.partition("://")[2].removeprefix(netloc)
        found = None if entry is None else entry.lookup(path)
        if found is None:
            raise ValueError(f"no store is registered for {url}")
        return found[0], _within(_prefix(found[0]), key)


def check_servers(registry: ObjectStoreRegistry[Any]) -> None:
    """Refuse a registry of the caller with a store that would panic.

    Raises
    ------
    InvalidOptionError
        The endpoint of a store is no address of a server.
    """
    for key, entry in registry.map.items():
        for store in entry.iter_stores():
            _check_server(store, f"{key.scheme}://{key.netloc}")


def _check_server(store: Any, prefix: str) -> None:
    """Refuse a store of obstore that would panic, as it takes any text for its server."""
    name = f"the endpoint of the store for {prefix}"
    if cloud := _CLOUDS.get(type(store).__name__):
        endpoint = store.config.get("endpoint")
        if endpoint is None:
            server(cloud)
        else:
            check_server(name, endpoint)
    elif type(store).__name__ == "HTTPStore":
        parts = urlsplit(store.url)
        check_server(name, f"{parts.scheme}://{parts.netloc}")


def _prefix(store: object) -> str:
    """Where the keys of a store begin, seen from its host or bucket."""
    prefix = getattr(store, "prefix", None)
    if not prefix and hasattr(store, "url"):
        prefix = unquote(urlparse(store.url).path)
    return str(prefix or "").strip("/")


def _within(prefix: str, key: str) -> str:
    key = key.lstrip("/")
    if key != prefix and not key.startswith(f"{prefix}/"):
        return key
    return key.removeprefix(prefix).lstrip("/")


def resolve_store(url: str, registry: ObjectStoreRegistry[Any]) -> tuple[Store, str]:
    """Find the store for an address, and the path in it.

    Parameters
    ----------
    url
        See `virtual_tiff.storage.addresses`.
    registry
        Any registry, such as VirtualiZarr's; addresses are read alike with all of them.

    Raises
    ------
    SourceError
        With kind `no-store` if the registry has none for this URL.
    InvalidOptionError
        The endpoint of a store of the caller is no address of a server, or `registry` is none.
    """
    addresses = registry if isinstance(registry, AddressRegistry) else AddressRegistry(registry)
    if url not in addresses.queries:
        check_no_secret(url)
    try:
        store, path = addresses.resolve(url)
    except ValueError as error:
        scheme = url.split("://", 1)[0] + "://" if "://" in url else ""
        raise SourceError(
            "no store in the registry serves this URL.",
            kind=ErrorKind.NO_STORE,
            url=url,
            remedy=(
                f"Pass registry=ObjectStoreRegistry({{'{scheme or 'file://'}…': store}}), with an "
                "obstore store."
            ),
        ) from error
    if addresses is not registry:
        _check_server(store, url.removesuffix(path))
    return store, path
