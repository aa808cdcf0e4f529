"""Functions that several commands share."""

from __future__ import annotations

import os
from typing import TextIO, cast

import typer

from virtual_tiff.choices import SidecarKind, values_of
from virtual_tiff.messages import printable

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def ifd_path(text: str | None) -> int | tuple[int, ...] | None:
    """Parse the argument of `--ifd`: a number such as `0`, or a path such as `0.1`."""
    if text is None:
        return None
    try:
        path = tuple(int(part) for part in text.split("."))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number such as 0 nor a path such as 0.1", param_hint="--ifd"
        ) from None
    return path if len(path) > 1 else path[0]


def sidecar_names(text: str | None) -> bool | tuple[SidecarKind, ...]:
    """Parse the argument of `--sidecars`: `all`, or kinds separated by commas."""
    if text is None or text == "all":
        return text is not None
    kinds = tuple(text.split(","))
    known = values_of(SidecarKind)
    if odd := [kind for kind in kinds if kind not in known]:
        raise typer.BadParameter(
            f"{odd[0]!r} is neither all nor one of {', '.join(known)}.", param_hint="--sidecars"
        )
    return cast("tuple[SidecarKind, ...]", kinds)


def quieten_icechunk() -> None:
    """Hide Icechunk's warnings, unless a log was requested."""
    if "ICECHUNK_LOG" not in os.environ:
        import icechunk

        icechunk.set_logs_filter("error")


def count(number: int, what: str) -> str:
    """Return a number with a noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size_text(size: int) -> str:
    """Return a number of bytes in a unit that is easy to read."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{size} bytes" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def say(text: str, *, lines: bool = False, file: TextIO | None = None) -> None:
    """Print text without control characters, which names, tags and servers can contain.

    With `lines`, it has several lines of its own, as JSON has.
    """
    print("\n".join(map(printable, text.split("\n"))) if lines else printable(text), file=file)
