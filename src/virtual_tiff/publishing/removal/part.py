"""Images to remove → a part of a commit."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import icechunk
import numpy as np
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.cubes.masks import MASK
from virtual_tiff.publishing.cube import level_count
from virtual_tiff.publishing.nodes import describe_root_again, has_arrays, key_prefix
from virtual_tiff.publishing.parts import Part, Written
from virtual_tiff.publishing.removal.cube import remove_from_level
from virtual_tiff.publishing.removal.rows import Image, LevelRows
from virtual_tiff.publishing.removal.tree import remove_frame, remove_group
from virtual_tiff.publishing.results import Added
from virtual_tiff.publishing.sources_table import Recorded, Sources, concatenated
from virtual_tiff.storage.run import run

#: Which rows of the table of sources are to be removed.
type Selection = Callable[[Sources], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class Removal(Part):
    """Images to remove, wherever they are.

    Parameters
    ----------
    selection
        Chooses rows of the table of sources.
    """

    selection: Selection

    def write(self, session: icechunk.Session) -> Sequence[Written]:
        """Remove the images, and what only they needed."""
        store = session.store
        sources = Recorded(store).table
        chosen = self.selection(sources)
        written = []
        cubes, files = _by_group(store, sources, chosen)
        for path, levels in cubes.items():
            dropped: list[int] = []
            for level, arrays in levels.items():
                dropped += remove_from_level(session, level, arrays)
            if not any(run(has_arrays(store, level)) for level in levels):
                run(remove_frame(store, path))
            images = _images(sources, levels[min(levels)])
            variables = tuple(sorted({name for rows in levels.values() for name in rows.removed}))
            written.append(_written(path, images, dropped, variables=variables))
        for url, rows in files.items():
            path, gone = remove_group(store, sources, rows)
            written.append(_written(path, len(rows), gone, source=url))
        run(describe_root_again(store))
        return written


def _written(
    path: str, images: int, dropped: Sequence[int], source: str | None = None, **more: Any
) -> Written:
    added = Added(images=0, arrays=0, removed=images, source=source, **more)
    return Written(
        path=path, added=added, tasks=(), sources=concatenated([]), dropped=tuple(dropped)
    )


def _by_group(
    store: IcechunkStore, sources: Sources, chosen: NDArray[np.bool_]
) -> tuple[dict[str, dict[str, LevelRows]], dict[str, list[int]]]:
    """Return the rows of cubes, by cube and level, and those of groups of files, by URL.

    What is removed from one level of a cube with overviews is removed from all of them.
    """
    arrays, places = sources["array"].tolist(), sources["position"].tolist()
    urls = sources["url"].tolist()
    cube_of: dict[str, str] = {}
    claimed: set[tuple[str, str, str, str]] = set()
    files: dict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(chosen).tolist():
        if places[row] == "{}":
            files[urls[row]].append(row)
            continue
        level, _, name = arrays[row].rpartition("/")
        if level not in cube_of:
            above = level.rpartition("/")[0]
            pyramid = level.rpartition("/")[2].isdecimal() and level_count(store, above)
            cube_of[level] = above if pyramid else level
        claimed.add((cube_of[level], name, places[row], urls[row]))
    cubes: dict[str, dict[str, LevelRows]] = defaultdict(dict)
    for path in {cube for cube, *_ in claimed}:
        count = level_count(store, path)
        names = [f"{key_prefix(path)}{number}" for number in range(count)] or [path]
        cubes[path] = {level: LevelRows() for level in names}
    for row, (array, place, url) in enumerate(zip(arrays, places, urls, strict=True)):
        level, _, name = array.rpartition("/")
        for path in (level, level.rpartition("/")[0]):
            rows = cubes.get(path, {}).get(level) if path in cubes else None
            if rows is not None:
                # Masks go with their images.
                of_image = (path, name.removesuffix(MASK), place, url)
                gone = (path, name, place, url) in claimed or of_image in claimed
                rows.add(name, row, Image(json.loads(place), url), removed=gone)
                break
    return dict(cubes), dict(files)


def _images(sources: Sources, rows: LevelRows) -> int:
    """Count the images of a level, of which each band may have a row."""
    bands: Mapping[int, int] = {
        row: int(sources["band"][row])
        for name, each in rows.removed.items()
        if not (name.endswith(MASK) and name.removesuffix(MASK) in rows.removed)
        for row in each
    }
    return sum(band <= 0 for band in bands.values())
