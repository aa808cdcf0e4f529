"""Fill templates such as `{tile}/{stem}` to get the path of the group of each image."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter

import pyarrow as pa
import pyarrow.compute as pc

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.table import COLUMNS
from virtual_tiff.planning.names import check_path, group_names, group_path

#: Field for the name of a file without its suffix.
_STEM = "stem"


def is_template(group: str) -> bool:
    """Return whether a path contains names of columns in braces."""
    return "{" in group or "}" in group


def checked_group(group: str) -> str:
    """Return a template as it is, or a path without a slash at its ends.

    Raises
    ------
    InvalidOptionError
        It is neither.
    """
    if not is_template(group):
        return group_path(group)
    _names(group)
    return group


def group_paths(table: pa.Table, template: str) -> list[str]:
    """Fill in a template for each row.

    Parameters
    ----------
    table
        A `pyarrow.Table` with the column `url` and those that the template names.
    template
        Names of columns in braces; `{stem}` is the name of the file without its suffix. A format
        may follow, as in Python: `{datetime:%Y}`.

    Returns
    -------
    list of str
        Without slashes at the ends.

    Raises
    ------
    InvalidOptionError
        It is no template; a column is not there or has nulls; a text has a slash in it, or what
        comes out cannot be the path of a group.
    """
    template = template.removeprefix("/").removesuffix("/")
    columns = {name: _column(table, name) for name in _names(template)}
    rows = zip(*columns.values(), strict=True) if columns else [()] * table.num_rows
    try:
        paths = [template.format(**dict(zip(columns, row, strict=True))) for row in rows]
    except (ValueError, TypeError) as error:
        raise InvalidOptionError(f"the group {template!r} cannot be filled in: {error}.") from error
    rows_of = {path: row for row, path in enumerate(paths)}
    for path, row in rows_of.items():
        check_path(path, url=table["url"][row].as_py())
    return paths


def _names(template: str) -> Sequence[str]:
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise InvalidOptionError(f"the group {template!r} is no template: {error}.") from error
    if odd := [name for name in names if not name.isidentifier()]:
        raise InvalidOptionError(
            f"{odd[0]!r} in the group {template!r} is no name of a column.",
            remedy="Write names of columns in braces, such as {tile}/{stem}.",
        )
    return list(dict.fromkeys(names))


def _column(table: pa.Table, name: str) -> list[object]:
    if name == _STEM and name not in table.column_names:
        return [group_names([url])[0] for url in table["url"].to_pylist()]
    if name not in table.column_names:
        own = [column for column in table.column_names if column not in COLUMNS]
        raise InvalidOptionError(
            f"there is no column {name!r} for the group.",
            remedy=f"Use stem, datetime, or another column ({', '.join(own) or 'none yet'}) "
            "of a table of URLs, such as the one that scan writes.",
        )
    values = table[name]
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        raise InvalidOptionError(
            f"{values.null_count} of {table.num_rows} images have no {name} for the group.",
            url=table["url"][row].as_py(),
        )
    found: list[object] = values.to_pylist()
    for row, value in enumerate(found):
        if isinstance(value, str) and "/" in value:
            raise InvalidOptionError(
                f"the {name} {value!r} cannot be part of a group's path: it has a slash in it.",
                url=table["url"][row].as_py(),
                remedy="Replace the slashes in the table, or make columns of the parts.",
            )
    return found
