"""The commands `catalog list` and `catalog show`."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from virtual_tiff.cli._common import say
from virtual_tiff.cli._options import Json

if TYPE_CHECKING:
    from virtual_tiff.catalog.entries import Archive

catalog = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_WIDTH = 100
_OF_TILES = ("corner", "latitude", "longitude")
_Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of an archive, or a TOML file.", show_default=False),
]


@catalog.command("list")
def list_archives(as_json: Json = False) -> None:
    """List the known archives, and whether readers can read a published cube of them today."""
    from virtual_tiff.catalog.entries import archives

    known = archives()
    if as_json:
        entries = [entry.to_json() for entry in known.values()]
        say(json.dumps(entries, ensure_ascii=False, indent=2), lines=True)
        return
    width = max(map(len, known))
    for entry in known.values():
        say(f"{entry.name:<{width}}  {entry.title}; readers: {entry.readers}")


@catalog.command("show")
def show_archive(name: _Name, as_json: Json = False) -> None:
    """Show what is known of an archive, and the commands for it. A `?` could not be confirmed."""
    from virtual_tiff.catalog.entries import PREFIX, archive

    entry = archive(name)
    if as_json:
        say(json.dumps(entry.to_json(), ensure_ascii=False, indent=2), lines=True)
        return
    for line in _lines(entry):
        say(line)
    say("")
    for line in commands(entry, name.removeprefix(PREFIX)):
        say(line)


def _lines(entry: Archive) -> Iterator[str]:
    yield f"{entry.name}: {entry.title}"
    for key, value in entry.to_json().items():
        if key in ("name", "title", "traps") or (key in _OF_TILES and entry.kind != "tiles"):
            continue
        if isinstance(value, dict):
            text = ", ".join(f"{name} {pattern}" for name, pattern in value.items())
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        yield from _wrapped(f"  {key}: ", text)
    for trap in entry.traps:
        yield from _wrapped("  trap: ", trap)


def _wrapped(label: str, text: str) -> Sequence[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=label, subsequent_indent="    ", break_long_words=False
    )


def commands(entry: Archive, name: str) -> Iterator[str]:
    """Yield the commands that make a cube, or a tree, of an archive that is named so."""
    from virtual_tiff.catalog.entries import PREFIX

    search = "" if entry.kind == "listing" else " --bbox WEST SOUTH EAST NORTH"
    search += " --datetime START/END" if entry.kind == "api" else ""
    anonymous = " --anonymous" if "anonymous" in entry.credentials else ""
    source = shlex.quote(PREFIX + name)
    yield f"virtual-tiff scan {source}{search}{anonymous} -o {entry.name}.parquet"
    command = "publish" if entry.layout == "tree" else "stack"
    options = [f"virtual-tiff {command} {entry.name}.parquet --to REPOSITORY{anonymous}"]
    options += ["--stitch"] if entry.layout == "stitch" else []
    options += [f"--grid {entry.grid}"] if entry.grid and entry.layout == "stitch" else []
    options += [f"--along {name}" for name in entry.along if entry.along != ["datetime"]]
    options += [f"--variable {entry.variable}"] if entry.variable else []
    options += [f"--group '{entry.group}'"] if entry.group else []
    yield " ".join(options)
