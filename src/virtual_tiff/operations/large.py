"""Publish a large inventory in several commits that appear at once, for less memory and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.errors import MismatchError, VirtualTIFFError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.batches import batches_of, scan_column
from virtual_tiff.publishing.cube import has_cube
from virtual_tiff.publishing.results import PublishResult, combined
from virtual_tiff.publishing.target import Target

#: Images of a commit: Icechunk looks at all references of a commit for each manifest of it.
_AT_ONCE = 250_000


def is_large(sources: Inventory | Sequence[Path], options: CubeOptions) -> bool:
    """Return whether an inventory takes several commits that make the cube of one.

    Its rows are in the order of time, and none of the options depends on all images.
    """
    if options.stitch or options.masks or options.on_gap != "raise" or options.item_properties:
        return False
    if options.on_mismatch != "raise" or options.along not in (None, "datetime", ("datetime",)):
        return False
    times = scan_column(sources, "datetime")
    if len(times) <= _AT_ONCE or times.null_count:
        return False
    return bool(np.all(np.diff(pc.cast(times, "int64").to_numpy()) >= 0))


def publish_large(
    target: Target,
    sources: Inventory | Sequence[Path],
    commit: Callable[[Target, Inventory], PublishResult],
    columns: Mapping[str, str] | None,
) -> PublishResult | None:
    """Make several commits that appear at once; `None`, and no change, where one may do better.

    That one compares all images, and its error names all that differ.
    """
    before = target.store()
    try:
        with target.aside() as aside:
            results = []
            for batch in batches_of(sources, _AT_ONCE, columns):
                result = commit(aside, batch)
                if any(
                    added.skipped or (before is not None and has_cube(before, path))
                    for path, added in result.added.items()
                ):
                    raise MismatchError("images or cubes are there already.")
                results.append(result)
    except VirtualTIFFError:
        return None
    return replace(combined(results), branch=target.branch)
