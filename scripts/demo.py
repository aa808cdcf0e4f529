"""Scan, stack, append, publish, verify, read back, and detect a changed file, in one minute.

`make demo` runs this on copies of the TIFFs in examples/, in build/demo. `demo_read.py` reads them
in a separate process that cannot import virtual_tiff.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
FOLDER = ROOT / "build" / "demo"
#: Files of the third date arrive later.
LATER = "reflectance_20240823_*.tif"


def main() -> int:
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else FOLDER
    archive, repository = folder / "archive", folder / "repository"
    table, preview = folder / "scenes.parquet", folder / "ndvi.png"
    # Only what an earlier run of this script made.
    for made in (archive, repository):
        shutil.rmtree(made, ignore_errors=True)
    for file in (table, preview):
        file.unlink(missing_ok=True)
    archive.mkdir(parents=True)

    import icechunk

    icechunk.set_logs_filter("error")
    arrive(archive, set(EXAMPLES.glob("*.tif")) - set(EXAMPLES.glob(LATER)))
    scan(archive, table)
    stack_cube(table, repository)
    append(archive, repository)
    publish_others(archive, repository)
    show_log(repository)
    step("Verify: every source exists, is unchanged, and its pixels are right")
    verify(repository)
    step("Read, in a process with xarray, zarr, icechunk, imagecodecs-zarr, without this package")
    reader = Path(__file__).with_name("demo_read.py")
    # -I: neither the folder of the script, nor PYTHONPATH, nor the user's packages.
    status = subprocess.run(
        [sys.executable, "-I", str(reader), str(repository), str(preview)], check=False
    ).returncode
    return status or notice_a_change(archive, repository)


def arrive(archive: Path, sources: Iterable[Path]) -> None:
    """Copy examples into the archive, where the demo changes one of them."""
    for source in sources:
        shutil.copy2(source, archive)


def scan(archive: Path, table: Path) -> None:
    import virtual_tiff

    step("Scan: the headers of four images, one request each, into a GeoParquet table")
    code(
        f'inventory = scan("{relative(archive)}/reflectance_*.tif",',
        r'                 datetime_pattern=r"_(\d{8})_")',
        f'inventory.write("{relative(table)}")',
    )
    inventory = virtual_tiff.scan(str(archive / "reflectance_*.tif"), datetime_pattern=r"_(\d{8})_")
    inventory.write(table)
    columns = ["url", "datetime", "width", "height", "data_type", "compression", "crs"]
    for row in inventory.table.select(columns).to_pylist():
        name = row["url"].rpartition("/")[2]
        size = f"{row['width']} × {row['height']}"
        say(f"{name}  {row['datetime']:%Y-%m-%d}  {size} {row['data_type']}  {row['crs']}")


def stack_cube(table: Path, repository: Path) -> None:
    import virtual_tiff

    step("Stack them into one cube, red and nir along time; the pixels stay where they are")
    code(
        f'stack("{relative(table)}", "{relative(repository)}",',
        '      variable_pattern="_(red|nir)")',
    )
    start = time.perf_counter()
    result = virtual_tiff.stack(table, repository, variable_pattern="_(red|nir)")
    seconds = time.perf_counter() - start
    own = sum(file.stat().st_size for file in repository.rglob("*") if file.is_file())
    added = result.added[""]
    say(f"{added.images} images of {', '.join(added.variables)} at {added.steps} dates")
    say(f"one commit, {seconds:.2f} s; the repository has {own / 1e3:.0f} kB")


def append(archive: Path, repository: Path) -> None:
    import virtual_tiff

    step("A third date arrives: append it, in one commit")
    arrive(archive, EXAMPLES.glob(LATER))
    code(
        f'append("{relative(archive)}/reflectance_*.tif", "{relative(repository)}",',
        '       on_present="skip", …)',
    )
    result = virtual_tiff.append(
        str(archive / "reflectance_*.tif"),
        repository,
        on_present="skip",
        datetime_pattern=r"_(\d{8})_",
        variable_pattern="_(red|nir)",
    )
    added = result.added[""]
    say(f"{added.images} images added, {added.skipped + result.known} skipped: the cube has them")


def publish_others(archive: Path, repository: Path) -> None:
    import virtual_tiff

    step("Publish the other files, which have nothing in common, as a group each")
    code(f'publish(others, "{relative(repository)}", group="images")')
    others = [p for p in sorted(archive.glob("*.tif")) if not p.name.startswith("reflectance_")]
    result = virtual_tiff.publish(others, repository, group="images")
    say(f"groups {', '.join(result.groups.values())}")
    say(f"{result.arrays} arrays, {result.references} references, one commit")


def show_log(repository: Path) -> None:
    import virtual_tiff

    step("Log: every commit is a version that stays readable")
    for commit in virtual_tiff.log(repository):
        say(f"{commit.time:%H:%M:%S}  {commit.snapshot_id}  {commit.message}")


def verify(repository: Path) -> Any:
    import virtual_tiff

    report = virtual_tiff.verify(repository, sample=None)
    for finding in report.faults:
        say(f"{finding.status}: {finding.url.rpartition('/')[2]}, {finding.detail}")
    counts = ", ".join(f"{count} {status}" for status, count in sorted(report.counts.items()))
    say(f"{len(report.findings)} files: {counts}; {report.decoded} chunks compared with tifffile")
    return report


def notice_a_change(archive: Path, repository: Path) -> int:
    """Change one byte of a copy; fail if `verify` does not detect it."""
    changed = archive / "reflectance_20240604_red.tif"
    step(f"Change a byte of {changed.name}, and verify again")
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 0xFF
    changed.write_bytes(data)
    if [fault.url for fault in verify(repository).faults] != [changed.as_uri()]:
        say("the change was not detected")
        return 1
    shutil.copy2(EXAMPLES / changed.name, changed)
    say("and with the file restored:")
    return int(verify(repository).exit_status)


_steps = iter(range(1, 100))


def step(text: str) -> None:
    print(f"\n{next(_steps)}  {text}\n", flush=True)


def code(*lines: str) -> None:
    for line in lines:
        print(f"   > {line}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
