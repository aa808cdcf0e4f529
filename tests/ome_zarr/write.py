"""Write series of pages as folders of plain Zarr, for validators and readers of OME-Zarr.

    python -m tests.ome_zarr.write FOLDER

Icechunk is left out, since most of them open folders only.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tifffile
import zarr
import zarr.api.asynchronous
from zarr.buffer import default_buffer_prototype

from tests.helpers.microscopes import MICROSCOPES, gel, ndpi, plate
from tests.helpers.paged import PAGED
from tests.helpers.read import local_registry, numcodecs_names
from virtual_tiff import VirtualTIFF


def _axis(letter: str) -> Callable[[Path], None]:
    """Return a function that writes three pages along one of tifffile's axes."""

    def make(path: Path) -> None:
        pixels = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
        metadata = {"axes": f"{letter}YX"}
        tifffile.imwrite(path, pixels, photometric="minisblack", metadata=metadata)

    return make


SERIES: dict[str, Callable[[Path], object]] = {
    **PAGED,
    **MICROSCOPES,
    **{"gel": gel, "ndpi": ndpi, "plate": plate},
    **{f"axis-{letter}": _axis(letter) for letter in "IRAPHELVMQ"},
}
#: The formats that are recognised by the suffix of the file.
_SUFFIXES = {"ndpi": ".ndpi", "lsm": ".lsm", "lsm-lzw": ".lsm"}


def main(folder: Path) -> None:
    with TemporaryDirectory() as here, numcodecs_names():
        for name, make in SERIES.items():
            path = Path(here) / f"{name}{_SUFFIXES.get(name, '.tif')}"
            make(path)
            store = VirtualTIFF(ifd_layout="pages")(path.as_uri(), local_registry())
            asyncio.run(_copy(store, folder / f"{name}.zarr"))
            _list_images(folder / f"{name}.zarr")
    print(f"{len(SERIES)} series in {folder}")


def _list_images(folder: Path) -> None:
    """Write the file by which napari-ome-zarr finds several images (docs/reference/viewers.md)."""
    ome: Any = zarr.open_group(folder, mode="r")
    if "bioformats2raw.layout" not in ome.attrs.get("ome", {}):
        return
    place = folder / "OME" / "METADATA.ome.xml"
    if place.is_dir():
        rmtree(place)
    images = "".join(f'<Image ID="Image:{name}"/>' for name in ome["OME"].attrs["ome"]["series"])
    place.write_text(f"<OME>{images}</OME>")


async def _copy(store: Any, folder: Path) -> None:
    """Copy the documents and chunks of a store into files."""

    async def copy(key: str) -> None:
        data = await store.get(key, default_buffer_prototype())
        if data is not None:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.to_bytes())

    root = await zarr.api.asynchronous.open_group(store, mode="r", zarr_format=3)
    await copy("zarr.json")
    async for name, member in root.members(max_depth=None):
        await copy(f"{name}/zarr.json")
        if isinstance(member, zarr.AsyncArray):
            grid = [-(-s // c) for s, c in zip(member.shape, member.chunks, strict=True)]
            for index in product(*map(range, grid)):
                await copy("/".join([name, "c", *map(str, index)]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
