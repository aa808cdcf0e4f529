"""What was written into a session, and the references that are still to be written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.json_type import JSON
from virtual_tiff.publishing.coordinate import as_text
from virtual_tiff.publishing.fitting import key_prefix
from virtual_tiff.publishing.references import References, Task
from virtual_tiff.publishing.sources_table import (
    Sources,
    concatenated,
    modified_times,
    sources_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What was written.

    Parameters
    ----------
    images, steps
        How many images, and how many new steps of the first dimension.
    first, last
        Least and greatest coordinate of the images, as text.
    variables
        Names of the variables they went into.
    skipped
        Images that were there before.
    levels
        Levels of resolution; more than one with overviews.
    """

    images: int
    steps: int
    first: str
    last: str
    variables: tuple[str, ...]
    skipped: int = 0
    levels: int = 1

    def as_json(self) -> dict[str, JSON]:
        """For the metadata of a commit."""
        return {
            "images": self.images,
            "steps": self.steps,
            "first": self.first,
            "last": self.last,
            "variables": list(self.variables),
            "levels": self.levels,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One group of a session that holds arrays now, but not yet their references.

    Parameters
    ----------
    path
        Of the group.
    cube
        Whose references are to be written.
    steps
        Shape `(steps of the cube,)`: where they go along the first dimension.
    grown
        Steps that the group had not before.
    skipped
        Images that were there before.
    """

    path: str
    cube: CubePlan
    steps: NDArray[np.int64]
    grown: int
    skipped: int = 0

    def tasks(self, images: int) -> Iterator[Task]:
        """References to write, of so many images at a time."""
        for name, variable in self.cube.variables.items():
            there = np.flatnonzero(variable.rows >= 0)
            for start in range(0, there.size, images):
                part = there[start : start + images]
                yield Task(
                    f"/{key_prefix(self.path)}{name}",
                    variable,
                    References.of(self.cube.inventory, variable.rows[part]),
                    self.steps[part],
                )

    def sources(self) -> Sources:
        """Rows for the table of sources."""
        arrays: list[str] = []
        coordinates: list[str] = []
        bands: list[int] = []
        chosen: list[NDArray[np.int64]] = []
        texts = as_text(self.cube.coordinate)
        for name, variable in self.cube.variables.items():
            there = np.flatnonzero(variable.rows >= 0)
            arrays += [f"{key_prefix(self.path)}{name}"] * there.size
            coordinates += [texts[step] for step in there]
            bands += [-1 if variable.band is None else variable.band.index] * there.size
            chosen.append(variable.rows[there])
        rows = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
        table = self.cube.inventory.table.select(["url", "ifd", "size", "etag", "last_modified"])
        table = table.take(pa.array(rows))
        return sources_table(
            arrays=arrays,
            coordinates=coordinates,
            urls=table["url"].to_pylist(),
            ifds=table["ifd"].to_pylist(),
            bands=bands,
            sizes=table["size"].to_pylist(),
            etags=table["etag"].to_pylist(),
            last_modified=modified_times(table["last_modified"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written:
    """A cube that a session holds now, and what has to be put into it still.

    Parameters
    ----------
    added
        A summary; images are counted once, whatever the number of levels.
    parts
        Its levels.
    """

    added: Added
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Self:
        """Sum up the levels of a cube, the first of which is of full resolution."""
        full = parts[0]
        cube = full.cube
        texts = as_text(cube.coordinate[[0, -1]]) if cube.images else ["", ""]
        added = Added(
            images=cube.images,
            steps=full.grown,
            first=texts[0],
            last=texts[1],
            variables=tuple(cube.variables),
            skipped=full.skipped,
            levels=len(parts),
        )
        return cls(added=added, parts=tuple(parts))

    def tasks(self, images: int) -> Iterator[Task]:
        """References to write, of so many images at a time."""
        for part in self.parts:
            yield from part.tasks(images)

    def sources(self) -> Sources:
        """Rows for the table of sources."""
        return concatenated([part.sources() for part in self.parts])
