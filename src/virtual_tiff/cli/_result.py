"""What `publish`, `stack` and `append` print of their result."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from virtual_tiff.cli._common import count
from virtual_tiff.cli._remedies import in_options

#: Files, and groups, that are named where there are many.
_SHOWN = 10


class Added(Protocol):
    """What was added to one group: that of a file, or of a cube."""

    @property
    def images(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def first(self) -> str: ...
    @property
    def last(self) -> str: ...
    @property
    def variables(self) -> tuple[str, ...]: ...
    @property
    def skipped(self) -> int: ...
    @property
    def levels(self) -> int: ...


class Result(Protocol):
    """A `PublishResult`."""

    @property
    def snapshot_id(self) -> str | None: ...
    @property
    def branch(self) -> str: ...
    @property
    def added(self) -> Mapping[str, Added]: ...
    @property
    def failed(self) -> Mapping[str, str]: ...
    @property
    def unchecked(self) -> Collection[str]: ...
    @property
    def containers(self) -> Collection[str]: ...
    @property
    def copied(self) -> Mapping[str, Collection[str]]: ...
    @property
    def groups(self) -> Mapping[str, str]: ...
    @property
    def trees(self) -> Collection[str]: ...
    @property
    def images(self) -> int: ...
    @property
    def arrays(self) -> int: ...
    @property
    def references(self) -> int: ...
    @property
    def stored(self) -> int: ...
    def as_json(self) -> dict[str, Any]: ...


def print_result(
    result: Result, to: str, *, command: str, as_json: bool, example: bool, anonymous: bool
) -> None:
    """Print what was committed.

    Parameters
    ----------
    result
        What `publish`, `stack` or `append` returned.
    to
        Where the repository is.
    command
        Name of the command, whose options remedies name.
    as_json
        Print JSON and nothing else.
    example
        Print the lines that open the first group, too.
    anonymous
        Whether readers need no credentials for the files.
    """
    if as_json:
        print(json.dumps(result.as_json(), ensure_ascii=False, indent=2))
        return
    for line in _lines(result, to, command):
        print(line)
    if example and result.snapshot_id is not None:
        from virtual_tiff.cli._output import print_reading_code

        path, added = next(iter(result.added.items()))
        print_reading_code(
            to,
            tuple(result.containers),
            branch=result.branch,
            group=path,
            tree=path in result.trees or added.levels > 1,
            anonymous=anonymous,
        )


def _lines(result: Result, to: str, command: str) -> Iterator[str]:
    if result.snapshot_id is None:
        yield f"{to}: nothing to add; all images are there"
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
    if result.failed:
        yield f"  {count(len(result.failed), 'file')} left out, which could not be read:"
        yield from _some([f"{u}: {in_options(why, command)}" for u, why in result.failed.items()])
    for url, reasons in result.copied.items():
        yield f"  copied, not referenced: {url}"
        yield from (f"    image {reason}" for reason in reasons)
    if result.unchecked:
        yield (
            f"  {count(len(result.unchecked), 'file')} without a time of change: readers will "
            "not notice changes"
        )


def _cubes(groups: Mapping[str, Added]) -> Iterator[str]:
    """Return a line for each of the cubes that something was added to."""
    lines = []
    for path, added in groups.items():
        if added.images:
            levels = f"{added.levels} levels, " if added.levels > 1 else ""
            lines.append(
                f"/{path}: {', '.join(added.variables)}, {levels}{count(added.steps, 'new step')}, "
                f"{_brief(added.first)} to {_brief(added.last)}"
            )
    yield from _some(lines, indent="  ")


def _some(lines: list[str], *, indent: str = "    ") -> Iterator[str]:
    yield from (f"{indent}{line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"{indent}and {len(lines) - _SHOWN:,} more"


def _brief(text: str) -> str:
    """Leave out of a time what is zero."""
    return text.removesuffix(".000000").removesuffix("T00:00:00")
