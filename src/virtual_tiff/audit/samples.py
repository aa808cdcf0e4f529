"""Find the images to decode, from the table of sources; or the files, from the references."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import batched
from urllib.parse import unquote

import numpy as np
import zarr
from icechunk import IcechunkStore

from virtual_tiff.audit.decoding import Sample
from virtual_tiff.audit.recorded import RecordedStates
from virtual_tiff.cubes.coordinate import fragments
from virtual_tiff.planning.metadata import chunk_key
from virtual_tiff.planning.names import RESERVED
from virtual_tiff.publishing.coordinate import read_coordinate
from virtual_tiff.publishing.nodes import get_document, key_prefix
from virtual_tiff.publishing.references import VIRTUAL
from virtual_tiff.publishing.sources_table import CHUNK_ROWS
from virtual_tiff.storage.addresses import WEB_SCHEMES

#: Names of arrays of `VirtualTIFF`: the path of a directory, of the TIFF or a sidecar.
_IFD = re.compile(r"(?:(?:ovr|msk|msk\.ovr)\.)?(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One chunk of one file, of an array that is not in the table of sources.

    `key` is that of the first chunk of `array` in the file; `sample` is the image, if the array is
    named by `VirtualTIFF`.
    """

    url: str
    array: str
    key: str
    sample: Sample | None


def samples_of(
    store: IcechunkStore, recorded: RecordedStates, rows: Sequence[int]
) -> Iterator[Sample]:
    """Yield the images of rows of `recorded`, with their positions."""
    axes = cache(partial(_axes_of, store))
    for some in batched(rows, CHUNK_ROWS):
        sources = recorded.sources(np.array(some, np.int64))
        for row, position in enumerate(sources["position"].tolist()):
            array = str(sources["array"][row])
            place = _place(json.loads(position), axes(array)) if position != "{}" else {}
            if place is None:
                continue  # the step was removed by other software
            yield Sample(
                url=str(sources["url"][row]),
                ifd=tuple(int(part) for part in str(sources["ifd"][row]).split(".")),
                array=array,
                place=place,
                band=int(sources["band"][row]),
            )


def _axes_of(store: IcechunkStore, array: str) -> dict[str, tuple[int, dict[str, int]]]:
    """Return the dimensions of an array, and the positions along those with a coordinate."""
    path, _, name = array.rpartition("/")
    group = zarr.open_group(store, path=path or None, mode="r", zarr_format=3)
    dimensions = getattr(group[name].metadata, "dimension_names", None) or ()
    return {dimension: (at, _Steps(group, dimension)) for at, dimension in enumerate(dimensions)}


class _Steps(dict[str, int]):
    """Positions along a dimension by value, read when the first is asked for."""

    def __init__(self, group: zarr.Group, dimension: str) -> None:
        super().__init__()
        self._group, self._dimension = group, dimension

    def __missing__(self, member: str) -> int:
        if not self:
            values = read_coordinate(self._group, self._dimension)
            texts = fragments(self._dimension, values)
            self.update({text: step for step, text in enumerate(texts)})
            return self[member]
        raise KeyError(member)


def _place(
    position: Mapping[str, object], axes: Mapping[str, tuple[int, Mapping[str, int]]]
) -> dict[int, int] | None:
    """Return where an image is, by dimension of the array: a step, or a pixel along y and x.

    `None` if the array has no such place.
    """
    found = {}
    for name, value in position.items():
        try:
            at, steps = axes[name]
            found[at] = int(str(value)) if name in ("y", "x") else steps[_member(name, value)]
        except KeyError:
            return None
    return found


def _member(name: str, value: object) -> str:
    return json.dumps({name: value}, ensure_ascii=False)[1:-1]


async def unlisted(store: IcechunkStore, arrays: Iterable[str]) -> list[Reference]:
    """Find files from references of arrays that are not in the table of sources."""
    found = []
    for array in arrays:
        first: dict[str, tuple[int, ...]] = {}
        async for places, kinds, locations, *_ in store.array_chunk_iterator(f"/{array}"):
            for position in np.flatnonzero(kinds == VIRTUAL).tolist():
                first.setdefault(locations[position], tuple(places[position].tolist()))
        for location, place in first.items():
            url = _address(location)
            sample = _sample(url, array) if len(first) == 1 else None
            key = f"{array}/{chunk_key(place)}"
            found.append(Reference(url=url, array=array, key=key, sample=sample))
    return found


async def unlisted_arrays(store: IcechunkStore, listed: Collection[str]) -> list[str]:
    """Paths of the arrays that other writers may have made.

    The arrays beside one that is `listed`, in the table of sources, are its coordinates.
    """
    listed = set(listed)
    ours = {array.rpartition("/")[0] for array in listed}
    found: list[str] = []
    pending = [""]
    while pending:
        group = pending.pop()
        async for name in store.list_dir(group):
            path = f"{key_prefix(group)}{name}"
            if name == "zarr.json" or path in listed or path == RESERVED:
                continue
            document = await get_document(store, path) or {}
            if document.get("node_type") == "group":
                pending.append(path)
            elif document and group not in ours:
                found.append(path)
    return sorted(found)


def _address(location: str) -> str:
    """Invert `virtual_tiff.storage.addresses.chunk_location`."""
    scheme, _, rest = location.partition("://")
    return location if scheme in WEB_SCHEMES else f"{scheme}://{unquote(rest)}"


def _sample(url: str, array: str) -> Sample | None:
    name = array.rpartition("/")[2]
    found = _IFD.fullmatch(name)
    if found is None:
        return None
    return Sample(url=url, ifd=tuple(map(int, found[1].split("."))), array=array, place={})
