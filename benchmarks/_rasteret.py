"""Rasteret, which reads tiles of COGs from a table of their headers, in an environment of its own.

Its collection is built by `rasteret.build_from_table(..., enrich_cog=True)` from a table with a
column of URLs, as its guide "Build From Parquet And Arrow Tables" has it. Patches come from
`Collection.get_gdf`. Plain HTTP needs a store that allows it, which `rasteret.cloud.ObstoreBackend`
takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from benchmarks._environment import Environment
from benchmarks._measure import Sample

NAME = "Rasteret 0.4.1"
ENVIRONMENT = Environment(
    NAME,
    "rasteret-venv",
    ("rasteret==0.4.1", "obstore"),
    Path(__file__).with_name("_rasteret_script.py"),
)

type Bounds = tuple[float, float, float, float]


def build(python: Path, url: str, names: list[str], folder: Path, footprint: Bounds) -> None:
    """Build a collection of the files at `url` and save it in a folder; not measured.

    `footprint` is in longitude and latitude, the same for all files.
    """
    task = {"do": "build", "url": url, "names": names, "folder": str(folder)}
    ENVIRONMENT.run(python, {**task, "footprint": footprint})


def read(
    python: Path, url: str, folder: Path, window: Bounds, *, concurrency: int, output: Path
) -> tuple[Sample, NDArray[np.uint16]]:
    """Load a saved collection and read one window of all its files.

    Parameters
    ----------
    window
        In EPSG:32633.
    output
        Where the process leaves the pixels, for this one to compare; not measured.

    Returns
    -------
    Sample
        Seconds, without those to start Python and to import.
    ndarray
        Shape `(files, rows, columns)`, in the order of their ids.
    """
    task = {"do": "read", "url": url, "folder": str(folder), "window": window}
    result = ENVIRONMENT.run(python, {**task, "concurrency": concurrency, "output": str(output)})
    return Sample(**result), np.load(output)


def patches(
    python: Path,
    url: str,
    folder: Path,
    shapes: Sequence[Polygon],
    *,
    concurrency: int,
    output: Path,
) -> Sample:
    """Load a saved collection and read what is around each shape, from all its files.

    Parameters
    ----------
    shapes
        In EPSG:32633, with windows of one size.
    output
        Where the process leaves the pixels, `(shapes, files, rows, columns)` in the order of their
        ids, with 0 outside of the shapes; not measured.

    Returns
    -------
    Sample
        Seconds, without those to start Python and to import.
    """
    task = {"do": "patches", "url": url, "folder": str(folder)}
    wkb = [shape.wkb_hex for shape in shapes]
    result = ENVIRONMENT.run(
        python, {**task, "shapes": wkb, "concurrency": concurrency, "output": str(output)}
    )
    return Sample(**result)
