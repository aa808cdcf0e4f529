"""Run benchmarks: `python -m benchmarks [NAME ...] [--quick] [--rounds N] [--json OUT]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks import _peer, data
from benchmarks._options import Options
from benchmarks._report import Result, as_json, show

NAMES = ("import_time", "parse_cogs", "parse_bigtiff", "publish_bigtiff", "read_array")
BUSY = 0.5  # load average for each core from which others are assumed to be at work


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller images")
    parser.add_argument("--rounds", type=int, help="rounds that count (default: 9, quick: 3)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write everything here")
    parser.add_argument("--cache", type=Path, default=data.CACHE, help="folder of the data")
    parser.add_argument(
        "--with-peer-venv",
        action="store_true",
        help="first install the existing virtual-tiff from PyPI, in an environment of its own",
    )
    parser.add_argument("--check", action="store_true", help="fail if a promise is not kept")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {NAMES}")
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds must be at least 1")
    peer = _peer.find(given.cache)
    if given.with_peer_venv and peer is None:
        peer = _peer.create(given.cache)
    options = Options(
        rounds=given.rounds or (3 if given.quick else 9),
        quick=given.quick,
        cache=given.cache,
        peer=peer,
    )
    # Icechunk warns of local repositories, which are what is wanted here. Subprocesses inherit it.
    os.environ.setdefault("ICECHUNK_LOG", "error")
    console = Console(width=None if sys.stdout.isatty() else 100)
    if os.getloadavg()[0] > BUSY * len(os.sched_getaffinity(0)):
        console.print("[red]Other work runs on this machine: trust CPU × more than time ×.[/red]")
    results: list[Result] = []
    for name in given.names or NAMES:
        found = import_module(f"benchmarks.{name}").run(options)
        for result in found if isinstance(found, list) else [found]:
            results.append(result)
            show(console, result)
    if given.json:
        chosen = {"rounds": options.rounds, "quick": options.quick}
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(as_json(results, chosen), indent=1) + "\n")
    missed = [target for result in results for target in result.targets if not target.met]
    return 1 if given.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
