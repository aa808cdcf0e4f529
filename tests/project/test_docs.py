"""The documentation: code fences run, links resolve, and what is made from the code is current."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from imagecodecs import png_decode

from tests.helpers.fences import NODE, Fence, FenceError, commands, fences, matches, run
from virtual_tiff.errors import ErrorKind

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
JAVASCRIPT = ROOT / "tests" / "javascript"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
LINKED = [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
RUNNABLE = [page for page in PAGES if any(fence.is_run for fence in fences(page))]
#: Warnings that a reader would see.
WARNINGS = [
    *(f"-Werror::{kind}Warning" for kind in ("User", "Runtime", "Future")),
    "-Wignore:Dataset has no geotransform",
]
IN_README = ("<!-- readers: begin -->", "<!-- readers: end -->")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- fences ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_fences_run(page: Path, tmp_path: Path) -> None:
    only_files = shutil.ignore_patterns("map")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=only_files)
    done = subprocess.run(
        [sys.executable, *WARNINGS, "-m", "tests.helpers.fences", str(page)],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients/python/src")]),
            # Paths of temporary folders are long.
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "RUST_BACKTRACE": "0",
            # Warnings about local storage, which some pages explain.
            "ICECHUNK_LOG": "error",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r": [1-9]\d* fences ran", done.stdout)


def test_pages_for_newcomers_run() -> None:
    names = {name_of(page) for page in RUNNABLE}
    tutorials = {name_of(page) for page in (DOCS / "tutorials").glob("*.md")}
    assert tutorials
    assert {"README.md", "docs/index.md", *tutorials} <= names


def javascript() -> list[Fence]:
    return [fence for page in PAGES for fence in fences(page) if fence.language in NODE]


def test_javascript_is_what_the_tests_run() -> None:
    parts = [fence for fence in javascript() if fence.comment.startswith("part of ")]
    assert parts
    for fence in parts:
        source = (ROOT / fence.comment.removeprefix("part of ")).read_text(encoding="utf-8")
        lines: Iterator[str] = iter(source.splitlines())
        missing = [line for line in fence.code.splitlines() if line and line not in lines]
        assert missing == [], fence.place


@pytest.mark.parametrize(
    "fence",
    [f for f in javascript() if f.reason is None and not f.comment.startswith("part of ")],
    ids=lambda fence: f"{fence.page.name}:{fence.line}",
)
def test_javascript_fences_run(fence: Fence) -> None:
    if not (JAVASCRIPT / "node_modules").is_dir():
        pytest.skip("no npm packages: `make test-javascript` installs them")
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", fence.code],
        cwd=JAVASCRIPT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout or done.returncode, f"{fence.place} shows nothing: {done.stderr}"


# --- the gallery -----------------------------------------------------------------------------


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=name_of)
def test_gallery_runs(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *WARNINGS, str(script), str(tmp_path)],
        env=os.environ | {"RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    # Pictures in the documentation are those that the scripts make.
    for picture in tmp_path.glob("*.png"):
        shown = DOCS / "images" / picture.name
        assert np.array_equal(png_decode(picture.read_bytes()), png_decode(shown.read_bytes()))


@pytest.mark.parametrize(
    "page",
    [*PAGES, *sorted((ROOT / "examples").glob("*.py")), *sorted(ROOT.glob("scripts/demo*.py"))],
    ids=name_of,
)
def test_only_public_names_are_imported(page: Path) -> None:
    assert internal_imports(page.read_text(encoding="utf-8")) == set()


def internal_imports(text: str) -> set[str]:
    return set(re.findall(r"^\s*(?:from|import) virtual_tiff\.(\S+)", text, flags=re.MULTILINE))


def test_imports_of_internal_modules_are_noticed() -> None:
    assert internal_imports("  from virtual_tiff.errors import ErrorKind\n") == {"errors"}
    assert internal_imports("from virtual_tiff import publish\n") == set()


# --- links -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links_resolve(page: Path) -> None:
    text = without_fences(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    broken = [target for target in targets if not resolves(page, target)]
    assert broken == []


def resolves(page: Path, target: str) -> bool:
    if re.match(r"[a-z]+://|mailto:", target):
        return True
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.exists():
        return False
    # The site has docs/ alone, so links out of it would break there.
    if page.is_relative_to(DOCS) and not file.is_relative_to(DOCS):
        return False
    return not anchor or anchor in anchors(file)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+?) *$", without_fences(page), flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def without_fences(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^( *)(`{3,}).*?^ *\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_links_that_lead_nowhere_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Some Title: here\n\n```text\n[no](link.md)\n# no title\n```\n")
    assert resolves(page, "https://example.com/")
    assert resolves(page, "#some-title-here")
    assert resolves(page, "page.md#some-title-here")
    assert not resolves(page, "#no-title")
    assert not resolves(page, "other.md")
    assert "link.md" not in without_fences(page)


# --- what is made from the code --------------------------------------------------------------


def write_docs() -> ModuleType:
    path = ROOT / "scripts" / "write_docs.py"
    spec = importlib.util.spec_from_file_location("write_docs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The files that are refused are made with rasterio, which writes `*` for products of matrices.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_generated_parts_are_current() -> None:
    script = write_docs()
    stale = [
        name_of(page)
        for page, make in script.PAGES.items()
        if script.written(page, make) != page.read_text(encoding="utf-8")
    ]
    assert stale == [], "run `python scripts/write_docs.py`"


def test_every_kind_of_error_is_documented() -> None:
    text = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \|", text, flags=re.MULTILINE)
    assert sorted(row for row in rows if row != "kind") == sorted(ErrorKind)


def test_the_table_of_the_readme_is_that_of_the_reference() -> None:
    begin, end = (README.read_text(encoding="utf-8").find(mark) for mark in IN_README)
    table = README.read_text(encoding="utf-8")[begin + len(IN_README[0]) : end].strip()
    page = (DOCS / "reference" / "readers.md").read_text(encoding="utf-8")
    short = page.partition("## In short")[2].partition("\n## ")[0].strip()
    assert table
    assert table == short


def module_names(package: Path) -> set[str]:
    files = {path.stem for path in package.glob("*.py")}
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    return files - {"__init__", "__main__", "_version"} | folders


def test_architecture_names_every_folder() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.partition("<!-- generated: begin -->")[2]
    rows = re.compile(r"^\| \d+ \| `([a-z_]+)` \|", flags=re.MULTILINE)
    assert set(rows.findall(table)) == module_names(ROOT / "src" / "virtual_tiff")


def write_page(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text)
    return page


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("```python\nassert False\n```\n", id="python-fails"),
        pytest.param("```console\n$ false\n```\n", id="command-fails"),
        pytest.param("<!-- fails -->\n```console\n$ true\n```\n", id="command-does-not-fail"),
        pytest.param("```console\n$ echo one\ntwo\n```\n", id="other-output"),
        pytest.param("```console\nonly output\n```\n", id="no-command"),
        pytest.param(
            "```python\nprint(1)\n```\n\n<!-- output -->\n```text\n2\n```\n", id="prints-other"
        ),
        pytest.param("<!-- output -->\n```text\n2\n```\n", id="nothing-printed"),
        pytest.param("```py\n1\n```\n", id="unknown-language"),
        pytest.param("```python\n1\n", id="not-closed"),
        pytest.param("<!-- not run -->\n```python\n1\n```\n", id="no-reason"),
    ],
)
def test_the_runner_notices(tmp_path: Path, text: str) -> None:
    with pytest.raises((AssertionError, FenceError)):
        run(write_page(tmp_path, text))


def test_the_runner_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = write_page(
        tmp_path,
        "```python\nx = 1\n```\n"
        "- in a list\n\n  ```python\n  y = x + 1\n  print('a', y, 'b')\n  ```\n\n"
        "<!-- output -->\n```text\na ... b\n```\n"
        "<!-- not run: it would fail -->\n```python\nassert False\n```\n"
        "```json\n{\n```\n"
        '```console\n$ echo one \\\n> two\none two\n$ python -c \'open("f", "w")\'\n```\n'
        "<!-- fails -->\n```console\n$ echo no >&2; false\nno\n```\n",
    )
    assert run(page) == 4
    assert (tmp_path / "f").exists()


def test_output_is_compared() -> None:
    assert matches("a \nb\n\n", "a\nb\n")
    assert matches("one 12 two\nthree\n", "one ... two\n...")
    assert not matches("one\ntwo\n", "one\n")
    fence = Fence(Path("p"), 1, "console", "$ a\nx\n...\n$ b\n", "")
    assert commands(fence) == [("a", "x\n...\n"), ("b", None)]
