"""`scan`: read the headers of many TIFFs into an `Inventory`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.choices import Pages, StacMetadata
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.checkpoint import Checkpoint
from virtual_tiff.inventory.headers import DEFAULT_CONCURRENCY, ScanOptions
from virtual_tiff.inventory.listing import Listing
from virtual_tiff.inventory.reading import Reading
from virtual_tiff.inventory.rows import POSITION, Rows
from virtual_tiff.inventory.source_options import SourceOptions
from virtual_tiff.inventory.sources import read_sources
from virtual_tiff.inventory.stac.declared import complete_rows
from virtual_tiff.inventory.stac.items import STAC_METADATA
from virtual_tiff.inventory.table import SCAN_OPTIONS, SCHEMA, Inventory
from virtual_tiff.inventory.unchanged import unchanged
from virtual_tiff.inventory.url_columns import with_url_columns
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.progress import Progress, no_progress
from virtual_tiff.storage.run import run
from virtual_tiff.storage.stores import registry_for


def scan(
    sources: object,
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    parser: VirtualTIFF | None = None,
    pages: Pages = "auto",
    url_column: str = "url",
    datetime_column: str | None = None,
    datetime_pattern: str | None = None,
    datetime_tag: bool = False,
    assets: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    asset_roles: Sequence[str] | None = None,
    asset_gsd: float | None = None,
    alternate: str | None = None,
    stac_metadata: StacMetadata = "use",
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    anonymous: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    known: Inventory | None = None,
    progress: Progress | None = None,
) -> Inventory:
    r"""Read the headers of many TIFFs into an inventory, usually with one GET for each file.

    Parameters
    ----------
    sources
        URLs, paths, folders and prefixes (ending in `/`), globs, text files, STAC Items and
        ItemCollections, STAC GeoParquet, `catalog:NAME` for an archive of the catalogue, or any
        Arrow, Polars, pandas or DuckDB table with a column of URLs; one or several. The columns of
        a table are kept.
    registry
        Finds the store of a URL; by default obstore's stores, with credentials from the
        environment.
    parser
        Images of a file to read; by default the first.
    pages
        How pages of one image become rows. `axes`: one row, whose array has dimensions such as `t`,
        `c` and `z`, in the order that OME-TIFF, ImageJ or the pages themselves tell; a row for each
        plane of an image in several files, with its place. `separate`: a row for each directory.
        `auto`: `axes` for the first image of a file with several pages, if their order is known;
        pages that are left out are noted.
    url_column, datetime_column, assets, asset_roles, asset_gsd, alternate, stac_metadata
        Columns of a table, property and assets of STAC Items, and whether what they say about
        values completes what the TIFFs say; see
        `virtual_tiff.inventory.source_options.SourceOptions`.
    bbox, datetime
        West, south, east and north in degrees, and a time or an interval (RFC 3339, such as
        `2024-06` or `2024-01-01/2024-12-31`), of the search for a source `catalog:NAME`.
    datetime_pattern
        Regular expression such as `(\d{8})` that finds the time in a URL.
    columns
        Further columns by name, with a regular expression whose group finds the value in a URL,
        such as `{"tile": r"_(\d{2}[A-Z]{3})_"}`: integers if all values are decimal numbers, so
        that "07" is 7, which a group's template `{path:02}` writes as "07" again; else text. Those
        of `band` are text.
    datetime_tag
        Whether to use the TIFF's DateTime. A table takes precedence over the pattern, the pattern
        over the tag; without any of them, the time is null.
    anonymous
        Read the files without credentials, as for public buckets.
    concurrency
        Headers in flight at once, in each process.
    executor
        Any `concurrent.futures` executor, or a Dask client, to distribute the work; by default this
        process does it.
    checkpoint
        Folder to save results in, every five seconds. An interrupted scan continues from there.
        Files with temporary errors are read again, and files that have changed since, as far as a
        listing of their folder tells, or they are local; `read_at` has the time of each row.
    known
        Inventory of an earlier scan with the same options. Files that a listing of their folder or
        bucket shows unchanged keep their rows, and only the others are read; so do local files.
    progress
        Called with the stage `list` once the files are known, and `read` as each is done; see
        `virtual_tiff.progress.Progress`.

    Returns
    -------
    Inventory
        Images in the order of the sources. A file that could not be read is a row with its error.

    Raises
    ------
    InvalidOptionError
        An argument is wrong, or there is nothing to scan; nothing was read.
    SourceError
        The sources cannot be listed; or with kind `not-authorized`, there are no credentials for
        a bucket.
    """
    options = ScanOptions(
        parser=parser or VirtualTIFF(ifd=0),
        pages=pages,
        datetime_pattern=datetime_pattern,
        datetime_tag=datetime_tag,
        concurrency=concurrency,
    )
    named = SourceOptions(
        url_column=url_column,
        datetime_column=datetime_column,
        assets=assets,
        asset_roles=asset_roles,
        asset_gsd=asset_gsd,
        alternate=alternate,
        stac_metadata=stac_metadata,
        bbox=bbox,
        datetime=datetime,
    )
    listed = Listed.of(sources, named, options, columns, registry=registry, anonymous=anonymous)
    return listed.read(executor=executor, checkpoint=checkpoint, known=known, progress=progress)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listed:
    """Files to scan: their `table`, what listings tell of them, and how they are read."""

    table: pa.Table
    listing: Listing
    options: ScanOptions
    registry: ObjectStoreRegistry[Any] | None
    anonymous: bool

    @classmethod
    def of(
        cls,
        sources: object,
        named: SourceOptions,
        options: ScanOptions,
        columns: Mapping[str, str] | None = None,
        *,
        registry: ObjectStoreRegistry[Any] | None = None,
        anonymous: bool = False,
    ) -> Self:
        """List the files; see `scan`."""
        if options.parser.sidecars:
            raise InvalidOptionError(
                "an inventory has no columns for sidecars.",
                remedy="Scan without sidecars, or publish the files with virtual_tiff.publish.",
            )
        listing: Listing = {}
        table = read_sources(
            sources, named, registry=registry, anonymous=anonymous, listing=listing
        )
        return cls(
            table=with_url_columns(table, columns),
            listing=listing,
            options=options,
            registry=registry,
            anonymous=anonymous,
        )

    @property
    def urls(self) -> list[str]:
        """Addresses of the files, each once."""
        urls: list[str] = self.table["url"].unique().to_pylist()
        return urls

    def without(self, urls: Collection[str]) -> Self:
        """Leave out some files."""
        kept = pc.invert(pc.is_in(self.table["url"], value_set=pa.array(list(urls), pa.string())))
        return replace(self, table=self.table.filter(kept))

    def read(
        self,
        *,
        executor: Executor | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        known: Inventory | None = None,
        progress: Progress | None = None,
    ) -> Inventory:
        """Read the headers; see `scan`."""
        urls = self.urls
        (progress or no_progress)("list", len(urls), len(urls), 0)
        stores = registry_for(urls, self.registry, anonymous=self.anonymous)
        kept = Checkpoint.open(checkpoint, self._same)
        if kept is not None:
            kept.listing = self.listing
        reading = Reading(urls, stores, self.options, kept, progress, self._earlier(known))
        if executor is None:
            run(reading.run())
        else:
            reading.run_with(executor)
        table = _joined(self.table, urls, reading.parts)
        table = complete_rows(table, self.options.parser.bands)
        return Inventory(table.replace_schema_metadata(self._said))

    def known(self, inventory: Inventory | None) -> int:
        """Return how many files keep the rows of an earlier scan."""
        earlier = self._earlier(inventory)
        return 0 if earlier is None else pc.count_distinct(earlier[POSITION]).as_py()

    @property
    def _same(self) -> ScanOptions:
        """The options that affect rows; the number of headers in flight does not."""
        return replace(self.options, concurrency=DEFAULT_CONCURRENCY)

    @property
    def _said(self) -> Mapping[bytes, bytes] | None:
        """What the table says of its scan, so that a later one can use its rows.

        `None` for rows that STAC Items have completed, or with the times of a table, which say more
        than the files.
        """
        plain = self.table["datetime"].null_count == len(self.table)
        plain &= STAC_METADATA not in self.table.column_names
        return {SCAN_OPTIONS: repr(self._same).encode()} if plain else None

    def _earlier(self, inventory: Inventory | None) -> pa.Table | None:
        """Return the rows of an earlier scan that hold, with the positions of their files.

        Files with errors are read again, and all if the other scan had other options.
        """
        said = self._said
        if inventory is None or said is None:
            return None
        table, urls = inventory.table, self.urls
        before = table.schema.metadata or {}
        if before.get(SCAN_OPTIONS) != said[SCAN_OPTIONS]:
            return None
        failed = table.filter(pc.is_valid(table["error_kind"]))["url"]
        again = pc.is_in(pa.array(urls, pa.string()), value_set=failed.combine_chunks())
        good = unchanged(table, urls, self.listing) & ~again.to_numpy(zero_copy_only=False)
        place = pc.fill_null(pc.index_in(table["url"], value_set=pa.array(urls)), -1).to_numpy()
        rows = np.flatnonzero((place >= 0) & good[place])
        part = table.select(SCHEMA.names).take(pa.array(rows)).replace_schema_metadata(None)
        return part.add_column(0, POSITION, pa.array(place[rows], pa.int64()))


def _joined(listed: pa.Table, urls: Sequence[str], parts: Sequence[pa.Table]) -> pa.Table:
    """Join rows of the scan, which have positions in `urls`, with the columns of the caller."""
    read = pa.concat_tables(parts) if parts else Rows().take()
    position = read[POSITION].to_numpy()
    order = np.argsort(position, kind="stable")
    counts = np.bincount(position, minlength=len(urls))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    named = pc.index_in(listed["url"], value_set=pa.array(urls, pa.string())).to_numpy()
    # A URL that is named twice gets its rows twice; a file with three images has three rows.
    repeats = counts[named]
    callers = np.repeat(np.arange(len(named)), repeats)
    within = np.arange(callers.size) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    chosen: NDArray[np.intp] = order[np.repeat(starts[named], repeats) + within]
    table = read.drop_columns([POSITION]).take(pa.array(chosen)).unify_dictionaries()
    given = listed.take(pa.array(callers))
    times = pc.coalesce(given["datetime"], table["datetime"])
    table = table.set_column(SCHEMA.get_field_index("datetime"), SCHEMA.field("datetime"), times)
    for name in given.column_names:
        if name not in ("url", "datetime"):
            table = table.append_column(given.schema.field(name), given[name])
    return table
