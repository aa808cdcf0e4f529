"""Publish archives of TIFFs and COGs as Zarr v3 datacubes without copying the pixels.

The names below are loaded when they are first used, so that `import virtual_tiff` costs next to
nothing (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtual_tiff.errors import ErrorKind, VirtualTIFFError
    from virtual_tiff.parser import VirtualTIFF

__all__ = ["ErrorKind", "VirtualTIFF", "VirtualTIFFError"]

_HOMES = {
    "ErrorKind": "virtual_tiff.errors",
    "VirtualTIFF": "virtual_tiff.parser",
    "VirtualTIFFError": "virtual_tiff.errors",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
