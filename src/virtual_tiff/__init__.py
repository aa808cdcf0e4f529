"""Publish archives of TIFFs and COGs as Zarr v3 datacubes without copying the pixels.

The names below are loaded when they are first used, so that `import virtual_tiff` costs next to
nothing (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtual_tiff._version import __version__
    from virtual_tiff.archive.cubes import CubeResult, append
    from virtual_tiff.archive.history import log
    from virtual_tiff.archive.inventory import Inventory
    from virtual_tiff.archive.publication import publish, publish_async
    from virtual_tiff.archive.scanning import scan
    from virtual_tiff.archive.stac import stac_item
    from virtual_tiff.archive.stack import CubeOptions
    from virtual_tiff.archive.verifying import verify
    from virtual_tiff.errors import ErrorKind, VirtualTIFFError
    from virtual_tiff.parser import VirtualTIFF
    from virtual_tiff.publishing.publish import PublishResult
    from virtual_tiff.publishing.repository import open_repository
    from virtual_tiff.tile_grid import tile_matrix_set

__all__ = [
    "CubeOptions",
    "CubeResult",
    "ErrorKind",
    "Inventory",
    "PublishResult",
    "VirtualTIFF",
    "VirtualTIFFError",
    "__version__",
    "append",
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
    "CubeOptions": "virtual_tiff.archive.stack",
    "CubeResult": "virtual_tiff.archive.cubes",
    "ErrorKind": "virtual_tiff.errors",
    "Inventory": "virtual_tiff.archive.inventory",
    "PublishResult": "virtual_tiff.publishing.publish",
    "VirtualTIFF": "virtual_tiff.parser",
    "VirtualTIFFError": "virtual_tiff.errors",
    "__version__": "virtual_tiff._version",
    "append": "virtual_tiff.archive.cubes",
    "log": "virtual_tiff.archive.history",
    "open_repository": "virtual_tiff.publishing.repository",
    "publish": "virtual_tiff.archive.publication",
    "publish_async": "virtual_tiff.archive.publication",
    "scan": "virtual_tiff.archive.scanning",
    "stac_item": "virtual_tiff.archive.stac",
    "tile_matrix_set": "virtual_tiff.tile_grid",
    "verify": "virtual_tiff.archive.verifying",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
