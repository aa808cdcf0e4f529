"""What an OME-XML says of the file that it is in, where it also describes planes of other files.

Each file of a set has the same document, in which UUIDs tell the files apart (OME-TIFF
specification, section "TiffData").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException, ElementTree

from virtual_tiff.tiff.ome_places import step_of_channels
from virtual_tiff.tiff.ome_xml import children, invalid_ome_xml, ome_root

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass(frozen=True, slots=True)
class OwnPart:
    """A document without the images of other files, and what to know of those."""

    text: str
    notes: tuple[str, ...] = ()


def own_part(text: str) -> OwnPart:
    """Return the part of a document, known by its UUID (`with_own_uuid`), that its file has.

    Images wholly in other files are left out, unless all are; FirstC counts channels.

    Parameters
    ----------
    text
        The OME-XML, which `check_ome_xml` let pass.
    """
    if "UUID" not in text and "SamplesPerPixel" not in text:
        return OwnPart(text)
    try:
        root = ElementTree.fromstring(text.encode(), forbid_dtd=True)
        own = root.get("UUID")
        images = list(children(root, "Image"))
        elsewhere = [image for image in images if _is_elsewhere(image, own)]
        if len(elsewhere) == len(images):
            return OwnPart(text)
        for image in elsewhere:
            root.remove(image)
        counted = [
            _with_channel_numbers(pixels)
            for image in children(root, "Image")
            for pixels in children(image, "Pixels")
        ]
    except (ElementTree.ParseError, DefusedXmlException, KeyError, ValueError) as error:
        raise invalid_ome_xml(f"cannot be used ({str(error)[:80]})") from error
    if not elsewhere:
        return OwnPart(_to_text(root) if any(counted) else text)
    note = f"{len(elsewhere)} of {len(images)} images of the OME-XML are in other files."
    return OwnPart(_to_text(root), (note,))


def with_own_uuid(text: str, file_name: str) -> str:
    """Return a document whose UUID is that of the planes of its file.

    UUIDs are compared without case and surrounding space. A file that none of them names is known
    by its name, without folders; and one without a UUID of its own, which may have been renamed,
    is that of all planes if these have one UUID.

    Parameters
    ----------
    text
        The OME-XML, which `check_ome_xml` let pass.
    file_name
        Name of the file, without folders.
    """
    if "UUID" not in text:
        return text
    root = ome_root(text)
    elements = [
        uuid
        for image in children(root, "Image")
        for data in _data(image)
        for uuid in children(data, "UUID")
    ]
    if not elements:
        return text
    declared = root.get("UUID")
    if declared is not None and all(uuid.text == declared for uuid in elements):
        return text
    for uuid in elements:
        uuid.text = _normal(uuid.text)
    known = {uuid.text for uuid in elements}
    own = None if declared is None else _normal(declared)
    if own not in known:
        named = {uuid.text for uuid in elements if _base_name(uuid) == file_name.lower()}
        if len(named) != 1 and own is None and len(known) == 1:
            named = known
        own = named.pop() if len(named) == 1 else own
    root.attrib.pop("UUID", None)
    if own is not None:
        root.attrib["UUID"] = own
    return _to_text(root)


def _normal(uuid: str | None) -> str:
    return (uuid or "").strip().lower()


def _base_name(uuid: Element) -> str:
    return uuid.get("FileName", "").replace("\\", "/").rpartition("/")[2].lower()


def _to_text(root: Element) -> str:
    return str(ElementTree.tostring(root, encoding="unicode"))


def _data(image: Element) -> Iterator[Element]:
    return (data for pixels in children(image, "Pixels") for data in children(pixels, "TiffData"))


def _is_elsewhere(image: Element, own: str | None) -> bool:
    """Return whether all planes of an image are in files with another UUID."""
    uuids = [next(children(data, "UUID"), None) for data in _data(image)]
    return bool(uuids) and all(
        uuid is not None and (own is None or uuid.text != own) for uuid in uuids
    )


def _with_channel_numbers(pixels: Element) -> bool:
    """Count channels, not samples, in FirstC; return whether that changed anything."""
    step = step_of_channels(pixels)
    for data in children(pixels, "TiffData") if step > 1 else ():
        data.attrib["FirstC"] = str(int(data.get("FirstC", "0")) // step)
    return step > 1
