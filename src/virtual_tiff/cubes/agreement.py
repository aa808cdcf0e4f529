"""Images of an inventory that share an array: one grid, one encoding, one meaning of the values."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.cubes.differences import Difference, codes_of, differences
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
