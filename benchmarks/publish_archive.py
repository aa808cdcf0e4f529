"""Scan and publish 2,000 COGs over HTTP at 30 ms latency as one cube."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tifffile
from virtualizarr import open_virtual_mfdataset

import virtual_tiff
from benchmarks import data
from benchmarks._icechunk import largest_array, open_group
from benchmarks._measure import Contender, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows
from tests.helpers.range_server import RangeServer
from virtual_tiff import VirtualTIFF, open_repository
from virtual_tiff.publishing.containers import containers_for
from virtual_tiff.storage.stores import registry_for

LATENCY = 0.03
THREADS = 64
BASELINE = f"VirtualiZarr, {THREADS} threads"
BARE = "VirtualiZarr, without x and y"
OURS = "scan + publish"
QUICK = "300 files instead of 2,000, fewer rounds, not VirtualiZarr without coordinates"
_WARM_UP = 20


class Work:
    """The contenders: each reads all headers and commits a cube to a new repository.

    Parameters
    ----------
    urls
        Of the files, in the order of their dates.
    folder
        Where the repositories go.
    """

    def __init__(self, urls: Sequence[str], folder: Path) -> None:
        self.urls = list(urls)
        self.folder = folder
        self._numbers = count()

    def _new(self) -> Path:
        return self.folder / f"repository-{next(self._numbers)}"

    def ours(self) -> Path:
        repository = self._new()
        inventory = virtual_tiff.scan(self.urls, datetime_pattern=r"_(\d{8})")
        virtual_tiff.stack(inventory, str(repository))
        return repository

    def virtualizarr(self, parser: VirtualTIFF) -> Path:
        """The same parser, as our README shows it."""
        repository = self._new()
        with ThreadPoolExecutor(THREADS) as pool:
            cube = open_virtual_mfdataset(
                self.urls,
                registry=registry_for(self.urls),
                parser=parser,
                combine="nested",
                concat_dim="time",
                coords="minimal",
                compat="override",
                parallel=pool,
            ).rename({"0": "data"})
        days = np.datetime64("2020-01-01", "ns") + np.arange(len(self.urls)).astype("m8[D]")
        cube = cube.assign_coords(time=days)
        repo = open_repository(str(repository), create=True, containers=containers_for(self.urls))
        session = repo.writable_session("main")
        cube.vz.to_icechunk(session.store)
        session.commit("published")
        return repository

    def contenders(self, *, bare: bool) -> list[Contender]:
        out = [
            Contender(BASELINE, lambda: self.virtualizarr(VirtualTIFF(ifd=0))),
            Contender(OURS, self.ours),
        ]
        if bare:
            out.append(Contender(BARE, lambda: self.virtualizarr(VirtualTIFF(ifd=0, coords=False))))
        return out


def run(options: Options) -> Result:
    """Compare; raises `AssertionError` for another request than one GET a file, or other pixels."""
    number = options.pick(2000, 300, 8)
    files = data.cogs(number, options.cache)
    requests: dict[str, list[int]] = {}
    with (
        TemporaryDirectory() as folder,
        RangeServer(files[0].parent, latency=LATENCY) as server,
    ):
        urls = [f"{server.url}/{file.name}" for file in files]

        def after(name: str, result: object) -> None:
            log = server.requests
            requests.setdefault(name, []).append(len(log))
            once = {entry.path for entry in log if entry.method == "GET" and entry.status == 206}
            if name == OURS and (len(log) != number or len(once) != number):
                raise AssertionError(f"{len(log)} requests for {number} files: {log[:3]} …")
            assert isinstance(result, Path)
            _check(result, files)

        # What is imported late, on few files: a whole round to warm up would take a minute.
        for contender in Work(urls[:_WARM_UP], Path(folder) / "warm-up").contenders(bare=False):
            contender.run()
        timings = interleave(
            Work(urls, Path(folder)).contenders(bare=options.effort == "full"),
            min(options.rounds, 3),
            before=server.reset,
            after=after,
            report=options.report,
            warm_up=False,
        )
    cpu = {name: timing.cpu / number * 1000 for name, timing in timings.items()}
    faster = 1 / timings[OURS].ratio(timings[BASELINE])
    more = {
        name: {
            "GETs/file": f"{max(requests[name]) / number:.2f}",
            "CPU ms/file": f"{cpu[name]:.2f}",
        }
        for name in timings
    }
    return Result(
        name=Path(__file__).stem,
        title=f"Publish {number:,} COGs over HTTP at {LATENCY * 1000:.0f} ms latency as a cube",
        baseline=BASELINE,
        rows=rows(timings, BASELINE, more),
        targets=[
            Target("files a second against VirtualiZarr", faster, 8, at_least=True),
            Target("requests a file", max(requests[OURS]) / number, 1, ""),
            Target("processor time a file", cpu[OURS], 0.6, "ms"),
        ],
        notes=[
            "All with the same parser; open_virtual_mfdataset as our README has it. The second "
            "row of VirtualiZarr leaves out coordinates, which ours writes once for all files.",
            "Milliseconds of the processor depend on the machine; ratios do so less.",
        ],
        figures={"faster": faster, "cpu_ms": cpu[OURS]},
    )


def _check(repository: Path, files: Sequence[Path]) -> None:
    """Compare a corner of the last image with what tifffile reads."""
    array: Any = largest_array(open_group(repository))
    corner = np.asarray(array[-1, :4, :4])
    expected = tifffile.imread(files[-1], key=0)[:4, :4]
    if array.shape[0] != len(files) or not np.array_equal(corner, expected):
        raise AssertionError(f"{repository} holds other pixels")
