"""Tell apart what a user names; list folders and patterns, and fetch files that name others."""

from __future__ import annotations

import json
import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import batched, islice, takewhile
from pathlib import Path
from typing import Any, cast

from obspec import Get, Head, List, ObjectMeta
from obspec_utils.glob import glob_objects
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore

from virtual_tiff.errors import InvalidOptionError, VirtualTIFFError, shorten
from virtual_tiff.storage.addresses import has_query, is_local, is_web, local_path
from virtual_tiff.storage.errors import storage_error
from virtual_tiff.storage.local import LocalListing, check_regular
from virtual_tiff.storage.resolve import resolve_store

#: Suffixes of files that list other files.
_LISTS = (".txt", ".lst", ".json", ".geojson", ".parquet", ".geoparquet", ".csv")
#: Largest JSON document, of which Python makes ten times as many bytes, and largest other list.
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_LIST_BYTES = 256 * 1024 * 1024
#: Bytes in memory that any list may take, and bytes more for each of its own.
_LEAST, _BYTES_A_BYTE = 64 * 1024 * 1024, 6
#: Bytes that Python takes for an object, an array and a further value of JSON, and that an entry of
#: another list takes.
_OBJECT, _ARRAY, _VALUE, _LINE = 200, 64, 40, 250
_MOST_COLUMNS = 5_000
#: Bytes of one text in a list; twice as many are always refused.
_LONGEST_TEXT = 8 * 1024 * 1024
#: Characters of four bytes in UTF-8.
_ASTRAL = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
_ASTRAL_FIRST = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
_MOST_ASTRAL = 500_000
#: Files of a part of a listing that a pattern chooses.
_PART = 1_000
_GLOB = frozenset("*?[")
_STAC_API = re.compile(r"/(collections/[^/]+/items(/[^/]+)?|search)/?$")
_TIFFS = (".tif", ".tiff", ".TIF", ".TIFF")


def each(sources: object) -> Iterable[object]:
    """Iterate over sources, of which a path, a document and a table are one."""
    single = isinstance(sources, str | os.PathLike | Mapping) or hasattr(
        sources, "__arrow_c_stream__"
    )
    # pystac's ItemCollection is one document, although it can be iterated over.
    single = single or (hasattr(sources, "to_dict") and not isinstance(sources, Sequence))
    return [sources] if single or not isinstance(sources, Iterable) else sources


def is_file(url: str) -> bool:
    """Return whether an address is that of a file to scan, not of a list of files."""
    if has_query(url):
        return True
    return not (is_folder(url) or is_glob(url) or url.lower().endswith(_LISTS) or is_stac_api(url))


def is_stac_api(url: str) -> bool:
    """Return whether an address is that of Items in a STAC API (OGC API, Features)."""
    return is_web(url) and _STAC_API.search(url) is not None and not url.endswith(_TIFFS)


def is_folder(url: str) -> bool:
    """Whether an address is that of a folder or a prefix."""
    return url.endswith("/") or (is_local(url) and os.path.isdir(local_path(url)))


def is_glob(url: str) -> bool:
    """Whether an address may be a pattern: in a bucket it may also be the name of a file."""
    if is_web(url):
        # Web servers have no listings, so brackets are part of the name.
        return "*" in url
    return bool(_GLOB & set(url)) and not (is_local(url) and os.path.exists(local_path(url)))


def before_glob(url: str) -> str:
    """Return an address as far as it is no pattern."""
    return "".join(takewhile(lambda c: c not in _GLOB, url)) if is_glob(url) else url


#: What listings tell of files, by address: size, ETag and time of the last change.
type Listing = dict[str, ObjectMeta]


def listed(
    url: str,
    registry: ObjectStoreRegistry[Any],
    suffixes: tuple[str, ...],
    limit: int | None = None,
) -> Listing:
    """Return the files below a prefix whose names end in one of the suffixes, sorted.

    The listing ends soon after `limit`, with more files than that.
    """
    found: Listing = {}
    for part in listed_parts(url, registry):
        found |= {name: e for name, e in part.items() if name.lower().endswith(suffixes)}
        if limit is not None and len(found) > limit:
            break
    return dict(sorted(found.items()))


def listed_parts(url: str, registry: ObjectStoreRegistry[Any]) -> Iterator[Listing]:
    """Yield the files below a prefix, or that match a pattern, as the store lists them."""
    _check_listing(url)
    store, path = _lister(*resolve_store(url, registry))
    root = url[: len(url) - len(path)] if path else url
    root = root if root.endswith("/") else root + "/"
    try:
        if is_glob(url):
            for some in batched(glob_objects(cast(List, store), path), _PART):
                yield {root + entry["path"]: entry for entry in some}
            return
        for batch in cast(List, store).list(prefix=path or None):
            yield {root + entry["path"]: entry for entry in batch}
    except Exception as error:
        raise storage_error(error, url) from error


def globbed(
    url: str, registry: ObjectStoreRegistry[Any], limit: int | None = None
) -> Listing | list[str]:
    """Return the files that a pattern matches, sorted; or the file of that name if there is one.

    The listing ends after `limit`, with one file more.
    """
    _check_listing(url)
    store, pattern = _lister(*resolve_store(url, registry))
    root = url[: len(url) - len(pattern)]
    if not is_local(url) and _exists(cast(Head, store), pattern):
        return [url]
    try:
        entries = islice(glob_objects(cast(List, store), pattern), limit and limit + 1)
        found = {entry["path"]: entry for entry in entries}
    except Exception as error:
        raise storage_error(error, url) from error
    # Without any match, an error about this name says more than one about no files.
    return {root + path: found[path] for path in sorted(found)} or ([] if "*" in url else [url])


def _lister(store: object, path: str) -> tuple[object, str]:
    """Return what lists a store; its own list refuses folders with odd names."""
    if isinstance(store, LocalStore):
        return LocalListing(Path(store.prefix or "/")), path
    return store, path


def _exists(store: Head, path: str) -> bool:
    try:
        store.head(path)
    except Exception:
        # Whatever it is, the listing that follows says it of the pattern.
        return False
    return True


def read_bytes(url: str, registry: ObjectStoreRegistry[Any]) -> bytes:
    """Return the content of a file that lists others.

    Raises
    ------
    SourceError
        It cannot be read.
    InvalidOptionError
        It is larger than `MAX_DOCUMENT_BYTES`, or `MAX_LIST_BYTES` for what is no JSON.
    """
    try:
        if is_local(url):
            check_regular(url)
            _check_size(url, local_path(url).stat().st_size)
            return local_path(url).read_bytes()
        store, path = resolve_store(url, registry)
        response = cast(Get, store).get(path)
        _check_size(url, response.meta["size"])
        return bytes(response.buffer())
    except VirtualTIFFError:
        raise
    except Exception as error:
        raise storage_error(error, url) from error


def parse_json(data: bytes) -> Any:
    """Parse JSON, unless Python takes far more bytes for it than it has.

    Raises
    ------
    InvalidOptionError
        It has so many small values, or so long a text. Items of STAC take about three times as
        many bytes.
    """
    _check_cost(
        data, _OBJECT * data.count(b"{") + _ARRAY * data.count(b"[") + _VALUE * data.count(b",")
    )
    _check_texts(data, b'"')
    if len(data) > _LONGEST_TEXT and json.detect_encoding(data) == "utf-8":
        data = _without_astral(data)
    return json.loads(data)


def _without_astral(data: bytes) -> bytes:
    """Escape characters of four bytes: with one of them, all of a text takes four bytes each."""
    count = sum(data.count(first) for first in _ASTRAL_FIRST)
    if count > _MOST_ASTRAL:
        raise InvalidOptionError(
            f"this list has {count} characters outside of the Basic Multilingual Plane, more than "
            f"{_MOST_ASTRAL}.",
            remedy="Divide it.",
        )
    return _ASTRAL.sub(lambda found: json.dumps(found[0].decode())[1:-1].encode(), data)


def lines_of(data: bytes) -> list[str]:
    """Return the lines of a text in UTF-8, without those that are empty or comments."""
    check_lines(data)
    _check_texts(data, b"\n")
    # Bytes are divided, not text: names may have other characters that divide lines, and one
    # character outside of the Basic Multilingual Plane makes all of a text four times as large.
    lines = (line.decode().strip() for line in data.removeprefix(BOM_UTF8).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _check_texts(data: bytes, end: bytes) -> None:
    """Refuse a text between two `end` that is too long for any metadata."""
    for at in range(0, len(data) - _LONGEST_TEXT + 1, _LONGEST_TEXT):
        if data.find(end, at, at + _LONGEST_TEXT) < 0:
            raise InvalidOptionError(
                f"this list has a text of more than {_LONGEST_TEXT} bytes, at byte {at}."
            )


def check_lines(data: bytes) -> None:
    """Refuse a text or CSV of lines that are too short for addresses, or of too many columns.

    Raises
    ------
    InvalidOptionError
        It is one.
    """
    lines = data.count(b"\n") + data.count(b"\r")
    _check_cost(data, _LINE * lines)
    end = min((at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0), default=len(data))
    if (columns := data.count(b",", 0, end)) > _MOST_COLUMNS:
        raise InvalidOptionError(f"this list has {columns} columns, more than {_MOST_COLUMNS}.")


def _check_cost(data: bytes, cost: int) -> None:
    if cost > _LEAST + _BYTES_A_BYTE * len(data):
        raise InvalidOptionError(
            f"this list has {len(data)} bytes, but takes {cost} in memory.",
            remedy="Divide it.",
        )


@contextmanager
def reading_list(url: str | None, what: str) -> Iterator[None]:
    """Translate what libraries raise for a file that is no list of its kind.

    Raises
    ------
    InvalidOptionError
        It is not `what`, nested too deeply, or takes more memory than there is.
    """
    try:
        yield
    except VirtualTIFFError as error:
        raise error.at(url=url) from error.__cause__
    except (ValueError, RecursionError, MemoryError) as error:  # ArrowInvalid is a ValueError
        text = shorten(" ".join(str(error).split()) or type(error).__name__)
        raise InvalidOptionError(f"this is not {what}: {text}.", url=url) from error


def _check_size(url: str, size: int) -> None:
    plain = url.lower().endswith((".txt", ".lst", ".csv", ".parquet", ".geoparquet"))
    most = MAX_LIST_BYTES if plain else MAX_DOCUMENT_BYTES
    if size > most:
        raise InvalidOptionError(
            f"this list has {size} bytes, more than {most}.",
            url=url,
            remedy="Divide it; or name a Parquet file on this machine, such as STAC GeoParquet.",
        )


def _check_listing(url: str) -> None:
    if is_web(url):
        raise InvalidOptionError(
            "a web server has no listing.",
            url=url,
            remedy="Name the files, or a text file or table with their addresses.",
        )
