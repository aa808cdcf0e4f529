"""The scale model: what was measured per chunk, carried to other numbers of chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from virtual_tiff.publishing.coordinate import CHUNK_STEPS
from virtual_tiff.publishing.manifests import MANIFEST_REFERENCES

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Costs of a cube of so many chunks.

    Parameters
    ----------
    manifest_bytes
        Of a chunk.
    seconds
        Of a chunk, on the machine that was measured.
    cpu_seconds
        Of a chunk.
    memory_bytes
        Of a chunk of the same commit.
    memory_bytes_image
        Of an image that is in the cube already, when more are appended.
    chunks_image
        Of an image.
    repository_bytes
        Of a chunk: manifests, the log of the commit, and the table of sources.
    snapshot_bytes, snapshot_bytes_manifest
        Of a snapshot without manifests, and for each manifest.
    open_requests, open_bytes, open_bytes_image
        To open a cube of one chunk of its coordinate, and bytes for each image.
    """

    manifest_bytes: float
    seconds: float
    cpu_seconds: float
    memory_bytes: float
    memory_bytes_image: float
    chunks_image: float
    repository_bytes: float
    snapshot_bytes: float
    snapshot_bytes_manifest: float
    open_requests: float
    open_bytes: float
    open_bytes_image: float

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Model:
        """Take it from the figures of the benchmark `scale`.

        The largest cube of one commit gives what a chunk costs, the two ends what a manifest
        adds to a snapshot.
        """
        sizes = measured(figures)
        one = max(n for n in sizes if figures[f"commits_{n}"] == 1)
        least, most = sizes[0], sizes[-1]
        grown = figures[f"snapshot_bytes_{most}"] - figures[f"snapshot_bytes_{least}"]
        each = grown / max(1, (most - least) / MANIFEST_REFERENCES)
        before = figures[f"images_{most}"] * (1 - 1 / figures[f"commits_{most}"])
        more = figures[f"rise_{most}"] - figures[f"rise_{one}"]
        return cls(
            chunks_image=one / figures[f"images_{one}"],
            memory_bytes_image=more / before if before else 0.0,
            manifest_bytes=figures[f"manifest_bytes_{one}"] / one,
            seconds=figures[f"wall_{one}"] / one,
            cpu_seconds=figures[f"cpu_{one}"] / one,
            memory_bytes=figures[f"rise_{one}"] / one,
            repository_bytes=figures[f"repository_bytes_{one}"] / one,
            snapshot_bytes=figures[f"snapshot_bytes_{least}"],
            snapshot_bytes_manifest=each,
            open_requests=figures[f"open_requests_{one}"]
            - ceil(figures[f"images_{one}"] / CHUNK_STEPS),
            open_bytes=figures[f"open_bytes_{least}"],
            open_bytes_image=(figures[f"open_bytes_{most}"] - figures[f"open_bytes_{least}"])
            / (figures[f"images_{most}"] - figures[f"images_{least}"]),
        )

    def manifests(self, chunks: float) -> float:
        """How many manifests hold so many references."""
        return max(1.0, chunks / MANIFEST_REFERENCES)

    def memory(self, chunks: float, commit: float) -> float:
        """Bytes of memory of the last of the commits that add up to so many chunks."""
        before = max(0.0, chunks - commit) / self.chunks_image
        return self.memory_bytes * min(chunks, commit) + self.memory_bytes_image * before

    def opening(self, chunks: float) -> tuple[int, float]:
        """Requests and bytes to open a cube: its time coordinate grows with the images."""
        images = chunks / self.chunks_image
        requests = self.open_requests + ceil(images / CHUNK_STEPS)
        return round(requests), self.open_bytes + self.open_bytes_image * images

    def snapshot(self, chunks: float) -> float:
        """Bytes of a snapshot."""
        return self.snapshot_bytes + self.snapshot_bytes_manifest * self.manifests(chunks)


def measured(figures: Mapping[str, Any]) -> list[int]:
    """Numbers of chunks that were measured, rising."""
    keys = (key.partition("_")[2] for key in figures if key.startswith("wall_"))
    return sorted(int(key) for key in keys)
