"""Read what a STAC Item says about the values of an asset: bands, scales, nodata, classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

type Item = Mapping[str, Any]
type Asset = Mapping[str, Any]

#: Widest integer of a field of bits.
_MAX_BITS = 64


def metadata_of(asset: Asset, item: Item) -> str | None:
    """Return collection and bands of an asset as JSON; `None` if nothing is said.

    Bands are `bands` of STAC 1.1, which inherit from their asset, or `raster:bands` and `eo:bands`
    (Raster and Electro-Optical extensions, 1.1).
    """
    said: dict[str, Any] = {}
    if item.get("collection") is not None:
        said["collection"] = str(item["collection"])
    rasters = list(asset.get("raster:bands") or ())
    others = list(asset.get("bands") or asset.get("eo:bands") or ())
    count = max(len(rasters), len(others), 1)
    bands = []
    for i in range(count):
        raster = rasters[i] if i < len(rasters) else {}
        other = others[i] if i < len(others) else {}
        bands.append(_band(raster, other, asset))
    if any(bands):
        said["bands"] = bands
    return json.dumps(said, sort_keys=True) if said else None


def _band(raster: Asset, other: Asset, asset: Asset) -> dict[str, Any]:
    """Return what is said about a band, the more specific first."""
    found: dict[str, Any] = {}
    for name, kinds in (
        ("nodata", int | float | str),
        ("scale", int | float),
        ("offset", int | float),
        ("unit", str),
    ):
        for value in (
            raster.get(name),
            other.get(name),
            other.get(f"raster:{name}"),
            asset.get(f"raster:{name}"),
            asset.get(name),
        ):
            if isinstance(value, kinds) and not isinstance(value, bool):
                found[name] = plain_number(value)
                break
    for said in (raster, other, asset):
        if flags := _flags(said):
            found["flags"] = flags
            break
    labels = (other.get("name"), raster.get("name"), other.get("common_name"))
    if label := next((text for text in labels if isinstance(text, str) and text), None):
        found["name"] = label
    return found


def _flags(said: Asset) -> list[tuple[int, int | None, str]]:
    """Return value, mask and name of the classes of a band or an asset.

    They are `classification:classes` or `classification:bitfields` (Classification extension, 2.0),
    or `file:values` (File Info extension).
    """
    found: list[tuple[int, int | None, str]] = []
    for bits in said.get("classification:bitfields") or ():
        offset, length = (plain_number(bits.get(key)) for key in ("offset", "length"))
        if not (isinstance(offset, int) and isinstance(length, int)):
            continue
        if not 0 <= offset < offset + length <= _MAX_BITS:
            continue
        field = str(bits.get("name") or bits.get("description") or f"bits_{offset}")
        for value, name in _named(bits.get("classes")):
            found.append((value << offset, (1 << length) - 1 << offset, f"{field} {name}"))
    if found:
        return found
    classes = said.get("classification:classes") or [
        {"value": value, "name": group.get("summary")}
        for group in said.get("file:values") or ()
        for value in group.get("values") or ()
    ]
    return [(value, None, name) for value, name in _named(classes)]


def _named(classes: Iterable[Mapping[str, Any]] | None) -> Iterator[tuple[int, str]]:
    """Yield values and names of classes that have both."""
    for one in classes or ():
        value = plain_number(one.get("value"))
        name = one.get("name") or one.get("title") or one.get("description")
        if isinstance(value, int) and isinstance(name, str):
            yield value, name


def plain_number(value: Any) -> Any:
    """Return whole numbers as integers: a table may have made floats of them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
