"""Single keys of a Zarr store, from code that is not asynchronous."""

from __future__ import annotations

import json
from typing import Any

from zarr.buffer.cpu import Buffer, buffer_prototype
from zarr.core.sync import sync

type Store = Any


def put(store: Store, key: str, data: bytes) -> None:
    """Write the bytes of a key."""
    sync(store.set(key, Buffer.from_bytes(data)))


def get(store: Store, key: str) -> bytes | None:
    """Read the bytes of a key; `None` if it is not there."""
    found = sync(store.get(key, buffer_prototype))
    return None if found is None else bytes(found.to_bytes())


def get_json(store: Store, key: str) -> dict[str, Any] | None:
    """Read a document; `None` if it is not there."""
    data = get(store, key)
    return None if data is None else json.loads(data)


def exists(store: Store, key: str) -> bool:
    """Whether a key is there."""
    return bool(sync(store.exists(key)))
