"""Choose assets of STAC Items by key, pattern, role, resolution and media type; find addresses."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.source_options import SourceOptions
from virtual_tiff.storage.addresses import linked_url, source_url

type Item = Mapping[str, Any]
type Asset = Mapping[str, Any]

#: Media types of TIFFs, without parameters.
_TIFF = frozenset(
    {
        "image/tiff",
        "image/tif",
        "image/x-tiff",
        "image/geotiff",
        "image/x-geotiff",
        "image/x.geotiff",
        "image/vnd.stac.geotiff",
        "application/geotiff",
    }
)
#: Media types that say nothing.
_UNTYPED = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_SUFFIXES = (".tif", ".tiff", ".gtiff", ".btf")
#: Roles of pictures for people (STAC best practices, "List of Asset Roles").
_PREVIEWS = frozenset({"thumbnail", "overview", "browse"})


def is_chosen(key: str, asset: Asset, item: Item, options: SourceOptions) -> bool:
    """Return whether an asset is to be scanned.

    An asset that is named by its key is taken whatever it is. A pattern, a role and a resolution
    choose among the TIFFs; pictures for people only if their role is asked for.
    """
    said = asset.get("roles")
    roles = {role for role in said if isinstance(role, str)} if isinstance(said, list) else set()
    if options.asset_roles is not None and not roles.intersection(options.asset_roles):
        return False
    if options.asset_gsd is not None and _gsd(asset, item) != options.asset_gsd:
        return False
    if options.assets is not None and key in options.assets:
        return True
    if options.assets is not None and not any(matches(key, one) for one in options.assets):
        return False
    wanted = roles.intersection(options.asset_roles or ())
    is_preview = bool(roles & _PREVIEWS) and "data" not in roles and not wanted & _PREVIEWS
    return _is_tiff(asset) and not is_preview


def matches(key: str, wanted: str) -> bool:
    """Return whether the key of an asset is, or fits, what is wanted."""
    return key == wanted or fnmatchcase(key, wanted)


def _is_tiff(asset: Asset) -> bool:
    media = str(asset.get("type") or "").partition(";")[0].strip().lower()
    path = str(asset.get("href", "")).partition("?")[0].lower()
    return media in _TIFF or (media in _UNTYPED and path.endswith(_SUFFIXES))


def _gsd(asset: Asset, item: Item) -> float | None:
    """Return the resolution of an asset: its own, that of its bands, or that of the Item."""
    bands = [band for name in ("bands", "raster:bands") for band in objects_in(asset, name)]
    for said in (asset, *bands):
        for name in ("gsd", "raster:spatial_resolution", "spatial_resolution"):
            if isinstance(said.get(name), int | float):
                return float(said[name])
    gsd = (item.get("properties") or {}).get("gsd")
    return float(gsd) if isinstance(gsd, int | float) else None


def asset_address(
    key: str, asset: Asset, item: Item, url: str | None, alternate: str | None
) -> str:
    """Return the address of an asset, or its alternate one (Alternate Assets extension)."""
    if alternate is not None and asset.get("alternate:name") != alternate:
        said = asset.get("alternate")
        others: Mapping[str, Asset] = said if isinstance(said, Mapping) else {}
        if not isinstance(others.get(alternate), Mapping):
            raise InvalidOptionError(
                f"asset {key!r} of Item {item.get('id')!r} has no alternate {alternate!r}, but "
                f"{', '.join(others) or 'none'}.",
                url=url,
            )
        asset = others[alternate]
    href = asset.get("href")
    if not isinstance(href, str):
        raise InvalidOptionError(f"asset {key!r} of Item {item.get('id')!r} has no href.", url=url)
    base = url
    if base is None and "://" not in href:
        own = (link.get("href") for link in objects_in(item, "links") if link.get("rel") == "self")
        base = next((source_url(each) for each in own if isinstance(each, str)), None)
    return source_url(href) if base is None else linked_url(base, href)


def objects_in(said: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list; none if there is something else."""
    value = said.get(name)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
