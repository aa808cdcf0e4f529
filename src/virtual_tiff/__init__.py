"""Publish archives of TIFFs and COGs as Zarr v3 datacubes without copying the pixels.

The names below are loaded when they are first used, so that `import virtual_tiff` costs next to
nothing (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtual_tiff._version import __version__
    from virtual_tiff.audit.describe import RepositoryInfo, describe, stac_items
    from virtual_tiff.audit.history import Commit, log
    from virtual_tiff.audit.report import Finding, Status, VerifyReport
    from virtual_tiff.audit.stac_item import stac_item
    from virtual_tiff.audit.verify import verify
    from virtual_tiff.cubes.options import CubeOptions
    from virtual_tiff.errors import ErrorKind, VirtualTIFFError
    from virtual_tiff.inspection.directories import read_directories
    from virtual_tiff.inspection.profile import profile
    from virtual_tiff.inspection.read import info
    from virtual_tiff.inspection.records import BandInfo, FileInfo, ImageInfo, SeriesInfo
    from virtual_tiff.inspection.tile_grid import tile_matrix_set
    from virtual_tiff.inventory.scan import scan
    from virtual_tiff.inventory.table import Inventory
    from virtual_tiff.operations.preview import preview
    from virtual_tiff.operations.publish import publish, publish_async
    from virtual_tiff.operations.remove import remove
    from virtual_tiff.operations.renew import renew
    from virtual_tiff.operations.scan_into import ScanSummary, scan_into
    from virtual_tiff.operations.stack import append, stack
    from virtual_tiff.operations.versions import Expiry, Rollback, Tag, expire, rollback, tag
    from virtual_tiff.parser import VirtualTIFF
    from virtual_tiff.planning.agreement import agreeing
    from virtual_tiff.progress import Progress
    from virtual_tiff.publishing.containers import Container, containers_for
    from virtual_tiff.publishing.georeferencing import georeference
    from virtual_tiff.publishing.repository import open_repository
    from virtual_tiff.publishing.results import Added, PublishResult

__all__ = [
    "Added",
    "BandInfo",
    "Commit",
    "Container",
    "CubeOptions",
    "ErrorKind",
    "Expiry",
    "FileInfo",
    "Finding",
    "ImageInfo",
    "Inventory",
    "Progress",
    "PublishResult",
    "RepositoryInfo",
    "Rollback",
    "ScanSummary",
    "SeriesInfo",
    "Status",
    "Tag",
    "VerifyReport",
    "VirtualTIFF",
    "VirtualTIFFError",
    "__version__",
    "agreeing",
    "append",
    "containers_for",
    "describe",
    "expire",
    "georeference",
    "info",
    "log",
    "open_repository",
    "preview",
    "profile",
    "publish",
    "publish_async",
    "read_directories",
    "remove",
    "renew",
    "rollback",
    "scan",
    "scan_into",
    "stac_item",
    "stac_items",
    "stack",
    "tag",
    "tile_matrix_set",
    "verify",
]

_HOMES = {
    "renew": "virtual_tiff.operations.renew",
    "stac_items": "virtual_tiff.audit.describe",
    "remove": "virtual_tiff.operations.remove",
    "tag": "virtual_tiff.operations.versions",
    "rollback": "virtual_tiff.operations.versions",
    "expire": "virtual_tiff.operations.versions",
    "Tag": "virtual_tiff.operations.versions",
    "Rollback": "virtual_tiff.operations.versions",
    "Expiry": "virtual_tiff.operations.versions",
    "describe": "virtual_tiff.audit.describe",
    "RepositoryInfo": "virtual_tiff.audit.describe",
    "BandInfo": "virtual_tiff.inspection.records",
    "preview": "virtual_tiff.operations.preview",
    "profile": "virtual_tiff.inspection.profile",
    "read_directories": "virtual_tiff.inspection.directories",
    "Container": "virtual_tiff.publishing.containers",
    "Added": "virtual_tiff.publishing.results",
    "Commit": "virtual_tiff.audit.history",
    "CubeOptions": "virtual_tiff.cubes.options",
    "ErrorKind": "virtual_tiff.errors",
    "FileInfo": "virtual_tiff.inspection.records",
    "Finding": "virtual_tiff.audit.report",
    "ImageInfo": "virtual_tiff.inspection.records",
    "Inventory": "virtual_tiff.inventory.table",
    "Progress": "virtual_tiff.progress",
    "PublishResult": "virtual_tiff.publishing.results",
    "SeriesInfo": "virtual_tiff.inspection.records",
    "Status": "virtual_tiff.audit.report",
    "VerifyReport": "virtual_tiff.audit.report",
    "VirtualTIFF": "virtual_tiff.parser",
    "VirtualTIFFError": "virtual_tiff.errors",
    "__version__": "virtual_tiff._version",
    "agreeing": "virtual_tiff.planning.agreement",
    "containers_for": "virtual_tiff.publishing.containers",
    "georeference": "virtual_tiff.publishing.georeferencing",
    "append": "virtual_tiff.operations.stack",
    "info": "virtual_tiff.inspection.read",
    "log": "virtual_tiff.audit.history",
    "open_repository": "virtual_tiff.publishing.repository",
    "publish": "virtual_tiff.operations.publish",
    "publish_async": "virtual_tiff.operations.publish",
    "ScanSummary": "virtual_tiff.operations.scan_into",
    "scan": "virtual_tiff.inventory.scan",
    "scan_into": "virtual_tiff.operations.scan_into",
    "stac_item": "virtual_tiff.audit.stac_item",
    "stack": "virtual_tiff.operations.stack",
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
