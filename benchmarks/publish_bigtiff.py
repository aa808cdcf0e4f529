"""Publish a BigTIFF of a million tiles to a new Icechunk repository: time and memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import data
from benchmarks._icechunk import largest_array, open_group
from benchmarks._measure import Sample, Timing
from benchmarks._memory import MIB, Memory, memory_of
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows

QUICK = "fewer rounds"
BASELINE = "VirtualiZarr"
OURS = "virtual_tiff.publish"


def with_publish(url: str, repository: str) -> Callable[[], object]:
    """Our own way."""
    import virtual_tiff

    return lambda: virtual_tiff.publish([url], repository)


def with_virtualizarr(url: str, repository: str) -> Callable[[], object]:
    """The same parser through VirtualiZarr's dataset and `to_icechunk`."""
    import icechunk
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore
    from virtualizarr import open_virtual_dataset

    from virtual_tiff import VirtualTIFF

    registry = ObjectStoreRegistry({"file://": LocalStore()})
    prefix = f"{url.rpartition('/')[0]}/"

    def run() -> object:
        config = icechunk.RepositoryConfig.default()
        store = icechunk.local_filesystem_store(prefix.removeprefix("file://"))
        config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
        storage = icechunk.local_filesystem_storage(repository)
        repo = icechunk.Repository.create(storage, config)
        session = repo.writable_session("main")
        dataset = open_virtual_dataset(url, registry=registry, parser=VirtualTIFF(ifd=0))
        dataset.vz.to_icechunk(session.store)
        return session.commit("published")

    return run


WORK: dict[str, Callable[[str, str], Callable[[], object]]] = {
    BASELINE: with_virtualizarr,
    OURS: with_publish,
}
"""What `memory_of` can run in a process of its own."""


def run(options: Options) -> Result:
    """Compare, every run in a process of its own; checks that the repository can be read."""
    tiles = options.pick(data.MILLION_TILES, data.MILLION_TILES, 4096)
    url = data.many_tiles(options.cache, tiles).absolute().as_uri()
    small = data.cogs(1, options.cache)[0].absolute().as_uri()
    timings: dict[str, Timing] = {name: Timing(name) for name in WORK}
    memory: dict[str, list[Memory]] = {name: [] for name in WORK}
    rounds = min(options.rounds, options.pick(5, 1, 1))
    for round_number in range(rounds):
        for name in sorted(WORK, reverse=round_number % 2 == 1):
            options.report(f"round {round_number + 1} of {rounds}: {name}")
            used, sample = _publish(name, url, small)
            timings[name].samples.append(sample)
            memory[name].append(used)
    peak = {name: median(used.rise for used in memory[name]) / MIB for name in WORK}
    more = {name: {"MiB": f"{mebibytes:.0f}"} for name, mebibytes in peak.items()}
    # Of a time, unlike a ratio, only the least says something on a machine that others use.
    seconds = min(sample.wall for sample in timings[OURS].samples)
    return Result(
        name=Path(__file__).stem,
        title=f"Publish a BigTIFF of {tiles:,} tiles to a new local repository",
        baseline=BASELINE,
        rows=rows(timings, BASELINE, more),
        targets=[Target("time to publish", seconds, 3, "s")],
        notes=["MiB: the peak of a process of its own, less what it held after a small COG."],
    )


def _publish(name: str, url: str, small: str) -> tuple[Memory, Sample]:
    with TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        measured = memory_of(
            "publish_bigtiff", name, [url, str(repository)], warm_up=[small, f"{folder}/small"]
        )
        corner = np.asarray(largest_array(open_group(repository))[:16, :16])
        if not np.array_equal(corner.ravel(), np.arange(256)):
            raise AssertionError(f"{name} published other pixels")
    return measured
