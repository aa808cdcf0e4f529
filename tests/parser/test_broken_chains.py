"""What errors of a broken chain of directories advise works in the layout that raised them."""

from __future__ import annotations

import re
import struct
from itertools import product
from pathlib import Path

import pytest
import tifffile

from tests.helpers.paged import ramp
from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF
from virtual_tiff.choices import IFDLayout
from virtual_tiff.errors import VirtualTIFFError

_ADVICE = re.compile(r"ifd=(\d+)")


def write(path: Path, levels: tuple[int, ...], *, following: int | None, after: int) -> None:
    """Write images and overviews; after one of them the chain leads to an offset, or itself."""
    with tifffile.TiffWriter(path) as tif:
        for level in levels:
            page = ramp(64 >> level, 64 >> level)
            kind = min(level, 1)
            tif.write(page, tile=(16, 16), subfiletype=kind, metadata=None, contiguous=False)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        last = tif.pages[after].aspage()
        at = last.offset + 2 + 12 * len(last.tags)
        struct.pack_into("<I", data, at, last.offset if following is None else following)
    path.write_bytes(data)


def plan(path: Path, layout: IFDLayout, ifd: int | None) -> VirtualTIFFError | None:
    try:
        VirtualTIFF(ifd=ifd, ifd_layout=layout).plan(f"file://{path}", local_registry())
    except VirtualTIFFError as error:
        return error
    return None


@pytest.mark.parametrize("layout", ["flat", "nested", "multiscale", "pages"])
@pytest.mark.parametrize("levels", [(0, 0, 0, 0), (0, 1, 2, 3), (0, 1, 0, 1), (1, 0, 1, 0)])
def test_the_remedy_works(layout: IFDLayout, levels: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for after, following, ifd in product((0, 1, 3), (None, 10**6), (None, 0, 7)):
        write(path, levels, following=following, after=after)
        error = plan(path, layout, ifd)
        if error is None or error.remedy is None:
            continue
        advised = [int(number) for number in _ADVICE.findall(error.remedy)]
        other: IFDLayout = "flat" if '"flat"' in error.remedy else layout
        for number in advised:
            found = plan(path, other, number)
            assert found is None, (after, following, ifd, error.remedy, str(found))


@pytest.mark.parametrize("layout", ["flat", "multiscale", "pages"])
def test_an_image_beyond_the_break_is_not_out_of_range(layout: IFDLayout, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write(path, (0, 0, 0, 0), following=10**6, after=1)
    error = plan(path, layout, 2)
    assert error is not None
    assert error.kind == "truncated"
