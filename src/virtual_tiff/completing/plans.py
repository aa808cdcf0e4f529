"""Plan a file whose images cannot all be referenced: replace these images, complete the chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from virtual_tiff.choices import OnUnsupported
from virtual_tiff.errors import UnsupportedTIFFError, VirtualTIFFError
from virtual_tiff.planning.hierarchy import find_ifd
from virtual_tiff.planning.image_plan import ImageOptions
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.tiff.ifd import Header

#: Arrays of images that cannot be referenced, by URL and directory.
type Copies = Mapping[tuple[str, tuple[int, ...]], ArrayPlan]


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """What to do with an image whose segments no codec expresses.

    `image` has the order of dimensions and the bands of the array that replaces it, and `limit` the
    largest image that is copied, in decoded bytes. `may_be_whole` says whether an image may be one
    chunk, the whole file.
    """

    image: ImageOptions
    on_unsupported: OnUnsupported
    limit: int
    may_be_whole: bool


async def plan_completely(
    header: Header,
    sources: Mapping[str, ByteSource],
    plan: Callable[[Copies], GroupPlan],
    options: CopyOptions,
) -> GroupPlan:
    """Make a plan, with arrays for the images that cannot be referenced, and complete its chunks.

    Parameters
    ----------
    header
        The TIFF, with its sidecars.
    sources
        The bytes of the TIFF and of its sidecars, by URL.
    plan
        Plans the file with the arrays that are already known.
    options
        See `CopyOptions`.

    Raises
    ------
    UnsupportedTIFFError
        An image cannot be referenced, and must not or cannot be copied.
    InvalidTIFFError
        A segment cannot be decoded.
    """
    url = header.source.url
    copies: dict[tuple[str, tuple[int, ...]], ArrayPlan] = {}
    while True:
        try:
            with sources[url].budget.working():
                made = plan(copies)
            return await _completed(made, sources)
        except UnsupportedTIFFError as error:
            error.at(url=url)
            place = (error.url or url, error.ifd or ())
            if error.ifd is None or place in copies:
                raise
            copies[place] = await _replaced(header, sources[place[0]], error, options)


async def _replaced(
    header: Header, source: ByteSource, reason: UnsupportedTIFFError, options: CopyOptions
) -> ArrayPlan:
    """Plan an image without references to its segments, or raise why there is no such plan."""
    # Imported here: few files need them, and copying imports tifffile and zarr.
    from virtual_tiff.completing.copying import copy_image
    from virtual_tiff.completing.whole_file import plan_whole_file

    beside = (sidecar.header for sidecar in header.sidecars)
    url = source.source.url
    holder = next((one for one in beside if one.source.url == url), header)
    directory = find_ifd(holder, reason.ifd or ())
    if options.may_be_whole:
        whole = await plan_whole_file(holder, directory, source, reason, options.image)
        if whole is not None:
            return whole
    if options.on_unsupported == "raise":
        if reason.remedy is None:
            reason.remedy = 'Pass on_unsupported="copy" to store the image itself.'
        raise reason
    try:
        return await copy_image(
            directory, source, reason, options=options.image, limit=options.limit
        )
    except VirtualTIFFError as error:
        raise error.at(url=url) from error.__cause__


async def _completed(plan: GroupPlan, sources: Mapping[str, ByteSource]) -> GroupPlan:
    arrays = [array for _, group in plan.walk() for array in group.arrays.values()]
    if not any(array.is_incomplete for array in arrays):
        return plan
    # Imported here: it imports zarr, and most files do not need it.
    from virtual_tiff.completing.segments import complete

    return await complete(plan, sources)
