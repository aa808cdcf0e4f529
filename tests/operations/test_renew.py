"""`renew` where the repository says more of values than the files do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from tests.cubes.test_stitch import SHAPES, flat, write_tile
from tests.helpers.archive import opened
from tests.inventory.test_stac import asset, collected, item
from virtual_tiff.errors import ErrorKind, MismatchError
from virtual_tiff.operations.renew import renew
from virtual_tiff.operations.stack import stack
from virtual_tiff.publishing.repository import open_repository


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    path.mkdir()
    return path


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repo")


def nothing_declared(folder: Path, *, seeds: list[int], **options: Any) -> list[Path]:
    """Tiles in a row whose TIFFs have no nodata value."""
    paths = []
    for number, seed in enumerate(seeds):
        path = folder / f"t{number}_20240101.tif"
        write_tile(path, 0, 64 * number, seed=seed, **{"nodata": None, **options})
        paths.append(path)
    return paths


def later_tile(path: Path, *, seed: int, **options: Any) -> None:
    """Write the first tile anew."""
    time = path.stat().st_mtime_ns
    write_tile(path, 0, 0, seed=seed, **{"nodata": None, **options})
    os.utime(path, ns=(time + 10**9,) * 2)


@pytest.mark.parametrize("split", [False, True])
def test_a_fill_value_holds_for_renewed_images(split: bool, folder: Path, repo: str) -> None:
    given: dict[str, Any] = {"shape": (2, 48, 64), "INTERLEAVE": "BAND", **SHAPES["tiles"]}
    paths = nothing_declared(folder, seeds=[1, 2], **given)
    stack(f"{folder}/", repo, stitch=True, on_gap="fill", fill_value=5, split_bands=split)
    later_tile(paths[0], seed=9, **given)
    assert renew(repo).replaced == 1
    dataset = opened(open_repository(repo))
    first = "data_1" if split else "data"
    with rasterio.open(paths[0]) as file:
        pixels = file.read(1) if split else file.read()
    assert np.array_equal(flat(dataset, first).values[..., :64], pixels)
    assert dataset[first].attrs["_FillValue"] == 5


def test_a_nodata_value_that_a_file_has_lost_is_not_that_of_others(folder: Path, repo: str) -> None:
    """The other files say it themselves, so that the cube's is theirs."""
    paths = nothing_declared(folder, seeds=[1, 2], nodata=7, **SHAPES["tiles"])
    stack(f"{folder}/", repo, stitch=True)
    later_tile(paths[0], seed=9, **SHAPES["tiles"])
    with pytest.raises(MismatchError) as caught:
        renew(repo)
    assert caught.value.kind == ErrorKind.MISMATCH


def test_what_items_say_holds_for_renewed_images(folder: Path, repo: str) -> None:
    paths = nothing_declared(folder, seeds=[1, 2], **SHAPES["tiles"])
    said = {"name": "B04", "raster:scale": 0.0001, "raster:offset": -0.1, "unit": "1", "nodata": 0}
    items = [
        item(number, {"red": asset(path.name, bands=[said])}) for number, path in enumerate(paths)
    ]
    stack(collected(folder, *items), repo, stitch=True, variable="asset")
    before = opened(open_repository(repo))["red"].attrs
    later_tile(paths[0], seed=9, **SHAPES["tiles"])
    assert renew(repo).replaced == 1
    found = opened(open_repository(repo))
    with rasterio.open(paths[0]) as file:
        assert np.array_equal(flat(found, "red").values[..., :64], file.read(1))
    assert found["red"].attrs == before
    assert {"scale_factor", "units", "_FillValue", "long_name"} <= before.keys()
