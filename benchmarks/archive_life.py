"""The daily life of a cube of 10,000 to 1,000,000 images, from its scan to its check."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pyarrow as pa

import virtual_tiff
from benchmarks import data
from benchmarks._measure import Sample, Timing
from benchmarks._memory import MIB, Memory, memory_of
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows
from benchmarks._rows import header, repeated
from virtual_tiff.inventory.table import Inventory

QUICK = "100,000 images instead of 1,000,000"
_APPENDED = 100
#: Most images whose headers are read: a million takes half an hour.
_SCANNED = 100_000
#: Links of one file, of which file systems allow 65,000.
_LINKS = 50_000


def scan(inventory: str, repository: str) -> Callable[[], object]:
    """Scan a folder into a folder."""
    return lambda: virtual_tiff.scan_into(f"{repository}-scan", _files(inventory), restart=True)


def publish(inventory: str, repository: str) -> Callable[[], object]:
    """Publish a saved inventory."""
    return lambda: virtual_tiff.stack(inventory, repository)


def append(inventory: str, repository: str) -> Callable[[], object]:
    """Append a small inventory."""
    return lambda: virtual_tiff.append(inventory, repository)


def describe(_: str, repository: str) -> Callable[[], object]:
    """Describe a repository."""
    return lambda: virtual_tiff.describe(repository)


def verify(inventory: str, repository: str) -> Callable[[], object]:
    """Compare a listing of the files with what was recorded of them."""
    listing = f"{_files(inventory).as_uri()}/"
    return lambda: virtual_tiff.verify(repository, sample=0, listing=listing)


WORK: dict[str, Callable[[str, str], Callable[[], object]]] = {
    "scan": scan,
    "publish": publish,
    "append": append,
    "describe": describe,
    "verify": verify,
}
"""What `memory_of` can run in a process of its own, in this order on one repository."""


def run(options: Options) -> list[Result]:
    """A table for each kind of work, of cubes of several sizes."""
    counts = options.pick((10_000, 100_000, 1_000_000), (10_000, 100_000), (10, 30))
    rounds = min(options.rounds, options.pick(3, 1, 1))
    found: dict[str, dict[int, list[tuple[Memory, Sample]]]]
    found = {work: {count: [] for count in counts} for work in WORK}
    with TemporaryDirectory() as name:
        folder = Path(name)
        (file,) = data.cogs(1, options.cache)
        for count in counts:
            images = folder / f"{count}.parquet"
            prefix = f"{_files(images).as_uri()}/scene_"
            first = _without_tag(header(file))
            repeated(first, count, prefix).write(images)
            repeated(first, _APPENDED, prefix, first=count).write(folder / f"{count}-more.parquet")
            _link(file, _files(images), count + _APPENDED)
        for number in range(rounds):
            for count in counts:
                options.report(f"round {number + 1} of {rounds}: {count:,} images")
                for work, measured in _one(folder, count, counts[0]):
                    found[work][count].append(measured)
    return [_result(work, {n: m for n, m in each.items() if m}) for work, each in found.items()]


def _files(inventory: str | Path) -> Path:
    """Return the folder of the files of an inventory."""
    return Path(inventory).with_suffix("")


def _without_tag(inventory: Inventory) -> Inventory:
    """Drop the ETag, which on a local disk has the number of the file, and so differs in copies."""
    table = inventory.table
    at, field = table.schema.get_field_index("etag"), table.schema.field("etag")
    return Inventory(table.set_column(at, field, pa.nulls(len(table), field.type)))


def _link(file: Path, folder: Path, count: int) -> None:
    """Fill a folder with links to copies of one file, all with its time."""
    folder.mkdir()
    for number in range(count):
        place = folder / f"scene_{number:08}.tif"
        if number % _LINKS == 0:
            shutil.copy2(file, place)
            first = place
        else:
            os.link(first, place)


def _one(folder: Path, count: int, least: int) -> Sequence[tuple[str, tuple[Memory, Sample]]]:
    """Do all work on a new repository; before each, the same on a small one."""
    repository, small = folder / "repository", folder / "small"
    for place in (repository, small):
        shutil.rmtree(place, ignore_errors=True)
    measured = []
    for work in WORK:
        if work == "scan" and count > max(least, _SCANNED):
            continue
        name = "{}-more.parquet" if work == "append" else "{}.parquet"
        arguments = [str(folder / name.format(count)), str(repository)]
        warm_up = [str(folder / name.format(least)), str(small)]
        measured.append((work, memory_of(Path(__file__).stem, work, arguments, warm_up=warm_up)))
    return measured


def _result(work: str, measured: dict[int, list[tuple[Memory, Sample]]]) -> Result:
    """Make the table of one kind of work: time an image, but that of appending as a whole."""
    parts = {count: 1 if work == "append" else count for count in measured}
    timings = {
        count: Timing(
            f"{count:,} images",
            [Sample(s.wall / parts[count], s.cpu / parts[count]) for _, s in samples],
        )
        for count, samples in measured.items()
    }
    least, most = min(measured), max(measured)
    peaks = {n: median(m.peak for m, _ in samples) / MIB for n, samples in measured.items()}
    seconds = median(sample.wall for _, sample in measured[most])
    ratio = timings[most].ratio(timings[least])
    targets = [Target(f"memory of the process at {most:,}", peaks[most] / 1024, 2, "GiB")]
    if work == "append":
        targets.append(Target(f"time to append to {most:,}", seconds, 1.5, "s"))
    else:
        targets.append(Target(f"time an image at {most:,} against {least:,}", ratio, 1.2))
    named = {timing.name: timing for timing in timings.values()}
    return Result(
        name=f"{Path(__file__).stem}-{work}",
        title=f"{work.capitalize()} a cube of {least:,} to {most:,} images",
        baseline=timings[least].name,
        rows=rows(
            named,
            timings[least].name,
            {timings[n].name: {"process MiB": f"{peak:.0f}"} for n, peak in peaks.items()},
        ),
        quantity="time" if work == "append" else "time an image",
        targets=targets,
        notes=[
            "One row an image, with four chunks: the header of one COG under other names, which "
            f"are links on a local disk; {_APPENDED} images are appended; up to {_SCANNED:,} are "
            "scanned. Every run in a process of its own.",
        ],
        figures={"seconds": seconds, "memory_gib": peaks[most] / 1024, "ratio": ratio},
    )
