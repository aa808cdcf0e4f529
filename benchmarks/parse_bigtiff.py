"""Parse a BigTIFF of a million tiles: time and memory."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import _peer, data
from benchmarks._measure import Contender, interleave
from benchmarks._memory import MIB, memory_of
from benchmarks._options import Options
from benchmarks._report import Result, Row, Target, rows
from virtual_tiff.planning.plan import GroupPlan

QUICK = f"fewer rounds, and not {_peer.NAME}, which takes seconds"
BASELINE = "tifffile"
OURS = "virtual_tiff"


def with_tifffile(path: str) -> Callable[[], object]:
    """Offsets and byte counts, as tuples."""
    import tifffile

    def run() -> object:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            return page.dataoffsets, page.databytecounts

    return run


def with_async_tiff(path: str) -> Callable[[], object]:
    """Offsets and byte counts, as lists."""
    from async_tiff import TIFF
    from obstore.store import LocalStore

    async def read() -> object:
        tiff = await TIFF.open(path.lstrip("/"), store=LocalStore())
        ifd = tiff.ifds[0]
        return ifd.tile_offsets, ifd.tile_byte_counts

    return lambda: asyncio.run(read())


def with_virtual_tiff(path: str) -> Callable[[], object]:
    """A plan: offsets and byte counts in numpy, checked, with codecs and metadata."""
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore

    from virtual_tiff import VirtualTIFF

    registry = ObjectStoreRegistry({"file://": LocalStore()})
    parser = VirtualTIFF(ifd=0)
    return lambda: asyncio.run(parser.plan_async(f"file://{path}", registry))


def with_rasterio(path: str) -> Callable[[], object]:
    """Open alone: GDAL reads no offset before a pixel is asked for."""
    import rasterio

    def run() -> object:
        # The file has no CRS, which is nothing to warn of here.
        with warnings.catch_warnings(action="ignore"), rasterio.open(path) as dataset:
            return dataset.shape

    return run


WORK: dict[str, Callable[[str], Callable[[], object]]] = {
    BASELINE: with_tifffile,
    OURS: with_virtual_tiff,
    "async-tiff": with_async_tiff,
    "rasterio, opened only": with_rasterio,
}
"""What `memory_of` can run in a process of its own."""


def run(options: Options) -> Result:
    """Compare; raises `AssertionError` if a contender found other tiles."""
    tiles = options.pick(data.MILLION_TILES, data.MILLION_TILES, 4096)
    path = str(data.many_tiles(options.cache, tiles).absolute())
    contenders = [Contender(name, work(path)) for name, work in WORK.items()]
    if (peer := options.peer) is not None and options.effort == "full":
        contenders.append(
            Contender(_peer.NAME, lambda: _peer.parse(peer, [f"file://{path}"], threads=1))
        )

    def check(name: str, result: object) -> None:
        _check(name, result, tiles)

    timings = interleave(contenders, options.rounds, after=check, report=options.report)
    small = str(data.cogs(1, options.cache)[0].absolute())
    options.report("memory of each")
    memory = {name: memory_of("parse_bigtiff", name, [path], warm_up=[small]) for name in WORK}
    more = {
        name: {
            "MiB": f"{used.rise / MIB:.0f}",
            "process MiB": f"{used.peak / MIB:.0f}",
        }
        for name, (used, _) in memory.items()
    }
    table = rows(timings, BASELINE, more)
    if options.peer is None:
        table.append(Row(_peer.NOT_INSTALLED))
    return Result(
        name=Path(__file__).stem,
        title=f"Parse a BigTIFF of {tiles:,} tiles on the local disk",
        baseline=BASELINE,
        rows=table,
        targets=[
            Target("time against tifffile", timings[OURS].ratio(timings[BASELINE]), 3),
            Target("memory of a parse", memory[OURS][0].rise / MIB, 200, "MiB"),
        ],
        notes=[
            "MiB: the peak of a process of its own, less what it held after a small COG.",
            "Opened only: GDAL reads offsets when pixels are asked for.",
        ],
    )


def _check(name: str, result: object, tiles: int) -> None:
    match result:
        case GroupPlan():
            plan = result.arrays["0"]
            found = plan.offsets.ravel(), plan.lengths.ravel()
        case Sequence() as offsets, Sequence() as lengths:
            found = np.array(offsets, np.uint64), np.array(lengths, np.uint64)
        case _:
            return  # opened only, or measured elsewhere
    steps = np.diff(found[0])
    if found[0].size != tiles or np.any(steps != 256) or np.any(found[1] != 256):
        raise AssertionError(f"{name} found other tiles")
