"""Attributes: what xarray, rioxarray, GDAL and the conventions' schemas make of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import rioxarray
import tifffile
import xarray as xr
import zarr
import zarr_cm
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from xarray.backends.zarr import FillValueCoder
from zarr.storage import MemoryStore

from scripts.compare_georeferencing import read
from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF
from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.planning.attributes import (
    Description,
    attribute_notes,
    coordinate_attributes,
    coordinate_values,
    crs_attributes,
    describe,
    encode_fill_value,
)
from virtual_tiff.planning.encoding.data_type import image_nodata, nodata_value
from virtual_tiff.tags import NewSubfileType, Tag
from virtual_tiff.tiff.geokeys import CRSResult, crs_of_keys
from virtual_tiff.tiff.ifd import ImageFileDirectory

# Others still write `*` for products of matrices.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

UTM = CRS.from_epsg(32631)
TRANSFORM = Affine(10.1, 0, 500_000.3, 0, -20.7, 4_600_000.9)
SHAPE = (7, 5)


def write(path: Path, pixels: Any, **profile: Any) -> Path:
    """Write `(y, x)` or `(band, y, x)` with rasterio; pairs of lists set things band by band."""
    bands = pixels if pixels.ndim == 3 else pixels[None]
    later = {
        k: profile.pop(k) for k in ("scales", "offsets", "units", "colorinterp") & profile.keys()
    }
    names = profile.pop("descriptions", ())
    tags = profile.pop("tags", {})
    with rasterio.open(
        path,
        "w",
        **{
            "driver": "GTiff",
            "count": len(bands),
            "height": bands.shape[1],
            "width": bands.shape[2],
            "dtype": bands.dtype,
            "crs": UTM,
            "transform": TRANSFORM,
            **profile,
        },
    ) as dataset:
        # Before the pixels: GDAL writes the directory with the first of them.
        dataset.update_tags(**tags)
        for name, value in later.items():
            setattr(dataset, name, value)
        for i, name in enumerate(names, 1):
            if name is not None:
                dataset.set_band_description(i, name)
        dataset.write(bands)
    return path


def first(path: Path) -> ImageFileDirectory:
    return read(path.read_bytes()).ifds[0]


def described(path: Path) -> Description:
    """The description of the first image, with its nodata value in the type of the pixels."""
    ifd = first(path)
    with rasterio.open(path) as dataset:
        data_type = np.dtype(dataset.dtypes[0])
    return describe(ifd, fill_value=nodata_value(ifd.gdal_nodata, data_type))


def published(path: Path, *, coords: bool = True) -> MemoryStore:
    """A Zarr store of the pixels as GDAL reads them, with our attributes."""
    description = described(path)
    with rasterio.open(path) as dataset:
        pixels = dataset.read()
    store = MemoryStore()
    group = zarr.create_group(store, attributes=dict(description.group_attributes), zarr_format=3)
    pixels = pixels[0] if len(pixels) == 1 else pixels
    dimensions = ("band", "y", "x")[-pixels.ndim :]
    group.create_array(
        "0",
        data=pixels,
        dimension_names=dimensions,
        attributes=dict(description.array_attributes),
    )
    if description.spatial_ref_attributes is not None:
        group.create_array(
            "spatial_ref",
            data=np.array(0),
            dimension_names=(),
            attributes=dict(description.spatial_ref_attributes),
        )
    if coords and description.geotransform is not None:
        height, width = pixels.shape[-2:]
        for name, size in (("x", width), ("y", height)):
            values = coordinate_values(description.geotransform, size, "x" if name == "x" else "y")
            assert values is not None
            group.create_array(name, data=values, dimension_names=(name,))
    return store


def opened(path: Path, **options: Any) -> xr.DataArray:
    array: xr.DataArray = open_store(published(path, **options))["0"]
    return array


def open_store(store: MemoryStore, **options: Any) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(store, zarr_format=3, consolidated=False, **options)
    return dataset


def pixels(dtype: str, bands: int = 1) -> Any:
    values = np.arange(bands * SHAPE[0] * SHAPE[1]).reshape(bands, *SHAPE).astype(dtype)
    return values[0] if bands == 1 else values


# --- fill values, scales and offsets -------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (0, "uint8"),
        (-9999, "int16"),
        (2**64 - 1, "uint64"),
        (-9999.0, "float32"),
        (-3.4028234663852886e38, "float32"),
        (0.1, "float64"),
        (float("nan"), "float16"),
        (float("-inf"), "float64"),
        (complex(1.5, -2), "complex64"),
        (complex(float("nan"), 0), "complex128"),
    ],
)
def test_fill_value_as_xarray_decodes_it(value: complex, dtype: str) -> None:
    encoded: Any = encode_fill_value(value)
    json.dumps(encoded, allow_nan=False)
    assert encoded == FillValueCoder.encode(value, np.dtype(dtype))
    decoded = FillValueCoder.decode(encoded, dtype)
    assert repr(decoded) == repr(value)


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 3),
        ("int16", -3),
        ("uint16", 3),
        ("int32", 3),
        ("uint32", 3),
        ("int64", 3),
        ("float32", 3.0),
        ("float32", float("nan")),
        ("float64", 0.1),
    ],
)
@pytest.mark.parametrize("bands", [1, 3])
def test_masked_as_rioxarray_masks(dtype: str, nodata: float, bands: int, tmp_path: Path) -> None:
    values = pixels(dtype, bands)
    values[..., 0, 1] = nodata
    path = write(tmp_path / "a.tif", values, nodata=nodata)
    ours = opened(path)
    theirs = rioxarray.open_rasterio(path, masked=True)
    assert isinstance(theirs, xr.DataArray)
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours.values.reshape(theirs.shape), theirs.values, equal_nan=True)
    assert np.isnan(ours.values).any()


@pytest.mark.parametrize(
    ("dtype", "text", "value"),
    [
        ("float32", "-3.40282e+38", np.finfo("float32").min),
        ("float32", "-3.402823e+38", np.finfo("float32").min),
        ("float32", "-3.40282306074e+38", np.finfo("float32").min),
        ("float32", "-3.4e+38", np.float32(-3.4e38)),
        ("float64", "-3.402823466e+38", float(np.finfo("float32").min)),
        ("float64", "-3.40282346638529e+38", float(np.finfo("float32").min)),
        ("float64", "9.96920996838687e+36", 9.969209968386869e36),
        ("uint64", "-1", 2**64 - 1),
        ("float64", "-1.797693e+308", np.finfo("float64").min),
        ("float64", "9.96921e+36", float(np.float32(9.96920996838687e36))),
        ("float32", "-9999\0junk", -9999),
        ("uint8", "255\0000\0", 255),
        ("int16", "-9999,0", -9999),
    ],
)
def test_rounded_nodata_masks_what_rioxarray_masks(
    dtype: str, text: str, value: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    values = np.ones((8, 8), dtype)
    values[0, 0] = value
    data = text.encode() + b"\0"
    tifffile.imwrite(
        path, values, extratags=[(Tag.GDAL_NODATA, 2, len(data), data, True)], metadata=None
    )
    theirs = rioxarray.open_rasterio(path, masked=True)
    assert isinstance(theirs, xr.DataArray)
    assert np.array_equal(np.isnan(opened(path).values), np.isnan(theirs.values[0]))
    assert np.isnan(theirs.values[0, 0, 0])


@pytest.mark.parametrize("text", ["-9999", "1e40", "255.5"])
def test_nodata_that_no_pixel_can_equal_is_kept_as_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        pixels("uint8"),
        extratags=[(Tag.GDAL_NODATA, 2, len(text) + 1, text, True)],
        metadata=None,
    )
    attributes = described(path).array_attributes
    assert "_FillValue" not in attributes
    tags = json.loads(str(attributes["tiff"]))
    assert tags["GDAL_NODATA"] == text


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("nodata", [None, 3])
@pytest.mark.parametrize(("scale", "offset"), [(0.5, 0.0), (1.0, -10.0), (0.1, 273.15)])
def test_scaled_as_rioxarray_scales(
    dtype: str, nodata: int | None, scale: float, offset: float, tmp_path: Path
) -> None:
    path = write(
        tmp_path / "a.tif",
        pixels(dtype, 2),
        nodata=nodata,
        scales=(scale, scale),
        offsets=(offset, offset),
    )
    ours = opened(path)
    theirs = rioxarray.open_rasterio(path, mask_and_scale=True)
    assert isinstance(theirs, xr.DataArray)
    # rioxarray computes in float32, xarray in float64 where there is an offset.
    np.testing.assert_allclose(ours.values, theirs.values, rtol=4 * np.finfo("f4").eps)
    stored = xr.open_zarr(published(path), zarr_format=3, consolidated=False, mask_and_scale=False)[
        "0"
    ]
    assert np.array_equal(stored.values, pixels(dtype, 2))


@pytest.mark.parametrize(
    ("scales", "offsets"),
    [
        ((0.5, 0.25), (0.0, 0.0)),
        ((0.5, 0.5), (1.0, 2.0)),
        ((1.0, 1.0), (1.0, 2.0)),
        ((0.0,) * 2, (0.0,) * 2),
    ],
)
def test_scales_of_bands_that_differ_are_listed(
    scales: tuple[float, ...], offsets: tuple[float, ...], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tif", pixels("int16", 2), scales=scales, offsets=offsets)
    ours = opened(path)
    # Nothing is decoded, since no one factor would be right for all bands …
    assert np.array_equal(ours.values, pixels("int16", 2))
    # … and what is listed is what GDAL has.
    assert tuple(ours.attrs.get("scales", (1.0, 1.0))) == scales
    assert tuple(ours.attrs.get("offsets", (0.0, 0.0))) == offsets
    copy = write(tmp_path / "b.tif", pixels("int16", 2))
    ours.rio.to_raster(copy)
    with rasterio.open(copy) as dataset:
        assert dataset.scales == scales
        assert dataset.offsets == offsets


def test_complex_numbers_are_not_scaled(tmp_path: Path) -> None:
    values = pixels("complex64") * (1 + 2j)
    path = write(tmp_path / "a.tif", values, scales=(0.5,), offsets=(1.0,), nodata=0)
    attributes = described(path).array_attributes
    assert attributes["scales"] == [0.5]
    assert attributes["offsets"] == [1.0]
    ours = opened(path)
    assert ours.dtype == np.complex64
    assert np.array_equal(ours.values.ravel()[1:], values.ravel()[1:])
    assert np.isnan(ours.values[0, 0])


def test_heights_get_scale_offset_and_unit_of_their_system(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif",
        pixels("int16"),
        crs=CRS.from_user_input("EPSG:32631+3855"),
        scales=(0.5,),
        offsets=(3.0,),
    )
    attributes = described(path).array_attributes
    assert attributes["scale_factor"] == 0.5
    assert attributes["add_offset"] == 3.0
    assert attributes["units"] == "metre"
    ifd = replace(first(path), new_subfile_type=int(NewSubfileType.MASK))
    of_mask = describe(ifd, full=first(path)).array_attributes
    assert not {"scale_factor", "add_offset", "units"} & of_mask.keys()


def test_nodata_of_all_bands_together_masks_nothing(tmp_path: Path) -> None:
    values = pixels("uint8", 3)
    values[..., 0, 1] = 0
    path = write(tmp_path / "a.tif", values, nodata=0, tags={"NODATA_VALUES": "0 0 0"})
    ifd = first(path)
    assert image_nodata(ifd, np.dtype("uint8")) is None
    # Of overviews too, which do not have the item.
    level = replace(ifd, gdal_metadata=None)
    assert image_nodata(level, np.dtype("uint8")) == 0
    assert image_nodata(level, np.dtype("uint8"), ifd) is None
    attributes = describe(ifd).array_attributes
    assert attributes["nodata_values"] == [0, 0, 0]
    assert len(attribute_notes(attributes)) == 1
    # Values of another number of bands have no meaning.
    tags = {"NODATA_VALUES": "0 0"}
    path = write(tmp_path / "b.tif", pixels("uint8", 3), nodata=0, tags=tags)
    assert image_nodata(first(path), np.dtype("uint8")) == 0


def test_values_are_those_that_netcdf_holds(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "tags": {"A": "1"},
        "units": ("m", "", "K"),
        "scales": (1, 0.5, 1),
        "descriptions": ("a", None, "c"),
    }
    attributes = described(write(tmp_path / "a.tif", pixels("uint8", 3), **options))
    for value in attributes.array_attributes.values():
        parts = value if isinstance(value, list) else [value]
        assert all(isinstance(part, str | int | float) for part in parts)
        assert len({isinstance(part, str) for part in parts}) == 1


@pytest.mark.parametrize("text", ["65535", "-9999999", "-3.4e38", "1e20", "1e-10", "-1e-32"])
def test_infinity_and_zero_are_not_what_float16_cannot_hold(text: str) -> None:
    assert nodata_value(text, np.dtype("float16")) is None
    assert nodata_value("inf", np.dtype("float16")) == np.inf


def test_nodata_values_of_bands(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels("uint8", 3), tags={"NODATA_VALUES": "1 2 nan"})
    assert described(path).array_attributes["nodata_values"] == ["1.0", "2.0", "nan"]


def test_overviews_without_the_tag_have_the_nodata_value_of_their_image(tmp_path: Path) -> None:
    """GDAL masks them so when it reads the image at their size."""
    path = tmp_path / "a.tif"
    data = (np.arange(4096, dtype="u2") % 50).reshape(64, 64)
    with tifffile.TiffWriter(path) as file:
        tag = [(Tag.GDAL_NODATA, 2, 2, "8", True)]
        file.write(data, tile=(16, 16), extratags=tag, metadata=None)
        file.write(data[::2, ::2], tile=(16, 16), subfiletype=1, metadata=None)
    with rasterio.open(path) as dataset:
        masked = dataset.read_masks(1, out_shape=(32, 32)) == 0
    assert masked.any()
    store = VirtualTIFF()(path.as_uri(), local_registry())
    with xr.open_zarr(store, zarr_format=3, consolidated=False, chunks=None) as opened:
        assert np.array_equal(np.isnan(opened["1"].values), masked)
        assert opened["1"].encoding["_FillValue"] == 8


# --- names and units -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "attribute", "value"),
    [
        (("m", "m"), "units", "m"),
        (("m", "K"), "band_units", ["m", "K"]),
        (("", "K"), "band_units", ["", "K"]),
        (("days", "days"), "units", "days"),
        (("days since 2000-01-01",) * 2, "band_units", ["days since 2000-01-01"] * 2),
        (("days since ever",) * 2, "band_units", ["days since ever"] * 2),
    ],
)
def test_units(units: tuple[str, ...], attribute: str, value: object, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels("int16", 2), units=units)
    attributes = described(path).array_attributes
    assert attributes[attribute] == value
    assert len({"units", "band_units"} & attributes.keys()) == 1
    # Whatever they are, xarray opens the array as numbers.
    assert np.array_equal(opened(path).values, pixels("int16", 2))


@pytest.mark.parametrize(
    ("names", "band_names", "long_name"),
    [
        ((None, None), (), None),
        (("red", "blue"), ("red", "blue"), ["red", "blue"]),
        (("red", None), ("red", "2"), ["red", ""]),
        (('Zürich & "co"', "b"), ('Zürich & "co"', "b"), ['Zürich & "co"', "b"]),
    ],
)
def test_band_names(
    names: tuple[str | None, ...],
    band_names: tuple[str, ...],
    long_name: list[str] | None,
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.tif", pixels("uint8", 2), descriptions=names)
    description = described(path)
    assert description.band_names == band_names
    assert description.array_attributes.get("long_name") == long_name
    copy = tmp_path / "b.tif"
    opened(path).rio.to_raster(copy)
    if long_name is not None:
        with rasterio.open(copy) as dataset:
            assert [text or "" for text in dataset.descriptions] == long_name


def test_the_name_of_a_single_band_is_a_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels("uint8"), descriptions=("height",))
    description = described(path)
    assert description.array_attributes["long_name"] == "height"
    assert description.band_names == ("height",)


# --- colours -------------------------------------------------------------------------------------


def test_palette_to_rgb_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write(path, pixels("uint8"), photometric="palette")
    colors = {i: (i, 255 - i, (i * 7) % 256, 255) for i in range(256)}
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colors)
    ours = opened(path)
    assert ours.attrs["photometric_interpretation"] == "Palette"
    assert ours.attrs["color_interpretation"] == ["palette"]
    rgb = np.reshape(ours.attrs["color_map"], (-1, 3))[ours.values] >> 8
    with rasterio.open(path) as dataset:
        palette = dataset.colormap(1)
    expected = [[palette[int(v)][:3] for v in row] for row in pixels("uint8")]
    assert np.array_equal(rgb, expected)


@pytest.mark.parametrize(
    ("bands", "profile", "photometric", "extra"),
    [
        (1, {}, "BlackIsZero", None),
        (1, {"photometric": "miniswhite"}, "WhiteIsZero", None),
        (3, {"photometric": "rgb"}, "RGB", None),
        (4, {"photometric": "rgb", "alpha": "yes"}, "RGB", ["unassociated_alpha"]),
        (4, {"photometric": "rgb", "alpha": "premultiplied"}, "RGB", ["associated_alpha"]),
        (4, {"photometric": "rgb", "alpha": "unspecified"}, "RGB", ["unspecified"]),
        (2, {"alpha": "yes"}, "BlackIsZero", ["unassociated_alpha"]),
        (3, {"compress": "jpeg", "photometric": "ycbcr"}, "YCbCr", None),
        (4, {"photometric": "cmyk"}, "Separated", None),
    ],
)
def test_photometric_interpretation(
    bands: int, profile: dict[str, str], photometric: str, extra: list[str] | None, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tif", pixels("uint8", bands), **profile)
    attributes = described(path).array_attributes
    assert attributes["photometric_interpretation"] == photometric
    assert attributes.get("extra_samples") == extra
    if photometric in ("Separated", "WhiteIsZero"):
        return  # GDAL shows these as something else than they are
    with rasterio.open(path) as dataset:
        assert attributes["color_interpretation"] == [c.name for c in dataset.colorinterp]


def test_color_interpretation_of_gdal(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif",
        pixels("uint16", 3),
        colorinterp=[ColorInterp.nir, ColorInterp.undefined, ColorInterp.red],
    )
    with rasterio.open(path) as dataset:
        expected = [c.name for c in dataset.colorinterp]
    assert described(path).array_attributes["color_interpretation"] == expected


# --- tags and items ------------------------------------------------------------------------------


def test_tags_and_items_are_kept(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif",
        pixels("uint8", 2),
        tags={
            "TIFFTAG_DATETIME": "2026:11:20 11:08:00",
            "TIFFTAG_SOFTWARE": "s & t",
            "TIFFTAG_IMAGEDESCRIPTION": "an image",
            "TIFFTAG_XRESOLUTION": "72",
            "TIFFTAG_YRESOLUTION": "72",
            "TIFFTAG_RESOLUTIONUNIT": "2",
            "AREA_OR_POINT": "Point",
            "mine": "1 < 2",
            "STATISTICS_MEAN": "3",
        },
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(2, season="winter", STATISTICS_MEAN="3")
        dataset.update_tags(ns="MY_DOMAIN", key="value")
    attributes = described(path).array_attributes
    tags = json.loads(str(attributes["tiff"]))
    assert tags["DateTime"] == "2026:11:20 11:08:00"
    assert tags["Software"] == "s & t"
    assert tags["ImageDescription"] == "an image"
    assert tags["XResolution"] == 72
    assert json.loads(str(attributes["gdal_metadata"])) == {
        "": {"STATISTICS_MEAN": "3", "mine": "1 < 2"},
        "MY_DOMAIN": {"key": "value"},
    }
    assert json.loads(str(attributes["gdal_band_metadata"])) == [
        {},
        {"": {"STATISTICS_MEAN": "3", "season": "winter"}},
    ]
    assert attributes["AREA_OR_POINT"] == "Point"


def test_texts_that_json_cannot_hold(tmp_path: Path) -> None:
    ifd = replace(
        first(write(tmp_path / "a.tif", pixels("uint8"))),
        other_tags={
            Tag.IMAGE_DESCRIPTION: "\ud800" + "x" * 5_000_000,
            Tag.X_RESOLUTION: float("nan"),
            Tag.MIN_SAMPLE_VALUE: (1.0, float("inf")),
            Tag.SOFTWARE: "",
        },
    )
    attributes = describe(ifd).array_attributes
    assert len(json.dumps(attributes, allow_nan=False, ensure_ascii=False).encode()) < 1_100_000
    tags = json.loads(str(attributes["tiff"]))
    assert tags.keys() == {"ImageDescription", "MinSampleValue"}


def test_unreadable_metadata_is_noted(tmp_path: Path) -> None:
    ifd = replace(first(write(tmp_path / "a.tif", pixels("uint8"))), gdal_metadata="<oops")
    description = describe(ifd)
    assert len(description.notes) == 1
    assert "gdal_metadata" not in description.array_attributes
    assert description.array_attributes["metadata_note"] == description.notes[0]


# --- georeferencing ------------------------------------------------------------------------------


@pytest.mark.parametrize("coords", [True, False])
def test_rioxarray_sees_what_gdal_sees(coords: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels("uint8"))
    ours = opened(path, coords=coords)
    theirs = rioxarray.open_rasterio(path)
    assert isinstance(theirs, xr.DataArray)
    assert ours.rio.crs == UTM
    assert ours.rio.transform() == TRANSFORM
    if coords:
        assert ours.rio.bounds() == theirs.rio.bounds()
        for name in ("x", "y"):
            assert np.array_equal(ours[name], theirs[name])
    ours.rio.to_raster(tmp_path / "ours.tif")
    theirs.rio.to_raster(tmp_path / "theirs.tif")
    with rasterio.open(tmp_path / "ours.tif") as one, rasterio.open(tmp_path / "theirs.tif") as two:
        assert one.crs == two.crs == UTM
        # rioxarray writes the transform it computes from coordinates, if there are any.
        assert one.transform == (two.transform if coords else TRANSFORM)
        assert np.array_equal(one.read(1), pixels("uint8"))


def test_rasterix_sees_what_gdal_sees(tmp_path: Path) -> None:
    rasterix = pytest.importorskip("rasterix")
    path = write(tmp_path / "a.tif", pixels("uint8"))
    dataset = open_store(published(path, coords=False))
    indexed = rasterix.assign_index(dataset)
    assert indexed.xindexes["x"].transform() == TRANSFORM
    # Without the grid mapping, from the coordinates.
    plain = open_store(published(path)).drop_vars("spatial_ref")
    found = rasterix.assign_index(plain).xindexes["x"].transform()
    assert found.almost_equals(TRANSFORM, 1e-6)


def test_gdal_sees_the_crs_and_the_grid_of_the_zarr(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels("uint8"))
    store = published(path)
    target = tmp_path / "a.zarr"
    for key, value in store._store_dict.items():
        file = target / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(value.to_bytes())
    with rasterio.open(f'ZARR:"{target}":/0') as dataset:
        assert dataset.crs == UTM
        # GDAL 3.12 takes the transform from the coordinates.
        assert dataset.transform.almost_equals(TRANSFORM, 1e-6)


def test_conventions(tmp_path: Path) -> None:
    description = described(write(tmp_path / "a.tif", pixels("uint8")))
    attributes: dict[str, Any] = dict(description.group_attributes)
    assert [c["name"] for c in attributes["zarr_conventions"]] == ["proj"]
    assert attributes["proj:code"] == "EPSG:32631"
    assert pyproj.CRS(attributes["proj:wkt2"]) == pyproj.CRS(32631)
    _validate(description)


def _validate(description: Description) -> None:
    json.dumps(
        [
            description.array_attributes,
            description.group_attributes,
            description.spatial_ref_attributes,
        ],
        allow_nan=False,
        ensure_ascii=False,
    ).encode()
    attributes: dict[str, Any] = dict(description.group_attributes)
    if not attributes:
        assert description.crs.crs is None
        return
    document: Any = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    declared = {c["name"] for c in attributes["zarr_conventions"]}
    assert declared == zarr_cm.detect_revisions(attributes).keys()
    if "proj" in declared:
        zarr_cm.proj.validate_group_metadata(document, revision="r3")


def test_every_image_of_the_corpus(corpus_file: Path) -> None:
    try:
        header = read(corpus_file.read_bytes())
    except VirtualTIFFError:
        return  # test_geokeys and the reader's tests say which these are
    full = header.ifds[0]
    for ifd in header.ifds:
        _validate(describe(ifd, fill_value=1.5))
        _validate(describe(ifd, fill_value=1, full=full if ifd.is_reduced else None))


def test_no_georeferencing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels("uint8"), crs=None, transform=None)
    description = described(path)
    assert description.spatial_ref_attributes is None
    assert description.group_attributes == {}
    assert description.crs.name is None
    assert "grid_mapping" not in description.array_attributes
    assert opened(path).shape == SHAPE


def test_transform_without_a_crs(tmp_path: Path) -> None:
    ours = opened(write(tmp_path / "a.tif", pixels("uint8"), crs=None))
    assert ours.rio.crs is None
    assert ours.rio.transform() == TRANSFORM


def test_rotated_grids_have_no_coordinates(tmp_path: Path) -> None:
    rotated = Affine(1, 2, 100, 3, -4, 200)
    path = write(tmp_path / "a.tif", pixels("uint8"), transform=rotated)
    description = described(path)
    assert description.geotransform is not None
    assert coordinate_values(description.geotransform, 5, "x") is None
    assert coordinate_values(description.geotransform, 5, "y") is None
    assert opened(path, coords=False).rio.transform() == rotated


@pytest.mark.parametrize(
    ("code", "names", "units"),
    [
        (32631, ["projection_x_coordinate", "projection_y_coordinate"], "metre"),
        (2263, ["projection_x_coordinate", "projection_y_coordinate"], "0.304800609601219 metre"),
        (31467, ["projection_x_coordinate", "projection_y_coordinate"], "metre"),
        (4326, ["longitude", "latitude"], None),
    ],
)
def test_coordinate_attributes(code: int, names: list[str], units: str | None) -> None:
    result = CRSResult(crs=pyproj.CRS(code))
    found = [coordinate_attributes(result, "x"), coordinate_attributes(result, "y")]
    assert [a["standard_name"] for a in found] == names
    assert [a["axis"] for a in found] == ["X", "Y"]
    expected = ["degrees_east", "degrees_north"] if units is None else [units, units]
    assert [a["units"] for a in found] == expected
    assert coordinate_attributes(CRSResult(), "y") == {"axis": "Y"}


def test_overviews_and_masks_are_described_by_their_image(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif",
        np.ones((257, 131), np.uint8),
        nodata=7,
        scales=(0.5,),
        units=("m",),
        descriptions=("height",),
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2], Resampling.nearest)
    full, level = read(path.read_bytes()).ifds
    description = describe(level, full=full, fill_value=7)
    assert description.crs.name == "WGS 84 / UTM zone 31N"
    attributes = description.array_attributes
    assert attributes["grid_mapping"] == attributes["coordinates"] == "spatial_ref"
    assert attributes["scale_factor"] == 0.5
    assert attributes["units"] == "m"
    assert attributes["long_name"] == "height"
    with rasterio.open(path, overview_level=0) as dataset:
        assert description.geotransform == dataset.transform.to_gdal()
        assert description.shape == dataset.shape

    mask = replace(level, new_subfile_type=int(NewSubfileType.MASK | 1))
    attributes = describe(mask, full=full).array_attributes
    assert not {"scale_factor", "units", "long_name"} & attributes.keys()
    assert attributes["grid_mapping"] == "spatial_ref"


def test_control_points_and_polynomials_as_rioxarray_has_them(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row, col, x, y, z, str(i), "")
        for i, (row, col, x, y, z) in enumerate(
            [(0, 0, 1.5, 2, 3), (6, 0, 1, 9, 0), (6, 4, 8, 9, 0), (0, 4, 8, 2, 0)], 1
        )
    ]
    path = write(tmp_path / "a.tif", pixels("uint8"), crs=None, transform=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, UTM)
    ours = opened(path)
    theirs = rioxarray.open_rasterio(path)
    assert isinstance(theirs, xr.DataArray)
    assert ours.rio.crs == UTM
    assert [p.asdict() for p in ours.rio.get_gcps()] == [p.asdict() for p in theirs.rio.get_gcps()]

    values = tuple(np.random.default_rng(5).uniform(1, 2, 92).round(6).tolist())
    tifffile.imwrite(
        path,
        pixels("uint8"),
        extratags=[(Tag.RPC_COEFFICIENT, 12, 92, values, True)],
        metadata=None,
    )
    with rasterio.open(path) as dataset:
        assert opened(path).rio.get_rpcs().to_dict() == dataset.rpcs.to_dict()


def test_unresolved_keys_are_attributes() -> None:
    result = crs_of_keys(((1024, 1), (1025, 1), (3072, 1234), (3080, float("nan"))), (1, 1))
    attributes = crs_attributes(result)
    assert json.loads(str(attributes["geo_keys"])) == {
        "GTModelTypeGeoKey": 1,
        "GTRasterTypeGeoKey": 1,
        "ProjectedCRSGeoKey": 1234,
        "ProjNatOriginLongGeoKey": "nan",
    }
    assert "1234" in str(attributes["crs_note"])
    json.dumps(attributes, allow_nan=False)


def test_coordinate_epoch_is_an_attribute() -> None:
    result = crs_of_keys(((1024, 2), (2048, 9989), (5120, 2020.5)), (1, 1))
    assert crs_attributes(result)["coordinate_epoch"] == 2020.5


@pytest.mark.parametrize(
    ("code", "said"),
    [
        # No angle from the rectified to the skew grid (Kertau, Timbalai, Borneo).
        (3375, False),
        # No scale of a conic projection with one parallel; angles in grads.
        (27572, False),
        (3034, True),
        (2062, False),
        (4807, False),
        (32633, True),
        (4326, True),
        (2229, True),
        (7405, True),
        (9518, True),
        ("+proj=longlat +ellps=airy +towgs84=446,-125,542,0.15,0.247,0.842,-20 +type=crs", True),
    ],
)
def test_parameters_that_cf_cannot_say_in_full_are_left_out(code: int | str, said: bool) -> None:
    attributes = crs_attributes(CRSResult(crs=pyproj.CRS(code)))
    assert ("grid_mapping_name" in attributes) is said
    assert pyproj.CRS(attributes["crs_wkt"]) == pyproj.CRS(code)


@pytest.mark.parametrize("code", [3857, 3031, 2056, 28992, 3413, 54030, 9707, 4978, 4979])
def test_crs_survives_the_grid_mapping(code: int) -> None:
    system = pyproj.CRS.from_user_input(f"{'ESRI' if code == 54030 else 'EPSG'}:{code}")
    attributes = crs_attributes(CRSResult(crs=system))
    json.dumps(attributes, allow_nan=False)
    assert pyproj.CRS.from_wkt(str(attributes["crs_wkt"])) == system
    assert pyproj.CRS.from_cf(dict(attributes)) == system


def test_a_palette_that_gdal_added_to_a_gray_image(tmp_path: Path) -> None:
    path = tmp_path / "classes.tif"
    with rasterio.open(path, "w", width=16, height=16, count=1, dtype="uint8") as dataset:
        dataset.write(np.ones((1, 16, 16), "uint8"))
        dataset.write_colormap(1, {1: (40, 90, 160)})
    plan = VirtualTIFF().plan(f"file://{path}", local_registry())
    attributes: dict[str, Any] = dict(plan.arrays["0"].attributes)
    with rasterio.open(path) as dataset:
        expected = [dataset.colormap(1)[i][:3] for i in range(256)]
    colors = np.reshape(attributes["color_map"], (-1, 3)) >> 8
    assert [tuple(color) for color in colors.tolist()] == expected


@pytest.mark.parametrize(
    ("code", "kind", "values"),
    [
        (Tag.GDAL_NODATA, 2, "none"),
        (Tag.GDAL_NODATA, 2, "-nan"),
        (Tag.MODEL_PIXEL_SCALE, 12, (10.0, 10.0, 0.0)),
        (Tag.RPC_COEFFICIENT, 12, (math.nan,) * 92),
    ],
)
def test_tags_that_no_attribute_expresses_are_noted(
    code: Tag, kind: int, values: str | tuple[float, ...], tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    count = len(values) + isinstance(values, str)
    tifffile.imwrite(
        path, pixels("uint8"), extratags=[(code, kind, count, values, True)], metadata=None
    )
    assert len(described(path).notes) == 1


def test_zero_masks_where_nodata_text_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        pixels("uint8"),
        extratags=[(Tag.GDAL_NODATA, 2, 5, "none", True)],
        metadata=None,
    )
    with rasterio.open(path) as dataset:
        assert described(path).array_attributes["_FillValue"] == dataset.nodata == 0
