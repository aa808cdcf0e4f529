"""Levels of an image and its overviews, and the `multiscales` Zarr convention (v0.1).

NewSubfileType (TIFF 6.0, tag 254) and sub-IFDs determine the levels, never the position alone: in a
COG, masks are between the overviews.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from zarr_cm import multiscales

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import Description
from virtual_tiff.tiff.ifd import is_dependent
from virtual_tiff.tiff.relations import Related, masks

#: Attributes of level groups only, since each level has its own shape.
_OF_ONE_LEVEL = ("spatial:shape", "spatial:transform")


def levels_of(
    related: Sequence[Related], ifd: tuple[int, ...] | None, *, url: str | None = None
) -> list[dict[str, Related]]:
    """Return the levels of one image, from full resolution to the smallest.

    A reduced image with another number of samples is a thumbnail, not a level, as in GDAL.

    Parameters
    ----------
    related
        Every directory of the file, at least one.
    ifd
        Path of the full-resolution image; `None` if the file has only one.
    url
        Address of the file, for errors.

    Returns
    -------
    list of dict
        For each level the `image` and, if the file has one of this size, its `mask`.

    Raises
    ------
    InvalidOptionError
        The file has several full-resolution images and none was chosen, or the chosen one is an
        overview or a mask.
    """
    full = _full(related, ifd, url)
    mask_of = masks(related)
    overviews = [
        one
        for one in related
        if one.full is full.directory
        and one.directory.is_reduced
        and not one.directory.is_mask
        and one.directory.samples_per_pixel == full.directory.samples_per_pixel
    ]
    # Stable, so that levels of equal size keep the order of the file.
    overviews.sort(key=lambda one: one.size[0] * one.size[1], reverse=True)
    levels = []
    for one in (full, *overviews):
        mask = mask_of.get(one)
        levels.append({"image": one} if mask is None else {"image": one, "mask": mask})
    return levels


def multiscales_attributes(
    levels: Sequence[Description], factors: Sequence[float] | None = None
) -> dict[str, JSON]:
    """Return the attributes of the group above the levels.

    Parameters
    ----------
    levels
        Descriptions of the images, in the order of their groups, which are named `0`, `1`, ….
    factors
        Scales of levels whose sizes are padded.

    Returns
    -------
    dict
        The `multiscales` convention; with georeferencing also the `proj` and `spatial` conventions,
        as far as all levels share them. Scales are those of rows and columns. Every level is
        declared to be derived from the first, since NewSubfileType does not tell from which level
        it was computed. There are no translations: the outer corners of all levels coincide.
    """
    full = levels[0]
    layout: list[multiscales.LayoutObject] = []
    for i, level in enumerate(levels):
        entry: dict[str, JSON] = {"asset": str(i)}
        if i:
            entry["derived_from"] = "0"
        scale: list[JSON] = [n / m for n, m in zip(full.shape, level.shape, strict=True)]
        if factors is not None:
            scale = [factors[i]] * 2
        entry["transform"] = {"scale": scale, "translation": [0.0, 0.0]}
        # So that a viewer can choose a level without opening its group.
        found = level.group_attributes
        entry.update({key: found[key] for key in _OF_ONE_LEVEL if key in found})
        layout.append(cast("multiscales.LayoutObject", entry))
    shared = {k: v for k, v in full.group_attributes.items() if k not in _OF_ONE_LEVEL}
    inserted = multiscales.insert(shared, multiscales.create(layout=layout))
    return cast("dict[str, JSON]", inserted)


def _full(related: Sequence[Related], ifd: tuple[int, ...] | None, url: str | None) -> Related:
    if ifd is not None:
        chosen = next(one for one in related if one.directory.index == ifd)
        if chosen.full is None:
            return chosen
        what = "a mask" if chosen.directory.is_mask else "an overview"
        raise InvalidOptionError(
            f"this is {what}, not a full-resolution image.",
            url=url,
            ifd=ifd,
            remedy=f"Pass ifd={_argument(chosen.full.index)} for the image it belongs to.",
        )
    pages = [one for one in related if not is_dependent(one.directory)]
    if len(pages) > 1:
        choices = [f"ifd={_argument(page.directory.index)}" for page in pages]
        listed = ", ".join(choices if len(choices) <= 6 else [*choices[:3], "…", choices[-1]])
        raise InvalidOptionError(
            f"the file has {len(pages)} full-resolution images, and the layout 'multiscale' is for "
            "one.",
            url=url,
            remedy=f"Choose one: {listed}.",
        )
    # A file may consist of an overview of an image in another file.
    return pages[0] if pages else related[0]


def _argument(path: tuple[int, ...]) -> str:
    """Return a path as an argument of the parser."""
    return str(path[0]) if len(path) == 1 else str(path)
