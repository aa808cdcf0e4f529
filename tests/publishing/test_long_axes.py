"""Cubes of many steps: what is added to them, and what describes them, does not list every step."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from math import prod
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.storage import MemoryStore

from virtual_tiff.audit.files import RecordedFiles
from virtual_tiff.cubes.coordinate import merge
from virtual_tiff.cubes.growth import Growth
from virtual_tiff.cubes.plan import Axis, CubePlan, CubeVariable, ImageGrid
from virtual_tiff.errors import MismatchError
from virtual_tiff.inventory.table import SCHEMA, Inventory
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.publishing.coordinate import extended_properties
from virtual_tiff.publishing.extending.presence import PresenceUpdate
from virtual_tiff.publishing.sources_table import COLUMNS, Sources, change_sources

NO_GROWTH = Growth((0, 0), (1, 1), (1, 1))
MANY = 1_000_000
#: Far less than a Python object, or three numbers, for each of them.
LITTLE = 16 * 2**20


def cube_of(values: list[NDArray[np.int64]], places: NDArray[np.int64], fill: bool) -> CubePlan:
    """Images of one pixel at places along axes."""
    axes = tuple(Axis(f"a{number}", each) for number, each in enumerate(values))
    image = ArrayPlan(
        shape=(1, 1),
        chunk_shape=(1, 1),
        data_type=np.dtype(np.uint8),
        codecs=(),
        fill_value=0,
        dimension_names=("y", "x"),
        source=None,
        offsets=np.zeros((1, 1), np.uint64),
        lengths=np.ones((1, 1), np.uint64),
        attributes={"_FillValue": 0} if fill else {},
    )
    rows = np.arange(len(places))
    return CubePlan(
        axes=axes,
        variables={"v": CubeVariable(image=image, rows=rows, places=places)},
        grid=ImageGrid(crs=None, transform=None, width=1, height=1),
        inventory=Inventory.from_arrow(SCHEMA.empty_table()),
    )


def group_of(shape: tuple[int, ...], *, fill: bool) -> zarr.Group:
    group = zarr.open_group(MemoryStore())
    attributes: Any = {"_FillValue": 0} if fill else {}
    group.create_array("v", shape=(*shape, 1, 1), dtype="uint8", attributes=attributes)
    return group


def update(group: zarr.Group, cube: CubePlan, together: list[Any]) -> PresenceUpdate:
    return PresenceUpdate.read(group, cube, ["v"], together, {}, NO_GROWTH)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_gaps_beside_a_full_cube(data: st.DataObject) -> None:
    """As a dense array has them, wherever along one to three axes the images come."""
    positions = st.sets(st.integers(0, 6), min_size=1, max_size=4)
    pairs = data.draw(st.lists(st.tuples(positions, positions), min_size=1, max_size=3))
    old, new = ([np.array(sorted(p[i]), np.int64) for p in pairs] for i in (0, 1))
    grid = [each.size for each in new]
    # All positions of the added axes, or only some of them.
    cells = data.draw(st.sets(st.integers(0, prod(grid) - 1), min_size=1))
    if data.draw(st.booleans()):
        cells = set(range(prod(grid)))
    order = data.draw(st.permutations(sorted(cells)))
    places = np.stack(np.unravel_index(np.array(order, np.int64), grid), axis=1)
    together = [merge(there, more) for there, more in zip(old, new, strict=True)]
    expected = np.zeros([len(merged.values) for merged in together], bool)
    expected[np.ix_(*(merged.old for merged in together))] = True
    expected[tuple(merged.new[places[:, i]] for i, merged in enumerate(together))] = True
    found = update(
        group_of(tuple(each.size for each in old), fill=True),
        cube_of(new, places, fill=True),
        together,
    )
    if expected.all():
        assert found.after == {}
        return
    assert np.array_equal(found.after["v"].cells, np.flatnonzero(expected))
    with pytest.raises(MismatchError):
        update(
            group_of(tuple(each.size for each in old), fill=False),
            cube_of(new, places, fill=False),
            together,
        )


def test_steps_without_images_of_a_variable_are_gaps() -> None:
    cube = cube_of([np.array([5])], np.zeros((1, 1), np.int64), fill=True)
    other = CubePlan(
        axes=cube.axes,
        variables={"other": cube.variables["v"]},
        grid=cube.grid,
        inventory=cube.inventory,
    )
    found = update(group_of((5,), fill=True), other, [merge(np.arange(5), np.array([5]))])
    assert found.after["v"].cells.tolist() == [0, 1, 2, 3, 4]
    assert found.after["other"].cells.tolist() == [5]


@pytest.mark.parametrize("what", ["presence", "properties"])
def test_an_append_does_not_list_what_is_there(what: str) -> None:
    times = np.arange(MANY + 3).astype("datetime64[s]").astype("datetime64[us]")
    together = [merge(times[:MANY], times[MANY:])]
    places = np.arange(3)[:, None]
    cube = cube_of([times[MANY:]], places, fill=False)
    group = group_of((MANY,), fill=False)
    tracemalloc.start()
    try:
        if what == "presence":
            assert update(group, cube, together).after == {}
        else:
            assert extended_properties(group, cube, together, {}) == ({}, [])
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "g/a", "g/b", "g/0/a", "h/k/é"]),
            st.sampled_from(["{}", '{"time": 1}']),
            st.sampled_from(["s3://b/1.tif", "s3://b/2.tif", "file:///ä.tif"]),
            st.integers(0, 2**40),
        ),
        max_size=12,
    )
)
def test_files_of_groups(rows: list[tuple[str, str, str, int]]) -> None:
    """As they are when the table is read row by row."""
    session = icechunk.Repository.create(icechunk.in_memory_storage()).writable_session("main")
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for array, position, url, size in rows:
        one = {"array": array, "position": position, "url": url, "size": size}
        for name, values in columns.items():
            values.append(one.get(name, 0 if name in ("band", "last_modified") else ""))
    if rows:
        change_sources(session.store, Sources.of(**columns))
    files = RecordedFiles.read(session.store)
    sizes = {url: size for _, _, url, size in rows}
    assert files.urls.to_pylist() == list(sizes)
    assert files.size == sum(sizes.values())
    for name in columns["array"]:
        assert files.images[name] == columns["array"].count(name)
    assert files.images["none"] == 0
    for alone in (True, False):
        expected: dict[str, set[str]] = defaultdict(set)
        for array, position, url, _ in rows:
            if (position == "{}") == alone:
                expected[array.rpartition("/")[0]].add(url)
        found = files.by_group(alone=alone)
        assert {path: count for path, (count, _) in found.items()} == {
            path: len(urls) for path, urls in expected.items()
        }
        assert all(url in expected[path] for path, (_, url) in found.items())
