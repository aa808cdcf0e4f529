"""Parse stacks of many pages: processor time on the disk, requests and bytes over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import tifffile
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore, LocalStore

from benchmarks import data
from benchmarks._measure import Contender, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Row, Target, rows
from tests.helpers.range_server import RangeServer
from virtual_tiff import VirtualTIFF
from virtual_tiff.choices import IFDLayout

QUICK = "fewer rounds"
BASELINE = "tifffile, lazily"
WHOLE = "tifffile, every tag"
LAYOUTS: tuple[IFDLayout, ...] = ("pages", "flat")
MOST = 5
#: Stacks of uint16 whose requests are counted: pages, rows and columns.
OVER_HTTP = ((400, 160, 200), (1500, 256, 256))


def lazily(path: Path) -> int:
    """Series and the offsets of their pages, which tifffile reads without the other tags."""
    with tifffile.TiffFile(path) as tiff:
        pages = [page for series in tiff.series for page in series if page is not None]
        return len([page.dataoffsets for page in pages])


def every_tag(path: Path) -> int:
    """Every directory with all its tags."""
    with tifffile.TiffFile(path) as tiff:
        return len([page.aspage().dataoffsets for page in tiff.pages])


def with_virtual_tiff(path: Path, layout: IFDLayout) -> Callable[[], object]:
    """A store, with everything checked."""
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    parser = VirtualTIFF(ifd_layout=layout)
    return lambda: parser(path.as_uri(), registry)


def run(options: Options) -> Result:
    """Compare; raises `AssertionError` if tifffile found other pages."""
    pages = options.pick(20_000, 20_000, 64)
    path = data.stack(pages, 32, 32, options.cache).absolute()
    contenders = [
        Contender(BASELINE, lambda: lazily(path)),
        Contender(WHOLE, lambda: every_tag(path)),
        *(Contender(f"virtual_tiff, {one}", with_virtual_tiff(path, one)) for one in LAYOUTS),
    ]

    def check(name: str, result: object) -> None:
        if isinstance(result, int) and result != pages:
            raise AssertionError(f"{name} found {result} pages")

    timings = interleave(contenders, options.rounds, after=check, report=options.report)
    base = timings[BASELINE]
    options.report("requests of stacks over HTTP")
    stacks = options.pick(OVER_HTTP, OVER_HTTP, ((20, 64, 64),))
    requests = [row for stack in stacks for row in _over_http(stack, options.cache)]
    one = [row.more["requests"] for row in requests if row.name.endswith("ifd=0")]
    return Result(
        name=Path(__file__).stem,
        title=f"Parse a stack of {pages:,} pages on the local disk; stacks over HTTP",
        baseline=BASELINE,
        rows=[*rows(timings, BASELINE), *requests],
        targets=[
            *(
                Target(
                    f"processor time against tifffile, {name}",
                    timings[f"virtual_tiff, {name}"].cpu_ratio(base),
                    MOST,
                )
                for name in LAYOUTS
            ),
            Target("requests for one page", max(map(int, one)), 2, ""),
        ],
        notes=[
            "Lazily: offsets and counts of each page, but no other tag. No other row does less "
            "than read and compare all tags that matter.",
        ],
    )


def _over_http(stack: tuple[int, int, int], cache: Path) -> list[Row]:
    """Count requests and bytes of the layouts, and of the first page alone."""
    pages, height, width = stack
    path = data.stack(pages, height, width, cache).absolute()
    found: list[Row] = []
    with RangeServer(path.parent) as server:
        http = HTTPStore.from_url(server.url, client_options={"allow_http": True})
        registry = ObjectStoreRegistry({server.url: http})
        parsers = [(str(one), VirtualTIFF(ifd_layout=one)) for one in LAYOUTS]
        for name, parser in (*parsers, ("ifd=0", VirtualTIFF(ifd=0))):
            server.reset()
            asyncio.run(parser.plan_async(f"{server.url}/{path.name}", registry))
            log: Sequence[tuple[str, str, str | None, int]] = [one[:4] for one in server.requests]
            asked = sum(_length(span) for _, _, span, _ in log)
            title = f"{pages:,} × {height * width * 2 / 1000:.0f} kB over HTTP, {name}"
            more = {"requests": str(len(log)), "MB": f"{asked / 1e6:.2f}"}
            found.append(Row(title, more=more))
    return found


def _length(span: str | None) -> int:
    first, last = (span or "bytes=0--1").removeprefix("bytes=").split("-", 1)
    return int(last) + 1 - int(first)
