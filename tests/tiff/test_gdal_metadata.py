"""GDAL's XML metadata: what rasterio reads of it, and nothing that a hostile document wants."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.gdal_metadata import (
    MAX_CHARACTERS,
    BandMetadata,
    GDALMetadata,
    parse_gdal_metadata,
)
from virtual_tiff.tiff.xml_document import MAX_DEPTH

AWKWARD = "1 & <b> \"q\" 'x' é € ]]> &amp; &lt;\n second line"


def text_of(path: Path) -> str:
    with tifffile.TiffFile(path) as tiff:
        return str(tiff.pages.first.tags[Tag.GDAL_METADATA].value)


def parsed(text: str | None) -> GDALMetadata:
    """Parse a document that can be read."""
    metadata = parse_gdal_metadata(text)
    assert metadata.note is None
    return metadata


def test_what_rasterio_writes_is_what_rasterio_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=5, height=4, count=3, dtype="uint8"
    ) as dataset:
        dataset.update_tags(A=AWKWARD, B=" spaced ")
        dataset.update_tags(ns="FOO", C="3")
        dataset.update_tags(1, D="band 1", STATISTICS_MEAN="3")
        dataset.update_tags(2, ns="DOMAIN", k="v")
        dataset.scales = (1.0, 0.1, 1e-300)
        dataset.offsets = (0.0, -273.15, 1 / 3)
        dataset.units = ("m", "", "K & °C")
        dataset.set_band_description(1, AWKWARD)
        dataset.set_band_description(3, "blue")
        dataset.colorinterp = [ColorInterp.gray, ColorInterp.alpha, ColorInterp.undefined]
    metadata = parsed(text_of(path))
    with rasterio.open(path) as dataset:
        own = {k: v for k, v in dataset.tags().items() if k != "AREA_OR_POINT"}
        assert metadata.domains == {"": own, "FOO": dataset.tags(ns="FOO")}
        assert own["A"] == AWKWARD
        for i in range(3):
            band = metadata.band(i)
            assert (1.0 if band.scale is None else band.scale) == dataset.scales[i]
            assert (0.0 if band.offset is None else band.offset) == dataset.offsets[i]
            assert band.units == dataset.units[i]
            assert band.description == dataset.descriptions[i]
            assert band.domains.get("", {}) == dataset.tags(i + 1)
        assert metadata.band(1).domains["DOMAIN"] == dataset.tags(2, ns="DOMAIN")


def read_by_gdal(path: Path, text: str, bands: int = 1) -> GDALMetadata:
    """What rasterio reads of a document that somebody else wrote, in our form."""
    shape = (4, 5) if bands == 1 else (4, 5, bands)
    tifffile.imwrite(
        path,
        np.zeros(shape, np.uint8),
        photometric="minisblack",
        planarconfig="contig" if bands > 1 else None,
        extratags=[(Tag.GDAL_METADATA, 2, len(text) + 1, text, True)],
        metadata=None,
        software=False,
    )
    with rasterio.open(path) as dataset:
        items = {k: v for k, v in dataset.tags().items() if not k.startswith("TIFFTAG_")}
        return GDALMetadata(
            domains={"": items} if items else {},
            bands={
                i: BandMetadata(
                    scale=None if dataset.scales[i] == 1 else dataset.scales[i],
                    offset=None if dataset.offsets[i] == 0 else dataset.offsets[i],
                    units=dataset.units[i],
                    description=dataset.descriptions[i],
                    domains={"": tags} if (tags := dataset.tags(i + 1)) else {},
                )
                for i in range(bands)
            },
        )


@pytest.mark.parametrize(
    "items",
    [
        '<Item name="S" sample="0" role="scale">2.5</Item>',
        '<Item name="SCALE" sample="0">2.5</Item>',
        '<Item name="S" role="scale">2.5</Item>',
        '<Item name="S" sample="-1" role="scale">2.5</Item>',
        '<Item name="S" sample="0" domain="X" role="scale">9</Item>',
        '<Item name="S" sample="0" domain="IMAGE_STRUCTURE" role="scale">9</Item>',
        '<Item name="O" sample="0" role="offset">1</Item>',
        '<Item name="U" sample="0" role="unittype">  m</Item>',
        '<Item name="D" sample="0" role="description"></Item>',
        '<Item name="A">1</Item><Item name="A">2</Item>',
        '<Item>no name</Item><Other name="z">3</Other>',
        '\n  <Item name="A">  1  </Item>\n',
        '<Item name="A">a&amp;amp;b</Item>',
        '<Item name="A">&amp;lt;x&amp;gt;</Item>',
        "<!-- a comment --><Item name='A'>1</Item>",
        '<Item name="A">1</Item><Item name="A"></Item><Item name="B"/>',
        "",
    ],
)
def test_as_gdal(items: str, tmp_path: Path) -> None:
    text = f"<GDALMetadata>{items}</GDALMetadata>"
    theirs = read_by_gdal(tmp_path / "a.tif", text)
    ours = parsed(text)
    assert ours.domains == theirs.domains
    assert ours.band(0) == theirs.band(0)


def test_bands_beyond_the_image_harm_nobody() -> None:
    text = '<GDALMetadata><Item name="A" sample="99999999999">1</Item></GDALMetadata>'
    metadata = parse_gdal_metadata(text)
    assert metadata.band(0) == BandMetadata()
    assert metadata.domains == {}


@pytest.mark.parametrize("value", ["1e400", "nan", "-inf", "abc", ""])
def test_scales_that_are_no_numbers_do_not_count(value: str) -> None:
    text = f'<GDALMetadata><Item name="S" sample="0" role="scale">{value}</Item></GDALMetadata>'
    metadata = parse_gdal_metadata(text)
    assert metadata.band(0).scale is None
    assert metadata.note is not None


def test_color_interpretation() -> None:
    text = (
        '<GDALMetadata><Item name="COLORINTERP" sample="1" role="colorinterp">Alpha</Item>'
        "</GDALMetadata>"
    )
    assert parse_gdal_metadata(text).band(1).color_interpretation == "Alpha"


GOOD = (
    '<GDALMetadata>\n<Item name="OFFSET" sample="0" role="offset">-0.1</Item>\n'
    '<Item name="SCALE" sample="0" role="scale">0.0001</Item>\n'
    '<Item name="SOURCE">v</Item></GDALMetadata>'
)
#: Documents with faults that GDAL ignores, or for which it ignores the document.
FAULTY = {
    "control-character": GOOD.replace(">v<", ">a\x03b<"),
    "no-quotes": GOOD.replace('name="SOURCE"', "name=SOURCE"),
    "number-without-quotes": GOOD.replace('sample="0"', "sample=0"),
    "mixed-quotes": GOOD.replace('"0"', "'0'"),
    "further-root": GOOD + "<more/>",
    "item-after-the-end": GOOD + '<Item name="X">y</Item>',
    "text-after-the-end": GOOD + "junk",
    "text-before": "junk" + GOOD,
    "root-before": "<R/>" + GOOD,
    "two-documents": GOOD + GOOD.replace("0.0001", "0.5"),
    "upper-case": GOOD.replace("Item", "ITEM").replace("GDALMetadata", "gdalmetadata"),
    "mixed-case": GOOD.replace("</Item>", "</item>"),
    "attributes-in-upper-case": GOOD.replace("name=", "NAME=").replace("role=", "Role="),
    "bracket": GOOD.replace(">v<", ">a > b<"),
    "document-type": "<!DOCTYPE x>" + GOOD,
    "hyphens-in-a-comment": GOOD.replace("<Item", "<!-- a -- b --><Item", 1),
    "attribute-twice": GOOD.replace('name="SOURCE"', 'name="SOURCE" name="B"'),
    "no-space": GOOD.replace('" sample', '"sample'),
    "spaces-around-equals": GOOD.replace('role="scale"', 'role = "scale"'),
    "bracket-in-an-attribute": GOOD.replace('"SOURCE"', '"A<B"'),
    "references-in-an-attribute": GOOD.replace('"SOURCE"', '"A&amp;B&lt;"') + "junk",
    "namespace": GOOD.replace("<GDALMetadata>", '<GDALMetadata xmlns="x">'),
    "instruction": GOOD.replace("<Item", "<?foo bar?><Item", 1),
    "sample-of-text": GOOD.replace('sample="0"', 'sample="x"'),
    "decimal-commas": GOOD.replace("0.0001", "0,0001").replace("-0.1", "-0,1"),
    "units-after-numbers": GOOD.replace("0.0001", "0.0001 m").replace("-0.1", " -0.1x"),
    "exponent-of-fortran": GOOD.replace("0.0001", "2D-4"),
    "root-not-closed": GOOD.replace("</GDALMetadata>", ""),
    "item-not-closed": GOOD.replace("v</Item>", "v"),
    "cut-off": GOOD[:-30],
    "cut-off-in-a-tag": GOOD[:90],
    "wrong-end": GOOD.replace("</Item>", "</Foo>", 1),
    "end-too-many": GOOD.replace("</GDALMetadata>", "</Item></GDALMetadata>"),
    "end-after-the-end": GOOD + "</GDALMetadata>",
    "smaller-than": GOOD.replace(">v<", ">a < b<"),
    "attribute-without-value": GOOD.replace('name="SOURCE"', 'foo name="SOURCE"'),
    "path-without-quotes": GOOD.replace('name="SOURCE"', "name=a/b"),
    "missing-quote": GOOD.replace('"SOURCE"', '"SOURCE'),
    "element-within-a-scale": GOOD.replace("0.0001", "0.5<b>7</b>"),
    "scale-within-an-element": GOOD.replace("0.0001", "<b>0.5</b>"),
    "inner-root": "<R>" + GOOD + "</R>",
    "comment-within-a-scale": GOOD.replace("0.0001", "0.5<!-- a -->"),
    "comment-before-a-text": GOOD.replace(">v<", "><!-- a -->v<"),
    "comment-in-xml-that-is-not-well-formed": GOOD.replace(">v<", ">v<!-- a --><") + "junk",
    "instruction-within-an-offset": GOOD.replace("-0.1", "-0<?a?>.5"),
    "scale-without-text": GOOD.replace("0.0001", ""),
}
#: Of these nothing is left out.
COMPLETE = frozenset(FAULTY) & {
    *("control-character", "no-quotes", "number-without-quotes", "mixed-quotes", "upper-case"),
    *("mixed-case", "attributes-in-upper-case", "bracket", "hyphens-in-a-comment", "namespace"),
    *("attribute-twice", "no-space", "spaces-around-equals", "bracket-in-an-attribute"),
    *("instruction", "sample-of-text", "decimal-commas", "units-after-numbers"),
    "exponent-of-fortran",
}


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_documents_as_gdal(name: str, tmp_path: Path) -> None:
    theirs = read_by_gdal(tmp_path / "a.tif", FAULTY[name])
    ours = parse_gdal_metadata(FAULTY[name])
    assert ours.domains == theirs.domains
    assert (ours.band(0).scale, ours.band(0).offset) == (
        theirs.band(0).scale,
        theirs.band(0).offset,
    )
    assert (ours.note is None) == (name in COMPLETE)


def test_a_bare_ampersand_ends_no_text() -> None:
    # GDAL reads the numbers too, but cuts the text off.
    metadata = parsed(GOOD.replace(">v<", ">Land & Water &copy;<"))
    assert metadata.band(0).scale == 0.0001
    assert metadata.domains[""]["SOURCE"] == "Land & Water &copy;"


def test_the_document_ends_at_its_first_nul(tmp_path: Path) -> None:
    assert parsed(GOOD + "\0<junk\0") == parsed(GOOD)


@pytest.mark.parametrize("text", [None, "", "\0", " \n\0"])
def test_nothing(text: str | None) -> None:
    assert parsed(text) == GDALMetadata()


LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha" * 10}">' for i in range(10))
HOSTILE = {
    "junk": "junk <GDALMetadata></GDALMetadata>",
    "unclosed-comments": "<!--" * 200_000,
    "unclosed-sections": "<![CDATA[" * 200_000,
    "attributes": "<GDALMetadata" + " a=b" * 500_000,
    "equal-signs": "<GDALMetadata " + "a=" * 500_000 + ">",
    "unclosed": '<GDALMetadata><Item name="A">1</Item>',
    "other-root": '<Foo><Item name="A">1</Item></Foo>',
    "billion-laughs": f"<!DOCTYPE x [{LAUGHS}]>"
    '<GDALMetadata><Item name="A">&a9;</Item></GDALMetadata>',
    "quadratic-blowup": '<!DOCTYPE x [<!ENTITY a "'
    + "x" * 50_000
    + '">]><GDALMetadata><Item name="A">'
    + "&a;" * 50_000
    + "</Item></GDALMetadata>",
    "external-entity": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    '<GDALMetadata><Item name="A">&a;</Item></GDALMetadata>',
    "external-dtd": '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><GDALMetadata/>',
    "deep": "<GDALMetadata>" + "<a>" * (MAX_DEPTH + 1),
    "very-deep": "<GDALMetadata>" + "<a>" * 500_000,
    "long": "<GDALMetadata>" + " " * MAX_CHARACTERS + "</GDALMetadata>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_give_nothing_and_say_why(name: str) -> None:
    started = time.perf_counter()
    metadata = parse_gdal_metadata(HOSTILE[name])
    assert metadata.domains == {}
    assert metadata.bands == {}
    assert metadata.note is not None
    assert len(metadata.note) < 300
    assert "root:" not in metadata.note
    assert time.perf_counter() - started < 5


def test_many_items_take_linear_time() -> None:
    count = 50_000
    items = "".join(f'<Item name="k{i}">v</Item>' for i in range(count))
    started = time.perf_counter()
    metadata = parsed(f"<GDALMetadata>{items}</GDALMetadata>")
    assert len(metadata.domains[""]) == count
    assert time.perf_counter() - started < 5


def test_the_encoding_of_the_declaration_does_not_count() -> None:
    declaration = '<?xml version="1.0" encoding="latin-1"?>'
    text = declaration + '<GDALMetadata><Item name="A">é</Item></GDALMetadata>'
    assert parsed(text).domains == {"": {"A": "é"}}


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet='<>&;"=/ aGDALMetdItmnsrolc0'))
def test_no_text_raises(text: str) -> None:
    assert parse_gdal_metadata(f"<GDALMetadata>{text}</GDALMetadata>") is not None
    assert parse_gdal_metadata(text) is not None
