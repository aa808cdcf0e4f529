"""STAC Items → rows and arrays that mean what Items and TIFFs say, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
from obstore.exceptions import AlreadyExistsError

from tests.helpers.archive import memory_repository, opened, write_scene
from tests.helpers.make import write_with_rasterio
from tests.helpers.range_server import RangeServer
from tests.helpers.read import local_registry
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError, VirtualTIFFError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.inventory.table import COLUMNS, Inventory
from virtual_tiff.operations.publish import publish
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.storage.errors import storage_error

type Item = dict[str, Any]

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
SCALED: Item = {"nodata": 0, "scale": 0.0001, "offset": -0.1, "unit": "1"}
#: Forms in which Items say the same of one band.
FORMS: dict[str, Item] = {
    "raster-1": {"raster:bands": [SCALED], "eo:bands": [{"name": "B04", "common_name": "red"}]},
    "text": {
        "raster:bands": [{**SCALED, "nodata": "0", "scale": "0.0001", "offset": "-0.1"}],
        "bands": [{"name": "B04", "raster:scale": 0.0001}],
    },
    "bands": {
        "bands": [
            {
                "name": "B04",
                "nodata": 0,
                "raster:scale": 0.0001,
                "raster:offset": -0.1,
                "unit": "1",
            }
        ]
    },
    "asset": {
        "raster:scale": 0.0001,
        "raster:offset": -0.1,
        "nodata": 0,
        "unit": "1",
        "bands": [{"name": "B04", "eo:common_name": "red"}],
    },
}


def asset(name: str, **more: Any) -> Item:
    return {"href": f"./{name}", "type": COG, "roles": ["data"], **more}


def item(number: int, assets: Item, collection: str | None = "scenes", **properties: Any) -> Item:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"item-{number}",
        "collection": collection,
        "geometry": None,
        "properties": {"datetime": f"2024-05-{number + 1:02}T10:00:00Z", **properties},
        "assets": assets,
        "links": [],
    }


def collected(folder: Path, *items: Item, **more: Any) -> Path:
    file = folder / "items.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": items, **more}))
    return file


def found(source: object, **options: Any) -> Inventory:
    return scan(source, registry=local_registry(), **options)


def scenes(folder: Path, *said: Item, **options: Any) -> Path:
    """Items with one asset each, `red`, whose TIFFs say nothing of their values."""
    for number in range(len(said)):
        write_scene(folder / f"red_{number}.tif", seed=number, **{"nodata": None, **options})
    items = [
        item(number, {"red": asset(f"red_{number}.tif", **one)}) for number, one in enumerate(said)
    ]
    return collected(folder, *items)


def attributes(inventory: Inventory) -> list[Item]:
    return [json.loads(text) for text in inventory.table["attributes"].to_pylist()]


def cube(folder: Path, source: object, **options: Any) -> Any:
    """The variable of a cube as users read it."""
    repository = memory_repository(folder)
    stack(source, repository, registry=local_registry(), variable="asset", **options)
    return opened(repository, mask_and_scale=True)["red"]


@pytest.mark.parametrize("form", FORMS)
def test_what_items_say_is_taken_over(form: str, tmp_path: Path) -> None:
    file = scenes(tmp_path, FORMS[form], FORMS[form])
    red = cube(tmp_path, file)
    with rasterio.open(tmp_path / "red_1.tif") as tiff:
        stored = tiff.read(1).astype("float64")
    expected = np.where(stored == 0, np.nan, stored * 0.0001 - 0.1)
    np.testing.assert_allclose(red.values[1], expected, rtol=1e-6)
    assert red.attrs["units"] == "1"
    assert red.attrs["long_name"] == "B04"
    assert red.attrs["stac_collection"] == "scenes"
    table = found(file).table
    assert table["nodata"].to_pylist() == [0, 0]
    again = found(found(file)).table
    assert again["attributes"].to_pylist() == table["attributes"].to_pylist()
    ignored = found(found(file), stac_metadata="ignore").table
    assert ignored["nodata"].null_count == 2
    raw = cube(tmp_path, file, stac_metadata="ignore")
    assert raw.dtype == "uint16"
    assert np.array_equal(raw.values[1], stored)
    assert not {"units", "long_name", "stac_collection", "stac_metadata"} & set(raw.attrs)


@pytest.mark.parametrize("other", [{**SCALED, "offset": 0}, {}, {**SCALED, "nodata": 1}])
def test_items_that_disagree_share_no_array(other: Item, tmp_path: Path) -> None:
    file = scenes(tmp_path, {"raster:bands": [SCALED]}, {"raster:bands": [other]})
    with pytest.raises(MismatchError) as caught:
        cube(tmp_path, file)
    assert caught.value.kind == ErrorKind.MISMATCH
    assert cube(tmp_path, file, stac_metadata="ignore").shape[0] == 2


@pytest.mark.parametrize(
    "said",
    [
        {"raster:bands": [{"scale": "a"}]},
        {"raster:bands": [{"scale": float("nan")}]},
        {"raster:bands": [{"offset": [1]}]},
        {"raster:bands": [{"nodata": True}]},
        {"raster:bands": [{"unit": 1}]},
        {"raster:bands": ["B04"]},
        {"raster:bands": {"scale": 1}},
        {"bands": 1},
        {"raster:scale": float("inf")},
        {"raster:bands": [{"scale": 0.1}], "bands": [{"raster:scale": 0.01}]},
        {"raster:bands": [{"nodata": 0}], "bands": [{"nodata": "nan"}]},
        {"classification:classes": ["cloud"]},
    ],
    ids=str,
)
def test_items_that_cannot_be_understood_are_refused(said: Item, tmp_path: Path) -> None:
    """Else their pixels would be left unscaled in silence."""
    file = scenes(tmp_path, said)
    with pytest.raises(MismatchError) as caught:
        cube(tmp_path, file)
    assert caught.value.kind == ErrorKind.MISMATCH
    assert cube(tmp_path, file, stac_metadata="ignore").shape[0] == 1


@pytest.mark.parametrize(
    "more",
    [
        {"roles": 1},
        {"roles": [{}]},
        {"gsd": "x", "alternate": 3},
        {"bands": [None], "raster:bands": [None]},
        {"title": 10**30},
    ],
    ids=str,
)
def test_fields_of_other_types_say_nothing(more: Item, tmp_path: Path) -> None:
    write_scene(tmp_path / "red.tif", nodata=None)
    odd: Item = {"proj:epsg": float("nan"), "x": 10**30, "gsd": []}
    one = {**item(0, {"red": asset("red.tif", **more), "gone": None}, **odd), "links": 1}
    assert cube(tmp_path, collected(tmp_path, one)).shape[0] == 1


@pytest.mark.parametrize("wrong", [{"assets": {"red": "a.tif"}}, {"properties": [1]}], ids=str)
def test_what_is_no_item_is_refused(wrong: Item, tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        found(collected(tmp_path, {**item(0, {}), **wrong}))
    assert caught.value.kind == ErrorKind.INVALID_OPTION


def test_append_compares_what_items_say(tmp_path: Path) -> None:
    repository = memory_repository(tmp_path)
    options: Any = {"registry": local_registry(), "variable": "asset"}
    inventory = found(scenes(tmp_path, *[{"raster:bands": [SCALED]}] * 2))
    stack(inventory.filter(pa.array([True, False])), repository, **options)
    plain = found(tmp_path / "items.json", stac_metadata="ignore").filter(pa.array([False, True]))
    with pytest.raises(MismatchError):
        append(plain, repository, **options)
    append(inventory.filter(pa.array([False, True])), repository, **options)


def scaled_tiff(path: Path, scale: float, offset: float, **tags: Any) -> None:
    write_scene(path, **{"nodata": None, **tags})
    with rasterio.open(path, "r+") as tiff:
        tiff.scales, tiff.offsets = (scale,), (offset,)


CONTRADICTIONS: dict[str, Item] = {
    "scale": {"scale": 0.001},
    "offset": {"offset": 0},
    "nodata": {"nodata": 1},
    "unit": {"unit": "kelvin"},
}


@pytest.mark.parametrize("what", [*CONTRADICTIONS, None])
def test_a_tiff_that_says_something_else_is_refused(what: str | None, tmp_path: Path) -> None:
    path = tmp_path / "red.tif"
    scaled_tiff(path, 0.0001, -0.1, nodata=0)
    with rasterio.open(path, "r+") as tiff:
        tiff.units = ("metre",)
    said = {**SCALED, "unit": "m", **CONTRADICTIONS.get(what or "", {})}
    file = collected(tmp_path, item(0, {"red": asset("red.tif", **{"raster:bands": [said]})}))
    write_scene(tmp_path / "other.tif")
    repository = memory_repository(tmp_path)
    inventory = found(file)
    if what is None:
        (one,) = attributes(inventory)
        assert (one["scale_factor"], one["add_offset"], one["units"]) == (0.0001, -0.1, "metre")
        publish(str(file), repository, registry=local_registry())
        return
    assert inventory.failed["error_kind"].to_pylist() == ["mismatch"]
    calls: list[Callable[[], object]] = [
        lambda: stack(str(file), repository, registry=local_registry()),
        lambda: publish(str(file), repository, registry=local_registry()),
    ]
    for call in calls:
        with pytest.raises(MismatchError) as caught:
            call()
        assert caught.value.kind == ErrorKind.MISMATCH
        assert caught.value.url == path.as_uri()
        assert caught.value.remedy
    result = publish(
        [str(file), str(tmp_path / "other.tif")],
        repository,
        registry=local_registry(),
        on_failed="skip",
    )
    assert list(result.failed) == [path.as_uri()]
    assert not found(file, stac_metadata="ignore").failed.num_rows


def test_publish_takes_over_what_an_item_says(tmp_path: Path) -> None:
    file = scenes(tmp_path, FORMS["raster-1"])
    repository = memory_repository(tmp_path)
    publish(str(file), repository, registry=local_registry())
    from_urls = opened(repository, "red_0/0")
    repository = memory_repository(tmp_path)
    publish(found(file), repository)
    from_rows = opened(repository, "red_0/0")
    (name,) = (name for name in from_urls.data_vars if from_urls[name].ndim == 2)
    assert from_urls[name].attrs["scale_factor"] == 0.0001
    assert from_urls[name].attrs == from_rows[name].attrs
    assert from_urls[name].attrs["_FillValue"] == 0


def test_masks_are_not_scaled(tmp_path: Path) -> None:
    valid = np.full((48, 64), 255, np.uint8)
    valid[:10] = 0
    file = scenes(tmp_path, FORMS["raster-1"])
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO"),
        rasterio.open(tmp_path / "red_0.tif", "r+") as tiff,
    ):
        tiff.write_mask(valid)
    repository = memory_repository(tmp_path)
    parser = VirtualTIFF(sidecars=True)
    publish(str(file), repository, registry=local_registry(), parser=parser)
    dataset = opened(repository, "red_0")
    scaled = {name for name in dataset.data_vars if "scale_factor" in dataset[name].attrs}
    masks = {name for name in dataset.data_vars if "msk" in str(name)}
    assert masks
    assert scaled == {"0"}


def test_bands_that_differ(tmp_path: Path) -> None:
    write_scene(tmp_path / "rgb.tif", shape=(3, 48, 64), nodata=None, INTERLEAVE="BAND")
    said = [{"scale": s, "nodata": n, "name": str(n)} for s, n in ((1, 0), (0.5, 0), (2, 3))]

    def one(**options: Any) -> Item:
        bands = {"raster:bands": options.pop("bands", said)}
        file = collected(tmp_path, item(0, {"red": asset("rgb.tif", **bands)}))
        inventory = found(file, **options)
        if inventory.failed.num_rows:
            return {"error": inventory.failed["error_kind"][0].as_py()}
        return attributes(inventory)[0]

    whole = one()
    assert whole["scales"] == [1, 0.5, 2]
    assert whole["band_nodata"] == [0, 0, 3]
    assert whole["long_name"] == ["0", "0", "3"]
    assert "scale_factor" not in whole
    chosen = one(parser=VirtualTIFF(ifd=0, bands=(3, 2)))
    assert chosen["scales"] == [2, 0.5]
    assert one(bands=[{**b, "nodata": str(b["nodata"])} for b in said]) == whole
    assert one(bands=said[:2])["error"] == "mismatch"
    assert one(bands=[SCALED])["scale_factor"] == 0.0001


def test_bands_taken_apart_have_their_own_nodata(tmp_path: Path) -> None:
    write_scene(tmp_path / "rgb.tif", shape=(3, 48, 64), nodata=None, INTERLEAVE="BAND")
    said = [{"nodata": 0}, {"nodata": 3}, {}]
    file = collected(tmp_path, item(0, {"red": asset("rgb.tif", **{"raster:bands": said})}))
    assert attributes(found(file))[0]["band_nodata"] == ["0", "3", ""]
    assert found(file).table["nodata"].to_pylist() == [None]
    repository = memory_repository(tmp_path)
    result = stack(file, repository, registry=local_registry(), split_bands=True)
    assert not result.notes
    dataset = opened(repository, mask_and_scale=True)
    with rasterio.open(tmp_path / "rgb.tif") as tiff:
        stored = tiff.read().astype("float64")
    for band, nodata in enumerate((0, 3, None)):
        expected = np.where(stored[band] == nodata, np.nan, stored[band])
        assert np.array_equal(dataset[f"data_{band + 1}"][0], expected, equal_nan=True)
    # One band alone has one nodata value, wherever it is said.
    (row,) = attributes(found(file, parser=VirtualTIFF(ifd=0, bands=(2,))))
    assert row["_FillValue"] == 3
    assert "band_nodata" not in row


def test_missing_segments_have_one_nodata_value(tmp_path: Path) -> None:
    nothing = np.zeros((3, 48, 64), np.uint16)
    write_with_rasterio(tmp_path / "rgb.tif", nothing, INTERLEAVE="BAND", SPARSE_OK="TRUE")
    said = [{"nodata": 0}, {"nodata": 3}, {"nodata": 0}]
    file = collected(tmp_path, item(0, {"red": asset("rgb.tif", **{"raster:bands": said})}))
    assert found(file).failed["error_kind"].to_pylist() == ["mismatch"]
    with pytest.raises(MismatchError):
        publish(file, memory_repository(tmp_path), registry=local_registry())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {
                "classification:classes": [
                    {"value": 10, "description": "Tree cover"},
                    {"value": 20, "name": "shrub", "description": "Shrubland"},
                    {"value": 70000, "name": "beyond"},
                ]
            },
            {"flag_values": [10, 20], "flag_meanings": "Tree_cover shrub"},
        ),
        (
            {"file:values": [{"values": [1, 2], "summary": "Water"}, {"values": [3]}]},
            {"flag_values": [1, 2], "flag_meanings": "Water Water"},
        ),
        (
            {
                "bands": [
                    {
                        "classification:bitfields": [
                            {
                                "name": "cloud",
                                "offset": 3,
                                "length": 2,
                                "classes": [{"value": v, "name": f"c{v}"} for v in (0, 3)],
                            },
                            {"name": "odd", "offset": None, "classes": [{"value": 0}]},
                        ]
                    }
                ]
            },
            {
                "flag_masks": [24, 24],
                "flag_values": [0, 24],
                "flag_meanings": "cloud_c0 cloud_c3",
            },
        ),
        ({"classification:classes": [{"value": 1.5, "name": "no"}, {"name": "none"}]}, {}),
    ],
)
def test_names_of_classes(said: Item, expected: Item, tmp_path: Path) -> None:
    file = scenes(tmp_path, said, said)
    (row, _) = attributes(found(file))
    assert {k: v for k, v in row.items() if k.startswith("flag_")} == expected
    rows = [
        {**one["properties"], **{k: one[k] for k in ("id", "collection", "assets")}}
        for one in json.loads(file.read_text())["features"]
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "items.parquet")
    assert attributes(found(tmp_path / "items.parquet")) == attributes(found(file))
    if expected:
        other = scenes(tmp_path, said, {"classification:classes": [{"value": 1, "name": "x"}]})
        with pytest.raises(MismatchError):
            cube(tmp_path, other)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"proj:epsg": 32633}, {"proj:code": "EPSG:32633", "proj:epsg": 32633}),
        ({"proj:code": "EPSG:32633"}, {"proj:code": "EPSG:32633", "proj:epsg": 32633}),
        ({"proj:code": "ESRI:54009"}, {"proj:code": "ESRI:54009"}),
        ({"proj:epsg": None}, {}),
    ],
)
def test_the_crs_of_items_has_both_names(said: Item, expected: Item, tmp_path: Path) -> None:
    write_scene(tmp_path / "red.tif")
    one = item(0, {"red": asset(f"{tmp_path}/red.tif")}, **said)
    for source in (collected(tmp_path, one), pystac.Item.from_dict(one | {"bbox": None})):
        row = found(source).table.to_pylist()[0]
        assert {k: v for k, v in row.items() if k.startswith("proj:")} == expected


@pytest.mark.parametrize(
    ("media", "name", "taken"),
    [
        (COG, "a.tif", True),
        ("image/vnd.stac.geotiff", "a", True),
        ("image/vnd.stac.geotiff; cloud-optimized=true", "a.tif", True),
        ("image/geotiff", "a.tif", True),
        ("image/x.geotiff", "a.tif", True),
        ("IMAGE/TIFF", "a.tif", True),
        (None, "a.TIF", True),
        ("application/octet-stream", "a.TIFF", True),
        (None, "a.jp2", False),
        ("image/jp2", "a.tif", False),
        ("image/png", "a.png", False),
    ],
)
def test_tiffs_are_known_by_their_media_type(
    media: str | None, name: str, taken: bool, tmp_path: Path
) -> None:
    write_scene(tmp_path / "other.tif")
    write_scene(tmp_path / "x.tif")
    (tmp_path / "x.tif").rename(tmp_path / name)
    one = {"href": f"./{name}", **({} if media is None else {"type": media})}
    file = collected(tmp_path, item(0, {"a": one, "other": asset("other.tif")}))
    keys = found(file).table["asset"].to_pylist()
    assert keys == (["a", "other"] if taken else ["other"])


def test_assets_are_chosen_by_key_pattern_role_and_resolution(tmp_path: Path) -> None:
    said: dict[str, Item] = {
        "B02": {"gsd": 10, "roles": ["data", "reflectance"]},
        "B05": {"gsd": 20, "roles": ["data", "reflectance"]},
        "scl": {"raster:bands": [{"spatial_resolution": 20}]},
        "preview": {"roles": ["overview"]},
        "B02-jp2": {"type": "image/jp2", "gsd": 10},
    }
    for key in said:
        write_scene(tmp_path / f"{key}.tif")
    file = collected(tmp_path, item(0, {k: asset(f"{k}.tif", **v) for k, v in said.items()}))

    def keys(**options: Any) -> list[str]:
        chosen: list[str] = found(file, **options).table["asset"].to_pylist()
        return chosen

    assert keys() == ["B02", "B05", "scl"]
    assert keys(assets=["B*"]) == ["B02", "B05"]
    assert keys(assets=["scl", "B0[5-8]"]) == ["B05", "scl"]
    assert keys(asset_roles=["reflectance"]) == ["B02", "B05"]
    assert keys(asset_gsd=20) == ["B05", "scl"]
    assert keys(asset_gsd=20, assets=["B*"]) == ["B05"]
    assert keys(asset_roles=["overview"]) == ["preview"]
    assert keys(assets=["preview"]) == ["preview"]
    assert keys(assets=["B02-jp2"]) == ["B02-jp2"]
    wrong: list[Item] = [{"assets": ["B9*"]}, {"assets": "B02"}, {"stac_metadata": "maybe"}]
    for options in wrong:
        with pytest.raises(InvalidOptionError) as caught:
            keys(**options)
        assert caught.value.kind == ErrorKind.INVALID_OPTION
    with pytest.raises(InvalidOptionError) as caught:
        keys(asset_gsd=99)
    assert caught.value.kind == ErrorKind.NO_SOURCES


def as_parquet(folder: Path, items: list[Item]) -> Path:
    """The rows that stac-geoparquet makes of Items."""
    rows = []
    for one in items:
        properties = {
            name: pa.scalar(value, pa.string()).cast(pa.timestamp("us", "UTC")).as_py()
            if name in ("datetime", "created", "start_datetime") and value
            else value
            for name, value in one["properties"].items()
        }
        kept = ("id", "collection", "assets", "links", "stac_version", "type")
        rows.append({**{name: one[name] for name in kept}, **properties, "geometry": b""})
    file = folder / "items.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def test_one_item_has_the_same_columns_in_every_form(tmp_path: Path) -> None:
    for name in ("red", "nir"):
        write_scene(tmp_path / f"{name}.tif", nodata=None)
    properties: Item = {
        "created": "2024-06-01T00:00:00Z",
        "start_datetime": "2024-05-01T09:59:00.25Z",
        "eo:cloud_cover": 12.5,
        "proj:shape": [48, 64],
        "proj:transform": [10, 0, 5e5, 0, -10, 5.4e6],
        "instruments": ["msi"],
        "proj:centroid": {"lon": 15, "lat": 48.5},
        "grid:code": "MGRS-33TWN",
    }
    assets = {
        "red": asset("red.tif", gsd=10, **FORMS["raster-1"]),
        "nir": asset("nir.tif", **FORMS["bands"]),
        "thumbnail": asset("t.png", type="image/png"),
    }
    items = [item(number, assets, **properties) for number in range(2)]
    absolute = [
        {
            **one,
            "geometry": {"type": "Point", "coordinates": [15, 48.5]},
            "bbox": [15, 48.5, 15, 48.5],
            "assets": {k: {**a, "href": str(tmp_path / a["href"])} for k, a in assets.items()},
        }
        for one in items
    ]
    document = collected(tmp_path, *items)
    wanted = found(document).table
    for source in (
        as_parquet(tmp_path, items),
        {"type": "FeatureCollection", "features": absolute},
        absolute,
        pystac.ItemCollection([pystac.Item.from_dict(one) for one in absolute]),
        [pystac.Item.from_dict(one) for one in absolute],
        pq.read_table(as_parquet(tmp_path, absolute)),
    ):
        table = found(source).table
        assert set(table.column_names) == set(wanted.column_names)
        for name in wanted.column_names:
            if name not in COLUMNS or name in ("url", "datetime", "attributes", "fill_value"):
                assert table[name].to_pylist() == wanted[name].to_pylist(), name
                assert table[name].type == wanted[name].type, name
    assert wanted["created"].type == pa.timestamp("us", "UTC")


def test_an_item_without_an_asset_is_a_gap(tmp_path: Path) -> None:
    for name in ("red_0", "red_1", "nir_1"):
        write_scene(tmp_path / f"{name}.tif")
    items = [
        item(0, {"red": asset("red_0.tif")}),
        item(1, {"red": asset("red_1.tif"), "nir": asset("nir_1.tif")}),
    ]
    for number, one in enumerate(items):
        (tmp_path / f"item_{number}.json").write_text(json.dumps(one))
    for source in (
        collected(tmp_path, *items),
        as_parquet(tmp_path, items),
        tmp_path / "item_*.json",
        [tmp_path / "item_0.json", tmp_path / "item_1.json"],
    ):
        table = found(source, assets=["red", "nir"]).table
        assert table["asset"].to_pylist() == ["red", "red", "nir"]
        with pytest.raises(InvalidOptionError):
            found(source, assets=["red", "swir"])


def test_columns_with_colons_name_groups(tmp_path: Path) -> None:
    items = []
    for number, tile in enumerate(("33TWN", "33TWM")):
        write_scene(tmp_path / f"{number}.tif", seed=number)
        properties: Item = {"grid:code": f"MGRS-{tile}", "eo:cloud_cover": 12.25}
        items.append(item(number, {"red": asset(f"{number}.tif")}, **properties))
    file = collected(tmp_path, *items)
    options: Any = {"registry": local_registry(), "variable": "asset"}

    def groups(template: str) -> set[str]:
        return set(stack(file, memory_repository(tmp_path), group=template, **options).added)

    assert groups("{grid:code}") == {"MGRS-33TWN", "MGRS-33TWM"}
    assert groups("{grid:code:.7}/{datetime:%d:%H}") == {"MGRS-33/01:10", "MGRS-33/02:10"}
    assert groups("c{eo:cloud_cover:.0f}/{datetime:%d}") == {"c12/01", "c12/02"}
    assert groups("{stem}") == {"0", "1"}
    for bad in ("{grid:none}", "{grid}", "{eo:cloud_cover:%Q}", "{grid:code!r}", "{}"):
        with pytest.raises(InvalidOptionError) as caught:
            groups(bad)
        assert caught.value.kind == ErrorKind.INVALID_OPTION


def test_two_collections_share_no_array(tmp_path: Path) -> None:
    items = []
    for number, collection in enumerate(("HLSL30_2.0", "HLSS30_2.0")):
        write_scene(tmp_path / f"{number}.tif", seed=number)
        items.append(item(number, {"B05": asset(f"{number}.tif")}, collection))
    file = collected(tmp_path, *items)
    options: Any = {"registry": local_registry(), "variable": "asset"}
    repository = memory_repository(tmp_path)
    with pytest.raises(MismatchError) as caught:
        stack(file, repository, **options)
    assert caught.value.kind == ErrorKind.MISMATCH
    assert len(stack(file, repository, group="{collection}", **options).added) == 2
    inventory = found(file)
    second = inventory.filter(pa.array([False, True]))
    with pytest.raises(MismatchError):
        append(second, repository, group="HLSL30_2.0", **options)
    stack(file, memory_repository(tmp_path), stac_metadata="ignore", **options)
    # An image without a collection contradicts none.
    write_scene(tmp_path / "2.tif", seed=2)
    rest = found(collected(tmp_path, item(2, {"B05": asset("2.tif")}, None)))
    append(rest, repository, group="HLSL30_2.0", **options)


@pytest.mark.parametrize(
    ("rel", "more", "complete"),
    [
        ("next", {}, False),
        ("next", {"numberMatched": 7}, False),
        ("next", {"numberMatched": 1}, True),
        ("next", {"context": {"matched": 1}}, True),
        ("self", {}, True),
        ("self", {"numberMatched": 7}, False),
        ("self", {"context": {"matched": 7}}, False),
    ],
)
def test_a_page_is_not_the_whole(rel: str, more: Item, complete: bool, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif")
    links = [{"rel": rel, "href": "https://example.org/search", "method": "POST", "body": {}}]
    file = collected(tmp_path, item(0, {"a": asset("a.tif")}), links=links, **more)
    if complete:
        assert len(found(file)) == 1
        return
    with pytest.raises(InvalidOptionError) as caught:
        found(file)
    assert caught.value.kind == ErrorKind.INVALID_OPTION
    assert caught.value.remedy


def test_alternate_addresses(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif")
    other = {"local": {"href": "./a.tif"}}
    one = asset("none.tif", alternate=other)
    two = asset("a.tif", **{"alternate:name": "local"})
    file = collected(tmp_path, item(0, {"a": one, "b": two}))
    inventory = found(file, alternate="local")
    assert inventory.table["url"].to_pylist() == [(tmp_path / "a.tif").as_uri()] * 2
    assert found(file).failed.num_rows == 1
    with pytest.raises(InvalidOptionError) as caught:
        found(file, alternate="s3")
    assert caught.value.kind == ErrorKind.INVALID_OPTION


def test_addresses_of_a_stac_api(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", nodata=None)
    with RangeServer(tmp_path) as server:
        href = f"{server.url}/a.tif"
        one = item(0, {"red": {**asset(""), "href": href, **FORMS["bands"]}})
        folder = tmp_path / "collections" / "scenes" / "items"
        folder.mkdir(parents=True)
        (folder / "item-0").write_text(json.dumps(one))
        (tmp_path / "search").write_text(
            json.dumps({"type": "FeatureCollection", "features": [one]})
        )
        (tmp_path / "login.json").write_text("<!DOCTYPE html><html>Sign in</html>")
        for path in ("collections/scenes/items/item-0", "search"):
            inventory = scan(f"{server.url}/{path}")
            assert inventory.table["url"].to_pylist() == [href]
            assert attributes(inventory)[0]["add_offset"] == -0.1
        with pytest.raises(VirtualTIFFError) as caught:
            scan(f"{server.url}/login.json")
        assert caught.value.kind == ErrorKind.NOT_A_TIFF


def test_a_conflict_of_azure_is_a_refusal() -> None:
    text = "409 Conflict: <Error><Code>PublicAccessNotPermitted</Code></Error>"
    error = storage_error(AlreadyExistsError(text), "https://a.blob.core.windows.net/c/a.tif")
    assert error.kind == ErrorKind.NOT_AUTHORIZED
    assert error.remedy


def test_relative_addresses_start_from_the_item(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif")
    one = {**item(0, {"a": asset("a.tif")}), "bbox": [0, 0, 1, 1]}
    one["geometry"] = {"type": "Point", "coordinates": [0, 0]}
    made = pystac.Item.from_dict(one)
    made.set_self_href(str(tmp_path / "item.json"))
    for source in (made, {**one, "links": [{"rel": "self", "href": str(tmp_path / "item.json")}]}):
        assert found(source).table["url"].to_pylist() == [(tmp_path / "a.tif").as_uri()]


def test_properties_of_other_types_become_text(tmp_path: Path) -> None:
    for number in range(2):
        write_scene(tmp_path / f"{number}.tif", seed=number)
        one = item(number, {"a": asset(f"{number}.tif")}, path=190 if number else "190")
        (tmp_path / f"item_{number}.json").write_text(json.dumps(one))
    table = found([tmp_path / "item_0.json", tmp_path / "item_1.json"]).table
    assert table["path"].to_pylist() == ["190", "190"]
