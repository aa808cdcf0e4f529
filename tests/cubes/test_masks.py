"""Masks of images in cubes: at the places of their images, at each level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr
from rasterio.enums import Resampling
from rasterio.transform import Affine

from tests.helpers.make import pixels
from virtual_tiff import append, open_repository, stack, verify
from virtual_tiff.errors import InvalidOptionError, MismatchError

SIZE = 128
OPTIONS: dict[str, Any] = {"datetime_pattern": r"_(\d{8})", "masks": True}


def write(path: Path, column: int, seed: int, *, mask: bool = True, shape: Any = None) -> Any:
    """Write an image with a mask and an overview of both; return pixels and mask."""
    data = pixels("uint8", shape or (3, SIZE, SIZE), seed)
    valid = pixels("uint8", (SIZE, SIZE), seed + 50) > 80
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {
        "driver": "GTiff",
        "width": SIZE,
        "height": SIZE,
        "count": len(data),
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": Affine(10, 0, 500_000 + 10 * column, 0, -10, 5_400_000),
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "compress": "deflate",
        "photometric": "rgb",
    }
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **options) as file:
        file.write(data)
        if mask:
            file.write_mask(valid)
    settings = {"GDAL_TIFF_INTERNAL_MASK": True, "GDAL_TIFF_OVR_BLOCKSIZE": 64}
    with rasterio.Env(**settings), rasterio.open(path, "r+") as file:
        file.build_overviews([2], Resampling.nearest)
    return data, valid


def read(repo: Path, path: str) -> Any:
    root = zarr.open_group(open_repository(str(repo)).readonly_session("main").store, mode="r")
    array = root[path]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[...])


@pytest.mark.parametrize("grid", ["regular", "tiles"])
def test_masks_of_tiles_and_dates(grid: Any, tmp_path: Path) -> None:
    """One tile of one date is missing: its mask says so."""
    made = {
        (date, i): write(tmp_path / "in" / f"t{i}_2024010{date}.tif", SIZE * i, 10 * date + i)
        for date in (1, 2)
        for i in (0, 1)
        if (date, i) != (2, 1)
    }
    repo = tmp_path / "r"
    options = OPTIONS | {"stitch": True, "grid": grid, "along": "datetime", "overviews": True}
    filling: dict[str, Any] = {"on_gap": "fill", "fill_value": 255}
    stack(str(tmp_path / "in"), str(repo), **options, **filling)
    found, images = read(repo, "0/data_mask"), read(repo, "0/data")
    half = read(repo, "1/data_mask")
    for (date, i), (data, valid) in made.items():
        step: Any = date - 1
        if grid == "tiles":
            assert np.array_equal(found[step, 0, i] != 0, valid)
            assert np.array_equal(images[step, :, 0, i], data)
        else:
            part = slice(SIZE * i, SIZE * (i + 1))
            assert np.array_equal(found[step, :, part] != 0, valid)
            assert np.array_equal(images[step, :, :, part], data)
    gap = found[1, 0, 1] if grid == "tiles" else found[1, :, SIZE:]
    assert not gap.any()
    assert half.size == found.size // 4
    root = zarr.open_group(open_repository(str(repo)).readonly_session("main").store, mode="r")
    assert root["0/data"].attrs["ancillary_variables"] == "data_mask"
    assert "data_mask_present" not in root["0"]  # type: ignore[operator]
    assert verify(str(repo), sample=20, chunks=20).exit_status == 0


def test_masks_are_appended(tmp_path: Path) -> None:
    made = [write(tmp_path / "in" / f"t_2024010{date}.tif", 0, date) for date in (1, 2)]
    repo = tmp_path / "r"
    result = stack(str(tmp_path / "in" / "*01.tif"), str(repo), **OPTIONS)
    assert result.images == 1
    result = append(str(tmp_path / "in" / "*02.tif"), str(repo), **OPTIONS)
    assert result.images == 1
    found = read(repo, "data_mask")
    assert all(np.array_equal(found[i] != 0, valid) for i, (_, valid) in enumerate(made))


def test_masks_that_are_left_out_are_noted(tmp_path: Path) -> None:
    write(tmp_path / "in" / "t_20240101.tif", 0, 1)
    options = OPTIONS | {"masks": False}
    result = stack(str(tmp_path / "in"), str(tmp_path / "r"), **options)
    assert result.notes["data"]
    result = stack(str(tmp_path / "in"), str(tmp_path / "s"), overviews=True, **options)
    assert result.added[""].notes


def test_all_images_or_none_have_masks(tmp_path: Path) -> None:
    for date in (1, 2):
        write(tmp_path / "in" / f"t_2024010{date}.tif", 0, date, mask=False)
    with pytest.raises(InvalidOptionError):
        stack(str(tmp_path / "in"), str(tmp_path / "r"), **OPTIONS)
    write(tmp_path / "in" / "t_20240103.tif", 0, 3)
    with pytest.raises(MismatchError):
        stack(str(tmp_path / "in"), str(tmp_path / "r"), **OPTIONS)
