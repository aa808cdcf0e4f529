"""Find which pages make up one image, from tifffile's series, checked before and after.

tifffile supports the page order of some thirty formats. It is used only for formats whose metadata
cannot make it allocate or read without limits, and only the order of pages is taken from it: the
content of each page is defined by its own directory.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any
from urllib.parse import unquote

import tifffile

from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.storage.byte_source import SMALL_BLOCK, ByteSource
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory, walk_ifds
from virtual_tiff.tiff.ome_own_part import own_part, with_own_uuid
from virtual_tiff.tiff.ome_xml import check_ome_xml, ome_xml_of
from virtual_tiff.tiff.reader._series_checks import (
    MAX_PAGES,
    check_elsewhere,
    check_kind,
    check_mmstack,
    check_scn,
    check_sis,
    ome_images,
    too_many,
    unknown_order,
)
from virtual_tiff.tiff.reader._series_facts import described, matched, rows_as_y
from virtual_tiff.tiff.reader._tifffile import TIFFFILE_ERRORS, open_with_tifffile
from virtual_tiff.tiff.relations import with_marked_levels
from virtual_tiff.tiff.series import IFDPath, Level, Series


async def read_series(source: ByteSource, header: Header) -> tuple[Series, ...]:
    """Find how the pages of a file belong together.

    Parameters
    ----------
    source, header
        The file, and all its directories.

    Raises
    ------
    UnsupportedTIFFError
        With kind `unsupported-layout`: pages in several files, or in an order that is not known.
    InvalidTIFFError
        The metadata contradicts itself, or declares more than a file can hold.
    """
    return await asyncio.to_thread(_read_series, source, header)


def _read_series(source: ByteSource, header: Header) -> tuple[Series, ...]:
    url = header.source.url
    try:
        # OME-XML has names of files without folders.
        name = unquote(url).rpartition("/")[2]
        text = ome_xml_of(header)
        notes: tuple[str, ...] = ()
        if text is not None:
            check_ome_xml(text, source.budget)
            own = own_part(with_own_uuid(text, name))
            text, notes = own.text, own.notes
        with open_with_tifffile(source, name=name, block_size=SMALL_BLOCK, ome_xml=text) as tif:
            check_kind(tif.flags)
            images = ome_images(tif, header) if tif.is_ome else ()
            if tif.is_mmstack:
                check_mmstack(tif)
            if tif.is_scn:
                check_scn(tif.scn_metadata or "")
            if tif.is_sis:
                check_sis(tif)
            paths = {d.position: d for d in walk_ifds(header.ifds)}
            _leave_out_damaged(tif, header, paths)
            found = _whole_pyramids(list(tif.series(squeeze=False)))
            if any(_is_stale(one) for one in found):
                found = list(tif.series(kind="generic", squeeze=False))
            if source.failure is not None:
                # tifffile may have ignored what could not be read.
                raise source.failure
            if not any(one.kind == "mmstack" for one in found):
                check_elsewhere(images)
            made = [_series(tif, one, paths) for one in found]
            made = [replace(one, notes=(*one.notes, *notes)) for one in made]
            return with_marked_levels(
                [
                    described(tif, one, plain, image, header)
                    for one, plain, image in zip(found, made, matched(found, images), strict=True)
                ],
                header.ifds,
            )
    except VirtualTIFFError as error:
        raise error.at(url=url) from error.__cause__
    except (*TIFFFILE_ERRORS, MemoryError, RuntimeError, SyntaxError) as error:
        raise unknown_order(f"tifffile cannot put the pages in order ({str(error)[:80]})").at(
            url=url
        ) from error


def _leave_out_damaged(
    tif: tifffile.TiffFile, header: Header, paths: Mapping[int, ImageFileDirectory]
) -> None:
    """Let tifffile ignore sub-IFDs that cannot be read, of which their images have notes.

    The same of all images, so that the others are levels of the same sizes.
    """
    noted = [directory.index[0] for directory in header.ifds if directory.notes]
    damaged = {
        i
        for number in noted
        for i, offset in enumerate(tif.pages[number].subifds or ())
        if offset not in paths
    }
    if damaged:
        tif.pages.cache = True
        for page in tif.pages:
            kept = [offset for i, offset in enumerate(page.subifds or ()) if i not in damaged]
            page.subifds = tuple(kept) or None


def _whole_pyramids(found: list[tifffile.TiffPageSeries]) -> list[tifffile.TiffPageSeries]:
    """Put levels of an image together, whatever their order in the file.

    tifffile does so by size for files without metadata, but only if each level follows the next
    larger one. Pages that nothing shows to be levels stay images of their own.
    """
    levels = [level for one in found for level in one.levels]
    shown = any(level.keyframe.is_reduced for level in levels) or len(levels) > len(found)
    if len(found) < 2 or not shown or any(one.kind != "generic" for one in found):
        return found
    places = {id(level): i for i, level in enumerate(levels)}
    levels.sort(key=lambda level: math.prod(level.shape), reverse=True)
    for level in levels:
        level.levels = [level]
    tifffile.tifffile.pyramidize_series(levels)
    # An image is where the first of its levels was.
    return sorted(levels, key=lambda one: min(places[id(level)] for level in one.levels))


def _is_stale(found: tifffile.TiffPageSeries) -> bool:
    """Return whether ImageJ's metadata declare other pages than the file has.

    Programs that copy or append pages leave them as they were. Contiguous pages need no directory.
    """
    pages = math.prod(found.shape) // max(1, found.keyframe.size)
    return found.kind == "imagej" and len(found) != pages and found.dataoffset is None


def _by_size(levels: Sequence[tifffile.TiffPageSeries]) -> list[tifffile.TiffPageSeries]:
    """Return the levels of an image from the largest to the smallest; the first is the image."""
    return [
        levels[0],
        *sorted(
            levels[1:],
            key=lambda level: int(level.keyframe.imagelength) * int(level.keyframe.imagewidth),
            reverse=True,
        ),
    ]


def _series(
    tif: tifffile.TiffFile,
    found: tifffile.TiffPageSeries,
    paths: Mapping[int, ImageFileDirectory],
) -> Series:
    """Return the order of the pages of one series."""
    # The values of MD Gel are transformed by attributes.
    if found.is_multifile or (found.transform is not None and found.kind != "mdgel"):
        raise unknown_order(f"the series {found.name!r} is more than its pages")
    images = math.prod(found.shape) // max(1, found.keyframe.size)
    if images > MAX_PAGES:
        raise too_many(images)
    sizes, samples = _dimensions(found, images)
    contiguous = _is_contiguous(found, images)
    levels = tuple(
        Level(
            pages=((_path(level.keyframe, paths),) if contiguous else _pages(level, images, paths)),
            size=(level.keyframe.imagelength, level.keyframe.imagewidth),
        )
        for level in _by_size(found.levels)
    )
    if found.kind == "philips":
        # tifffile has the sizes of the XML, without the padding that the arrays have.
        sizes_of = {d.index: (d.image_length, d.image_width) for d in paths.values()}
        levels = tuple(
            replace(level, size=sizes_of[page]) if (page := level.pages[0]) else level
            for level in levels
        )
    whole = tuple(takewhile(lambda level: _is_whole(level, levels[0]), levels))
    notes = []
    if len(whole) < len(levels):
        left = len(levels) - len(whole)
        notes.append(f"{left} levels are left out, since a page lacks the first of them.")
    if 0 <= found.axes.find("X") < found.axes.find("Y"):
        notes.append("The metadata of the file call rows x and columns y; here rows are y.")
    return Series(
        name=found.name,
        kind=found.kind,
        sizes=sizes,
        levels=whole,
        contiguous=contiguous,
        samples=samples,
        notes=tuple(notes),
    )


def _is_whole(level: Level, full: Level) -> bool:
    """Return whether a level has all pages that the image has."""
    pages = zip(level.pages, full.pages, strict=True)
    return all(page is not None or whole is None for page, whole in pages)


def _dimensions(found: tifffile.TiffPageSeries, images: int) -> tuple[dict[str, int], str]:
    """Return names and sizes of the dimensions of the pages, and the name of that within a page."""
    axes, shape = rows_as_y(found.axes), found.shape
    split = next(
        (
            k
            for k in range(len(axes) - 1)
            if math.prod(shape[:k]) == images and {"Y", "X"} <= set(axes[k:])
        ),
        None,
    )
    sized = list(zip(axes, map(int, shape), strict=True))
    within = [code for code, size in sized[split or 0 :] if size > 1 and code not in "YX"]
    if split is None or len(within) > 1:
        raise unknown_order(f"pages of dimensions {axes} and shape {shape}")
    sizes: dict[str, int] = {}
    for code, size in sized[:split]:
        if size > 1:
            # Pages of Zeiss LSM along `P` are positions, not phases.
            name = "r" if found.kind == "lsm" and code == "P" else _name(code)
            sizes[f"{name}_{len(sizes)}" if name in sizes else name] = size
    # Image viewers call samples channels, unless the pages are channels already.
    samples = _name(within[0]) if within else "band"
    if samples == "s" and found.kind == "geotiff":
        samples = "band"
    elif samples == "s" and "c" not in sizes:
        samples = "c"
    if samples in sizes or not {"y", "x"}.isdisjoint(sizes):
        raise unknown_order(f"pages of dimensions {axes}, of which two have one name")
    return sizes, samples


def _name(code: str) -> str:
    """Return the name of a dimension: tifffile's letter in lower case, `q` for unknown ones."""
    return code.lower() if code.isascii() and code.isalpha() else "q"


def _is_contiguous(found: tifffile.TiffPageSeries, images: int) -> bool:
    """Return whether one directory describes the contiguous pixels of all pages."""
    start = found.dataoffset
    if images == 1 or start is None or len(found.levels) > 1:
        return False
    try:
        pages = list(found)
    except IndexError:
        return True
    return len(pages) != images or any(
        page is None or page.dataoffsets[0] != start + i * found.keyframe.nbytes
        for i, page in enumerate(pages)
    )


def _pages(
    level: tifffile.TiffPageSeries, images: int, paths: Mapping[int, ImageFileDirectory]
) -> tuple[IFDPath | None, ...]:
    pages = list(level)
    if len(pages) != images:
        raise unknown_order(f"{len(pages)} pages for an image of shape {level.shape}")
    return tuple(
        [None if page is None or not page.offset else _path(page, paths) for page in pages]
    )


def _path(page: Any, paths: Mapping[int, ImageFileDirectory]) -> IFDPath:
    directory = paths.get(page.offset)
    if directory is None:
        raise unknown_order(f"there is no directory at offset {page.offset}, but a page")
    return directory.index
