"""The map of examples/map shows in Chromium what GDAL's warp shows.

Not one of the tests that `make test` collects, since it needs Node and Chromium: `make test-map`
runs it. `MAP_PICTURE=docs/images/map.png` writes the picture of the documentation.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.merge import merge
from rasterio.transform import Affine, from_origin
from rasterio.warp import Resampling, reproject, transform

ROOT = Path(__file__).resolve().parents[2]
MAP = ROOT / "examples" / "map"
sys.path.insert(0, str(MAP))
make: Any = import_module("make")  # the script of the example

WIDTH, HEIGHT = 900, 600
BACKGROUND = (238, 240, 242)
PLACES = 80
#: Centres of the views in metres of UTM zone 33N: at the lake, the corner without data, the gap.
CENTRES = {"terrain": (394_200, 5_277_000), "greenness": (381_900, 5_278_100)}
MIDDLE = (387_680, 5_272_320)


#: Samples of a pixel; None where there is no data.
type Pixel = list[float] | None


@dataclass(frozen=True)
class Level:
    """Pixels of one level as rasterio reads them, and where they are."""

    pixels: NDArray[Any]
    seen: NDArray[np.bool_]
    transform: Affine
    crs: str


@dataclass(frozen=True)
class Show:
    """Which layer and level is shown, and how many metres a pixel of the map has."""

    name: str
    layer: int
    files: str
    level: int
    resolution: float
    band: int = 0
    time: int = 0
    scale: float = 1.0


SHOWN = [
    Show("terrain", 0, "terrain.tif", 0, 5),
    Show("terrain, overview", 0, "terrain.tif", 1, 40),
    Show("photo", 1, "photo.tif", 0, 6),
    Show("photo, green", 1, "photo.tif", 0, 6, band=2),
    Show("photo, overview", 1, "photo.tif", 1, 31),
    *(Show("greenness", 2, f"greenness_{d}.tif", 0, 5, time=t, scale=1e-4)
      for t, d in enumerate(make.DATES)),
    Show("slope", 3, "slope_*.tif", 0, 5),
    Show("slope, tiles of their own", 3, "slope_*.tif", 1, 40),
]  # fmt: skip


@dataclass
class Page:
    """What the page showed."""

    views: list[dict[str, Any]]
    messages: list[str]
    decoded: int
    site: Path
    asked: list[dict[str, Any]] = field(default_factory=list)


def read_level(files: list[Path], level: int) -> Level:
    """Read a level of a file, or of tiles together."""
    options: dict[str, Any] = {} if level == 0 else {"OVERVIEW_LEVEL": level - 1}
    with ExitStack() as stack:
        opened = [stack.enter_context(rasterio.open(file, **options)) for file in files]
        first = opened[0]
        if len(opened) > 1:
            pixels, grid = merge(opened)
            seen = pixels[0] != first.nodata
        else:
            pixels, grid = first.read(), first.transform
            seen = first.dataset_mask() > 0
        return Level(pixels, seen, grid, first.crs.to_string())


def places_in(level: Level, center: list[float], resolution: float) -> NDArray[np.float64]:
    """Centres of pixels in a view, in Web Mercator."""
    # Neither at the edge of the view, nor below the controls.
    half = resolution * np.array([WIDTH / 2 - 40, HEIGHT / 2 - 150])
    merc = center + np.random.default_rng(14).uniform(-half, half, (PLACES, 2))
    there = transform(make.WEB_MERCATOR, level.crs, *merc.T)
    columns, rows = (
        np.floor(axis) + 0.5 for axis in ~level.transform @ tuple(map(np.array, there))
    )
    xs, ys = level.transform @ (columns, rows)
    return np.stack(transform(level.crs, make.WEB_MERCATOR, xs, ys), axis=-1)


def warped(level: Level, places: NDArray[np.float64], resolution: float) -> list[list[Pixel]]:
    """Values that GDAL's warp (nearest neighbour) has at places."""
    left, top = places[:, 0].min() - 5 * resolution, places[:, 1].max() + 5 * resolution
    grid = from_origin(left, top, resolution, resolution)
    columns, rows = (np.floor(axis).astype(int) for axis in ~grid @ (places[:, 0], places[:, 1]))
    shape = (int(rows.max()) + 5, int(columns.max()) + 5)
    grids = {
        "src_transform": level.transform,
        "src_crs": level.crs,
        "dst_transform": grid,
        "dst_crs": make.WEB_MERCATOR,
        "resampling": Resampling.nearest,
        # As exact as the projection: the default approximates within an eighth of a pixel.
        "tolerance": 0,
    }
    pixels = np.zeros((len(level.pixels), *shape), level.pixels.dtype)
    seen = np.zeros(shape, "u1")
    reproject(level.pixels, pixels, **grids)
    reproject(level.seen.astype("u1"), seen, **grids)
    return [
        [pixels[:, row, column].tolist() if seen[row, column] else None]
        for row, column in zip(rows, columns, strict=True)
    ]


def pixel_of(level: Level, row: int, column: int) -> Pixel:
    height, width = level.seen.shape
    is_seen = 0 <= row < height and 0 <= column < width and level.seen[row, column]
    return level.pixels[:, row, column].tolist() if is_seen else None


def neighbours(level: Level, places: NDArray[np.float64]) -> list[list[Pixel]]:
    """Values of the pixels at places and of the eight around each."""
    there = map(np.array, transform(make.WEB_MERCATOR, level.crs, *places.T))
    columns, rows = (np.floor(axis).astype(int) for axis in ~level.transform @ tuple(there))
    return [
        [
            pixel_of(level, y, x)
            for y in range(row - 1, row + 2)
            for x in range(column - 1, column + 2)
        ]
        for row, column in zip(rows, columns, strict=True)
    ]


def center_of(show: Show) -> list[float]:
    x, y = CENTRES.get(show.name, MIDDLE)
    (east,), (north,) = transform(make.UTM, make.WEB_MERCATOR, [x], [y])
    return [east, north]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    if shutil.which("node") is None:
        pytest.fail("node is missing: install Node 20 or newer")
    if shutil.which(os.environ.get("CHROMIUM", "/usr/bin/chromium")) is None:
        pytest.fail("Chromium is missing: install it, or name it in CHROMIUM")
    folder = tmp_path_factory.mktemp("map")
    site = folder / "site"
    make.write_scenes(site / "scenes")
    make.bundle(site)
    asked: list[dict[str, Any]] = []
    for show in SHOWN:
        center = center_of(show)
        level = read_level(sorted((site / "scenes").glob(show.files)), show.level)
        places = places_in(level, center, show.resolution)
        view = {"center": center, "resolution": show.resolution, "places": places.tolist()}
        picture = {"picture": str(folder / f"{len(asked)}.png")}
        asked.append({"layer": show.layer, "band": show.band, "time": show.time} | view | picture)
    whole = {"resolution": 27.0, "center": center_of(SHOWN[2])}
    overviews = [
        {"layer": layer, "time": 1} | whole | {"picture": str(folder / f"whole-{layer}.png")}
        for layer in range(4)
    ]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with make.serving(site, port) as (url, _):
        make.publish(site, url)
        # The first view again: nothing more is decoded for it.
        task = {"url": url, "views": [*asked, *overviews, asked[0]]}
        done = subprocess.run(
            ["node", str(MAP / "test" / "drive.mjs")],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return Page(found["views"], found["messages"], found["decoded"], site, asked)


@pytest.mark.parametrize("number", range(len(SHOWN)), ids=lambda n: SHOWN[n].name)
def test_values_are_those_of_the_warp(page: Page, number: int) -> None:
    """Exactly at full resolution; a pixel of the map may lie between two of an overview."""
    show, view = SHOWN[number], page.views[number]
    level = read_level(sorted((page.site / "scenes").glob(show.files)), show.level)
    places = np.array(page.asked[number]["places"])
    candidates = neighbours(level, places) if show.level else warped(level, places, show.resolution)
    assert show.files == "photo.tif" or any(None in values for values in candidates)
    band = slice(show.band - 1, show.band) if show.band else slice(None)
    tolerance = 4 if show.files == "photo.tif" else 0
    misplaced = [
        (place, value, wanted)
        for place, value, wanted in zip(places.tolist(), view["values"], candidates, strict=True)
        if not any(equal(value, w and w[band], show.scale, tolerance) for w in wanted)
    ]
    assert misplaced == []


def equal(value: Pixel, wanted: Pixel, scale: float, most: float) -> bool:
    if value is None or wanted is None:
        return value is wanted
    scaled = np.asarray(wanted, "f8") * scale
    return bool(np.all(np.abs(np.asarray(value) - scaled) <= most + np.abs(scaled) * 1e-6))


@pytest.mark.parametrize("number", [0, 2, 8], ids=lambda n: SHOWN[n].name)
def test_missing_data_is_transparent_and_colours_are_those_of_the_photo(
    page: Page, number: int
) -> None:
    view = page.views[number]
    with Image.open(page.asked[number]["picture"]) as picture:
        image = np.asarray(picture.convert("RGB")).astype(int)
    places = zip(view["values"], view["pixels"], strict=True)
    colours = [(value, image[int(y), int(x)]) for value, (x, y) in places]
    # A line of the graticule may cross a place.
    wrong = [
        (value, colour)
        for value, colour in colours
        if (np.abs(colour - BACKGROUND).max() <= 1) != (value is None)
        or (value is not None and len(value) == 3 and np.abs(colour - value).max() > 1)
    ]
    assert len(wrong) <= 4, wrong


def test_chunks_are_decoded_once(page: Page) -> None:
    again = page.views[-1]
    assert again["values"] == page.views[0]["values"]
    assert again["decoded"] == page.views[-2]["decoded"] > 0


def test_the_page_reports_no_errors(page: Page) -> None:
    # Chromium without a graphics card says that reading pixels is slow.
    assert [m for m in page.messages if "GPU stall" not in m] == []


def test_the_picture(page: Page) -> None:
    """The four layers, side by side."""
    shown = Image.new("RGB", (2 * WIDTH, 2 * HEIGHT))
    for layer in range(4):
        path = Path(page.asked[0]["picture"]).with_name(f"whole-{layer}.png")
        with Image.open(path) as picture:
            shown.paste(picture, (layer % 2 * WIDTH, layer // 2 * HEIGHT))
    content = io.BytesIO()
    shown.resize((1350, 900), Image.Resampling.LANCZOS).quantize(160).save(content, "PNG")
    path = Path(os.environ.get("MAP_PICTURE", ROOT / "build" / "map" / "map.png"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())
    # A page that draws nothing has a handful of colours.
    assert len(content.getvalue()) > 100_000
