"""Publish archives of TIFFs and COGs as Zarr v3 datacubes without copying the pixels.

The names below are loaded when they are first used, so that `import virtual_tiff` costs next to
nothing (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtual_tiff._version import __version__
    from virtual_tiff.audit.history import log
    from virtual_tiff.audit.stac_item import stac_item
    from virtual_tiff.audit.verify import verify
    from virtual_tiff.cubes.stack import CubeOptions
    from virtual_tiff.errors import ErrorKind, VirtualTIFFError
    from virtual_tiff.inspection.tile_grid import tile_matrix_set
    from virtual_tiff.inventory.scan import scan
    from virtual_tiff.inventory.table import Inventory
    from virtual_tiff.operations.cubes import CubeResult, append
    from virtual_tiff.operations.files import PublishResult
    from virtual_tiff.operations.publish import publish, publish_async
    from virtual_tiff.parser import VirtualTIFF
    from virtual_tiff.publishing.containers import Container, containers_for
    from virtual_tiff.publishing.repository import open_repository

__all__ = [
    "Container",
    "CubeOptions",
    "CubeResult",
    "ErrorKind",
    "Inventory",
    "PublishResult",
    "VirtualTIFF",
    "VirtualTIFFError",
    "__version__",
    "append",
    "containers_for",
    "log",
    "open_repository",
    "publish",
    "publish_async",
    "scan",
    "stac_item",
    "tile_matrix_set",
    "verify",
]

_HOMES = {
    "Container": "virtual_tiff.publishing.containers",
    "CubeOptions": "virtual_tiff.cubes.stack",
    "CubeResult": "virtual_tiff.operations.cubes",
    "ErrorKind": "virtual_tiff.errors",
    "Inventory": "virtual_tiff.inventory.table",
    "PublishResult": "virtual_tiff.operations.files",
    "VirtualTIFF": "virtual_tiff.parser",
    "VirtualTIFFError": "virtual_tiff.errors",
    "__version__": "virtual_tiff._version",
    "append": "virtual_tiff.operations.cubes",
    "containers_for": "virtual_tiff.publishing.containers",
    "log": "virtual_tiff.audit.history",
    "open_repository": "virtual_tiff.publishing.repository",
    "publish": "virtual_tiff.operations.publish",
    "publish_async": "virtual_tiff.operations.publish",
    "scan": "virtual_tiff.inventory.scan",
    "stac_item": "virtual_tiff.audit.stac_item",
    "tile_matrix_set": "virtual_tiff.inspection.tile_grid",
    "verify": "virtual_tiff.audit.verify",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
