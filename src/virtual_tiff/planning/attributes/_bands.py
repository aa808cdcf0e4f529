"""Derive the attributes of some bands, or of one band as an array, from those of an image."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import JSON_TEXT, json_text
from virtual_tiff.planning.attributes._array import encode_fill_value
from virtual_tiff.planning.encoding.data_type import Scalar, nodata_value

type Attributes = dict[str, JSON]

#: Attributes that may be lists with one value for each band.
_BY_BAND = (
    "scales",
    "offsets",
    "band_units",
    "long_name",
    "nodata_values",
    "band_nodata",
    "color_interpretation",
    "gdal_band_metadata",
)


def of_bands(
    attributes: Attributes, bands: Sequence[int], count: int, data_type: np.dtype[np.generic]
) -> Attributes:
    """Return the attributes of an image of which some bands, counted from 1, were chosen.

    Parameters
    ----------
    attributes
        Attributes of the whole image.
    bands
        Numbers of the bands, counted from 1.
    count
        Number of bands of the image.
    data_type
        Of its values; xarray cannot scale complex numbers.
    """
    found = dict(attributes)
    for name in _BY_BAND:
        values = attributes.get(name)
        is_text = name in JSON_TEXT and isinstance(values, str)
        if is_text:
            values = json.loads(str(values))
        if isinstance(values, list) and len(values) == count:
            chosen: JSON = [values[band - 1] for band in bands]
            found[name] = json_text(chosen) if is_text else chosen
    scales, offsets = found.get("scales", [1.0]), found.get("offsets", [0.0])
    pairs = scales, offsets
    same = all(isinstance(one, list) and len(set(map(repr, one))) == 1 for one in pairs)
    real = data_type.kind != "c"
    if real and same and isinstance(scales, list) and isinstance(offsets, list) and scales[0] != 0:
        found.pop("scales", None)
        found.pop("offsets", None)
        found |= {"scale_factor": scales[0]} if scales[0] != 1 else {}
        found |= {"add_offset": offsets[0]} if offsets[0] != 0 else {}
    return found


def of_one_band(
    attributes: Attributes, band: int, count: int, data_type: np.dtype[np.generic]
) -> tuple[Attributes, Scalar | None]:
    """Return the attributes of one band as a separate array, and its own nodata value.

    Parameters
    ----------
    attributes, count, data_type
        As for `of_bands`.
    band
        Number of the band, counted from 1.

    Returns
    -------
    dict
        With `scale_factor`, `add_offset`, `units`, `_FillValue` and one `long_name` in place of
        lists.
    scalar or None
        The nodata value, where the bands have several.
    """
    found = of_bands(attributes, [band], count, data_type)
    names = found.get("long_name")
    if isinstance(names, list):
        del found["long_name"]
        found |= {"long_name": names[0]} if names[0] else {}
    units = found.pop("band_units", None)
    if isinstance(units, list):
        (unit,) = units
        readable = isinstance(unit, str) and unit and "since" not in unit
        found |= {"units": unit} if readable else {"band_units": [unit]} if unit else {}
    values = found.pop("band_nodata", None)
    nodata = nodata_value(str(values[0]), data_type) if isinstance(values, list) else None
    if nodata is not None:
        found["_FillValue"] = encode_fill_value(nodata)
    return found, nodata
