"""zarrita.js reads what is published, over HTTP, with Icechunk's WebAssembly build.

Not one of the tests that `make test` collects, since it needs Node and what npm installs:
`make test-javascript` runs it, and it fails where those are missing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.test_mosaics import ALL, NODATA, name_of
from tests.helpers.archive import FIRST, PATTERN, read_paths, write_scenes
from tests.helpers.make import Pixels
from tests.helpers.range_server import RangeServer
from tests.readers._case import (
    DATA_TYPES,
    DEFLATE,
    LAYOUTS,
    MISSING,
    UNCOMPRESSED,
    ZSTANDARD,
)
from tests.readers._cases import all_cases
from tests.readers._published import Published, published
from tests.readers._readers import CHROMIUM, JAVASCRIPT, JAVASCRIPT_READERS, badness, read_all
from tests.readers._table import DATA, Table, changes, from_json
from tests.readers.main import make_table
from virtual_tiff.choices import Grid
from virtual_tiff.inventory.scan import scan
from virtual_tiff.operations.stack import stack

#: Grids of stitched cubes.
GRIDS: tuple[Grid, ...] = ("regular", "tiles")
#: What zarrita.js reads as it is.
_BARE = (UNCOMPRESSED, DEFLATE, ZSTANDARD, MISSING)
#: Node 20 has no typed array for these.
_NOT_IN_JAVASCRIPT = ("float16", "complex64", "complex128")


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    if shutil.which("node") is None:
        pytest.fail("node is missing: install Node 20 or newer")
    if shutil.which(CHROMIUM) is None:
        pytest.fail("Chromium is missing: install it, or name it in CHROMIUM")
    if not (JAVASCRIPT / "node_modules").is_dir():
        pytest.fail("tests/javascript has no node_modules: run `make test-javascript`")
    with published(all_cases(), tmp_path_factory.mktemp("published")) as found:
        yield found


@pytest.fixture(scope="module")
def table(cube: Published, tmp_path_factory: pytest.TempPathFactory) -> Table:
    return make_table(cube, tmp_path_factory.mktemp("read"), JAVASCRIPT_READERS)


@pytest.mark.parametrize("group", _BARE)
def test_zarrita_reads_without_any_decoder(group: str, table: Table) -> None:
    """Whole arrays and windows, edge chunks, missing chunks and inline chunks."""
    cases = [case for case in all_cases() if case.group == group]
    if group != MISSING:
        assert {case.layout for case in cases} == set(LAYOUTS)
    verdicts = {case.name: table.verdicts[case.name]["zarrita"] for case in cases}
    assert set(verdicts.values()) == {"exact"}, verdicts


def test_zarrita_reads_every_data_type_of_javascript(table: Table) -> None:
    for case in all_cases():
        if case.group == DATA_TYPES and case.encoding not in _NOT_IN_JAVASCRIPT:
            assert table.verdicts[case.name]["zarrita"] == "exact", case.name


@pytest.mark.parametrize("key", ["zarrita+codecs", "chromium"])
def test_zarrita_with_codecs_reads_every_encoding(key: str, table: Table) -> None:
    """Two strips of JPEG 4:2:0 had to be lengthened; zarrita has no complex numbers."""
    verdicts = {
        case.name: table.verdicts[case.name][key]
        for case in all_cases()
        if case.encoding not in _NOT_IN_JAVASCRIPT
    }
    inexact = {name: verdict for name, verdict in verdicts.items() if verdict != "exact"}
    assert all(badness(verdict) <= badness("within 2") for verdict in inexact.values()), inexact
    assert all("half-empty" in name for name in inexact), inexact


def test_zarrita_as_the_table_says(table: Table) -> None:
    differences = changes(from_json(DATA.read_text(encoding="utf-8")), table)
    assert not differences, f"run scripts/reader_matrix.py: {differences}"


def test_one_request_for_each_chunk(cube: Published, tmp_path: Path) -> None:
    (case,) = (c for c in all_cases() if c.name == "deflate-8-planar-band-first-tiles")
    expected = cube.expected[case.name]
    cube.server.reset()
    one = Published(
        cube.server,
        cube.prefix,
        cube.repository,
        cube.repository_url,
        cube.copy,
        {case.name: case},
        {case.name: expected},
    )
    outcome = read_all(JAVASCRIPT_READERS["zarrita"], one, tmp_path / "reader")[case.name]
    assert outcome.verdict == "exact"
    ranges = [r.range for r in cube.server.requests if r.path == f"/sources/{case.name}.tif"]
    chunks = int(np.prod([-(-n // c) for n, c in zip(expected.shape, (1, 16, 32), strict=True)]))
    assert None not in ranges
    assert len(set(ranges)) == chunks
    # Once for the whole array, and once for the window, which touches the chunks of all bands
    # that it is in.
    assert len(ranges) <= 2 * chunks


@pytest.mark.parametrize("predictor", [1, 2])
def test_a_time_series_of_a_cube(tmp_path: Path, predictor: int) -> None:
    """As docs/how-to/other-languages.md shows it."""
    paths = write_scenes(tmp_path / "sources", 4, PREDICTOR=predictor)
    with RangeServer(tmp_path) as server:
        urls = [f"{server.url}/sources/{path.name}" for path in paths]
        stack(scan(urls, datetime_pattern=PATTERN), str(tmp_path / "repository"))
        task = {
            "repository": f"{server.url}/repository",
            "prefix": f"{server.url}/",
            **{"name": "data", "row": 20, "column": 33},
        }
        done = subprocess.run(
            ["node", "cube.mjs"],
            cwd=JAVASCRIPT,
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    series = json.loads(done.stdout)
    assert series["values"] == read_paths(paths)[:, 20, 33].tolist()
    assert len(series["times"]) == 4
    assert series["times"][0] == f"{FIRST}T00:00:00.000Z"


def test_tiles_are_one_array(tmp_path: Path) -> None:
    """The matrix of mosaics, with gaps and overlaps: areas are those of GDAL's mosaic.

    Those of tiles are read as docs/how-to/other-languages.md shows it.
    """
    for tiles in ALL:
        tiles.write(tmp_path)
    areas: list[dict[str, Any]] = []
    expected: list[Pixels] = []
    with RangeServer(tmp_path) as server:
        for has_nodata, grid in product((True, False), GRIDS):
            urls = [
                f"{server.url}/{tiles.name}/{name_of(place)}.tif"
                for tiles in ALL
                if tiles.has_nodata == has_nodata and (grid == "tiles" or tiles.is_regular)
                for place in tiles.of(has_gaps=True, dates=tiles.dates)
            ]
            given: dict[str, Any] = {"on_gap": "fill", "fill_value": NODATA}
            stack(
                scan(urls, datetime_pattern=PATTERN, columns={"cell": r"/([^/]+)/t\d\d_"}),
                str(tmp_path / "repository"),
                group=f"{grid}/{{cell}}",
                stitch=True,
                along="datetime",
                grid=grid,
                into_existing=(has_nodata, grid) != (True, GRIDS[0]),
                **({} if has_nodata else given),
            )
        for tiles, grid in product(ALL, GRIDS):
            if grid == "regular" and not tiles.is_regular:
                continue
            mosaic = tiles.mosaic(tmp_path, has_gaps=True)
            height, width = mosaic.shape[-2:]
            front = [tiles.dates - 1, *([1] if mosaic.ndim == 4 else [])]
            for rows, columns in (([0, height], [0, width]), ([40, 60], [50, width - 30])):
                where = {"rows": rows, "columns": columns, "front": front}
                areas.append({"group": f"{grid}/{tiles.name}", **where})
                index: tuple[Any, ...] = (*front, slice(*rows), slice(*columns))
                expected.append(mosaic[index])
        task = {
            "repository": f"{server.url}/repository",
            "prefix": f"{server.url}/",
            "areas": areas,
        }
        done = subprocess.run(
            ["node", "tiles.mjs"],
            cwd=JAVASCRIPT,
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for area, answer, wanted in zip(areas, answers, expected, strict=True):
        found = np.array(answer["values"]).reshape(answer["shape"])
        assert found.shape == wanted.shape, area
        is_changed = "/short-jpeg" in area["group"]
        differs = np.abs(found - wanted.astype(int)).max()
        assert differs <= (4 if is_changed else 0), area
