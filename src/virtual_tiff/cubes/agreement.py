"""What images have to share to become one array, and what becomes of the rest of what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from virtual_tiff.cubes.differences import Difference, codes_of, differences, unusual
from virtual_tiff.errors import MismatchError
from virtual_tiff.json_type import JSON

type Table = Any

GRID = ("crs", "transform", "width", "height", "grid_mapping")
_ENCODING = ("data_type", "dimensions", "shape", "chunk_shape", "codecs", "fill_value")
#: Attributes without which the stored numbers mean something else.
MEANING = (
    "_FillValue",
    "nodata_values",
    "scale_factor",
    "scales",
    "add_offset",
    "offsets",
    "units",
    "band_units",
    "photometric_interpretation",
    "color_map",
)
_OWN_VARIABLE = "need variables of their own, or a cube of their own."
#: What can be done about a difference in a column.
_REMEDIES = {
    **dict.fromkeys(GRID, "Images on other grids need cubes, or groups, of their own."),
    **dict.fromkeys(MEANING, f"Images whose values mean something else {_OWN_VARIABLE}"),
    "codecs": f"Images with other encodings {_OWN_VARIABLE}",
    "fill_value": f"Images with other nodata values {_OWN_VARIABLE}",
    "band_names": f"Images with their bands in another order {_OWN_VARIABLE}",
}


def check_grids(table: Table) -> None:
    """Compare the grids of images.

    Raises
    ------
    MismatchError
        They differ; names the first image, and counts the others.
    """
    _raise_first(differences(table, GRID), table.num_rows)


def check_encodings(table: Table) -> dict[str, JSON]:
    """Compare how images are stored, and what their values mean.

    Returns
    -------
    dict
        The attributes that all of them have, with the same values.

    Raises
    ------
    MismatchError
        They differ; names the first image, and counts the others.
    """
    _raise_first(differences(table, _ENCODING), table.num_rows)
    column = table["attributes"]
    codes = codes_of(column)
    # Most images of an archive say the same, or the same but for their dates.
    texts = column.take(np.unique(codes, return_index=True)[1]).to_pylist()
    documents = [json.loads(text) for text in texts]
    for key in MEANING:
        values = [json.dumps(document[key]) if key in document else None for document in documents]
        if len(set(values)) > 1:
            _raise_first(unusual(table, key, [values[code] for code in codes]), table.num_rows)
    return shared_attributes(documents)


def shared_attributes(documents: Sequence[Mapping[str, JSON]]) -> dict[str, JSON]:
    """What all documents have, with the same values."""
    first, *others = documents
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }


def shared_band_names(table: Table) -> tuple[str, ...] | None:
    """Names of the bands that all images have; `None` where they do not agree, or have none.

    Raises
    ------
    MismatchError
        Images have the same bands in another order.
    """
    found = table["band_names"].to_pylist()
    names = {None if value is None else tuple(value) for value in found}
    if len(names) == 1:
        return names.pop()
    # Numbers are what was asked for, so that images without must have been read in another way.
    orders = [tuple(sorted(each)) for each in names if each is not None]
    numbered = any(all(part.isdecimal() for part in each) for each in orders)
    if len(set(orders)) < len(orders) or numbered:
        texts = [None if value is None else ", ".join(value) for value in found]
        _raise_first(unusual(table, "band_names", texts), table.num_rows)
    return None


def _raise_first(found: Sequence[Difference], count: int) -> None:
    """Raise what keeps images out of one array.

    Raises
    ------
    MismatchError
        If there is a difference.
    """
    if not found:
        return
    first = found[0]
    files = len({difference.row for difference in found})
    others = f" So do {files - 1} others." if files > 1 else ""
    raise MismatchError(
        f"{first.column} is {first.value}, but {first.expected} in {count - files} of {count} "
        f"images.{others}",
        url=first.url,
        ifd=first.ifd,
        remedy=_REMEDIES.get(first.column, "Leave it out, or give it a cube of its own."),
    )
