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
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

type Affine = tuple[float, float, float, float, float, float]
type Points = NDArray[np.float64]

#: Points on each edge of an image, since straight edges in its CRS are curved in longitude and
#: latitude.
_POINTS_PER_EDGE = 8
#: Points along each axis where pixels of an image may be outside the domain of its projection, and
#: halvings by which its border is found between two of them.
_SAMPLES = 65
_HALVINGS = 20
#: Degrees by which rounded coordinates may differ.
_ROUNDING = 1e-6
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
        mapping = _mapping(crs)
    except ProjError:
        return None
    image = _Image(mapping, transform, width, height)
    lon, lat = image.degrees(*_outline())
    # Half a pixel is what pixel sizes with few digits leave out.
    if mapping.pole is not None and abs(transform[0]) * (width + 0.5) / mapping.pole >= 4:
        # Directly, since a change of datum leaves no longitude at a pole.
        return _all_longitudes(lat.min(), lat.max())
    # Where longitude depends on x alone, columns beyond the antimeridian continue the image.
    cylindrical = mapping.pole is not None or (image.is_upright and _equal_longitudes(lon))
    if cylindrical or image.leads_back(*_outline(), lon, lat).all():
        return _of_outline(image, lon, lat)
    return _of_samples(image)


def _of_outline(image: _Image, lon: Points, lat: Points) -> Footprint | None:
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    # Neighbouring points are close, so a difference of more than 180 degrees is a crossing of the
    # antimeridian.
    unwrapped = np.degrees(np.unwrap(np.radians(lon)))
    if abs(unwrapped[-1] - unwrapped[0]) > 180:
        centre = image.degrees(np.array([0.5]), np.array([0.5]))[1][0]
        return _all_longitudes(lat.min(), 90) if centre > 0 else _all_longitudes(-90, lat.max())
    unwrapped[-1] = unwrapped[0]  # but for rounding
    west, east = unwrapped.min(), unwrapped.max()
    tolerance = _tolerance(image, west, east)
    if east - west >= 360 - 50 * tolerance:
        return _all_longitudes(lat.min(), lat.max())
    unwrapped -= 360 * np.floor((west + 180 + tolerance) / 360)
    return _cut(np.maximum(unwrapped, -180), lat, tolerance)


def _of_samples(image: _Image) -> Footprint | None:
    """Return the bounds of the pixels that are on the Earth, where some of the edge is not.

    Edges of whole-Earth projections have pixels beyond 180 degrees, and images of a geostationary
    satellite some beside the Earth, whose inverse is another place or none.
    """
    at = np.linspace(0, 1, _SAMPLES)
    column, row = (grid.ravel() for grid in np.meshgrid(at, at))
    inside = image.has(column, row)
    if inside.sum() < 2:
        return None
    column, row = _with_border(image, column, row, inside)
    lon, lat = image.degrees(column, row)
    south, north = float(lat.min()), float(lat.max())
    poles = [pole for pole in (-90.0, 90.0) if image.shows(pole)]
    if poles:
        return _all_longitudes(min(south, *poles), max(north, *poles))
    lon = np.sort((lon + 180) % 360 - 180)
    gaps = np.diff(lon, append=lon[0] + 360)
    widest = int(gaps.argmax())
    if gaps[widest] < 2 * 360 / _SAMPLES:
        return _all_longitudes(south, north)
    west, east = float(lon[(widest + 1) % len(lon)]), float(lon[widest])
    east += 360 if east < west else 0
    tolerance = _tolerance(image, west, east)
    if west > 180 - tolerance:
        west, east = -180.0, east - 360
    sides = np.array([west, east, east, west, west]), np.array([south, south, north, north, south])
    return _cut(*sides, tolerance)


def _tolerance(image: _Image, west: float, east: float) -> float:
    """Return the degrees of longitude that are rounding: a hundredth of a pixel."""
    return max(_ROUNDING, 0.01 * (east - west) / image.width)


def _with_border(
    image: _Image, column: Points, row: Points, inside: NDArray[np.bool_]
) -> tuple[Points, Points]:
    """Return the points inside, and the last ones before the border between neighbours."""
    index = np.arange(inside.size).reshape(_SAMPLES, _SAMPLES)
    pairs = [(index[:, :-1], index[:, 1:]), (index[:-1], index[1:])]
    one = np.concatenate([first.ravel() for first, _ in pairs])
    other = np.concatenate([second.ravel() for _, second in pairs])
    crossing = inside[one] != inside[other]
    one, other = one[crossing], other[crossing]
    good, bad = np.where(inside[one], one, other), np.where(inside[one], other, one)
    columns, rows = column[good], row[good]
    steps = column[bad] - columns, row[bad] - rows
    for power in range(1, _HALVINGS + 1):
        tried = columns + steps[0] / 2**power, rows + steps[1] / 2**power
        kept = image.has(*tried)
        columns, rows = np.where(kept, tried[0], columns), np.where(kept, tried[1], rows)
    return np.concatenate([column[inside], columns]), np.concatenate([row[inside], rows])


@dataclass(frozen=True, slots=True)
class _Mapping:
    """Transformers between a CRS and degrees.

    `pole` is 90 degrees in the unit of a geographic CRS; `near` 10 km in that of another.
    """

    to_degrees: Transformer
    from_degrees: Transformer
    pole: float | None
    near: float


@lru_cache(maxsize=256)
def _mapping(crs: str) -> _Mapping:
    system = CRS.from_user_input(crs)
    unit = system.axis_info[0].unit_conversion_factor if system.axis_info else 1.0
    pole = np.pi / 2 / unit if system.is_geographic else None
    return _Mapping(
        Transformer.from_crs(system, "EPSG:4326", always_xy=True),
        Transformer.from_crs("EPSG:4326", system, always_xy=True),
        pole,
        1e4 / unit,
    )


@dataclass(frozen=True, slots=True)
class _Image:
    """Places in an image, by fractions of its width and height."""

    mapping: _Mapping
    transform: Affine
    width: int
    height: int

    @property
    def is_upright(self) -> bool:
        return self.transform[1] == 0 and self.transform[3] == 0

    def places(self, column: Points, row: Points) -> tuple[Points, Points]:
        """Return CRS coordinates."""
        a, b, c, d, e, f = self.transform
        i, j = column * self.width, row * self.height
        x, y = a * i + b * j + c, d * i + e * j + f
        # Centres of pixels at a pole make the image end half a pixel behind it.
        pole = self.mapping.pole
        return x, y if pole is None else np.clip(y, -pole, pole)

    def degrees(self, column: Points, row: Points) -> tuple[Points, Points]:
        """Return longitudes and latitudes, infinite where there are none."""
        lon, lat = self.mapping.to_degrees.transform(*self.places(column, row))
        return np.asarray(lon), np.asarray(lat)

    def has(self, column: Points, row: Points) -> NDArray[np.bool_]:
        """Return whether points are on the Earth."""
        return self.leads_back(column, row, *self.degrees(column, row))

    def leads_back(
        self, column: Points, row: Points, lon: Points, lat: Points
    ) -> NDArray[np.bool_]:
        """Return whether the longitudes and latitudes of points are theirs, and no others'."""
        x, y = self.places(column, row)
        found_x, found_y = self.mapping.from_degrees.transform(lon, lat)
        a, b, _, d, e, _ = self.transform
        near = self.mapping.near
        wide = min(1e-3 * (abs(a * self.width) + abs(b * self.height)), near)
        tall = min(1e-3 * (abs(d * self.width) + abs(e * self.height)), near)
        with np.errstate(invalid="ignore"):
            same = (abs(found_x - x) <= wide) & (abs(found_y - y) <= tall)
        found: NDArray[np.bool_] = np.isfinite(lon) & np.isfinite(lat) & same
        return found

    def shows(self, latitude: float) -> bool:
        """Return whether a pole is inside the image."""
        a, b, c, d, e, f = self.transform
        x, y = self.mapping.from_degrees.transform(0.0, latitude)
        if not (np.isfinite(x) and np.isfinite(y)):
            return False
        determinant = a * e - b * d
        column = (e * (x - c) - b * (y - f)) / determinant / self.width
        row = (a * (y - f) - d * (x - c)) / determinant / self.height
        # Where a pole is on the edge, the image has not all longitudes.
        return bool(1e-9 < column < 1 - 1e-9 and 1e-9 < row < 1 - 1e-9)


def _outline() -> tuple[Points, Points]:
    """Return a closed ring around an image, counter-clockwise if rows run down."""
    steps = np.arange(_POINTS_PER_EDGE) / _POINTS_PER_EDGE
    nothing, whole = np.zeros_like(steps), np.ones_like(steps)
    column = np.concatenate([nothing, steps, whole, 1 - steps, [0.0]])
    row = np.concatenate([steps, whole, 1 - steps, nothing, [0.0]])
    return column, row


def _equal_longitudes(lon: Points) -> bool:
    """Return whether the longitudes of the last row of an outline are those of the first."""
    count = _POINTS_PER_EDGE
    last, first = lon[count : 2 * count + 1], lon[3 * count :][::-1]
    with np.errstate(invalid="ignore"):
        return bool((abs((last - first + 180) % 360 - 180) < _ROUNDING).all())


def _cut(lon: Points, lat: Points, tolerance: float) -> Footprint:
    """Make a footprint of a ring whose westernmost longitude is from -180 to 180."""
    west, east = float(lon.min()), float(lon.max())
    south, north = float(lat.min()), float(lat.max())
    if east <= 180 + tolerance:
        lon = np.minimum(lon, 180)
    ring = _counter_clockwise(list(zip(lon.tolist(), lat.tolist(), strict=True)))
    if east <= 180 + tolerance:
        return Footprint((tuple(ring),), (west, south, min(east, 180.0), north))
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


def _all_longitudes(south: float, north: float) -> Footprint:
    """Return the footprint of an image around the globe, or of one that contains a pole."""
    south, north = max(float(south), -90.0), min(float(north), 90.0)
    ring = ((-180.0, south), (180.0, south), (180.0, north), (-180.0, north), (-180.0, south))
    return Footprint((ring,), (-180.0, south, 180.0, north))


def _counter_clockwise(ring: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Orient a ring counter-clockwise, as RFC 7946 section 3.1.6 requires of outer rings."""
    doubled_area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))
    return ring if doubled_area >= 0 else ring[::-1]


def _polygon_wkb(ring: tuple[tuple[float, float], ...]) -> bytes:
    head = struct.pack("<BIII", 1, _POLYGON, 1, len(ring))
    return head + np.asarray(ring, "<f8").tobytes()
