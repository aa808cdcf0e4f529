"""Tile grids: equal to async-geotiff's of the same COG, and tiles are where rasterio has them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import morecantile
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from async_geotiff import GeoTIFF
from async_geotiff.tms import generate_tms
from obstore.store import LocalStore
from rasterio.windows import Window

from tests.helpers.make import pixels, write_with_rasterio
from tests.helpers.read import MEMORY_URL, in_memory
from virtual_tiff import tile_matrix_set
from virtual_tiff.cli import main
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    UnsupportedTIFFError,
    VirtualTIFFError,
)

# async-geotiff still writes `*` for products of matrices.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

TILE = 128
#: Neither a multiple of a tile, nor divided by the factors of overviews.
HEIGHT, WIDTH = 613, 741
TILED: dict[str, Any] = {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
UTM = Affine(10, 0, 500_000, 0, -10, 4_600_000)
DEGREES = Affine(0.001, 0, 11, 0, -0.001, 48)


def write_cog(
    path: Path, transform: Affine = UTM, crs: str = "EPSG:32633", overviews: int = 2, **options: Any
) -> None:
    plain = path.with_suffix(".plain.tif")
    data = pixels("uint8", (HEIGHT, WIDTH))
    write_with_rasterio(plain, data, transform=transform, crs=crs, **options)
    levels = {"overview_count": overviews} if overviews else {"overviews": "NONE"}
    rasterio.shutil.copy(plain, path, driver="COG", blocksize=TILE, **levels)
    plain.unlink()


def async_geotiff_tms(path: Path) -> morecantile.TileMatrixSet:
    async def run() -> morecantile.TileMatrixSet:
        return generate_tms(await GeoTIFF.open(path.name, store=LocalStore(path.parent)))

    return asyncio.run(run())


def corners(tms: morecantile.TileMatrixSet, path: Path) -> None:
    """Compare where morecantile puts each tile with where rasterio has its pixels."""
    for zoom in range(tms.minzoom, tms.maxzoom + 1):
        level = tms.maxzoom - zoom
        options = {} if level == 0 else {"overview_level": level - 1}
        matrix = tms.matrix(zoom)
        with rasterio.open(path, **options) as file:
            assert (matrix.tileHeight, matrix.tileWidth) == file.block_shapes[0]
            for column, row in ((0, 0), (matrix.matrixWidth - 1, matrix.matrixHeight - 1)):
                window = Window(column * TILE, row * TILE, TILE, TILE)
                expected = file.window_bounds(window)
                # Pixels of overviews are as high as wide but for rounding, by less than one.
                tolerance = 1e-9 if level == 0 else file.transform.a
                found = tms.xy_bounds(morecantile.Tile(column, row, zoom))
                assert tuple(found) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (UTM, "EPSG:32633"),
        (UTM, "EPSG:3857"),
        (Affine(1000, 0, -3e6, 0, -1000, 3e6), "EPSG:3031"),
        (Affine(30, 0, 100_000, 0, -30, 900_000), "EPSG:2263"),
        (Affine(30, 0, 1e6, 0, -30, 2e6), "+proj=laea +lat_0=40 +lon_0=7 +ellps=GRS80 +units=m"),
    ],
)
def test_as_async_geotiff(tmp_path: Path, transform: Affine, crs: str) -> None:
    path = tmp_path / "cog.tif"
    write_cog(path, transform, crs)
    found, expected = tile_matrix_set(path), async_geotiff_tms(path)
    assert found.tileMatrices == expected.tileMatrices
    assert len(found.tileMatrices) == 3
    assert found.boundingBox is not None
    assert expected.boundingBox is not None
    assert found.boundingBox.lowerLeft == expected.boundingBox.lowerLeft
    assert found.boundingBox.upperRight == expected.boundingBox.upperRight
    assert found.crs._pyproj_crs.equals(expected.crs._pyproj_crs)
    corners(found, path)


@pytest.mark.parametrize(
    ("transform", "crs", "axes"),
    [
        (UTM, "EPSG:32633", ["E", "N"]),
        (DEGREES, "EPSG:4326", ["Lat", "Lon"]),
        (Affine(20, 0, 1_500_000, 0, -20, 5_400_000), "EPSG:2193", ["N", "E"]),
        # Its axes are called X and Y, and X counts northings.
        (Affine(20, 0, 3_500_000, 0, -20, 5_400_000), "EPSG:31467", ["N", "E"]),
    ],
)
def test_order_of_axes(tmp_path: Path, transform: Affine, crs: str, axes: list[str]) -> None:
    """Points are in the order of the CRS, where async-geotiff always has x before y."""
    path = tmp_path / "cog.tif"
    write_cog(path, transform, crs)
    found, other = tile_matrix_set(path), async_geotiff_tms(path)
    swapped = axes[0] != "E"
    for one, two in zip(found.tileMatrices, other.tileMatrices, strict=True):
        assert one.model_dump(exclude={"pointOfOrigin"}) == two.model_dump(
            exclude={"pointOfOrigin"}
        )
        x, y = two.pointOfOrigin
        assert one.pointOfOrigin == ((y, x) if swapped else (x, y))
    assert found.orderedAxes == axes
    corners(found, path)
    assert found.boundingBox is not None
    with rasterio.open(path) as file:
        left, bottom, right, top = file.bounds
    assert found.boundingBox.lowerLeft == ((bottom, left) if swapped else (left, bottom))
    assert found.boundingBox.upperRight == ((top, right) if swapped else (right, top))


def test_an_image_from_south_to_north(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    transform = Affine(10, 0, 500_000, 0, 10, 4_600_000)
    write_with_rasterio(path, pixels("uint8", (HEIGHT, WIDTH)), transform=transform, **TILED)
    found = tile_matrix_set(path)
    assert found.tileMatrices == async_geotiff_tms(path).tileMatrices
    assert found.matrix(0).cornerOfOrigin == "bottomLeft"


def test_overviews_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_with_rasterio(path, pixels("uint8", (HEIGHT, WIDTH)), transform=UTM, **TILED)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    assert len(tile_matrix_set(path).tileMatrices) == 1
    found = tile_matrix_set(path, sidecars=True)
    assert len(found.tileMatrices) == 3
    corners(found, path)


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my cog.tif"
    write_cog(path)
    assert main(["info", str(path), "--tms"]) == 0
    printed = capsys.readouterr().out
    assert morecantile.TileMatrixSet.model_validate_json(printed) == tile_matrix_set(path)
    document = json.loads(printed)
    assert document["id"] == "my_cog"
    assert document["title"] == "my cog.tif"
    assert document["crs"] == {"uri": "http://www.opengis.net/def/crs/EPSG/0/32633"}
    assert [matrix["id"] for matrix in document["tileMatrices"]] == ["0", "1", "2"]
    assert main(["info", str(path), str(path), "--tms"]) == 2


def test_a_registry(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif")
    registry = in_memory((tmp_path / "cog.tif").read_bytes())
    assert len(tile_matrix_set(MEMORY_URL, registry=registry).tileMatrices) == 3


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("strips", {}),
        ("no CRS", TILED | {"crs": None}),
        ("no transform", TILED | {"transform": None}),
        ("rotated", TILED | {"transform": Affine(10, 1, 500_000, 1, -10, 4_600_000)}),
        ("mirrored", TILED | {"transform": Affine(-10, 0, 500_000, 0, -10, 4_600_000)}),
        ("oblong pixels", TILED | {"transform": Affine(10, 0, 500_000, 0, -20, 4_600_000)}),
        ("a local CRS", TILED | {"crs": 'LOCAL_CS["here",UNIT["metre",1]]'}),
        ("an odd unit", TILED | {"crs": "+proj=laea +ellps=GRS80 +units=km"}),
    ],
)
def test_files_without_a_tile_grid(tmp_path: Path, what: str, options: dict[str, Any]) -> None:
    path = tmp_path / "image.tif"
    write_with_rasterio(path, pixels("uint8", (HEIGHT, WIDTH)), **{"transform": UTM, **options})
    with pytest.raises(UnsupportedTIFFError) as caught:
        tile_matrix_set(path)
    assert caught.value.kind == ErrorKind.NO_TILE_MATRIX_SET, what
    assert caught.value.url == f"file://{path}"
    assert caught.value.ifd == (0,)
    assert caught.value.remedy


def test_unevenly_reduced_overviews(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_cog(path, overviews=0)
    data = pixels("uint8", (HEIGHT // 2, WIDTH // 3))
    write_with_rasterio(Path(f"{path}.ovr"), data, **TILED)
    with pytest.raises(UnsupportedTIFFError) as caught:
        tile_matrix_set(path, sidecars=["ovr"])
    assert caught.value.kind == ErrorKind.NO_TILE_MATRIX_SET


def test_an_overview_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "cog.tif"
    write_cog(path)
    with pytest.raises(InvalidOptionError):
        tile_matrix_set(path, ifd=1)
    with pytest.raises(InvalidOptionError) as caught:
        tile_matrix_set(path, ifd=9)
    assert caught.value.kind == ErrorKind.IFD_OUT_OF_RANGE


def test_without_morecantile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cog.tif"
    write_cog(path)
    monkeypatch.setitem(sys.modules, "morecantile", None)
    with pytest.raises(VirtualTIFFError) as caught:
        tile_matrix_set(path)
    assert caught.value.kind == ErrorKind.INVALID_OPTION
    assert "virtual-tiff[geo]" in str(caught.value)
