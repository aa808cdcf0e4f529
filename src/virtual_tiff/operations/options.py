"""The options of `publish` and `append`, written down once for type checkers (PEP 692)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Literal, TypedDict

from virtual_tiff.choices import OnFailed
from virtual_tiff.cubes.stack import CubeOptions
from virtual_tiff.operations.files import Names
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.publishing.target import Progress

type Layout = Literal["tree", "stack"]


class CommitOptions(TypedDict, total=False):
    """Where to and how, whatever is published."""

    group: str
    message: str | None
    branch: str
    anonymous: bool
    registry: Any | None
    on_failed: OnFailed


class TreeOptions(CommitOptions, total=False):
    """Of `publish` with `layout="tree"`."""

    parser: VirtualTIFF | None
    names: Names | None
    into_existing: bool
    concurrency: int
    progress: Progress | None
    url_column: str
    assets: Sequence[str] | None


class CubeArguments(CommitOptions, total=False):
    """Of `append`, and of `publish` with `layout="stack"`; those after `executor` are `scan`'s."""

    options: CubeOptions | None
    executor: Executor | None
    parser: VirtualTIFF | None
    url_column: str
    datetime_column: str | None
    datetime_pattern: str | None
    datetime_tag: bool
    assets: Sequence[str] | None
    concurrency: int
    checkpoint: str | os.PathLike[str] | None
    progress: Callable[[int, int, int], None] | None


class StackOptions(CubeArguments, total=False):
    """Of `publish` with `layout="stack"`."""

    into_existing: bool
