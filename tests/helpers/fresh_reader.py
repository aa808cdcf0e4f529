"""Run by test_fresh_process.py in a process of its own: read arrays, and compare with `.npy` files.

Imports nothing of this repository, and makes sure of it. Usage: `_fresh_reader.py MODE JOB`, where
MODE is `icechunk` or `zarrs` and JOB a JSON file; what came of it goes to standard output as JSON.
"""

import atexit
import importlib.abc
import importlib.metadata
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any


class Block(importlib.abc.MetaPathFinder):
    """Refuses to import what a reader of the published data need not have installed."""

    never = frozenset(
        {
            *("async_tiff", "obspec_utils", "obstore", "rasterio"),
            *("tifffile", "virtual_tiff", "virtualizarr", "xarray"),
        }
    )
    # zarrs is not among them: zarr loads every pipeline that is installed, and uses its own.
    optional = frozenset({"icechunk", "imagecodecs", "imagecodecs.zarr", "numcodecs", "zarr"})

    def __init__(self, allowed: frozenset[str]) -> None:
        self.blocked = self.never | (self.optional - allowed)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raise for a blocked module, and leave all others to the next finder."""
        if self.blocked & {name, name.split(".")[0]}:
            raise ImportError(f"blocked: {name}")


def outcome_of(array: Any, expected: Any) -> str:
    """`equal`, or in what an array differs."""
    found = array[...]
    if found.shape != expected.shape:
        return f"different shape: {found.shape}, not {expected.shape}"
    if found.dtype != expected.dtype:
        return f"different type: {found.dtype}, not {expected.dtype}"
    return "equal" if found.tobytes() == expected.tobytes() else "different pixels"


def unresolved(codecs: list[dict[str, Any]]) -> str | None:
    """Name of the first codec that this process does not know."""
    from zarr.registry import get_codec_class

    for codec in codecs:
        try:
            get_codec_class(codec["name"])
        except Exception:
            return str(codec["name"])
    return None


def open_repository(job: dict[str, Any]) -> Any:
    """Store of the newest snapshot."""
    import icechunk

    access: dict[str, Any] = dict.fromkeys(
        job["containers"], icechunk.credentials.LocalFileSystemAccess
    )
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(job["repository"]), authorize_virtual_chunk_access=access
    )
    return repository.readonly_session("main").store


def read(job: dict[str, Any], mode: str) -> dict[str, dict[str, str]]:
    """Compare all arrays of the job."""
    import asyncio

    import numpy as np
    import zarr
    from zarr.core.buffer import default_buffer_prototype

    store = open_repository(job) if mode == "icechunk" else None
    outcomes: dict[str, dict[str, str]] = {}
    for name, arrays in job["arrays"].items():
        outcomes[name] = {}
        for entry in arrays:
            path = entry["path"]
            if store is None:
                document = Path(path, "zarr.json").read_bytes()
            else:
                key = f"{path}/zarr.json"
                document = asyncio.run(store.get(key, default_buffer_prototype())).to_bytes()
            if unknown := unresolved(json.loads(document)["codecs"]):
                outcomes[name][path] = f"codec {unknown} cannot be resolved in a fresh process"
                continue
            try:
                array = (
                    zarr.open_array(path, mode="r", zarr_format=3)
                    if store is None
                    else zarr.open_array(store, path=path, mode="r", zarr_format=3)
                )
                outcomes[name][path] = outcome_of(array, np.load(entry["expected"]))
            except Exception as error:
                outcomes[name][path] = f"{type(error).__name__}: {error}"
    return outcomes


def main() -> None:
    """Do the job, and print what came of it."""
    # Threads of Icechunk may outlive its last call by a moment, and crash a Python that is ending.
    atexit.register(time.sleep, 0.05)
    mode, path = sys.argv[1:]
    job = json.loads(Path(path).read_text())
    sys.meta_path.insert(0, Block(frozenset(job["allowed"])))
    try:
        import virtual_tiff  # noqa: F401

        import_error = "none: it was imported"
    except ImportError as error:
        import_error = f"{type(error).__name__}: {error}"

    import zarr
    from zarr.registry import get_pipeline_class

    answer: dict[str, Any] = {"import_error": import_error}
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        if mode == "zarrs":
            zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
        answer["arrays"] = read(job, mode)
        answer["pipeline"] = get_pipeline_class().__name__
    answer["warnings"] = sorted(
        {str(w.message) for w in raised if "Zarr version 3 specification" not in str(w.message)}
    )
    answer["modules"] = sorted({name.split(".")[0] for name in sys.modules})
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
