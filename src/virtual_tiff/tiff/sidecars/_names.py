"""Kinds and names of sidecars."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from virtual_tiff.choices import SidecarKind, values_of
from virtual_tiff.errors import InvalidOptionError

_ENDINGS = {
    "rpc": (".RPB", ".rpb", "_rpc.txt", "_RPC.TXT"),
    "imd": (".IMD", ".imd"),
    "xml": (".xml", ".XML"),
}
_KINDS = cast(tuple[SidecarKind, ...], values_of(SidecarKind))


def sidecar_kinds(wanted: bool | Collection[str]) -> frozenset[SidecarKind]:
    """Parse the argument `sidecars`.

    Parameters
    ----------
    wanted
        `True` for all, `False` for none, or some of `ovr`, `msk`, `aux.xml`, `world`, `rpc`, `imd`
        and `xml`.

    Raises
    ------
    InvalidOptionError
        The argument is something else.
    """
    if isinstance(wanted, bool):
        return frozenset(_KINDS if wanted else ())
    several = isinstance(wanted, Collection) and not isinstance(wanted, str | bytes)
    if not several or any(kind not in _KINDS for kind in wanted):
        raise InvalidOptionError(
            f"sidecars is {wanted!r}, but must be True, False, or some of "
            f"{', '.join(map(repr, _KINDS))}."
        )
    return frozenset(kind for kind in _KINDS if kind in wanted)


def names(url: str, kind: SidecarKind) -> tuple[str, ...]:
    """Return the addresses that GDAL tries for a sidecar; the first that exists is used.

    World files have the suffix of the image shortened and with a `w` (`.tfw`), complete and with a
    `w` (`.tifw`), or `.wld`. Rational polynomials are in `.RPB` or `_RPC.TXT`, the metadata of a
    satellite image in `.IMD`, that of ArcGIS in `.xml`, each in place of the suffix.

    Examples
    --------
    >>> names("s3://bucket/image.tiff", "world")[::2]
    ('s3://bucket/image.tfw', 's3://bucket/image.tiffw', 's3://bucket/image.wld')
    """
    if kind == "aux.xml":
        return (f"{url}.aux.xml",)
    if kind in ("ovr", "msk"):
        return (f"{url}.{kind}", f"{url}.{kind.upper()}")
    folder, slash, name = url.rpartition("/")
    stem, _, suffix = name.rpartition(".")
    # As in GDAL, a name whose only dot is its first character has no suffix.
    endings = [f"{suffix[0]}{suffix[-1]}w", f"{suffix}w"] if stem and len(suffix) > 1 else []
    base = f"{folder}{slash}{stem or name}"
    if kind != "world":
        return tuple(f"{base}{ending}" for ending in _ENDINGS[kind])
    return tuple(
        f"{base}.{spelled}"
        for ending in (*endings, "wld")
        for spelled in (ending.lower(), ending.upper())
    )
