"""`clients/python/patches.py`: pixels around many geometries, each chunk read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas  # type: ignore[import-untyped]
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from rasterio.features import geometry_mask, geometry_window

from clients.python import patches as module
from clients.python.patches import patches, sample, windows
from tests.helpers.archive import PATTERN, TRANSFORM, opened, write_scenes
from tests.helpers.range_server import RangeServer
from virtual_tiff import open_repository, scan, stack

#: In chunks of 16 × 32: within one, across two and four, the whole image, beyond three edges.
BOXES = [(3, 2, 9, 11), (20, 3, 40, 9), (25, 12, 37, 20), (0, 0, 64, 48), (-5, 40, 5, 60)]


def box(left: float, top: float, right: float, bottom: float) -> Any:
    """Geometry of pixels, by their edges."""
    (west, north), (east, south) = TRANSFORM @ (left, top), TRANSFORM @ (right, bottom)
    return shapely.box(west, south, east, north)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_scenes(tmp_path_factory.mktemp("scenes"), 3)


@pytest.fixture(scope="module")
def cube(paths: list[Path], tmp_path_factory: pytest.TempPathFactory) -> xr.DataArray:
    repo = str(tmp_path_factory.mktemp("repository") / "repo")
    stack(str(paths[0].parent), repo, along="datetime", datetime_pattern=PATTERN)
    return opened(open_repository(repo))["data"]


def expected(
    paths: list[Path], geometry: Any, *, outside: int | None = None, all_touched: bool = False
) -> Any:
    """Pixels by rasterio."""
    images = []
    for path in paths:
        with rasterio.open(path) as file:
            window = geometry_window(file, [geometry])
            image = file.read(1, window=window)
            if outside is not None:
                transform = file.window_transform(window)
                hidden = geometry_mask([geometry], image.shape, transform, all_touched=all_touched)
                image[hidden] = outside
        images.append(image)
    return np.stack(images)


def test_boxes(cube: xr.DataArray, paths: list[Path]) -> None:
    geometries = [box(*one) for one in BOXES]
    for found, geometry in zip(patches(cube, geometries), geometries, strict=True):
        assert np.array_equal(found, expected(paths, geometry))
    bounds = [one.bounds for one in geometries]
    assert windows(cube, bounds) == windows(cube, geometries)


@pytest.mark.parametrize("limit", [1, 3000, 1 << 26])
def test_shapes_with_and_without_their_surroundings(
    limit: int, cube: xr.DataArray, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BYTES", limit)
    random = np.random.default_rng(0)
    geometries = []
    for _ in range(60):
        x, y = TRANSFORM @ tuple(random.uniform((6, 6), (58, 42)))
        shape = shapely.Point(x, y).buffer(random.uniform(4, 60), quad_segs=3)
        geometries.append(shape)
    for found, geometry in zip(patches(cube, geometries), geometries, strict=True):
        assert np.array_equal(found, expected(paths, geometry))
    cut = patches(cube, geometries, outside=0)
    for found, geometry in zip(cut, geometries, strict=True):
        assert np.array_equal(found, expected(paths, geometry, outside=0))
    touched = patches(cube, geometries, outside=0, all_touched=True)
    for found, geometry in zip(touched, geometries, strict=True):
        wanted = expected(paths, geometry, outside=0, all_touched=True)
        assert np.array_equal(found, wanted)
    assert sum(map(np.count_nonzero, touched)) > sum(map(np.count_nonzero, cut))


def test_parts_and_orders_of_the_axes(cube: xr.DataArray) -> None:
    geometries = [box(*one) for one in BOXES[:3]]
    wanted = patches(cube, geometries, outside=0)
    for found, one in zip(patches(cube.isel(time=1), geometries, outside=0), wanted, strict=True):
        assert np.array_equal(found, one[1])
    # A part of the array begins within a chunk.
    for found, one in zip(patches(cube[:, 1:, 2:], geometries, outside=0), wanted, strict=True):
        assert np.array_equal(found, one)
    for found, one in zip(patches(cube[:, ::-1], geometries, outside=0), wanted, strict=True):
        assert np.array_equal(found, one[:, ::-1])
    loaded = cube.load().transpose("x", "time", "y")
    for found, one in zip(patches(loaded, geometries, outside=0), wanted, strict=True):
        assert np.array_equal(found, one.transpose(2, 0, 1))


def test_masked_values_are_those_of_xarray(cube: xr.DataArray) -> None:
    masked = cube.where(cube != 7) * 0.5
    (found,) = patches(masked, [box(0, 0, 64, 48)])
    assert np.array_equal(found, masked.values, equal_nan=True)


def test_points_and_what_lies_elsewhere(cube: xr.DataArray) -> None:
    inside, edge = TRANSFORM @ (3.4, 5.6), TRANSFORM @ (4, 6)
    geometries = [shapely.Point(inside), shapely.Point(edge), box(90, 90, 95, 95), shapely.Point()]
    at, on_edge, beyond, empty = windows(cube, geometries)
    assert at == (slice(5, 6), slice(3, 4))
    assert on_edge == (slice(6, 7), slice(4, 5))
    assert beyond == (slice(48, 48), slice(64, 64))
    found = patches(cube, geometries, outside=0)
    assert [one.shape for one in found] == [(3, 1, 1), (3, 1, 1), (3, 0, 0), (3, 0, 0)]
    assert patches(cube, []) == []
    assert windows(cube, []) == []
    assert empty[0].start == empty[0].stop


def test_coordinates_that_are_no_grid(cube: xr.DataArray) -> None:
    uneven = cube.isel(x=[0, 1, 3])
    for other in (uneven, cube.isel(y=[5])):
        with pytest.raises(ValueError, match="even grid"):
            windows(other, [box(0, 0, 1, 1)])


def test_each_chunk_is_requested_once(paths: list[Path], tmp_path: Path) -> None:
    with RangeServer(paths[0].parent) as server:
        inventory = scan([f"{server.url}/{path.name}" for path in paths], datetime_pattern=PATTERN)
        repo = str(tmp_path / "repo")
        stack(inventory, repo)
        cube = opened(open_repository(repo))["data"]
        server.reset()
        random = np.random.default_rng(1)
        corners = random.integers(0, 30, (200, 2))
        patches(cube, [box(x, y, x + 4, y + 4) for x, y in corners])
        ranges = [(request.path, request.range) for request in server.requests]
    # Three images, and the chunks of rows 0 to 47 and columns 0 to 63 that are touched.
    touched = {(y // 16, x // 32) for x0, y0 in corners for y in (y0, y0 + 3) for x in (x0, x0 + 3)}
    assert len(ranges) == len(set(ranges)) == 3 * len(touched)


# --- points --------------------------------------------------------------------------------------


def table(points: list[Any], crs: int | None = 32633) -> geopandas.GeoDataFrame:
    """A table of points, with an index that repeats itself."""
    index = [7] * len(points)
    return geopandas.GeoDataFrame({"name": "site"}, geometry=points, crs=crs, index=index)


def test_points_as_rasterio_samples_them(cube: xr.DataArray, paths: list[Path]) -> None:
    random = np.random.default_rng(3)
    pixels = random.uniform((-5, -5), (69, 53), (200, 2))
    pixels[100:] = np.round(pixels[100:])  # on edges
    places = [TRANSFORM @ tuple(pixel) for pixel in pixels.tolist()]
    expected = []
    for path in paths:
        with rasterio.open(path) as file:
            # Beyond the image, rasterio samples its nodata value, 7.
            expected.append([int(value) for (value,) in file.sample(places)])
    points = [shapely.Point(place) for place in places]
    assert np.array_equal(sample(cube, points, outside=7), expected)
    assert np.array_equal(sample(cube[0], points, outside=7), expected[0])
    transposed = sample(cube.transpose("x", "time", "y"), points, outside=7, threads=1)
    assert np.array_equal(transposed, expected)
    beyond = [number for number, window in enumerate(windows(cube, points)) if not size(window)]
    assert 0 < len(beyond) < 200
    assert np.flatnonzero(np.isnan(sample(cube[0], points, outside=np.nan))).tolist() == beyond


def size(window: tuple[slice, slice]) -> int:
    return int(np.prod([part.stop - part.start for part in window]))


def test_missing_points_of_a_table(cube: xr.DataArray) -> None:
    here = shapely.Point(TRANSFORM @ (3.5, 5.5))
    points = [here, None, shapely.Point(), shapely.Point(np.inf, np.inf), shapely.Point(np.nan, 0)]
    found = sample(cube.astype(int), table(points), outside=-1)
    assert found.shape == (3, 5)
    assert np.array_equal(found[:, 0], cube[:, 5, 3])
    assert (found[:, 1:] == -1).all()
    assert [one.size for one in patches(cube, table(points), outside=0)[1:]] == [0, 0, 0, 0]
    assert sample(cube, [], outside=0).shape == (3, 0)


def test_geometries_in_another_crs(cube: xr.DataArray) -> None:
    here = table([shapely.Point(TRANSFORM @ (3.5, 5.5)).buffer(25)])
    elsewhere = here.to_crs(4326)
    for geometries in (elsewhere, elsewhere.geometry):
        assert windows(cube, geometries) == windows(cube, here)
        assert np.array_equal(patches(cube, geometries, outside=0), patches(cube, here, outside=0))
    centre = here.centroid.to_crs(3857)
    assert np.array_equal(sample(cube, centre, outside=0)[:, 0], cube[:, 5, 3])
    # Without a CRS, coordinates are those of the cube.
    assert windows(cube, table(list(elsewhere.geometry), None)) != windows(cube, here)


@pytest.mark.parametrize(
    "geometry",
    [
        (1, 2, 3),
        "POINT (1 2)",
        {"type": "Point", "coordinates": [1, 2]},
        (-np.inf, 0, 1, 1),
        shapely.box(0, 0, np.inf, 1),
    ],
)
def test_what_is_no_geometry(cube: xr.DataArray, geometry: Any) -> None:
    for read in (windows, patches):
        with pytest.raises(ValueError, match="geometry 1"):
            read(cube, [box(0, 0, 1, 1), geometry])


def test_more_than_a_point(cube: xr.DataArray) -> None:
    both = shapely.MultiPoint([TRANSFORM @ (3.5, 5.5), TRANSFORM @ (9.5, 5.5)])
    with pytest.raises(ValueError, match="geometry 1"):
        sample(cube, [shapely.Point(), both], outside=0)
    (found,) = patches(cube, [both], outside=0)
    assert found.shape == (3, 1, 7)
    assert np.count_nonzero(found[0]) == 2


def test_variables_without_coordinates(cube: xr.DataArray) -> None:
    """xarray returns the positions of a dimension without a coordinate."""
    for other in (cube.drop_vars("x"), cube.isel(y=0), cube.isel(x=slice(0, 0))):
        with pytest.raises(ValueError, match="1-D coordinate"):
            windows(other, [box(0, 0, 1, 1)])
