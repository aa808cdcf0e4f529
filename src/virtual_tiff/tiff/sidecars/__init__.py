"""Read files beside a TIFF as GDAL does: overviews, masks, metadata, world files."""

from virtual_tiff.tiff.sidecars._find import add_sidecars
from virtual_tiff.tiff.sidecars._names import names, sidecar_kinds

__all__ = ["add_sidecars", "names", "sidecar_kinds"]
