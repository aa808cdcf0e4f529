"""Make `zarr.json` documents from plans (Zarr v3 core specification)."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from typing import Any

from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import written
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan


def array_document(plan: ArrayPlan) -> dict[str, JSON]:
    """Return the metadata document of an array (Zarr v3 core, section "Array metadata")."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(plan.shape),
        "data_type": "string" if plan.data_type.kind == "T" else plan.data_type.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(plan.chunk_shape)},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": json_scalar(plan.fill_value),
        # Copies, since some codec classes modify their configuration.
        "codecs": deepcopy(list(plan.codecs)),
        "attributes": written(deepcopy(dict(plan.attributes))),
        "dimension_names": list(plan.dimension_names),
        "storage_transformers": [],
    }


def group_document(plan: GroupPlan) -> dict[str, JSON]:
    """Return the metadata document of a group (Zarr v3 core, section "Group metadata")."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(plan.attributes)}


def to_bytes(document: dict[str, JSON]) -> bytes:
    """Serialise a document; NaN and infinities must be encoded as text already."""
    return json.dumps(document, allow_nan=False, ensure_ascii=False).encode()


def chunk_key(index: tuple[int, ...]) -> str:
    """Return the key of a chunk below its array, in the default encoding."""
    return "/".join(["c", *map(str, index)])


def json_scalar(value: complex | bool | str) -> Any:
    """Encode a fill value (Zarr v3 core, section "Fill value representation")."""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, complex):
        return [json_scalar(value.real), json_scalar(value.imag)]
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
