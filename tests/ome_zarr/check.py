"""Open folders of OME-Zarr with validators and readers, in an environment without this package.

    python tests/ome_zarr/check.py FOLDER

Exit status 1 if one of them refuses an image that it can decode, reads nothing, or opens fewer than
20 series.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ngff_zarr
import numpy as np
import ome_zarr_models.v05
import yaozarrs
import zarr
from napari_ome_zarr import napari_get_reader
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

warnings.simplefilter("ignore")
#: Series that each of them has to open.
LEAST = 20
#: tensorstore, with which ngff-zarr reads, has no codecs of imagecodecs or numcodecs.
NOT_IN_TENSORSTORE = "is not supported"


def images_of(folder: Path, ome: dict[str, Any]) -> list[Path]:
    """Groups of the images of a file."""
    if "multiscales" in ome:
        return [folder]
    if "plate" in ome:
        wells = [folder / well["path"] for well in ome["plate"]["wells"]]
        return [
            well / image["path"]
            for well in wells
            for image in open_group(well).attrs["ome"]["well"]["images"]
        ]
    return [folder / name for name in open_group(folder / "OME").attrs["ome"]["series"]]


def open_group(folder: Path) -> Any:
    return zarr.open_group(str(folder), mode="r")


def models(folder: Path, images: list[Path]) -> bool:
    group = open_group(folder)
    if "plate" in group.attrs["ome"]:
        ome_zarr_models.v05.HCS.from_zarr(group)
    for image in images:
        ome_zarr_models.v05.Image.from_zarr(open_group(image))
    return True


def with_yaozarrs(folder: Path, images: list[Path]) -> bool:
    yaozarrs.validate_zarr_store(str(folder))
    return True


def with_ome_zarr(folder: Path, images: list[Path]) -> bool:
    for image in images:
        levels = [data for node in Reader(parse_url(str(image)))() for data in node.data or []]
        assert levels, f"{image} has no levels"
        for level in levels:
            np.asarray(level[(0,) * level.ndim])
    return True


def with_napari(folder: Path, images: list[Path]) -> bool:
    read = napari_get_reader(str(folder))
    layers = [] if read is None else read(str(folder))
    assert layers, f"{folder} has no layers"
    # Fields of a plate are put together in one image.
    if "plate" not in open_group(folder).attrs["ome"]:
        assert len(layers) >= len(images), f"{folder} has images without a layer"
    for layer in layers:
        np.asarray(layer[0][-1][(0,) * layer[0][-1].ndim])
    return True


def with_ngff_zarr(folder: Path, images: list[Path]) -> bool:
    try:
        for image in images:
            ngff_zarr.from_ngff_zarr(str(image), validate=True)
    except Exception as error:
        if NOT_IN_TENSORSTORE not in str(error):
            raise
        return False
    return True


#: Each returns whether it could open a series.
CHECKS: dict[str, Callable[[Path, list[Path]], bool]] = {
    "ome-zarr-models": models,
    "yaozarrs": with_yaozarrs,
    "ome-zarr-py": with_ome_zarr,
    "napari-ome-zarr": with_napari,
    "ngff-zarr": with_ngff_zarr,
}


def main(root: Path) -> int:
    failed = checked = 0
    opened = dict.fromkeys(CHECKS, 0)
    for folder in sorted(root.iterdir()):
        ome = dict(open_group(folder).attrs).get("ome")
        # Images of dimensions that OME-Zarr does not allow have no metadata.
        if ome is None:
            continue
        checked += 1
        images = images_of(folder, ome)
        for name, check in CHECKS.items():
            try:
                opened[name] += check(folder, images)
            except Exception as error:
                failed += 1
                print(f"{folder.stem}: {name}: {type(error).__name__}: {str(error)[:200]}")
    counts = ", ".join(f"{name} {count}" for name, count in opened.items())
    print(f"{checked} series, opened by {counts}; {failed} failures")
    return 1 if failed or min(opened.values()) < LEAST else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
