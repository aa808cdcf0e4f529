"""`preview`: the smallest level that serves, in the colours of the file."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
from rasterio.transform import Affine
from rasterio.windows import Window

from tests.helpers.archive import write_scenes
from tests.helpers.range_server import RangeServer
from virtual_tiff import preview, publish, stack
from virtual_tiff.cli import main
from virtual_tiff.errors import InvalidOptionError, SourceError, VirtualTIFFError

EXAMPLES = Path(__file__).parents[2] / "examples"


def decoded(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = imagecodecs.png_decode(data)
    assert pixels.shape[-1] == 4
    return np.asarray(pixels)


def test_colours_and_mask_of_a_level() -> None:
    path = EXAMPLES / "aerial.tif"
    pixels = decoded(preview(path, size=140))
    with rasterio.open(path, overview_level=0) as level:
        expected = level.read()[:, ::2, ::2]
        mask = level.dataset_mask()[::2, ::2]
    assert np.array_equal(pixels[..., :3], np.moveaxis(expected, 0, -1))
    assert np.array_equal(pixels[..., 3] > 0, mask > 0)
    assert decoded(preview(path, size=150)).shape == (125, 150, 4)
    assert decoded(preview(path, size=5000)).shape == (250, 300, 4)


def test_palettes_and_values_without_data() -> None:
    path = EXAMPLES / "land_cover.tif"
    pixels = decoded(preview(path))
    with rasterio.open(path) as dataset:
        table, classes = dataset.colormap(1), dataset.read(1)
    for value in np.unique(classes):
        assert set(map(tuple, pixels[classes == value][:, :3])) == {table[value][:3]}
    path = EXAMPLES / "reflectance_20240412_red.tif"
    pixels = decoded(preview(path))
    with rasterio.open(path) as dataset:
        values = dataset.read(1)
    assert np.array_equal(pixels[..., 3] > 0, values != 0)
    shown = pixels[..., 0].astype(int)
    low, high = np.percentile(values[values != 0], (2, 98))
    expected = np.clip((values - low) / (high - low), 0, 1) * 255
    assert np.abs(shown - expected)[values != 0].max() <= 0.5


def test_only_the_bytes_of_the_level_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cog.tif"
    data = np.random.default_rng(1).integers(0, 255, (1, 2048, 2048), "uint8")
    options = {"driver": "COG", "blocksize": 128, "compress": "deflate"}
    with rasterio.open(
        path, "w", width=2048, height=2048, count=1, dtype="uint8", **options
    ) as dataset:
        dataset.write(data)
    with RangeServer(tmp_path) as server:
        preview(f"{server.url}/cog.tif", size=128)
        assert sum(request.sent for request in server.requests) < path.stat().st_size / 10


def test_published_arrays(tmp_path: Path) -> None:
    path = EXAMPLES / "aerial.tif"
    repository = str(tmp_path / "repository")
    publish([path, EXAMPLES / "elevation.tif"], repository)
    assert preview(repository, group="aerial", size=150) == preview(path, size=150)
    assert decoded(preview(repository, group="elevation", array="image")).shape == (250, 300, 4)
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"group": "nothing"}, "'aerial'"),
        ({"group": "aerial/9"}, "'0'"),
        ({"group": "aerial/0/image"}, "'image'"),
        ({"group": "aerial", "array": "nothing"}, "'0'"),
    ]
    for wrong, named in wrongs:
        with pytest.raises(InvalidOptionError) as caught:
            preview(repository, **wrong)
        assert named in (caught.value.remedy or "")
        assert "_virtual_tiff" not in (caught.value.remedy or "")
    with pytest.raises(VirtualTIFFError):
        preview(str(tmp_path / "absent"))
    with pytest.raises(SourceError):
        preview(str(tmp_path / "absent.tif"))
    for size in (0, -1, 1.5, "large"):
        with pytest.raises(InvalidOptionError):
            preview(path, size=size)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError):
        preview(repository, array=["image"])  # type: ignore[arg-type]


def test_a_cube_shows_its_first_step(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 2)
    stack(paths, tmp_path / "cube", datetime_pattern=r"_(\d{8})")
    one = decoded(preview(tmp_path / "cube"))
    assert np.array_equal(one, decoded(preview(paths[0])))


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "a.png"
    path = str(EXAMPLES / "aerial.tif")
    assert main(["preview", path, "-o", str(output), "--size", "100"]) == 0
    assert output.read_bytes() == preview(path, size=100)
    assert "a.png" in capsys.readouterr().out
    assert main(["preview", path, "--size", "20"]) == 0
    assert capsys.readouterr().out.count("▀") == 19 * 8
    assert main(["preview", path, "-o", str(tmp_path / "no" / "a.png")]) == 1


def test_odd_kinds_of_samples(tmp_path: Path) -> None:
    for dtype in ("float32", "int8", "uint16", "complex64", "float64"):
        path = tmp_path / f"{dtype}.tif"
        data = np.arange(30 * 40).reshape(30, 40).astype(dtype)
        with rasterio.open(
            path, "w", width=40, height=30, count=1, dtype=dtype, nodata=None
        ) as dataset:
            dataset.write(data, 1, window=Window(0, 0, 40, 30))
        assert decoded(preview(path))[..., 3].all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pixels_without_opacity_are_transparent(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "rgba.tif"
    data = np.arange(4 * 30 * 40).reshape(4, 30, 40).astype(dtype)
    data[3, 5:9] = 0
    with rasterio.open(
        path, "w", width=40, height=30, count=4, dtype=dtype, photometric="rgb", alpha="yes"
    ) as dataset:
        dataset.write(data)
    pixels = decoded(preview(path))
    assert np.array_equal(pixels[..., 3] > 0, data[3] > 0)
    if dtype == "uint8":
        assert np.array_equal(pixels[..., :3], np.moveaxis(data[:3], 0, -1))
    publish([path], tmp_path / "repository")
    assert np.array_equal(decoded(preview(tmp_path / "repository", group="rgba")), pixels)


@pytest.mark.parametrize("scale", [1, 256, 257, "uneven"])
def test_palettes_are_scaled_as_by_gdal(tmp_path: Path, scale: int | str) -> None:
    path = tmp_path / "palette.tif"
    random = np.random.default_rng(3)
    table = random.integers(0, 65536 if isinstance(scale, str) else 256, (3, 256))
    table = table if isinstance(scale, str) else table * scale
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tifffile.imwrite(path, values, photometric="palette", colormap=table.astype(np.uint16))
    with rasterio.open(path) as dataset:
        expected = [dataset.colormap(1)[value][:3] for value in range(256)]
    assert np.array_equal(decoded(preview(path))[..., :3].reshape(-1, 3), expected)


@pytest.mark.parametrize("nodata", [0, None])
@pytest.mark.parametrize("step", [96, 80])
def test_tiles_are_one_picture(tmp_path: Path, step: int, nodata: int | None) -> None:
    """Also where they overlap, of which one has no data there, and where one is missing."""
    whole = np.random.default_rng(2).integers(1, 255, (256, 256), np.uint8)
    shown = np.zeros_like(whole)
    for i, j in product(range(3), range(3)):
        window = (slice(i * step, i * step + 96), slice(j * step, j * step + 96))
        tile = whole[window].copy()
        if (i, j) == (1, 1):
            continue
        if nodata is not None:
            # What the next tile has, if they overlap.
            tile[:, -5:] = 0
        with rasterio.open(
            tmp_path / f"tile_{i}{j}.tif",
            "w",
            driver="GTiff",
            width=tile.shape[1],
            height=tile.shape[0],
            count=1,
            dtype="uint8",
            nodata=nodata,
            tiled=True,
            blockxsize=32,
            blockysize=32,
            crs="EPSG:32633",
            transform=Affine(10, 0, 500_000 + 10 * step * j, 0, -10, 5_000_000 - 10 * step * i),
        ) as file:
            file.write(tile[np.newaxis])
        shown[window] = np.where(tile, tile, shown[window])
    stack(
        str(tmp_path / "tile_*.tif"),
        tmp_path / "cube",
        stitch=True,
        grid="tiles",
        on_gap="fill",
        fill_value=None if nodata == 0 else 255,
    )
    for size, every in ((256, 1), (128, 2), (37, 7)):
        picture = decoded(preview(tmp_path / "cube", size=size))
        expected = shown[::every, ::every]
        assert picture.shape[:2] == expected.shape
        assert np.array_equal(picture[..., 3] > 0, expected > 0)
        # Values are stretched alike.
        order = np.argsort(expected, axis=None, kind="stable")
        gray = np.where(expected > 0, picture[..., 0], 0).reshape(-1)[order]
        assert (np.diff(gray.astype(int)) >= 0).all()
        assert gray.max() == 255
