"""Files beside a TIFF: what is published with them is what rasterio reads with them.

rasterio, on local files with sidecars, is the oracle throughout.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pyproj
import pytest
import rasterio
import tifffile
import xarray as xr
import zarr
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from obspec_utils.registry import ObjectStoreRegistry
from obstore.exceptions import PermissionDeniedError
from obstore.store import MemoryStore
from rasterio.control import GroundControlPoint
from rasterio.enums import MaskFlags

from tests.helpers.make import Pixels, pixels, same_bits, write_with_rasterio
from tests.helpers.range_server import RangeServer
from tests.helpers.read import local_registry, numcodecs_names, transform_of
from virtual_tiff import VirtualTIFF, open_repository, publish, scan, verify
from virtual_tiff.audit.report import Status
from virtual_tiff.cli import main
from virtual_tiff.errors import ErrorKind, InvalidOptionError, InvalidTIFFError, VirtualTIFFError
from virtual_tiff.inspection.read import info
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.tiff.auxiliary import parse_aux_xml, parse_world_file
from virtual_tiff.tiff.sidecars import names
from virtual_tiff.tiff.sidecars._find import MAX_METADATA_BYTES

HEIGHT, WIDTH = 101, 135
WGS84 = escape(rasterio.crs.CRS.from_epsg(4326).to_wkt(), {'"': "&quot;"})
WORLD = "5\n0\n0\n-7\n1000\n2000\n"

#: Contents of `<PAMDataset>`.
PAM = {
    "all": f"""
        <SRS dataAxisToSRSAxisMapping="2,1">{WGS84}</SRS>
        <GeoTransform> 1, 0.5, 0, 3, 0, -0.25</GeoTransform>
        <Metadata><MDI key="A">pam</MDI><MDI key="E">pam</MDI></Metadata>
        <Metadata domain="X"><MDI key="q">1</MDI></Metadata>
        <PAMRasterBand band="1"><Description>pam</Description><NoDataValue>7</NoDataValue>
        <UnitType>ft</UnitType><Offset>30</Offset><Scale>20</Scale><ColorInterp>Red</ColorInterp>
        <Metadata><MDI key="C">pam</MDI></Metadata></PAMRasterBand>""",
    "crs": f"<SRS>{WGS84}</SRS>",
    "code": "<SRS>EPSG:4326</SRS>",
    "no-crs": "<SRS></SRS>",
    "epoch": f'<SRS coordinateEpoch="2020.5">{WGS84}</SRS>',
    "transform": "<GeoTransform>0,1,0,0,0,1</GeoTransform>",
    "rotated": "<GeoTransform>0,1,0.5,0,0.25,-1</GeoTransform>",
    "broken-transform": "<GeoTransform>0,1,0,0,0</GeoTransform>",
    "point": '<Metadata><MDI key="AREA_OR_POINT">Point</MDI></Metadata>',
    "nodata": '<PAMRasterBand band="1"><NoDataValue>7</NoDataValue></PAMRasterBand>',
    "impossible-nodata": '<PAMRasterBand band="1"><NoDataValue>7e9</NoDataValue></PAMRasterBand>',
    "empty-nodata": '<PAMRasterBand band="1"><NoDataValue></NoDataValue></PAMRasterBand>',
    "offset": '<PAMRasterBand band="1"><Offset>5</Offset></PAMRasterBand>',
    "neutral": '<PAMRasterBand band="1"><Offset>0</Offset><Scale>1</Scale></PAMRasterBand>',
    "empty": '<PAMRasterBand band="1"><Description/><UnitType/></PAMRasterBand>',
    "too-many-bands": '<PAMRasterBand band="7"><Offset>5</Offset></PAMRasterBand>',
    "band-twice": '<PAMRasterBand band="1"><Scale>4</Scale></PAMRasterBand>'
    '<PAMRasterBand band="1"><Description>d</Description></PAMRasterBand>',
    "case": '<metadata><mdi KEY="k">v</mdi></metadata><pamrasterband BAND="1"><scale>4</scale>'
    "</pamrasterband>",
    "documents": '<Metadata domain="xml:X" format="xml"><Foo>b</Foo></Metadata>',
}


def write_plain(path: Path, shape: tuple[int, ...] = (HEIGHT, WIDTH), **options: Any) -> Pixels:
    data = pixels("uint8", shape, seed=3)
    write_with_rasterio(path, data, **options)
    return data


def write_described(path: Path) -> None:
    """An image that says itself all that a sidecar may say otherwise."""
    write_plain(path, nodata=9)
    with rasterio.open(path, "r+") as file:
        file.update_tags(A="own", B="own")
        file.update_tags(1, C="own", D="own")
        file.scales, file.offsets, file.units = (2,), (3,), ("m",)
        file.set_band_description(1, "own")


def write_undescribed(path: Path) -> None:
    write_plain(path, crs=None, transform=None)


def write_pam(path: Path, content: str) -> None:
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{content}</PAMDataset>", encoding="utf-8")


def write_mask(path: Path, *, internal: bool = False) -> None:
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:40, :30] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as file:
        file.write_mask(mask)


def build_overviews(path: Path, factors: Collection[int] = (2, 4), *, external: bool) -> None:
    with rasterio.Env(TIFF_USE_OVR=external), rasterio.open(path, "r+") as file:
        file.build_overviews(list(factors))


def write_all(path: Path) -> None:
    """An image of three bands with overviews, a mask and its overviews, and metadata beside it."""
    write_plain(path, (3, HEIGHT, WIDTH), photometric="rgb")
    write_mask(path)
    build_overviews(path, external=True)
    write_pam(path, PAM["all"])


def plan(path: Path, sidecars: Any = True, **options: Any) -> GroupPlan:
    return VirtualTIFF(sidecars=sidecars, **options).plan(f"file://{path}", local_registry())


def open_all(path: Path, **options: Any) -> zarr.Group:
    store = VirtualTIFF(sidecars=True, **options)(f"file://{path}", local_registry())
    with numcodecs_names():
        return zarr.open_group(store, mode="r", zarr_format=3)


def read(group: zarr.Group, name: str) -> Pixels:
    with numcodecs_names():
        array = group[name]
        assert isinstance(array, zarr.Array)
        return np.asarray(array[...])


def read_level(path: Path, level: int | None = None) -> tuple[Pixels, Pixels]:
    """What rasterio reads of a level: its pixels, and the mask of the dataset."""
    options = {} if level is None else {"overview_level": level}
    with rasterio.open(path, **options) as file:
        values = file.read()
        return (values[0] if file.count == 1 else values), file.dataset_mask()


def crs_of(attributes: Any) -> pyproj.CRS | None:
    wkt = attributes.get("crs_wkt")
    return None if wkt is None else pyproj.CRS.from_wkt(wkt)


def compare(path: Path, array: str = "0") -> None:
    """Compare all that is said of an image with what rasterio says of it."""
    group = plan(path)
    attributes = group.arrays[array].attributes
    mapping = (
        group.arrays[str(attributes.get("grid_mapping"))].attributes
        if ("grid_mapping" in attributes)
        else {}
    )
    with rasterio.open(path) as file:
        points, points_crs = file.gcps
        expected = file.crs or points_crs
        assert (expected is None) == ("crs_wkt" not in mapping)
        if expected is not None:
            found = crs_of(mapping)
            assert found is not None
            assert found.equals(pyproj.CRS.from_wkt(expected.to_wkt()), ignore_axis_order=True)
        georeferenced = transform_of(group, "0") or (0, 1, 0, 0, 0, 1)
        assert georeferenced == pytest.approx(file.transform.to_gdal())
        listed = json.loads(str(mapping.get("gcps", '{"features": []}')))["features"]
        assert [
            (
                point["properties"]["row"],
                point["properties"]["col"],
                *point["geometry"]["coordinates"],
                point["properties"]["id"],
                point["properties"]["info"],
            )
            for point in listed
        ] == [(p.row, p.col, p.x, p.y, p.z, p.id, p.info) for p in points]
        assert attributes.get("_FillValue") == file.nodata
        assert group.arrays[array].fill_value == (file.nodata or 0)
        assert (attributes.get("scale_factor", 1.0),) == file.scales
        assert (attributes.get("add_offset", 0.0),) == file.offsets
        assert (attributes.get("units"),) == file.units
        assert (attributes.get("long_name"),) == file.descriptions
        assert attributes["color_interpretation"] == [c.name for c in file.colorinterp]
        kept: Any = json.loads(str(attributes.get("gdal_metadata", "{}")))
        own = "AREA_OR_POINT" in attributes
        tags = {k: v for k, v in file.tags().items() if not own or k != "AREA_OR_POINT"}
        assert kept.get("", {}) == tags
        assert kept.get("X", {}) == file.tags(ns="X")
        of_bands: Any = json.loads(str(attributes.get("gdal_band_metadata", "[{}]")))
        assert of_bands[0].get("", {}) == file.tags(1)


# --- metadata ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", PAM.values(), ids=PAM)
@pytest.mark.parametrize("make", [write_described, write_undescribed])
def test_metadata_beside_a_file(tmp_path: Path, make: Callable[[Path], None], content: str) -> None:
    path = tmp_path / "image.tif"
    make(path)
    compare(path)
    write_pam(path, content)
    compare(path)


def test_metadata_that_gdal_writes(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path, profile="BASELINE", nodata=7, dtype="float32")
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, C="x")
        file.scales, file.offsets = (0.1,), (-4,)
    assert (tmp_path / "image.tif.aux.xml").exists()
    data = plan(path)
    assert "crs_wkt" in data.arrays["spatial_ref"].attributes
    with rasterio.open(path) as file:
        assert data.arrays["0"].attributes["scale_factor"] == file.scales[0]
        assert data.arrays["0"].fill_value == file.nodata == 7


GOOD = (
    '<PAMDataset>\n<Metadata><MDI key="A">v</MDI></Metadata>\n<PAMRasterBand band="1">'
    "<Scale>0.5</Scale><Offset>3</Offset><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>"
)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace(">v<", ">a\x03b<"),
        GOOD.replace('key="A"', "key=A").replace('band="1"', "band=1"),
        GOOD + "junk",
        GOOD + "<more/>",
        GOOD.replace("PAMDataset", "pamdataset").replace("Scale", "SCALE"),
        GOOD.replace("</MDI>", "</mdi>"),
        GOOD.replace(">v<", ">a > b<"),
        GOOD.replace(">3<", "> 3 m<"),
        "\ufeff" + GOOD,
        GOOD + "\0<",
    ],
)
def test_faulty_documents_as_gdal(tmp_path: Path, text: str) -> None:
    path = tmp_path / "image.tif"
    write_undescribed(path)
    Path(f"{path}.aux.xml").write_text(text)
    compare(path)
    attributes = plan(path).arrays["0"].attributes
    assert attributes["scale_factor"] == 0.5
    assert ("metadata_note" in attributes) == ("junk" in text or "<more" in text)


@pytest.mark.parametrize("more", ["<!-- a -->", "<?a?>", "<b/>"])
@pytest.mark.parametrize("text", ["0.5", "3", "7", "v"])
def test_text_with_something_in_it_as_gdal(tmp_path: Path, text: str, more: str) -> None:
    path = tmp_path / "image.tif"
    write_undescribed(path)
    Path(f"{path}.aux.xml").write_text(GOOD.replace(f">{text}<", f">{text}{more}<"))
    compare(path)
    note = str(plan(path).arrays["0"].attributes.get("metadata_note"))
    assert ("whose text is left out" in note) == (text != "v")


@pytest.mark.parametrize(
    ("scale", "value"), [("nan", None), ("inf", None), ("abc", None), ("0,5", 0.5)]
)
def test_numbers_of_a_sidecar_that_gdal_reads_otherwise(
    tmp_path: Path, scale: str, value: float | None
) -> None:
    path = tmp_path / "image.tif"
    write_undescribed(path)
    Path(f"{path}.aux.xml").write_text(GOOD.replace("<Scale>0.5", f"<Scale>{scale}"))
    attributes = plan(path).arrays["0"].attributes
    assert attributes.get("scale_factor") == value
    assert scale in str(attributes["metadata_note"])


@pytest.mark.parametrize(
    "before", ["<R/>", "<!DOCTYPE x>", "<!-- c -->", '<?xml version="1.0" encoding="none-such"?>']
)
def test_metadata_that_gdal_does_not_look_at(tmp_path: Path, before: str) -> None:
    """GDAL wants the element first, and says nothing where it is not."""
    path = tmp_path / "image.tif"
    write_undescribed(path)
    Path(f"{path}.aux.xml").write_text(before + GOOD)
    attributes = plan(path).arrays["0"].attributes
    assert attributes["scale_factor"] == 0.5
    assert ("metadata_note" in attributes) == (before in ("<R/>", "<!DOCTYPE x>"))


def test_a_bare_ampersand_in_metadata(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_undescribed(path)
    Path(f"{path}.aux.xml").write_text(GOOD.replace(">v<", ">Land & Water<"))
    attributes = plan(path).arrays["0"].attributes
    assert attributes["scale_factor"] == 0.5
    assert json.loads(str(attributes["gdal_metadata"]))[""] == {"A": "Land & Water"}


def test_exact_nodata(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path, dtype="float32")
    hexed = 'le_hex_equiv="000000E0FFFFEFC7"'
    write_pam(
        path,
        f'<PAMRasterBand band="1"><NoDataValue {hexed}>-3.4028e+38</NoDataValue></PAMRasterBand>',
    )
    with rasterio.open(path) as file:
        assert plan(path).arrays["0"].fill_value == file.nodata == float(np.finfo("f4").min)
    write_pam(path, '<PAMRasterBand band="1"><NoDataValue>nan</NoDataValue></PAMRasterBand>')
    found = plan(path).arrays["0"].fill_value
    assert isinstance(found, float)
    assert math.isnan(found)


def test_nodata_of_single_bands(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path, (3, HEIGHT, WIDTH), nodata=9)
    write_pam(path, '<PAMRasterBand band="2"><NoDataValue>3</NoDataValue></PAMRasterBand>')
    with rasterio.open(path) as file:
        assert plan(path).arrays["0"].attributes["band_nodata"] == list(file.nodatavals)
    # None of them is that of the array.
    assert "_FillValue" not in plan(path).arrays["0"].attributes
    every = "".join(
        f'<PAMRasterBand band="{i}"><NoDataValue>3</NoDataValue></PAMRasterBand>' for i in (1, 2, 3)
    )
    write_pam(path, every)
    assert plan(path).arrays["0"].fill_value == 3
    assert plan(path).arrays["0"].attributes["_FillValue"] == 3
    assert "band_nodata" not in plan(path).arrays["0"].attributes


def test_nodata_of_single_bands_of_a_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=32, height=32, count=2, dtype="uint8", sparse_ok=True
    ):
        pass
    write_pam(path, '<PAMRasterBand band="2"><NoDataValue>3</NoDataValue></PAMRasterBand>')
    with pytest.raises(VirtualTIFFError) as caught:
        plan(path)
    assert caught.value.kind == ErrorKind.INVALID_SIDECAR
    assert caught.value.url == f"file://{path}.aux.xml"


def test_missing_segments_read_as_the_nodata_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=32, height=32, count=1, dtype="uint8", sparse_ok=True
    ):
        pass
    write_pam(path, PAM["nodata"])
    assert same_bits(read(open_all(path), "0"), read_level(path)[0])
    assert read(open_all(path), "0").max() == 7


def test_colors_beside_a_file(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    write_pam(
        path,
        '<PAMRasterBand band="1"><ColorInterp>Palette</ColorInterp><ColorTable>'
        '<Entry c1="1" c2="2" c3="3" c4="255"/><Entry c1="4" c2="255" c3="6" c4="255"/>'
        "</ColorTable></PAMRasterBand>",
    )
    found: Any = plan(path).arrays["0"].attributes["color_map"]
    with rasterio.open(path) as file:
        colors = [color[:3] for color in file.colormap(1).values()]
    assert (np.reshape(found, (-1, 3)) >> 8).tolist() == [list(color) for color in colors]
    compare(path)


@pytest.mark.parametrize("more", ["", PAM["no-crs"], PAM["crs"]], ids=["alone", "no-crs", "crs"])
def test_control_points_beside_a_file(tmp_path: Path, more: str) -> None:
    path = tmp_path / "image.tif"
    write_undescribed(path)
    write_pam(
        path,
        f'<GCPList Projection="{WGS84}"><GCP Id="1" Info="a" Pixel="0.5" Line="1.5" X="1" Y="2"/>'
        '<GCP Id="2" Pixel="10" Line="0" X="2" Y="2" Z="3"/>'
        f'<GCP Id="3" Pixel="0" Line="10" X="1" Y="3" Z="0"/></GCPList>{more}',
    )
    compare(path)
    build_overviews(path, external=True)
    mapping = plan(path).arrays["spatial_ref_ovr.0"].attributes
    point = json.loads(str(mapping["gcps"]))["features"][1]["properties"]
    assert point["col"] == 10 / (WIDTH / 68)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("<PAMDataset><SRS>", "not well-formed"),
        ("<Foo/>", "another document"),
        ("", "nothing"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><PAMDataset>&b;</PAMDataset>', "entities"),
        ("<PAMDataset><SRS></PAMDataset>", "a tag that is not closed"),
    ],
)
def test_metadata_that_cannot_be_read(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    Path(f"{path}.aux.xml").write_text(content)
    with pytest.raises(InvalidTIFFError) as caught:
        plan(path)
    expected = ErrorKind.INVALID_SIDECAR if content else ErrorKind.EMPTY_FILE
    assert caught.value.kind == expected, why
    assert caught.value.url == f"file://{path}.aux.xml"
    others = plan(path, sidecars=("ovr", "msk", "world"))
    assert others.arrays.keys() == plan(path, sidecars=False).arrays.keys()


@given(st.binary(max_size=300))
def test_no_metadata_crash(data: bytes) -> None:
    for document in (data, b"<PAMDataset>" + data + b"</PAMDataset>"):
        with suppress(InvalidTIFFError):
            parse_aux_xml(document, "file:///image.tif.aux.xml")
    parse_world_file(data)


# --- world files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "suffix", "content"),
    [
        ("image.tif", "tfw", WORLD),
        ("image.tif", "tifw", WORLD),
        ("image.tif", "wld", WORLD),
        ("image.tif", "TFW", WORLD),
        ("IMAGE.TIF", "TFW", WORLD),
        ("IMAGE.TIF", "tfw", WORLD),
        ("image.tiff", "tfw", WORLD),
        ("image.tiff", "tiffw", WORLD),
        ("a.b.tif", "tfw", WORLD),
        ("image.tif", "tfw", "5,5\n0\n0\n-7\n1e3\n2000\n"),
        ("image.tif", "tfw", "\n 5.0x\n\n0\n0\n-7\n1000\n2000\nand more"),
        ("image.tif", "tfw", "5\r\n1\r\n-1\r\n-7\r\n1000\r\n2000"),
    ],
)
def test_world_files(tmp_path: Path, name: str, suffix: str, content: str) -> None:
    path = tmp_path / name
    write_undescribed(path)
    path.with_suffix(f".{suffix}").write_text(content, newline="")
    with rasterio.open(path) as file:
        assert not file.transform.is_identity
    compare(path)


def test_a_world_file_that_gdal_writes(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path, worldfile=True, profile="BASELINE")
    assert (tmp_path / "image.wld").exists()
    compare(path)
    Path(f"{path}.aux.xml").unlink()
    compare(path)


def test_which_georeferencing_counts(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    (tmp_path / "image.tfw").write_text(WORLD)
    compare(path)  # the TIFF's own
    write_pam(path, PAM["transform"])
    compare(path)  # that of the .aux.xml
    write_plain(path, transform=None)
    compare(path)
    write_pam(path, PAM["offset"])
    compare(path)  # the world file
    (tmp_path / "image.wld").write_text("6\n0\n0\n-7\n1000\n2000\n")
    compare(path)
    # Not a world file, so that the next name counts.
    (tmp_path / "image.tfw").write_text("0\n0\n0\n0\n1000\n2000\n")
    compare(path)


def test_a_world_file_comes_before_control_points(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_undescribed(path)
    with rasterio.open(path, "r+") as file:
        corners = ((0, 0, 1, 2), (10, 0, 1, 3), (0, 10, 2, 2))
        file.gcps = ([GroundControlPoint(*corner) for corner in corners], "EPSG:4326")
    (tmp_path / "image.tfw").write_text(WORLD)
    compare(path)


@pytest.mark.parametrize("content", ["", "hello", "0\n" * 6, "1\n" * 5, "nan\n" * 6])
def test_a_file_that_is_no_world_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "image.tif"
    write_undescribed(path)
    (tmp_path / "image.tfw").write_text(content)
    with pytest.raises(InvalidTIFFError) as caught:
        plan(path)
    assert caught.value.kind == (ErrorKind.INVALID_SIDECAR if content else ErrorKind.EMPTY_FILE)
    assert caught.value.url == f"file://{tmp_path}/image.tfw"


def test_names() -> None:
    assert names("s3://b/a.tiff", "ovr") == ("s3://b/a.tiff.ovr", "s3://b/a.tiff.OVR")
    assert names("s3://b/a.tiff", "aux.xml") == ("s3://b/a.tiff.aux.xml",)
    assert names("s3://b.c/image", "world") == ("s3://b.c/image.wld", "s3://b.c/image.WLD")


# --- overviews and masks -----------------------------------------------------------------------


def compare_levels(path: Path, overviews: Collection[str], mask_names: Collection[str]) -> None:
    """Compare the arrays of the sidecars with what rasterio reads of each level."""
    group = open_all(path)
    found = {name for name in group.array_keys() if name[0] not in "xybs"}
    assert found == {"0", *overviews, *mask_names}
    values, _ = read_level(path)
    assert same_bits(read(group, "0"), values)
    with rasterio.open(path) as file:
        assert len(file.overviews(1)) == len(overviews)
        full = file.transform
    for level, name in enumerate(overviews):
        values, mask = read_level(path, level)
        assert same_bits(read(group, name), values)
        attributes = group[name].attrs
        height, width = values.shape[-2:]
        scaled = full @ Affine.scale(WIDTH / width, HEIGHT / height)
        assert transform_of(plan(path), name) == pytest.approx(scaled.to_gdal())
        masked = attributes.get("ancillary_variables")
        assert (masked is not None) == bool(mask_names)
        if masked is not None:
            assert same_bits(np.where(read(group, str(masked)), 255, 0).astype("u1"), mask)


def test_overviews_beside_a_file(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path, nodata=9)
    build_overviews(path, external=True)
    compare_levels(path, ["ovr.0", "ovr.1"], [])
    assert plan(path).arrays["ovr.1"].attributes["_FillValue"] == 9
    assert set(plan(path, sidecars=False).arrays) == {"0", "x", "y", "spatial_ref"}


@pytest.mark.filterwarnings("ignore:.*different (scales|nodata values)")
def test_overviews_masks_and_metadata_together(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_all(path)
    assert (tmp_path / "image.tif.msk.ovr").exists()
    compare_levels(path, ["ovr.0", "ovr.1"], ["msk.0", "msk.ovr.0", "msk.ovr.1"])
    arrays = plan(path).arrays
    assert arrays["0"].attributes["ancillary_variables"] == "msk.0"
    # The .aux.xml is about one of three bands.
    assert arrays["ovr.0"].attributes["band_nodata"] == ["7", "", ""]
    assert arrays["ovr.0"].attributes["long_name"] == ["pam", "", ""]
    assert "band_nodata" not in arrays["msk.0"].attributes


def test_a_file_with_overviews_and_a_mask_of_its_own(tmp_path: Path) -> None:
    """As in GDAL, those count, and the ones beside it are not even asked for."""
    path = tmp_path / "image.tif"
    write_plain(path)
    write_mask(path, internal=True)
    build_overviews(path, [2], external=False)
    expected = plan(path, sidecars=False).arrays.keys()
    Path(f"{path}.ovr").write_bytes(b"never read")
    Path(f"{path}.msk").write_bytes(b"never read")
    assert plan(path).arrays.keys() == expected
    with rasterio.open(path) as file:
        assert file.overviews(1) == [2]


def test_external_overviews_of_a_file_with_a_mask(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    write_mask(path, internal=True)
    build_overviews(path, external=True)
    arrays = plan(path).arrays
    assert arrays["0"].attributes["ancillary_variables"] == "1"
    with rasterio.open(path, overview_level=0) as file:
        assert file.mask_flag_enums == ([MaskFlags.all_valid],)
    assert "ancillary_variables" not in arrays["ovr.0"].attributes


@pytest.mark.parametrize("flags", [None, 0, 2, 6, 8])
def test_mask_flags(tmp_path: Path, flags: int | None) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    write_with_rasterio(Path(f"{path}.msk"), pixels("uint8", (HEIGHT, WIDTH)) // 128 * 255)
    if flags is not None:
        with rasterio.open(f"{path}.msk", "r+") as file:
            file.update_tags(INTERNAL_MASK_FLAGS_1=str(flags))
    with rasterio.open(path) as file:
        is_mask = MaskFlags.per_dataset in file.mask_flag_enums[0]
    assert is_mask == (flags in (2, 6))
    assert ("msk.0" in plan(path).arrays) == is_mask


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    path, other = tmp_path / "image.tif", tmp_path / "other.tif"
    write_plain(path, (20, 30))
    write_plain(other)
    write_mask(other)
    shutil.move(f"{other}.msk", f"{path}.msk")
    with pytest.raises(InvalidTIFFError) as caught:
        plan(path)
    assert caught.value.kind == ErrorKind.INVALID_SIDECAR
    assert caught.value.url == f"file://{path}.msk"


def test_overviews_of_another_image(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    write_plain(Path(f"{path}.ovr"), (HEIGHT + 1, 20))
    with pytest.raises(InvalidTIFFError) as caught:
        plan(path)
    assert caught.value.kind == ErrorKind.INVALID_SIDECAR
    assert caught.value.url == f"file://{path}.ovr"


def test_metadata_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    Path(f"{path}.aux.xml").write_text("<PAMDataset>" + " " * MAX_METADATA_BYTES + "</PAMDataset>")
    with pytest.raises(InvalidTIFFError) as caught:
        plan(path)
    assert caught.value.kind == ErrorKind.INVALID_SIDECAR


def test_over_http(tmp_path: Path) -> None:
    """A web server that has no such file says 404, which is normal."""
    for name in ("all", "none"):
        (tmp_path / "images" / name).mkdir(parents=True)
    write_all(tmp_path / "images" / "all" / "image.tif")
    write_undescribed(tmp_path / "images" / "none" / "image.tif")
    parser = VirtualTIFF(sidecars=True)
    with RangeServer(tmp_path / "images") as server:
        urls = [f"{server.url}/{name}/image.tif" for name in ("all", "none")]
        publish(urls, tmp_path / "repository", parser=parser)
        store = open_repository(tmp_path / "repository").readonly_session("main").store
        with numcodecs_names():
            group = zarr.open_group(store, mode="r", zarr_format=3)
        values, _ = read_level(tmp_path / "images" / "all" / "image.tif", 1)
        assert same_bits(read(group, "all/image/ovr.1"), values)
        assert "ovr.0" not in dict(group["none/image"].members())  # type: ignore[union-attr]


def test_overviews_that_are_no_tiff(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    Path(f"{path}.ovr").write_bytes(b"EHFA_HEADER_TAG" + bytes(100))
    with pytest.raises(InvalidTIFFError) as caught:
        plan(path)
    assert caught.value.kind == ErrorKind.NOT_A_TIFF
    assert caught.value.url == f"file://{path}.ovr"
    assert "sidecars" in (caught.value.remedy or "")


@pytest.mark.filterwarnings("ignore:.*different scales")
@pytest.mark.filterwarnings("ignore:.*different (scales|nodata values)")
def test_levels_of_a_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_all(path)
    group = plan(path, ifd_layout="multiscale")
    assert list(group.groups) == ["0", "1", "2"]
    store = VirtualTIFF(ifd_layout="multiscale", sidecars=True)(f"file://{path}", local_registry())
    with xr.open_datatree(store, engine="zarr", consolidated=False, mask_and_scale=False) as tree:  # type: ignore[arg-type]
        for name, level in (("0", None), ("1", 0), ("2", 1)):
            values, mask = read_level(path, level)
            dataset = tree[name].to_dataset()
            assert same_bits(dataset["image"].values, values)
            assert same_bits(np.where(dataset["mask"].values, 255, 0).astype("u1"), mask)
            assert dataset["image"].attrs["ancillary_variables"] == "mask"
    sources = [level.arrays["image"].source for level in group.groups.values()]
    urls = [source.url for source in sources if source is not None]
    assert urls == [f"file://{path}", f"file://{path}.ovr", f"file://{path}.ovr"]


def test_nested_layout(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_all(path)
    assert list(plan(path, ifd_layout="nested").groups) == [
        "0", "ovr.0", "ovr.1", "msk.0", "msk.ovr.0", "msk.ovr.1",
    ]  # fmt: skip


def test_one_image_gets_the_metadata_alone(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_all(path)
    group = plan(path, ifd=0)
    assert set(group.arrays) == {"0", "band", "x", "y", "spatial_ref"}
    assert group.arrays["0"].attributes["long_name"] == ["pam", "", ""]


def test_short_last_strips_and_copies_in_sidecars(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    overview = pixels("uint8", (51, 68))
    write_with_rasterio(Path(f"{path}.ovr"), overview, BLOCKYSIZE=16, COMPRESS="DEFLATE")
    group = open_all(path)
    assert same_bits(read(group, "ovr.0"), overview)
    assert plan(path).arrays["ovr.0"].inline
    # Complex integers have to be copied.
    values = (overview.astype("float32") + 1j).astype("complex64")
    with rasterio.open(
        f"{path}.ovr", "w", driver="GTiff", width=68, height=51, count=1, dtype="complex_int16"
    ) as file:
        file.write(values, 1)
    with pytest.raises(VirtualTIFFError) as caught:
        plan(path)
    assert caught.value.url == f"file://{path}.ovr"
    assert caught.value.ifd == (0,)
    copied = open_all(path, on_unsupported="copy")
    assert same_bits(read(copied, "ovr.0"), values)
    assert "copied_because" in copied["ovr.0"].attrs
    assert "copied_because" not in copied["0"].attrs


def test_later_pages_have_no_sidecars(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    write_pam(path, PAM["all"])
    pages = tmp_path / "pages.tif"
    with tifffile.TiffWriter(pages) as writer:
        for seed in range(2):
            writer.write(pixels("uint8", (20, 30), seed), metadata=None)
    shutil.copy(f"{path}.aux.xml", f"{pages}.aux.xml")
    arrays = plan(pages).arrays
    assert arrays["0"].attributes["long_name"] == "pam"
    assert "long_name" not in arrays["1"].attributes
    assert "long_name" not in plan(pages, ifd=1).arrays["1"].attributes


# --- requests ----------------------------------------------------------------------------------


class Requests:
    """Passes requests on to a store; notes their names, and how many were under way at once."""

    def __init__(self, store: MemoryStore, refused: Collection[str] = ()) -> None:
        self.store = store
        self.refused = refused
        self.paths: list[str] = []
        self.at_once = self._now = 0

    async def get_async(self, path: str, *, options: Any = None) -> Any:
        self.paths.append(path)
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        await asyncio.sleep(0.01)
        self._now -= 1
        if path in self.refused:
            raise PermissionDeniedError("403")
        return await self.store.get_async(path, options=options)


def in_store(
    folder: Path, refused: Collection[str] = ()
) -> tuple[Requests, ObjectStoreRegistry[Any]]:
    memory = MemoryStore()
    for path in folder.iterdir():
        memory.put(path.name, path.read_bytes())
    store = Requests(memory, refused)
    return store, ObjectStoreRegistry({"memory://tests": store})


URL = "memory://tests/image.tif"


def test_requests(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_plain(path)
    store, registry = in_store(tmp_path)
    VirtualTIFF().plan(URL, registry)
    assert store.paths == ["image.tif"]
    store, registry = in_store(tmp_path)
    VirtualTIFF(sidecars=True).plan(URL, registry)
    beside = {f"image.tif.{s}" for s in ("ovr", "OVR", "msk", "MSK", "aux.xml")}
    beside |= {f"image{s}" for s in (".RPB", ".rpb", "_rpc.txt", "_RPC.TXT", ".IMD", ".imd")}
    beside |= {"image.xml", "image.XML"}
    assert set(store.paths[1:]) == beside
    assert len(store.paths) == 14
    # All at once.
    assert store.at_once == 13
    store, registry = in_store(tmp_path)
    VirtualTIFF(sidecars=("aux.xml", "world")).plan(URL, registry)
    assert store.paths == ["image.tif", "image.tif.aux.xml"]


def test_world_files_are_looked_for_where_there_is_no_transform(tmp_path: Path) -> None:
    write_undescribed(tmp_path / "image.tif")
    store, registry = in_store(tmp_path)
    VirtualTIFF(sidecars=["world"]).plan(URL, registry)
    suffixes = ("tfw", "TFW", "tifw", "TIFW", "wld", "WLD")
    assert set(store.paths[1:]) == {f"image.{suffix}" for suffix in suffixes}


def test_a_store_that_refuses(tmp_path: Path) -> None:
    write_plain(tmp_path / "image.tif")
    _, registry = in_store(tmp_path, {"image.tif.msk"})
    with pytest.raises(VirtualTIFFError) as caught:
        VirtualTIFF(sidecars=True).plan(URL, registry)
    assert caught.value.kind == ErrorKind.NOT_AUTHORIZED
    assert caught.value.url == f"{URL}.msk"
    VirtualTIFF(sidecars=("ovr", "aux.xml")).plan(URL, registry)


@pytest.mark.parametrize("wanted", ["ovr", ("ovr", "tfw"), [""], 3])
def test_kinds_that_are_none(wanted: Any) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        VirtualTIFF(sidecars=wanted)
    assert caught.value.kind == ErrorKind.INVALID_OPTION


# --- archives, and the command line --------------------------------------------------------------


def test_publish_and_verify(tmp_path: Path) -> None:
    path = tmp_path / "images" / "image.tif"
    path.parent.mkdir()
    write_all(path)
    repository = tmp_path / "repository"
    result = publish([path], repository, parser=VirtualTIFF(sidecars=True))
    assert result.unchecked == ()
    store = open_repository(repository).readonly_session("main").store
    with numcodecs_names():
        group = zarr.open_group(store, path="image", mode="r", zarr_format=3)
    for level, name in enumerate(("ovr.0", "ovr.1")):
        values, mask = read_level(path, level)
        assert same_bits(read(group, name), values)
        mask_name = str(group[name].attrs["ancillary_variables"])
        assert same_bits(np.where(read(group, mask_name), 255, 0).astype("u1"), mask)
    report = verify(repository, sample=None)
    urls = [f"file://{path}{suffix}" for suffix in ("", ".msk", ".msk.ovr", ".ovr")]
    assert sorted(finding.url for finding in report.findings) == urls
    assert {finding.status for finding in report.findings} == {Status.OK}
    # Every one of them, and not only the TIFF itself.
    assert all(finding.decoded for finding in report.findings)
    later = os.stat(path).st_mtime + 100
    os.utime(f"{path}.ovr", (later, later))
    faults = verify(repository).faults
    assert [(fault.url, fault.status) for fault in faults] == [
        (f"file://{path}.ovr", Status.CHANGED)
    ]


def test_inventories_have_no_sidecars(tmp_path: Path) -> None:
    write_plain(tmp_path / "image.tif")
    with pytest.raises(InvalidOptionError):
        scan([tmp_path / "image.tif"], parser=VirtualTIFF(ifd=0, sidecars=True))


def test_info(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_all(path)
    (found,) = info([path], sidecars=True)
    assert [(image.ifd, image.kind) for image in found.images] == [
        ("0", "image"),
        ("ovr.0", "overview"),
        ("ovr.1", "overview"),
        ("msk.0", "mask"),
        ("msk.ovr.0", "mask"),
        ("msk.ovr.1", "mask"),
    ]
    assert found.images[0].crs == "EPSG:4326 (WGS 84)"
    assert found.images[0].nodata == "7 none none"
    assert [url.removeprefix(f"file://{path}") for url in found.sidecars] == [
        ".ovr", ".msk", ".msk.ovr", ".aux.xml",
    ]  # fmt: skip
    (without,) = info([path])
    assert len(without.images) == 1
    assert without.sidecars == ()


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "image.tif"
    write_all(path)
    assert main(["info", str(path), "--sidecars", "ovr,aux.xml", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [image["ifd"] for image in found["images"]] == ["0", "ovr.0", "ovr.1"]
    assert main(["info", str(path), "--sidecars", "all"]) == 0
    assert f"{path.name}.aux.xml" in capsys.readouterr().out.replace("\n", "")
    repository = str(tmp_path / "repository")
    assert main(["publish", str(path), "--to", repository, "--sidecars", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arrays"] > 6
    assert main(["info", str(path), "--sidecars", "rrd"]) == 2


def test_pages_have_no_place_for_images_in_sidecars(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError):
        VirtualTIFF(ifd_layout="pages", sidecars=("ovr", "aux.xml"))
    path = tmp_path / "image.tif"
    write_with_rasterio(path, pixels("uint8", (64, 64)))
    (tmp_path / "image.tif.ovr").write_bytes(path.read_bytes())
    plan = VirtualTIFF(ifd_layout="pages", sidecars=True).plan(path.as_uri(), local_registry())
    assert [name for name in plan.arrays if name not in ("x", "y", "spatial_ref")] == ["image"]
