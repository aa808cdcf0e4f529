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


def places_of_planes(text: str, directories: int) -> dict[int, PlanePlace]:
    """Find where the planes of a file belong.

    Parameters
    ----------
    text
        The OME-XML with the UUID of the file (`with_own_uuid`).
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
                for index, steps in _planes(pixels, own, directories):
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


def step_of_channels(pixels: Element) -> int:
    """Return by how much FirstC grows from one channel to the next: 1, or the samples of each.

    Where samples are counted, the last of several channels has a number beyond the channels.
    """
    samples = _samples(pixels)
    firsts = [int(data.get("FirstC", "0")) for data in children(pixels, "TiffData")]
    channels = max(1, int(pixels.attrib["SizeC"]) // samples)
    return samples if max(firsts, default=0) >= channels else 1


def _planes(
    pixels: Element, own: str | None, directories: int
) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield the directories of planes of this file, and their indices along `t`, `c` and `z`."""
    sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "CZT"}
    sizes["C"] = max(1, sizes["C"] // _samples(pixels))
    channel_step = step_of_channels(pixels)
    order = [axis for axis in pixels.get("DimensionOrder", _ORDER) if axis in "CZT"]
    if sorted(order) != ["C", "T", "Z"] or min(sizes.values()) < 1:
        raise ValueError("an order or sizes of dimensions that are none")
    planes = 0
    for element in children(pixels, "TiffData"):
        uuid = next(children(element, "UUID"), None)
        if uuid is not None and (own is None or uuid.text != own):
            continue
        first = {axis: int(element.get(f"First{axis}", "0")) for axis in order}
        first["C"] //= channel_step
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


def _samples(pixels: Element) -> int:
    channels = children(pixels, "Channel")
    return max([int(each.get("SamplesPerPixel", "1")) for each in channels] or [1])
