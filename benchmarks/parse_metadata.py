"""What georeferencing and metadata add to the opening of 500 COGs over HTTP at 30 ms latency."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore

from benchmarks import data
from benchmarks._measure import Contender, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows
from benchmarks.parse_cogs import COUNT, LATENCY, PREFETCH, gather
from tests.helpers.range_server import RangeServer
from virtual_tiff import VirtualTIFF
from virtual_tiff.planning.image_plan import ImageOptions, plan_image
from virtual_tiff.tiff.ifd import walk_ifds
from virtual_tiff.tiff.reader import read_header

LIMIT = 1.3
BASELINE = "arrays alone"
OURS = "arrays, georeferencing and metadata"
IMAGES = {"the first image": 0, "every image": None}
QUICK = "200 files instead of 500, fewer rounds"


class Work:
    """Plan the images of every file, with and without what is said of them."""

    def __init__(self, server: str, names: Sequence[str], ifd: int | None) -> None:
        self.server = server
        self.urls = [f"{server}/{name}" for name in names]
        self.ifd = ifd

    def registry(self) -> ObjectStoreRegistry[HTTPStore]:
        """A new store, so that every run opens its own connections, as a real one does."""
        store = HTTPStore(self.server, client_options={"allow_http": True})
        return ObjectStoreRegistry({self.server: store})

    def alone(self) -> int:
        registry, options = self.registry(), ImageOptions()

        async def plan(url: str) -> int:
            header, _ = await read_header(url, registry, prefetch=PREFETCH, only=self.ifd)
            ifds = list(walk_ifds(header.ifds))
            return len([plan_image(ifd, header.source, options) for ifd in ifds])

        return sum(asyncio.run(gather(plan, self.urls)))

    def described(self) -> int:
        registry, parser = self.registry(), VirtualTIFF(self.ifd, coords=False, prefetch=PREFETCH)

        async def plan(url: str) -> int:
            group = await parser.plan_async(url, registry)
            return sum(array.ifd is not None for array in group.arrays.values())

        return sum(asyncio.run(gather(plan, self.urls)))


def run(options: Options) -> list[Result]:
    """One table for each choice of images."""
    count = options.pick(COUNT, 200, 8)
    files = data.cogs(count, options.cache)
    out = []
    with RangeServer(files[0].parent, latency=LATENCY) as server:
        for images, ifd in IMAGES.items():
            work = Work(server.url, [file.name for file in files], ifd)
            planned = count * (1 if ifd == 0 else data.COG_IMAGES)

            def check(name: str, result: object, planned: int = planned) -> None:
                if result != planned:
                    raise AssertionError(f"{name} planned {result} images of {planned}")

            timings = interleave(
                [Contender(BASELINE, work.alone), Contender(OURS, work.described)],
                options.rounds,
                before=server.reset,
                after=check,
                report=options.report,
            )
            more = {
                name: {"CPU ms/file": f"{timing.cpu / count * 1000:.2f}"}
                for name, timing in timings.items()
            }
            ratio = timings[OURS].ratio(timings[BASELINE])
            out.append(
                Result(
                    name=f"{Path(__file__).stem}-{images.replace(' ', '-')}",
                    title=f"Open {count} COGs over HTTP at {LATENCY * 1000:.0f} ms latency, "
                    f"{images} of {data.COG_IMAGES}, coordinates switched off",
                    baseline=BASELINE,
                    rows=rows(timings, BASELINE, more),
                    targets=[Target(f"time with metadata, {images}", ratio, LIMIT)],
                )
            )
    return out
