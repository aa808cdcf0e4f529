"""Scales of the levels of Philips slides, which are padded to whole tiles."""

from __future__ import annotations

import re
from itertools import pairwise

from defusedxml import DefusedXmlException, ElementTree

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Beginning of the tag Software.
SOFTWARE = "Philips DP"
_SEQUENCE = "PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"
_SPACING = "DICOM_PIXEL_SPACING"


def level_factors(full: ImageFileDirectory, levels: int) -> tuple[float, ...] | None:
    """Return how many pixels of the full image one of each level covers, along rows and columns.

    The XML in its ImageDescription has the spacing of each level; without it, a level has half the
    resolution of the one before. `None` for other files, whose sizes tell.
    """
    software = full.other_tags.get(Tag.SOFTWARE)
    if not isinstance(software, str) or not software.startswith(SOFTWARE):
        return None
    text = full.other_tags.get(Tag.IMAGE_DESCRIPTION)
    spacings = _spacings(text) if isinstance(text, str) else []
    if len(spacings) < levels or not all(0 < a < b for a, b in pairwise(spacings[:levels])):
        return tuple(float(2**level) for level in range(levels))
    return tuple(round(spacing / spacings[0], 6) for spacing in spacings[:levels])


def _spacings(text: str) -> list[float]:
    """Return the first number of the pixel spacing of each level, in mm."""
    try:
        root = ElementTree.fromstring(text.encode(), forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return []
    found = []
    for sequence in root.iter("Attribute"):
        if sequence.get("Name") != _SEQUENCE:
            continue
        for attribute in sequence.iter("Attribute"):
            if attribute.get("Name") == _SPACING:
                number = re.search(r"[-+.\deE]+", attribute.text or "")
                try:
                    found.append(float(number[0]) if number else 0.0)
                except ValueError:
                    return []
    return found
