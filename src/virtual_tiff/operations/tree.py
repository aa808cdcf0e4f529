"""Plan a group for each file from the rows of an inventory, as the parser does.

Nothing is fetched: the rows have all data that the parser needs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from virtual_tiff.cubes.grid import description
from virtual_tiff.cubes.plan import ImageGrid
from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.planning.arrangement import ArrangedImage, PlanOptions, arrange, arrange_pyramids
from virtual_tiff.planning.attributes import Description
from virtual_tiff.planning.image_plan import ImageOptions
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.planning.pyramid import pyramids_of
from virtual_tiff.tags import Tag
from virtual_tiff.tiff import philips
from virtual_tiff.tiff.ifd import ImageFileDirectory, TagValue
from virtual_tiff.tiff.relations import Related

type Row = Mapping[str, Any]

_COLUMNS = [
    "url",
    "ifd",
    "role",
    "full_ifd",
    "width",
    "height",
    "bands",
    "band_names",
    "crs",
    "transform",
    "grid_mapping",
]
#: NewSubfileType (TIFF 6.0, tag 254) by role.
_SUBFILE_TYPES = {"image": 0, "overview": 1, "mask": 4, "mask overview": 5}
_LAYOUTS = ("flat", "nested", "multiscale")


def plan_files(inventory: Inventory, options: PlanOptions) -> dict[str, GroupPlan]:
    """Plan the group of each file of an inventory: plans by URL, in the order of the rows.

    Rows with an error are ignored. Axes and bands are those of the scan. A file that is named twice
    is refused (kind `duplicate`), and a layout that cannot be made from rows.
    """
    if options.layout not in _LAYOUTS:
        raise InvalidOptionError(
            f"the layout {options.layout!r} needs the files themselves.",
            remedy="Publish their URLs instead of the inventory.",
        )
    images = inventory.images
    files: dict[str, list[tuple[Row, ArrayPlan]]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    rows = images.table.select(_COLUMNS).to_pylist()
    for row, plan in zip(rows, images.plans(), strict=True):
        key = (row["url"], row["ifd"])
        if key in seen:
            raise InvalidOptionError(
                "this source is named more than once.", kind=ErrorKind.DUPLICATE, url=row["url"]
            )
        seen.add(key)
        files[row["url"]].append((row, plan))
    return {url: _plan_file(url, found, options) for url, found in files.items()}


def _plan_file(url: str, rows: Sequence[tuple[Row, ArrayPlan]], options: PlanOptions) -> GroupPlan:
    """Arrange the images of a file with the functions that the parser uses."""
    directories = {row["ifd"]: _directory(row, _tags(plan)) for row, plan in rows}
    for row, _ in rows:
        # The full-resolution image of an overview may not have been read.
        directories.setdefault(row["full_ifd"], _directory({**row, "role": "image"}, {}))
    found: dict[Related, tuple[Row, ArrayPlan]] = {}
    for row, plan in rows:
        full = None if row["full_ifd"] == row["ifd"] else directories[row["full_ifd"]]
        found[Related(directories[row["ifd"]], full)] = (row, plan)
    numbers = _numbers([row for row, _ in rows])
    options = PlanOptions(options.layout, ImageOptions(bands=numbers), options.coords)

    def image(one: Related, name: str | None = None) -> ArrangedImage:
        row, plan = found[one]
        described = _description(row, named=numbers is None)
        return ArrangedImage(name or row["ifd"], one, plan, described)

    if options.layout == "multiscale":
        return arrange_pyramids(pyramids_of(list(found), None, url=url), image, options)
    return arrange([image(one) for one in found], options)


def _tags(plan: ArrayPlan) -> Mapping[int, TagValue]:
    """Return the tags that have the scales of padded levels (`tiff.philips`)."""
    text = plan.attributes.get("tiff")
    if not isinstance(text, str) or philips.SOFTWARE not in text:
        return {}
    told = json.loads(text)
    kept = (Tag.SOFTWARE, Tag.IMAGE_DESCRIPTION)
    return {tag: told[tag.title] for tag in kept if tag.title in told}


def _directory(row: Row, tags: Mapping[int, TagValue]) -> ImageFileDirectory:
    """Make a directory with the fields that relate images to each other."""
    count = row["bands"]
    return ImageFileDirectory(
        index=tuple(int(part) for part in row["ifd"].split(".")),
        position=0,
        byte_order="little",
        image_width=row["width"],
        image_length=row["height"],
        bits_per_sample=(8,) * count,
        sample_format=(1,) * count,
        samples_per_pixel=count,
        compression=1,
        planar_configuration=1,
        offsets=np.empty(0, np.uint64),
        byte_counts=np.empty(0, np.uint64),
        rows_per_strip=row["height"],
        new_subfile_type=_SUBFILE_TYPES[row["role"]],
        other_tags=tags,
    )


def _numbers(rows: Sequence[Row]) -> tuple[int, ...] | None:
    """Return the numbers of chosen bands that have no names."""
    chosen = {tuple(row["band_names"]) for row in rows if row["band_names"] is not None}
    if len(chosen) != 1:
        return None
    (names,) = chosen
    return tuple(map(int, names)) if all(name.isdecimal() for name in names) else None


def _description(row: Row, *, named: bool) -> Description:
    names = row["band_names"] if named else None
    return replace(description(ImageGrid.of_row(row)), band_names=tuple(names or ()))
