"""Pages of one image as one row of an inventory, with what the metadata say of their dimensions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.pages.hierarchy import NAME
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.storage.budget import Budget
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory, walk_ifds
from virtual_tiff.tiff.ome_companion import as_own
from virtual_tiff.tiff.ome_own_part import with_own_uuid
from virtual_tiff.tiff.ome_places import places_of_planes
from virtual_tiff.tiff.ome_xml import check_ome_xml, ome_xml_of, parse_ome_xml
from virtual_tiff.tiff.relations import left_out
from virtual_tiff.tiff.series import Channel, IFDPath, Series, Spacing

NOT_TAKEN = (
    'the file has other images, which are not in the array (scan with pages="separate" and '
    "parser=VirtualTIFF() for all of them)."
)
NO_ORDER = (
    "the file has other pages, which are not in the array, since their order is not known (scan "
    'with pages="separate" and parser=VirtualTIFF() for all of them).'
)

NO_COMPANION = (
    "the OME-XML of the image is in another file, which is not there: its place among others is "
    "not known."
)
NO_MASK = (
    "the file has a mask, which is not in the array, so masked pixels are there (stack with "
    "masks=True)."
)


#: Of an image of several pages.
_NO_MASKS = "the file has masks, which are not in the array, so masked pixels are there."


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """What the metadata of a file say of the dimensions of an image.

    Parameters
    ----------
    name
        Of the image; may be empty.
    spacing, channels, bits
        As in `virtual_tiff.tiff.series.Series`.
    place
        Index along `t`, `c` and `z` of the one plane that a row is, of an image in several files.
    """

    name: str = ""
    spacing: Mapping[str, Spacing] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    bits: int | None = None
    place: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, series: Series) -> Self:
        """Return those of a series."""
        return cls(
            name=series.name,
            spacing=series.spacing,
            channels=series.channels,
            bits=series.bits,
        )

    def text(self) -> str:
        """Return them as JSON, for a column."""
        document: dict[str, JSON] = {
            "name": self.name,
            "spacing": {axis: [one.step, one.unit] for axis, one in self.spacing.items()},
            "channels": [[one.name, one.color] for one in self.channels],
            "bits": self.bits,
            "place": dict(self.place),
        }
        return json.dumps({k: v for k, v in document.items() if v}, ensure_ascii=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the JSON of a column."""
        found = json.loads(text)
        return cls(
            name=found.get("name", ""),
            spacing={axis: Spacing(*each) for axis, each in found.get("spacing", {}).items()},
            channels=tuple(
                Channel(name=name, color=color) for name, color in found.get("channels", ())
            ),
            bits=found.get("bits"),
            place=found.get("place", {}),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PageImage:
    """An image to make a row of: its first directory, that of the full resolution, and its plan.

    `notes` say what of the file is not in the array.
    """

    directory: ImageFileDirectory
    full: ImageFileDirectory
    array: ArrayPlan
    grid_mapping: Mapping[str, JSON] | None
    facts: PageFacts
    is_overview: bool = False
    is_one_page: bool = False
    notes: tuple[str, ...] = ()


def page_images(
    header: Header, series: tuple[Series, ...], plan: GroupPlan, chosen: IFDPath | None
) -> list[PageImage]:
    """Return the images of some series, from the plan of `VirtualTIFF.series_async`.

    `chosen` is a directory of the one series to return; `None` for all. Other images of the file
    are noted.
    """
    directories = {directory.index: directory for directory in walk_ifds(header.ifds)}
    taken = [i for i, one in enumerate(series) if chosen is None or one.holds(chosen)]
    used = {
        page
        for i in taken
        for number, level in enumerate(series[i].levels)
        for page in level.pages
        if page is not None
        # A smaller page with georeferencing of its own may be another place, not a level.
        and not (number and directories[page].geo_keys)
    }
    left = bool(left_out(header.ifds, used))
    if any(series[i].contiguous for i in taken):
        left = False
    notes = (NOT_TAKEN,) if left else ()
    # The mask of a single page is found, and noted, before the pages are.
    if any(series[i].sizes for i in taken) and any(one.is_mask for one in header.ifds):
        notes = (*notes, _NO_MASKS)
    found = []
    for i in taken[: None if chosen is None else 1]:
        groups = plan.groups[str(i)].groups
        firsts = []
        for number, group in enumerate(groups[str(j)] for j in range(len(groups))):
            array = group.arrays[NAME]
            directory = directories[array.ifd or (0,)]
            firsts.append(directory)
            mapping = group.arrays.get("spatial_ref")
            found.append(
                PageImage(
                    directory=directory,
                    full=firsts[0],
                    array=array,
                    grid_mapping=None if mapping is None else mapping.attributes,
                    facts=PageFacts.of(series[i]),
                    is_overview=number > 0,
                    is_one_page=not series[i].sizes,
                    notes=notes,
                )
            )
    return found


def places_in_set(
    header: Header, budget: Budget, companion: bytes | None = None
) -> dict[IFDPath, PageFacts]:
    """Return the place of each directory of a file with planes of an image in several files.

    Empty if all planes of its images are in the file, or it is no OME-TIFF. `companion` is the
    document that the OME-XML of the file names.
    """
    text = ome_xml_of(header)
    if text is None:
        return {}
    name = unquote(header.source.url).rpartition("/")[2]
    if companion is not None:
        check_ome_xml(companion.decode(errors="replace"), budget)
        text = as_own(companion, text)
    check_ome_xml(text, budget)
    text = with_own_uuid(text, name)
    images = parse_ome_xml(text)
    if companion is None and not any(image.elsewhere for image in images):
        return {}
    return {
        (index,): PageFacts(
            name=images[place.image].name,
            spacing=images[place.image].spacing,
            channels=images[place.image].channels,
            bits=images[place.image].bits,
            place=place.steps,
        )
        for index, place in places_of_planes(text, len(header.ifds)).items()
    }
