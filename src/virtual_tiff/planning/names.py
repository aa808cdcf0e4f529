"""Names of groups, variables and dimensions: one check of all, before anything is written.

Names that are made of the names of files are made legal. All others, whether a caller wrote them
or the rows of a table hold them, are refused where they are not: two different names never become
one. No name is normalised; "é" as one code point and as two are different names.

Zarr v3 core, section "Node names", says what a name may be.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.storage.addresses import split_url

type Named = Literal["group", "variable", "dimension"]

#: The group at the root of every repository that holds the table of sources.
RESERVED = "_virtual_tiff"
#: Names that every cube has for something else, or may come to have.
_TAKEN: Mapping[Named, tuple[str, ...]] = {
    "group": (),
    "variable": ("x", "y", "band", "spatial_ref", "mask"),
    # Images without bands can be stacked along bands.
    "dimension": ("x", "y", "spatial_ref", "mask"),
}
_USE = "Use letters, digits, '-', '_' and '.'"
_HOLDS_SOURCES = "the group of that name holds the table of sources"
#: Control characters, lone surrogates (which UTF-8 cannot encode), and separators of paths.
_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\/]")
#: Suffixes of names that mean "TIFF".
_TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".gtif", ".gtiff", ".geotiff", ".btf", ".tf8"})


def check_name(
    name: str, what: Named, *, taken: Collection[str] = (), url: str | None = None
) -> None:
    """Check that a name can be that of a variable, or of a dimension and its coordinate.

    Parameters
    ----------
    name
        To check; without a path.
    what
        What has the name.
    taken
        Names of other dimensions and arrays, beyond those of every cube.
    url
        The image that brought it, if one did.

    Raises
    ------
    InvalidOptionError
        It cannot.
    """
    fault = _fault(name)
    if fault is None and name == RESERVED:
        fault = _HOLDS_SOURCES
    if fault is None and (name in _TAKEN[what] or name in taken):
        raise InvalidOptionError(
            f"{name!r} cannot be the name of a {what}: a coordinate, a dimension or a mask of the "
            "cube has that name.",
            url=url,
            remedy=f"Give the {what}, or the column that it comes from, another name.",
        )
    if fault is not None:
        raise _refused(name, what, fault, url)


def group_path(text: str) -> str:
    """Return the path of a group as a caller wrote it, without a slash at its ends.

    Parameters
    ----------
    text
        Empty, or `/`, for the root.

    Raises
    ------
    InvalidOptionError
        It is no path of a group, or leads into the table of sources.
    """
    if text in ("", "/"):
        return ""
    path = text.removeprefix("/").removesuffix("/")
    check_path(path)
    return path


def check_path(path: str, *, url: str | None = None) -> None:
    """Check the path of a group other than the root.

    Parameters
    ----------
    path
        Names with `/` between them.
    url
        The image that brought it, if one did.

    Raises
    ------
    InvalidOptionError
        It is no path of a group, or leads into the table of sources.
    """
    parts = path.split("/")
    fault = next((fault for part in parts if (fault := _fault(part)) is not None), None)
    if fault is None and parts[0] == RESERVED:
        fault = _HOLDS_SOURCES
    if fault is not None:
        raise _refused(path, "group", fault, url)


def check_group_names(names: Sequence[str], urls: Sequence[str]) -> None:
    """Check that names are valid for groups, one for each file.

    Raises
    ------
    InvalidOptionError
        A name is no path of a group, or with kind `duplicate`: two groups have one name, or one
        would be within another.
    """
    if len(names) != len(urls):
        raise InvalidOptionError(f"{len(names)} names were given for {len(urls)} sources.")
    owners: dict[str, str] = {}
    for name, url in zip(names, urls, strict=True):
        check_path(name, url=url)
        if name in owners:
            raise InvalidOptionError(
                f"{owners[name]} would have the same group, {name!r}.",
                kind=ErrorKind.DUPLICATE,
                url=url,
                remedy="Give the groups names of your own.",
            )
        owners[name] = url
    check_apart(owners)


def check_apart(owners: Mapping[str, str | None]) -> None:
    """Check that no group lies within another.

    Parameters
    ----------
    owners
        By path of the group, the URL of a file in it.

    Raises
    ------
    InvalidOptionError
        With kind `duplicate`.
    """
    for name, url in owners.items():
        for parent in PurePosixPath(name).parents:
            if (holder := str(parent)) in owners:
                raise InvalidOptionError(
                    f"its group {name!r} would be within {holder!r}, that of {owners[holder]}.",
                    kind=ErrorKind.DUPLICATE,
                    url=url,
                    remedy="Give the groups names of your own, or a template of constant depth.",
                )


def group_names(urls: Sequence[str]) -> tuple[str, ...]:
    """Name a group for each file: its name without the suffix of a TIFF.

    Names that are not unique are prefixed with folders, from the deepest common folder: `2024/B04`
    and `2025/B04`. Files of one folder that differ only in the suffix keep it. What no name can
    hold becomes `_`.

    Parameters
    ----------
    urls
        Addresses of the files.

    Returns
    -------
    tuple of str
        Paths of groups, in the order of `urls`.

    Raises
    ------
    InvalidOptionError
        With kind `duplicate`: a file is named twice, or a group would contain another.
    """
    if repeated := [url for url, count in Counter(urls).items() if count > 1]:
        raise InvalidOptionError(
            "this source is named more than once.", kind=ErrorKind.DUPLICATE, url=repeated[0]
        )
    paths = [_parts(url) for url in urls]
    same: dict[str, list[int]] = defaultdict(list)
    for position, path in enumerate(paths):
        same[_stem(path[-1])].append(position)
    names = [""] * len(urls)
    for stem, positions in same.items():
        shared = _shared_depth([paths[i][:-1] for i in positions])
        folders = Counter(tuple(paths[i][:-1]) for i in positions)
        for i in positions:
            *above, name = paths[i] if len(positions) > 1 else paths[i][-1:]
            last = name if folders[tuple(paths[i][:-1])] > 1 else stem
            names[i] = "/".join(_legal(part) for part in (*above[shared:], last))
    check_group_names(names, urls)
    return tuple(names)


def names_of(url: str) -> tuple[str, ...]:
    """Return all names that `group_names` gives a file, whatever other files there are."""
    *above, name = _parts(url)
    found = []
    for depth in range(len(above) + 1):
        folders = [_legal(part) for part in above[len(above) - depth :]]
        found += ["/".join([*folders, _legal(last)]) for last in (_stem(name), name)]
    return tuple(dict.fromkeys(found))


def _fault(name: str) -> str | None:
    """Why no node of Zarr can have a name; `None` if one can."""
    if not name.strip():
        return "a name is empty"
    if not name.strip("."):
        return "a name is made of periods"
    if name.startswith("__"):
        return "names that begin with two underscores are Zarr's own"
    if name == "zarr.json":
        return "a document of Zarr has that name"
    if _IMPOSSIBLE.search(name):
        return "it holds a character that no name can have"
    return None


def _refused(name: str, what: Named, fault: str, url: str | None = None) -> InvalidOptionError:
    between = ", with '/' between groups." if what == "group" else "."
    return InvalidOptionError(
        f"{name!r} cannot be the name of a {what}: {fault}.", url=url, remedy=f"{_USE}{between}"
    )


def _legal(text: str) -> str:
    """Make a name that a node of Zarr can have."""
    name = re.sub(r"^__+", "_", _IMPOSSIBLE.sub("_", text))
    if not name.strip(".").strip() or name == "zarr.json":
        return f"_{name}"
    return f"{name}_" if name == RESERVED else name


def _shared_depth(folders: Sequence[Sequence[str]]) -> int:
    """Return the number of leading folders that all these paths share."""
    depth = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        depth += 1
    return depth


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in _TIFF_SUFFIXES else name


def _parts(url: str) -> list[str]:
    scheme, netloc, key = split_url(url)
    return [part for part in (netloc.replace(":", "_"), *key.split("/")) if part] or [scheme]
