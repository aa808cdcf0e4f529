"""What gives values their meaning: one rule for pages, cubes, and images appended to a cube."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.helpers.archive import scanned
from tests.helpers.read import local_registry
from virtual_tiff import VirtualTIFF, agreeing
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import ErrorKind, MismatchError
from virtual_tiff.json_type import JSON
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.planning.agreement import (
    ORDER,
    Disagreement,
    agreed,
    disagreements,
    json_text,
    shared_attributes,
)

PIXELS = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64) % 200
RAMP = np.arange(256, dtype=np.uint16) * 257


def geotiff(*items: tuple[str, object], nodata: str | None = "7") -> dict[str, Any]:
    """Options of an image with GDAL's metadata."""
    texts = "".join(f'<Item name="{n}" sample="0" role="{n}">{v}</Item>' for n, v in items)
    tags: list[Any] = [(42112, 2, 0, f"<GDALMetadata>{texts}</GDALMetadata>", True)]
    if nodata is not None:
        tags.append((42113, 2, 0, nodata, True))
    return {"extratags": tags}


def palette(*order: int) -> dict[str, Any]:
    colors = np.stack([RAMP, RAMP[::-1], RAMP // 2])
    return {"photometric": "palette", "colormap": colors[list(order)]}


def samples(kind: str) -> dict[str, Any]:
    """Options of a grey image with a second sample."""
    return {
        "data": np.stack([PIXELS, PIXELS], axis=-1),
        "photometric": "minisblack",
        "planarconfig": "contig",
        "extrasamples": [kind],
    }


#: Options of two images of equal encoding whose values mean different things, and the attribute.
UNLIKE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "palette": (palette(0, 1, 2), palette(2, 1, 0), "color_map"),
    "polarity": (
        {"photometric": "minisblack"},
        {"photometric": "miniswhite"},
        "photometric_interpretation",
    ),
    "palette-or-grey": (palette(0, 1, 2), {"photometric": "minisblack"}, "photometric"),
    "scale": (geotiff(("scale", 2)), geotiff(("scale", 3)), "scale_factor"),
    "scale-or-none": (geotiff(("scale", 2)), geotiff(), "scale_factor"),
    "offset": (geotiff(("offset", 2)), geotiff(("offset", 3)), "add_offset"),
    "unit": (geotiff(("unittype", "m")), geotiff(("unittype", "ft")), "units"),
    "nodata": (geotiff(nodata="7"), geotiff(nodata="8"), "fill"),
    "nodata-or-none": (geotiff(nodata="0"), geotiff(nodata=None), "_FillValue"),
    "alpha": (samples("unassalpha"), samples("assocalpha"), "extra_samples"),
    "alpha-or-data": (samples("unassalpha"), samples("unspecified"), "extra_samples"),
}
#: Options of two images that are written in other words, and mean the same.
ALIKE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "number": (geotiff(("scale", "2"), nodata="7"), geotiff(("scale", "2.0"), nodata="7.0")),
    "neutral": (geotiff(("scale", 1), ("offset", 0)), geotiff()),
    "palette": (palette(0, 1, 2), palette(0, 1, 2)),
    "description": (geotiff(("description", "a")), geotiff(("description", "b"))),
}


def write_image(tif: tifffile.TiffWriter, options: dict[str, Any]) -> None:
    """Write one image with georeferencing."""
    defaults: dict[str, Any] = {"metadata": None, "contiguous": False, "extratags": []}
    options = defaults | options
    where: list[Any] = [
        (33550, 12, 3, (1.0, 1.0, 0.0), True),
        (33922, 12, 6, (0.0,) * 6, True),
        (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 2), True),
    ]
    options["extratags"] = [*where, *options["extratags"]]
    data = options.pop("data", PIXELS)
    tif.write(data, **options)


def write_pages(folder: Path, *images: dict[str, Any]) -> Path:
    """Write pages of one image, which OME-XML says they are."""
    folder.mkdir()
    path = folder / "pages.ome.tif"
    count = images[0].get("data", PIXELS[..., None]).shape[-1]
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="48" '
        f'SizeC="{count}" SizeZ="1" SizeT="{len(images)}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="{count}"/><TiffData/></Pixels></Image></OME>'
    )
    with tifffile.TiffWriter(path) as tif:
        for options in images:
            write_image(tif, {**options, "description": text})
            text = ""
    return path


def write_files(folder: Path, *images: dict[str, Any]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"a_2024010{day}.tif" for day in range(1, len(images) + 1)]
    for path, options in zip(paths, images, strict=True):
        with tifffile.TiffWriter(path) as tif:
            write_image(tif, options)
    return paths


def into_pages(folder: Path, *images: dict[str, Any]) -> None:
    path = write_pages(folder / "pages", *images)
    plan = VirtualTIFF(ifd_layout="pages").plan(f"file://{path}", local_registry())
    assert plan.arrays["image"].dimension_names[0] == "t"


def into_a_cube(folder: Path, *images: dict[str, Any]) -> None:
    paths = write_files(folder / "cube", *images)
    plan_cube(scanned(*map(str, paths)))


def onto_a_cube(folder: Path, *images: dict[str, Any]) -> None:
    first, *later = map(str, write_files(folder / "append", *images))
    repo = str(folder / "repository")
    stack(scanned(first), repo)
    append(scanned(*later), repo)


DOORS: dict[str, Callable[..., None]] = {
    "pages": into_pages,
    "stack": into_a_cube,
    "append": onto_a_cube,
}


@contextmanager
def refused(word: str) -> Iterator[None]:
    with pytest.raises(MismatchError) as caught:
        yield
    assert caught.value.kind == ErrorKind.MISMATCH
    assert caught.value.remedy
    assert word.split("_")[0].lower() in caught.value.message.lower()
    assert caught.value.url is not None


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("what", UNLIKE)
def test_images_that_mean_something_else(what: str, door: str, tmp_path: Path) -> None:
    one, other, attribute = UNLIKE[what]
    with refused(attribute):
        DOORS[door](tmp_path, one, other)


def test_the_page_to_blame(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a", *[palette(0, 1, 2)] * 2, palette(1, 0, 2))
    with pytest.raises(MismatchError) as caught:
        VirtualTIFF(ifd_layout="pages").plan(f"file://{path}", local_registry())
    assert (caught.value.url, caught.value.ifd) == (f"file://{path}", (2,))


def test_a_sidecar_is_about_the_first_page(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a", geotiff(), geotiff())
    parser = VirtualTIFF(ifd_layout="pages", sidecars=["aux.xml"])
    for content, refusal in (
        ("<Description>a</Description>", None),
        ("<Scale>3</Scale>", "scale_factor"),
        ("<UnitType>m</UnitType>", "units"),
    ):
        Path(f"{path}.aux.xml").write_text(
            f'<PAMDataset><PAMRasterBand band="1">{content}</PAMRasterBand></PAMDataset>'
        )
        if refusal is None:
            parser.plan(f"file://{path}", local_registry())
            continue
        with refused(refusal):
            parser.plan(f"file://{path}", local_registry())


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("what", ALIKE)
def test_images_that_mean_the_same(what: str, door: str, tmp_path: Path) -> None:
    DOORS[door](tmp_path, *ALIKE[what])


def double(value: float) -> str:
    return b64encode(pack("<d", value)).decode()


NAN = float("nan")
SAME: list[tuple[str, Any, Any]] = [
    ("scale_factor", 1, 1.0),
    ("scale_factor", None, 1),
    ("add_offset", 0.0, None),
    ("units", "", None),
    ("scales", [1, 2], (1.0, 2.0)),
    ("scales", [1, 1], None),
    ("scales", np.ones(2), None),
    ("nodata_values", [NAN, 0], [NAN, 0]),
    ("valid_range", np.array([0, 1]), [0, 1]),
    ("scale_factor", np.float64(2), 2),
    ("_FillValue", double(NAN), NAN),
    ("_FillValue", double(-1), -1),
    ("_FillValue", [double(0), double(NAN)], [0, NAN]),
    ("photometric_interpretation", None, "BlackIsZero"),
    ("extra_samples", ["unspecified"], None),
    ("band_names", ["red", "nir"], ["B04", "B08"]),
    ("band_names", ["red", "nir"], None),
    ("color_interpretation", ["gray", "undefined"], ["gray", "gray"]),
    ("long_name", "one", "two"),
    ("history", "one", "two"),
]
OTHER: list[tuple[str, Any, Any]] = [
    ("scale_factor", 1, 2),
    ("scale_factor", 0, None),
    ("add_offset", None, -1000),
    ("_FillValue", 0, None),
    ("_FillValue", double(0), NAN),
    ("nodata_values", [NAN, 0], [0, NAN]),
    ("band_nodata", [7, None], [7, 8]),
    ("units", "m", None),
    ("band_units", ["m", None], ["m", "K"]),
    ("flag_meanings", "a b", "b a"),
    ("band_names", ["red", "nir"], ["nir", "red"]),
    ("band_names", ["red", "nir"], ["nir", "swir"]),
    ("long_name", ["a", "a", "b"], ["a", "b", "a"]),
    ("color_interpretation", ["red", "green", "blue"], ["blue", "green", "red"]),
]


def documents(key: str, *values: Any) -> list[dict[str, JSON]]:
    return [{} if value is None else {key: value} for value in values]


@pytest.mark.parametrize(("key", "one", "other"), SAME, ids=str)
def test_same_meaning(key: str, one: Any, other: Any) -> None:
    for pair in (documents(key, one, other), documents(key, other, one)):
        assert list(disagreements(pair)) == []


@pytest.mark.parametrize(("key", "one", "other"), OTHER, ids=str)
def test_other_meaning(key: str, one: Any, other: Any) -> None:
    for pair in (documents(key, one, other), documents(key, other, one)):
        (found,) = disagreements(pair)
        assert (found.index, found.key) == (1, key)
        # Bands are compared with all images, of which the first may name none.
        assert [d.index for d in disagreements([*pair, pair[1]])][:1] == [1]
    if key in ORDER:
        found_later = disagreements([{}, *documents(key, one, other, other)])
        assert [d.index for d in found_later] == [2, 3]


def test_agreed() -> None:
    found: list[Disagreement] = []

    def refuse(disagreement: Disagreement) -> MismatchError:
        found.append(disagreement)
        return MismatchError("no")

    tags: dict[str, JSON] = {"Make": "a", "DateTime": "1"}
    one: dict[str, JSON] = {
        "scale_factor": 2,
        "title": NAN,
        "tiff": json_text(tags),
        "gdal": {"a": "1"},
    }
    other: dict[str, JSON] = {
        "scale_factor": 2.0,
        "title": NAN,
        "tiff": json_text({**tags, "DateTime": "2"}),
        "gdal": {"a": "2"},
        "more": 1,
    }
    shared = agreed([one, other], refuse)
    assert shared.pop("title") != 0
    assert shared == {"scale_factor": 2, "tiff": '{"Make": "a"}'}
    with pytest.raises(MismatchError):
        agreed([one, other, {**other, "scale_factor": 3}], refuse)
    assert found == [Disagreement(2, "scale_factor", 3, 2)]


def test_shared_attributes() -> None:
    first: dict[str, JSON] = {"a": 1, "b": [2]}
    assert shared_attributes([first, {"b": [2.0], "a": 3}]) == {"b": [2]}
    assert shared_attributes([first]) == first


def test_joined_datasets_do_not_keep_the_axes_of_one() -> None:
    document: dict[str, Any] = {"units": "m", "ome": {"multiscales": [{"axes": [{"name": "z"}]}]}}
    assert agreeing([document]) == document
    assert agreeing([document, dict(document)]) == {"units": "m"}
