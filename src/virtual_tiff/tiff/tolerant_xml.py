"""Parse XML of others as GDAL's parser does, also where it is not well-formed.

GDAL accepts a bare `&`, control characters, attributes without quotes or with equal names, names in
other case, several root elements and text around them; it refuses tags that are not closed, and a
`<` that begins no tag. No library was found that does the same: lxml's `recover` and HTML parsers
close tags themselves, and so read numbers that GDAL does not. No entity is expanded, and
definitions of entities are refused. `read` takes what a document has in the first element with the
name it should have, and notes what is outside of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Protocol
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

MAX_DEPTH = 32
"""Elements in each other, beyond which a document is refused."""

_NAME = r"[A-Za-z0-9_:.\-]++"
_VALUE = rf"(?:\"[^\"]*+\"|'[^']*+'|[^\s\"'=<>/]?(?:{_NAME})?+)"
_TOKEN = re.compile(
    rf"""
      <!--.*?-->
    | <!DOCTYPE(?:"[^"]*+"|[^">\[])*+>
    | <\?(?:[^?]|\?(?!>))*+\?>
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


class XMLError(ValueError):
    """A document that GDAL cannot read either; the message follows the name of the document."""


class Document:
    """Receives the first outermost element with a name, and notes what is outside of it.

    Parameters
    ----------
    root
        Name of the element. GDAL ignores case and namespaces.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.notes: dict[str, None] = {}
        self.is_found = self._is_inside = False
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take the name of an element and its attributes."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise XMLError(f"is nested deeper than {MAX_DEPTH} elements")
        name = tag.rpartition("}")[2].lower()
        if self._depth == 1:
            self._is_inside = name == self.root.lower() and not self.is_found
            self.is_found |= self._is_inside
            if not self._is_inside:
                self.notes[f"has <{tag[:40]}> outside <{self.root}>, which is ignored"] = None
        if self._is_inside:
            found: dict[str, str] = {}
            for key, value in attributes.items():
                found.setdefault(key.rpartition("}")[2].lower(), value)
            self.opened(name, found, self._depth)

    def data(self, text: str) -> None:
        """Take text within an element, or outside of all."""
        if self._is_inside and self._depth:
            self.text(text)
        elif not self._depth and text.strip(" \t\r\n\ufeff"):
            self.notes[f"has text outside <{self.root}>, which is ignored"] = None

    def end(self, tag: str) -> None:
        """Take the end of an element."""
        if self._is_inside:
            self.closed(tag.rpartition("}")[2].lower(), self._depth)
        self._depth -= 1

    def close(self) -> None:
        """Do nothing; the parser calls this at the end of the document."""

    def opened(self, name: str, attributes: dict[str, str], depth: int) -> None:
        """Take the start of an element; names are in lower case, and the root has depth 1."""

    def text(self, text: str) -> None:
        """Take text, in parts."""

    def closed(self, name: str, depth: int) -> None:
        """Take the end of an element."""


class Tree(Document):
    """Builds the tree of a document; names of elements and attributes are in lower case."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._builder = TreeBuilder()

    def opened(self, name: str, attributes: dict[str, str], depth: int) -> None:
        """Begin an element."""
        self._builder.start(name, attributes)

    def text(self, text: str) -> None:
        """Add text."""
        self._builder.data(text)

    def closed(self, name: str, depth: int) -> None:
        """End an element."""
        self._builder.end(name)

    def result(self) -> Element:
        """Return the root."""
        return self._builder.close()


def read[D: Document](data: str | bytes, make: Callable[[], D]) -> D:
    """Send a document to what `make` makes.

    Parameters
    ----------
    data
        Text, of which a declared encoding does not count, or bytes. It ends at its first NUL.
    make
        Makes the receiver; called again where the document is not well-formed.

    Raises
    ------
    XMLError
        GDAL cannot read it either, it defines entities, or lacks the element.
    """
    is_text = isinstance(data, str)
    target = make()
    parser = DefusedXMLParser(target=target, encoding="utf-8" if is_text else None, forbid_dtd=True)
    try:
        encoded = data.encode("utf-8", "replace") if isinstance(data, str) else data
        parser.feed(encoded)
        parser.close()
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        if isinstance(error, XMLError):
            raise
        has_type = isinstance(error, DefusedXmlException)
        why = "defines entities" if has_type else f"is not well-formed XML ({error})"
        target = make()
        if has_type:
            target.notes["names a document type, which is ignored"] = None
        if not parse(data if isinstance(data, str) else _decoded(data), target):
            raise XMLError(why) from error
    if not target.is_found:
        raise XMLError(f"has no <{target.root}>")
    return target


def _decoded(data: bytes) -> str:
    data = data.partition(b"\0")[0]
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
