"""Commands for archives: scan, stack, append, verify, log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtual_tiff.cli._common import ifd_path, quieten_icechunk

if TYPE_CHECKING:
    from virtual_tiff.archive.cubes import ArchiveResult
    from virtual_tiff.archive.verifying import VerifyReport

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

_Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="URLs, paths, folders and prefixes (ending in /), globs in quotes, .txt lists, STAC "
        "JSON or GeoParquet, tables (.parquet, .csv) with a column of URLs, or an inventory.",
        show_default=False,
    ),
]
_To = Annotated[
    str,
    typer.Option(metavar="REPOSITORY", help="Local path or URL.", show_default=False),
]
_Repository = Annotated[
    str, typer.Argument(metavar="REPOSITORY", help="Local path or URL.", show_default=False)
]
_Ifd = Annotated[
    str, typer.Option(help="Image to take: 0, or 0.1 for the second sub-IFD of the first, or all.")
]
_BandAxis = Annotated[
    str, typer.Option(help="first: (band, y, x). last: (y, x, band), faster to decode.")
]
_OnUnsupported = Annotated[
    str, typer.Option(help="raise, or copy the pixels of images that no Zarr codec can decode.")
]
_UrlColumn = Annotated[str, typer.Option(help="Column of a table that holds the URLs.")]
_DatetimeColumn = Annotated[
    str | None, typer.Option(help="Column, or STAC property, that holds the time.")
]
_DatetimePattern = Annotated[
    str | None,
    typer.Option(help=r"Regular expression that finds the time in a name, such as '_(\d{8})'."),
]
_DatetimeTag = Annotated[bool, typer.Option("--datetime-tag", help="Take DateTime of the TIFF.")]
_Assets = Annotated[
    list[str] | None, typer.Option("--asset", help="Asset of STAC Items; may be repeated.")
]
_Concurrency = Annotated[int, typer.Option(min=1, help="Headers in flight at once.")]
_Executor = Annotated[
    str | None,
    typer.Option(
        help="dask (a cluster on this machine, or DASK_SCHEDULER_ADDRESS), or a number of "
        "processes."
    ),
]
_Checkpoint = Annotated[
    Path | None, typer.Option(help="Folder that lets an interrupted scan go on.")
]
_Group = Annotated[
    str,
    typer.Option(
        help="Group of the cube. With columns in braces, such as sentinel/{tile}, a cube for "
        "each value; {stem} is the name of the file."
    ),
]
_Along = Annotated[str, typer.Option(help="Column that orders the images.")]
_Variable = Annotated[str | None, typer.Option(help="Column that names the variables.")]
_Name = Annotated[str, typer.Option(help="Name of the variable, where no column names it.")]
_SplitBands = Annotated[
    bool, typer.Option("--split-bands", help="Make each band of planar images a variable.")
]
_OnDuplicate = Annotated[
    str, typer.Option(help="Several images at one place: raise, first, last or newest.")
]
_SkipFailed = Annotated[
    bool, typer.Option("--skip-failed", help="Leave out what could not be read.")
]
_Message = Annotated[
    str | None, typer.Option("--message", "-m", help="Of the commit.", show_default=False)
]
_Branch = Annotated[str, typer.Option(help="Branch of the repository.")]
_Anonymous = Annotated[
    bool, typer.Option("--anonymous", help="Read the files without credentials (public buckets).")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (scan, stack, append, verify, log):
        app.command(epilog=_EXAMPLES[command.__name__])(command)


_EXAMPLES = {
    "scan": r"""
    [bold]Examples[/bold]

    virtual-tiff scan s3://bucket/scenes/ -o scenes.parquet --datetime-pattern '_(\d{8})'

    virtual-tiff scan items.json --asset red --asset nir -o items.parquet
    """,
    "stack": """
    [bold]Examples[/bold]

    virtual-tiff stack scenes.parquet --to repository

    virtual-tiff stack items.parquet --to s3://mine/cube --variable asset --group '{grid}'
    """,
    "append": r"""
    [bold]Example[/bold]

    virtual-tiff append s3://bucket/scenes/ --to repository --on-present skip
    --datetime-pattern '_(\\d{8})'
    """,
    "verify": """
    [bold]Example[/bold]

    virtual-tiff verify repository --sample 100 || mail -s 'archive changed' me
    """,
    "log": """
    [bold]Example[/bold]

    virtual-tiff log repository
    """,
}


def scan(
    sources: _Sources,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="GeoParquet file to write.", show_default=False),
    ],
    ifd: _Ifd = "0",
    band_axis: _BandAxis = "first",
    on_unsupported: _OnUnsupported = "raise",
    url_column: _UrlColumn = "url",
    datetime_column: _DatetimeColumn = None,
    datetime_pattern: _DatetimePattern = None,
    datetime_tag: _DatetimeTag = False,
    asset: _Assets = None,
    concurrency: _Concurrency = 256,
    executor: _Executor = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget what an interrupted scan has read.")
    ] = False,
    quiet: _Quiet = False,
) -> None:
    """Read the headers of TIFFs into a table, one request each; bad files are rows with an error.

    A scan that is interrupted goes on where it was when the same command is run again. The exit
    status is 1 if there are rows with an error.
    """
    from virtual_tiff.archive.checkpoint import Checkpoint
    from virtual_tiff.archive.scanning import scan as scan_sources

    folder = output.with_name(f".{output.name}.scan")
    if restart:
        Checkpoint(folder, "").remove()
    with _bar(quiet) as progress, _executor(executor) as workers:
        inventory = scan_sources(
            sources,
            parser=_parser(ifd, band_axis, on_unsupported),
            url_column=url_column,
            datetime_column=datetime_column,
            datetime_pattern=datetime_pattern,
            datetime_tag=datetime_tag,
            assets=asset,
            concurrency=concurrency,
            executor=workers,
            checkpoint=folder,
            progress=progress,
        )
    inventory.write(output)
    failed = inventory.failed.num_rows
    print(f"{output}: {len(inventory) - failed:,} images, {failed:,} failed")
    for row in inventory.failed.slice(0, 10).to_pylist():
        print(f"  {row['url']}: {row['error']}")
    if failed > 10:
        print(f"  and {failed - 10:,} more: rows where error_kind is not null")
    if failed:
        raise typer.Exit(1)
    Checkpoint(folder, "").remove()


def stack(
    sources: _Sources,
    to: _To,
    group: _Group = "",
    along: _Along = "datetime",
    variable: _Variable = None,
    name: _Name = "data",
    split_bands: _SplitBands = False,
    on_duplicate: _OnDuplicate = "raise",
    coordinates: Annotated[bool, typer.Option(help="Write x and y.")] = True,
    skip_failed: _SkipFailed = False,
    ifd: _Ifd = "0",
    band_axis: _BandAxis = "first",
    on_unsupported: _OnUnsupported = "raise",
    url_column: _UrlColumn = "url",
    datetime_column: _DatetimeColumn = None,
    datetime_pattern: _DatetimePattern = None,
    datetime_tag: _DatetimeTag = False,
    asset: _Assets = None,
    concurrency: _Concurrency = 256,
    executor: _Executor = None,
    checkpoint: _Checkpoint = None,
    message: _Message = None,
    branch: _Branch = "main",
    anonymous: _Anonymous = False,
    into_existing: Annotated[
        bool,
        typer.Option("--into-existing", help="Add to a repository with other people's data."),
    ] = False,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Publish images as a cube: one array for each variable, along time, in one commit.

    Images must share CRS, grid, data type and encoding; what differs is named, and nothing is
    resampled.
    """
    from virtual_tiff.archive.cubes import publish_cubes

    with _bar(quiet or as_json) as progress, _executor(executor) as workers:
        result = publish_cubes(
            _inventory_or(sources),
            to,
            group=group,
            options=_cube_options(
                along=along,
                variable=variable,
                name=name,
                split_bands=split_bands,
                on_duplicate=on_duplicate,
                coordinates=coordinates,
            ),
            on_failed="skip" if skip_failed else "raise",
            message=message,
            branch=branch,
            anonymous=anonymous,
            into_existing=into_existing,
            executor=workers,
            parser=_parser(ifd, band_axis, on_unsupported),
            url_column=url_column,
            datetime_column=datetime_column,
            datetime_pattern=datetime_pattern,
            datetime_tag=datetime_tag,
            assets=asset,
            concurrency=concurrency,
            checkpoint=checkpoint,
            progress=progress,
        )
    _print_result(result, to, as_json=as_json)


def append(
    sources: _Sources,
    to: _To,
    group: _Group = "",
    along: _Along = "datetime",
    variable: _Variable = None,
    name: _Name = "data",
    split_bands: _SplitBands = False,
    on_duplicate: _OnDuplicate = "raise",
    on_present: Annotated[
        str, typer.Option(help="Images that are there already: raise, or skip them.")
    ] = "raise",
    out_of_order: Annotated[
        str, typer.Option(help="Images before the last of the cube: raise, or insert them.")
    ] = "raise",
    skip_failed: _SkipFailed = False,
    ifd: _Ifd = "0",
    band_axis: _BandAxis = "first",
    on_unsupported: _OnUnsupported = "raise",
    url_column: _UrlColumn = "url",
    datetime_column: _DatetimeColumn = None,
    datetime_pattern: _DatetimePattern = None,
    datetime_tag: _DatetimeTag = False,
    asset: _Assets = None,
    concurrency: _Concurrency = 256,
    executor: _Executor = None,
    checkpoint: _Checkpoint = None,
    message: _Message = None,
    branch: _Branch = "main",
    anonymous: _Anonymous = False,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Add later images to a cube, in one commit; the cube stays as it was if anything fails."""
    from virtual_tiff.archive.cubes import append as append_images

    options: dict[str, Any] = {"on_present": on_present, "out_of_order": out_of_order}
    with _bar(quiet or as_json) as progress, _executor(executor) as workers:
        result = append_images(
            _inventory_or(sources),
            to,
            group=group,
            options=_cube_options(
                along=along,
                variable=variable,
                name=name,
                split_bands=split_bands,
                on_duplicate=on_duplicate,
            ),
            on_failed="skip" if skip_failed else "raise",
            message=message,
            branch=branch,
            anonymous=anonymous,
            executor=workers,
            parser=_parser(ifd, band_axis, on_unsupported),
            url_column=url_column,
            datetime_column=datetime_column,
            datetime_pattern=datetime_pattern,
            datetime_tag=datetime_tag,
            assets=asset,
            concurrency=concurrency,
            checkpoint=checkpoint,
            progress=progress,
            **options,
        )
    _print_result(result, to, as_json=as_json)


def verify(
    repository: _Repository,
    sample: Annotated[
        int, typer.Option(min=-1, help="Images of which a chunk is decoded; -1 for all.")
    ] = 20,
    chunks: Annotated[int, typer.Option(min=1, help="Chunks of each of them.")] = 1,
    seed: Annotated[int, typer.Option(help="Another one takes another sample.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a row for each file (.parquet or .csv)."),
    ] = None,
    branch: _Branch = "main",
    anonymous: _Anonymous = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight at once.")] = 128,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Check that every source is there and unchanged, and that chunks read as the TIFFs do.

    The exit status is 0 if all is well, 1 if a source is gone, changed or damaged, 2 if a store
    did not answer.
    """
    from virtual_tiff.archive.verifying import verify as verify_repository

    quieten_icechunk()
    with _bar(quiet or as_json, "Asking for files") as progress:
        report = verify_repository(
            repository,
            branch=branch,
            sample=None if sample < 0 else sample,
            chunks=chunks,
            seed=seed,
            anonymous=anonymous,
            concurrency=concurrency,
            progress=None if progress is None else lambda n, total: progress(n, 0, total),
        )
    if output is not None:
        _write_table(report.table(), output)
    _print_report(report, as_json=as_json)
    raise typer.Exit(report.exit_status)


def log(repository: _Repository, branch: _Branch = "main", as_json: _Json = False) -> None:
    """List the commits of a repository, the newest first, and what each added."""
    from virtual_tiff.archive.history import log as commits_of

    quieten_icechunk()
    commits = commits_of(repository, branch=branch)
    if as_json:
        print(json.dumps([commit.as_json() for commit in commits], indent=2))
        return
    for commit in commits:
        print(f"{commit.time:%Y-%m-%d %H:%M:%S}  {commit.snapshot_id}  {commit.message}")


def _inventory_or(sources: list[str]) -> object:
    """One source may be an inventory; `publish_cubes` looks."""
    quieten_icechunk()
    return sources[0] if len(sources) == 1 else sources


def _parser(ifd: str, band_axis: str, on_unsupported: str) -> Any:
    from virtual_tiff.parser import VirtualTIFF

    options: dict[str, Any] = {"band_axis": band_axis, "on_unsupported": on_unsupported}
    return VirtualTIFF(ifd=None if ifd == "all" else ifd_path(ifd), **options)


def _cube_options(**options: Any) -> Any:
    from virtual_tiff.archive.stack import CubeOptions

    return CubeOptions(**options)


def _print_result(result: ArchiveResult, to: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(result), ensure_ascii=False, indent=2))
        return
    if result.snapshot_id is None:
        print(f"{to}: nothing to add; all images are there")
        return
    from virtual_tiff.archive.committing import brief

    print(f"{to}: {result.images:,} images, snapshot {result.snapshot_id}")
    for path, added in result.added.items():
        if added.images:
            print(
                f"  /{path}: {', '.join(added.variables)}, {added.steps:,} new steps, "
                f"{brief(added.first)} to {brief(added.last)}"
            )
    skipped = sum(added.skipped for added in result.added.values())
    if skipped:
        print(f"  {skipped:,} images were there already")
    if result.failed:
        print(f"  {result.failed:,} images were left out, since they could not be read")
    if result.unchecked:
        print(f"  {result.unchecked:,} files without a time of change: readers will not notice it")


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
    if path.suffix == ".csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(table, path)
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, path)


@contextmanager
def _bar(quiet: bool, what: str = "Reading headers") -> Iterator[Any]:
    """Show a bar with rate and time left on stderr while the block runs, if that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None, rate="")

        def report(done: int, failed: int, total: int) -> None:
            rate = done / max(time.monotonic() - started, 1e-3)
            text = f"{rate:,.0f}/s" + (f", {failed:,} failed" if failed else "")
            progress.update(task, completed=done, total=total, rate=text)

        yield report


@contextmanager
def _executor(name: str | None) -> Iterator[Any]:
    """Make the executor that was asked for."""
    if name is None:
        yield None
    elif name == "dask":
        try:
            from distributed import Client
        except ImportError:
            raise typer.BadParameter(
                "Dask is not installed: install virtual-tiff[dask]", param_hint="--executor"
            ) from None
        with Client() as client:  # type: ignore[no-untyped-call]
            yield client
    elif name.isdecimal() and int(name) > 0:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        with ProcessPoolExecutor(int(name), mp_context=get_context("spawn")) as executor:
            yield executor
    else:
        raise typer.BadParameter(
            f"{name!r} is neither dask nor a number of processes", param_hint="--executor"
        )
