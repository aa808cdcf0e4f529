"""A COG with its overviews as a pyramid, and a picture of all levels with their chunks.

    python examples/pyramid.py [FOLDER]

publishes aerial.tif to FOLDER/pyramid, and saves FOLDER/pyramid.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import icechunk
import imagecodecs
import numpy as np
import xarray
from numpy.typing import NDArray

import virtual_tiff
from virtual_tiff import VirtualTIFF, open_repository

SOURCE = Path(__file__).with_name("aerial.tif")


def publish(folder: Path) -> xarray.DataTree:
    """Publish the image with all its levels, and open them."""
    parser = VirtualTIFF(ifd_layout="multiscale")
    virtual_tiff.publish(SOURCE, folder / "pyramid", parser=parser)
    store = open_repository(folder / "pyramid").readonly_session("main").store
    return xarray.open_datatree(
        store, group="aerial", engine="zarr", zarr_format=3, consolidated=False
    )


def level_picture(level: xarray.Dataset) -> NDArray[np.uint8]:
    """Draw one level, transparent where its mask is 0, with the edges of its chunks."""
    image = level["image"].transpose("y", "x", "band")
    seen = level["mask"].transpose("y", "x") > 0
    pixels = np.dstack([image.values, np.where(seen, 255, 0).astype("uint8")])
    for axis, name in enumerate(("y", "x")):
        size = image.encoding["preferred_chunks"][name]
        for edge in range(size, image.sizes[name], size):
            pixels[(slice(None),) * axis + (edge,)] = (255, 190, 0, 255)
    return pixels


def picture(tree: xarray.DataTree) -> bytes:
    """Draw levels side by side on one baseline, as PNG."""
    levels = [level_picture(node.to_dataset()) for _, node in sorted(tree.children.items())]
    height = max(level.shape[0] for level in levels)
    parts: list[NDArray[np.uint8]] = []
    for level in levels:
        above = ((height - level.shape[0], 0), (0, 12), (0, 0))
        parts.append(np.pad(level, above))
    return bytes(imagecodecs.png_encode(np.concatenate(parts, axis=1)[:, :-12].copy()))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build") / "gallery"
    icechunk.set_logs_filter("error")
    tree = publish(folder)
    for name, node in sorted(tree.children.items()):
        print(name, node["image"].shape)
    (folder / "pyramid.png").write_bytes(picture(tree))


if __name__ == "__main__":
    main()
