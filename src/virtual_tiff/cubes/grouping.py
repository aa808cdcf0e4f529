"""Fill templates such as `{tile}/{stem}` to get the path of the group of each image."""

from __future__ import annotations

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
    _parts(group)
    return group


def group_paths(table: pa.Table, template: str) -> list[str]:
    """Fill in a template for each row.

    Parameters
    ----------
    table
        A `pyarrow.Table` with the column `url` and those that the template names.
    template
        Names of columns in braces; `{stem}` is the name of the file without its suffix. After the
        name of a column, a format may follow, as in Python: `{datetime:%Y}`.

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
    parts = _parts(template)
    columns: list[list[str]] = []
    for literal, text in parts:
        columns.append([literal] * table.num_rows)
        if text is not None:
            columns.append(_filled(table, text, template))
    paths = ["".join(row) for row in zip(*columns, strict=True)]
    rows_of = {path: row for row, path in enumerate(paths)}
    for path, row in rows_of.items():
        check_path(path, url=table["url"][row].as_py())
    return paths


def groups_of(table: pa.Table, template: str) -> dict[str, str]:
    """Fill in a template for each file of a table: paths by URL; see `group_paths`."""
    return dict(zip(table["url"].to_pylist(), group_paths(table, template), strict=True))


def _parts(template: str) -> list[tuple[str, str | None]]:
    """Split a template into literal text and the text in braces after it."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise InvalidOptionError(f"the group {template!r} is no template: {error}.") from error
    parts: list[tuple[str, str | None]] = []
    for literal, name, spec, conversion in parsed:
        text = f"{name}:{spec}" if spec else name
        if text is not None and (not name or conversion or "{" in text or "}" in text):
            raise InvalidOptionError(
                f"{text!r} in the group {template!r} is no name of a column.",
                remedy="Write names of columns in braces, such as {tile}/{stem}.",
            )
        parts.append((literal, text))
    return parts


def _filled(table: pa.Table, text: str, template: str) -> list[str]:
    """Fill in the text in braces, the name of a column or name, colon and format."""
    name, spec = _name_and_format(table, text)
    values = _column(table, name)
    try:
        return [format(value, spec) for value in values]
    except (ValueError, TypeError) as error:
        raise InvalidOptionError(f"the group {template!r} cannot be filled in: {error}.") from error


def _name_and_format(table: pa.Table, text: str) -> tuple[str, str]:
    """Split the text at the last colon before which is a column; all of it comes first.

    So `{grid:code}` is the column of this name, `{datetime:%H:%M}` the time in a format, and
    `{eo:cloud_cover:.0f}` a number in one. Without any such column, all is the name.
    """
    name, spec = text, ""
    while name not in table.column_names and name != _STEM:
        name, colon, _ = name.rpartition(":")
        if not colon:
            return text, ""
        spec = text[len(name) + 1 :]
    return name, spec


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
