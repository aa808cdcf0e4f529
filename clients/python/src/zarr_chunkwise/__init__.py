"""A codec pipeline for zarr-python that reads whole arrays in less time.

Optional; zarr-python's own pipeline returns the same values from the same codecs. The configuration
of zarr-python selects it::

    zarr.config.set({"codec_pipeline.path": "zarr_chunkwise.ChunkwiseCodecPipeline"})

or ``ZARR_CODEC_PIPELINE__PATH`` in the environment. No import is needed where the distribution is
installed. The folder also works as a copy: import it first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Self

import imagecodecs
import numpy as np
import zarr
from zarr.abc.codec import (
    ArrayArrayCodec,
    ArrayBytesCodec,
    ArrayBytesCodecPartialDecodeMixin,
    BytesBytesCodec,
    CodecPipeline,
    GetResult,
    SupportsSyncCodec,
)
from zarr.registry import register_pipeline

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer, NDBuffer

    type Codec = ArrayArrayCodec | ArrayBytesCodec | BytesBytesCodec
    # Location of a chunk, its ArraySpec, the selections in chunk and output, and whether it is
    # complete.
    type Item = tuple[Any, Any, Any, Any, bool]

# By its path in the configuration: zarr-python may be loading this module to look a pipeline up.
_Default = resolve_name("zarr.core.codec_pipeline.BatchedCodecPipeline")

# Decoders that are faster with a known size of their output. If the stream has another size, they
# raise or return another number of bytes; the registered codec decodes it then.
_SIZED: dict[str, Callable[..., Any]] = {
    "numcodecs.zlib": imagecodecs.deflate_decode,  # libdeflate instead of zlib
    "imagecodecs_lzw": imagecodecs.lzw_decode,  # without a pass that counts the output
}


@dataclass(frozen=True, slots=True)
class ChunkwiseCodecPipeline(CodecPipeline):
    """A pipeline that fetches, decodes and copies each chunk independently, in one thread.

    zarr-python's pipeline changes threads for each codec, copies every chunk into the result in the
    thread of the event loop, and cannot tell a decoder the size of its output. Writing, and arrays
    with sharding or asynchronous codecs, use zarr-python's pipeline.

    At most `async.concurrency` chunks are in flight; `threading.max_workers` threads decode.
    """

    codecs: tuple[Codec, ...]
    default: CodecPipeline
    _names: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Codecs of Zarr v2 have no name. `to_dict` is expensive: it may encode whole tables for
        # JPEG.
        object.__setattr__(self, "_names", tuple(c.to_dict().get("name") for c in self.codecs))

    @classmethod
    def from_codecs(cls, codecs: Iterable[Codec]) -> Self:
        """Make the pipeline for an array."""
        codecs = tuple(codecs)
        return cls(codecs, _Default.from_codecs(codecs))

    def evolve_from_array_spec(self, array_spec: Any) -> Self:
        """Give every codec the specification of the chunk that it receives."""
        codecs: list[Codec] = []
        default = self.default.evolve_from_array_spec(array_spec)
        for codec in self.codecs:
            codecs.append(codec.evolve_from_array_spec(array_spec))
            array_spec = codecs[-1].resolve_metadata(array_spec)
        return type(self)(tuple(codecs), default)

    async def read(
        self, batch_info: Iterable[Item], out: NDBuffer, drop_axes: tuple[int, ...] = ()
    ) -> tuple[GetResult, ...]:
        """Read chunks into `out`.

        Raises
        ------
        Exception
            Error of the store or a codec for the first chunk that fails. No further chunks are
            started then.
        """
        if not all(map(_is_synchronous, self.codecs)):
            return await self.default.read(batch_info, out, drop_axes)
        items = list(batch_info)
        results: list[GetResult] = [GetResult(status="missing") for _ in items]
        waiting = iter(enumerate(items))

        async def work() -> None:
            # Workers share `waiting`, so that millions of chunks do not need millions of tasks.
            for number, (getter, spec, chunk_selection, out_selection, _) in waiting:
                chunk = await getter.get(prototype=spec.prototype)
                await asyncio.to_thread(
                    self._place, chunk, spec, chunk_selection, out_selection, out, drop_axes
                )
                if chunk is not None:
                    results[number] = GetResult(status="present")

        concurrency = zarr.config.get("async.concurrency") or len(items)
        workers = [asyncio.create_task(work()) for _ in range(min(concurrency, len(items)))]
        try:
            await asyncio.gather(*workers)
        except BaseException:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            raise
        return tuple(results)

    def _place(
        self,
        chunk: Buffer | None,
        spec: Any,
        chunk_selection: Any,
        out_selection: Any,
        out: NDBuffer,
        drop_axes: tuple[int, ...],
    ) -> None:
        """Decode a chunk into its part of `out`; parts of chunks do not overlap."""
        if chunk is None:
            # Only Zarr v2 arrays may have no fill value.
            missing = spec.fill_value is None
            out[out_selection] = spec.dtype.default_scalar() if missing else spec.fill_value
            return
        decoded = self._decode_chunk(chunk, spec)[chunk_selection]
        out[out_selection] = decoded.squeeze(axis=drop_axes) if drop_axes else decoded

    def _decode_chunk(self, chunk: Buffer, spec: Any) -> NDBuffer:
        """Apply the decoders, the last codec first."""
        steps: list[tuple[Any, Any, Any, int | None]] = []
        size: int | None = prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
        for name, codec in zip(self._names, self.codecs, strict=True):
            steps.append((name, codec, spec, size))
            size = _encoded_size(codec, size, spec)
            spec = codec.resolve_metadata(spec)
        data: Any = chunk
        for name, codec, spec, size in reversed(steps):
            sized = _decode_sized(name, data, spec, size)
            data = codec._decode_sync(data, spec) if sized is None else sized
        return data  # type: ignore[no-any-return]  # an array after the first of `codecs`

    # Everything else is delegated to zarr-python's pipeline.

    @property
    def supports_partial_decode(self) -> bool:
        """Whether parts of a chunk can be read."""
        return self.default.supports_partial_decode

    @property
    def supports_partial_encode(self) -> bool:
        """Whether parts of a chunk can be written."""
        return self.default.supports_partial_encode

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Let every codec raise for an array that it does not support."""
        self.default.validate(shape=shape, dtype=dtype, chunk_grid=chunk_grid)

    def compute_encoded_size(self, byte_length: int, array_spec: Any) -> int:
        """Return the size of an encoded chunk, if it does not depend on its values."""
        return self.default.compute_encoded_size(byte_length, array_spec)

    async def decode(
        self, chunk_bytes_and_specs: Iterable[tuple[Buffer | None, Any]]
    ) -> Iterable[NDBuffer | None]:
        """Decode chunks that were fetched already."""
        return await self.default.decode(chunk_bytes_and_specs)

    async def encode(
        self, chunk_arrays_and_specs: Iterable[tuple[NDBuffer | None, Any]]
    ) -> Iterable[Buffer | None]:
        """Encode chunks."""
        return await self.default.encode(chunk_arrays_and_specs)

    async def write(
        self, batch_info: Iterable[Item], value: NDBuffer, drop_axes: tuple[int, ...] = ()
    ) -> None:
        """Encode chunks and store them."""
        await self.default.write(batch_info, value, drop_axes)


def _is_synchronous(codec: Codec) -> bool:
    """Return whether `codec` decodes whole chunks without an event loop."""
    return isinstance(codec, SupportsSyncCodec) and not isinstance(
        codec, ArrayBytesCodecPartialDecodeMixin
    )


def _encoded_size(codec: Codec, size: int | None, spec: Any) -> int | None:
    """Return the size of `size` bytes after encoding; `None` if it depends on the values."""
    try:
        return None if size is None else codec.compute_encoded_size(size, spec)
    except NotImplementedError:
        return None


def _decode_sized(name: Any, data: Any, spec: Any, size: int | None) -> Buffer | None:
    """Decode `data` to `size` bytes, if a decoder can use the size; else return `None`."""
    decode = _SIZED.get(name)
    if decode is None or size is None:
        return None
    # One byte more than expected: decoders of LZW stop at the end of the memory without an error.
    memory = np.empty(size + 1, np.uint8)
    try:
        decoded = decode(data.as_numpy_array(), out=memory)
    except RuntimeError:
        return None
    if len(decoded) != size:
        return None
    return spec.prototype.buffer.from_bytes(decoded)  # type: ignore[no-any-return]


register_pipeline(ChunkwiseCodecPipeline)
