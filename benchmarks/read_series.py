"""Read a time series of a small area from 500 COGs over HTTP at 30 ms latency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import icechunk
import numpy as np
import rasterio
import rasterio.windows
import tifffile
import xarray
import zarr
import zarr_chunkwise  # noqa: F401  # registers
from async_geotiff import GeoTIFF, Window
from numpy.typing import NDArray
from obstore.store import HTTPStore
from rasterio.warp import transform_bounds

import virtual_tiff
from benchmarks import _rasteret, data
from benchmarks._icechunk import open_session
from benchmarks._measure import Contender, Sample, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Row, Target, rows
from benchmarks.parse_cogs import GDAL_OPTIONS, PREFETCH, gather, in_threads
from tests.helpers.range_server import RangeServer

COUNT = 500
LATENCY = 0.03
THREADS = 64
CONCURRENCY = 128
SIZE = 200
OURS = f"the cube, async.concurrency {CONCURRENCY}"
DEFAULT = "the cube, async.concurrency 10"
PIPELINE = "the cube, codec pipeline"
BASELINE = f"rasterio, {THREADS} threads"
ASYNC_GEOTIFF = "async-geotiff"
QUICK = "200 files instead of 500, the window that touches four tiles, fewer rounds"

#: What `docs/how-to/read-fast.md` sets for the codec pipeline.
CHUNKWISE = {"codec_pipeline.path": "zarr_chunkwise.ChunkwiseCodecPipeline"}

type Image = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Area:
    """A window of 200 × 200 pixels: its first row and column, and the tiles that it touches."""

    name: str
    start: int
    tiles: int

    @property
    def part(self) -> slice:
        return slice(self.start, self.start + SIZE)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north in EPSG:32633."""
        transform = data.TRANSFORM
        left, top = transform @ (self.start, self.start)
        right, bottom = transform @ (self.start + SIZE, self.start + SIZE)
        return left, bottom, right, top


AREAS = (Area("1-tile", 20, 1), Area("4-tiles", 156, 4))


@dataclass(slots=True)
class Work:
    """The contenders: each starts from nothing and returns `(files, rows, columns)`.

    Parameters
    ----------
    server
        Serves links to the folder of the files, named 0, 1, …: GDAL needs new URLs every round.
    names
        Of the files.
    area
        What is read.
    repository
        Where the cube is; it refers to the files below link 0.
    """

    server: str
    names: list[str]
    area: Area
    repository: Path
    next_link: int = field(default=0)

    def cube(self, concurrency: int, **settings: str) -> Callable[[], Image]:
        def run() -> Image:
            with zarr.config.set({"async.concurrency": concurrency, **settings}):
                storage = icechunk.local_filesystem_storage(str(self.repository))
                dataset = xarray.open_zarr(
                    open_session(storage).store,
                    consolidated=False,
                    zarr_format=3,
                    chunks=None,
                    mask_and_scale=False,
                )
                part = self.area.part
                image: Image = dataset["data"][:, part, part].to_numpy()
                return image

        return run

    def rasterio(self) -> Image:
        self.next_link += 1
        url = f"{self.server}/{self.next_link}"
        window = rasterio.windows.Window(self.area.start, self.area.start, SIZE, SIZE)

        def read(name: str) -> Image:
            with rasterio.open(f"{url}/{name}") as dataset:
                image: Image = dataset.read(1, window=window)
                return image

        with rasterio.Env(**GDAL_OPTIONS):
            return np.stack(in_threads(read, self.names))

    def async_geotiff(self) -> Image:
        store = HTTPStore(f"{self.server}/0", client_options={"allow_http": True})
        window = Window(self.area.start, self.area.start, SIZE, SIZE)

        async def read(name: str) -> Image:
            geotiff = await GeoTIFF.open(name, store=store, prefetch=PREFETCH)
            array = await geotiff.read(window=window)
            image: Image = np.asarray(array.data)[0]
            return image

        return np.stack(asyncio.run(gather(read, self.names)))


def run(options: Options) -> list[Result]:
    """One table for each window; raises `AssertionError` if pixels or requests are not ours."""
    count = options.pick(COUNT, 200, 8)
    files = data.cogs(count, options.cache)
    names = [file.name for file in files]
    rounds = min(options.rounds, options.pick(5, 2, 1))
    out = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        served = folder / "served"
        served.mkdir()
        # One for each time that GDAL reads: the rounds and the warm-up, of both windows.
        for link in range(2 * (rounds + 1) + 1):
            (served / str(link)).symlink_to(files[0].parent.absolute())
        with RangeServer(served, latency=LATENCY) as server:
            work = Work(server.url, names, AREAS[0], folder / "cube")
            options.report("publishing the cube")
            inventory = virtual_tiff.scan(
                [f"{server.url}/0/{name}" for name in names], datetime_pattern=r"_(\d{8})"
            )
            virtual_tiff.stack(inventory, str(work.repository))
            absent = build_rasteret(options, f"{server.url}/0", files, folder)
            if absent:
                options = replace(options, rasteret=None)
            for area in AREAS[: options.pick(2, 1, 2)]:
                work.area = area
                out.append(_compare(options, work, server, files, rounds, folder, absent))
    return out


def build_rasteret(options: Options, url: str, files: list[Path], folder: Path) -> str:
    """Build Rasteret's collection; says why there is none, or nothing."""
    if options.rasteret is None:
        return _rasteret.ENVIRONMENT.not_installed
    options.report("building Rasteret's collection")
    with rasterio.open(files[0]) as dataset:
        footprint = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    names = [file.name for file in files]
    try:
        _rasteret.build(options.rasteret, url, names, folder / "rasteret", footprint)
    except RuntimeError as error:
        # The others are still worth a run.
        return f"{_rasteret.NAME}: cannot build its collection ({str(error)[-200:]})"
    return ""


def _compare(
    options: Options,
    work: Work,
    server: RangeServer,
    files: list[Path],
    rounds: int,
    folder: Path,
    absent: str,
) -> Result:
    area, count = work.area, len(files)
    part = area.part
    expected = np.stack([tifffile.imread(file, key=0)[part, part] for file in files])
    requests: dict[str, list[int]] = {}
    output = folder / "pixels.npy"

    def with_rasteret() -> Sample:
        assert options.rasteret is not None
        sample, _ = _rasteret.read(
            options.rasteret,
            f"{work.server}/0",
            folder / "rasteret",
            area.bounds,
            concurrency=CONCURRENCY,
            output=output,
        )
        return sample

    def after(name: str, result: object) -> None:
        log = server.requests
        requests.setdefault(name, []).append(len(log))
        image = np.load(output) if name == _rasteret.NAME else result
        assert isinstance(image, np.ndarray)
        if not np.array_equal(image, expected):
            raise AssertionError(f"{name} read other pixels")
        ranges = {(entry.path, entry.range) for entry in log}
        if name in (OURS, DEFAULT, PIPELINE) and not len(ranges) == len(log) == count * area.tiles:
            raise AssertionError(f"{len(log)} requests for {count * area.tiles} chunks")

    contenders = [
        Contender(BASELINE, work.rasterio),
        Contender(PIPELINE, work.cube(CONCURRENCY, **CHUNKWISE)),
        Contender(OURS, work.cube(CONCURRENCY)),
        Contender(ASYNC_GEOTIFF, work.async_geotiff),
    ]
    if area.tiles == 1:
        contenders.append(Contender(DEFAULT, work.cube(10)))
    if options.rasteret is not None:
        contenders.append(Contender(_rasteret.NAME, with_rasteret))
    timings = interleave(
        contenders,
        rounds if area.tiles == 1 else min(rounds, 3),
        before=server.reset,
        after=after,
        report=options.report,
        # The second table comes after the first, with all warm.
        warm_up=area.tiles == 1,
    )
    more = {name: {"requests/file": f"{median(requests[name]) / count:.2f}"} for name in timings}
    table = rows(timings, BASELINE, more)
    ours, best = timings[OURS], timings[PIPELINE]
    targets = [Target("time against async-geotiff", best.ratio(timings[ASYNC_GEOTIFF]), 1)]
    if area.tiles == 1:
        faster = 1 / best.ratio(timings[BASELINE])
        targets.append(Target("speed against rasterio", faster, 4, at_least=True))
    if options.rasteret is None:
        table.append(Row(absent))
    else:
        targets.append(Target("time against Rasteret", best.ratio(timings[_rasteret.NAME]), 1))
    chunks = count * area.tiles
    targets.append(Target("requests a chunk", max(requests[PIPELINE]) / chunks, 1, ""))
    figures = {"rasterio": 1 / ours.ratio(timings[BASELINE])}
    figures["async_geotiff"] = 1 / ours.ratio(timings[ASYNC_GEOTIFF])
    figures["pipeline_rasterio"] = 1 / best.ratio(timings[BASELINE])
    figures["pipeline_async_geotiff"] = 1 / best.ratio(timings[ASYNC_GEOTIFF])
    if DEFAULT in timings:
        figures["concurrency"] = timings[DEFAULT].ratio(ours)
    if _rasteret.NAME in timings:
        figures["rasteret"] = 1 / ours.ratio(timings[_rasteret.NAME])
    return Result(
        name=f"{Path(__file__).stem}-{area.name}",
        title=f"Read {SIZE} × {SIZE} pixels of {count} COGs over HTTP at "
        f"{LATENCY * 1000:.0f} ms latency; the window touches {area.tiles} "
        f"{'tile' if area.tiles == 1 else 'tiles'} a file",
        baseline=BASELINE,
        rows=table,
        targets=targets,
        notes=[
            "From nothing to the array: the repository, the collection and the files are opened in "
            "the time. The cube and Rasteret's collection were made before.",
            "Every contender returned the pixels that tifffile reads. Rasteret and the cube have "
            f"{CONCURRENCY} requests under way, unless it says otherwise; async-geotiff 256 files.",
            "The promises are those of the cube with the optional codec pipeline.",
        ],
        figures=figures,
    )
