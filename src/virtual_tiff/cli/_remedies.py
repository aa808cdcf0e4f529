"""Translate remedies into options of the command line.

Errors name arguments of Python: `on_duplicate="first"`. The options of a command are known by the
parameters of its function, which have the names of the arguments; `SPELLINGS` has the others.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from typer.models import OptionInfo

#: Arguments that are not an option of the same name.
SPELLINGS = {
    'on_failed="skip"': "--skip-failed",
    'on_mismatch="skip"': "--skip-mismatched",
    "parser=VirtualTIFF()": "--ifd all",
    "sidecars=True": "--sidecars all",
    "skip_signature=True": "--anonymous",
    "Remove the folder": "Pass --restart",
}
#: Arguments, also of xarray, that exist only in Python: sentences with them are omitted.
PYTHON_ONLY = frozenset(
    {"band", "bands", "coords", "names", "parser", "prefetch", "registry"}
    | {"spatial_ref", "to_kerchunk", "zarr_format"}
)

#: The functions of the commands by name; `virtual_tiff.cli` fills it.
COMMANDS: dict[str, Callable[..., None]] = {}

# A name and its value, or a name that no sentence has for a word; not within an address.
_ARGUMENT = re.compile(
    r"""(?<![\w/?&.'-])
    (?: (?P<name>[a-z][a-z_]*)=(?P<value>"[^"]*"|\([^()]*\)|[\w…]+(?:\([^()]*\))?)?
      | (?P<bare>[a-z]+_[a-z_]+)(?![\w/=]|\.\w) )""",
    re.VERBOSE,
)
_FUNCTION = re.compile(r"\bvirtual_tiff\.(\w+)")
_SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")


@cache
def options_of(command: str) -> dict[str, str]:
    """Return the option of each parameter of a command."""
    options = {}
    for name, hint in get_type_hints(COMMANDS[command], include_extras=True).items():
        for info in get_args(hint):
            if isinstance(info, OptionInfo):
                options[name] = _declared(info) or f"--{name.replace('_', '-')}"
    return options


@cache
def _repeated(command: str) -> frozenset[str]:
    """Return the parameters of a command whose option may be repeated."""
    hints = get_type_hints(COMMANDS[command])
    kinds = {name: (hint, *get_args(hint)) for name, hint in hints.items()}
    return frozenset(n for n, each in kinds.items() if any(get_origin(k) is list for k in each))


def _declared(info: OptionInfo) -> str | None:
    # Within Annotated, the first declaration looks like the default.
    declared = (info.default, *(info.param_decls or ()))
    return next((d for d in declared if isinstance(d, str) and d.startswith("--")), None)


def in_options(text: str, command: str) -> str:
    """Replace arguments of Python by the options of a command in a text."""
    return _translated(text, command)[0]


def remedy_in_options(remedy: str, command: str) -> str | None:
    """Return a remedy for users of a command.

    Sentences about arguments without an option are omitted; `None` if none remains.
    """
    sentences = (_translated(sentence, command) for sentence in _SENTENCE.split(remedy))
    return " ".join(text for text, is_whole in sentences if is_whole) or None


def _translated(text: str, command: str) -> tuple[str, bool]:
    """Translate arguments, and return whether all could be translated."""
    options = options_of(command)
    foreign = PYTHON_ONLY.union(*map(options_of, COMMANDS)) - options.keys()
    left = []

    def spelled(match: re.Match[str]) -> str:
        name = match["name"] or match["bare"]
        if name in options and (value := _value(match["value"])) is not None:
            values = value.split(",") if name in _repeated(command) else [value]
            return " ".join(f"{options[name]} {each}".rstrip() for each in values)
        if name in options or name in foreign:
            left.append(name)
        return match[0]

    def run(match: re.Match[str]) -> str:
        if match[1] in COMMANDS:
            return f"virtual-tiff {match[1]}"
        left.append(match[0])
        return match[0]

    for python, words in SPELLINGS.items():
        if words[words.index("--") :].split()[0] in options.values():
            text = text.replace(python, words)
    text = _ARGUMENT.sub(spelled, _FUNCTION.sub(run, text))
    return text, not left


def _value(literal: str | None) -> str | None:
    """Return a value as typed after its option; `None` if that is not possible."""
    if literal is None:
        return ""
    try:
        value: Any = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return literal
    if value is True:
        return ""
    if value is None or value is False:
        return None
    if isinstance(value, tuple):
        # Paths of directories are numbers, lists of names are not.
        return ("." if isinstance(value[0], int) else ",").join(map(str, value))
    return str(value)
