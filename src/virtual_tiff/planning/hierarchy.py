"""Plan a group of arrays from the directories of a TIFF, in one of the layouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from virtual_tiff.choices import IFDLayout
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    InvalidTIFFError,
    VirtualTIFFError,
)
from virtual_tiff.planning.arrangement import ArrangedImage, PlanOptions, arrange, arrange_pyramids
from virtual_tiff.planning.attributes import noted
from virtual_tiff.planning.images import Images
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.planning.pyramid import pyramids_of
from virtual_tiff.storage.budget import BUDGET_KINDS
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory, is_dependent
from virtual_tiff.tiff.relations import Related, relate, relate_sidecars
from virtual_tiff.tiff.series import IFDPath


def plan_header(
    header: Header,
    options: PlanOptions,
    *,
    ifd: IFDPath | None,
    copies: Mapping[tuple[str, IFDPath], ArrayPlan] | None = None,
) -> GroupPlan:
    """Plan the images of a TIFF.

    Parameters
    ----------
    header
        Directories of the file and its sidecars.
    options
        Layout, axes and coordinates.
    ifd
        Path of the one image to plan, in the layout `multiscale` with its overviews and masks;
        `None` for all, sub-IFDs included.
    copies
        Arrays of images that cannot be referenced, by URL and path.

    Raises
    ------
    InvalidTIFFError, UnsupportedTIFFError
        With the URL and the directory at fault.
    InvalidOptionError
        With kind `ifd-out-of-range`; or `ifd` is no full-resolution image, which the layout
        `multiscale` needs.
    """
    related = (*relate(header.ifds), *relate_sidecars(header))
    if ifd is None or ifd[:1] >= (len(header.ifds),):
        check_undamaged(header, options.layout)
    chosen = None if ifd is None else find_ifd(header, ifd)

    images = Images(related, header.source, options, copies or {})
    planned: dict[int, ArrangedImage] = {}
    notes: dict[int, list[str]] = {}

    def plan_one(one: Related, name: str | None = None) -> ArrangedImage:
        image = planned.get(id(one))
        if image is None:
            try:
                options.check(0)
                array, description = images.plan(one)
            except VirtualTIFFError as error:
                url = (one.source or header.source).url
                raise error.at(url=url, ifd=one.directory.index) from error.__cause__
            own = one.prefix + array_name(one.directory.index)
            image = planned[id(one)] = ArrangedImage(own, one, array, description)
        if found := notes.get(id(one.directory)):
            image = replace(image, array=noted(image.array, *found))
        return image if name is None else replace(image, name=name)

    def is_readable(one: Related) -> bool:
        """Plan an overview; note on its image that it is damaged, if it is."""
        if one.full is None or one.directory.is_mask or one.source is not None:
            return True
        try:
            plan_one(one)
        except InvalidTIFFError as error:
            note = damaged_overview(one.directory.index, error)
            notes.setdefault(id(one.full), []).append(note)
            return False
        return True

    if options.layout == "multiscale":
        kept = [one for one in related if chosen not in (None, one.full) or is_readable(one)]
        pyramids = pyramids_of(kept, ifd, url=header.source.url)
        return arrange_pyramids(pyramids, plan_one, options)
    if chosen is None:
        related = tuple([one for one in related if is_readable(one)])
    return arrange([plan_one(one) for one in related if chosen in (None, one.directory)], options)


def damaged_overview(path: IFDPath, error: InvalidTIFFError) -> str:
    """Return the note on a damaged overview of an image, which is left out.

    Raises the error if it says that a file is malicious.
    """
    if error.kind in BUDGET_KINDS:
        raise error
    return f"overview {array_name(path)} cannot be read: {error.message}"


def check_undamaged(header: Header, layout: IFDLayout) -> None:
    """Raise an error if the chain of directories ends early, with what can be read as the remedy.

    The layout `pages` needs all directories; `multiscale` starts from full-resolution images.
    """
    if header.damage is None:
        return
    starts = [d for d in header.ifds if layout != "multiscale" or not is_dependent(d)]
    numbers = [directory.index[0] for directory in starts] or [0]
    if len(numbers) > 1 and numbers[-1] == len(numbers) - 1:
        choice = f"ifd=0 to ifd={numbers[-1]}"
    else:
        choice = " or ".join(f"ifd={number}" for number in numbers[:3])
    other = ' and ifd_layout="flat"' if layout == "pages" else ""
    header.damage.remedy = f"The {len(header.ifds)} before it can be read: pass {choice}{other}."
    raise header.damage


def find_ifd(header: Header, path: IFDPath) -> ImageFileDirectory:
    """Return the directory with this path.

    Raises
    ------
    InvalidOptionError
        With kind `ifd-out-of-range`; the message has the number of directories.
    """
    found: ImageFileDirectory | None = None
    candidates = header.ifds
    for depth in range(1, len(path) + 1):
        found = next((d for d in candidates if d.index == path[:depth]), None)
        if found is None:
            where = f"IFD {array_name(path[: depth - 1])}" if depth > 1 else "the file"
            what = "sub-IFDs" if depth > 1 else "IFDs"
            raise InvalidOptionError(
                f"there is no IFD {array_name(path)}: {where} has {len(candidates)} {what}.",
                kind=ErrorKind.IFD_OUT_OF_RANGE,
                url=header.source.url,
            )
        candidates = found.sub_ifds
    if found is None:
        raise InvalidOptionError("the path of an IFD is empty.", url=header.source.url)
    return found


def array_name(path: IFDPath) -> str:
    """Return the name of the array of a directory: `0`, or `0.1` for a sub-IFD."""
    return ".".join(str(i) for i in path)
