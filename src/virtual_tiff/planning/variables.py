"""Plan the variables beside an image in its group: grid mapping, coordinates, band names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.json_type import JSON
from virtual_tiff.messages import redacted_links
from virtual_tiff.planning.attributes import Description, coordinate_attributes, coordinate_values
from virtual_tiff.planning.plan import ArrayPlan, Codec
from virtual_tiff.tiff.geokeys import GeoTransform

#: Largest number of rows or columns for which coordinates are written. The largest global mosaics
#: have some millions; larger images are sparse or malicious, and have their transform in the grid
#: mapping.
MAX_COORDINATES = 2**22
_STRING: np.dtype[Any] = np.dtypes.StringDType()
_DOUBLES: tuple[Codec, ...] = ({"name": "bytes", "configuration": {"endian": "little"}},)


def grid_mapping(description: Description, *, coordinates: bool = True) -> ArrayPlan | None:
    """Plan the scalar variable with the georeferencing (CF 1.11 section 5.6); its value is 0.

    `GeoTransform` is only written where coordinates do not tell the grid: xarray slices and joins
    coordinates, but keeps attributes, and readers that find both use the attribute.

    Parameters
    ----------
    description
        Metadata of the image.
    coordinates
        Whether `x` and `y` are written, if they can be.

    Returns
    -------
    ArrayPlan or None
        `None` if there is nothing that coordinates do not tell.
    """
    attributes = dict(description.spatial_ref_attributes or {})
    if coordinates and _have_coordinates(description):
        attributes.pop("GeoTransform", None)
    if not attributes:
        return None
    nothing = np.zeros((), np.uint64)
    return ArrayPlan(
        shape=(),
        chunk_shape=(),
        data_type=np.dtype("int32"),
        codecs=_DOUBLES,
        fill_value=0,
        dimension_names=(),
        source=None,
        offsets=nothing,
        lengths=nothing,
        attributes=attributes,
    )


def _have_coordinates(description: Description) -> bool:
    """Return whether `x` and `y` tell the grid; one row or column does not tell its size."""
    transform = description.geotransform
    return (
        transform is not None
        and transform[2] == transform[4] == 0
        and all(2 <= size <= MAX_COORDINATES for size in description.shape)
    )


def coordinate(
    description: Description, dimension: str, size: int, axis: Literal["x", "y"]
) -> ArrayPlan | None:
    """Plan the pixel centres along a dimension, if the grid is parallel to the axes.

    Parameters
    ----------
    description
        Metadata of the image.
    dimension
        Name of the dimension and its coordinate.
    size
        Number of rows or columns.
    axis
        `x` or `y`.

    Returns
    -------
    ArrayPlan or None
        Shape `(size,)`, float64, in CRS units; `None` also beyond `MAX_COORDINATES`.
    """
    transform = description.geotransform
    if transform is None or size > MAX_COORDINATES:
        return None
    values = coordinate_values(transform, size, axis)
    if values is None:
        return None
    return _doubles(values, dimension, coordinate_attributes(description.crs, axis))


def geotransform_of(
    x: NDArray[np.float64] | None, y: NDArray[np.float64] | None, attribute: object = None
) -> GeoTransform | None:
    """Read a transform from pixel centres, the inverse of `coordinate`.

    Parameters
    ----------
    x, y
        Pixel centres in CRS units; `None` if there are none.
    attribute
        `GeoTransform` of the grid mapping, if it has any: read where the coordinates do not tell,
        since a slice or a join does not change it.

    Returns
    -------
    GeoTransform or None
        In GDAL's order; `None` if nothing tells the grid.
    """
    written: tuple[float, ...] | None = None
    if isinstance(attribute, str):
        written = tuple(map(float, attribute.split()))
    if x is None or y is None:
        return cast("GeoTransform | None", written)
    steps = []
    for values, index in ((x, 1), (y, 5)):
        if len(values) > 1:
            steps.append(float(values[-1] - values[0]) / (len(values) - 1))
        elif written is not None and len(values):
            steps.append(written[index])
        else:
            return None
    a, e = steps
    return (float(x[0]) - a / 2, a, 0.0, float(y[0]) - e / 2, 0.0, e)


def positions(
    dimension: str, size: int, start: float, step: float, unit: str | None
) -> ArrayPlan | None:
    """Plan equally spaced positions, in `unit`; `None` beyond `MAX_COORDINATES`."""
    if size > MAX_COORDINATES:
        return None
    values = start + np.arange(size) * step
    return _doubles(values, dimension, {} if unit is None else {"units": unit})


def _doubles(
    values: NDArray[np.floating[Any]], dimension: str, attributes: Mapping[str, JSON]
) -> ArrayPlan:
    data = values.astype("<f8", copy=False).tobytes()
    double, nan = np.dtype("float64"), float("nan")
    return _inline(data, double, nan, _DOUBLES, dimension, len(values), attributes)


def band_numbers(size: int, dimension: str, numbers: Sequence[int] | None = None) -> ArrayPlan:
    """Plan the numbers of bands, counted from 1 as in GDAL and rioxarray."""
    values = np.arange(1, size + 1) if numbers is None else np.asarray(numbers)
    data: NDArray[np.int64] = values.astype("<i8")
    return _inline(data.tobytes(), np.dtype("int64"), 0, _DOUBLES, dimension, size, {})


def band_names(names: Sequence[str], dimension: str) -> ArrayPlan:
    """Plan the descriptions of bands (Zarr data type `string`, codec `vlen-utf8`)."""
    # Imported here: few files describe their bands.
    from numcodecs.vlen import VLenUTF8

    texts = [redacted_links(name) for name in names]
    data = bytes(VLenUTF8().encode(np.array(texts, dtype=object)))
    codecs: tuple[Codec, ...] = ({"name": "vlen-utf8"},)
    return _inline(data, _STRING, "", codecs, dimension, len(names), {})


def scalar_text(text: str) -> ArrayPlan:
    """Plan a text as an array without dimensions, compressed, since it may be megabytes."""
    # Imported here, as in `band_names`.
    from numcodecs.vlen import VLenUTF8
    from numcodecs.zstd import Zstd

    data = bytes(Zstd(level=3).encode(VLenUTF8().encode(np.array([text], dtype=object))))
    nothing = np.zeros((), np.uint64)
    return ArrayPlan(
        shape=(),
        chunk_shape=(),
        data_type=_STRING,
        codecs=(
            {"name": "vlen-utf8"},
            {"name": "zstd", "configuration": {"level": 3, "checksum": False}},
        ),
        fill_value="",
        dimension_names=(),
        source=None,
        offsets=nothing,
        lengths=nothing,
        inline={(): data},
    )


def _inline(
    data: bytes,
    data_type: np.dtype[np.generic],
    fill_value: float | str,
    codecs: tuple[Codec, ...],
    dimension: str,
    size: int,
    attributes: Mapping[str, JSON],
) -> ArrayPlan:
    nothing = np.zeros((1,), np.uint64)
    return ArrayPlan(
        shape=(size,),
        chunk_shape=(size,),
        data_type=data_type,
        codecs=codecs,
        fill_value=fill_value,
        dimension_names=(dimension,),
        source=None,
        offsets=nothing,
        lengths=nothing,
        inline={(0,): data},
        attributes=attributes,
    )
