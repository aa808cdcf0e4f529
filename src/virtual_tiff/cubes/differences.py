"""Find images that differ from most others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.same_grid import same_crs, same_transform

_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Difference:
    """One image that differs from most others in one column or attribute."""

    row: int
    url: str
    ifd: tuple[int, ...] | None
    column: str
    value: str
    expected: str

    @classmethod
    def of(cls, table: pa.Table, row: int, column: str, value: object, expected: object) -> Self:
        """Describe the image of a row of the inventory."""
        return cls(
            row=row,
            url=table["url"][row].as_py(),
            ifd=_ifd(table["ifd"][row].as_py()),
            column=column,
            value=_short(value),
            expected=_short(expected),
        )


def differences(table: pa.Table, columns: Sequence[str]) -> list[Difference]:
    """Compare columns of an inventory with their most frequent values, in the order of rows."""
    found: list[Difference] = []
    for column in columns:
        codes = codes_of(table[column])
        counts = np.bincount(codes) if codes.size else np.zeros(1, np.int64)
        if counts.size <= 1:
            continue
        first = np.array([np.argmax(codes == code) for code in range(counts.size)])
        values = table[column].take(pa.array(first)).to_pylist()
        expected = values[int(np.argmax(counts))]
        same = np.array([_same(column, value, expected, table) for value in values])
        found += [
            Difference.of(table, int(row), column, values[codes[row]], expected)
            for row in np.flatnonzero(~same[codes])
        ]
    return sorted(found, key=lambda difference: difference.row)


def codes_of(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Return a number for each row, equal for equal values of a column."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        matrix = _matrix(column)
        if matrix is None:
            keys = [None if value is None else tuple(value) for value in column.to_pylist()]
            numbers: dict[Hashable, int] = {}
            return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
        inverse: NDArray[np.intp] = np.unique(matrix, axis=0, return_inverse=True)[1]
        return inverse.reshape(-1).astype(np.int64)
    if not pa.types.is_dictionary(kind):
        column = column.dictionary_encode(null_encoding="encode")
    indices = column.indices.fill_null(len(column.dictionary))
    _, codes = np.unique(indices.to_numpy(zero_copy_only=False), return_inverse=True)
    return codes.astype(np.int64)


def _matrix(column: pa.Array) -> NDArray[np.generic] | None:
    """Return lists of numbers of one length as a matrix; else `None`."""
    if column.null_count or not len(column):
        return None
    values = column.flatten()
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return None
    if len(values) % len(column) or values.null_count:
        return None
    width = len(values) // len(column)
    if pa.types.is_list(column.type):
        starts = column.offsets.to_numpy()
        if not np.all(np.diff(starts) == width):
            return None
    matrix: NDArray[np.generic] = values.to_numpy(zero_copy_only=False).reshape(len(column), width)
    return matrix


def _same(column: str, value: JSON, expected: JSON, table: pa.Table) -> bool:
    """Return whether values with different spellings are equivalent."""
    if column == "transform":
        size = (table["width"][0].as_py(), table["height"][0].as_py())
        one, other = (cast("list[float] | None", each) for each in (value, expected))
        return same_transform(one, other, *size)
    if column == "crs":
        return same_crs(*(None if each is None else str(each) for each in (value, expected)))
    return bool(value == expected)


def _short(value: object) -> str:
    text = str(tuple(value) if isinstance(value, list) else value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _ifd(text: str | None) -> tuple[int, ...] | None:
    return None if text is None else tuple(int(part) for part in text.split("."))
