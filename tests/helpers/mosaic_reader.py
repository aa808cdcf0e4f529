"""Run by test_mosaics.py in a process of its own: read cubes of tiles, compare with `.npy` files.

Imports nothing of this repository but `flatten.py`, which is a file to copy, and makes sure of it.
Usage: `mosaic_reader.py JOB`, where JOB is a JSON file; what differs goes to standard output.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
fresh_reader = importlib.import_module("fresh_reader")

ALLOWED = frozenset({"icechunk", "imagecodecs", "imagecodecs.zarr", "numcodecs", "zarr"})


def flatten_of(path: str) -> Any:
    """Import `flatten` from its file."""
    spec = importlib.util.spec_from_file_location("flatten", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.flatten


def problem(data: Any, expected: Any, tolerance: int) -> str | None:
    """Return in what an array differs from the pixels of a mosaic."""
    import numpy as np

    found = data.values
    if found.shape != expected.shape:
        return f"shape {found.shape}, not {expected.shape}"
    if found.dtype != expected.dtype:
        return f"type {found.dtype}, not {expected.dtype}"
    if (differs := np.abs(found.astype(float) - expected).max()) > tolerance:
        return f"pixels differ by {differs}"
    # A window across tiles, which is read anew.
    window = (..., slice(70, 20, -3), slice(50, 140, 7))
    differs = np.abs(data[window].values.astype(float) - expected[window]).max()
    return f"a window differs by {differs}" if differs > tolerance else None


def main() -> None:
    """Do the job, and print what came of it."""
    job = json.loads(Path(sys.argv[1]).read_text())
    blocker = fresh_reader.Block(ALLOWED)
    blocker.blocked -= {"xarray"}
    sys.meta_path.insert(0, blocker)
    import icechunk
    import numpy as np
    import xarray as xr

    icechunk.set_logs_filter("error")
    flatten = flatten_of(job["flatten"])
    store = fresh_reader.open_repository(job)
    expected = np.load(job["expected"])
    answer: dict[str, str | None] = {}
    for cell in job["cells"]:
        dataset = xr.open_zarr(
            store, group=cell["group"], consolidated=False, zarr_format=3, chunks=None,
            mask_and_scale=False,
        )  # fmt: skip
        data = dataset["data"]
        # A flat view is opened anew for each read, so that nothing is cached.
        flat = flatten(data) if "tile_y" in data.dims else data
        answer[cell["group"]] = problem(flat, expected[cell["expected"]], cell["tolerance"])
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
