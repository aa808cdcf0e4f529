"""Images of an inventory → a cube: the same pixels, in order; and what keeps images apart."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zarr
from rasterio.transform import Affine

from tests.helpers.archive import (
    TRANSFORM,
    memory_repository,
    opened,
    read_paths,
    scanned,
    write_scene,
    write_scenes,
)
from tests.helpers.make import covering, same_bits
from tests.helpers.make import write as write_tiff
from tests.helpers.read import numcodecs_names, read_all
from tests.helpers.special import names, write_special
from virtual_tiff.cubes.agreement import codes_of, differences
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.plan import Codec
from virtual_tiff.planning.stacks import codec_for_stack
from virtual_tiff.publishing.cube import CubePart


def write(session: icechunk.Session, path: str, cube: CubePlan) -> None:
    """Write a cube and its references into a session."""
    for written in CubePart(path, cube, coordinates=False).write(session):
        for task in written.tasks:
            asyncio.run(task.write(session.store))


def publish(folder: Path, cube: CubePlan) -> Any:
    """Write a cube into a new repository in memory, and open it."""
    repository = memory_repository(folder)
    session = repository.writable_session("main")
    write(session, "", cube)
    session.commit("cube")
    return opened(repository)


def test_stack_equals_gdal(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 5)
    # In no order.
    inventory = scanned(*[str(paths[i]) for i in (3, 0, 4, 1, 2)])
    cube = plan_cube(inventory)
    assert cube.images == 5
    assert cube.grid.crs == "EPSG:32633"
    assert cube.grid.transform == tuple(TRANSFORM)[:6]

    dataset = publish(tmp_path, cube)
    assert list(dataset.data_vars) == ["data"]
    assert dataset["data"].dims == ("time", "y", "x")
    assert np.array_equal(dataset["data"].values, read_paths(paths))
    days = [f"{day:%Y%m%d}" for day in dataset["time"].dt.date.values]
    assert days == [path.stem[-8:] for path in paths]


@pytest.mark.parametrize("bands_last", [False, True])
def test_every_lossless_encoding_stacks(bands_last: bool, tmp_path: Path) -> None:
    """Codecs of one image, codec_for_stack by a dimension, decode the chunks of a stack."""
    parser = VirtualTIFF(ifd=0, band_axis="last" if bands_last else "first")
    repository = memory_repository(tmp_path)
    session = repository.writable_session("main")
    written = {}
    for encoding in covering():
        path = tmp_path / f"{encoding.name}.tif"
        written[encoding.name] = write_tiff(encoding, path)
    inventory = scanned(tmp_path, parser=parser)
    assert not inventory.failed.num_rows
    for row, url in enumerate(inventory.table["url"].to_pylist()):
        name = Path(url).stem
        one = Inventory(inventory.table.slice(row, 1).append_column("n", pa.array([3])))
        write(session, name, plan_cube(one, CubeOptions(along="n")))
    session.commit("all")
    with numcodecs_names():
        root = zarr.open_group(repository.readonly_session("main").store, mode="r")
        for name, expected in written.items():
            if bands_last and expected.ndim == 3:
                expected = np.moveaxis(expected, 0, -1)
            array = root[f"{name}/data"]
            assert isinstance(array, zarr.Array)
            assert same_bits(np.asarray(array[...]), expected[None]), name


@pytest.mark.parametrize("name", names())
def test_special_files_stack(name: str, tmp_path: Path) -> None:
    """Images with other codecs stack too: JPEG, packed bits, fax, sparse tiles, short strips."""
    path = tmp_path / "one_20240101.tif"
    write_special(name, path)
    shutil.copy(path, tmp_path / "two_20240102.tif")
    inventory = scanned(tmp_path, pages="separate")
    assert not inventory.failed.num_rows
    dataset = publish(tmp_path, plan_cube(inventory))
    # Equal to what others decode: test_round_trip.py.
    alone = read_all(path, ifd=0)["0"]
    assert same_bits(dataset["data"].values, np.stack([alone, alone]))


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "crs": ({"crs": "EPSG:32634"}, "crs"),
    "shifted": ({"transform": Affine(10, 0, 500_010, 0, -10, 5_400_000)}, "transform"),
    "resolution": ({"transform": Affine(20, 0, 500_000, 0, -20, 5_400_000)}, "transform"),
    "width": ({"shape": (48, 65)}, "width"),
    "height": ({"shape": (47, 64)}, "height"),
    "tiles": ({"BLOCKXSIZE": 16}, "chunk_shape"),
    "compression": ({"COMPRESS": "ZSTD"}, "codecs"),
    "predictor": ({"PREDICTOR": 2}, "codecs"),
    "byte-order": ({"ENDIANNESS": "BIG"}, "codecs"),
    "nodata": ({"nodata": 8}, "fill_value"),
    "bands": ({"shape": (3, 48, 64)}, "dimensions"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_mismatch_names_the_file_and_the_difference(change: str, tmp_path: Path) -> None:
    options, column = CHANGES[change]
    write_scenes(tmp_path, 3)
    odd = write_scenes(tmp_path, 1, first=1, **options)[0]
    inventory = scanned(tmp_path)
    with pytest.raises(MismatchError) as caught:
        plan_cube(inventory)
    assert caught.value.kind == ErrorKind.MISMATCH
    assert caught.value.url == odd.as_uri()
    assert caught.value.message.startswith(f"{column} is ")
    assert caught.value.remedy
    found = differences(inventory.table, [column])
    urls = inventory.table["url"].to_pylist()
    assert [(urls[d.row], d.column) for d in found] == [(odd.as_uri(), column)]


def test_data_type_mismatch(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    write_scenes(tmp_path, 1, first=2, dtype="int32")
    with pytest.raises(MismatchError, match="data_type is int32, but uint16 in 2 of 3"):
        plan_cube(scanned(tmp_path))


def test_noise_in_the_transform_is_no_difference(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    noisy = Affine(10, 0, 500_000 + 1e-7, 0, -10, 5_400_000)
    write_scenes(tmp_path, 1, first=2, transform=noisy)
    assert plan_cube(scanned(tmp_path)).images == 3


def test_one_crs_in_two_spellings_is_no_difference(tmp_path: Path) -> None:
    from pyproj import CRS

    write_scenes(tmp_path, 2)
    inventory = scanned(tmp_path)
    spellings = pa.array(["EPSG:32633", CRS("EPSG:32633").to_wkt()]).dictionary_encode()
    index = inventory.table.schema.get_field_index("crs")
    field = inventory.table.schema.field("crs")
    table = inventory.table.set_column(index, field, spellings)
    assert plan_cube(Inventory(table)).images == 2


def test_duplicates(tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "x_20240101.tif", tmp_path / "b" / "x_20240101.tif"
    for seed, path in enumerate((one, two)):
        path.parent.mkdir()
        write_scene(path, seed=seed)
    inventory = scanned(str(one), str(two))
    with pytest.raises(InvalidOptionError) as caught:
        plan_cube(inventory)
    assert caught.value.kind == ErrorKind.DUPLICATE
    assert {caught.value.url} | {u for u in (one.as_uri(), two.as_uri()) if u in str(caught.value)}

    index = inventory.table.schema.get_field_index("last_modified")
    field = inventory.table.schema.field("last_modified")
    times = pa.array([2_000_000, 1_000_000], field.type)
    dated = Inventory(inventory.table.set_column(index, field, times))
    for rule, expected in (("first", one), ("last", two), ("newest", one)):
        cube = plan_cube(dated, CubeOptions(on_duplicate=rule))  # type: ignore[arg-type]
        row = int(cube.variables["data"].rows[0])
        assert cube.inventory.table["url"][row].as_py() == expected.as_uri()
        assert cube.images == 1
    with pytest.raises(InvalidOptionError, match="on_duplicate is 'any'"):
        plan_cube(inventory, CubeOptions(on_duplicate="any"))  # type: ignore[arg-type]


def test_variables_from_a_column(tmp_path: Path) -> None:
    red = write_scenes(tmp_path, 3, prefix="B04")
    green = write_scenes(tmp_path, 2, first=1, prefix="B03", dtype="float32", nodata=-1)
    table = pa.table({"url": [str(p) for p in red + green], "band": ["B04"] * 3 + ["B03"] * 2})
    cube = plan_cube(scanned(table), CubeOptions(variable="band"))
    assert list(cube.variables) == ["B03", "B04"]
    assert cube.images == 5
    dataset = publish(tmp_path, cube)
    assert np.array_equal(dataset["B04"].values, read_paths(red))
    # There is no green image on the first day: what is missing reads as nodata.
    assert np.array_equal(dataset["B03"].values[1:], read_paths(green), equal_nan=True)
    assert np.array_equal(dataset["B03"].values[0], np.full((48, 64), -1, np.float32))


def test_variables_share_one_grid(tmp_path: Path) -> None:
    fine = write_scenes(tmp_path, 1, prefix="B04")
    coarse = write_scenes(tmp_path, 1, prefix="B01", shape=(24, 32))
    table = pa.table({"url": [str(p) for p in fine + coarse], "band": ["B04", "B01"]})
    with pytest.raises(MismatchError):
        plan_cube(scanned(table), CubeOptions(variable="band"))


@pytest.mark.parametrize("axis", ["first", "last"])
def test_planar_bands_become_variables(axis: Any, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 2, shape=(3, 48, 64), INTERLEAVE="BAND")
    inventory = scanned(tmp_path, parser=VirtualTIFF(ifd=0, band_axis=axis))
    dataset = publish(tmp_path, plan_cube(inventory, CubeOptions(split_bands=True, name="band")))
    expected = read_paths(paths)
    assert sorted(dataset.data_vars) == ["band_1", "band_2", "band_3"]
    for band in range(3):
        assert np.array_equal(dataset[f"band_{band + 1}"].values, expected[:, band])


def test_bands_taken_apart_have_their_own_scales(tmp_path: Path) -> None:
    import rasterio

    paths = write_scenes(tmp_path, 2, shape=(3, 48, 64), INTERLEAVE="BAND")
    for path in paths:
        with rasterio.open(path, "r+") as file:
            file.scales, file.offsets = (1, 0.5, 2), (0, 10, 0)
            file.units = ("m", "K", "")
            file.descriptions = ("red", "", "nir")
    repository = memory_repository(tmp_path)
    session = repository.writable_session("main")
    write(session, "", plan_cube(scanned(tmp_path), CubeOptions(split_bands=True)))
    session.commit("cube")
    stored = opened(repository)
    scaled = opened(repository, mask_and_scale=True)
    expected = read_paths(paths).astype(np.float64)
    for band, (scale, offset) in enumerate(((1, 0), (0.5, 10), (2, 0))):
        values = np.where(expected[:, band] == 7, np.nan, expected[:, band] * scale + offset)
        assert np.array_equal(scaled[f"data_{band + 1}"].values, values, equal_nan=True)
    attributes = [dict(stored[f"data_{band}"].attrs) for band in (1, 2, 3)]
    assert [a.get("units") for a in attributes] == ["m", "K", None]
    assert [a.get("long_name") for a in attributes] == ["red", None, "nir"]
    lists = {"scales", "offsets", "band_units"}
    assert not any(lists & set(each) for each in attributes)


def test_bands_are_named_by_their_descriptions(tmp_path: Path) -> None:
    import rasterio

    paths = write_scenes(tmp_path, 2, shape=(3, 48, 64), INTERLEAVE="BAND")
    for path in paths:
        with rasterio.open(path, "r+") as file:
            file.descriptions = ("red", "green", "nir")
    plan = plan_cube(scanned(tmp_path), CubeOptions(split_bands=True))
    assert list(plan.variables) == ["red", "green", "nir"]
    plan = plan_cube(
        scanned(tmp_path), CubeOptions(split_bands=True, variable_pattern=r"(\d)\.tif$")
    )
    assert len(plan.variables) == 6
    assert {name[1:] for name in plan.variables} == {"_red", "_green", "_nir"}


def test_chunky_bands_cannot_be_taken_apart(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2, shape=(3, 48, 64), INTERLEAVE="PIXEL")
    with pytest.raises(InvalidOptionError, match="share their chunks"):
        plan_cube(scanned(tmp_path), CubeOptions(split_bands=True))


def test_other_coordinates(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 3)
    urls = [str(p) for p in paths]
    for values, kind in (([0.5, -1.25, 3.0], "f"), ([7, 9, -2], "i"), (["b", "c", "a"], "T")):
        table = pa.table({"url": urls, "key": values})
        dataset = publish(tmp_path, plan_cube(scanned(table), CubeOptions(along="key")))
        order = np.argsort(np.array(values))
        assert dataset["key"].values.tolist() == sorted(values)
        assert np.array_equal(dataset["data"].values, read_paths([paths[i] for i in order])), kind


def test_times_to_the_microsecond(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 2)
    texts = ["2024-01-01T10:11:12.345678", "2024-01-01T10:11:12.000000"]
    times = np.array(texts, "datetime64[us]")
    table = pa.table({"url": [str(p) for p in paths], "datetime": pa.array(times)})
    dataset = publish(tmp_path, plan_cube(scanned(table)))
    assert dataset["time"].encoding["units"] == "microseconds since 1970-01-01T00:00:00"
    assert dataset["time"].values.astype("datetime64[us]").astype(str).tolist() == texts[::-1]


def test_an_image_without_a_time_is_refused(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    write_scene(tmp_path / "undated.tif")
    with pytest.raises(InvalidOptionError, match="1 of 3 images have no datetime") as caught:
        plan_cube(scanned(tmp_path))
    assert caught.value.url == (tmp_path / "undated.tif").as_uri()
    with pytest.raises(InvalidOptionError, match="no column 'orbit'"):
        plan_cube(scanned(tmp_path), CubeOptions(along="orbit"))


def test_nothing_to_stack(tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    with pytest.raises(InvalidOptionError) as caught:
        plan_cube(scanned(tmp_path))
    assert caught.value.kind == ErrorKind.NO_SOURCES


def test_overviews_and_masks_are_left_out(tmp_path: Path) -> None:
    path = write_scenes(tmp_path, 1)[0]
    import rasterio

    with rasterio.open(path, "r+") as file:
        file.build_overviews([2])
    inventory = scanned(tmp_path, parser=VirtualTIFF())
    assert inventory.table["role"].to_pylist() == ["image", "overview"]
    assert plan_cube(inventory).images == 1


def test_lifted_codecs() -> None:
    transpose: Codec = {"name": "transpose", "configuration": {"order": [1, 2, 0]}}

    def order(places: tuple[int, ...], rank: int) -> object:
        configuration = codec_for_stack(transpose, places, rank)["configuration"]
        assert isinstance(configuration, dict)
        return configuration["order"]

    assert order((1, 2, 3), 4) == [0, 2, 3, 1]
    # Bands before the new dimension, as in (c, z, y, x).
    assert order((0, 2, 3), 4) == [1, 2, 3, 0]
    assert order((1, 3, 4), 5) == [0, 2, 3, 4, 1]
    from_end: Codec = {"name": "imagecodecs_delta", "configuration": {"axis": -1, "dist": 1}}
    assert codec_for_stack(from_end, (1, 2), 3) == from_end
    from_start: Codec = {"name": "imagecodecs_delta", "configuration": {"axis": 1, "dist": 1}}
    assert codec_for_stack(from_start, (1, 2), 3)["configuration"] == {"axis": 2, "dist": 1}
    assert codec_for_stack({"name": "bytes"}, (1, 2), 3) == {"name": "bytes"}


def test_codes_of_lists_of_unequal_length() -> None:
    column = pa.chunked_array([pa.array([[1], [1, 2], None, [1]])])
    codes = codes_of(column)
    assert codes[0] == codes[3]
    assert len(set(codes.tolist())) == 3
    assert pc.count_distinct(pa.array(codes)).as_py() == 3


def test_printed_code_opens_times_that_nanoseconds_cannot_express(tmp_path: Path) -> None:
    from virtual_tiff import stack
    from virtual_tiff.publishing.reading_code import reading_code

    paths = write_scenes(tmp_path / "scenes", 2)
    names = ["a_15000101.tif", "a_23000101.tif"]
    moved = [str(p.rename(p.with_name(name))) for p, name in zip(paths, names, strict=True)]
    location = str(tmp_path / "repository")
    result = stack(moved, location, datetime_pattern=r"_(\d{8})")
    added = result.added[""]
    code = reading_code(
        location,
        result.containers,
        version={"branch": "main"},
        group="",
        first=added.first,
        last=added.last,
    )
    found: dict[str, Any] = {}
    exec(code, found)
    assert [str(time)[:10] for time in found["dataset"]["time"].values] == [
        "1500-01-01",
        "2300-01-01",
    ]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.0, float("nan")]),
        pa.array([float("inf"), 1.0]),
        pa.array([1, 2_000], pa.timestamp("ns")),
    ],
)
def test_values_that_are_no_positions_are_refused(values: pa.Array, tmp_path: Path) -> None:
    urls = [str(path) for path in write_scenes(tmp_path, 2)]
    inventory = scanned(pa.table({"url": urls, "step": values}))
    with pytest.raises(InvalidOptionError) as caught:
        plan_cube(inventory, CubeOptions(along="step"))
    assert caught.value.kind == ErrorKind.INVALID_OPTION
