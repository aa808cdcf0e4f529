"""Compare chunks as readers get them with tifffile's decode of the TIFF."""

from __future__ import annotations

import random
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from typing import Any, cast

import icechunk
import numpy as np
import tifffile
import zarr
from icechunk import IcechunkStore
from numpy.typing import NDArray

from virtual_tiff.audit.offsets import Offsets
from virtual_tiff.completing.bounded import MAX_OVERHEAD
from virtual_tiff.errors import ErrorKind
from virtual_tiff.planning.axes import axis_of
from virtual_tiff.planning.encoding.data_type import nodata_value
from virtual_tiff.planning.stacks import TILES
from virtual_tiff.publishing.nodes import get_json, key_prefix
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.opening import open_source
from virtual_tiff.storage.resolve import AddressRegistry
from virtual_tiff.storage.run import run
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.reader import DEFAULT_PREFETCH
from virtual_tiff.tiff.reader._tifffile import open_with_tifffile

#: Lossy codecs, whose decoders may differ by a few grey levels.
_LOSSY = frozenset({"imagecodecs_jpeg", "imagecodecs_webp", "imagecodecs_jpegxl"})
_LEVELS = 4
#: Compression of Deflate, and its old number.
_DEFLATE = frozenset({8, 32946})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An image whose chunks are compared.

    `place` is where it is in `array`, by dimension: its position along an axis of the cube, or its
    first pixel along y and x; empty if the array is the image. `band` is the band of the image that
    the array contains, -1 for all.
    """

    url: str
    ifd: tuple[int, ...]
    array: str
    place: Mapping[int, int]
    band: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of comparing one chunk; `decided` is 0, with a `reason`, if tifffile cannot decode it.

    `changed` says that Icechunk refused to read, since the source changed after it was published.
    """

    decided: int
    fault: str | None = None
    changed: bool = False
    reason: str = ""


def compare(
    store: IcechunkStore,
    sample: Sample,
    registry: AddressRegistry,
    chunks: int,
    seed: int,
    offsets: Offsets,
) -> Iterator[Outcome]:
    """Compare so many chunks of an image, chosen by `seed` and URL; all if it has fewer.

    `offsets` tells which page a chunk of a stack of pages is in.
    """
    with warnings.catch_warnings():
        # zarr warns that numcodecs.* names are not in the specification.
        warnings.simplefilter("ignore")
        array = zarr.open_array(store, path=sample.array, mode="r", zarr_format=3)
    if "copied_because" in array.attrs:
        return
    if "imagecodecs_tiff" in _codec_names(array):
        yield Outcome(decided=0, reason="libtiff decodes it, and tifffile does not, or not alike")
        return
    dimensions = array.metadata.dimension_names  # type: ignore[union-attr]
    names = tuple(axis_of(name or "") for name in dimensions or ())
    inner = [at for at, name in enumerate(names) if name in ("y", "x") or at not in sample.place]
    chooser = random.Random(f"{seed} {sample.url} {sample.array}")
    numbers = _band_numbers(store, sample.array, dimensions or ())
    with closing(_Page(sample, registry, numbers)) as page:
        shape = [array.shape[at] for at in inner]
        if any((dimensions or ())[at] in ("y", "x", *TILES) for at in sample.place):
            # Images continue each other, so the size of each is in its own file only.
            try:
                sizes = page.size()
            except Exception as error:
                yield page.change() or Outcome(
                    decided=0, reason=f"tifffile: {type(error).__name__}: {error}"
                )
                return
            shape = [sizes.get(names[at], array.shape[at]) for at in inner]
        chunk = [array.chunks[at] for at in inner]
        grid = [ceil(s / c) for s, c in zip(shape, chunk, strict=True)]
        every = int(np.prod(grid))
        for number in sorted(chooser.sample(range(every), min(chunks, every))):
            index = [int(i) for i in np.unravel_index(number, grid)]
            cut = zip(index, chunk, shape, strict=True)
            region = tuple(slice(i * c, min((i + 1) * c, s)) for i, c, s in cut)
            place: list[int | slice] = [sample.place.get(at, 0) for at in range(array.ndim)]
            for at, part in zip(inner, region, strict=True):
                start = sample.place.get(at, 0)
                place[at] = slice(start + part.start, start + part.stop)
            within = tuple(names[at] for at in inner)
            yield _compare(array, sample, tuple(place), region, index, page, within, offsets)


def _compare(
    array: zarr.Array[Any],
    sample: Sample,
    place: tuple[int | slice, ...],
    region: tuple[slice, ...],
    index: list[int],
    page: _Page,
    names: tuple[str, ...],
    offsets: Offsets,
) -> Outcome:
    expected, reason = None, ""
    failure: Exception | None = None
    try:
        if page.is_one(names):
            expected = page.read(region, names, sample.band)
        else:
            expected = page.read_at(_offset(array, sample, place, offsets), region, names)
    except Exception as error:
        # tifffile can raise any exception for files that it does not support.
        reason, failure = f"tifffile: {type(error).__name__}: {_cause(error)}", error
        if change := page.change():
            return change
    try:
        found = np.asarray(array[place])
    except icechunk.IcechunkError as error:
        changed = str(getattr(error, "kind", "")) == "virtual-chunk-modified"
        return Outcome(decided=1, fault=_cause(error), changed=changed)
    except Exception as error:
        return Outcome(decided=1, fault=f"chunk {index} cannot be decoded: {_cause(error)}")
    if expected is None:
        # The decoders of tifffile raise a RuntimeError of their own, or of zlib, for broken data;
        # what is in the repository itself can be read nevertheless.
        broken = isinstance(failure, RuntimeError | zlib.error)
        broken = broken and not isinstance(failure, NotImplementedError)
        if broken and (_is_surplus(reason) or page.inflates(region, names)):
            broken, reason = False, f"its segment has more than its pixels ({reason})"
        if broken and not _is_virtual(array, sample, place):
            return Outcome(
                decided=1, fault=f"chunk {index} of the TIFF cannot be decoded: {reason}"
            )
        return Outcome(decided=0, reason=reason)
    if found.shape != expected.shape:
        return Outcome(
            decided=1, fault=f"chunk {index} is {found.shape}, but {expected.shape} in the TIFF"
        )
    if not _equal(found, expected, lossy=bool(_codec_names(array) & _LOSSY)):
        if page.has_uncounted():
            return Outcome(decided=0, reason="tifffile takes a byte count of 0 for no segment")
        return Outcome(decided=1, fault=f"chunk {index} has other pixels than the TIFF")
    return Outcome(decided=1)


def _is_surplus(reason: str) -> bool:
    """Return whether tifffile failed since a segment decodes to more than its pixels.

    Publishing cuts such segments. The errors are those of PackBits and Zstandard.
    """
    return "too small" in reason.lower().replace("_", " ")


def _codec_names(array: zarr.Array[Any]) -> set[str]:
    codecs = getattr(array.metadata, "codecs", ())
    return {str(codec.to_dict()["name"]) for codec in codecs}


def _is_virtual(array: zarr.Array[Any], sample: Sample, place: tuple[int | slice, ...]) -> bool:
    """Return whether the chunk at a place is a reference, not stored in the repository."""
    session = cast(IcechunkStore, array.store).session
    kind = session.chunk_type(f"/{sample.array}", _chunk_index(array, place))
    return kind == icechunk.ChunkType.virtual


def _offset(
    array: zarr.Array[Any], sample: Sample, place: tuple[int | slice, ...], offsets: Offsets
) -> int | None:
    """Return where a chunk is; if it is in the repository, where the first one of its page is."""
    index = _chunk_index(array, place)
    names = getattr(array.metadata, "dimension_names", None) or ()
    in_page = [axis_of(name or "") in ("y", "x") for name in names]
    first = [0 if within else i for i, within in zip(index, in_page, strict=True)]
    found = offsets.find(sample.array, index)
    return offsets.find(sample.array, first) if found is None else found


def _chunk_index(array: zarr.Array[Any], place: tuple[int | slice, ...]) -> list[int]:
    starts = [each.start if isinstance(each, slice) else each for each in place]
    return [start // size for start, size in zip(starts, array.chunks, strict=True)]


def _band_numbers(
    store: IcechunkStore, array: str, dimensions: Sequence[str | None]
) -> NDArray[np.int64] | None:
    """Numbers of the bands that were chosen, from 1, where a coordinate has them."""
    name = next((name for name in dimensions if name and axis_of(name) == "band"), None)
    group = array.rpartition("/")[0]
    if name is None or get_json(store, f"{key_prefix(group)}{name}") is None:
        return None
    found = zarr.open_array(store, path=f"{key_prefix(group)}{name}", mode="r", zarr_format=3)
    values = np.asarray(found[:])
    return values if values.dtype.kind in "iu" else None


def _equal(found: NDArray[Any], expected: NDArray[Any], *, lossy: bool) -> bool:
    if lossy:
        apart = np.abs(found.astype(np.float64) - expected.astype(np.float64))
        return bool(apart.max(initial=0) <= _LEVELS)
    return bool(np.array_equal(found, expected, equal_nan=found.dtype.kind in "fc"))


def _cause(error: BaseException) -> str:
    return str(error).split("\n", 1)[0].strip() or type(error).__name__


class _Page:
    """One directory of a TIFF, or a stack of them, decoded by tifffile on request."""

    def __init__(
        self, sample: Sample, registry: AddressRegistry, numbers: NDArray[np.int64] | None
    ) -> None:
        self._sample = sample
        self._numbers = numbers
        self._registry = registry
        self._file: tifffile.TiffFile | None = None
        self._source: ByteSource | None = None
        self._segments: dict[int, tuple[Any, int]] = {}
        #: Page that was read last, and its plane.
        self._last: tuple[Any, int] | None = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def change(self) -> Outcome | None:
        """Return that the file was replaced while it was read, if a store said so."""
        failure = None if self._source is None else self._source.failure
        if failure is None or failure.kind != ErrorKind.SOURCE_CHANGED:
            return None
        return Outcome(decided=1, fault=failure.message, changed=True)

    def size(self) -> dict[str, int]:
        """Return the rows and columns of the page."""
        page = self._page()
        return {"y": int(page.imagelength), "x": int(page.imagewidth)}

    def has_uncounted(self) -> bool:
        """Return whether any segment has an offset and a byte count of 0.

        Publishing reads on from there where GDAL does, or where segments follow each other.
        """
        pages = {id(page): page for page, _ in self._segments.values()} or {0: self._page()}
        return any(
            offset and not count
            for page in pages.values()
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
        )

    def inflates(self, region: tuple[slice, ...], names: tuple[str, ...]) -> bool:
        """Return whether the segment that was read last is sound Deflate, by its checksum."""
        if self._last is None or self._last[0].compression not in _DEFLATE:
            return False
        page, plane = self._last
        height, width = page.chunks[:2]
        rows, columns = (region[names.index(name)].start for name in ("y", "x"))
        across, down = ceil(page.imagewidth / width), ceil(page.imagelength / height)
        number = (plane * down + rows // height) * across + columns // width
        most = 2 * page.imagelength * page.imagewidth * page.dtype.itemsize + MAX_OVERHEAD
        file = page.parent.filehandle
        stream = zlib.decompressobj()
        try:
            file.seek(page.dataoffsets[number])
            stream.decompress(file.read(page.databytecounts[number]), most)
        except (IndexError, OSError, zlib.error):
            return False
        return stream.eof

    def is_one(self, names: tuple[str, ...]) -> bool:
        """Return whether an array with these dimensions is one page, not a stack of pages."""
        return set(names) <= {"band", "y", "x"} or (
            set(names) <= {"band", "z", "y", "x"} and self._page().imagedepth > 1
        )

    def read(self, region: tuple[slice, ...], names: tuple[str, ...], band: int) -> NDArray[Any]:
        """Return the pixels of a region, in the order of these dimensions."""
        page = self._page()
        rows, columns = region[names.index("y")], region[names.index("x")]
        if "z" in names:
            return np.asarray(zarr.open_array(page.aszarr(), mode="r")[region])
        self._last = (page, 0)
        if page.samplesperpixel == 1:
            return _pixels(page, rows, columns, slice(None))
        bands = region[names.index("band")] if band < 0 else slice(band, band + 1)
        if band < 0 and self._numbers is not None:
            one, *others = self._numbers[bands].tolist()
            if others != list(range(one + 1, one + 1 + len(others))):
                raise NotImplementedError("its bands stand in another order")
            bands = slice(one - 1, one + len(others))
        self._last = (page, bands.start if page.planarconfig == 2 else 0)
        found = _pixels(page, rows, columns, bands)
        return found[..., 0] if band >= 0 else np.moveaxis(found, -1, names.index("band"))

    def read_at(
        self, offset: int | None, region: tuple[slice, ...], names: tuple[str, ...]
    ) -> NDArray[Any]:
        """Return the pixels of a region of a stack of pages, from the page with a segment there."""
        if offset is None:
            raise NotImplementedError("its page is not known: its chunks are copies")
        self._page()
        self._segments = self._segments or _segments(self._file)
        if offset not in self._segments:
            raise NotImplementedError("a plane without a directory")
        page, segment = self._segments[offset]
        lengths = [part.stop - part.start for part in region]
        rows, columns = region[names.index("y")], region[names.index("x")]
        samples = page.samplesperpixel
        planes = samples if page.planarconfig == 2 else 1
        self._last = (page, segment // max(1, len(page.dataoffsets) // planes))
        if samples == 1:
            found = _pixels(page, rows, columns, slice(None))
        elif page.planarconfig == 2:
            plane = self._last[1]
            found = _pixels(page, rows, columns, slice(plane, plane + 1))
        else:
            found = _pixels(page, rows, columns, slice(None))
            others = enumerate(zip(names, lengths, strict=True))
            at = [i for i, (name, size) in others if name not in ("y", "x") and size == samples]
            if len(at) != 1:
                raise NotImplementedError("the samples of its pages are apart")
            found = np.moveaxis(found, -1, sum(name in ("y", "x") for name in names[: at[0]]))
        # All other dimensions have one position.
        return found.reshape(lengths)

    def _page(self) -> Any:
        if self._file is None:
            # Every request is for the version of the first one.
            self._source = self._source or run(
                open_source(self._sample.url, self._registry, prefetch=DEFAULT_PREFETCH)
            )
            self._file = open_with_tifffile(self._source)
        pages: Any = self._file.pages
        page: Any = None
        for position in self._sample.ifd:
            page = pages[position]
            pages = page.pages
        return page


def _segments(file: tifffile.TiffFile | None) -> dict[int, tuple[Any, int]]:
    """Return page and number of each segment of a file, by offset."""
    found: dict[int, tuple[Any, int]] = {}
    pending: list[Any] = [] if file is None else list(file.pages)
    for page in pending:
        for number, offset in enumerate(page.dataoffsets):
            found.setdefault(int(offset), (page, number))
        pending.extend(page.pages or ())
    return found


def _pixels(page: Any, rows: slice, columns: slice, bands: slice) -> NDArray[Any]:
    """Decode a window of a page; with several samples, they are the last dimension."""
    if page.compression == 1:
        # TIFF 6.0 section 14 defines predictors for compressed data only; libtiff and GDAL ignore
        # the tag otherwise, tifffile does not.
        page.predictor = 1
    if page.dtype == bool:
        # For tifffile every nodata text is true, "0" too.
        page.nodata = nodata_value(page.tags.valueof(Tag.GDAL_NODATA), np.dtype(np.uint8)) or 0
    pixels = zarr.open_array(page.aszarr(), mode="r")
    if page.samplesperpixel == 1:
        return np.asarray(pixels[rows, columns])
    if page.planarconfig == 1:
        return np.asarray(pixels[rows, columns, bands])
    return np.moveaxis(np.asarray(pixels[bands, rows, columns]), 0, -1)
