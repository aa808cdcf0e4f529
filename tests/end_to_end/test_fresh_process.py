"""Published files, read where this package is not: with its codec names and nothing else.

One subprocess, in which `virtual_tiff` cannot be imported, opens everything that was published
with only zarr, Icechunk, numcodecs, imagecodecs and imagecodecs-zarr, and compares it with pixels
that tifffile decoded. zarrs then reads the chains that it knows, through its Python wheel.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.helpers.make import Encoding, bands_first, covering, read_with_rasterio, write
from tests.helpers.read import local_registry
from tests.helpers.special import (
    BROKEN,
    NOT_BY_TIFFFILE,
    names,
    tifffile_pages,
    write_special,
)
from virtual_tiff import VirtualTIFF, publish
from virtual_tiff.planning.metadata import array_document, chunk_key, group_document, to_bytes
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan

READER = Path(__file__).parents[1] / "helpers" / "fresh_reader.py"
#: What the other process may import of what is not Python's own or needed by these.
ALLOWED = ["icechunk", "imagecodecs", "imagecodecs.zarr", "numcodecs", "numpy", "zarr"]


def run_reader(mode: str, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run the reader in a process of its own; return what it says."""
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    # -I: neither the working directory nor this checkout's paths from the environment.
    done = subprocess.run(
        [sys.executable, "-I", READER, mode, path],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def expected_of(path: Path, name: str) -> dict[str, np.ndarray[Any, Any]]:
    """Pixels of every image as tifffile decodes them, or GDAL where tifffile cannot."""
    if name in NOT_BY_TIFFFILE:
        return {"0": read_with_rasterio(path)}
    with tifffile.TiffFile(path) as tif:
        found = {array: bands_first(page) for array, page in tifffile_pages(tif)}
    return {k: v.astype(np.uint8) if v.dtype == bool else v for k, v in found.items()}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Publish a file of every encoding; return the job of the reader and what it answers."""
    folder = tmp_path_factory.mktemp("published")
    files: dict[str, Path] = {}
    for encoding in covering():
        files[encoding.name] = folder / f"{encoding.name}.tif"
        write(encoding, files[encoding.name])
    for name in sorted(set(names()) - BROKEN.keys()):
        files[name] = folder / f"{name.replace(':', '-')}.tif"
        write_special(name, files[name])
    repository = folder / "repository"
    result = publish(
        list(files.values()), repository, names=lambda url: Path(url).stem, ifd_layout="flat"
    )
    arrays: dict[str, list[dict[str, str]]] = {}
    for name, path in files.items():
        arrays[name] = []
        for array, pixels in expected_of(path, name).items():
            saved = folder / f"{path.stem}.{array}.npy"
            np.save(saved, np.ascontiguousarray(pixels))
            arrays[name].append({"path": f"{path.stem}/{array}", "expected": str(saved)})
    job = {
        "repository": str(repository),
        "containers": list(result.containers),
        "arrays": arrays,
        "allowed": ALLOWED,
    }
    return job, run_reader("icechunk", job, folder)


def test_this_package_cannot_be_imported_there(
    published: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    answer = published[1]
    assert answer["import_error"].startswith("ImportError: blocked: virtual_tiff")
    loaded = set(answer["modules"])
    forbidden = {"virtual_tiff", "tifffile", "async_tiff", "virtualizarr", "obstore", "rasterio"}
    assert loaded & forbidden == set()
    assert loaded >= {"icechunk", "zarr"}
    assert answer["pipeline"] == "BatchedCodecPipeline"


@pytest.mark.parametrize(
    "name", [*(e.name for e in covering()), *sorted(set(names()) - BROKEN.keys())]
)
def test_published_pixels(name: str, published: tuple[dict[str, Any], dict[str, Any]]) -> None:
    job, answer = published
    found = answer["arrays"][name]
    assert len(found) == len(job["arrays"][name]) > 0
    assert found == {array["path"]: "equal" for array in job["arrays"][name]}


def test_the_comparison_notices(
    published: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    """Other pixels, another type, and a codec that nobody registered."""
    job = published[0]
    name = covering()[0].name
    array = job["arrays"][name][0]
    pixels = np.load(array["expected"])
    wrong = pixels.copy()
    wrong.view(np.uint8).flat[-1] ^= 1
    cases = {"pixels": wrong, "type": pixels.view(f"V{pixels.itemsize}"), "shape": pixels[..., :-1]}
    arrays = {}
    for case, values in cases.items():
        np.save(tmp_path / f"{case}.npy", values)
        arrays[case] = [{"path": array["path"], "expected": str(tmp_path / f"{case}.npy")}]
    answer = run_reader("icechunk", job | {"arrays": arrays}, tmp_path)
    outcomes = {case: found[array["path"]] for case, found in answer["arrays"].items()}
    assert outcomes["pixels"] == "different pixels"
    assert outcomes["type"].startswith("different type")
    assert outcomes["shape"].startswith("different shape")

    # A registered name that is taken away is named in the answer. imagecodecs itself stays: zarr
    # loads every pipeline that is installed, and that of clients/python needs it.
    lzw = next(e.name for e in covering() if e.compression == "lzw")
    blocked = job | {
        "arrays": {lzw: job["arrays"][lzw]},
        "allowed": [module for module in ALLOWED if module != "imagecodecs.zarr"],
    }
    (outcome,) = run_reader("icechunk", blocked, tmp_path)["arrays"][lzw].values()
    assert outcome.startswith("codec imagecodecs_lzw cannot be resolved")


# --- zarrs ------------------------------------------------------------------------------------

#: Chains that zarrs knows: uncompressed, Deflate and Zstandard, without a predictor.
_PLAIN = (
    Encoding(),
    Encoding(dtype="uint16", byte_order="big"),
    Encoding(dtype="float32"),
)
ZARRS = [
    replace(plain, compression=compression, samples=samples, planar=planar, segments=segments)
    for plain in _PLAIN
    for compression in ("none", "deflate", "zstd")
    for samples, planar in ((1, False), (3, False), (3, True))
    for segments in ("tiles", "strips-short-last")
]


def write_zarr(plan: GroupPlan, folder: Path) -> None:
    """Write a plan as an ordinary Zarr hierarchy: metadata, and the bytes of every chunk."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_bytes(to_bytes(group_document(plan)))
    for name, array in plan.arrays.items():
        target = folder / name
        target.mkdir()
        (target / "zarr.json").write_bytes(to_bytes(array_document(array)))
        for index in np.ndindex(array.grid_shape):
            data = chunk_of(array, index)
            if data is not None:
                path = target / chunk_key(index)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)


def chunk_of(array: ArrayPlan, index: tuple[int, ...]) -> bytes | None:
    """Bytes of one chunk; `None` if it is missing."""
    if index in array.inline:
        return array.inline[index]
    if not array.lengths[index]:
        return None
    assert array.source is not None
    with open(array.source.url.removeprefix("file://"), "rb") as file:
        file.seek(int(array.offsets[index]))
        return file.read(int(array.lengths[index]))


@pytest.fixture(scope="module")
def read_by_zarrs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What zarrs reads of a copy of the same arrays."""
    folder = tmp_path_factory.mktemp("zarrs")
    arrays = {}
    for encoding in ZARRS:
        path = folder / f"{encoding.name}.tif"
        write(encoding, path)
        write_zarr(VirtualTIFF().plan(f"file://{path}", local_registry()), folder / encoding.name)
        np.save(folder / f"{encoding.name}.npy", expected_of(path, encoding.name)["0"])
        arrays[encoding.name] = [
            {
                "path": str(folder / encoding.name / "0"),
                "expected": str(folder / f"{encoding.name}.npy"),
            }
        ]
    job = {"arrays": arrays, "allowed": ALLOWED}
    return run_reader("zarrs", job, folder)


@pytest.mark.parametrize("encoding", ZARRS, ids=lambda e: e.name)
def test_zarrs(encoding: Encoding, read_by_zarrs: dict[str, Any]) -> None:
    (outcome,) = read_by_zarrs["arrays"][encoding.name].values()
    assert outcome == "equal"


def test_zarrs_itself_decoded(read_by_zarrs: dict[str, Any]) -> None:
    assert read_by_zarrs["pipeline"] == "ZarrsCodecPipeline"
    # The pipeline falls back to zarr-python with a warning; it must not have.
    assert read_by_zarrs["warnings"] == []
