"""Series of pages: directories of a TIFF that make up one image with more dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

type IFDPath = tuple[int, ...]

#: Slide formats, which describe their pages in their own metadata.
SLIDES = frozenset(
    {"avs", "bif", "huron", "indica", "mikroscan", "motic", "ndpi", "philips", "qpi", "scn"}
    | {"svs", "trestle"}
)


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distance between neighbouring pixels or pages along a dimension.

    Parameters
    ----------
    step
        Distance, greater than 0, in `unit`.
    unit
        Name of OME-Zarr 0.5, such as `micrometer` or `second`; `None` if unknown.
    """

    step: float
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Name and colour of a channel.

    Parameters
    ----------
    name
        Display name; may be empty.
    color
        Red, green and blue as six hexadecimal digits; `None` if unknown.
    window
        Values that are shown black and at full intensity; `None` if unknown.
    active
        Whether viewers show it at first.
    """

    name: str
    color: str | None = None
    window: tuple[float, float] | None = None
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Well:
    """Place of an image in a plate.

    Parameters
    ----------
    plate
        Name of the plate.
    row, column
        From 0.
    field
        Index of the image in its well.
    acquisition
        Number and name of the run in which the image was taken; `None` if unknown.
    """

    plate: str
    row: int
    column: int
    field: int
    acquisition: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One resolution of a series.

    Parameters
    ----------
    pages
        Paths of directories in C order of the series' sizes; `None` for a missing page.
    size
        Rows and columns.
    factor
        Pixels of the first level that one of this covers along rows and columns, if the sizes do
        not tell.
    """

    pages: tuple[IFDPath | None, ...]
    size: tuple[int, int]
    factor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Pages that make up one image.

    Parameters
    ----------
    name
        Name in the metadata of the file; may be empty.
    kind
        Name of the format in tifffile: `ome`, `imagej`, `svs`, `generic`, ….
    sizes
        Names and sizes of the dimensions of the pages, none of size 1.
    levels
        Levels from full resolution to the smallest, at least one.
    contiguous
        Whether one directory describes all pages of the (only) level, which follow each other in
        the file, as ImageJ writes beyond 4 GB.
    samples
        Name of the dimension of several samples, or slices, within a page.
    spacing
        Known spacings at full resolution by dimension, `y` and `x` included.
    channels
        Channels in order: as many as the image has, samples included, or none.
    bits
        Significant bits of a sample, if fewer than those of its type.
    well
        Place in a plate; `None` if it is in none.
    scale
        Number that stored values are to be multiplied with; `None` for 1.
    notes
        What is to be known of the pixels.
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
    well: Well | None = None
    scale: float | None = None
    notes: tuple[str, ...] = ()

    def holds(self, path: IFDPath) -> bool:
        """Return whether a directory is a page of this series, at any resolution."""
        return any(path in level.pages for level in self.levels)
