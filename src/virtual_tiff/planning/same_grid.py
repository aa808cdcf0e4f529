"""Whether two images lie on one grid, however it is written."""

from __future__ import annotations

from collections.abc import Sequence

#: Corners may lie apart by this share of a pixel: floating-point noise of different writers.
TOLERANCE = 1e-6


def same_crs(one: str | None, other: str | None) -> bool:
    """Whether two texts name the same CRS."""
    if one == other or one is None or other is None:
        return one == other
    from pyproj import CRS

    return bool(CRS(one) == CRS(other))


def same_transform(
    one: Sequence[float] | None, other: Sequence[float] | None, width: int, height: int
) -> bool:
    """Whether two affines put the corners of an image at the same places, but for noise."""
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
