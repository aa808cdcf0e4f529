"""Many items at once, with a bounded number in flight."""

from __future__ import annotations

import asyncio

import pytest

from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.run import run


def test_at_most_so_many_are_in_flight() -> None:
    now = most = 0
    done: list[int] = []

    async def work(item: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        done.append(item)

    run(in_flight(range(20), 4, work))
    assert most == 4
    assert sorted(done) == list(range(20))
    run(in_flight([], 4, work))
    with pytest.raises(InvalidOptionError):
        run(in_flight(range(3), 0, work))


def test_the_first_error_comes_out_with_its_cause() -> None:
    started: list[int] = []

    async def work(item: int) -> None:
        started.append(item)
        await asyncio.sleep(0)
        if item == 1:
            raise SourceError("gone.", kind=ErrorKind.NOT_FOUND) from OSError("cause")
        await asyncio.sleep(1)

    with pytest.raises(SourceError) as raised:
        run(in_flight(range(100), 3, work))
    assert isinstance(raised.value.__cause__, OSError)
    # The work on all others ended.
    assert started == [0, 1, 2]


def test_errors_of_others_come_out_of_their_group_too() -> None:
    async def work(item: int) -> None:
        raise KeyError(item)

    with pytest.raises(KeyError):
        run(in_flight(range(3), 2, work))
