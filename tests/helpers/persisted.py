"""Codecs that this package writes into metadata, as its source names them."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import virtual_tiff

_SOURCE = Path(virtual_tiff.__file__).parent
#: Codecs of the Zarr specification have other names.
_NAME = re.compile(r"(imagecodecs_|numcodecs\.)[a-z0-9]+")


@cache
def persisted_codecs() -> dict[str, set[str]]:
    """Fields of the configurations, by the names of the codecs."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in _SOURCE.rglob("*.py"):
        for statement in _statements(ast.parse(path.read_text(encoding="utf-8"))):
            names = set(_names(statement))
            for name in names:
                found[name] |= _fields_set_later(statement)
            for literal in _nodes(statement, ast.Dict):
                fields = dict(zip(map(_text, literal.keys), literal.values, strict=True))
                name = _text(fields.get("name"))
                if name in names and isinstance(written := fields.get("configuration"), ast.Dict):
                    found[name] |= {key for key in map(_text, written.keys) if key}
    return dict(found)


def _statements(module: ast.Module) -> Iterator[ast.stmt]:
    """Functions, methods, and what a module or a class assigns."""
    for statement in module.body:
        yield from statement.body if isinstance(statement, ast.ClassDef) else [statement]


def _nodes[Node: ast.AST](tree: ast.AST, kind: type[Node]) -> Iterator[Node]:
    return (node for node in ast.walk(tree) if isinstance(node, kind))


def _names(statement: ast.stmt) -> Iterator[str]:
    for node in _nodes(statement, ast.Constant):
        if isinstance(node.value, str) and _NAME.fullmatch(node.value):
            yield node.value


def _fields_set_later(statement: ast.stmt) -> set[str]:
    """Fields of `configuration["field"] = …`."""
    return {
        text
        for node in _nodes(statement, ast.Subscript)
        if isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "configuration"
        and (text := _text(node.slice))
    }


def _text(node: ast.expr | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""
