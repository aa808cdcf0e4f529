"""What a benchmark found, as data, as JSON and as a table of ratios."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks._measure import Timing

_PACKAGES = (
    "async-geotiff",
    "async-tiff",
    "icechunk",
    "imagecodecs",
    "imagecodecs-zarr",
    "numpy",
    "obstore",
    "odc-stac",
    "rasterio",
    "tifffile",
    "virtualizarr",
    "xarray",
    "zarr",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One contender.

    Parameters
    ----------
    name
        Contender.
    ratio, low, high
        Time over the baseline's: median, least and greatest of the rounds; `None` where there
        is nothing to compare.
    cpu_ratio
        Processor time over the baseline's, median.
    seconds, cpu_seconds
        Of every round; for the record, not for the table.
    more
        Further columns of the table.
    """

    name: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    cpu_ratio: float | None = None
    seconds: Sequence[float] = ()
    cpu_seconds: Sequence[float] = ()
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """Something this package promises: `value` at most `limit`, or at least, if `at_least`."""

    name: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the promise was kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        unit = self.unit if self.unit in ("", "×") else f" {self.unit}"
        bound = "at least" if self.at_least else "at most"
        return f"{self.name}: {self.value:.3g}{unit} of {bound} {self.limit:g}{unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One table.

    Parameters
    ----------
    name
        Of the benchmark.
    title
        What was measured, for the reader.
    baseline
        Name of the row that counts as 1.
    rows
        Contenders.
    targets
        Promises.
    notes
        What the reader must know to judge the figures.
    figures
        Numbers that the documentation quotes, by name.
    quantity
        What the ratios are of.
    """

    name: str
    title: str
    baseline: str
    rows: Sequence[Row]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    quantity: str = "time"


def rows(
    timings: Mapping[str, Timing],
    baseline: str,
    more: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Row]:
    """Rows of a table from the timings of `interleave`."""
    base = timings[baseline]
    out = []
    for name, timing in timings.items():
        ratios = timing.ratios(base)
        out.append(
            Row(
                name,
                timing.ratio(base),
                min(ratios),
                max(ratios),
                timing.cpu_ratio(base),
                [sample.wall for sample in timing.samples],
                [sample.cpu for sample in timing.samples],
                (more or {}).get(name, {}),
            )
        )
    return out


def table(result: Result) -> Table:
    """A table for the terminal: ratios, never times."""
    out = Table()
    out.add_column("", no_wrap=True)
    columns = list(dict.fromkeys(name for row in result.rows for name in row.more))
    # One round has no spread.
    spread = any(row.low != row.high for row in result.rows)
    headings = [f"{result.quantity} ×", *(["least–most"] if spread else []), "CPU ×"]
    for heading in (*headings, *columns):
        out.add_column(heading, justify="right")
    for row in result.rows:
        out.add_row(
            row.name,
            "–" if row.ratio is None else f"{row.ratio:.2f}",
            *([_spread(row)] if spread else []),
            "" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}",
            *(row.more.get(name, "") for name in columns),
            style="bold" if row.name == result.baseline else None,
        )
    return out


def _spread(row: Row) -> str:
    return "" if row.low is None else f"{row.low:.2f}–{row.high:.2f}"


def show(console: Console, result: Result) -> None:
    """Print a result: the table, what to know about it, and which promises were kept."""
    console.print(f"\n{result.title}", style="bold", highlight=False)
    console.print(table(result))
    for note in result.notes:
        console.print(f"  {note}", highlight=False, style="dim")
    for target in result.targets:
        state = "[green]kept[/green]" if target.met else "[red]MISSED[/red]"
        console.print(f"  {state}  {target}", highlight=False)


def as_json(results: Sequence[Result], options: Mapping[str, object]) -> dict[str, object]:
    """All that was found, with the machine and the versions it was found with.

    `options` is added as it is.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": _versions(),
        "options": dict(options),
        "results": [
            asdict(result)
            | {
                "targets": [
                    asdict(target) | {"met": target.met, "text": str(target)}
                    for target in result.targets
                ]
            }
            for result in results
        ],
    }


def _machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    out = {}
    for package in ("virtual-tiff", *_PACKAGES):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            out[package] = "not installed"
    return out
