"""Published TIFFs as geospatial datasets: what rioxarray, rasterix and xarray make of them.

The oracles are rasterio and rioxarray on the TIFF itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import rasterio.shutil
import rioxarray
import tifffile
import xarray as xr
import zarr_cm
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from virtualizarr import open_virtual_datatree

from scripts import compare_georeferencing
from scripts.compare_georeferencing import GDAL_OPTIONS, read
from scripts.compare_georeferencing import main as compare_all
from tests.conftest import corpus_files, corpus_root
from tests.helpers.make import Pixels, pixels, same_bits, write_with_rasterio
from tests.helpers.read import MEMORY_URL, is_image, local_registry
from tests.helpers.stores import recording
from virtual_tiff import VirtualTIFF, publish, scan
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.planning.metadata import group_document, to_bytes
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.tiff.ifd import is_dependent, walk_ifds

# rioxarray and rasterix still write `*` for products of matrices.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

READER = Path(__file__).parents[1] / "helpers" / "geospatial_reader.py"
OPTIONS: dict[str, Any] = {"zarr_format": 3, "consolidated": False}
TRANSFORM = Affine(10.1, 0, 500_000.3, 0, -20.7, 4_600_000.9)
UTM = CRS.from_epsg(32633)
#: Not a power of two times anything, so that no overview divides it.
HEIGHT, WIDTH = 301, 435
#: Pixels that are compared of a large image.
WINDOW = 300


# --- files ---------------------------------------------------------------------------------------


def write_elevation(path: Path) -> None:
    """One band of floats with nodata."""
    values = pixels("uint16", (HEIGHT, WIDTH)).astype("float32") / 8
    values[:20, :50] = -9999
    write_with_rasterio(path, values, nodata=-9999, transform=TRANSFORM, COMPRESS="DEFLATE")


def write_colors(path: Path) -> None:
    """Three bands with names."""
    write_with_rasterio(path, pixels("uint8", (3, 40, 50)), transform=TRANSFORM, photometric="rgb")
    with rasterio.open(path, "r+") as dataset:
        for i, name in enumerate(("red", "green", "blue"), 1):
            dataset.set_band_description(i, name)


def write_cog(path: Path) -> None:
    """A COG with three overviews, and a mask of each level."""
    plain = path.with_suffix(".plain.tif")
    data = pixels("uint8", (3, HEIGHT, WIDTH))
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:100, 50:200] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_with_rasterio(plain, data, transform=TRANSFORM, photometric="rgb")
        with rasterio.open(plain, "r+") as dataset:
            dataset.write_mask(mask)
        rasterio.shutil.copy(
            plain, path, driver="COG", blocksize=128, overview_count=3, compress="DEFLATE"
        )
    plain.unlink()


def open_flat(path: Path, **options: Any) -> xr.Dataset:
    """Dataset of a TIFF."""
    store = VirtualTIFF(**options)(f"file://{path}", local_registry())
    dataset: xr.Dataset = xr.open_zarr(store, **OPTIONS)
    return dataset


def plan_pyramid(path: Path, **options: Any) -> GroupPlan:
    parser = VirtualTIFF(ifd_layout="multiscale", **options)
    return parser.plan(f"file://{path}", local_registry())


# --- the published store, without this package ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Published:
    """What the other process said, and where it saved pixels."""

    folder: Path
    answer: dict[str, Any]
    box: tuple[float, float, float, float]
    points: dict[str, list[float]]

    def saved(self, name: str) -> Pixels:
        values: Pixels = np.load(self.folder / f"{name}.npy")
        return values


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("geospatial")
    write_elevation(folder / "elevation.tif")
    write_colors(folder / "colors.tif")
    write_cog(folder / "cog.tif")
    repository = folder / "repository"
    one = publish([folder / "elevation.tif", folder / "colors.tif"], repository)
    publish([folder / "cog.tif"], repository)
    left, top = TRANSFORM @ (30, 40)
    right, bottom = TRANSFORM @ (130, 90)
    box = (left + 1, bottom + 1, right - 1, top - 1)
    # None of them in the middle between two pixels.
    places = [
        TRANSFORM @ (column, row) for column, row in ((0.1, 0.2), (217.4, 99.9), (434.6, 300))
    ]
    points = {"x": [x for x, _ in places], "y": [y for _, y in places]}
    job = {
        "repository": str(repository),
        "containers": list(one.containers),
        "image": "elevation",
        "colors": "colors",
        "pyramid": "cog",
        "box": box,
        "points": points,
    }
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, "-I", READER, folder / "job.json"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return Published(folder, json.loads(done.stdout), box, points)


def test_this_package_is_not_there(published: Published) -> None:
    loaded = set(published.answer["modules"])
    assert not loaded & {"virtual_tiff", "tifffile", "async_tiff", "virtualizarr", "obstore"}
    assert loaded >= {"icechunk", "rioxarray", "rasterix"}


def test_crs_and_transform(published: Published) -> None:
    answer = published.answer["image"]
    with rasterio.open(published.folder / "elevation.tif") as dataset:
        assert CRS.from_wkt(answer["crs"]) == dataset.crs == UTM
        # Computed from the coordinates.
        assert answer["transform"] == pytest.approx(list(dataset.transform)[:6], abs=1e-6)
        assert answer["index"] == "RasterIndex"
        assert answer["index_transform"] == pytest.approx(list(dataset.transform)[:6], abs=1e-6)


def test_clip_box(published: Published) -> None:
    theirs = rioxarray.open_rasterio(published.folder / "elevation.tif", masked=True)
    assert isinstance(theirs, xr.DataArray)
    clipped = theirs.rio.clip_box(*published.box)
    assert clipped.shape == (1, 50, 100)
    assert same_bits(published.saved("clipped"), clipped.values[0])
    found = published.answer["image"]["clipped_transform"]
    assert found == list(clipped.rio.transform())[:6]


def test_nearest(published: Published) -> None:
    with rasterio.open(published.folder / "elevation.tif") as dataset:
        places = zip(published.points["x"], published.points["y"], strict=True)
        sampled = np.array([values[0] for values in dataset.sample(places, masked=False)])
    expected = np.where(sampled == -9999, np.float32(np.nan), sampled)
    assert np.array_equal(published.saved("nearest"), expected, equal_nan=True)
    assert np.isnan(expected[0])
    assert not np.isnan(expected[1])


@pytest.mark.parametrize(
    ("source", "copy"), [("elevation", "round_trip"), ("colors", "colors_copy")]
)
def test_round_trip_to_a_geotiff(
    source: str, copy: str, published: Published, tmp_path: Path
) -> None:
    path = published.folder / f"{source}.tif"
    theirs = rioxarray.open_rasterio(path, masked=source == "elevation")
    assert isinstance(theirs, xr.DataArray)
    theirs.rio.to_raster(tmp_path / "theirs.tif")
    with (
        rasterio.open(path) as one,
        rasterio.open(published.folder / f"{copy}.tif") as other,
        rasterio.open(tmp_path / "theirs.tif") as by_rioxarray,
    ):
        assert same_bits(other.read(), one.read())
        assert (other.crs, other.dtypes) == (one.crs, one.dtypes)
        assert other.nodata == one.nodata
        # rioxarray names the bands of a dataset after its variables.
        assert other.descriptions == (("image",) if source == "elevation" else one.descriptions)
        # rioxarray computes the transform from the coordinates, whatever they came from.
        assert other.transform == by_rioxarray.transform
        assert other.transform.almost_equals(one.transform, 1e-9)


def test_bands_have_their_names(published: Published) -> None:
    assert published.answer["image"]["bands"] == ["red", "green", "blue"]
    with rasterio.open(published.folder / "colors.tif") as dataset:
        assert same_bits(published.saved("red"), dataset.read(1))


def test_pyramid(published: Published) -> None:
    """Sizes, pixels, masks and transforms of GDAL's overviews, which no size divides."""
    path = published.folder / "cog.tif"
    answer = published.answer["pyramid"]
    assert [entry["asset"] for entry in answer["layout"]] == ["0", "1", "2", "3"]
    # Positions alone would say otherwise: the mask of the image comes before its overviews.
    with tifffile.TiffFile(path) as tif:
        kinds = [int(page.subfiletype) for page in tif.pages]  # type: ignore[union-attr]
    assert (kinds[:2], sorted(kinds)) == ([0, 4], [0, 1, 1, 1, 4, 5, 5, 5])
    for k, entry in enumerate(answer["layout"]):
        found = answer[entry["asset"]]
        with open_level(path, k) as level:
            assert found["variables"] == ["band", "image", "mask", "spatial_ref", "x", "y"]
            assert CRS.from_wkt(found["crs"]) == level.crs == UTM
            assert found["transform"] == pytest.approx(list(level.transform)[:6], abs=1e-6)
            assert entry["spatial:transform"] == list(level.transform)[:6]
            assert entry["spatial:shape"] == [level.height, level.width]
            assert same_bits(published.saved(f"level{k}"), level.read())
            visible = published.saved(f"level{k}-mask") != 0
            assert np.array_equal(visible, level.dataset_mask() != 0)
            assert not visible.all()
            scale = entry["transform"]["scale"]
            assert scale == [HEIGHT / level.height, WIDTH / level.width]
            assert entry["transform"]["translation"] == [0, 0]


def open_level(path: Path, level: int) -> Any:
    """Full resolution, or an overview, as GDAL opens it."""
    return rasterio.open(path) if level == 0 else rasterio.open(path, overview_level=level - 1)


# --- the multiscale layout -----------------------------------------------------------------------


def test_virtual_data_tree(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif")
    tree = open_virtual_datatree(
        url=f"file://{tmp_path}/cog.tif",
        registry=local_registry(),
        parser=VirtualTIFF(ifd_layout="multiscale"),
    )
    assert sorted(tree.children) == ["0", "1", "2", "3"]
    assert tree["2/image"].shape == (3, 75, 108)


def test_one_image_of_a_cog_remains_plain(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif")
    with open_flat(tmp_path / "cog.tif", ifd=0) as dataset:
        assert list(dataset.data_vars) == ["0"]
        assert dataset["0"].shape == (3, HEIGHT, WIDTH)


def test_an_image_without_overviews_is_one_level(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels("uint8", (9, 7)), metadata=None)
    plan = plan_pyramid(tmp_path / "a.tif")
    assert list(plan.groups) == ["0"]
    assert list(plan.groups["0"].arrays) == ["image"]
    assert plan.attributes.keys() == {"description", "zarr_conventions", "multiscales"}
    assert validate(plan) == {"multiscales"}


def test_levels_in_sub_ifds(tmp_path: Path) -> None:
    """As OME-TIFF writes pyramids."""
    path = tmp_path / "pyramid.ome.tif"
    sizes = [(64, 48), (32, 24), (16, 12)]
    images = [pixels("uint16", size, i) for i, size in enumerate(sizes)]
    with tifffile.TiffWriter(path) as writer:
        writer.write(images[0], tile=(16, 16), subifds=2, metadata=None)
        for image in images[1:]:
            writer.write(image, tile=(16, 16), subfiletype=1, metadata=None)
    store = VirtualTIFF(ifd_layout="multiscale")(f"file://{path}", local_registry())
    with xr.open_datatree(store, engine="zarr", **OPTIONS) as tree:  # type: ignore[arg-type]
        assert sorted(tree.children) == ["0", "1", "2"]
        for i, image in enumerate(images):
            data = tree[f"{i}/image"]
            assert isinstance(data, xr.DataArray)
            assert same_bits(data.values, image)


def write_pages(path: Path) -> None:
    """Two pages with an overview each; the first has a thumbnail in colours too."""
    with tifffile.TiffWriter(path) as writer:
        for i in range(2):
            writer.write(pixels("uint8", (64, 48), i), metadata=None)
            writer.write(pixels("uint8", (16, 12), i + 10), subfiletype=1, metadata=None)
            if i == 0:
                colors = pixels("uint8", (8, 6, 3))
                writer.write(colors, subfiletype=1, photometric="rgb", metadata=None)
            # Larger than the one before.
            writer.write(pixels("uint8", (32, 24), i + 20), subfiletype=1, metadata=None)


def test_each_page_is_a_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    write_pages(path)
    together = plan_pyramid(path)
    assert list(together.groups) == ["0", "4"]
    for ifd, expected in ((0, [(0,), (3,), (1,)]), (4, [(4,), (6,), (5,)])):
        plan = plan_pyramid(path, ifd=ifd)
        assert together.groups[str(ifd)].attributes == plan.attributes
        assert list(together.groups[str(ifd)].groups) == list(plan.groups)
        assert [group.arrays["image"].ifd for group in plan.groups.values()] == expected
        sizes = [group.arrays["image"].shape for group in plan.groups.values()]
        assert sizes == [(64, 48), (32, 24), (16, 12)]
    with pytest.raises(InvalidOptionError) as caught:
        plan_pyramid(path, ifd=5)
    assert (caught.value.ifd, caught.value.url) == ((5,), f"file://{path}")
    assert caught.value.remedy is not None
    assert "ifd=4" in caught.value.remedy
    with pytest.raises(InvalidOptionError) as caught:
        plan_pyramid(path, ifd=7)
    assert caught.value.kind == ErrorKind.IFD_OUT_OF_RANGE


def test_only_an_overview(tmp_path: Path) -> None:
    """As GDAL writes `.ovr` files."""
    data = pixels("uint8", (9, 7))
    tifffile.imwrite(tmp_path / "a.ovr.tif", data, subfiletype=1, metadata=None)
    for options in ({}, {"ifd": 0}):
        plan = plan_pyramid(tmp_path / "a.ovr.tif", **options)
        assert [group.arrays["image"].shape for group in plan.groups.values()] == [(9, 7)]


def test_one_request_for_a_pyramid(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif")
    store, registry, _ = recording((tmp_path / "cog.tif").read_bytes())
    parser = VirtualTIFF(ifd=0, ifd_layout="multiscale")
    assert len(parser.plan(MEMORY_URL, registry).groups) == 4
    assert [method for method, _ in store.requests] == ["GET"]


def test_a_table_has_all_images_whatever_the_layout(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif")
    parser = VirtualTIFF(ifd_layout="multiscale")
    scans = [scan([tmp_path / "cog.tif"], parser=one) for one in (VirtualTIFF(), parser)]
    # Each row says when it was read.
    tables = [pa.table(each).drop_columns(["read_at"]) for each in scans]
    assert tables[0].num_rows == 8
    assert tables[0].equals(tables[1])


# --- coordinates and bands -----------------------------------------------------------------------


def test_without_coordinates(tmp_path: Path) -> None:
    write_elevation(tmp_path / "a.tif")
    with open_flat(tmp_path / "a.tif", coords=False) as dataset:
        assert set(dataset.variables) == {"0"}
        assert dataset.attrs["proj:code"] == "EPSG:32633"
        assert "grid_mapping" not in {**dataset["0"].attrs, **dataset["0"].encoding}
    write_cog(tmp_path / "cog.tif")
    plan = plan_pyramid(tmp_path / "cog.tif", coords=False)
    for group in plan.groups.values():
        assert set(group.arrays) == {"image", "mask"}
    # The group above says where the levels are.
    multiscales: Any = plan.attributes["multiscales"]
    assert Affine(*multiscales["layout"][0]["spatial:transform"]) == TRANSFORM


def test_coordinates_are_rioxarrays(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif")
    store = VirtualTIFF(ifd_layout="multiscale")(f"file://{tmp_path}/cog.tif", local_registry())
    with xr.open_datatree(store, engine="zarr", **OPTIONS) as tree:  # type: ignore[arg-type]
        for k in range(4):
            options: dict[str, Any] = {} if k == 0 else {"overview_level": k - 1}
            theirs = rioxarray.open_rasterio(tmp_path / "cog.tif", **options)
            assert isinstance(theirs, xr.DataArray)
            for axis in ("x", "y", "band"):
                ours = tree[f"{k}/{axis}"]
                assert isinstance(ours, xr.DataArray)
                assert same_bits(ours.values, theirs[axis].values), (k, axis)


# --- masks, alpha and nodata ---------------------------------------------------------------------


def masked(dataset: xr.Dataset) -> xr.DataArray:
    """The first image with what is not visible as NaN; the lines that the documentation gives."""
    image: xr.DataArray = dataset["0"]
    if "ancillary_variables" in image.attrs:
        return image.where(dataset[image.attrs["ancillary_variables"]] != 0)
    if "alpha" in image.attrs["color_interpretation"]:
        return image[:-1].where(image[-1] != 0)
    return image


def compare_masked(path: Path) -> str | None:
    """Compare with rioxarray's `masked=True`; `None` where there is nothing to mask."""
    with rasterio.open(path) as file:
        name = f"GTIFF_DIR:1:{path}" if file.subdatasets else str(path)
        flags = {flag for band in file.mask_flag_enums for flag in band}
    kinds = flags & {MaskFlags.per_dataset, MaskFlags.nodata}
    if not kinds:
        return None
    try:
        dataset = open_flat(path, coords=False)
    except VirtualTIFFError:
        return None  # refused: the corpus tests of pixels say which these are
    with dataset:
        image = dataset["0"]
        if image.attrs["photometric_interpretation"] == "Separated":
            return None  # GDAL makes RGB and an alpha band of CMYK
        scaled = "scale_factor" in image.encoding or "add_offset" in image.encoding
        how: dict[str, Any] = {"mask_and_scale" if scaled else "masked": True}
        theirs = rioxarray.open_rasterio(name, **how)
        assert isinstance(theirs, xr.DataArray)
        middle: dict[Any, slice] = {
            axis: slice(max(0, image.sizes[axis] // 2 - WINDOW // 2), None) for axis in ("x", "y")
        }
        ours = masked(dataset).isel(middle).isel(x=slice(WINDOW), y=slice(WINDOW)).values
        expected = theirs.isel(middle).isel(x=slice(WINDOW), y=slice(WINDOW)).values
    ours = ours if ours.ndim == 3 else ours[None]
    expected = expected[: len(ours)]
    if scaled:
        # rioxarray computes in float32, xarray in float64 where there is an offset.
        np.testing.assert_allclose(ours, expected, rtol=4 * np.finfo("f4").eps)
    else:
        assert ours.dtype == expected.dtype
        assert np.array_equal(ours, expected, equal_nan=True)
    return "nodata" if MaskFlags.nodata in kinds else "mask or alpha"


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore")
def test_masked_reads_of_the_corpus() -> None:
    found: list[str | None] = []
    wrong: dict[str, str] = {}
    with rasterio.Env(**GDAL_OPTIONS):
        for path in corpus_files():
            try:
                found.append(compare_masked(path))
            except rasterio.errors.RasterioError:
                continue  # GDAL reads no pixel of it, so there is nothing to be equal to
            except AssertionError as error:
                wrong[path.name] = str(error)[:500]
    assert wrong == {}
    assert any(found)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    # GDAL takes no alpha from floats.
    [*product(("mask", "alpha"), ("uint8", "uint16")), ("mask", "float32")],
)
def test_masked(kind: str, dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = np.nan_to_num(pixels(dtype, (4 if kind == "alpha" else 3, 30, 40)))
    visible = np.ones((30, 40), bool)
    visible[3:9, 5:20] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        if kind == "alpha":
            data[3] = np.where(visible, 1, 0)
            write_with_rasterio(path, data, photometric="rgb", ALPHA="NON-PREMULTIPLIED")
        else:
            write_with_rasterio(path, data, photometric="rgb")
            with rasterio.open(path, "r+") as dataset:
                dataset.write_mask(visible)
    assert compare_masked(path) == "mask or alpha"
    with open_flat(path) as found:
        hidden = np.isnan(masked(found).values)
    assert np.array_equal(hidden, np.broadcast_to(~visible, hidden.shape))


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 3), ("int16", -9), ("float32", np.nan)])
def test_masked_nodata(dtype: str, nodata: float, tmp_path: Path) -> None:
    data = np.nan_to_num(pixels(dtype, (2, 30, 40)))
    data[:, :5, 7] = nodata
    write_with_rasterio(tmp_path / "a.tif", data, nodata=nodata)
    assert compare_masked(tmp_path / "a.tif") == "nodata"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_the_comparison_sees_masks_of_files(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pixels("uint8", (2, 30, 40))
    valid = np.full((30, 40), 255, np.uint8)
    valid[3:7, 5:9] = 0
    file = tmp_path / "a.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        if kind == "alpha":
            write_with_rasterio(file, np.stack([data[0], valid]), ALPHA="YES")
        else:
            write_with_rasterio(file, data)
            with rasterio.open(file, "r+") as dataset:
                dataset.write_mask(valid)
    with rasterio.Env(**GDAL_OPTIONS):
        same = compare_georeferencing.compare(file, "a")
        assert same is not None
        assert same.refused is None
        assert same.differences == ()
        found = compare_georeferencing.pixels_of

        def moved(*arguments: Any) -> Any:
            return np.roll(found(*arguments), 1, axis=-1)

        monkeypatch.setattr(compare_georeferencing, "pixels_of", moved)
        other = compare_georeferencing.compare(file, "a")
    assert other is not None
    assert [each.field for each in other.differences] == ["file masks"]


# --- the corpus ----------------------------------------------------------------------------------


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore")
def test_georeferencing_equals_gdals(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_all([str(corpus_root())]) == 0
    printed = capsys.readouterr().out
    assert printed.count("(100.0 %)") == 2
    assert "differences: 0" in printed


def validate(plan: GroupPlan) -> set[str]:
    """Check all groups of a plan against the conventions; return the names of those declared."""
    declared: set[str] = set()
    for _, group in plan.walk():
        document: Any = json.loads(to_bytes(group_document(group)))
        attributes = document["attributes"]
        if "zarr_conventions" not in attributes:
            assert not any(":" in key for key in attributes)
            continue
        names = {convention["name"] for convention in attributes["zarr_conventions"]}
        assert names == zarr_cm.detect_revisions(attributes).keys()
        for name in names:
            getattr(zarr_cm, name).validate_group_metadata(document)
        declared |= names
        if "multiscales" in names:
            layout = attributes["multiscales"]["layout"]
            assert [entry["asset"] for entry in layout] == list(group.groups)
            for entry in layout if "spatial" in names else ():
                assert "spatial:transform" in entry
        else:
            assert names == {"proj"}
    return declared


@pytest.mark.filterwarnings("ignore")
def test_metadata_of_the_corpus(corpus_file: Path) -> None:
    """Every group validates, and levels have the sizes and transforms of GDAL's overviews."""
    parser = VirtualTIFF()
    try:
        flat = parser.plan(f"file://{corpus_file}", local_registry())
    except VirtualTIFFError:
        return  # refused: test_attributes looks at the descriptions of these
    assert any(is_image(name) for name in flat.arrays)
    validate(flat)
    ifds = walk_ifds(read(corpus_file.read_bytes()).ifds)
    pages = [ifd for ifd in ifds if not is_dependent(ifd)]
    if len(pages) > 1:
        assert len(plan_pyramid(corpus_file).groups) == len(pages)
    pyramid = plan_pyramid(corpus_file, ifd=0 if len(pages) > 1 else None)
    assert "multiscales" in validate(pyramid)
    sizes = [group.arrays["image"].shape[-2:] for group in pyramid.groups.values()]
    assert all(a[0] * a[1] >= b[0] * b[1] for a, b in pairwise(sizes[1:]))
    with rasterio.Env(**GDAL_OPTIONS):
        try:
            levels = list(gdal_levels(corpus_file))
        except rasterio.errors.RasterioIOError:
            return  # a compression that GDAL was built without
    layout: Any = pyramid.attributes["multiscales"]
    entries = layout["layout"]
    for group, entry, (height, width, transform) in zip(
        pyramid.groups.values(), entries, levels, strict=True
    ):
        image = group.arrays["image"]
        shape = dict(zip(image.dimension_names, image.shape, strict=True))
        assert (shape["y"], shape["x"]) == (height, width)
        if "spatial:transform" in entry:
            assert entry["spatial:transform"] == list(transform)[:6]
        else:
            # GDAL makes one up for overviews of images without.
            assert levels[0][2].is_identity


def gdal_levels(path: Path) -> Iterator[tuple[int, int, Affine]]:
    """Rows, columns and transform of the first image and of its overviews."""
    with rasterio.open(path) as dataset:
        count = len(dataset.overviews(1))
    for k in range(count + 1):
        with open_level(path, k) as level:
            yield level.height, level.width, level.transform
