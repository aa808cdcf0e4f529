"""`VirtualTIFF` as its users meet it: VirtualiZarr, xarray, Icechunk, notebooks, threads."""

from __future__ import annotations

import asyncio
import json
import pickle
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import rasterio
import tifffile
import xarray as xr
import zarr
from obspec_utils.registry import ObjectStoreRegistry
from virtualizarr import open_virtual_dataset, open_virtual_mfdataset
from virtualizarr.manifests import ManifestStore
from virtualizarr.parsers import KerchunkJSONParser
from virtualizarr.parsers.typing import Parser

from tests.helpers.archive import write_scene
from tests.helpers.assemble import PLAIN, assemble, changed, long, plain, short
from tests.helpers.make import Encoding, Pixels, same_bits, write, write_with_rasterio
from tests.helpers.read import (
    MEMORY_URL,
    image_plans,
    images,
    in_memory,
    local_registry,
    numcodecs_names,
    read_parsed,
)
from tests.helpers.special import parameters, write_special
from tests.helpers.stores import recording
from virtual_tiff import VirtualTIFF
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    InvalidTIFFError,
    UnsupportedTIFFError,
    VirtualTIFFError,
)
from virtual_tiff.tags import Tag


@pytest.fixture(autouse=True)
def _names() -> Iterator[None]:
    with numcodecs_names():
        yield


@pytest.fixture
def image(tmp_path: Path) -> tuple[str, Pixels]:
    """URL and pixels of an image of three bands."""
    path = tmp_path / "image.tif"
    encoding = Encoding(
        dtype="uint16", samples=3, compression="deflate", predictor=2, writer="rasterio"
    )
    return f"file://{path}", write(encoding, path)


# --- the protocol -----------------------------------------------------------------------------


def test_it_is_a_parser_of_virtualizarr() -> None:
    assert isinstance(VirtualTIFF(), Parser)


def test_it_makes_a_manifest_store(image: tuple[str, Pixels]) -> None:
    store = VirtualTIFF()(url=image[0], registry=local_registry())
    assert isinstance(store, ManifestStore)
    group = zarr.open_group(store, mode="r", zarr_format=3)
    assert [name for name, _ in images(group)] == ["0"]


def test_parsers_are_values() -> None:
    assert VirtualTIFF(ifd=1) == VirtualTIFF(1)
    assert VirtualTIFF(ifd=1) != VirtualTIFF(ifd=2)
    assert hash(VirtualTIFF()) == hash(VirtualTIFF())
    with pytest.raises(AttributeError):
        VirtualTIFF().ifd = 1  # type: ignore[misc]


def test_parsers_cross_processes(image: tuple[str, Pixels]) -> None:
    parser = VirtualTIFF(ifd=0, band_axis="last", prefetch=1000)
    again = pickle.loads(pickle.dumps(parser))
    assert again == parser
    assert again.plan(image[0], local_registry()).arrays["0"].shape == (27, 37, 3)


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"ifd": -1},
        {"ifd": True},
        {"ifd": 1.0},
        {"ifd": "0"},
        {"ifd": ()},
        {"ifd": (0, -1)},
        {"ifd": (0, "1")},
        {"ifd": [0]},
        {"ifd_layout": "deep"},
        {"ifd_layout": None},
        {"band_axis": "middle"},
        {"band_axis": 0},
        {"on_unsupported": "ignore"},
        {"copy_limit": -1},
        {"sidecars": b"ovr"},
        {"sidecars": [["ovr"]]},
        {"copy_limit": "1 GB"},
        {"prefetch": 0},
        {"prefetch": 15},
        {"prefetch": -1},
        {"prefetch": "32 KiB"},
        {"bands": []},
        {"bands": [0]},
        {"bands": ["red"]},
        {"bands": "123"},
    ],
    ids=str,
)
def test_options_are_checked_before_anything_is_read(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        VirtualTIFF(**options)
    assert caught.value.kind == ErrorKind.INVALID_OPTION
    (name,) = options
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(("ifd", "count"), [(3, 3), (100, 3), ((3,), 3), ((0, 0), 0), ((1, 5), 0)])
def test_an_ifd_out_of_range_says_how_many_there_are(
    ifd: int | tuple[int, ...], count: int
) -> None:
    data = assemble([PLAIN] * 3)
    with pytest.raises(InvalidOptionError) as caught:
        VirtualTIFF(ifd=ifd).plan(MEMORY_URL, in_memory(data))
    assert caught.value.kind == ErrorKind.IFD_OUT_OF_RANGE
    assert caught.value.url == MEMORY_URL
    assert f" has {count}" in str(caught.value)


def test_one_ifd() -> None:
    data = assemble(
        [
            changed(PLAIN, IMAGE_WIDTH=short(i + 1), STRIP_BYTE_COUNTS=long(4 * i + 4))
            for i in range(3)
        ]
    )
    for i in range(3):
        plan = VirtualTIFF(ifd=i).plan(MEMORY_URL, in_memory(data))
        assert list(image_plans(plan)) == [str(i)]
        assert plan.arrays[str(i)].shape == (4, i + 1)
        # Alone in its group, a later image has the plain names of dimensions.
        assert plan.arrays[str(i)].dimension_names == ("y", "x")


def test_a_sub_ifd(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special("script:sub-ifds", path)
    plan = VirtualTIFF(ifd=(1, 0)).plan(f"file://{path}", local_registry())
    assert list(image_plans(plan)) == ["1.0"]
    assert plan.arrays["1.0"].shape == (20, 18)


def test_bands_by_reference(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    encoding = Encoding(samples=4, planar=True, compression="lzw", predictor=2)
    written = write(encoding, path)
    url = f"file://{path}"
    for axis in ("first", "last"):
        parser = VirtualTIFF(ifd=0, bands=[3, 1], band_axis=axis)
        found = read_parsed(parser, url, local_registry())["0"]
        expected = written[[2, 0]]
        assert same_bits(found, expected if axis == "first" else np.moveaxis(expected, 0, -1))
    with pytest.raises(InvalidOptionError):
        VirtualTIFF(ifd=0, bands=[5]).plan(url, local_registry())


def test_bands_of_interleaved_samples_are_refused(image: tuple[str, Pixels]) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        VirtualTIFF(ifd=0, bands=[3, 2, 1]).plan(image[0], local_registry())
    assert caught.value.tag == Tag.PLANAR_CONFIGURATION
    assert caught.value.remedy


def test_damage_after_the_image_asked_for_does_not_matter() -> None:
    data = assemble([PLAIN, PLAIN])[:-4] + (10**6).to_bytes(4, "little")
    assert VirtualTIFF(ifd=1).plan(MEMORY_URL, in_memory(data)).arrays["1"].shape == (4, 5)
    with pytest.raises(InvalidTIFFError) as caught:
        VirtualTIFF().plan(MEMORY_URL, in_memory(data))
    assert caught.value.kind == ErrorKind.TRUNCATED
    assert caught.value.url == MEMORY_URL
    assert "ifd=0" in str(caught.value.remedy)


def test_errors_name_the_image() -> None:
    data = assemble([PLAIN, changed(PLAIN, COMPRESSION=short(32_809))])
    with pytest.raises(VirtualTIFFError) as caught:
        VirtualTIFF().plan(MEMORY_URL, in_memory(data))
    error = caught.value
    assert (error.kind, error.ifd) == (ErrorKind.UNSUPPORTED_COMPRESSION, (1,))
    assert (error.url, error.tag) == (MEMORY_URL, Tag.COMPRESSION)
    assert error.remedy


def test_a_cog_is_parsed_with_one_request(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special("script:overviews-and-mask", path)
    store, registry, _ = recording(path.read_bytes())
    VirtualTIFF()(MEMORY_URL, registry)
    assert len(store.requests) == 1


# --- xarray -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", parameters())
def test_every_file_opens_in_xarray(name: str, tmp_path: Path) -> None:
    """With no argument at all: overviews, masks, pages, and dimensions of unequal size."""
    path = tmp_path / "image.tif"
    write_special(name, path)
    store = VirtualTIFF()(f"file://{path}", local_registry())
    with xr.open_zarr(store, zarr_format=3, consolidated=False, mask_and_scale=False) as dataset:
        group = zarr.open_group(store, mode="r", zarr_format=3)
        for name, array in images(group):
            assert dataset[name].shape == array.shape
            assert same_bits(dataset[name].values, np.asarray(array[...]))


def test_dimensions_of_unequal_size_have_unequal_names() -> None:
    data = assemble(
        [
            PLAIN,
            changed(PLAIN, IMAGE_WIDTH=short(3)),
            changed(PLAIN, IMAGE_LENGTH=short(2)),
            changed(PLAIN, IMAGE_WIDTH=short(3)),
            changed(PLAIN, IMAGE_WIDTH=short(2), SAMPLES_PER_PIXEL=short(2)),
        ]
    )
    plan = VirtualTIFF().plan(MEMORY_URL, in_memory(data))
    names = {name: array.dimension_names for name, array in image_plans(plan).items()}
    assert names == {
        "0": ("y", "x"),
        "1": ("y", "x_1"),
        "2": ("y_2", "x"),
        "3": ("y", "x_1"),
        "4": ("band", "y", "x_4"),
    }


def test_nested_layout_is_a_data_tree(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special("script:pages", path)
    url = f"file://{path}"
    store = VirtualTIFF(ifd_layout="nested")(url, local_registry())
    options: dict[str, Any] = {"zarr_format": 3, "consolidated": False}
    with xr.open_datatree(store, engine="zarr", **options) as tree:  # type: ignore[arg-type]
        assert sorted(tree.children) == ["0", "1", "2"]
        flat = VirtualTIFF()(url, local_registry())
        group = zarr.open_group(flat, mode="r", zarr_format=3)
        for name, array in images(group):
            data = tree[f"{name}/{name}"]
            assert isinstance(data, xr.DataArray)
            assert data.dims[-2:] == ("y", "x")
            assert same_bits(data.values, np.asarray(array[...]))


# --- VirtualiZarr and Icechunk ----------------------------------------------------------------


def open_virtual(url: str, **options: Any) -> xr.Dataset:
    """Virtual dataset of one TIFF."""
    return open_virtual_dataset(url=url, registry=local_registry(), parser=VirtualTIFF(**options))


def to_icechunk(dataset: xr.Dataset, folder: Path) -> xr.Dataset:
    """Write a virtual dataset to a new repository, and open what it says."""
    config = icechunk.RepositoryConfig.default()
    prefix = f"file://{folder}/"
    container = icechunk.VirtualChunkContainer(prefix, icechunk.local_filesystem_store(str(folder)))
    config.set_virtual_chunk_container(container)
    storage = icechunk.local_filesystem_storage(str(folder / "repository"))
    access: dict[str, Any] = {prefix: icechunk.credentials.LocalFileSystemAccess}
    repository = icechunk.Repository.create(storage, config, authorize_virtual_chunk_access=access)
    session = repository.writable_session("main")
    dataset.vz.to_icechunk(session.store)
    session.commit("a virtual dataset")
    store = repository.readonly_session("main").store
    read: xr.Dataset = xr.open_zarr(store, zarr_format=3, consolidated=False, mask_and_scale=False)
    return read


def test_open_virtual_dataset_and_to_icechunk(image: tuple[str, Pixels], tmp_path: Path) -> None:
    dataset = open_virtual(image[0], ifd=0)
    assert dataset["0"].dims == ("band", "y", "x")
    with to_icechunk(dataset, tmp_path) as read:
        assert same_bits(read["0"].values, image[1])


def test_open_virtual_mfdataset(tmp_path: Path) -> None:
    written = []
    for i in range(3):
        data = np.full((27, 37), i, "uint16") + np.arange(37, dtype="uint16")
        write_with_rasterio(
            tmp_path / f"{i}.tif", data, COMPRESS="ZSTD", TILED="YES", BLOCKXSIZE=16, BLOCKYSIZE=16
        )
        written.append(data)
    dataset = open_virtual_mfdataset(
        [f"file://{tmp_path}/{i}.tif" for i in range(3)],
        registry=local_registry(),
        parser=VirtualTIFF(ifd=0),
        combine="nested",
        concat_dim="time",
        compat="override",
        coords="minimal",
    )
    assert dict(dataset.sizes) == {"time": 3, "y": 27, "x": 37}
    with to_icechunk(dataset, tmp_path) as read:
        assert same_bits(read["0"].values, np.stack(written))


def test_a_short_last_strip_goes_to_icechunk_as_an_inline_chunk(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    encoding = Encoding(compression="deflate", segments="strips-short-last", dtype="int16")
    written = write(encoding, path)
    dataset = open_virtual(f"file://{path}", ifd=0)
    with to_icechunk(dataset, tmp_path) as read:
        assert same_bits(read["0"].values, written)


def test_a_window_on_the_virtual_dataset(tmp_path: Path) -> None:
    """Whole chunks can be cut out before anything is published."""
    path = tmp_path / "image.tif"
    written = write(Encoding(compression="zstd"), path)
    window = open_virtual(f"file://{path}", ifd=0).isel(y=slice(16, 27), x=slice(0, 32))
    with to_icechunk(window, tmp_path) as read:
        assert same_bits(read["0"].values, written[16:27, :32])


# --- loops, threads ---------------------------------------------------------------------------


def test_inside_a_running_event_loop(image: tuple[str, Pixels]) -> None:
    """As in a notebook."""

    async def parse() -> tuple[int, ...]:
        store = VirtualTIFF()(image[0], local_registry())
        plan = await VirtualTIFF().plan_async(image[0], local_registry())
        group = await zarr.api.asynchronous.open_group(store, mode="r", zarr_format=3)
        array = await group.getitem("0")
        assert isinstance(array, zarr.AsyncArray)
        assert plan.arrays["0"].shape == array.shape
        return array.shape

    assert asyncio.run(parse()) == image[1].shape


def test_from_many_threads(tmp_path: Path) -> None:
    paths = []
    for i in range(24):
        paths.append(tmp_path / f"{i}.tif")
        paths[-1].write_bytes(plain(IMAGE_WIDTH=short(i + 1), IMAGE_LENGTH=short(1)))
    registry = local_registry()
    with ThreadPoolExecutor(8) as executor:
        plans = executor.map(lambda p: VirtualTIFF().plan(f"file://{p}", registry), paths)
        assert [plan.arrays["0"].shape[-1] for plan in plans] == list(range(1, 25))


def test_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special("script:pages", path)
    registry: ObjectStoreRegistry[Any] = local_registry()

    async def parse() -> list[int]:
        plans = await asyncio.gather(
            *(VirtualTIFF().plan_async(f"file://{path}", registry) for _ in range(50))
        )
        return [len(image_plans(plan)) for plan in plans]

    assert asyncio.run(parse()) == [3] * 50


def test_parsing_warns_of_nothing(image: tuple[str, Pixels]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VirtualTIFF()(image[0], local_registry())


def test_lerc_of_an_overview(tmp_path: Path) -> None:
    """Its dimensions have names of their own where images of several sizes share a group."""
    path = tmp_path / "image.tif"
    data = np.arange(64 * 96, dtype="float32").reshape(64, 96)
    data[16:40, 20:50] = np.nan
    options = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "LERC"}
    write_with_rasterio(path, data, **options)  # type: ignore[arg-type]
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2])
    found = read_parsed(VirtualTIFF(), f"file://{path}", local_registry())
    with rasterio.open(path, overview_level=0) as file:
        assert same_bits(found["1"], file.read(1))


def test_attributes_of_chosen_bands(tmp_path: Path) -> None:
    """What a list says of a band goes where the band goes."""
    path = tmp_path / "bands.tif"
    write_scene(path, shape=(3, 48, 64), INTERLEAVE="BAND")
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1, 2, 3), (0, 10, 20)
        file.descriptions = ("red", "green", "blue")
        file.units = ("m", "K", "s")
    for bands in ((3, 1), (2,), (2, 3, 1)):
        plan = VirtualTIFF(ifd=0, bands=bands).plan(path.as_uri(), local_registry())
        attributes = plan.arrays["0"].attributes
        if len(bands) > 1:
            assert attributes["scales"] == list(bands)
            assert attributes["offsets"] == [(band - 1) * 10 for band in bands]
        else:
            # One scale for all bands is what CF can say.
            assert attributes["scale_factor"] == bands[0]
            assert attributes["add_offset"] == (bands[0] - 1) * 10
        assert attributes["long_name"] == [("red", "green", "blue")[b - 1] for b in bands]
        assert attributes["band_units"] == [("m", "K", "s")[b - 1] for b in bands]


# --- Kerchunk ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "predictor", "is_named"),
    [("uint16", 1, True), ("uint16", 2, False), ("float32", 3, False), ("uint16", 0, False)],
)
def test_kerchunk_references(dtype: str, predictor: int, is_named: bool, tmp_path: Path) -> None:
    """Zarr v2 has no names for predictors and packed bits: refused, where others lose them."""
    bits: dict[str, Any] = {} if predictor else {"NBITS": 12}
    pixels = np.arange(64 * 64).reshape(64, 64).astype(dtype) % 4000
    write_with_rasterio(
        tmp_path / "a.tif", pixels, COMPRESS="DEFLATE", PREDICTOR=predictor or 1, **bits
    )
    url = (tmp_path / "a.tif").as_uri()
    dataset = open_virtual_dataset(url, registry=local_registry(), parser=VirtualTIFF(ifd=0))
    # Also of arrays that xarray made.
    joined = xr.concat([dataset, dataset], dim="time")
    for one in (dataset, joined):
        if is_named:
            refs = one.vz.to_kerchunk(format="dict")["refs"]
            assert "zlib" in refs["0/.zarray"]
        else:
            with pytest.raises(UnsupportedTIFFError) as caught:
                one.vz.to_kerchunk(format="dict")
            assert "zarr_format=3" in str(caught.value.remedy)
    (tmp_path / "refs.json").write_text(
        json.dumps(joined.vz.to_kerchunk(format="dict", zarr_format=3))
    )
    store = KerchunkJSONParser()((tmp_path / "refs.json").as_uri(), local_registry())
    read = xr.open_zarr(store, consolidated=False, zarr_format=3, mask_and_scale=False)
    assert np.array_equal(read["0"].values, np.stack([pixels, pixels]))


def test_levels_before_their_image_are_its_levels(tmp_path: Path) -> None:
    """Reduced images that precede the image that they belong to."""
    path = tmp_path / "ascending.tif"
    with tifffile.TiffWriter(path) as out:
        for size, kind in ((20, 1), (40, 1), (80, 0), (10, 1)):
            pixels = np.full((size, size), size, np.uint8)
            out.write(pixels, tile=(16, 16), subfiletype=kind, metadata=None)
    group = zarr.open_group(
        VirtualTIFF(ifd_layout="multiscale")(path.as_uri(), local_registry()), mode="r"
    )
    shapes = {
        name: array.shape
        for name, array in group.members(max_depth=None)
        if isinstance(array, zarr.Array) and array.ndim == 2
    }
    assert shapes == {
        "0/image": (80, 80),
        "1/image": (40, 40),
        "2/image": (20, 20),
        "3/image": (10, 10),
    }
