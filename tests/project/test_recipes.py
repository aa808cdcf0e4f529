"""Every recipe for readers runs in an environment without this package."""

from __future__ import annotations

import re
from pathlib import Path

from tests.helpers.fences import fences, write_files
from tests.recipes import read

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
#: Scripts of tests/recipes, the task that runs each, and its page.
LANES = {
    "read.py": ("test-recipes", "recipes.md"),
    "serve.py": ("test-recipes", "serve.md"),
    "train.py": ("test-torch", "train.md"),
}
NEEDS_US = re.compile(r"^\s*(?:from|import) virtual_tiff|engine=\"virtual-tiff\"", re.MULTILINE)


def test_pages_that_do_not_need_this_package_are_in_a_lane() -> None:
    pages = {}
    for page in HOW_TO.glob("*.md"):
        codes = [fence.code for fence in fences(page) if fence.language == "python"]
        if codes and not any(NEEDS_US.search(code) for code in codes):
            pages[page.name] = codes
    assert pages.keys() == {page for _, page in LANES.values()}


def test_each_lane_runs_its_page() -> None:
    scripts = {path.name for path in (ROOT / "tests" / "recipes").glob("*.py")}
    assert scripts == LANES.keys()
    tasks = (ROOT / "Makefile").read_text(encoding="utf-8").split("\n\n")
    for script, (task, page) in LANES.items():
        (recipe,) = (text for text in tasks if text.startswith(f"{task}:"))
        assert f"tests/recipes/{script} " in recipe
        assert f'"{page}"' in (ROOT / "tests" / "recipes" / script).read_text(encoding="utf-8")
    assert "\nmake test-recipes " in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_each_fence_is_run_by_its_lane(tmp_path: Path) -> None:
    """The recipes run as they are; those of the other pages are files, which the lanes write."""
    assert not [f.place for f in fences(read.PAGE) if f.language == "python" and not f.is_run]
    for _, page in LANES.values():
        codes = [fence for fence in fences(HOW_TO / page) if fence.language == "python"]
        assert page == read.PAGE.name or len(write_files(HOW_TO / page, tmp_path)) == len(codes)
