"""The command behind scripts/reader_matrix.py."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.readers._cases import all_cases
from tests.readers._published import Published, codecs_of, published
from tests.readers._readers import READERS, Outcome, read_all
from tests.readers._table import BEGIN, DATA, PAGE, README, Table, page, to_json, with_short_table


def main(arguments: list[str] | None = None) -> int:
    """Make the table and write it, or say what it would be."""
    parser = argparse.ArgumentParser(prog="reader_matrix.py", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--readers", nargs="+", choices=READERS, help="only these; implies dry run")
    parser.add_argument("--verbose", action="store_true", help="print what is not exact, and why")
    options = parser.parse_args(arguments)
    keys = options.readers or list(READERS)
    with TemporaryDirectory() as folder, published(all_cases(), Path(folder)) as found:
        table = make_table(found, Path(folder), keys, verbose=options.verbose)
    if options.dry_run or options.readers:
        return 0
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(table), encoding="utf-8")
    DATA.write_text(to_json(table), encoding="utf-8")
    written = [PAGE, DATA]
    if README.exists() and BEGIN in (text := README.read_text(encoding="utf-8")):
        README.write_text(with_short_table(text, table), encoding="utf-8")
        written.append(README)
    print("wrote", *written)
    return 0


def make_table(
    found: Published, folder: Path, keys: Iterable[str], *, verbose: bool = False
) -> Table:
    """Let readers read everything that was published."""
    outcomes: dict[str, dict[str, Outcome]] = {}
    keys = list(keys)
    for key in keys:
        start = time.perf_counter()
        outcomes[key] = read_all(READERS[key], found, folder / "readers" / key)
        if verbose:
            _report(key, outcomes[key], time.perf_counter() - start)
    names = [case.name for case in all_cases() if case.name in found.cases]
    return Table(
        titles={key: READERS[key].title for key in keys},
        versions={key: READERS[key].versions for key in keys},
        codecs={name: codecs_of(found, name) for name in names},
        verdicts={name: {key: outcomes[key][name].verdict for key in keys} for name in names},
        details={
            name: told
            for name in names
            if (
                told := {
                    key: outcomes[key][name].detail
                    for key in keys
                    if outcomes[key][name].verdict in ("wrong", "crashed", "hung")
                }
            )
        },
    )


def _report(key: str, outcomes: dict[str, Outcome], seconds: float) -> None:
    counts = Counter(outcome.verdict.partition(" ")[0] for outcome in outcomes.values())
    print(f"{key}: {dict(counts)} in {seconds:.1f} s")
    for name, outcome in outcomes.items():
        if outcome.verdict != "exact":
            print(f"  {name}: {outcome.verdict} {outcome.detail}".rstrip())
