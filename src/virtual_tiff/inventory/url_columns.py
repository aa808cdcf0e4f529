"""Make columns of a table from parts of its URLs."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.table import COLUMNS
from virtual_tiff.inventory.times import compiled_pattern

#: A column of text, whatever it holds: band 4 is no number, and "08" is not 8.
_TEXT = "band"
#: Numbers of more digits may be greater than an int64.
_DIGITS = 18


def with_url_columns(table: pa.Table, patterns: Mapping[str, str] | None) -> pa.Table:
    r"""Add columns whose values are found in URLs.

    Parameters
    ----------
    table
        With a column `url`.
    patterns
        By name of the column, a regular expression whose group finds the value, such as
        `_(\d{2}[A-Z]{3})_`. Values are integers if all of them are decimal numbers, else text;
        those of `band` are text.

    Raises
    ------
    InvalidOptionError
        A pattern is none, finds nothing in a URL, or its column is there already.
    """
    return with_columns(table, columns_in(table["url"], patterns)) if patterns else table


def columns_in(urls: pa.ChunkedArray, patterns: Mapping[str, str]) -> pa.Table:
    """Return the columns of `with_url_columns`, whose types depend on all of the URLs."""
    columns = {}
    for name, pattern in patterns.items():
        if name in COLUMNS:
            raise _there(name)
        remedy = "Put the value in parentheses, as in '_(red|nir)'."
        compiled = compiled_pattern(pattern, f"column {name!r}", remedy)
        values = []
        for url in urls.to_pylist():
            match = compiled.search(url)
            if match is None or not match[1]:
                raise InvalidOptionError(
                    f"the pattern {pattern!r} of column {name!r} finds nothing.",
                    url=url,
                    remedy="Name only files that it matches.",
                )
            values.append(match[1])
        numbers = name != _TEXT and all(
            v.isascii() and v.isdigit() and len(v) <= _DIGITS for v in values
        )
        column = pa.array(values, pa.string())
        columns[name] = column.cast(pa.int64()) if numbers else column
    return pa.table(columns)


def with_columns(table: pa.Table, columns: pa.Table) -> pa.Table:
    """Add columns to a table with as many rows; refuse names that it has."""
    for field, column in zip(columns.schema, columns.columns, strict=True):
        if field.name in table.column_names:
            raise _there(field.name)
        table = table.append_column(field, column)
    return table


def _there(name: str) -> InvalidOptionError:
    return InvalidOptionError(
        f"there is a column {name!r} already.", remedy="Give the new column another name."
    )


def pattern_of(text: str) -> tuple[str, str]:
    """Split `NAME=PATTERN`."""
    name, separator, pattern = text.partition("=")
    if not separator or not name or not pattern:
        raise InvalidOptionError(
            f"{text!r} is no column and pattern.", remedy="Write NAME=PATTERN."
        )
    return name, pattern
