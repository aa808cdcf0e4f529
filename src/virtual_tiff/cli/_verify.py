"""The commands `verify` and `log`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtual_tiff.cli._common import quieten_icechunk
from virtual_tiff.cli._options import Anonymous, Json, Quiet, Repository
from virtual_tiff.cli._progress import progress_bar

if TYPE_CHECKING:
    from virtual_tiff.audit.report import VerifyReport

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

VERIFY_EXAMPLES = """
    [bold]Example[/bold]

    virtual-tiff verify repository --sample 100 || mail -s 'archive changed' me
    """
LOG_EXAMPLES = """
    [bold]Example[/bold]

    virtual-tiff log repository
    """

_Branch = Annotated[str, typer.Option(help="Branch of the repository.")]


def verify(
    repository: Repository,
    sample: Annotated[
        int, typer.Option(min=-1, help="Number of images of which a chunk is decoded; -1 for all.")
    ] = 20,
    chunks: Annotated[int, typer.Option(min=1, help="Number of chunks of each of them.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the random sample.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a row for each file (.parquet or .csv)."),
    ] = None,
    branch: _Branch = "main",
    anonymous: Anonymous = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight at once.")] = 128,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check that every source exists and is unchanged, and that chunks equal the TIFFs.

    The exit status is 0 without differences, 1 if a source is missing, changed or damaged, 2 if a
    store did not answer.
    """
    from virtual_tiff.audit.verify import verify as verify_repository

    quieten_icechunk()
    with progress_bar(quiet=quiet or as_json) as progress:
        report = verify_repository(
            repository,
            branch=branch,
            sample=None if sample < 0 else sample,
            chunks=chunks,
            seed=seed,
            anonymous=anonymous,
            concurrency=concurrency,
            progress=progress,
        )
    if output is not None:
        _write_table(report.table(), output)
    _print_report(report, as_json=as_json)
    raise typer.Exit(report.exit_status)


def log(repository: Repository, branch: _Branch = "main", as_json: Json = False) -> None:
    """List the commits of a repository, the newest first, with the images that each added."""
    from virtual_tiff.audit.history import log as commits_of

    quieten_icechunk()
    commits = commits_of(repository, branch=branch)
    if as_json:
        print(json.dumps([commit.as_json() for commit in commits], indent=2))
        return
    for commit in commits:
        print(f"{commit.time:%Y-%m-%d %H:%M:%S}  {commit.snapshot_id}  {commit.message}")


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
        print(json.dumps(summary, ensure_ascii=False, indent=2))
        return
    for finding in report.faults:
        print(f"{finding.status:<11}  {finding.url}: {finding.detail}")
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(report.counts.items()))
    print(f"{len(report.findings):,} files: {counts}; {report.decoded:,} chunks compared")
    for reason in report.undecided[:5]:
        print(f"  not compared: {reason}")


def _write_table(table: Any, path: Path) -> None:
    from virtual_tiff.storage.errors import writing

    with writing(path):
        if path.suffix == ".csv":
            import pyarrow.csv

            pyarrow.csv.write_csv(table, path)
        else:
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, path)
