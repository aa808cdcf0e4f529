"""Parse one damaged file and judge what comes of it: a sound plan, or an error of ours."""

from __future__ import annotations

import math
import random
import traceback
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import MemoryStore

from tests.fuzz.structures import sidecars
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.manifest import manifest_store
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan

FOLDER = "memory://fuzz"
URL = f"{FOLDER}/damaged.tif"
#: Every layout with sidecars; the rest make sure that no option opens a way around. Each file is
#: parsed by one, in the order of their numbers.
PARSERS = (
    *[VirtualTIFF()] * 4,
    *[VirtualTIFF(sidecars=True)] * 2,
    VirtualTIFF(ifd_layout="nested", sidecars=True),
    *[VirtualTIFF(ifd_layout="multiscale", sidecars=True)] * 2,
    *[VirtualTIFF(ifd_layout="pages", sidecars=True)] * 3,
    VirtualTIFF(ifd=0, sidecars=True),
    VirtualTIFF(prefetch=64),
    VirtualTIFF(ifd=1, ifd_layout="nested", band_axis="last", prefetch=512),
    VirtualTIFF(on_unsupported="copy", copy_limit=2**20, sidecars=True),
    VirtualTIFF(ifd_layout="multiscale", coords=False),
    VirtualTIFF(ifd=0, ifd_layout="multiscale", sidecars=True),
)
#: Arrays of one file that are opened, of which there may be thousands.
MOST_OPENED = 20
#: Dimensions of an image that fit any reader.
_MOST_PIXELS = 2**63 - 1


class Finding(Exception):
    """Something that must not come of any input.

    Parameters
    ----------
    signature
        The same for findings that have one cause.
    detail
        What there is to know of this one.
    """

    def __init__(self, signature: str, detail: str = "") -> None:
        super().__init__(signature, detail)
        self.signature = signature
        self.detail = detail


class Checker:
    """Parses bytes from a store in memory."""

    def __init__(self) -> None:
        #: Of the last file that the default parser took; else `None`.
        self.plan: GroupPlan | None = None
        self._store = MemoryStore()
        self.registry: ObjectStoreRegistry[Any] = ObjectStoreRegistry({FOLDER: self._store})

    def check(self, parser: VirtualTIFF, data: bytes) -> str:
        """Parse `data`; with sidecars that its checksum determines, for a parser of sidecars.

        Returns
        -------
        str
            `parsed`, or the kind of the error.

        Raises
        ------
        Finding
            Anything else.
        """
        files = {URL: data}
        if parser.sidecars:
            rng = random.Random(zlib.crc32(data))
            stem = URL.removesuffix(".tif")
            for ending, content in sidecars(rng).items():
                appended = ending in (".aux.xml", ".ovr", ".msk")
                files[(URL if appended else stem) + ending] = content
        self._store.delete([entry["path"] for page in self._store.list() for entry in page])
        for url, content in files.items():
            self._store.put(url.removeprefix(f"{FOLDER}/"), content)
        sizes = {url: len(content) for url, content in files.items()}
        self.plan = None
        try:
            plan = parser.plan(URL, self.registry)
            _check_plan(plan, sizes)
            _check_store(plan, self.registry)
            if parser == VirtualTIFF():
                self.plan = plan
        except VirtualTIFFError as error:
            _check_error(error, sizes)
            return str(error.kind)
        except Finding:
            raise
        except BaseException as error:
            raise Finding(_signature(error), traceback.format_exc()) from error
        return "parsed"


def _signature(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "virtual_tiff" in f.filename]
    frame = (ours or frames)[-1]
    where = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.name}"
    return f"{type(error).__name__} in {where}"


def _check_error(error: VirtualTIFFError, sizes: Mapping[str, int]) -> None:
    if error.kind == ErrorKind.UNEXPECTED:
        cause = error.__cause__ or error
        raise Finding(_signature(cause), "".join(traceback.format_exception(cause)))
    if not isinstance(error.kind, ErrorKind) or error.url not in sizes:
        raise Finding("error without a place", f"{error!r} {error.kind!r} {error.url!r}")
    text = str(error)
    if "\n" in text or len(text) > 1000 or not text.isprintable():
        raise Finding(f"error of more than a line: {error.kind}", repr(text)[:2000])


def _check_plan(plan: GroupPlan, sizes: Mapping[str, int]) -> None:
    count = 0
    for _, group in plan.walk():
        for array in group.arrays.values():
            count += 1
            _check_array(array, 0 if array.source is None else sizes[array.source.url])
    if not count:
        raise Finding("a plan without an array")


def _check_array(array: ArrayPlan, size: int) -> None:
    if array.partial:
        raise Finding("a plan with partial segments left")
    if not all(c > 0 and s > 0 for c, s in zip(array.chunk_shape, array.shape, strict=True)):
        raise Finding("an empty dimension", f"{array.shape} {array.chunk_shape}")
    if math.prod(array.shape) > _MOST_PIXELS:
        raise Finding("more pixels than can be counted", f"{array.shape}")
    present = array.lengths > 0
    ends = array.offsets.astype(object) + array.lengths.astype(object)
    if np.any(np.asarray(ends, object)[present] > size):
        raise Finding("a reference beyond the end of the file")
    starts = array.offsets[present] == 0
    if any(codec["name"] == "imagecodecs_tiff" for codec in array.codecs):
        # The whole file is the chunk.
        if not np.all(starts) or np.any(array.lengths[present] != size):
            raise Finding("a whole file that is not whole")
    elif np.any(starts):
        raise Finding("a reference to offset 0")


def _check_store(plan: GroupPlan, registry: ObjectStoreRegistry[Any]) -> None:
    """Let VirtualiZarr and Zarr take the plan."""
    group = zarr.open_group(manifest_store(plan, registry), mode="r", zarr_format=3)
    names = [f"{path}/{name}".lstrip("/") for path, child in plan.walk() for name in child.arrays]
    for name in names[:MOST_OPENED]:
        group[name]
