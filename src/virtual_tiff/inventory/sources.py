"""What a caller names → a table of the URLs to scan.

A source is a URL, a local path, a folder or prefix (ending in `/`), a glob, a text file of any
of these, a STAC Item or ItemCollection, a table with a column of URLs, or several of them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.arrow_types import without_views
from virtual_tiff.inventory.listing import (
    globbed,
    is_file,
    is_glob,
    is_local,
    listed,
    local_path,
    read_bytes,
    resolved,
    to_url,
)
from virtual_tiff.inventory.stac_items import items_to_table, stac_table_to_urls
from virtual_tiff.inventory.table import COLUMNS, Inventory
from virtual_tiff.inventory.times import as_time
from virtual_tiff.storage.errors import storage_error

type Table = Any
type Registry = Any

#: Ends of the names that a listing takes for TIFFs, in lower case.
SUFFIXES = (".tif", ".tiff", ".btf", ".gtiff", ".svs", ".ndpi", ".scn", ".lsm", ".stk")
_TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How sources are understood.

    Parameters
    ----------
    url_column
        Column of a table that holds URLs or paths.
    datetime_column
        Column of a table, or property of a STAC Item, that holds the time. A column that is
        named `datetime` needs no naming.
    assets
        Keys of the assets of STAC Items; `None` for all whose media type is TIFF.
    """

    url_column: str = "url"
    datetime_column: str | None = None
    assets: tuple[str, ...] | None = None


def read_sources(
    sources: object, registry: Callable[[str], Registry], options: SourceOptions
) -> Table:
    """List what is to be scanned.

    Parameters
    ----------
    sources
        One source, or several; see the module.
    registry
        Gives the store registry for a URL that has to be listed or fetched.
    options
        See `SourceOptions`.

    Returns
    -------
    pyarrow.Table
        Columns `url` (absolute), `datetime` (UTC, null where unknown), and the caller's own,
        with `source_` before a name that an inventory needs itself.

    Raises
    ------
    InvalidOptionError
        With kind `no-sources` if there are none; or a table lacks a column; or a source is
        nothing of the kind.
    SourceError
        A listing or a text file cannot be had.
    """
    reader = _Reader(registry, options)
    tables = [table for table in reader.tables(sources) if table.num_rows]
    if not tables:
        raise InvalidOptionError(
            "there are no TIFFs.",
            kind=ErrorKind.NO_SOURCES,
            url=_only(sources),
            remedy=f"Listings take names that end in {', '.join(SUFFIXES)}.",
        )
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def are_files(sources: object) -> bool:
    """Whether nothing but single files is named: no folder, glob, list or table."""
    several = list(_each(sources)) if isinstance(sources, Sequence | set | frozenset) else [sources]
    return all(
        isinstance(source, str | os.PathLike) and is_file(to_url(source)) for source in several
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    registry: Callable[[str], Registry]
    options: SourceOptions

    def tables(self, sources: object, base: Path | None = None) -> Iterable[Table]:
        """Tables of a source, or of several; neighbouring URLs share one."""
        plain: list[str] = []
        for source in _each(sources):
            if isinstance(source, str | os.PathLike):
                found = self._text(os.fspath(source), base)
            else:
                found = self._object(source)
            if isinstance(found, str):
                plain.append(found)
                continue
            if plain:
                yield _urls(plain)
                plain = []
            yield from found
        if plain:
            yield _urls(plain)

    def _object(self, source: object) -> Iterable[Table]:
        if isinstance(source, Inventory):
            columns = ["url", "datetime", *source.own_columns]
            return [source.table.select(columns)]
        if isinstance(source, Mapping):
            return [self._stac(source, None)]
        if hasattr(source, "__arrow_c_stream__"):
            return [self._table(pa.table(source), None)]
        if hasattr(source, "to_dict"):  # pystac's Item and ItemCollection
            return [self._stac(source.to_dict(), None)]
        raise InvalidOptionError(
            f"{type(source).__name__} is no source: a URL, a path, a STAC Item or "
            "ItemCollection, or a table with a column of URLs is.",
        )

    def _text(self, text: str, base: Path | None) -> str | Iterable[Table]:
        url = to_url(text, base)
        if is_file(url):
            return url
        name = url.rsplit("/", 1)[-1].lower()
        if url.endswith("/") or (is_local(url) and local_path(url).is_dir()):
            return [_urls(listed(url, self.registry(url), SUFFIXES))]
        if is_glob(url):
            return [_urls(globbed(url, self.registry(url)))]
        if name.endswith((".txt", ".lst")):
            lines = read_bytes(url, self.registry(url)).decode("utf-8-sig").splitlines()
            entries = [line.strip() for line in lines if not line.lstrip().startswith("#")]
            folder = local_path(url).parent if is_local(url) else None
            return self.tables([entry for entry in entries if entry], folder)
        if name.endswith((".json", ".geojson")):
            return [self._stac(_parsed(read_bytes(url, self.registry(url)), url), url)]
        if name.endswith((".parquet", ".geoparquet")):
            return [self._parquet(url)]
        import pyarrow.csv as pc

        return [self._table(pc.read_csv(io.BytesIO(read_bytes(url, self.registry(url)))), url)]

    def _parquet(self, url: str) -> Table:
        try:
            file = (
                local_path(url)
                if is_local(url)
                else io.BytesIO(read_bytes(url, self.registry(url)))
            )
            table = pq.read_table(file)
        except pa.ArrowInvalid as error:
            raise InvalidOptionError(f"this is not Parquet: {error}", url=url) from error
        except OSError as error:
            raise storage_error(error, url) from error
        if set(table.column_names) >= COLUMNS:
            return next(iter(self._object(Inventory.from_arrow(table))))
        return self._table(table, url)

    def _table(self, table: Table, url: str | None) -> Table:
        table = without_views(table)
        names = table.column_names
        if "assets" in names and pa.types.is_struct(table.schema.field("assets").type):
            table = stac_table_to_urls(table, self.options.assets)
            hrefs = table["url"].to_pylist()
            urls = [to_url(href if url is None else resolved(url, href)) for href in hrefs]
            table = table.set_column(0, "url", pa.array(urls, pa.string()))
        elif self.options.url_column not in names:
            raise InvalidOptionError(
                f"there is no column {self.options.url_column!r} among {', '.join(names)}.",
                url=url,
                remedy="Name the column that holds the URLs with url_column.",
            )
        else:
            position = names.index(self.options.url_column)
            values = table.column(position).to_pylist()
            if not all(isinstance(value, str) for value in values):
                raise InvalidOptionError(
                    f"column {self.options.url_column!r} holds something other than text.",
                    url=url,
                )
            folder = local_path(url).parent if url is not None and is_local(url) else None
            urls = pa.array([to_url(value, folder) for value in values], pa.string())
            table = table.remove_column(position)
            if "url" in table.column_names:
                table = _renamed(table, ["url"])
            table = table.add_column(0, "url", urls)
        return self._with_time(table)

    def _stac(self, document: Mapping[str, Any], url: str | None) -> Table:
        table = items_to_table(document, self.options.assets)
        hrefs = table["url"].to_pylist()
        urls = [to_url(href if url is None else resolved(url, href)) for href in hrefs]
        return self._with_time(table.set_column(0, "url", pa.array(urls, pa.string())))

    def _with_time(self, table: Table) -> Table:
        """Make the column of times, and move names out of the way of the inventory's."""
        column = self.options.datetime_column or "datetime"
        times = pa.nulls(table.num_rows, _TIME)
        if column in table.column_names:
            times = _times(table[column], column)
            if column == "datetime":
                table = table.drop_columns([column])
        elif self.options.datetime_column is not None:
            raise InvalidOptionError(
                f"there is no column {column!r} among {', '.join(table.column_names)}.",
                remedy="Name the column that holds the times with datetime_column.",
            )
        taken = [name for name in table.column_names if name in COLUMNS and name != "url"]
        return _renamed(table, taken).add_column(1, "datetime", times)


def _only(sources: object) -> str | None:
    """Address of the only source, for an error."""
    if isinstance(sources, list | tuple) and len(sources) == 1:
        return _only(sources[0])
    return to_url(sources) if isinstance(sources, str | os.PathLike) else None


def _each(sources: object) -> Iterable[object]:
    several = isinstance(sources, Sequence | set | frozenset) or (
        isinstance(sources, Iterable) and not hasattr(sources, "__arrow_c_stream__")
    )
    if isinstance(sources, str | os.PathLike | Mapping | Inventory) or not several:
        return [sources]
    if hasattr(sources, "to_dict") and not isinstance(sources, Sequence):
        return [sources]
    return sources  # type: ignore[return-value]


def _parsed(data: bytes, url: str) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise InvalidOptionError(f"this is not JSON: {error}.", url=url) from error
    if not isinstance(document, Mapping):
        raise InvalidOptionError("this is not a STAC Item or ItemCollection.", url=url)
    return document


def _urls(urls: Sequence[str]) -> Table:
    return pa.table({"url": pa.array(urls, pa.string()), "datetime": pa.nulls(len(urls), _TIME)})


def _times(column: Any, name: str) -> Any:
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return column.cast(_TIME, safe=False)
    return pa.array([as_time(value, name) for value in column.to_pylist()], _TIME)


def _renamed(table: Table, taken: Sequence[str]) -> Table:
    names = [f"source_{name}" if name in taken else name for name in table.column_names]
    return table.rename_columns(names)
