"""Folders are listed as obstore lists them."""

from __future__ import annotations

import os
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore

from virtual_tiff.storage.local import LocalListing


@pytest.mark.parametrize("modified", [1_700_000_000_123_456_789, 0, -5_000_000_001])
def test_metadata_are_those_of_a_request(modified: int, tmp_path: Path) -> None:
    """Size, time and ETag: whether a file has changed is told by comparing them."""
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "image.tif"
    path.write_bytes(b"II*\0")
    os.utime(path, ns=(modified, modified))
    ((found,),) = LocalListing(tmp_path).list("a")
    assert found == obstore.head(LocalStore(tmp_path), "a/image.tif")


def test_large_folders_come_in_parts(tmp_path: Path) -> None:
    names = [f"{number:04}.tif" for number in range(2_500)]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "1000").mkdir()
    (tmp_path / "1000" / "inside.tif").touch()
    parts = [[entry["path"] for entry in part] for part in LocalListing(tmp_path).list()]
    assert [len(part) for part in parts] == [1_000, 1_000, 501]
    # A folder comes where its name does.
    assert [path for part in parts for path in part] == [
        *names[:1_000],
        "1000/inside.tif",
        *names[1_000:],
    ]
