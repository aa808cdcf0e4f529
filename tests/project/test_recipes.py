"""The recipes for readers run where this package cannot be imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "recipes.md"
#: What blocks the imports; commands of the page run in processes of their own.
CODE = """
import sys
sys.modules["virtual_tiff"] = None
sys.modules["virtualizarr"] = None
from tests.helpers.fences import main
main([sys.argv[1]])
"""


def test_recipes_run_without_this_package(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    done = subprocess.run(
        [sys.executable, "-Wignore", "-c", CODE, str(PAGE)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " fences ran" in done.stdout
