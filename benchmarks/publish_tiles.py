"""Publish tiles of one grid, append a date to them, and find the chunks of one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import icechunk
import xarray

import virtual_tiff
from benchmarks import data
from benchmarks._icechunk import open_session
from benchmarks._measure import Contender, Sample, Timing, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows
from benchmarks._rows import header, repeated, tiled

STITCHED: dict[str, Any] = {"stitch": True, "along": "datetime"}
OURS = "tiles with axes of their own"
REGULAR = "tiles as one array of y and x"
PLAIN = "a stack along time"
QUICK = "2,500 tiles instead of 10,000, 144 instead of 1,024, fewer rounds"
#: Chunks along y and x of each of the tiles that a date is appended to: 3600 in 1024.
_GRID = 4


def run(options: Options) -> list[Result]:
    """Three tables: publishing, opening, and what a date more costs."""
    template = header(data.cogs(1, options.cache)[0])
    with TemporaryDirectory() as name:
        folder = Path(name)
        prefix = f"{folder.as_uri()}/tile_"
        return [
            *_publishing(options, template, prefix, folder),
            _appending(options, template, prefix, folder),
        ]


def _publishing(options: Options, template: Any, prefix: str, folder: Path) -> list[Result]:
    side, dates = options.pick(100, 50, 4), options.pick(10, 10, 2)
    count = side * side * dates
    options.report("inventories")
    repeated(template, count, prefix).write(folder / "plain.parquet")
    tiled(template, side, dates, prefix).write(folder / "tiles.parquet")
    number = 0

    def publish(inventory: str, **given: Any) -> Callable[[], object]:
        def work() -> object:
            nonlocal number
            number += 1
            return virtual_tiff.stack(
                str(folder / f"{inventory}.parquet"), str(folder / f"{inventory}-{number}"), **given
            )

        return work

    timings = interleave(
        [
            Contender(PLAIN, publish("plain")),
            Contender(OURS, publish("tiles", grid="tiles", **STITCHED)),
            Contender(REGULAR, publish("tiles", grid="regular", **STITCHED)),
        ],
        min(options.rounds, options.pick(3, 1, 1)),
        report=options.report,
        warm_up=False,
    )
    ratio = timings[OURS].ratio(timings[PLAIN])
    published = Result(
        name=Path(__file__).stem,
        title=f"Publish {side * side:,} tiles × {dates} dates, against {count:,} images stacked "
        "along time",
        baseline=PLAIN,
        rows=rows(timings, PLAIN),
        targets=[Target(f"time of {side * side:,} tiles against a stack", ratio, 1.3)],
        notes=[
            "The header of one COG under other names, times and places, with four chunks. From "
            "the saved inventory to the commit."
        ],
        figures={"ratio": ratio},
    )
    return [published, _opening(options, template, prefix, folder)]


def _opening(options: Options, template: Any, prefix: str, folder: Path) -> Result:
    sides = options.pick((10, 30, 100), (10, 50), (2, 4))
    for side in sides:
        options.report(f"{side * side:,} tiles")
        images = tiled(template, side, 1, prefix)
        virtual_tiff.stack(images, str(folder / f"open-{side}"), grid="tiles", **STITCHED)
    names = {side: f"{side * side:,} tiles" for side in sides}
    timings = interleave(
        [
            Contender(names[side], lambda side=side: _open(folder / f"open-{side}"))  # type: ignore[misc]
            for side in sides
        ],
        options.pick(15, 15, 1),
        report=options.report,
    )
    least, most = names[sides[0]], names[sides[-1]]
    ratio = timings[most].ratio(timings[least])
    return Result(
        name=f"{Path(__file__).stem}-open",
        title="Open cubes of tiles",
        baseline=least,
        rows=rows(timings, least),
        targets=[Target(f"time to open the cube of {most}", ratio, 2)],
        notes=["Repository, session and xarray.open_zarr, from the local disk."],
        figures={"ratio": ratio},
    )


def _appending(options: Options, template: Any, prefix: str, folder: Path) -> Result:
    side, dates = options.pick(32, 12, 3), options.pick(100, 20, 4)
    images = tiled(template, side, dates, prefix, grid=_GRID)
    timings: dict[str, Timing] = {}
    most: list[float] = []
    finding: list[float] = []
    more: dict[str, dict[str, str]] = {}
    for name, grid in ((OURS, "tiles"), (REGULAR, "regular")):
        options.report(f"{side * side:,} tiles × {dates} dates")
        repository = folder / f"series-{grid}"
        given: dict[str, Any] = {**STITCHED, "grid": grid}
        virtual_tiff.stack(images, str(repository), **given)
        timings[name] = Timing(name)
        written = []
        # As many dates as fill a manifest: some appends rewrite one that is nearly full.
        for date in range(dates, dates + options.pick(4, 4, 1)):
            options.report(f"appending date {date + 1}")
            one = tiled(template, side, 1, prefix, first=date, grid=_GRID)
            before = _files(repository)
            begin, cpu = time.perf_counter(), time.process_time()
            virtual_tiff.append(one, str(repository), **STITCHED)
            sample = Sample(time.perf_counter() - begin, time.process_time() - cpu)
            timings[name].samples.append(sample)
            after = _files(repository)
            changed = sum(n for path, n in after.items() if before.get(path) != n)
            written.append(changed / 1e6)
        middle = side // 2
        place = [middle, middle, 1, 1] if grid == "tiles" else [middle * _GRID, middle * _GRID]
        finding.append(
            median(_find(repository, dates, place) for _ in range(options.pick(5, 3, 1)))
        )
        most.append(max(written))
        more[name] = {
            "MB written": f"{min(written):.2f}–{max(written):.2f}",
            "s to find a series": f"{finding[-1]:.3f}",
        }
    return Result(
        name=f"{Path(__file__).stem}-append",
        title=f"Append a date to {side * side:,} tiles × {dates} dates of {_GRID**2} chunks each, "
        "and find the chunks of one place",
        baseline=OURS,
        rows=rows(timings, OURS, more),
        targets=[
            Target("bytes written by appending a date", max(most), 1, "MB"),
            Target(f"finding the chunks of {dates} dates", max(finding), 0.1, "s"),
        ],
        notes=[
            "Of the bytes that an append writes the most count: it rewrites manifests that are not "
            "full.",
            "Chunks are found from nothing but the open repository, on the local disk.",
        ],
        figures={"bytes": max(most) * 1e6, "finding": max(finding)},
    )


def _open(repository: Path) -> Sample:
    cpu, wall = time.process_time(), time.perf_counter()
    session = open_session(icechunk.local_filesystem_storage(str(repository)))
    xarray.open_zarr(session.store, consolidated=False, zarr_format=3, chunks=None)
    return Sample(time.perf_counter() - wall, time.process_time() - cpu)


def _find(repository: Path, dates: int, place: list[int]) -> float:
    session = open_session(icechunk.local_filesystem_storage(str(repository)))
    begin = time.perf_counter()
    for date in range(dates):
        if session.chunk_type("/data", [date, *place]) != icechunk.ChunkType.virtual:
            raise AssertionError(f"date {date} has no chunk")
    return time.perf_counter() - begin


def _files(repository: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in repository.rglob("*") if path.is_file()}
