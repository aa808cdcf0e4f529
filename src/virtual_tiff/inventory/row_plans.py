"""Rebuild the plan of an array from a row of an inventory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import numpy as np

from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.storage.source import Source


def source_of(values: Mapping[str, Any]) -> Source:
    """Return URL and metadata of the file of a row."""
    modified = values["last_modified"]
    return Source(
        url=values["url"],
        size=values["size"],
        etag=values["etag"],
        last_modified=None if modified is None else modified.astimezone(UTC),
    )


def plan_of(values: Mapping[str, Any]) -> ArrayPlan:
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
        fill_value=scalar(json.loads(values["fill_value"]), data_type),
        dimension_names=tuple(values["dimensions"]),
        source=source_of(values),
        offsets=np.asarray(values["offsets"], np.uint64).reshape(grid),
        lengths=np.asarray(values["lengths"], np.uint64).reshape(grid),
        inline=inline,
        attributes=json.loads(values["attributes"]),
        ifd=tuple(int(part) for part in values["ifd"].split(".")),
    )


def scalar(value: Any, data_type: np.dtype[np.generic]) -> bool | int | float | complex:
    """Decode a fill value (Zarr v3 core, section "Fill value representation")."""
    if data_type.kind == "c":
        real, imaginary = (float(part) for part in value)
        return complex(real, imaginary)
    if data_type.kind == "f":
        return float(value)
    return bool(value) if data_type.kind == "b" else int(value)
