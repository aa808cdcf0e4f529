"""Electron events (EER), against tifffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.helpers.assemble import short
from tests.helpers.electron_events import BITS, eer_bytes
from tests.helpers.read import MEMORY_URL, in_memory, read_all, read_bytes
from virtual_tiff import VirtualTIFF
from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError


@pytest.mark.parametrize("compression", list(BITS))
@pytest.mark.parametrize("strips", [1, 4])
@pytest.mark.parametrize("integrated", [False, True])
def test_frames(tmp_path: Path, compression: int, strips: int, integrated: bool) -> None:
    path = tmp_path / "a.eer"
    path.write_bytes(eer_bytes(compression, strips=strips, integrated=integrated))
    with tifffile.TiffFile(path) as tif:
        expected = [page.asarray() for page in tif.pages]
        assert tif.is_eer
    found = read_all(path)
    assert len(found) == len(expected) == 3 + integrated
    for pixels, page in zip(found.values(), expected, strict=True):
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, page)
        assert pixels.any()


@pytest.mark.parametrize(
    ("compression", "changes"),
    [
        # Another format, of which EER has the number.
        (65000, {"BITS_PER_SAMPLE": short(8)}),
        (65002, {"EER_SKIP_BITS": short(20)}),
        (65002, {"EER_VERTICAL_BITS": short(5)}),
        # No words of 64 bits.
        (65001, {"STRIP_BYTE_COUNTS": short(15)}),
        # A short last strip.
        (65001, {"ROWS_PER_STRIP": short(60), "STRIP_OFFSETS": short(16, 16)}),
    ],
)
def test_refused(compression: int, changes: dict[str, Any]) -> None:
    data = eer_bytes(compression, frames=1, **changes)
    with pytest.raises(UnsupportedTIFFError) as caught:
        VirtualTIFF().plan(MEMORY_URL, in_memory(data))
    assert caught.value.kind == ErrorKind.UNSUPPORTED_COMPRESSION


def test_bits_default_to_those_of_tifffile() -> None:
    data = eer_bytes(65001, frames=1)
    variable = eer_bytes(65001, frames=1, COMPRESSION=short(65002))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(read_bytes(data).values(), read_bytes(variable).values(), strict=True)
    )


@pytest.mark.parametrize("integrated", [False, True])
def test_series(tmp_path: Path, integrated: bool) -> None:
    path = tmp_path / "a.eer"
    path.write_bytes(eer_bytes(integrated=integrated))
    plan = VirtualTIFF(ifd_layout="pages").plan(MEMORY_URL, in_memory(path.read_bytes()))
    frames = plan.groups["0"] if integrated else plan
    assert frames.arrays["image"].shape == (3, 64, 64)
    assert frames.arrays["image"].dimension_names == ("i", "y", "x")
    assert not integrated or plan.groups["1"].arrays["image"].shape == (4, 4)
