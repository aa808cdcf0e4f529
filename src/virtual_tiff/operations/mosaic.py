"""Read an array of tiles as the one image that they make together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.cubes.gaps import PRESENT
from virtual_tiff.planning.stacks import TILES

#: Reads a window, by positions along dimensions: pixels of shape `(rows, columns, bands)`, and
#: their opacity.
type ReadWindow = Callable[[Mapping[str, int | slice]], tuple[NDArray[Any], NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """Where the tiles of an array are in their image.

    Parameters
    ----------
    rows, columns
        First row and column of each tile.
    size
        Rows and columns of the image.
    present
        Whether there is a tile; shape `(rows of tiles, columns of tiles)`.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    size: tuple[int, int]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, group: Any, array: Any) -> Self | None:
        """Return the place of tiles; `None` if an array has none."""
        sizes = dict(zip(array.metadata.dimension_names, array.shape, strict=True))
        if not {*TILES} <= sizes.keys():
            return None
        starts, size = [], []
        for name in TILES:
            places = np.asarray(group[name][...], np.int64)
            last = int(places[-1]) + sizes[name.removeprefix("tile_")]
            # The last tile of all may be smaller than others.
            size.append(min(last, int(group[name].attrs.get("end", last))) - int(places[0]))
            starts.append(places - places[0])
        present = np.ones([sizes[name] for name in TILES], bool)
        if (path := f"{array.basename}{PRESENT}") in group:
            known = group[path]
            names = known.metadata.dimension_names
            present = known[tuple(slice(None) if name in TILES else 0 for name in names)] != 0
        return cls(starts[0], starts[1], (size[0], size[1]), present)

    def read(self, window: ReadWindow, step: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return every n-th pixel of the image.

        Where tiles overlap the later one counts, unless its pixel is transparent.
        """
        height, width = (-(-size // step) for size in self.size)
        first, _ = window({**dict.fromkeys(TILES, 0), "y": slice(1), "x": slice(1)})
        values = np.zeros((height, width, first.shape[-1]), first.dtype)
        alpha = np.zeros((height, width), np.uint8)
        for i, j in product(range(self.rows.size), range(self.columns.size)):
            if not self.present[i, j]:
                continue
            top, left = int(self.rows[i]), int(self.columns[j])
            y, x = -top % step, -left % step
            place = {"y": slice(y, None, step), "x": slice(x, None, step)}
            pixels, opacity = window({TILES[0]: i, TILES[1]: j, **place})
            within = (
                slice((top + y) // step, (top + y) // step + opacity.shape[0]),
                slice((left + x) // step, (left + x) // step + opacity.shape[1]),
            )
            inside = (slice(alpha[within].shape[0]), slice(alpha[within].shape[1]))
            shown = opacity[inside] > 0
            values[within][shown] = pixels[inside][shown]
            alpha[within][shown] = opacity[inside][shown]
        return values, alpha
