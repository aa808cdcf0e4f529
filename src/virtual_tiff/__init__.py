"""Publish archives of TIFFs and COGs as Zarr v3 datacubes without copying the pixels.

The names below are loaded when they are first used, so that `import virtual_tiff` costs next to
nothing (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtual_tiff._version import __version__
    from virtual_tiff.errors import ErrorKind, VirtualTIFFError
    from virtual_tiff.parser import VirtualTIFF
    from virtual_tiff.publishing import PublishResult, publish, publish_async
    from virtual_tiff.repository import open_repository

__all__ = [
    "ErrorKind",
    "PublishResult",
    "VirtualTIFF",
    "VirtualTIFFError",
    "__version__",
    "open_repository",
    "publish",
    "publish_async",
]

# No name may be that of a module too: importing the module would put it in the name's place.
_HOMES = {
    "__version__": "virtual_tiff._version",
    "ErrorKind": "virtual_tiff.errors",
    "VirtualTIFF": "virtual_tiff.parser",
    "VirtualTIFFError": "virtual_tiff.errors",
    "PublishResult": "virtual_tiff.publishing",
    "open_repository": "virtual_tiff.repository",
    "publish": "virtual_tiff.publishing",
    "publish_async": "virtual_tiff.publishing",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
