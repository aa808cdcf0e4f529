"""Fetch the segments of a plan."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.concurrency import in_flight

#: Segments that are read concurrently.
CONCURRENCY = 64


def present(plan: ArrayPlan) -> list[ChunkIndex]:
    """Return the chunks that refer to segments, in the order of the grid."""
    return [tuple(int(i) for i in index) for index in np.argwhere(plan.lengths > 0)]


async def fetch(
    plan: ArrayPlan, source: ByteSource, index: ChunkIndex, most: int | None = None
) -> bytes:
    """Return the bytes of one segment, `most` from its start if given."""
    length = int(plan.lengths[index])
    length = length if most is None else min(length, most)
    return await source.read_uncached(int(plan.offsets[index]), length)


async def fetch_all(
    plan: ArrayPlan, source: ByteSource, indices: Iterable[ChunkIndex]
) -> dict[ChunkIndex, bytes]:
    """Return the bytes of several segments."""
    found: dict[ChunkIndex, bytes] = {}

    async def read(index: ChunkIndex) -> None:
        found[index] = await fetch(plan, source, index)

    await in_flight(list(indices), CONCURRENCY, read)
    return found
