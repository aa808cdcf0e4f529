"""Images of an inventory that share an array: one grid, one encoding, one meaning of the values."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.errors import MismatchError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import (
    MEANING,
    ORDER,
    Disagreement,
    Document,
    agreed,
    disagreements,
    most_common,
)
from virtual_tiff.planning.same_grid import same_crs, same_transform

GRID = ("crs", "transform", "width", "height", "grid_mapping")
_ENCODING = ("data_type", "dimensions", "shape", "chunk_shape", "codecs", "fill_value")
_OWN_VARIABLE = "need separate variables, or a separate cube."
#: What can be done about a difference in a column or an attribute.
_REMEDIES = {
    **dict.fromkeys(GRID, "Images on other grids need separate cubes, or groups."),
    **dict.fromkeys(MEANING, f"Images whose values have another meaning {_OWN_VARIABLE}"),
    **dict.fromkeys(
        (*ORDER, "band_numbers"), f"Images with their bands in another order {_OWN_VARIABLE}"
    ),
    "codecs": f"Images with other encodings {_OWN_VARIABLE}",
    "fill_value": f"Images with other nodata values {_OWN_VARIABLE}",
}
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


def check_grids(table: pa.Table) -> None:
    """Refuse images on different grids; name the first and count the others."""
    _raise_first(differences(table, GRID), table.num_rows)


def check_encodings(table: pa.Table) -> dict[str, JSON]:
    """Refuse images whose encodings or meanings differ; return the attributes that all share."""
    _raise_first(differences(table, _ENCODING), table.num_rows)
    column = table["attributes"]
    codes = codes_of(column)
    # Most images of an archive have equal attributes, except for dates.
    texts = column.take(np.unique(codes, return_index=True)[1]).to_pylist()
    documents: list[Document] = [json.loads(text) for text in texts]

    def refuse(found: Disagreement) -> MismatchError:
        return _mismatch(_unusual(table, found.key, documents, codes), table.num_rows)

    return agreed(documents, refuse)


def shared_band_names(table: pa.Table) -> tuple[str, ...] | None:
    """Return the band names of all images; `None` if they differ, or there are none.

    Images with the same bands in another order, or with other bands chosen, are refused.
    """
    column = table["band_names"]
    codes = codes_of(column)
    found = column.take(np.unique(codes, return_index=True)[1]).to_pylist()
    if len(found) == 1:
        return None if found[0] is None else tuple(found[0])
    # Band numbers come from `bands=`, so images without them were read with other options.
    numbered = any(each is not None and all(name.isdecimal() for name in each) for each in found)
    key = "band_numbers" if numbered else "band_names"
    documents: list[Document] = [{key: each} for each in found]
    if numbered or next(disagreements(documents, [key]), None) is not None:
        raise _mismatch(_unusual(table, key, documents, codes), table.num_rows)
    return None


def _unusual(
    table: pa.Table, key: str, documents: Sequence[Document], codes: NDArray[np.int64]
) -> list[Difference]:
    """Images whose attribute means something else than in most; `codes` are of `documents`."""
    usual = most_common(documents, key, np.bincount(codes).tolist())
    order = [usual, *(code for code in range(len(documents)) if code != usual)]
    odd = {
        order[found.index]: found
        for found in disagreements([documents[code] for code in order], [key])
    }
    return [
        Difference.of(table, row, key, odd[code].value, odd[code].expected)
        for row, code in enumerate(codes.tolist())
        if code in odd
    ]


def _raise_first(found: Sequence[Difference], count: int) -> None:
    if found:
        raise _mismatch(found, count)


def _mismatch(found: Sequence[Difference], count: int) -> MismatchError:
    """Make the error of what keeps images out of one array: names the first, counts the others."""
    first = found[0]
    files = len({difference.row for difference in found})
    others = f" So do {files - 1} others." if files > 1 else ""
    return MismatchError(
        f"{first.column} is {first.value}, but {first.expected} in {count - files} of {count} "
        f"images.{others}",
        url=first.url,
        ifd=first.ifd,
        remedy=_REMEDIES.get(first.column, "Leave it out, or publish it as a separate cube."),
    )
