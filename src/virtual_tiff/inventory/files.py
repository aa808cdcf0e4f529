"""Resolve user input to the addresses of TIFFs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Unpack

from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.listing import each, is_file
from virtual_tiff.storage.addresses import source_url

if TYPE_CHECKING:
    from virtual_tiff.inventory.source_options import SourceArguments


def file_urls(
    sources: object, *, limit: int | None = None, **options: Unpack[SourceArguments]
) -> list[str]:
    """Return the addresses of the TIFFs that sources name, in their order.

    Nothing is written, so web URLs may have a query.

    Parameters
    ----------
    sources
        As for `virtual_tiff.scan`: one source, or several.
    limit
        Most files of folders, patterns, lists and tables; `None` for all.
    **options
        See `SourceArguments`.

    Raises
    ------
    InvalidOptionError
        With kind `no-sources` if there are none; or a source is nothing of the kind; or there are
        more files than `limit`.
    SourceError
        A listing or a text file cannot be read.
    """
    several = list(each(sources))
    if not several:
        raise InvalidOptionError(
            "no sources are named.", kind=ErrorKind.NO_SOURCES, remedy="Name at least one TIFF."
        )
    texts = [s for s in several if isinstance(s, str | os.PathLike)]
    plain = [source_url(text, query=True) for text in texts]
    if len(plain) == len(several) and all(map(is_file, plain)):
        return plain
    # Imported here: the import takes longer than reading the header of a file.
    from virtual_tiff.inventory.source_options import SourceOptions
    from virtual_tiff.inventory.sources import read_sources

    found = read_sources(
        several,
        SourceOptions.of(options),
        registry=options.get("registry"),
        anonymous=options.get("anonymous", False),
        limit=limit,
    )
    urls: list[str] = found["url"].to_pylist()
    if limit is not None and len(urls) > limit:
        raise InvalidOptionError(
            f"there are more than {limit:,} TIFFs.",
            remedy="Scan them into an inventory, or pass a larger limit.",
        )
    return urls
