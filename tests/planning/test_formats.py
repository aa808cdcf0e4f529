"""Every format for which tifffile knows the order of pages: arrays are those of its series."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from tests.helpers.make import Pixels
from tests.helpers.microscopes import MICROSCOPES
from tests.helpers.paged import HEIGHT, PAGED, WIDTH, ramp
from tests.helpers.read import local_registry, numcodecs_names
from tests.helpers.slides import SLIDE_FORMATS
from tests.helpers.stacks import STACKS, flimage, lsm, ndtiff, sis
from tests.planning.test_pages import (
    array_of,
    expected_of,
    names_of,
    ome_of,
    open_pages,
    paths_of,
    refused,
)
from virtual_tiff import VirtualTIFF
from virtual_tiff.errors import ErrorKind

FORMATS: dict[str, Callable[[Path], None]] = PAGED | MICROSCOPES | STACKS | SLIDE_FORMATS
#: Formats of tifffile that have tests of their own.
ELSEWHERE = {
    "flimage": "test_lifetimes_of_flimage_are_refused",
    "geotiff": "all tests of georeferencing",
    "mdgel": "test_microscopes.test_gels",
    "ndtiff": "test_the_index_of_ndtiff_is_not_read",
}
#: Micrometres or seconds.
MICROMETRES = {
    **{"meter": 1e6, "centimeter": 1e4, "millimeter": 1e3, "micrometer": 1.0, "um": 1.0},
    **{"nanometer": 1e-3, "second": 1.0, "millisecond": 1e-3},
}


def made(name: str, folder: Path) -> Path:
    path = folder / f"{name}.tif"
    FORMATS[name](path)
    return path


def as_stored(level: Any, pixels: Pixels) -> Pixels:
    """Return the pixels of a level with the padding of the file, which tifffile cuts off."""
    if level.kind != "philips":
        return pixels
    with tifffile.TiffFile(level.parent.filehandle.path) as tif:
        whole: Pixels = np.moveaxis(tif.pages[level.keyframe.index].asarray(), -1, 0)
    assert np.array_equal(whole[:, : pixels.shape[1], : pixels.shape[2]], pixels)
    return whole


def multiscale_of(root: zarr.Group, place: str) -> Any:
    """Metadata of the image that an array is a level of; `None` if there are none."""
    parts = place.split("/")
    parents = ("/".join(parts[:i]) for i in range(len(parts)))
    groups = [root[parent] if parent else root for parent in parents]
    found: list[Any] = [group.attrs.get("ome", {}) for group in groups]
    return next((ome["multiscales"][0] for ome in found if "multiscales" in ome), None)


@pytest.mark.parametrize("name", FORMATS)
def test_pixels_and_dimensions(name: str, tmp_path: Path) -> None:
    path = made(name, tmp_path)
    root = open_pages(path)
    with tifffile.TiffFile(path) as tif:
        found = list(paths_of(tif.series))
        assert found
        for place, level in found:
            # tifffile names the focal planes of Argos and Hamamatsu in the first level only.
            image = next(series for series in tif.series if level in series.levels)
            names, pixels = expected_of(level, image.axes)
            array = array_of(root, place)
            assert names_of(array) == names
            values = np.asarray(array[...])
            assert values.dtype == pixels.dtype
            assert np.array_equal(values, as_stored(level, pixels)), place


@pytest.mark.parametrize("name", sorted(MICROSCOPES | STACKS | SLIDE_FORMATS))
def test_names_and_spacings(name: str, tmp_path: Path) -> None:
    """Names of images, and every distance of which tifffile knows a unit."""
    path = made(name, tmp_path)
    root = open_pages(path)
    with tifffile.TiffFile(path) as tif:
        found = list(paths_of(tif.series))
        for place, level in found:
            multiscale = multiscale_of(root, place)
            if multiscale is None:
                # OME-Zarr has five axes at most.
                assert array_of(root, place).ndim > 5
                continue
            # tifffile has one name for the pyramids of all slides.
            own = "" if level.name == "Baseline" else level.name
            assert multiscale["name"] == (own or path.name) or level not in tif.series
            here = next(d for d in multiscale["datasets"] if place.endswith(d["path"]))
            steps = here["coordinateTransformations"][0]["scale"]
            ours = {
                axis["name"]: step * MICROMETRES[axis["unit"]]
                for axis, step in zip(multiscale["axes"], steps, strict=True)
                if "unit" in axis
            }
            for code, unit in level.coord_units.items():
                step = level.coord_scales.get(code, 0)
                # Without a resolution tifffile takes a pixel to the inch.
                if step and unit in MICROMETRES and step != 25400:
                    assert ours[code.lower()] == pytest.approx(step * MICROMETRES[unit]), place


def test_every_format_of_tifffile_is_tested(tmp_path: Path) -> None:
    kinds = set(ELSEWHERE)
    for name in FORMATS:
        with tifffile.TiffFile(made(name, tmp_path)) as tif:
            kinds |= {series.kind for series in tif.series}
    assert kinds == set(tifffile.TIFF.SERIES)


@pytest.mark.parametrize(
    "name", ["svs", *(name for name in SLIDE_FORMATS if name != "ndpi"), "bif", "qptiff", "scn"]
)
def test_levels_in_the_layout_multiscale(name: str, tmp_path: Path) -> None:
    """Each focal plane or channel has its levels; labels and the like are images of their own."""
    path = made(name, tmp_path)
    parser = VirtualTIFF(ifd_layout="multiscale")
    with numcodecs_names():
        root = zarr.open_group(parser(f"file://{path}", local_registry()), mode="r", zarr_format=3)
    expected: dict[str, list[Pixels]] = {}
    with tifffile.TiffFile(path) as tif:
        # Before the series, which cut the padding of Philips off.
        values = [page.asarray() for page in tif.pages]
        for series in tif.series:
            for pages in zip(*(level.pages for level in series.levels), strict=True):
                expected[str(pages[0].index)] = [values[page.index] for page in pages]
    one = len(expected) == 1
    assert one or sorted(root.group_keys()) == sorted(expected)
    for full, levels in expected.items():
        group = root if one else root[full]
        assert isinstance(group, zarr.Group)
        assert sorted(group.group_keys()) == [str(i) for i in range(len(levels))]
        for i, level in enumerate(levels):
            planes = np.moveaxis(level, -1, 0) if level.ndim == 3 else level
            assert np.array_equal(array_of(group, f"{i}/image")[...], planes), (full, i)


@pytest.mark.parametrize("order", [(0, 0, 1, 1), (0, 1, 0, 1), (1, 1, 0, 0)])
def test_levels_of_several_images(order: tuple[int, ...], tmp_path: Path) -> None:
    """Of two overviews of one size, the second is that of the second image, in any order."""
    path = tmp_path / "a.tif"
    pages = ramp(2, 64, 64)
    count = {0: 0, 1: 0}
    with tifffile.TiffWriter(path) as tif:
        for level in order:
            page = np.ascontiguousarray(pages[count[level], :: level + 1, :: level + 1])
            count[level] += 1
            tif.write(page, tile=(16, 16), subfiletype=level, metadata=None, contiguous=False)
    store = VirtualTIFF(ifd_layout="multiscale")(f"file://{path}", local_registry())
    root = zarr.open_group(store, mode="r", zarr_format=3)
    for i, name in enumerate(sorted(root.group_keys())):
        for level in range(2):
            values = array_of(root, f"{name}/{level}/image")[...]
            assert np.array_equal(values, pages[i, :: level + 1, :: level + 1])


def test_tiles_of_trestle_overlap(tmp_path: Path) -> None:
    root = open_pages(made("trestle", tmp_path))
    assert array_of(root, "0/image").attrs["notes"]


def test_positions_of_lsm_are_no_phases(tmp_path: Path) -> None:
    path = tmp_path / "a.lsm"
    lsm(positions=2, times=1)(path)
    axes = ome_of(open_pages(path), "0")["multiscales"][0]["axes"]
    assert {"name": "r", "type": "position"} in axes


@pytest.mark.parametrize(("rows", "step"), [("T", None), ("Z", 0.5)])
def test_scans_of_lsm_along_a_line(rows: str, step: float | None, tmp_path: Path) -> None:
    """Rows of a page are times, or slices: they are `y`, which images need."""
    path = tmp_path / "a.lsm"
    lsm(rows=rows)(path)
    root = open_pages(path)
    array = array_of(root, "0/image")
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].axes == f"C{rows}X"
        assert np.array_equal(array[...], tif.series[0].asarray())
    assert names_of(array) == ("c", "y", "x")
    assert array.attrs["notes"]
    _, y, _ = ome_of(root, "0")["multiscales"][0]["axes"]
    assert y.get("unit") == (None if step is None else "micrometer")
    (transformation,) = multiscale_of(root, "0/image")["datasets"][0]["coordinateTransformations"]
    assert transformation["scale"][1] == (step or 1)


def test_channels_of_sis(tmp_path: Path) -> None:
    channels = ome_of(open_pages(made("sis", tmp_path)))["omero"]["channels"]
    assert [channel["label"] for channel in channels] == ["channel 0", "channel 1"]


@pytest.mark.parametrize("claimed", ["Band=5000000", "Band=7", "Band=1 [ASD] Count=9000000"])
def test_sis_that_declares_too_much(claimed: str, tmp_path: Path) -> None:
    """tifffile makes lists of as many items."""
    path = tmp_path / "a.tif"
    sis(z=3, bands=2, claimed=claimed)(path)
    tracemalloc.start()
    try:
        assert refused(path).kind == ErrorKind.UNSUPPORTED_LAYOUT
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_the_index_of_ndtiff_is_not_read(tmp_path: Path) -> None:
    """It is a file beside the pages, which stay in the order of the file."""
    path = tmp_path / "a_NDTiffStack.tif"
    ndtiff(path)
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].kind == "ndtiff"
        expected = tif.series[0].asarray().reshape(-1, HEIGHT, WIDTH)
    array = array_of(open_pages(path), "image")
    assert names_of(array) == ("i", "y", "x")
    assert np.array_equal(array[...], expected)
    assert "NDTiff.index" in str(array.attrs["notes"])


def test_lifetimes_of_flimage_are_refused(tmp_path: Path) -> None:
    """A page is one row of all lifetimes of all pixels."""
    path = tmp_path / "a.flim"
    flimage(path)
    error = refused(path)
    assert error.kind == ErrorKind.UNSUPPORTED_LAYOUT
    assert error.remedy is not None
    assert "flat" in error.remedy
    assert VirtualTIFF().plan(f"file://{path}", local_registry()).arrays["0"].shape == (1, 1536)
