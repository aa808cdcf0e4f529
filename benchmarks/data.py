"""The files that are measured: made once, kept in `.cache/benchmarks`, the same on every machine.

Every folder is named after its recipe and appears only when it is whole, so that an interrupted
run leaves nothing half-made behind.
"""

from __future__ import annotations

import math
import os
import shutil
import struct
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
import tifffile
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import Affine

CACHE = Path(".cache/benchmarks")
"""Where the data is kept unless told otherwise; relative to the working directory."""

COG_SIZE = 512
COG_IMAGES = 3
"""Images of each COG: full resolution and two overviews."""
DISTINCT_COGS = 20
MILLION_TILES = 1 << 20
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_400_000)  # of EPSG:32633

_FIRST_DATE = date(2020, 1, 1)
_DATE_MARK = "1970:01:01 00:00:00"
_TILE = 16


def cogs(count: int, cache: Path = CACHE) -> list[Path]:
    """Small COGs as an archive has them, one a day, on one grid.

    Each is 512 × 512, uint16, tiled 256 × 256, Deflate with predictor 2, two overviews, EPSG:32633
    with 10 m pixels, nodata 0. There are 20 distinct images; the others repeat them under another
    DateTime, so that no two files have the same bytes.

    Parameters
    ----------
    count
        How many files.
    cache
        Folder to keep them in.

    Returns
    -------
    list of Path
        Named such as `scene_00000_20200101.tif`, in that order.
    """

    def make(folder: Path) -> None:
        distinct = [_cog(seed) for seed in range(min(count, DISTINCT_COGS))]
        for number in range(count):
            day = _FIRST_DATE + timedelta(days=number)
            image = distinct[number % len(distinct)]
            stamped = image.replace(_DATE_MARK.encode(), f"{day:%Y:%m:%d} 12:00:00".encode())
            name = f"scene_{number:05}_{day:%Y%m%d}.tif"
            (folder / name).write_bytes(stamped)

    return sorted(_made(cache / f"cogs-v1-{count}", make).iterdir())


def scenes(count: int, size: int, cache: Path = CACHE) -> list[Path]:
    """COGs as those of `cogs`, but larger: `size` pixels a side, the same tiles of 256 × 256.

    Parameters
    ----------
    count
        How many files, each with pixels of its own.
    size
        Rows and columns.
    cache
        Folder to keep them in.

    Returns
    -------
    list of Path
        Named such as `scene_00000_20200101.tif`, in that order.
    """

    def make(folder: Path) -> None:
        for number in range(count):
            day = _FIRST_DATE + timedelta(days=number)
            (folder / f"scene_{number:05}_{day:%Y%m%d}.tif").write_bytes(_cog(number, size))

    return sorted(_made(cache / f"scenes-v1-{size}-{count}", make).iterdir())


def many_tiles(cache: Path = CACHE, tiles: int = MILLION_TILES) -> Path:
    """A BigTIFF of uint8 pixels in 1,048,576 tiles of 16 × 16, uncompressed: 16384 × 16384.

    The pixels are 0 and not on the disk, except in every 4096th tile, whose 256 bytes are 0 to 255.

    Parameters
    ----------
    cache
        Folder to keep it in.
    tiles
        A square number of tiles.
    """

    def make(folder: Path) -> None:
        _write_tiles(folder / "tiles.tif", tiles)

    return _made(cache / f"bigtiff-v2-{tiles}", make) / "tiles.tif"


def stack(pages: int, height: int, width: int, cache: Path = CACHE) -> Path:
    """A BigTIFF with a directory for each page of uint16 pixels, between the pages."""

    def make(folder: Path) -> None:
        page = np.zeros((height, width), np.uint16)
        with tifffile.TiffWriter(folder / "stack.tif", bigtiff=True) as tiff:
            for i in range(pages):
                tiff.write(page + np.uint16(i % 60_000), metadata=None, contiguous=False)

    return _made(cache / f"stack-v1-{pages}-{height}-{width}", make) / "stack.tif"


def large(encoding: str, size: int = 8192, cache: Path = CACHE) -> Path:
    """A large tiled image (512 × 512) in one encoding; see `LARGE_ENCODINGS`.

    Parameters
    ----------
    encoding
        Key of `LARGE_ENCODINGS`.
    size
        Rows and columns; a multiple of 512.
    cache
        Folder to keep it in.
    """
    options = LARGE_ENCODINGS[encoding]

    def make(folder: Path) -> None:
        image = _landscape(size, seed=1)
        if options["compress"] == "JPEG":
            grey = (image // 18 + 4 * (image % 8)).astype(np.uint8)  # as noisy as a photograph
            image = np.stack([grey, grey[::-1], grey[:, ::-1]])
        _write(
            folder / "large.tif", image, driver="GTiff", blockxsize=512, blockysize=512, **options
        )

    return _made(cache / f"large-v1-{encoding}-{size}", make) / "large.tif"


LARGE_ENCODINGS: dict[str, dict[str, str | int | bool]] = {
    "deflate-predictor2": {"compress": "DEFLATE", "predictor": 2, "tiled": True},
    "lzw": {"compress": "LZW", "tiled": True},
    "zstd": {"compress": "ZSTD", "tiled": True},
    "jpeg": {"compress": "JPEG", "photometric": "YCBCR", "jpeg_quality": 85, "tiled": True},
}
"""Creation options of the large images: uint16, and three bands of uint8 for JPEG."""


MOSAIC_SIZE = 3600
TILE_BLOCK = 1024
_MOSAIC_DATES = 3


def mosaic(size: int = MOSAIC_SIZE, cache: Path = CACHE) -> list[list[Path]]:
    """Tiles of one grid: two rows of two, uint16, blocks of 1024, Deflate with predictor 2.

    Parameters
    ----------
    size
        Rows and columns of a tile.
    cache
        Folder to keep them in.

    Returns
    -------
    list of list of Path
        The four tiles of each of three dates: those of the upper row first.
    """

    def make(folder: Path) -> None:
        for day in range(_MOSAIC_DATES):
            image = _landscape(2 * size, seed=day)
            for number in range(4):
                row, column = divmod(number, 2)
                part = image[row * size : (row + 1) * size, column * size : (column + 1) * size]
                _write(
                    folder / f"{day}_{number}.tif",
                    part,
                    driver="GTiff",
                    transform=TRANSFORM @ Affine.translation(column * size, row * size),
                    compress="DEFLATE",
                    predictor=2,
                    tiled=True,
                    blockxsize=TILE_BLOCK,
                    blockysize=TILE_BLOCK,
                )

    found = sorted(_made(cache / f"mosaic-v1-{size}", make).iterdir())
    return [found[day : day + 4] for day in range(0, len(found), 4)]


def _made(folder: Path, make: Callable[[Path], None]) -> Path:
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            make(partial)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _landscape(size: int, seed: int) -> NDArray[np.uint16]:
    """Pixels that compress as satellite images do: smooth shapes and a few bits of noise."""
    random = np.random.default_rng(seed)
    position = np.linspace(0, 1, size, dtype=np.float32)
    image = np.full((size, size), 2000, np.float32)
    for frequency in (2, 5, 11, 23):
        phase = random.uniform(0, 6.28, 2).astype(np.float32)
        waves = np.sin(6.28 * frequency * position + phase[0])[:, None]
        image += 1500 / frequency * waves * np.cos(6.28 * frequency * position + phase[1])
    image += random.integers(0, 32, image.shape, dtype=np.uint8)
    return image.clip(1, 4095).astype(np.uint16)


def _write(
    path: str | Path,
    image: NDArray[np.uint16] | NDArray[np.uint8],
    *,
    transform: Affine = TRANSFORM,
    **options: str | int | bool,
) -> None:
    bands = image if image.ndim == 3 else image[None]
    with rasterio.open(
        path,
        "w",
        count=len(bands),
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        crs="EPSG:32633",
        transform=transform,
        nodata=0,
        num_threads="ALL_CPUS",
        **options,
    ) as dataset:
        dataset.update_tags(TIFFTAG_DATETIME=_DATE_MARK, TIFFTAG_SOFTWARE="benchmark")
        dataset.write(bands)


def _cog(seed: int, size: int = COG_SIZE) -> bytes:
    with MemoryFile() as plain, MemoryFile() as cog:
        _write(plain.name, _landscape(size, seed), driver="GTiff")
        rasterio.shutil.copy(
            plain.name,
            cog.name,
            driver="COG",
            compress="DEFLATE",
            predictor="STANDARD",
            blocksize=256,
            overviews="IGNORE_EXISTING",
            overview_count=2,
        )
        image: bytes = cog.read()
    if image.count(_DATE_MARK.encode()) != 1:
        raise RuntimeError("GDAL's COG driver did not keep DateTime once")
    return image


def _write_tiles(path: Path, tiles: int) -> None:
    """Write header, directory and the two long tags by hand: no library does it in a second."""
    size = math.isqrt(tiles) * _TILE
    entries = [
        (256, 4, 1, size),  # ImageWidth, LONG
        (257, 4, 1, size),  # ImageLength
        (258, 3, 1, 8),  # BitsPerSample, SHORT
        (259, 3, 1, 1),  # Compression: none
        (262, 3, 1, 1),  # PhotometricInterpretation: BlackIsZero
        (277, 3, 1, 1),  # SamplesPerPixel
        (284, 3, 1, 1),  # PlanarConfiguration: chunky
        (322, 3, 1, _TILE),  # TileWidth
        (323, 3, 1, _TILE),  # TileLength
        (324, 16, tiles, 0),  # TileOffsets, LONG8; where, is filled in below
        (325, 4, tiles, 0),  # TileByteCounts, LONG
        (339, 3, 1, 1),  # SampleFormat: unsigned
    ]
    length = _TILE * _TILE
    offsets_at = 16 + 8 + 20 * len(entries) + 8
    counts_at = offsets_at + 8 * tiles
    data_at = counts_at + 4 * tiles
    offsets = data_at + length * np.arange(tiles, dtype="<u8")
    places = {324: offsets_at, 325: counts_at}
    with path.open("wb") as file:
        # BigTIFF: version 43, offsets of 8 bytes, first directory right behind.
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16))
        file.write(struct.pack("<Q", len(entries)))
        for tag, kind, count, value in entries:
            file.write(struct.pack("<HHQQ", tag, kind, count, places.get(tag, value)))
        file.write(struct.pack("<Q", 0))
        file.write(offsets.tobytes())
        file.write(np.full(tiles, length, "<u4").tobytes())
        for tile in range(0, tiles, 4096):
            file.seek(int(offsets[tile]))
            file.write(bytes(range(256)))
        file.truncate(data_at + length * tiles)
