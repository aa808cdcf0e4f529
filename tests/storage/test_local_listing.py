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
