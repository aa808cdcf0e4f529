"""Derive the attributes of some bands, or of one band as an array, from those of an image."""

from __future__ import annotations

import json
from collections.abc import Sequence

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import JSON_TEXT, json_text

type Attributes = dict[str, JSON]

#: Attributes that may be lists with one value for each band.
_BY_BAND = (
    "scales",
    "offsets",
    "band_units",
    "long_name",
    "nodata_values",
    "color_interpretation",
    "gdal_band_metadata",
)


def of_bands(attributes: Attributes, bands: Sequence[int], count: int, *, real: bool) -> Attributes:
    """Return the attributes of an image of which some bands, counted from 1, were chosen.

    Parameters
    ----------
    attributes
        Attributes of the whole image.
    bands
        Numbers of the bands, counted from 1.
    count
        Number of bands of the image.
    real
        Whether its values are real numbers, since xarray cannot scale others.
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
    if real and same and isinstance(scales, list) and isinstance(offsets, list) and scales[0] != 0:
        found.pop("scales", None)
        found.pop("offsets", None)
        found |= {"scale_factor": scales[0]} if scales[0] != 1 else {}
        found |= {"add_offset": offsets[0]} if offsets[0] != 0 else {}
    return found


def of_one_band(attributes: Attributes, band: int, count: int, *, real: bool) -> Attributes:
    """Return the attributes of one band as a separate array.

    Parameters
    ----------
    attributes, count, real
        As for `of_bands`.
    band
        Number of the band, counted from 1.

    Returns
    -------
    dict
        With `scale_factor`, `add_offset`, `units` and one `long_name` in place of lists.
    """
    found = of_bands(attributes, [band], count, real=real)
    names = found.get("long_name")
    if isinstance(names, list):
        del found["long_name"]
        found |= {"long_name": names[0]} if names[0] else {}
    units = found.pop("band_units", None)
    if isinstance(units, list):
        (unit,) = units
        readable = isinstance(unit, str) and unit and "since" not in unit
        found |= {"units": unit} if readable else {"band_units": [unit]} if unit else {}
    return found
