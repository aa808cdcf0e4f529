"""Properties of Items as coordinates of a cube: typed, in step with its axis, or refused."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pystac
import pytest
import rasterio
import zarr

from tests.helpers.archive import memory_repository, opened, write_scene
from tests.helpers.read import local_registry
from tests.inventory.test_stac import as_parquet, asset, collected, item
from virtual_tiff.errors import ErrorKind, InvalidOptionError, MismatchError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.operations.remove import remove
from virtual_tiff.operations.renew import renew
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.publishing.repository import open_repository

type Item = dict[str, Any]

#: Values of each type, kinds of data types in xarray, and what stands for a missing one in xarray.
KINDS: dict[str, tuple[list[Any], str, Any]] = {
    "numbers": ([12.5, 0.0, -1e-9], "f", np.nan),
    "integers": ([7, -(2**62), 2**53 + 1], "i", np.nan),
    "booleans": ([True, False, True], "b", np.nan),
    "text": (["Sentinel-2A", "é", "x y"], "OTU", ""),
    "times": (
        [datetime(2024, 5, 1, 10), datetime(1801, 1, 1), datetime(2024, 5, 1, 10, 0, 0, 1)],
        "M",
        np.datetime64("NaT", "us"),
    ),
}


def items(
    folder: Path, *said: Item, first: int = 0, names: tuple[str, ...] = ("red",)
) -> list[Item]:
    """Items of consecutive days, with properties, whose assets have absolute addresses."""
    found = []
    for number, properties in enumerate(said, first):
        assets = {}
        for name in names:
            file = folder / f"{name}_{number}.tif"
            if not file.exists():
                write_scene(file, seed=number)
            assets[name] = {**asset(file.name), "href": str(file)}
        found.append(item(number, assets, **properties))
    return found


def table(folder: Path, values: list[Any], first: int = 0) -> pa.Table:
    """A table of images, with a column `said`."""
    files = [folder / f"{first + number}.tif" for number in range(len(values))]
    for number, file in enumerate(files, first):
        write_scene(file, seed=number)
    times = [datetime(2024, 5, 1 + first + number) for number in range(len(values))]
    return pa.table({"url": list(map(str, files)), "datetime": times, "said": values})


def inventory(folder: Path, values: list[Any], first: int = 0) -> Any:
    rows = table(folder, values, first)
    return scan(rows, registry=local_registry(), datetime_column="datetime")


def coordinate(repo: Any, name: str = "said", group: str = "") -> Any:
    repository = open_repository(repo) if isinstance(repo, str) else repo
    dataset = opened(repository, group, mask_and_scale=True)
    found = dataset.coords[name]
    assert found.dims == ("time",)
    variable = next(iter(dataset.data_vars.values()))
    assert name in variable.coords
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_types_are_kept(kind: str, tmp_path: Path) -> None:
    values, kinds, _ = KINDS[kind]
    repository = memory_repository(tmp_path)
    stack(inventory(tmp_path, values), repository, item_properties="said")
    said = coordinate(repository)
    assert said.dtype.kind in kinds
    expected = np.array(values, "M8[us]") if kind == "times" else np.array(values)
    assert said.values.tolist() == expected.astype(said.dtype).tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("later", [False, True])
def test_a_missing_value_is_missing(kind: str, later: bool, tmp_path: Path) -> None:
    """At once, or in a step that is appended; then the next one that is not missing is right."""
    values, _, missing = KINDS[kind]
    repository = memory_repository(tmp_path)
    if later:
        stack(inventory(tmp_path, values[:1]), repository, item_properties="said")
        append(inventory(tmp_path, [None], 1), repository)
        append(inventory(tmp_path, values[:1], 2), repository)
    else:
        stack(inventory(tmp_path, [values[0], None, values[0]]), repository, item_properties="said")
    said = coordinate(repository).values
    assert said[0] == said[2] == (np.datetime64(values[0], "us") if kind == "times" else values[0])
    same = said[1] == missing if kind == "text" else np.isnan(said[1]) and np.isnan(missing)
    assert same


def test_nothing_but_missing_values_takes_a_type_later(tmp_path: Path) -> None:
    repository = memory_repository(tmp_path)
    stack(inventory(tmp_path, [None]), repository, item_properties="said")
    assert np.isnan(coordinate(repository).values).all()
    append(inventory(tmp_path, ["a"], 1), repository)
    assert coordinate(repository).values.tolist() == ["", "a"]


def test_integers_become_numbers_with_the_first_fraction(tmp_path: Path) -> None:
    repository = memory_repository(tmp_path)
    stack(inventory(tmp_path, [12]), repository, item_properties="said")
    append(inventory(tmp_path, [12.5], 1), repository)
    assert coordinate(repository).values.tolist() == [12, 12.5]


@pytest.mark.parametrize("values", [["a"], [True], [datetime(2024, 1, 1)]])
def test_other_kinds_are_refused(values: list[Any], tmp_path: Path) -> None:
    repository = memory_repository(tmp_path)
    stack(inventory(tmp_path, [1.5]), repository, item_properties="said")
    with pytest.raises(MismatchError) as caught:
        append(inventory(tmp_path, values, 1), repository)
    assert caught.value.kind == ErrorKind.MISMATCH
    assert coordinate(repository).values.tolist() == [1.5]


def test_every_form_of_an_item_gives_the_same(tmp_path: Path) -> None:
    said: list[Item] = [
        {"eo:cloud_cover": 12.5, "platform": "a", "created": "2024-06-01T00:00:00.5Z", "s2:n": 3},
        {"platform": "b", "created": "2024-06-02T00:00:00Z"},
    ]
    names = ("eo:cloud_cover", "platform", "created", "s2:n")
    documents = items(tmp_path, *said)
    sources: list[Any] = [
        collected(tmp_path, *documents),
        as_parquet(tmp_path, documents),
        [pystac.Item.from_dict(one) for one in documents],
        pystac.ItemCollection([pystac.Item.from_dict(one) for one in documents]),
        {"type": "FeatureCollection", "features": documents},
    ]
    found = []
    for source in sources:
        repository = memory_repository(tmp_path)
        options: dict[str, Any] = {"registry": local_registry(), "item_properties": names}
        stack(source, repository, variable="asset", **options)
        dataset = opened(repository, mask_and_scale=True)
        found.append({name: dataset.coords[name] for name in names})
    for other in found[1:]:
        for name in names:
            assert found[0][name].identical(other[name]), name
    first = found[0]
    assert first["eo:cloud_cover"].values[0] == 12.5
    assert np.isnan(first["eo:cloud_cover"].values[1])
    assert first["platform"].values.tolist() == ["a", "b"]
    assert first["created"].values[0] == np.datetime64("2024-06-01T00:00:00.5")
    assert first["s2:n"].values[0] == 3


def test_items_of_one_step_have_to_agree(tmp_path: Path) -> None:
    one, other = items(tmp_path, {"a": 1, "b": "x"}, {"a": 2, "b": "x"}, names=("red",))
    other["properties"]["datetime"] = one["properties"]["datetime"]
    other["assets"] = {"nir": other["assets"]["red"]}
    repository = memory_repository(tmp_path)
    options: dict[str, Any] = {"registry": local_registry(), "variable": "asset"}
    source = collected(tmp_path, one, other)
    with pytest.raises(MismatchError) as caught:
        stack(source, repository, item_properties=["a"], **options)
    assert caught.value.kind == ErrorKind.MISMATCH
    assert "item-0" in str(caught.value)
    assert "item-1" in str(caught.value)
    stack(source, repository, item_properties=["b"], **options)
    assert coordinate(repository, "b").values.tolist() == ["x"]


def test_another_variable_of_a_step_has_to_agree_with_the_cube(tmp_path: Path) -> None:
    (one,) = items(tmp_path, {"a": 1})
    (other,) = items(tmp_path, {"a": 2}, names=("nir",))
    repository = memory_repository(tmp_path)
    options: dict[str, Any] = {"registry": local_registry(), "variable": "asset"}
    stack(collected(tmp_path, one), repository, item_properties=["a"], **options)
    with pytest.raises(MismatchError):
        append(collected(tmp_path, other), repository, **options)
    other["properties"]["a"] = 1
    append(collected(tmp_path, other), repository, **options)
    assert coordinate(repository, "a").values.tolist() == [1]
    assert "a" in opened(repository)["nir"].coords


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("nothing",), {}),
        (("said", "said"), {}),
        (("two words",), {}),
        (("x",), {}),
        (("time",), {}),
        (("data",), {}),
        (("said",), {"along": (), "stitch": True}),
        (("lists",), {}),
    ],
)
def test_what_cannot_be_a_coordinate(
    names: tuple[str, ...], options: dict[str, Any], tmp_path: Path
) -> None:
    rows = table(tmp_path, [1])
    rows = rows.append_column("two words", pa.array([1])).append_column("lists", pa.array([[1]]))
    rows = rows.append_column("x", pa.array([1])).append_column("data", pa.array([1]))
    found = scan(rows, registry=local_registry(), datetime_column="datetime")
    with pytest.raises(InvalidOptionError):
        stack(found, memory_repository(tmp_path), item_properties=names, **options)


def test_append_without_the_column_says_so(tmp_path: Path) -> None:
    repository = memory_repository(tmp_path)
    stack(inventory(tmp_path, [1.5]), repository, item_properties="said")
    later = scan(
        table(tmp_path, [2.5], 1).drop_columns("said"),
        registry=local_registry(),
        datetime_column="datetime",
    )
    with pytest.raises(InvalidOptionError):
        append(later, repository, item_properties="said")
    result = append(later, repository)
    assert any("said" in note for note in result.added[""].notes)
    assert np.array_equal(coordinate(repository).values, [1.5, np.nan], equal_nan=True)


def test_a_property_that_the_cube_had_not_is_missing_before(tmp_path: Path) -> None:
    repository = memory_repository(tmp_path)
    stack(inventory(tmp_path, ["a"]), repository)
    result = append(inventory(tmp_path, ["b"], 1), repository, item_properties="said")
    assert any("said" in note for note in result.added[""].notes)
    assert coordinate(repository).values.tolist() == ["", "b"]


def test_steps_before_others(tmp_path: Path) -> None:
    repository = memory_repository(tmp_path)
    stack(inventory(tmp_path, [5, 6], 5), repository, item_properties="said")
    append(inventory(tmp_path, [2, 3], 2), repository, out_of_order="insert")
    assert coordinate(repository).values.tolist() == [2, 3, 5, 6]


def test_present_images_bring_nothing_and_replaced_ones_their_values(tmp_path: Path) -> None:
    repo = str(tmp_path / "repository")
    stack(inventory(tmp_path, [1, 2]), repo, item_properties="said")
    append(inventory(tmp_path, [7, 8, 9]), repo, on_present="skip")
    assert coordinate(repo).values.tolist() == [1, 2, 9]
    write_scene(tmp_path / "1.tif", seed=40)
    os.utime(tmp_path / "1.tif", (2e9, 2e9))
    changed = pa.table(
        {"url": [str(tmp_path / "1.tif")], "datetime": [datetime(2024, 5, 2)], "said": [22]}
    )
    append(
        scan(changed, registry=local_registry(), datetime_column="datetime"),
        repo,
        on_present="replace",
    )
    assert coordinate(repo).values.tolist() == [1, 22, 9]
    # Files alone say nothing of it.
    write_scene(tmp_path / "0.tif", seed=41)
    os.utime(tmp_path / "0.tif", (2.1e9, 2.1e9))
    assert renew(repo).replaced == 1
    assert coordinate(repo).values.tolist() == [1, 22, 9]


@pytest.mark.parametrize("gone", [[0], [1], [3], [0, 2]])
def test_removed_steps_are_gone(gone: list[int], tmp_path: Path) -> None:
    repo = str(tmp_path / "repository")
    values = ["a", None, "c", "d"]
    stack(inventory(tmp_path, values), repo, item_properties="said")
    remove([str(tmp_path / f"{number}.tif") for number in gone], repo)
    left = [value or "" for number, value in enumerate(values) if number not in gone]
    assert coordinate(repo).values.tolist() == left
    append(inventory(tmp_path, ["z"], 9), repo)
    assert coordinate(repo).values.tolist() == [*left, "z"]


def test_every_level_and_the_plain_array_have_it(tmp_path: Path) -> None:
    """Colons stay in the name, as other tools that read Items have them."""
    repository = memory_repository(tmp_path)
    documents = items(tmp_path, {"eo:cloud_cover": 3}, {"eo:cloud_cover": 4})
    for number in range(2):
        with rasterio.open(tmp_path / f"red_{number}.tif", "r+") as file:
            file.build_overviews([2])
    options: dict[str, Any] = {"registry": local_registry(), "overviews": True}
    stack(collected(tmp_path, *documents), repository, item_properties="eo:cloud_cover", **options)
    for level in ("0", "1"):
        assert coordinate(repository, "eo:cloud_cover", level).values.tolist() == [3, 4]
    store = repository.readonly_session("main").store
    array: Any = zarr.open_group(store, mode="r")["0/eo:cloud_cover"]
    assert array.attrs["item_property"] == "eo:cloud_cover"
    assert array[:].tolist() == [3, 4]


def test_a_dry_run_names_it(tmp_path: Path) -> None:
    result = stack(
        inventory(tmp_path, [1, 2]), str(tmp_path / "r"), item_properties="said", dry_run=True
    )
    assert result.snapshot_id is None
    repo = str(tmp_path / "r")
    stack(inventory(tmp_path, [1, 2]), repo, item_properties="said")
    append(inventory(tmp_path, [1.5], 3), repo, dry_run=True)
    assert coordinate(repo).values.tolist() == [1, 2]
