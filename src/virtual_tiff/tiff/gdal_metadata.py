"""Parse GDAL's XML metadata (tag 42112): scales, offsets, units, descriptions, items.

The document is `<GDALMetadata>` with `<Item name= sample= role= domain=>` children, as GDAL's
GTiff driver documentation describes it: `sample` counts bands from 0, `role` marks properties of a
band as opposed to its metadata. Documents that break these rules are interpreted as GDAL 3.12 does,
found by experiment; `tolerant_xml` parses those that are not well-formed.

The XML is untrusted: it is parsed without building a tree, no entity is expanded, and depth and
size are limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.tags import Tag
from virtual_tiff.tiff import tolerant_xml, xml_document
from virtual_tiff.tiff.numbers import finite_number, leading_integer
from virtual_tiff.tiff.xml_document import Document, XMLError

type Domains = Mapping[str, Mapping[str, str]]
"""Items by domain; the default domain is the empty string."""

MAX_CHARACTERS = 4 * 1024 * 1024
"""Longest document that is parsed; GDAL writes some kilobytes."""
_MAX_CACHED_CHARACTERS = 16 * 1024
_EMPTY: Domains = MappingProxyType({})
_NO_CLASSES: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class BandMetadata:
    """Metadata of one band.

    Parameters
    ----------
    scale, offset
        `value * scale + offset` is in `units`; `None` if absent.
    units, description, color_interpretation
        Text as in the document; `None` if absent.
    classes
        Names of values, from category names or an attribute table beside the file.
    domains
        Other items of the band, by domain.
    """

    scale: float | None = None
    offset: float | None = None
    units: str | None = None
    description: str | None = None
    color_interpretation: str | None = None
    classes: Mapping[int, str] = field(default_factory=lambda: _NO_CLASSES)
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
            classes=other.classes or self.classes,
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
        What of the document could not be read, and why, in one line.
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


@lru_cache(maxsize=256)
def _parse(text: str) -> GDALMetadata:
    if len(text) > MAX_CHARACTERS:
        raise _invalid(f"is {len(text)} characters long, more than {MAX_CHARACTERS}")
    try:
        return xml_document.read(text.partition("\0")[0].strip(), _Items).result()
    except XMLError as error:
        raise _invalid(str(error)) from error


def _invalid(what: str) -> InvalidTIFFError:
    return InvalidTIFFError(
        f"the GDAL metadata {what}.", kind=ErrorKind.INVALID_TAG, tag=Tag.GDAL_METADATA
    )


class _Items(Document):
    """Collect items from parser events."""

    def __init__(self) -> None:
        super().__init__("GDALMetadata")
        self._item: dict[str, str] | None = None
        self._text: list[str] = []
        self._is_mixed = False
        self._domains: dict[str, dict[str, str]] = {}
        self._bands: dict[int, dict[str, dict[str, str]]] = {}
        self._roles: dict[int, dict[str, str]] = {}

    def opened(self, name: str, attributes: dict[str, str], depth: int) -> None:
        """Begin an item."""
        if depth == 2 and name == "item":
            self._item, self._text, self._is_mixed = attributes, [], False
        elif self._item is not None:
            self._is_mixed = True

    def text(self, text: str) -> None:
        """Add text to the item."""
        if self._item is not None:
            self._text.append(text)

    def interrupted(self, depth: int) -> None:
        """Keep in mind that the item has more than text."""
        self._is_mixed = True

    def closed(self, name: str, depth: int) -> None:
        """End an item."""
        if depth == 2 and self._item is not None:
            text = "".join(self._text).lstrip()
            item = f"the item {self._item.get('name', '')[:40]!r}"
            if self._is_mixed:
                self.notes[xml_document.more_than_text(item)] = None
            elif text:
                self._add(self._item, text)
            elif self._item.get("role", "").lower() in ("scale", "offset"):
                # GDAL ignores items without text.
                self.notes[f"has no number in {item}"] = None
            self._item = None

    def _add(self, item: Mapping[str, str], value: str) -> None:
        name = item.get("name")
        if name is None:
            return
        value = tolerant_xml.resolved(value)  # GDAL escapes twice
        band = _band_index(item.get("sample"))
        role = item.get("role", "").lower()
        if band is None:
            self._domains.setdefault(item.get("domain", ""), {})[name] = value
        elif role in _ROLES:
            if item.get("domain", "").upper() == "IMAGE_STRUCTURE":
                return  # GDAL takes nothing of a band from there
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
                scale=self._number(index, "scale"),
                offset=self._number(index, "offset"),
                units=roles.get("unittype") or None,
                description=roles.get("description") or None,
                color_interpretation=roles.get("colorinterp") or None,
                domains=self._bands.get(index, _EMPTY),
            )
        note = f"the GDAL metadata {'; '.join(self.notes)}." if self.notes else None
        return GDALMetadata(domains=self._domains, bands=bands, note=note)

    def _number(self, index: int, role: str) -> float | None:
        text = self._roles.get(index, {}).get(role)
        number = finite_number(text)
        if text is not None and number is None:
            self.notes[f"has no number, but {text[:40]!r}, as {role} of band {index + 1}"] = None
        return number


_ROLES = frozenset({"scale", "offset", "unittype", "description", "colorinterp"})


def _band_index(sample: str | None) -> int | None:
    """Return the index of a band; GDAL reads what is no number as 0."""
    index = -1 if sample is None else leading_integer(sample) or 0
    return index if index >= 0 else None
