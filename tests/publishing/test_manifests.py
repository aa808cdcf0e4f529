"""How manifests of stitched cubes are cut: few for a series at one place, few for a new date."""

from __future__ import annotations

from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.helpers.archive import scanned, write_scene
from virtual_tiff import Inventory, append, stack
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.publishing.cube import CubePart
from virtual_tiff.publishing.manifests import MANIFEST_REFERENCES

SIZE = 64


def tiles(folder: Path, side: int, dates: range, block: int) -> Inventory:
    """Make rows of a square of tiles at each date, all with the references of one file."""
    path = folder / "one_20240101.tif"
    write_scene(path, seed=1, shape=(SIZE, SIZE), nodata=0, BLOCKXSIZE=block, BLOCKYSIZE=block)
    count = side * side * len(dates)
    table = scanned(path).table.take(pa.array(np.zeros(count, np.int64)))
    number = np.arange(count)
    date = np.asarray(dates)[number % len(dates)]
    row, column = np.divmod(number // len(dates), side)
    transforms = np.zeros((count, 6))
    transforms[:, 0], transforms[:, 4] = 10, -10
    transforms[:, 2] = 500_000 + column * SIZE * 10
    transforms[:, 5] = 5_400_000 - row * SIZE * 10
    urls = [
        f"{folder.as_uri()}/{y}_{x}_{t}.tif"
        for y, x, t in zip(row.tolist(), column.tolist(), date.tolist(), strict=True)
    ]
    columns = {
        "url": pa.array(urls),
        "datetime": pa.array(date * 86_400_000_000, pa.timestamp("us", "UTC")),
        "transform": pa.FixedSizeListArray.from_arrays(pa.array(transforms.ravel()), 6),
    }
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), values)
    return Inventory(table)


@pytest.mark.parametrize("grid", ["regular", "tiles"])
@pytest.mark.parametrize(("side", "dates", "block"), [(32, 100, 16), (4, 30, 16), (60, 3, 64)])
def test_blocks_of_tiles_and_dates(
    grid: Any, side: int, dates: int, block: int, tmp_path: Path
) -> None:
    inventory = tiles(tmp_path, side, range(dates), block)
    cube = plan_cube(inventory, CubeOptions(stitch=True, along="datetime", grid=grid))
    found = {n: MANIFEST_REFERENCES // count for n, count in CubePart("", cube).grows.items()}
    chunks = (SIZE // block) ** 2
    sides = ["tile_y", "tile_x"] if grid == "tiles" else ["y", "x"]
    along = side if grid == "tiles" else side * SIZE // block
    size = {"time": dates, **dict.fromkeys(sides, along)}
    within = prod(min(found.get(name, n), n) for name, n in size.items())
    if grid == "tiles":
        within *= chunks
    manifests = prod(ceil(n / found.get(name, n)) for name, n in size.items())
    total = side * side * dates * chunks
    assert within <= 30_000
    assert manifests <= 40 + 6 * total // 25_000
    # One date of 1,024 tiles is added to blocks of few others.
    if total > 1_000_000:
        assert found["time"] <= 12


def test_a_date_more_rewrites_little(tmp_path: Path) -> None:
    repo = tmp_path / "r"
    options: dict[str, Any] = {"stitch": True, "along": "datetime"}
    stack(tiles(tmp_path, 32, range(14), 16), str(repo), grid="tiles", **options)
    before = {path for path in repo.rglob("*") if path.is_file()}
    manifests = list((repo / "manifests").iterdir())
    assert len(manifests) < 60
    assert max(path.stat().st_size for path in manifests) < 400_000
    append(tiles(tmp_path, 32, range(14, 15), 16), str(repo), **options)
    new = [path for path in repo.rglob("*") if path.is_file() and path not in before]
    assert sum(path.stat().st_size for path in new) < 1_000_000
