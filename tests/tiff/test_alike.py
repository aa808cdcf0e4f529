"""Directories that are alike are read and planned at once: the same as one by one."""

from __future__ import annotations

import asyncio
import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.helpers.read import MEMORY_URL, in_memory
from virtual_tiff import VirtualTIFF
from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.planning.metadata import array_document
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.tiff.ifd import ImageFileDirectory
from virtual_tiff.tiff.reader import read_header

PAGES = 24
LAYOUTS = ("flat", "nested", "pages")
IMAGE = np.random.default_rng(0).integers(0, 200, (40, 48)).astype("u2")


def stack(changes: dict[str, Any], **options: Any) -> bytes:
    """A stack whose pages 5 and 17 are written with other options."""
    file = io.BytesIO()
    data = options.pop("data", IMAGE)
    layout = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    with tifffile.TiffWriter(file, **layout) as tif:
        for i in range(PAGES):
            given = {**options, **(changes if i in (5, 17) else {})}
            given = {k: v(i) if callable(v) else v for k, v in given.items()}
            tif.write(given.pop("data", data) + np.uint8(i), contiguous=False, **given)
    return file.getvalue()


def text_of(i: int) -> str:
    """Metadata of a page: none, short enough for its entry, or apart from it."""
    return ("", "a", f"page {i}", f"page {i} of a long stack")[i % 4]


def with_overviews() -> bytes:
    """A stack of which every page has a sub-IFD."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tif:
        for i in range(PAGES):
            tif.write(IMAGE + np.uint8(i), metadata=None, contiguous=False, subifds=1)
            tif.write(IMAGE[::2, ::2] + np.uint8(i), metadata=None, subfiletype=1)
    return file.getvalue()


PLAIN: dict[str, Any] = {"metadata": None}
STACKS: dict[str, bytes] = {
    "plain": stack({}, **PLAIN),
    "big-endian BigTIFF": stack({}, **PLAIN, bigtiff=True, byteorder=">"),
    "strips": stack({}, **PLAIN, rowsperstrip=7),
    "compressed strips, the last one short": stack({}, **PLAIN, rowsperstrip=7, compression="zlib"),
    "tiles": stack({}, **PLAIN, tile=(16, 16), compression="zlib"),
    "planes": stack(
        {},
        **PLAIN,
        data=np.stack([IMAGE] * 3),
        planarconfig="separate",
        photometric="rgb",
        rowsperstrip=10,
    ),
    "texts": stack({}, **PLAIN, description=text_of, datetime="2024:01:02 03:04:05"),
    "another text": stack({"software": "another4.py"}, **PLAIN),
    "another resolution": stack(
        {"resolution": (3, 4)}, **PLAIN, resolution=(4, 4), resolutionunit="CENTIMETER"
    ),
    "another compression": stack({"compression": "zlib"}, **PLAIN),
    "another predictor": stack({"predictor": False}, **PLAIN, compression="zlib", predictor=True),
    "another type": stack({"data": IMAGE.view("i2")}, **PLAIN),
    "another size": stack({"data": IMAGE[:, :24]}, **PLAIN),
    "another nodata value": stack(
        {"extratags": [(42113, "s", 0, "7", True)]}, **PLAIN, extratags=[(42113, "s", 0, "8", True)]
    ),
    "colours, from another place": stack(
        {"colormap": np.arange(768, dtype="u2").reshape(3, 256)},
        **PLAIN,
        data=(IMAGE // 2).astype("u1"),
        photometric="palette",
        colormap=np.zeros((3, 256), "u2"),
    ),
    "sub-IFDs": with_overviews(),
}


def changed_counts(data: bytes, tag: int, change: Any) -> bytes:
    """A stack in which the value of a tag of some pages is changed."""
    file = io.BytesIO(data)
    with tifffile.TiffFile(file) as tif:
        for i in (3, 4, PAGES - 1):
            found = tif.pages[i].aspage().tags[tag]
            found.overwrite(change(i, found.value))
    return file.getvalue()


BROKEN: dict[str, bytes] = {
    "no offset": changed_counts(STACKS["plain"], 273, lambda i, value: 0),
    "no bytes": changed_counts(STACKS["plain"], 279, lambda i, value: 0),
    "compressed, no bytes": changed_counts(
        stack({}, **PLAIN, compression="zlib"), 279, lambda i, value: 0
    ),
    "beyond the end": changed_counts(STACKS["plain"], 273, lambda i, value: 10**8),
    "compressed, beyond the end": changed_counts(
        stack({}, **PLAIN, compression="zlib"), 279, lambda i, value: 10**8
    ),
    "a gap between strips": changed_counts(
        STACKS["strips"], 273, lambda i, value: (*value[:2], value[2] + 2, *value[3:])
    ),
    "all strips apart": changed_counts(STACKS["strips"], 273, lambda i, value: tuple(value[::-1])),
    "a strip is missing": changed_counts(
        STACKS["strips"], 273, lambda i, value: (value[0], 0, *value[2:])
    ),
    "a tile is missing": changed_counts(STACKS["tiles"], 324, lambda i, value: (*value[:-1], 0)),
}


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Nothing is alike."""
    with monkeypatch.context() as patch:
        patch.setattr("virtual_tiff.tiff.reader._values.MANY_DIRECTORIES", 10**9)
        for module in ("pages.arrays", "images"):
            patch.setattr(f"virtual_tiff.planning.{module}.likeness", lambda directory: object())
        yield patch


def directories(data: bytes) -> list[dict[str, Any]]:
    """All fields of all directories, arrays as lists."""
    header, _ = asyncio.run(read_header(MEMORY_URL, in_memory(data)))
    return [fields_of(directory) for directory in header.ifds]


def fields_of(directory: ImageFileDirectory) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in dataclasses.fields(directory):
        value = getattr(directory, field.name)
        found[field.name] = (
            (value.dtype, value.tolist()) if isinstance(value, np.ndarray) else value
        )
    found["sub_ifds"] = [fields_of(below) for below in directory.sub_ifds]
    return found


def planned(data: bytes, layout: Any) -> Any:
    """Documents and references of all arrays, or the error."""
    try:
        plan = VirtualTIFF(ifd_layout=layout).plan(MEMORY_URL, in_memory(data))
    except VirtualTIFFError as error:
        return type(error), error.kind, error.ifd, error.tag
    return list(contents(plan))


def contents(plan: GroupPlan) -> Iterator[Any]:
    for path, group in plan.walk():
        yield path, dict(group.attributes)
        for name, array in group.arrays.items():
            document = array_document(array)
            inline = sorted(array.inline.items())
            yield name, document, array.offsets.tolist(), array.lengths.tolist(), inline, array.ifd


@pytest.mark.parametrize("name", [*STACKS, *BROKEN])
def test_reading(name: str, one_by_one: pytest.MonkeyPatch) -> None:
    data = (STACKS | BROKEN)[name]
    expected = directories(data)
    one_by_one.undo()
    assert directories(data) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [*STACKS, *BROKEN])
def test_planning(name: str, layout: str, one_by_one: pytest.MonkeyPatch) -> None:
    data = (STACKS | BROKEN)[name]
    expected = planned(data, layout)
    one_by_one.undo()
    assert planned(data, layout) == expected


@pytest.mark.parametrize("name", ["plain", "texts", "another text", "strips", "tiles"])
def test_alike_directories_share_what_they_have_in_common(name: str) -> None:
    header, _ = asyncio.run(read_header(MEMORY_URL, in_memory(STACKS[name])))
    tags = [id(one.bits_per_sample) for one in header.ifds]
    assert len(set(tags)) <= 8
