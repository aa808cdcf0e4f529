"""The command `scan`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtual_tiff.cli._common import say
from virtual_tiff.cli._options import (
    Anonymous,
    DryRun,
    Executor,
    Json,
    Quiet,
    ScanChoices,
    Sources,
    flattened,
)
from virtual_tiff.cli._progress import executor_named, progress_bar
from virtual_tiff.cli._remedies import in_options
from virtual_tiff.cli._result import WITH_EXCEPTIONS

if TYPE_CHECKING:
    from virtual_tiff.operations.scan_into import ScanSummary

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

SCAN_EXAMPLES = r"""
    [bold]Examples[/bold]

    virtual-tiff scan s3://bucket/scenes/ -o scenes.parquet --datetime-pattern '_(\d{8})'

    virtual-tiff scan items.json --asset red --asset nir -o items.parquet
    """


@flattened
def scan(
    sources: Sources,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="GeoParquet file to write; or a folder, with / at its end, for an inventory of "
            "several files, of which 25,000 TIFFs each are in memory.",
            show_default=False,
        ),
    ],
    choices: ScanChoices,
    anonymous: Anonymous = False,
    executor: Executor = None,
    restart: Annotated[bool, typer.Option("--restart", help="Read all files anew.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read the headers of TIFFs into a table, one request each; bad files are rows with an error.

    Run the same command again to continue an interrupted scan, to read files with errors again, or
    to bring the table up to date: only files that a listing shows new or changed are read. The
    exit status is 3 if there are rows with an error.
    """
    from virtual_tiff.operations.scan_into import rehearse_scan, scan_into

    target = Path(output)
    options: dict[str, Any] = {
        "parser": choices.scan_parser(),
        "anonymous": anonymous,
        **choices.arguments(),
    }
    if dry_run:
        files, known = rehearse_scan(target, sources, options, restart=restart)
        _print_rehearsal(target, files, known, as_json=as_json)
        return
    with progress_bar(quiet=quiet) as progress, executor_named(executor) as workers:
        options |= {"executor": workers, "progress": progress}
        if output.endswith("/") or target.is_dir():
            found = scan_into(target, sources, restart=restart, **options)
        else:
            found = _scan_into_file(target, sources, restart=restart, **options)
    if as_json:
        summary = {
            "output": str(target),
            "images": found.images,
            "known": found.known,
            "failed": found.failed.to_pylist(),
        }
        say(json.dumps(summary, ensure_ascii=False, indent=2), lines=True)
    else:
        _print_summary(found, target, wants_times=choices.wants_times())
    if found.failed.num_rows:
        raise typer.Exit(WITH_EXCEPTIONS)


def _print_rehearsal(output: Path, files: int, known: int, *, as_json: bool) -> None:
    if as_json:
        summary = {"output": str(output), "dry_run": True, "files": files, "known": known}
        say(json.dumps(summary, indent=2), lines=True)
        return
    say(f"{output}: a dry run, nothing was read or written")
    say(f"  {files:,} files, of which {files - known:,} would be read")


def _scan_into_file(
    output: Path, sources: Sequence[str], *, restart: bool, **options: Any
) -> ScanSummary:
    """Bring a table up to date, or go on with a scan that was interrupted."""
    from virtual_tiff.inventory.checkpoint import Checkpoint
    from virtual_tiff.inventory.scan import scan as scan_sources
    from virtual_tiff.inventory.table import Inventory, is_inventory
    from virtual_tiff.operations.scan_into import ScanSummary

    folder = output.with_name(f".{output.name}.scan")
    if restart:
        Checkpoint(folder, "").remove()
    known = None if restart or not is_inventory(output) else Inventory.read(output)
    started = None if known is None else datetime.now(UTC)
    inventory = scan_sources(sources, checkpoint=folder, known=known, **options)
    inventory.write(output)
    found = ScanSummary.of(inventory, started)
    if not found.failed.num_rows:
        Checkpoint(folder, "").remove()
    return found


def _print_summary(found: ScanSummary, output: Path, *, wants_times: bool) -> None:
    failed = found.failed.num_rows
    say(f"{output}: {found.images:,} images, {failed:,} failed")
    if found.known:
        say(f"  {found.known:,} of them known before")
    if found.timeless and wants_times:
        say(f"  {found.timeless:,} images without a datetime: not found in their names or tags")
    for row in found.failed.slice(0, 10).to_pylist():
        say(f"  {row['url']}: {in_options(row['error'], 'scan')}")
    if failed > 10:
        say(f"  and {failed - 10:,} more: rows where error_kind is not null")
