"""What providers and ArcGIS put beside a TIFF, and names of classes: as GDAL reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.rpc import RPC

from tests.helpers.make import pixels, write_with_rasterio
from tests.helpers.read import local_registry
from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.tiff.xml_document import Tree, read

SCALARS = {
    "errBias": 1.0,
    "errRand": 0.5,
    "lineOffset": 50,
    "sampOffset": 9.25,
    "latOffset": -3,
    "longOffset": 7,
    "heightOffset": 21,
    "lineScale": 6,
    "sampScale": 10,
    "latScale": 4,
    "longScale": 8,
    "heightScale": 2,
}
TERMS = [f"{i * 0.01:+.6E}" for i in range(1, 21)]
IMD = """version = "R";
generationTime = 2010-01-01T00:00:00.000000Z;
BEGIN_GROUP = BAND_P
\tULLon = 1.5;
END_GROUP = BAND_P
BEGIN_GROUP = IMAGE_1
\tsatId = "QB02";
\tcloudCover = 0.123;
\tfirstLineTime = 2009-05-06T07:08:09.123456Z;
\tlist = (1, 2,
 3);
END_GROUP = IMAGE_1
END;
"""


def rpb(without: str = "", height: float = 21) -> str:
    scalars = {**SCALARS, "heightOffset": height}
    lines = [f"\t{key} = {value};" for key, value in scalars.items() if key != without]
    for key in ("lineNumCoef", "lineDenCoef", "sampNumCoef", "sampDenCoef"):
        lines.append(f"\t{key} = (\n" + ",\n".join(f"\t\t\t{term}" for term in TERMS) + ");")
    inner = "\n".join(lines)
    return f'satId = "QB02";\nBEGIN_GROUP = IMAGE\n{inner}\nEND_GROUP = IMAGE\nEND;\n'


def rpc_txt(height: float = 31) -> str:
    values = {
        **{f"{axis}_OFF": 5 for axis in ("LINE", "SAMP", "LAT", "LONG")},
        **{f"{axis}_SCALE": 6.5 for axis in ("LINE", "SAMP", "LAT", "LONG", "HEIGHT")},
        "HEIGHT_OFF": height,
    }
    lines = [f"{key}: {value:+010.2f} pixels" for key, value in values.items()]
    for key in ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN"):
        lines += [f"{key}_COEFF_{i}:  {term}" for i, term in enumerate(TERMS, 1)]
    return "\r\n".join(lines) + "\r\n"


def pam() -> str:
    scalars = {
        **{f"{axis}_OFF": "5" for axis in ("LINE", "SAMP", "LAT", "LONG", "HEIGHT")},
        **{f"{axis}_SCALE": "6.5" for axis in ("LINE", "SAMP", "LAT", "LONG", "HEIGHT")},
        **{f"{k}_COEFF": " ".join(TERMS) for k in ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN")},
    }
    items = "".join(f'<MDI key="{key}">{value}</MDI>' for key, value in scalars.items())
    return f'<PAMDataset><Metadata domain="RPC">{items}</Metadata></PAMDataset>'


def esri(code: str, tag: str = '<identCode code="{}"/>') -> str:
    inner = f"<RefSystem><refSysID>{tag.format(code)}</refSysID></RefSystem>"
    return f"<metadata><refSysInfo>{inner}</refSysInfo></metadata>"


def write(folder: Path, *, tag: bool = False, crs: str | None = None) -> Path:
    path = folder / "image.tif"
    write_with_rasterio(path, pixels("uint8", (40, 50), seed=1), crs=crs, transform=None)
    if tag:
        with rasterio.open(path, "r+") as file:
            file.rpcs = RPC(
                **{
                    f"{axis}_{what}": 3.5
                    for axis in ("line", "samp", "lat", "long", "height")
                    for what in ("off", "scale")
                },
                **{
                    f"{axis}_{what}_coeff": [0.5] * 20
                    for axis in ("line", "samp")
                    for what in ("num", "den")
                },
                err_bias=0.0,
                err_rand=0.0,
            )
    return path


def described(path: Path, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes of the image, and of its grid mapping."""
    parser = VirtualTIFF(**{"sidecars": True, **options})
    arrays = parser.plan(path.as_uri(), local_registry()).arrays
    mapping = arrays.get("spatial_ref")
    return dict(arrays["0"].attributes), {} if mapping is None else dict(mapping.attributes)


@pytest.mark.parametrize(
    ("files", "tag"),
    [
        ({"image.RPB": rpb()}, False),
        ({"image.rpb": rpb()}, False),
        ({"image.RPB": rpb("errBias")}, False),
        ({"image.RPB": rpb()}, True),
        ({"image_RPC.TXT": rpc_txt()}, False),
        ({"image_rpc.txt": rpc_txt()}, True),
        ({"image_rpc.txt": rpc_txt(), "image.RPB": rpb()}, False),
        ({"image.tif.aux.xml": pam()}, False),
        ({"image.tif.aux.xml": pam()}, True),
        ({"image.tif.aux.xml": pam(), "image.RPB": rpb()}, False),
        ({"image.IMD": IMD}, False),
        ({"image.imd": IMD.replace("0.123", "-1"), "image.RPB": rpb()}, False),
    ],
)
def test_as_gdal(tmp_path: Path, files: dict[str, str], tag: bool) -> None:
    path = write(tmp_path, tag=tag)
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode())
    attributes, mapping = described(path)
    with rasterio.open(path) as file:
        found = json.loads(mapping.get("rpcs", "null"))
        assert (found and RPC(**found)) == file.rpcs
        items = json.loads(attributes.get("gdal_metadata", "{}"))
        assert items.get("", {}) == file.tags()
        assert items.get("IMD", {}) == file.tags(ns="IMD")
        assert items.get("IMAGERY", {}) == file.tags(ns="IMAGERY")
    alone = described(path, sidecars=["world"])
    assert ("rpcs" in alone[1]) == tag


@pytest.mark.parametrize("text", [rpb("heightOffset"), rpb().replace(TERMS[7], "?"), "junk"])
def test_polynomials_that_are_not_complete(tmp_path: Path, text: str) -> None:
    path = write(tmp_path)
    for name in ("image.RPB", "image_RPC.TXT"):
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidTIFFError) as caught:
            described(path)
        assert caught.value.kind == ErrorKind.INVALID_SIDECAR
        (tmp_path / name).unlink()


@pytest.mark.parametrize("own", [None, "EPSG:32633"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("image.xml", esri("26711")),
        ("image.XML", esri("4326")),
        ("image.xml", esri("102100")),
        ("image.xml", esri("4326", "<identCode><code>{}</code></identCode>")),
        ("image.xml", "<x/>" + esri("4326").upper().replace("CODE=", "code=")),
        ("image.xml", esri("0")),
        ("image.xml", esri("x")),
        ("image.xml", "<metadata/>"),
        ("image.xml", "junk <"),
        ("image.tif.xml", esri("4326")),
    ],
)
def test_the_crs_of_arcgis(tmp_path: Path, name: str, text: str, own: str | None) -> None:
    path = write(tmp_path, crs=own)
    (tmp_path / name).write_text(text)
    _, mapping = described(path)
    with rasterio.open(path) as file:
        assert (file.crs is None) == ("crs_wkt" not in mapping)
        if file.crs is not None:
            ours = pyproj.CRS(mapping["crs_wkt"])
            assert ours.equals(pyproj.CRS(file.crs.to_wkt()), ignore_axis_order=True)


def table(columns: str, *rows: str, more: str = "") -> str:
    cells = "".join(f"<Row><F>{'</F><F>'.join(row.split(','))}</F></Row>" for row in rows)
    return f"<GDALRasterAttributeTable {more}>{columns}{cells}</GDALRasterAttributeTable>"


def column(name: str, usage: int, kind: int) -> str:
    return f"<FieldDefn><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage></FieldDefn>"


VALUE, NAME = column("v", 5, 0), column("n", 2, 2)


@pytest.mark.parametrize(
    ("content", "values", "meanings"),
    [
        (
            "<CategoryNames><Category>none</Category><Category/><Category>open water, deep"
            "</Category></CategoryNames>",
            [0, 2],
            "none open_water_deep",
        ),
        (table(VALUE + NAME, "5,Forest", "7,Bare soil", "9,"), [5, 7], "Forest Bare_soil"),
        (table(NAME + VALUE, "a,300", "b,-1", "c,3"), [3], "c"),
        (
            table(column("lo", 3, 1) + column("hi", 4, 1) + NAME, "1,1,one", "2,4,some"),
            [1],
            "one",
        ),
        (table(NAME, "a", "b", more='Row0Min="4" BinSize="1"'), [4, 5], "a b"),
        (table(column("Value", 0, 0) + column("Class_Name", 0, 2), "3,x"), [3], "x"),
        (table(VALUE, "3"), None, None),
        ("<CategoryNames/>", None, None),
    ],
)
def test_names_of_classes(tmp_path: Path, content: str, values: Any, meanings: str) -> None:
    path = write(tmp_path)
    band = f'<PAMRasterBand band="1">{content}</PAMRasterBand>'
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{band}</PAMDataset>")
    attributes, _ = described(path)
    assert attributes.get("flag_values") == values
    assert attributes.get("flag_meanings") == meanings
    assert "flag_masks" not in attributes


def test_classes_of_one_band_of_several_are_not_those_of_all(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_with_rasterio(path, np.zeros((2, 8, 8), np.uint8))
    names = "<CategoryNames><Category>a</Category></CategoryNames>"
    bands = [f'<PAMRasterBand band="{i}">{names}</PAMRasterBand>' for i in (1, 2)]
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{bands[0]}</PAMDataset>")
    assert "flag_values" not in described(path)[0]
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{''.join(bands)}</PAMDataset>")
    assert described(path)[0]["flag_meanings"] == "a"


def test_a_tree_has_lower_case_names() -> None:
    root = read("<A><B C='1'>t</B></A>", lambda: Tree("a")).result()
    assert (root.tag, root[0].tag, root[0].attrib, root[0].text) == ("a", "b", {"c": "1"}, "t")
