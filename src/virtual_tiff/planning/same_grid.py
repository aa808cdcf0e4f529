"""Whether two images lie on one grid, however it is written."""

from __future__ import annotations

from collections.abc import Sequence

#: Tolerance of corners as a fraction of a pixel, for rounding by different writers.
TOLERANCE = 1e-6


def same_crs(one: str | None, other: str | None) -> bool:
    """Return whether two texts define the same CRS."""
    if one == other or one is None or other is None:
        return one == other
    from pyproj import CRS

    return bool(CRS(one) == CRS(other))


def same_transform(
    one: Sequence[float] | None, other: Sequence[float] | None, width: int, height: int
) -> bool:
    """Return whether two transforms place the corners of an image equally, within tolerance."""
    if one is None or other is None:
        return one is other
    a, b, _, d, e, _ = other
    pixel = max(abs(a) + abs(b), abs(d) + abs(e))
    for column, row in ((0, 0), (width, 0), (0, height), (width, height)):
        for i in (0, 3):
            place, usual = (m[i] * column + m[i + 1] * row + m[i + 2] for m in (one, other))
            if not abs(place - usual) <= TOLERANCE * pixel:
                return False
    return True
