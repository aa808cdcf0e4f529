"""Make the map of this folder: write TIFFs, publish them, bundle the page, and serve everything.

    python examples/map/make.py [--folder build/map] [--port 8765] [--no-server]

writes FOLDER/site/scenes (TIFFs), FOLDER/site/repository (published by the addresses at which the
server has them) and FOLDER/site/js (the page), and serves FOLDER/site. `make map` runs it.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any

import icechunk
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.transform import Affine, from_origin
from rasterio.warp import Resampling, reproject, transform_bounds

import virtual_tiff

HERE = Path(__file__).resolve().parent
UTM, WEB_MERCATOR = "EPSG:32633", "EPSG:3857"
SIZE = 1536
#: A valley of 15 km in the Alps, 10 m a pixel.
TRANSFORM = from_origin(380_000.0, 5_280_000.0, 10.0, 10.0)
DATES = ("2024-04-12", "2024-06-04", "2024-08-23")
#: How green it is at each date.
GREENNESS = (0.35, 0.9, 0.6)
GAP = (1, 0)

type Field = NDArray[np.float64]


def noise(seed: int, slope: float) -> Field:
    """Noise of mean 0 and deviation 1 whose power falls with the frequency."""
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    frequency[0, 0] = np.inf
    white = np.fft.rfft2(np.random.default_rng(seed).standard_normal((SIZE, SIZE)))
    field: Field = np.fft.irfft2(white * frequency**-slope, (SIZE, SIZE))
    return (field - field.mean()) / field.std()


def elevation() -> Field:
    """Height in metres: a valley that runs from the south-west to the north-east."""
    v, u = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    valley = np.abs(u + v + 0.3 * np.sin(3 * (u - v)))
    height: Field = 900 + 1300 * np.sqrt(valley) + 260 * noise(1, 2.2) * (0.25 + valley)
    return height


def shade(height: Field) -> Field:
    """Brightness of the terrain, from 0 to 1, with light from the north-west."""
    south, east = np.gradient(height, 10.0)
    return (
        np.clip((1 + (south + east) / np.sqrt(2)) / np.sqrt(1 + south**2 + east**2), 0, 1.6) / 1.6
    )


def write(
    path: Path, pixels: NDArray[Any], transform: Affine, crs: str, mask: Any = None, **options: Any
) -> None:
    """Write a COG with overviews; the pixels are `(band, y, x)`."""
    count, height, width = pixels.shape
    nodata = options.pop("nodata", None)
    profile = {"count": count, "height": height, "width": width, "dtype": pixels.dtype.name}
    with MemoryFile() as memory:
        georeferencing = {"transform": transform, "crs": crs, "nodata": nodata}
        with memory.open(driver="GTiff", **profile, **georeferencing) as out:
            out.write(pixels)
            if mask is not None:
                out.write_mask(mask)
            for key, value in options.pop("scale", {}).items():
                setattr(out, key, (value,) * count)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            copy(memory.name, path, driver="COG", **options)


def write_scenes(folder: Path) -> None:
    """Write the TIFFs: one in UTM, one in Web Mercator, three dates, and three of four tiles."""
    folder.mkdir(parents=True)
    height = elevation()
    bright = shade(height)
    cover = np.clip(0.5 + 0.25 * noise(2, 1.6) + (1500 - height) / 1500, 0, 1)

    terrain = height.astype("f4")
    # A lake without measurements.
    terrain[height < np.quantile(height, 0.02)] = -9999
    deflate: dict[str, Any] = {"COMPRESS": "DEFLATE", "BLOCKSIZE": 256}
    write(
        folder / "terrain.tif", terrain[None], TRANSFORM, UTM, nodata=-9999, PREDICTOR=3, **deflate
    )

    colours = np.stack([150 - 80 * cover, 140 - 20 * cover, 110 - 60 * cover])
    snow = np.clip((height - 2150) / 250, 0, 1)
    colours = (colours * (1 - snow) + 240 * snow) * (0.25 + 0.95 * bright)
    rgb = np.clip(colours, 0, 255).astype("u1")
    bounds = transform_bounds(
        UTM, WEB_MERCATOR, *rasterio.transform.array_bounds(SIZE, SIZE, TRANSFORM)
    )
    width = 1280
    step = (bounds[2] - bounds[0]) / width
    merc = from_origin(bounds[0], bounds[3], step, step)
    shape = (int((bounds[3] - bounds[1]) / step), width)
    photo, seen = np.zeros((3, *shape), "u1"), np.zeros(shape, "u1")
    grids = {
        "src_transform": TRANSFORM,
        "src_crs": UTM,
        "dst_transform": merc,
        "dst_crs": WEB_MERCATOR,
    }
    reproject(rgb, photo, resampling=Resampling.bilinear, **grids)
    reproject(np.full((SIZE, SIZE), 255, "u1"), seen, resampling=Resampling.nearest, **grids)
    write(
        folder / "photo.tif", photo, merc, WEB_MERCATOR, seen,
        COMPRESS="JPEG", QUALITY=90, BLOCKSIZE=512, OVERVIEW_COMPRESS="JPEG",
    )  # fmt: skip

    for date, greenness in zip(DATES, GREENNESS, strict=True):
        index = np.clip(cover * greenness - snow + 0.05 * noise(3, 1), -0.2, 1)
        pixels = np.rint(index * 10_000).astype("i2")
        pixels[:200, :200] = -32768
        scale = {"scales": 0.0001}
        name = f"greenness_{date}.tif"
        write(
            folder / name, pixels[None], TRANSFORM, UTM, nodata=-32768, scale=scale,
            COMPRESS="LZW", PREDICTOR=2, BLOCKSIZE=256,
        )  # fmt: skip

    half = SIZE // 2
    roughness = np.rint(1000 * np.hypot(*np.gradient(height, 10.0))).astype("u2") + 1
    for row in (0, 1):
        for column in (0, 1):
            if (row, column) == GAP:
                continue
            part = roughness[row * half : (row + 1) * half, column * half : (column + 1) * half]
            origin = TRANSFORM @ Affine.translation(column * half, row * half)
            write(
                folder / f"slope_{row}_{column}.tif", part[None], origin, UTM, nodata=0,
                COMPRESS="ZSTD", PREDICTOR=2, BLOCKSIZE=256,
            )  # fmt: skip


def publish(folder: Path, url: str) -> None:
    """Publish the TIFFs that a server has at `url`/scenes, into `folder`/repository."""
    scenes, repository = f"{url}/scenes", folder / "repository"
    icechunk.set_logs_filter("error")
    virtual_tiff.publish([f"{scenes}/terrain.tif", f"{scenes}/photo.tif"], repository)
    virtual_tiff.stack(
        [f"{scenes}/greenness_{date}.tif" for date in DATES],
        repository,
        name="greenness",
        group="greenness",
        datetime_pattern=r"_([\d-]{10})\.",
        overviews=True,
    )
    tiles = sorted((folder / "scenes").glob("slope_*.tif"))
    virtual_tiff.stack(
        [f"{scenes}/{tile.name}" for tile in tiles],
        repository,
        name="slope",
        group="slope",
        stitch=True,
        on_gap="fill",
        overviews=True,
    )


def bundle(site: Path) -> None:
    """Bundle the page into `site`."""
    quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    # The codecs first: installing them copies their WebAssembly files.
    for folder in (HERE.parents[1] / "clients" / "javascript", HERE):
        command = ["npm", "--prefix", str(folder), "install", *quiet]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["node", str(HERE / "build.mjs"), str(site)], check=True)


@contextmanager
def serving(site: Path, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve `site` while the block runs."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise SystemExit(
            f"port {port} cannot be used ({error}); name another with --port"
        ) from None
    server = subprocess.Popen(["node", str(HERE / "serve.mjs"), str(site), str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            if server.poll() is not None:
                raise SystemExit("the server did not start")
            with suppress(urllib.error.URLError), urllib.request.urlopen(url):
                break
            sleep(0.1)
        yield url, server
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make and serve the map.")
    parser.add_argument("--folder", type=Path, default=Path("build/map"))
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--no-server", action="store_true", help="make everything, and end")
    options = parser.parse_args()
    site = options.folder.resolve() / "site"
    # Only what an earlier run of this script made.
    shutil.rmtree(site, ignore_errors=True)
    write_scenes(site / "scenes")
    bundle(site)
    with serving(site, options.port) as (url, server):
        publish(site, url)
        if options.no_server:
            return
        print(f"{url}/ has the map. Ctrl+C ends the server.", flush=True)
        with suppress(KeyboardInterrupt):
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
