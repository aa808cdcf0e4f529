"""Read arrays with GDAL's Zarr driver, through rasterio; see `_read_zarr` for the protocol."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window


def main() -> None:
    """Read what the task names, and save it as .npy files."""
    task = json.load(sys.stdin)
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    for name in task["names"]:
        path = Path(task["copy"]) / name / task["array"]
        dimensions = json.loads((path / "zarr.json").read_bytes())["dimension_names"]
        # The raster interface takes the last two dimensions for rows and columns unless told.
        order = {"DIM_X": dimensions.index("x"), "DIM_Y": dimensions.index("y")}
        options = order if len(dimensions) > 2 else {}
        bounds = dict(zip(dimensions, task["windows"][name], strict=True))
        rows, columns = slice(*bounds["y"]), slice(*bounds["x"])
        bands = slice(*bounds.get("band", (0, 1)))
        try:
            with rasterio.open(str(path), driver="Zarr", **options) as dataset:
                whole = dataset.read()
                part = dataset.read(window=Window.from_slices(rows, columns))[bands]
            for suffix, data in ((".npy", whole), (".window.npy", part)):
                if len(dimensions) == 2:
                    data = data[0]
                elif dimensions[-1] == "band":
                    data = np.moveaxis(data, 0, -1)
                np.save(Path(task["to"]) / f"{name}{suffix}", data)
            answer = {"name": name}
        except BaseException as error:
            answer = {"name": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
