"""Read a large image whole: through Icechunk and Zarr, with GDAL, with tifffile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
import tifffile
import zarr
from numpy.typing import NDArray

import virtual_tiff
from benchmarks import data
from benchmarks._icechunk import largest_array, open_group
from benchmarks._measure import Contender, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows

QUICK = "2048 × 2048 pixels instead of 8192 × 8192, fewer rounds"
BASELINE = "rasterio"
OURS = "Icechunk + zarr"

type Image = NDArray[np.generic]


def run(options: Options) -> list[Result]:
    """One table for each encoding; raises `AssertionError` if pixels differ."""
    return [_compare(encoding, options) for encoding in data.LARGE_ENCODINGS]


def readers(path: Path, repository: Path, threads: int) -> dict[str, Callable[[], Image]]:
    """The contenders, each with `threads` threads and bands first."""

    def with_rasterio() -> Image:
        with rasterio.open(path, num_threads=threads) as dataset:
            image: Image = dataset.read()
            return image

    def with_tifffile() -> Image:
        image: Image = tifffile.imread(path, maxworkers=threads)
        return image

    def with_zarr() -> Image:
        image: Any = largest_array(group)[...]
        return np.asarray(image)

    group = open_group(repository)
    return {BASELINE: with_rasterio, OURS: with_zarr, "tifffile": with_tifffile}


def _compare(encoding: str, options: Options) -> Result:
    threads = len(os.sched_getaffinity(0))
    size = options.pick(8192, 2048, 512)
    path = data.large(encoding, size, options.cache).absolute()
    lossy = data.LARGE_ENCODINGS[encoding]["compress"] == "JPEG"
    expected: list[Image] = []

    def check(name: str, result: object) -> None:
        assert isinstance(result, np.ndarray)
        image = result[None] if result.ndim == 2 else result
        image = np.moveaxis(image, -1, 0) if image.shape[-1] == 3 else image
        if not expected:
            expected.append(image)
        difference = np.abs(image[:, ::7].astype(int) - expected[0][:, ::7])
        # Decoders of JPEG may round differently (ITU-T T.83 section 4).
        if image.shape != expected[0].shape or difference.max() > (4 if lossy else 0):
            raise AssertionError(f"{name} read other pixels from {path}")

    with TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        virtual_tiff.publish([path.as_uri()], str(repository))
        with zarr.config.set({"threading.max_workers": threads, "async.concurrency": 128}):
            contenders = [
                Contender(name, read) for name, read in readers(path, repository, threads).items()
            ]
            timings = interleave(contenders, options.rounds, after=check, report=options.report)
    return Result(
        name=f"read_array-{encoding}",
        title=f"Read {size} × {size} pixels, {encoding}, {threads} threads",
        baseline=BASELINE,
        rows=rows(timings, BASELINE),
        targets=[Target("time against rasterio", timings[OURS].ratio(timings[BASELINE]), 1.5)],
        notes=["The file is in the page cache; every contender gives a new array."],
    )
