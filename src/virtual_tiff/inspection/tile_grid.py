"""Describe the tiles of a TIFF as an OGC TileMatrixSet (OGC 17-083r4, version 2.0)."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from virtual_tiff.choices import SidecarKind
from virtual_tiff.errors import ErrorKind, InvalidOptionError, UnsupportedTIFFError
from virtual_tiff.planning.hierarchy import find_ifd
from virtual_tiff.planning.pyramid import pyramids_of
from virtual_tiff.storage.addresses import source_url, split_url
from virtual_tiff.storage.run import run
from virtual_tiff.storage.stores import registry_for
from virtual_tiff.tiff.geokeys import GeoTransform, bounds, crs, geotransform, overview_transform
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.reader import DEFAULT_PREFETCH, read_header
from virtual_tiff.tiff.relations import relate, relate_sidecars
from virtual_tiff.tiff.sidecars import add_sidecars, sidecar_kinds

if TYPE_CHECKING:
    import pyproj
    from morecantile import TileMatrixSet
    from obspec_utils.registry import ObjectStoreRegistry

#: Size in metres of a screen pixel, for scale denominators (OGC 17-083r4, 6.1.1).
_SCREEN_PIXEL = 0.28e-3


def tile_matrix_set(
    source: str | os.PathLike[str],
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
    ifd: int | tuple[int, ...] = 0,
    prefetch: int = DEFAULT_PREFETCH,
    sidecars: bool | Collection[SidecarKind] = False,
) -> TileMatrixSet:
    """Describe the tiles of a TIFF as an OGC TileMatrixSet.

    Parameters
    ----------
    source
        Local path or URL.
    registry
        Stores for the file; by default obstore's.
    anonymous
        Read without credentials, as for public buckets.
    ifd
        The full-resolution image: its index, or its path.
    prefetch
        Bytes of the first GET.
    sidecars
        Files beside the TIFF to read, as for `virtual_tiff.VirtualTIFF`; overviews in an `.ovr` are
        levels too.

    Returns
    -------
    morecantile.TileMatrixSet
        A matrix for each level; `0` is the smallest, the last one the full image. Tiles are those
        of the file, so each level has its own tile size and origin;
        `tms.model_dump(exclude_none=True)` is the TileMatrixSet in JSON. Points are in the order of
        the axes of the CRS, which `orderedAxes` names. `cellSize` is the width of a pixel; if sizes
        do not divide, pixels of overviews are not exactly square.

    Raises
    ------
    InvalidOptionError
        morecantile is not installed, or there is no such image.
    UnsupportedTIFFError
        With kind `no-tile-matrix-set`: no CRS, strips, a rotated grid, pixels that are not
        square, or levels that are not the same image reduced.
    VirtualTIFFError
        The file cannot be read.

    Examples
    --------
    >>> from virtual_tiff import tile_matrix_set
    >>> tms = tile_matrix_set("examples/aerial.tif")
    >>> [(matrix.matrixWidth, matrix.matrixHeight) for matrix in tms]
    [(1, 1), (2, 1), (3, 2)]
    """
    kinds = sidecar_kinds(sidecars)
    url = source_url(source)
    stores = registry_for([url], registry, anonymous=anonymous)

    async def read() -> Header:
        header, _ = await read_header(url, stores, prefetch=prefetch)
        if kinds:
            header, _ = await add_sidecars(header, stores, kinds, prefetch=prefetch)
        return header

    header = run(read())
    try:
        return _of_header(header, ifd if isinstance(ifd, tuple) else (ifd,))
    except UnsupportedTIFFError as error:
        error.at(url=header.source.url)
        raise


def _of_header(header: Header, path: tuple[int, ...]) -> TileMatrixSet:
    models = _morecantile()
    url = header.source.url
    image = find_ifd(header, path)
    related = (*relate(header.ifds), *relate_sidecars(header))
    (pyramid,) = pyramids_of(related, path, url=url)
    levels = [level["image"].directory for level in pyramid.levels]
    transform, system = _georeferencing(image)
    swapped = _is_north_first(system)
    factor = _metres_per_unit(system, image)
    matrices = [
        _matrix(i, level, image, transform, factor, swapped=swapped)
        for i, level in enumerate(reversed(levels))
    ]
    left, bottom, right, top = bounds(transform, _shape(image))
    definition, axes = _definition(system), _axis_names(system, swapped=swapped)
    name = PurePosixPath(split_url(url)[2])
    found: TileMatrixSet = models.TileMatrixSet(
        title=name.name,
        id=re.sub(r"[^A-Za-z0-9_-]+", "_", name.stem) or "tiff",
        orderedAxes=axes,
        crs=definition,
        boundingBox={
            "lowerLeft": _ordered(left, bottom, swapped=swapped),
            "upperRight": _ordered(right, top, swapped=swapped),
            "crs": definition,
            "orderedAxes": axes,
        },
        tileMatrices=matrices,
    )
    return found


def _morecantile() -> ModuleType:
    try:
        from morecantile import models
    except ImportError:
        raise InvalidOptionError(
            "a TileMatrixSet needs morecantile, which is not installed.",
            remedy="Install virtual-tiff[geo].",
        ) from None
    return models


def _georeferencing(image: ImageFileDirectory) -> tuple[GeoTransform, pyproj.CRS]:
    """Return transform and horizontal CRS of an image, if a TileMatrixSet can express them."""
    found = crs(image).crs
    if found is not None and found.is_compound:
        found = found.sub_crs_list[0]
    if found is None or not (found.is_geographic or found.is_projected):
        raise _refused(
            image,
            "the image has no CRS on the Earth" if found else "the image has no CRS",
            "Give it one, or pass sidecars=True if it is in a file beside it.",
        )
    transform = geotransform(image)
    if transform is None:
        raise _refused(
            image,
            "the image has no affine transform",
            "Warp it, or pass sidecars=True if it has a world file.",
        )
    _, a, b, _, d, e = transform
    if b or d or a < 0:
        raise _refused(
            image, "the grid is rotated, sheared or mirrored", "Warp it to a north-up grid."
        )
    # Less than half a pixel over the whole image.
    if abs(abs(e) / a - 1) * max(_shape(image)) > 0.5:
        raise _refused(
            image,
            f"pixels are {a!r} wide and {abs(e)!r} high, but a matrix has one cell size",
            "Warp it to square pixels.",
        )
    return transform, _registered(found)


def _registered(system: pyproj.CRS) -> pyproj.CRS:
    """Return the CRS from its registry, since old WKT has no order of axes."""
    import pyproj

    code = system.to_json_dict().get("id")
    if code is None:
        return system
    known = pyproj.CRS.from_authority(code["authority"], code["code"])
    return known if known.equals(system, ignore_axis_order=True) else system


def _matrix(
    number: int,
    level: ImageFileDirectory,
    image: ImageFileDirectory,
    full: GeoTransform,
    metres_per_unit: float,
    *,
    swapped: bool,
) -> dict[str, object]:
    if not level.is_tiled:
        raise _refused(level, "the image is stored in strips, not tiles", "Make a COG of it.")
    if not _is_reduced_evenly(_shape(image), _shape(level)):
        raise _refused(
            level,
            f"the overview has {level.image_width} × {level.image_length} pixels, so it is "
            "reduced by different factors along both axes",
            "Build the overviews again.",
        )
    x, a, _, y, _, e = overview_transform(full, _shape(image), _shape(level))
    _, rows, columns = level.grid_shape
    height, width = level.segment_shape
    return {
        "id": str(number),
        "scaleDenominator": a * metres_per_unit / _SCREEN_PIXEL,
        "cellSize": a,
        "cornerOfOrigin": "bottomLeft" if e > 0 else "topLeft",
        "pointOfOrigin": _ordered(x, y, swapped=swapped),
        "tileWidth": width,
        "tileHeight": height,
        "matrixWidth": columns,
        "matrixHeight": rows,
    }


def _is_reduced_evenly(full: tuple[int, int], level: tuple[int, int]) -> bool:
    """Return whether one factor gives both sizes of a level, rounded up or down."""
    least = max(f / (n + 1) for f, n in zip(full, level, strict=True))
    most = min(f / (n - 1) if n > 1 else float("inf") for f, n in zip(full, level, strict=True))
    return least < most


def _shape(image: ImageFileDirectory) -> tuple[int, int]:
    return image.image_length, image.image_width


def _metres_per_unit(system: pyproj.CRS, image: ImageFileDirectory) -> float:
    from morecantile.utils import meters_per_unit

    try:
        return float(meters_per_unit(system))
    except Exception as error:
        # It raises `Exception` for unknown units.
        unit = system.axis_info[0].unit_name
        raise _refused(
            image, f"morecantile does not know the unit {unit!r}", "Warp it to another CRS."
        ) from error


def _definition(system: pyproj.CRS) -> dict[str, object]:
    """Return the CRS in the form of the standard: URI of a registered one, else PROJJSON."""
    definition = system.to_json_dict()
    code = definition.get("id")
    if code is None:
        return {"wkt": definition}
    # PROJ writes `IAU_2015`; the URI has the version between slashes.
    authority, _, version = str(code["authority"]).partition("_")
    uri = f"http://www.opengis.net/def/crs/{authority}/{version or 0}/{code['code']}"
    return {"uri": uri}


def _is_north_first(system: pyproj.CRS) -> bool:
    """Return whether the first axis of the CRS is northing or latitude."""
    first, second = system.axis_info[:2]
    name = first.abbrev.upper()
    if name in ("LAT", "N"):
        return True
    return name not in ("LON", "E") and first.direction == "north" and second.direction == "east"


def _axis_names(system: pyproj.CRS, *, swapped: bool) -> Sequence[str]:
    """Return names of the axes in the order of the CRS, from which morecantile infers it."""
    east, north = ("Lon", "Lat") if system.is_geographic else ("E", "N")
    return [north, east] if swapped else [east, north]


def _ordered(x: float, y: float, *, swapped: bool) -> tuple[float, float]:
    return (y, x) if swapped else (x, y)


def _refused(image: ImageFileDirectory, what: str, remedy: str) -> UnsupportedTIFFError:
    return UnsupportedTIFFError(
        f"no TileMatrixSet describes this file: {what}.",
        kind=ErrorKind.NO_TILE_MATRIX_SET,
        ifd=image.index,
        remedy=remedy,
    )
