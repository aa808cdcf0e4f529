"""Convert types of Arrow tables from other libraries without loss."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class ArrowStream(Protocol):
    """A table of any library that implements the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand over the table."""


def without_views(table: pa.Table) -> pa.Table:
    """Return a table with types of text and bytes that all Arrow functions support."""
    for position, field in enumerate(table.schema):
        column = table.column(position)
        kind = field.type
        if pa.types.is_dictionary(kind) and kind.value_type == pa.string_view():
            chunks = [
                pa.DictionaryArray.from_arrays(c.indices, c.dictionary.cast(pa.string()))
                for c in column.chunks
            ]
            column = pa.chunked_array(chunks, pa.dictionary(kind.index_type, pa.string()))
        elif kind == pa.string_view():
            column = column.cast(pa.string())
        elif kind == pa.binary_view():
            column = column.cast(pa.binary())
        else:
            continue
        table = table.set_column(position, field.with_type(column.type), column)
    return table


def converted(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Return a column with another type; refuse to lose information."""
    if column.type == wanted:
        return column
    if pa.types.is_dictionary(wanted):
        plain = column.cast(wanted.value_type)
        return plain.dictionary_encode()
    return column.cast(wanted)
