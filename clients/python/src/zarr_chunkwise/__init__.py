"""A codec pipeline for zarr-python that reads whole arrays in less time.

Optional; zarr-python's own pipeline returns the same values from the same codecs. The configuration
of zarr-python selects it::

    zarr.config.set({"codec_pipeline.path": "zarr_chunkwise.ChunkwiseCodecPipeline"})

or ``ZARR_CODEC_PIPELINE__PATH`` in the environment. No import is needed where the distribution is
installed. The folder also works as a copy: import it first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Self

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
from zarr.buffer import cpu
from zarr.codecs import BytesCodec, TransposeCodec
from zarr.registry import register_pipeline

from zarr_chunkwise._decoding import Step, decode_chunk, plan_steps
from zarr_chunkwise._fetching import fetch_all, keep_freed_memory
from zarr_chunkwise._local import Accepted, LocalChunk, LocalFiles
from zarr_chunkwise._threads import DecodingThreads

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, NDBuffer

    type Codec = ArrayArrayCodec | ArrayBytesCodec | BytesBytesCodec
    # Location of a chunk, its ArraySpec, the selections in chunk and output, and whether it is
    # complete.
    type Item = tuple[Any, Any, Any, Any, bool]

# By its path in the configuration: zarr-python may be loading this module to look a pipeline up.
_Default = resolve_name("zarr.core.codec_pipeline.BatchedCodecPipeline")
_SLICES = {slice}
_PLAIN = (BytesCodec, TransposeCodec)
_PRESENT, _MISSING = GetResult(status="present"), GetResult(status="missing")


@dataclass(frozen=True, slots=True)
class ChunkwiseCodecPipeline(CodecPipeline):
    """A pipeline that fetches, decodes and copies each chunk independently, in one thread.

    zarr-python's pipeline changes threads for each codec, copies every chunk into the result in the
    thread of the event loop, and cannot tell a decoder the size of its output. Writing, and arrays
    with sharding or asynchronous codecs, use zarr-python's pipeline.

    At most `async.concurrency` chunks are requested, and as many wait for one of
    `threading.max_workers` threads that decode.
    """

    codecs: tuple[Codec, ...]
    default: CodecPipeline
    _names: tuple[Any, ...] = field(init=False, repr=False)
    _accepted: Accepted = field(init=False, repr=False, compare=False, default_factory=Accepted)

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
        keep_freed_memory()
        if len(items) == 1:
            return (await self._read_one(items[0], out, drop_axes),)
        most = zarr.config.get("async.concurrency") or max(1, len(items))
        # By the identity of an ArraySpec, which `items` keep: those of a regular grid are one.
        steps: dict[int, tuple[Step, ...]] = {}
        place = partial(self._place, out=out, drop_axes=drop_axes, steps=steps)
        decoding = DecodingThreads(place, most)
        local = await LocalFiles.of(items, self._accepted)
        try:
            decoding.put((chunk, *items[i][1:4]) for i, chunk in local.chunks.items())
            others = [item for i, item in enumerate(items) if i not in local.chunks]
            present = await fetch_all(others, most, decoding)
            await local.check()
            await decoding.finish()
            if not local.are_same():
                # The store tells what is wrong, or has a file of the same content.
                again = [items[i] for i in local.chunks]
                await fetch_all(again, most, decoding)
                await decoding.finish()
        except BaseException:
            await decoding.abandon()
            raise
        results = iter(present)
        return tuple(
            _PRESENT if i in local.chunks or next(results) else _MISSING for i in range(len(items))
        )

    async def _read_one(self, item: Item, out: NDBuffer, drop_axes: tuple[int, ...]) -> GetResult:
        """Read one chunk; a thread decodes it, unless it need not be decoded."""
        getter, spec, chosen, target, _ = item
        chunk = await getter.get(prototype=spec.prototype)
        place = partial(self._place, chunk, spec, chosen, target, out, drop_axes, {})
        if chunk is None or all(isinstance(codec, _PLAIN) for codec in self.codecs):
            place()
        else:
            await asyncio.to_thread(place)
        return _MISSING if chunk is None else _PRESENT

    def _place(
        self,
        chunk: Buffer | LocalChunk | None,
        spec: Any,
        chunk_selection: Any,
        out_selection: Any,
        out: NDBuffer,
        drop_axes: tuple[int, ...],
        steps: dict[int, tuple[Step, ...]],
    ) -> None:
        """Decode a chunk into its part of `out`; parts of chunks do not overlap."""
        if isinstance(chunk, LocalChunk):
            data = chunk.read()
            if data is not None:
                try:
                    self._place(data, spec, chunk_selection, out_selection, out, drop_axes, steps)
                except Exception:  # the store tells whether the file was changed
                    chunk.files.are_wrong = True
            return
        if chunk is None:
            # Only Zarr v2 arrays may have no fill value.
            missing = spec.fill_value is None
            out[out_selection] = spec.dtype.default_scalar() if missing else spec.fill_value
            return
        planned = steps.get(id(spec))
        if planned is None:
            planned = steps[id(spec)] = plan_steps(self.codecs, self._names, spec)
        place = None
        if not drop_axes and _is_whole(chunk_selection, spec.shape):
            place = _part(out, out_selection, spec)
        decoded = decode_chunk(planned, chunk, place)
        if decoded is None:
            return
        if place is not None:
            place[...] = decoded.as_numpy_array()
            return
        decoded = decoded[chunk_selection]
        out[out_selection] = decoded.squeeze(axis=drop_axes) if drop_axes else decoded

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


def _is_whole(selection: Any, shape: tuple[int, ...]) -> bool:
    """Return whether `selection` selects a whole chunk, in order."""
    return _is_slices(selection) and selection == tuple([slice(0, n, 1) for n in shape])


def _is_slices(selection: Any) -> bool:
    """Return whether `selection` is a tuple of slices; arrays cannot be compared."""
    return isinstance(selection, tuple) and {*map(type, selection)} <= _SLICES


def _part(out: NDBuffer, selection: Any, spec: Any) -> NDArray[Any] | None:
    """Return the part of `out` for a whole chunk as a view; `None` if it is not one."""
    if type(out) is not cpu.NDBuffer or not _is_slices(selection):
        return None
    array = out.as_numpy_array()[selection]
    if type(array) is not np.ndarray or array.shape != spec.shape:
        return None
    return array if array.dtype == spec.dtype.to_native_dtype() else None


register_pipeline(ChunkwiseCodecPipeline)
