"""Images that cannot share a cube: all reasons at once, and cubes of those that can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from rasterio.transform import Affine

from tests.helpers.archive import PATTERN, scanned, write_scene, write_scenes
from virtual_tiff import append, open_repository, stack
from virtual_tiff.cli import main
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError

SHIFTED = Affine(10, 0, 500_010, 0, -10, 5_400_000)
COARSE = Affine(20, 0, 500_000, 0, -20, 5_400_000)


def shape_of(repo: Path, name: str = "data") -> tuple[int, ...]:
    store = open_repository(str(repo)).readonly_session("main").store
    array = zarr.open_group(store, mode="r")[name]
    assert isinstance(array, zarr.Array)
    return array.shape


def write_mixture(folder: Path) -> None:
    """Write eight images: three grids, two encodings, and two images of one time."""
    write_scenes(folder, 4)
    write_scenes(folder, 2, first=4, prefix="shifted", transform=SHIFTED)
    write_scenes(folder, 1, first=6, prefix="coarse", transform=COARSE)
    write_scenes(folder, 1, first=7, prefix="zstd", COMPRESS="ZSTD")
    (folder / "again").mkdir()
    write_scene(folder / "again" / "x_20240130.tif", seed=50)


def test_all_reasons_are_in_one_error(tmp_path: Path) -> None:
    write_mixture(tmp_path)
    with pytest.raises(MismatchError) as caught:
        plan_cube(scanned(str(tmp_path) + "/"))
    message = caught.value.message
    assert message.startswith("3 grids")
    for count in ("6 images", "2 images", "1 images"):
        assert count in message
    assert "codecs" in message
    assert "zstd" in message
    assert "again/x_20240130.tif" in message
    assert " in 0 of " not in message


def test_duplicates_of_several_lattices_are_in_one_error(tmp_path: Path) -> None:
    """Also where no lattice says which places they claim; images of other grids claim others."""
    for name, crs in (("a", "EPSG:32633"), ("b", "EPSG:32633"), ("c", "EPSG:32634")):
        write_scene(tmp_path / f"{name}_20240130.tif", crs=crs)
    inventory = scanned(str(tmp_path) + "/")
    with pytest.raises(MismatchError) as caught:
        plan_cube(inventory, CubeOptions(stitch=True, along="datetime"))
    _, found = caught.value.message.split("1 place has several images")
    assert [name for name in "abc" if f"{name}_20240130.tif" in found] == ["a", "b"]
    with pytest.raises(MismatchError) as caught:
        plan_cube(inventory, CubeOptions(stitch=True, along="datetime", on_duplicate="last"))
    assert "several images" not in caught.value.message


def test_all_duplicates_are_in_one_error(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for day in (1, 2, 3):
            write_scene(tmp_path / folder / f"x_2024010{day}.tif", seed=day)
    with pytest.raises(InvalidOptionError) as caught:
        plan_cube(scanned(str(tmp_path) + "/"))
    assert caught.value.kind == ErrorKind.DUPLICATE
    for day in (1, 2, 3):
        for folder in ("a", "b"):
            assert f"{folder}/x_2024010{day}.tif" in caught.value.message


def test_three_meanings(tmp_path: Path) -> None:
    for day, scale in enumerate((None, None, 0.1, 0.01)):
        write_scene(tmp_path / f"x_2024010{day + 1}.tif", seed=day)
        if scale is not None:
            import rasterio

            with rasterio.open(tmp_path / f"x_2024010{day + 1}.tif", "r+") as image:
                image.scales = (scale,)
    with pytest.raises(MismatchError) as caught:
        plan_cube(scanned(str(tmp_path) + "/"))
    assert caught.value.message.startswith("3 meanings")
    assert "0.1" in caught.value.message
    assert "0.01" in caught.value.message


def test_tiles_of_one_grid_get_the_fitting_remedy(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    write_scenes(tmp_path, 2, first=2, transform=Affine(10, 0, 500_640, 0, -10, 5_400_000))
    with pytest.raises(MismatchError) as caught:
        plan_cube(scanned(tmp_path))
    assert "stitch=True" in (caught.value.remedy or "")


def test_images_unlike_most_are_left_out(tmp_path: Path) -> None:
    write_mixture(tmp_path / "in")
    options: dict[str, Any] = {"datetime_pattern": PATTERN, "on_duplicate": "first"}
    result = stack(str(tmp_path / "in") + "/", str(tmp_path / "r"), on_mismatch="skip", **options)
    assert shape_of(tmp_path / "r")[0] == result.images == 4
    names = sorted(url.rpartition("/")[2].partition("_")[0] for url in result.mismatched)
    assert names == ["coarse", "shifted", "shifted", "zstd"]


def test_append_leaves_out_what_is_unlike_the_cube(tmp_path: Path) -> None:
    """Also where most of the images to add are unlike it."""
    write_scenes(tmp_path / "old", 2)
    options: dict[str, Any] = {"datetime_pattern": PATTERN}
    stack(str(tmp_path / "old") + "/", str(tmp_path / "r"), **options)
    write_scenes(tmp_path / "new", 3, first=3, transform=SHIFTED, prefix="shifted")
    with pytest.raises(MismatchError):
        append(str(tmp_path / "new") + "/", str(tmp_path / "r"), on_mismatch="skip", **options)
    write_scenes(tmp_path / "new", 1, first=8, prefix="good")
    write_scenes(tmp_path / "new", 1, first=9, prefix="zstd", COMPRESS="ZSTD")
    result = append(str(tmp_path / "new") + "/", str(tmp_path / "r"), on_mismatch="skip", **options)
    assert result.images == 1
    assert len(result.mismatched) == 4
    assert shape_of(tmp_path / "r")[0] == 3


def test_statuses_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mixture(tmp_path / "in")
    arguments = ["stack", str(tmp_path / "in") + "/", "--to", str(tmp_path / "r")]
    arguments += ["--datetime-pattern", PATTERN, "--json"]
    assert main(arguments) == 1
    capsys.readouterr()
    assert main([*arguments, "--skip-mismatched"]) == 1
    assert "--on-duplicate first" in capsys.readouterr().err
    status = main([*arguments, "--skip-mismatched", "--on-duplicate", "first"])
    assert status == 3
    assert len(json.loads(capsys.readouterr().out)["mismatched"]) == 4


@pytest.mark.parametrize("snap", [0.01, 0.4])
def test_a_cube_for_each_lattice(snap: float, tmp_path: Path) -> None:
    for number, (size, x) in enumerate(((10, 0), (10, 640), (20, 0), (20, 1280))):
        transform = Affine(size, 0, 500_000 + x, 0, -size, 5_400_000)
        write_scene(tmp_path / f"{number}_20240101.tif", seed=number, transform=transform)
    sources = str(tmp_path) + "/*.tif"
    with pytest.raises(MismatchError) as caught:
        stack(sources, str(tmp_path / "r"), stitch=True)
    assert caught.value.message.startswith("the images are on 2 grids")
    assert "{lattice}" in (caught.value.remedy or "")
    result = stack(
        sources, str(tmp_path / "r"), stitch=True, group="maps/{lattice}", snap=snap, grid="tiles"
    )
    assert sorted(result.added) == ["maps/EPSG_32633_10", "maps/EPSG_32633_20"]
    assert shape_of(tmp_path / "r", "maps/EPSG_32633_10/data")[:2] == (1, 2)


def test_stitching_leaves_out_images_off_the_lattice(tmp_path: Path) -> None:
    for number, x in enumerate((0, 640, 1280)):
        transform = Affine(10, 0, 500_000 + x, 0, -10, 5_400_000)
        write_scene(tmp_path / f"{number}_20240101.tif", seed=number, transform=transform)
    odd = Affine(10, 0, 503_004, 0, -10, 5_400_000)
    write_scene(tmp_path / "9_20240101.tif", seed=9, transform=odd)
    inventory = scanned(tmp_path)
    with pytest.raises(MismatchError):
        plan_cube(inventory, CubeOptions(stitch=True))
    cube = plan_cube(inventory, CubeOptions(stitch=True, on_mismatch="skip"))
    assert [url.rpartition("/")[2][0] for url in cube.left_out] == ["9"]
    assert cube.images == 3
    assert np.array_equal(np.sort(cube.variables["data"].rows), np.arange(3))
