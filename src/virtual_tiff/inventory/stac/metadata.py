"""Read what a STAC Item says about the values of an asset: bands, scales, nodata, classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from virtual_tiff.errors import shorten
from virtual_tiff.inventory.stac.assets import Asset, Item

#: Widest integer of a field of bits.
_MAX_BITS = 64


def metadata_of(asset: Asset, item: Item) -> str | None:
    """Return collection and bands of an asset as JSON; `None` if nothing is said.

    Bands are `bands` of STAC 1.1, which inherit from their asset, or `raster:bands` and `eo:bands`
    (Raster and Electro-Optical extensions, 1.1). In place of the bands is a `fault`, if they are
    not as these specify or contradict each other, which would leave pixels unscaled in silence.
    """
    said: dict[str, Any] = {}
    if item.get("collection") is not None:
        said["collection"] = str(item["collection"])
    try:
        bands = _bands(asset)
    except _FaultError as fault:
        said["fault"] = str(fault)
    else:
        if any(bands):
            said["bands"] = bands
    return json.dumps(said, sort_keys=True) if said else None


class _FaultError(ValueError):
    """What an Item says of values cannot be understood."""


def _bands(asset: Asset) -> list[dict[str, Any]]:
    rasters = _objects(asset, "raster:bands")
    others = _objects(asset, "bands") or _objects(asset, "eo:bands")
    count = max(len(rasters), len(others), 1)
    rasters, others = (each + [{}] * (count - len(each)) for each in (rasters, others))
    pairs = zip(rasters, others, strict=True)
    return [_band(raster, other, asset, number) for number, (raster, other) in enumerate(pairs, 1)]


def _objects(said: Asset, name: str) -> list[Mapping[str, Any]]:
    """Return a list of objects; those that are null, as in a table, are empty."""
    value = said.get(name)
    if value is None:
        return []
    if isinstance(value, list) and all(one is None or isinstance(one, Mapping) for one in value):
        return [one or {} for one in value]
    raise _FaultError(f"{name} is no list of objects, but {shorten(value)}")


def _band(raster: Asset, other: Asset, asset: Asset, number: int) -> dict[str, Any]:
    """Return what is said about a band, the more specific first."""
    found: dict[str, Any] = {}
    for name, read in (
        ("nodata", _nodata),
        ("scale", _finite),
        ("offset", _finite),
        ("unit", _text),
    ):
        of_band = (raster.get(name), other.get(name), other.get(f"raster:{name}"))
        of_asset = (asset.get(f"raster:{name}"), asset.get(name))
        for values in (of_band, of_asset):
            given = [value for value in values if value is not None]
            said = [read(value) for value in given]
            if None in said:
                raise _FaultError(f"{name} of band {number} is {shorten(given[said.index(None)])}")
            if len(texts := dict.fromkeys(map(str, said))) > 1:
                raise _FaultError(f"{name} of band {number} is {' and '.join(texts)}")
            if said:
                found[name] = said[0]
                break
    for one in (raster, other, asset):
        if flags := _flags(one):
            found["flags"] = flags
            break
    labels = (other.get("name"), raster.get("name"), other.get("common_name"))
    if label := next((text for text in labels if isinstance(text, str) and text), None):
        found["name"] = label
    return found


def _finite(value: Any) -> int | float | None:
    """Return a number, or that of a text, which some catalogues write; `None` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not isfinite(number):
        return None
    found: int | float = plain_number(number if isinstance(value, str) else value)
    return found


def _nodata(value: Any) -> int | float | str | None:
    """Return a number, or text such as `nan`, which is read as GDAL reads it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    found: int | float | str = plain_number(value)
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flags(said: Asset) -> list[tuple[int, int | None, str]]:
    """Return value, mask and name of the classes of a band or an asset.

    They are `classification:classes` or `classification:bitfields` (Classification extension, 2.0),
    or `file:values` (File Info extension).
    """
    found: list[tuple[int, int | None, str]] = []
    for bits in _objects(said, "classification:bitfields"):
        offset, length = (plain_number(bits.get(key)) for key in ("offset", "length"))
        if not (isinstance(offset, int) and isinstance(length, int)):
            continue
        if not 0 <= offset < offset + length <= _MAX_BITS:
            continue
        field = str(bits.get("name") or bits.get("description") or f"bits_{offset}")
        for value, name in _named(_objects(bits, "classes")):
            found.append((value << offset, (1 << length) - 1 << offset, f"{field} {name}"))
    if found:
        return found
    classes = _objects(said, "classification:classes") or [
        {"value": value, "name": group.get("summary")}
        for group in _objects(said, "file:values")
        if isinstance(values := group.get("values"), list)
        for value in values
    ]
    return [(value, None, name) for value, name in _named(classes)]


def _named(classes: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yield values and names of classes that have both."""
    for one in classes:
        value = plain_number(one.get("value"))
        name = one.get("name") or one.get("title") or one.get("description")
        if isinstance(value, int) and isinstance(name, str):
            yield value, name


def plain_number(value: Any) -> Any:
    """Return whole numbers as integers: a table may have made floats of them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
