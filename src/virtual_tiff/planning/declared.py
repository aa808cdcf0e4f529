"""Complete the attributes of an image with what a catalogue declares about its values.

STAC Items say scale, offset, nodata, unit and names of bands beside the file. Where the TIFF says
nothing, they are taken over; where it says something else, the image is refused, since one of them
is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isclose, isfinite
from typing import cast

import numpy as np

from virtual_tiff.errors import MismatchError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import COLLECTION, Document, disagreements
from virtual_tiff.planning.attributes import (
    Flag,
    encode_fill_value,
    flag_attributes,
    list_of_bands,
)
from virtual_tiff.planning.encoding.data_type import Scalar, nodata_value
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan

type Attributes = dict[str, JSON]

_NODATA = ("_FillValue", "band_nodata", "nodata_values")
_SCALING = ("scale_factor", "scales", "add_offset", "offsets")
_UNITS = ("units", "band_units")
_FLAGS = ("flag_values", "flag_masks", "flag_meanings")
#: Spellings of one unit; others are compared as they are.
_UNIT_NAMES = (
    {"m", "meter", "meters", "metre", "metres"},
    {"cm", "centimeter", "centimeters", "centimetre", "centimetres"},
    {"km", "kilometer", "kilometers", "kilometre", "kilometres"},
    {"ft", "foot", "feet"},
    {"k", "kelvin"},
    {"°", "deg", "degree", "degrees"},
    {"°c", "degc", "celsius", "degree celsius"},
    {"%", "percent"},
)
#: What Items write where there is no unit.
_NO_UNIT = frozenset({"", "none", "None", "unitless"})
#: Doubles that were written with fewer digits, or as float32.
_PRECISION = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a catalogue declares about an image.

    Parameters
    ----------
    bands
        For each band of the file, in its order: `nodata`, `scale`, `offset`, `unit`, `name`, and
        `flags`, lists of value, mask of its bits and name; those that are declared.
    collection
        The collection of the Item; images of two collections do not share an array.
    fault
        Why it cannot be told what the Item says; `None` if it can.
    """

    bands: Sequence[Document] = ()
    collection: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Attributes of an image, and its nodata value if that is a declared one."""

    attributes: Attributes = field(default_factory=dict)
    nodata: Scalar | None = None


def complete(
    attributes: Document,
    declared: Declared,
    data_type: np.dtype[np.generic],
    count: int,
    chosen: Sequence[int] | None = None,
    *,
    is_sparse: bool = False,
) -> Completed:
    """Complete the attributes of one image.

    Parameters
    ----------
    attributes
        Of the array, from the TIFF.
    declared
        What the catalogue says.
    data_type, count
        Data type and number of bands of the array.
    chosen
        Numbers of the bands of the file that the array has; `None` for all.
    is_sparse
        Whether segments are missing, which read as the one fill value of the array.

    Raises
    ------
    MismatchError
        The TIFF says something else, the bands are not those that are declared, or the Item
        cannot be understood.
    """
    if declared.fault is not None:
        raise _mismatch(f"the Item cannot be understood: {declared.fault}.")
    bands = _bands(declared.bands, count, chosen)
    found = dict(attributes)
    values, nodata = _nodata(bands, data_type)
    if any(key in attributes for key in _NODATA):
        # The bands of NODATA_VALUES are no data together, which no catalogue can say.
        nodata = None
        if "nodata_values" not in attributes:
            _check(attributes, values)
    else:
        if is_sparse and "band_nodata" in values:
            raise _mismatch(
                "bands have different nodata values, but an array has one fill value, and some "
                "segments of the image are missing."
            )
        found |= values
    scaling = _scaling(bands, real=data_type.kind != "c")
    if any(key in attributes for key in _SCALING):
        _check(attributes, scaling)
    else:
        neutral = {"scale_factor": 1, "add_offset": 0}
        found |= {k: value for k, value in scaling.items() if value != neutral.get(k)}
    units = _units(bands)
    if any(key in attributes for key in _UNITS):
        _check(_spelt(attributes), _spelt(units))
    else:
        found |= units
    names = _names(bands)
    if "long_name" in attributes:
        _check(attributes, names)
    else:
        found |= names
    if not any(key in attributes for key in _FLAGS):
        found |= _flags(bands, data_type)
    if declared.collection is not None:
        found[COLLECTION] = declared.collection
    return Completed(attributes=found, nodata=nodata)


def completed_group(
    plan: GroupPlan, declared: Declared, chosen: Sequence[int] | None = None
) -> GroupPlan:
    """Complete the images of a group, and of those below it; masks and coordinates stay."""
    return replace(
        plan,
        arrays={k: _completed_array(array, declared, chosen) for k, array in plan.arrays.items()},
        groups={k: completed_group(group, declared, chosen) for k, group in plan.groups.items()},
    )


def _completed_array(
    plan: ArrayPlan, declared: Declared, chosen: Sequence[int] | None
) -> ArrayPlan:
    if plan.ifd is None or _is_mask(plan):
        return plan
    count = dict(zip(plan.dimension_names, plan.shape, strict=True)).get("band", 1)
    try:
        found = complete(
            plan.attributes, declared, plan.data_type, count, chosen, is_sparse=plan.is_sparse
        )
    except MismatchError as error:
        error.at(url=None if plan.source is None else plan.source.url, ifd=plan.ifd)
        raise
    fill_value = plan.fill_value if found.nodata is None else found.nodata
    return replace(plan, attributes=found.attributes, fill_value=fill_value)


def _is_mask(plan: ArrayPlan) -> bool:
    """Return whether an array is a mask, of the file itself or of one beside it (GDAL's .msk)."""
    url = "" if plan.source is None else plan.source.url.lower()
    photometric = plan.attributes.get("photometric_interpretation")
    return photometric == "TransparencyMask" or url.removesuffix(".ovr").endswith(".msk")


def _bands(
    declared: Sequence[Document], count: int, chosen: Sequence[int] | None
) -> Sequence[Document]:
    """Return what is declared about each band of the array; nothing if nothing is."""
    if not any(declared):
        return ()
    if chosen is not None and max(chosen) <= len(declared) and len(chosen) == count:
        return [declared[band - 1] for band in chosen]
    if chosen is None and len(declared) == count:
        return declared
    values = [{key: v for key, v in band.items() if key != "name"} for band in declared]
    if all(band == values[0] for band in values):
        return [values[0]] * count
    raise _mismatch(f"{len(declared)} bands are declared, but the image has {count}.")


def _nodata(
    bands: Sequence[Document], data_type: np.dtype[np.generic]
) -> tuple[Attributes, Scalar | None]:
    texts = [band.get("nodata") for band in bands]
    if data_type.kind not in "iufc" or all(text is None for text in texts):
        return {}, None
    values = [None if text is None else nodata_value(str(text), data_type) for text in texts]
    # Compared as text, since NaN is not equal to itself.
    if len(set(map(repr, values))) > 1:
        return {"band_nodata": list_of_bands(values)}, None
    value = values[0]
    return ({}, None) if value is None else ({"_FillValue": encode_fill_value(value)}, value)


def _scaling(bands: Sequence[Document], *, real: bool) -> Attributes:
    """Return what is declared, neutral values too, so that a contradiction is seen."""
    scales, offsets = ([band.get(key) for band in bands] for key in ("scale", "offset"))
    filled = [1 if scale is None else scale for scale in scales]
    pairs = {(scale, offset or 0) for scale, offset in zip(filled, offsets, strict=True)}
    uniform = real and len(pairs) == 1 and filled[0] != 0
    found: Attributes = {}
    for values, neutral, one, many in (
        (scales, 1, "scale_factor", "scales"),
        (offsets, 0, "add_offset", "offsets"),
    ):
        if all(value is None for value in values):
            continue
        said: list[JSON] = [neutral if value is None else value for value in values]
        if uniform:
            found[one] = said[0]
        elif any(value != neutral for value in said):
            found[many] = said
    return found


def _units(bands: Sequence[Document]) -> Attributes:
    units = [None if band.get("unit") in _NO_UNIT else band.get("unit") for band in bands]
    if not any(units):
        return {}
    first = units[0]
    if isinstance(first, str) and len(set(units)) == 1 and "since" not in first:
        return {"units": first}
    return {"band_units": [unit or "" for unit in units]}


def _names(bands: Sequence[Document]) -> Attributes:
    names = [band.get("name") for band in bands]
    if not any(names):
        return {}
    return {"long_name": names[0] if len(names) == 1 else [name or "" for name in names]}


def _flags(bands: Sequence[Document], data_type: np.dtype[np.generic]) -> Attributes:
    """Return the classes that all bands share."""
    said = [band.get("flags") for band in bands]
    if not said or not said[0] or any(flags != said[0] for flags in said):
        return {}
    limits = np.iinfo(data_type.name) if data_type.kind in "iu" else None
    flags = cast("list[Flag]", said[0])
    return flag_attributes(flags, None if limits is None else (int(limits.min), int(limits.max)))


def _spelt(attributes: Document) -> Attributes:
    """Return units with one spelling each."""

    def spelt(unit: JSON) -> JSON:
        text = unit.strip().lower() if isinstance(unit, str) else unit
        return next((min(names) for names in _UNIT_NAMES if text in names), text)

    found: Attributes = {}
    for key in _UNITS:
        value = attributes.get(key)
        if isinstance(value, list):
            found[key] = [spelt(part) for part in value]
        elif value is not None:
            found[key] = spelt(value)
    return found


def _check(ours: Document, declared: Document) -> None:
    """Refuse what the TIFF contradicts."""
    for found in disagreements([ours, declared], tuple(declared)):
        if not _close(found.value, found.expected):
            raise _mismatch(
                f"{found.key} is {found.value} in the Item, but {found.expected} in the TIFF."
            )


def _close(one: JSON, other: JSON) -> bool:
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return all(map(_close, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return isfinite(one) and isclose(one, other, rel_tol=_PRECISION)
    return one == other


def _mismatch(message: str) -> MismatchError:
    return MismatchError(
        message, remedy='Pass stac_metadata="ignore" to use what the TIFF says alone.'
    )
