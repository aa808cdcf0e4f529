"""Places of the planes of one file in the images of an OME-XML, which may have planes elsewhere.

Each file of a set has the same document, which names the planes of all files (OME-TIFF
specification, section "TiffData").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException, ElementTree

from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError
from virtual_tiff.tiff.ome_xml import children, invalid_ome_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ORDER = "XYCZT"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanePlace:
    """Index of a plane along the axes of an image.

    Parameters
    ----------
    image
        Number of the image in the document.
    steps
        Index along `t`, `c` and `z`.
    """

    image: int
    steps: Mapping[str, int]


#: How often all planes may be named; a document names each once.
_MOST_NAMED = 10


def places_of_planes(text: str, file_name: str, directories: int) -> dict[int, PlanePlace]:
    """Find where the planes of a file belong.

    Parameters
    ----------
    text
        The OME-XML, which `check_ome_xml` let pass.
    file_name
        Name of the file, without folders.
    directories
        Number of directories of the file.

    Returns
    -------
    dict of int to PlanePlace
        By index of the directory.

    Raises
    ------
    InvalidTIFFError
        The document is not valid.
    UnsupportedTIFFError
        The document does not say which planes the file has.
    """
    try:
        root = ElementTree.fromstring(text.encode(), forbid_dtd=True)
        own = root.attrib.get("UUID")
        found: dict[int, PlanePlace] = {}
        for number, image in enumerate(children(root, "Image")):
            for pixels in children(image, "Pixels"):
                for index, steps in _planes(pixels, own, file_name, directories):
                    found.setdefault(index, PlanePlace(image=number, steps=steps))
    except (ElementTree.ParseError, DefusedXmlException, KeyError, ValueError) as error:
        raise invalid_ome_xml(f"cannot be used ({str(error)[:80]})") from error
    if not found:
        raise UnsupportedTIFFError(
            "the OME-XML does not say which planes are in this file.",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
            remedy='Pass pages="separate", and tell the axes by columns.',
        )
    return found


def _planes(
    pixels: Element, own: str | None, file_name: str, directories: int
) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield the directories of planes of this file, and their indices."""
    samples = max(
        [int(each.get("SamplesPerPixel", "1")) for each in children(pixels, "Channel")] or [1]
    )
    sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "CZT"}
    sizes["C"] = max(1, sizes["C"] // samples)
    order = [axis for axis in pixels.get("DimensionOrder", _ORDER) if axis in "CZT"]
    if sorted(order) != ["C", "T", "Z"] or min(sizes.values()) < 1:
        raise ValueError("an order or sizes of dimensions that are none")
    planes = 0
    for element in children(pixels, "TiffData"):
        uuid = next(children(element, "UUID"), None)
        if uuid is not None and not _is_own(uuid, own, file_name):
            continue
        first = {axis: int(element.get(f"First{axis}", "0")) for axis in order}
        first["C"] //= samples
        start = int(element.get("IFD", "0"))
        whole = "IFD" not in element.attrib and "PlaneCount" not in element.attrib
        count = int(element.get("PlaneCount", directories if whole else 1))
        # Place of the first plane in the order of planes, whose first axis varies fastest.
        steps = [prod(sizes[axis] for axis in order[:i]) for i in range(3)]
        place = sum(first[axis] * step for axis, step in zip(order, steps, strict=True))
        count = max(0, min(count, directories - start))
        planes += count
        if planes > _MOST_NAMED * directories:
            raise ValueError("planes that are named again and again")
        for i in range(count):
            if not 0 <= place + i < prod(sizes.values()) or start < 0:
                raise ValueError("a plane beyond the sizes of its image")
            indices = {
                axis.lower(): (place + i) // step % sizes[axis]
                for axis, step in zip(order, steps, strict=True)
            }
            yield start + i, indices


def _is_own(uuid: Element, own: str | None, file_name: str) -> bool:
    """Return whether a plane is in this file; its name is compared where the UUID is not known."""
    if own is not None:
        return uuid.text == own
    return uuid.get("FileName", "").lower() == file_name.lower()
