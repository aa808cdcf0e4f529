"""A damaged overview does not prevent reading its image, and is noted on it."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    ("layout", "name"), [("flat", "0"), ("nested", "0/0"), ("multiscale", "0/image")]
)
def test_the_image_is_there(tmp_path: Path, layout: str, name: str) -> None:
    path = tmp_path / "a.tif"
    write(path, 1)
    found = arrays(planned(path, layout))
    assert list(found) == [name]
    notes = found[name].attributes["notes"]
    assert isinstance(notes, list)
    assert len(notes) == 1


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
