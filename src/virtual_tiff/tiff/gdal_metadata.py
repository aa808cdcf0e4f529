"""Parse GDAL's XML metadata (tag 42112): scales, offsets, units, descriptions, items.

The document is `<GDALMetadata>` with `<Item name= sample= role= domain=>` children, as GDAL's
GTiff driver documentation describes it: `sample` counts bands from 0, `role` marks properties of a
band as opposed to its metadata. Documents that break these rules are interpreted as GDAL 3.12 does,
found by experiment.

The XML is untrusted: it is parsed without building a tree, entities and DTDs are refused, and depth
and size are limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import unescape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.tags import Tag

type Domains = Mapping[str, Mapping[str, str]]
"""Items by domain; the default domain is the empty string."""

MAX_CHARACTERS = 4 * 1024 * 1024
"""Longest document that is parsed; GDAL writes some kilobytes."""
MAX_DEPTH = 32
_MAX_CACHED_CHARACTERS = 16 * 1024
_EMPTY: Domains = MappingProxyType({})
_QUOTES = {"&quot;": '"', "&apos;": "'"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BandMetadata:
    """Metadata of one band.

    Parameters
    ----------
    scale, offset
        `value * scale + offset` is in `units`; `None` if absent.
    units, description, color_interpretation
        Text as in the document; `None` if absent.
    domains
        Other items of the band, by domain.
    """

    scale: float | None = None
    offset: float | None = None
    units: str | None = None
    description: str | None = None
    color_interpretation: str | None = None
    domains: Domains = field(default_factory=lambda: _EMPTY)

    def overridden_by(self, other: BandMetadata) -> BandMetadata:
        """Do the same as `GDALMetadata.overridden_by`."""
        scaled = self if other.scale is None and other.offset is None else other
        return BandMetadata(
            scale=scaled.scale,
            offset=scaled.offset,
            units=other.units or self.units,
            description=other.description or self.description,
            color_interpretation=other.color_interpretation or self.color_interpretation,
            domains=_overridden(self.domains, other.domains),
        )


def _overridden(domains: Domains, others: Domains) -> Domains:
    if not others:
        return domains
    names = dict.fromkeys((*domains, *others))
    return {name: {**domains.get(name, {}), **others.get(name, {})} for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class GDALMetadata:
    """Metadata of an image and its bands.

    Parameters
    ----------
    domains
        Items of the dataset, by domain.
    bands
        Metadata of the bands that have any, by index from 0.
    note
        Reason in one line why the document could not be read.
    """

    domains: Domains = field(default_factory=lambda: _EMPTY)
    bands: Mapping[int, BandMetadata] = field(default_factory=dict)
    note: str | None = None

    def band(self, index: int) -> BandMetadata:
        """Return the metadata of one band; empty if it has none."""
        return self.bands.get(index, _NO_BAND)

    def overridden_by(self, other: GDALMetadata) -> GDALMetadata:
        """Return this metadata with the items of another document in place of its own.

        Scale and offset belong together: both are taken from the other if it has either.
        """
        bands = dict(self.bands)
        for index, band in other.bands.items():
            bands[index] = bands.get(index, _NO_BAND).overridden_by(band)
        domains = _overridden(self.domains, other.domains)
        return GDALMetadata(domains=domains, bands=bands, note=self.note or other.note)


_NO_BAND = BandMetadata()
_NOTHING = GDALMetadata()


def parse_gdal_metadata(text: str | None) -> GDALMetadata:
    """Read the document; the note of what is returned says why one cannot be read.

    Parameters
    ----------
    text
        Value of tag 42112.
    """
    if text is None or not text.strip("\0 \t\r\n"):
        return _NOTHING
    try:
        # Overviews repeat the document of the image, and files of an archive that of others.
        parse = _parse.__wrapped__ if len(text) > _MAX_CACHED_CHARACTERS else _parse
        return parse(text)
    except InvalidTIFFError as error:
        return GDALMetadata(note=error.message)


def published(domains: Domains) -> dict[str, dict[str, str]]:
    """Return the items to publish, without statistics, which may not match the pixels."""
    kept = {
        domain: {k: v for k, v in items.items() if not k.startswith("STATISTICS_")}
        for domain, items in domains.items()
    }
    return {domain: items for domain, items in kept.items() if items}


@lru_cache(maxsize=256)
def _parse(text: str) -> GDALMetadata:
    if len(text) > MAX_CHARACTERS:
        raise _invalid(f"is {len(text)} characters long, more than {MAX_CHARACTERS}")
    target = _Target()
    # An XML declaration names the encoding of the file, but the text is decoded already.
    parser = DefusedXMLParser(target=target, encoding="utf-8", forbid_dtd=True)
    try:
        parser.feed(text.strip("\0 \t\r\n").encode("utf-8", "replace"))
        parser.close()
    except ParseError as error:
        raise _invalid(f"is not well-formed XML ({error})") from error
    except DefusedXmlException as error:
        raise _invalid("defines entities or a document type") from error
    return target.result()


def _invalid(what: str) -> InvalidTIFFError:
    return InvalidTIFFError(
        f"the GDAL metadata {what}.", kind=ErrorKind.INVALID_TAG, tag=Tag.GDAL_METADATA
    )


class _Target:
    """Collect items from parser events."""

    def __init__(self) -> None:
        self._depth = 0
        self._item: dict[str, str] | None = None
        self._text: list[str] = []
        self._domains: dict[str, dict[str, str]] = {}
        self._bands: dict[int, dict[str, dict[str, str]]] = {}
        self._roles: dict[int, dict[str, str]] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _invalid(f"is nested deeper than {MAX_DEPTH} elements")
        if self._depth == 1 and tag != "GDALMetadata":
            raise _invalid(f"begins with <{tag[:40]}>, not with <GDALMetadata>")
        if self._depth == 2 and tag == "Item":
            self._item = attributes
            self._text = []

    def data(self, text: str) -> None:
        if self._item is not None:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if self._depth == 2 and self._item is not None:
            self._add(self._item, "".join(self._text).lstrip())
            self._item = None
        self._depth -= 1

    def close(self) -> None:
        """Do nothing; the parser calls this at the end of the document."""

    def _add(self, item: Mapping[str, str], value: str) -> None:
        name = item.get("name")
        if name is None:
            return
        if "&" in value:  # GDAL escapes twice
            value = unescape(value, _QUOTES)
        band = _band_index(item.get("sample"))
        role = item.get("role", "").lower()
        if band is None:
            self._domains.setdefault(item.get("domain", ""), {})[name] = value
        elif role in _ROLES:
            self._roles.setdefault(band, {})[role] = value
        else:
            domains = self._bands.setdefault(band, {})
            domains.setdefault(item.get("domain", ""), {})[name] = value

    def result(self) -> GDALMetadata:
        """Return the collected items."""
        bands = {}
        for index in sorted(self._bands.keys() | self._roles.keys()):
            roles = self._roles.get(index, {})
            bands[index] = BandMetadata(
                scale=finite_number(roles.get("scale")),
                offset=finite_number(roles.get("offset")),
                units=roles.get("unittype") or None,
                description=roles.get("description") or None,
                color_interpretation=roles.get("colorinterp") or None,
                domains=self._bands.get(index, _EMPTY),
            )
        return GDALMetadata(domains=self._domains, bands=bands)


_ROLES = frozenset({"scale", "offset", "unittype", "description", "colorinterp"})


def _band_index(sample: str | None) -> int | None:
    try:
        index = int(sample or "-1")
    except ValueError:
        return None
    return index if index >= 0 else None


def finite_number(text: str | None) -> float | None:
    """Parse a number; return `None` if there is none, or none that JSON can hold."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if isfinite(value) else None
