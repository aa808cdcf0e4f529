"""The optional codec pipeline of clients/python: the same values as zarr-python's own."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import virtual_tiff
from tests.helpers.make import Encoding, Pixels, covering, same_bits, write
from tests.helpers.read import images, local_registry, numcodecs_names
from tests.helpers.special import parameters, write_special
from virtual_tiff.parser import VirtualTIFF

CHUNKWISE = "zarr_chunkwise.ChunkwiseCodecPipeline"
#: What docs/how-to/read-fast.md tells people to set, with nothing installed.
FUSED = "zarr.core.codec_pipeline.FusedCodecPipeline"
FOLDER = Path(__file__).resolve().parents[2] / "clients" / "python" / "src"


def all_arrays(path: Path, **options: Any) -> dict[str, Pixels]:
    with numcodecs_names():
        store = VirtualTIFF(**options)(path.as_uri(), local_registry())
        group = zarr.open_group(store, mode="r", zarr_format=3)
        return {name: np.asarray(array[...]) for name, array in images(group)}


@pytest.mark.parametrize("encoding", covering(), ids=lambda e: e.name)
def test_every_lossless_encoding(encoding: Encoding, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    written = write(encoding, path)
    for pipeline in (CHUNKWISE, FUSED):
        with zarr.config.set({"codec_pipeline.path": pipeline}):
            assert same_bits(all_arrays(path)["0"], written), pipeline


@pytest.mark.parametrize("name", parameters())
def test_special_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special(name, path)
    default = all_arrays(path)
    for pipeline in (CHUNKWISE, FUSED):
        with zarr.config.set({"codec_pipeline.path": pipeline}):
            found = all_arrays(path)
        assert default.keys() == found.keys()
        for array, expected in default.items():
            assert same_bits(found[array], expected), (pipeline, array)


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), slice(3, 25), slice(5, 36)),
        (slice(1, 2), slice(0, 27, 4), slice(1, 37, 5)),
        (1, slice(None), 36),
        (0, 26, 0),
        (2, ..., slice(16, 17)),
        (slice(0, 0), slice(None), slice(None)),
    ],
    ids=str,
)
def test_windows(key: Any, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    encoding = Encoding(dtype="uint16", compression="deflate", predictor=2, samples=3)
    written = write(encoding, path)
    store = VirtualTIFF()(path.as_uri(), local_registry())
    with numcodecs_names():
        default = zarr.open_array(store, path="0", mode="r", zarr_format=3)
        with zarr.config.set({"codec_pipeline.path": CHUNKWISE}):
            ours = zarr.open_array(store, path="0", mode="r", zarr_format=3)
    assert same_bits(np.asarray(ours[key]), np.asarray(default[key]))
    assert np.array_equal(ours[key], written[key])
    rows, columns = np.array([20, 3, 3]), np.array([0, 33, 7])
    points = (np.array([0, 2, 1]), rows, columns)
    assert np.array_equal(ours.vindex[points], written[points])
    assert np.array_equal(ours.oindex[0, rows, columns], written[0][np.ix_(rows, columns)])


def test_in_a_process_without_this_package(tmp_path: Path) -> None:
    image = tmp_path / "image.tif"
    written = write(Encoding(dtype="uint16", compression="deflate", predictor=2), image)
    repository = tmp_path / "repository"
    with warnings.catch_warnings():
        virtual_tiff.publish([image.as_uri()], str(repository), parser=VirtualTIFF())
    script = f"""
import importlib.abc, os, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("obstore", "tifffile", "virtual_tiff", "virtualizarr"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
sys.path.insert(0, {str(FOLDER)!r})
import icechunk, numpy as np, zarr
icechunk.set_logs_filter("error")
storage = icechunk.local_filesystem_storage({str(repository)!r})
containers = icechunk.Repository.fetch_config(storage).virtual_chunk_containers
local = icechunk.Credentials.LocalFileSystemAccess()
access = icechunk.containers_credentials(dict.fromkeys(containers, local))
repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
store = repo.readonly_session("main").store
plain = zarr.open_group(store, mode="r")["image/0"]
import zarr_chunkwise
zarr.config.set({{"codec_pipeline.path": "zarr_chunkwise.ChunkwiseCodecPipeline"}})
array = zarr.open_group(store, mode="r")["image/0"]
assert type(array.async_array.codec_pipeline) is zarr_chunkwise.ChunkwiseCodecPipeline
assert np.array_equal(plain[...], array[...])
np.save({str(tmp_path / "out.npy")!r}, array[...])
sys.stdout.flush()
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert same_bits(np.load(tmp_path / "out.npy"), written)
