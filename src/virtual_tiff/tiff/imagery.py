"""Parse what providers of satellite images put beside a TIFF: `.RPB`, `.IMD`, `_RPC.TXT`, ESRI XML.

DigitalGlobe's `.RPB` (rational polynomials) and `.IMD` (metadata) are `KEY = VALUE;` in groups;
GeoEye's `_RPC.TXT` has a `KEY: VALUE` on each line; ArcGIS writes the code of the CRS into the XML
named like the image. How GDAL 3.12 interprets them, and which come before the tags of the TIFF, was
found by experiment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial

from virtual_tiff.tiff import xml_document
from virtual_tiff.tiff.auxiliary import Polynomials, invalid_sidecar
from virtual_tiff.tiff.gdal_metadata import Domains
from virtual_tiff.tiff.numbers import finite_number, leading_integer, leading_number
from virtual_tiff.tiff.xml_document import Tree, XMLError

#: Fields of a `.RPB`, in its group IMAGE, by their names in GDAL's domain `RPC`.
_RPB = {
    "ERR_BIAS": "errBias",
    "ERR_RAND": "errRand",
    "LINE_OFF": "lineOffset",
    "SAMP_OFF": "sampOffset",
    "LAT_OFF": "latOffset",
    "LONG_OFF": "longOffset",
    "HEIGHT_OFF": "heightOffset",
    "LINE_SCALE": "lineScale",
    "SAMP_SCALE": "sampScale",
    "LAT_SCALE": "latScale",
    "LONG_SCALE": "longScale",
    "HEIGHT_SCALE": "heightScale",
    "LINE_NUM_COEFF": "lineNumCoef",
    "LINE_DEN_COEFF": "lineDenCoef",
    "SAMP_NUM_COEFF": "sampNumCoef",
    "SAMP_DEN_COEFF": "sampDenCoef",
}
_OPTIONAL = frozenset({"ERR_BIAS", "ERR_RAND"})
_TERMS = 20
_KEYWORD = re.compile(
    r"""\s*+(?P<name>[^\s=;]++)
        (?:\s*+=\s*+(?P<value>"[^"]*+"|'[^']*+'|\([^)]*+\)|[^\s;]*+))?+
        [ \t]*+(?:<[^>\n]*+>)?+\s*+;?+""",
    re.VERBOSE,
)
_LINE = re.compile(r"^\s*+([A-Z]++(?:_[A-Z0-9]++)*+)\s*+[:=]\s*+(\S.*)$", re.MULTILINE)
_TIME = re.compile(r"(\d{1,4})-(\d{1,2})-(\d{1,2})T(\d{1,2}):(\d{1,2}):(\d{1,2})\.\d")


def parse_rpb(data: bytes, url: str) -> Polynomials:
    """Parse a `.RPB`; refuse one that lacks a field."""
    fields = {name.lower(): value for name, value in _keywords(data).items()}
    texts = {
        name: fields[f"image.{key.lower()}"]
        for name, key in _RPB.items()
        if f"image.{key.lower()}" in fields
    }
    return polynomials(texts) or _lacking(texts, url)


def parse_rpc_txt(data: bytes, url: str) -> Polynomials:
    """Parse a `_RPC.TXT`; refuse one that lacks a field."""
    lines = dict(_LINE.findall(data.decode("latin-1").replace("\r", "\n")))
    texts = {name: text for name, text in lines.items() if name in _RPB}
    for name in _RPB:
        terms = [lines.get(f"{name}_{i}") for i in range(1, _TERMS + 1)]
        if name.endswith("COEFF") and None not in terms:
            texts[name] = " ".join(str(leading_number(term or "")) for term in terms)
    return polynomials(texts) or _lacking(texts, url)


def polynomials(texts: Mapping[str, str]) -> Polynomials | None:
    """Return the coefficients of GDAL's domain `RPC`; `None` if one is missing."""
    found: dict[str, float | tuple[float, ...]] = {}
    for name in _RPB:
        text = texts.get(name, "")
        if not name.endswith("COEFF"):
            number = finite_number(text)
            if number is not None:
                found[name.lower()] = number
            elif name not in _OPTIONAL:
                return None
            continue
        numbers = [finite_number(part) for part in re.split(r"[\s,()]+", text) if part]
        terms = tuple(number for number in numbers if number is not None)
        if len(terms) != _TERMS or len(numbers) != _TERMS:
            return None
        found[name.lower()] = terms
    return found


def _lacking(texts: Mapping[str, str], url: str) -> Polynomials:
    missing = [name for name in _RPB if name not in texts and name not in _OPTIONAL]
    what = f"lacks {missing[0]}" if missing else "has a field without its numbers"
    raise invalid_sidecar(url, f"the file with rational polynomials {what}.")


def parse_imd(data: bytes) -> Domains:
    """Parse an `.IMD` into GDAL's domains `IMD` and `IMAGERY`, and the kind of the metadata."""
    items = _keywords(data)
    folded = {name.lower(): value for name, value in items.items()}

    def first(key: str) -> str | None:
        return folded.get(f"image.{key}", folded.get(f"image_1.{key}"))

    imagery = {}
    if (satellite := first("satid")) is not None:
        imagery["SATELLITEID"] = satellite.strip("\"'")
    if (cover := first("cloudcover")) is not None:
        share = leading_number(cover) or 0.0
        imagery["CLOUDCOVER"] = "999" if share < 0 else str(int(share * 100))
    if (time := _TIME.match(first("firstlinetime") or "")) is not None:
        try:
            moment = datetime(*map(int, time.groups()))  # type: ignore[arg-type]
            imagery["ACQUISITIONDATETIME"] = moment.strftime("%Y-%m-%d %H:%M:%S")
        except ValueError:
            pass
    return {"": {"METADATATYPE": "DG"}, "IMD": items} | ({"IMAGERY": imagery} if imagery else {})


def parse_esri_xml(data: bytes) -> str | None:
    """Return the code of the CRS in metadata of ArcGIS, such as `EPSG:26711`; `None` without."""
    try:
        element = xml_document.read(data, partial(Tree, "metadata")).result()
    except XMLError:
        return None  # any program may have written an XML of this name
    for name in ("refsysinfo", "refsystem", "refsysid", "identcode"):
        found = element.find(name)
        if found is None:
            return None
        element = found
    code = leading_integer(element.get("code") or element.findtext("code") or "") or 0
    if code <= 0:
        return None
    # Codes of ESRI begin above those of EPSG.
    return f"EPSG:{code}" if code <= 32767 else f"ESRI:{code}"


def _keywords(data: bytes) -> dict[str, str]:
    """Return values by `GROUP.name`, as GDAL writes them: lists without space, quotes kept."""
    found: dict[str, str] = {}
    groups: list[str] = []
    for match in _KEYWORD.finditer(data.decode("latin-1")):
        name, value = match["name"], match["value"]
        plain = name.upper()
        if plain == "END":
            break
        if plain in ("BEGIN_GROUP", "GROUP", "OBJECT") and value:
            groups.append(value)
        elif plain in ("END_GROUP", "END_OBJECT"):
            groups = groups[:-1]
        elif value is not None:
            if value.startswith("("):
                value = re.sub(r"\s", "", value)
            found.setdefault(".".join((*groups, name)), value)
    return found
