"""Images of one resolution of a cube: those to remove, and those that stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from virtual_tiff.planning.stacks import TILES

#: Coordinates of an image, in the order of its axes, as the table of sources has them.
type Place = Mapping[str, Any]
#: Positions along axes.
type Cell = tuple[int, ...]
#: Axes of a regular grid, along which places count pixels.
PIXELS = ("y", "x")


class Image(NamedTuple):
    """An image in a row of the table of sources."""

    place: Place
    url: str

    @property
    def stacked(self) -> list[tuple[str, Any]]:
        """Its coordinates along the axes on which images are stacked."""
        return [(axis, v) for axis, v in self.place.items() if axis not in (*PIXELS, *TILES)]

    @property
    def on_regular_grid(self) -> bool:
        """Whether its place counts pixels."""
        return PIXELS[0] in self.place


@dataclass(slots=True)
class LevelRows:
    """Rows of the table of sources of one resolution, by name of the variable and number."""

    removed: dict[str, dict[int, Image]] = field(default_factory=dict)
    kept: dict[str, dict[int, Image]] = field(default_factory=dict)

    def add(self, name: str, row: int, image: Image, *, removed: bool) -> None:
        """Add a row, with its image."""
        into = self.removed if removed else self.kept
        into.setdefault(name, {})[row] = image
