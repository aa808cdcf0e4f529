"""Publish the files in examples/, and read them back where this package does not exist.

`make demo` runs this. The second half is `demo_read.py`, in a process of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
FOLDER = ROOT / "build" / "demo"


def main() -> int:
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else FOLDER
    repository, preview = folder / "repository", folder / "ndvi.png"
    # Only what an earlier run of this script made.
    shutil.rmtree(repository, ignore_errors=True)
    preview.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)

    print("1  Publish, with virtual_tiff\n", flush=True)
    publish(repository)
    print("\n2  Read, with xarray, zarr, icechunk and imagecodecs-zarr\n", flush=True)
    reader = Path(__file__).with_name("demo_read.py")
    # -I: neither the folder of the script, nor PYTHONPATH, nor the user's packages.
    return subprocess.run([sys.executable, "-I", str(reader), repository, preview]).returncode


def publish(repository: Path) -> None:
    import icechunk

    import virtual_tiff

    icechunk.set_logs_filter("error")
    sources = sorted(EXAMPLES.glob("*.tif"))
    start = time.perf_counter()
    result = virtual_tiff.publish(sources, repository)
    seconds = time.perf_counter() - start
    pixels = sum(source.stat().st_size for source in sources)
    own = sum(file.stat().st_size for file in repository.rglob("*") if file.is_file())
    print(
        f"   {len(sources)} TIFFs in {relative(EXAMPLES)}: {pixels / 1e6:.2f} MB, which stay there"
    )
    print(f"   {result.arrays} arrays, {result.references} references, one commit: {seconds:.2f} s")
    print(f"   {relative(repository)}: {own / 1e3:.0f} kB")
    print(f"   groups {', '.join(result.groups.values())}")


def relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
