"""Files made to hurt: nothing hangs, dies, prints, or takes memory; see tests/fuzz.

Everything is parsed in processes of its own, with limits on time and memory. `make fuzz` does the
same for as many mutated headers as one likes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.main import REGRESSIONS
from tests.fuzz.mutate import mutate
from tests.fuzz.seeds import seeds
from tests.helpers.assemble import (
    PLAIN,
    DirectoryAt,
    Field,
    assemble,
    changed,
    double,
    long,
    plain,
    short,
    text,
)
from virtual_tiff.errors import ErrorKind
from virtual_tiff.tags import FieldType

ROOT = Path(__file__).resolve().parents[2]
PARSED = {"parsed", "parsed, pixels equal"}
MOST = 2**32 - 1

_ENTITIES = "".join(
    f"<!ENTITY {chr(c + 1)} '{f'&{chr(c)};' * 10}'>" for c in range(ord("a"), ord("z"))
)
_BOMB = (
    f"<!DOCTYPE x [<!ENTITY a 'ha'>{_ENTITIES}]>"
    "<GDALMetadata><Item name='x'>&z;</Item></GDALMetadata>"
)

#: Name → file, and what may come of it.
HOSTILE: dict[str, tuple[bytes, set[str]]] = {
    "cycle": (assemble([PLAIN, PLAIN], chain=[0, 1, 0]), PARSED),
    "cycle-of-one": (assemble([PLAIN], chain=[0, 0]), PARSED),
    "cycle-of-sub-ifds": (
        assemble(
            [
                changed(PLAIN, SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(1),))),
                changed(PLAIN, SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(1),))),
            ],
            chain=[0],
        ),
        {ErrorKind.IFD_CYCLE},
    ),
    "sub-ifd-is-its-parent": (
        plain(SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(0),))),
        {ErrorKind.IFD_CYCLE},
    ),
    "many-times-the-same-sub-ifd": (
        assemble(
            [changed(PLAIN, SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(1),) * 60_000)), PLAIN],
            chain=[0],
        ),
        {ErrorKind.IFD_CYCLE, ErrorKind.HEADER_TOO_LARGE},
    ),
    "sub-ifds-60-deep": (
        assemble(
            [
                *(
                    changed(PLAIN, SUB_IFDS=Field(FieldType.IFD, (DirectoryAt(i + 1),)))
                    for i in range(60)
                ),
                PLAIN,
            ],
            chain=[0],
        ),
        {ErrorKind.HEADER_TOO_LARGE},
    ),
    "most-offsets": (
        plain(STRIP_OFFSETS=Field(FieldType.LONG, (8,), count=MOST)),
        {ErrorKind.HEADER_TOO_LARGE, ErrorKind.MISSING_TAG},
    ),
    "most-values-of-a-tag-nobody-knows": (
        assemble([PLAIN | {65_000: Field(FieldType.DOUBLE, (1.0,), count=MOST)}]),
        {ErrorKind.HEADER_TOO_LARGE, *PARSED},
    ),
    "most-text": (
        plain(IMAGE_DESCRIPTION=Field(FieldType.ASCII, "x", count=MOST, offset=8)),
        {ErrorKind.HEADER_TOO_LARGE, *PARSED},
    ),
    "counts-of-2-62-in-a-big-tiff": (
        assemble(
            [changed(PLAIN, STRIP_OFFSETS=Field(FieldType.LONG8, (16,), count=2**62))], big=True
        ),
        {ErrorKind.HEADER_TOO_LARGE, ErrorKind.MISSING_TAG},
    ),
    "offset-at-the-end-of-64-bits": (
        assemble([changed(PLAIN, STRIP_OFFSETS=Field(FieldType.LONG8, (2**64 - 1,)))], big=True),
        {ErrorKind.TRUNCATED},
    ),
    "offset-and-count-that-wrap-around": (
        assemble(
            [
                changed(
                    PLAIN,
                    COMPRESSION=short(8),
                    STRIP_OFFSETS=Field(FieldType.LONG8, (2**64 - 8,)),
                    STRIP_BYTE_COUNTS=Field(FieldType.LONG8, (100,)),
                )
            ],
            big=True,
        ),
        {ErrorKind.TRUNCATED},
    ),
    "offset-beyond-the-end": (plain(STRIP_OFFSETS=long(5000)), {ErrorKind.TRUNCATED}),
    "byte-count-beyond-the-end": (
        plain(COMPRESSION=short(5), STRIP_BYTE_COUNTS=long(5000)),
        {ErrorKind.TRUNCATED},
    ),
    "no-columns": (plain(IMAGE_WIDTH=short(0)), {ErrorKind.INVALID_TAG}),
    "no-rows": (plain(IMAGE_LENGTH=short(0)), {ErrorKind.INVALID_TAG}),
    "no-rows-per-strip": (plain(ROWS_PER_STRIP=short(0)), {ErrorKind.INVALID_TAG, *PARSED}),
    "no-samples": (plain(SAMPLES_PER_PIXEL=short(0)), {ErrorKind.INVALID_TAG}),
    "no-bits": (
        plain(BITS_PER_SAMPLE=short(0)),
        {ErrorKind.INVALID_TAG, ErrorKind.UNSUPPORTED_DATA_TYPE},
    ),
    "no-columns-in-a-tile": (
        plain(TILE_WIDTH=short(0), TILE_LENGTH=short(16), TILE_OFFSETS=long(8)),
        {ErrorKind.INVALID_TAG},
    ),
    "2-31-squared-in-one-strip": (
        plain(IMAGE_WIDTH=long(2**31), IMAGE_LENGTH=long(2**31), ROWS_PER_STRIP=long(2**31)),
        {ErrorKind.TRUNCATED, ErrorKind.UNSUPPORTED_LAYOUT},
    ),
    "2-31-squared-deflated-in-one-strip": (
        plain(
            IMAGE_WIDTH=long(2**31),
            IMAGE_LENGTH=long(2**31),
            ROWS_PER_STRIP=long(2**31),
            COMPRESSION=short(8),
        ),
        {ErrorKind.UNSUPPORTED_LAYOUT},
    ),
    "2-32-strips-of-one-row": (
        plain(IMAGE_LENGTH=long(MOST), ROWS_PER_STRIP=short(1), STRIP_BYTE_COUNTS=None),
        {ErrorKind.INVALID_SEGMENT},
    ),
    "2-64-tiles-of-one-pixel": (
        plain(
            IMAGE_WIDTH=long(MOST),
            IMAGE_LENGTH=long(MOST),
            TILE_WIDTH=short(1),
            TILE_LENGTH=short(1),
            TILE_OFFSETS=long(8),
            TILE_BYTE_COUNTS=long(1),
        ),
        {ErrorKind.INVALID_SEGMENT},
    ),
    "one-tile-of-2-64-bytes": (
        plain(
            IMAGE_WIDTH=long(MOST),
            IMAGE_LENGTH=long(MOST),
            TILE_WIDTH=long(MOST),
            TILE_LENGTH=long(MOST),
            TILE_OFFSETS=long(8),
            TILE_BYTE_COUNTS=long(1),
            BITS_PER_SAMPLE=short(64),
        ),
        {ErrorKind.UNSUPPORTED_LAYOUT, ErrorKind.TRUNCATED},
    ),
    "65535-samples": (
        plain(SAMPLES_PER_PIXEL=short(65_535)),
        {ErrorKind.INVALID_TAG, ErrorKind.TRUNCATED, ErrorKind.INVALID_SEGMENT},
    ),
    "65535-planes": (
        plain(SAMPLES_PER_PIXEL=short(65_535), PLANAR_CONFIGURATION=short(2)),
        {ErrorKind.INVALID_TAG, ErrorKind.INVALID_SEGMENT},
    ),
    "2-32-samples": (
        plain(SAMPLES_PER_PIXEL=long(MOST)),
        {ErrorKind.INVALID_TAG, ErrorKind.TRUNCATED, ErrorKind.INVALID_SEGMENT},
    ),
    **{
        f"georeferenced-{name}": (
            plain(
                IMAGE_WIDTH=long(width),
                IMAGE_LENGTH=long(length),
                BITS_PER_SAMPLE=short(bits),
                COMPRESSION=short(compression),
                STRIP_OFFSETS=long(0 if compression == 1 else 8),
                STRIP_BYTE_COUNTS=long(0 if compression == 1 else 20),
                ROWS_PER_STRIP=None,
                MODEL_PIXEL_SCALE=double(1, 1, 0),
                MODEL_TIEPOINT=double(0, 0, 0, 5, 6, 0),
                GEO_KEY_DIRECTORY=short(1, 1, 0, 1, 1024, 0, 1, 1),
            ),
            {ErrorKind.UNSUPPORTED_LAYOUT, *PARSED},
        )
        for name, width, length, bits, compression in (
            ("row-of-2-32", MOST - 1, 1, 8, 8),
            ("sparse-row-of-2-32", MOST, 1, 1, 1),
            ("sparse-column-of-2-31", 1, 2**31, 1, 1),
            ("sparse-row-of-2-28", 2**28, 1, 1, 1),
        )
    },
    "half-a-tile": (
        plain(TILE_WIDTH=short(16), TILE_OFFSETS=long(8), TILE_BYTE_COUNTS=long(20)),
        {ErrorKind.INVALID_TAG},
    ),
    "planar-configuration-3": (plain(PLANAR_CONFIGURATION=short(3)), {ErrorKind.INVALID_TAG}),
    "compression-without-a-codec": (
        plain(COMPRESSION=short(12_345)),
        {ErrorKind.UNSUPPORTED_COMPRESSION},
    ),
    "predictor-9": (
        plain(PREDICTOR=short(9), COMPRESSION=short(8)),
        {ErrorKind.UNSUPPORTED_PREDICTOR},
    ),
    "deflate-that-is-not": (
        plain(
            COMPRESSION=short(8),
            ROWS_PER_STRIP=short(3),
            STRIP_OFFSETS=long(8, 8),
            STRIP_BYTE_COUNTS=long(9, 9),
        ),
        {ErrorKind.INVALID_SEGMENT},
    ),
    "width-as-text": (plain(IMAGE_WIDTH=text("five")), {ErrorKind.INVALID_TAG}),
    "offsets-as-text": (plain(STRIP_OFFSETS=text("8")), {ErrorKind.INVALID_TAG}),
    "xml-bomb": (plain(GDAL_METADATA=text(_BOMB)), PARSED),
    "500-directories": (assemble([PLAIN] * 500), PARSED),
    "4096-tags": (
        assemble([PLAIN | {30_000 + i: short(1) for i in range(4000)}]),
        PARSED,
    ),
    "10000-tags": (
        assemble([PLAIN | {40_000 + i: short(1) for i in range(10_000)}]),
        {ErrorKind.INVALID_IFD},
    ),
    "first-directory-is-the-header": (
        b"II*\0\0\0\0\0" + assemble([PLAIN])[8:],
        {ErrorKind.INVALID_IFD},
    ),
    "first-directory-at-offset-1": (
        b"II*\0\1\0\0\0" + assemble([PLAIN])[8:],
        {ErrorKind.INVALID_IFD, ErrorKind.TRUNCATED},
    ),
    "half-a-header": (b"II*\0\x08", {ErrorKind.TRUNCATED}),
    "two-bytes": (b"II", {ErrorKind.NOT_A_TIFF, ErrorKind.TRUNCATED}),
    "a-picture-of-another-kind": (b"\x89PNG\r\n\x1a\n" + bytes(100), {ErrorKind.NOT_A_TIFF}),
    "a-vrt": (b'<VRTDataset rasterXSize="1" rasterYSize="1"/>', {ErrorKind.NOT_A_TIFF}),
    "a-pointer-of-git-lfs": (
        b"version https://git-lfs.github.com/spec/v1\n",
        {ErrorKind.NOT_A_TIFF},
    ),
    "a-big-tiff-with-offsets-of-4-bytes": (
        b"II+\0\4\0\0\0" + bytes(24),
        {ErrorKind.NOT_A_TIFF},
    ),
}


def _run(*options: str | Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "fuzz.py", "--json", "--jobs=1", *options],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Report on all files of the table; every one goes through every parser."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (data, _) in HOSTILE.items():
        (folder / name).write_bytes(data)
    return _run("--files", folder)


#: Cases that are not yet as they must be.
BROKEN: dict[str, str] = {}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=BROKEN[name])) if name in BROKEN else name
        for name in HOSTILE
    ],
)
def test_hostile_file(name: str, hostile: dict[str, Any]) -> None:
    findings = {key: f for key, f in hostile["findings"].items() if key.split()[0] == name}
    assert findings == {}
    assert hostile["outcomes"][f"{name} 0"] in HOSTILE[name][1]


@pytest.fixture(scope="module")
def regressions() -> dict[str, Any]:
    """Report on what `make fuzz` once found."""
    return _run("--files", REGRESSIONS)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=path.stem,
            marks=[pytest.mark.xfail(reason=BROKEN[path.stem])] if path.stem in BROKEN else [],
        )
        for path in sorted(REGRESSIONS.iterdir())
    ],
)
def test_regression(path: Path, regressions: dict[str, Any]) -> None:
    assert path.stat().st_size < 2048
    assert f"{path.name} 0" in regressions["outcomes"]
    assert {k: f for k, f in regressions["findings"].items() if k.split()[0] == path.name} == {}


def test_mutated_headers() -> None:
    report = _run("--count=1500", "--campaign=1", "--save=0")
    assert report["findings"] == {}
    assert len(report["outcomes"]) == 1500
    # The mutations reach every part of the parser, and leave files that can be compared.
    found = set(report["outcomes"].values())
    assert found >= PARSED | {"truncated", "invalid-tag", "invalid-ifd", "ifd-cycle"}


def test_mutations_can_be_repeated() -> None:
    assert len({mutate(n).data for n in range(500)}) > 450
    assert [mutate(n) for n in range(50)] == [mutate(n) for n in range(50)]
    assert mutate(7, campaign=1).data != mutate(7, campaign=2).data
    # Small files, so that what is found can be kept.
    assert max(map(len, seeds().values())) < 4096


# --- the harness must notice ------------------------------------------------------------------

_SABOTAGE = """
import os, sys, time
sys.path.insert(0, {root!r})
from tests.fuzz import run
from tests.fuzz.check import Checker, Finding
real = Checker.check
def check(self, parser, data):
    {deed}
    return real(self, parser, data)
Checker.check = check
run.CLOCK_LIMIT = 3.0
report = run.run(lambda number: b"II", range(3))
print(sorted({{found.signature for found in report.findings}}))
"""


@pytest.mark.parametrize(
    ("deed", "signature"),
    [
        ("time.sleep(9)", "hang"),
        ("os.abort()", "death by SIGABRT"),
        ("os._exit(3)", "death by exit status 3"),
        ("self.waste = (getattr(self, 'waste', b'') + b'x' * 100_000_000)", "memory"),
        ("os.write(2, b'thread panicked')", "printed: thread panicked"),
        ("raise Finding('seen')", "seen"),
    ],
)
def test_the_harness_notices(deed: str, signature: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SABOTAGE.format(root=str(ROOT), deed=deed)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip().splitlines()[-1:] == [str([signature])], done.stderr
