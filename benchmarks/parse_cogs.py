"""Open 500 COGs over HTTP at 30 ms latency."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import IO, cast

import rasterio
import tifffile
from async_geotiff import GeoTIFF
from async_tiff import TIFF
from obspec_utils.readers import BlockStoreReader
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore

from benchmarks import _peer, data
from benchmarks._measure import Contender, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Row, Target, rows
from tests.helpers.range_server import RangeServer
from virtual_tiff import VirtualTIFF

QUICK = "200 files instead of 500, fewer rounds"
COUNT = 500
LATENCY = 0.03
THREADS = 64
CONCURRENCY = 256
PREFETCH = 32768
BASELINE = "async-tiff"
OURS = "virtual_tiff"
OURS_ALL = "virtual_tiff, every IFD"

# What GDAL's documentation advises for COGs over HTTP.
GDAL_OPTIONS: dict[str, str | int] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
    "GDAL_INGESTED_BYTES_AT_OPEN": PREFETCH,
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_NUM_THREADS": 1,
}


async def gather[T](open_one: Callable[[str], Awaitable[T]], names: Sequence[str]) -> list[T]:
    """Open all files, `CONCURRENCY` at a time."""
    limit = asyncio.Semaphore(CONCURRENCY)

    async def limited(name: str) -> T:
        async with limit:
            return await open_one(name)

    return await asyncio.gather(*map(limited, names))


def in_threads[T](open_one: Callable[[str], T], names: Sequence[str]) -> list[T]:
    """Open all files in `THREADS` threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(open_one, names))


class Work:
    """The contenders: each opens every file and gives the shapes of the images it found.

    Parameters
    ----------
    server
        Serves a folder of links to the folder of the files, named 0, 1, … GDAL keeps what it
        read for the life of the process, so it needs URLs that are new in every round; switching
        its cache off would cost it requests that its users do not make.
    names
        Of the files.
    """

    def __init__(self, server: str, names: Sequence[str]) -> None:
        self.server = server
        self.url = f"{server}/0"
        self.names = names
        self.next_link = 0

    def store(self) -> HTTPStore:
        """A new store, so that every run opens its own connections, as a real one does."""
        return HTTPStore(self.url, client_options={"allow_http": True})

    def virtual_tiff(self) -> list[tuple[int, ...]]:
        return self._plans(VirtualTIFF(ifd=0, prefetch=PREFETCH))

    def virtual_tiff_all(self) -> list[tuple[int, ...]]:
        return self._plans(VirtualTIFF(prefetch=PREFETCH))

    def _plans(self, parser: VirtualTIFF) -> list[tuple[int, ...]]:
        registry = ObjectStoreRegistry({self.url: self.store()})
        urls = [f"{self.url}/{name}" for name in self.names]
        plans = asyncio.run(gather(lambda url: parser.plan_async(url, registry), urls))
        return [plan.arrays["0"].shape[-2:] for plan in plans]

    def async_tiff(self) -> list[tuple[int, ...]]:
        store = self.store()
        opened = asyncio.run(
            gather(lambda name: TIFF.open(name, store=store, prefetch=PREFETCH), self.names)
        )
        ifds = [tiff.ifds[0] for tiff in opened]
        return [(ifd.image_height, ifd.image_width) for ifd in ifds]

    def async_geotiff(self) -> list[tuple[int, ...]]:
        store = self.store()
        opened = asyncio.run(
            gather(lambda name: GeoTIFF.open(name, store=store, prefetch=PREFETCH), self.names)
        )
        return [geotiff.shape for geotiff in opened]

    def tifffile(self) -> list[tuple[int, ...]]:
        store = self.store()

        def open_one(name: str) -> tuple[int, ...]:
            reader = BlockStoreReader(store, name, block_size=PREFETCH)
            with tifffile.TiffFile(cast(IO[bytes], reader), name=name) as tiff:
                pages = [page.aspage() for page in tiff.pages]
                return pages[0].shape

        return in_threads(open_one, self.names)

    def rasterio(self) -> list[tuple[int, ...]]:
        url = f"{self.server}/{self.next_link}"
        self.next_link += 1

        def open_one(name: str) -> tuple[int, ...]:
            with rasterio.open(f"{url}/{name}") as dataset:
                shape: tuple[int, ...] = dataset.shape
                return shape

        with rasterio.Env(**GDAL_OPTIONS):
            return in_threads(open_one, self.names)


def run(options: Options) -> Result:
    """Compare; raises `AssertionError` if we asked for anything but one range a file."""
    count = options.pick(COUNT, 200, 8)
    files = data.cogs(count, options.cache)
    names = [file.name for file in files]
    expected = {("GET", f"/0/{name}", f"bytes=0-{PREFETCH - 1}", 206) for name in names}
    requests: dict[str, list[int]] = {}
    with TemporaryDirectory() as folder:
        for link in range(options.rounds + 1):
            (Path(folder) / str(link)).symlink_to(files[0].parent.absolute())
        with RangeServer(folder, latency=LATENCY) as server:

            def after(name: str, result: object) -> None:
                log = server.requests
                requests.setdefault(name, []).append(len(log))
                if isinstance(result, list) and result != [(data.COG_SIZE, data.COG_SIZE)] * count:
                    raise AssertionError(f"{name} did not open the files")
                if name == OURS and (len(log) != count or {entry[:4] for entry in log} != expected):
                    raise AssertionError(f"{len(log)} requests for {count} files: {log[:3]} …")

            timings = interleave(
                _contenders(server.url, names, options.peer),
                options.rounds,
                before=server.reset,
                after=after,
                report=options.report,
            )
    more = {
        name: {
            "GETs/file": f"{median(requests[name]) / count:.2f}",
            "CPU ms/file": f"{timing.cpu / count * 1000:.2f}",
        }
        for name, timing in timings.items()
    }
    table = rows(timings, BASELINE, more)
    if options.peer is None:
        table.append(Row(_peer.NOT_INSTALLED))
    return Result(
        name=Path(__file__).stem,
        title=f"Open {count} COGs over HTTP at {LATENCY * 1000:.0f} ms latency",
        baseline=BASELINE,
        rows=table,
        targets=[
            Target("time against raw async-tiff", timings[OURS].ratio(timings[BASELINE]), 1.5),
            Target("requests a file", max(requests[OURS]) / count, 1, ""),
        ],
        notes=[f"Async contenders {CONCURRENCY} at a time; new connections in every round."],
    )


def _contenders(server: str, names: Sequence[str], peer: Path | None) -> list[Contender]:
    work = Work(server, names)
    contenders = [
        Contender(BASELINE, work.async_tiff),
        Contender(OURS, work.virtual_tiff),
        Contender(OURS_ALL, work.virtual_tiff_all),
        Contender("async-geotiff", work.async_geotiff),
        Contender(f"tifffile, {THREADS} threads", work.tifffile),
        Contender(f"rasterio, {THREADS} threads", work.rasterio),
    ]
    if peer is not None:
        urls = [f"{work.url}/{name}" for name in names]
        contenders.append(Contender(_peer.NAME, lambda: _peer.parse(peer, urls, threads=THREADS)))
    return contenders
