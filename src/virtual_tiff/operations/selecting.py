"""Choose images of a repository: by address, by time, by columns of the table of sources."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from fnmatch import translate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.removal.part import Selection
from virtual_tiff.publishing.sources_table import Sources
from virtual_tiff.storage.addresses import file_url_readings, is_local, source_url

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
_NUMBERS = ("band", "size")
_GIVEN_TIME = re.compile(r"(\d{4}(?:-\d{2}(?:-\d{2}(?:[T ][\d:.]+)?)?)?)(Z|[+-]\d{2}:?\d{2})?")
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
        of sources; `variable` is the name of the array. With `=` and `!=`, `*` stands for any text.
        A date stands for all times of that day.
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
        _as_time(time)
        conditions.append(("*time", "<", time))
    files = [_readings(url) for url in urls if "*" not in url]
    patterns = [url for url in urls if "*" in url]
    # A pattern may be the end of an address, or a local path.
    patterns += [source_url(url) for url in patterns if "://" not in url]

    def choose(sources: Sources) -> NDArray[np.bool_]:
        everything = np.ones(len(sources), bool)
        chosen = _at(sources["url"].tolist(), files, patterns) if urls else everything
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


def _as_time(text: str) -> np.datetime64:
    """Return a time in UTC, which it is without an offset, as exact as it is written."""
    match = _GIVEN_TIME.fullmatch(text)
    try:
        if match is None or (match[2] and ":" not in match[1]):
            raise ValueError(text)
        time = np.datetime64(match[1])
    except ValueError as error:
        raise InvalidOptionError(
            f"{text!r} is no time.",
            remedy="Write it as 2024-06-01, 2024-06-01T12:00:00 or 2024-06-01T12:00:00+02:00.",
        ) from error
    if match[2] in (None, "Z"):
        return time
    minutes = 60 * int(match[2][1:3]) + int(match[2][-2:])
    return time - np.timedelta64(-minutes if match[2][0] == "-" else minutes, "m")


def _readings(url: str) -> tuple[str, ...]:
    """Return the addresses that a name may mean; the file may be gone, so the table decides."""
    return file_url_readings(url) if is_local(url.lower()) else (source_url(url),)


def _at(
    urls: Sequence[str], files: Sequence[tuple[str, ...]], patterns: Sequence[str]
) -> NDArray[np.bool_]:
    """Which files are named, or match a pattern."""
    known = set(urls)
    plain = {next((url for url in readings if url in known), readings[0]) for readings in files}
    if missing := sorted(plain - known):
        raise InvalidOptionError(
            "the repository has no image of this file.",
            url=missing[0],
            remedy="Name it as it was published; describe and verify list the files.",
        )
    compiled = [re.compile(translate(pattern)) for pattern in patterns]
    return np.array(
        [url in plain or any(pattern.match(url) for pattern in compiled) for url in urls], bool
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
    values = set(found) - {None}
    holds = _comparison(values, sign, value, is_number=name in _NUMBERS)
    results = {each: holds(each) for each in values}
    return np.array([results.get(each, False) for each in found], bool)


def _member(place: Mapping[str, Any], name: str) -> Any:
    """Return the value on an axis; `*time` is any axis of times."""
    if name != "*time":
        return place.get(name)
    times = (v for v in place.values() if isinstance(v, str) and _TIME.fullmatch(v))
    return next(times, None)


def _comparison(
    values: Collection[Any], sign: str, value: str, *, is_number: bool
) -> Callable[[Any], bool]:
    """Return the comparison with a value: of times or of numbers, if all are, else of texts."""
    if sign in ("=", "!=") and "*" in value:
        pattern = re.compile(translate(value))
        return lambda found: (pattern.fullmatch(str(found)) is not None) == (sign == "=")
    compare = _COMPARE[sign]
    if values and all(isinstance(each, str) and _TIME.fullmatch(each) for each in values):
        time = _as_time(value)
        # A date is its whole day, a month all of it.
        return lambda found: bool(compare(np.datetime64(found).astype(time.dtype), time))
    if is_number or (values and all(isinstance(each, int | float) for each in values)):
        number = _as_number(value)
        return lambda found: bool(compare(found, number))
    return lambda found: bool(compare(*_alike(str(found), value)))


def _alike(one: str, other: str) -> tuple[Any, Any]:
    """Return two texts as numbers, if both are."""
    try:
        return float(one), float(other)
    except ValueError:
        return one, other


def _as_number(text: str) -> int | float:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    raise InvalidOptionError(f"{text!r} is no number.", remedy="Write it as 12 or 0.5.")
