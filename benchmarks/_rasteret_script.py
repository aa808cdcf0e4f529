"""Runs inside Rasteret's environment: see the functions of `_rasteret`."""

import json
import sys
import time
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import rasteret
import shapely
from obstore.store import HTTPStore
from rasteret.cloud import ObstoreBackend

CRS = 32633


def backend(url: str) -> ObstoreBackend:
    store = HTTPStore(url, client_options={"allow_http": True})
    return ObstoreBackend(store, url_prefix=f"{url}/")


def build(task: dict[str, Any]) -> dict[str, float]:
    names = task["names"]
    footprint = shapely.to_wkb(shapely.box(*task["footprint"]))
    first = datetime(2020, 1, 1)
    table = pa.table(
        {
            "id": names,
            "datetime": [first + timedelta(days=day) for day in range(len(names))],
            "geometry": [footprint] * len(names),
            "url": [f"{task['url']}/{name}" for name in names],
        }
    )
    rasteret.build_from_table(
        table,
        name="benchmark",
        workspace_dir=task["folder"],
        href_column="url",
        band_index_map={"data": 0},
        enrich_cog=True,
        backend=backend(task["url"]),
    )
    return {}


def read(task: dict[str, Any]) -> dict[str, float]:
    # Much is imported at the first read: here at one of a single file.
    one = rasteret.load(task["folder"]).subset(date_range=("2020-01-01", "2020-01-01"))
    _pixels(one, task)
    cpu, wall = time.process_time(), time.perf_counter()
    collection = rasteret.load(task["folder"])
    pixels = _pixels(collection, task)
    sample = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    # Its order is that of the partitions it is saved in: month 10 comes before month 2.
    names = collection.to_table(["id"])["id"].to_pylist()
    np.save(task["output"], pixels[np.argsort(names)])
    return sample


def patches(task: dict[str, Any]) -> dict[str, float]:
    shapes = pa.array([bytes.fromhex(shape) for shape in task["shapes"]], pa.binary())
    # Much is imported at the first read: here at one of a single file and shape.
    one = rasteret.load(task["folder"]).subset(date_range=("2020-01-01", "2020-01-01"))
    _table(one, shapes[:1], task)
    cpu, wall = time.process_time(), time.perf_counter()
    table = _table(rasteret.load(task["folder"]), shapes, task)
    sample = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    table = table.sort_values(["geometry_id", "record_id"])
    pixels = np.stack(list(table["data"]))
    np.save(task["output"], pixels.reshape(len(shapes), -1, *pixels.shape[1:]))
    return sample


def _table(collection: Any, shapes: pa.Array, task: dict[str, Any]) -> Any:
    return collection.get_gdf(
        shapes,
        bands=["data"],
        geometry_crs=CRS,
        max_concurrent=task["concurrency"],
        backend=backend(task["url"]),
    )


def _pixels(collection: Any, task: dict[str, Any]) -> Any:
    return collection.get_numpy(
        tuple(task["window"]),
        bands=["data"],
        geometry_crs=CRS,
        max_concurrent=task["concurrency"],
        backend=backend(task["url"]),
    )


def main() -> None:
    task = json.load(sys.stdin)
    print(json.dumps({"build": build, "read": read, "patches": patches}[task["do"]](task)))


if __name__ == "__main__":
    main()
