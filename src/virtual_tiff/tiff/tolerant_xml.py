"""Parse XML of others as GDAL's parser does, also where it is not well-formed.

GDAL accepts a bare `&`, control characters, attributes without quotes or with equal names, names in
other case, several root elements and text around them; it refuses tags that are not closed, and a
`<` that begins no tag. No library was found that does the same: lxml's `recover` and HTML parsers
close tags themselves, and so read numbers that GDAL does not. No entity is expanded.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Protocol

_NAME = r"[A-Za-z0-9_:.\-]++"
_VALUE = rf"(?:\"[^\"]*+\"|'[^']*+'|[^\s\"'=<>/]?(?:{_NAME})?+)"
_TOKEN = re.compile(
    rf"""
      (?P<comment><!--.*?-->)
    | <!DOCTYPE(?:"[^"]*+"|[^">\[])*+>
    | (?P<instruction><\?(?:[^?]|\?(?!>))*+\?>)
    | <!\[CDATA\[(?P<cdata>.*?)\]\]>
    | </(?P<end>{_NAME})\s*+>
    | <(?P<start>{_NAME})(?P<attributes>(?:\s*+{_NAME}\s*+=\s*+{_VALUE})*+)\s*+(?P<closed>/?)>
    | (?P<text>[^<]++)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_ATTRIBUTE = re.compile(rf"\s*+({_NAME})\s*+=\s*+({_VALUE})")
_REFERENCE = re.compile(r"&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")


class Target(Protocol):
    """Receives the events of a parser, as in `xml.etree.ElementTree.XMLParser`."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take the name of an element and its attributes."""

    def data(self, text: str) -> None:
        """Take text within an element, or outside of all."""

    def end(self, tag: str) -> None:
        """Take the end of an element."""

    def comment(self, text: str) -> None:
        """Take a comment."""

    def pi(self, target: str, data: str | None = None) -> None:
        """Take a processing instruction."""


def parse(text: str, target: Target) -> bool:
    """Send the elements of a text to a target.

    Returns
    -------
    bool
        Whether all tags are closed; if not, GDAL takes nothing from the document.
    """
    open_tags: list[str] = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return False
        position = token.end()
        if (tag := token["start"]) is not None:
            target.start(tag, _attributes(token["attributes"]))
            if token["closed"]:
                target.end(tag)
            else:
                open_tags.append(tag.lower())
        elif (tag := token["end"]) is not None:
            if not open_tags or open_tags.pop() != tag.lower():
                return False
            target.end(tag)
        elif token["cdata"] is not None:
            target.data(token["cdata"])
        elif token["text"] is not None:
            target.data(resolved(token["text"]))
        elif token["comment"] is not None:
            target.comment(token["comment"])
        elif token["instruction"] is not None:
            target.pi(token["instruction"])
    return not open_tags


def resolved(text: str) -> str:
    """Replace the references of XML to characters; others remain as they are."""
    return _REFERENCE.sub(lambda found: unescape(found[0]), text) if "&" in text else text


def _attributes(text: str) -> dict[str, str]:
    """Return attributes by name in lower case; of equal names the first counts."""
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(text):
        plain = value[1:-1] if value[:1] in ("'", '"') else value
        found.setdefault(name.lower(), resolved(plain))
    return found
