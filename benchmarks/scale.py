"""What 10⁴ to 10⁷ chunks cost: manifests, memory, time, and the requests to open the cube."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import icechunk
import xarray

import virtual_tiff
from benchmarks import data
from benchmarks._icechunk import open_session
from benchmarks._measure import Sample, Timing
from benchmarks._memory import MIB, Memory, memory_of
from benchmarks._options import Options
from benchmarks._report import Result, Target, rows
from benchmarks._rows import header, repeated
from tests.helpers.range_server import RangeServer
from virtual_tiff.publishing.manifests import MANIFEST_REFERENCES

OURS = "write"
GRID = 10
QUICK = "10⁶ chunks in one commit at most, instead of 10⁷ in ten"
_CHUNKS = GRID * GRID


def write(inventory: str, repository: str) -> Callable[[], object]:
    """Publish a saved inventory, or append it to the cube that is there."""
    if Path(repository).exists():
        return lambda: virtual_tiff.append(inventory, repository)
    return lambda: virtual_tiff.stack(inventory, repository)


WORK: dict[str, Callable[[str, str], Callable[[], object]]] = {OURS: write}
"""What `memory_of` can run in a process of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was measured of one cube.

    Parameters
    ----------
    chunks, images, commits
        How many; the commits are of equal size.
    wall, cpu
        Seconds of all commits.
    rise
        Bytes of memory of one of them.
    manifests, manifest_bytes, repository_bytes
        In the repository.
    snapshot_bytes
        Of the last snapshot.
    open_requests, open_bytes
        To open it with xarray, over HTTP.
    find_requests, find_bytes
        To learn where a chunk is, after that.
    """

    chunks: int
    images: int
    commits: int
    wall: float
    cpu: float
    rise: int
    manifests: int
    manifest_bytes: int
    snapshot_bytes: int
    repository_bytes: int
    open_requests: int
    open_bytes: int
    find_requests: int
    find_bytes: int

    @property
    def name(self) -> str:
        more = f", {self.commits} commits" if self.commits > 1 else ""
        return f"{self.chunks:,} chunks{more}"

    @property
    def columns(self) -> dict[str, str]:
        return {
            "CPU µs": f"{self.cpu / self.chunks * 1e6:.1f}",
            "bytes": f"{self.manifest_bytes / self.chunks:.1f}",
            "MiB": f"{self.rise / MIB:.0f}",
            "manifests": f"{self.manifests}",
            "snapshot": f"{self.snapshot_bytes / 1024:.1f}",
            "open": f"{self.open_requests}/{self.open_bytes / 1024:.0f}",
            "find": f"{self.find_requests}/{self.find_bytes / 1024:.0f}",
        }


def run(options: Options) -> Result:
    """One table: a row for each number of chunks."""
    counts = options.pick((10**4, 10**5, 10**6), (10**4, 10**6), (10**3,))
    commits = options.pick(10, 1, 2)
    with TemporaryDirectory() as folder, RangeServer(folder) as server:
        return _result(_measure(options, counts, commits, Path(folder), server))


def _measure(
    options: Options, counts: tuple[int, ...], commits: int, folder: Path, server: RangeServer
) -> list[Found]:
    (file,) = data.cogs(1, options.cache)
    template = header(file)
    prefix = f"{folder.as_uri()}/image_"
    repeated(template, 3, prefix, grid=GRID).write(folder / "small.parquet")

    def commit(chunks: int, *, first: int = 0) -> tuple[Memory, Sample]:
        inventory = folder / "inventory.parquet"
        repeated(template, chunks // _CHUNKS, prefix, first=first, grid=GRID).write(inventory)
        small = [str(folder / "small.parquet"), str(folder / f"small-{chunks}-{first}")]
        written = [str(inventory), str(folder / f"{chunks}")]
        return memory_of(Path(__file__).stem, OURS, written, warm_up=small)

    def found(chunks: int, done: list[tuple[Memory, Sample]]) -> Found:
        return Found(
            chunks=chunks * len(done),
            images=chunks * len(done) // _CHUNKS,
            commits=len(done),
            wall=sum(sample.wall for _, sample in done),
            cpu=sum(sample.cpu for _, sample in done),
            rise=max(memory.rise for memory, _ in done),
            **_size(folder / f"{chunks}"),
            **_opening(server, f"{chunks}"),
        )

    out = []
    for chunks in counts:
        options.report(f"{chunks:,} chunks")
        done = [commit(chunks)]
        out.append(found(chunks, done))
    if commits > 1:
        # One commit after the other, as an archive grows; the first is that of before.
        for number in range(1, commits):
            options.report(f"commit {number + 1} of {commits}, of {chunks:,} chunks each")
            done.append(commit(chunks, first=number * chunks // _CHUNKS))
        out.append(found(chunks, done))
    return out


def _result(all_found: list[Found]) -> Result:
    timings = {
        each.name: Timing(each.name, [Sample(each.wall / each.chunks, each.cpu / each.chunks)])
        for each in all_found
    }
    least, most = all_found[0], all_found[-1]
    return Result(
        name=Path(__file__).stem,
        title=f"Publish cubes of {least.chunks:,} to {most.chunks:,} chunks, {_CHUNKS} an image",
        baseline=least.name,
        rows=rows(timings, least.name, {each.name: each.columns for each in all_found}),
        quantity="time a chunk",
        targets=[
            Target(
                f"requests to open {most.chunks:,} chunks against {least.chunks:,}",
                most.open_requests / least.open_requests,
                2,
            ),
            Target(f"requests to find a chunk of {most.chunks:,}", most.find_requests, 1, ""),
        ],
        notes=[
            "Lengths of chunks are random between 40,000 and 90,000 bytes, as those of compressed "
            "tiles. CPU µs and bytes are those of a chunk; bytes of the manifests, compressed. "
            "MiB: the peak of a process that makes one commit, less what it held after a small "
            "one.",
            "snapshot: KiB of the last one; open: requests/KiB to open the repository and the "
            "cube with xarray, time coordinate included; find: requests/KiB to learn where the "
            "first chunk is.",
            f"A manifest holds about {MANIFEST_REFERENCES:,} references. Appending rewrites the "
            "last one, and the old one stays for the snapshots before.",
        ],
        figures={
            f"{name}_{each.chunks}": value
            for each in all_found
            for name, value in asdict(each).items()
            if name != "chunks"
        },
    )


def _opening(server: RangeServer, repository: str) -> dict[str, int]:
    """Open a repository over HTTP, as a reader elsewhere does, and look one chunk up."""
    server.reset()
    session = open_session(icechunk.http_storage(f"{server.url}/{repository}"))
    cube = xarray.open_zarr(session.store, consolidated=False, zarr_format=3, chunks=None)
    opened = server.requests
    server.reset()
    steps, *_ = cube["data"].shape
    # What the reference says is not fetched: the chunk need not be there.
    found = session.chunk_type("/data", [steps - 1, GRID - 1, GRID - 1])
    if found != icechunk.ChunkType.virtual:
        raise AssertionError(f"the last chunk of {repository} is {found}")
    after = server.requests
    return {
        "open_requests": len(opened),
        "open_bytes": sum(request.sent for request in opened),
        "find_requests": len(after),
        "find_bytes": sum(request.sent for request in after),
    }


def _size(repository: Path) -> dict[str, int]:
    files = [file for file in repository.rglob("*") if file.is_file()]
    manifests = [file.stat().st_size for file in files if file.parent.name == "manifests"]
    snapshots = sorted(
        (file for file in files if file.parent.name == "snapshots"),
        key=lambda file: file.stat().st_mtime,
    )
    return {
        "manifests": len(manifests),
        "manifest_bytes": sum(manifests),
        "snapshot_bytes": snapshots[-1].stat().st_size,
        "repository_bytes": sum(file.stat().st_size for file in files),
    }
