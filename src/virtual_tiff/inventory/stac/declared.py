"""Complete the images of an inventory with what STAC Items declare about their values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from virtual_tiff.errors import MismatchError
from virtual_tiff.inventory.arrow import with_cells
from virtual_tiff.inventory.stac.items import STAC_METADATA
from virtual_tiff.inventory.table import SCHEMA, row_is_sparse
from virtual_tiff.planning.declared import Completed, Declared, complete
from virtual_tiff.planning.metadata import json_scalar

#: Columns that are read, of which the second half may change.
_READ = (STAC_METADATA, "role", "data_type", "bands")
_CHANGED = ("attributes", "fill_value", "nodata", "error_kind", "error")


def declared_in(table: pa.Table) -> dict[str, Declared]:
    """Return what is declared, by URL, from a table of sources."""
    if STAC_METADATA not in table.column_names:
        return {}
    texts = zip(table["url"].to_pylist(), table[STAC_METADATA].to_pylist(), strict=True)
    return {url: _declared(text) for url, text in texts if text is not None}


def complete_rows(table: pa.Table, chosen: Sequence[int] | None) -> pa.Table:
    """Complete attributes, nodata and fill value of images; a contradiction is their error.

    Parameters
    ----------
    table
        Rows of an inventory, with or without the column of what Items declare.
    chosen
        Numbers of the bands that were read; `None` for all.
    """
    if STAC_METADATA not in table.column_names:
        return table
    if table[STAC_METADATA].null_count == table.num_rows:
        return table.drop_columns([STAC_METADATA])
    cells = {name: table[name].to_pylist() for name in (*_READ, *_CHANGED)}

    # Most images of an archive have equal attributes.
    @lru_cache(maxsize=4096)
    def completed(
        attributes: str, text: str, kind: str, bands: int, is_sparse: bool
    ) -> Completed | MismatchError:
        said, own = _declared(text), json.loads(attributes)
        try:
            return complete(own, said, np.dtype(kind), bands, chosen, is_sparse=is_sparse)
        except MismatchError as error:
            return error

    for row, text in enumerate(cells[STAC_METADATA]):
        attributes = cells["attributes"][row]
        if text is None or attributes is None or cells["role"][row] not in ("image", "overview"):
            continue
        bands = cells["bands"][row]
        # With one band there is one nodata value, which is the fill value.
        sparse = bands > 1 and row_is_sparse(table, row)
        found = completed(attributes, text, cells["data_type"][row], bands, sparse)
        if isinstance(found, MismatchError):
            cells["error_kind"][row], cells["error"][row] = str(found.kind), found.text
            continue
        cells["attributes"][row] = json.dumps(found.attributes, allow_nan=False, ensure_ascii=False)
        if found.nodata is not None:
            cells["fill_value"][row] = json.dumps(json_scalar(found.nodata))
            if not isinstance(found.nodata, complex):
                cells["nodata"][row] = float(found.nodata)
    for name in _CHANGED:
        table = with_cells(table, SCHEMA.field(name), cells[name])
    return table


@lru_cache(maxsize=4096)
def _declared(text: str) -> Declared:
    said = json.loads(text)
    return Declared(
        bands=said.get("bands", ()), collection=said.get("collection"), fault=said.get("fault")
    )
