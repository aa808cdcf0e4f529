"""Resolve what a caller names to an inventory, or to files and the plans of their groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from virtual_tiff.choices import OnFailed
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError, VirtualTIFFError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.inventory.url_columns import with_url_columns
from virtual_tiff.operations.batches import inventory_files, joined_inventory
from virtual_tiff.operations.options import Names
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.declared import Declared, completed_group
from virtual_tiff.planning.names import check_group_names, group_names, group_path
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.progress import Progress
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.resolve import AddressRegistry

#: Default number of headers in flight.
DEFAULT_CONCURRENCY = 64


def as_inventory(sources: object, **scan_options: Any) -> Inventory:
    """Return an inventory: the given one, from a file, or made by a scan."""
    inventory = inventory_in(sources)
    if inventory is None:
        return scan(sources, **scan_options)
    return Inventory(with_url_columns(inventory.table, scan_options.get("columns")))


def inventory_in(sources: object) -> Inventory | None:
    """Return the given inventory, or read it from its files; `None` for other sources.

    Raises
    ------
    InvalidOptionError
        With kind `no-sources`: it has no rows.
    """
    if isinstance(sources, Inventory):
        if not len(sources):
            raise no_rows()
        return sources
    if isinstance(sources, list | tuple) and len(sources) == 1:
        return inventory_in(sources[0])
    files = inventory_files(sources)
    if not files:
        return None
    return inventory_in(joined_inventory([Inventory.read(each, outlines=False) for each in files]))


def no_rows() -> InvalidOptionError:
    """Return the error for an inventory of nothing."""
    return InvalidOptionError("the inventory has no rows.", kind=ErrorKind.NO_SOURCES)


def failed_in(inventory: Inventory, on_failed: OnFailed) -> dict[str, str]:
    """Return why files could not be read, by URL; raise if they are not to be skipped."""
    failed = inventory.failed.to_pylist()
    if failed and on_failed == "raise":
        first = failed[0]
        kind = ErrorKind(first["error_kind"])
        raise (MismatchError if kind == ErrorKind.MISMATCH else VirtualTIFFError)(
            f"{len(failed)} of {len(inventory)} images could not be read, first this: "
            f"{first['error']}",
            kind=kind,
            url=first["url"],
            remedy='Scan again, or pass on_failed="skip" to leave them out.',
        )
    return {row["url"]: row["error"] for row in failed}


def check_unique(urls: Sequence[str]) -> None:
    """Refuse a source that is named twice, with kind `duplicate`."""
    if repeated := [url for url, count in Counter(urls).items() if count > 1]:
        raise InvalidOptionError(
            "this source is named more than once.", kind=ErrorKind.DUPLICATE, url=repeated[0]
        )


def paths_of(urls: Sequence[str], names: Names | None, group: str) -> list[str]:
    """Return the paths of the groups of files; refuse invalid and equal names."""
    paths: Sequence[str]
    if names is None:
        paths = group_names(urls)
    else:
        paths = [names(url) for url in urls] if callable(names) else list(names)
    above = group_path(group)
    if above:
        paths = [f"{above}/{path}" for path in paths]
    check_group_names(paths, urls)
    return list(paths)


async def read_plans(
    urls: Sequence[str],
    parser: VirtualTIFF,
    registry: AddressRegistry,
    concurrency: int,
    report: Progress,
    declared: Mapping[str, Declared],
) -> tuple[dict[str, GroupPlan], dict[str, VirtualTIFFError]]:
    """Plan all files, so many at once: plans, and what went wrong, by URL.

    What STAC Items declare about a file completes its plan.
    """
    plans: dict[str, GroupPlan] = {}
    errors: dict[str, VirtualTIFFError] = {}

    async def read(url: str) -> None:
        try:
            plan = await parser.plan_async(url, registry)
            known = declared.get(url)
            plans[url] = plan if known is None else completed_group(plan, known, parser.bands)
        except VirtualTIFFError as error:
            errors[url] = error
        report("read", len(plans) + len(errors), len(urls), len(errors))

    await in_flight(urls, min(concurrency, max(1, len(urls))), read)
    return (
        {url: plans[url] for url in urls if url in plans},
        {url: errors[url] for url in urls if url in errors},
    )


def copied_in(plan: GroupPlan) -> tuple[str, ...]:
    """Return the reasons why images of a file were copied."""
    return tuple(
        f"{name}: {array.attributes['copied_because']}"
        for name, array in _arrays(plan)
        if "copied_because" in array.attributes
    )


def sources_in(plans: Iterable[GroupPlan]) -> list[str]:
    """URLs of the files that references point into: TIFFs, each with its sidecars."""
    arrays = (array for plan in plans for _, array in _arrays(plan))
    return list(dict.fromkeys(a.source.url for a in arrays if a.source is not None))


def _arrays(plan: GroupPlan) -> Iterable[tuple[str, ArrayPlan]]:
    return (item for _, group in plan.walk() for item in group.arrays.items())
