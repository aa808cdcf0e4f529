"""Parse GDAL's metadata beside a file: `.aux.xml` documents (PAM) and world files.

PAM is specified only by GDAL's documentation of its data model and `data/pamdataset.xsd`. How GDAL
3.12 interprets documents, and which items take precedence over a TIFF's own tags, was found by
experiment. The XML is untrusted: entities and document types are refused; the caller limits the
size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from math import isfinite
from xml.etree.ElementTree import Element

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.json_type import JSON
from virtual_tiff.tiff import xml_document
from virtual_tiff.tiff.attribute_table import band_classes
from virtual_tiff.tiff.gdal_metadata import BandMetadata, GDALMetadata
from virtual_tiff.tiff.numbers import finite_number, leading_number
from virtual_tiff.tiff.xml_document import Tree, XMLError

#: In GDAL's order: x0, dx per column, dx per row, y0, dy per column, dy per row.
type GeoTransform = tuple[float, float, float, float, float, float]

#: Coefficients by the names of `rasterio.rpc.RPC`: a number, or 20 of them.
type Polynomials = Mapping[str, float | tuple[float, ...]]

#: Lines of a world file that are parsed.
_WORLD_LINES = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Auxiliary:
    """Metadata of an image from sidecars; it takes precedence over the tags.

    Parameters
    ----------
    crs
        Definition of the CRS, as WKT or a code; empty if the sidecar declares that there is none,
        `None` if it has no such item.
    coordinate_epoch
        Decimal year at which coordinates in that CRS are valid.
    geotransform
        Affine transform in GDAL's order, from corners of pixels; `None` if there is none.
    control_points
        GeoJSON FeatureCollection, as made by `tiff.geokeys.gcps`; `None` if there are none. They
        are used where there is no affine transform.
    polynomials
        Rational polynomials that come before those of the tags; `None` if there are none.
    metadata
        Metadata items, and descriptions, units, scales and offsets of bands.
    nodata
        Text of the nodata value by index of the band.
    color_table
        Red, green and blue of each index, 0 to 255; empty if there is none.
    urls
        Addresses of the sidecars.
    """

    crs: str | None = None
    coordinate_epoch: float | None = None
    geotransform: GeoTransform | None = None
    control_points: dict[str, JSON] | None = None
    polynomials: Polynomials | None = None
    metadata: GDALMetadata = field(default_factory=GDALMetadata)
    nodata: Mapping[int, str] = field(default_factory=dict)
    color_table: tuple[tuple[int, int, int], ...] = ()
    urls: tuple[str, ...] = ()


#: Most tags of elements in a document, each of which takes some 200 bytes.
MAX_TAGS = 500_000


def parse_aux_xml(data: bytes, url: str) -> Auxiliary:
    """Parse a PAM document; refuse those that GDAL cannot read either."""
    try:
        if data.count(b"<") > MAX_TAGS:
            raise XMLError(f"has more than {MAX_TAGS} tags")
        document = xml_document.read(data, partial(Tree, "PAMDataset", "mdi"))
    except XMLError as error:
        raise invalid_sidecar(url, f"the metadata {error}.") from error
    root = document.result()
    crs, epoch = _crs(root)
    points, projection = _control_points(root)
    bands: dict[int, BandMetadata] = {}
    nodata: dict[int, str] = {}
    color_table: tuple[tuple[int, int, int], ...] = ()
    for element in _children(root, "pamrasterband"):
        index = int(finite_number(_attribute(element, "band")) or 0) - 1
        if index < 0:
            continue
        band = _band(element, document.notes)
        bands[index] = bands[index].overridden_by(band) if index in bands else band
        if text := _nodata(element):
            nodata[index] = text
        if index == 0:
            color_table = _color_table(element)
    notes = "; ".join(document.notes)
    note = f"the metadata of {url.rpartition('/')[2]} {notes}." if notes else None
    return Auxiliary(
        crs=projection if points is not None and projection else crs,
        coordinate_epoch=epoch,
        geotransform=_geotransform(root),
        control_points=points,
        metadata=GDALMetadata(domains=_domains(root), bands=bands, note=note),
        nodata=nodata,
        color_table=color_table,
        urls=(url,),
    )


def parse_world_file(data: bytes) -> GeoTransform | None:
    """Parse a world file: six numbers, one a line; the last two are the first pixel's centre.

    The result is from corners of pixels. `None` where GDAL does not accept the file: fewer lines,
    or steps of 0.
    """
    texts = (line for line in data.decode("latin-1").splitlines() if line.strip())
    lines = list(islice(texts, _WORLD_LINES))
    if len(lines) < 6:
        return None
    a, d, b, e, x, y = (leading_number(line) or 0.0 for line in lines[:6])
    if not all(map(isfinite, (a, d, b, e, x, y))) or a * e - b * d == 0:
        return None
    return (x - 0.5 * a - 0.5 * b, a, b, y - 0.5 * d - 0.5 * e, d, e)


def invalid_sidecar(url: str, message: str) -> InvalidTIFFError:
    """Make an error about a file beside a TIFF."""
    return InvalidTIFFError(
        message,
        kind=ErrorKind.INVALID_SIDECAR,
        url=url,
        remedy="Fix or remove it, or leave its kind out of sidecars.",
    )


def _children(element: Element, name: str) -> Iterator[Element]:
    """Yield children with a name."""
    return (child for child in element if child.tag == name)


def _text(element: Element, name: str) -> str | None:
    found = next(_children(element, name), None)
    return None if found is None else (found.text or "").strip()


def _attribute(element: Element, name: str) -> str | None:
    return element.get(name)


def _crs(root: Element) -> tuple[str | None, float | None]:
    element = next(_children(root, "srs"), None)
    if element is None:
        return None, None
    return (element.text or "").strip(), finite_number(_attribute(element, "coordinateepoch"))


def _geotransform(root: Element) -> GeoTransform | None:
    numbers = [finite_number(part) for part in (_text(root, "geotransform") or "").split(",")]
    found = [number for number in numbers if number is not None]
    if len(numbers) != 6 or len(found) != 6:
        return None
    x, a, b, y, d, e = found
    return (x, a, b, y, d, e)


def _control_points(root: Element) -> tuple[dict[str, JSON] | None, str]:
    listed = next(_children(root, "gcplist"), None)
    if listed is None:
        return None, ""
    features: list[JSON] = []
    for point in _children(listed, "gcp"):
        names = ("pixel", "line", "x", "y", "z")
        column, row, *where = (finite_number(_attribute(point, name)) or 0.0 for name in names)
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "id": _attribute(point, "id") or "",
                    "info": _attribute(point, "info") or "",
                    "row": row,
                    "col": column,
                },
                "geometry": {"type": "Point", "coordinates": list(where)},
            }
        )
    if not features:
        return None, ""
    collection: dict[str, JSON] = {"type": "FeatureCollection", "features": features}
    return collection, (_attribute(listed, "projection") or "").strip()


def _domains(element: Element) -> dict[str, dict[str, str]]:
    """Return items by domain, without domains that are documents (`xml:`, `json:`)."""
    domains: dict[str, dict[str, str]] = {}
    for metadata in _children(element, "metadata"):
        if _attribute(metadata, "format") in ("xml", "json"):
            continue
        items = domains.setdefault(_attribute(metadata, "domain") or "", {})
        for item in _children(metadata, "mdi"):
            if (key := _attribute(item, "key")) is not None:
                items[key] = item.text or ""
    return {domain: items for domain, items in domains.items() if items}


def _band(element: Element, notes: dict[str, None]) -> BandMetadata:
    scale, offset = (_number(element, name, notes) for name in ("scale", "offset"))
    if scale is not None or offset is not None:
        # GDAL takes both scale and offset from here if one is present.
        scale = 1.0 if scale is None else scale
        offset = 0.0 if offset is None else offset
    return BandMetadata(
        scale=scale,
        offset=offset,
        units=_text(element, "unittype") or None,
        description=_text(element, "description") or None,
        color_interpretation=_text(element, "colorinterp") or None,
        classes=band_classes(element),
        domains=_domains(element),
    )


def _number(element: Element, name: str, notes: dict[str, None]) -> float | None:
    text = _text(element, name)
    number = finite_number(text)
    if text and (number is None or "," in text):
        band = _attribute(element, "band")
        found = "no number" if number is None else f"{number:g}, where GDAL stops at the comma"
        notes[f"has {found}, in {text[:40]!r} as {name} of band {band}"] = None
    return number


def _nodata(element: Element) -> str | None:
    found = next(_children(element, "nodatavalue"), None)
    if found is None:
        return None
    try:
        # The eight bytes of a double, where decimal digits are not exact.
        (value,) = struct.unpack("<d", bytes.fromhex(_attribute(found, "le_hex_equiv") or ""))
    except (ValueError, struct.error):
        return (found.text or "").strip() or None
    return str(int(value)) if isfinite(value) and value.is_integer() else repr(value)


def _color_table(element: Element) -> tuple[tuple[int, int, int], ...]:
    table = next(_children(element, "colortable"), None)
    if table is None:
        return ()
    return tuple(
        (_color(entry, "c1"), _color(entry, "c2"), _color(entry, "c3"))
        for entry in _children(table, "entry")
    )


def _color(entry: Element, name: str) -> int:
    return min(max(int(finite_number(_attribute(entry, name)) or 0), 0), 255)
