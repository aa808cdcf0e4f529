"""The files in examples/ are what their script makes, and the demonstration works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import icechunk
import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
import zarr

from tests.helpers.make import bands_first, read_with_rasterio, same_bits
from tests.helpers.read import numcodecs_names
from virtual_tiff import open_repository, publish

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
DATES = ("20240412", "20240604", "20240823")
BANDS = ("red", "nir")
NAMES = (
    "aerial",
    "elevation",
    "land_cover",
    *(f"reflectance_{date}_{band}" for date in DATES for band in sorted(BANDS)),
    "wind",
)


@pytest.fixture(autouse=True, scope="module")
def _quiet_icechunk() -> None:
    icechunk.set_logs_filter("error")


def test_the_files() -> None:
    files = sorted(EXAMPLES.glob("*.tif"))
    assert tuple(file.stem for file in files) == NAMES
    assert sum(file.stat().st_size for file in files) < 2_000_000


def test_the_script_makes_the_same_pixels(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_examples.py"), str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    for name in NAMES:
        made, kept = tmp_path / f"{name}.tif", EXAMPLES / f"{name}.tif"
        with tifffile.TiffFile(made) as one, tifffile.TiffFile(kept) as other:
            assert len(one.pages) == len(other.pages)
            for a, b in zip(one.pages, other.pages, strict=True):
                assert same_bits(a.asarray(), b.asarray()), name


def test_what_the_files_show() -> None:
    for date in DATES:
        for band in BANDS:
            with rasterio.open(EXAMPLES / f"reflectance_{date}_{band}.tif") as image:
                when = f"{date[:4]}:{date[4:6]}:{date[6:]} 10:00:00"
                assert image.tags()["TIFFTAG_DATETIME"] == when
                assert image.overviews(1) == [2, 4]
                assert (image.crs.to_epsg(), image.nodata) == (32633, 0)
                assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
                assert (image.read(1) == 0).any()
    with rasterio.open(EXAMPLES / "aerial.tif") as image:
        assert not image.dataset_mask().all()
        assert image.tags(ns="IMAGE_STRUCTURE")["INTERLEAVE"] == "PIXEL"
    with tifffile.TiffFile(EXAMPLES / "elevation.tif") as tif:
        page = tif.pages.first
        assert page.imagelength % page.rowsperstrip == 58
    with rasterio.open(EXAMPLES / "wind.tif") as image:
        assert image.tags(ns="IMAGE_STRUCTURE")["INTERLEAVE"] == "BAND"
    with rasterio.open(EXAMPLES / "land_cover.tif") as image:
        assert set(np.unique(image.read(1))) <= set(image.colormap(1))


def test_every_image_of_every_file(tmp_path: Path) -> None:
    paths = [EXAMPLES / f"{name}.tif" for name in NAMES]
    publish(paths, tmp_path / "repository", ifd_layout="flat")
    store = open_repository(tmp_path / "repository").readonly_session("main").store
    for name in NAMES:
        path = EXAMPLES / f"{name}.tif"
        with tifffile.TiffFile(path) as tif, numcodecs_names():
            for i, page in enumerate(tif.pages):
                array = zarr.open_array(store, path=f"{name}/{i}", mode="r", zarr_format=3)
                pixels = np.asarray(array[...])
                expected = bands_first(page)
                assert same_bits(pixels, expected.astype(pixels.dtype)), f"{name}, IFD {i}"
                if i == 0:
                    assert same_bits(pixels, read_with_rasterio(path)), name


def test_the_demonstration(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in sorted(EXAMPLES.iterdir()) if path.is_file()}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "<xarray.Dataset>" in done.stdout
    assert "(time: 3, y: 250, x: 300)" in done.stdout
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "4 images of nir, red at 2 dates" in lines
    assert "2 images added, 4 skipped: the cube has them" in lines
    assert "groups images/aerial, images/elevation, images/land_cover, images/wind" in lines
    messages = re.findall(r"^ +\d\d:\d\d:\d\d  [0-9A-Z]{20}  (.*)$", done.stdout, re.MULTILINE)
    assert messages == [
        "Publish images/aerial, images/elevation, images/land_cover and 1 more",
        "Append 2 images, 2024-08-23: nir, red",
        "Publish 4 images, 2024-04-12 to 2024-06-04: nir, red",
    ]
    # All is well; then a byte is changed, and put back.
    counts = [line.split(";")[0] for line in lines if line.startswith("10 files: ")]
    assert counts == ["10 files: 10 ok", "10 files: 1 changed, 9 ok", "10 files: 10 ok"]
    assert any(line.startswith("changed: reflectance_20240604_red.tif") for line in lines)
    for date in DATES:
        red, nir = (
            read_with_rasterio(EXAMPLES / f"reflectance_{date}_{band}.tif").astype(float)
            for band in ("red", "nir")
        )
        with np.errstate(invalid="ignore"):
            mean = np.nanmean((nir - red) / (nir + red))
        assert f"{date[:4]}-{date[4:6]}-{date[6:]}  {mean:.3f}" in done.stdout
    assert {p: p.read_bytes() for p in sorted(EXAMPLES.iterdir()) if p.is_file()} == before
    picture = imagecodecs.png_decode((tmp_path / "ndvi.png").read_bytes())
    assert picture.shape == (250, 3 * 300 + 2 * 8, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 500
    # No data in the corner: white.
    assert (
        picture[0, :300][read_with_rasterio(EXAMPLES / "reflectance_20240412_red.tif")[0] == 0]
        == 255
    ).all()


def test_the_reader_of_the_demonstration_has_no_virtual_tiff(tmp_path: Path) -> None:
    """The proof in it is one: it ends where the package can be imported."""
    script = (ROOT / "scripts" / "demo_read.py").read_text()
    line = "sys.meta_path.insert(0, Blocker())\n"
    assert line in script
    without = tmp_path / "read.py"
    without.write_text(script.replace(line, ""))
    done = subprocess.run(
        [sys.executable, str(without), str(tmp_path), str(tmp_path / "a.png")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "virtual_tiff can be imported" in done.stderr
