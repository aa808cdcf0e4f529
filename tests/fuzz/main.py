"""The command behind `make fuzz`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.check import PARSERS
from tests.fuzz.mutate import mutate
from tests.fuzz.run import Found, Report, run

REGRESSIONS = Path(__file__).resolve().parents[1] / "regressions"


def main(arguments: list[str] | None = None) -> int:
    """Mutate headers, parse them, and report; the exit status is 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=12_000, help="headers to parse")
    parser.add_argument("--start", type=int, default=0, help="number of the first one")
    parser.add_argument("--campaign", type=int, default=0, help="another one, other mutations")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--save", type=int, default=1, help="files to keep of each kind of finding")
    parser.add_argument("--to", type=Path, default=REGRESSIONS, help="where to keep them")
    parser.add_argument("--files", type=Path, help="parse the files of this folder instead")
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    options = parser.parse_args(arguments)
    files: list[Path] = sorted(options.files.iterdir()) if options.files else []

    def name(number: int) -> str:
        if files:
            # Every file goes through every parser.
            return f"{files[number // len(PARSERS)].name} {number % len(PARSERS)}"
        return f"{options.campaign}-{number}-{mutate(number, campaign=options.campaign).seed}.tif"

    def load(number: int) -> bytes:
        if files:
            return files[number // len(PARSERS)].read_bytes()
        return mutate(number, campaign=options.campaign).data

    numbers = range(options.start, options.start + options.count)
    if files:
        numbers = range(len(files) * len(PARSERS))
    report = run(load, numbers, jobs=options.jobs)
    if options.json:
        print(
            json.dumps(
                {
                    "seconds": report.seconds,
                    "outcomes": {name(n): outcome for n, outcome in report.outcomes.items()},
                    "findings": {name(f.number): asdict(f) for f in report.findings},
                }
            )
        )
    else:
        _print_summary(report)
    groups: dict[str, list[Found]] = defaultdict(list)
    for found in report.findings:
        groups[found.signature].append(found)
    for signature, members in sorted(groups.items()):
        print(f"\nFOUND {len(members)} × {signature}", file=sys.stderr)
        for found in members[: options.save]:
            print(f"  {name(found.number)}", file=sys.stderr)
            print("    " + "\n    ".join(found.detail.splitlines()[-12:]), file=sys.stderr)
            if not files:
                options.to.mkdir(parents=True, exist_ok=True)
                (options.to / name(found.number)).write_bytes(load(found.number))
    return 1 if report.findings else 0


def _print_summary(report: Report) -> None:
    rate = report.cases / max(report.seconds, 1e-9)
    print(f"{report.cases} headers in {report.seconds:.1f} s, {rate:.0f} a second")
    for outcome, count in Counter(report.outcomes.values()).most_common():
        print(f"  {count:6} {outcome}")


if __name__ == "__main__":
    sys.exit(main())
