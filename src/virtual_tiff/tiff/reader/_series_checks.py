"""Check what tifffile would allocate or read by, before it looks for series of pages."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence, Set

import tifffile
from defusedxml import DefusedXmlException, ElementTree

from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.ome_xml import OMEImage, parse_ome_xml

#: Pages of all images of a file, missing ones included.
MAX_PAGES = 2**20
#: Tag of the INI text of Olympus SIS, and the numbers in it by which tifffile allocates: channels,
#: which are pages, and images of a series.
_SIS_INI = 33471
_COUNTS = re.compile(rb"^\s*(?:Band|Count)\s*=\s*\+?(\d+)", re.MULTILINE)
#: Formats whose pages are not images, or whose metadata is not bounded.
_REFUSED = frozenset({"flimage"})


_FLAT = 'The layout "flat" has every page as a separate array'


def unknown_order(what: str, remedy: str = "") -> UnsupportedTIFFError:
    """Make the error of pages whose order is not known; `remedy` continues a sentence."""
    return UnsupportedTIFFError(
        f"{what}.", kind=ErrorKind.UNSUPPORTED_LAYOUT, remedy=f"{_FLAT}{remedy}."
    )


def too_many(pages: int) -> InvalidTIFFError:
    """Make the error of metadata that declare more pages than a file can hold."""
    return InvalidTIFFError(
        f"the metadata declares {pages} pages, more than {MAX_PAGES}.",
        kind=ErrorKind.HEADER_TOO_LARGE,
        remedy='The layout "flat" does not need it.',
    )


def check_kind(flags: Set[str]) -> None:
    """Raise for formats for which tifffile is not used."""
    for kind in tifffile.TIFF.SERIES:
        if kind not in flags:
            continue
        if kind in _REFUSED:
            raise unknown_order(
                f"how {kind.upper()} files put their pages in order is not supported"
            )
        # After these two tifffile may try another format.
        if kind != "mmstack" and not (kind == "ome" and "imagej" in flags):
            return


def ome_images(tif: tifffile.TiffFile, header: Header) -> tuple[OMEImage, ...]:
    """Return the images of the OME-XML, after checking what tifffile would allocate."""
    images = parse_ome_xml(tif.ome_metadata or "")
    smallest = min(_pixels(directory) for directory in header.ifds)
    total = 0
    for image in images:
        if any(size < 1 for size in image.sizes.values()):
            raise InvalidTIFFError(
                f"the OME-XML has sizes {dict(image.sizes)}, but they must be at least 1.",
                kind=ErrorKind.INVALID_TAG,
                tag=Tag.IMAGE_DESCRIPTION,
                remedy='The layout "flat" does not need it.',
            )
        pages = max(math.prod(image.sizes.values()) // smallest, image.planes)
        total += pages
        if total > MAX_PAGES:
            raise too_many(total)
    return images


def check_elsewhere(images: Sequence[OMEImage]) -> None:
    """Raise if planes of an image are in other files."""
    for image in images:
        if image.elsewhere:
            some = ", ".join(image.elsewhere[:2]) + (", …" if len(image.elsewhere) > 2 else "")
            raise unknown_order(
                f"pages of an image are in other files ({some})",
                ", and a stack of all these files their image",
            )


def _pixels(directory: ImageFileDirectory) -> int:
    return directory.image_width * directory.image_length * directory.samples_per_pixel


def check_mmstack(tif: tifffile.TiffFile) -> None:
    """Limit the number of pages in Micro-Manager's summary and index."""
    metadata = tif.micromanager_metadata or {}
    summary, index = metadata.get("Summary", {}), metadata.get("IndexMap")
    if index is None or not len(index):
        return
    largest = [int(n) + 1 for n in index[:, :4].max(axis=0)]
    keys = ("Channels", "Slices", "Frames", "Positions")
    pages = math.prod(max(n, int(summary.get(k, 1))) for k, n in zip(keys, largest, strict=True))
    if pages > MAX_PAGES:
        raise too_many(pages)


def check_scn(text: str) -> None:
    """Limit the number of channels and slices in the XML of Leica SCN, for which lists are made."""
    try:
        root = ElementTree.fromstring(text.encode(), forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise unknown_order("the XML of the slide cannot be parsed") from error
    most = {"c": 0, "z": 0}
    for element in root.iter():
        if element.tag.endswith("dimension"):
            most = {key: max(n, int(element.get(key, "0"))) for key, n in most.items()}
    if (pages := (most["c"] + 1) * (most["z"] + 1)) > MAX_PAGES:
        raise too_many(pages)


def check_sis(tif: tifffile.TiffFile) -> None:
    """Limit the numbers in the INI text of Olympus SIS, for which lists are made."""
    tag = tif.pages.first.tags.get(_SIS_INI)
    if tag is None:
        return
    tif.filehandle.seek(tag.valueoffset)
    # tifffile decodes the value when it is asked for.
    text: bytes = tif.filehandle.read(tag.count)
    claimed = max((int(digits[:20]) for digits in _COUNTS.findall(text)), default=0)
    if claimed > (pages := len(tif.pages)):
        raise unknown_order(f"the metadata declares {claimed} channels or images of {pages} pages")
