"""The README of clients/javascript, as a newcomer follows it: in Node, and in Chromium.

Not one of the tests that `make test` collects, since it needs Node and what npm installs:
`make test-javascript` runs it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.helpers.archive import PATTERN, read_paths, write_scenes
from tests.helpers.fences import fences
from tests.helpers.range_server import RangeServer
from tests.readers._readers import JAVASCRIPT
from virtual_tiff.inventory.scan import scan
from virtual_tiff.operations.stack import stack

README = JAVASCRIPT.parents[1] / "clients" / "javascript" / "README.md"
PAGE = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="{}"></script>'


def write_files(folder: Path, url: str) -> str:
    """Write the files of the README, and return the commands of esbuild."""
    found = fences(README)
    for fence in found:
        if fence.language == "js" and fence.code.startswith("// "):
            name = fence.code.splitlines()[0].removeprefix("// ")
            code = fence.code.replace("https://example.com", url)
            (folder / name).write_text(code, encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (folder / "node_modules").symlink_to(JAVASCRIPT / "node_modules")
    (folder / "index.html").write_text(PAGE.format("./main.js"), encoding="utf-8")
    (folder / "dist").mkdir()
    (folder / "dist" / "index.html").write_text(PAGE.format("js/main.js"), encoding="utf-8")
    (commands,) = (f.code for f in found if f.language == "bash" and "esbuild" in f.code)
    return commands


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readme_reads_a_cube(tmp_path: Path) -> None:
    if not (JAVASCRIPT / "node_modules").is_dir():
        pytest.fail("tests/javascript has no node_modules: run `make test-javascript`")
    (tmp_path / "page").mkdir()
    paths = write_scenes(tmp_path / "sources", 2, PREDICTOR=2)
    first = read_paths(paths)[0]
    with RangeServer(tmp_path) as server:
        urls = [f"{server.url}/sources/{path.name}" for path in paths]
        table = scan(urls, datetime_pattern=PATTERN)
        stack(table, str(tmp_path / "archive"), name="red")
        commands = write_files(tmp_path / "page", server.url)
        printed = run(["node", "read.js"], tmp_path / "page")
        run(["bash", "-euc", commands], tmp_path / "page")
        shown = run(["node", str(JAVASCRIPT / "readme.mjs")], tmp_path / "page")
    assert printed.startswith("[ 48, 64 ] [ 64, 1 ] Uint16Array(3072) [")
    answers = [json.loads(line) for line in shown.splitlines()]
    wanted = {"shape": [48, 64], "stride": [64, 1], "data": first.ravel().tolist()}
    assert answers == [wanted] * 3
