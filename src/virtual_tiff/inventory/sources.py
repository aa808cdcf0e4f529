"""Resolve user input to a table of the URLs to scan.

A source is a URL, a local path, a folder or prefix (ending in `/`), a glob, a text file of any
of these, a STAC Item or ItemCollection (also at the address of a STAC API), `catalog:NAME` for an
archive of the catalogue, a table with a column of URLs, or several of them. A glob that ends in
`.json` or `.parquet` names documents.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.catalog.entries import PREFIX, Archive, archive
from virtual_tiff.catalog.search import found_items, tile_urls
from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.arrow import without_views
from virtual_tiff.inventory.listing import (
    Listing,
    check_lines,
    each,
    globbed,
    is_file,
    is_folder,
    is_glob,
    is_stac_api,
    lines_of,
    listed,
    parse_json,
    read_bytes,
    reading_list,
)
from virtual_tiff.inventory.parquet import read_parquet
from virtual_tiff.inventory.source_options import SourceOptions
from virtual_tiff.inventory.source_tables import (
    as_arrow,
    concatenated,
    table_of_files,
    url_table,
    with_time,
)
from virtual_tiff.inventory.stac.items import (
    STAC_METADATA,
    StacRows,
    is_stac_table,
    items_of_table,
)
from virtual_tiff.inventory.table import REQUIRED, Inventory
from virtual_tiff.inventory.url_columns import with_url_columns
from virtual_tiff.storage.addresses import check_reach, is_local, local_path, source_url
from virtual_tiff.storage.errors import is_markup, storage_error, web_page
from virtual_tiff.storage.resolve import AddressRegistry
from virtual_tiff.storage.stores import registry_for

#: Suffixes of TIFFs in a listing, in lower case.
SUFFIXES = (".tif", ".tiff", ".btf", ".gtiff", ".svs", ".ndpi", ".scn", ".lsm", ".stk")

_JSON = (".json", ".geojson")
_PARQUET = (".parquet", ".geoparquet")
#: STAC documents in flight at once.
_DOCUMENTS = 16


def read_sources(
    sources: object,
    options: SourceOptions,
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
    listing: Listing | None = None,
    limit: int | None = None,
) -> pa.Table:
    """List the files to scan.

    Parameters
    ----------
    sources
        One source, or several; see the module.
    options
        See `SourceOptions`.
    registry, anonymous
        Stores to list and to fetch with; see `virtual_tiff.storage.stores.registry_for`.
    listing
        Receives what listings tell of the files.
    limit
        Files after which listings end; the result then has more.

    Returns
    -------
    pyarrow.Table
        Columns `url` (absolute), `datetime` (UTC, null if unknown), and those of the caller, with
        the prefix `source_` if an inventory has a column of this name.

    Raises
    ------
    InvalidOptionError
        With kind `no-sources` if there are none; or a table lacks a column; or a source has an
        unsupported type.
    SourceError
        A listing or a text file cannot be read.
    """
    found_in = {} if listing is None else listing
    reader = _Reader(options, registry, anonymous, found_in, StacRows(options), limit)
    tables = [table for table in reader.tables(sources) if table.num_rows]
    reader.items.check()
    if not tables:
        raise InvalidOptionError(
            "there are no TIFFs.",
            kind=ErrorKind.NO_SOURCES,
            url=_only(sources),
            remedy=reader.items.remedy()
            or _no_items(sources)
            or f"Listings take names that end in {', '.join(SUFFIXES)}.",
        )
    return concatenated(tables)


@dataclass(frozen=True, slots=True)
class _Reader:
    options: SourceOptions
    given: ObjectStoreRegistry[Any] | None
    anonymous: bool
    listing: Listing
    items: StacRows
    limit: int | None

    def registry(self, url: str) -> AddressRegistry:
        return registry_for([url], self.given, anonymous=self.anonymous)

    def tables(
        self, sources: object, base: Path | None = None, within: str | None = None
    ) -> Iterable[pa.Table]:
        """Yield tables of one or several sources; consecutive URLs share one.

        `within` is the address of the list that names them.
        """
        plain: list[str] = []
        for source in each(sources):
            if isinstance(source, str | os.PathLike):
                found = self._text(os.fspath(source), base, within)
            else:
                found = self._object(source)
            if isinstance(found, str):
                plain.append(found)
                continue
            if plain:
                yield url_table(plain)
                plain = []
            yield from found
        if plain:
            yield url_table(plain)

    def _object(self, source: object) -> Iterable[pa.Table]:
        if isinstance(source, Inventory):
            return [_of_inventory(source, self.options)]
        if isinstance(source, Mapping):
            return self._stac([(source, None)])
        if hasattr(source, "__arrow_c_stream__"):
            return self._table(as_arrow(source), None)
        if hasattr(source, "to_dict"):  # pystac's Item and ItemCollection
            return self._stac([(source.to_dict(), None)])
        raise InvalidOptionError(
            f"{type(source).__name__} is no source. Use a URL, a path, a STAC Item or "
            "ItemCollection, or a table with a column of URLs.",
        )

    def _text(self, text: str, base: Path | None, within: str | None) -> str | Iterable[pa.Table]:
        if text.startswith(PREFIX):
            return self._archive(archive(text))
        url = source_url(text, base or "")
        check_reach(within, [url])
        return self._address(url)

    def _archive(self, entry: Archive) -> Iterable[pa.Table]:
        """Search an archive of the catalogue, and read the assets that its entry names."""
        options = self.options
        if entry.kind == "api":
            assets = options.assets or (None if options.asset_roles else list(entry.assets) or None)
            items = StacRows(replace(options, assets=assets))
            for item in found_items(entry, options.bbox, options.datetime):
                items.add_item(item, entry.endpoint)
            items.check()
            table = items.take()
            column = options.datetime_column or entry.datetime_column or None
            tables = [with_time(table, column)] if table.num_rows else []
        elif options.datetime is not None or (entry.kind == "listing" and options.bbox is not None):
            raise InvalidOptionError(
                f"the archive {entry.name!r} is a listing of files, which cannot be searched.",
                remedy="Scan all of it, and filter the inventory.",
            )
        elif entry.kind == "tiles":
            tables = [url_table(tile_urls(entry, options.bbox))]
        else:
            tables = list(self.tables(list(entry.sources)))
        return [with_url_columns(table, entry.columns) for table in tables]

    def _address(self, url: str) -> str | Iterable[pa.Table]:
        if is_file(url):
            return url
        name = url.rsplit("/", 1)[-1].lower()
        if is_stac_api(url):
            return self._documents([url])
        if is_folder(url):
            return [self._listed(listed(url, self.registry(url), SUFFIXES, self.limit))]
        if is_glob(url):
            found = globbed(url, self.registry(url), self.limit)
            if not name.endswith((*_JSON, *_PARQUET)):
                return [self._listed(found)]
            if name.endswith(_JSON):
                return self._documents(list(found))
            return [table for each_url in found for table in self._parquet(each_url)]
        if name.endswith((".txt", ".lst")):
            with reading_list(url, "a list of addresses"):
                entries = lines_of(self._content(url))
            folder = local_path(url).parent if is_local(url) else None
            return self.tables(entries, folder, url)
        if name.endswith(_JSON):
            return self._documents([url])
        if name.endswith(_PARQUET):
            return self._parquet(url)
        import pyarrow.csv as pc

        with reading_list(url, "CSV"):
            content = self._content(url)
            check_lines(content)
            table = pc.read_csv(io.BytesIO(content))
        return self._table(table, url)

    def _listed(self, found: Listing | list[str]) -> pa.Table:
        if isinstance(found, dict):
            self.listing.update(found)
        return url_table(list(found))

    def _content(self, url: str) -> bytes:
        return read_bytes(url, self.registry(url))

    def _parquet(self, url: str) -> Iterable[pa.Table]:
        try:
            with reading_list(url, "Parquet"):
                table = read_parquet(local_path(url) if is_local(url) else self._content(url))
        except OSError as error:
            raise storage_error(error, url) from error
        return self._table(table, url)

    def _table(self, table: pa.Table, url: str | None) -> Iterable[pa.Table]:
        if set(table.column_names) >= REQUIRED:
            # It holds addresses, which must not be read as what a user names.
            inventory = Inventory.from_arrow(table)
            check_reach(url, inventory.table["url"].to_pylist())
            return [_of_inventory(inventory, self.options)]
        table = without_views(table)
        if not is_stac_table(table):
            return [table_of_files(table, url, self.options)]
        for item in items_of_table(table):
            self.items.add_item(item, url)
        return self._found()

    def _documents(self, urls: Sequence[str]) -> Iterable[pa.Table]:
        """Read STAC documents, several at once."""
        with ThreadPoolExecutor(_DOCUMENTS) as pool:
            contents = pool.map(self._content, urls)
            return self._stac(
                (_parsed(content, url), url) for url, content in zip(urls, contents, strict=True)
            )

    def _stac(
        self, documents: Iterable[tuple[Mapping[str, Any], str | None]]
    ) -> Iterable[pa.Table]:
        for document, url in documents:
            self.items.add(document, url)
        return self._found()

    def _found(self) -> Iterable[pa.Table]:
        table = self.items.take()
        return [with_time(table, self.options.datetime_column)] if table.num_rows else []


def _of_inventory(inventory: Inventory, options: SourceOptions) -> pa.Table:
    own = inventory.own_columns
    if options.stac_metadata == "ignore":
        own = [name for name in own if name != STAC_METADATA]
    return inventory.table.select(["url", "datetime", *own])


def _only(sources: object) -> str | None:
    """Return the address of a single source, for an error."""
    if isinstance(sources, list | tuple) and len(sources) == 1:
        return _only(sources[0])
    if not isinstance(sources, str | os.PathLike) or os.fspath(sources).startswith(PREFIX):
        return None
    return source_url(sources)


def _no_items(sources: object) -> str | None:
    """Return what to do where searches find nothing; `None` if there are other sources."""
    if all(isinstance(source, str) and source.startswith(PREFIX) for source in each(sources)):
        return "The archive has no files there, or no Item has these assets: widen the search."
    return None


def _parsed(data: bytes, url: str) -> Mapping[str, Any]:
    if is_markup(data):
        raise web_page(url, "JSON")
    with reading_list(url, "JSON"):
        document = parse_json(data)
    if not isinstance(document, Mapping):
        raise InvalidOptionError("this is not a STAC Item or ItemCollection.", url=url)
    return document
