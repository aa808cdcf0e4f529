"""What is printed of a result, whichever command it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from virtual_tiff.cli._result import print_result

type Output = pytest.CaptureFixture[str]


@dataclass(frozen=True, kw_only=True)
class Group:
    images: int = 1
    steps: int = 0
    first: str = ""
    last: str = ""
    variables: tuple[str, ...] = ()
    skipped: int = 0
    levels: int = 1


@dataclass(frozen=True, kw_only=True)
class Result:
    snapshot_id: str | None = "SNAPSHOT"
    branch: str = "main"
    added: Mapping[str, Group] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    unchecked: tuple[str, ...] = ()
    containers: tuple[str, ...] = ("file:///a/",)
    copied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    trees: tuple[str, ...] = ()
    arrays: int = 3
    references: int = 1200
    stored: int = 0

    @property
    def images(self) -> int:
        return sum(group.images for group in self.added.values())

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


CUBE = Group(
    images=4,
    steps=2,
    first="2024-04-12T00:00:00.000000",
    last="2024-06-04T10:30:00.000000",
    variables=("nir", "red"),
    levels=3,
)


def printed(
    result: Result, output: Output, command: str = "publish", *, example: bool = False
) -> list[str]:
    print_result(result, "r", command=command, as_json=False, example=example, anonymous=False)
    return output.readouterr().out.splitlines()


def test_a_tree(capsys: Output) -> None:
    result = Result(added={"a": Group(), "b": Group()}, groups={"s3://b/a": "a", "s3://b/b": "b"})
    assert printed(result, capsys) == [
        "Published 2 TIFFs to r, branch main:",
        "  3 arrays, 1,200 references, snapshot SNAPSHOT",
    ]


def test_a_cube(capsys: Output) -> None:
    result = Result(added={"x": CUBE, "y": Group(steps=1, first="1", last="9", variables=("red",))})
    assert printed(result, capsys, "stack") == [
        "r: 5 images, snapshot SNAPSHOT",
        "  /x: nir, red, 3 levels, 2 new steps, 2024-04-12 to 2024-06-04T10:30:00",
        "  /y: red, 1 new step, 1 to 9",
    ]


def test_nothing_to_append(capsys: Output) -> None:
    result = Result(snapshot_id=None, added={"": Group(images=0, skipped=3)})
    assert printed(result, capsys, "append", example=True) == [
        "r: nothing to add; all images are there",
        "  3 images were there already",
    ]


@pytest.mark.parametrize("command", ["publish", "stack"])
def test_what_went_otherwise(command: str, capsys: Output) -> None:
    result = Result(
        added={"": CUBE},
        groups={"u": ""} if command == "publish" else {},
        failed={f"u{i}": 'no codec. Pass on_unsupported="copy".' for i in range(12)},
        unchecked=("u",),
        copied={"u": ("0: JPEG XL",)},
        stored=1,
    )
    lines = printed(result, capsys, command)[2:]
    assert lines[0] == "  12 files left out, which could not be read:"
    assert lines[1] == "    u0: no codec. Pass --on-unsupported copy."
    assert lines[11:] == [
        "    and 2 more",
        "  copied, not referenced: u",
        "    image 0: JPEG XL",
        "  1 file without a time of change: readers will not notice changes",
    ]


@pytest.mark.parametrize("is_tree", [False, True])
def test_the_example_opens_the_first_group(is_tree: bool, capsys: Output) -> None:
    result = Result(added={"a/b": Group()}, groups={"u": "a/b"}, trees=("a/b",) if is_tree else ())
    text = "\n".join(printed(result, capsys, example=True))
    assert "Read it where xarray, icechunk" in text
    assert ("open_datatree" in text) == is_tree


@pytest.mark.parametrize("command", ["publish", "stack", "append"])
def test_json_is_all_that_is_printed(command: str, capsys: Output) -> None:
    result = Result(added={"": CUBE})
    print_result(result, "r", command=command, as_json=True, example=True, anonymous=False)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(asdict(result)))
