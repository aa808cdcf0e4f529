"""Resolve user input to the addresses of TIFFs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.listing import each, is_file
from virtual_tiff.storage.addresses import source_url


def file_urls(
    sources: object,
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
    url_column: str = "url",
    assets: Sequence[str] | None = None,
) -> list[str]:
    """Return the addresses of the TIFFs that sources name, in their order.

    Parameters
    ----------
    sources
        As for `virtual_tiff.scan`: one source, or several.
    registry, anonymous
        Stores to list with, as for `virtual_tiff.storage.stores.registry_for`.
    url_column, assets
        See `virtual_tiff.inventory.source_options.SourceOptions`.

    Raises
    ------
    InvalidOptionError
        With kind `no-sources` if there are none; or a source is nothing of the kind.
    SourceError
        A listing or a text file cannot be read.
    """
    several = list(each(sources))
    if not several:
        raise InvalidOptionError(
            "no sources are named.", kind=ErrorKind.NO_SOURCES, remedy="Name at least one TIFF."
        )
    plain = [source_url(s) for s in several if isinstance(s, str | os.PathLike)]
    if len(plain) == len(several) and all(map(is_file, plain)):
        return plain
    # Imported here: the import takes longer than reading the header of a file.
    from virtual_tiff.inventory.source_options import SourceOptions
    from virtual_tiff.inventory.sources import read_sources

    options = SourceOptions(url_column=url_column, assets=assets)
    found = read_sources(several, options, registry=registry, anonymous=anonymous)
    urls: list[str] = found["url"].to_pylist()
    return urls
