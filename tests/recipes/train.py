"""Run the page for PyTorch and TorchGeo: `python tests/recipes/train.py FOLDER`.

`make test-torch` runs it in an environment without this package, where `FOLDER` has the examples
and the cube. Each fence of the page is a file, named in its first line; what it prints is in the
fence after it.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.helpers.fences import fences, matches, write_files  # noqa: E402

PAGE = ROOT / "docs" / "how-to" / "train.md"
#: Compares a batch with rasterio; in the lane, not on the page.
PIXELS = """
import numpy
import rasterio
from patches_dataset import Patches

with rasterio.open("examples/reflectance_20240412_nir.tif") as file:
    raw, scale, offset = file.read(1)[100:132, 200:232], file.scales[0], file.offsets[0]
expected = numpy.where(raw == 0, 0, raw * scale + offset)
numpy.testing.assert_allclose(Patches([(0, 100, 200)])[0][1], expected, rtol=1e-6)
from cube_dataset import Cube

cube = Cube(["nir"], "EPSG:32633")
x, y, t = cube.bounds
part = slice(x.start + 2000, x.start + 2320), slice(y.stop - 1320, y.stop - 1000)
sample = cube[(*part, slice(t.start, t.start))]
numpy.testing.assert_allclose(sample["image"][0], expected, rtol=1e-6)
print("equal")
"""


def main(folder: Path) -> int:
    """Write the files of the page, run those that print, and compare."""
    assert find_spec("virtual_tiff") is None
    names = write_files(PAGE, folder)
    outputs = [fence.code for fence in fences(PAGE) if fence.language == "text"]
    programs = [name for name in names if name.startswith("use_")]
    assert len(programs) == len(outputs) == 2
    for name, output in zip(programs, outputs, strict=True):
        printed = run(folder, name)
        assert matches(printed, output), f"{name} printed {printed}"
    (folder / "pixels.py").write_text(PIXELS)
    assert run(folder, "pixels.py").strip() == "equal"
    print(f"{PAGE.name}: {len(programs)} programs ran, and pixels are equal")
    return 0


def run(folder: Path, name: str) -> str:
    """Return what a program prints."""
    done = subprocess.run(
        [sys.executable, name], capture_output=True, text=True, cwd=folder, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
