"""Environments that hold what `pip install NAME...` would bring, and nothing else.

A folder of links to the installed files of some distributions and of all they require, for a
Python that is started without site-packages: what is not linked cannot be imported there, this
package first of all, and entry points of other distributions are not seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def bare_environment(folder: Path, names: Iterable[str]) -> Path:
    """Link distributions and what they require into a new folder, and return it."""
    folder.mkdir(parents=True)
    for found in _closure(names):
        for entry in _top_level(found):
            link = folder / entry
            if not link.exists():
                link.symlink_to(str(found.locate_file(entry)))
    return folder


def python(environment: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment variables of an interpreter that sees only this folder."""
    # -S: no site-packages; -s: none of the user's; -P: no modules from beside the script.
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    variables["PYTHONPATH"] = str(environment)
    # Panics are outcomes here; their backtraces are long.
    variables["RUST_BACKTRACE"] = "0"
    return [sys.executable, "-S", "-s", "-P"], variables


def _closure(names: Iterable[str]) -> list[Distribution]:
    waiting, found = [canonicalize_name(name) for name in names], dict[str, Distribution]()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return list(found.values())


def _top_level(found: Distribution) -> set[str]:
    """Names that a distribution has in site-packages."""
    if found.files is None:
        raise RuntimeError(f"{found.name} does not say which files it has")
    first = {file.parts[0] for file in found.files}
    # Scripts lie outside of site-packages.
    return {name for name in first if name not in {"..", "__pycache__"}}
