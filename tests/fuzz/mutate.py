"""Damage to the headers of TIFFs, chosen at random but the same for the same seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.images import image
from tests.fuzz.seeds import flavour, seeds
from tests.fuzz.structures import structure
from virtual_tiff.tags import Tag

#: Numbers at which something turns over.
_EDGES = (0, 1, 2, 3, 7, 8, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)
_BIG_EDGES = (*_EDGES, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_KINDS = (0, *range(1, 20), 99, 129, 65_535)
_TAGS = tuple(int(tag) for tag in Tag)
#: Parts of the files that begin as a structure or as an image of an odd form; the rest are TIFFs
#: of common writers.
_STRUCTURES, _IMAGES = 0.35, 0.3
_COMPRESSIONS = (
    *(*range(10), 32_766, 32_773, 32_809, 32_946, 33_003, 34_676, 34_712, 34_887, 34_925),
    *(34_933, 34_934, 50_000, 50_001, 50_002, 52_546, 65_535),
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """What was made of which seed."""

    number: int
    seed: str
    steps: tuple[str, ...]
    data: bytes


@dataclass(slots=True)
class _Header:
    """Where the entries of a TIFF are; none where it is too damaged to tell."""

    order: str
    big: bool
    entries: list[int]
    following: list[int]
    values: list[tuple[int, int]]

    @property
    def word(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def word_size(self) -> int:
        return 8 if self.big else 4

    @property
    def entry_size(self) -> int:
        return 20 if self.big else 12


_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}


def _header(data: bytes) -> _Header | None:
    found = flavour(data)
    if found is None:
        return None
    header = _Header(*found, [], [], [])
    at, seen = header.word_size, set[int]()
    try:
        while len(seen) < 8:
            (position,) = struct.unpack_from(header.word, data, at)
            if not 0 < position < len(data) or position in seen:
                break
            seen.add(position)
            form = header.order + ("Q" if header.big else "H")
            (count,) = struct.unpack_from(form, data, position)
            first = position + struct.calcsize(form)
            last = first + min(count, 100) * header.entry_size
            for entry in range(first, last, header.entry_size):
                _, kind, number, place = struct.unpack_from(
                    header.order + "HH" + header.word[1] * 2, data, entry
                )
                size = _SIZES.get(kind, 1) * number
                if size > header.word_size and place + size <= len(data):
                    header.values.append((place, size))
                header.entries.append(entry)
            header.following.append(last)
            at = last
    except struct.error:
        pass
    return header if header.entries else None


def mutate(number: int, *, campaign: int = 0) -> Mutation:
    """Return mutation `number` of a campaign: a pure function of the two."""
    rng = random.Random(f"{campaign}/{number}")
    kind = rng.random()
    if kind < _STRUCTURES:
        name, data = structure(rng)
        repeats = rng.choice((0, 0, 0, 1, 2))
    elif kind < _STRUCTURES + _IMAGES:
        name, data = "image", image(rng)
        repeats = rng.choice((0, 0, 0, 0, 0, 1))
    else:
        names = list(seeds())
        name = names[number % len(names)]
        data = seeds()[name]
        repeats = rng.choice((1, 1, 1, 2, 2, 3, 5))
    steps = []
    for _ in range(repeats):
        step = rng.choices(list(_STEPS), weights=list(_STEPS.values()))[0]
        data = step(data, rng)
        steps.append(step.__name__.removeprefix("_"))
    return Mutation(number, name, tuple(steps), data)


type _Step = Callable[[bytes, random.Random], bytes]


def _patch(data: bytes, at: int, form: str, value: int) -> bytes:
    limit = 2 ** (8 * struct.calcsize(form))
    out = bytearray(data)
    if at >= 0 and at + struct.calcsize(form) <= len(out):
        struct.pack_into(form, out, at, value % limit)
    return bytes(out)


def _number(data: bytes, rng: random.Random, big: bool) -> int:
    """Return a count or an offset that hurts: an edge, or somewhere around the end of the file."""
    if rng.random() < 0.4:
        return max(0, len(data) + rng.choice((-64, -8, -1, 0, 1, 8)))
    if rng.random() < 0.2:
        return rng.randrange(len(data) + 1)
    return rng.choice(_BIG_EDGES if big else _EDGES)


def _flip_bit(data: bytes, rng: random.Random) -> bytes:
    return _flip(data, rng.randrange(max(len(data), 1)), 1 << rng.randrange(8))


def _flip(data: bytes, at: int, bits: int) -> bytes:
    out = bytearray(data)
    if at < len(out):
        out[at] ^= bits
    return bytes(out)


def _set_byte(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    if out:
        out[rng.randrange(len(out))] = rng.choice((0, 1, 127, 128, 254, 255))
    return bytes(out)


def _damage_value(data: bytes, rng: random.Random) -> bytes:
    """Change a byte of a value that an entry points to."""
    header = _header(data)
    if header is None or not header.values:
        return _flip_bit(data, rng)
    at, size = rng.choice(header.values)
    return _flip(data, at + rng.randrange(size), rng.randrange(1, 256))


def _entry(change: Callable[[bytes, random.Random, _Header, int], bytes]) -> _Step:
    """Apply a change to one entry, or flip a bit where there are none."""

    def step(data: bytes, rng: random.Random) -> bytes:
        header = _header(data)
        if header is None:
            return _flip_bit(data, rng)
        return change(data, rng, header, rng.choice(header.entries))

    step.__name__ = change.__name__
    return step


@_entry
def _change_tag(data: bytes, rng: random.Random, header: _Header, at: int) -> bytes:
    return _patch(data, at, header.order + "H", rng.choice((*_TAGS, rng.randrange(65_536))))


@_entry
def _change_kind(data: bytes, rng: random.Random, header: _Header, at: int) -> bytes:
    return _patch(data, at + 2, header.order + "H", rng.choice(_KINDS))


@_entry
def _change_count(data: bytes, rng: random.Random, header: _Header, at: int) -> bytes:
    return _patch(data, at + 4, header.word, _number(data, rng, header.big))


@_entry
def _change_place(data: bytes, rng: random.Random, header: _Header, at: int) -> bytes:
    """Change the value or the offset, whichever it is."""
    where = at + 4 + header.word_size
    if rng.random() < 0.4:
        (tag,) = struct.unpack_from(header.order + "H", data, at)
        values = _COMPRESSIONS if tag == Tag.COMPRESSION else (*range(9), 16, 24, 32, 64, 65_535)
        return _patch(data, where, header.order + "H", rng.choice(values))
    return _patch(data, where, header.word, _number(data, rng, header.big))


@_entry
def _point_into_header(data: bytes, rng: random.Random, header: _Header, at: int) -> bytes:
    """Let a value be read from where the entries are."""
    return _patch(data, at + 4 + header.word_size, header.word, rng.choice(header.entries))


@_entry
def _copy_entry(data: bytes, rng: random.Random, header: _Header, at: int) -> bytes:
    """Write one entry over another."""
    other = rng.choice(header.entries)
    entry = data[other : other + header.entry_size]
    return data[:at] + entry + data[at + len(entry) :]


@_entry
def _change_following(data: bytes, rng: random.Random, header: _Header, at: int) -> bytes:
    """Change where a directory says the next one is."""
    if not header.following:
        return _flip_bit(data, rng)
    starts = [header.entries[0] - (8 if header.big else 2)]
    target = rng.choice((*starts, _number(data, rng, header.big)))
    return _patch(data, rng.choice(header.following), header.word, target)


@_entry
def _change_entry_count(data: bytes, rng: random.Random, header: _Header, at: int) -> bytes:
    form = header.order + ("Q" if header.big else "H")
    first = header.entries[0] - struct.calcsize(form)
    return _patch(data, first, form, rng.choice((0, 1, 5, 40, 4096, 4097, 65_535, 2**63)))


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))] if len(data) > 1 else data


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 4, 12))) + data[at:]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 2, 4, 12)) :]


def _swap_order(data: bytes, rng: random.Random) -> bytes:
    return {b"II": b"MM", b"MM": b"II"}.get(data[:2], b"II") + data[2:]


_STEPS: dict[_Step, int] = {
    _flip_bit: 3,
    _set_byte: 3,
    _damage_value: 4,
    _change_tag: 4,
    _change_kind: 4,
    _change_count: 5,
    _change_place: 6,
    _point_into_header: 2,
    _copy_entry: 2,
    _change_following: 2,
    _change_entry_count: 1,
    _truncate: 2,
    _insert: 1,
    _remove: 1,
    _swap_order: 1,
}
