"""Encodings → codec chains, against what tifffile writes for the same file, and by rule.

tifffile writes Zarr v3 references itself, of the codecs that `imagecodecs.zarr` registers. It puts
the band axis last where samples are interleaved, and refuses short last strips.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from zarr.core.buffer import cpu
from zarr.storage import MemoryStore

from tests.helpers.ifd import make_ifd
from tests.helpers.make import Encoding, Pixels, covering, same_bits, write
from tests.helpers.read import local_registry, numcodecs_names
from tests.helpers.special import parameters, write_special
from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.encoding.codec_chain import codec_chain
from virtual_tiff.planning.encoding.data_type import sample_type
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.tags import Tag

#: Codecs that decode alike: ours, which more readers know, and tifffile's.
ALIKE = {
    "numcodecs.zlib": "imagecodecs_zlib",
    "numcodecs.lzma": "imagecodecs_lzma",
    "zstd": "imagecodecs_zstd",
}
#: Every name that zarr finds once imagecodecs-zarr is installed.
REGISTERED = {
    point.name
    for point in entry_points(group="zarr.codecs")
    if point.dist is not None and point.dist.name in ("imagecodecs-zarr", "zarr")
} | {"bytes", "transpose", "zstd", "numcodecs.zlib", "numcodecs.lzma"}


def references_of_tifffile(path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """Array metadata and chunk references (offset, length) that tifffile writes."""
    with tifffile.TiffFile(path) as tif, tif.pages[0].aszarr() as store:
        text = io.StringIO()
        store.write_fsspec(text, url="", zarr_format=3)
    found = json.loads(text.getvalue())
    metadata = json.loads(found.pop("zarr.json"))
    return metadata, {key: (offset, length) for key, (_, offset, length) in found.items()}


def read_references(
    path: Path, metadata: dict[str, Any], references: dict[str, tuple[int, int]]
) -> Pixels:
    """Pixels that zarr reads from references."""
    data = path.read_bytes()
    items = {"zarr.json": json.dumps(metadata).encode()}
    items |= {key: data[offset : offset + length] for key, (offset, length) in references.items()}
    with numcodecs_names():
        array = zarr.open_array(
            MemoryStore({key: cpu.Buffer.from_bytes(value) for key, value in items.items()}),
            mode="r",
            zarr_format=3,
        )
        return np.asarray(array[...])


def comparable(codec: Any) -> dict[str, Any]:
    """A codec as tifffile names it; configurations that only an encoder reads are left out."""
    name = ALIKE.get(codec["name"], codec["name"])
    configuration = {} if name in ALIKE.values() else codec.get("configuration") or {}
    return {"name": name, "configuration": configuration}


def plan_of(path: Path, **options: Any) -> ArrayPlan:
    """Plan of the first image."""
    return VirtualTIFF(ifd=0, **options).plan(f"file://{path}", local_registry()).arrays["0"]


@pytest.mark.parametrize("encoding", covering(), ids=lambda e: e.name)
def test_chain_is_that_of_tifffile(encoding: Encoding, tmp_path: Path) -> None:
    if encoding.segments == "strips-short-last":
        # The chain does not depend on it, and tifffile writes no references of short strips.
        encoding = replace(encoding, segments="strips-dividing")
    path = tmp_path / "image.tif"
    written = write(encoding, path)
    metadata, references = references_of_tifffile(path)
    chunky = encoding.samples > 1 and not encoding.planar
    expected = np.moveaxis(written, 0, -1) if chunky else written
    assert same_bits(read_references(path, metadata, references), expected)

    plan = plan_of(path, band_axis="last" if chunky else "first")
    assert [comparable(c) for c in plan.codecs] == [comparable(c) for c in metadata["codecs"]]
    assert list(plan.shape) == metadata["shape"]
    assert plan.data_type.name == metadata["data_type"]
    if encoding.compression != "none" or encoding.segments == "tiles":
        assert list(plan.chunk_shape) == metadata["chunk_grid"]["configuration"]["chunk_shape"]
        ours = {
            "c/" + "/".join(map(str, index)): (int(plan.offsets[index]), int(plan.lengths[index]))
            for index in np.ndindex(plan.grid_shape)
        }
        assert ours == references


#: Special files of which tifffile writes references: the others have short last strips, or
#: samples packed to the bit.
KNOWN_TO_TIFFFILE = (
    "gdal:tile-larger-than-image",
    "gdal:one-pixel",
    "gdal:one-row",
    "gdal:many-bands",
    "gdal:alpha",
    "gdal:webp-lossless",
    "gdal:jpeg-grey",
    "gdal:jpeg-rgb",
    "gdal:jpeg-ycbcr",
    "tifffile:extra-samples",
    "tifffile:planar-with-alpha",
    "tifffile:palette",
    "tifffile:jpeg-2000",
    "tifffile:jpeg-xl",
    "tifffile:jpeg-xr",
    "tifffile:jpeg-default-subsampling",
    "tifffile:many-one-row-strips",
)
#: Codecs whose configuration tifffile leaves to what the stream says of itself.
SELF_DESCRIBING = {"imagecodecs_jpeg", "imagecodecs_webp"}


@pytest.mark.parametrize("name", KNOWN_TO_TIFFFILE)
def test_chain_of_special_files_is_that_of_tifffile(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special(name, path)
    metadata, _ = references_of_tifffile(path)
    plan = plan_of(path, band_axis="last" if _is_chunky(path) else "first")
    ours = [comparable(codec) for codec in plan.codecs]
    theirs = [comparable(codec) for codec in metadata["codecs"]]
    for codec in (*ours, *theirs):
        if codec["name"] in SELF_DESCRIBING:
            codec["configuration"] = {}
    assert ours == theirs


def _is_chunky(path: Path) -> bool:
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        return bool(page.samplesperpixel > 1 and page.planarconfig == 1)


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", parameters())
def test_every_name_is_registered_by_somebody_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_special(name, path)
    plan = VirtualTIFF().plan(f"file://{path}", local_registry())
    for array in plan.arrays.values():
        for codec in array.codecs:
            assert codec["name"] in REGISTERED
            # zarrs skips a codec that it need not understand, and returns wrong pixels.
            assert codec.keys() <= {"name", "configuration"}
            json.dumps(codec)


# --- by rule ----------------------------------------------------------------------------------

TRANSPOSE = {"name": "transpose", "configuration": {"order": [1, 2, 0]}}
BYTES = {"name": "bytes"}
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
ZLIB = {"name": "numcodecs.zlib", "configuration": {"level": 6}}
ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
LZMA = {"name": "numcodecs.lzma", "configuration": {"format": 1}}
LZW = {"name": "imagecodecs_lzw"}
PACKBITS = {"name": "imagecodecs_packbits"}


def delta(axis: int) -> dict[str, Any]:
    """Horizontal differencing along an axis."""
    return {"name": "imagecodecs_delta", "configuration": {"axis": axis, "dist": 1}}


def floatpred(axis: int) -> dict[str, Any]:
    """Floating-point predictor along an axis."""
    return {"name": "imagecodecs_floatpred", "configuration": {"axis": axis, "dist": 1}}


def packints(bits: int, runlen: int) -> dict[str, Any]:
    """Samples packed to the bit, in rows of whole bytes."""
    return {
        "name": "imagecodecs_packints",
        "configuration": {"bitspersample": bits, "runlen": runlen},
    }


def chain_of(*, band_axis: str = "first", **fields: Any) -> list[Any]:
    """Chain of a directory made of `fields`."""
    ifd = make_ifd(**fields)
    bands_last = band_axis == "last" and ifd.samples_per_pixel > 1
    return list(codec_chain(ifd, sample_type(ifd), bands_last=bands_last))


@pytest.mark.parametrize(
    ("fields", "chain"),
    [
        ({}, [BYTES]),
        ({"bits": 16}, [LITTLE]),
        ({"bits": 16, "byte_order": "big"}, [BIG]),
        ({"byte_order": "big"}, [BYTES]),
        ({"samples": 3}, [TRANSPOSE, BYTES]),
        ({"samples": 3, "planar_configuration": 2}, [BYTES]),
        ({"samples": 3, "band_axis": "last"}, [BYTES]),
        ({"compression": 8}, [BYTES, ZLIB]),
        ({"compression": 32946}, [BYTES, ZLIB]),
        ({"compression": 5}, [BYTES, LZW]),
        ({"compression": 32773}, [BYTES, PACKBITS]),
        ({"compression": 50000}, [BYTES, ZSTD]),
        ({"compression": 34925}, [BYTES, LZMA]),
        ({"compression": 8, "predictor": 2, "bits": 16}, [delta(-1), LITTLE, ZLIB]),
        (
            {"compression": 5, "predictor": 2, "samples": 3},
            [delta(-1), TRANSPOSE, BYTES, LZW],
        ),
        (
            {"compression": 5, "predictor": 2, "samples": 3, "band_axis": "last"},
            [delta(-2), BYTES, LZW],
        ),
        (
            {
                "compression": 5,
                "predictor": 2,
                "samples": 3,
                "planar_configuration": 2,
                "band_axis": "last",
            },
            [delta(-2), BYTES, LZW],
        ),
        (
            {"compression": 8, "predictor": 3, "bits": 32, "sample_format": 3},
            [floatpred(-1), ZLIB],
        ),
        (
            {"compression": 8, "predictor": 3, "bits": 32, "sample_format": 3, "samples": 3},
            [TRANSPOSE, floatpred(-2), ZLIB],
        ),
        # libtiff has no predictor there, and ignores the tag.
        ({"predictor": 2}, [BYTES]),
        ({"bits": 1}, [packints(1, 5)]),
        ({"bits": 12, "samples": 3}, [TRANSPOSE, packints(12, 15)]),
        ({"bits": 12, "samples": 3, "planar_configuration": 2}, [packints(12, 5)]),
        ({"bits": 4, "compression": 8}, [packints(4, 5), ZLIB]),
        ({"fill_order": 2}, [{"name": "imagecodecs_bitorder"}, BYTES]),
    ],
)
def test_chain(fields: dict[str, Any], chain: list[Any]) -> None:
    assert chain_of(**fields) == chain


@pytest.mark.parametrize(
    ("fields", "kind", "tag"),
    [
        ({"compression": 32809}, ErrorKind.UNSUPPORTED_COMPRESSION, Tag.COMPRESSION),
        ({"compression": 34676}, ErrorKind.UNSUPPORTED_COMPRESSION, Tag.COMPRESSION),
        ({"compression": 65_000}, ErrorKind.UNSUPPORTED_COMPRESSION, Tag.COMPRESSION),
        ({"compression": 8, "predictor": 3}, ErrorKind.UNSUPPORTED_PREDICTOR, Tag.PREDICTOR),
        ({"compression": 8, "predictor": 4}, ErrorKind.UNSUPPORTED_PREDICTOR, Tag.PREDICTOR),
        (
            {"compression": 8, "predictor": 3, "bits": 128, "sample_format": 6},
            ErrorKind.UNSUPPORTED_PREDICTOR,
            Tag.PREDICTOR,
        ),
        ({"compression": 32773, "predictor": 2}, ErrorKind.UNSUPPORTED_PREDICTOR, Tag.PREDICTOR),
        (
            {"compression": 8, "predictor": 2, "bits": 12},
            ErrorKind.UNSUPPORTED_PREDICTOR,
            Tag.PREDICTOR,
        ),
        (
            {"compression": 8, "predictor": 2, "bits": 64, "sample_format": 6},
            ErrorKind.UNSUPPORTED_PREDICTOR,
            Tag.PREDICTOR,
        ),
        (
            {"samples": 3, "photometric_interpretation": 6},
            ErrorKind.UNSUPPORTED_COLOR,
            Tag.YCBCR_SUBSAMPLING,
        ),
    ],
)
def test_no_chain(fields: dict[str, Any], kind: ErrorKind, tag: Tag) -> None:
    with pytest.raises(UnsupportedTIFFError) as caught:
        chain_of(**fields)
    assert (caught.value.kind, caught.value.ifd, caught.value.tag) == (kind, (0,), tag)
