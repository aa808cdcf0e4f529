"""What is printed of a result, whichever command it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.helpers.assemble import plain, text
from virtual_tiff.cli import main
from virtual_tiff.cli._options import CommitChoices
from virtual_tiff.cli._result import print_result
from virtual_tiff.publishing.results import Added, PublishResult

type Output = pytest.CaptureFixture[str]


def result_of(added: Mapping[str, Added], **more: Any) -> PublishResult:
    return PublishResult(
        **{"snapshot_id": "SNAPSHOT", "branch": "main", "containers": ("file:///a/",), **more},
        added=added,
    )


CUBE = Added(
    images=4,
    arrays=3,
    steps=2,
    first="2024-04-12T00:00:00.000000",
    last="2024-06-04T10:30:00.000000",
    variables=("nir", "red"),
    levels=3,
)


def printed(
    result: PublishResult, output: Output, command: str = "publish", *, example: bool = False
) -> list[str]:
    # The exit status of files that were left out.
    with suppress(typer.Exit):
        print_result(result, "r", command, CommitChoices(quiet=not example))
    return output.readouterr().out.splitlines()


def test_a_tree(capsys: Output) -> None:
    result = result_of(
        {
            "a": Added(images=1, arrays=2, references=1000, source="s3://b/a"),
            "b": Added(images=1, arrays=1, references=200, source="s3://b/b"),
        }
    )
    assert printed(result, capsys) == [
        "Published 2 TIFFs to r, branch main:",
        "  3 arrays, 1,200 references, snapshot SNAPSHOT",
    ]


def test_a_cube(capsys: Output) -> None:
    result = result_of(
        {
            "x": CUBE,
            "y": Added(images=1, arrays=1, steps=1, first="1", last="9", variables=("red",)),
        }
    )
    assert printed(result, capsys, "stack") == [
        "r: 5 images, snapshot SNAPSHOT",
        "  /x: nir, red, 3 levels, 2 new steps, 2024-04-12 to 2024-06-04T10:30:00",
        "  /y: red, 1 new step, 1 to 9",
    ]


def test_nothing_to_append(capsys: Output) -> None:
    result = result_of({"": Added(images=0, arrays=0, skipped=3)}, snapshot_id=None)
    assert printed(result, capsys, "append", example=True) == [
        "r: nothing to add; all images are there",
        "  3 images were there already",
    ]


@pytest.mark.parametrize("command", ["publish", "stack"])
def test_what_went_otherwise(command: str, capsys: Output) -> None:
    result = result_of(
        {"": replace(CUBE, source="u" if command == "publish" else None, stored=1)},
        failed={f"u{i}": 'no codec. Pass on_unsupported="copy".' for i in range(12)},
        unchecked=("u",),
        copied={"u": ("0: JPEG XL",)},
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


def test_the_example_opens_the_first_dataset(capsys: Output) -> None:
    result = result_of({"a/b": Added(images=1, arrays=1, source="u", dataset="a/b/0")})
    text = "\n".join(printed(result, capsys, example=True))
    assert "Read it where xarray, icechunk" in text
    assert "open_zarr(\n" in text
    assert "chunks=None" in text


@pytest.mark.parametrize("command", ["publish", "stack", "append"])
def test_json_is_all_that_is_printed(command: str, capsys: Output) -> None:
    result = result_of({"": CUBE})
    with suppress(typer.Exit):
        print_result(result, "r", command, CommitChoices(as_json=True))
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(result.as_json()))


def test_names_do_not_control_the_terminal(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "a\x1b[2J\nb\x9b.tif"
    file.write_bytes(plain(IMAGE_DESCRIPTION=text("x")))
    for options in (
        ["info"],
        ["info", "--json"],
        ["scan", "--output", str(tmp_path / "i.parquet")],
    ):
        main([*options, str(file)])
        main([*options, str(tmp_path / "none\x1b[2J\x9b.tif")])
        shown = "".join(capsys.readouterr())
        assert not set(shown) & {"\x1b", "\x9b"}
