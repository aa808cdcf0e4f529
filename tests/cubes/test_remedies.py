"""Remedies of `stack` and `append` work when they are followed to the letter."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import rasterio
from rasterio.enums import Resampling

from tests.cubes.test_stitch import TILES_DANGLE, TILES_DIVIDE, write_tile
from tests.helpers.archive import scanned
from virtual_tiff import PublishResult, append, stack
from virtual_tiff.errors import ErrorKind, VirtualTIFFError

#: An argument and its value, as remedies name them.
ARGUMENT = re.compile(r'\b([a-z_]+)=("[^"]*"|\([^()]*\)|True|-?\d+(?:\.\d+)?)')
OMITTED = re.compile(r"\b(?:leave|Leave|Omit) ([a-z_]+)=? out")
PATTERNS: dict[str, Any] = {
    "datetime_pattern": r"_(\d{8})",
    "columns": {"pass": r"_(p\d)"},
}

#: Row and column of the first pixel, date and name of a tile.
type Place = tuple[float, int, str, str]

SQUARE: list[Place] = [
    (0, 0, "20240101", "a_p1"),
    (0, 64, "20240101", "b_p1"),
    (48, 0, "20240101", "c_p1"),
    (48, 64, "20240101", "d_p1"),
]
ONE: list[Place] = SQUARE[:1]
LATER: list[Place] = [(0, 0, "20240102", "e_p1")]
BESIDE: list[Place] = [(96, 0, "20240101", "e_p1")]
STITCHED = {"stitch": True}
DATED = {"stitch": True, "along": "datetime"}


@dataclass(frozen=True, slots=True)
class Case:
    """What is there, what is added to it, and the kind of the error whose remedy is followed.

    `given` are options of the call that fails, `written` those of the images that it adds.
    """

    kind: ErrorKind
    there: list[Place]
    made_with: Mapping[str, Any]
    added: list[Place] = field(default_factory=list)
    given: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=lambda: TILES_DIVIDE)
    write: Callable[..., None] = write_tile


def write_pyramid(path: Path, *place: Any, **options: Any) -> None:
    write_tile(path, *place, **options)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], Resampling.nearest)


def write_masked(path: Path, *place: Any, **options: Any) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_tile(path, *place, **options)
        with rasterio.open(path, "r+") as file:
            file.write_mask(True)


MISMATCH, DUPLICATE = ErrorKind.MISMATCH, ErrorKind.DUPLICATE
PASSES = {"along": ("datetime", "pass")}
FILLED = {"on_gap": "fill", "fill_value": 5, **DATED}
PLAIN = {**TILES_DIVIDE, "nodata": None}
APPENDED = {
    "no stitch, regular": Case(MISMATCH, SQUARE, STITCHED, BESIDE),
    "no stitch, tiles": Case(MISMATCH, SQUARE, STITCHED, BESIDE, written=TILES_DANGLE),
    "no stitch, regular, dates": Case(MISMATCH, SQUARE, DATED, LATER),
    "no stitch, tiles, dates": Case(MISMATCH, SQUARE, DATED, LATER, written=TILES_DANGLE),
    "no stitch, another place": Case(MISMATCH, ONE, {}, [(48, 0, "20240102", "e_p1")]),
    "stitch, along another axis": Case(
        MISMATCH, SQUARE, {**STITCHED, **PASSES}, LATER, {**STITCHED, "along": "datetime"}
    ),
    "another axis": Case(MISMATCH, ONE, PASSES, LATER),
    "axes in another order": Case(MISMATCH, ONE, PASSES, LATER, {"along": ("pass", "datetime")}),
    "no fill value": Case(MISMATCH, SQUARE, FILLED, LATER, DATED, PLAIN),
    "no name": Case(MISMATCH, ONE, {"name": "v"}, LATER),
    "no name, masks": Case(
        MISMATCH, ONE, {"name": "v", "masks": True}, LATER, {"masks": True}, write=write_masked
    ),
    "no name, several variables": Case(
        MISMATCH, ONE, {"variable": "pass"}, LATER, {"on_present": "skip"}
    ),
    "no name, bands": Case(
        MISMATCH,
        ONE,
        {"name": "v", "split_bands": True},
        LATER,
        {"split_bands": True},
        written={**TILES_DIVIDE, "shape": (2, 48, 64), "INTERLEAVE": "BAND"},
    ),
    "present": Case(DUPLICATE, SQUARE, DATED, [*ONE, *LATER], DATED),
    "out of order": Case(MISMATCH, LATER, DATED, ONE, DATED),
    "levels that are there": Case(
        MISMATCH, SQUARE, {**DATED, "overviews": True}, LATER, DATED, write=write_pyramid
    ),
    "levels that are not there": Case(
        MISMATCH, ONE, {}, LATER, {"overviews": True}, write=write_pyramid
    ),
}
TWICE: list[Place] = [*SQUARE, (0, 0, "20240101", "e_p1")]
STACKED = {
    "duplicates": Case(DUPLICATE, TWICE, DATED),
    "duplicates of one grid": Case(DUPLICATE, [*ONE, (0, 0, "20240101", "e_p1")], {}),
    "grids": Case(MISMATCH, [*ONE, *LATER, (0, 9, "20240103", "f_p1")], {}),
    "lattices": Case(MISMATCH, [*SQUARE, (0.5, 0, "20240101", "e_p1")], STITCHED),
    "not regular": Case(MISMATCH, SQUARE, {**DATED, "grid": "regular"}, written=TILES_DANGLE),
    "batches of a mosaic": Case(
        ErrorKind.INVALID_OPTION, SQUARE, {**STITCHED, "grid": "regular", "images_per_commit": 2}
    ),
    "batches of any grid": Case(
        ErrorKind.INVALID_OPTION,
        SQUARE,
        {**DATED, "images_per_commit": 1},
        written=TILES_DANGLE,
    ),
}


def followed(options: Mapping[str, Any], remedy: str | None) -> dict[str, Any]:
    """Options with what a remedy says; of several ways, the first."""
    assert remedy is not None
    for sentence in re.split(r"(?<=\.) (?=[A-Z])", remedy):
        # Of `on_present="skip" to …, or on_present="replace" to …` the first.
        found = dict(reversed(ARGUMENT.findall(sentence)))
        omitted = OMITTED.findall(sentence)
        found |= {"group": '"{lattice}"'} if "{lattice} in group" in sentence else {}
        if found or omitted:
            left = {name: value for name, value in options.items() if name not in omitted}
            return left | {name: ast.literal_eval(value) for name, value in found.items()}
    raise AssertionError(f"nothing to follow in {remedy!r}")


def written(folder: Path, places: list[Place], case: Case) -> str:
    for number, (row, column, date, name) in enumerate(places):
        path = folder / f"{name}_{date}.tif"
        case.write(path, row, column, seed=number + 1, **case.written)
    return str(folder)


@pytest.mark.parametrize("name", APPENDED)
def test_remedies_of_append(name: str, tmp_path: Path) -> None:
    case = APPENDED[name]
    repo = str(tmp_path / "repo")
    there = written(tmp_path / "a", case.there, case)
    stack(there, repo, **PATTERNS, **case.made_with)
    added = written(tmp_path / "b", case.added, case)
    if name == "present":
        for path in sorted(Path(there).glob("a_*")):
            (Path(added) / path.name).write_bytes(path.read_bytes())

    def call(options: Mapping[str, Any]) -> PublishResult:
        return append(added, repo, **PATTERNS, **options)

    with pytest.raises(VirtualTIFFError) as caught:
        call(case.given)
    assert caught.value.kind == case.kind
    assert call(followed(case.given, caught.value.remedy)).images


@pytest.mark.parametrize("name", STACKED)
def test_remedies_of_stack(name: str, tmp_path: Path) -> None:
    case = STACKED[name]
    source: Any = written(tmp_path / "a", case.there, case)
    if "images_per_commit" in case.made_with:
        source = scanned(source)

    def call(options: Mapping[str, Any]) -> PublishResult:
        return stack(source, str(tmp_path / "repo"), **PATTERNS, **options)

    with pytest.raises(VirtualTIFFError) as caught:
        call(case.made_with)
    assert caught.value.kind == case.kind
    assert call(followed(case.made_with, caught.value.remedy)).images
