"""Read the headers of files, and describe what is in them."""

from __future__ import annotations

from typing import Unpack, cast

from virtual_tiff.choices import check_names
from virtual_tiff.errors import VirtualTIFFError, joined, one_file
from virtual_tiff.inspection.describe import describe
from virtual_tiff.inspection.directories import HeaderOptions, read_with_sidecars
from virtual_tiff.inspection.records import FileInfo
from virtual_tiff.inventory.files import file_urls
from virtual_tiff.inventory.source_options import SourceArguments
from virtual_tiff.storage.budget import Budget
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.run import run
from virtual_tiff.storage.stores import registry_for
from virtual_tiff.tiff.ifd import Header, is_dependent
from virtual_tiff.tiff.series import Series
from virtual_tiff.tiff.sidecars import sidecar_kinds

#: Headers in flight at once unless told otherwise.
DEFAULT_CONCURRENCY = 64


#: Files of a folder or a table that are read unless told otherwise.
DEFAULT_LIMIT = 1000


class InfoOptions(HeaderOptions, SourceArguments, total=False):
    """Options of `info`."""

    limit: int | None
    concurrency: int


def info(sources: object, **options: Unpack[InfoOptions]) -> list[FileInfo]:
    """Read the headers of TIFFs: images, their encodings, places, bands and metadata.

    Parameters
    ----------
    sources
        A local path or URL, also one with a query; several; or anything else that
        `virtual_tiff.scan` takes.
    **options
        `registry`, `anonymous`, `url_column`, `assets`, `asset_roles`, `asset_gsd` and `alternate`
        as for `virtual_tiff.scan`; `prefetch`, `sidecars`, `header_limit` and `time_limit` as for
        `virtual_tiff.VirtualTIFF`; `concurrency`, the number of files read at once, 64 by default;
        `limit`, the most files of folders and tables, 1,000 by default, `None` for all.

    Returns
    -------
    list of FileInfo
        One for each file, in the order of the sources.

    Raises
    ------
    InvalidOptionError
        There are no such sidecars, no files are named, or more than `limit`; nothing was read.
    VirtualTIFFError
        The error of a single file, or a `SourcesError` of several.

    Examples
    --------
    >>> from virtual_tiff import info
    >>> (file,) = info("examples/aerial.tif")
    >>> file.images[0].crs, file.images[0].resolution
    ('EPSG:32633 (WGS 84 / UTM zone 33N)', (10.0, 10.0))
    """
    found, error = examine(sources, **options)
    if error is not None:
        raise error
    return found


def examine(
    sources: object, **options: Unpack[InfoOptions]
) -> tuple[list[FileInfo], VirtualTIFFError | None]:
    """Describe the readable files, and return the errors of the others."""
    check_names("info", options, InfoOptions)
    header_options, others = _separated(options)
    sidecar_kinds(header_options.get("sidecars", False))
    concurrency = options.get("concurrency", DEFAULT_CONCURRENCY)
    urls = file_urls(sources, limit=options.get("limit", DEFAULT_LIMIT), **others)
    anonymous = others.get("anonymous", False)
    stores = registry_for(urls, others.get("registry"), anonymous=anonymous)
    found: dict[int, FileInfo] = {}
    errors: dict[int, VirtualTIFFError] = {}

    async def read(item: tuple[int, str]) -> None:
        position, url = item
        try:
            header, source = await read_with_sidecars(url, stores, header_options)
            with one_file(url):
                series = await _series(header, source)
                budget = Budget(source.budget.limits, header.source.size)
                with budget.working():
                    found[position] = describe(header, series, budget)
        except VirtualTIFFError as error:
            errors[position] = error

    run(in_flight(enumerate(urls), concurrency, read))
    failures = [errors[position] for position in sorted(errors)]
    error = joined(failures, len(urls)) if failures else None
    return [found[position] for position in sorted(found)], error


def _separated(options: InfoOptions) -> tuple[HeaderOptions, SourceArguments]:
    """Separate the options for headers and for sources."""
    parts = [
        {name: value for name, value in options.items() if name in kind.__optional_keys__}
        for kind in (HeaderOptions, SourceArguments)
    ]
    return cast(HeaderOptions, parts[0]), cast(SourceArguments, parts[1])


async def _series(header: Header, source: ByteSource) -> tuple[Series, ...]:
    """Return the series of a file with several pages, as far as they are known."""
    pages = [directory for directory in header.ifds if not is_dependent(directory)]
    if header.damage is not None or (len(pages) < 2 and not header.ifds[0].hidden_planes):
        return ()
    # Imported here: it imports tifffile.
    from virtual_tiff.tiff.reader._series import read_series

    try:
        return await read_series(source, header)
    except VirtualTIFFError:
        return ()
