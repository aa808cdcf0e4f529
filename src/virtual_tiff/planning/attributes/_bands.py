"""Derive the attributes of some bands, or of one band as an array, from those of an image."""

from __future__ import annotations

from collections.abc import Sequence

from virtual_tiff.json_type import JSON

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


def of_bands(attributes: Attributes, bands: Sequence[int], count: int) -> Attributes:
    """Return the attributes of an image of which some bands, counted from 1, were chosen."""
    found = dict(attributes)
    for name in _BY_BAND:
        values = attributes.get(name)
        if isinstance(values, list) and len(values) == count:
            found[name] = [values[band - 1] for band in bands]
    return found


def of_one_band(attributes: Attributes, band: int, count: int, *, real: bool) -> Attributes:
    """Return the attributes of one band as a separate array.

    Parameters
    ----------
    attributes, count
        As for `of_bands`.
    band
        Number of the band, counted from 1.
    real
        Whether its values are real numbers, since xarray cannot scale others.

    Returns
    -------
    dict
        With `scale_factor`, `add_offset`, `units` and one `long_name` in place of lists.
    """
    found = of_bands(attributes, [band], count)
    names = found.get("long_name")
    if isinstance(names, list):
        del found["long_name"]
        found |= {"long_name": names[0]} if names[0] else {}
    units = found.pop("band_units", None)
    if isinstance(units, list):
        (unit,) = units
        readable = isinstance(unit, str) and "since" not in unit
        found |= {"units": unit} if readable else {"band_units": [unit]} if unit else {}
    scale, offset = found.get("scales", [1.0]), found.get("offsets", [0.0])
    if real and isinstance(scale, list) and isinstance(offset, list) and scale[0] != 0:
        found.pop("scales", None)
        found.pop("offsets", None)
        found |= {"scale_factor": scale[0]} if scale[0] != 1 else {}
        found |= {"add_offset": offset[0]} if offset[0] != 0 else {}
    return found
