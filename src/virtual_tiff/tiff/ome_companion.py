"""OME-XML that is in a file of its own, beside the TIFFs whose planes it describes.

The TIFFs have a `BinaryOnly` element with its name instead (OME-TIFF specification, section
"Companion files").
"""

from __future__ import annotations

from urllib.parse import quote

from defusedxml import DefusedXmlException, ElementTree

from virtual_tiff.tiff.ome_xml import children, invalid_ome_xml, ome_root


def companion_of(text: str, url: str) -> str | None:
    """Return the URL of the companion that the OME-XML of a TIFF names; `None` if it names none.

    Raises
    ------
    InvalidTIFFError
        The document is not valid, or names a file that is not beside the TIFF.
    """
    if "BinaryOnly" not in text:
        return None
    root = ome_root(text)
    element = next(children(root, "BinaryOnly"), None)
    if element is None:
        return None
    name = element.get("MetadataFile", "").removeprefix("./")
    if not name or name in (".", "..") or {*name} & {"/", "\\", "\0"}:
        raise invalid_ome_xml("has its metadata in a file that is not beside the TIFF")
    # Addresses of web servers are encoded; those of object stores and local files are keys.
    on_web = url.startswith("http")
    folder, slash, _ = (url.partition("?")[0] if on_web else url).rpartition("/")
    return f"{folder}{slash}{quote(name) if on_web else name}"


def as_own(document: bytes, text: str) -> str:
    """Return the document of a companion as if the TIFF with the OME-XML `text` had it itself.

    Planes are told apart by the UUID of the document, which is that of the file.
    """
    try:
        own = ElementTree.fromstring(text.encode(), forbid_dtd=True).attrib.get("UUID")
        root = ElementTree.fromstring(document, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise invalid_ome_xml(f"has a companion that cannot be parsed ({str(error)[:80]})") from (
            error
        )
    root.attrib.pop("UUID", None)
    if own is not None:
        root.attrib["UUID"] = own
    return str(ElementTree.tostring(root, encoding="unicode"))
