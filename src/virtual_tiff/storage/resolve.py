"""The store that serves a URL."""

from __future__ import annotations

from typing import Any, Protocol

from obspec import GetAsync, GetRange
from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.errors import ErrorKind, SourceError


class Store(GetAsync, GetRange, Protocol):
    """What this package asks of a store: single ranges, from async code and from threads."""


def resolve_store(url: str, registry: ObjectStoreRegistry[Any]) -> tuple[Store, str]:
    """Find the store for a URL, and the path in it.

    Raises
    ------
    SourceError
        With kind `no-store` if the registry has none for this URL.
    """
    try:
        return registry.resolve(url)
    except Exception as error:
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
