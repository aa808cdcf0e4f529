"""Decode one chunk by all codecs of an array, into memory that a thread keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from zarr.buffer import cpu
from zarr.codecs import BytesCodec, TransposeCodec

if TYPE_CHECKING:
    from numpy.typing import NDArray
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
_PLACED = object()  # a decoder wrote into the place of the chunk


@dataclass(frozen=True, slots=True)
class Step:
    """A codec of an array, and what it returns for a chunk.

    Parameters
    ----------
    number
        Position among the codecs, for the scratch memory.
    name
        Name in the metadata of the array; `None` for codecs of Zarr v2.
    codec
        The codec.
    spec
        `ArraySpec` of the result.
    size
        Bytes of the result; `None` if they depend on the values.
    dtype
        Type as which bytes are seen, if that is all that the codec does.
    """

    number: int
    name: str | None
    codec: Any
    spec: Any
    size: int | None
    dtype: np.dtype[Any] | None


def plan_steps(codecs: Sequence[Any], names: Sequence[str | None], spec: Any) -> tuple[Step, ...]:
    """Plan the decoding of chunks that are as `spec` says, the last codec first."""
    steps: list[Step] = []
    size: int | None = prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
    for number, (name, codec) in enumerate(zip(names, codecs, strict=True)):
        steps.append(Step(number, name, codec, spec, size, _viewed_dtype(codec, size, spec)))
        size = _encoded_size(codec, size, spec)
        spec = codec.resolve_metadata(spec)
    return tuple(reversed(steps))


def decode_chunk(
    steps: Sequence[Step], chunk: Buffer, place: NDArray[Any] | None = None
) -> NDBuffer | None:
    """Decode a chunk.

    Parameters
    ----------
    steps
        Result of `plan_steps`.
    chunk
        The encoded chunk.
    place
        Memory of the shape and type of the chunk, which a decoder may write itself.

    Returns
    -------
    NDBuffer or None
        The chunk, maybe in memory that the next call in this thread overwrites; `None` if it is in
        `place`.
    """
    data: Any = chunk
    for step in steps:
        found: Any = None
        if step.dtype is not None:
            found = _view(step, step.dtype, data)
        elif step.name in _SIZED and step.size is not None:
            found = _decode_sized(step, step.size, data)
        elif step.name == "imagecodecs_delta":
            found = _decode_delta(step, data, _encoded_view(step, steps, place))
        elif step.name == "imagecodecs_floatpred":
            found = _decode_floats(step, data, _encoded_view(step, steps, place))
        elif step.name == "imagecodecs_jpeg":
            found = _decode_jpeg(step, data, _encoded_view(step, steps, place))
        if found is _PLACED:
            return None
        data = step.codec._decode_sync(data, step.spec) if found is None else found
    return data  # type: ignore[no-any-return]  # an array after the first of the codecs


def _encoded_view(
    step: Step, steps: Sequence[Step], place: NDArray[Any] | None
) -> NDArray[Any] | None:
    """Return `place` as the result of `step`, if only transposes follow; else `None`."""
    if place is None:
        return None
    for other in steps[: -step.number - 1 : -1]:
        if not isinstance(other.codec, TransposeCodec):
            return None
        place = place.transpose(other.codec.order)
    return place


def _encoded_size(codec: Any, size: int | None, spec: Any) -> int | None:
    """Return the size of `size` bytes after encoding; `None` if it depends on the values."""
    try:
        return None if size is None else codec.compute_encoded_size(size, spec)
    except NotImplementedError:
        return None


def _viewed_dtype(codec: Any, size: int | None, spec: Any) -> np.dtype[Any] | None:
    """Return the type as which `codec` sees bytes; `None` if it does something else."""
    if type(codec) is not BytesCodec or not size or spec.prototype.buffer is not cpu.Buffer:
        return None
    memory = np.empty(spec.dtype.to_native_dtype().itemsize, np.uint8)
    sample = replace(spec, shape=())
    decoded = codec._decode_sync(cpu.Buffer.from_array_like(memory), sample).as_numpy_array()
    return decoded.dtype if np.may_share_memory(decoded, memory) else None


def _view(step: Step, dtype: np.dtype[Any], data: Any) -> NDBuffer | None:
    """See bytes as samples, if there are as many as expected; else return `None`."""
    memory = data.as_numpy_array()
    if memory.size != step.size:
        return None
    return cpu.NDBuffer(memory.view(dtype).reshape(step.spec.shape))


def _memory(step: int, size: int) -> Any:
    """Return memory of a thread for a step of a chain; what was there is overwritten."""
    if size > _LARGEST_SCRATCH:
        return np.empty(size, np.uint8)
    kept: dict[int, Any] = _scratch.__dict__.setdefault("kept", {})
    found = kept.get(step)
    if found is None or found.size < size:
        found = kept[step] = np.empty(size, np.uint8)
    return found[:size]


def _decode_delta(step: Step, data: Any, place: NDArray[Any] | None) -> Any:
    """Add up differences of integers in memory that is there; else return `None`."""
    array, spec = data.as_numpy_array(), step.spec
    if array.dtype.kind not in "iu" or not array.dtype.isnative or array.shape != spec.shape:
        return None
    out = place
    if out is None or out.dtype != array.dtype:
        out = _memory(step.number, array.nbytes).view(array.dtype).reshape(array.shape)
    try:
        imagecodecs.delta_decode(array, axis=step.codec.axis, dist=step.codec.dist, out=out)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return None
    return _PLACED if out is place else spec.prototype.nd_buffer.from_numpy_array(out)


def _decode_floats(step: Step, data: Any, place: NDArray[Any] | None) -> Any:
    """Decode predictor 3 along rows in memory that is there; else return `None`.

    A row has the differences of its bytes: the first bytes of all numbers, the second ones, and so
    on. imagecodecs adds up and gathers single bytes, which takes four times as long.
    """
    spec, encoded = step.spec, data.as_numpy_array()
    dtype = spec.dtype.to_native_dtype()
    is_along_rows = step.codec.dist == 1 and step.codec.axis in (-1, len(spec.shape) - 1)
    if not (spec.shape and is_along_rows and dtype.kind == "f" and dtype.isnative):
        return None
    if dtype.itemsize not in (2, 4, 8) or encoded.dtype != np.uint8 or encoded.size != step.size:
        return None
    rows = encoded.reshape(*spec.shape[:-1], -1)
    summed = _memory(step.number, encoded.size).reshape(rows.shape)
    try:
        imagecodecs.delta_decode(rows, axis=-1, out=summed)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return None
    planes = summed.reshape(*spec.shape[:-1], dtype.itemsize, spec.shape[-1])
    out = place
    if out is None or out.dtype != dtype:
        out = np.empty(spec.shape, dtype)
    words = out.view(f"u{dtype.itemsize}")
    np.copyto(words, planes[..., 0, :])
    for number in range(1, dtype.itemsize):
        np.left_shift(words, 8, out=words)
        np.bitwise_or(words, planes[..., number, :], out=words)
    return _PLACED if out is place else spec.prototype.nd_buffer.from_numpy_array(out)


def _decode_jpeg(step: Step, data: Any, place: NDArray[Any] | None) -> Any:
    """Decode JPEG of 8 bits with the shape of the chunk; else return `None`."""
    spec, codec = step.spec, step.codec
    dtype = spec.dtype.to_native_dtype()
    if dtype != np.uint8 or codec.__class__.__module__ != "imagecodecs.zarr" or codec.header:
        return None
    # Planes are copied from pixels of four bytes in half the time that NumPy needs for three.
    is_padded = (
        place is not None
        and place.dtype == np.uint8
        and place.shape[2:] == (3,)
        and place.strides[2] != 1
        and codec.colorspace_data == "RGB"
    )
    shape = (*spec.shape[:2], 4) if is_padded else spec.shape
    # Words that begin at the third byte of the last pixel end behind it.
    memory = _memory(step.number, prod(shape) + 4)
    out = memory[:-4].reshape(shape)
    # The decoder accepts the shape that it would make: without dimensions of size 1.
    shaped = out if is_padded else out.reshape([n for n in shape if n != 1] or [1])
    try:
        decoded = imagecodecs.jpeg8_decode(
            data.as_numpy_array(),
            tables=codec.tables,
            colorspace=codec.colorspace_jpeg,
            outcolorspace="RGBX" if is_padded else codec.colorspace_data,
            fancyupsampling=codec.fancyupsampling,
            out=shaped,
        )
    except (RuntimeError, TypeError, ValueError):
        return None
    if decoded is not shaped:
        return None
    if is_padded:
        assert place is not None
        _copy_planes(memory, place)
        return _PLACED
    return spec.prototype.nd_buffer.from_numpy_array(out)


def _copy_planes(memory: NDArray[np.uint8], place: NDArray[Any]) -> None:
    """Copy three of four interleaved bytes.

    NumPy narrows words with vector instructions, wherever they begin, and copies strided bytes one
    by one.
    """
    for band in range(3):
        words = np.ndarray(place.shape[:2], "<u4", memory, band)
        np.copyto(place[..., band], words, casting="unsafe")


def _decode_sized(step: Step, size: int, data: Any) -> Buffer | None:
    """Decode `data`, if it has `size` bytes; else return `None`."""
    # One byte more than expected: decoders of LZW stop at the end of the memory without an error.
    memory = _memory(step.number, size + 1)
    try:
        decoded = _SIZED[step.name or ""](data.as_numpy_array(), out=memory)
    except RuntimeError:
        return None
    if len(decoded) != size:
        return None
    return step.spec.prototype.buffer.from_bytes(decoded)  # type: ignore[no-any-return]
