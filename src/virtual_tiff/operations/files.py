"""Files → the plans of their groups, all headers read at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.operations.options import Names
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.names import check_group_names, group_names, group_path
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.progress import Progress
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.resolve import AddressRegistry

#: Default number of headers in flight.
DEFAULT_CONCURRENCY = 64


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
) -> tuple[dict[str, GroupPlan], dict[str, VirtualTIFFError]]:
    """Plan all files, so many at once: plans, and what went wrong, by URL."""
    plans: dict[str, GroupPlan] = {}
    errors: dict[str, VirtualTIFFError] = {}

    async def read(url: str) -> None:
        try:
            plans[url] = await parser.plan_async(url, registry)
        except VirtualTIFFError as error:
            errors[url] = error
        report("read", len(plans) + len(errors), len(urls), len(errors))

    await in_flight(urls, min(concurrency, len(urls)), read)
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
