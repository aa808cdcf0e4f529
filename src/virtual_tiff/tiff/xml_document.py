"""Read XML of others: the first element with the name a document should have, and nothing outside.

What a document has beside that element, or beside a text, is noted. Definitions of entities are
refused, and depth is limited. Documents that are not well-formed go to `tolerant_xml`.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from virtual_tiff.tiff import tolerant_xml

MAX_DEPTH = 32
"""Elements in each other, beyond which a document is refused."""


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

    def comment(self, text: str) -> None:
        """Take a comment."""
        self._interrupt()

    def pi(self, target: str, data: str | None = None) -> None:
        """Take a processing instruction."""
        self._interrupt()

    def _interrupt(self) -> None:
        if self._is_inside and self._depth:
            self.interrupted(self._depth)

    def close(self) -> None:
        """Do nothing; the parser calls this at the end of the document."""

    def opened(self, name: str, attributes: dict[str, str], depth: int) -> None:
        """Take the start of an element; names are in lower case, and the root has depth 1."""

    def text(self, text: str) -> None:
        """Take text, in parts."""

    def interrupted(self, depth: int) -> None:
        """Take a comment or an instruction, beside which GDAL has no text of the element."""

    def closed(self, name: str, depth: int) -> None:
        """Take the end of an element."""


class Tree(Document):
    """Builds the tree of a document; names of elements and attributes are in lower case.

    Elements with more than text in them have no text, as in GDAL; a note says so.

    Parameters
    ----------
    root
        As in `Document`.
    begun
        Name of elements whose text GDAL takes up to what else is in them.
    """

    def __init__(self, root: str, begun: str = "") -> None:
        super().__init__(root)
        self._begun = begun
        self._builder = TreeBuilder(insert_comments=True)

    def opened(self, name: str, attributes: dict[str, str], depth: int) -> None:
        """Begin an element."""
        self._builder.start(name, attributes)

    def text(self, text: str) -> None:
        """Add text."""
        self._builder.data(text)

    def interrupted(self, depth: int) -> None:
        """Add a comment."""
        self._builder.comment("")

    def closed(self, name: str, depth: int) -> None:
        """End an element."""
        element = self._builder.end(name)
        if len(element) and name != self._begun:
            texts = [element.text, *(child.tail for child in element)]
            if any((text or "").strip() for text in texts):
                self.notes[more_than_text(f"<{name[:40]}>")] = None
            element.text = None

    def result(self) -> Element:
        """Return the root."""
        return self._builder.close()


def more_than_text(what: str) -> str:
    """Return the note of an element whose text GDAL does not take."""
    return f"has elements or comments in {what}, whose text is left out"


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
        if not tolerant_xml.parse(data if isinstance(data, str) else _decoded(data), target):
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
