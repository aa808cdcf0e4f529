"""Compute the outline and bounds of an image in longitude and latitude.

Outlines follow GeoParquet 1.1 and STAC 1.0: EPSG:4326 in the order longitude, latitude, split at
the antimeridian (RFC 7946 section 3.1.9), as well-known binary (OGC 06-103r4 section 8).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

type Affine = tuple[float, float, float, float, float, float]
type Points = NDArray[np.float64]

#: Points on each edge of an image, since straight edges in its CRS are curved in longitude and
#: latitude.
_POINTS_PER_EDGE = 8
_POLYGON, _MULTI_POLYGON = 3, 6


@dataclass(frozen=True, slots=True)
class Footprint:
    """Outline and bounds of an image.

    Parameters
    ----------
    rings
        Outer rings, each closed, as (longitude, latitude) in degrees; more than one if the image
        crosses the antimeridian.
    bbox
        West, south, east and north, in degrees. West is greater than east if the image crosses the
        antimeridian (RFC 7946 section 5.2).
    """

    rings: tuple[tuple[tuple[float, float], ...], ...]
    bbox: tuple[float, float, float, float]

    @property
    def wkb(self) -> bytes:
        """Return a Polygon or MultiPolygon as little-endian WKB."""
        polygons = [_polygon_wkb(ring) for ring in self.rings]
        if len(polygons) == 1:
            return polygons[0]
        return struct.pack("<BII", 1, _MULTI_POLYGON, len(polygons)) + b"".join(polygons)

    @property
    def geojson(self) -> dict[str, object]:
        """Return a geometry object of RFC 7946."""
        coordinates = [[[list(point) for point in ring]] for ring in self.rings]
        if len(coordinates) == 1:
            return {"type": "Polygon", "coordinates": coordinates[0]}
        return {"type": "MultiPolygon", "coordinates": coordinates}


@lru_cache(maxsize=4096)
def footprint(crs: str, transform: Affine, width: int, height: int) -> Footprint | None:
    """Find the outline of an image.

    Parameters
    ----------
    crs
        Input of pyproj: `EPSG:32633`, or WKT.
    transform
        a, b, c, d, e, f: x = a·column + b·row + c, y = d·column + e·row + f, with the origin at
        the outer corner of the first pixel.
    width, height
        In pixels.

    Returns
    -------
    Footprint or None
        `None` if the CRS cannot be transformed to longitude and latitude there.
    """
    try:
        to_degrees = _transformer(crs)
        longitude, latitude = to_degrees.transform(*_outline(transform, width, height))
        lon, lat = np.asarray(longitude), np.asarray(latitude)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            return None
        # Neighbouring points are close, so a difference of more than 180 degrees is a crossing of
        # the antimeridian.
        unwrapped = np.degrees(np.unwrap(np.radians(lon)))
        if abs(unwrapped[-1] - unwrapped[0]) > 180:
            return _around_pole(to_degrees, transform, width, height, lat)
    except ProjError:
        return None
    west = unwrapped.min()
    unwrapped -= 360 * np.floor((west + 180) / 360)
    return _cut(unwrapped, lat)


@lru_cache(maxsize=256)
def _transformer(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _outline(transform: Affine, width: int, height: int) -> tuple[Points, Points]:
    """Return a closed ring of CRS coordinates, counter-clockwise if rows run down."""
    steps = np.arange(_POINTS_PER_EDGE) / _POINTS_PER_EDGE
    nothing, whole = np.zeros_like(steps), np.ones_like(steps)
    column = np.concatenate([nothing, steps, whole, 1 - steps, [0.0]]) * width
    row = np.concatenate([steps, whole, 1 - steps, nothing, [0.0]]) * height
    a, b, c, d, e, f = transform
    return a * column + b * row + c, d * column + e * row + f


def _cut(lon: Points, lat: Points) -> Footprint:
    """Make a footprint of a ring whose westernmost longitude is from -180 to 180."""
    west, east = float(lon.min()), float(lon.max())
    south, north = float(lat.min()), float(lat.max())
    ring = _counter_clockwise(list(zip(lon.tolist(), lat.tolist(), strict=True)))
    if east <= 180:
        return Footprint((tuple(ring),), (west, south, east, north))
    near = _clip(ring, keep_below=True)
    far = [(x - 360, y) for x, y in _clip(ring, keep_below=False)]
    return Footprint((tuple(near), tuple(far)), (west, south, east - 360, north))


def _clip(ring: list[tuple[float, float]], *, keep_below: bool) -> list[tuple[float, float]]:
    """Clip a ring at longitude 180 (Sutherland and Hodgman 1974)."""
    kept: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in pairwise(ring):
        inside0, inside1 = (x0 <= 180) == keep_below, (x1 <= 180) == keep_below
        if inside0:
            kept.append((x0, y0))
        if inside0 != inside1:
            kept.append((180.0, y0 + (180 - x0) / (x1 - x0) * (y1 - y0)))
    return [*kept, kept[0]]


def _around_pole(
    to_degrees: Transformer, transform: Affine, width: int, height: int, lat: Points
) -> Footprint:
    """Return the footprint of an image that contains a pole, and so every longitude."""
    a, b, c, d, e, f = transform
    _, centre = to_degrees.transform(
        a * width / 2 + b * height / 2 + c, d * width / 2 + e * height / 2 + f
    )
    south, north = (float(lat.min()), 90.0) if centre > 0 else (-90.0, float(lat.max()))
    ring = ((-180.0, south), (180.0, south), (180.0, north), (-180.0, north), (-180.0, south))
    return Footprint((ring,), (-180.0, south, 180.0, north))


def _counter_clockwise(ring: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Orient a ring counter-clockwise, as RFC 7946 section 3.1.6 requires of outer rings."""
    doubled_area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))
    return ring if doubled_area >= 0 else ring[::-1]


def _polygon_wkb(ring: tuple[tuple[float, float], ...]) -> bytes:
    head = struct.pack("<BIII", 1, _POLYGON, 1, len(ring))
    return head + np.asarray(ring, "<f8").tobytes()
