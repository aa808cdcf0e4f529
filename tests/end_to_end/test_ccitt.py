"""Group 3 streams as fax software writes them: with fill bits that T4Options does not announce."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
import zarr

from tests.helpers.assemble import PLAIN, Field, assemble, changed, long, short
from tests.helpers.make import Pixels
from tests.helpers.read import images, local_registry
from virtual_tiff.errors import UnsupportedTIFFError
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.tags import FieldType, Tag

HEIGHT, WIDTH = 24, 200
EOL = "000000000001"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pixels, list[str]]:
    """An image, and the bits of its rows as libtiff encodes them."""
    pixels = (np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.2).astype("u1")
    pixels[3], pixels[4], pixels[:, 40:150] = 0, 1, 1
    path = tmp_path_factory.mktemp("fax") / "image.tif"
    options = {"NBITS": 1, "COMPRESS": "CCITTFAX3", "BLOCKYSIZE": HEIGHT}
    with rasterio.open(
        path, "w", "GTiff", WIDTH, HEIGHT, 1, dtype="uint8", photometric="MINISWHITE", **options
    ) as out:
        out.write(pixels, 1)
    with tifffile.TiffFile(path) as tif:
        (offset,), (size,) = tif.pages.first.dataoffsets, tif.pages.first.databytecounts
    bits = "".join(f"{byte:08b}" for byte in path.read_bytes()[offset : offset + size])
    return pixels, bits.split(EOL)[1:][:HEIGHT]


@pytest.mark.parametrize("options", [None, 0, 1, 4, 5])
@pytest.mark.parametrize("fill", ["none", "to a byte", "5 bits", "3 bytes", "before the first"])
def test_fill_bits_are_skipped_whatever_the_tag_says(
    fill: str, options: int | None, rows: tuple[Pixels, list[str]], tmp_path: Path
) -> None:
    pixels, codes = rows
    tag = "1" if (options or 0) & 1 else ""
    stream = ""
    for number, code in enumerate(codes):
        zeros = {"5 bits": 5, "3 bytes": 24, "to a byte": (4 - len(stream)) % 8}.get(fill, 0)
        stream += "0" * (13 if fill == "before the first" and number == 0 else zeros)
        stream += EOL + tag + code
    data = int(stream + "0" * (-len(stream) % 8), 2).to_bytes(-(-len(stream) // 8), "big")
    directory = changed(
        PLAIN,
        IMAGE_WIDTH=long(WIDTH),
        IMAGE_LENGTH=long(HEIGHT),
        ROWS_PER_STRIP=long(HEIGHT),
        BITS_PER_SAMPLE=short(1),
        COMPRESSION=short(3),
        PHOTOMETRIC_INTERPRETATION=short(0),
        STRIP_BYTE_COUNTS=long(len(data)),
    )
    if options is not None:
        directory[Tag.T4_OPTIONS] = Field(FieldType.LONG, (options,))
    path = tmp_path / "image.tif"
    path.write_bytes(assemble([directory], data=data))
    with rasterio.open(path) as image:
        assert np.array_equal(image.read(1), pixels)
    group = zarr.open_group(VirtualTIFF()(path.as_uri(), local_registry()), mode="r", zarr_format=3)
    ((_, array),) = images(group)
    assert np.array_equal(np.asarray(array[...]).squeeze(), pixels)


def _group_4(path: Path, code: str, *, directories: int = 1, fill_order: int = 1) -> None:
    """Write an image of 2 × 16 pixels from the bits of its Group 4 stream."""
    bits = code + "000000000001" * 2
    bits += "0" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    if fill_order == 2:
        data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    image = changed(
        PLAIN,
        FILL_ORDER=short(fill_order),
        IMAGE_WIDTH=long(16),
        IMAGE_LENGTH=long(2),
        ROWS_PER_STRIP=long(2),
        BITS_PER_SAMPLE=short(1),
        COMPRESSION=short(4),
        PHOTOMETRIC_INTERPRETATION=short(0),
        STRIP_BYTE_COUNTS=long(len(data)),
    )
    path.write_bytes(assemble([image] * directories, data=data))


#: Runs of 4 white and 4 black pixels; then pass mode, and 2 white and 3 black ones.
_FOUR_FOUR, _PASSED = "001" + "1011" + "011" + "1", "0001" + "001" + "0111" + "10" + "1"
_NO_PIXELS = "001" + "00110101" + "0000110111"


@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize(
    ("code", "codec"),
    [
        (_FOUR_FOUR + _PASSED, "imagecodecs_ccittfax4"),
        # Runs without pixels are changing elements for libtiff: pass mode ends with them.
        (_NO_PIXELS + _FOUR_FOUR + _PASSED, "imagecodecs_tiff"),
    ],
)
def test_group_4_is_what_libtiff_decodes(
    tmp_path: Path, code: str, codec: str, fill_order: int
) -> None:
    path = tmp_path / "image.tif"
    _group_4(path, code, fill_order=fill_order)
    with rasterio.open(path) as image:
        expected = image.read(1)
    assert expected.any()
    group = zarr.open_group(VirtualTIFF()(path.as_uri(), local_registry()), mode="r", zarr_format=3)
    ((_, array),) = images(group)
    assert np.array_equal(np.asarray(array[...]).squeeze(), expected)
    plan = VirtualTIFF(ifd_layout="flat").plan(path.as_uri(), local_registry())
    assert [str(one["name"]) for one in plan.arrays["0"].codecs] == [codec]


def test_a_page_that_only_libtiff_decodes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    _group_4(path, _NO_PIXELS + _FOUR_FOUR + _PASSED, directories=2)
    with pytest.raises(UnsupportedTIFFError, match=r"IFD 0: .*libtiff decode .* differ"):
        VirtualTIFF(ifd_layout="pages").plan(path.as_uri(), local_registry())
