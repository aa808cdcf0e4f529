"""Read a large image whole: through Icechunk and Zarr, with GDAL, with tifffile.

Every contender lives in a process of its own, since some of the settings are those of the memory of
the C library. `python -m benchmarks.read_array CONTENDER FILE REPOSITORY` is such a process: it
reads once for each line of its standard input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import data
from benchmarks._measure import Contender, Sample, Timing, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows

THREADS = 2
LIMIT = 1.0
QUICK = "2048 × 2048 pixels instead of 8192 × 8192, fewer rounds"
BASELINE = "rasterio"

type Image = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Setup:
    """How a contender is set up.

    Parameters
    ----------
    promised
        Whether `LIMIT` holds for it.
    environment
        Variables of its process.
    """

    promised: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


_ZARR = {
    "ZARR_THREADING__MAX_WORKERS": str(THREADS),
    "ZARR_ASYNC__CONCURRENCY": "128",
}
_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
_FUSED = {
    "ZARR_CODEC_PIPELINE__PATH": "zarr.core.codec_pipeline.FusedCodecPipeline",
    "ZARR_CODEC_PIPELINE__MAX_WORKERS": str(THREADS),
}
_PIPELINE = {
    "ZARR_CODEC_PIPELINE__PATH": "zarr_chunkwise.ChunkwiseCodecPipeline",
}
# The first word tells what reads.
CONTENDERS = {
    BASELINE: Setup(),
    "zarr": Setup(environment=_ZARR),
    "zarr, settings": Setup(environment={**_ZARR, **_MEMORY, **_FUSED}),
    "zarr, pipeline": Setup(True, {**_ZARR, **_PIPELINE}),
    "tifffile": Setup(),
}


def run(options: Options) -> list[Result]:
    """One table for each encoding; raises `AssertionError` if pixels differ."""
    return [_compare(encoding, options) for encoding in data.LARGE_ENCODINGS]


def _compare(encoding: str, options: Options) -> Result:
    import virtual_tiff

    size = options.pick(8192, 2048, 512)
    path = data.large(encoding, size, options.cache).absolute()
    lossy = data.LARGE_ENCODINGS[encoding]["compress"] == "JPEG"
    with TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        virtual_tiff.publish([path.as_uri()], str(repository), ifd_layout="flat")
        with _processes(path, repository) as processes:
            # Decoders of JPEG may round differently (ITU-T T.83 section 4).
            _check(processes, Path(folder), tolerance=4 if lossy else 0)
            contenders = [
                Contender(name, partial(_read, process)) for name, process in processes.items()
            ]
            timings = interleave(
                contenders, options.pick(3, 1, 1) * options.rounds, report=options.report
            )
    return Result(
        name=f"read_array-{encoding}",
        title=f"Read {size} × {size} pixels through Icechunk, {encoding}, {THREADS} threads",
        baseline=BASELINE,
        rows=rows(timings, BASELINE),
        targets=[_target(name, timings) for name, setup in CONTENDERS.items() if setup.promised],
        notes=[
            "The file is in the page cache; every contender gives a new array.",
            "What the settings and the pipeline are: docs/how-to/read-fast.md.",
        ],
    )


def _target(name: str, timings: Mapping[str, Timing]) -> Target:
    ratio = timings[name].ratio(timings[BASELINE])
    return Target(f"time against rasterio: {name}", ratio, LIMIT)


@contextmanager
def _processes(path: Path, repository: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "benchmarks.read_array"]
    processes = {
        name: subprocess.Popen(
            [*command, name, str(path), str(repository)],
            env={**os.environ, "ICECHUNK_LOG": "error", **setup.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, setup in CONTENDERS.items()
    }
    try:
        yield processes
    finally:
        for process in processes.values():
            process.communicate()  # ends its input, and waits


def _ask(process: subprocess.Popen[str], question: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    print(question, file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError("a contender ended: see above")
    return answer


def _read(process: subprocess.Popen[str]) -> Sample:
    return Sample(**json.loads(_ask(process)))


def _check(processes: Mapping[str, subprocess.Popen[str]], folder: Path, *, tolerance: int) -> None:
    expected: Any = None
    for number, (name, process) in enumerate(processes.items()):
        file = folder / f"{number}.npy"
        _ask(process, str(file))
        image: Any = np.load(file).squeeze()
        file.unlink()
        image = np.moveaxis(image, -1, 0) if image.shape[-1] == 3 else image
        expected = image if expected is None else expected
        if tolerance and image.shape == expected.shape:
            same = np.abs(image[..., ::7].astype(int) - expected[..., ::7]).max() <= tolerance
        else:
            same = np.array_equal(image, expected)
        if not same:
            raise AssertionError(f"{name} read other pixels")


# What follows runs in the processes of the contenders.


def _reader(contender: str, path: str, repository: str) -> Callable[[], Image]:
    """A function that reads the image, bands first but for tifffile."""
    if contender.startswith("zarr"):
        import zarr_chunkwise  # noqa: F401  # registers; the environment chooses

        from benchmarks._icechunk import largest_array, open_group

        array = largest_array(open_group(Path(repository)))
        return lambda: np.asarray(array[...])
    if contender == "tifffile":
        import tifffile

        return lambda: np.asarray(tifffile.imread(path, maxworkers=THREADS))
    import rasterio

    def read() -> Image:
        with rasterio.open(path, num_threads=THREADS) as dataset:
            image: Image = dataset.read()
            return image

    return read


def _serve(read: Callable[[], Image], questions: IO[str]) -> None:
    """Read once for every line; save the image where the line names a file."""
    for question in questions:
        cpu, wall = time.process_time(), time.perf_counter()
        image: Any = read()
        sample = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        if question.strip():
            np.save(question.strip(), image)
        del image
        print(json.dumps(sample), flush=True)


if __name__ == "__main__":
    _serve(_reader(*sys.argv[1:]), sys.stdin)
