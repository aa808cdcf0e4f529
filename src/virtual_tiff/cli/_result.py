"""Print the results of `publish`, `stack` and `append`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import typer

from virtual_tiff.cli._common import count, say
from virtual_tiff.cli._options import CommitChoices
from virtual_tiff.cli._remedies import in_options

if TYPE_CHECKING:
    from virtual_tiff.publishing.results import Added, PublishResult

#: Exit status of success without the files that were left out.
WITH_EXCEPTIONS = 3
#: Number of files and groups that are named if there are many.
_SHOWN = 10


def print_result(result: PublishResult, to: str, command: str, options: CommitChoices) -> None:
    """Print what a command committed, and code that opens the first group after a new one.

    Raises
    ------
    typer.Exit
        With `WITH_EXCEPTIONS` if files were left out.
    """
    if options.as_json:
        say(json.dumps(result.as_json(), ensure_ascii=False, indent=2), lines=True)
    else:
        for line in _lines(result, to, command):
            say(line)
        _print_example(result, to, command, options)
    if result.failed or result.mismatched:
        raise typer.Exit(WITH_EXCEPTIONS)


def _print_example(result: PublishResult, to: str, command: str, options: CommitChoices) -> None:
    example = command != "append" and not options.quiet
    if example and result.snapshot_id is not None:
        from virtual_tiff.publishing.reading_code import reading_code

        path = next(iter(result.added))
        code = reading_code(
            to,
            result.containers,
            version={"branch": result.branch},
            group=result.added[path].dataset,
            anonymous=options.anonymous,
            first=result.added[path].first,
            last=result.added[path].last,
        )
        print("\nRead it where xarray, icechunk and imagecodecs-zarr are installed:\n")
        print("".join(f"    {line}\n" if line else "\n" for line in code.splitlines()), end="")


def _lines(result: PublishResult, to: str, command: str) -> Iterator[str]:
    if result.dry_run and result.planned:
        yield f"{to}: a dry run, nothing was written; it would get"
        yield from _planned(result)
    elif result.snapshot_id is None:
        there = "" if result.failed or result.mismatched else "; all images are there"
        yield f"{to}: nothing to add{there}"
    elif result.groups:
        stored = f", {count(result.stored, 'chunk')} stored" if result.stored else ""
        yield f"Published {count(len(result.groups), 'TIFF')} to {to}, branch {result.branch}:"
        yield (
            f"  {count(result.arrays, 'array')}, {count(result.references, 'reference')}{stored}, "
            f"snapshot {result.snapshot_id}"
        )
    else:
        yield f"{to}: {count(result.images, 'image')}, snapshot {result.snapshot_id}"
        yield from _cubes(result.added)
    if skipped := sum(added.skipped for added in result.added.values()):
        yield f"  {count(skipped, 'image')} {'was' if skipped == 1 else 'were'} there already"
    if result.replaced:
        yield f"  {count(result.replaced, 'image')} replaced"
    if result.known:
        yield f"  {count(result.known, 'file')} known and unchanged"
    if result.failed:
        yield f"  {count(len(result.failed), 'file')} left out, which could not be read:"
        yield from _some([f"{u}: {in_options(why, command)}" for u, why in result.failed.items()])
    if result.mismatched:
        yield f"  {count(len(result.mismatched), 'file')} left out, not like the others:"
        yield from _some(
            [f"{u}: {in_options(why, command)}" for u, why in result.mismatched.items()]
        )
    for url, reasons in result.copied.items():
        yield f"  copied, not referenced: {url}"
        yield from (f"    image {reason}" for reason in reasons)
    if result.notes:
        yield f"  {count(len(result.notes), 'array')} with notes:"
        yield from _some(
            [f"{path}: {note}" for path, all_ in result.notes.items() for note in all_]
        )
    if result.unchecked:
        yield (
            f"  {count(len(result.unchecked), 'file')} without a time of change: readers will "
            "not notice changes"
        )


def _planned(result: PublishResult) -> Iterator[str]:
    """Yield a line for each array that a dry run would write."""
    for path, array in result.planned.items():
        named = zip(array.dimensions, array.shape, strict=False)
        sizes = ", ".join(f"{name} {size:,}" for name, size in named)
        line = f"  /{path} ({sizes}) {array.data_type}"
        if array.references or array.stored:
            chunks = " × ".join(map(str, array.chunks))
            line += f", chunks {chunks}, {count(array.references, 'reference')}"
        if array.stored:
            line += f", {array.bytes_stored:,} bytes to copy"
        if array.gaps:
            line += f", {count(array.gaps, 'gap')}"
        yield line
    for path, added in result.added.items():
        yield from (f"  /{path}: {note}" for note in added.notes)


def _cubes(groups: Mapping[str, Added]) -> Iterator[str]:
    """Yield a line for each cube that images were added to."""
    from virtual_tiff.publishing.commit import brief

    lines = []
    for path, added in groups.items():
        if added.images:
            lines += [f"/{path}: {note}" for note in added.notes]
            levels = f"{added.levels} levels, " if added.levels > 1 else ""
            lines.append(
                f"/{path}: {', '.join(added.variables)}, {levels}{count(added.steps, 'new step')}, "
                f"{brief(added.first)} to {brief(added.last)}"
            )
    yield from _some(lines, indent="  ")


def _some(lines: list[str], *, indent: str = "    ") -> Iterator[str]:
    yield from (f"{indent}{line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"{indent}and {len(lines) - _SHOWN:,} more"
