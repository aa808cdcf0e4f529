"""What follows the directories that were read of a file: pages and masks, with few requests."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_tiff.errors import InvalidTIFFError
from virtual_tiff.storage.budget import BUDGET_KINDS
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.tags import NewSubfileType, Tag
from virtual_tiff.tiff.ifd import Header
from virtual_tiff.tiff.ome_xml import is_ome_xml
from virtual_tiff.tiff.reader._chain import SPREAD_BYTES, Directory, read_directory
from virtual_tiff.tiff.reader._layout import HEADER_BYTES, read_file_header

_SHORT = 3
#: What GDAL writes after the header of a COG, and the bytes in which it lies.
_COG = b"LAYOUT=IFDS_BEFORE_DATA"
_COG_WITH_MASK = b"MASK_INTERLEAVED_WITH_IMAGERY=YES"
_COG_BYTES = 512
#: Bytes that the entries of most directories take.
_USUAL = SPREAD_BYTES // 8
# Integers, since `&` of flags takes ten times as long.
_MASK = int(NewSubfileType.MASK)
_DEPENDENT = int(NewSubfileType.REDUCED_RESOLUTION) | _MASK


@dataclass(frozen=True, slots=True)
class Following:
    """Whether other pages of the first image follow, or its mask."""

    pages: bool = False
    masks: bool = False


async def find_following(header: Header, source: ByteSource) -> Following:
    """Find what follows the directories of a header.

    It takes no request for directories in the bytes that were read, nor for COGs that declare to be
    such, which have overviews and masks only. In other files with georeferencing, where overviews
    are the rule, it takes one, and reads on as far as that goes; in files without, it reads on
    until a page is found.
    """
    first = header.ifds[0]
    text = first.other_tags.get(Tag.IMAGE_DESCRIPTION)
    pages = first.hidden_planes > 1 or (
        isinstance(text, str) and (is_ome_xml(text) or text.startswith("ImageJ="))
    )
    declared = source.prefix[:_COG_BYTES]
    is_cog = _COG in declared
    masks = is_cog and _COG_WITH_MASK in declared
    requests = 0 if is_cog else 1 if first.geo_keys else None
    layout, _ = read_file_header(source.prefix[:HEADER_BYTES])
    position = header.following
    seen: set[int] = set()
    while position and position not in seen and not (pages and masks):
        if not source.holds(position, _USUAL):
            if requests == 0 or pages:
                break
            requests = None if requests is None else requests - 1
        seen.add(position)
        try:
            with source.budget.working():
                directory, position = await read_directory(source, layout, position)
        except InvalidTIFFError as error:
            if error.kind in BUDGET_KINDS:
                raise
            break
        kind = _subfile_type(directory)
        pages = pages or not kind & _DEPENDENT
        masks = masks or kind & _DEPENDENT == _MASK
    return Following(pages, masks)


def _subfile_type(directory: Directory) -> int:
    for tag, field_type, _, value in directory.entries:
        if tag == Tag.NEW_SUBFILE_TYPE:
            size = 2 if field_type == _SHORT else 4
            return int.from_bytes(value[:size], directory.layout.byte_order)
    return 0
