"""Entries of the catalogue: small files in the shapes of an archive become what the entry says."""

# ruff: noqa: E501 — addresses are as they are served

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr
from rasterio.transform import Affine

from tests.helpers.archive import memory_repository
from virtual_tiff import publish, scan, stack
from virtual_tiff.catalog.entries import Archive, archives
from virtual_tiff.catalog.search import _rewritten, tile_urls
from virtual_tiff.inventory import sources

UTM = (500_000.0, 5_400_000.0)


@dataclass(frozen=True)
class Shape:
    """A file: its address as served, pixel size, pixels, first corner, and what its Item says."""

    href: str
    size: tuple[float, float] = (10, 10)
    shape: tuple[int, ...] = (1, 32, 32)
    corner: tuple[float, float] = UTM
    asset: str = "data"
    time: str | None = "2024-06-04T10:00:00Z"
    properties: Mapping[str, object] = field(default_factory=dict)
    crs: str | None = "EPSG:32633"
    dtype: str = "uint16"
    south_up: bool = False


def write(path: Path, one: Shape, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = one.shape
    transform = Affine(
        one.size[0], 0, one.corner[0], 0, one.size[1] if one.south_up else -one.size[1],
        one.corner[1],
    )  # fmt: skip
    place: dict[str, Any] = {} if one.crs is None else {"crs": one.crs, "transform": transform}
    with rasterio.open(
        path, "w", "GTiff", width, height, bands, dtype=one.dtype, nodata=0,
        tiled=True, blockxsize=16, blockysize=16, compress="deflate", **place,
    ) as file:  # fmt: skip
        file.write(np.full(one.shape, number + 1, one.dtype))


def sentinel_2(names: Mapping[str, tuple[int, str]], place: str, **said: object) -> list[Shape]:
    """Bands of 10, 20 and 60 m of two days."""
    return [
        Shape(
            place.format(day=day, path=path),
            (size, size),
            (1, 480 // size, 480 // size),
            asset=name,
            time=f"2024-06-0{day}T10:00:00Z",
            properties=said,
        )
        for day in (4, 5)
        for name, (size, path) in names.items()
    ]


def dem(number: int, lat: str, width: int) -> Shape:
    name = f"Copernicus_DSM_COG_{number}_{lat}_00_E007_00_DEM"
    x = 1 / width
    south = int(lat[1:]) * (1 if lat[0] == "N" else -1)
    place = (7 - x / 2, south + 1 + 1 / 96)
    return Shape(
        f"s3://copernicus-dem-30m/{name}/{name}.tif", (x, 1 / 48), (1, 48, width), place,
        crs="EPSG:4326", dtype="float32", time="2021-04-22T00:00:00Z",
    )  # fmt: skip


#: Tiles at the latitudes where the width changes, which differ in the north and the south.
DEMS = [("N49", 48), ("N50", 32), ("S50", 48), ("S51", 32), ("S60", 32), ("S61", 24), ("S70", 24)]
DEM_GROUPS = 3

GRANULE = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/33/T/WN/2024/06/0{day}/S2B_MSIL2A_2024060{day}T100031_N0510_R122_T33TWN_2024060{day}T140000.SAFE/GRANULE/L2A/IMG_DATA/{path}"
BANDS = {"red": (10, "B04"), "nir": (10, "B08"), "swir16": (20, "B11"), "coastal": (60, "B01")}
HLS = "{start}{product}{end}/33/T/WN/2024/06/04/HLS.{product}.T33TWN.2024156T100731.v2.0/HLS.{product}.T33TWN.2024156T100731.v2.0.{band}.tif"


def hls(start: str, products: str, bands: tuple[str, ...]) -> list[Shape]:
    return [
        Shape(
            HLS.format(start=start, end="", product=product, band=band), (30, 30), asset=band,
            dtype="int16",
        )
        for product in products.split()
        for band in bands
    ]  # fmt: skip


LANDSAT = "level-2/standard/oli-tirs/2024/190/027/{name}/{name}_SR_B4.TIF"
SCENE = "LC09_L2SP_190027_202406{day:02}_20240607_02_T1"
CDL = "https://landcoverdata.blob.core.windows.net/usda-cdl/tiles/{kind}/{year}/{year}_30m_cdls_{x}_0_3000.tif"

#: Files of each archive, and the number of groups with arrays that its template makes of them.
SHAPES: dict[str, tuple[list[Shape], int]] = {
    "es-sentinel-2-l2a": (
        sentinel_2(
            BANDS,
            "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/33/T/WN/2024/6/S2B_33TWN_2024060{day}_0_L2A/{path}.tif",
            **{"grid:code": "MGRS-33TWN"},
        ),
        3,
    ),
    "es-sentinel-2-c1-l2a": (
        sentinel_2(
            BANDS,
            "https://e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com/sentinel-2-c1-l2a/33/T/WN/2024/6/S2B_T33TWN_2024060{day}T100031_L2A/{path}.tif",
            **{"grid:code": "MGRS-33TWN"},
        ),
        3,
    ),
    "pc-sentinel-2-l2a": (
        sentinel_2(
            {
                "B04": (10, "R10m/T33TWN_20240604T100031_B04_10m.tif"),
                "B11": (20, "R20m/T33TWN_20240604T100031_B11_20m.tif"),
            },
            GRANULE,
            **{"s2:mgrs_tile": "33TWN", "s2:processing_baseline": "05.10"},
        )
        + sentinel_2(
            {"B04": (10, "old/R10m/T33TWN_20240604T100031_B04_10m.tif")},
            GRANULE,
            **{"s2:mgrs_tile": "33TWN", "s2:processing_baseline": "03.01"},
        ),
        3,
    ),
    "es-cop-dem-glo-30": ([dem(10, *one) for one in DEMS], DEM_GROUPS),
    "es-cop-dem-glo-90": ([dem(30, *one) for one in DEMS], DEM_GROUPS),
    "es-landsat-c2-l2": (
        [
            Shape(
                f"s3://usgs-landsat/collection02/{LANDSAT.format(name=SCENE.format(day=d))}",
                (30, 30), (1, 32, 32 + d), (UTM[0] + 30 * d, UTM[1]), asset="red",
            )
            for d in (4, 5)
        ],
        2,
    ),
    "pc-landsat-c2-l2": (
        [
            Shape(
                "https://landsateuwest.blob.core.windows.net/landsat-c2/"
                + LANDSAT.format(name=SCENE.format(day=d)),
                (30, 30), asset="red",
            )
            for d in (4, 5)
        ],
        2,
    ),
    "es-naip": (
        [
            Shape(
                f"s3://naip-analytic/ny/{year}/60cm/rgbir_cog/42075/m_4207501_{quarter}_18_060_{year}0701.tif",
                # Quads overlap, and their sizes and rows differ a little.
                (0.6, 0.6), (4, 32, 32 + i), (UTM[0] + 18 * i, UTM[1] - 1.2 * i), asset="image",
                properties={"naip:state": "ny", "naip:year": year, "proj:epsg": 26918},
                crs="EPSG:26918", dtype="uint8",
            )
            for year in ("2019", "2021")
            for i, quarter in enumerate(("nw", "ne"))
        ],
        4,
    ),
    "es-sentinel-1-grd": (
        [
            Shape(
                f"s3://sentinel-s1-l1c/GRD/2024/6/{day}/IW/DV/S1A_IW_GRDH_1SDV_{day}/measurement/iw-{p}.tiff",
                asset=p, crs=None,
            )
            for day, polarisations in ((4, ("vv", "vh")), (5, ("vv",)))
            for p in polarisations
        ],
        3,
    ),
    "pc-io-lulc-annual-v02": (
        [
            Shape(
                f"https://ai4edataeuwest.blob.core.windows.net/io-lulc/io-annual-lulc-v02/{tile}_{y}0101-{y + 1}0101.tif",
                (10, 10), (1, 32, 32 + i), (UTM[0] + i, UTM[1]), time=None,
                properties={"start_datetime": f"{y}-01-01T00:00:00Z", "io:tile_id": tile},
                dtype="uint8",
            )
            for y in (2022, 2023)
            for i, tile in enumerate(("33T", "33U"))
        ],
        2,
    ),
    "pc-alos-dem": (
        [
            Shape(
                f"https://ai4edataeuwest.blob.core.windows.net/alos-dem/AW3D30/ALPSMLC30_N046E00{x}_DSM.tif",
                (1 / 32, 1 / 32), (1, 32, 32), (x, 47), crs="EPSG:4326", dtype="int16",
            )
            for x in (7, 8)
        ],
        1,
    ),
    "pc-nasadem": (
        [
            Shape(
                f"https://nasademeuwest.blob.core.windows.net/nasadem-cog/v001/NASADEM_HGT_n46e00{x}.tif",
                (1 / 32, 1 / 32), (1, 33, 33), (x - 1 / 64, 47 + 1 / 64), asset="elevation",
                crs="EPSG:4326", dtype="int16",
            )
            for x in (7, 8)
        ],
        1,
    ),
    "pc-esa-worldcover": (
        [
            Shape(
                f"https://ai4edataeuwest.blob.core.windows.net/esa-worldcover/{v}/{y}/map/ESA_WorldCover_10m_{y}_{v}_N45E0{x:02}_Map.tif",
                (3 / 32, 3 / 32), (1, 32, 32), (x, 48), asset="map", time=None,
                properties={"start_datetime": f"{y}-01-01T00:00:00Z", "esa_worldcover:product_version": p},
                crs="EPSG:4326", dtype="uint8",
            )
            for v, y, p in (("v100", 2020, "1.0.0"), ("v200", 2021, "2.0.0"))
            for x in (6, 9)
        ],
        2,
    ),
    "pc-usda-cdl": (
        [
            Shape(
                CDL.format(kind=kind, year=years, x=x), (30, 30), asset=asset, time=None,
                properties={"start_datetime": f"{years[:4]}-01-01T00:00:00Z", "usda_cdl:type": kind},
                corner=(x, 1_500_000), crs="EPSG:5070", dtype="uint8",
            )
            for kind, years, asset in (
                ("cropland", "2020", "cropland"),
                ("cropland", "2021", "cropland"),
                ("frequency", "2008-2021", "corn"),
            )
            for x in (-3000, 0)
        ],
        4,
    ),
    "pc-hls2-l30": (hls("https://hls2euwest.blob.core.windows.net/hls2/", "L30", ("B04", "B05")), 1),
    "pc-hls2-s30": (hls("https://hls2euwest.blob.core.windows.net/hls2/", "S30", ("B04", "B8A")), 1),
    "lpcloud-hls": (
        hls(
            "https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-protected/HLS", "L30 S30",
            ("B04", "B05"),
        ),
        2,
    ),
    "pc-3dep-seamless": (
        [
            Shape(
                f"https://ai4edataeuwest.blob.core.windows.net/3dep/Elevation/{r}/TIFF/n38w07{x}/USGS_{r}_n38w07{x}.tif",
                (1 / n, 1 / n), (1, n + 4, n + 4), (-70 - x - 2 / n, 38 + 2 / n),
                crs="EPSG:4269", dtype="float32",
            )
            for r, n in (("13", 48), ("1", 16))
            for x in (7, 8)
        ],
        2,
    ),
    "swisstopo-swissalti3d": (
        [
            Shape(
                f"https://data.geo.admin.ch/ch.swisstopo.swissalti3d/swissalti3d_{y}_{e}-1200/{key}",
                (r, r), (1, n, n), (1000 * e, 1_201_000), asset=key, crs="EPSG:2056",
                dtype="float32",
            )
            for y in (2019, 2023)
            for e in (2600, 2601)
            for r, n, g in ((50, 20, "2"), (12.5, 80, "0.5"))
            for key in (f"swissalti3d_{y}_{e}-1200_{g}_2056_5728.tif",)
        ],
        4,
    ),
    "aef-annual": (
        [
            Shape(
                f"s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual/{y}/{z}/x{y}{i}-0000000000-000000{i}192.tiff",
                (10, 10), (3, 32, 32), (UTM[0] + 320 * i, UTM[1]), crs=f"EPSG:326{z[:2]}",
                dtype="int8", south_up=True,
            )
            for y in (2023, 2024)
            for z in ("17N", "18N")
            for i in (0, 1)
        ],
        2,
    ),
    "esa-worldcover-2021": (
        [
            Shape(
                f"s3://esa-worldcover/v200/2021/map/ESA_WorldCover_10m_2021_v200_N45E0{x:02}_Map.tif",
                (3 / 32, 3 / 32), (1, 32, 32), (x, 48), crs="EPSG:4326", dtype="uint8",
            )
            for x in (6, 9)
        ],
        1,
    ),
    "meta-canopy-height": (
        [
            Shape(
                f"s3://dataforgood-fb-data/forests/v1/alsgedi_global_v6_float/chm/12022301{i}.tif",
                (1, 1), (1, 32, 32), (32 * i, 32), crs="EPSG:3857", dtype="uint8",
            )
            for i in (0, 1)
        ],
        1,
    ),
}  # fmt: skip
TILES = ("jrc-gsw-occurrence", "hansen-gfc-treecover2000")


def local(url: str, folder: Path) -> Path:
    """The file that stands for an address: its path within a folder."""
    return folder / re.sub(r"^[a-z0-9]+://[^/]+/", "", url)


def as_items(entry: Archive, shapes: list[Shape], folder: Path) -> Iterator[dict[str, Any]]:
    """Make an Item of each file, with the address that the entry makes of it."""
    for number, one in enumerate(shapes):
        item = {
            "type": "Feature",
            "id": f"item-{number}",
            "collection": entry.collections[0],
            "properties": {"datetime": one.time, **one.properties},
            "assets": {one.asset: {"href": one.href, "type": "image/tiff"}},
        }
        url = _rewritten(item, entry.rewrite)["assets"][one.asset]["href"]
        if "blob.core.windows.net" in one.href:
            assert re.fullmatch(r"abfs://[a-z0-9-]+@[a-z0-9]+\.dfs\.core\.windows\.net/.+", url)
        path = local(url, folder)
        write(path, one, number)
        item["assets"] = {one.asset: {"href": f"file://{path}", "type": "image/tiff"}}
        yield item


def test_every_entry_has_shapes() -> None:
    assert {*SHAPES, *TILES} == set(archives())


@pytest.mark.parametrize("name", sorted(archives()))
def test_an_entry_makes_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_TIFF_LOCAL_LINKS", "1")
    entry = archives()[name]
    more: dict[str, Any] = {}
    if name in TILES:
        shapes, groups = [], 1
        for x, url in zip((10, 20), tile_urls(entry, (15, 45, 25, 48)), strict=True):
            shapes.append(
                Shape(url, (10 / 32, 10 / 32), (1, 32, 32), (x, 50), crs="EPSG:4326", dtype="uint8")
            )
    else:
        shapes, groups = SHAPES[name]
    if entry.kind == "api":
        items = list(as_items(entry, shapes, tmp_path / "files"))
        monkeypatch.setattr(sources, "found_items", lambda *_: iter(items))
        more = {"assets": sorted({one.asset for one in shapes}), "bbox": (0, 0, 1, 1)}
        known = [*entry.assets, *entry.optional_assets]
        assert all(
            any(re.fullmatch(k.replace("*", ".*"), a) for k in known) for a in more["assets"]
        )
    else:
        for number, one in enumerate(shapes):
            write(local(one.href, tmp_path / "files"), one, number)
        here = replace(entry, kind="listing", sources=[f"{tmp_path}/files/"])
        monkeypatch.setattr(sources, "archive", lambda _: here)
    inventory = scan(f"catalog:{name}", **more)
    assert inventory.failed.num_rows == 0
    for column in entry.columns:
        assert inventory.table[column].null_count == 0, column
    repo = memory_repository(tmp_path)
    if entry.layout == "tree":
        publish(inventory, repo)
    else:
        options: dict[str, Any] = {"group": entry.group} if entry.group else {}
        options |= {"along": list(entry.along)} if entry.along else {}
        options |= {"variable": entry.variable} if entry.variable else {}
        options |= {"grid": entry.grid} if entry.grid and entry.layout == "stitch" else {}
        result = stack(inventory, repo, stitch=entry.layout == "stitch", on_gap="fill", **options)
        assert result.images == len(shapes)
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    found: dict[str, set[float]] = {}
    for path, member in root.members(max_depth=None):
        if isinstance(member, zarr.Array) and ({"grid_mapping", "tiff"} & set(member.attrs)):
            values = found.setdefault(path.rpartition("/")[0], set())
            values |= set(np.unique(np.asarray(member[...])).tolist())
    assert len(found) == groups, sorted(found)
    assert set().union(*found.values()) - {0} == set(range(1, len(shapes) + 1))
