"""Find the time of an image: from a column, its name, or its DateTime tag; never guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

_NAMED = ("year", "month", "day", "doy", "hour", "minute", "second")
#: Formats of the digits of one group, by their number.
_DIGITS = {
    4: "(?P<year>....)",
    6: "(?P<year>....)(?P<month>..)",
    7: "(?P<year>....)(?P<doy>...)",
    8: "(?P<year>....)(?P<month>..)(?P<day>..)",
    10: "(?P<year>....)(?P<month>..)(?P<day>..)(?P<hour>..)",
    12: "(?P<year>....)(?P<month>..)(?P<day>..)(?P<hour>..)(?P<minute>..)",
    14: "(?P<year>....)(?P<month>..)(?P<day>..)(?P<hour>..)(?P<minute>..)(?P<second>..)",
}


def check_pattern(pattern: str) -> re.Pattern[str]:
    r"""Compile a regular expression that finds the time in a name.

    It has one group, such as `(\d{8})`, whose digits are a year, year and month, year and day of
    the year (7 digits), or a date with or without hour, minute and second, with `-`, `:`, `_`, `T`
    and `Z` ignored; or groups named year, month, day, doy, hour, minute and second.
    """
    remedy = r"Put the digits of the date in parentheses, as in '_(\d{8})_'."
    compiled = compiled_pattern(pattern, "datetime", remedy, named=True)
    names = compiled.groupindex
    if names and (set(names) - set(_NAMED) or "year" not in names):
        raise InvalidOptionError(
            f"the named groups of {pattern!r} are {', '.join(names)}, "
            f"but must be year and some of {', '.join(_NAMED[1:])}."
        )
    return compiled


def compiled_pattern(
    pattern: str, what: str, remedy: str, *, named: bool = False
) -> re.Pattern[str]:
    """Compile a regular expression with one group, or also with named ones."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidOptionError(
            f"the {what} pattern {pattern!r} is not a regular expression: {error}."
        ) from error
    if compiled.groups != 1 and not (named and compiled.groupindex):
        raise InvalidOptionError(
            f"the {what} pattern {pattern!r} has {compiled.groups} groups, but needs one.",
            remedy=remedy,
        )
    return compiled


def time_from_name(pattern: re.Pattern[str], name: str) -> datetime | None:
    """Find the time (UTC) in a name, from the first match; `None` if it is no date."""
    match = pattern.search(name)
    if match is None:
        return None
    if pattern.groupindex:
        return _from_parts({k: v for k, v in match.groupdict().items() if v})
    digits = re.sub(r"[-:_TZ ]", "", match[1] or "")
    form = _DIGITS.get(len(digits))
    parts = re.fullmatch(form, digits) if form and digits.isdecimal() else None
    return None if parts is None else _from_parts(parts.groupdict())


def time_from_tag(ifd: ImageFileDirectory) -> datetime | None:
    """Parse DateTime (TIFF 6.0 section 8), which has no time zone, as UTC."""
    value = ifd.other_tags.get(Tag.DATE_TIME)
    if not isinstance(value, str):
        return None
    try:
        return datetime.strptime(value.strip(), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def as_time(value: object, column: str) -> datetime | None:
    """Convert a datetime, a date, or ISO 8601 text of a table to a time, UTC by default."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidOptionError(
                f"{value!r} in column {column!r} is not a time of ISO 8601.",
                remedy="Convert the column to timestamps.",
            ) from error
    if not isinstance(value, datetime):
        if not isinstance(value, date):
            raise InvalidOptionError(
                f"column {column!r} holds {type(value).__name__}, which is not a time.",
                remedy="Convert the column to timestamps.",
            )
        value = datetime(value.year, value.month, value.day)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _from_parts(parts: dict[str, str]) -> datetime | None:
    try:
        numbers = {name: int(text) for name, text in parts.items()}
        day_of_year = numbers.pop("doy", None)
        if day_of_year is not None:
            if not 1 <= day_of_year <= 366:
                return None
            first = datetime(numbers.pop("year"), 1, 1, tzinfo=UTC, **numbers)
            day = first + timedelta(days=day_of_year - 1)
            return day if day.year == first.year else None
        return datetime(**{"month": 1, "day": 1, **numbers}, tzinfo=UTC)
    except (ValueError, TypeError):
        return None
