"""Resolve what a caller names to an inventory: as it is, from its file, or made by a scan."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from virtual_tiff.choices import OnFailed
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.inventory.table import COLUMNS, Inventory


def as_inventory(sources: object, **scan_options: Any) -> Inventory:
    """Return an inventory: the given one, from a file, or made by a scan."""
    inventory = inventory_in(sources)
    return scan(sources, **scan_options) if inventory is None else inventory


def inventory_in(sources: object) -> Inventory | None:
    """Return the given inventory, or read it from a file; `None` for other sources."""
    if isinstance(sources, Inventory):
        return sources
    if isinstance(sources, list | tuple) and len(sources) == 1:
        return inventory_in(sources[0])
    if isinstance(sources, str | os.PathLike):
        path = Path(sources)
        if path.suffix in (".parquet", ".geoparquet") and path.is_file():
            import pyarrow.parquet as pq

            if set(pq.read_schema(path).names) >= COLUMNS:
                return Inventory.read(path)
    return None


def failed_in(inventory: Inventory, on_failed: OnFailed) -> dict[str, str]:
    """Return why files could not be read, by URL; raise if they are not to be skipped."""
    failed = inventory.failed.to_pylist()
    if failed and on_failed == "raise":
        first = failed[0]
        raise VirtualTIFFError(
            f"{len(failed)} of {len(inventory)} images could not be read, first this: "
            f"{first['error']}",
            kind=ErrorKind(first["error_kind"]),
            url=first["url"],
            remedy='Scan again, or pass on_failed="skip" to leave them out.',
        )
    return {row["url"]: row["error"] for row in failed}
