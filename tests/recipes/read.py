"""Run the recipes for readers: `python tests/recipes/read.py FOLDER`.

`make test-recipes` runs it in an environment without this package, where `FOLDER` has the examples
and the cube that the commands of the page make.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.helpers.fences import fences, run  # noqa: E402

PAGE = ROOT / "docs" / "how-to" / "recipes.md"


def main(folder: Path) -> int:
    """Run all Python of the page, and compare what it prints."""
    assert find_spec("virtual_tiff") is None
    assert find_spec("virtualizarr") is None
    os.chdir(folder)
    count = run(PAGE, {"python"})
    assert count == sum(fence.language == "python" for fence in fences(PAGE))
    print(f"{PAGE.name}: {count} fences ran")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
