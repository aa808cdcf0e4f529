"""Find the Zarr clients that decode an array, by codecs and data type.

===========================  ======================================================================
client                       decodes
===========================  ======================================================================
zarr-python                  core codecs and `numcodecs.*`
… with imagecodecs-zarr      also `imagecodecs_*`
zarrs (Rust, 0.2.3 wheel)    `bytes`, `transpose`, `gzip`, `zstd`, `crc32c`, `blosc`,
                             `numcodecs.zlib`; not big-endian complex numbers, whose bytes it swaps
                             as those of one number
zarrita.js (0.7, Node 20)    the same; not float16 or complex numbers, which JavaScript lacks
===========================  ======================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from virtual_tiff.planning.plan import Codec

_CORE = frozenset({"bytes", "transpose", "gzip", "zstd", "crc32c", "blosc"})
_ELSEWHERE = _CORE | {"numcodecs.zlib"}


class Reader(StrEnum):
    """A Zarr client, with additional packages where needed."""

    ZARR_PYTHON = "zarr-python"
    IMAGECODECS = "zarr-python with imagecodecs-zarr"
    ZARRS = "zarrs"
    ZARRITA = "zarrita.js"


def readers(codecs: Sequence[Codec], data_type: str) -> tuple[Reader, ...]:
    """Return the clients that decode an array exactly.

    Parameters
    ----------
    codecs
        Zarr v3 codec metadata.
    data_type
        Zarr v3 name, such as `uint16`.
    """
    names = {str(codec["name"]) for codec in codecs}
    is_complex = data_type.startswith("complex")
    found = []
    if all(name in _CORE or name.startswith("numcodecs.") for name in names):
        found.append(Reader.ZARR_PYTHON)
    if all(name in _CORE or name.startswith(("numcodecs.", "imagecodecs_")) for name in names):
        found.append(Reader.IMAGECODECS)
    if names <= _ELSEWHERE and not (is_complex and _is_big_endian(codecs)):
        found.append(Reader.ZARRS)
    if names <= _ELSEWHERE and not is_complex and data_type != "float16":
        found.append(Reader.ZARRITA)
    return tuple(found)


def _is_big_endian(codecs: Sequence[Codec]) -> bool:
    for codec in codecs:
        configuration = codec.get("configuration")
        if isinstance(configuration, dict) and configuration.get("endian") == "big":
            return True
    return False
