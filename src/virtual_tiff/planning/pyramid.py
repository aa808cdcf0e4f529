"""Levels of an image and its overviews, and the `multiscales` Zarr convention (v0.1).

NewSubfileType (TIFF 6.0, tag 254) and sub-IFDs determine the levels, never the position alone: in a
COG, masks are between the overviews.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from zarr_cm import multiscales

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import Description, spatial_attributes
from virtual_tiff.tiff.ifd import is_dependent
from virtual_tiff.tiff.relations import Related, masks


@dataclass(frozen=True, slots=True)
class Pyramid:
    """An image with its overviews.

    Parameters
    ----------
    name
        Path of its directory: `0`, or `0.1` for a sub-IFD.
    levels
        From full resolution to the smallest, the `image` of each level and, if the file has one of
        this size, its `mask`.
    """

    name: str
    levels: tuple[Mapping[str, Related], ...]


def pyramids_of(
    related: Sequence[Related], ifd: tuple[int, ...] | None, *, url: str | None = None
) -> list[Pyramid]:
    """Return the full-resolution images of a file, each with its overviews.

    A reduced image with another number of samples is a thumbnail, not a level, as in GDAL.

    Parameters
    ----------
    related
        Every directory of the file, at least one.
    ifd
        Path of one full-resolution image; `None` for all.
    url
        Address of the file, for errors.

    Raises
    ------
    InvalidOptionError
        The chosen image is an overview or a mask.
    """
    mask_of = masks(related)
    reduced: dict[int, list[Related]] = defaultdict(list)
    for one in related:
        if one.directory.is_reduced and not one.directory.is_mask:
            reduced[id(one.full)].append(one)
    found = []
    for full in _full(related, ifd, url):
        count = full.directory.samples_per_pixel
        overviews = [
            one for one in reduced[id(full.directory)] if one.directory.samples_per_pixel == count
        ]
        # Stable, so that levels of equal size keep the order of the file.
        overviews.sort(key=lambda one: one.size[0] * one.size[1], reverse=True)
        levels = []
        for one in (full, *overviews):
            mask = mask_of.get(one)
            levels.append({"image": one} if mask is None else {"image": one, "mask": mask})
        name = ".".join(map(str, full.directory.index))
        found.append(Pyramid(name, tuple(levels)))
    return found


def multiscales_attributes(
    levels: Mapping[str, Description], factors: Sequence[float] | None = None
) -> dict[str, JSON]:
    """Return the attributes of the group above the levels.

    Parameters
    ----------
    levels
        Metadata of the levels by the names of their groups, from full resolution to the smallest.
    factors
        Scales of levels whose sizes are padded.

    Returns
    -------
    dict
        `multiscales` with shape and transform of each level, so that viewers can choose one without
        opening its group; with georeferencing also the `proj` and `spatial` conventions. Every
        level is declared to be derived from the first, since NewSubfileType does not tell from
        which level it was computed. There are no translations: the outer corners of all levels
        coincide. `description` says where the image is, since xarray opens the group itself as an
        empty dataset.
    """
    first, full = next(iter(levels.items()))
    layout: list[multiscales.LayoutObject] = []
    for name, level in levels.items():
        entry: dict[str, JSON] = {"asset": name}
        if name != first:
            entry["derived_from"] = first
        scale: list[JSON] = [n / m for n, m in zip(full.shape, level.shape, strict=True)]
        if factors is not None:
            scale = [factors[len(layout)]] * 2
        entry["transform"] = {"scale": scale, "translation": [0.0, 0.0]}
        if level.geotransform is not None:
            x, a, b, y, d, e = level.geotransform
            entry["spatial:shape"] = list(level.shape)
            entry["spatial:transform"] = [a, b, x, d, e, y]
        layout.append(cast("multiscales.LayoutObject", entry))
    attributes = {**full.group_attributes, "description": _where(list(levels))}
    if all(level.geotransform is not None for level in levels.values()):
        declared = cast("list[JSON]", attributes.pop("zarr_conventions", []))
        placed = spatial_attributes()
        declared = [*declared, *cast("list[JSON]", placed["zarr_conventions"])]
        attributes |= {**placed, "zarr_conventions": declared}
    inserted = multiscales.insert(attributes, multiscales.create(layout=layout))
    return cast("dict[str, JSON]", inserted)


def _where(names: Sequence[str]) -> str:
    first, *smaller = (repr(name) for name in names)
    more = f", and smaller levels are in {', '.join(smaller)}" if smaller else ""
    return (
        f"The image is in the group {first} of this group{more}: open it with group=…/{names[0]}."
    )


def _full(
    related: Sequence[Related], ifd: tuple[int, ...] | None, url: str | None
) -> Sequence[Related]:
    if ifd is None:
        # A file may consist of an overview of an image in another file.
        return [one for one in related if not is_dependent(one.directory)] or related[:1]
    chosen = next(one for one in related if one.directory.index == ifd)
    if chosen.full is None:
        return [chosen]
    what = "a mask" if chosen.directory.is_mask else "an overview"
    raise InvalidOptionError(
        f"this is {what}, not a full-resolution image.",
        url=url,
        ifd=ifd,
        remedy=f"Pass ifd={_argument(chosen.full.index)} for the image it belongs to.",
    )


def _argument(path: tuple[int, ...]) -> str:
    """Return a path as an argument of the parser."""
    return str(path[0]) if len(path) == 1 else str(path)
