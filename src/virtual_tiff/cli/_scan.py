"""The command `scan`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtual_tiff.cli._common import say
from virtual_tiff.cli._options import (
    Anonymous,
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
    from virtual_tiff.inventory.table import Inventory

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
        Path,
        typer.Option("--output", "-o", help="GeoParquet file to write.", show_default=False),
    ],
    choices: ScanChoices,
    anonymous: Anonymous = False,
    executor: Executor = None,
    restart: Annotated[bool, typer.Option("--restart", help="Read all files anew.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read the headers of TIFFs into a table, one request each; bad files are rows with an error.

    Run the same command again to continue an interrupted scan, to read files with errors again, or
    to bring the table up to date: only files that a listing shows new or changed are read. The
    exit status is 3 if there are rows with an error.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from virtual_tiff.inventory.checkpoint import Checkpoint
    from virtual_tiff.inventory.scan import scan as scan_sources
    from virtual_tiff.inventory.table import Inventory, is_inventory

    folder = output.with_name(f".{output.name}.scan")
    if restart:
        Checkpoint(folder, "").remove()
    known = None if restart or not is_inventory(output) else Inventory.read(output)
    started = datetime.now(UTC)
    with progress_bar(quiet=quiet) as progress, executor_named(executor) as workers:
        inventory = scan_sources(
            sources,
            parser=choices.scan_parser(),
            anonymous=anonymous,
            executor=workers,
            checkpoint=folder,
            known=known,
            progress=progress,
            **choices.arguments(),
        )
    inventory.write(output)
    kept = pc.less(inventory.images.table["read_at"], pa.scalar(started))
    known_before = (pc.sum(kept).as_py() or 0) if known is not None else 0
    failed = inventory.failed.num_rows
    if as_json:
        summary = {
            "output": str(output),
            "images": len(inventory) - failed,
            "known": known_before,
            "failed": inventory.failed.to_pylist(),
        }
        say(json.dumps(summary, ensure_ascii=False, indent=2), lines=True)
    else:
        _print_summary(inventory, output, known_before, wants_times=choices.wants_times())
    if failed:
        raise typer.Exit(WITH_EXCEPTIONS)
    Checkpoint(folder, "").remove()


def _print_summary(inventory: Inventory, output: Path, known: int, *, wants_times: bool) -> None:
    failed = inventory.failed.num_rows
    say(f"{output}: {len(inventory) - failed:,} images, {failed:,} failed")
    if known:
        say(f"  {known:,} of them known before")
    timeless = inventory.images.table["datetime"].null_count
    if timeless and wants_times:
        say(f"  {timeless:,} images without a datetime: it was not found in their names or tags")
    for row in inventory.failed.slice(0, 10).to_pylist():
        say(f"  {row['url']}: {in_options(row['error'], 'scan')}")
    if failed > 10:
        say(f"  and {failed - 10:,} more: rows where error_kind is not null")
