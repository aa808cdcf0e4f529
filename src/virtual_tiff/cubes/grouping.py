"""Templates such as `{tile}/{stem}` → the path of a group for each image."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter
from typing import Any

import pyarrow.compute as pc

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.table import COLUMNS
from virtual_tiff.storage.addresses import group_names

type Table = Any

#: The name of a file without its suffix.
_STEM = "stem"


def is_template(group: str) -> bool:
    """Whether a path has names of columns in braces."""
    return "{" in group or "}" in group


def group_paths(table: Table, template: str) -> list[str]:
    """Fill a template in for each row.

    Parameters
    ----------
    table
        A `pyarrow.Table` with a column `url`, and those that the template names.
    template
        Names of columns in braces; `{stem}` is the name of the file without its suffix. A format
        may follow, as in Python: `{datetime:%Y}`.

    Returns
    -------
    list of str
        Without slashes at the ends; those in texts have become `_`.

    Raises
    ------
    InvalidOptionError
        It is no template, or a column is not there or has nulls.
    """
    columns = {name: _column(table, name) for name in _names(template)}
    rows = zip(*columns.values(), strict=True) if columns else [()] * table.num_rows
    try:
        return [template.format(**dict(zip(columns, row, strict=True))).strip("/") for row in rows]
    except (ValueError, TypeError) as error:
        raise InvalidOptionError(f"the group {template!r} cannot be filled in: {error}.") from error


def _names(template: str) -> Sequence[str]:
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise InvalidOptionError(f"the group {template!r} is no template: {error}.") from error
    if odd := [name for name in names if not name.isidentifier()]:
        raise InvalidOptionError(
            f"{odd[0]!r} in the group {template!r} is no name of a column.",
            remedy="Write names of columns into braces, such as {tile}/{stem}.",
        )
    return list(dict.fromkeys(names))


def _column(table: Table, name: str) -> list[Any]:
    if name == _STEM and name not in table.column_names:
        return [group_names([url])[0] for url in table["url"].to_pylist()]
    if name not in table.column_names:
        own = [column for column in table.column_names if column not in COLUMNS]
        raise InvalidOptionError(
            f"there is no column {name!r} for the group.",
            remedy=f"Use stem, datetime, or a column of your own ({', '.join(own) or 'none yet'}) "
            "in a table of URLs, which may be the one that scan has written.",
        )
    values = table[name]
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        raise InvalidOptionError(
            f"{values.null_count} of {table.num_rows} images have no {name} for the group.",
            url=table["url"][row].as_py(),
        )
    return [
        value.replace("/", "_") if isinstance(value, str) else value for value in values.to_pylist()
    ]
