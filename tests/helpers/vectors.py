"""Test vectors of codecs: an encoded chunk, its metadata, and the samples it decodes to."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

VECTORS = Path(__file__).resolve().parents[2] / "clients" / "vectors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One chunk.

    Parameters
    ----------
    name
        Codec, colon, case.
    data_type, shape, codecs
        Zarr v3 metadata of an array with this one chunk.
    encoded
        The chunk as it is stored.
    decoded
        Samples in C order, little-endian; empty where they are to be found out.
    """

    name: str
    data_type: str
    shape: tuple[int, ...]
    codecs: list[dict[str, Any]]
    encoded: bytes
    decoded: bytes = b""


def vectors() -> Iterator[Vector]:
    """Every vector in the repository."""
    for path in sorted(VECTORS.glob("*.json")):
        for item in json.loads(path.read_bytes()):
            yield Vector(
                name=f"{path.stem}: {item['name']}",
                data_type=item["data_type"],
                shape=tuple(item["chunk_shape"]),
                codecs=item["codecs"],
                encoded=base64.b64decode(item["encoded"]),
                decoded=base64.b64decode(item["decoded"]),
            )


def decode(vector: Vector, folder: Path) -> bytes:
    """Read a vector with zarr-python, as an array of one chunk in a folder."""
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": vector.shape,
        "data_type": vector.data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": vector.shape}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": vector.codecs,
        "attributes": {},
    }
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(json.dumps(document), encoding="utf-8")
    chunk = folder.joinpath("c", *("0" for _ in vector.shape))
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(vector.encoded)
    with warnings.catch_warnings():
        # zarr warns that numcodecs.* names are not in the specification.
        warnings.simplefilter("ignore")
        array = zarr.open_array(folder, mode="r")
        data = np.asarray(array[...])
    return data.astype(data.dtype.newbyteorder("<")).tobytes()
