"""Images of an inventory that share an array: one grid, one encoding, one meaning of the values."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.errors import MismatchError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import (
    COLLECTION,
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
ENCODING = ("data_type", "dimensions", "shape", "chunk_shape", "codecs", "fill_value")
_OWN_VARIABLE = "need separate variables, or a separate cube."
#: What can be done about a difference in a column or an attribute.
REMEDIES = {
    **dict.fromkeys(GRID, "Images on other grids need separate cubes, or groups."),
    **dict.fromkeys(MEANING, f"Images whose values have another meaning {_OWN_VARIABLE}"),
    **dict.fromkeys(
        (*ORDER, "band_numbers"), f"Images with their bands in another order {_OWN_VARIABLE}"
    ),
    COLLECTION: "Put {collection} into the template of the group, name the variables by another "
    'column, or scan with stac_metadata="ignore".',
    "codecs": f"Images with other encodings {_OWN_VARIABLE}",
    "fill_value": f"Images with other nodata values {_OWN_VARIABLE}",
}
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Difference:
    """One image that differs from most others in one column or attribute."""

    row: int
    column: str
    value: object
    expected: object


def differences(table: pa.Table, columns: Sequence[str]) -> list[Difference]:
    """Compare columns of an inventory with their most frequent values, in the order of rows."""
    found: list[Difference] = []
    for column in columns:
        values, codes = _distinct(table[column])
        if len(values) <= 1:
            continue
        expected = values[int(np.argmax(np.bincount(codes)))]
        same = np.array([_same(column, value, expected, table) for value in values])
        found += [
            Difference(int(row), column, values[codes[row]], expected)
            for row in np.flatnonzero(~same[codes])
        ]
    return sorted(found, key=lambda difference: difference.row)


def _distinct(column: pa.ChunkedArray) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the distinct values of a column, and which of them each row has."""
    codes = codes_of(column)
    first = np.unique(codes, return_index=True)[1] if codes.any() else np.arange(len(codes))[:1]
    return column.take(pa.array(first)).to_pylist(), codes


def codes_of(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Return a number for each row, equal for equal values of a column."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        matrix = _matrix(column)
        if matrix is not None and (matrix == matrix[0]).all():
            return np.zeros(len(column), np.int64)
        if matrix is None:
            keys = [None if value is None else tuple(value) for value in column.to_pylist()]
            numbers: dict[Hashable, int] = {}
            return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
        inverse: NDArray[np.intp] = np.unique(matrix, axis=0, return_inverse=True)[1]
        return inverse.reshape(-1).astype(np.int64)
    if not pa.types.is_dictionary(kind):
        column = column.dictionary_encode(null_encoding="encode")
    indices = column.indices.fill_null(len(column.dictionary)).to_numpy(zero_copy_only=False)
    if indices.size and (indices == indices[0]).all():
        return np.zeros(indices.size, np.int64)
    _, codes = np.unique(indices, return_inverse=True)
    return codes.astype(np.int64)


def canonical_codes(table: pa.Table, column: str) -> NDArray[np.int64]:
    """Return a number for each row, equal for values of a column that mean the same."""
    values, codes = _distinct(table[column])
    if len(values) == 1 or column not in ("transform", "crs"):
        return codes
    numbers: dict[Hashable, int] = {}
    usual = values[int(np.argmax(np.bincount(codes)))]
    found = []
    for value in values:
        key: Hashable = value
        if _same(column, value, usual, table):
            key = ("usual",)
        elif column == "crs":
            texts = [each for each in numbers if isinstance(each, str)]
            key = next((each for each in texts if same_crs(each, value)), value)
        elif value is not None:
            # Noise of writers is less than a thousandth of a pixel.
            pixel = max(map(abs, (*value[:2], *value[3:5]))) or 1.0
            key = (round(pixel, 9), *(round(part / pixel, 3) for part in value))
        found.append(numbers.setdefault(key, len(numbers)))
    return np.array(found, np.int64)[codes]


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


def short(value: object) -> str:
    """Return a value as text for a message, shortened if it is long."""
    text = str(tuple(value) if isinstance(value, list) else value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def check_grids(table: pa.Table) -> None:
    """Refuse images on different grids; name the first and count the others."""
    if found := differences(table, GRID):
        raise _mismatch(table, found)


def check_encodings(table: pa.Table, *, stitched: bool = False) -> dict[str, JSON]:
    """Refuse images whose encodings or meanings differ; return the attributes that all share.

    Images that are `stitched` may have other sizes.
    """
    columns = ["bands" if stitched and name == "shape" else name for name in ENCODING]
    if different := differences(table, columns):
        raise _mismatch(table, different)
    # Most images of an archive have equal attributes, except for dates.
    texts, codes = _distinct(table["attributes"])
    documents: list[Document] = [json.loads(text) for text in texts]

    def refuse(found: Disagreement) -> MismatchError:
        return _mismatch(table, _unusual(found.key, documents, codes))

    shared = agreed(documents, refuse)
    notes = dict.fromkeys(note for one in documents for note in _notes(one))
    return {**shared, "notes": list(notes)} if notes else shared


def _notes(document: Document) -> list[str]:
    """Return the notes on what of an image is not published."""
    found = document.get("notes")
    return [str(note) for note in found] if isinstance(found, list) else []


def shared_band_names(table: pa.Table) -> tuple[str, ...] | None:
    """Return the band names of all images; `None` if they differ, or there are none.

    Images with the same bands in another order, or with other bands chosen, are refused.
    """
    found, codes = _distinct(table["band_names"])
    if len(found) == 1:
        return None if found[0] is None else tuple(found[0])
    # Band numbers come from `bands=`, so images without them were read with other options.
    numbered = any(each is not None and all(name.isdecimal() for name in each) for each in found)
    key = "band_numbers" if numbered else "band_names"
    documents: list[Document] = [{key: each} for each in found]
    if numbered or next(disagreements(documents, [key]), None) is not None:
        raise _mismatch(table, _unusual(key, documents, codes))
    return None


def _unusual(key: str, documents: Sequence[Document], codes: NDArray[np.int64]) -> list[Difference]:
    """Images whose attribute means something else than in most; `codes` are of `documents`."""
    usual = most_common(documents, key, np.bincount(codes).tolist())
    order = [usual, *(code for code in range(len(documents)) if code != usual)]
    odd = {
        order[found.index]: found
        for found in disagreements([documents[code] for code in order], [key])
    }
    return [
        Difference(row, key, odd[code].value, odd[code].expected)
        for row, code in enumerate(codes.tolist())
        if code in odd
    ]


def _mismatch(table: pa.Table, found: Sequence[Difference]) -> MismatchError:
    """Make the error of what keeps images out of one array: names the first, counts the others."""
    first, count = found[0], table.num_rows
    files = len({difference.row for difference in found})
    others = f" So do {files - 1} others." if files > 1 else ""
    ifd = table["ifd"][first.row].as_py()
    return MismatchError(
        f"{first.column} is {short(first.value)}, but {short(first.expected)} in "
        f"{count - files} of {count} images.{others}",
        url=table["url"][first.row].as_py(),
        ifd=None if ifd is None else tuple(int(part) for part in ifd.split(".")),
        remedy=REMEDIES.get(first.column, "Leave it out, or publish it as a separate cube."),
    )
