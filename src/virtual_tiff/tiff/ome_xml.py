"""Parse OME-XML (schema 2016-06) in the ImageDescription: sizes, spacings, channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException, ElementTree

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.storage.budget import Budget
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header
from virtual_tiff.tiff.series import Channel, Spacing, Well
from virtual_tiff.tiff.units import LENGTHS, TIMES, unit_name

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Bytes in memory for each character, tag and attribute of a document while it is parsed.
_CHARACTER, _TAG, _ATTRIBUTE = 3, 250, 70

#: Rows or columns of the largest plate.
_MOST_WELLS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OMEImage:
    """One Image element and its Pixels.

    Parameters
    ----------
    name
        Display name; may be empty.
    sizes
        SizeX, SizeY, SizeZ, SizeC and SizeT by the last letter, in lower case.
    planes
        Largest number of planes that a TiffData element or a modulo annotation declares.
    elsewhere
        Names of other files that contain planes of it.
    spacing, channels, bits, well
        As in `Series`.
    """

    name: str
    sizes: Mapping[str, int]
    planes: int
    elsewhere: tuple[str, ...]
    spacing: Mapping[str, Spacing]
    channels: tuple[Channel, ...]
    bits: int | None
    well: Well | None = None


def is_ome_xml(text: str) -> bool:
    """Return whether the description of a directory is OME-XML, as tifffile tells it."""
    return text[-10:].strip().endswith("OME>")


def ome_xml_of(header: Header) -> str | None:
    """Return the OME-XML of a file; `None` if it has none."""
    text = header.ifds[0].other_tags.get(Tag.IMAGE_DESCRIPTION)
    return text if isinstance(text, str) and is_ome_xml(text) else None


def check_ome_xml(text: str, budget: Budget) -> None:
    """Refuse a document that would take more memory than the budget has left; call it first.

    Raises
    ------
    InvalidTIFFError
        With kind `header-too-large`.
    """
    cost = _CHARACTER * len(text) + _TAG * text.count("<") + _ATTRIBUTE * text.count("=")
    if cost > budget.left:
        raise InvalidTIFFError(
            f"the OME-XML takes {cost} bytes of memory, more than {budget.left}.",
            kind=ErrorKind.HEADER_TOO_LARGE,
            ifd=(0,),
            tag=Tag.IMAGE_DESCRIPTION,
            remedy='Pass a larger header_limit. The layout "flat" does not need it.',
        )


def ome_root(text: str) -> Element:
    """Return the root element of a document; refuse one that cannot be parsed."""
    try:
        root: Element = ElementTree.fromstring(text.encode(), forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise invalid_ome_xml(f"cannot be parsed ({str(error)[:80]})") from error
    return root


def parse_ome_xml(text: str) -> tuple[OMEImage, ...]:
    """Read the images of a document; planes of files with another UUID are told apart."""
    root = ome_root(text)
    try:
        annotated = _most_along(root)
        own = root.attrib.get("UUID")
        wells = _or_none(lambda: _wells(root)) or {}
        return tuple(
            replace(_image(image, pixels, annotated, own), well=wells.get(image.get("ID")))
            for image in children(root, "Image")
            for pixels in children(image, "Pixels")
        )
    except (KeyError, ValueError, OverflowError) as error:
        raise invalid_ome_xml(f"has an invalid value ({str(error)[:80]})") from error


def _image(image: Element, pixels: Element, annotated: int, own: str | None) -> OMEImage:
    data = list(children(pixels, "TiffData"))
    counts = [int(d.get("PlaneCount", d.get("NumPlanes", "1"))) for d in data]
    firsts = [int(d.get("IFD", "0")) for d in data]
    if any(n < 0 for n in (*counts, *firsts)):
        raise ValueError("a negative number of planes")
    spacing = {
        axis: Spacing(step, unit)
        for axis, (step, unit) in {
            **{
                axis: _quantity(pixels, f"PhysicalSize{axis.upper()}", "µm", LENGTHS)
                for axis in "xyz"
            },
            "t": _quantity(pixels, "TimeIncrement", "s", TIMES),
        }.items()
        if step
    }
    if "t" not in spacing and (found := _or_none(lambda: _time_step(pixels))) is not None:
        spacing["t"] = found
    return OMEImage(
        name=image.get("Name", ""),
        sizes={axis.lower(): int(pixels.attrib[f"Size{axis}"]) for axis in "XYZCT"},
        planes=max([*counts, annotated, 1]),
        elsewhere=tuple(dict.fromkeys(_elsewhere(data, own))),
        spacing=spacing,
        channels=tuple(_channels(pixels)),
        bits=_or_none(lambda: int(pixels.attrib["SignificantBits"])),
    )


def _or_none[T](read: Callable[[], T]) -> T | None:
    """Return what describes pixels; `None` if a number in it is none: they are there without."""
    try:
        return read()
    except (KeyError, ValueError):
        return None


def _time_step(pixels: Element) -> Spacing | None:
    """Return the step of equally spaced times (DeltaT) of the first plane of each."""
    times: dict[int, float] = {}
    units = set()
    for plane in children(pixels, "Plane"):
        if plane.get("TheC", "0") == plane.get("TheZ", "0") == "0" and "DeltaT" in plane.attrib:
            times.setdefault(int(plane.get("TheT", "0")), float(plane.attrib["DeltaT"]))
            units.add(unit_name(plane.get("DeltaTUnit", "s"), TIMES))
    values = [times[key] for key in sorted(times)]
    if (
        len(values) < 2
        or len(units) != 1
        or None in units
        or sorted(times) != list(range(len(times)))
    ):
        return None
    step = (values[-1] - values[0]) / (len(values) - 1)
    if not 0 < step < math.inf:
        return None
    if any(abs(b - a - step) > step / 20 for a, b in pairwise(values)):
        return None
    return Spacing(step, units.pop())


def _wells(root: Element) -> dict[str | None, Well]:
    """Return the places of images in plates, by the IDs of images."""
    found: dict[str | None, Well] = {}
    for number, plate in enumerate(children(root, "Plate")):
        acquisitions = {
            sample.get("ID"): (i, one.get("Name", ""))
            for i, one in enumerate(children(plate, "PlateAcquisition"))
            for sample in children(one, "WellSampleRef")
        }
        for well in children(plate, "Well"):
            row, column = int(well.get("Row", "0")), int(well.get("Column", "0"))
            if not (0 <= row < _MOST_WELLS and 0 <= column < _MOST_WELLS):
                raise ValueError("a well outside of the plate")
            name = plate.get("Name") or plate.get("ID") or f"Plate {number}"
            images = [
                (ref.get("ID"), acquisitions.get(sample.get("ID")))
                for sample in children(well, "WellSample")
                for ref in children(sample, "ImageRef")
            ]
            found |= {
                image: Well(plate=name, row=row, column=column, field=i, acquisition=acquisition)
                for i, (image, acquisition) in enumerate(images)
            }
    return found


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield children by their local name, since the namespace contains the version."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _quantity(
    pixels: Element, name: str, default_unit: str, units: Mapping[str, str]
) -> tuple[float, str | None]:
    """Return a positive number and its unit; 0 if there is none, or an undefined unit.

    Undefined units of OME-XML are `pixel` and `reference frame`.
    """
    value = _or_none(lambda: float(pixels.attrib[name])) or 0
    unit = unit_name(pixels.get(f"{name}Unit", default_unit), units)
    return (value, unit) if unit is not None and 0 < value < math.inf else (0, None)


def _elsewhere(data: list[Element], own: str | None) -> Iterator[str]:
    """Yield the other files that contain planes: those of another UUID than the document has.

    Planes of other files would be read as missing.
    """
    for element in data:
        for uuid in children(element, "UUID"):
            if own is None or uuid.text != own:
                yield uuid.get("FileName") or str(uuid.text)


def _channels(pixels: Element) -> Iterator[Channel]:
    """Return the channels if any has a name, a dye or a colour; IDs are not names."""
    elements = list(children(pixels, "Channel"))
    if not any({"Name", "Fluor", "Color"} & element.attrib.keys() for element in elements):
        return
    for element in elements:
        name = element.get("Name") or element.get("Fluor") or ""
        try:
            # Red, green, blue and alpha are the bytes of a signed 32-bit number.
            color = f"{(int(element.attrib['Color']) & 0xFFFFFFFF) >> 8:06X}"
        except (KeyError, ValueError):
            color = None
        yield Channel(name=name, color=color)


def _most_along(root: Element) -> int:
    """Return the largest number of steps in a modulo annotation (6D, 7D, 8D storage)."""
    most = 1.0
    for element in root.iter():
        if {"Start", "End"} <= element.attrib.keys():
            start, end = float(element.attrib["Start"]), float(element.attrib["End"])
            step = float(element.get("Step", "1"))
            if not step or not math.isfinite(start + end + step):
                raise ValueError("a modulo annotation without steps")
            most = max(most, (end - start) / step + 1)
    return math.ceil(most)


def invalid_ome_xml(what: str) -> InvalidTIFFError:
    """Make the error of a document that cannot be used."""
    return InvalidTIFFError(
        f"the OME-XML {what}.",
        kind=ErrorKind.INVALID_TAG,
        ifd=(0,),
        tag=Tag.IMAGE_DESCRIPTION,
        remedy='The layout "flat" does not need it.',
    )
