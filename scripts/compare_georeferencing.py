"""Compare what we say of a TIFF with what GDAL, through rasterio, says of it.

`python scripts/compare_georeferencing.py [FOLDER]` looks at every TIFF below the folder (the
corpus, unless told otherwise) that rasterio opens: CRS, transform, bounds, nodata, band
descriptions, scales, offsets, units, colour interpretation, control points, rational polynomials,
and the sizes and transforms of overviews. It prints the differences and the share of files
without any. The exit status is 1 where a difference is not in `EXPLAINED`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
import rasterio.errors
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import MemoryStore
from rich.console import Console
from rich.table import Table

from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.planning.attributes import Description, describe, encode_fill_value
from virtual_tiff.planning.encoding.data_type import nodata_value
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

#: Differences that are meant: path below the folder → field → why, with the clause.
EXPLAINED: dict[str, dict[str, str]] = {}


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


def read(data: bytes) -> Header:
    """The header of a TIFF in memory."""
    store = MemoryStore()
    store.put("image.tif", data)
    registry: ObjectStoreRegistry[Any] = ObjectStoreRegistry({"memory://compare": store})
    header, _ = asyncio.run(read_header("memory://compare/image.tif", registry))
    return header


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
    except rasterio.errors.RasterioError:
        return None
    with dataset:
        points, _ = dataset.gcps
        georeferenced = bool(dataset.crs or points or not dataset.transform.is_identity)
        try:
            header = read(path.read_bytes())
        except VirtualTIFFError as error:
            return Result(name, georeferenced, refused=str(error))
        return Result(name, georeferenced, tuple(_differences(name, header, dataset, path)))


def _differences(name: str, header: Header, dataset: Any, path: Path) -> Iterator[Difference]:
    full = header.ifds[0]
    gdal_type = dataset.dtypes[0]
    data_type = np.dtype("complex64" if gdal_type.startswith("complex_int") else gdal_type)
    ours = describe(full, fill_value=nodata_value(full.gdal_nodata, data_type))
    points, points_crs = dataset.gcps
    their_crs = dataset.crs or points_crs
    if not crs_equal(ours.crs.crs, their_crs):
        yield Difference(name, "crs", _crs_text(ours.crs.crs), their_crs and their_crs.to_wkt())
    identity = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    transform = ours.geotransform or identity
    colors = ours.array_attributes["color_interpretation"]
    their_colors = [color.name for color in dataset.colorinterp]
    pairs: list[tuple[str, object, object]] = [
        ("transform", transform, tuple(dataset.transform.to_gdal())),
        ("bounds", _box(transform, dataset.shape), _their_box(dataset)),
        ("nodata", _nodata(ours), _their_nodata(dataset, data_type)),
        *_bands(ours, dataset),
        ("colors", colors, colors if _converted_by_gdal(full) else their_colors),
        ("gcps", _points(full), [(p.row, p.col, p.x, p.y, p.z) for p in points]),
        ("rpcs", _rounded(rpcs(full)), _rounded(dataset.rpcs and dataset.rpcs.to_dict())),
        ("overviews", _levels(header), _their_levels(dataset, path)),
    ]
    for field, mine, theirs in pairs:
        if repr(mine) != repr(theirs):
            yield Difference(name, field, mine, theirs)


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


def _nodata(ours: Description) -> object:
    return ours.array_attributes.get("_FillValue")


def _their_nodata(dataset: Any, data_type: np.dtype[Any]) -> object:
    # Through the same encoding, so that NaN and -0.0 compare as what they are. A value that the
    # data type cannot hold equals no pixel: it is not nodata to us.
    text = None if dataset.nodata is None else repr(dataset.nodata)
    value = nodata_value(text, data_type)
    return None if value is None or isinstance(value, bool) else encode_fill_value(value)


def _bands(ours: Description, dataset: Any) -> Iterator[tuple[str, object, object]]:
    count = dataset.count
    attributes: dict[str, Any] = dict(ours.array_attributes)
    names = attributes.get("long_name")
    descriptions = [names] if isinstance(names, str) else names or [""] * count
    yield "descriptions", descriptions, [text or "" for text in dataset.descriptions]
    for field, one, many, default, theirs in (
        ("scales", "scale_factor", "scales", 1.0, dataset.scales),
        ("offsets", "add_offset", "offsets", 0.0, dataset.offsets),
        ("units", "units", "band_units", None, dataset.units),
    ):
        yield field, per_band(attributes, one, many, default, count), list(theirs)


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
    logging.disable(logging.CRITICAL)  # GDAL's word on broken files
    with warnings.catch_warnings(), rasterio.Env(**GDAL_OPTIONS):
        warnings.simplefilter("ignore")
        found = [compare(path, str(path.relative_to(folder))) for path in files]
    return _print([result for result in found if result is not None], console)


if __name__ == "__main__":
    sys.exit(main())
