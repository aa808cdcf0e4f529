"""Entries of the catalogue: TOML files of this package, or of the caller.

A value that could not be confirmed is `?`, and stays so.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.json_type import JSON
from virtual_tiff.storage.settings import CATALOG

#: How a source names an entry.
PREFIX = "catalog:"

type Kind = Literal["api", "listing", "tiles"]
type Layout = Literal["stack", "stitch", "tree"]
type Corner = Literal["north-west", "south-west"]
#: Keys with a fixed set of values.
_CHOICES = {
    "kind": get_args(Kind.__value__),
    "layout": get_args(Layout.__value__),
    "corner": get_args(Corner.__value__),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive of TIFFs.

    Parameters
    ----------
    name, title
        Key of the entry, and what the archive is.
    kind
        `api`: Items of a STAC API. `listing`: prefixes, or tables with addresses. `tiles`: a URL
        template with one file for each tile of a grid of degrees.
    endpoint, collections
        Root of the STAC API, and ids of its collections.
    sources
        Prefixes or tables of a `listing`; relative paths begin at the folder of the TOML file.
    template
        URL with `{latitude}` and `{longitude}` for `tiles`.
    tile_size, corner, latitude, longitude
        Degrees of a tile, its corner in the name (`north-west` or `south-west`), and format of
        both, with `{degrees}` and `{hemisphere}`.
    assets, optional_assets
        Keys or patterns of assets of an Item that are read by default, and of those that only some
        Items have.
    datetime_column
        Property with the time, where `datetime` is null.
    columns
        Names of further columns, and regular expressions that find their values in addresses.
    rewrite
        A regular expression for addresses of assets, and its replacement.
    layout, grid, group, along, variable
        How images become cubes; see `virtual_tiff.stack`. A `tree` has a group for each file.
    values
        Data types, nodata values, scales, and who tells them: the TIFF, STAC, or a rule.
    encoding
        Tiling and compression of the files.
    licence, credentials
        Terms, with the credit; and what reading needs.
    readers
        `yes` if readers can read a published cube today, else why not.
    traps
        What went wrong for others.
    """

    name: str
    title: str
    kind: Kind
    layout: Layout
    licence: str
    credentials: str
    readers: str
    endpoint: str = ""
    collections: Sequence[str] = ()
    sources: Sequence[str] = ()
    template: str = ""
    tile_size: int = 0
    corner: Corner = "north-west"
    latitude: str = "{degrees}{hemisphere}"
    longitude: str = "{degrees}{hemisphere}"
    assets: Sequence[str] = ()
    optional_assets: Sequence[str] = ()
    datetime_column: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    rewrite: Sequence[str] = ()
    grid: str = ""
    group: str = ""
    along: Sequence[str] = ()
    variable: str = ""
    values: str = "?"
    encoding: str = "?"
    traps: Sequence[str] = ()

    def to_json(self) -> dict[str, JSON]:
        """Return the facts that the entry has."""
        return {name: value for name, value in asdict(self).items() if value}


def archives() -> dict[str, Archive]:
    """Return all entries by name: those of this package, and of `VIRTUAL_TIFF_CATALOG`."""
    found = dict(_own())
    if place := os.environ.get(CATALOG):
        path = Path(place)
        try:
            files_there = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        except OSError as error:
            raise InvalidOptionError(f"{CATALOG} is {place!r}: {error.strerror}.") from error
        if not files_there:
            raise InvalidOptionError(f"{CATALOG} is {place!r}, a folder without TOML files.")
        try:
            found |= {(one := _load(file)).name: one for file in files_there}
        except InvalidOptionError as error:
            raise InvalidOptionError(f"{CATALOG} is {place!r}: {error.message}") from error
    return found


def _load(path: Path) -> Archive:
    try:
        entry = _read(path.read_text("utf-8"), path)
        # As in other lists of files, relative paths begin at the folder of the list.
        sources = tuple(s if "://" in s else os.path.join(path.parent, s) for s in entry.sources)
        return replace(entry, sources=sources)
    except OSError as error:
        raise InvalidOptionError(f"{path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidOptionError(f"{path} is not text in UTF-8.") from error


@cache
def _own() -> dict[str, Archive]:
    folder = files("virtual_tiff.catalog") / "archives"
    entries = (
        _read(file.read_text("utf-8"), Path(file.name))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".toml")
    )
    return {entry.name: entry for entry in entries}


def archive(name: str) -> Archive:
    """Return an entry by name, or the one in a TOML file.

    Raises
    ------
    InvalidOptionError
        There is no such entry; or the file has an unknown or a wrong key.
    """
    name = name.removeprefix(PREFIX)
    if name.endswith(".toml"):
        return _load(Path(name))
    known = archives()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        meant = f"; did you mean {near[0]!r}?" if near else "."
        raise InvalidOptionError(
            f"the catalogue has no archive {name!r}{meant}",
            remedy=f"It has {', '.join(known)}.",
        )
    return known[name]


def _read(text: str, path: Path) -> Archive:
    """Make an entry of a TOML document, whose file name is the default of its name."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidOptionError(f"{path} is not TOML: {error}.") from error
    document.setdefault("name", path.stem)
    known = {one.name: one for one in fields(Archive)}
    for key, value in document.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise InvalidOptionError(f"{path} has the unknown key {key!r}{meant}")
        _check(path, key, value, known[key].default_factory, known[key].default)
    required = {n for n, o in known.items() if o.default is o.default_factory is MISSING}
    if missing := required - document.keys():
        raise InvalidOptionError(f"{path} lacks the key {min(missing)!r}.")
    _check_kind(path, document)
    return Archive(**document)


def _check(path: Path, key: str, value: Any, factory: Any, default: Any) -> None:
    expected: Any = dict if factory is dict else list if default == () else str
    if key == "tile_size":
        expected = int
    if not isinstance(value, expected):
        raise InvalidOptionError(f"{path}: {key} must be a {expected.__name__}.")
    parts = value.values() if expected is dict else value if expected is list else ()
    if not all(isinstance(part, str) for part in parts):
        raise InvalidOptionError(f"{path}: {key} must have texts alone.")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise InvalidOptionError(
            f"{path}: {key} is {value!r}, not one of {', '.join(_CHOICES[key])}."
        )
    if key == "rewrite" and len(value) not in (0, 2):
        raise InvalidOptionError(f"{path}: rewrite must be a pattern and its replacement.")
    patterns = value.values() if key == "columns" else value[:1] if key == "rewrite" else ()
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise InvalidOptionError(f"{path}: {pattern!r} is no pattern: {error}.") from error
    if key == "rewrite" and value:
        try:
            re.compile(value[0] + "|").sub(value[1], "")
        except (re.error, IndexError) as error:
            raise InvalidOptionError(f"{path}: {value[1]!r} is no replacement: {error}.") from error


def _check_kind(path: Path, document: Mapping[str, Any]) -> None:
    needed = {
        "api": ("endpoint", "collections"),
        "listing": ("sources",),
        "tiles": ("template", "tile_size"),
    }
    for key in needed[document["kind"]]:
        if not document.get(key):
            raise InvalidOptionError(f"{path} lacks {key!r}, which the kind needs.")
    if document["kind"] != "tiles":
        return
    if not 0 < document["tile_size"] <= 90:
        raise InvalidOptionError(f"{path}: tile_size must be 1 to 90 degrees.")
    forms: list[tuple[str, dict[str, object]]] = [
        ("latitude", {"degrees": 10, "hemisphere": "N"}),
        ("longitude", {"degrees": 10, "hemisphere": "E"}),
        ("template", {"latitude": "10N", "longitude": "10E"}),
    ]
    for key, values in forms:
        try:
            # The defaults are right.
            str(document.get(key, "")).format(**values)
        except (ValueError, LookupError, AttributeError) as error:
            names = " and ".join(f"{{{name}}}" for name in values)
            raise InvalidOptionError(f"{path}: {key} may have {names} alone.") from error
