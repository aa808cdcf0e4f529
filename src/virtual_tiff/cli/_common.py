"""What several commands need."""

from __future__ import annotations

import os
import re
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


def in_options(remedy: str) -> str:
    """Say a remedy that names arguments of Python in the options of the command line."""
    for argument, option in _OPTIONS.items():
        remedy = remedy.replace(argument, option)
    remedy = re.sub(rf'\b({_ARGUMENTS})="(\w+)"', lambda m: f"{_option(m[1])} {m[2]}", remedy)
    remedy = re.sub(rf"\b({_ARGUMENTS})(=True)?\b", lambda m: _option(m[1]), remedy)
    return re.sub(r"(--[a-z-]+) \(\1\)", r"\1", remedy)


def _option(argument: str) -> str:
    return f"--{argument.replace('_', '-')}"


#: Arguments of Python whose options have other names.
_OPTIONS = {'on_failed="skip"': "--skip-failed"}
#: Arguments that have options of the same name, and that are no words of a sentence.
_ARGUMENTS = "|".join(
    (
        *("datetime_column", "datetime_pattern", "datetime_tag", "url_column"),
        *("variable_pattern", "split_bands", "on_duplicate", "on_present", "out_of_order"),
        *("ifd_layout", "band_axis", "on_unsupported", "into_existing"),
    )
)


def quieten_icechunk() -> None:
    """Keep Icechunk's log of warnings off the terminal, unless somebody asked for a log."""
    if "ICECHUNK_LOG" not in os.environ:
        import icechunk

        icechunk.set_logs_filter("error")


def count(number: int, what: str) -> str:
    """Say how many of something there are."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
