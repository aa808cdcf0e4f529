"""Read arrays with tensorstore; see `_read_zarr` for the protocol."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorstore


def main() -> None:
    """Read what the task names, and save it as .npy files."""
    task = json.load(sys.stdin)
    for name in task["names"]:
        path = Path(task["copy"]) / name / task["array"]
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
        window = tuple(slice(*bounds) for bounds in task["windows"][name])
        try:
            array = tensorstore.open(spec, open=True, read=True).result()
            np.save(Path(task["to"]) / f"{name}.npy", array.read().result())
            np.save(Path(task["to"]) / f"{name}.window.npy", array[window].read().result())
            answer = {"name": name}
        except BaseException as error:
            answer = {"name": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
