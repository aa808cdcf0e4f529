"""What lies behind an address that is not that of one TIFF: folders, prefixes, patterns, lists."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any, cast
from urllib.parse import urljoin

from obspec import List
from obspec_utils.glob import glob as glob_store

from virtual_tiff.errors import InvalidOptionError, VirtualTIFFError
from virtual_tiff.storage.addresses import WEB_SCHEMES, source_url
from virtual_tiff.storage.errors import storage_error
from virtual_tiff.storage.resolve import resolve_store

type Registry = Any

#: Ends of the names of what names files.
_LISTS = (".txt", ".lst", ".json", ".geojson", ".parquet", ".geoparquet", ".csv")
_GLOB = frozenset("*?[")


def to_url(source: str | os.PathLike[str], base: Path | None = None) -> str:
    """Return the address of what a user named; a `/` at its end stays.

    Parameters
    ----------
    source
        URL or local path.
    base
        Folder that a relative path starts from; the working directory if `None`.
    """
    text = os.fspath(source)
    if "://" not in text:
        text = os.path.join(base or "", os.path.expanduser(text))
    url = source_url(text)
    return url + "/" if text.endswith("/") and not url.endswith("/") else url


def is_file(url: str) -> bool:
    """Whether an address is that of a file to scan, rather than of something that names files."""
    folder = url.endswith("/") or (is_local(url) and local_path(url).is_dir())
    return not (folder or is_glob(url) or url.lower().endswith(_LISTS))


def is_glob(url: str) -> bool:
    """Whether an address is a pattern."""
    if url.partition("://")[0] in WEB_SCHEMES:
        # There is nothing to be found by it, so that brackets are part of the name.
        return "*" in url
    return bool(_GLOB & set(url)) and not (is_local(url) and local_path(url).exists())


def is_local(url: str) -> bool:
    """Whether an address is that of a local file."""
    return url.startswith("file://")


def local_path(url: str) -> Path:
    """Local path of an address."""
    return Path(url.removeprefix("file://"))


def resolved(base: str, href: str) -> str:
    """Make an href absolute (STAC 1.0: relative ones start from the document)."""
    if "://" in href or href.startswith("/"):
        return href
    if base.partition("://")[0] in WEB_SCHEMES:
        return urljoin(base, href)
    scheme, _, path = base.partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join(posixpath.dirname(path), href))}"


def listed(url: str, registry: Registry, suffixes: tuple[str, ...]) -> list[str]:
    """Addresses below a prefix that end in one of the suffixes, sorted."""
    _check_listing(url)
    store, prefix = resolve_store(url, registry)
    root = url[: len(url) - len(prefix)] if prefix else url
    root = root if root.endswith("/") else root + "/"
    found = []
    try:
        for batch in cast(List, store).list(prefix=prefix or None):
            found += [entry["path"] for entry in batch]
    except VirtualTIFFError:
        raise
    except Exception as error:
        raise storage_error(error, url) from error
    return [root + p for p in sorted(found) if p.lower().endswith(suffixes)]


def globbed(url: str, registry: Registry) -> list[str]:
    """Addresses that a pattern matches, sorted."""
    _check_listing(url)
    store, pattern = resolve_store(url, registry)
    root = url[: len(url) - len(pattern)]
    try:
        found = [root + path for path in sorted(glob_store(cast(List, store), pattern))]
    except Exception as error:
        raise storage_error(error, url) from error
    # Brackets and question marks may also be part of a name.
    return found or ([] if "*" in url else [url])


def read_bytes(url: str, registry: Registry) -> bytes:
    """Content of a file that names others."""
    try:
        if is_local(url):
            return local_path(url).read_bytes()
        store, path = resolve_store(url, registry)
        return bytes(store.get(path).buffer())  # type: ignore[attr-defined]
    except VirtualTIFFError:
        raise
    except Exception as error:
        raise storage_error(error, url) from error


def _check_listing(url: str) -> None:
    if url.partition("://")[0] in WEB_SCHEMES:
        raise InvalidOptionError(
            "a web server has no listing.",
            url=url,
            remedy="Name the files, or a text file or table that names them.",
        )
