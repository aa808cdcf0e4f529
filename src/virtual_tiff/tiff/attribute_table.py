"""Names of values from GDAL's category names and raster attribute tables, in a PAM document."""

from __future__ import annotations

from itertools import islice
from xml.etree.ElementTree import Element

from virtual_tiff.tiff.numbers import finite_number

#: Usages of columns (`GDALRATFieldUsage`): name of the class, lowest, highest and only value.
_NAME, _MIN, _MAX, _MIN_MAX = 2, 3, 4, 5
#: Type of columns with text (`GDALRATFieldType`).
_TEXT = 2
#: Names of columns of programs that give no usage, in lower case.
_VALUE_COLUMNS = ("value",)
_NAME_COLUMNS = ("class_name", "classname", "class_names", "class", "category", "label", "name")
#: More are values, not classes.
MAX_CLASSES = 4096


def band_classes(band: Element) -> dict[int, str]:
    """Return names of values: category names, which count from 0, or those of an attribute table.

    Names of tag and attributes are in lower case. Rows for ranges of values have no place in CF.
    """
    listed = band.find("categorynames")
    names = [] if listed is None else [(e.text or "").strip() for e in listed.findall("category")]
    if any(names):
        return {value: name for value, name in enumerate(names[:MAX_CLASSES]) if name}
    table = band.find("gdalrasterattributetable")
    return {} if table is None else _of_table(table)


def _of_table(table: Element) -> dict[int, str]:
    columns = [_column(element) for element in table.findall("fielddefn")]
    name = _first(columns, _NAME, _NAME_COLUMNS, text=True)
    low, high = _first(columns, _MIN), _first(columns, _MAX)
    value = _first(columns, _MIN_MAX, _VALUE_COLUMNS)
    if name is None:
        return {}
    start, step = (finite_number(table.get(key)) for key in ("row0min", "binsize"))
    found: dict[int, str] = {}
    for number, row in enumerate(islice(table.iter("row"), MAX_CLASSES)):
        cells = [(cell.text or "").strip() for cell in row.findall("f")]
        if value is not None:
            ends = [_cell(cells, value)] * 2
        elif low is not None and high is not None:
            ends = [_cell(cells, low), _cell(cells, high)]
        elif start is not None and step == 1:
            ends = [start + number] * 2
        else:
            return {}
        one, other = ends
        if one is not None and one == other and one.is_integer() and name < len(cells):
            found.setdefault(int(one), cells[name])
    return {one: text for one, text in found.items() if text}


def _column(element: Element) -> tuple[str, int, bool]:
    """Return the name of a column in lower case, its usage, and whether it has text."""
    usage = finite_number(element.findtext("usage") or "") or 0
    kind = finite_number(element.findtext("type") or "") or 0
    return (element.findtext("name") or "").strip().lower(), int(usage), int(kind) == _TEXT


def _first(
    columns: list[tuple[str, int, bool]],
    usage: int,
    names: tuple[str, ...] = (),
    *,
    text: bool = False,
) -> int | None:
    """Return the column with a usage, or else with one of some names."""
    for i, column in enumerate(columns):
        if column[1] == usage:
            return i
    for name in names:
        for i, column in enumerate(columns):
            if column[0] == name and (column[2] or not text):
                return i
    return None


def _cell(cells: list[str], column: int) -> float | None:
    return finite_number(cells[column]) if column < len(cells) else None
