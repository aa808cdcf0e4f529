"""Decode and encode chunks with the codecs of a plan, through a Zarr array in memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.buffer.cpu import Buffer
from zarr.storage import MemoryStore

from virtual_tiff.completing.bounded import check_decoded, decoded_bytes
from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.axes import axis_of
from virtual_tiff.planning.metadata import array_document, chunk_key, to_bytes
from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex, Codec

#: Configurations with which a codec is lossless (JPEG: of the highest quality); decoders ignore
#: them.
_FOR_ENCODING: dict[str, dict[str, JSON]] = {
    "imagecodecs_webp": {"lossless": True},
    "imagecodecs_jpegxl": {"lossless": True},
    "imagecodecs_jpeg2k": {"level": 0, "reversible": True},
    "imagecodecs_jpegxr": {"level": 1.0},
    "imagecodecs_jpeg": {"level": 100, "subsampling": "444"},
}


def decode(plan: ArrayPlan, shape: tuple[int, ...], data: bytes) -> NDArray[Any]:
    """Decode one chunk of a given shape with the codecs of a plan."""
    check_decoded(plan.codecs, data, decoded_bytes(plan, shape))
    document = to_bytes(array_document(_one_chunk(plan, shape)))
    items: dict[str, bytes] = {"zarr.json": document, chunk_key((0,) * len(shape)): data}
    try:
        return np.asarray(_open(items)[0][...])
    except Exception as error:
        raise InvalidTIFFError(
            f"a segment cannot be decoded ({error}).", kind=ErrorKind.INVALID_SEGMENT
        ) from error


def encode(plan: ArrayPlan, values: NDArray[Any]) -> bytes:
    """Encode one chunk with the codecs of a plan, lossless if they support it."""
    extra = (_FOR_ENCODING.get(str(codec["name"]), {}) for codec in plan.codecs)
    plan = replace(plan, codecs=tuple(map(configured, plan.codecs, extra)))
    if plan.codecs[0]["name"] == "transpose":
        # Encoders of whole images need contiguous samples, and zarr transposes without a copy.
        plan = replace(plan, codecs=plan.codecs[1:])
        values = np.ascontiguousarray(values.transpose(1, 2, 0))
    document = to_bytes(array_document(_one_chunk(plan, values.shape)))
    array, items = _open({"zarr.json": document})
    array[...] = values
    encoded: bytes = items[chunk_key((0,) * values.ndim)].to_bytes()
    return encoded


def decode_chunks(plan: ArrayPlan, chunks: Mapping[ChunkIndex, bytes]) -> None:
    """Decode chunks with the codecs of a plan, and drop what they hold.

    Raises
    ------
    InvalidTIFFError
        With kind `invalid-segment`: one of them decodes to far more than a chunk.
    UnsupportedTIFFError
        One of them cannot be decoded.
    """
    nbytes = decoded_bytes(plan, plan.chunk_shape)
    items = {"zarr.json": to_bytes(array_document(plan))}
    for index, data in chunks.items():
        check_decoded(plan.codecs, data, nbytes)
        items[chunk_key(index)] = data
    array = _open(items)[0]
    for index in chunks:
        chunk = zip(index, plan.chunk_shape, strict=True)
        try:
            array[tuple(slice(i * size, (i + 1) * size) for i, size in chunk)]
        except Exception as error:
            raise UnsupportedTIFFError(
                f"no Zarr codec decodes the segment of chunk {index}, which may be damaged "
                f"({error}).",
                kind=ErrorKind.UNSUPPORTED_COMPRESSION,
            ) from error


def encode_chunks(plan: ArrayPlan, values: NDArray[Any]) -> dict[ChunkIndex, bytes]:
    """Encode a whole array with the codecs of a plan, chunk by chunk."""
    array, items = _open({"zarr.json": to_bytes(array_document(plan))})
    array[...] = values
    return {index: items[chunk_key(index)].to_bytes() for index in np.ndindex(*plan.grid_shape)}


def inside_image(plan: ArrayPlan, index: ChunkIndex) -> tuple[int, int]:
    """Return the rows and columns of a chunk that are inside the image."""
    inside = {
        name: min(chunk, shape - i * chunk)
        for name, i, chunk, shape in zip(
            map(axis_of, plan.dimension_names), index, plan.chunk_shape, plan.shape, strict=True
        )
    }
    return inside["y"], inside["x"]


def configured(codec: Codec, extra: Mapping[str, JSON]) -> Codec:
    """Return a codec with more, or other, members in its configuration."""
    if not extra:
        return codec
    configuration = codec.get("configuration", {})
    if not isinstance(configuration, dict):
        raise AssertionError(f"a codec's configuration is {configuration!r}")
    return {**codec, "configuration": {**configuration, **extra}}


def _one_chunk(plan: ArrayPlan, shape: tuple[int, ...]) -> ArrayPlan:
    nothing = np.zeros((1,) * len(shape), np.uint64)
    return replace(
        plan,
        shape=shape,
        chunk_shape=shape,
        offsets=nothing,
        lengths=nothing,
        inline={},
        partial=(),
        attributes={},
    )


def _open(items: Mapping[str, bytes]) -> tuple[zarr.Array[Any], dict[str, Any]]:
    buffers: dict[str, Any] = {key: Buffer.from_bytes(data) for key, data in items.items()}
    with warnings.catch_warnings():
        # zarr warns that numcodecs.* names are not in the specification; the table of readers in
        # the documentation lists who reads them.
        warnings.simplefilter("ignore")
        array = zarr.open_array(MemoryStore(buffers), mode="r+", zarr_format=3)
    # Store chunks that equal the fill value too; zarr 3.4.0 ignores this setting when opening.
    return array.with_config({"write_empty_chunks": True}), buffers
