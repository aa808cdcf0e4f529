"""Run benchmarks: `python -m benchmarks [NAME ...] [--quick] [--rounds N] [--json OUT]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import _peer, _rasteret, data
from benchmarks._environment import Environment
from benchmarks._options import Effort, Options
from benchmarks._report import Result, as_json, show

NAMES = (
    "import_time",
    "parse_cogs",
    "parse_metadata",
    "parse_bigtiff",
    "parse_stack",
    "publish_bigtiff",
    "publish_archive",
    "publish_rows",
    "publish_tiles",
    "archive_life",
    "read_series",
    "read_mosaic",
    "read_patches",
    "read_array",
    "scale",
)
OUTPUT = Path("build/bench")
BUSY = 0.5  # load average for each core from which others are assumed to be at work


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="less data and fewer rounds")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help="rounds that count (default: 7, quick: 2)")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="OUT",
        help=f"where everything is written (default: {OUTPUT}/results.json, quick: quick.json; "
        "nowhere if there is a NAME)",
    )
    parser.add_argument("--cache", type=Path, default=data.CACHE, help="folder of the data")
    parser.add_argument(
        "--no-peers",
        action="store_true",
        help="neither install nor run what needs an environment of its own",
    )
    parser.add_argument("--check", action="store_true", help="fail if a promise is not kept")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {NAMES}")
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds must be at least 1")
    effort: Effort = "tiny" if given.tiny else "quick" if given.quick else "full"
    # Icechunk warns of local repositories, which are what is wanted here. Subprocesses inherit it.
    os.environ.setdefault("ICECHUNK_LOG", "error")
    os.environ.setdefault("RUST_BACKTRACE", "0")
    console = Console(width=None if sys.stdout.isatty() else 100)
    load = os.getloadavg()[0]
    if load > BUSY * len(os.sched_getaffinity(0)):
        console.print("[red]Other work runs on this machine: trust CPU × more than time ×.[/red]")
    options = Options(
        rounds=given.rounds or {"full": 7, "quick": 2, "tiny": 1}[effort],
        effort=effort,
        cache=given.cache,
        peer=None if given.no_peers else _python(_peer.ENVIRONMENT, given.cache, console),
        rasteret=None if given.no_peers else _python(_rasteret.ENVIRONMENT, given.cache, console),
    )
    output = given.json
    if output is None and not given.names:
        output = OUTPUT / ("results.json" if effort == "full" else f"{effort}.json")
    run = _Run(console, options, load, output)
    run.all(given.names or NAMES)
    missed = [target for result in run.results for target in result.targets if not target.met]
    return 1 if run.failed or (given.check and missed) else 0


def _python(environment: Environment, cache: Path, console: Console) -> Path | None:
    """Find or make the environment of a peer; without it the others are still worth a run."""
    if (python := environment.find(cache)) is not None:
        return python
    console.print(f"Installing {environment.name} into {cache / environment.folder} …")
    try:
        return environment.create(cache)
    except RuntimeError as error:
        console.print(f"[red]{error}[/red]\nIts rows stay empty; all else is measured.")
        return None


class _Run:
    """Benchmarks one after the other; what was found is written after each."""

    def __init__(
        self, console: Console, options: Options, load: float, output: Path | None
    ) -> None:
        self.console = console
        self.options = options
        self.load = load
        self.output = output
        self.results: list[Result] = []
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}

    def all(self, names: list[str] | tuple[str, ...]) -> None:
        columns = (
            TextColumn("{task.fields[name]}", style="bold"),
            BarColumn(20),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            bar = progress.add_task("", total=len(names), name="")

            def report(text: str) -> None:
                progress.update(bar, description=text)

            for name in names:
                progress.update(bar, name=name, description="preparing")
                self.one(name, replace(self.options, report=report))
                progress.advance(bar)
        if self.options.effort == "quick":
            self.console.print("\n--quick leaves out:", style="bold")
            for name in names:
                self.console.print(f"  {name}: {import_module(f'benchmarks.{name}').QUICK}")
        if self.output is not None:
            self.console.print(f"\n{sum(self.seconds.values()):.0f} s, written to {self.output}")

    def one(self, name: str, options: Options) -> None:
        begin = time.perf_counter()
        try:
            found = import_module(f"benchmarks.{name}").run(options)
        except Exception as error:
            # The others need not be lost for it; the exit status tells.
            self.failed[name] = f"{type(error).__name__}: {error}"
            self.console.print(f"\n{name} FAILED", style="red bold")
            self.console.print(traceback.format_exc(), highlight=False, markup=False)
            found = []
        self.seconds[name] = round(time.perf_counter() - begin, 1)
        for result in found if isinstance(found, list) else [found]:
            self.results.append(result)
            show(self.console, result)
        if self.output is not None:
            self._write(self.output)

    def _write(self, output: Path) -> None:
        options = {"rounds": self.options.rounds, "effort": self.options.effort}
        document = as_json(self.results, options) | {
            "load_before": round(self.load, 2),
            "seconds": self.seconds,
            "failed": self.failed,
        }
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
