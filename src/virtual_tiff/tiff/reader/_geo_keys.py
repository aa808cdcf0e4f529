"""Parse the GeoKeyDirectory (GeoTIFF 1.1 section 7.1.2) from its three tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import GeoKeyValue

#: Values and characters of all keys together: keys can overlap. Citations have some hundreds.
_MOST_VALUES = 1_000_000


def parse_geo_keys(directory: Any, doubles: Any, text: Any) -> dict[int, GeoKeyValue]:
    """Resolve a GeoKeyDirectory against GeoDoubleParams and GeoAsciiParams.

    Keys whose values are outside the parameters they point to are ignored, as in GDAL; the image
    itself is valid.
    """
    shorts = _numbers(directory, int)
    floats = _numbers(doubles, float)
    characters = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    keys: dict[int, GeoKeyValue] = {}
    left = _MOST_VALUES
    for i in range(4, len(shorts) - 3, 4):
        key, location, count, value = shorts[i : i + 4]
        if location == 0:
            keys[key] = value
            continue
        left -= count
        if left < 0:
            raise InvalidTIFFError(
                f"the GeoKeys have more than {_MOST_VALUES} values.",
                kind=ErrorKind.HEADER_TOO_LARGE,
                tag=Tag.GEO_KEY_DIRECTORY,
            )
        if location == Tag.GEO_ASCII_PARAMS:
            # The count includes the bar that ends the string.
            keys[key] = characters[value : value + count].split("\0")[0].removesuffix("|")
        elif location in (Tag.GEO_DOUBLE_PARAMS, Tag.GEO_KEY_DIRECTORY):
            source = floats if location == Tag.GEO_DOUBLE_PARAMS else shorts
            values = tuple(source[value : value + count])
            if values and len(values) == count:
                keys[key] = values[0] if count == 1 else tuple(float(v) for v in values)
    return keys


def geo_key_revision(directory: Any) -> tuple[int, int]:
    """Return KeyRevision and MinorRevision of a GeoKeyDirectory; 1.1 if there is none."""
    shorts = () if directory is None else _numbers(np.atleast_1d(np.asarray(directory))[:4], int)
    return (shorts[1], shorts[2]) if len(shorts) >= 3 else (1, 1)


def _numbers[T: (int, float)](values: Any, kind: type[T]) -> Sequence[T]:
    if type(values) is tuple and set(map(type, values)) == {kind}:
        return values  # the common case
    array = np.atleast_1d(np.asarray(values))
    # A directory has only integers, and parameters only numbers.
    if array.dtype.kind not in ("iu" if kind is int else "iuf"):
        return []
    return [kind(value) for value in array.tolist()]
