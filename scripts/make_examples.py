"""Write the files in examples/: a small archive of TIFFs, the same every time.

A made-up valley in UTM zone 33N, seen at three dates in two bands, with its terrain model, an
aerial image, a map of land cover and a table of wind. Each file shows another way to store an
image::

    reflectance_*.tif   COGs with overviews, Deflate with predictor 2, nodata, DateTime
    aerial.tif          COG, RGB interleaved by pixel, ZSTD, with an internal mask
    elevation.tif       strips with a short last one, Deflate with predictor 3, floats
    land_cover.tif      tiles, Deflate without predictor, a palette
    wind.tif            tiles, bands one after the other, uncompressed
    tiles/dem_*.tif     elevation of the region in tiles of one degree, one of which is missing;
                        chunks of 64 x 64 do not divide them, and their pixel size is rounded
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tifffile
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.transform import Affine, from_origin

type Field = NDArray[np.float64]

HEIGHT, WIDTH = 250, 300
PIXEL = 10.0
TRANSFORM = from_origin(399_960.0, 5_300_040.0, PIXEL, PIXEL)
CRS = "EPSG:32633"
#: Pixels of a degree of the region.
DEGREE = 120
DATES = ("2024-04-12", "2024-06-04", "2024-08-23")
#: How green the valley is at each date, from 0 to 1.
GREENNESS = (0.25, 0.9, 0.55)
NODATA = 0
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def rows_and_columns(shape: tuple[int, int] = (HEIGHT, WIDTH)) -> tuple[Field, Field]:
    height, width = shape
    y, x = np.mgrid[0:height, 0:width]
    return y / height, x / width


def smooth_noise(seed: int, cells: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Field:
    """Noise between -1 and 1 that changes over about a `cells`-th of the image."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(-1, 1, (cells + 2, cells + 2))
    y, x = (axis * cells for axis in rows_and_columns(shape))
    row, column = y.astype(int), x.astype(int)
    # Weights without a kink at the knots.
    v, u = (3 * f**2 - 2 * f**3 for f in (y - row, x - column))
    upper: Field = knots[row, column] * (1 - u) + knots[row, column + 1] * u
    lower: Field = knots[row + 1, column] * (1 - u) + knots[row + 1, column + 1] * u
    field: Field = upper * (1 - v) + lower * v
    return field


def rough_noise(seed: int, cells: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Field:
    """Noise about as large as `smooth_noise`, with finer and finer detail in it."""
    octaves: list[Field] = [
        smooth_noise(seed + 10 * i, cells * 2**i, shape) / 2**i for i in range(4)
    ]
    total: Field = np.sum(octaves, axis=0)
    return total / 1.4


def elevation() -> Field:
    """Metres above the sea: a valley from the north-west to the south-east."""
    y, x = rows_and_columns()
    valley = np.abs(y - x + 0.2 * np.sin(4 * x))
    return 385 + 700 * valley**1.3 + 500 * valley * rough_noise(1, 5) + 8 * smooth_noise(9, 40)


def vegetation(height: Field) -> Field:
    """Share of the ground that plants can cover: less on high ground, none on water."""
    patches = 0.75 + 0.6 * rough_noise(11, 7)
    return np.clip(patches * (1.4 - height / 1200), 0, 1) * ~water(height)


def water(height: Field) -> NDArray[np.bool_]:
    return height < 398


def reflectance(band: str, greenness: float, seed: int) -> NDArray[np.uint16]:
    """Reflectance × 10,000, with a cloud and a corner that the satellite did not see."""
    height = elevation()
    cover = vegetation(height) * greenness
    bare, green, wet = {"red": (0.18, 0.04, 0.03), "nir": (0.24, 0.45, 0.01)}[band]
    slope = np.gradient(height, PIXEL, axis=1)
    values = (bare * (1 - cover) + green * cover) * (1 - 0.25 * np.tanh(slope))
    values = np.where(water(height), wet, values)
    cloud = np.clip(rough_noise(100 + seed, 4) - 0.35, 0, 0.25) * 4
    values = values * (1 - cloud) + 0.75 * cloud
    texture = np.random.default_rng(seed).normal(0, 0.0015, values.shape)
    scaled = np.clip(np.round((values + texture) * 10_000 / 8) * 8, 1, 10_000).astype(np.uint16)
    y, x = rows_and_columns()
    scaled[x + y / 2 < 0.08 + 0.03 * seed] = NODATA
    return scaled


def aerial() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Red, green and blue, and where the aeroplane saw the ground."""
    height = elevation()
    cover = vegetation(height) * 0.8
    light = 1 - 0.4 * np.tanh(np.gradient(height, PIXEL, axis=1))
    colors = []
    for bare, green, wet in ((150, 60, 40), (130, 95, 70), (105, 50, 110)):
        color = (bare * (1 - cover) + green * cover) * light
        colors.append(np.where(water(height), wet, color))
    y, x = rows_and_columns()
    seen = ((y - 0.5) / 0.49) ** 2 + ((x - 0.5) / 0.49) ** 4 < 1
    rgb = np.clip(np.round(np.stack(colors) / 2) * 2, 0, 255).astype(np.uint8)
    rgb[:, ~seen] = 0
    return rgb, seen


def land_cover() -> NDArray[np.uint8]:
    """Classes: 1 water, 2 rock, 3 meadow, 4 forest."""
    height = elevation()
    cover = vegetation(height)
    classes = np.select([water(height), cover < 0.3, cover < 0.6], [1, 2, 3], 4)
    return classes.astype(np.uint8)


def wind() -> NDArray[np.float32]:
    """Speed to the east and to the north, m/s, on pixels twice as large."""
    slope_y, slope_x = np.gradient(elevation(), PIXEL)
    east = 4 + 3 * smooth_noise(21, 3) - 2 * slope_x
    north = -2 + 3 * smooth_noise(22, 3) + 2 * slope_y
    return np.stack([east, north])[:, ::2, ::2].astype(np.float32)


def region() -> NDArray[np.int16]:
    """Metres above the sea, of two rows of three degrees."""
    shape = (2 * DEGREE, 3 * DEGREE)
    heights = 900 + 450 * rough_noise(31, 4, shape) + 120 * rough_noise(33, 12, shape)
    return np.round(heights).astype(np.int16)


def write_degrees(folder: Path) -> None:
    """Write a file for each degree, as elevation models are distributed, but for one."""
    folder.mkdir(exist_ok=True)
    heights = region()
    for row, column in np.ndindex(2, 3):
        if (row, column) == (1, 2):
            continue
        north, east = 48 - row, 11 + column
        # Eight digits, as in many files: the last column of three tiles is 1e-6 degrees off.
        size = round(1 / DEGREE, 8)
        write_tiles(
            folder / f"dem_N{north - 1}E{east:03}.tif",
            heights[row * DEGREE : (row + 1) * DEGREE, column * DEGREE : (column + 1) * DEGREE],
            {"TIFFTAG_DATETIME": "2024:01:01 00:00:00"},
            crs="EPSG:4326",
            transform=from_origin(east, north, size, size),
            nodata=-32768,
            tile=64,
            compress="deflate",
            predictor=2,
        )


def write_cog(
    path: Path,
    pixels: NDArray[Any],
    *,
    mask: NDArray[np.bool_] | None = None,
    tags: dict[str, str],
    descriptions: tuple[str, ...],
    nodata: float | None = None,
    scale: float | None = None,
    **options: Any,
) -> None:
    bands = pixels if pixels.ndim == 3 else pixels[None]
    profile = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "crs": CRS,
        "transform": TRANSFORM,
        "nodata": nodata,
    }
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(**profile) as image:
            image.write(bands)
            image.descriptions = descriptions
            image.update_tags(**tags)
            if scale is not None:
                image.scales = (scale,) * bands.shape[0]
            if bands.shape[0] == 3:
                image.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
            if mask is not None:
                image.write_mask(mask)
        with memory.open() as image:
            copy(image, path, driver="COG", OVERVIEW_COUNT=2, **options)


def write_tiles(
    path: Path, pixels: NDArray[Any], tags: dict[str, str], *, tile: int, **options: Any
) -> None:
    bands = pixels if pixels.ndim == 3 else pixels[None]
    colors = options.pop("colors", None)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=bands.shape[0],
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype.name,
        tiled=True,
        blockxsize=tile,
        blockysize=tile,
        **{"crs": CRS, **options},
    ) as image:
        image.write(bands)
        image.update_tags(**tags)
        if colors is not None:
            image.write_colormap(1, colors)


def write_strips(path: Path, pixels: NDArray[np.float32], nodata: float) -> None:
    """Write what GDAL would not: strips of 64 rows, the last one of 58."""
    scale, tiepoint = _grid(TRANSFORM)
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, int(CRS.split(":")[1]))
    tifffile.imwrite(
        path,
        pixels,
        rowsperstrip=64,
        compression="adobe_deflate",
        predictor=3,
        photometric="minisblack",
        metadata=None,
        software=False,
        datetime="2024:01:01 00:00:00",
        description="Elevation in metres",
        extratags=[
            (33550, 12, 3, scale, True),
            (33922, 12, 6, tiepoint, True),
            (34735, 3, len(keys), keys, True),
            (42113, 2, 0, f"{nodata:g}", True),
        ],
    )


def _grid(transform: Affine) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """ModelPixelScale and ModelTiepoint (GeoTIFF 1.1 section 7.1.3)."""
    scale = (transform.a, -transform.e, 0.0)
    return scale, (0.0, 0.0, 0.0, transform.c, transform.f, 0.0)


def make(folder: Path) -> None:
    """Write all files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (date, greenness) in enumerate(zip(DATES, GREENNESS, strict=True)):
        for band in ("red", "nir"):
            write_cog(
                folder / f"reflectance_{date.replace('-', '')}_{band}.tif",
                reflectance(band, greenness, seed),
                tags={"TIFFTAG_DATETIME": f"{date.replace('-', ':')} 10:00:00"},
                descriptions=(f"{band} reflectance",),
                nodata=NODATA,
                scale=1e-4,
                BLOCKSIZE=128,
                COMPRESS="DEFLATE",
                LEVEL=9,
                PREDICTOR="STANDARD",
                OVERVIEW_RESAMPLING="NEAREST",
            )
    rgb, seen = aerial()
    write_cog(
        folder / "aerial.tif",
        rgb,
        mask=seen,
        tags={"TIFFTAG_DATETIME": "2024:06:30 12:00:00"},
        descriptions=("red", "green", "blue"),
        BLOCKSIZE=128,
        COMPRESS="ZSTD",
        LEVEL=15,
        PREDICTOR="NO",
        OVERVIEW_RESAMPLING="NEAREST",
    )
    write_strips(folder / "elevation.tif", np.round(elevation(), 1).astype(np.float32), -9999)
    colors = {1: (40, 90, 160), 2: (150, 140, 130), 3: (170, 200, 90), 4: (30, 100, 50)}
    write_tiles(
        folder / "land_cover.tif",
        land_cover(),
        {"TIFFTAG_DATETIME": "2024:06:30 12:00:00"},
        transform=TRANSFORM,
        tile=128,
        compress="deflate",
        colors=colors,
    )
    write_tiles(
        folder / "wind.tif",
        wind(),
        {"TIFFTAG_DATETIME": "2024:06:04 10:00:00"},
        transform=TRANSFORM @ Affine.scale(2),
        tile=64,
        interleave="band",
    )
    write_degrees(folder / "tiles")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(folder)
    files = sorted(folder.rglob("*.tif"))
    size = sum(file.stat().st_size for file in files)
    print(f"{len(files)} files, {size / 1e6:.2f} MB in {folder}")


if __name__ == "__main__":
    main()
