"""Places with an image on large, mostly empty grids; compared with dense arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from virtual_tiff.cubes.gaps import Presence
from virtual_tiff.cubes.plan import Axis
from virtual_tiff.publishing.coordinate import read_presence, write_presence

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def dense(presence: Presence) -> Any:
    found = np.zeros(presence.shape, np.uint8)
    found[tuple(presence.places.T)] = 1
    return found


@st.composite
def presences(draw: st.DrawFn) -> Presence:
    shape = draw(SHAPES)
    count = int(np.prod(shape))
    cells = draw(st.sets(st.integers(0, count - 1), max_size=count))
    return Presence(shape, np.array(sorted(cells), np.int64))


@settings(max_examples=60, deadline=None)
@given(presences(), st.data())
def test_moving_and_spreading(one: Presence, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(one.shape) - 1))
    size = one.shape[axis] + data.draw(st.integers(0, 4))
    chosen = data.draw(st.permutations(range(size)))[: one.shape[axis]]
    positions = np.array(sorted(chosen), np.int64)
    moved = one.along(axis, positions, size)
    expected = np.zeros(moved.shape, np.uint8)
    where: list[Any] = [slice(None)] * len(one.shape)
    where[axis] = positions
    expected[tuple(where)] = dense(one)
    assert np.array_equal(dense(moved), expected)
    assert moved.gaps == int((expected == 0).sum())
    count = np.zeros(size, np.int64)
    count[positions] = np.diff([*positions.tolist(), size])
    before = np.searchsorted(positions, np.arange(size), side="right") - 1
    expected = np.where(
        np.expand_dims(before >= 0, tuple(i for i in range(len(one.shape)) if i != axis)),
        expected.take(positions[np.maximum(before, 0)], axis),
        0,
    )
    assert np.array_equal(dense(moved.spread(axis, count)), expected)
    start, stop = sorted(data.draw(st.integers(0, one.shape[0])) for _ in "ab")
    assert np.array_equal(one.slab(start, stop), dense(one)[start:stop])


@pytest.mark.parametrize("shape", [(4, 3), (40_000, 2, 3)])
def test_changes_are_written(shape: tuple[int, ...]) -> None:
    group = zarr.open_group(MemoryStore())
    axes = [Axis(f"a{i}", np.arange(n)) for i, n in enumerate(shape)]
    rng = np.random.default_rng(0)
    count = int(np.prod(shape))
    one = Presence(shape, np.unique(rng.integers(0, count, count // 2)))
    write_presence(group, "present", axes, one)
    assert np.array_equal(np.asarray(group["present"][...]), dense(one))  # type: ignore[index]
    larger = (shape[0] + 5, *shape[1:-1], shape[-1] + 2)
    other = Presence(larger, np.unique(rng.integers(0, int(np.prod(larger)), count // 2)))
    write_presence(group, "present", axes, other)
    assert np.array_equal(np.asarray(group["present"][...]), dense(other))  # type: ignore[index]
    found = read_presence(group, "present", larger)
    assert np.array_equal(found.cells, other.cells)


def test_a_large_grid_that_is_nearly_empty() -> None:
    """Ten thousand images at other times each, on 100 × 100 tiles: 10⁸ places."""
    group = zarr.open_group(MemoryStore())
    number = np.arange(10_000)
    shape = (10_000, 100, 100)
    axes = [Axis(name, np.arange(n)) for name, n in zip("tyx", shape, strict=True)]
    one = Presence.at(shape, np.stack([number, number // 100, number % 100], axis=1))
    assert one.gaps == 10**8 - 10**4
    write_presence(group, "present", axes, one)
    found = read_presence(group, "present", shape)
    assert np.array_equal(found.cells, one.cells)
