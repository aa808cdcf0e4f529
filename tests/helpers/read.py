"""How tests open what the parser made."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore, MemoryStore

from tests.helpers.make import Pixels
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan

#: Where `in_memory` puts a file.
MEMORY_URL = "memory://tests/image.tif"


def local_registry() -> ObjectStoreRegistry[Any]:
    """A registry that serves every file of this machine."""
    return ObjectStoreRegistry({"file://": LocalStore()})


def in_memory(data: bytes) -> ObjectStoreRegistry[Any]:
    """A registry that serves one file, at `MEMORY_URL`."""
    store = MemoryStore()
    store.put("image.tif", data)
    return ObjectStoreRegistry({"memory://tests": store})


def read_all(path: Path, **options: Any) -> dict[str, Pixels]:
    """Pixels of all images of a TIFF, by name, straight from the manifest store."""
    return read_parsed(VirtualTIFF(**options), f"file://{path}", local_registry())


def read_bytes(data: bytes, **options: Any) -> dict[str, Pixels]:
    """As `read_all`, for a file in memory."""
    return read_parsed(VirtualTIFF(**options), MEMORY_URL, in_memory(data))


def read_parsed(
    parser: VirtualTIFF, url: str, registry: ObjectStoreRegistry[Any]
) -> dict[str, Pixels]:
    """Pixels of all images that a parser finds in a TIFF, by name."""
    store = parser(url, registry)
    with numcodecs_names():
        group = zarr.open_group(store, mode="r", zarr_format=3)
        return {name: np.asarray(array[...]) for name, array in images(group)}


def is_image(name: str) -> bool:
    """Whether an array is an image, rather than a coordinate or a grid mapping beside one."""
    return re.fullmatch(r"(.*/)?\d+(\.\d+)*", name) is not None


def image_plans(plan: GroupPlan) -> dict[str, ArrayPlan]:
    """Plans of the images of a group, by name."""
    return {name: array for name, array in plan.arrays.items() if is_image(name)}


def transform_of(plan: GroupPlan, name: str) -> tuple[float, ...] | None:
    """Affine transform of an image in GDAL's order, as the plan of its group tells it."""
    array = plan.arrays[name]
    mapping = plan.arrays.get(str(array.attributes.get("grid_mapping")))
    written = None if mapping is None else mapping.attributes.get("GeoTransform")
    if written is not None:
        return tuple(map(float, str(written).split()))
    rows, columns = (n for n in array.dimension_names if n[0] in "yx")
    if columns not in plan.arrays:
        return None
    x, y = (np.frombuffer(plan.arrays[axis].inline[(0,)]) for axis in (columns, rows))
    a, e = ((axis[-1] - axis[0]) / (axis.size - 1) for axis in (x, y))
    return (x[0] - a / 2, a, 0.0, y[0] - e / 2, 0.0, e)


def images(group: zarr.Group) -> Iterator[tuple[str, zarr.Array[Any]]]:
    """Images of a group and of all below it, by name."""
    return ((name, array) for name, array in arrays(group) if is_image(name))


def arrays(group: zarr.Group, path: str = "") -> Iterator[tuple[str, zarr.Array[Any]]]:
    """Arrays of a group and of all below it, by name."""
    for name, member in sorted(group.members()):
        inner = f"{path}/{name}" if path else name
        if isinstance(member, zarr.Group):
            yield from arrays(member, inner)
        else:
            yield inner, member


@contextmanager
def numcodecs_names() -> Iterator[None]:
    """Quiet zarr's warning that `numcodecs.*` names are not in the Zarr specification."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not in the Zarr version 3 specification.*")
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")
        yield
