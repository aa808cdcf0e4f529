"""Sources → a table that says what GDAL says, and from which plans come back whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import geopandas  # type: ignore[import-untyped]
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from tests.helpers.archive import PATTERN, scanned, write_scene, write_scenes
from tests.helpers.make import covering, write
from tests.helpers.range_server import RangeServer
from tests.helpers.read import local_registry
from tests.helpers.refusals import REFUSALS
from tests.helpers.special import names, write_special
from virtual_tiff import scan_into
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError
from virtual_tiff.inventory.footprint import footprint
from virtual_tiff.inventory.pages import NO_MASK, NOT_TAKEN
from virtual_tiff.inventory.scan import scan
from virtual_tiff.inventory.table import COLUMNS, Inventory
from virtual_tiff.inventory.times import check_pattern, time_from_name
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.attributes import noted
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.progress import Stage


def same_plan(one: ArrayPlan, other: ArrayPlan) -> bool:
    same = all(
        repr(getattr(one, name)) == repr(getattr(other, name))
        for name in ArrayPlan.__dataclass_fields__
        if name not in ("offsets", "lengths")
    )
    return (
        same
        and np.array_equal(one.offsets, other.offsets)
        and np.array_equal(one.lengths, other.lengths)
    )


def alone(url: str) -> ArrayPlan:
    """The plan of the first image as the parser makes it."""
    plan = VirtualTIFF(ifd=0).plan(url, local_registry())
    return next(array for array in plan.arrays.values() if array.ifd == (0,))


def test_rows_say_what_gdal_says(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 2)
    paths += [tmp_path / "rgb.tif"]
    write_scene(paths[2], shape=(3, 40, 50), nodata=None, crs="EPSG:3035", COMPRESS="LZW")
    inventory = scanned(*map(str, paths))
    for row, path in zip(inventory.table.to_pylist(), paths, strict=True):
        with rasterio.open(path) as file:
            assert rasterio.crs.CRS.from_user_input(row["crs"]) == file.crs
            assert tuple(row["transform"]) == tuple(file.transform)[:6]
            assert (row["height"], row["width"]) == file.shape
            assert (row["bands"], row["data_type"]) == (file.count, file.dtypes[0])
            assert row["nodata"] == file.nodata
            west, south, east, north = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
        box = row["bbox"]
        found = (box["xmin"], box["ymin"], box["xmax"], box["ymax"])
        assert found == pytest.approx((west, south, east, north), abs=1e-6)
        assert row["size"] == path.stat().st_size
        assert row["url"] == path.as_uri()
        assert (row["ifd"], row["role"]) == ("0", "image")
        assert row["error"] is None
    assert inventory.table["compression"].to_pylist()[1:] == ["ADOBE_DEFLATE", "LZW"]
    dates = inventory.table["datetime"].to_pylist()
    assert dates == [datetime(2024, 1, 30, tzinfo=UTC), datetime(2024, 1, 31, tzinfo=UTC), None]


def test_plans_come_back_whole(tmp_path: Path) -> None:
    for encoding in covering():
        write(encoding, tmp_path / f"{encoding.name}.tif")
    for name in names():
        write_special(name, tmp_path / f"{name.replace(':', '_')}.tif")
    file = tmp_path / "inventory.parquet"
    scanned(str(tmp_path) + "/", pages="separate").write(file)
    inventory = Inventory.read(file).images
    assert len(inventory) > 100
    for plan in inventory.plans():
        assert plan.source is not None
        notes = plan.attributes.get("notes") or []
        assert isinstance(notes, list)
        # What the first directory leaves out is found by the scan.
        left_out = [str(note) for note in notes if note in (NO_MASK, NOT_TAKEN)]
        expected = noted(alone(plan.source.url), *left_out)
        assert same_plan(plan, expected), plan.source.url


def test_all_images_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    write_scene(path, shape=(200, 300))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
        file.write_mask(np.full((200, 300), 255, np.uint8))
        transform = file.transform
    inventory = scanned(str(path), parser=VirtualTIFF())
    rows = inventory.table.to_pylist()
    assert [row["ifd"] for row in rows] == [str(i) for i in range(len(rows))]
    assert {"image", "overview", "mask"} <= {row["role"] for row in rows}
    by_size = {row["width"]: row for row in rows if row["role"] == "overview"}
    assert set(by_size) == {150, 75}
    scaled = transform @ Affine.scale(2, 2)
    assert by_size[150]["transform"] == pytest.approx(list(scaled)[:6])
    assert {row["crs"] for row in rows} == {"EPSG:32633"}


def test_a_bad_file_is_a_row(tmp_path: Path) -> None:
    good = write_scenes(tmp_path, 2)
    bad = {
        "text.tif": (b"hello, I am no TIFF", ErrorKind.NOT_A_TIFF),
        "empty.tif": (b"", ErrorKind.EMPTY_FILE),
        "cut.tif": (good[0].read_bytes()[:200], ErrorKind.TRUNCATED),
    }
    for name, (data, _) in bad.items():
        (tmp_path / name).write_bytes(data)
    missing = str(tmp_path / "missing.tif")
    calls: list[tuple[Stage, int, int, int]] = []
    inventory = scanned(tmp_path, missing, progress=lambda *n: calls.append(n))
    assert repr(inventory) == "<Inventory of 2 images, 4 failed>"
    assert len(inventory.images) == 2
    failed = {Path(r["url"]).name: r for r in inventory.failed.to_pylist()}
    assert set(failed) == {*bad, "missing.tif"}
    for name, (_, kind) in bad.items():
        assert failed[name]["error_kind"] == kind, failed[name]
        assert failed[name]["error"]
    assert failed["missing.tif"]["error_kind"] == ErrorKind.NOT_FOUND
    assert calls[-1] == ("read", 6, 6, 4)
    row = inventory.table["url"].to_pylist().index((tmp_path / "text.tif").as_uri())
    with pytest.raises(InvalidOptionError) as caught:
        inventory.plan(row)
    assert caught.value.kind == ErrorKind.NOT_A_TIFF
    file = tmp_path / "inventory.parquet"
    inventory.write(file)
    assert Inventory.read(file).table.equals(inventory.table)


def test_geoparquet_that_others_read(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "tiffs", 3)
    write_scene(tmp_path / "tiffs" / "nowhere_20250101.tif", crs=None, transform=None)
    inventory = scanned(tmp_path / "tiffs")
    file = tmp_path / "inventory.parquet"
    inventory.write(file)
    assert [p.name for p in tmp_path.iterdir()] == ["tiffs", "inventory.parquet"] or not list(
        tmp_path.glob(".*")
    )

    geo = json.loads(pq.read_schema(file).metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    column = geo["columns"][geo["primary_column"]]
    assert column["encoding"] == "WKB"
    assert set(column["geometry_types"]) == {"Polygon", "MultiPolygon"}
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 4326}
    assert column["covering"]["bbox"]["xmax"] == ["bbox", "xmax"]

    frame = geopandas.read_parquet(file)
    assert frame.crs == "EPSG:4326"
    with rasterio.open(paths[0]) as source:
        bounds = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
    outlined = frame[~frame.geometry.isna()]
    assert len(outlined) == 3
    assert tuple(outlined.geometry.iloc[0].bounds) == pytest.approx(bounds, abs=1e-6)
    assert outlined.geometry.is_valid.all()
    assert column["bbox"] == pytest.approx(bounds, abs=1e-6)
    window = geopandas.read_parquet(file, bbox=(bounds[0], bounds[1], bounds[2], bounds[3]))
    assert len(window) == 3
    assert len(geopandas.read_parquet(file, bbox=(100, 0, 101, 1))) == 0

    found: Any = duckdb.sql(
        f"select url, lengths[1] from '{file}' where bbox.xmin > 0 order by url"
    )
    assert len(found.fetchall()) == 3
    assert pl.read_parquet(file).filter(pl.col("width") == 64).height == 4
    assert pl.DataFrame(inventory).height == 4


def test_a_table_that_arrow_cannot_hold(tmp_path: Path) -> None:
    urls = [str(path) for path in write_scenes(tmp_path, 2)]
    with pytest.raises(InvalidOptionError) as caught:
        scanned(pd.DataFrame({"url": urls, "when": [1j, object()]}))
    assert caught.value.kind == ErrorKind.INVALID_OPTION


@pytest.mark.parametrize("library", ["polars", "pandas", "duckdb", "pyarrow"])
def test_tables_of_any_library(library: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 3)
    urls = [str(path) for path in paths]
    content = {"url": urls, "cloud": [5.0, 10.0, 15.0], "role": ["a", "b", "c"]}
    table: Any
    match library:
        case "polars":
            table = pl.DataFrame(content)
        case "pandas":
            table = pd.DataFrame(content)
        case "duckdb":
            frame = pa.table(content)  # noqa: F841
            table = duckdb.sql("select * from frame")
        case _:
            table = pa.table(content)
    inventory = scanned(table)
    assert inventory.own_columns[:2] == ["cloud", "source_role"]
    assert inventory.table["cloud"].to_pylist() == content["cloud"]
    assert inventory.table["source_role"].to_pylist() == content["role"]
    assert inventory.table["role"].to_pylist() == ["image"] * 3
    # An inventory that went through another library is still one.
    back = Inventory.from_arrow(pl.DataFrame(inventory) if library == "polars" else inventory)
    assert back.table.select(sorted(COLUMNS)).equals(inventory.table.select(sorted(COLUMNS)))
    if library == "pandas":
        again = Inventory.from_arrow(inventory.table.to_pandas())
        assert all(map(same_plan, again.plans(), inventory.plans()))


def test_a_table_named_in_a_file(tmp_path: Path) -> None:
    write_scenes(tmp_path / "tiffs", 2)
    rows = ["path,tile", "tiffs/scene_20240130.tif,A", "tiffs/scene_20240131.tif,B"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    inventory = scanned(tmp_path / "list.csv", url_column="path")
    assert inventory.table["tile"].to_pylist() == ["A", "B"]
    assert not inventory.failed.num_rows
    with pytest.raises(InvalidOptionError, match="no column 'url' among path, tile"):
        scanned(tmp_path / "list.csv")


def test_files_folders_globs_and_lists(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "a", 2) + write_scenes(tmp_path / "a" / "b", 1, first=2)
    (tmp_path / "a" / "notes.txt.bak").write_text("no TIFF")
    urls = [path.as_uri() for path in paths]
    assert set(scanned(str(tmp_path / "a")).table["url"].to_pylist()) == set(urls)
    assert set(scanned(f"file://{tmp_path}/a/").table["url"].to_pylist()) == set(urls)
    assert scanned(f"{tmp_path}/a/*.tif").table["url"].to_pylist() == urls[:2]
    assert set(scanned(f"{tmp_path}/**/*0.tif").table["url"].to_pylist()) == {urls[0]}
    listing = tmp_path / "list.txt"
    listing.write_text(f"# my scenes\na/{paths[1].name}\n\n{urls[2]}\na/b/\n")
    assert scanned(listing).table["url"].to_pylist() == [urls[1], urls[2], urls[2]]
    bracket = tmp_path / "odd[1]_20240101.tif"
    shutil.copy(paths[0], bracket)
    assert len(scanned(str(bracket)).images) == 1
    with pytest.raises(InvalidOptionError) as caught:
        scanned(f"{tmp_path}/none-*.tif")
    assert caught.value.kind == ErrorKind.NO_SOURCES
    with pytest.raises(InvalidOptionError, match="a web server has no listing"):
        scanned("https://example.org/archive/*.tif")
    with pytest.raises(SourceError) as missing:
        scanned(tmp_path / "nothing.txt")
    assert missing.value.kind == ErrorKind.NOT_FOUND
    with pytest.raises(InvalidOptionError, match="int is no source"):
        scanned(17)


def stac(folder: Path) -> dict[str, Any]:
    """Two Items with two bands each, and a thumbnail."""
    features: list[dict[str, Any]] = []
    for number in range(2):
        assets: dict[str, Any] = {
            band: {
                "href": f"./{band}_{number}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            }
            for band in ("red", "nir")
        }
        assets["thumbnail"] = {"href": "./t.png", "type": "image/png"}
        for band in ("red", "nir"):
            write_scene(folder / f"{band}_{number}.tif", seed=number)
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": f"item-{number}",
                "collection": "scenes",
                "geometry": None,
                "properties": {
                    "datetime": f"2024-05-0{number + 1}T10:00:00.5Z",
                    "created": "2024-06-01T00:00:00Z",
                    "eo:cloud_cover": number * 1.5,
                    "proj:shape": [48, 64],
                },
                "assets": assets,
                "links": [],
            }
        )
    return {"type": "FeatureCollection", "features": features}


def test_stac_items(tmp_path: Path) -> None:
    document = stac(tmp_path)
    file = tmp_path / "items.json"
    file.write_text(json.dumps(document))
    inventory = scanned(file, datetime_pattern=None)
    table = inventory.table
    assert not inventory.failed.num_rows
    assert table["asset"].to_pylist() == ["red", "nir", "red", "nir"]
    assert table["item"].to_pylist() == ["item-0", "item-0", "item-1", "item-1"]
    assert table["eo:cloud_cover"].to_pylist() == [0, 0, 1.5, 1.5]
    assert table["proj:shape"].to_pylist()[0] == "[48, 64]"
    assert table["datetime"].to_pylist()[2] == datetime(2024, 5, 2, 10, 0, 0, 500000, tzinfo=UTC)
    red = scanned(file, assets=["red"], datetime_column="created").table
    assert red["asset"].to_pylist() == ["red", "red"]
    assert red["datetime"].to_pylist()[0] == datetime(2024, 6, 1, tzinfo=UTC)
    with pytest.raises(InvalidOptionError, match="no asset 'swir', but red, nir, thumbnail"):
        scanned(file, assets=["swir"])
    file.write_text("[1, 2]")
    with pytest.raises(InvalidOptionError, match="not a STAC Item"):
        scanned(file)


def test_stac_geoparquet(tmp_path: Path) -> None:
    document = stac(tmp_path)
    rows = []
    for item in document["features"]:
        assets = {
            key: {**asset, "href": str(tmp_path / asset["href"])}
            for key, asset in item["assets"].items()
        }
        time = datetime.fromisoformat(item["properties"]["datetime"])
        rows.append(
            {
                "id": item["id"],
                "type": "Feature",
                "assets": assets,
                "datetime": time,
                "eo:cloud_cover": item["properties"]["eo:cloud_cover"],
                "geometry": b"",
                "links": [],
            }
        )
    file = tmp_path / "items.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    table = scanned(file, datetime_pattern=None).table
    assert sorted(zip(table["item"].to_pylist(), table["asset"].to_pylist(), strict=True)) == [
        ("item-0", "nir"),
        ("item-0", "red"),
        ("item-1", "nir"),
        ("item-1", "red"),
    ]
    assert table["datetime"].null_count == 0
    assert table["error"].null_count == 4
    assert scanned(file, assets=["nir"]).table["asset"].to_pylist() == ["nir", "nir"]


def test_time_is_never_guessed(tmp_path: Path) -> None:
    path = write_scenes(tmp_path, 1)[0]
    with rasterio.open(path, "r+") as file:
        file.update_tags(TIFFTAG_DATETIME="2019:08:07 06:05:04")
    tag = datetime(2019, 8, 7, 6, 5, 4, tzinfo=UTC)
    name = datetime(2024, 1, 30, tzinfo=UTC)
    column = datetime(2001, 2, 3, tzinfo=UTC)
    table = pa.table({"url": [str(path)], "when": ["2001-02-03"]})

    def time(**options: Any) -> Any:
        return scanned(table, **({"datetime_pattern": None} | options)).table["datetime"][0].as_py()

    assert time() is None
    assert time(datetime_tag=True) == tag
    assert time(datetime_pattern=PATTERN, datetime_tag=True) == name
    assert time(datetime_pattern=r"_X(\d{8})", datetime_tag=True) == tag
    assert time(datetime_column="when", datetime_pattern=PATTERN) == column
    with pytest.raises(InvalidOptionError, match="no column 'then'"):
        time(datetime_column="then")
    with pytest.raises(InvalidOptionError, match="not a time of ISO 8601"):
        scanned(pa.table({"url": [str(path)], "when": ["soon"]}), datetime_column="when")


NAMES = [
    (r"(\d{8})", "S2_20240229.tif", datetime(2024, 2, 29, tzinfo=UTC)),
    (r"(\d{8})", "S2_20230229.tif", None),
    (r"(\d{8}T\d{6})", "S2A_20240229T101112_x.tif", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
    (r"\.A(\d{7})\.", "MOD09.A2024060.h18.tif", datetime(2024, 2, 29, tzinfo=UTC)),
    (r"\.A(\d{7})\.", "MOD09.A2023366.h18.tif", None),
    (r"/(\d{4}-\d{2}-\d{2})/", "s3://b/2024-02-29/x.tif", datetime(2024, 2, 29, tzinfo=UTC)),
    (r"_(\d{4})_", "map_1999_v2.tif", datetime(1999, 1, 1, tzinfo=UTC)),
    (
        r"(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d{4})",
        "31122020.tif",
        datetime(2020, 12, 31, tzinfo=UTC),
    ),
    (r"(\d{8})", "undated.tif", None),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), NAMES)
def test_times_in_names(pattern: str, name: str, expected: datetime | None) -> None:
    assert time_from_name(check_pattern(pattern), name) == expected


@pytest.mark.parametrize("pattern", ["(", r"\d{8}", r"(\d)(\d)", r"(?P<jahr>\d{4})"])
def test_bad_patterns_are_refused_before_anything_is_read(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError):
        scan(str(tmp_path / "missing.txt"), datetime_pattern=pattern)


def test_one_get_a_file_in_the_order_of_the_sources(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 30)
    with RangeServer(tmp_path, latency=0.01) as server:
        urls = [f"{server.url}/{path.name}" for path in reversed(paths)]
        inventory = scan([*urls, urls[0]], concurrency=8)
        requests = server.requests
    assert inventory.table["url"].to_pylist() == [*urls, urls[0]]
    assert len(requests) == 30
    assert {request.method for request in requests} == {"GET"}
    assert not inventory.failed.num_rows


def without_times(inventory: Inventory) -> pa.Table:
    return inventory.table.drop_columns(["read_at"])


EXECUTORS: dict[str, Callable[[], Executor]] = {
    "threads": lambda: ThreadPoolExecutor(2),
    "processes": lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
}


@pytest.mark.parametrize("kind", EXECUTORS)
def test_executors(kind: str, tmp_path: Path) -> None:
    import virtual_tiff.inventory.reading as module

    write_scenes(tmp_path, 7)
    (tmp_path / "broken_20230101.tif").write_bytes(b"broken")
    with EXECUTORS[kind]() as executor, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TASK_URLS", 3)
        calls: list[tuple[Stage, int, int, int]] = []
        shared = scanned(tmp_path, executor=executor, progress=lambda *n: calls.append(n))
    assert without_times(shared).equals(without_times(scanned(tmp_path)))
    assert calls[-1] == ("read", 8, 8, 1)


class _Interrupted(BaseException):
    pass


def test_an_interrupted_scan_goes_on(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "tiffs", 40)
    checkpoint = tmp_path / "checkpoint"

    def stop(stage: Stage, done: int, total: int, failed: int, /) -> None:
        if done == 15:
            raise _Interrupted

    with RangeServer(tmp_path / "tiffs") as server:
        urls = [f"{server.url}/{path.name}" for path in paths]
        with pytest.raises((BaseExceptionGroup, _Interrupted)):
            scan(urls, checkpoint=checkpoint, concurrency=4, progress=stop)
        assert list(checkpoint.iterdir())
        server.reset()
        inventory = scan(urls, checkpoint=checkpoint)
        again = len(server.requests)
        server.reset()
        assert scan(urls, checkpoint=checkpoint).table.equals(inventory.table)
        assert server.requests == []
        with pytest.raises(InvalidOptionError, match="a scan with other options"):
            scan(urls, checkpoint=checkpoint, datetime_tag=True)
        assert scan(urls[::-1], checkpoint=checkpoint).table["url"].to_pylist() == urls[::-1]
        # What failed is tried again, unless it is a good file that no codec expresses.
        (tmp_path / "tiffs" / "refused.tif").write_bytes(REFUSALS[0].makes[0]())
        mended = tmp_path / "tiffs" / "mended.tif"
        mended.write_text("no TIFF")
        more = [*urls, *(f"{server.url}/{n}.tif" for n in ("refused", "late", "mended"))]
        assert scan(more, checkpoint=checkpoint).failed.num_rows == 3
        write_scene(tmp_path / "tiffs" / "late.tif")
        write_scene(mended)
        server.reset()
        assert scan(more, checkpoint=checkpoint).failed.num_rows == 1
        assert {request.path for request in server.requests} == {"/late.tif", "/mended.tif"}
    # Those that were in flight came through, or did not.
    assert abs(again - (40 - 15)) <= 4
    assert inventory.table["url"].to_pylist() == urls
    assert not inventory.failed.num_rows


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    """A checkpoint is removed after the scan; the parts of an inventory look like one."""
    write_scenes(tmp_path / "tiffs", 2)
    folder = tmp_path / "inventory"
    scan_into(folder, [tmp_path / "tiffs"])
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(InvalidOptionError, match="no checkpoint"):
        scanned(tmp_path / "tiffs", checkpoint=folder)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "part-1.parquet").write_text("no Parquet")
    with pytest.raises(InvalidOptionError, match="no checkpoint"):
        scanned(tmp_path / "tiffs", checkpoint=other)


@pytest.mark.parametrize("named", ["folder", "glob", "files"])
def test_a_checkpoint_never_mixes_times(named: str, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path / "tiffs", 6)
    checkpoint = tmp_path / "checkpoint"
    sources = {
        "folder": [tmp_path / "tiffs"],
        "glob": [tmp_path / "tiffs" / "*.tif"],
        "files": list(paths),
    }[named]
    first = scanned(*sources, checkpoint=checkpoint)
    old = paths[1].stat()
    # Another grid; the same size and time, in another place of the disk; an older time alone.
    write_scene(paths[0], seed=9, shape=(96, 64))
    copied = paths[1].with_suffix(".new")
    copied.write_bytes(paths[1].read_bytes())
    os.utime(copied, ns=(old.st_atime_ns, old.st_mtime_ns))
    copied.replace(paths[1])
    os.utime(paths[2], (1_500_000_000, 1_500_000_000))
    again = scanned(*sources, checkpoint=checkpoint)
    assert without_times(again).equals(without_times(scanned(*sources))) or named == "files"
    changed = [
        before != after
        for before, after in zip(first.table["read_at"], again.table["read_at"], strict=True)
    ]
    # A listing has ETags, which tell the second apart; the local file system has none.
    assert changed == [True, named != "files", True, False, False, False]
    assert again.table["height"].to_pylist()[0] == 96
    third = scanned(*sources, checkpoint=checkpoint)
    assert third.table.equals(again.table)


def test_rows_are_kept_after_some_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import virtual_tiff.inventory.reading as module

    monkeypatch.setattr(module, "_PART_SECONDS", 0.0)
    write_scenes(tmp_path / "tiffs", 8)
    checkpoint = tmp_path / "checkpoint"
    kept: list[int] = []

    def look(stage: Stage, done: int, total: int, failed: int, /) -> None:
        if stage == "read":
            kept.append(len(list(checkpoint.glob("part-*.parquet"))))

    scanned(tmp_path / "tiffs", checkpoint=checkpoint, concurrency=1, progress=look)
    assert kept == list(range(8))


def test_a_thousand_files_of_which_some_fail(tmp_path: Path) -> None:
    """1 % fail for good, 5 % of the requests now and then; the rest is not read again."""
    folder = tmp_path / "tiffs"
    content = write_scenes(folder, 1)[0].read_bytes()
    for number in range(995):
        (folder / f"{number:04}.tif").write_bytes(b"no TIFF" if number < 5 else content)
    missing = [f"missing{number}.tif" for number in range(5)]
    with RangeServer(folder, error_rate=0.05, seed=3) as server:
        urls = [f"{server.url}/{number:04}.tif" for number in range(995)]
        urls += [f"{server.url}/{name}" for name in missing]
        for _ in range(2):
            server.reset()
            inventory = scan(urls, checkpoint=tmp_path / "checkpoint")
            assert (len(inventory.images), len(inventory.failed)) == (990, 10)
            asked = {request.path for request in server.requests}
            kinds = inventory.failed["error_kind"].to_pylist()
            assert kinds == [ErrorKind.NOT_A_TIFF] * 5 + [ErrorKind.NOT_FOUND] * 5
        assert asked == {f"/{n:04}.tif" for n in range(5)} | {f"/{name}" for name in missing}


def test_tables_without_the_columns_of_later_versions(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    inventory = scanned(tmp_path)
    older = inventory.table.drop_columns(["header", "read_at"])
    file = tmp_path / "older.parquet"
    pq.write_table(older, file)
    read = Inventory.read(file)
    assert read.table["header"].null_count == 2
    assert read.source(0).header == ""
    assert inventory.source(0).header.startswith("0-")


def test_footprints_at_the_edge_of_the_map() -> None:
    # Across the antimeridian.
    fiji = footprint("EPSG:32701", (1000, 0, 0, 0, -1000, 8_200_000), 400, 300)
    assert fiji is not None
    assert len(fiji.rings) == 2
    west, south, east, north = fiji.bbox
    assert west > 170
    assert east < -170
    assert -20 < south < north < -10
    for ring in fiji.rings:
        longitudes = [x for x, _ in ring]
        assert max(longitudes) - min(longitudes) < 10
        assert ring[0] == ring[-1]
    frame = geopandas.GeoSeries.from_wkb([fiji.wkb])
    assert frame.is_valid.all()
    assert frame.geom_type[0] == "MultiPolygon"
    # Around the pole.
    pole = footprint("EPSG:3413", (10_000, 0, -500_000, 0, -10_000, 500_000), 100, 100)
    assert pole is not None
    assert (pole.bbox[0], pole.bbox[2], pole.bbox[3]) == (-180, 180, 90)
    assert 80 < pole.bbox[1] < 86
    south_pole = footprint("EPSG:3031", (10_000, 0, -500_000, 0, -10_000, 500_000), 100, 100)
    assert south_pole is not None
    assert south_pole.bbox[1] == -90
    # Where a CRS has no inverse, there is no outline.
    assert footprint("EPSG:32633", (1e9, 0, 0, 0, -1e9, 0), 10, 10) is None
    assert fiji.geojson["type"] == "MultiPolygon"


MERCATOR = 20037508.342789244
SINUSOIDAL = "+proj=sinu +R=6371007.181 +units=m"
GEOSTATIONARY = "+proj=geos +h=35786023 +lon_0=-75 +sweep=x +ellps=GRS80"
GLOBE = (-180, -90, 180, 90)


@pytest.mark.parametrize(
    ("crs", "sides", "expected"),
    [
        # west, east, north and south in the CRS
        ("EPSG:4326", (-180, 180, 90, -90), GLOBE),
        ("EPSG:4326", (0, 360, 90, -90), GLOBE),
        ("EPSG:4326", (-180.05, 179.95, 90.05, -90.05), GLOBE),
        ("EPSG:4326", (-0.125, 359.875, 90.125, -90.125), GLOBE),
        ("EPSG:4326", (-180.00125, 180.00125, 85.001, -65.001), (-180, -65.001, 180, 85.001)),
        ("EPSG:4326", (-180.000000001, 180.000000001, 50, -50), (-180, -50, 180, 50)),
        ("EPSG:4267", (-180.05, 179.95, 90.05, -90.05), GLOBE),
        ("EPSG:4807", (-200, 200, 100, -100), GLOBE),
        ("EPSG:4326", (170, 190, 10, -10), (170, -10, -170, 10)),
        ("EPSG:4326", (190, 200, 10, -10), (-170, -10, -160, 10)),
        ("EPSG:4326", (-190, -170, 10, -10), (170, -10, -170, 10)),
        *(
            ("EPSG:3857", (-size, size, size, -size), (-180, -85.0511, 180, 85.0511))
            for size in (MERCATOR, 20037508.34, 20037508.3428)
        ),
        ("EPSG:3857", (0, 2 * MERCATOR, 1e7, -1e7), (-180, -66.4460, 180, 66.4460)),
        (
            "EPSG:3857",
            (MERCATOR - 1e6, MERCATOR + 1e6, 1e6, -1e6),
            (171.0168, -8.9466, -171.0168, 8.9466),
        ),
        (
            "EPSG:6933",
            (-17367530.44, 17367530.44, 7314540.83, -7314540.83),
            (-180, -85.0446, 180, 85.0446),
        ),
        # As SMAP has it: the left edge is 1 cm beyond the antimeridian.
        (
            "EPSG:6933",
            (-17367530.45, 17367529.63, 7314540.83, -7314540.83),
            (-180, -85.0446, 180, 85.0446),
        ),
        ("EPSG:6933", (-17367530.45, 0, 7314540.83, 0), (-180, 0, 0, 85.0446)),
        ("EPSG:6933", (0, 17367530.46, 7314540.83, 0), (0, 0, 180, 85.0446)),
        # A pixel size of six digits.
        ("EPSG:4326", (-180, 179.9986, 90, -90), GLOBE),
        (SINUSOIDAL, (-20015109.354, -18903158.834, 1111950.52, 0), (-180, 0, -170, 10)),
        # Pixels outside the domain of the projection, whose inverse is another place.
        (SINUSOIDAL, (-20015109.354, 20015109.354, 10007554.677, -10007554.677), GLOBE),
        (
            SINUSOIDAL,
            (18903158.8, 20015109.4, -1111950.5, -2223901.0),
            (172.6225, -19.1881, 180, -10),
        ),
        (
            SINUSOIDAL,
            (-11119505.2, -10007554.7, 4447802.08, 3335851.56),
            (-130.5407, 30, -103.9231, 40),
        ),
        ("ESRI:54009", (-18040095.7, 18040095.7, 9020047.85, -9020047.85), GLOBE),
        ("EPSG:8857", (-17243959.06, 17243959.06, 8392927.6, -8392927.6), GLOBE),
        (
            GEOSTATIONARY,
            (-5434894.885, 5434894.885, 5434894.885, -5434894.885),
            (-156.286, -81.3157, 6.286, 81.3157),
        ),
    ],
)
def test_footprints_around_the_globe(
    crs: str, sides: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    west, east, north, south = sides
    width, height = 64, 32
    transform = ((east - west) / width, 0.0, west, 0.0, (south - north) / height, north)
    found = footprint(crs, transform, width, height)
    assert found is not None
    assert found.bbox == pytest.approx(expected, abs=2e-3)
    frame = geopandas.GeoSeries.from_wkb([found.wkb])
    assert frame.is_valid.all()
    assert -180 <= frame.total_bounds[0] <= frame.total_bounds[2] <= 180


def test_not_an_inventory(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="no column 'url'"):
        Inventory(pa.table({"a": [1]}))
    file = tmp_path / "x.parquet"
    file.write_bytes(b"not Parquet")
    with pytest.raises(InvalidOptionError, match="cannot be read as Parquet"):
        Inventory.read(file)


def test_curating_a_table(tmp_path: Path) -> None:
    import pyarrow.compute as pc

    write_scenes(tmp_path, 5)
    inventory = scanned(tmp_path)
    assert len(inventory.filter(pc.field("datetime") > datetime(2024, 2, 1, tzinfo=UTC))) == 2
    chosen = pl.DataFrame(inventory).filter(pl.col("datetime").dt.day() > 29)
    assert len(Inventory.from_arrow(chosen)) == 2


def test_bounds_of_images_across_the_antimeridian(tmp_path: Path) -> None:
    def bounds(*names: str) -> list[float]:
        file = tmp_path / "inventory.parquet"
        scanned(*(str(tmp_path / name) for name in names)).write(file)
        geo = json.loads(pq.read_schema(file).metadata[b"geo"])
        found: list[float] = geo["columns"]["geometry"]["bbox"]
        return found

    places = {"here.tif": 10.0, "across.tif": 179.8, "across_too.tif": 179.7}
    for name, west in places.items():
        grid = Affine(0.01, 0, west, 0, -0.01, 50)
        write_scene(tmp_path / name, crs="EPSG:4326", transform=grid)
    # RFC 7946 section 5.2: west is greater than east.
    assert bounds("across.tif", "across_too.tif")[::2] == pytest.approx([179.7, -179.56])
    # Such a box cannot hold what lies on the other side of the globe.
    assert bounds("across.tif", "here.tif")[::2] == [-180, 180]
    assert bounds("here.tif")[::2] == pytest.approx([10, 10.64])


def test_what_belongs_to_an_image_is_in_its_row(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    write_scene(path, shape=(2, 120, 140), INTERLEAVE="BAND", nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.descriptions = ("red", "nir")
        file.write_mask(np.eye(120, 140, dtype=bool))
        file.build_overviews([2, 4])
    rows = scanned(str(path), parser=VirtualTIFF()).table.to_pylist()
    assert {row["full_ifd"] for row in rows} == {"0"}
    for row in rows:
        expected = None if "mask" in row["role"] else ["red", "nir"]
        assert row["band_names"] == expected
        assert row["grid_mapping"] is None
    (chosen,) = scanned(str(path), parser=VirtualTIFF(0, bands=(2, 1))).table.to_pylist()
    assert chosen["band_names"] == ["nir", "red"]
    with rasterio.open(path, "r+") as file:
        file.descriptions = ("", "")
    (numbered,) = scanned(str(path), parser=VirtualTIFF(0, bands=(2, 1))).table.to_pylist()
    assert numbered["band_names"] == ["2", "1"]
