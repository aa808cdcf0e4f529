"""Recognise directories that differ from one before only in their segments and texts.

A stack has thousands of them, and what they share is decoded, checked and kept once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import TAGS_OF_PAGES, ImageFileDirectory, TagValue, copy_with
from virtual_tiff.tiff.reader._build import NEEDED, kept_value, segment_values
from virtual_tiff.tiff.reader._chain import Directory, Entry
from virtual_tiff.tiff.reader._layout import FileLayout

#: Directories of a file from which on others are likely to be alike.
MANY_DIRECTORIES = 16
#: Directories that later ones are compared with: channels and levels can alternate.
_MOST_PATTERNS = 8
_SEGMENTS = (
    (Tag.STRIP_OFFSETS, Tag.STRIP_BYTE_COUNTS),
    (Tag.TILE_OFFSETS, Tag.TILE_BYTE_COUNTS),
)


class FileValues(Protocol):
    """The values of the entries of a file."""

    def at_hand(self, entry: Entry) -> Any:
        """Return a value; `None` if it must be fetched."""

    def content(self, entry: Entry) -> bytes | None:
        """Return the bytes of a value that is apart from its entry; `None` if it is not."""

    def has(self, entry: Entry, content: bytes, value: Any) -> bool:
        """Return whether the value of an entry has these bytes, which mean `value`."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pattern:
    """A directory that was read, and what may differ in others that are alike.

    Entries are told by their offset in the directory.

    Parameters
    ----------
    directory
        What was made of it.
    mask, masked
        The bits that have to be equal, as an integer of all entries, and their values.
    size
        Bytes of all entries.
    offsets, counts
        Entries of the segments.
    texts
        Entries of `TAGS_OF_PAGES`.
    apart
        Entries whose values are elsewhere in the file, the bytes of the values, and the values.
    """

    directory: ImageFileDirectory
    mask: int
    masked: int
    size: int
    offsets: int
    counts: int
    texts: tuple[int, ...]
    apart: tuple[tuple[int, bytes, Any], ...]


class Alike:
    """The last directories of a file that were read, to be compared with the next ones."""

    def __init__(self, values: FileValues, layout: FileLayout) -> None:
        self._values = values
        self._layout = layout
        self._patterns: list[_Pattern] = []

    def find(self, directory: Directory, index: tuple[int, ...]) -> ImageFileDirectory | None:
        """Return a directory that is alike one before, with its own segments and texts."""
        content = directory.content
        number = int.from_bytes(content, "little")
        for pattern in self._patterns:
            if len(content) == pattern.size and number & pattern.mask == pattern.masked:
                found = self._copy(pattern, directory, index)
                if found is not None:
                    return found
        return None

    def _copy(
        self, pattern: _Pattern, directory: Directory, index: tuple[int, ...]
    ) -> ImageFileDirectory | None:
        entry, content = self._layout.entry.unpack_from, directory.content
        for at, data, value in pattern.apart:
            if not self._values.has(entry(content, at), data, value):
                return None
        offsets = self._values.at_hand(entry(content, pattern.offsets))
        counts = self._values.at_hand(entry(content, pattern.counts))
        if offsets is None or counts is None:
            return None
        before = pattern.directory.other_tags
        other_tags: Mapping[int, TagValue] = before
        for at in pattern.texts:
            code, *_ = text = entry(content, at)
            value = self._values.at_hand(text)
            if value is None:
                return None
            if (kept := kept_value(value)) is not None and kept != before.get(code):
                other_tags = {**other_tags, code: kept}
        return copy_with(
            pattern.directory,
            index=index,
            position=directory.position,
            offsets=segment_values(offsets, Tag.STRIP_OFFSETS, index),
            byte_counts=segment_values(counts, Tag.STRIP_BYTE_COUNTS, index),
            other_tags=other_tags,
        )

    def add(self, directory: Directory, made: ImageFileDirectory) -> None:
        """Compare the next directories with this one too, if it has no sub-IFDs."""
        if (pattern := self._pattern(directory, made)) is not None:
            self._patterns = [pattern, *self._patterns[: _MOST_PATTERNS - 1]]

    def _pattern(self, directory: Directory, made: ImageFileDirectory) -> _Pattern | None:
        size = self._layout.entry.size
        mask = bytearray(b"\xff" * len(directory.content))
        places: dict[int, int] = {}
        texts: list[int] = []
        apart: list[tuple[int, bytes, Any]] = []
        for i, entry in enumerate(directory.entries):
            code, _, count, data = entry
            at = i * size
            value_field = slice(at + size - len(data), at + size)
            if code not in NEEDED or code in places or not count:
                mask[value_field] = bytes(len(data))
                continue
            places[code] = at
            if code in TAGS_OF_PAGES:
                texts.append(at)
            elif code not in _SEGMENTS[0] and code not in _SEGMENTS[1]:
                content = self._values.content(entry)
                if content is None:
                    continue
                apart.append((at, content, self._values.at_hand(entry)))
            mask[value_field] = bytes(len(data))
        found = self._segments(directory, made, places)
        if found is None or Tag.SUB_IFDS in places or any(value is None for *_, value in apart):
            return None
        bits = int.from_bytes(mask, "little")
        return _Pattern(
            directory=made,
            mask=bits,
            masked=int.from_bytes(directory.content, "little") & bits,
            size=len(directory.content),
            offsets=found[0],
            counts=found[1],
            texts=tuple(texts),
            apart=tuple(apart),
        )

    def _segments(
        self, directory: Directory, made: ImageFileDirectory, places: dict[int, int]
    ) -> tuple[int, int] | None:
        """Return the entries that became offsets and counts; `None` if it is not certain."""
        present = [tags for tags in _SEGMENTS if not places.keys().isdisjoint(tags)]
        if len(present) != 1 or not places.keys() >= {*present[0]}:
            return None
        at = [places[tag] for tag in present[0]]
        entry = self._layout.entry.unpack_from
        for tag, place, known in zip(present[0], at, (made.offsets, made.byte_counts), strict=True):
            value = self._values.at_hand(entry(directory.content, place))
            if value is None or not np.array_equal(segment_values(value, tag, made.index), known):
                return None
        return at[0], at[1]
