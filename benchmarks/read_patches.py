"""Read patches around 500 geometries in 50 scenes over HTTP at 30 ms latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import icechunk
import numpy as np
import rasterio
import rasterio.features
import rasterio.windows
import tifffile
import xarray
import zarr
import zarr_chunkwise  # noqa: F401  # registers
from numpy.typing import NDArray
from rasterio.transform import Affine
from shapely import Point, Polygon

import virtual_tiff
from benchmarks import _rasteret, data
from benchmarks._icechunk import open_session
from benchmarks._measure import Contender, Sample, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Row, Target, rows
from benchmarks.parse_cogs import GDAL_OPTIONS, in_threads
from benchmarks.read_series import CHUNKWISE, build_rasteret
from clients.python.patches import patches
from tests.helpers.range_server import RangeServer

SCENES = 50
SHAPES = 500
SIZE = 1024
LATENCY = 0.03
THREADS = 64
CONCURRENCY = 128
#: Pixels of a window, in each direction, and the radius of its shape, in metres.
PATCH = 20
RADIUS = 95
BASELINE = f"rasterio, {THREADS} threads"
OURS = f"the cube, async.concurrency {CONCURRENCY}"
PIPELINE = "the cube, codec pipeline"
QUICK = "20 scenes and 100 geometries instead of 50 and 500, fewer rounds"

type Pixels = NDArray[np.uint16]


@dataclass(slots=True)
class Work:
    """The contenders: each starts from nothing and returns `(shapes, scenes, rows, columns)`.

    Parameters
    ----------
    server
        Serves links to the folder of the scenes, named 0, 1, …: GDAL needs new URLs every round.
    names
        Of the scenes.
    shapes
        Polygons, and the first row and column of each.
    repository
        Where the cube is; it refers to the files below link 0.
    """

    server: str
    names: list[str]
    shapes: list[tuple[Polygon, int, int]]
    repository: Path
    next_link: int = field(default=0)

    @property
    def polygons(self) -> list[Polygon]:
        return [polygon for polygon, _, _ in self.shapes]

    def cube(self, **settings: str) -> Callable[[], Pixels]:
        def run() -> Pixels:
            with zarr.config.set({"async.concurrency": CONCURRENCY, **settings}):
                storage = icechunk.local_filesystem_storage(str(self.repository))
                dataset = xarray.open_zarr(
                    open_session(storage).store,
                    consolidated=False,
                    zarr_format=3,
                    chunks=None,
                    mask_and_scale=False,
                )
                return np.stack(patches(dataset["data"], self.polygons, outside=0))

        return run

    def rasterio(self) -> Pixels:
        """Read all windows of a scene from one handle, whose cache of blocks GDAL keeps."""
        self.next_link += 1
        url = f"{self.server}/{self.next_link}"
        outside = _outside(self.shapes)

        def read(name: str) -> Pixels:
            found = []
            with rasterio.open(f"{url}/{name}") as file:
                for (_, row, column), hidden in zip(self.shapes, outside, strict=True):
                    window = rasterio.windows.Window(column, row, PATCH, PATCH)
                    image = file.read(1, window=window)
                    image[hidden] = 0
                    found.append(image)
            return np.stack(found)

        with rasterio.Env(**GDAL_OPTIONS):
            return np.stack(in_threads(read, self.names), axis=1)


def _shapes(count: int, size: int) -> list[tuple[Polygon, int, int]]:
    """Scatter circles over a scene; the window of each has `PATCH` pixels a side."""
    random = np.random.default_rng(0)
    found = []
    for row, column in random.integers(0, size - PATCH, (count, 2)).tolist():
        x, y = data.TRANSFORM @ (column + PATCH / 2, row + PATCH / 2)
        found.append((Point(x, y).buffer(RADIUS), row, column))
    return found


def _outside(shapes: list[tuple[Polygon, int, int]]) -> list[Any]:
    return [
        rasterio.features.geometry_mask(
            [shape], (PATCH, PATCH), data.TRANSFORM @ Affine.translation(column, row)
        )
        for shape, row, column in shapes
    ]


def run(options: Options) -> Result:
    """Make one table; raises `AssertionError` if pixels or requests are not as expected."""
    count = options.pick(SCENES, 20, 4)
    size = options.pick(SIZE, SIZE, 512)
    files = data.scenes(count, size, options.cache)
    names = [file.name for file in files]
    rounds = min(options.rounds, options.pick(3, 1, 1))
    with TemporaryDirectory() as name:
        folder = Path(name)
        served = folder / "served"
        served.mkdir()
        # One for each round, as GDAL reads.
        for link in range(rounds + 1):
            (served / str(link)).symlink_to(files[0].parent.absolute())
        with RangeServer(served, latency=LATENCY) as server:
            shapes = _shapes(options.pick(SHAPES, 100, 20), size)
            work = Work(server.url, names, shapes, folder / "cube")
            options.report("publishing the cube")
            inventory = virtual_tiff.scan(
                [f"{server.url}/0/{name}" for name in names], datetime_pattern=r"_(\d{8})"
            )
            virtual_tiff.stack(inventory, str(work.repository))
            absent = build_rasteret(options, f"{server.url}/0", files, folder)
            if absent:
                options = replace(options, rasteret=None)
            return _compare(options, work, server, files, rounds, folder, absent)


def _compare(
    options: Options,
    work: Work,
    server: RangeServer,
    files: list[Path],
    rounds: int,
    folder: Path,
    absent: str,
) -> Result:
    expected = _expected(work, files)
    tiles = {
        (y // 256, x // 256)
        for _, row, column in work.shapes
        for y in (row, row + PATCH - 1)
        for x in (column, column + PATCH - 1)
    }
    chunks = len(files) * len(tiles)
    requests: dict[str, list[int]] = {}
    output = folder / "pixels.npy"

    def with_rasteret() -> Sample:
        assert options.rasteret is not None
        return _rasteret.patches(
            options.rasteret,
            f"{work.server}/0",
            folder / "rasteret",
            work.polygons,
            concurrency=CONCURRENCY,
            output=output,
        )

    def after(name: str, result: object) -> None:
        requests.setdefault(name, []).append(len(server.requests))
        found = np.load(output) if name == _rasteret.NAME else result
        assert isinstance(found, np.ndarray)
        if not np.array_equal(found, expected):
            raise AssertionError(f"{name} read other pixels")
        if name in (OURS, PIPELINE) and len(server.requests) != chunks:
            raise AssertionError(f"{len(server.requests)} requests for {chunks} chunks")

    contenders = [
        Contender(BASELINE, work.rasterio),
        Contender(PIPELINE, work.cube(**CHUNKWISE)),
        Contender(OURS, work.cube()),
    ]
    if options.rasteret is not None:
        contenders.append(Contender(_rasteret.NAME, with_rasteret))
    timings = interleave(
        contenders,
        rounds,
        before=server.reset,
        after=after,
        report=options.report,
        # Rasteret takes a minute, and warms up by itself.
        warm_up=False,
    )
    count = len(files)
    more = {name: {"requests/scene": f"{median(requests[name]) / count:.1f}"} for name in timings}
    table = rows(timings, BASELINE, more)
    ours, best = timings[OURS], timings[PIPELINE]
    targets = [Target("requests a chunk", max(requests[OURS]) / chunks, 1, "")]
    figures = {
        "rasterio": 1 / ours.ratio(timings[BASELINE]),
        "pipeline_rasterio": 1 / best.ratio(timings[BASELINE]),
    }
    if options.rasteret is None:
        table.append(Row(absent))
    else:
        targets.append(Target("time against Rasteret", ours.ratio(timings[_rasteret.NAME]), 1))
        figures["rasteret"] = 1 / ours.ratio(timings[_rasteret.NAME])
    return Result(
        name=Path(__file__).stem,
        title=f"Read patches of {PATCH} × {PATCH} pixels around {len(work.shapes)} geometries in "
        f"{count} scenes over HTTP at {LATENCY * 1000:.0f} ms latency",
        baseline=BASELINE,
        rows=table,
        targets=targets,
        notes=[
            "From nothing to arrays with 0 outside of the geometries: the repository, the "
            "collection and the files are opened in the time. The cube and Rasteret's collection "
            "were made before.",
            "The cube is read with `clients/python/patches.py`, Rasteret with `get_gdf`, which "
            "makes a GeoDataFrame of a row for each geometry and scene. rasterio opens each scene "
            "once and reads all windows from it.",
            f"Rasteret and the cube have {CONCURRENCY} requests under way, the cube in each of "
            "four threads.",
        ],
        figures=figures,
    )


def _expected(work: Work, files: list[Path]) -> Pixels:
    """Pixels by tifffile, and 0 outside of the shapes."""
    outside = _outside(work.shapes)
    found = np.empty((len(work.shapes), len(files), PATCH, PATCH), np.uint16)
    for number, file in enumerate(files):
        image = tifffile.imread(file, key=0)
        for index, (_, row, column) in enumerate(work.shapes):
            found[index, number] = image[row : row + PATCH, column : column + PATCH]
    for index, hidden in enumerate(outside):
        found[index, :, hidden] = 0
    return found
