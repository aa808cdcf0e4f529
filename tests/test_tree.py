"""Unlike images as groups: made from rows as they are made from files, and named by a template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import rasterio

from tests._archive import write_scene
from tests._make import covering, write
from tests._read import local_registry
from tests._special import names, write_special
from virtual_tiff.archive.scanning import scan
from virtual_tiff.archive.tree import plan_files
from virtual_tiff.errors import InvalidOptionError, VirtualTIFFError
from virtual_tiff.hierarchy import Layout, PlanOptions
from virtual_tiff.metadata import array_document, group_document
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.plan import GroupPlan

LAYOUTS = [layout for layout in get_args(Layout.__value__) if layout != "pages"]


def rounded(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of a grid mapping as exact as the WKT of a CRS, which rows have, can be."""
    return {
        key: float(f"{value:.12g}") if isinstance(value, float) else value
        for key, value in attributes.items()
    }


def written(plan: GroupPlan) -> dict[str, Any]:
    """All that would be written of a plan, by path."""
    found: dict[str, Any] = {}
    for path, group in plan.walk():
        found[path] = group_document(group)
        for name, array in group.arrays.items():
            document = array_document(array)
            if name.startswith("spatial_ref"):
                document["attributes"] = rounded(array.attributes)
            found[f"{path}/{name}"] = (
                document,
                array.source,
                array.offsets.tolist(),
                array.lengths.tolist(),
                dict(array.inline),
            )
    return found


def check(path: Path, layout: Any, **options: Any) -> None:
    """Rows of all images of a file become what the parser makes of the file."""
    url = path.as_uri()
    registry = local_registry()
    inventory = scan(str(path), registry=registry, parser=VirtualTIFF(**options))
    try:
        expected = VirtualTIFF(ifd_layout=layout, **options).plan(url, registry)
    except InvalidOptionError:
        with pytest.raises(InvalidOptionError):
            plan_files(inventory, PlanOptions(layout))
        return
    found = plan_files(inventory, PlanOptions(layout))
    assert list(found) == [url]
    assert written(found[url]) == written(expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_make_the_groups_that_files_make(layout: Any, tmp_path: Path) -> None:
    for encoding in covering():
        path = tmp_path / f"{encoding.name}.tif"
        write(encoding, path)
        check(path, layout)
    for name in names():
        path = tmp_path / f"{name.replace(':', '_')}.tif"
        write_special(name, path)
        check(path, layout)


def write_pyramid(path: Path, **options: Any) -> None:
    """Bands with names, overviews, and masks of all levels."""
    write_scene(path, shape=(2, 120, 140), nodata=None, **options)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.descriptions = ("red", "nir")
        file.scales = (0.1, 0.2)
        file.write_mask(np.eye(120, 140, dtype=bool))
        file.build_overviews([2, 4])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"band_axis": "last"}, {"bands": (2, 1)}])
def test_pyramids_with_masks(layout: Any, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    interleave = "BAND" if "bands" in options else "PIXEL"
    write_pyramid(path, INTERLEAVE=interleave)
    if "bands" in options:
        # Masks have one band, so that of all images those of two are chosen one by one.
        options = {**options, "ifd": 0}
    check(path, "flat" if "ifd" in options else layout, **options)


@pytest.mark.corpus
def test_the_corpus(corpus_file: Path) -> None:
    for layout in LAYOUTS:
        registry = local_registry()
        try:
            VirtualTIFF(ifd_layout=layout).plan(corpus_file.as_uri(), registry)
        except VirtualTIFFError:
            continue
        check(corpus_file, layout)
