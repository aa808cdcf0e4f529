"""Write the generated parts of the documentation.

`docs/reference/cli.md` comes from the signatures of the commands, `docs/reference/refused.md` from
files that are parsed for it, the folders in `ARCHITECTURE.md` from the import contract and their
docstrings. With `--check` nothing is written, and the exit status is 1 if a page is out of date.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"
REFERENCE = ROOT / "docs" / "reference"


def commands() -> str:
    """Every command with its arguments and options, from the signature of its function."""
    from virtual_tiff.cli import app

    parts = []
    registered = [("", command) for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        registered += [(f"{group.name} ", one) for one in group.typer_instance.registered_commands]
    for above, command in registered:
        function = command.callback
        assert function is not None
        name = above + (command.name or function.__name__.replace("_", "-"))
        arguments, options = _parameters(function)
        usage = " ".join([name, *(place for place, _ in arguments), "[OPTIONS]"])
        parts += [f"## {name}", "", _prose(function.__doc__ or "")]
        parts += ["", f"```text\nvirtual-tiff {usage}\n```", ""]
        parts += [f"`{place.removesuffix('...')}`\n: {_tidy(text)}\n" for place, text in arguments]
        parts += ["| option | default | |", "|---|---|---|"]
        parts += [f"| {names} | {default} | {_tidy(text)} |" for names, default, text in options]
        if command.epilog:
            parts += ["", *_examples(command.epilog)]
        parts.append("")
    return "\n".join([*parts, *_variables()])


def _variables() -> Iterator[str]:
    """Every variable of the environment, with its default and meaning."""
    from virtual_tiff.storage.settings import MEANINGS

    yield "## Environment variables\n\n| variable | default | |\n|---|---|---|"
    for name, (default, meaning) in MEANINGS.items():
        yield f"| `{name}` | {default} | {meaning} |"


def _parameters(
    function: Callable[..., Any],
) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    hints = get_type_hints(function, include_extras=True)
    arguments, options = [], []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[name])
        text = info.help or ""
        if type(info).__name__ == "ArgumentInfo":
            several = "..." if get_origin(kind) is list else ""
            arguments.append((f"{info.metavar or name.upper()}{several}", text))
            continue
        # Inside of Annotated, what looks like the default is the first of the declarations.
        given = info.default if isinstance(info.default, str) else None
        declared = {d for d in (given, *(info.param_decls or ())) if d and d.startswith("-")}
        if not any(declaration.startswith("--") for declaration in declared):
            declared.add(f"--{name.replace('_', '-')}")
        names = ", ".join(f"`{d}`" for d in sorted(declared, key=len, reverse=True))
        if info.metavar:
            names += f" `{info.metavar}`"
        if get_origin(kind) is Literal and info.metavar is None:
            text += f" One of {', '.join(f'`{value}`' for value in get_args(kind))}."
        options.append((names, _default(parameter.default), text))
    return arguments, options


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    return "" if value in (None, False, "") else f"`{value}`"


def _prose(docstring: str) -> str:
    return inspect.cleandoc(docstring)


def _tidy(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _examples(epilog: str) -> Iterator[str]:
    """Commands of an epilog as code, the rest as prose."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(epilog)):
        text = " ".join(paragraph.split())
        if text.startswith("virtual-tiff "):
            yield f"```text\n{text}\n```"
        else:
            yield re.sub(r"\[/?bold\]", "**", text)
        yield ""


def refusals() -> str:
    """Every refused encoding, with the kind of the error that its file brings, and why."""
    from tests.helpers.read import MEMORY_URL, in_memory
    from tests.helpers.refusals import REFUSALS
    from virtual_tiff import VirtualTIFF
    from virtual_tiff.errors import UnsupportedTIFFError

    lines = ["| encoding | why | `kind` | with `copy` |", "|---|---|---|---|"]
    for refusal in REFUSALS:
        kinds = set()
        for make in refusal.makes:
            registry = in_memory(make())
            try:
                VirtualTIFF().plan(MEMORY_URL, registry)
            except UnsupportedTIFFError as error:
                kinds.add(error.kind)
            else:
                raise AssertionError(f"{refusal.what} is not refused any more")
            if refusal.has_pixels:
                VirtualTIFF(on_unsupported="copy").plan(MEMORY_URL, registry)
        (kind,) = kinds
        copied = "yes" if refusal.has_pixels else "if a decoder reads it"
        lines.append(f"| {refusal.what} | {refusal.why} | `{kind}` | {copied} |")
    return "\n".join(lines) + "\n"


def folders() -> str:
    """Every folder and module with the first paragraph of its docstring, layer by layer."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")
    rows = ["| | folder | |", "|---|---|---|"]
    for rank, layer in enumerate(layers, 1):
        rows += [f"| {rank} | `{name}` | {_summary(name)} |" for name in layer.split(" | ")]
    return "\n".join(rows) + "\n"


def _summary(name: str) -> str:
    package = ROOT / "src" / "virtual_tiff"
    module = package / f"{name}.py"
    path = module if module.is_file() else package / name / "__init__.py"
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return _tidy(docstring.partition("\n\n")[0])


def options() -> str:
    """The options of `publish`, `stack` and `append`, and which of them takes each."""
    from virtual_tiff.operations import options as module

    functions = {
        "publish": module.TreeOptions,
        "stack": module.StackOptions,
        "append": module.AppendOptions,
    }
    rows = ["| option | type | of | |", "|---|---|---|---|"]
    for name, (kind, meaning) in module.MEANINGS.items():
        having = [f"`{f}`" for f, kinds in functions.items() if name in kinds.__optional_keys__]
        rows.append(f"| `{name}` | {kind} | {', '.join(having)} | {_tidy(meaning)} |")
    return "\n".join(rows) + "\n"


PAGES: dict[Path, Callable[[], str]] = {
    REFERENCE / "api.md": options,
    ROOT / "ARCHITECTURE.md": folders,
    REFERENCE / "cli.md": commands,
    REFERENCE / "refused.md": refusals,
}


def written(page: Path, make: Callable[[], str]) -> str:
    """Text of a page with its generated part as it should be."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{make().rstrip()}\n\n{END}{after}"


def main() -> int:
    check = "--check" in sys.argv[1:]
    # The files that are made here have no georeferencing on purpose.
    warnings.filterwarnings("ignore", message="Dataset has no geotransform")
    stale = []
    for page, make in PAGES.items():
        text = written(page, make)
        if text != page.read_text(encoding="utf-8"):
            stale.append(page.relative_to(ROOT))
            if not check:
                page.write_text(text, encoding="utf-8")
    if stale:
        print("out of date:" if check else "wrote:", *stale)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
