"""Publish inventories of 1,000 to 100,000 rows: time a row, memory, and opening the cube after."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import icechunk
import numpy as np
import tifffile
import xarray

import virtual_tiff
from benchmarks import data
from benchmarks._icechunk import open_session
from benchmarks._measure import Contender, Sample, Timing, interleave
from benchmarks._memory import MIB, Memory, memory_of
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows
from benchmarks._rows import header, repeated

OURS = "publish"
QUICK = "20,000 rows instead of 100,000, fewer rounds"
_OPENINGS = 15


def publish(inventory: str, repository: str) -> Callable[[], object]:
    """Publish a saved inventory; reading it counts."""
    return lambda: virtual_tiff.stack(inventory, repository)


WORK: dict[str, Callable[[str, str], Callable[[], object]]] = {OURS: publish}
"""What `memory_of` can run in a process of its own."""


def run(options: Options) -> list[Result]:
    """Two tables: publishing and opening."""
    counts = options.pick((1_000, 10_000, 100_000), (1_000, 20_000), (10, 30))
    with TemporaryDirectory() as folder:
        return _compare(options, counts, Path(folder))


def label(count: int) -> str:
    """Name of the row of a table."""
    return f"{count:,} rows"


def _compare(options: Options, counts: tuple[int, ...], folder: Path) -> list[Result]:
    (file,) = data.cogs(1, options.cache)
    template = header(file)
    # Of all the files that the rows name, the first alone is there, to be read in the end.
    (folder / "scene_00000000.tif").symlink_to(file.absolute())
    prefix = f"{folder.as_uri()}/scene_"
    for count in (10, *counts):
        options.report(f"an inventory of {label(count)}")
        repeated(template, count, prefix).write(folder / f"{count}.parquet")
    timings = {label(count): Timing(label(count)) for count in counts}
    memory: dict[int, list[Memory]] = {count: [] for count in counts}
    rounds = min(options.rounds, options.pick(3, 1, 1))
    for number in range(rounds):
        for count in counts[:: -1 if number % 2 else 1]:
            options.report(f"round {number + 1} of {rounds}: {label(count)}")
            used, sample = memory_of(
                Path(__file__).stem,
                OURS,
                [str(folder / f"{count}.parquet"), str(folder / f"{count}-{number}")],
                warm_up=[str(folder / "10.parquet"), str(folder / f"small-{count}-{number}")],
            )
            memory[count].append(used)
            each = Sample(sample.wall / count, sample.cpu / count)
            timings[label(count)].samples.append(each)
    repositories = {count: folder / f"{count}-0" for count in counts}
    for count, repository in repositories.items():
        _check(repository, count, file)
    least, most = counts[0], counts[-1]
    peak = {count: median(used.peak for used in memory[count]) / MIB for count in counts}
    more = {
        label(count): {
            "process MiB": f"{peak[count]:.0f}",
            "CPU µs/row": f"{timings[label(count)].cpu * 1e6:.0f}",
            "repository bytes/row": f"{_bytes(repositories[count]) / count:.0f}",
        }
        for count in counts
    }
    ratio = timings[label(most)].ratio(timings[label(least)])
    published = Result(
        name=Path(__file__).stem,
        title=f"Publish an inventory of {least:,} to {most:,} rows: time a row",
        baseline=label(least),
        rows=rows(timings, label(least), more),
        quantity="time a row",
        targets=[
            Target(f"time a row at {most:,} against {least:,}", ratio, 1.2),
            *_further(timings, counts),
            Target("memory of the process", peak[most] / 1024, 1.5, "GiB"),
        ],
        notes=[
            "One row an image, with four chunks: the header of one COG under other names. The "
            "first row bears what a commit costs however small it is.",
            "From the saved inventory to the commit, every run in a process of its own. Memory is "
            "the peak of the whole process.",
        ],
        figures={
            "memory_gib": peak[most] / 1024,
            "ratio": ratio,
            "rows": float(most),
        },
    )
    return [published, _opening(options, repositories)]


def _further(timings: Mapping[str, Timing], counts: tuple[int, ...]) -> list[Target]:
    """What each further row costs, without what a commit costs at all."""
    if len(counts) < 3:
        return []
    few, some, many = counts[-3:]
    ratios = []
    for samples in zip(*(timings[label(n)].samples for n in (few, some, many)), strict=True):
        low, middle, high = (s.wall * n for s, n in zip(samples, (few, some, many), strict=True))
        ratios.append((high - middle) / (many - some) / ((middle - low) / (some - few)))
    name = f"time of each further row above {some:,} against below"
    return [Target(name, median(ratios), 1.2)]


def _opening(options: Options, repositories: dict[int, Path]) -> Result:
    contenders = [
        Contender(label(count), lambda path=path: _open(path))  # type: ignore[misc]
        for count, path in repositories.items()
    ]
    openings = options.pick(_OPENINGS, _OPENINGS, 1)
    timings = interleave(contenders, openings, report=options.report)
    least, most = label(min(repositories)), label(max(repositories))
    ratio = timings[most].ratio(timings[least])
    return Result(
        name=f"{Path(__file__).stem}-open",
        title="Open the cubes that were published",
        baseline=least,
        rows=rows(timings, least),
        targets=[Target(f"time to open the cube of {most}", ratio, 2)],
        notes=["Repository, session and xarray.open_zarr, from the local disk."],
        figures={"ratio": ratio},
    )


def _open(repository: Path) -> Sample:
    cpu, wall = time.process_time(), time.perf_counter()
    session = open_session(icechunk.local_filesystem_storage(str(repository)))
    xarray.open_zarr(session.store, consolidated=False, zarr_format=3, chunks=None)
    return Sample(time.perf_counter() - wall, time.process_time() - cpu)


def _check(repository: Path, count: int, file: Path) -> None:
    """Compare a corner of the first image with the file; the last one must have its chunks."""
    session = open_session(icechunk.local_filesystem_storage(str(repository)))
    cube = xarray.open_zarr(
        session.store, consolidated=False, zarr_format=3, chunks=None, mask_and_scale=False
    )
    first = cube["data"][0, :4, :4].to_numpy()
    last = session.chunk_type("/data", [count - 1, 1, 1])
    if (
        cube["data"].shape[0] != count
        or not np.array_equal(first, tifffile.imread(file, key=0)[:4, :4])
        or last != icechunk.ChunkType.virtual
    ):
        raise AssertionError(f"{repository} does not hold what was published")


def _bytes(repository: Path) -> int:
    return sum(file.stat().st_size for file in repository.rglob("*") if file.is_file())
