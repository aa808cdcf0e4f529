"""Make rows of an inventory from images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.inventory.arrow import SIDES, without_secrets
from virtual_tiff.inventory.footprint import Affine, footprint
from virtual_tiff.inventory.table import EXTRA_GEOREFERENCING, SCHEMA
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import readable
from virtual_tiff.planning.hierarchy import array_name
from virtual_tiff.planning.metadata import json_scalar
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.storage.source import Source
from virtual_tiff.tags import Compression
from virtual_tiff.tiff.geokeys import crs, geotransform, overview_transform
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Cells of a row of an inventory; those that are absent are null.
type Row = dict[str, Any]

#: Position of a row's URL in the list of the scan; not part of an inventory.
POSITION: Final = "_position"
_REFERENCES = ("offsets", "lengths")
_COMPRESSIONS = {int(member): member.name for member in Compression}


class Rows:
    """Collects rows and makes a table of them."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._cells: dict[str, list[object]] = {name: [] for name in (POSITION, *SCHEMA.names)}
        self.references = 0

    def __len__(self) -> int:
        return len(self._cells[POSITION])

    def add(self, position: int, rows: Iterable[Row]) -> int:
        """Add the rows of a file, which is at a position of the list, and count its errors."""
        errors = 0
        for row in rows:
            errors += "error" in row
            self.references += row["offsets"].size if "offsets" in row else 0
            self._cells[POSITION].append(position)
            for name in SCHEMA.names:
                self._cells[name].append(row.get(name))
        return errors

    def take(self) -> pa.Table:
        """Return the rows as a `pyarrow.Table`, and clear them."""
        columns = [pa.array(self._cells[POSITION], pa.int64())]
        for field in SCHEMA:
            cells = self._cells[field.name]
            if field.name in _REFERENCES:
                columns.append(_lists(cast(list[NDArray[np.uint64] | None], cells)))
            elif pa.types.is_dictionary(field.type):
                columns.append(_clean(pa.array(cells, pa.string())).dictionary_encode())
            elif field.name == "url":
                columns.append(pa.array(cells, field.type))
            else:
                columns.append(_clean(pa.array(cells, field.type)))
        self._clear()
        fields = [pa.field(POSITION, pa.int64()), *SCHEMA]
        return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _clean(array: pa.Array) -> pa.Array:
    return without_secrets(pa.chunked_array([array])).chunk(0)


def image_row(
    directory: ImageFileDirectory,
    plan: ArrayPlan,
    source: Source,
    *,
    full: ImageFileDirectory,
    time: datetime | None,
    grid_mapping: Mapping[str, JSON] | None = None,
    band_names: Sequence[str] | None = None,
) -> Row:
    """Make the row of an image that can be published.

    `full` is the directory with its georeferencing, which differs for an overview or a mask.
    """
    system, transform = _georeferencing(directory, full)
    width, height = directory.image_width, directory.image_length
    outline = None
    if system is not None and transform is not None:
        outline = footprint(system, transform, width, height)
    nodata = readable("_FillValue", plan.attributes.get("_FillValue"))
    return {
        "url": source.url,
        "ifd": array_name(directory.index),
        "role": role(directory),
        "full_ifd": array_name(full.index),
        "size": source.size,
        "etag": source.etag,
        "last_modified": source.last_modified,
        "header": source.header,
        "datetime": time,
        "width": width,
        "height": height,
        "bands": dict(zip(plan.dimension_names, plan.shape, strict=True)).get("band", 1),
        "band_names": band_names,
        "data_type": plan.data_type.name,
        "compression": _COMPRESSIONS.get(directory.compression, str(directory.compression)),
        "nodata": float(nodata) if isinstance(nodata, int | float) else None,
        "crs": system,
        "transform": transform,
        "grid_mapping": _extra_georeferencing(grid_mapping or {}),
        "bbox": None if outline is None else dict(zip(SIDES, outline.bbox, strict=True)),
        "geometry": None if outline is None else outline.wkb,
        "dimensions": plan.dimension_names,
        "shape": plan.shape,
        "chunk_shape": plan.chunk_shape,
        "codecs": _json(plan.codecs),
        "fill_value": _json(json_scalar(plan.fill_value)),
        "attributes": _json(plan.attributes),
        "offsets": plan.offsets.ravel(),
        "lengths": plan.lengths.ravel(),
        "inline": [{"index": index, "data": data} for index, data in plan.inline.items()],
    }


def error_row(url: str, error: VirtualTIFFError, source: Source | None = None) -> Row:
    """Make the row of a file or an image that cannot be read."""
    return {
        "url": url,
        "ifd": None if error.ifd is None else array_name(error.ifd),
        "error_kind": str(error.kind),
        "error": error.text,
        "size": None if source is None else source.size,
        "etag": None if source is None else source.etag,
        "last_modified": None if source is None else source.last_modified,
        "header": None if source is None else source.header,
    }


def role(directory: ImageFileDirectory) -> str:
    """Return the role of an image: `image`, `overview`, `mask` or `mask overview`."""
    if directory.is_mask:
        return "mask overview" if directory.is_reduced else "mask"
    return "overview" if directory.is_reduced else "image"


def _georeferencing(
    directory: ImageFileDirectory, full: ImageFileDirectory
) -> tuple[str | None, Affine | None]:
    found = geotransform(full)
    system = crs(full)
    name = system.authority
    if name is None and system.crs is not None:
        name = system.crs.to_wkt()
    if found is None:
        return name, None
    if directory is not full:
        found = overview_transform(
            found,
            (full.image_length, full.image_width),
            (directory.image_length, directory.image_width),
        )
    x, a, b, y, d, e = found
    return name, (a, b, x, d, e, y)


def _extra_georeferencing(mapping: Mapping[str, JSON]) -> str | None:
    """Return the attributes of a grid mapping that have no column, as JSON."""
    found = {key: mapping[key] for key in EXTRA_GEOREFERENCING if key in mapping}
    return _json(found) if found else None


# Made once, since `json.dumps` makes a new encoder for every call with options.
_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


def _lists(cells: Sequence[NDArray[np.uint64] | None]) -> pa.ListArray:
    sizes = [0 if cell is None else cell.size for cell in cells]
    starts = np.zeros(len(cells) + 1, np.int32)
    np.cumsum(sizes, out=starts[1:])
    present = [cell for cell in cells if cell is not None]
    values = np.concatenate(present) if present else np.empty(0, np.uint64)
    absent = np.array([cell is None for cell in cells], bool)
    return pa.ListArray.from_arrays(
        pa.array(starts), pa.array(values, pa.uint64()), mask=pa.array(absent)
    )
