"""TIFFs made for the tests, by other people's writers, so that the pixels are known from outside.

`ENCODINGS` is the space of lossless encodings as data; `covering()` picks from it so few that
all can always run, and so many that every pair of choices occurs. `SPECIAL` lists what lies beside
that space: sparse files, odd bit widths, old tags. Every maker returns the pixels it was given, in
the order of a Zarr array: `(y, x)`, or `(band, y, x)` for several samples.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import tifffile
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from rasterio.windows import Window

type Pixels = NDArray[Any]
type Writer = Literal["tifffile", "rasterio"]

#: Neither a multiple of a tile nor of a strip, and unlike each other and any number of samples.
HEIGHT, WIDTH = 27, 37
TILE = (16, 32)
TRANSFORM = from_origin(500_000, 4_600_000, 10, 20)

#: How the image is cut up: RowsPerStrip, or `None` for tiles.
SEGMENTS: dict[str, int | None] = {
    "tiles": None,
    "strips-of-one-row": 1,
    "strips-dividing": 9,
    "strips-short-last": 7,
    "single-strip": HEIGHT,
}
#: Compression → (argument of tifffile, COMPRESS of GDAL); `None` where the writer has no such one.
COMPRESSIONS: dict[str, tuple[str | None, str | None]] = {
    "none": ("none", "NONE"),
    "deflate": ("adobe_deflate", "DEFLATE"),
    "deflate-32946": ("deflate", None),
    "lzw": ("lzw", "LZW"),
    "packbits": ("packbits", "PACKBITS"),
    "zstd": ("zstd", "ZSTD"),
    "lzma": ("lzma", "LZMA"),
}
INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One way to store an image; the defaults are the plainest."""

    dtype: str = "uint8"
    compression: str = "none"
    predictor: int = 1
    segments: str = "tiles"
    samples: int = 1
    planar: bool = False
    byte_order: Literal["little", "big"] = "little"
    big_tiff: bool = False
    writer: Writer = "tifffile"

    @property
    def name(self) -> str:
        """Identifier of a test."""
        layout = "planar" if self.planar else "chunky"
        return "-".join(
            (
                self.dtype,
                self.compression,
                f"predictor{self.predictor}",
                self.segments,
                f"{self.samples}{layout}",
                self.byte_order,
                "big-tiff" if self.big_tiff else "classic",
                self.writer,
            )
        )


AXES: dict[str, tuple[Any, ...]] = {
    "dtype": INTEGERS + FLOATS + COMPLEX,
    "compression": tuple(COMPRESSIONS),
    "predictor": (1, 2, 3),
    "segments": tuple(SEGMENTS),
    "samples": (1, 2, 3, 4),
    "planar": (False, True),
    "byte_order": ("little", "big"),
    "big_tiff": (False, True),
    "writer": ("tifffile", "rasterio"),
}


def is_writable(encoding: Encoding) -> bool:
    """Whether TIFF has such an encoding and the writer can write it."""
    e = encoding
    by_tifffile, by_gdal = COMPRESSIONS[e.compression]
    if (by_tifffile if e.writer == "tifffile" else by_gdal) is None:
        return False
    if e.planar and e.samples == 1:
        return False
    if e.predictor == 1:
        return True
    if e.compression in ("none", "packbits"):
        # libtiff has no predictor there, and ignores the tag.
        return False
    if e.writer == "rasterio":
        # GDAL writes no predictor with LZMA, and predictor 3 from 32 bits on.
        if e.compression == "lzma":
            return False
        return e.dtype in (INTEGERS + FLOATS if e.predictor == 2 else FLOATS[1:])
    return e.dtype in (INTEGERS if e.predictor == 2 else FLOATS)


#: Axes that `is_writable` looks at; the others go with anything.
_CONSTRAINED = ("dtype", "compression", "predictor", "samples", "planar", "writer")
_CHAIN = ("dtype", "compression", "predictor")

type _Choices = dict[str, Any]
type _Feature = tuple[tuple[str, Any], ...]


@cache
def covering(seed: int = 0) -> tuple[Encoding, ...]:
    """Choose a few encodings in which every possible pair of choices occurs.

    Every possible triple of data type, compression and predictor occurs too, since the codec
    chain depends on those together.
    """
    rng = random.Random(seed)
    possible = list(_possible())
    # A dict, since the order of a set of strings differs from process to process, and all
    # processes of a parallel run have to name the same tests.
    missing = dict.fromkeys(_all_features(possible))
    chosen: list[Encoding] = []
    while missing:
        target = dict(next(iter(missing)))
        matching = [p for p in possible if all(p.get(k, v) == v for k, v in target.items())]
        trials = [
            {name: rng.choice(values) for name, values in AXES.items()} | p | target
            for p in rng.sample(matching, min(len(matching), 16))
        ]
        best = max(trials, key=lambda t: sum(f in missing for f in _features(t)))
        for feature in _features(best):
            missing.pop(feature, None)
        chosen.append(Encoding(**best))
    return tuple(sorted(chosen, key=lambda e: e.name))


def _possible() -> Iterator[_Choices]:
    for values in product(*(AXES[name] for name in _CONSTRAINED)):
        choices = dict(zip(_CONSTRAINED, values, strict=True))
        if is_writable(Encoding(**choices)):
            yield choices


def _all_features(possible: list[_Choices]) -> Iterator[_Feature]:
    free = [name for name in AXES if name not in _CONSTRAINED]
    for choices in possible:
        yield from _features(choices)
    for one, other in combinations(AXES, 2):
        if one in free or other in free:
            for values in product(AXES[one], AXES[other]):
                yield tuple(zip((one, other), values, strict=True))


def _features(choices: _Choices) -> list[_Feature]:
    items = [(name, choices[name]) for name in AXES if name in choices]
    return [*combinations(items, 2), tuple(i for i in items if i[0] in _CHAIN)]


def pixels(dtype: str, shape: tuple[int, ...], seed: int = 0) -> Pixels:
    """Make pixels that are partly smooth, partly random, and that hold the extremes of their type.

    Floats hold NaN, both infinities and minus zero, so compare with `same_bits`.
    """
    rng = np.random.default_rng([seed, *shape])
    kind = np.dtype(dtype)
    if kind.kind == "c":
        half = f"float{kind.itemsize * 4}"
        out = np.empty(shape, kind)
        out.real, out.imag = pixels(half, shape, seed), pixels(half, shape, seed + 1)
        return out
    size = int(np.prod(shape))
    smooth = np.arange(size).reshape(shape) % 97
    if kind.kind == "f":
        values = np.where(smooth % 3 == 0, rng.normal(0, 1000, shape), smooth / 8).astype(kind)
        special = [np.nan, np.inf, -np.inf, -0.0, np.finfo(kind).max, np.finfo(kind).tiny]
    else:
        limits = np.iinfo(kind)
        noise = rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
        values = np.where(smooth % 3 == 0, noise, smooth.astype(kind))
        special = [limits.min, limits.max]
    special = special[:size]
    values.flat[rng.choice(size, len(special), replace=False)] = np.array(special, kind)
    return values


def same_bits(one: Pixels, other: Pixels) -> bool:
    """Whether two arrays are equal to the last bit, NaN payloads and signs of zero included."""
    return (
        one.shape == other.shape
        and one.dtype == other.dtype
        and np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
    )


def write(
    encoding: Encoding,
    path: Path,
    *,
    height: int = HEIGHT,
    width: int = WIDTH,
    cut: int | tuple[int, int] | None = None,
) -> Pixels:
    """Write a TIFF of this encoding and return its pixels.

    Parameters
    ----------
    height, width
        In pixels.
    cut
        Rows of a strip, or rows and columns of a tile, instead of what `encoding.segments` says.
    """
    if cut is None:
        cut = SEGMENTS[encoding.segments] or TILE
    shape = (height, width) if encoding.samples == 1 else (encoding.samples, height, width)
    data = pixels(encoding.dtype, shape)
    if encoding.writer == "rasterio":
        write_with_rasterio(path, data, **_gdal_options(encoding, cut, height))
    else:
        _write_with_tifffile(encoding, cut, path, data)
    return data


def _gdal_options(encoding: Encoding, cut: int | tuple[int, int], height: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "COMPRESS": COMPRESSIONS[encoding.compression][1],
        "INTERLEAVE": "BAND" if encoding.planar else "PIXEL",
        "ENDIANNESS": encoding.byte_order.upper(),
        "BIGTIFF": "YES" if encoding.big_tiff else "NO",
    }
    if isinstance(cut, tuple):
        options |= {"TILED": "YES", "BLOCKYSIZE": cut[0], "BLOCKXSIZE": cut[1]}
    else:
        options |= {"BLOCKYSIZE": min(cut, height)}
    if encoding.predictor != 1:
        options |= {"PREDICTOR": encoding.predictor}
    return options


def write_with_rasterio(path: Path, data: Pixels, *, dtype: str = "", **options: Any) -> None:
    """Write `(y, x)` or `(band, y, x)` pixels with GDAL's creation options."""
    bands = data if data.ndim == 3 else data[None]
    profile = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": dtype or data.dtype.name,
        "crs": "EPSG:32633",
        "transform": TRANSFORM,
    }
    with rasterio.open(path, "w", **(profile | options)) as file:
        file.write(bands)


def write_window(
    path: Path,
    part: Pixels | None,
    shape: tuple[int, ...],
    window: tuple[slice, slice],
    *,
    count: int = 0,
    dtype: str = "",
    **options: Any,
) -> None:
    """Write a window of an image with GDAL, and nothing of the rest.

    Parameters
    ----------
    part
        `(band, y, x)` pixels of the window; `None` writes none at all, and needs `count` and
        `dtype`.
    shape
        Height and width of the image.
    """
    profile = {
        "count": count if part is None else part.shape[0],
        "height": shape[0],
        "width": shape[1],
        "dtype": dtype if part is None else part.dtype.name,
        "crs": "EPSG:32633",
        "transform": TRANSFORM,
    }
    with rasterio.open(path, "w", driver="GTiff", **(profile | options)) as file:
        if part is not None:
            file.write(part, window=Window.from_slices(*window))


def _write_with_tifffile(
    encoding: Encoding, cut: int | tuple[int, int], path: Path, data: Pixels
) -> None:
    several = encoding.samples > 1
    segments: dict[str, Any] = {"tile": cut} if isinstance(cut, tuple) else {"rowsperstrip": cut}
    tifffile.imwrite(
        path,
        np.moveaxis(data, 0, -1) if several and not encoding.planar else data,
        photometric="minisblack",
        planarconfig=("separate" if encoding.planar else "contig") if several else None,
        compression=COMPRESSIONS[encoding.compression][0],
        predictor=encoding.predictor if encoding.predictor != 1 else None,
        byteorder=">" if encoding.byte_order == "big" else "<",
        bigtiff=encoding.big_tiff,
        metadata=None,
        software=False,
        **segments,
    )


# --- what others read ------------------------------------------------------------------------


def read_with_tifffile(path: Path, page: int = 0) -> Pixels:
    """Pixels as tifffile decodes them, bands first."""
    with tifffile.TiffFile(path) as tif:
        return bands_first(tif.pages[page])


def bands_first(page: Any) -> Pixels:
    """Pixels of a tifffile page, `(y, x)` or `(band, y, x)`."""
    data: Pixels = page.asarray()
    if page.samplesperpixel > 1 and page.planarconfig == 1:
        return np.moveaxis(data, -1, 0)
    return data


def read_with_rasterio(path: Path | str) -> Pixels:
    """Pixels of the first image as GDAL decodes them, `(y, x)` or `(band, y, x)`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            data: Pixels = file.read()
    return data[0] if data.shape[0] == 1 else data
