"""Channels of PerkinElmer QPTIFF, which has XML in the ImageDescription of each page."""

from __future__ import annotations

from defusedxml import DefusedXmlException, ElementTree

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, walk_ifds
from virtual_tiff.tiff.series import Channel, Series


def qpi_channels(series: Series, header: Header) -> tuple[Channel, ...]:
    """Return the names and colours of the pages of a series; none if a page has no name."""
    by_path = {directory.index: directory for directory in walk_ifds(header.ifds)}
    channels = []
    for path in series.levels[0].pages:
        text = None if path is None else by_path[path].other_tags.get(Tag.IMAGE_DESCRIPTION)
        channel = _channel(text) if isinstance(text, str) else None
        if channel is None:
            return ()
        channels.append(channel)
    return tuple(channels)


def _channel(text: str) -> Channel | None:
    try:
        root = ElementTree.fromstring(text.encode(), forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return None
    name = root.findtext("Name") or root.findtext("Biomarker")
    if name is None:
        return None
    numbers = (root.findtext("Color") or "").split(",")
    color = None
    if len(numbers) == 3 and all(n.strip().isdecimal() and int(n) < 256 for n in numbers):
        color = "".join(f"{int(number):02X}" for number in numbers)
    return Channel(name=name.strip(), color=color)
