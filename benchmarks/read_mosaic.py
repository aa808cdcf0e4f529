"""Read an area that four tiles share, of 100 dates over HTTP at 30 ms latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import icechunk
import numpy as np
import odc.stac
import pystac
import rasterio
import rasterio.windows
import xarray
import zarr
import zarr_chunkwise  # noqa: F401  # registers
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

import virtual_tiff
from benchmarks import data
from benchmarks._icechunk import open_session
from benchmarks._measure import Contender, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows
from benchmarks.parse_cogs import GDAL_OPTIONS
from clients.python.flatten import flatten
from tests.helpers.range_server import RangeServer

DATES = 100
LATENCY = 0.03
THREADS = 16
CONCURRENCY = 128
AREA = 200
BASELINE = f"GDAL's VRT, {THREADS} threads"
#: zarr-python's own settings: `flatten` reads tiles at once, each with ten requests.
OURS = "the cube of tiles, as installed"
PIPELINE = f"the cube of tiles, codec pipeline, async.concurrency {CONCURRENCY}"
ODC = f"odc-stac, {THREADS} threads"
QUICK = "20 dates instead of 100, fewer rounds"

_FIRST = date(2020, 1, 1)
_CHUNKWISE = {
    "async.concurrency": CONCURRENCY,
    "codec_pipeline.path": "zarr_chunkwise.ChunkwiseCodecPipeline",
}

type Means = NDArray[np.float64]


@dataclass(slots=True)
class Work:
    """The contenders: each starts from nothing and returns the mean of the area at each date.

    Parameters
    ----------
    server
        Serves links to the folder of the tiles, named 0, 1, …: GDAL needs new URLs every round.
    tiles
        Names of the files at each date: those of the upper row, then those of the lower one.
    size
        Rows and columns of a tile.
    repository
        Where the cube is; it refers to the files below link 0.
    """

    server: str
    tiles: list[list[str]]
    size: int
    repository: Path
    next_link: int = field(default=0)

    @property
    def part(self) -> slice:
        return slice(self.size - AREA // 2, self.size + AREA // 2)

    def fresh(self) -> str:
        """Start of URLs that no contender has read before."""
        self.next_link += 1
        return f"{self.server}/{self.next_link}"

    def cube(self, settings: Mapping[str, object]) -> Callable[[], Means]:
        def run() -> Means:
            with zarr.config.set({**settings}):
                storage = icechunk.local_filesystem_storage(str(self.repository))
                tiles = xarray.open_zarr(
                    open_session(storage).store, consolidated=False, zarr_format=3, chunks=None,
                    mask_and_scale=False,
                )["data"]  # fmt: skip
                area = flatten(tiles)[:, self.part, self.part].to_numpy()
                means: Means = area.mean((1, 2), dtype=float)
                return means

        return run

    def vrt(self) -> Means:
        url = self.fresh()
        start = self.size - AREA // 2
        window = rasterio.windows.Window(start, start, AREA, AREA)

        def read(names: list[str]) -> float:
            with rasterio.open(_vrt([f"/vsicurl/{url}/{n}" for n in names], self.size)) as file:
                return float(file.read(1, window=window).mean())

        with rasterio.Env(**GDAL_OPTIONS), ThreadPoolExecutor(THREADS) as pool:
            return np.array(list(pool.map(read, self.tiles)))

    def odc(self) -> Means:
        url = self.fresh()
        items = [
            self._item(f"{url}/{name}", number, day)
            for day, names in enumerate(self.tiles)
            for number, name in enumerate(names)
        ]
        start = self.part.start
        corner = data.TRANSFORM @ Affine.translation(start, start)
        grid = GeoBox((AREA, AREA), corner, "EPSG:32633")
        gdal: dict[str, Any] = {**GDAL_OPTIONS}
        odc.stac.configure_rio(cloud_defaults=True, **gdal)
        loaded = odc.stac.load(items, bands=["data"], geobox=grid, groupby="time", pool=THREADS)
        means: Means = loaded["data"].to_numpy().mean((1, 2), dtype=float)
        return means

    def _item(self, url: str, number: int, day: int) -> pystac.Item:
        row, column = divmod(number, 2)
        transform = data.TRANSFORM @ Affine.translation(column * self.size, row * self.size)
        left, top = transform @ (0, 0)
        right, bottom = transform @ (self.size, self.size)
        box = transform_bounds("EPSG:32633", "EPSG:4326", left, bottom, right, top)
        west, south, east, north = box
        ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        projection = {
            "proj:code": "EPSG:32633",
            "proj:shape": [self.size, self.size],
            "proj:transform": list(transform[:6]),
        }
        item = pystac.Item(
            f"{day}-{number}",
            {"type": "Polygon", "coordinates": [ring]},
            list(box),
            _midnight(day),
            projection,
            stac_extensions=["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
        )
        asset = pystac.Asset(url, media_type=pystac.MediaType.COG, roles=["data"])
        item.add_asset("data", asset)
        return item


def _midnight(day: int) -> Any:
    return np.datetime64(_FIRST + timedelta(days=day), "us").item()


def _vrt(paths: list[str], size: int) -> str:
    """Two rows of two tiles, as gdalbuildvrt describes them."""
    sources = []
    for number, path in enumerate(paths):
        row, column = divmod(number, 2)
        extent = f'xSize="{size}" ySize="{size}"'
        sources.append(
            f"<ComplexSource><SourceFilename>{path}</SourceFilename><SourceBand>1</SourceBand>"
            f'<SourceProperties RasterXSize="{size}" RasterYSize="{size}" DataType="UInt16" '
            f'BlockXSize="{data.TILE_BLOCK}" BlockYSize="{data.TILE_BLOCK}"/>'
            f'<SrcRect xOff="0" yOff="0" {extent}/>'
            f'<DstRect xOff="{column * size}" yOff="{row * size}" {extent}/>'
            "<NODATA>0</NODATA></ComplexSource>"
        )
    a, b, left, d, e, top = data.TRANSFORM[:6]
    return (
        f'<VRTDataset rasterXSize="{2 * size}" rasterYSize="{2 * size}"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>{left}, {a}, {b}, {top}, {d}, {e}</GeoTransform>"
        '<VRTRasterBand dataType="UInt16" band="1"><NoDataValue>0</NoDataValue>'
        f"{''.join(sources)}</VRTRasterBand></VRTDataset>"
    )


def run(options: Options) -> Result:
    """Make one table; raises `AssertionError` if means or requests are not as expected."""
    dates = options.pick(DATES, 20, 4)
    size = options.pick(data.MOSAIC_SIZE, data.MOSAIC_SIZE, 1200)
    files = data.mosaic(size, options.cache)
    rounds = min(options.rounds, options.pick(5, 2, 1))
    days = [_FIRST + timedelta(days=number) for number in range(dates)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        archive = folder / "archive"
        archive.mkdir()
        tiles = [[f"tile_{number}_{day:%Y%m%d}.tif" for number in range(4)] for day in days]
        for day, names in enumerate(tiles):
            for name, file in zip(names, files[day % len(files)], strict=True):
                (archive / name).symlink_to(file.absolute())
        served = folder / "served"
        served.mkdir()
        # One for each time that GDAL reads: the rounds and the warm-up, of two contenders.
        for link in range(2 * (rounds + 1) + 1):
            (served / str(link)).symlink_to(archive)
        with RangeServer(served, latency=LATENCY) as server:
            work = Work(server.url, tiles, size, folder / "cube")
            options.report("publishing the cube")
            inventory = virtual_tiff.scan(
                [f"{server.url}/0/{name}" for names in tiles for name in names],
                datetime_pattern=r"_(\d{8})",
            )
            virtual_tiff.stack(
                inventory, str(work.repository), stitch=True, along="datetime", grid="tiles"
            )
            return _compare(options, work, server, files, rounds)


def _compare(
    options: Options, work: Work, server: RangeServer, files: list[list[Path]], rounds: int
) -> Result:
    count = len(work.tiles)
    known = [_mean(each, work.part.start) for each in files]
    expected = np.array([known[day % len(known)] for day in range(count)])
    requests: dict[str, list[int]] = {}

    def after(name: str, result: object) -> None:
        requests.setdefault(name, []).append(len(server.requests))
        if not np.allclose(np.asarray(result), expected, rtol=1e-12):
            raise AssertionError(f"{name} read other pixels")
        if name in (OURS, PIPELINE) and len(server.requests) != 4 * count:
            raise AssertionError(f"{len(server.requests)} requests for {4 * count} chunks")

    timings = interleave(
        [
            Contender(BASELINE, work.vrt),
            Contender(PIPELINE, work.cube(_CHUNKWISE)),
            Contender(OURS, work.cube({})),
            Contender(ODC, work.odc),
        ],
        rounds,
        before=server.reset,
        after=after,
        report=options.report,
    )
    more = {name: {"requests/date": f"{median(requests[name]) / count:.2f}"} for name in timings}
    ours, best, odc_time = timings[OURS], timings[PIPELINE], timings[ODC]
    return Result(
        name=Path(__file__).stem,
        title=f"Mean of {AREA} × {AREA} pixels across four tiles of {work.size} × {work.size}, "
        f"{count} dates, over HTTP at {LATENCY * 1000:.0f} ms latency",
        baseline=BASELINE,
        rows=rows(timings, BASELINE, more),
        targets=[
            Target("time against GDAL's VRT, as installed", ours.ratio(timings[BASELINE]), 0.5),
            Target("time against GDAL's VRT, pipeline", best.ratio(timings[BASELINE]), 0.3),
            Target("time against odc-stac, as installed", ours.ratio(odc_time), 0.45),
            Target("requests a chunk", max(requests[OURS]) / (4 * count), 1, ""),
        ],
        notes=[
            f"Tiles of uint16 in blocks of {data.TILE_BLOCK}, Deflate with predictor 2; the last "
            "blocks of each are partly outside of it.",
            "From nothing to the means: the repository, the VRTs and the files are opened in the "
            "time. The cube was made before. `clients/python/flatten.py` joins its tiles.",
        ],
        figures={
            "vrt": 1 / ours.ratio(timings[BASELINE]),
            "pipeline_vrt": 1 / best.ratio(timings[BASELINE]),
            "odc_stac": 1 / ours.ratio(odc_time),
        },
    )


def _mean(tiles: list[Path], start: int) -> float:
    """Mean of the area that four tiles share, by GDAL."""
    with rasterio.open(_vrt([str(path) for path in tiles], start + AREA // 2)) as file:
        window = rasterio.windows.Window(start, start, AREA, AREA)
        return float(file.read(1, window=window).mean())
