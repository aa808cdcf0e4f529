"""Runs inside the peer's environment: see `_peer.parse`."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore, LocalStore

import virtual_tiff


def main() -> None:
    if not Path(virtual_tiff.__file__).is_relative_to(sys.prefix):
        raise AssertionError(f"{virtual_tiff.__file__} is not the peer's")
    task = json.load(sys.stdin)
    parts = urlsplit(task["urls"][0])
    base = f"{parts.scheme}://{parts.netloc}"
    local = parts.scheme == "file"
    store = LocalStore() if local else HTTPStore(base, client_options={"allow_http": True})
    registry = ObjectStoreRegistry({base: store})
    parser = virtual_tiff.VirtualTIFF(ifd=0)
    parser(task["urls"][0], registry)  # warm up: it imports at the first call
    cpu, wall = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(task["threads"]) as pool:
        stores = list(pool.map(lambda url: parser(url, registry), task["urls"]))
    sample = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    if len(stores) != len(task["urls"]):
        raise AssertionError
    print(json.dumps(sample))


if __name__ == "__main__":
    main()
