"""Split the bands of planar images, so that each is a variable of a cube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from virtual_tiff.cubes.plan import Band
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import of_one_band
from virtual_tiff.planning.plan import ArrayPlan


def bands_of(
    label: str, image: ArrayPlan, *, alone: bool
) -> dict[str, tuple[ArrayPlan, Band | None]]:
    """Split the bands of planar images, which have separate chunks.

    They are named by their descriptions, if each has another one; `alone` says that no other
    variable can have the same.
    """
    if "band" not in image.dimension_names:
        return {label: (image, None)}
    axis = image.dimension_names.index("band")
    if image.chunk_shape[axis] != 1:
        raise InvalidOptionError(
            "the bands share their chunks, so they cannot be split by reference.",
            url=None if image.source is None else image.source.url,
            remedy="Omit split_bands: the variable has a band dimension.",
        )
    count = image.shape[axis]
    one = image_of_band(image, axis)
    names = _names_of_bands(label, image.attributes.get("long_name"), count, alone=alone)
    found: dict[str, tuple[ArrayPlan, Band | None]] = {}
    for i in range(count):
        attributes, nodata = of_one_band(dict(image.attributes), i + 1, count, image.data_type)
        fill_value = one.fill_value if nodata is None else nodata
        array = replace(one, attributes=attributes, fill_value=fill_value)
        found[names[i]] = (array, Band(i, axis, count))
    return found


def _names_of_bands(label: str, names: JSON, count: int, *, alone: bool) -> list[str]:
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    usable = len(set(texts)) == count and all(name and "/" not in name for name in texts)
    if not usable:
        return [f"{label}_{number}" for number in range(1, count + 1)]
    return texts if alone else [f"{label}_{name}" for name in texts]


def image_of_band(image: ArrayPlan, axis: int) -> ArrayPlan:
    """Plan one band of a planar image, without references."""

    def without[T](values: Sequence[T]) -> tuple[T, ...]:
        return (*values[:axis], *values[axis + 1 :])

    grid = without(image.grid_shape)
    nothing = np.broadcast_to(np.uint64(0), grid)
    return replace(
        image,
        shape=without(image.shape),
        chunk_shape=without(image.chunk_shape),
        dimension_names=without(image.dimension_names),
        offsets=nothing,
        lengths=nothing,
        inline={},
    )
