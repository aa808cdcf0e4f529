"""TIFFs that others wrote: every image is read exactly, or refused by an error of ours.

tifffile judges every image, and GDAL the first of a file. Lossy streams may differ by a few grey
levels, since decoders do. Files that are refused are listed in corpus_refusals.toml, with the kind
of the error and the reason; one that starts to match has to leave the list.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from rasterio.windows import Window as GDALWindow

from scripts.compare_georeferencing import hushed
from tests.conftest import corpus_files, corpus_root
from tests.helpers.make import Pixels
from tests.helpers.read import local_registry, numcodecs_names
from tests.helpers.special import tifffile_pages
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.parser import VirtualTIFF

REFUSALS = Path(__file__).with_name("corpus_refusals.toml")
#: Images of one file that are read; the rest of a long series is like them.
MOST_IMAGES = 8
#: Samples of an image that are compared; of a larger one, a window that has pixels stored.
MOST_SAMPLES = 2**24
WINDOW = 2048
#: Compressions whose decoders may differ, and by how many grey levels.
LOSSY = frozenset(
    {6, 7, 22610, 33003, 33004, 33005, 33007, 34712, 34887, 34892, 34934, 50001, 50002, 52546}
)
LOSSY_TOLERANCE = 4


type Window = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry of the list."""

    kind: ErrorKind
    reason: str
    #: Whether the image can be had with `on_unsupported="copy"`.
    copy: bool


@cache
def refusals() -> dict[str, Refusal]:
    """The list, by path in the corpus."""
    entries = tomllib.loads(REFUSALS.read_text(encoding="utf-8"))
    return {
        path: Refusal(ErrorKind(entry["kind"]), entry["reason"], entry["copy"])
        for path, entry in entries.items()
    }


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a file, as the oracles have it."""

    name: str
    oracles: dict[str, Pixels]
    lossy: bool
    window: Window | None = None

    @property
    def path(self) -> tuple[int, ...]:
        """Where the image is, as an argument of the parser."""
        return tuple(int(part) for part in self.name.split("."))


def images_of(file: Path) -> list[Image]:
    """Images of a file, with the pixels of the oracles that can read them."""
    with hushed():
        found = list(_images_of_tifffile(file))
        if not found or found[0].name != "0":
            found.insert(0, Image("0", {}, lossy=False))
        gdal = _read_with_gdal(file, found[0].window)
    if gdal is not None:
        found[0].oracles["GDAL"] = gdal
    return found


def _images_of_tifffile(file: Path) -> Iterator[Image]:
    try:
        with tifffile.TiffFile(file) as tif:
            for _, (name, page) in zip(range(MOST_IMAGES), tifffile_pages(tif), strict=False):
                window = window_of(page)
                try:
                    pixels = page.asarray() if window is None else _read_window(page, window)
                    oracles = {"tifffile": pixels}
                except Exception:
                    oracles = {}
                yield Image(name, oracles, int(page.compression) in LOSSY, window)
    except Exception:
        return


def window_of(page: Any) -> Window | None:
    """Rows and columns to compare of an image that is too large to be read whole."""
    if page.size <= MOST_SAMPLES:
        return None
    stored = next((i for i, count in enumerate(page.databytecounts) if count), 0)
    across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
    down = -(-page.imagelength // (page.tilelength if page.is_tiled else page.rowsperstrip))
    row, column = divmod(stored % (across * down), across)
    top = row * (page.tilelength if page.is_tiled else page.rowsperstrip)
    left = column * (page.tilewidth if page.is_tiled else 0)
    return slice(top, top + WINDOW), slice(left, left + WINDOW)


def _read_window(page: Any, window: Window) -> Pixels:
    with page.aszarr() as store:
        array: Any = zarr.open_array(store, mode="r")
        planar = page.samplesperpixel > 1 and page.planarconfig == 2
        return np.asarray(array[(slice(None), *window) if planar else window])


def _read_with_gdal(file: Path, window: Window | None) -> Pixels | None:
    try:
        with rasterio.open(file) as dataset:
            if not dataset.count:
                return None
            if window is None:
                return np.asarray(dataset.read())
            return np.asarray(dataset.read(window=GDALWindow.from_slices(*window)))
    except Exception:
        return None


def read(file: Path, image: Image, **options: Any) -> Pixels:
    """Pixels of one image by way of the parser, bands first."""
    store = VirtualTIFF(ifd=image.path, **options)(f"file://{file}", local_registry())
    with numcodecs_names():
        array = zarr.open_group(store, mode="r", zarr_format=3)[image.name]
        assert isinstance(array, zarr.Array)
        if image.window is None:
            return np.asarray(array[...])
        return np.asarray(array[(..., *image.window)])


def matches(found: Pixels, image: Image) -> bool:
    """Whether an oracle reads the same pixels, samples before or after rows and columns."""
    for pixels in image.oracles.values():
        expected = tidy(pixels)
        orders = [expected]
        if expected.ndim == 3:
            orders += [np.moveaxis(expected, -1, 0), np.moveaxis(expected, 0, -1)]
        if any(same(tidy(found), order, image.lossy) for order in orders):
            return True
    return False


def tidy(pixels: Pixels) -> Pixels:
    """Without dimensions of one, and bilevel images as numbers."""
    return (pixels.astype(np.uint8) if pixels.dtype == bool else pixels).squeeze()


def same(one: Pixels, other: Pixels, lossy: bool) -> bool:
    """Whether pixels are equal; those of lossy streams may differ a little."""
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "fc" or other.dtype.kind in "fc":
        return bool(np.array_equal(one, other, equal_nan=True))
    if np.array_equal(one, other):
        return True
    if not lossy or one.dtype.itemsize > 4 or other.dtype.itemsize > 4:
        return False
    difference = np.abs(one.astype(np.int64) - other.astype(np.int64))
    return int(difference.max(initial=0)) <= LOSSY_TOLERANCE


def refusal_of(file: Path) -> Refusal | None:
    """Entry of a file in the list."""
    root = corpus_root()
    assert root is not None
    return refusals().get(file.relative_to(root).as_posix())


def judged(error: VirtualTIFFError, file: Path) -> str:
    """Kind of an error that says all it should."""
    if error.url != f"file://{file}" or "\n" in str(error) or not error.remedy:
        return f"error without place or remedy: {error!r}"
    return str(error.kind)


def outcome_of(file: Path, **options: Any) -> str:
    """`match`, `different pixels`, or the kind of the error; any other error is raised."""
    images = images_of(file)
    readable = any(image.oracles for image in images)
    astray = []
    for image in images:
        if not image.oracles:
            # Damaged, or beyond the oracles: to be planned or refused, and nothing else.
            try:
                VirtualTIFF(ifd=image.path, **options).plan(f"file://{file}", local_registry())
            except VirtualTIFFError as error:
                if not readable:
                    return judged(error, file)
    try:
        for image in images:
            if image.oracles and not matches(read(file, image, **options), image):
                astray.append(image.name)
    except VirtualTIFFError as error:
        return judged(error, file)
    if not readable:
        return "opened, though no oracle can read it"
    return f"different pixels: {', '.join(astray)}" if astray else "match"


def test_corpus_file(corpus_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = outcome_of(corpus_file)
    refusal = refusal_of(corpus_file)
    if refusal is None and _is_another_corpus() and outcome in ErrorKind:
        pytest.xfail(f"refused: {outcome}")
    assert outcome == ("match" if refusal is None else refusal.kind)
    assert capfd.readouterr().out == ""


def _is_another_corpus() -> bool:
    """Whether the list is about other files than these."""
    return not any(refusal_of(file) for file in corpus_files())


def _copied() -> list[Any]:
    root = corpus_root()
    files = {} if root is None else {f.relative_to(root).as_posix(): f for f in corpus_files()}
    return [
        pytest.param(files[path], id=path, marks=pytest.mark.corpus)
        for path, refusal in refusals().items()
        if refusal.copy and path in files
    ] or [pytest.param(None, id="none", marks=pytest.mark.corpus)]


@pytest.mark.parametrize("file", _copied())
def test_what_is_refused_can_be_copied(file: Path | None) -> None:
    if file is None:
        pytest.skip("none of these files is in the corpus")
    assert outcome_of(file, on_unsupported="copy") == "match"


@pytest.mark.corpus
def test_the_list_is_about_files_of_the_corpus() -> None:
    root = corpus_root()
    assert root is not None
    known = {file.relative_to(root).as_posix() for file in corpus_files()}
    if _is_another_corpus():
        pytest.skip("another corpus")
    assert refusals().keys() <= known


def test_pixels_are_compared() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    image = Image("0", {"oracle": np.moveaxis(pixels, 0, -1)}, lossy=False)
    assert matches(pixels, image)
    assert not matches(pixels + np.uint8(1), image)
    assert not matches(pixels[:, :2], image)
    lossy = Image("0", {"oracle": pixels}, lossy=True)
    assert matches(pixels + np.uint8(4), lossy)
    assert not matches(pixels + np.uint8(5), lossy)
    nan = np.array([[np.nan, 1]], "f4")
    assert matches(nan, Image("0", {"oracle": nan}, lossy=False))
