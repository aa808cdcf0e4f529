"""Affine transforms, ground control points and rational polynomials.

GeoTIFF 1.1 section 7.1.3 and annex A, and GDAL's rules for other files, found by experiment with
GDAL 3.12.
"""

from __future__ import annotations

from math import isfinite
from typing import cast

from virtual_tiff.json_type import JSON
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.auxiliary import Polynomials
from virtual_tiff.tiff.geokeys._codes import GeoKey, RasterType
from virtual_tiff.tiff.geokeys._crs import CRSResult
from virtual_tiff.tiff.ifd import ImageFileDirectory

type GeoTransform = tuple[float, float, float, float, float, float]
"""GDAL's order: x0, dx per column, dx per row, y0, dy per column, dy per row.

`(x0, y0)` is the outer corner of the first pixel, in CRS units.
"""

_RPC_SCALARS = (
    "err_bias",
    "err_rand",
    "line_off",
    "samp_off",
    "lat_off",
    "long_off",
    "height_off",
    "line_scale",
    "samp_scale",
    "lat_scale",
    "long_scale",
    "height_scale",
)
_RPC_POLYNOMIALS = ("line_num_coeff", "line_den_coeff", "samp_num_coeff", "samp_den_coeff")
_TERMS = 20


def raster_type(ifd: ImageFileDirectory) -> RasterType | None:
    """Return whether coordinates refer to areas or centres of pixels (GTRasterTypeGeoKey).

    Returns
    -------
    RasterType or None
        `None` if the key is absent; any value but 2 means area, as in GDAL.
    """
    value = ifd.geo_keys.get(GeoKey.GT_RASTER_TYPE)
    if value is None:
        return None
    return RasterType.PIXEL_IS_POINT if value == 2 else RasterType.PIXEL_IS_AREA


def geotransform(ifd: ImageFileDirectory) -> GeoTransform | None:
    """Return the affine transform from pixel corners to the CRS.

    ModelPixelScale with a tiepoint takes precedence over ModelTransformation: GeoTIFF 1.1 forbids
    both in one file, and GDAL uses the scale for such files. With PixelIsPoint the tiepoint is the
    centre of a pixel (annex A, B.2.5 of 1.0), so the corner is half a pixel before it. A negative
    ScaleY is read as positive, as in GDAL. A sidecar takes precedence over all of them, and always
    refers to corners.

    Returns
    -------
    tuple or None
        `None` if the tags do not define an invertible affine transform; there may be ground control
        points.
    """
    beside = None if ifd.auxiliary is None else ifd.auxiliary.geotransform
    found = _of_tags(ifd) if beside is None else beside
    if found is None:
        return None
    _, a, b, _, d, e = found
    if not all(map(isfinite, found)) or a * e - b * d == 0:
        return None
    return found


def _of_tags(ifd: ImageFileDirectory) -> GeoTransform | None:
    found = _scaled(ifd)
    if found is None:
        matrix = ifd.model_transformation
        if _has_scale(ifd) or len(matrix) != 16:
            return None
        found = (matrix[3], matrix[0], matrix[1], matrix[7], matrix[4], matrix[5])
    if raster_type(ifd) == RasterType.PIXEL_IS_POINT:
        x, a, b, y, d, e = found
        found = (x - (a * 0.5 + b * 0.5), a, b, y - (d * 0.5 + e * 0.5), d, e)
    return found


def _has_scale(ifd: ImageFileDirectory) -> bool:
    scale = ifd.model_pixel_scale
    return len(scale) >= 2 and scale[0] != 0 and scale[1] != 0


def _scaled(ifd: ImageFileDirectory) -> GeoTransform | None:
    tiepoint = ifd.model_tiepoint
    if not _has_scale(ifd) or len(tiepoint) < 6:
        return None
    dx, dy = ifd.model_pixel_scale[0], -abs(ifd.model_pixel_scale[1])
    column, row, _, x, y, _ = tiepoint[:6]
    return (x - column * dx, dx, 0.0, y - row * dy, 0.0, dy)


def height_scaling(ifd: ImageFileDirectory, system: CRSResult) -> tuple[float, float] | None:
    """Return scale and offset that convert the values of an elevation model to heights.

    ModelPixelScale and ModelTiepoint have a third component (GeoTIFF 1.1 section 7.1.3), which GDAL
    applies to the values if the CRS has heights.

    Returns
    -------
    tuple or None
        `height = value * scale + offset`, in the vertical unit. `None` without a compound CRS, and
        if ScaleZ is 0, which the specification defines for images that are not heights (GDAL 3.12
        applies it and makes all heights equal).
    """
    scale, tiepoint = ifd.model_pixel_scale, ifd.model_tiepoint
    if not _has_scale(ifd) or len(scale) < 3 or len(tiepoint) < 6 or scale[2] == 0:
        return None
    if system.crs is None or not system.crs.is_compound:
        return None
    found = scale[2], tiepoint[5] - tiepoint[2] * scale[2]
    return found if all(map(isfinite, found)) else None


def overview_transform(
    full: GeoTransform, full_shape: tuple[int, int], level_shape: tuple[int, int]
) -> GeoTransform:
    """Return the transform of a reduced image that covers the same area.

    Pixels grow by the ratio of the sizes, which need not be an integer.

    Parameters
    ----------
    full
        Transform of the full-resolution image.
    full_shape, level_shape
        Rows and columns of both images.
    """
    x, a, b, y, d, e = full
    rows = full_shape[0] / level_shape[0]
    columns = full_shape[1] / level_shape[1]
    return (x, a * columns, b * rows, y, d * columns, e * rows)


def bounds(transform: GeoTransform, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return least x and y, greatest x and y of the corners of an image, in CRS units."""
    x, a, b, y, d, e = transform
    rows, columns = shape
    xs = [x + a * i + b * j for i in (0, columns) for j in (0, rows)]
    ys = [y + d * i + e * j for i in (0, columns) for j in (0, rows)]
    return min(xs), min(ys), max(xs), max(ys)


def gcps(
    ifd: ImageFileDirectory, level_shape: tuple[int, int] | None = None
) -> dict[str, JSON] | None:
    """Return ground control points: the tiepoints of an image without an affine transform.

    Parameters
    ----------
    ifd
        The image with the tiepoints.
    level_shape
        Rows and columns of the reduced image for which to return points.

    Returns
    -------
    dict or None
        A GeoJSON FeatureCollection as `rioxarray` writes and reads it: points in CRS units with
        `row` and `col`, in pixels from the outer corner. `None` if there are none.
    """
    points = ifd.model_tiepoint
    rows, columns = _reduction(ifd, level_shape)
    beside = ifd.auxiliary
    if beside is not None and (beside.control_points or beside.geotransform):
        if beside.control_points is None or geotransform(ifd) is not None:
            return None
        return _reduced_points(beside.control_points, rows, columns)
    if len(points) < 6 or _has_scale(ifd) or len(ifd.model_transformation) == 16:
        return None
    half = 0.5 if raster_type(ifd) == RasterType.PIXEL_IS_POINT else 0.0
    features: list[JSON] = []
    for i in range(0, len(points) - 5, 6):
        column, row, _, x, y, z = points[i : i + 6]
        if not all(map(isfinite, (column, row, x, y, z))):
            continue
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "id": str(i // 6 + 1),
                    "info": "",
                    "row": (row + half) / rows,
                    "col": (column + half) / columns,
                },
                "geometry": {"type": "Point", "coordinates": [x, y, z]},
            }
        )
    return {"type": "FeatureCollection", "features": features} if features else None


def _reduced_points(collection: dict[str, JSON], rows: float, columns: float) -> dict[str, JSON]:
    """Return the control points of a reduced image from those of the full one."""
    features: list[JSON] = []
    for feature in cast("list[dict[str, dict[str, float]]]", collection["features"]):
        places = feature["properties"]
        reduced = {**places, "row": places["row"] / rows, "col": places["col"] / columns}
        features.append(cast("JSON", {**feature, "properties": reduced}))
    return {**collection, "features": features}


def _reduction(ifd: ImageFileDirectory, level_shape: tuple[int, int] | None) -> tuple[float, float]:
    """Return the factors by which a reduced image is smaller, for rows and columns."""
    if level_shape is None:
        return 1.0, 1.0
    return ifd.image_length / level_shape[0], ifd.image_width / level_shape[1]


def rpcs(
    ifd: ImageFileDirectory, level_shape: tuple[int, int] | None = None
) -> dict[str, JSON] | None:
    """Return rational polynomial coefficients (RPCCoefficientTag, 50844: 92 doubles).

    Those of a sidecar come before those of the tag.

    Parameters
    ----------
    ifd
        The image with the coefficients.
    level_shape
        Rows and columns of the reduced image for which to return them.

    Returns
    -------
    dict or None
        The fields of `rasterio.rpc.RPC`: offsets and scales in pixels, degrees and metres, and
        four lists of 20 coefficients.
    """
    beside = None if ifd.auxiliary is None else ifd.auxiliary.polynomials
    found = _polynomials_of_tag(ifd) if beside is None else beside
    if found is None:
        return None
    values: dict[str, JSON] = {
        name: value if isinstance(value, float) else list(value) for name, value in found.items()
    }
    for axis, ratio in zip(("line", "samp"), _reduction(ifd, level_shape), strict=True):
        # Offsets are relative to the centre of the first pixel, control points to its corner.
        if ratio != 1:
            offset, scale = (cast("float", values[f"{axis}_{name}"]) for name in ("off", "scale"))
            values[f"{axis}_off"] = (offset + 0.5) / ratio - 0.5
            values[f"{axis}_scale"] = scale / ratio
    return values


def _polynomials_of_tag(ifd: ImageFileDirectory) -> Polynomials | None:
    values = ifd.other_tags.get(Tag.RPC_COEFFICIENT)
    if not isinstance(values, tuple) or len(values) != len(_RPC_SCALARS) + 4 * _TERMS:
        return None
    numbers = tuple(float(v) for v in values)
    if not all(map(isfinite, numbers)):
        return None
    found: dict[str, float | tuple[float, ...]] = {}
    found |= dict(zip(_RPC_SCALARS, numbers, strict=False))
    for i, name in enumerate(_RPC_POLYNOMIALS):
        start = len(_RPC_SCALARS) + i * _TERMS
        found[name] = numbers[start : start + _TERMS]
    return found
