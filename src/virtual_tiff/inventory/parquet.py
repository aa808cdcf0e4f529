"""Read Parquet files, but no more of them than tables of their size can be worth.

A page of a dictionary makes 1 kB stand for 100 GB, a run of nulls for billions of rows. Sizes in
the footer are checked before anything is decoded. Texts are read as dictionaries, in batches, and
what they stand for is added up before they are written out.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from virtual_tiff.errors import InvalidOptionError

#: Bytes in memory that any table may take.
_LEAST = 32 * 1024 * 1024
#: Bytes more for each byte of the file, and for each row; both together at most so many for each
#: byte, since the rows of an archive differ in their addresses at least.
_BYTES_A_BYTE, _BYTES_A_ROW, _MOST_A_BYTE = 16, 16 * 1024, 512
#: Bytes that a row costs besides its values: text in Python.
_ROW = 256
#: Longest footer: a thousand row groups of a hundred columns take some 15 MB.
_MOST_FOOTER = 16 * 1024 * 1024
_MOST_COLUMNS = 5_000
_BATCH = 16_384
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}


def read_parquet(file: str | os.PathLike[str] | bytes, without: Collection[str] = ()) -> pa.Table:
    """Read a table from a local file or from its content, `without` some of its columns.

    Raises
    ------
    InvalidOptionError
        It would take far more memory than a table of this size.
    OSError, pyarrow.ArrowException
        It cannot be read, or is not Parquet.
    """
    parts = list(parquet_parts(file, _BATCH, without))
    return pa.concat_tables(parts)


def parquet_parts(
    file: str | os.PathLike[str] | bytes, rows: int, without: Collection[str] = ()
) -> Iterator[pa.Table]:
    """Yield a table in parts of at most some rows, at least one; see `read_parquet`."""
    size = _check_footer(file)
    with pq.ParquetFile(io.BytesIO(file) if isinstance(file, bytes) else file) as opened:
        metadata, schema = opened.metadata, opened.schema_arrow
        if metadata.num_columns > _MOST_COLUMNS:
            raise _too_large(f"{metadata.num_columns} columns, more than {_MOST_COLUMNS}")
        texts = _check_claims(metadata, size)
    fields = [field for field in schema if field.name not in without]
    schema = pa.schema(fields, schema.metadata)
    names = schema.names if without else None
    again = io.BytesIO(file) if isinstance(file, bytes) else file
    with pq.ParquetFile(again, read_dictionary=texts) as opened:
        if not metadata.num_rows:
            yield schema.empty_table()
        cost = _Cost(size)
        for batch in opened.iter_batches(batch_size=min(rows, _BATCH), columns=names):
            cost.add(batch.num_rows, sum(_nbytes(column) for column in batch.columns))
            yield _with_types(pa.Table.from_batches([batch]), schema)


def column_names(path: str | os.PathLike[str]) -> frozenset[str]:
    """Return the names of the columns of a local file; none of what is no Parquet."""
    _check_footer(path)
    try:
        return frozenset(pq.read_schema(path).names)
    except (OSError, MemoryError, pa.ArrowException):
        return frozenset()


def _check_footer(file: str | os.PathLike[str] | bytes) -> int:
    """Return the size of a file; refuse one with a footer that is no description of a table."""
    with io.BytesIO(file) if isinstance(file, bytes) else Path(file).open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - 8))
        tail = opened.read(8)
    footer = int.from_bytes(tail[:4], "little")
    if tail[4:] == b"PAR1" and footer > _MOST_FOOTER:
        raise _too_large(f"a footer of {footer} bytes, more than {_MOST_FOOTER}")
    return size


def _check_claims(metadata: pq.FileMetaData, size: int) -> list[str]:
    """Compare the numbers of values in the footer with the size; return the columns of text."""
    cost = _Cost(size)
    texts: dict[str, None] = {}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        claimed = 0
        for i in range(group.num_columns):
            column = group.column(i)
            if column.physical_type == "BYTE_ARRAY":
                claimed += 4 * column.num_values + column.total_uncompressed_size
                if column.has_dictionary_page:
                    texts[column.path_in_schema] = None
            else:
                claimed += _WIDTHS.get(column.physical_type, 1) * column.num_values
        cost.add(group.num_rows, claimed)
    return list(texts)


class _Cost:
    """Memory that rows take, and what a table of a file of this size may take."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows = self._bytes = 0

    def add(self, rows: int, nbytes: int) -> None:
        """Count rows; raise if all of them take too much."""
        self._rows += max(rows, 0)
        self._bytes += max(nbytes, 0)
        allowed = min(
            _BYTES_A_BYTE * self._size + _BYTES_A_ROW * self._rows, _MOST_A_BYTE * self._size
        )
        if _ROW * self._rows + self._bytes > _LEAST + allowed:
            raise _too_large(
                f"{self._bytes} bytes and {self._rows} rows in a file of {self._size} bytes"
            )


def _nbytes(array: pa.Array) -> int:
    """Return the bytes of an array when its dictionaries are written out."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        total = pc.sum(lengths.take(array.indices)).as_py() if len(lengths) else 0
        return 4 * len(array) + int(total or 0)
    if pa.types.is_struct(kind):
        return sum(_nbytes(part) for part in array.flatten())
    if pa.types.is_map(kind):
        return 4 * len(array) + _nbytes(array.keys) + _nbytes(array.items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return 4 * len(array) + _nbytes(array.flatten())
    return int(array.nbytes)


def _with_types(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the types that it has in its file."""
    columns: Sequence[pa.ChunkedArray] = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.table(columns, schema=schema)


def _too_large(what: str) -> InvalidOptionError:
    return InvalidOptionError(
        f"this table has {what}.",
        remedy="If it is sound, read it with pyarrow, and pass the table.",
    )
