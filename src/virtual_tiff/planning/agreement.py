"""What images must agree on to share one array, and the attributes that all of them have.

The one comparison of attributes: pages of a file, images of a cube, and images that are appended
to one are compared here. Values are compared by what they mean: 1 equals 1.0, NaN equals NaN, a
list equals a tuple, and an attribute that is absent equals one that says nothing.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from struct import error as StructError
from struct import unpack
from typing import Any

import numpy as np

from virtual_tiff.errors import MismatchError, shorten
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.same_grid import same_crs

type Document = Mapping[str, JSON]

_JSON = json.JSONEncoder(ensure_ascii=False)

#: Attribute with the collection of the STAC Item of an image: the same key may be another band.
COLLECTION = "stac_collection"
#: Attributes that give the stored numbers their meaning.
MEANING = (
    COLLECTION,
    # which numbers are none (CF section 2.5.1, GDAL's NODATA_VALUES)
    "_FillValue",
    "missing_value",
    "nodata_values",
    "band_nodata",
    "valid_min",
    "valid_max",
    "valid_range",
    # numbers to quantities (CF sections 3.1, 3.3 and 8.1)
    "scale_factor",
    "scales",
    "add_offset",
    "offsets",
    "units",
    "band_units",
    "standard_name",
    # numbers to colours, masks and classes (TIFF 6.0 sections 4, 5 and 18, CF section 3.5)
    "photometric_interpretation",
    "color_map",
    "extra_samples",
    "flag_values",
    "flag_masks",
    "flag_meanings",
)
#: Attributes with a name for each band: a band that two images have is at the same place in both.
#: Where they name other bands, or only one of them names any, nothing contradicts.
ORDER = ("band_names", "long_name", "color_interpretation")
#: Mappings, or lists of them, as JSON in a string, since netCDF has no other place for them.
JSON_TEXT = frozenset({"tiff", "gdal_metadata", "gdal_band_metadata", "geo_keys"})
#: Lists of texts that documents of arrays have as JSON in a string, since `rio.to_raster` writes
#: what Python prints of a list. (It knows lists as `long_name`.)
TEXT_LISTS = frozenset(
    {
        "color_interpretation",
        "extra_samples",
        "band_units",
        "band_nodata",
        "nodata_values",
        "notes",
    }
)

#: Attributes with a CRS as text, which has many forms.
_SYSTEMS = ("crs_wkt", "proj:wkt2")
#: Attributes with a place that coordinates do not tell.
_PLACES = ("coordinate_epoch", "GeoTransform", "gcps", "rpcs")

#: What it means that an attribute is absent, where that is something.
_ABSENT: Document = {
    "scale_factor": 1,
    "add_offset": 0,
    "units": "",
    # As GDAL takes an image without the tag.
    "photometric_interpretation": "BlackIsZero",
}
#: Values that say nothing in lists with a value for each band, or for each further sample.
_NOTHING: Document = {
    "scales": 1,
    "offsets": 0,
    "band_units": "",
    "extra_samples": "unspecified",
}
#: Names that name no band.
_UNNAMED = frozenset({"", "undefined"})
_NAN = object()
#: Types whose values are compared as they are; others may be arrays.
_PLAIN = frozenset({bool, int, float, str, list, tuple, dict})


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One attribute that means something else than in a document before.

    Parameters
    ----------
    index
        Of the document.
    key
        Of the attribute.
    value, expected
        What it has, and what the other has; `None` where it is absent.
    """

    index: int
    key: str
    value: JSON
    expected: JSON


def agreed(
    documents: Iterable[Document], refuse: Callable[[Disagreement], MismatchError]
) -> dict[str, JSON]:
    """Attributes that all documents have, if their values mean the same.

    Parameters
    ----------
    documents
        Attributes of each image, at least one; read one after the other.
    refuse
        Makes the error of the first disagreement, which knows what the documents are.

    Raises
    ------
    MismatchError
        From `refuse`.
    """
    comparison = _Comparison((*MEANING, *ORDER))
    shared: dict[str, JSON] | None = None
    for document in documents:
        for found in comparison.add(document):
            raise refuse(found)
        shared = dict(document) if shared is None else _shared(shared, document)
    return shared or {}


def agreeing(attributes: Iterable[Mapping[str, Any]], context: object = None) -> dict[str, Any]:
    """Combine attributes for `combine_attrs=` of xarray and VirtualiZarr.

    What gives values or places their meaning (scales, units, nodata values, CRS, control points and
    others) has to agree; other attributes that differ are dropped, and OME-Zarr metadata, whose
    axes a join may change.

    Parameters
    ----------
    attributes
        Attributes of each variable or dataset.
    context
        Not used; xarray passes what it combines.

    Returns
    -------
    dict
        The attributes that all have, with the same values.

    Raises
    ------
    MismatchError
        They do not agree. xarray's default takes the attributes of the first instead.

    Examples
    --------
    >>> agreeing([{"units": "m", "title": "A"}, {"units": "m", "title": "B"}])
    {'units': 'm'}
    """
    documents = list(attributes)
    for key in _SYSTEMS:
        systems = [document.get(key) for document in documents]
        for index, system in enumerate(systems):
            if not same_crs(systems[0], system):
                raise _refuse(Disagreement(index, key, system, systems[0]))
    for found in disagreements(documents, (*MEANING, *ORDER, *_PLACES)):
        raise _refuse(found)
    shared = shared_attributes(documents) if documents else {}
    # The axes of one dataset, which a join may change.
    if len(documents) > 1:
        shared.pop("ome", None)
    return shared


def _refuse(found: Disagreement) -> MismatchError:
    return MismatchError(
        f"images differ in {found.key}: {shorten(str(found.value))}, but "
        f"{shorten(str(found.expected))} in the first.",
        remedy="Combine only images that agree, or give the values one meaning first.",
    )


def disagreements(
    documents: Iterable[Document], keys: Sequence[str] = (*MEANING, *ORDER)
) -> Iterator[Disagreement]:
    """Compare documents with the first of them, and the places of bands with all before."""
    comparison = _Comparison(keys)
    for document in documents:
        yield from comparison.add(document)


def most_common(documents: Sequence[Document], key: str, weights: Sequence[int]) -> int:
    """Index of a document whose attribute means what it means in most of them.

    Parameters
    ----------
    weights
        How many images each document stands for.
    """
    meanings = [_meaning(key, document.get(key)) for document in documents]
    counts: Counter[Hashable] = Counter()
    for meaning, weight in zip(meanings, weights, strict=True):
        counts[meaning] += int(weight)
    return meanings.index(counts.most_common(1)[0][0])


def shared_attributes(documents: Iterable[Document]) -> dict[str, JSON]:
    """What all documents have, with the same values; of values that are mappings, their part.

    Parameters
    ----------
    documents
        At least one.
    """
    others = iter(documents)
    return reduce(_shared, others, dict(next(others)))


def readable(key: str, value: JSON) -> JSON:
    """Value of an attribute as people write it: `_FillValue` is stored as base64."""
    if key != "_FillValue":
        return value
    if isinstance(value, list | tuple):
        return [readable(key, part) for part in value]
    if not isinstance(value, str):
        return value
    try:
        number: float = unpack("<d", b64decode(value, validate=True))[0]
    except (ValueError, StructError):
        return value
    return number


def written(attributes: Document) -> dict[str, JSON]:
    """Return attributes as documents of arrays have them: lists of texts as JSON in a string."""
    return {
        key: json_text(value)
        if key in TEXT_LISTS and isinstance(value, list) and any(isinstance(v, str) for v in value)
        else value
        for key, value in attributes.items()
    }


def listed(key: str, value: JSON) -> JSON:
    """Return the list of an attribute that `written` made a string of."""
    if key in TEXT_LISTS and isinstance(value, str) and value.startswith("["):
        found: JSON = json.loads(value)
        return found
    return value


def json_text(value: JSON) -> str:
    """Return the text of an attribute of `JSON_TEXT`."""
    return _JSON.encode(value)


class _Comparison:
    """Documents one after the other, of which only the first and names of bands are kept."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._count = 0
        self._first: Document = {}
        #: The last list of names by key: most are as the one before.
        self._last: dict[str, JSON] = {}
        #: By key, name, and how often a list has it: where, and the list.
        self._places: dict[tuple[str, str, int], tuple[tuple[int, ...], JSON]] = {}

    def add(self, document: Document) -> Iterator[Disagreement]:
        """Compare one more document."""
        index, self._count = self._count, self._count + 1
        if index == 0:
            self._first = document
        for key in self._keys:
            value, first = document.get(key), self._first.get(key)
            if value is first is None:
                continue
            value, first = listed(key, value), listed(key, first)
            if key == COLLECTION and (value is None or first is None):
                self._first = {**self._first, key: value or first}
                continue
            if key in ORDER:
                clash = self._misplaced(key, value)
                if clash is not None:
                    yield Disagreement(index, key, value, clash)
            elif not _same(key, value, first):
                yield Disagreement(index, key, readable(key, value), readable(key, first))

    def _misplaced(self, key: str, value: JSON) -> JSON:
        """Return a list seen before in which a band is at another place."""
        if not isinstance(value, list | tuple) or len(value) < 2 or value == self._last.get(key):
            return None
        places: dict[str, list[int]] = {}
        for place, name in enumerate(value):
            if isinstance(name, str) and name not in _UNNAMED:
                places.setdefault(name, []).append(place)
        clash: JSON = None
        for name, found in places.items():
            known = self._places.setdefault((key, name, len(found)), (tuple(found), value))
            if known[0] != tuple(found) and clash is None:
                clash = known[1]
        if clash is None:
            self._last[key] = value
        return clash


def _same(key: str, one: JSON, other: JSON) -> bool:
    # Most are equal, and long lists are compared in less time than they are normalised.
    if one is other or (type(one) in _PLAIN and type(other) in _PLAIN and one == other):
        return True
    return _meaning(key, one) == _meaning(key, other)


def _meaning(key: str, value: JSON) -> Hashable:
    """Return a key that is equal for attributes that mean the same."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    value = listed(key, readable(key, value))
    if isinstance(value, list | tuple) and key in _NOTHING:
        nothing = _NOTHING[key]
        if all(part == nothing or part in ("", None) for part in value):
            value = None
    return _normal(_ABSENT.get(key) if value is None else value)


def _normal(value: object) -> Hashable:
    """Return a key that is equal for equal values, in whatever types they are."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return frozenset((key, _normal(part)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(_normal(part) for part in value)
    if isinstance(value, float) and value != value:
        return _NAN
    assert isinstance(value, Hashable)
    return value


def _shared(one: Document, other: Document) -> dict[str, JSON]:
    shared: dict[str, JSON] = {}
    for key, value in one.items():
        if key not in other:
            continue
        theirs = other[key]
        if _same(key, value, theirs):
            shared[key] = value
            continue
        if key in JSON_TEXT and isinstance(value, str) and isinstance(theirs, str):
            before = _parsed(value)
            if part := _part(before, json.loads(theirs)):
                shared[key] = value if part == before else json_text(part)
        elif part := _part(value, theirs):
            shared[key] = part
    return shared


@lru_cache(maxsize=8)
def _parsed(text: str) -> JSON:
    """Return the value of a text that many are compared with; do not modify it."""
    value: JSON = json.loads(text)
    return value


def _part(one: JSON, other: JSON) -> JSON:
    """Return what two mappings, or two lists of mappings, have in common; `None` if nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return _shared(one, other)
    if not (isinstance(one, list) and isinstance(other, list) and len(one) == len(other)):
        return None
    parts = [_part(mine, theirs) or {} for mine, theirs in zip(one, other, strict=True)]
    return list[JSON](parts) if any(parts) else None
