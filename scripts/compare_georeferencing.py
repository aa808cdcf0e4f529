"""Compare what we say of a TIFF with what GDAL, through rasterio, says of it.

`python scripts/compare_georeferencing.py [FOLDER]` looks at every TIFF below the folder (the
corpus, unless told otherwise) that rasterio opens: CRS, transform, bounds, pixels that the nodata
value, the mask of the file or its alpha band masks, statistics, band descriptions, scales, offsets,
units, colour interpretation, control points, rational polynomials, and the sizes and transforms of
overviews. It prints the differences and the share of files without any. The exit status is 1 where
a difference is not in `EXPLAINED`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
import rasterio.errors
import zarr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import MemoryStore
from rasterio._err import CPLE_BaseError
from rasterio.enums import MaskFlags
from rich.console import Console
from rich.table import Table

from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.agreement import readable
from virtual_tiff.planning.attributes import Description, describe
from virtual_tiff.planning.encoding.data_type import image_nodata
from virtual_tiff.planning.pyramid import pyramids_of
from virtual_tiff.tags import PhotometricInterpretation
from virtual_tiff.tiff.geokeys import bounds, gcps, rpcs
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.reader import read_header
from virtual_tiff.tiff.relations import relate

#: What the file itself means: no sidecars, which GDAL would look for.
GDAL_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": False,
}
SUFFIXES = frozenset({".btf", ".gtiff", ".lsm", ".ndpi", ".scn", ".stk", ".svs", ".tif", ".tiff"})

#: Larger images are not read to compare masks.
_MAX_MASKED_PIXELS = 2**24

#: Differences that are meant: path below the folder → field → why, with the clause.
EXPLAINED: dict[str, dict[str, str]] = {
    "no_uom.tif": {"crs": "no linear unit is declared: metres, with a note, where GDAL has no unit"}
}
#: What rasterio raises where GDAL has a value that it knows no name of, or cannot read.
_NOT_SAID = (
    rasterio.errors.RasterioError,
    rasterio.errors.CRSError,
    CPLE_BaseError,
    KeyError,
    NotImplementedError,
    UnicodeDecodeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one file."""

    file: str
    field: str
    ours: object
    theirs: object

    @property
    def reason(self) -> str | None:
        return EXPLAINED.get(self.file, {}).get(self.field)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one file.

    Parameters
    ----------
    georeferenced
        Whether GDAL finds a CRS, a transform or control points in it.
    refused
        Why we do not read it, if we do not.
    """

    file: str
    georeferenced: bool
    differences: tuple[Difference, ...] = ()
    refused: str | None = None


_URL = "memory://compare/image.tif"


def _registry(data: bytes) -> ObjectStoreRegistry[Any]:
    store = MemoryStore()
    store.put("image.tif", data)
    return ObjectStoreRegistry({"memory://compare": store})


def read(data: bytes) -> Header:
    """The header of a TIFF in memory."""
    header, _ = asyncio.run(read_header(_URL, _registry(data)))
    return header


def pixels_of(data: bytes, index: tuple[int, ...]) -> Any:
    """The pixels of one image of a TIFF in memory, bands first."""
    found = VirtualTIFF(ifd=index, ifd_layout="flat", coords=False)(_URL, _registry(data))
    group = zarr.open_group(found, mode="r", zarr_format=3)
    ((_, array),) = ((name, each) for name, each in group.arrays() if each.ndim > 1)
    return np.asarray(array[...]).reshape(-1, *array.shape[-2:])


def overviews(header: Header) -> list[ImageFileDirectory]:
    """Reduced images of the first one, as the layout `multiscale` has them."""
    (pyramid,) = pyramids_of(relate(header.ifds), header.ifds[0].index)
    return [level["image"].directory for level in pyramid.levels[1:]]


def crs_equal(ours: pyproj.CRS | None, theirs: Any) -> bool:
    """Equality by pyproj, with GDAL's CRS as WKT 1, as rasterio gives it, and as WKT 2."""
    if not theirs:
        return ours is None
    if ours is None:
        return False
    exact = pyproj.CRS.from_wkt(theirs.to_wkt(version="WKT2_2019"))
    return ours == pyproj.CRS.from_user_input(theirs) and ours == exact


def per_band(attributes: dict[str, Any], one: str, many: str, default: object, count: int) -> Any:
    """A value for every band, out of the attribute for all or the one with a list."""
    if one in attributes:
        return [attributes[one]] * count
    return list(attributes.get(many, [default] * count))


def compare(path: Path, name: str) -> Result | None:
    """Compare one file; `None` where rasterio does not open it."""
    try:
        dataset = rasterio.open(path)
    except _NOT_SAID:
        return None
    with dataset:
        georeferenced = _is_georeferenced(dataset)
        try:
            header = read(path.read_bytes())
        except VirtualTIFFError as error:
            return Result(name, georeferenced, refused=str(error))
        return Result(name, georeferenced, tuple(_differences(name, header, dataset, path)))


def _is_georeferenced(dataset: Any) -> bool:
    try:
        return bool(dataset.crs or dataset.gcps[0] or not dataset.transform.is_identity)
    except _NOT_SAID:
        return True


def _differences(name: str, header: Header, dataset: Any, path: Path) -> Iterator[Difference]:
    full = header.ifds[0]
    gdal_type = dataset.dtypes[0]
    data_type = np.dtype("complex64" if gdal_type.startswith("complex_int") else gdal_type)
    ours = describe(full, fill_value=image_nodata(full, data_type))
    identity = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    transform = ours.geotransform or identity
    fields: dict[str, Callable[[], tuple[object, object]]] = {
        "crs": lambda: _crs(ours, dataset),
        "transform": lambda: (transform, tuple(dataset.transform.to_gdal())),
        "bounds": lambda: (_box(transform, dataset.shape), _their_box(dataset)),
        "masks": lambda: _masks(ours, dataset),
        "file masks": lambda: (
            (None, None) if _converted_by_gdal(full) else _file_masks(ours, header, dataset, path)
        ),
        "statistics": lambda: _statistics(ours, dataset),
        **_bands(ours, dataset),
        "colors": lambda: _colors(ours, full, dataset),
        "gcps": lambda: (
            _points(full),
            [(p.row, p.col, p.x, p.y, p.z) for p in dataset.gcps[0]],
        ),
        "rpcs": lambda: (_rounded(rpcs(full)), _rounded(dataset.rpcs and dataset.rpcs.to_dict())),
        "overviews": lambda: (_levels(header), _their_levels(dataset, path)),
    }
    for field, both in fields.items():
        try:
            mine, theirs = both()
        except _NOT_SAID:
            continue
        if repr(mine) != repr(theirs):
            yield Difference(name, field, mine, theirs)


def _crs(ours: Description, dataset: Any) -> tuple[object, object]:
    """The CRS as text, where ours is another than GDAL's."""
    theirs = dataset.crs or dataset.gcps[1]
    if crs_equal(ours.crs.crs, theirs):
        return None, None
    return _crs_text(ours.crs.crs), theirs and theirs.to_wkt()


def _colors(ours: Description, full: ImageFileDirectory, dataset: Any) -> tuple[object, object]:
    colors = ours.array_attributes["color_interpretation"]
    theirs = [color.name for color in dataset.colorinterp]
    return colors, colors if _converted_by_gdal(full) else theirs


def _crs_text(crs: pyproj.CRS | None) -> str | None:
    return None if crs is None else crs.to_wkt()


def _box(transform: Any, shape: tuple[int, int]) -> tuple[float, ...]:
    return tuple(bounds(transform, shape))


def _their_box(dataset: Any) -> tuple[float, ...]:
    height, width = dataset.shape
    corners = [dataset.transform @ (i, j) for i in (0, width) for j in (0, height)]
    if dataset.transform.is_rectilinear:
        left, bottom, right, top = dataset.bounds
        return min(left, right), min(bottom, top), max(left, right), max(bottom, top)
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _masks(ours: Description, dataset: Any) -> tuple[object, object]:
    """Masked pixels of each band, where GDAL masks by a nodata value of each band."""
    by_value = all(flags == [MaskFlags.nodata] for flags in dataset.mask_flag_enums)
    fill = readable("_FillValue", ours.array_attributes.get("_FillValue"))
    if isinstance(fill, list):
        return None, None  # of complex numbers, GDAL compares the real part alone
    if not by_value:
        # GDAL combines bands (NODATA_VALUES), or has no nodata value that a pixel can have.
        return fill, None
    if dataset.height * dataset.width > _MAX_MASKED_PIXELS:
        return None, None
    try:
        pixels, masks = dataset.read(), dataset.read_masks()
    except rasterio.errors.RasterioError:
        return None, None  # pixels that GDAL cannot decode
    masked = np.isnan(pixels) if fill != fill else pixels == fill
    return _counts(masked), _counts(masks == 0)


def _file_masks(
    ours: Description, header: Header, dataset: Any, path: Path
) -> tuple[object, object]:
    """Pixels that the mask of the file, or its alpha band, masks entirely."""
    flags = {flag for each in dataset.mask_flag_enums for flag in each}
    colors = readable("color_interpretation", ours.array_attributes["color_interpretation"])
    assert isinstance(colors, list)
    level = pyramids_of(relate(header.ifds), header.ifds[0].index)[0].levels[0]
    mask = level.get("mask")
    mine = "mask" if mask is not None else "alpha" if "alpha" in colors else None
    theirs = None
    if MaskFlags.per_dataset in flags and MaskFlags.nodata not in flags:
        theirs = "alpha" if MaskFlags.alpha in flags else "mask"
    # A nodata value comes before both in GDAL.
    if mine != theirs or mine is None:
        return (None if MaskFlags.nodata in flags else mine), theirs
    if dataset.height * dataset.width > _MAX_MASKED_PIXELS:
        return mine, theirs
    image, band = (mask, 0) if mask is not None else (level["image"], colors.index("alpha"))
    try:
        expected = dataset.read_masks(1)
        found = pixels_of(path.read_bytes(), image.directory.index)[band]
    except (rasterio.errors.RasterioError, VirtualTIFFError):
        return mine, theirs  # pixels that one of the two cannot decode
    return f"{mine}: {int((found == 0).sum())}", (
        f"{theirs}: {int((expected == 0).sum())}"
        if np.array_equal(found == 0, expected == 0)
        else f"{theirs}: {int((expected == 0).sum())}, at other pixels"
    )


def _counts(masked: Any) -> list[int]:
    return [int(band.sum()) for band in masked]


def _statistics(ours: Description, dataset: Any) -> tuple[object, object]:
    """Statistics of bands, as the file has them."""
    items = json.loads(str(ours.array_attributes.get("gdal_band_metadata", "[]")))
    mine = [_of_statistics(domains.get("", {})) for domains in items or [{}] * dataset.count]
    return mine, [_of_statistics(dataset.tags(band)) for band in dataset.indexes]


def _of_statistics(items: dict[str, str]) -> list[tuple[str, str]]:
    return sorted((k, v) for k, v in items.items() if k.startswith("STATISTICS_"))


def _bands(ours: Description, dataset: Any) -> dict[str, Callable[[], tuple[object, object]]]:
    count = dataset.count
    attributes: dict[str, Any] = dict(ours.array_attributes)

    def descriptions() -> tuple[object, object]:
        names = attributes.get("long_name")
        mine = [names] if isinstance(names, str) else names or [""] * count
        return mine, [text or "" for text in dataset.descriptions]

    def values(one: str, many: str, default: object, theirs: str) -> tuple[object, object]:
        mine = per_band(attributes, one, many, default, count)
        return mine, list(getattr(dataset, theirs))

    return {
        "descriptions": descriptions,
        "scales": lambda: values("scale_factor", "scales", 1.0, "scales"),
        "offsets": lambda: values("add_offset", "offsets", 0.0, "offsets"),
        "units": lambda: values("units", "band_units", None, "units"),
    }


def _converted_by_gdal(ifd: ImageFileDirectory) -> bool:
    """Whether GDAL makes another image, or a palette, of samples that we leave as they are."""
    kind = PhotometricInterpretation
    converted = {kind.WHITE_IS_ZERO, kind.SEPARATED, kind.YCBCR}
    return ifd.bits_per_sample[0] == 1 or ifd.photometric_interpretation in converted


def _points(ifd: ImageFileDirectory) -> list[Any]:
    collection: dict[str, Any] = gcps(ifd) or {"features": []}
    return [
        (f["properties"]["row"], f["properties"]["col"], *f["geometry"]["coordinates"])
        for f in collection["features"]
    ]


def _rounded(polynomials: Any) -> object:
    """GDAL hands coefficients over as text of 15 digits."""
    if polynomials is None:
        return None
    return {
        key: [f"{v:.14e}" for v in (value if isinstance(value, list) else [value])]
        for key, value in sorted(polynomials.items())
        if value is not None
    }


def _levels(header: Header) -> list[Any]:
    full = header.ifds[0]
    return [
        (ifd.image_length, ifd.image_width, describe(ifd, full=full).geotransform)
        for ifd in overviews(header)
    ]


def _their_levels(dataset: Any, path: Path) -> list[Any]:
    levels: list[Any] = []
    for i in range(len(dataset.overviews(1))):
        with rasterio.open(path, overview_level=i) as level:
            found = tuple(level.transform.to_gdal())
            plain = dataset.transform.is_identity
            levels.append((level.height, level.width, None if plain else found))
    return levels


def _print(results: Sequence[Result], console: Console) -> int:
    table = Table("file", "field", "ours", "GDAL's", "explained")
    differences = [d for result in results for d in result.differences]
    for d in differences:
        table.add_row(d.file, d.field, repr(d.ours)[:300], repr(d.theirs)[:300], d.reason or "NO")
    if differences:
        console.print(table)
    for result in results:
        if result.refused is not None:
            console.print(f"not read by us: {result.refused}", soft_wrap=True)
    for label, chosen in (
        ("files that rasterio opens", results),
        ("georeferenced ones", [r for r in results if r.georeferenced]),
    ):
        read_by_us = [r for r in chosen if r.refused is None]
        equal = sum(not r.differences for r in read_by_us)
        share = 100 * equal / len(read_by_us) if read_by_us else 100.0
        console.print(f"{label}: {equal} of {len(read_by_us)} equal in all fields ({share:.1f} %)")
    unexplained = sum(d.reason is None for d in differences)
    console.print(f"differences: {len(differences)}, of which {unexplained} unexplained")
    return 1 if unexplained or not results else 0


@contextmanager
def hushed() -> Iterator[None]:
    """Let oracles read what is broken without a word, and leave logging as it was."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return the exit status."""
    corpus = os.environ.get("VIRTUAL_TIFF_CORPUS")
    default = corpus or Path(__file__).resolve().parents[2] / "shared" / "corpus"
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    folder = Path(parser.parse_args(arguments).folder)
    console = Console()
    if not folder.is_dir():
        console.print(f"{folder} is not a folder")
        return 2
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    with hushed(), rasterio.Env(**GDAL_OPTIONS):
        found = [compare(path, str(path.relative_to(folder))) for path in files]
    return _print([result for result in found if result is not None], console)


if __name__ == "__main__":
    sys.exit(main())
