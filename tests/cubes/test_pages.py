"""Files of several pages → cubes: no plane is lost, and axes are in OME-Zarr's order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from zarr.storage import StoreLike

from tests.helpers.make import Pixels
from tests.helpers.microscopes import stk
from tests.helpers.paged import HEIGHT, PAGED, WIDTH, ramp
from tests.helpers.range_server import RangeServer
from virtual_tiff import VirtualTIFF, append, open_repository, publish, scan, stack
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    InvalidTIFFError,
    MismatchError,
    VirtualTIFFError,
)
from virtual_tiff.inspection.read import info
from virtual_tiff.tiff.ome_companion import companion_of
from virtual_tiff.tiff.ome_places import places_of_planes

COLUMNS = {"t": r"_t(\d+)", "c": r"_(c\d)"}
COLUMNS_OF_T = {"t": r"_t(\d+)"}


def group_of(repo: Path) -> zarr.Group:
    store: StoreLike = open_repository(str(repo)).readonly_session("main").store
    return zarr.open_group(store, mode="r")


def array_of(repo: Path, name: str = "data") -> zarr.Array[Any]:
    array = group_of(repo)[name]
    assert isinstance(array, zarr.Array)
    return array


def names_of(array: zarr.Array[Any]) -> tuple[Any, ...]:
    return tuple(getattr(array.metadata, "dimension_names", None) or ())


def ome_of(group: zarr.Group) -> dict[str, Any]:
    found: Any = group.attrs["ome"]
    return dict(found)


def write_sequence(folder: Path, *, spacing: float = 2.0, times: int = 3) -> Pixels:
    """Write a z-stack of ImageJ for each time and channel; return all of them."""
    pixels = ramp(times, 2, 4, 20, 30)
    for t in range(times):
        for c in range(2):
            tifffile.imwrite(
                folder / f"img_t{t:03}_c{c}.tif",
                pixels[t, c],
                imagej=True,
                metadata={"axes": "ZYX", "unit": "um", "spacing": spacing},
            )
    return pixels


@pytest.mark.parametrize("along", [("t", "c"), ("c", "t")])
def test_stacks_of_a_sequence_become_five_dimensions(along: Any, tmp_path: Path) -> None:
    pixels = write_sequence(tmp_path)
    stack(str(tmp_path / "*.tif"), str(tmp_path / "r"), along=along, columns=COLUMNS)
    array = array_of(tmp_path / "r")
    assert names_of(array) == ("t", "c", "z", "y", "x")
    assert np.array_equal(np.asarray(array[...]), pixels)
    group = group_of(tmp_path / "r")
    assert np.asarray(group["z"][...]).tolist() == [0.0, 2.0, 4.0, 6.0]  # type: ignore[index]
    ome = ome_of(group)
    (image,) = ome["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == ["t", "c", "z", "y", "x"]
    (dataset,) = image["datasets"]
    assert dataset["path"] == "data"
    assert dataset["coordinateTransformations"][0]["scale"] == [1.0, 1.0, 2.0, 1.0, 1.0]
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["c0", "c1"]


def test_a_variable_for_each_channel(tmp_path: Path) -> None:
    pixels = write_sequence(tmp_path)
    stack(str(tmp_path / "*.tif"), str(tmp_path / "r"), along="t", columns=COLUMNS, variable="c")
    assert np.array_equal(np.asarray(array_of(tmp_path / "r", "c1")[...]), pixels[:, 1])
    images = ome_of(group_of(tmp_path / "r"))["multiscales"]
    assert [image["datasets"][0]["path"] for image in images] == ["c0", "c1"]
    assert [len(image["axes"]) for image in images] == [4, 4]


def test_hyperstacks_and_colours(tmp_path: Path) -> None:
    """Channels and slices of a hyperstack, and samples of a page, keep their places."""
    hyper = ramp(2, 3, 2, 20, 30)
    colour = ramp(2, 4, 20, 30, 3, dtype="uint8")
    for t in range(2):
        tifffile.imwrite(
            tmp_path / f"hyper_t{t}.tif", hyper[t], imagej=True, metadata={"axes": "ZCYX"}
        )
        tifffile.imwrite(
            tmp_path / f"colour_t{t}.ome.tif",
            colour[t],
            metadata={"axes": "ZYXS", "PhysicalSizeZ": 0.5, "PhysicalSizeZUnit": "µm"},
            photometric="rgb",
        )
    for name in ("hyper", "colour"):
        stack(
            str(tmp_path / f"{name}*.tif"),
            str(tmp_path / name),
            along="t",
            columns={"t": r"_t(\d)"},
        )
    array = array_of(tmp_path / "hyper")
    assert names_of(array) == ("t", "c", "z", "y", "x")
    assert np.array_equal(np.asarray(array[...]), hyper.transpose(0, 2, 1, 3, 4))
    array = array_of(tmp_path / "colour")
    assert names_of(array) == ("t", "c", "z", "y", "x")
    assert np.array_equal(np.asarray(array[...]), colour.transpose(0, 4, 1, 2, 3))
    (image,) = ome_of(group_of(tmp_path / "colour"))["multiscales"]
    assert image["axes"][2] == {"name": "z", "type": "space", "unit": "micrometer"}


def test_pages_without_metadata_become_a_dimension(tmp_path: Path) -> None:
    pixels = ramp(2, 5, 20, 30)
    for t in range(2):
        with tifffile.TiffWriter(tmp_path / f"plain_t{t}.tif") as tif:
            for page in pixels[t]:
                tif.write(page, metadata=None, contiguous=False)
    stack(str(tmp_path / "*.tif"), str(tmp_path / "r"), along="t", columns={"t": r"_t(\d)"})
    assert np.array_equal(np.asarray(array_of(tmp_path / "r")[...]), pixels)


#: A page in UTM zone 33 north, with pixels of 10 m.
GEO = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 400_000.0, 5_300_000.0, 0.0), True),
    (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True),
]
#: What a page is, after the first.
PAGE: dict[str, Any] = {}
OVERVIEW: dict[str, Any] = {"subfiletype": 1}
MASK: dict[str, Any] = {"subfiletype": 4}


@pytest.mark.parametrize("is_geographic", [False, True])
@pytest.mark.parametrize("size", [20, 256])
@pytest.mark.parametrize(
    ("following", "pages", "noted"),
    [
        ([PAGE], 2, ()),
        ([OVERVIEW], 1, ()),
        ([OVERVIEW, PAGE], 2, ()),
        ([MASK], 1, ("mask",)),
        ([MASK, PAGE], 2, ("mask",)),
        ([PAGE, MASK], 2, ("mask",)),
    ],
)
def test_the_distance_of_what_follows_does_not_matter(
    following: list[dict[str, Any]],
    pages: int,
    noted: tuple[str, ...],
    size: int,
    is_geographic: bool,
    tmp_path: Path,
) -> None:
    """Georeferenced pages beyond the first GET, and what follows an overview, were left out."""
    pixels = ramp(2, size, size)
    given: dict[str, Any] = {"metadata": None, "contiguous": False}
    given |= {"extratags": GEO} if is_geographic else {}
    with tifffile.TiffWriter(tmp_path / "a_t0.tif") as tif:
        tif.write(pixels[0], **given)
        for kind in following:
            image = pixels[1]
            if kind is OVERVIEW:
                image = image[::2, ::2]
            elif kind is MASK:
                image = image > 0
            tif.write(image, **given, **kind)
    result = stack(str(tmp_path / "*.tif"), str(tmp_path / "r"), along="t", columns=COLUMNS_OF_T)
    expected = pixels[:pages] if pages > 1 else pixels[0]
    assert np.array_equal(np.asarray(array_of(tmp_path / "r")[0]), expected)
    notes = [note for each in result.notes.values() for note in each]
    assert len(notes) == len(noted)
    assert all(word in note for word, note in zip(noted, notes, strict=True))


def test_a_smaller_page_of_another_place_is_no_level(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a_t0.tif") as tif:
        for size in (256, 128):
            tif.write(ramp(size, size), metadata=None, contiguous=False, extratags=GEO)
    result = stack(str(tmp_path / "*.tif"), str(tmp_path / "r"), along="t", columns=COLUMNS_OF_T)
    assert list(result.notes) == ["data"]


@pytest.mark.parametrize(("driver", "requests"), [("COG", 1), ("GTiff", 2)])
def test_what_follows_takes_no_request_of_a_cog(driver: str, requests: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options = {"BLOCKSIZE": 128} if driver == "COG" else {"TILED": "YES"}
    with rasterio.open(
        path,
        "w",
        driver=driver,
        width=1024,
        height=1024,
        count=1,
        dtype="uint8",
        crs="EPSG:32633",
        transform=(10, 0, 400_000, 0, -10, 5_300_000),
        **options,
    ) as file:
        file.write(np.ones((1, 1024, 1024), "uint8"))
    if driver == "GTiff":
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2, 4])
    with RangeServer(tmp_path) as server:
        inventory = scan(f"{server.url}/a.tif")
        assert len(inventory) == 1
        assert len(server.requests) == requests


def test_planes_that_are_left_out_are_noted(tmp_path: Path) -> None:
    """A file of two unlike images keeps the first, and says so; so does one page of several."""
    for t in range(2):
        with tifffile.TiffWriter(tmp_path / f"two_t{t}.tif") as tif:
            tif.write(ramp(20, 30), metadata=None)
            tif.write(ramp(25, 30), metadata=None)
    columns = {"t": r"_t(\d)"}
    result = stack(str(tmp_path / "*.tif"), str(tmp_path / "r"), along="t", columns=columns)
    assert array_of(tmp_path / "r").shape == (2, 20, 30)
    assert list(result.notes) == ["data"]


def test_directories_can_be_taken_for_images(tmp_path: Path) -> None:
    write_sequence(tmp_path)
    options: dict[str, Any] = {"along": ("t", "c"), "columns": COLUMNS, "pages": "separate"}
    result = stack(str(tmp_path / "*.tif"), str(tmp_path / "r"), **options)
    assert array_of(tmp_path / "r").shape == (3, 2, 20, 30)
    assert list(result.notes) == ["data"]
    inventory = scan(str(tmp_path / "*.tif"), pages="separate", parser=VirtualTIFF())
    assert len(inventory) == 24


def test_directories_along_an_axis_are_in_their_order(tmp_path: Path) -> None:
    """As text the tenth came before the second."""
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for page in range(12):
            file.write(np.full((20, 30), page, np.uint8), contiguous=False, metadata=None)
    stack(str(tmp_path / "pages.tif"), str(tmp_path / "r"), parser=VirtualTIFF(), along="ifd")
    numbers = np.asarray(array_of(tmp_path / "r", "ifd")[...])
    found = np.asarray(array_of(tmp_path / "r")[:, 0, 0])
    assert numbers.tolist() == found.tolist() == list(range(12))


def test_all_directories_claim_one_place_unless_they_are_pages(tmp_path: Path) -> None:
    """The remedy makes a dimension of them; channels of a table are variables."""
    pixels = write_sequence(tmp_path)
    table = tmp_path / "images.csv"
    rows = [f"{path},{path.stem[5:8]},{path.stem[-2:]}" for path in sorted(tmp_path.glob("*.tif"))]
    table.write_text("\n".join(["url,t,c", *rows]))
    options: dict[str, Any] = {"along": "t", "variable": "c"}
    with pytest.raises(InvalidOptionError) as caught:
        stack(str(table), str(tmp_path / "r"), parser=VirtualTIFF(), **options)
    assert caught.value.kind == ErrorKind.DUPLICATE
    assert 'pages="axes"' in str(caught.value.remedy)
    stack(str(table), str(tmp_path / "r"), parser=VirtualTIFF(), pages="axes", **options)
    for number, name in enumerate(("c0", "c1")):
        found = np.asarray(array_of(tmp_path / "r", name)[...])
        assert np.array_equal(found, pixels[:, number])


def test_an_image_of_several_pages_keeps_its_levels(tmp_path: Path) -> None:
    pixels = ramp(2, 3, 64, 48)
    for t in range(2):
        with tifffile.TiffWriter(tmp_path / f"p_t{t}.ome.tif", ome=True) as tif:
            tif.write(
                pixels[t],
                subifds=1,
                tile=(16, 16),
                metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"},
            )
            tif.write(pixels[t, :, ::2, ::2], subfiletype=1, tile=(16, 16))
    stack(
        str(tmp_path / "*.tif"),
        str(tmp_path / "r"),
        along="t",
        columns={"t": r"_t(\d)"},
        parser=VirtualTIFF(ifd_layout="pages"),
        overviews=True,
    )
    assert np.array_equal(np.asarray(array_of(tmp_path / "r", "0/data")[...]), pixels)
    assert np.array_equal(
        np.asarray(array_of(tmp_path / "r", "1/data")[...]), pixels[..., ::2, ::2]
    )
    (image,) = ome_of(group_of(tmp_path / "r"))["multiscales"]
    assert [each["path"] for each in image["datasets"]] == ["0/data", "1/data"]
    scales = [each["coordinateTransformations"][0]["scale"] for each in image["datasets"]]
    assert [scale[-1] for scale in scales] == [0.5, 1.0]
    assert "ome" not in group_of(tmp_path / "r")["0"].attrs


def test_other_distances_are_noted_or_refused(tmp_path: Path) -> None:
    for spacing in (2, 3):
        (tmp_path / str(spacing)).mkdir()
        write_sequence(tmp_path / str(spacing), spacing=float(spacing), times=1)
    for path in (tmp_path / "3").glob("*.tif"):
        path.rename(path.with_name(path.name.replace("t000", "t001")))
    both = [str(tmp_path / "2" / "*.tif"), str(tmp_path / "3" / "*.tif")]
    options: dict[str, Any] = {"along": ("t", "c"), "columns": COLUMNS}
    result = stack(both, str(tmp_path / "r"), **options)
    assert result.added[""].notes
    assert "z" not in group_of(tmp_path / "r")
    stack(both[0], str(tmp_path / "s"), **options)
    with pytest.raises(MismatchError):
        append(both[1], str(tmp_path / "s"), **options)


def test_more_times_are_appended(tmp_path: Path) -> None:
    pixels = write_sequence(tmp_path)
    options: dict[str, Any] = {"along": ("t", "c"), "columns": COLUMNS}
    stack(str(tmp_path / "*_t000_*.tif"), str(tmp_path / "r"), **options)
    append([str(tmp_path / f"*_t00{t}_*.tif") for t in (1, 2)], str(tmp_path / "r"), **options)
    assert np.array_equal(np.asarray(array_of(tmp_path / "r")[...]), pixels)
    assert len(ome_of(group_of(tmp_path / "r"))["multiscales"][0]["axes"]) == 5


def test_rows_of_pages_make_a_tree(tmp_path: Path) -> None:
    pixels = write_sequence(tmp_path, times=1)
    inventory = scan(str(tmp_path / "*c1.tif"))
    (row,) = inventory.table.select(["pages", "dimensions"]).to_pylist()
    assert json.loads(row["pages"])["spacing"]["z"] == [2.0, "micrometer"]
    publish(inventory, str(tmp_path / "r"))
    image = array_of(tmp_path / "r", "img_t000_c1/0/image")
    assert names_of(image) == ("z", "y", "x")
    assert np.array_equal(np.asarray(image[...]), pixels[0, 1])


def ome_set(names: list[str], sizes: dict[str, int], planes: list[dict[str, int]]) -> str:
    """Make the document of an image with one plane in each file."""
    data = "".join(
        f'<TiffData FirstT="{p["t"]}" FirstC="{p["c"]}" FirstZ="{p["z"]}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for name, p in zip(names, planes, strict=True)
    )
    size = " ".join(f'Size{axis.upper()}="{n}"' for axis, n in sizes.items())
    return (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{own}">'
        '<Image ID="Image:0" Name="set"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        f'Type="uint16" SizeX="30" SizeY="20" {size} PhysicalSizeZ="0.5" '
        'PhysicalSizeZUnit="µm"><Channel ID="Channel:0:0" Name="DAPI"/>'
        f'<Channel ID="Channel:0:1" Name="GFP"/>{data}</Pixels></Image></OME>'
    )


def test_an_image_in_several_files(tmp_path: Path) -> None:
    """The names of files do not tell their place: the OME-XML in each of them does."""
    pixels = ramp(3, 2, 2, 20, 30)
    planes = [{"t": t, "c": c, "z": z} for t in range(3) for c in range(2) for z in range(2)]
    names = [f"{(7 * i) % 12:02}.ome.tif" for i in range(12)]
    text = ome_set(names, {"t": 3, "c": 2, "z": 2}, planes)
    for name, place in zip(names, planes, strict=True):
        tifffile.imwrite(
            tmp_path / name,
            pixels[place["t"], place["c"], place["z"]],
            description=text.replace("{own}", name).encode(),
            metadata=None,
        )
    stack(str(tmp_path / "*.tif"), str(tmp_path / "r"))
    array = array_of(tmp_path / "r")
    assert names_of(array) == ("t", "c", "z", "y", "x")
    assert np.array_equal(np.asarray(array[...]), pixels)
    ome = ome_of(group_of(tmp_path / "r"))
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["DAPI", "GFP"]
    (image,) = ome["multiscales"]
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"][2] == 0.5
    # Without one of the files, its plane is a gap, which would read as pixels.
    (tmp_path / names[3]).unlink()
    with pytest.raises(MismatchError):
        stack(str(tmp_path / "*.tif"), str(tmp_path / "s"))


@pytest.mark.parametrize("by_name", [True, False])
def test_metadata_in_a_file_of_its_own(by_name: bool, tmp_path: Path) -> None:
    """OME-TIFFs that only name their companion, by the UUIDs or by the names in it."""
    pixels = ramp(3, 2, 2, 20, 30)
    planes = [{"t": t, "c": c, "z": z} for t in range(3) for c in range(2) for z in range(2)]
    names = [f"{(7 * i) % 12:02} a.ome.tif" for i in range(12)]
    text = ome_set(names, {"t": 3, "c": 2, "z": 2}, planes).replace("{own}", "companion")
    companion = tmp_path / "the set.companion.ome"
    companion.write_bytes(text.encode())
    for name, place in zip(names, planes, strict=True):
        own = "" if by_name else f' UUID="urn:uuid:{name}"'
        binary = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{own}>'
            f'<BinaryOnly MetadataFile="{companion.name}" UUID="urn:uuid:companion"/></OME>'
        )
        data = pixels[place["t"], place["c"], place["z"]]
        tifffile.imwrite(tmp_path / name, data, description=binary, metadata=None)
    stack(str(tmp_path / "*.tif"), str(tmp_path / "r"))
    array = array_of(tmp_path / "r")
    assert names_of(array) == ("t", "c", "z", "y", "x")
    assert np.array_equal(np.asarray(array[...]), pixels)
    ome = ome_of(group_of(tmp_path / "r"))
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["DAPI", "GFP"]
    # Without one of the files, its plane is a gap.
    gone = (tmp_path / names[3]).rename(tmp_path / "gone")
    with pytest.raises(MismatchError):
        stack(str(tmp_path / "*.tif"), str(tmp_path / "s"))
    stack(str(tmp_path / "*.tif"), str(tmp_path / "s"), on_gap="fill", fill_value=9)
    found = np.asarray(array_of(tmp_path / "s")[...])
    expected = pixels.copy()
    expected[tuple(planes[3].values())] = 9
    assert np.array_equal(found, expected)
    gone.rename(tmp_path / names[3])
    # Without the companion, places are not known, and images are not taken for one another.
    companion.unlink()
    (row, *_) = scan([str(tmp_path / names[0])]).table.to_pylist()
    assert "notes" in row["attributes"]
    with pytest.raises(VirtualTIFFError):
        stack(str(tmp_path / "*.tif"), str(tmp_path / "u"))


def test_companions_of_web_servers() -> None:
    text = '<OME><BinaryOnly MetadataFile="a b.ome"/></OME>'
    found = companion_of(text, "https://example.com/a/b.ome.tif?key=c/d")
    assert found == "https://example.com/a/a%20b.ome"


@pytest.mark.parametrize("name", ["../x.ome", "/etc/passwd", "..", "", "a\\b", "http://h/x"])
def test_companions_are_beside_their_files(name: str) -> None:
    text = f'<OME><BinaryOnly MetadataFile="{name}"/></OME>'
    with pytest.raises(InvalidTIFFError):
        companion_of(text, "https://example.com/a/b.ome.tif")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", {0: (0, 0, 0), 1: (0, 0, 1), 2: (0, 1, 0), 3: (0, 1, 1)}),
        ('FirstC="1" IFD="1" PlaneCount="2"', {1: (0, 1, 0), 2: (0, 1, 1)}),
        ('FirstT="1" FirstZ="1" IFD="2"', {2: (1, 0, 1)}),
        ('IFD="3" PlaneCount="99999999999"', {3: (0, 0, 0)}),
    ],
)
def test_places_of_planes(attributes: str, expected: dict[int, Any]) -> None:
    text = (
        '<OME UUID="a"><Image><Pixels DimensionOrder="XYZCT" SizeX="1" SizeY="1" SizeZ="2" '
        f'SizeC="2" SizeT="2"><TiffData {attributes}><UUID>a</UUID></TiffData>'
        "<TiffData><UUID>b</UUID></TiffData></Pixels></Image></OME>"
    )
    found = places_of_planes(text, 4)
    assert {
        index: tuple(place.steps[axis] for axis in "tcz") for index, place in found.items()
    } == expected


def test_a_document_that_names_no_plane_of_the_file() -> None:
    text = (
        '<OME UUID="a"><Image><Pixels SizeX="1" SizeY="1" SizeZ="1" SizeC="1" SizeT="1">'
        "<TiffData><UUID>b</UUID></TiffData></Pixels></Image></OME>"
    )
    with pytest.raises(VirtualTIFFError) as caught:
        places_of_planes(text, 4)
    assert caught.value.kind == ErrorKind.UNSUPPORTED_LAYOUT


HIDDEN: dict[str, tuple[Callable[[Path], None], tuple[int, ...], tuple[int, ...]]] = {
    "metamorph": (stk, (5,), ()),
    "imagej": (PAGED["imagej-contiguous"], (3, 4), ()),
    "tifffile": (PAGED["shaped-contiguous"], (5,), ()),
    "tifffile-rgb": (PAGED["shaped-contiguous-rgb"], (5,), (3,)),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_planes_without_a_directory(name: str, tmp_path: Path) -> None:
    """Cubes have all; where there is one, `publish`, `stack` and `info` say so."""
    make, pages, samples = HIDDEN[name]
    for number in range(2):
        make(tmp_path / f"a_{number}.tif")
    files = str(tmp_path / "*.tif")
    options: Any = {"along": "i", "columns": {"i": r"_(\d)"}}
    stack(files, str(tmp_path / "r"), **options)
    shape = array_of(tmp_path / "r").shape
    assert sorted(shape) == sorted((2, *pages, *samples, HEIGHT, WIDTH))

    (file,) = info(str(tmp_path / "a_0.tif"))
    assert [tuple(series.sizes.values()) for series in file.series] == [pages]
    flat = publish(str(tmp_path / "a_0.tif"), str(tmp_path / "f"))
    one = stack(files, str(tmp_path / "s"), pages="separate", **options)
    for notes in (*flat.notes.values(), *one.notes.values()):
        assert len(notes) == 1
        assert "planes" in notes[0]
    assert flat.notes
    assert one.notes
