"""A damaged overview does not prevent reading its image, and is noted on it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from tests.helpers.assemble import PLAIN, PLAIN_DATA, assemble, changed, long, short
from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF, publish
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan


def write(path: Path, subfile_type: int) -> None:
    """An image, and another of a type, whose strip is beyond the end of the file."""
    damaged = changed(
        PLAIN,
        NEW_SUBFILE_TYPE=long(subfile_type),
        IMAGE_WIDTH=short(3),
        IMAGE_LENGTH=short(2),
        ROWS_PER_STRIP=short(2),
        STRIP_OFFSETS=long(100_000),
        STRIP_BYTE_COUNTS=long(6),
    )
    path.write_bytes(assemble([PLAIN, damaged], data=PLAIN_DATA))


def planned(path: Path, layout: str) -> GroupPlan:
    parser = VirtualTIFF(ifd_layout=layout)  # type: ignore[arg-type]
    return parser.plan(f"file://{path}", local_registry())


def arrays(group: GroupPlan) -> dict[str, ArrayPlan]:
    return {
        f"{path}/{name}".lstrip("/"): array
        for path, one in group.walk()
        for name, array in one.arrays.items()
    }


@pytest.mark.parametrize(
    ("layout", "name"),
    [("flat", "0"), ("nested", "0/0"), ("multiscale", "0/image"), ("pages", "image")],
)
def test_the_image_is_there(tmp_path: Path, layout: str, name: str) -> None:
    path = tmp_path / "a.tif"
    write(path, 1)
    found = arrays(planned(path, layout))
    assert list(found) == [name]
    notes = found[name].attributes["notes"]
    assert isinstance(notes, list)
    assert len(notes) == 1


@pytest.mark.parametrize("fault", ["offset", "entries", "width"])
@pytest.mark.parametrize("ome", [False, True])
@pytest.mark.parametrize("damaged", [0, 1])
def test_a_damaged_level_of_a_stack_is_left_out(
    tmp_path: Path, fault: str, ome: bool, damaged: int
) -> None:
    path = tmp_path / ("a.ome.tif" if ome else "a.tif")
    full = np.arange(3 * 64 * 64, dtype="u2").reshape(3, 64, 64)
    levels = [full[:, :: 2**i, :: 2**i] for i in range(3)]
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        axes = {"axes": "ZYX"}
        tiff.write(full, subifds=2, photometric="minisblack", metadata=axes)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, photometric="minisblack", metadata=axes)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        # Without OME-XML the first directory describes all pages.
        pages = tiff.pages[int(ome)].pages
        assert pages is not None
        page = pages[damaged]
        assert isinstance(page, tifffile.TiffPage)
        place, value = {
            "offset": (page.tags["StripOffsets"].valueoffset, struct.pack("<I", len(data))),
            "entries": (page.offset, struct.pack("<H", 60_000)),
            "width": (page.tags["ImageWidth"].valueoffset, struct.pack("<I", 0)),
        }[fault]
    data[place : place + len(value)] = value
    path.write_bytes(data)

    parser = VirtualTIFF(ifd_layout="pages")
    manifests = parser(f"file://{path}", local_registry())
    root = zarr.open_group(manifests, mode="r", zarr_format=3)
    found = {name: one for name, one in root.members(max_depth=None) if isinstance(one, zarr.Array)}
    found.pop("OME/METADATA.ome.xml", None)
    assert list(found) == ["0/image", "1/image"]
    for number, level in enumerate(one for i, one in enumerate(levels) if i != 1 + damaged):
        assert np.array_equal(found[f"{number}/image"][...], level)
    assert "cannot be read" in str(found["0/image"].attrs["notes"])


@pytest.mark.parametrize(
    ("subfile_type", "layout"),
    [(0, "flat"), (0, "multiscale"), (2, "flat"), (2, "multiscale"), (4, "flat")],
)
def test_other_images_are_not_left_out(tmp_path: Path, subfile_type: int, layout: str) -> None:
    path = tmp_path / "a.tif"
    write(path, subfile_type)
    with pytest.raises(VirtualTIFFError) as caught:
        planned(path, layout)
    assert caught.value.kind == ErrorKind.TRUNCATED
    assert caught.value.ifd == (1,)


def test_the_overview_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write(path, 1)
    with pytest.raises(VirtualTIFFError) as caught:
        VirtualTIFF(ifd=1).plan(f"file://{path}", local_registry())
    assert caught.value.kind == ErrorKind.TRUNCATED


def test_publish_reports_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write(path, 1)
    result = publish([path], tmp_path / "repository")
    assert sum(map(len, result.notes.values())) == 1
