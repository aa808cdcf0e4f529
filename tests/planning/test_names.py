"""Names of groups, variables and dimensions: every bad one is refused by every door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.helpers.archive import PATTERN, scanned, write_scenes
from virtual_tiff import publish
from virtual_tiff.cli import main
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.planning.names import RESERVED, check_group_names, group_names, group_path
from virtual_tiff.publishing.repository import open_repository

#: No node of a Zarr hierarchy can have these names.
IMPOSSIBLE = {
    "empty": "",
    "blank": " ",
    "here": ".",
    "above": "..",
    "zarr-document": "zarr.json",
    "reserved-by-zarr": "__x",
    "control": "a\nb",
    "control-of-latin-1": "a\x85b",
    "delete": "a\x7fb",
    "backslash": "a\\b",
    "lone-surrogate": "a\ud800",
    "sources": RESERVED,
}
#: Paths of groups that no caller means.
PATHS = {
    "double-slash": "a//b",
    "two-slashes-first": "//a",
    "two-slashes-last": "a//",
    "above-within": "a/../b",
    "within-sources": f"{RESERVED}/a",
    "document-within": "a/zarr.json",
}
#: What else there is in every cube.
TAKEN = {name: name for name in ("x", "y", "band", "spatial_ref", "mask", "time")}

type Door = Callable[[Path, str, str], object]


def table_of(folder: Path, **columns: str) -> Any:
    """A table of the files of a folder, with the same value in each row of a column."""
    urls = [str(path) for path in sorted(folder.iterdir())]
    return pa.table({"url": urls, **{name: [value] * len(urls) for name, value in columns.items()}})


def inventory_of(folder: Path, **columns: str) -> Any:
    return scanned(table_of(folder, **columns))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


GROUPS: dict[str, Door] = {
    "publish-names": lambda a, name, repo: publish(files(a)[:1], repo, names=[name]),
    "publish-callable": lambda a, name, repo: publish(files(a)[:1], repo, names=lambda _: name),
    "publish-group": lambda a, name, repo: publish(files(a), repo, group=name),
    "publish-template": lambda a, name, repo: publish(
        table_of(a, c=name), repo, group="{c}", url_column="url"
    ),
    "publish-inventory": lambda a, name, repo: publish(inventory_of(a, c=name), repo, group="{c}"),
    "stack-group": lambda a, name, repo: stack(inventory_of(a), repo, group=name),
    "stack-template": lambda a, name, repo: stack(inventory_of(a, c=name), repo, group="{c}"),
    "append-group": lambda a, name, repo: append(inventory_of(a), repo, group=name),
    "append-template": lambda a, name, repo: append(inventory_of(a, c=name), repo, group="{c}"),
}
VARIABLES: dict[str, Door] = {
    "stack-name": lambda a, name, repo: stack(
        inventory_of(a), repo, options=CubeOptions(name=name)
    ),
    "stack-column": lambda a, name, repo: stack(
        inventory_of(a, c=name), repo, options=CubeOptions(variable="c")
    ),
    "append-name": lambda a, name, repo: append(
        inventory_of(a), repo, options=CubeOptions(name=name)
    ),
    "append-column": lambda a, name, repo: append(
        inventory_of(a, c=name), repo, options=CubeOptions(variable="c")
    ),
}
DIMENSIONS: dict[str, Door] = {
    "stack-along": lambda a, name, repo: stack(
        inventory_of(a, **{name: "1"}), repo, options=CubeOptions(along=name)
    ),
    "append-along": lambda a, name, repo: append(
        inventory_of(a, **{name: "1"}), repo, options=CubeOptions(along=name)
    ),
}
CASES = [
    *((door, name) for door in GROUPS for name in (*IMPOSSIBLE, *PATHS)),
    *((door, name) for door in VARIABLES for name in (*IMPOSSIBLE, "double-slash", *TAKEN)),
    *((door, name) for door in DIMENSIONS for name in (*IMPOSSIBLE, "double-slash", "x", "y")),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_scenes(folder, 2)
    return folder


@pytest.mark.parametrize(("door", "bad"), CASES)
def test_bad_names_are_refused_before_anything_is_written(
    door: str, bad: str, archive: Path, tmp_path: Path
) -> None:
    name = {**IMPOSSIBLE, **PATHS, **TAKEN}[bad]
    if name == "" and door in ("publish-group", "stack-group", "append-group"):
        pytest.skip("the root")
    if "\ud800" in name and door.endswith(("template", "inventory", "column", "along")):
        pytest.skip("Arrow holds no lone surrogate")
    repo = tmp_path / "repository"
    before = None
    if door.startswith("append"):
        before = stack(inventory_of(archive), str(repo)).snapshot_id
    with pytest.raises(InvalidOptionError) as caught:
        (GROUPS | VARIABLES | DIMENSIONS)[door](archive, name, str(repo))
    assert caught.value.kind == ErrorKind.INVALID_OPTION
    assert caught.value.remedy
    assert str(caught.value).isprintable()
    if before is None:
        assert not repo.exists()
    else:
        assert open_repository(str(repo)).lookup_branch("main") == before


@pytest.mark.parametrize("name", ["/", "/a", "a/", "/a/", "é", "e\u0301", "a b", "c", "0"])
def test_what_a_group_may_be_called(name: str) -> None:
    """A slash at either end is how paths are often written, and printed here."""
    assert group_path(name) == name.strip("/")


def test_the_two_ways_to_write_a_letter_are_two_names(archive: Path, tmp_path: Path) -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    result = publish(files(archive), tmp_path / "repository", names=[composed, decomposed])
    assert list(result.groups.values()) == [composed, decomposed]


@pytest.mark.parametrize(
    "options",
    [("--group", "a//b"), ("--name", "x"), ("--name", "__x"), ("--along", "x"), ("--group", "..")],
)
def test_bad_names_on_the_command_line(
    options: tuple[str, ...], archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = tmp_path / "repository"
    for command in ("stack", "append"):
        arguments = [command, str(archive), "--to", str(repo), "--datetime-pattern", PATTERN]
        assert main([*arguments, *options]) == 2
        assert "cannot be the name of" in capsys.readouterr().err
    assert not repo.exists()


def test_names_from_a_pattern(archive: Path, tmp_path: Path) -> None:
    """What is found in a URL names a variable as it is, or none."""
    for pattern, name in (("(/[a-z]+)_", "/scene"), (r"\.(tif)", "tif")):
        options = CubeOptions(variable_pattern=pattern)
        if "/" in name:
            with pytest.raises(InvalidOptionError) as caught:
                plan_cube(scanned(archive), options)
            assert caught.value.url == files(archive)[0].as_uri()
        else:
            assert list(plan_cube(scanned(archive), options).variables) == [name]


def test_two_values_never_become_one_name(archive: Path, tmp_path: Path) -> None:
    """`a/b` and `a_b` are two tiles: they were one cube when slashes were replaced."""
    urls = [str(path) for path in files(archive)]
    inventory = scanned(pa.table({"url": urls, "tile": ["a/b", "a_b"]}))
    repo = tmp_path / "repository"
    with pytest.raises(InvalidOptionError) as group:
        stack(inventory, str(repo), group="{tile}")
    with pytest.raises(InvalidOptionError) as variable:
        plan_cube(inventory, CubeOptions(variable="tile"))
    assert group.value.url == variable.value.url == files(archive)[0].as_uri()
    assert not repo.exists()


def test_names_of_bands_and_of_levels(tmp_path: Path) -> None:
    write_scenes(tmp_path / "a", 1, shape=(2, 48, 64), INTERLEAVE="BAND")
    inventory = scanned(tmp_path / "a")
    cube = plan_cube(inventory, CubeOptions(split_bands=True, name="d"))
    assert list(cube.variables) == ["d_1", "d_2"]
    # A dimension may be called `band` unless the images have one.
    numbered = inventory_of(tmp_path / "a", band="1")
    with pytest.raises(InvalidOptionError):
        plan_cube(numbered, CubeOptions(along="band"))
    split = CubeOptions(along="band", split_bands=True)
    assert [axis.name for axis in plan_cube(numbered, split).axes] == ["band"]
    with pytest.raises(InvalidOptionError):
        plan_cube(inventory, CubeOptions(name="0", overviews=True))


def test_groups_within_one_another(archive: Path, tmp_path: Path) -> None:
    urls = [path.as_uri() for path in files(archive)]
    for names in (["a", "a"], ["a", "a/b"], ["a/b/c", "a"]):
        with pytest.raises(InvalidOptionError) as caught:
            check_group_names(names, urls)
        assert caught.value.kind == ErrorKind.DUPLICATE


@pytest.mark.parametrize("group", ["", "a", "a/b"])
def test_groups_within_what_is_there(group: str, archive: Path, tmp_path: Path) -> None:
    """A cube within a cube, a file or an array: no DataTree of it could be opened."""
    repo = str(tmp_path / "repository")
    stack(inventory_of(archive), repo, group=group)
    publish(files(archive)[:1], repo, names=["file"])
    before = open_repository(repo).lookup_branch("main")
    for parent in (group, f"{group}/data", "file", "file/0") if group else ("data",):
        inner = f"{parent}/inner".strip("/")
        for door in ("publish-group", "stack-group"):
            with pytest.raises(RepositoryError) as caught:
                GROUPS[door](archive, inner, repo)
            assert caught.value.kind == ErrorKind.CONFLICT
    assert open_repository(repo).lookup_branch("main") == before
    stack(inventory_of(archive), repo, group="beside/it")


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        (["file:///d/a.tif", "file:///d/b.TIFF", "file:///d/c.ome.tif"], ["a", "b", "c.ome"]),
        (["file:///d/a.svs", "file:///d/a"], ["a.svs", "a"]),
        (["file:///d/2024/B04.tif", "file:///d/2025/B04.tif"], ["2024/B04", "2025/B04"]),
        (["file:///d/a.tif", "file:///d/e/f/a.tif", "file:///d/b.tif"], ["a", "e/f/a", "b"]),
        (["file:///d/a.tif", "file:///d/a.tiff"], ["a.tif", "a.tiff"]),
        (
            ["file:///d/a.tif", "file:///d/a.tiff", "file:///e/a.tif"],
            ["d/a.tif", "d/a.tiff", "e/a"],
        ),
        (["http://h:1/x/a.tif", "s3://b/x/a.tif"], ["h_1/x/a", "b/x/a"]),
        (["https://h/a%20b.tif"], ["a b"]),
        (["file:///zarr.json", "file:///...tif", "file:///__x.tif"], ["_zarr.json", "_..", "_x"]),
        (["s3://b/a\\b.tif"], ["a_b"]),
        (["file:///d/_virtual_tiff.tif", "file:///d/sources.tif"], ["_virtual_tiff_", "sources"]),
        (["file:///_virtual_tiff/a.tif", "file:///b/a.tif"], ["_virtual_tiff_/a", "b/a"]),
        (["file:///d/\udcff.tif", "file:///d/ .tif"], ["_", "_ "]),
    ],
)
def test_names_of_groups(urls: list[str], names: list[str]) -> None:
    assert list(group_names(urls)) == names
    assert list(group_names(urls[::-1])) == names[::-1]


@pytest.mark.parametrize(
    "urls",
    [
        ["file:///d/a.tif", "file:///d/a.tif"],
        # The group x would hold both an array of x.tif and the group x/a.
        ["file:///d/x.tif", "file:///d/x/a.tif", "file:///d/y/a.tif"],
    ],
)
def test_names_that_clash(urls: list[str]) -> None:
    with pytest.raises(InvalidOptionError) as raised:
        group_names(urls)
    assert raised.value.kind == ErrorKind.DUPLICATE
