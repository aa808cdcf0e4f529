"""Channels of PerkinElmer QPTIFF, which has XML in the ImageDescription of each page."""

from __future__ import annotations

from defusedxml import DefusedXmlException, ElementTree

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, walk_ifds
from virtual_tiff.tiff.series import Channel, Series


def qpi_channels(series: Series, header: Header) -> tuple[Channel, ...]:
    """Return the names and colours of the pages of a series; none if no page has a name."""
    by_path = {directory.index: directory for directory in walk_ifds(header.ifds)}
    texts = [
        None if path is None else by_path[path].other_tags.get(Tag.IMAGE_DESCRIPTION)
        for path in series.levels[0].pages
    ]
    channels = tuple(_channel(text) for text in texts)
    return channels if any(channel.name for channel in channels) else ()


def _channel(text: object) -> Channel:
    try:
        root = ElementTree.fromstring(str(text).encode(), forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return Channel(name="")
    # The name is that of the band or the dye, which several biomarkers may have.
    name = root.findtext("Biomarker") or root.findtext("Name") or ""
    numbers = (root.findtext("Color") or "").split(",")
    color = None
    if len(numbers) == 3 and all(n.strip().isdecimal() and int(n) < 256 for n in numbers):
        color = "".join(f"{int(number):02X}" for number in numbers)
    return Channel(name=name.strip(), color=color)
