"""Cubes with overviews: every level the same steps, in one commit; names of bands; one meaning."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import tifffile
import xarray as xr
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling

from tests.helpers.archive import opened, read_paths, scanned, write_scenes
from tests.helpers.make import Pixels
from tests.helpers.read import numcodecs_names
from virtual_tiff.audit.report import Status
from virtual_tiff.audit.stac_item import stac_item
from virtual_tiff.audit.verify import verify
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError, RepositoryError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.publishing.repository import open_repository

OVERVIEWS = CubeOptions(overviews=True)


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def write_pyramids(
    folder: Path, count: int, *, factors: tuple[int, ...] = (2, 4), **options: Any
) -> list[Path]:
    """Write scenes with overviews in them."""
    paths = write_scenes(folder, count, **options)
    for path in paths:
        with rasterio.open(path, "r+") as file:
            file.build_overviews(factors, Resampling.nearest)
    return paths


def read_level(paths: list[Path], level: int) -> Pixels:
    """Pixels of the overviews of files, one after the other, by GDAL."""
    if level == 0:
        return read_paths(paths)
    images = []
    for path in paths:
        with rasterio.open(path, overview_level=level - 1) as file:
            data: Pixels = file.read()
        images.append(data[0] if len(data) == 1 else data)
    return np.stack(images)


def all_images(*sources: object, **options: Any) -> Inventory:
    return scanned(*sources, parser=VirtualTIFF(), **options)


def open_tree(repo: str, group: str = "") -> Any:
    store: Any = open_repository(repo).readonly_session("main").store
    with numcodecs_names():
        return xr.open_datatree(
            store,
            group=group or None,
            engine="zarr",
            zarr_format=3,
            consolidated=False,
            mask_and_scale=False,
        )


def test_every_level_equals_gdal(tmp_path: Path, repo: str) -> None:
    paths = write_pyramids(tmp_path / "a", 3)
    result = stack(all_images(tmp_path / "a"), repo, options=OVERVIEWS)
    assert (result.images, result.added[""].levels) == (3, 3)
    tree = open_tree(repo)
    for level in range(3):
        cube = tree[str(level)].to_dataset()
        assert cube["data"].dims == ("time", "y", "x")
        assert np.array_equal(cube["data"].values, read_level(paths, level))
        assert cube["time"].size == 3
    assert "data" not in tree

    later = write_pyramids(tmp_path / "b", 2, first=3)
    appended = append(all_images(tmp_path / "b"), repo, options=OVERVIEWS)
    assert (appended.images, appended.added[""].steps) == (2, 2)
    assert len(list(open_repository(repo).ancestry(branch="main"))) == 3
    tree = open_tree(repo)
    for level in range(3):
        assert np.array_equal(tree[f"{level}/data"].values, read_level([*paths, *later], level)), (
            level
        )

    report = verify(repo, sample=None, chunks=100)
    assert (report.exit_status, report.undecided) == (0, ())
    # 48 × 64, 24 × 32 and 12 × 16 pixels; GDAL's overviews have tiles of their own.
    with rasterio.open(paths[0], overview_level=0) as file:
        rows, columns = file.block_shapes[0]
    chunks = sum(-(-h // rows) * -(-w // columns) for h, w in ((24, 32), (12, 16)))
    assert report.decoded == 5 * (6 + chunks)


def test_levels_describe_themselves(tmp_path: Path, repo: str) -> None:
    path = write_pyramids(tmp_path / "a", 1)[0]
    stack(all_images(tmp_path / "a"), repo, group="s2/t33", options=OVERVIEWS)
    tree = open_tree(repo, "s2/t33")
    single = tmp_path / "single"
    from virtual_tiff import publish

    publish(path, single, names=["it"], parser=VirtualTIFF(ifd_layout="multiscale"))
    # Said as of a single image, but for how rows and columns are called.
    alone = open_tree(str(single), "it")
    assert tree.attrs == alone.attrs
    for level in ("0", "1", "2"):
        assert tree[level].attrs == alone[level].attrs
        assert np.array_equal(tree[f"{level}/x"].values, alone[f"{level}/x"].values)
        assert np.array_equal(tree[f"{level}/y"].values, alone[f"{level}/y"].values)
        assert tree[f"{level}/spatial_ref"].attrs == alone[f"{level}/spatial_ref"].attrs
    assert [entry["asset"] for entry in tree.attrs["multiscales"]["layout"]] == ["0", "1", "2"]

    item = stac_item(repo, group="s2/t33")
    assert item["properties"]["proj:shape"] == [48, 64]
    namespace: dict[str, Any] = {}
    with numcodecs_names():
        exec(item["assets"]["cube"]["description"], namespace)
    assert namespace["dataset"]["data"].shape == (1, 48, 64)


def test_planar_bands_of_all_levels(tmp_path: Path, repo: str) -> None:
    paths = write_pyramids(tmp_path / "a", 2, shape=(2, 48, 64), INTERLEAVE="BAND")
    options = CubeOptions(overviews=True, split_bands=True, name="b")
    stack(all_images(tmp_path / "a"), repo, options=options)
    tree = open_tree(repo)
    for level in range(3):
        expected = read_level(paths, level)
        for band in range(2):
            assert np.array_equal(tree[f"{level}/b_{band + 1}"].values, expected[:, band])
    assert verify(repo, sample=None).exit_status == 0


def test_gaps_are_gaps_at_every_level(tmp_path: Path, repo: str) -> None:
    red = write_pyramids(tmp_path / "a", 3, prefix="red")
    nir = write_pyramids(tmp_path / "a", 1, first=1, prefix="nir")
    options = CubeOptions(overviews=True, variable_pattern="(red|nir)_")
    stack(all_images(tmp_path / "a"), repo, options=options)
    tree = open_tree(repo)
    for level in range(3):
        assert np.array_equal(tree[f"{level}/red"].values, read_level(red, level))
        found = tree[f"{level}/nir"].values
        assert np.array_equal(found[1:2], read_level(nir, level))
        assert (found[[0, 2]] == 7).all()


def test_an_append_that_fails_at_one_level_changes_none(tmp_path: Path, repo: str) -> None:
    paths = write_pyramids(tmp_path / "a", 2)
    stack(all_images(tmp_path / "a"), repo, options=OVERVIEWS)
    before = [s.id for s in open_repository(repo).ancestry(branch="main")]
    odd = write_scenes(tmp_path / "b", 1, first=5)
    with (
        rasterio.Env(COMPRESS_OVERVIEW="ZSTD", GDAL_TIFF_OVR_BLOCKSIZE=64),
        rasterio.open(odd[0], "r+") as file,
    ):
        file.build_overviews([2, 4], Resampling.nearest)
    with pytest.raises(MismatchError) as caught:
        append(all_images(tmp_path / "b"), repo, options=OVERVIEWS)
    assert caught.value.url == odd[0].as_uri()
    assert [s.id for s in open_repository(repo).ancestry(branch="main")] == before
    assert np.array_equal(open_tree(repo)["0/data"].values, read_paths(paths))


def test_levels_have_to_agree(tmp_path: Path, repo: str) -> None:
    write_pyramids(tmp_path / "a", 2)
    flat = str(tmp_path / "flat")
    stack(all_images(tmp_path / "a"), repo, options=OVERVIEWS)
    stack(all_images(tmp_path / "a"), flat)

    plain = write_scenes(tmp_path / "b", 1, first=3)
    with pytest.raises(InvalidOptionError, match="has no overviews"):
        append(all_images(tmp_path / "b"), repo, options=OVERVIEWS)
    with pytest.raises(MismatchError, match="has 3 levels, but the images have 1") as caught:
        append(all_images(tmp_path / "b"), repo)
    assert "overviews=True" in str(caught.value.remedy)
    more = write_pyramids(tmp_path / "c", 1, first=4)
    with pytest.raises(MismatchError, match="has 1 levels, but the images have 3") as caught:
        append(all_images(tmp_path / "c"), flat, options=OVERVIEWS)
    assert "Leave overviews out" in str(caught.value.remedy)
    with pytest.raises(MismatchError, match="the image has 0 overviews, but 2 of 3") as counted:
        plan_cube(all_images(tmp_path / "a", *map(str, plain)), OVERVIEWS)
    assert counted.value.url == plain[0].as_uri()
    write_pyramids(tmp_path / "d", 1, first=5, factors=(2,))
    with pytest.raises(MismatchError, match="has 3 levels, but the images have 2"):
        append(all_images(tmp_path / "d"), repo, options=OVERVIEWS)
    # The first images alone are not enough.
    with pytest.raises(InvalidOptionError, match="has no overviews"):
        plan_cube(scanned(*map(str, more)), OVERVIEWS)

    for there, options in ((repo, CubeOptions()), (flat, OVERVIEWS)):
        with pytest.raises(RepositoryError) as exists:
            stack(all_images(tmp_path / "c"), there, options=options)
        assert exists.value.kind == ErrorKind.CONFLICT


def test_files_are_scanned_with_their_overviews(tmp_path: Path, repo: str) -> None:
    paths = write_pyramids(tmp_path / "a", 2)
    stack(str(tmp_path / "a"), repo, options=OVERVIEWS, datetime_pattern=r"_(\d{8})")
    assert np.array_equal(open_tree(repo)["1/data"].values, read_level(paths, 1))
    # A file that was named twice is one image, where a rule says so.
    twice = all_images(tmp_path / "a", *map(str, paths))
    cube = plan_cube(twice, CubeOptions(overviews=True, on_duplicate="last"))
    assert [level.images for level in cube.levels] == [2, 2, 2]


def name_bands(path: Path, names: tuple[str, ...]) -> None:
    with rasterio.open(path, "r+") as file:
        file.descriptions = names


def test_bands_have_names_where_all_agree(tmp_path: Path, repo: str) -> None:
    paths = write_pyramids(tmp_path / "a", 3, shape=(2, 48, 64))
    for path in paths:
        name_bands(path, ("red", "nir"))
    stack(all_images(tmp_path / "a"), repo, options=OVERVIEWS)
    for level in ("0", "1"):
        assert opened(open_repository(repo), level)["band"].values.tolist() == ["red", "nir"]

    flat = str(tmp_path / "flat")
    name_bands(paths[1], ("B04", "B08"))
    stack(scanned(tmp_path / "a"), flat)
    assert opened(open_repository(flat))["band"].values.tolist() == [1, 2]
    # The same names in another order are other bands.
    name_bands(paths[1], ("nir", "red"))
    with pytest.raises(MismatchError) as caught:
        plan_cube(scanned(tmp_path / "a"))
    assert (caught.value.kind, caught.value.url) == (ErrorKind.MISMATCH, paths[1].as_uri())


def test_bands_of_later_images(tmp_path: Path, repo: str) -> None:
    (first,) = write_scenes(tmp_path / "a", 1, shape=(2, 48, 64))
    name_bands(first, ("red", "nir"))
    stack(scanned(tmp_path / "a"), repo)
    (later,) = write_scenes(tmp_path / "b", 1, first=1, shape=(2, 48, 64))
    for names in (("nir", "red"), ("", "")):
        name_bands(later, names)
        with pytest.raises(MismatchError, match="the bands are"):
            append(scanned(tmp_path / "b"), repo)
    name_bands(later, ("red", "nir"))
    append(scanned(tmp_path / "b"), repo)
    assert opened(open_repository(repo))["band"].values.tolist() == ["red", "nir"]


def test_chosen_bands_keep_their_numbers(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 2, shape=(3, 48, 64), INTERLEAVE="BAND")
    chosen = VirtualTIFF(ifd=0, bands=(3, 1))
    stack(scanned(tmp_path / "a", parser=chosen), repo)
    cube = opened(open_repository(repo))
    assert cube["band"].values.tolist() == [3, 1]
    assert np.array_equal(cube["data"].values, read_paths(paths)[:, [2, 0]])
    write_scenes(tmp_path / "b", 1, first=2, shape=(2, 48, 64), INTERLEAVE="BAND")
    with pytest.raises(MismatchError, match="the bands are 1, 2, but 3, 1"):
        append(scanned(tmp_path / "b"), repo)


def scale(path: Path) -> None:
    with rasterio.open(path, "r+") as file:
        file.scales = (0.01,)


def offset(path: Path) -> None:
    with rasterio.open(path, "r+") as file:
        file.offsets = (-1000.0,)


def unit(path: Path) -> None:
    with rasterio.open(path, "r+") as file:
        file.units = ("m",)


MEANINGS = {"scale_factor": scale, "add_offset": offset, "units": unit}


@pytest.mark.parametrize("key", MEANINGS)
def test_values_that_mean_something_else(key: str, tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 3)
    stack(scanned(*map(str, paths[:2])), repo)
    MEANINGS[key](paths[2])
    with pytest.raises(MismatchError, match=f"^{paths[2].as_uri()}, IFD 0: {key} is ") as caught:
        plan_cube(scanned(tmp_path / "a"))
    assert caught.value.remedy
    with pytest.raises(MismatchError, match=f"{key} of variable 'data' is") as later:
        append(scanned(str(paths[2])), repo)
    assert later.value.url == paths[2].as_uri()


def test_nodata_that_not_all_declare(tmp_path: Path) -> None:
    write_scenes(tmp_path, 1, nodata=0)
    write_scenes(tmp_path, 1, first=1, nodata=None)
    with pytest.raises(MismatchError, match="_FillValue is"):
        plan_cube(scanned(tmp_path))


def test_attributes_leave_with_those_that_have_them(tmp_path: Path, repo: str) -> None:
    """What only the first images say is not said of later ones."""
    paths = write_scenes(tmp_path / "a", 2)
    for path, person in zip(paths, ("Ada", "Grace"), strict=True):
        with rasterio.open(path, "r+") as file:
            file.update_tags(TIFFTAG_ARTIST=person)
    stack(scanned(str(paths[0])), repo)
    attributes = opened(open_repository(repo))["data"].attrs
    assert json.loads(attributes["tiff"])["Artist"] == "Ada"
    append(scanned(str(paths[1])), repo)
    dataset = opened(open_repository(repo))
    assert dataset["data"].attrs["tiff"] == '{"GDAL_NODATA": "7"}'
    assert dataset["data"].attrs["_FillValue"] == attributes["_FillValue"]
    assert "spatial_ref" in dataset.coords


def test_control_points_are_a_grid(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 2, transform=None, crs=None)
    for number, path in enumerate(paths):
        with rasterio.open(path, "r+") as file:
            points = [
                GroundControlPoint(row, column, 15 + column / 1000 + number, 48 - row / 1000)
                for row, column in ((0, 0), (0, 64), (48, 0), (48, 64))
            ]
            file.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    inventory = scanned(tmp_path / "a")
    assert inventory.table["crs"].to_pylist() == ["EPSG:4326"] * 2
    with pytest.raises(MismatchError, match="grid_mapping is"):
        plan_cube(inventory)
    stack(inventory.filter([True, False]), repo)
    attributes = opened(open_repository(repo))["spatial_ref"].attrs
    assert "gcps" in attributes
    with pytest.raises(MismatchError, match="extra georeferencing"):
        append(inventory.filter([False, True]), repo)


def test_variables_from_names(tmp_path: Path, repo: str) -> None:
    red = write_scenes(tmp_path / "a", 2, prefix="red")
    nir = write_scenes(tmp_path / "a", 2, prefix="nir")
    stack(scanned(tmp_path / "a"), repo, options=CubeOptions(variable_pattern=r"/(\w+)_\d{8}"))
    cube = opened(open_repository(repo))
    assert np.array_equal(cube["red"].values, read_paths(red))
    assert np.array_equal(cube["nir"].values, read_paths(nir))
    for pattern, message in (
        ("(", "not a regular expression"),
        ("red|nir", "has 0 groups"),
        ("(green)", "finds nothing"),
    ):
        with pytest.raises(InvalidOptionError, match=message):
            plan_cube(scanned(tmp_path / "a"), CubeOptions(variable_pattern=pattern))
    with pytest.raises(InvalidOptionError, match="not from both"):
        plan_cube(scanned(tmp_path / "a"), CubeOptions(variable_pattern="(r)", variable="url"))


def test_all_levels_skip_and_insert(tmp_path: Path, repo: str) -> None:
    write_pyramids(tmp_path / "a", 2)
    write_pyramids(tmp_path / "a", 1, first=6)
    stack(all_images(tmp_path / "a"), repo, options=OVERVIEWS)
    write_pyramids(tmp_path / "a", 2, first=3)
    early: dict[str, Any] = {"on_present": "skip", "options": OVERVIEWS}
    with pytest.raises(MismatchError, match="come before the last"):
        append(all_images(tmp_path / "a"), repo, **early)
    result = append(all_images(tmp_path / "a"), repo, out_of_order="insert", **early)
    assert (result.images, result.added[""].skipped) == (2, 3)
    every = sorted((tmp_path / "a").iterdir())
    tree = open_tree(repo)
    for level in range(3):
        assert np.array_equal(tree[f"{level}/data"].values, read_level(every, level))
    assert verify(repo, sample=None).exit_status == 0
    assert append(all_images(tmp_path / "a"), repo, **early).snapshot_id is None
    with pytest.raises(InvalidOptionError) as caught:
        append(all_images(tmp_path / "a"), repo, options=OVERVIEWS)
    assert caught.value.kind == ErrorKind.DUPLICATE


def test_a_pyramid_for_each_tile(tmp_path: Path, repo: str) -> None:
    paths = {tile: write_pyramids(tmp_path / tile, 2) for tile in ("T32", "T33")}
    table = pa.table(
        {
            "url": [str(p) for each in paths.values() for p in each],
            "tile": ["T32", "T32", "T33", "T33"],
        }
    )
    stack(all_images(table), repo, group="{tile}", options=OVERVIEWS)
    for tile, each in paths.items():
        for level in range(3):
            found = open_tree(repo, tile)[f"{level}/data"].values
            assert np.array_equal(found, read_level(each, level))


def test_verify_finds_what_is_wrong_with_an_overview(tmp_path: Path, repo: str) -> None:
    """Other bytes, same size, same time: only a comparison of the overview's chunks tells."""
    path = write_pyramids(tmp_path / "a", 2)[0]
    # The checksum of the header would tell too, since the files are small.
    table = all_images(tmp_path / "a").table.drop_columns(["header"])
    stack(Inventory.from_arrow(table), repo, options=OVERVIEWS)
    before = path.stat()
    with tifffile.TiffFile(path) as tif:
        overview = tif.pages[1]
        offset, count = overview.dataoffsets[0], overview.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[offset + count // 2] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = verify(repo, sample=None, chunks=100)
    assert [(f.url, f.status) for f in report.faults] == [(path.as_uri(), Status.DAMAGED)]
