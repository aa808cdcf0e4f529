"""A dry run of a commit: the parts write themselves into memory, on top of the repository."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any, Self, cast

import icechunk
import zarr
from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

from virtual_tiff.cubes.gaps import PRESENT
from virtual_tiff.publishing.coordinate import read_presence
from virtual_tiff.publishing.parts import Part
from virtual_tiff.publishing.repository import icechunk_errors
from virtual_tiff.publishing.results import PlannedArray, PublishResult
from virtual_tiff.publishing.target import Target

_DOCUMENT = "zarr.json"


class Overlay(Store):
    """What is written and deleted stays in memory; all else is read from the store below."""

    def __init__(self, below: Store | None) -> None:
        super().__init__(read_only=False)
        self.below = below
        self.written: dict[str, Buffer] = {}
        self.deleted: set[str] = set()

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return this store; what is written stays in memory anyway."""
        found = type(self)(self.below)
        found._read_only = read_only
        found.written, found.deleted = self.written, self.deleted
        return found

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read a key, or a part of it."""
        if key in self.written:
            return prototype.buffer.from_bytes(_part(self.written[key].to_bytes(), byte_range))
        if key in self.deleted or self.below is None:
            return None
        return await self.below.get(key, prototype, byte_range)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Read parts of keys."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Return whether there is a key."""
        if key in self.written:
            return True
        there = key not in self.deleted and self.below is not None
        return there and self.below is not None and await self.below.exists(key)

    async def set(self, key: str, value: Buffer) -> None:
        """Keep a value in memory."""
        self.written[key] = value
        self.deleted.discard(key)

    async def delete(self, key: str) -> None:
        """Hide a key."""
        self.written.pop(key, None)
        self.deleted.add(key)

    async def list(self) -> AsyncIterator[str]:
        """List all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the keys that begin with a prefix."""
        for key in [key for key in self.written if key.startswith(prefix)]:
            yield key
        if self.below is not None:
            async for key in self.below.list_prefix(prefix):
                if key not in self.written and key not in self.deleted:
                    yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names directly below a prefix."""
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        names = {
            key.removeprefix(start).partition("/")[0]
            for key in self.written
            if key.startswith(start)
        }
        for name in names:
            yield name
        if self.below is None:
            return
        async for name in self.below.list_dir(prefix):
            gone = {f"{start}{name}", f"{start}{name}/{_DOCUMENT}"} & self.deleted
            if name not in names and not gone:
                yield name

    def set_virtual_refs_arr(self, *_: object, **__: object) -> None:
        """Keep no references: they are counted."""


def _part(data: bytes, part: ByteRequest | None) -> bytes:
    if isinstance(part, RangeByteRequest):
        return data[part.start : part.end]
    if isinstance(part, OffsetByteRequest):
        return data[part.offset :]
    return data[-part.suffix :] if isinstance(part, SuffixByteRequest) else data


class _Session:
    """What parts need of a session."""

    def __init__(self, store: Overlay) -> None:
        self.store = store

    def reindex_array(self, *_: object) -> None:
        """Move nothing: only the documents are of interest."""

    def shift_array(self, *_: object) -> None:
        """Move nothing either."""


def rehearse(target: Target, parts: Sequence[Part]) -> PublishResult:
    """Do all that a commit does, with all its checks, but write nothing.

    Returns
    -------
    PublishResult
        With `planned`; without snapshot and containers.
    """
    with icechunk_errors(target.location):
        store = Overlay(target.store())
        session = cast(icechunk.Session, _Session(store))
        written = [each for part in parts for each in part.write(session)]
        references, stored, size = Counter[str](), Counter[str](), Counter[str]()
        for each in written:
            for task in each.tasks:
                counts = task.counts()
                references[task.array] += counts[0]
                stored[task.array] += counts[1]
                size[task.array] += counts[2]
        planned = {
            path: replace(
                array, references=references[path], stored=stored[path], bytes_stored=size[path]
            )
            for path, array in _arrays(store)
        }
    groups = {each.path: each.added for each in written}
    for path, added in groups.items():
        inside = [
            name for name in references if not path or name == path or name.startswith(f"{path}/")
        ]
        groups[path] = replace(
            added,
            references=sum(references[name] for name in inside),
            stored=sum(stored[name] for name in inside),
        )
    return PublishResult(
        snapshot_id=None, branch=target.branch, added=groups, planned=planned, dry_run=True
    )


def _arrays(store: Overlay) -> Iterable[tuple[str, PlannedArray]]:
    """Describe the arrays that were written, or whose shape changed."""
    for key, value in store.written.items():
        if not key.endswith(f"/{_DOCUMENT}"):
            continue
        document = json.loads(value.to_bytes())
        if document["node_type"] != "array":
            continue
        path = key.removesuffix(f"/{_DOCUMENT}")
        present = f"{path}{PRESENT}"
        # A variable with gaps names what shows them, which need not be written as a whole.
        named = present.rpartition("/")[2] in str(document["attributes"].get("coordinates"))
        yield (
            path,
            PlannedArray(
                dimensions=tuple(document.get("dimension_names") or ()),
                shape=tuple(document["shape"]),
                chunks=tuple(document["chunk_grid"]["configuration"]["chunk_shape"]),
                data_type=_name(document["data_type"]),
                gaps=_gaps(store, present) if named else 0,
            ),
        )


def _name(data_type: Any) -> str:
    return str(data_type["name"] if isinstance(data_type, dict) else data_type)


def _gaps(store: Overlay, path: str) -> int:
    """Count the places without an image."""
    above, _, name = path.rpartition("/")
    group = zarr.open_group(cast(Any, store), path=above or None, mode="r")
    if name not in group:
        return 0
    array: Any = group[name]
    return read_presence(group, name, array.shape).gaps
