"""Remedies name what their reader can type: arguments in Python, options on the command line."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import typer

import virtual_tiff
from virtual_tiff import CubeOptions, VirtualTIFF, append, cli, publish, scan, verify
from virtual_tiff.cli._remedies import (
    COMMANDS,
    PYTHON_ONLY,
    SPELLINGS,
    in_options,
    options_of,
    remedy_in_options,
)
from virtual_tiff.errors import InvalidOptionError, SourcesError
from virtual_tiff.operations import options as operation_options

PACKAGE = Path(virtual_tiff.__file__).parent

#: Arguments that are words of sentences too. Where an argument is meant, `name=` is written.
WORDS = {
    *("along", "assets", "bands", "branch", "checkpoint", "chunks", "coordinates", "executor"),
    *("datetime", "listing"),
    *(
        "group",
        "ifd",
        "layout",
        "location",
        "message",
        "name",
        "names",
        "options",
        "overviews",
        "parser",
    ),
    *("bounds", "columns", "grid", "listing", "masks", "pages", "stitch"),
    *("progress", "sample", "sidecars", "sources", "url", "variable"),
}


# --- all remedies of the package -------------------------------------------------------------


class _Remedies:
    """What stands for remedies in one module: `remedy=`, `.remedy =`, and constants they name."""

    def __init__(self, code: str) -> None:
        self.tree = ast.parse(code)
        self.values: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    self.values.setdefault(ast.unparse(target), []).append(node.value)

    def texts(self) -> Iterator[str]:
        """Literals, with `0` for what is filled in."""
        for expression in self._expressions():
            yield from self._literals(expression, frozenset())

    def _expressions(self) -> Iterator[ast.expr]:
        takers = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [argument.arg for argument in node.args.args]
                if "remedy" in names:
                    takers[node.name] = names.index("remedy")
        for node in ast.walk(self.tree):
            if isinstance(node, ast.keyword) and node.arg == "remedy":
                yield node.value
            elif isinstance(node, ast.Call):
                place = takers.get(ast.unparse(node.func), len(node.args))
                yield from node.args[place : place + 1]
        for target, values in self.values.items():
            if target.endswith(".remedy"):
                yield from values

    def _literals(self, node: ast.AST, seen: frozenset[str]) -> Iterator[str]:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values
            )
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    yield from self._literals(part.value, seen)
        elif isinstance(node, ast.Name) and node.id not in seen:
            for value in self.values.get(node.id, ()):
                yield from self._literals(value, seen | {node.id})
        else:
            for child in self._values_of(node):
                yield from self._literals(child, seen)

    @staticmethod
    def _values_of(node: ast.AST) -> Iterable[ast.AST]:
        """Return what an expression consists of, but for the keys of dictionaries."""
        match node:
            case ast.Dict():
                return node.values
            case ast.Call(func=ast.Attribute(attr="fromkeys" | "get") as method):
                return [method.value, *node.args[1:]]
        return ast.iter_child_nodes(node)


def _all_remedies() -> dict[str, list[str]]:
    return {
        str(path.relative_to(PACKAGE)): list(_Remedies(path.read_text(encoding="utf-8")).texts())
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent.name != "cli"
    }


REMEDIES = _all_remedies()


def _arguments() -> set[str]:
    """Names of all arguments of the public functions."""
    functions = (VirtualTIFF, CubeOptions, publish, append, scan, verify)
    names = {name for function in functions for name in inspect.signature(function).parameters}
    for each in vars(operation_options).values():
        names |= getattr(each, "__optional_keys__", frozenset())
    return names


ARGUMENTS = _arguments()


def untranslated(remedy: str) -> set[str]:
    """What no command knows an option for, and no list declares to be for Python alone."""
    known = PYTHON_ONLY.union(*map(options_of, COMMANDS)) | {"virtual_tiff"}
    odd = set(re.findall(r"virtual_tiff\.(\w+)", remedy)) - COMMANDS.keys()
    for python in SPELLINGS:
        remedy = remedy.replace(python, "")
    odd |= set(re.findall(r"(?<!\w)--[a-z][a-z-]*", remedy))
    for name, is_argument in re.findall(r"(?<![\w/?&.<@-])([a-z]\w*)(=?)", remedy):
        if is_argument or re.fullmatch("[a-z]+(_[a-z]+)+", name):
            odd |= {name} - known
        else:
            odd |= {name} & (ARGUMENTS - WORDS)
    return odd


def test_remedies_are_found() -> None:
    texts = [text for texts in REMEDIES.values() for text in texts]
    assert len(texts) > 90
    for remedy in (
        'Pass on_unsupported="copy" to store the image itself.',  # error.remedy = …
        "Warp it to square pixels.",  # an argument of a function
        "Leave overviews out.",  # by way of a variable
        'The layout "flat" uses the directories.',  # a constant
    ):
        assert remedy in texts


@pytest.mark.parametrize("module", [module for module, texts in REMEDIES.items() if texts])
def test_every_argument_in_a_remedy_has_its_option(module: str) -> None:
    assert {text: odd for text in REMEDIES[module] if (odd := untranslated(text))} == {}


@pytest.mark.parametrize(
    "remedy",
    [
        'Pass on_conflict="skip".',
        "Name it with tile_column.",
        "Pass maximum=3.",
        "Take another concurrency.",
        "Add to it with --into-existing (into_existing=True).",
        "See virtual_tiff.explain.",
    ],
)
def test_what_is_not_translated_is_found(remedy: str) -> None:
    assert untranslated(remedy)


def test_the_tables_say_nothing_else() -> None:
    """Every spelling stands in a remedy, and every option of one is there."""
    texts = " ".join(text for texts in REMEDIES.values() for text in texts)
    options = {option for command in COMMANDS for option in options_of(command).values()}
    for python, spelled in SPELLINGS.items():
        assert python in texts
        assert set(re.findall(r"--[a-z-]+", spelled)) <= options
    assert not PYTHON_ONLY & {name for command in COMMANDS for name in options_of(command)}


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_those_of_the_command(command: str) -> None:
    click = typer.main.get_command(cli.app).commands[command]  # type: ignore[attr-defined]
    there = {option for parameter in click.params for option in parameter.opts}
    named = options_of(command).values()
    assert set(named) == {o for o in there if o.startswith("--")} - {"--help"}


# --- what is said ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "remedy", "said"),
    [
        (
            "stack",
            'Scan again, or pass on_failed="skip" to leave them out.',
            "Scan again, or pass --skip-failed to leave them out.",
        ),
        ("append", 'Pass on_present="skip".', "Pass --on-present skip."),
        (
            "scan",
            "Try datetime_column or datetime_tag.",
            "Try --datetime-column or --datetime-tag.",
        ),
        ("publish", "Pass into_existing=True to add.", "Pass --into-existing to add."),
        ("publish", "Choose one: ifd=0, ifd=(0, 1), …", "Choose one: --ifd 0, --ifd 0.1, …"),
        (
            "publish",
            "The 3 before it: pass ifd=0 to ifd=2.",
            "The 3 before it: pass --ifd 0 to --ifd 2.",
        ),
        (
            "publish",
            'Pass sidecars=("aux.xml", "world"), or another layout.',
            "Pass --sidecars aux.xml,world, or another layout.",
        ),
        ("info", "Warp it, or pass sidecars=True.", "Warp it, or pass --sidecars all."),
        ("publish", "Open another with ifd=….", "Open another with --ifd …."),
        ("publish", "Pass a larger copy_limit.", "Pass a larger --copy-limit."),
        ("scan", "Publish with virtual_tiff.publish.", "Publish with virtual-tiff publish."),
        ("scan", "Remove the folder to start again.", "Pass --restart to start again."),
        # What the command has no option for is not said.
        ("stack", "Put it below (group=…). Or name it (names=…).", "Put it below (--group …)."),
        ("info", 'Pass on_unsupported="copy" to store the image itself.', None),
        ("log", "Use s3. For others, pass registry=ObjectStoreRegistry({'a': b}).", "Use s3."),
        # Nothing is an argument in an address, or in a name.
        (
            "publish",
            "Name one: s3://b/group=3/x_ifd_layout",
            "Name one: s3://b/group=3/x_ifd_layout",
        ),
        ("publish", "Name at least one TIFF.", "Name at least one TIFF."),
    ],
)
def test_remedies_of_a_command(command: str, remedy: str, said: str | None) -> None:
    assert remedy_in_options(remedy, command) == said


def test_all_remedies_can_be_said_by_some_command() -> None:
    """But for those of Python alone, no argument is left in what is printed."""
    arguments = {name for command in COMMANDS for name in options_of(command) if "_" in name}
    for text in (text for texts in REMEDIES.values() for text in texts):
        for command in COMMANDS:
            said = remedy_in_options(text, command) or ""
            assert not arguments & set(re.findall(r"\w+", said)), (command, text)


def test_errors_that_quote_others(capsys: pytest.CaptureFixture[str]) -> None:
    errors = [
        InvalidOptionError("no.", remedy='Pass ifd=1. Or pass names=("a",).', url=f"s3://b/{i}")
        for i in range(2)
    ]
    several = SourcesError.of(errors, 2)
    cli._speak_of_options(several, "publish")
    assert "Pass --ifd 1." in several.message
    assert "names" not in several.message


def test_text_with_a_remedy_in_it() -> None:
    said = in_options('No codec decodes it. Pass on_unsupported="copy".', "scan")
    assert said == "No codec decodes it. Pass --on-unsupported copy."
