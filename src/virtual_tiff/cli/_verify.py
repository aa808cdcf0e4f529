"""The commands `verify` and `log`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtual_tiff.cli._common import count, quieten_icechunk, say
from virtual_tiff.cli._options import Anonymous, Branch, Json, Quiet, Repository
from virtual_tiff.cli._progress import progress_bar

if TYPE_CHECKING:
    from virtual_tiff.audit.history import Changes
    from virtual_tiff.audit.report import VerifyReport

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

VERIFY_EXAMPLES = """
    [bold]Example[/bold]

    virtual-tiff verify repository --sample 100 || mail -s 'archive changed' me

    virtual-tiff verify s3://mine/archive --listing s3://scenes/
    """
LOG_EXAMPLES = """
    [bold]Example[/bold]

    virtual-tiff log repository
    """

#: Paths that are named of each kind of change.
_SHOWN = 10


def verify(
    repository: Repository,
    sample: Annotated[
        int, typer.Option(min=-1, help="Number of images of which a chunk is decoded; -1 for all.")
    ] = 20,
    chunks: Annotated[int, typer.Option(min=1, help="Number of chunks of each of them.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the random sample.")] = 0,
    listing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX",
            help="List this folder, prefix or pattern instead of a request to each of its files; "
            "may be repeated.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a row for each file (.parquet or .csv)."),
    ] = None,
    branch: Branch = "main",
    anonymous: Anonymous = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight at once.")] = 128,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check that every source exists and is unchanged, and that chunks equal the TIFFs.

    The exit status is 0 without differences, 1 if a source is missing, changed or damaged, 3 if a
    store did not answer.
    """
    from virtual_tiff.audit.verify import verify as verify_repository

    quieten_icechunk()
    with progress_bar(quiet=quiet) as progress:
        report = verify_repository(
            repository,
            branch=branch,
            sample=None if sample < 0 else sample,
            chunks=chunks,
            seed=seed,
            listing=listing or (),
            anonymous=anonymous,
            concurrency=concurrency,
            progress=progress,
        )
    if output is not None:
        _write_table(report, output)
    _print_report(report, as_json=as_json)
    raise typer.Exit(report.exit_status)


def log(
    repository: Repository,
    branch: Branch = "main",
    diff: Annotated[
        bool, typer.Option("--diff", help="Say which groups, arrays and chunks each changed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the commits of a repository, the newest first, with the images that each added."""
    from virtual_tiff.audit.history import log as commits_of

    quieten_icechunk()
    commits = commits_of(repository, branch=branch, diff=diff)
    if as_json:
        say(json.dumps([commit.as_json() for commit in commits], indent=2), lines=True)
        return
    for commit in commits:
        say(f"{commit.time:%Y-%m-%d %H:%M:%S}  {commit.snapshot_id}  {commit.message}")
        if commit.changes is not None:
            for line in _changes(commit.changes):
                say(f"    {line}")


def _changes(changes: Changes) -> Iterator[str]:
    """Yield lines about what a commit changed."""
    for sign, paths in (("+", changes.new), ("-", changes.deleted)):
        yield from (f"{sign} {path}" for path in paths[:_SHOWN])
        if len(paths) > _SHOWN:
            yield f"{sign} and {len(paths) - _SHOWN:,} more"
    counts = [f"{path}: {count(number, 'chunk')}" for path, number in changes.chunks.items()]
    yield from (f"~ {text}" for text in counts[:_SHOWN])
    if len(counts) > _SHOWN:
        yield f"~ and {len(counts) - _SHOWN:,} more arrays"


def _print_report(report: VerifyReport, *, as_json: bool) -> None:
    if as_json:
        faults = [
            {"url": f.url, "status": str(f.status), "detail": f.detail} for f in report.faults
        ]
        summary = {
            "files": len(report.findings),
            "decoded": report.decoded,
            "undecided": list(report.undecided),
            "counts": {str(status): count for status, count in report.counts.items()},
            "faults": faults,
        }
        say(json.dumps(summary, ensure_ascii=False, indent=2), lines=True)
        return
    for finding in report.faults:
        say(f"{finding.status:<11}  {finding.url}: {finding.detail}")
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(report.counts.items()))
    say(f"{len(report.findings):,} files: {counts}; {report.decoded:,} chunks compared")
    for reason in report.undecided[:5]:
        say(f"  not compared: {reason}")


def _write_table(report: VerifyReport, path: Path) -> None:
    from virtual_tiff.audit.report import SCHEMA
    from virtual_tiff.storage.errors import writing

    with writing(path):
        if path.suffix == ".csv":
            from pyarrow.csv import CSVWriter as Writer
        else:
            from pyarrow.parquet import ParquetWriter as Writer
        with Writer(path, SCHEMA) as writer:
            for batch in report.batches():
                writer.write_batch(batch)
