"""All that keeps images out of one cube, in one error: grids, encodings, meanings, duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from virtual_tiff.cubes.agreement import (
    ENCODING,
    GRID,
    REMEDIES,
    canonical_codes,
    codes_of,
    short,
)
from virtual_tiff.cubes.plan import Rows
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError, VirtualTIFFError
from virtual_tiff.planning.agreement import Document, disagreements

#: Kinds of images that an error describes.
_NAMED = 12
_LEAVE_OUT = 'Pass on_mismatch="skip" to leave the others out.'
_APART = "with another column in along, with variable_pattern, or with a column for variable=…"
_DUPLICATES = (
    'Pass on_duplicate="first" (or last, or newest) to take one of each, or separate them '
    f"{_APART}, what tells them apart."
)


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """Images that are alike, and their values of what kinds differ in."""

    rows: Rows
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """One thing that keeps images apart.

    Parameters
    ----------
    message
        All kinds of images, with counts and an example of each.
    remedies
        What can be done about it.
    odd
        Rows of the images that are not of the most frequent kind.
    """

    message: str
    remedies: tuple[str, ...]
    odd: Rows
    is_duplicate: bool = False


def survey(
    table: pa.Table,
    labels: Sequence[str],
    of_label: Rows,
    *,
    stitched: bool = False,
    keys: Rows | None = None,
    what: str = "",
) -> list[Problem]:
    """Find all that keeps images out of one cube.

    Parameters
    ----------
    table
        Rows of an inventory.
    labels, of_label
        Names of variables, and which of them each row belongs to.
    stitched
        Whether images may have other places and sizes.
    keys
        A number for the position of each row; rows of one variable with one number are
        duplicates. `None` if duplicates are no problem.
    what
        Names of the axes.
    """
    found: list[Problem] = []
    if not stitched:
        found += _of_kinds(table, np.arange(len(table)), _by_columns(table, GRID), "grids", "")
    columns = ["bands" if stitched and name == "shape" else name for name in ENCODING]
    for code, label in enumerate(labels):
        rows = np.flatnonzero(of_label == code)
        part = table.take(pa.array(rows))
        where = f" in variable {label!r}" if len(labels) > 1 else ""
        found += _of_kinds(part, rows, _by_columns(part, columns), "encodings", where)
        found += _of_kinds(part, rows, _by_meaning(part), "meanings of the values", where)
    if keys is not None:
        found += _duplicates(table, of_label, keys, what)
    return found


def error_of(table: pa.Table, problems: Sequence[Problem]) -> VirtualTIFFError:
    """Make one error of problems; of kind `duplicate` if images are alike but for their places."""
    only_duplicates = all(problem.is_duplicate for problem in problems)
    row = int(problems[0].odd[0])
    remedies = dict.fromkeys(remedy for problem in problems for remedy in problem.remedies)
    ifd = table["ifd"][row].as_py()
    make = InvalidOptionError if only_duplicates else MismatchError
    return make(
        " Also: ".join(problem.message for problem in problems),
        kind=ErrorKind.DUPLICATE if only_duplicates else None,
        url=table["url"][row].as_py(),
        ifd=None if ifd is None else tuple(int(part) for part in ifd.split(".")),
        remedy=" ".join(remedies),
    )


def _by_columns(table: pa.Table, columns: Sequence[str]) -> list[Kind]:
    """Group images by the values of columns, the most frequent kind first."""
    codes = {name: canonical_codes(table, name) for name in columns}
    differing = [name for name in columns if np.unique(codes[name]).size > 1]
    if not differing:
        return []
    together = np.stack([codes[name] for name in differing], axis=1)
    return [
        Kind(rows, {name: table[name][int(rows[0])].as_py() for name in differing})
        for rows in _groups(together)
    ]


def _groups(codes: Rows) -> list[Rows]:
    """Return the rows that are equal in all columns, the largest group first."""
    _, inverse, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.cumsum(counts)[:-1])
    return sorted(groups, key=lambda rows: (-rows.size, rows[0]))


def _by_meaning(table: pa.Table) -> list[Kind]:
    """Group images by the attributes that give values their meaning."""
    codes = codes_of(table["attributes"])
    groups = _groups(codes[:, None])
    documents: list[Document] = [
        json.loads(table["attributes"][int(rows[0])].as_py()) for rows in groups
    ]
    different: dict[int, dict[str, object]] = {}
    expected: dict[str, object] = {}
    for found in disagreements(documents):
        different.setdefault(found.index, {})[found.key] = found.value
        expected.setdefault(found.key, found.expected)
    if not different:
        return []
    kinds: dict[str, tuple[list[Rows], dict[str, object]]] = {}
    for index, rows in enumerate(groups):
        values = {**expected, **different.get(index, {})}
        kinds.setdefault(repr(values), ([], values))[0].append(rows)
    made = [Kind(np.sort(np.concatenate(rows)), values) for rows, values in kinds.values()]
    return sorted(made, key=lambda kind: (-kind.rows.size, kind.rows[0]))


def _of_kinds(
    table: pa.Table, rows: Rows, kinds: Sequence[Kind], what: str, where: str
) -> Iterator[Problem]:
    """Describe kinds of images, of which there should be one; `rows` are of the whole table."""
    if len(kinds) < 2:
        return
    usual, *others = kinds
    odd = np.sort(np.concatenate([kind.rows for kind in others]))
    urls = table["url"]
    remedies = dict.fromkeys(
        REMEDIES.get(name, "Publish the others as a separate cube.") for name in usual.values
    )
    if len(kinds) == 2:
        values = "; ".join(
            f"{name} is {short(others[0].values[name])}, but {short(value)}"
            for name, value in usual.values.items()
        )
        others_ = f" So do {odd.size - 1} others." if odd.size > 1 else ""
        message = (
            f"{values} in {usual.rows.size} of {len(table)} images{where}, such as "
            f"{urls[int(usual.rows[0])].as_py()}.{others_}"
        )
    else:
        described = [
            f"{', '.join(f'{name} {short(value)}' for name, value in kind.values.items())}: "
            f"{kind.rows.size} images, such as {urls[int(kind.rows[0])].as_py()}"
            for kind in kinds
        ]
        more = f"; and {len(kinds) - _NAMED} more" if len(kinds) > _NAMED else ""
        message = f"{len(kinds)} {what}{where}: {'; '.join(described[:_NAMED])}{more}."
    if "transform" in usual.values and not {"crs", "grid_mapping"} & usual.values.keys():
        transforms = [kind.values["transform"] for kind in kinds]
        if len({(t[0], t[4]) for t in transforms if isinstance(t, list)}) == 1:
            remedies["Pass stitch=True if they are tiles of one grid."] = None
    yield Problem(message=message, remedies=(*remedies, _LEAVE_OUT), odd=rows[odd])


def _duplicates(table: pa.Table, of_label: Rows, keys: Rows, what: str) -> Iterator[Problem]:
    """Describe images of one variable at one position."""
    places = np.stack([of_label, keys], axis=1)
    _, first, inverse, counts = np.unique(
        places, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    inverse = inverse.reshape(-1)
    several = np.flatnonzero(counts > 1)
    if not several.size:
        return
    extra = np.ones(len(table), bool)
    extra[first] = False
    odd = np.flatnonzero(extra)
    urls, ifds = table["url"], table["ifd"]

    shown = []
    for place in several[:_NAMED].tolist():
        members = np.flatnonzero(inverse == place).tolist()
        files = [urls[row].as_py() for row in members]
        images = [
            url if files.count(url) == 1 else f"{url} (IFD {ifds[row].as_py()})"
            for url, row in zip(files, members, strict=True)
        ]
        more = f" and {len(members) - 3} more" if len(members) > 3 else ""
        shown.append(f"{', '.join(images[:3])}{more}")
    more = f"; and {several.size - _NAMED} more" if several.size > _NAMED else ""
    noun = "place has" if several.size == 1 else "places have"
    remedies = [_DUPLICATES]
    if "(IFD " in "".join(shown):
        remedies.append('Pass pages="axes" if directories of one file are pages of one image.')
    yield Problem(
        message=f"{several.size} {noun} several images with the same {what}: "
        f"{'; '.join(shown)}{more}.",
        remedies=tuple(remedies),
        odd=odd,
        is_duplicate=True,
    )
