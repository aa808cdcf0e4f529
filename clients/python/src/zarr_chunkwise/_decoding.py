"""Decode one chunk by all codecs of an array, into memory that a thread keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer, NDBuffer

# Decoders into memory of a known size. If the stream has another size, they raise or return another
# number of bytes; the registered codec decodes it then.
_SIZED: dict[str, Callable[..., Any]] = {
    "numcodecs.zlib": imagecodecs.deflate_decode,  # libdeflate instead of zlib
    "imagecodecs_lzw": imagecodecs.lzw_decode,  # without a pass that counts the output
    "zstd": imagecodecs.zstd_decode,
}
# Scratch memory that a thread keeps for each step of a chain, in bytes: memory of a chunk before is
# in the caches of the processor, and the kernel need not clear it.
_LARGEST_SCRATCH = 16 * 1024 * 1024
_scratch = threading.local()


def decode_chunk(
    codecs: Sequence[Any], names: Sequence[str | None], chunk: Buffer, spec: Any
) -> NDBuffer:
    """Apply the decoders, the last codec first.

    The result may be in memory that the next call in this thread overwrites.
    """
    steps: list[tuple[int, Any, Any, Any, int | None]] = []
    size: int | None = prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
    for step, (name, codec) in enumerate(zip(names, codecs, strict=True)):
        steps.append((step, name, codec, spec, size))
        size = _encoded_size(codec, size, spec)
        spec = codec.resolve_metadata(spec)
    data: Any = chunk
    for step, name, codec, spec, size in reversed(steps):
        found: Any = None
        if name in _SIZED and size is not None:
            found = _decode_sized(step, name, data, spec, size)
        elif name == "imagecodecs_delta":
            found = _decode_delta(step, codec, data, spec)
        elif name == "imagecodecs_jpeg":
            found = _decode_jpeg(step, codec, data, spec)
        data = codec._decode_sync(data, spec) if found is None else found
    return data  # type: ignore[no-any-return]  # an array after the first of `codecs`


def _encoded_size(codec: Any, size: int | None, spec: Any) -> int | None:
    """Return the size of `size` bytes after encoding; `None` if it depends on the values."""
    try:
        return None if size is None else codec.compute_encoded_size(size, spec)
    except NotImplementedError:
        return None


def _memory(step: int, size: int) -> Any:
    """Return memory of a thread for a step of a chain; what was there is overwritten."""
    if size > _LARGEST_SCRATCH:
        return np.empty(size, np.uint8)
    kept: dict[int, Any] = _scratch.__dict__.setdefault("kept", {})
    found = kept.get(step)
    if found is None or found.size < size:
        found = kept[step] = np.empty(size, np.uint8)
    return found[:size]


def _decode_delta(step: int, codec: Any, data: Any, spec: Any) -> NDBuffer | None:
    """Add up differences of integers in memory that is there; else return `None`."""
    array = data.as_numpy_array()
    if array.dtype.kind not in "iu" or not array.dtype.isnative or array.shape != spec.shape:
        return None
    out = _memory(step, array.nbytes).view(array.dtype).reshape(array.shape)
    try:
        imagecodecs.delta_decode(array, axis=codec.axis, dist=codec.dist, out=out)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return None
    return spec.prototype.nd_buffer.from_numpy_array(out)  # type: ignore[no-any-return]


def _decode_jpeg(step: int, codec: Any, data: Any, spec: Any) -> NDBuffer | None:
    """Decode JPEG of 8 bits with the shape of the chunk; else return `None`."""
    dtype = spec.dtype.to_native_dtype()
    if dtype != np.uint8 or codec.__class__.__module__ != "imagecodecs.zarr" or codec.header:
        return None
    out = _memory(step, prod(spec.shape)).reshape(spec.shape)
    # The decoder accepts the shape that it would make: without dimensions of size 1.
    shaped = out.reshape([n for n in spec.shape if n != 1] or [1])
    try:
        decoded = imagecodecs.jpeg8_decode(
            data.as_numpy_array(),
            tables=codec.tables,
            colorspace=codec.colorspace_jpeg,
            outcolorspace=codec.colorspace_data,
            fancyupsampling=codec.fancyupsampling,
            out=shaped,
        )
    except (RuntimeError, TypeError, ValueError):
        return None
    if decoded is not shaped:
        return None
    return spec.prototype.nd_buffer.from_numpy_array(out)  # type: ignore[no-any-return]


def _decode_sized(step: int, name: str, data: Any, spec: Any, size: int) -> Buffer | None:
    """Decode `data`, if it has `size` bytes; else return `None`."""
    # One byte more than expected: decoders of LZW stop at the end of the memory without an error.
    memory = _memory(step, size + 1)
    try:
        decoded = _SIZED[name](data.as_numpy_array(), out=memory)
    except RuntimeError:
        return None
    if len(decoded) != size:
        return None
    return spec.prototype.buffer.from_bytes(decoded)  # type: ignore[no-any-return]
