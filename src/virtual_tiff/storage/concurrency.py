"""Process many items concurrently, with a bounded number in flight."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from virtual_tiff.errors import InvalidOptionError, VirtualTIFFError
from virtual_tiff.storage.settings import most_at_once


async def in_flight[T](
    items: Iterable[T], limit: int, work: Callable[[T], Awaitable[object]]
) -> None:
    """Await `work(item)` for every item, at most `limit` at once.

    Parameters
    ----------
    items
        Consumed one by one, as others complete; may be infinite.
    limit
        Items in flight at once; fewer if the environment says so.
    work
        Called with each item. An exception cancels all other items.

    Raises
    ------
    InvalidOptionError
        The limit is no whole number, or less than 1.
    BaseException
        The first that `work` raised, one of this package before all others, and not in a group.
    """
    if not isinstance(limit, int) or limit < 1:
        raise InvalidOptionError(
            f"concurrency is {limit!r}, but must be a whole number, at least 1."
        )
    limit = most_at_once(limit)
    pending = iter(items)

    async def worker(item: T) -> None:
        await work(item)
        for following in pending:
            await work(following)

    try:
        async with asyncio.TaskGroup() as group:
            for item in islice(pending, min(limit, sys.maxsize)):
                group.create_task(worker(item))
    except BaseExceptionGroup as errors:
        error = _first(errors.subgroup(VirtualTIFFError) or errors)
        raise error from error.__cause__


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first single error of a group that may hold groups."""
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
