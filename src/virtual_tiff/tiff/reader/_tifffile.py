"""Read directories with tifffile, which supports many writers and formats."""

from __future__ import annotations

import io
import logging
import struct
from typing import IO, Any, cast

import numpy as np
import tifffile
from numpy.typing import NDArray
from obspec_utils.readers import BlockStoreReader

from virtual_tiff.errors import ErrorKind, InvalidTIFFError, VirtualTIFFError
from virtual_tiff.storage.budget import Budget
from virtual_tiff.storage.byte_source import BLOCK_SIZE, CACHE_SIZE, ByteSource
from virtual_tiff.tags import FieldType, Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory, is_dependent
from virtual_tiff.tiff.reader._build import (
    NEEDED,
    Shared,
    build_ifd,
    whole_numbers,
    with_hidden_planes,
)
from virtual_tiff.tiff.reader._chain import DIRECTORY_BYTES, Chain
from virtual_tiff.tiff.reader._values import (
    MANY_VALUES,
    SEGMENT_TAGS,
    SIZES,
    charge,
    decode_text,
    sub_positions,
    unreadable,
)

# tifffile logs what it repairs or cannot read. Relevant messages become errors here; without a
# handler, Python would print the others on standard error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

#: Formats of the fields that hold offsets; those of BigTIFF are IFD8 and LONG8.
_OFFSET_FORMS = {kind: kind.form for kind in FieldType if kind.form in tuple("BHIQ")}
#: Exceptions that tifffile's code raises for broken values.
TIFFFILE_ERRORS = (
    tifffile.TiffFileError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
)
#: UIC2Tag of MetaMorph, with as many values as there are planes.
_UIC2 = 33629
#: Bytes of the largest value, or segment, that is read at once.
_LARGEST_READ = 1024 * 1024 * 1024
#: DRI of JPEG (ITU-T T.81, B.2.4.4), up to the number of blocks.
_RESTART_INTERVAL = b"\xff\xdd\x00\x04"
_RATIONALS = frozenset({FieldType.RATIONAL, FieldType.SRATIONAL})


def read_with_tifffile(
    source: ByteSource, chain: Chain, *, only: int | None
) -> tuple[ImageFileDirectory, ...]:
    """Read the main chain, or its directory `only` and its image, with their sub-IFDs.

    Blocks: run it in a thread.
    """
    url = source.source.url
    positions = [directory.position for directory in chain.directories]
    place = (0 if only is None else only,)
    try:
        with (
            source.budget.working(),
            open_with_tifffile(source, is_ndpi=chain.layout.is_ndpi) as tif,
        ):
            reader = _Directories(tif, chain, source.budget)
            if only is None:
                found = []
                for i, position in enumerate(positions):
                    place = (i,)
                    found.append(reader.read(position, place))
                return tuple(found)
            ifds = [reader.read(positions[place[0]], place)]
            while is_dependent(ifds[0]) and ifds[0].index[0] > 0:
                place = (ifds[0].index[0] - 1,)
                ifds.insert(0, reader.read(positions[place[0]], place))
            return tuple(ifds)
    except VirtualTIFFError as error:
        raise error.at(url=url, ifd=place) from error.__cause__
    except (*TIFFFILE_ERRORS, MemoryError) as error:
        raise InvalidTIFFError(
            f"tifffile cannot read the directory ({error}).",
            url=url,
            ifd=place,
            remedy="Rewrite the file, or open another of its images with ifd=….",
        ) from error


def open_with_tifffile(
    source: ByteSource,
    *,
    name: str | None = None,
    block_size: int = BLOCK_SIZE,
    is_ndpi: bool = False,
    ome_xml: str | None = None,
) -> tifffile.TiffFile:
    """Open a TIFF in tifffile over fetched bytes and the store. Blocks: run it in a thread.

    Parameters
    ----------
    source
        The file.
    name
        Name of the file for tifffile; by default the URL.
    block_size
        Bytes to read from `source` at a time. A block that the first GET contains only partly is
        fetched again.
    is_ndpi
        Whether it is a slide of Hamamatsu, whatever its name.
    ome_xml
        OME-XML to use instead of that of the file.
    """
    file = BlockStoreReader(
        source, source.path, block_size=block_size, max_cached_blocks=CACHE_SIZE // block_size
    )
    flags: dict[str, Any] = {"is_ndpi": True} if is_ndpi else {}
    return tifffile.TiffFile(
        cast(IO[bytes], _File(file, source)),
        name=name or source.source.url,
        omexml=ome_xml,
        **flags,
    )


class _File(io.RawIOBase):
    """A file for tifffile and NumPy, which read records only from what is an `io.IOBase`.

    What was fetched before is read without the reader, which takes ten times as long for it.
    """

    def __init__(self, reader: BlockStoreReader, source: ByteSource) -> None:
        self._reader = reader
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == 0 and offset >= 0:
            self._at = offset
        else:
            self._reader.seek(self._at)
            self._at = self._reader.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        # Counts in broken files say more than memory holds.
        left = max(0, self._source.size - self._at)
        size = left if size is None or size < 0 else min(size, left)
        if size > _LARGEST_READ:
            raise OSError(f"a value of {size} bytes, more than {_LARGEST_READ}")
        data = self._source.peek(self._at, size)
        if data is None:
            self._reader.seek(self._at)
            data = self._reader.read(size)
        self._at += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Directories:
    """Reads the directories of one open file; the values that several share, once."""

    def __init__(self, tif: tifffile.TiffFile, chain: Chain, budget: Budget) -> None:
        self._tif = tif
        self._chain = chain
        self._budget = budget
        self._seen = {directory.position for directory in chain.directories}
        self._values: dict[tuple[int, int, int], Any] = {}
        self._shared = Shared()

    def read(self, position: int, index: tuple[int, ...]) -> ImageFileDirectory:
        """Read a directory and those below it."""
        self._budget.keep(0)
        self._tif.filehandle.seek(position)
        page = tifffile.TiffPage(self._tif, index=index)
        tags: dict[int, Any] = {}
        for tag in page.tags:
            if tag.code in NEEDED and tag.code not in tags and tag.count:
                value = self._value(tag, index)
                if value is not None:
                    tags[tag.code] = value
        sub_ifds: list[ImageFileDirectory] = []
        notes: list[str] = []
        tags |= self._corrected(index)
        header = None
        if page.jpegheader is not None and _is_grid(page):
            header = page.jpegheader
            # Offsets and counts, which tifffile has as numbers.
            self._budget.keep(80 * len(page.dataoffsets) + len(header))
            tags |= {
                Tag.TILE_WIDTH: page.tilewidth,
                Tag.TILE_LENGTH: page.tilelength,
                Tag.TILE_OFFSETS: np.array(page.dataoffsets, np.uint64),
                Tag.TILE_BYTE_COUNTS: np.array(page.databytecounts, np.uint64),
            }
        if Tag.SUB_IFDS in tags:
            below = whole_numbers(tags[Tag.SUB_IFDS], Tag.SUB_IFDS, index).tolist()
            for i, below_at in sub_positions(below, index, self._seen):
                self._budget.keep(DIRECTORY_BYTES)
                try:
                    sub_ifds.append(self.read(below_at, (*index, i)))
                except InvalidTIFFError as error:
                    notes.append(unreadable(i, error))
                except TIFFFILE_ERRORS as error:
                    notes.append(unreadable(i, InvalidTIFFError(str(error))))
        directory = build_ifd(
            tags,
            index=index,
            position=position,
            byte_order=self._chain.layout.byte_order,
            sub_ifds=tuple(sub_ifds),
            notes=tuple(notes),
            shared=self._shared,
            jpeg_header=header,
        )
        planes = page.tags.get(_UIC2)
        return directory if planes is None else with_hidden_planes(directory, planes.count)

    def _corrected(self, index: tuple[int, ...]) -> dict[int, Any]:
        """Return what the directories of Zeiss LSM state wrongly.

        Offsets are modulo 4 GiB, and counts of compressed strips those of the decoded ones.
        """
        tif = self._tif
        if not tif.is_lsm or len(index) > 1:
            return {}
        if tif.filehandle.size < 2**32 and tif.pages.first.compression == 1:
            return {}
        # tifffile corrected the pages when it opened the file.
        page = tif.pages[index[0]]
        offsets, counts = _of_strips(page, tif.filehandle.size)
        return {Tag.STRIP_OFFSETS: offsets, Tag.STRIP_BYTE_COUNTS: counts}

    def _value(self, tag: tifffile.TiffTag, index: tuple[int, ...]) -> Any:
        key = (tag.valueoffset, int(tag.dtype), tag.count)
        if key in self._values:
            return self._values[key]
        if int(tag.dtype) in SIZES:
            charge(self._budget, tag.code, int(tag.dtype), tag.count)
        value = self._values[key] = _value(self._tif, tag, self._chain, index)
        return value


def _of_strips(page: Any, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return offsets and counts of the strips of a compressed page of Zeiss LSM.

    Pages of two samples have the tags of three, of which the third is no strip. tifffile takes
    counts from the offsets that follow.
    """
    offsets, counts = tuple(page.dataoffsets), tuple(page.databytecounts)
    strips = len(offsets)
    while strips > 1 and offsets[strips - 1] == 0:
        strips -= 1
    if strips == len(offsets):
        return offsets, counts
    end, kept = offsets[-1] + counts[-1], offsets[:strips]
    if end <= kept[-1]:
        # LZW may be longer than what it decodes to.
        end = min(size, kept[-1] + 2 * page.keyframe.nbytes // strips)
    return kept, tuple(b - a for a, b in zip(kept, (*kept[1:], end), strict=True))


def _is_grid(page: tifffile.TiffPage) -> bool:
    """Return whether the restart segments of an NDPI level are the tiles of a grid.

    Others begin in one row of blocks and end in the next.
    """
    down = -(-page.imagelength // page.tilelength)
    across = -(-page.imagewidth // page.tilewidth)
    if down * across != len(page.dataoffsets) or min(page.databytecounts, default=0) <= 0:
        return False
    header = page.jpegheader or b""
    at = header.find(_RESTART_INTERVAL) + len(_RESTART_INTERVAL)
    interval = int.from_bytes(header[at : at + 2], "big")
    block = page.tilewidth // max(1, interval)
    return interval > 0 and -(-page.imagewidth // block) % interval == 0


def _value(
    tif: tifffile.TiffFile, tag: tifffile.TiffTag, chain: Chain, index: tuple[int, ...]
) -> Any:
    if tag.code in SEGMENT_TAGS and tag.count > MANY_VALUES:
        return _array(tif, tag, chain, index)
    if tag.code in (Tag.GEO_ASCII_PARAMS, Tag.GDAL_METADATA) and tag.dtype == FieldType.ASCII:
        return _ascii(tif, tag)
    value = tag.value
    if tag.dtype in _RATIONALS and value is not None:
        pairs = np.asarray(value, np.float64).reshape(-1, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(pairs[:, 1] != 0, pairs[:, 0] / pairs[:, 1], np.nan)
        return tuple(float(r) for r in ratios)
    return value


def _ascii(tif: tifffile.TiffFile, tag: tifffile.TiffTag) -> str:
    """Return text at its stored length: GeoAsciiParams counts bytes, but tifffile strips."""
    if tag.count <= tif.tiff.tagoffsetthreshold:
        value = tag.value
        return value if isinstance(value, str) else ""
    tif.filehandle.seek(tag.valueoffset)
    data: bytes = tif.filehandle.read(tag.count)
    return decode_text(data)


def _array(
    tif: tifffile.TiffFile, tag: tifffile.TiffTag, chain: Chain, index: tuple[int, ...]
) -> NDArray[np.uint64]:
    """Read offsets as an array, without a Python integer for each."""
    try:
        dtype = np.dtype(_OFFSET_FORMS[FieldType(tag.dtype)]).newbyteorder(
            "<" if chain.layout.byte_order == "little" else ">"
        )
    except (KeyError, ValueError) as error:
        raise InvalidTIFFError(
            f"a field of type {tag.dtype} cannot hold offsets.",
            kind=ErrorKind.INVALID_TAG,
            ifd=index,
            tag=tag.code,
        ) from error
    nbytes = tag.count * dtype.itemsize
    tif.filehandle.seek(tag.valueoffset)
    data = tif.filehandle.read(nbytes)
    if len(data) < nbytes:
        raise InvalidTIFFError(
            "the offsets are beyond the end of the file.",
            kind=ErrorKind.TRUNCATED,
            ifd=index,
            tag=tag.code,
        )
    return np.frombuffer(data, dtype).astype(np.uint64)
