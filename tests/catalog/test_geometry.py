"""Stitched entries of the catalogue at the sizes and places of their files, without pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr
from rasterio.transform import Affine

from tests.helpers.archive import memory_repository
from virtual_tiff import scan, stack
from virtual_tiff.catalog.entries import archives


@dataclass(frozen=True)
class Tile:
    """A file: its name, pixels, pixel size, and the left and upper edge."""

    name: str
    shape: tuple[int, int]
    size: tuple[float, float]
    corner: tuple[float, float]


@dataclass(frozen=True)
class Mosaic:
    """Files of an archive, and the shapes of the arrays that they make, by group."""

    tiles: Iterable[Tile]
    arrays: Mapping[str, tuple[int, ...]]
    crs: str = "EPSG:4326"
    dtype: str = "uint8"
    block: int = 512
    nodata: float | None = 0
    bands: int = 1
    south_up: bool = False


def dem(rows: int) -> list[Tile]:
    """Degrees of the Copernicus DEM, where their width changes in the north and in the south."""
    found = []
    # South edge, and arc seconds of a column for each of a row.
    for south, times in ((48, 1), (49, 1), (50, 1.5), (60, 2), (70, 3), (-50, 1), (-51, 1.5)):
        for west in (-1, 0, 7):
            columns = int(rows / times)
            name = f"{'NS'[south < 0]}{abs(south):02}_00_{'EW'[west < 0]}{abs(west):03}_00"
            corner = (west - 0.5 / columns, south + 1 + 0.5 / rows)
            path = f"Copernicus_DSM_COG_10_{name}_DEM.tif"
            found.append(Tile(path, (rows, columns), (1 / columns, 1 / rows), corner))
    return found


def degrees(
    name: str, pixels: int, places: Iterable[tuple[int, int]], *, span: int = 1, more: float = 0
) -> list[Tile]:
    """Squares of some degrees, `more` pixels larger on each side; places are west and north."""
    size = float(f"{span / pixels:.14g}")  # as files have it
    shape = (round(pixels + 2 * more), round(pixels + 2 * more))
    return [
        Tile(name.format(west=w, north=n), shape, (size, size), (w - more * size, n + more * size))
        for w, n in places
    ]


SIX = [(x, y) for x in (7, 8, 9) for y in (46, 47)]
EDGE = 20037508.342789244  # of Web Mercator
QUAD = EDGE / 256
DEM_30 = {
    "EPSG_4326_0.000277778": (3, 3, 3600, 3600),
    "EPSG_4326_0.000416667x0.000277778": (2, 3, 3600, 2400),
    "EPSG_4326_0.000555556x0.000277778": (1, 3, 3600, 1800),
    "EPSG_4326_0.000833333x0.000277778": (1, 3, 3600, 1200),
}

MOSAICS = {
    "es-cop-dem-glo-30": Mosaic(dem(3600), DEM_30, dtype="float32", block=1024, nodata=-9999),
    "pc-nasadem": Mosaic(
        degrees("NASADEM_HGT_n{north}e{west:03}.tif", 3600, SIX, more=0.5),
        {"": (2, 3, 3601, 3601)},
        dtype="int16",
    ),
    "pc-alos-dem": Mosaic(
        degrees("ALPSMLC30_N{north:03}E{west:03}_DSM.tif", 3600, SIX),
        {"": (2, 3, 3600, 3600)},
        dtype="int16",
    ),
    "pc-3dep-seamless": Mosaic(
        degrees("USGS_13_n{north}w{west:03}.tif", 10800, SIX, more=6)
        + degrees("USGS_1_n{north}e{west:03}.tif", 3600, SIX, more=6),
        {"13": (2, 3, 10812, 10812), "1": (2, 3, 3612, 3612)},
        crs="EPSG:4269",
        dtype="float32",
        nodata=-999999,
    ),
    "esa-worldcover-2021": Mosaic(
        degrees("v200_N{north}E{west:03}_Map.tif", 36000, [(6, 48), (9, 48), (9, 51)], span=3),
        {"": (2, 2, 36000, 36000)},
        block=1024,
    ),
    "jrc-gsw-occurrence": Mosaic(
        degrees("occurrence_{west}E_{north}N.tif", 40000, [(0, 50), (10, 50)], span=10),
        {"": (1, 2, 40000, 40000)},
        block=256,
    ),
    "meta-canopy-height": Mosaic(
        [
            Tile(
                f"q/12022301{i}.tif",
                (65536, 65536),
                (QUAD / 65536, QUAD / 65536),
                (QUAD * (i % 2), QUAD * (9 - i // 2)),
            )
            for i in range(4)
        ],
        {"": (131072, 131072)},
        crs="EPSG:3857",
    ),
    "aef-annual": Mosaic(
        [
            Tile(
                f"annual/{year}/{zone}/x{year}-0000000000-000000{i}192.tiff",
                (8192, 8192),
                (10, 10),
                (500_000 + 81920 * i, 4_000_000),
            )
            for year in (2023, 2024)
            for zone in ("17N", "18N")
            for i in range(2)
        ],
        {"17N": (2, 64, 8192, 16384), "18N": (2, 64, 8192, 16384)},
        crs="EPSG:32617",
        dtype="int8",
        block=1024,
        nodata=-128,
        bands=64,
        south_up=True,
    ),
    "swisstopo-swissalti3d": Mosaic(
        [
            Tile(
                f"swissalti3d_{year}_{east}-1200_{gsd}_2056_5728.tif",
                (n, n),
                (1000 / n, 1000 / n),
                (1000 * east, 1_201_000),
            )
            for year in (2019, 2023)
            for east in (2600, 2601)
            for gsd, n in (("2", 500), ("0.5", 2000))
        ],
        {f"{y}/{g}": (1, 2, n, n) for y in (2019, 2023) for g, n in (("2", 500), ("0.5", 2000))},
        crs="EPSG:2056",
        dtype="float32",
        nodata=-9999,
    ),
}
#: With the places of another entry, at another size.
ALIKE = {
    "es-cop-dem-glo-90": "es-cop-dem-glo-30",
    "hansen-gfc-treecover2000": "jrc-gsw-occurrence",
    "pc-esa-worldcover": "esa-worldcover-2021",
}


def write(folder: Path, mosaic: Mosaic) -> None:
    for one in mosaic.tiles:
        (width, height), (left, top) = one.size, one.corner
        step = height if mosaic.south_up else -height
        path = folder / one.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path, "w", "GTiff", one.shape[1], one.shape[0], mosaic.bands, dtype=mosaic.dtype,
            crs=mosaic.crs, transform=Affine(width, 0, left, 0, step, top), nodata=mosaic.nodata,
            tiled=True, blockxsize=mosaic.block, blockysize=mosaic.block, compress="deflate",
            interleave="band", SPARSE_OK=True,
        ):  # fmt: skip
            pass


def test_every_stitched_entry_is_here() -> None:
    stitched = {name for name, entry in archives().items() if entry.layout == "stitch"}
    assert {*MOSAICS, *ALIKE} == stitched
    assert all(archives()[a].grid == archives()[b].grid for a, b in ALIKE.items())


@pytest.mark.parametrize("name", MOSAICS)
def test_the_layout_of_an_entry_fits_its_files(name: str, tmp_path: Path) -> None:
    entry, mosaic = archives()[name], MOSAICS[name]
    write(tmp_path / "files", mosaic)
    inventory = scan(str(tmp_path / "files"), columns=dict(entry.columns))
    repo = memory_repository(tmp_path)
    options: dict[str, Any] = {"grid": entry.grid, "on_gap": "fill"}
    options |= {"group": entry.group} if entry.group else {}
    options |= {"along": list(entry.along)} if entry.along else {}
    result = stack(inventory, repo, stitch=True, **options)
    assert result.images == len(list(mosaic.tiles))
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    for group, shape in mosaic.arrays.items():
        array = root[f"{group}/data".lstrip("/")]
        assert isinstance(array, zarr.Array)
        assert array.shape == shape
        if f"{group}/tile_y".lstrip("/") in root:
            # The fitted grid has a row for the corner of each file, and no other.
            centres = np.asarray(root[f"{group}/y".lstrip("/")])
            step = centres[:, :1] - centres[:, 1:2]
            tops = np.array([one.corner[1] for one in mosaic.tiles])
            # Each row begins at the upper edge of a file.
            assert (np.abs(centres[:, :1] + step / 2 - tops).min(axis=1) < 0.01 * step[0]).all()
