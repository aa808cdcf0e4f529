"""Choose images of a repository: by address, by time, by columns of the table of sources."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import translate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.removal.part import Selection
from virtual_tiff.publishing.sources_table import Sources
from virtual_tiff.storage.addresses import source_url

_CONDITION = re.compile(r"\s*([^<>=!\s]+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*")
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
#: Columns of the table of sources that a condition may name; `variable` is the name of the array.
_COLUMNS = ("array", "url", "ifd", "band", "size", "etag")
_GIVEN_TIME = re.compile(r"\d{4}(-\d{2}(-\d{2}(T[\d:.]*)?)?)?")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(T[\d:.]*)?")


def selection(
    urls: Sequence[str],
    before: datetime | str | None,
    where: Sequence[str],
    group: str | None,
) -> Selection:
    """Return a function that chooses the rows for which all conditions hold.

    Parameters
    ----------
    urls
        Addresses, or patterns with `*`; any of them is enough.
    before
        Images with a time before it.
    where
        Conditions such as `tile=33UVP` or `time>=2024-06`: axes of cubes, and columns of the table
        of sources; `variable` is the name of the array. With `=` and `!=`, `*` stands for any text,
        and a date for all times of that day.
    group
        Only images in this group, or in groups below it.

    Raises
    ------
    InvalidOptionError
        Without any condition, or one that cannot be read. The function raises it for an address, or
        a name in a condition, that no image has.
    """
    if not urls and before is None and not where:
        raise InvalidOptionError(
            "nothing says which images to remove.",
            remedy="Name their URLs, or pass before=… or where=….",
        )
    conditions = [_parsed(text) for text in where]
    if before is not None:
        time = before.isoformat() if isinstance(before, datetime) else before
        conditions.append(("*time", "<", _as_time(time.removesuffix("+00:00").removesuffix("Z"))))
    named = [url if "*" in url else source_url(url) for url in urls]
    # A pattern may be the end of an address, or a local path.
    named += [source_url(url) for url in urls if "*" in url and "://" not in url]

    def choose(sources: Sources) -> NDArray[np.bool_]:
        chosen = _at(sources["url"].tolist(), named) if named else np.ones(len(sources), bool)
        chosen &= within(sources, group or "")
        for name, sign, value in conditions:
            chosen &= _holds(sources, name, sign, value)
        return chosen

    return choose


def within(sources: Sources, group: str) -> NDArray[np.bool_]:
    """Return which images are in a group or below it."""
    start = key_prefix(group)
    return np.array([array.startswith(start) for array in sources["array"].tolist()], bool)


def _parsed(text: str) -> tuple[str, str, str]:
    match = _CONDITION.fullmatch(text)
    if match is None or not match[3]:
        raise InvalidOptionError(
            f"{text!r} is no condition.", remedy="Write a name, a sign and a value."
        )
    return match[1], match[2], match[3]


def _as_time(text: str) -> str:
    try:
        if not _GIVEN_TIME.fullmatch(text):
            raise ValueError(text)
        np.datetime64(text)
    except ValueError as error:
        raise InvalidOptionError(
            f"{text!r} is no time.", remedy="Write it as 2024-06-01 or 2024-06-01T12:00:00."
        ) from error
    return text


def _at(urls: Sequence[str], named: Sequence[str]) -> NDArray[np.bool_]:
    """Which files are named, or match a pattern."""
    plain = {url for url in named if "*" not in url}
    if missing := sorted(plain - set(urls)):
        raise InvalidOptionError(
            "the repository has no image of this file.",
            url=missing[0],
            remedy="Name it as it was published; describe and verify list the files.",
        )
    patterns = [re.compile(translate(url)) for url in named if "*" in url]
    return np.array(
        [url in plain or any(pattern.match(url) for pattern in patterns) for url in urls], bool
    )


def _holds(sources: Sources, name: str, sign: str, value: str) -> NDArray[np.bool_]:
    """For which rows a condition holds; not for those that lack the name."""
    if name == "variable":
        found = [array.rpartition("/")[2] for array in sources["array"].tolist()]
    elif name in _COLUMNS:
        found = sources[name].tolist()
    else:
        places = sources["position"].tolist()
        members = {place: _member(json.loads(place), name) for place in set(places)}
        if name != "*time" and len(sources) and all(v is None for v in members.values()):
            axes = sorted({axis for place in members for axis in json.loads(place)})
            raise InvalidOptionError(
                f"no image has {name!r}.",
                remedy=f"Use one of {', '.join((*axes, 'variable', *_COLUMNS))}.",
            )
        found = [members[place] for place in places]
    results = {each: each is not None and _compare(each, sign, value) for each in set(found)}
    return np.array([results[each] for each in found], bool)


def _member(place: Mapping[str, Any], name: str) -> Any:
    """Return the value on an axis; `*time` is any axis of times."""
    if name != "*time":
        return place.get(name)
    times = (v for v in place.values() if isinstance(v, str) and _TIME.fullmatch(v))
    return next(times, None)


def _compare(found: Any, sign: str, value: str) -> bool:
    one: Any = found
    other: Any = value
    if isinstance(found, str) and _TIME.fullmatch(found) and re.match(r"\d{4}(-|$)", value):
        other = np.datetime64(_as_time(value))
        one = np.datetime64(found)
        if sign in ("=", "!="):
            one = one.astype(other.dtype)
    elif sign in ("=", "!=") and "*" in value:
        matches = re.fullmatch(translate(value), str(found)) is not None
        return matches == (sign == "=")
    else:
        try:
            one, other = float(found), float(value)
        except ValueError:
            one, other = str(found), value
    return bool(_COMPARE[sign](one, other))
