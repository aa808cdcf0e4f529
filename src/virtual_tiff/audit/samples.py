"""Which images a repository holds, and where: from its table of sources, or from its references."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
import zarr

from virtual_tiff.audit.decoding import Sample
from virtual_tiff.planning.metadata import chunk_key
from virtual_tiff.publishing.coordinate import as_text, read_coordinate
from virtual_tiff.publishing.sources_table import GROUP, Sources
from virtual_tiff.storage.addresses import WEB_SCHEMES

#: Kind of a virtual chunk in what `IcechunkStore.array_chunk_iterator` yields.
_VIRTUAL = 2
#: Names of arrays that `VirtualTIFF` gives: the path of a directory, in a sidecar or not.
_IFD = re.compile(r"(?:(?:ovr|msk|msk\.ovr)\.)?(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One chunk of one file, of an array that is not in the table of sources.

    Parameters
    ----------
    url
        The file.
    array
        Path of the array.
    key
        Of the first chunk of the array that is in the file.
    sample
        The image, where the array is one that `VirtualTIFF` names; else `None`.
    """

    url: str
    array: str
    key: str
    sample: Sample | None


def samples_of(store: Any, sources: Sources, rows: list[int]) -> Iterator[Sample]:
    """Find the images of some rows of the table of sources in their arrays."""
    places = _Places(store)
    for row in rows:
        array = str(sources["array"][row])
        coordinate = str(sources["coordinate"][row])
        yield Sample(
            url=str(sources["url"][row]),
            ifd=tuple(int(part) for part in str(sources["ifd"][row]).split(".")),
            array=array,
            step=places.find(array, coordinate),
            band=int(sources["band"][row]),
        )


class _Places:
    """Where coordinates are along the first dimension of arrays."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self._known: dict[str, dict[str, int]] = {}

    def find(self, array: str, coordinate: str) -> int | None:
        """Step of an image; `None` where the array is the image."""
        if not coordinate:
            return None
        if array not in self._known:
            self._known[array] = self._read(array)
        return self._known[array][coordinate]

    def _read(self, array: str) -> dict[str, int]:
        path = array.rpartition("/")[0]
        group = zarr.open_group(self.store, path=path or None, mode="r", zarr_format=3)
        node = group[array.rpartition("/")[2]]
        names = getattr(node.metadata, "dimension_names", None)
        values = read_coordinate(group, names[0] if names else "")
        return {text: step for step, text in enumerate(as_text(values))}


async def unlisted(store: Any, arrays: Iterable[str]) -> list[Reference]:
    """Find the files of arrays that are not in the table of sources, by their references.

    Parameters
    ----------
    store
        Icechunk store of a session.
    arrays
        Their paths.
    """
    found = []
    for array in arrays:
        first: dict[str, tuple[int, ...]] = {}
        async for places, kinds, locations, *_ in store.array_chunk_iterator(f"/{array}"):
            for position in np.flatnonzero(kinds == _VIRTUAL).tolist():
                first.setdefault(locations[position], tuple(places[position].tolist()))
        for location, place in first.items():
            url = _address(location)
            sample = _sample(url, array) if len(first) == 1 else None
            key = f"{array}/{chunk_key(place)}"
            found.append(Reference(url=url, array=array, key=key, sample=sample))
    return found


def array_paths(store: Any) -> list[str]:
    """Paths of all arrays of a repository but those of the table of sources."""
    try:
        root = zarr.open_group(store, mode="r", zarr_format=3)
    except FileNotFoundError:
        return []
    found = [name for name, node in root.members(max_depth=None) if isinstance(node, zarr.Array)]
    return sorted(name for name in found if not name.startswith(f"{GROUP}/"))


def _address(location: str) -> str:
    """Undo `virtual_tiff.storage.addresses.chunk_location`."""
    scheme, _, rest = location.partition("://")
    return location if scheme in WEB_SCHEMES else f"{scheme}://{unquote(rest)}"


def _sample(url: str, array: str) -> Sample | None:
    name = array.rpartition("/")[2]
    found = _IFD.fullmatch(name)
    if found is None:
        return None
    return Sample(url=url, ifd=tuple(map(int, found[1].split("."))), array=array, step=None)
