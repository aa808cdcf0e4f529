"""What several commands need."""

from __future__ import annotations

import os
from typing import cast

import typer

from virtual_tiff.choices import SidecarKind, values_of


def ifd_path(text: str | None) -> int | tuple[int, ...] | None:
    """Read the argument of `--ifd`.

    Raises
    ------
    typer.BadParameter
        It is neither a number such as `0` nor a path such as `0.1`.
    """
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
    """Read the argument of `--sidecars`: `all`, or some kinds with commas between.

    Raises
    ------
    typer.BadParameter
        There is no such kind.
    """
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
    """Keep Icechunk's log of warnings off the terminal, unless a log was requested."""
    if "ICECHUNK_LOG" not in os.environ:
        import icechunk

        icechunk.set_logs_filter("error")


def count(number: int, what: str) -> str:
    """Say how many of something there are."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
