"""Tiles of every kind on grids of every kind, equal to GDAL's mosaic where this package is not.

All cells of the matrix are published by a few commits, and read in one other process. Every triple
of segments, kind and spacing occurs, each with other dates and gaps; with all of them if
`VIRTUAL_TIFF_FULL_MATRIX=1` is set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.merge import merge
from rasterio.transform import Affine

from tests.helpers.archive import scanned
from tests.helpers.make import Pixels, pixels, write_with_rasterio
from virtual_tiff import stack
from virtual_tiff.choices import Grid
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import ErrorKind, MismatchError
from virtual_tiff.inventory.table import Inventory

READER = Path(__file__).parents[1] / "helpers" / "mosaic_reader.py"
FLATTEN = Path(__file__).parents[2] / "clients" / "python" / "flatten.py"
#: Rows and columns of an image.
SIZE = (48, 64)
TILED: dict[str, Any] = {"TILED": "YES", "BLOCKXSIZE": 16, "BLOCKYSIZE": 16}
SEGMENTS: dict[str, dict[str, Any]] = {
    "rows": {"BLOCKYSIZE": 1},
    "strips": {"BLOCKYSIZE": 16},
    "short": {"BLOCKYSIZE": 32},
    "tiles": TILED,
    "dangling": {"TILED": "YES", "BLOCKXSIZE": 48, "BLOCKYSIZE": 32},
    "overlaps": TILED,
}
KINDS: dict[str, dict[str, Any]] = {
    "one": {"COMPRESS": "LZW", "PREDICTOR": 2},
    "chunky": {"COMPRESS": "DEFLATE", "INTERLEAVE": "PIXEL", "count": 3},
    "planar": {"COMPRESS": "ZSTD", "INTERLEAVE": "BAND", "count": 3},
    "packed": {"COMPRESS": "DEFLATE", "NBITS": 12},
    "jpeg": {"COMPRESS": "JPEG", "INTERLEAVE": "PIXEL", "PHOTOMETRIC": "YCBCR", "count": 3},
    "lerc": {"COMPRESS": "LERC"},
}
SPACINGS = ("even", "uneven", "rounded")
#: Rows and columns at which tiles begin: those of overlaps, and of others.
PLACES: dict[tuple[str, bool], tuple[tuple[int, ...], tuple[int, ...]]] = {
    ("even", False): ((0, 48), (0, 64, 128)),
    ("even", True): ((0, 32), (0, 48, 96)),
    ("uneven", False): ((0, 50), (0, 66, 140)),
    ("uneven", True): ((0, 41), (0, 60, 115)),
}
NODATA = 7
#: Date, row and column of tiles that are missing where there are gaps.
MISSING = {(0, 0, 1), (1, 1, 0), (1, 1, 2)}
DATES = ("20240101", "20240102", "20240103")
#: Whether images have a nodata value, whether tiles are missing, and the number of dates.
GAPS_AND_DATES = [
    (has_nodata, has_gaps, dates)
    for has_nodata, has_gaps in ((True, False), (True, True), (False, True))
    for dates in (1, 3)
]
IS_FULL = os.environ.get("VIRTUAL_TIFF_FULL_MATRIX") == "1"
#: A strip of JPEG that is lengthened has to be encoded again.
TOLERANCE = {"jpeg": 4}


@dataclass(frozen=True, slots=True)
class Tiles:
    """Images of one kind, in one arrangement, with or without a nodata value."""

    segments: str
    kind: str
    spacing: str
    has_nodata: bool

    @property
    def name(self) -> str:
        nodata = "nodata" if self.has_nodata else "plain"
        return f"{self.segments}-{self.kind}-{self.spacing}-{nodata}"

    @property
    def starts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        spacing = "even" if self.spacing == "rounded" else self.spacing
        return PLACES[spacing, self.segments == "overlaps"]

    @property
    def is_regular(self) -> bool:
        return self.segments in ("rows", "strips", "tiles") and self.spacing != "uneven"

    @property
    def turn(self) -> int:
        """Index in `GAPS_AND_DATES` of what it is read with."""
        parts = ([*SEGMENTS].index(self.segments), [*KINDS].index(self.kind))
        return (sum(parts) + SPACINGS.index(self.spacing)) % len(GAPS_AND_DATES)

    @property
    def dates(self) -> int:
        return 3 if IS_FULL else GAPS_AND_DATES[self.turn][2]

    @property
    def is_needed(self) -> bool:
        return IS_FULL or GAPS_AND_DATES[self.turn][0] == self.has_nodata

    @property
    def is_writable(self) -> bool:
        """Whether libtiff writes them: a strip of JPEG has eight rows or more."""
        return (self.segments, self.kind) != ("rows", "jpeg")

    def of(self, has_gaps: bool, dates: int) -> list[tuple[int, int, int]]:
        """Date, row and column of its images."""
        rows, columns = self.starts
        places = product(range(dates), range(len(rows)), range(len(columns)))
        return [place for place in places if not (has_gaps and place in MISSING)]

    def write(self, folder: Path) -> None:
        (folder / self.name).mkdir()
        options = {**SEGMENTS[self.segments], **KINDS[self.kind]}
        count = options.pop("count", 1)
        # 1/1200 with six digits: the last pixel of a row of tiles is a tenth of a pixel off.
        is_rounded = self.spacing == "rounded"
        step, exact = (0.000833, 1 / 1200) if is_rounded else (10.0, 10.0)
        options["crs"] = "EPSG:4326" if is_rounded else "EPSG:32633"
        options |= {"nodata": NODATA} if self.has_nodata else {}
        rows, columns = self.starts
        for place in self.of(has_gaps=False, dates=self.dates):
            date, i, j = place
            transform = Affine(step, 0, exact * columns[j], 0, -step, -exact * rows[i])
            data = _pixels(self.kind, count, 100 * date + 10 * i + j)
            path = folder / self.name / f"{name_of(place)}.tif"
            write_with_rasterio(path, data, transform=transform, **options)

    def mosaic(self, folder: Path, has_gaps: bool) -> Pixels:
        """GDAL's view of the tiles of all dates, by rows and columns: the last pixel counts."""
        rows, columns = self.starts
        height, width = rows[-1] + SIZE[0], columns[-1] + SIZE[1]
        count = KINDS[self.kind].get("count", 1)
        dtype = "Byte" if self.kind == "jpeg" else "UInt16"
        found = []
        for date in range(self.dates):
            lines = []
            for band in range(1, count + 1):
                lines.append(f'<VRTRasterBand dataType="{dtype}" band="{band}">')
                lines.append(f"<NoDataValue>{NODATA}</NoDataValue>")
                for place in self.of(has_gaps, self.dates):
                    if place[0] == date:
                        window = f'xSize="{SIZE[1]}" ySize="{SIZE[0]}"'
                        x, y = columns[place[2]], rows[place[1]]
                        lines.append(
                            "<ComplexSource>"
                            f"<SourceFilename>{folder / self.name / name_of(place)}.tif"
                            f"</SourceFilename><SourceBand>{band}</SourceBand>"
                            f'<SrcRect xOff="0" yOff="0" {window}/>'
                            f'<DstRect xOff="{x}" yOff="{y}" {window}/>'
                            f"<NODATA>{NODATA}</NODATA></ComplexSource>"
                        )
                lines.append("</VRTRasterBand>")
            xml = f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">'
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open("\n".join([xml, *lines, "</VRTDataset>"])) as file:
                    found.append(file.read())
        together: Pixels = np.stack(found)
        return together[:, 0] if count == 1 else together


def name_of(place: tuple[int, int, int]) -> str:
    """Name of a file, from its date, row and column."""
    date, row, column = place
    return f"t{row}{column}_{DATES[date]}"


def _pixels(kind: str, count: int, seed: int) -> Pixels:
    shape = (count, *SIZE)
    if kind != "jpeg":
        data = pixels("uint16", shape, seed)
        data %= 4096 if kind == "packed" else 65535
        return data
    band, y, x = np.indices(shape)
    smooth: Pixels = seed % 50 + 40 * band + y + x
    return smooth.astype(np.uint8)


ALL = [
    tiles
    for parts in product(SEGMENTS, KINDS, SPACINGS, (True, False))
    if (tiles := Tiles(*parts)).is_writable and tiles.is_needed
]


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of the matrix that one call publishes, since they have the same options."""

    grid: Grid
    has_nodata: bool
    has_gaps: bool
    dates: int

    @property
    def prefix(self) -> str:
        return f"{self.grid}/{'gaps' if self.has_gaps else 'whole'}/{self.dates}"

    @property
    def tiles(self) -> list[Tiles]:
        """Those that this grid is possible for, and of which it is the turn."""
        return [
            tiles
            for tiles in ALL
            if tiles.has_nodata == self.has_nodata
            and (self.grid != "regular" or tiles.is_regular)
            and (IS_FULL or tiles.turn == GAPS_AND_DATES.index(self.gaps_and_dates))
        ]

    @property
    def gaps_and_dates(self) -> tuple[bool, bool, int]:
        return self.has_nodata, self.has_gaps, self.dates

    @property
    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"stitch": True, "grid": self.grid}
        # Uneven distances leave holes without any tile missing, which need a value too.
        options |= {} if self.has_nodata else {"on_gap": "fill", "fill_value": NODATA}
        return options | ({"along": "datetime"} if self.dates > 1 else {})


CELLS = [Cells(grid, *each) for grid in ("regular", "tiles") for each in GAPS_AND_DATES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiles")
    for tiles in ALL:
        tiles.write(folder)
    return folder


@pytest.fixture(scope="module")
def inventory(folder: Path) -> Inventory:
    return scanned(folder, columns={"cell": r"/([^/]+)/t\d\d_", "place": r"/(t\d\d_\d+)\.tif"})


def chosen(inventory: Inventory, tiles: Sequence[Tiles], has_gaps: bool, dates: int) -> Inventory:
    """Rows of the images of some cells."""
    table = inventory.table
    found = [False] * len(table)
    by_cell: dict[str, set[str]] = {}
    for each in tiles:
        by_cell[each.name] = {name_of(place) for place in each.of(has_gaps, dates)}
    cells, places = table["cell"].to_pylist(), table["place"].to_pylist()
    found = [place in by_cell.get(cell, ()) for cell, place in zip(cells, places, strict=True)]
    return Inventory(table.filter(pa.array(found)))


@pytest.fixture(scope="module")
def answers(
    folder: Path, inventory: Inventory, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str | None]:
    """Publish all cells, read them in another process; return what is wrong with each."""
    work = tmp_path_factory.mktemp("matrix")
    expected: dict[str, Pixels] = {}
    jobs = []
    for number, cells in enumerate(CELLS):
        images = chosen(inventory, cells.tiles, cells.has_gaps, cells.dates)
        group = f"{cells.prefix}/{{cell}}"
        into = number > 0
        result = stack(images, str(work / "repo"), group=group, into_existing=into, **cells.options)
        assert len(result.added) == len(cells.tiles)
        for tiles in cells.tiles:
            key = f"{tiles.name}-{cells.has_gaps}-{cells.dates}"
            if key not in expected:
                mosaic = tiles.mosaic(folder, cells.has_gaps)
                expected[key] = mosaic if cells.dates > 1 else mosaic[0]
            tolerance = TOLERANCE.get(tiles.kind, 0)
            jobs.append(
                {
                    "group": f"{cells.prefix}/{tiles.name}",
                    "expected": key,
                    "tolerance": tolerance if tiles.segments == "short" else 0,
                }
            )
    arrays: dict[str, Any] = {**expected}
    np.savez(work / "expected.npz", **arrays)
    job = {
        "repository": str(work / "repo"),
        "containers": [f"{folder.as_uri()}/"],
        "flatten": str(FLATTEN),
        "expected": str(work / "expected.npz"),
        "cells": jobs,
    }
    (work / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, "-I", READER, work / "job.json"],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=work,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("cells", CELLS, ids=lambda cells: cells.prefix)
def test_cells_equal_a_mosaic(cells: Cells, answers: dict[str, str | None]) -> None:
    prefix = f"{cells.prefix}/"
    names = [f"{prefix}{tiles.name}" for tiles in cells.tiles]
    assert {name: answers[name] for name in names} == dict.fromkeys(names)


def test_the_grid_is_chosen_or_refused_by_name(inventory: Inventory) -> None:
    for tiles in ALL:
        images = chosen(inventory, [tiles], has_gaps=True, dates=tiles.dates)
        given: dict[str, Any] = {"stitch": True, "along": "datetime"}
        given |= {} if tiles.has_nodata else {"on_gap": "fill", "fill_value": NODATA}
        found = plan_cube(images, CubeOptions(**given))
        assert found.grid_kind == ("regular" if tiles.is_regular else "tiles"), tiles
        assert found.notes[0].startswith(f"grid {found.grid_kind}: ")
        if not tiles.is_regular:
            with pytest.raises(MismatchError) as caught:
                plan_cube(images, CubeOptions(**given, grid="regular"))
            assert caught.value.kind == ErrorKind.MISMATCH


def test_gaps_without_a_value_are_refused(inventory: Inventory) -> None:
    for tiles in ALL:
        if not tiles.has_nodata:
            images = chosen(inventory, [tiles], has_gaps=True, dates=1)
            with pytest.raises(MismatchError) as caught:
                plan_cube(images, CubeOptions(stitch=True))
            assert caught.value.kind == ErrorKind.MISMATCH


def test_the_oracle_is_a_merge(folder: Path) -> None:
    """Windows of a VRT, and rasterio's own arithmetic with coordinates, agree."""
    for tiles in [tiles for tiles in ALL if tiles.spacing != "rounded" and tiles.has_nodata][::5]:
        for date, found in enumerate(tiles.mosaic(folder, has_gaps=True)):
            places = [place for place in tiles.of(True, tiles.dates) if place[0] == date]
            paths = [str(folder / tiles.name / f"{name_of(place)}.tif") for place in places]
            height, width = found.shape[-2:]
            bounds = (0, -10 * height, 10 * width, 0)
            merged, _ = merge(paths, bounds=bounds, method="last")
            assert np.array_equal(merged.squeeze(), found)
