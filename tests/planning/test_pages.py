"""`ifd_layout="pages"`: exactly the arrays of tifffile's series, as OME-Zarr."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import ome_zarr_models.v05
import pytest
import tifffile
import xarray
import zarr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore
from zarr.buffer.cpu import Buffer
from zarr.storage import MemoryStore

from scripts.compare_georeferencing import hushed
from tests.conftest import corpus_files, corpus_root
from tests.end_to_end.test_corpus import LOSSY, MOST_SAMPLES, same
from tests.end_to_end.test_fresh_process import ALLOWED, run_reader
from tests.helpers.assemble import DATA_AT, PLAIN, PLAIN_DATA, assemble, changed, long, short
from tests.helpers.make import Pixels
from tests.helpers.microscopes import OME, write_pages
from tests.helpers.paged import HEIGHT, MPP, PAGED, WIDTH, ome_pyramid, plain, ramp, smooth, svs
from tests.helpers.read import MEMORY_URL, local_registry, numcodecs_names
from tests.helpers.stores import RecordingStore
from virtual_tiff import VirtualTIFF, open_repository, publish, verify
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.inspection.read import info
from virtual_tiff.planning.metadata import array_document, group_document, to_bytes
from virtual_tiff.planning.pages.ome_zarr import omero_channels
from virtual_tiff.tiff.ome_places import places_of_planes
from virtual_tiff.tiff.series import Channel

#: Order of the names, whatever the order of the pages.
ORDER = ("t", "m", "r", "i", "q", "q_1", "v", "c", "s", "band", "z", "y", "x")


def open_pages(path: Path, **options: Any) -> zarr.Group:
    """Root of what the parser makes of a file."""
    parser = VirtualTIFF(ifd_layout="pages", **options)
    with numcodecs_names():
        return zarr.open_group(parser(f"file://{path}", local_registry()), mode="r", zarr_format=3)


def array_of(root: zarr.Group, path: str) -> zarr.Array[Any]:
    with numcodecs_names():
        array = root[path]
    assert isinstance(array, zarr.Array)
    return array


def names_of(array: zarr.Array[Any]) -> tuple[str | None, ...]:
    names = getattr(array.metadata, "dimension_names", None)
    assert names is not None
    return tuple(names)


def ome_of(group: zarr.Group, path: str = "") -> Any:
    member: Any = group[path] if path else group
    return member.attrs["ome"]


def paths_of(series: Any) -> Iterator[tuple[str, Any]]:
    """Path of the array of every level, by the documented rule."""
    for i, one in enumerate(series):
        above = f"{i}/" if len(series) > 1 else ""
        for j, level in enumerate(one.levels):
            yield above + (f"{j}/image" if len(one.levels) > 1 else "image"), level


def expected_of(level: Any, axes: str = "") -> tuple[tuple[str, ...], Pixels]:
    """Names and pixels of a level, in the documented order; `axes` are those of its image."""
    pixels = np.asarray(level.asarray())
    names: list[str] = []
    letters = axes or level.axes
    for code in letters:
        if code == "S":
            names.append("band" if level.kind == "geotiff" else "s" if "C" in letters else "c")
        elif level.kind == "lsm" and code == "P":
            names.append("r")
        else:
            # Names are unique, since axes of size 1 have none.
            names.append("q_1" if code == "Q" and "q" in names else code.lower())
    kept = [i for i, n in enumerate(pixels.shape) if n > 1 or names[i] in ("y", "x")]
    pixels = pixels.reshape([pixels.shape[i] for i in kept])
    names = [names[i] for i in kept]
    order = sorted(range(len(names)), key=lambda i: ORDER.index(names[i]))
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    return tuple(names[i] for i in order), pixels.transpose(order)


def refused(path: Path, **options: Any) -> VirtualTIFFError:
    with pytest.raises(VirtualTIFFError) as caught:
        VirtualTIFF(ifd_layout="pages", **options).plan(f"file://{path}", local_registry())
    assert caught.value.url == f"file://{path}"
    assert caught.value.remedy
    return caught.value


# -- pixels --------------------------------------------------------------------------------


def test_what_the_writers_were_given(tmp_path: Path) -> None:
    """The oracle is right about the order of pages, too."""
    path = tmp_path / "a.ome.tif"
    PAGED["ome-zctyx"](path)
    given = ramp(4, 3, 2, HEIGHT, WIDTH)
    found = array_of(open_pages(path), "image")
    assert names_of(found) == ("t", "c", "z", "y", "x")
    assert np.array_equal(found[...], given.transpose(2, 1, 0, 3, 4))
    path = tmp_path / "b.tif"
    PAGED["imagej-contiguous"](path)
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 1
    assert np.array_equal(array_of(open_pages(path), "image")[...], ramp(3, 4, HEIGHT, WIDTH))


def test_nothing_is_copied(tmp_path: Path) -> None:
    """Only short last strips are stored; ImageJ's data beyond its one directory is referenced."""
    for name, stored in (("imagej-contiguous-strips", 0), ("ome-zyx-deflate-short", 3)):
        path = tmp_path / f"{name}.tif"
        PAGED[name](path)
        plan = VirtualTIFF(ifd_layout="pages").plan(f"file://{path}", local_registry())
        assert len(plan.arrays["image"].inline) == stored


def test_missing_pages_are_missing_chunks(tmp_path: Path) -> None:
    path = tmp_path / "holes.ome.tif"
    PAGED["ome-holes"](path)
    plan = VirtualTIFF(ifd_layout="pages").plan(f"file://{path}", local_registry())
    array = plan.arrays["image"]
    assert array.dimension_names == ("t", "c", "y", "x")
    there = array.lengths.reshape(3, 2, -1).all(axis=-1)
    assert there.tolist() == [[True, True], [False, True], [False, True]]
    pixels = array_of(open_pages(path), "image")
    given = ramp(4, HEIGHT, WIDTH)
    assert "2 of 6" in str(pixels.attrs["notes"])
    assert not np.asarray(pixels[1, 0]).any()
    assert np.array_equal(pixels[2, 1], given[0])
    assert np.array_equal(pixels[0, 1], given[3])


def test_directories_in_no_image_are_noted(tmp_path: Path) -> None:
    """A second channel that the sizes of the OME-XML do not have (Micro-Manager)."""
    path = tmp_path / "channels.tif"
    planes = "".join(f'<TiffData FirstC="{i}" IFD="{i}" PlaneCount="1"/>' for i in range(2))
    plain(2, HEIGHT, WIDTH)(path)
    assert "notes" not in array_of(open_pages(path), "image").attrs
    with tifffile.TiffWriter(path) as tif:
        for i, page in enumerate(ramp(2, HEIGHT, WIDTH)):
            text = ome_text(planes=planes) if i == 0 else None
            tif.write(page, description=text, metadata=None, contiguous=False)
    assert "1 of 2" in str(array_of(open_pages(path), "image").attrs["notes"])


@pytest.mark.parametrize(
    ("names", "text", "axis"),
    [
        (["CD3", "CD8"], None, "i"),
        (["CD3", "CD8"], "ImageJ=1.53t\nimages=2\nchannels=2\n", "c"),
        (["CD3", "CD3"], None, None),
        (["CD3", ""], None, None),
    ],
)
def test_names_of_pages(
    names: list[str], text: str | None, axis: str | None, tmp_path: Path
) -> None:
    """They are labels of the one dimension of the pages, if all have another name."""
    path = tmp_path / "named.tif"
    with tifffile.TiffWriter(path) as tif:
        for i, page in enumerate(ramp(2, HEIGHT, WIDTH)):
            tag = [(285, 2, 0, names[i], True)] if names[i] else []
            about = text if i == 0 else None
            tif.write(page, description=about, metadata=None, contiguous=False, extratags=tag)
    root = open_pages(path)
    assert sorted(root.array_keys()) == sorted({axis or "image", "image"})
    if axis is not None:
        assert list(np.asarray(array_of(root, axis)[...])) == names
    if axis == "c":
        assert [one["label"] for one in ome_of(root)["omero"]["channels"]] == names


def test_rows_that_are_called_x_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "rows.tif"
    options: Any = {"photometric": "minisblack", "metadata": {"axes": "TXY"}}
    tifffile.imwrite(path, ramp(2, HEIGHT, WIDTH), **options)
    assert array_of(open_pages(path), "image").attrs["notes"]


def test_pages_whose_strips_lie_differently(tmp_path: Path) -> None:
    """Strips that lie apart cannot be merged into larger chunks; those of other pages can."""
    path = tmp_path / "apart.tif"
    plain(3, HEIGHT, WIDTH, rowsperstrip=7)(path)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[1]
        offsets, counts = list(page.dataoffsets), page.databytecounts
        tag = page.aspage().tags["StripOffsets"]
    with path.open("r+b") as file:
        # The third strip moves to the end of the file, the last one after it.
        for i in (2, len(offsets) - 1):
            file.seek(offsets[i])
            data = file.read(counts[i])
            offsets[i] = file.seek(0, 2)
            file.write(data)
        file.seek(tag.valueoffset)
        file.write(np.array(offsets, "<u4").tobytes())
    array = array_of(open_pages(path), "image")
    assert np.array_equal(array[...], ramp(3, HEIGHT, WIDTH))
    assert array.chunks == (1, 7, WIDTH)


def test_bands_last(tmp_path: Path) -> None:
    path = tmp_path / "rgb.ome.tif"
    PAGED["ome-zyxs-short"](path)
    root = open_pages(path, band_axis="last")
    array = array_of(root, "image")
    # OME-Zarr has one order, which the layout keeps.
    assert names_of(array) == ("c", "z", "y", "x")
    given = ramp(4, HEIGHT, WIDTH, 3, dtype="uint8")
    assert np.array_equal(array[...], given.transpose(3, 0, 1, 2))
    assert [axis["name"] for axis in ome_of(root)["multiscales"][0]["axes"]] == ["c", "z", "y", "x"]


def test_chosen_bands(tmp_path: Path) -> None:
    path = tmp_path / "planar.ome.tif"
    PAGED["ome-tzsyx"](path)
    array = array_of(open_pages(path, bands=[3, 1]), "image")
    given = ramp(2, 4, 3, HEIGHT, WIDTH, dtype="uint8").transpose(0, 2, 1, 3, 4)
    assert np.array_equal(array[...], given[:, [2, 0]])


def test_copied_pages(tmp_path: Path) -> None:
    """Pages that no codec expresses are copied, all of them."""
    fields = {
        "IMAGE_WIDTH": short(4),
        "BITS_PER_SAMPLE": short(8, 8, 8),
        "SAMPLES_PER_PIXEL": short(3),
        "PHOTOMETRIC_INTERPRETATION": short(6),
        "YCBCR_SUBSAMPLING": short(2, 2),
        "STRIP_BYTE_COUNTS": long(24),
    }
    starts = [DATA_AT, DATA_AT + 24, DATA_AT + 48]
    directories = [changed(PLAIN, STRIP_OFFSETS=long(start), **fields) for start in starts]
    path = tmp_path / "chroma.tif"
    path.write_bytes(assemble(directories, data=bytes(range(72))))
    assert refused(path).kind == ErrorKind.UNSUPPORTED_COLOR
    array: Any = array_of(open_pages(path, on_unsupported="copy"), "image")
    found = np.asarray(array[...])
    store = VirtualTIFF(on_unsupported="copy")(f"file://{path}", local_registry())
    group: Any = zarr.open_group(store, mode="r", zarr_format=3)
    flat = [np.asarray(group[str(i)][...]) for i in range(3)]
    assert np.array_equal(found, np.stack(flat, axis=array.metadata.dimension_names.index("i")))
    assert "copied_because" in array.attrs


def test_pages_of_reversed_bits(tmp_path: Path) -> None:
    """FillOrder 2: the segments of all pages are stored."""
    data = [PLAIN_DATA, PLAIN_DATA[::-1]]
    pages = [bytes(imagecodecs.bitorder_encode(imagecodecs.packbits_encode(d))) for d in data]
    starts = np.cumsum([DATA_AT, *map(len, pages)]).tolist()
    directories = [
        changed(
            PLAIN,
            COMPRESSION=short(32773),
            FILL_ORDER=short(2),
            STRIP_OFFSETS=long(start),
            STRIP_BYTE_COUNTS=long(len(page)),
        )
        for start, page in zip(starts, pages, strict=False)
    ]
    path = tmp_path / "bits.tif"
    path.write_bytes(assemble(directories, data=b"".join(pages)))
    array = array_of(open_pages(path), "image")
    given = np.frombuffer(PLAIN_DATA, np.uint8).reshape(4, 5)
    assert np.array_equal(array[...], np.stack([given, given[::-1, ::-1]]))


# -- which groups there are -----------------------------------------------------------------


PHILIPS = """<DataObject ObjectType="DPUfsImport"><Attribute Name="PIM_DP_SCANNED_IMAGES"><Array>
<DataObject ObjectType="DPScannedImage"><Attribute Name="PIM_DP_IMAGE_TYPE">WSI</Attribute>
<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>{}</Array></Attribute>
</DataObject></Array></Attribute></DataObject>"""


@pytest.mark.parametrize("has_spacings", [True, False])
def test_scales_of_padded_levels(tmp_path: Path, *, has_spacings: bool) -> None:
    """Philips slides: levels are padded to tiles, so that their sizes tell no scale."""
    sizes = [(64, 96), (32, 64), (32, 32)]
    levels = "".join(
        '<DataObject><Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">'
        f"&quot;{0.00025 * 2**i}&quot; &quot;{0.00025 * 2**i}&quot;</Attribute></DataObject>"
        for i in range(len(sizes))
    )
    path = tmp_path / "slide.tiff"
    with tifffile.TiffWriter(path) as tif:
        for i, size in enumerate(sizes):
            tif.write(
                np.zeros(size, np.uint8),
                tile=(32, 32),
                subfiletype=1 if i else 0,
                description=PHILIPS.format(levels if has_spacings else "") if i == 0 else None,
                metadata=None,
                software="Philips DP v1.0",
            )
    store = VirtualTIFF(ifd_layout="multiscale")(f"file://{path}", local_registry())
    group: Any = zarr.open_group(store, mode="r", zarr_format=3)
    layout = group.attrs["multiscales"]["layout"]
    assert [level["transform"]["scale"] for level in layout] == [[1, 1], [2, 2], [4, 4]]


def test_channels_without_names_or_colors() -> None:
    given = [Channel(name="DAPI"), Channel(name="", color="00FFFF"), Channel(name="CY3")]
    made: Any = omero_channels(given, np.dtype("uint8"), None)
    assert [c["color"] for c in made["channels"]] == ["FF0000", "00FFFF", "0000FF"]
    assert [c.get("label") for c in made["channels"]] == ["DAPI", None, "CY3"]
    alone: Any = omero_channels(given[:1], np.dtype("uint8"), None)
    assert alone["channels"][0]["color"] == "FFFFFF"


def test_groups_of_a_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    ome_pyramid(path)
    root = open_pages(path)
    assert sorted(root.group_keys()) == ["0", "1", "2", "OME"]
    level: Any = root["1"]
    assert sorted(name for name, _ in level.arrays()) == ["c", "image", "x", "y"]


def test_groups_of_several_images(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    svs(path)
    root = open_pages(path)
    assert sorted(root.group_keys()) == ["0", "1", "2", "3", "OME"]
    assert ome_of(root, "OME")["series"] == ["0", "1", "2", "3"]
    names = [ome_of(root, str(i))["multiscales"][0]["name"] for i in range(4)]
    assert names == ["slide.svs", "Thumbnail", "Label", "Macro"]
    slide: Any = root["0"]
    assert sorted(slide.group_keys()) == ["0", "1", "2"]


@pytest.mark.parametrize("ifd", [0, 2, 3, 1, 5])
def test_ifd_chooses_the_series_that_holds_it(ifd: int, tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    svs(path)
    root = open_pages(path, ifd=ifd)
    name = ome_of(root)["multiscales"][0]["name"]
    assert name == {1: "Thumbnail", 5: "Macro"}.get(ifd, "slide.svs")
    assert "0" in root if name == "slide.svs" else "image" in root


def test_ifd_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    svs(path)
    with pytest.raises(VirtualTIFFError) as caught:
        open_pages(path, ifd=6)
    assert caught.value.kind == ErrorKind.IFD_OUT_OF_RANGE


# -- OME-Zarr ------------------------------------------------------------------------------


def check_ome(group: zarr.Group) -> None:
    """Judge an image by the models of the specification, arrays included."""
    with numcodecs_names():
        ome_zarr_models.v05.Image.from_zarr(group)


def metadata_of(path: Path) -> zarr.Group:
    """What is written of a file, without chunks."""
    plan = VirtualTIFF(ifd_layout="pages").plan(f"file://{path}", local_registry())
    items: dict[str, Any] = {}
    for place, group in plan.walk():
        above = f"{place}/" if place else ""
        items[f"{above}zarr.json"] = Buffer.from_bytes(to_bytes(group_document(group)))
        for name, array in group.arrays.items():
            data = to_bytes(array_document(array))
            items[f"{above}{name}/zarr.json"] = Buffer.from_bytes(data)
    return zarr.open_group(MemoryStore(items), mode="r", zarr_format=3)


@pytest.mark.parametrize("name", sorted(PAGED.keys() - {"ome-cyx-rgb", "shaped"}))
def test_images_are_valid_ome_zarr(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.tif"
    PAGED[name](path)
    root = metadata_of(path)
    with tifffile.TiffFile(path) as tif:
        count = len(tif.series)
    if count == 1:
        check_ome(root)
    else:
        ome_zarr_models.v05.BioFormats2Raw.from_zarr(root)
        for i in range(count):
            group = root[str(i)]
            assert isinstance(group, zarr.Group)
            check_ome(group)


@pytest.mark.parametrize(
    ("name", "dimensions"),
    [("ome-cyx-rgb", ("c", "s", "y", "x")), ("shaped", ("q", "q_1", "y", "x"))],
)
def test_what_ome_zarr_cannot_say(name: str, dimensions: tuple[str, ...], tmp_path: Path) -> None:
    """Two axes of channels, or two of a custom type."""
    path = tmp_path / "a.tif"
    PAGED[name](path)
    root = open_pages(path)
    assert names_of(array_of(root, "image")) == dimensions
    assert "ome" not in root.attrs


def test_metadata_of_a_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    ome_pyramid(path)
    ome = ome_of(open_pages(path))
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    assert image["name"] == "Kidney"
    assert image["axes"] == [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "nanometer"},
    ]
    assert image["datasets"] == [
        {
            "path": "0/image",
            "coordinateTransformations": [{"type": "scale", "scale": [1, 500, 500]}],
        },
        {
            "path": "1/image",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 1000, 1000]},
                {"type": "translation", "translation": [0, 250, 250]},
            ],
        },
        {
            "path": "2/image",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 2000, 130 / 33 * 500]},
                {"type": "translation", "translation": [0, 750, (130 / 33 - 1) / 2 * 500]},
            ],
        },
    ]
    window = {"min": 0, "max": 65535, "start": 0, "end": 4095}
    assert ome["omero"]["channels"] == [
        {"label": label, "color": color, "active": True, "window": window}
        for label, color in (("DAPI", "0000FF"), ("GFP", "00FF00"), ("Cy5", "FF0000"))
    ]


def test_samples_are_no_channels_of_the_metadata(tmp_path: Path) -> None:
    """Three samples are one channel of OME-XML, and its name and colour are not theirs."""
    path = tmp_path / "rgb.ome.tif"
    channel = {"Name": ["brightfield"], "Color": [-1]}
    tifffile.imwrite(
        path,
        smooth(HEIGHT, WIDTH, 3),
        photometric="rgb",
        metadata={"axes": "YXS", "Channel": channel},
    )
    root = open_pages(path)
    assert names_of(array_of(root, "image")) == ("c", "y", "x")
    channels = ome_of(root)["omero"]["channels"]
    assert [one["label"] for one in channels] == ["red", "green", "blue"]
    assert [one["color"] for one in channels] == ["FF0000", "00FF00", "0000FF"]
    assert all(one["window"] == {"min": 0, "max": 255, "start": 0, "end": 255} for one in channels)
    assert ome_of(root)["omero"]["rdefs"] == {"model": "color"}
    assert sorted(root.array_keys()) == ["image"]
    # One channel without a dimension has both.
    path = tmp_path / "one.ome.tif"
    tifffile.imwrite(path, ramp(HEIGHT, WIDTH), metadata={"axes": "YX", "Channel": channel})
    (shown,) = ome_of(open_pages(path))["omero"]["channels"]
    assert (shown["label"], shown["color"]) == ("brightfield", "FFFFFF")


def test_other_samples_than_colors_are_not_shown_at_first(tmp_path: Path) -> None:
    path = tmp_path / "alpha.tif"
    pixels = ramp(HEIGHT, WIDTH, 5, dtype="uint8")
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha", "unspecified"]}
    tifffile.imwrite(path, pixels, metadata=None, **options)
    channels = ome_of(open_pages(path))["omero"]["channels"]
    assert [one.get("label") for one in channels] == ["red", "green", "blue", "alpha", None]
    assert [one["active"] for one in channels] == [True, True, True, False, False]
    assert [one["color"] for one in channels[:3]] == ["FF0000", "00FF00", "0000FF"]


@pytest.mark.parametrize(
    ("dtype", "channel", "end"),
    [
        ("float32", {"Name": ["CD3", "CD8"]}, 1.0),
        ("uint16", {"Fluor": ["CD3", "CD8"]}, 65535),
        ("bool", {"Name": ["CD3", "CD8"]}, 1),
    ],
)
def test_names_of_channels_reach_viewers(
    dtype: str, channel: dict[str, list[str]], end: float, tmp_path: Path
) -> None:
    path = tmp_path / "names.ome.tif"
    metadata = {"axes": "CYX", "Channel": channel}
    tifffile.imwrite(path, ramp(2, HEIGHT, WIDTH, dtype=dtype), metadata=metadata)
    channels = ome_of(open_pages(path))["omero"]["channels"]
    assert [one["label"] for one in channels] == ["CD3", "CD8"]
    assert {(one["window"]["start"], one["window"]["end"]) for one in channels} == {(0, end)}


def test_channels_without_names(tmp_path: Path) -> None:
    path = tmp_path / "unnamed.ome.tif"
    PAGED["ome-tczyx"](path)
    root = open_pages(path)
    assert sorted(root.array_keys()) == ["image"]
    assert "omero" not in ome_of(root)


def test_sizes_of_imagej_and_aperio(tmp_path: Path) -> None:
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(
        path,
        ramp(3, 4, HEIGHT, WIDTH),
        imagej=True,
        resolution=(4, 5),
        metadata={"axes": "TZYX", "unit": "nm", "spacing": 7.5, "finterval": 0.1},
    )
    image = ome_of(open_pages(path))
    axes = image["multiscales"][0]["axes"]
    assert [axis.get("unit") for axis in axes] == ["second", *["nanometer"] * 3]
    (scale,) = image["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [0.1, 7.5, 0.2, 0.25]

    path = tmp_path / "slide.svs"
    svs(path)
    image = ome_of(open_pages(path, ifd=0))
    assert [axis.get("unit") for axis in image["multiscales"][0]["axes"][1:]] == ["micrometer"] * 2
    scales = [d["coordinateTransformations"][0] for d in image["multiscales"][0]["datasets"]]
    assert [s["scale"] for s in scales] == [[1, MPP * f, MPP * f] for f in (1, 2, 4)]


# -- xarray, Icechunk, VirtualiZarr ----------------------------------------------------------


def test_xarray_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    ome_pyramid(path)
    stack = tmp_path / "stack.ome.tif"
    tifffile.imwrite(
        stack,
        ramp(2, 4, HEIGHT, WIDTH),
        ome=True,
        metadata={"axes": "TZYX", "PhysicalSizeZ": 3.0, "TimeIncrement": 0.5},
    )
    parser = VirtualTIFF(ifd_layout="pages")
    store: Any = parser(f"file://{path}", local_registry())
    with numcodecs_names():
        tree = xarray.open_datatree(store, engine="zarr", zarr_format=3, consolidated=False)
        level = tree["1"].to_dataset()
        assert level["image"].dims == ("c", "y", "x")
        assert level["c"].values.tolist() == ["DAPI", "GFP", "Cy5"]
        assert level["x"].values[:2].tolist() == [250, 1250]
        assert level["x"].attrs == {"units": "nanometer"}
        assert np.array_equal(level["image"].values, ramp(3, 160, 130)[:, ::2, ::2])
        found: Any = parser(f"file://{stack}", local_registry())
        dataset = xarray.open_zarr(found, zarr_format=3, consolidated=False)
        assert dataset["image"].dims == ("t", "z", "y", "x")
        assert dataset["z"].values.tolist() == [0, 3, 6, 9]
        assert dataset["t"].values.tolist() == [0, 0.5]
        assert np.array_equal(dataset["image"].values, ramp(2, 4, HEIGHT, WIDTH))
        found = VirtualTIFF(ifd_layout="pages", coords=False)(f"file://{stack}", local_registry())
        assert not xarray.open_zarr(found, zarr_format=3, consolidated=False).coords


def test_published_and_read_elsewhere(tmp_path: Path) -> None:
    """Through Icechunk, in a process without this package."""
    names = [
        "ome-pyramid",
        "ome-tzyxs-jpeg",
        "imagej-contiguous",
        "ome-holes",
        "svs",
        "ome-zyxs-short",
    ]
    paths = [tmp_path / f"{name}.tif" for name in names]
    for name, path in zip(names, paths, strict=True):
        PAGED[name](path)
    repository = tmp_path / "repository"
    result = publish(paths, repository, parser=VirtualTIFF(ifd_layout="pages"))
    assert result.trees == ("ome-pyramid", "svs")
    arrays: dict[str, list[dict[str, str]]] = {}
    for path in paths:
        with tifffile.TiffFile(path) as tif:
            arrays[path.stem] = []
            for place, level in paths_of(tif.series):
                saved = tmp_path / f"{path.stem}-{place.replace('/', '-')}.npy"
                np.save(saved, np.ascontiguousarray(expected_of(level)[1]))
                arrays[path.stem].append({"path": f"{path.stem}/{place}", "expected": str(saved)})
    job = {
        "repository": str(repository),
        "containers": list(result.containers),
        "arrays": arrays,
        "allowed": ALLOWED,
    }
    answer = run_reader("icechunk", job, tmp_path)
    outcomes = {v for found in answer["arrays"].values() for v in found.values()}
    assert sum(len(found) for found in answer["arrays"].values()) == 3 + 1 + 1 + 1 + 6 + 1
    assert outcomes == {"equal"}
    store = open_repository(repository).readonly_session("main").store
    with numcodecs_names():
        root = zarr.open_group(store, path="ome-pyramid", mode="r")
    check_ome(root)
    # No false alarm; pixels are compared only where an array is one page.
    report = verify(repository)
    assert len(report.findings) == len(paths)
    assert not report.faults


# -- requests, and what `info` says -----------------------------------------------------------


@pytest.mark.parametrize("name", ["ome-pyramid", "imagej-contiguous", "svs", "plain"])
def test_the_order_of_pages_costs_no_request(name: str, tmp_path: Path) -> None:
    PAGED[name](tmp_path / "image.tif")
    requests = []
    for layout in ("flat", "pages"):
        store = RecordingStore(LocalStore(tmp_path))
        registry: Any = ObjectStoreRegistry({"memory://tests": store})
        VirtualTIFF(ifd_layout=layout).plan(MEMORY_URL, registry)
        requests.append(len(store.requests))
    # Segments of large files are tried: those of the first directory, or of all pages of an array.
    assert requests[0] == requests[1]


def test_info(tmp_path: Path) -> None:
    for name in ("svs", "imagej-contiguous", "ome-one-page"):
        PAGED[name](tmp_path / f"{name}.tif")
    slide, stack, single = info(
        [tmp_path / f"{n}.tif" for n in ("svs", "imagej-contiguous", "ome-one-page")]
    )
    assert [(one.name, one.first_ifd, len(one.levels)) for one in slide.series] == [
        ("Baseline", "0", 3),
        ("Thumbnail", "1", 1),
        ("Label", "4", 1),
        ("Macro", "5", 1),
    ]
    (one,) = stack.series
    assert (one.kind, one.sizes, one.levels) == ("imagej", {"t": 3, "z": 4}, ((HEIGHT, WIDTH),))
    assert single.series == ()


# -- slides in the layout multiscale ---------------------------------------------------------


@pytest.mark.parametrize("compression", ["jpeg", "lzw"])
def test_levels_of_slides(compression: str, tmp_path: Path) -> None:
    """Aperio marks no level; the thumbnail between them is none."""
    path = tmp_path / "slide.svs"
    svs(path, compression=compression)
    parser = VirtualTIFF(ifd=0, ifd_layout="multiscale")
    with numcodecs_names():
        root = zarr.open_group(parser(f"file://{path}", local_registry()), mode="r", zarr_format=3)
    assert sorted(root.group_keys()) == ["0", "1", "2"]
    with tifffile.TiffFile(path) as tif:
        for i, level in enumerate(tif.series[0].levels):
            found = array_of(root, f"{i}/image")[...]
            assert np.array_equal(np.moveaxis(np.asarray(found), 0, -1), level.asarray())
    with pytest.raises(VirtualTIFFError) as caught:
        VirtualTIFF(ifd=2, ifd_layout="multiscale").plan(f"file://{path}", local_registry())
    assert caught.value.kind == ErrorKind.INVALID_OPTION
    assert caught.value.remedy is not None
    assert "ifd=0" in caught.value.remedy


def test_other_images_of_slides_stay(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    svs(path)
    plan = VirtualTIFF(ifd=1, ifd_layout="multiscale").plan(f"file://{path}", local_registry())
    assert plan.groups["0"].arrays["image"].shape == (3, 32, 48)


# -- errors --------------------------------------------------------------------------------


def test_pages_that_differ(tmp_path: Path) -> None:
    """OME-XML puts pages into one image that cannot be in one array."""
    path = tmp_path / "mixed.ome.tif"
    description = ome_text(t=2)
    first, second = ramp(2, HEIGHT, WIDTH)
    with tifffile.TiffWriter(path) as tif:
        tif.write(first, description=description, metadata=None, contiguous=False)
        tif.write(second, metadata=None, contiguous=False, compression="zlib")
    error = refused(path)
    assert (error.kind, error.ifd) == (ErrorKind.MISMATCH, (1,))
    assert "codecs" in str(error)


def write_geotiff_pages(path: Path, *changes: dict[str, Any]) -> None:
    """Two pages with GDAL's metadata, as `changes` say."""
    with tifffile.TiffWriter(path) as tif:
        for page, change in zip(ramp(2, HEIGHT, WIDTH), changes, strict=True):
            west = change.get("west", 0.0)
            items = "".join(
                f'<Item name="{name}" sample="0" role="{name}">{value}</Item>'
                for name, value in change.items()
                if name in ("scale", "offset", "unittype", "description")
            )
            metadata = f"<GDALMetadata>{items}</GDALMetadata>"
            nodata = str(change.get("nodata", 7))
            tags: list[Any] = [
                (33550, 12, 3, (1.0, 1.0, 0.0), True),
                (33922, 12, 6, (0.0, 0.0, 0.0, west, 0.0, 0.0), True),
                (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 2), True),
                (42112, 2, 0, metadata, True),
                (42113, 2, 0, nodata, True),
            ]
            tif.write(page, metadata=None, contiguous=False, extratags=tags)


def test_attributes_that_hold_for_all_pages(tmp_path: Path) -> None:
    path = tmp_path / "geo.tif"
    write_geotiff_pages(
        path, {"scale": 2, "description": "one"}, {"scale": 2, "description": "two"}
    )
    array = array_of(open_pages(path), "image")
    assert names_of(array) == ("i", "y", "x")
    assert array.attrs["scale_factor"] == 2
    assert "long_name" not in array.attrs
    assert array.attrs["grid_mapping"] == "spatial_ref"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"west": 5.0}, "georeferencing"),
        ({"scale": 3}, "scale_factor"),
        ({"offset": 1}, "add_offset"),
        ({"unittype": "m"}, "units"),
        ({"nodata": 8}, "fill value"),
    ],
)
def test_pages_that_mean_different_things(
    changes: dict[str, Any], word: str, tmp_path: Path
) -> None:
    path = tmp_path / "geo.tif"
    write_geotiff_pages(path, {}, changes)
    error = refused(path)
    assert (error.kind, error.ifd) == (ErrorKind.MISMATCH, (1,))
    assert word in str(error)


def ome_text(*, t: int = 1, c: int = 1, planes: str = "<TiffData/>", doctype: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{doctype}'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="{WIDTH}" '
        f'SizeY="{HEIGHT}" SizeC="{c}" SizeZ="1" SizeT="{t}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )


_ELSEWHERE = (
    '<TiffData FirstT="{0}" IFD="0" PlaneCount="1">'
    '<UUID FileName="{1}.ome.tif">urn:uuid:{0}</UUID></TiffData>'
)
HOSTILE: dict[str, tuple[str, ErrorKind]] = {
    "sizes": (ome_text(t=10**7, c=10**7), ErrorKind.HEADER_TOO_LARGE),
    "plane-count": (
        ome_text(t=2, planes=f'<TiffData IFD="0" PlaneCount="{10**12}"/>'),
        ErrorKind.HEADER_TOO_LARGE,
    ),
    "no-number": (ome_text(planes='<TiffData PlaneCount="many"/>'), ErrorKind.INVALID_TAG),
    "negative": (ome_text(planes='<TiffData IFD="-7"/>'), ErrorKind.INVALID_TAG),
    "zero": (ome_text(t=0), ErrorKind.INVALID_TAG),
    "rows-and-columns-twice": (
        ome_text().replace("XYCZT", "XYXYX"),
        ErrorKind.UNSUPPORTED_LAYOUT,
    ),
    "entities": (
        ome_text(doctype='<!DOCTYPE OME [<!ENTITY a "aaaaaaaa">]>'),
        ErrorKind.INVALID_TAG,
    ),
    "no-xml": ("<OME><Image></OME>", ErrorKind.INVALID_TAG),
    "other-files": (
        ome_text(t=2, planes=_ELSEWHERE.format(0, "a") + _ELSEWHERE.format(1, "b")),
        ErrorKind.UNSUPPORTED_LAYOUT,
    ),
    "uuids-of-two": (
        ome_text(t=2, planes=_ELSEWHERE.format(0, "hostile") + _ELSEWHERE.format(1, "hostile")),
        ErrorKind.UNSUPPORTED_LAYOUT,
    ),
    "modulo": (
        ome_text(t=2).replace(
            "</OME>",
            "<StructuredAnnotations><XMLAnnotation ID='A' Namespace='modulo'><Value><Modulo>"
            "<ModuloAlongT Type='phase' Start='0' Step='1e-12' End='1'/></Modulo></Value>"
            "</XMLAnnotation></StructuredAnnotations></OME>",
        ),
        ErrorKind.HEADER_TOO_LARGE,
    ),
}


@pytest.mark.parametrize(
    "odd",
    [
        '<Plane TheT="0" DeltaT=""/><Plane TheT="1" DeltaT="1"/>',
        '" SignificantBits="twelve',
        '" PhysicalSizeX="0,5',
        '" TimeIncrement="none',
    ],
)
def test_descriptions_that_are_no_numbers_are_left_out(odd: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.ome.tif"
    text = ome_text(t=2, planes="<TiffData/>" + ("" if odd.startswith('"') else odd))
    if odd.startswith('"'):
        text = text.replace('" SizeX', f'{odd}" SizeX')
    with tifffile.TiffWriter(path) as tif:
        for i, page in enumerate(ramp(2, HEIGHT, WIDTH)):
            about = text if i == 0 else None
            tif.write(page, description=about, metadata=None, contiguous=False)
    root = open_pages(path)
    assert np.array_equal(array_of(root, "image")[...], ramp(2, HEIGHT, WIDTH))
    (multiscale,) = ome_of(root)["multiscales"]
    assert not any("unit" in axis for axis in multiscale["axes"])


@pytest.mark.parametrize("name", HOSTILE)
def test_ome_xml_that_cannot_be_trusted(name: str, tmp_path: Path) -> None:
    text, kind = HOSTILE[name]
    path = tmp_path / "hostile.ome.tif"
    tifffile.imwrite(path, ramp(HEIGHT, WIDTH), description=text, metadata=None)
    assert refused(path).kind == kind


@pytest.mark.parametrize(
    ("own", "named"),
    [
        (None, 'FileName="KNOWN.ome.tif">urn:uuid:0'),
        ("urn:uuid:0a", 'FileName="renamed.ome.tif">urn:uuid:0a'),
        # No UUID of its own, but one file alone.
        (None, 'FileName="renamed.ome.tif">urn:uuid:0'),
        (None, ">urn:uuid:0"),
        (None, 'FileName="C:\\data\\known.ome.tif">urn:uuid:0'),
        ("urn:uuid:0A", 'FileName="renamed.ome.tif">\n urn:uuid:0a\n'),
        # The UUID is that of another file; the name is not.
        ("urn:uuid:1", 'FileName="known.ome.tif">urn:uuid:0'),
    ],
)
def test_a_file_is_known_by_its_name_or_uuid(own: str | None, named: str, tmp_path: Path) -> None:
    data = f'<TiffData IFD="1"><UUID {named}</UUID></TiffData>'
    data += f'<TiffData IFD="0" FirstT="1"><UUID {named}</UUID></TiffData>'
    text = ome_text(t=2, planes=data)
    if own is not None:
        text = text.replace("<OME ", f'<OME UUID="{own}" ')
    path = tmp_path / "known.ome.tif"
    write_pages(path, list(ramp(2, HEIGHT, WIDTH)), {"description": text})
    assert np.array_equal(array_of(open_pages(path), "image")[...], ramp(2, HEIGHT, WIDTH)[::-1])


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("own", [0, 1])
def test_images_of_other_files_are_left_out(own: int, others: bool, tmp_path: Path) -> None:
    """As of plates and of positions, of which each file has one."""
    images = "".join(
        f'<Image ID="Image:{i}" Name="{name}"><Pixels ID="Pixels:{i}" DimensionOrder="XYZCT" '
        f'Type="uint16" SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeC="1" SizeZ="2" SizeT="1">'
        f'<TiffData PlaneCount="2"><UUID FileName="{name}.ome.tif">urn:uuid:{i}</UUID></TiffData>'
        "</Pixels></Image>"
        for i, name in enumerate("ab")
    )
    pixels = ramp(2, 2, HEIGHT, WIDTH)
    for i, name in enumerate("ab"):
        if i == own or others:
            text = OME.format(images).replace("<OME ", f'<OME UUID="urn:uuid:{i}" ')
            write_pages(tmp_path / f"{name}.ome.tif", list(pixels[i]), {"description": text})
    root = open_pages(tmp_path / f"{'ab'[own]}.ome.tif")
    image = array_of(root, "image")
    assert names_of(image) == ("z", "y", "x")
    assert np.array_equal(image[...], pixels[own])
    assert ome_of(root)["multiscales"][0]["name"] == "ab"[own]
    assert "1 of 2 images" in str(image.attrs["notes"])
    # The whole document is kept.
    assert 'Name="b"' in str(array_of(root, "OME/METADATA.ome.xml")[...])


@pytest.mark.parametrize("second", [1, 3])
def test_channels_of_several_samples_are_counted_either_way(second: int, tmp_path: Path) -> None:
    path = tmp_path / "colours.ome.tif"
    channels = "".join(f'<Channel ID="Channel:0:{i}" SamplesPerPixel="3"/>' for i in range(2))
    text = OME.format(
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeC="6" SizeZ="1" SizeT="1">{channels}'
        f'<TiffData FirstC="{second}" IFD="0"/><TiffData FirstC="0" IFD="1"/></Pixels></Image>'
    )
    pixels = ramp(2, HEIGHT, WIDTH, 3, dtype="uint8")
    write_pages(path, list(pixels), {"description": text}, photometric="rgb")
    image = array_of(open_pages(path), "image")
    assert names_of(image) == ("c", "s", "y", "x")
    assert np.array_equal(image[...], np.moveaxis(pixels[::-1], -1, 1))
    places = places_of_planes(text, 2)
    assert [places[i].steps["c"] for i in range(2)] == [1, 0]


@pytest.mark.parametrize("flags", [True, False])
@pytest.mark.parametrize("order", [(1, 4, 2), (2, 1, 4), (2, 4, 1), (1, 2, 4)])
def test_levels_in_any_order_are_one_pyramid(
    order: tuple[int, ...], flags: bool, tmp_path: Path
) -> None:
    path = tmp_path / "levels.tif"
    full = ramp(160, 128)
    with tifffile.TiffWriter(path) as tif:
        for step in order:
            tif.write(
                full[::step, ::step],
                subfiletype=int(flags and step > 1),
                tile=(16, 16),
                photometric="minisblack",
                metadata=None,
                contiguous=False,
            )
    group = open_pages(path)
    assert sorted(group) == ["0", "1", "2"]
    for i, step in enumerate((1, 2, 4)):
        assert np.array_equal(array_of(group, f"{i}/image")[...], full[::step, ::step])


def test_images_of_halved_sizes_need_not_be_levels(tmp_path: Path) -> None:
    path = tmp_path / "images.tif"
    with tifffile.TiffWriter(path) as tif:
        for size in (40, 80):
            tif.write(ramp(size, size), metadata=None, contiguous=False)
    group = open_pages(path)
    assert [array_of(group, f"{i}/image").shape for i in range(2)] == [(40, 40), (80, 80)]


def test_sub_ifds_of_ome_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "levels.ome.tif"
    full = ramp(160, 128)
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(full, subifds=2, tile=(16, 16), metadata={"axes": "YX"})
        for step in (4, 2):
            tif.write(full[::step, ::step], subfiletype=1, tile=(16, 16))
    group = open_pages(path)
    for i, step in enumerate((1, 2, 4)):
        assert np.array_equal(array_of(group, f"{i}/image")[...], full[::step, ::step])


def test_jpeg_pages_of_a_renamed_ome_tiff(tmp_path: Path) -> None:
    """Codecs have the colours of the directory, and its tables."""
    path = tmp_path / "other name.tif"
    text = ome_text(planes=_ELSEWHERE.format(0, "before")).replace("uint16", "uint8")
    tifffile.imwrite(
        path,
        smooth(HEIGHT, WIDTH, 3),
        compression="jpeg",
        tile=(16, 32),
        photometric="rgb",
        description=text.replace("<OME ", '<OME UUID="urn:uuid:0" ').replace(
            'SizeC="1"', 'SizeC="3"'
        ),
        metadata=None,
    )
    image = np.asarray(array_of(open_pages(path), "image")[...])
    assert np.array_equal(np.moveaxis(image, 0, -1), tifffile.imread(path, series=0))


def test_a_level_that_pages_lack(tmp_path: Path) -> None:
    path = tmp_path / "levels.ome.tif"
    with tifffile.TiffWriter(path) as tif:
        first, second = ramp(2, HEIGHT, WIDTH)
        tif.write(first, subifds=1, description=ome_text(t=2), metadata=None, contiguous=False)
        tif.write(first[::2, ::2], metadata=None)
        tif.write(second, metadata=None, contiguous=False)
    image = array_of(open_pages(path), "image")
    assert np.array_equal(image[...], ramp(2, HEIGHT, WIDTH))
    assert image.attrs["notes"]


@pytest.mark.parametrize("odd", [False, True])
def test_levels_of_ome_in_the_main_chain(odd: bool, tmp_path: Path) -> None:
    """As `gdaladdo` adds them; a reduced image of another shape or other samples is none."""
    path = tmp_path / "levels.ome.tif"
    full = ramp(96, 128)
    with tifffile.TiffWriter(path) as tif:
        text = ome_text().replace(f'"{WIDTH}"', '"128"').replace(f'"{HEIGHT}"', '"96"')
        tif.write(full, description=text, metadata=None, tile=(16, 16))
        # A label is reduced too.
        tif.write(full[:30, :30].copy(), subfiletype=1, metadata=None)
        for step in (4, 2):
            level = full[::step, ::step] >> (8 if odd else 0)
            tif.write(level.astype("uint8" if odd else "uint16"), subfiletype=1, metadata=None)
    group = open_pages(path)
    if odd:
        assert np.array_equal(array_of(group, "image")[...], full)
        return
    for i, step in enumerate((1, 2, 4)):
        assert np.array_equal(array_of(group, f"{i}/image")[...], full[::step, ::step])


@pytest.mark.parametrize("declared", [2, 6])
def test_stale_metadata_of_imagej(declared: int, tmp_path: Path) -> None:
    """Of programs that append or drop pages; what is left are pages, and sizes of pixels."""
    path = tmp_path / "stale.tif"
    about = f"ImageJ=1.53t\nimages={declared}\nslices={declared}\nunit=um\n"
    pages = ramp(4, HEIGHT, WIDTH)
    with tifffile.TiffWriter(path) as tif:
        for i, page in enumerate(pages):
            tif.write(
                page,
                description=about if i == 0 else None,
                metadata=None,
                contiguous=False,
                compression="zlib",
                resolution=(2, 4),
            )
    root = open_pages(path)
    assert names_of(array_of(root, "image")) == ("i", "y", "x")
    assert np.array_equal(array_of(root, "image")[...], pages)
    scale = ome_of(root)["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == [1.0, 0.25, 0.5]


def test_a_store_that_fails(tmp_path: Path) -> None:
    """What tifffile cannot read is no reason to take the pages for something else."""
    path = tmp_path / "image.tif"
    ome_pyramid(path)
    parser = VirtualTIFF(ifd_layout="pages", prefetch=512)

    def plan(fail_at: int) -> int:
        def before(number: int) -> None:
            if number == fail_at:
                raise OSError("the line is down")

        store = RecordingStore(LocalStore(tmp_path), before)
        registry: Any = ObjectStoreRegistry({"memory://tests": store})
        assert sorted(parser.plan(MEMORY_URL, registry).groups) == ["0", "1", "2", "OME"]
        return len(store.requests)

    requests = plan(-1)
    assert requests > 2
    for number in range(requests):
        with pytest.raises(VirtualTIFFError) as caught:
            plan(number)
        assert caught.value.kind == ErrorKind.STORAGE


def test_data_of_all_pages_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    PAGED["shaped-contiguous"](path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 4 * HEIGHT * WIDTH])
    assert refused(path).kind == ErrorKind.TRUNCATED


def test_more_pages_than_any_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "many.tif"
    text = '{"shape": [99999999999, 45, 70], "truncated": true}'
    tifffile.imwrite(path, ramp(HEIGHT, WIDTH), description=text, metadata=None)
    assert refused(path).kind == ErrorKind.HEADER_TOO_LARGE


# -- the corpus ----------------------------------------------------------------------------

#: Files that are refused, why, and by which kind of error.
REFUSED: dict[ErrorKind, dict[str, str]] = {
    ErrorKind.UNSUPPORTED_LAYOUT: {
        "exampletiffs/TSeries-camp-005_Cycle00001_Ch1_000001.ome.tif": "pages in 24 files",
        "exampletiffs/multifile-Z1.ome.tiff": "pages in 5 files",
    },
    ErrorKind.UNSUPPORTED_COLOR: {"image-tiff/dscf0013.tif": "subsampled YCbCr without JPEG"},
    ErrorKind.UNSUPPORTED_COMPRESSION: {"image-tiff/text.tif": "ThunderScan"},
    ErrorKind.TRUNCATED: {"rasterio/corrupt.tif": "a directory beyond the end of the file"},
    ErrorKind.INVALID_IFD: {
        f"image-tiff/graydepth-invert-overflow-{name}.tiff": "tags of nonsense"
        for name in ("5a0aad5024cc4ff3", "9f2f479685f84884")
    },
}


@pytest.mark.corpus
def test_series_of_the_corpus() -> None:
    """Every series of every file with more than one page, exactly or by an error of ours."""
    root = corpus_root()
    assert root is not None
    outcomes: dict[str, str] = {}
    judged = 0
    for file in corpus_files():
        with hushed():
            outcome = _corpus_outcome(file)
        judged += outcome is not None
        if outcome not in (None, "match"):
            outcomes[file.relative_to(root).as_posix()] = str(outcome)
    expected = {name: str(kind) for kind, names in REFUSED.items() for name in names}
    if not any((root / name).is_file() for name in expected):
        # Another corpus.
        assert {kind for kind in outcomes.values() if kind not in ErrorKind} == set()
        return
    assert outcomes == expected
    assert judged > 100


def _corpus_outcome(file: Path) -> str | None:
    try:
        with tifffile.TiffFile(file) as tif:
            if len(tif.pages) < 2 and len(tif.series[0]) < 2 and len(tif.series) < 2:
                return None
            found = [
                (place, level.kind, int(level.keyframe.compression), *expected_of(level))
                for place, level in paths_of(tif.series)
                if level.size <= MOST_SAMPLES
            ]
    except Exception:
        # Beyond the oracle: to be planned or refused, and nothing else.
        found = []
    try:
        opened = open_pages(file)
        for place, _, compression, names, pixels in found:
            array = array_of(opened, place)
            values = np.asarray(array[...])
            if names_of(array) != names:
                return f"{place}: {names_of(array)}, not {names}"
            if not same(values, pixels, compression in LOSSY):
                return f"{place}: different pixels"
    except VirtualTIFFError as error:
        return str(error.kind)
    return "match" if found else None


@pytest.mark.parametrize(
    ("letter", "kind"),
    [
        *(("I", "page"), ("R", "position"), ("A", "angle"), ("P", "phase"), ("H", "lifetime")),
        *(("E", "lambda"), ("L", "exposure"), ("V", "event"), ("M", "mosaic"), ("Q", "other")),
        *(("T", "time"), ("C", "channel"), ("Z", "space")),
    ],
)
def test_names_are_letters_and_types_are_words(letter: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.arange(3 * 5 * 6, dtype=np.uint8).reshape(3, 5, 6)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": f"{letter}YX"})
    root = open_pages(path)
    array = array_of(root, "image")
    assert names_of(array) == (letter.lower(), "y", "x")
    assert np.array_equal(np.asarray(array[...]), pixels)
    (multiscale,) = ome_of(root)["multiscales"]
    assert multiscale["axes"][0] == {"name": letter.lower(), "type": kind}
