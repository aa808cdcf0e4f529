"""Read arrays with zarr-python; runs where little else can be imported.

The task comes on standard input, a line goes to standard output for every array that was tried,
so that a crash shows where it happened.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import zarr


def main() -> None:
    """Read what the task names, and save it as .npy files."""
    task = json.load(sys.stdin)
    # numcodecs.* names are not in the specification; that is known, and the table's matter.
    warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
    if task.get("pipeline"):
        zarr.config.set({"codec_pipeline.path": task["pipeline"]})
        zarr.config.set({"codec_pipeline.strict": task["strict"]})
    store = _open(task)
    for name in task["names"]:
        try:
            array = zarr.open_array(store, path=f"{name}/{task['array']}", mode="r", zarr_format=3)
            whole: Any = array[...]
            window: Any = array[tuple(slice(*bounds) for bounds in task["windows"][name])]
            np.save(Path(task["to"]) / f"{name}.npy", whole)
            np.save(Path(task["to"]) / f"{name}.window.npy", window)
            answer = {"name": name}
        except BaseException as error:
            answer = {"name": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def _open(task: dict[str, Any]) -> Any:
    if task["copy"]:
        return zarr.storage.LocalStore(task["copy"], read_only=True)
    import icechunk

    access = icechunk.containers_credentials({task["prefix"]: icechunk.Credentials.HttpAccess()})
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(task["repository"]),
        authorize_virtual_chunk_access=access,
    )
    return repository.readonly_session("main").store


if __name__ == "__main__":
    main()
