"""`Inventory`: a table with a row for each image and all data that publishing needs.

An Arrow table in memory and GeoParquet 1.1 on disk, so that DuckDB, Polars, GeoPandas and pandas
read it without this package. A file that could not be read is a row too, with its error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.arrow import (
    SIDES,
    ArrowStream,
    converted,
    with_geo_metadata,
    without_secrets,
    without_views,
)
from virtual_tiff.inventory.parquet import column_names, parquet_parts, read_parquet
from virtual_tiff.messages import MAY_HAVE_SECRET
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.storage.addresses import check_no_secret
from virtual_tiff.storage.errors import writing
from virtual_tiff.storage.source import Source

# Long text that is equal in most rows, such as codecs and WKT.
_SHARED = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("us", "UTC")
_BBOX = pa.struct([(name, pa.float64()) for name in SIDES])
_INLINE = pa.list_(pa.struct([("index", pa.list_(pa.int64())), ("data", pa.binary())]))

#: Columns of every inventory; columns of the caller follow.
SCHEMA = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        pa.field("ifd", pa.string()),
        pa.field("role", pa.string()),
        pa.field("full_ifd", pa.string()),
        pa.field("error_kind", pa.string()),
        pa.field("error", pa.string()),
        pa.field("size", pa.uint64()),
        pa.field("etag", pa.string()),
        pa.field("last_modified", _TIME),
        pa.field("header", pa.string()),
        pa.field("read_at", _TIME),
        pa.field("datetime", _TIME),
        pa.field("width", pa.int64()),
        pa.field("height", pa.int64()),
        pa.field("bands", pa.int32()),
        pa.field("band_names", pa.list_(pa.string())),
        pa.field("data_type", pa.string()),
        pa.field("compression", pa.string()),
        pa.field("nodata", pa.float64()),
        pa.field("crs", _SHARED),
        pa.field("transform", pa.list_(pa.float64(), 6)),
        pa.field("grid_mapping", _SHARED),
        pa.field("bbox", _BBOX),
        pa.field("geometry", pa.binary()),
        pa.field("dimensions", pa.list_(pa.string())),
        pa.field("shape", pa.list_(pa.int64())),
        pa.field("chunk_shape", pa.list_(pa.int64())),
        pa.field("codecs", _SHARED),
        pa.field("fill_value", _SHARED),
        pa.field("attributes", _SHARED),
        pa.field("pages", _SHARED),
        pa.field("offsets", pa.list_(pa.uint64())),
        pa.field("lengths", pa.list_(pa.uint64())),
        pa.field("inline", _INLINE),
    ]
)
COLUMNS = frozenset(SCHEMA.names)
#: Columns without which a table is no inventory; others are null in one of an earlier version.
REQUIRED = COLUMNS - {"header", "read_at", "pages"}
#: Attributes of a grid mapping that cannot be derived from CRS and transform.
EXTRA_GEOREFERENCING = ("gcps", "rpcs", "coordinate_epoch", "geo_keys", "crs_note")

#: Key of the metadata of a table that tells the options of its scan, if only they decided on rows.
SCAN_OPTIONS = b"virtual_tiff.scan"
_OUTLINES = ("bbox", "geometry")
_SOURCE = ["url", "size", "etag", "last_modified", "header"]


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """Table of the images found by a scan.

    Parameters
    ----------
    table
        A `pyarrow.Table` with the columns of `SCHEMA`, followed by those of the caller. Passwords,
        signatures and tokens of addresses in the texts of columns are replaced.

    Raises
    ------
    InvalidOptionError
        A column is absent or has another type; or the address of an image has a secret.

    Notes
    -----
    It implements the Arrow PyCapsule interface: `polars.DataFrame(inventory)`,
    `pyarrow.table(inventory)` and DuckDB accept it. The columns:

    =================  =========================================================================
    `url`, `ifd`       Where the image is; `0.1` is the second sub-IFD of the first directory
    `role`             `image`, `overview`, `mask` or `mask overview` (NewSubfileType)
    `full_ifd`         The image that an overview or a mask belongs to; itself for an image
    `error_kind`,      Why the file or image could not be read
    `error`
    `size`, `etag`,    Metadata of the file from the GET of the header
    `last_modified`
    `header`           Ranges of bytes of the header, and their CRC-32
    `read_at`          When the header was read (UTC)
    `datetime`         UTC; null unless an option of the scan told where to find it
    `width` … `nodata` Properties; `shape` and `chunk_shape` are in the order of `dimensions`
    `band_names`       Names of the bands, or their numbers; null where they are 1, 2, …
    `crs`,             `EPSG:32633` or WKT, and a, b, c, d, e, f of the affine
    `transform`
    `grid_mapping`     Further georeferencing, JSON: `gcps`, `rpcs`, `coordinate_epoch`, keys that
                       are not resolved
    `bbox`,            In longitude and latitude
    `geometry`
    `codecs`,          Zarr v3 metadata of the array, JSON
    `fill_value`,
    `attributes`
    `pages`            What the metadata of the file say of the dimensions of its pages, such as
                       distances and channels, JSON; null for other images
    `offsets`,         Of the chunks, bytes, in C order of the chunk grid; length 0 is a missing
    `lengths`          chunk or one of `inline`
    `inline`           Chunks stored as bytes: index in the grid and content
    =================  =========================================================================
    """

    table: pa.Table

    def __post_init__(self) -> None:
        for field in SCHEMA:
            if field.name not in self.table.column_names:
                raise InvalidOptionError(
                    f"the table has no column {field.name!r}: it is not an inventory.",
                    remedy="Make one with virtual_tiff.scan.",
                )
            if self.table.schema.field(field.name).type != field.type:
                raise InvalidOptionError(
                    f"column {field.name!r} is {self.table.schema.field(field.name).type}, "
                    f"but must be {field.type}.",
                    remedy="Add other columns, but do not change those of the scan.",
                )
        table = self.table
        suspects = pc.match_substring_regex(table["url"], MAY_HAVE_SECRET)
        for url in table["url"].filter(suspects).to_pylist():
            check_no_secret(url)
        for position, field in enumerate(table.schema):
            column = table.column(position)
            if field.name != "url" and (clean := without_secrets(column)) is not column:
                table = table.set_column(position, field, clean)
        object.__setattr__(self, "table", table)

    @classmethod
    def _part(cls, table: pa.Table) -> Inventory:
        """Make an inventory of rows of another, without the checks."""
        part = object.__new__(cls)
        object.__setattr__(part, "table", table)
        return part

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        failed = len(self.failed)
        failures = f", {failed} failed" if failed else ""
        return f"<Inventory of {len(self) - failed} images{failures}>"

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the table to libraries that support Arrow."""
        return self.table.__arrow_c_stream__(requested_schema)

    @property
    def images(self) -> Inventory:
        """Inventory of the rows without an error."""
        return self.filter(pc.is_null(self.table["error_kind"]))

    @property
    def failed(self) -> pa.Table:
        """`pyarrow.Table` of the rows with an error: url, ifd, error_kind and error."""
        rows = self.table.filter(pc.is_valid(self.table["error_kind"]))
        return rows.select(["url", "ifd", "error_kind", "error"])

    @property
    def own_columns(self) -> list[str]:
        """Names of the columns of the caller."""
        return [name for name in self.table.column_names if name not in COLUMNS]

    def filter(self, condition: pc.Expression | pa.BooleanArray) -> Inventory:
        """Keep some rows.

        Parameters
        ----------
        condition
            A `pyarrow.compute` expression such as `pc.field("cloud_cover") < 20`, or a boolean
            array with a value for each row.
        """
        if not isinstance(condition, pc.Expression) and pc.all(condition, skip_nulls=False).as_py():
            # A copy of a large table takes as much memory again.
            return self
        return self._part(self.table.filter(condition))

    def slice(self, start: int, count: int | None = None) -> Inventory:
        """Keep `count` rows from `start` on, or all."""
        return self._part(self.table.slice(start, count))

    def source(self, row: int) -> Source:
        """Return URL and metadata of the file of a row."""
        return _source_of(self.table.slice(row, 1).select(_SOURCE).to_pylist()[0])

    def plan(self, row: int) -> ArrayPlan:
        """Rebuild the plan of the array of one image, without a request.

        Raises
        ------
        InvalidOptionError
            The row is that of a file that could not be read.
        """
        values = self.table.select(SCHEMA.names).slice(row, 1).to_pylist()[0]
        if values["error_kind"] is not None:
            raise InvalidOptionError(
                f"there is no plan, since the scan failed: {values['error']}",
                kind=ErrorKind(values["error_kind"]),
                url=values["url"],
            )
        return _plan_of(values)

    def plans(self) -> Iterator[ArrayPlan]:
        """Yield the plans of all rows, in order; see `plan`."""
        return (self.plan(row) for row in range(len(self)))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Save as GeoParquet 1.1; the file appears only when it is complete."""
        target = Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        with writing(target):
            try:
                pq.write_table(
                    with_geo_metadata(self.table), partial, compression="zstd", row_group_size=65536
                )
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, outlines: bool = True) -> Inventory:
        """Read a file of `write`, also if another program has rewritten it.

        Parameters
        ----------
        path
            Of the file.
        outlines
            Whether to read `bbox` and `geometry`, which are most of the file; else they are null.
            Nothing is published from them.

        Raises
        ------
        InvalidOptionError
            The file is not Parquet, its columns are not those of an inventory, or it would take
            far more memory than a table of its size.
        """
        try:
            return cls._with_outlines(read_parquet(path, () if outlines else _OUTLINES))
        except (OSError, MemoryError, pa.ArrowException) as error:
            raise InvalidOptionError(
                f"{os.fspath(path)} cannot be read as Parquet: {error}"
            ) from error

    @classmethod
    def read_batches(cls, path: str | os.PathLike[str], rows: int) -> Iterator[Inventory]:
        """Read a file of `write` in pieces of at most some rows, without outlines; see `read`."""
        try:
            for part in parquet_parts(path, rows, _OUTLINES):
                yield cls._with_outlines(part)
        except (OSError, MemoryError, pa.ArrowException) as error:
            raise InvalidOptionError(
                f"{os.fspath(path)} cannot be read as Parquet: {error}"
            ) from error

    @classmethod
    def _with_outlines(cls, table: pa.Table) -> Inventory:
        """Make an inventory of a table that may have been read without outlines."""
        for name in set(_OUTLINES) - set(table.column_names):
            field = SCHEMA.field(name)
            table = table.append_column(field, pa.nulls(len(table), field.type))
        return cls.from_arrow(table)

    @classmethod
    def from_arrow(cls, table: ArrowStream) -> Inventory:
        """Make an inventory from a table of another library, such as Polars or pandas.

        Parameters
        ----------
        table
            Any object with the Arrow PyCapsule interface. Types that the other library changed
            without loss are restored (large strings, 64-bit lists, no time zone).

        Raises
        ------
        InvalidOptionError
            A column is absent or cannot be converted.
        """
        given = without_views(pa.table(table))
        for name in sorted(COLUMNS - REQUIRED - set(given.column_names)):
            given = given.append_column(name, pa.nulls(given.num_rows, SCHEMA.field(name).type))
        fields = [field for field in SCHEMA if field.name in given.column_names]
        fields += [field for field in given.schema if field.name not in COLUMNS]
        try:
            columns = [converted(given[field.name], field.type) for field in fields]
        except pa.ArrowException as error:
            raise InvalidOptionError(f"the table is not an inventory: {error}") from error
        said = given.schema.metadata or {}
        kept = {SCAN_OPTIONS: said[SCAN_OPTIONS]} if SCAN_OPTIONS in said else None
        return cls(pa.table(columns, schema=pa.schema(fields, kept)))


def is_inventory(path: Path) -> bool:
    """Return whether a file is Parquet with the columns of an inventory."""
    if path.suffix not in (".parquet", ".geoparquet") or not path.is_file():
        return False
    return column_names(path) >= REQUIRED


def rows_of(table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """Take rows of a table, which is not copied if they are all of it, in order."""
    if np.array_equal(rows, np.arange(table.num_rows)):
        return table
    return table.take(pa.array(rows))


def row_is_sparse(table: pa.Table, row: int) -> bool:
    """Return whether chunks of an image are missing, as `ArrayPlan.is_sparse`."""
    lengths = table["lengths"][row].values.to_numpy()
    stored = np.count_nonzero(lengths) + len(table["inline"][row] or ())
    return bool(stored < lengths.size)


def _source_of(values: Mapping[str, Any]) -> Source:
    """Return URL and metadata of the file of a row."""
    modified = values["last_modified"]
    return Source(
        url=values["url"],
        size=values["size"],
        etag=values["etag"],
        last_modified=None if modified is None else modified.astimezone(UTC),
        header=values["header"] or "",
    )


def _plan_of(values: Mapping[str, Any]) -> ArrayPlan:
    """Rebuild the plan of a row without a request."""
    shape, chunk_shape = tuple(values["shape"]), tuple(values["chunk_shape"])
    grid = tuple(-(-s // c) for s, c in zip(shape, chunk_shape, strict=True))
    inline = {tuple(chunk["index"]): chunk["data"] for chunk in values["inline"] or ()}
    data_type = np.dtype(values["data_type"])
    return ArrayPlan(
        shape=shape,
        chunk_shape=chunk_shape,
        data_type=data_type,
        codecs=tuple(json.loads(values["codecs"])),
        fill_value=_scalar(json.loads(values["fill_value"]), data_type),
        dimension_names=tuple(values["dimensions"]),
        source=_source_of(values),
        offsets=np.asarray(values["offsets"], np.uint64).reshape(grid),
        lengths=np.asarray(values["lengths"], np.uint64).reshape(grid),
        inline=inline,
        attributes=json.loads(values["attributes"]),
        ifd=tuple(int(part) for part in values["ifd"].split(".")),
    )


def _scalar(value: Any, data_type: np.dtype[np.generic]) -> bool | int | float | complex:
    """Decode a fill value (Zarr v3 core, section "Fill value representation")."""
    if data_type.kind == "c":
        real, imaginary = (float(part) for part in value)
        return complex(real, imaginary)
    if data_type.kind == "f":
        return float(value)
    return bool(value) if data_type.kind == "b" else int(value)
