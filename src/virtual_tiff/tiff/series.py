"""Series of pages: which directories of a TIFF make up one image of more dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

type IFDPath = tuple[int, ...]

#: Formats of slides, which say what their pages are in their own ways.
SLIDES = frozenset(
    {"avs", "huron", "indica", "mikroscan", "motic", "ndpi", "philips", "qpi", "svs", "trestle"}
)


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distance between neighbours along a dimension.

    Parameters
    ----------
    step
        More than 0, in `unit`.
    unit
        As OME-Zarr 0.5 names it, such as `micrometer` or `second`; `None` where it is unknown.
    """

    step: float
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What is known of a channel.

    Parameters
    ----------
    name
        For people.
    color
        Red, green and blue as six hexadecimal digits; `None` where it is not known.
    """

    name: str
    color: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One resolution of a series.

    Parameters
    ----------
    pages
        Directories in C order of the series' sizes; `None` where the file has no such page.
    size
        Rows and columns.
    """

    pages: tuple[IFDPath | None, ...]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Pages that make up one image.

    Parameters
    ----------
    name
        From the metadata of the file; may be empty.
    kind
        The format that says so, as tifffile calls it: `ome`, `imagej`, `svs`, `generic`, ….
    sizes
        Names and sizes of the dimensions that pages are laid out along, none of size 1.
    levels
        From full resolution to the smallest, at least one.
    contiguous
        Whether the one directory of the (only) level speaks for all pages, which lie one after the
        other in the file: what ImageJ writes beyond 4 GB.
    samples
        Name of the dimension of several samples, or slices, within a page.
    spacing
        By dimension, `y` and `x` included, at full resolution; those that are known.
    channels
        In order; as many as the image has, samples counted together, or none.
    bits
        Significant bits of a sample, where they are fewer than its type has.
    """

    name: str
    kind: str
    sizes: Mapping[str, int]
    levels: tuple[Level, ...]
    contiguous: bool = False
    samples: str = "band"
    spacing: Mapping[str, Spacing] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    bits: int | None = None

    def holds(self, path: IFDPath) -> bool:
        """Whether a directory is a page of this, at whatever resolution."""
        return any(path in level.pages for level in self.levels)
