"""What the metadata of microscopes and scanners of slides says, in `ifd_layout="pages"`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from tests.helpers import microscopes
from tests.helpers.assemble import (
    DATA_AT,
    PLAIN,
    PLAIN_DATA,
    Field,
    assemble,
    changed,
    long,
    short,
)
from tests.helpers.paged import HEIGHT, PAGED, WIDTH, ramp
from tests.helpers.read import local_registry, numcodecs_names
from virtual_tiff import VirtualTIFF
from virtual_tiff.choices import IFDLayout
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.planning.pages.ome_zarr import row_name


def opened(path: Path, make: Callable[[Path], None]) -> Any:
    make(path)
    with numcodecs_names():
        store = VirtualTIFF(ifd_layout="pages")(f"file://{path}", local_registry())
        return zarr.open_group(store, mode="r", zarr_format=3)


def scales(group: Any) -> dict[str, tuple[float, str | None]]:
    """Scale at full resolution and unit by axis."""
    multiscale = group.attrs["ome"]["multiscales"][0]
    scale = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"]
    axes = multiscale["axes"]
    return {
        axis["name"]: (round(step, 6), axis.get("unit"))
        for axis, step in zip(axes, scale, strict=True)
        if "unit" in axis
    }


def test_zeiss_lsm(tmp_path: Path) -> None:
    root = opened(tmp_path / "a.lsm", microscopes.lsm)
    um = "micrometer"
    assert scales(root["0"]) == {"z": (0.5, um), "y": (0.2, um), "x": (0.1, um)}


@pytest.mark.parametrize("slices", [1, 3])
def test_two_channels_of_lsm_with_the_tags_of_three(slices: int, tmp_path: Path) -> None:
    """Compressed; counts are those of the decoded strips, and the third strip is none."""
    info = np.zeros((), np.dtype([(name or "_", kind) for name, kind in tifffile.TIFF.CZ_LSMINFO]))
    for name, value in {
        **{"MagicNumber": 67127628, "StructureSize": info.nbytes, "DataType": 1},
        **{"DimensionX": WIDTH, "DimensionY": HEIGHT, "DimensionZ": slices, "DimensionTime": 1},
        **{"DimensionChannels": 2, "VoxelSizeX": 1e-7, "VoxelSizeY": 1e-7, "VoxelSizeZ": 5e-7},
    }.items():
        info[name] = value
    pixels = ramp(slices, 2, HEIGHT, WIDTH, dtype="uint8")
    data, directories = b"", []
    for i, plane in enumerate(pixels):
        at = []
        for channel in plane:
            at.append(DATA_AT + len(data))
            data += bytes(imagecodecs.lzw_encode(channel.tobytes()))
        directories.append(
            changed(
                PLAIN,
                IMAGE_WIDTH=short(WIDTH),
                IMAGE_LENGTH=short(HEIGHT),
                BITS_PER_SAMPLE=short(8, 8, 8),
                SAMPLES_PER_PIXEL=short(2),
                COMPRESSION=short(5),
                PLANAR_CONFIGURATION=short(2),
                ROWS_PER_STRIP=short(HEIGHT),
                STRIP_OFFSETS=long(*at, 0),
                STRIP_BYTE_COUNTS=long(HEIGHT * WIDTH, HEIGHT * WIDTH, 0),
            )
            | ({microscopes.LSM: Field(1, info.tobytes())} if i == 0 else {})
        )
        thumbnail = changed(
            PLAIN, STRIP_OFFSETS=long(DATA_AT + len(data)), NEW_SUBFILE_TYPE=long(1)
        )
        directories.append(thumbnail)
        data += PLAIN_DATA
    path = tmp_path / "a.lsm"
    path.write_bytes(assemble(directories, data=data))
    with numcodecs_names():
        store = VirtualTIFF(ifd_layout="pages")(f"file://{path}", local_registry())
        image: Any = zarr.open_group(store, mode="r", zarr_format=3)["0/image"]
        expected = pixels.swapaxes(0, 1) if slices > 1 else pixels[0]
        assert np.array_equal(image[...], expected)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (microscopes.sem, {"y": (12.5, "nanometer"), "x": (12.5, "nanometer")}),
        (microscopes.fei, {"y": (25.0, "nanometer"), "x": (12.5, "nanometer")}),
        (microscopes.generic_pyramid, {"y": (0.5, "micrometer"), "x": (0.5, "micrometer")}),
        (microscopes.scan_image, {}),
    ],
)
def test_pixel_sizes(
    tmp_path: Path, make: Callable[[Path], None], expected: dict[str, Any]
) -> None:
    assert scales(opened(tmp_path / "a.tif", make)) == expected


def test_stains_of_qptiff(tmp_path: Path) -> None:
    root = opened(tmp_path / "a.qptiff", microscopes.qptiff)
    channels = root["0"].attrs["ome"]["omero"]["channels"]
    assert [one["label"] for one in channels] == ["DAPI", "CD8", "CD3"]
    assert [one["color"] for one in channels] == ["0000FF", "FFFF00", "FF0000"]
    assert root["0/0/c"][...].tolist() == ["DAPI", "CD8", "CD3"]
    assert scales(root["0"]) == {"y": (0.5, "micrometer"), "x": (0.5, "micrometer")}


def test_stains_without_a_name(tmp_path: Path) -> None:
    """Those that have one keep it."""
    path = tmp_path / "a.qptiff"
    microscopes.qptiff(path)
    path.write_bytes(path.read_bytes().replace(b"<Name>CD8</Name>", b"<Nope>CD8</Nope>"))
    with numcodecs_names():
        store = VirtualTIFF(ifd_layout="pages")(f"file://{path}", local_registry())
        root: Any = zarr.open_group(store, mode="r", zarr_format=3)
    channels = root["0"].attrs["ome"]["omero"]["channels"]
    assert [one.get("label") for one in channels] == ["DAPI", None, "CD3"]
    assert [one["color"] for one in channels] == ["0000FF", "FFFF00", "FF0000"]


def test_biomarkers_without_a_resolution(tmp_path: Path) -> None:
    """They come before the names of dyes; no unit is no metre."""

    def make(path: Path) -> None:
        with tifffile.TiffWriter(path) as tif:
            for name in ("<Name>Opal 520</Name><Biomarker>CD8</Biomarker>", "<Name>DAPI</Name>"):
                tif.write(
                    ramp(64, 96),
                    tile=(16, 16),
                    metadata=None,
                    contiguous=False,
                    software="PerkinElmer-QPI",
                    description="<PerkinElmer-QPI-ImageDescription>"
                    f"{name}</PerkinElmer-QPI-ImageDescription>",
                )

    root = opened(tmp_path / "a.qptiff", make)
    channels = root.attrs["ome"]["omero"]["channels"]
    assert [one["label"] for one in channels] == ["CD8", "DAPI"]
    assert scales(root) == {}


def test_the_summary_of_micro_manager(tmp_path: Path) -> None:
    root = opened(tmp_path / "a.ome.tif", microscopes.micro_manager)
    channels = root.attrs["ome"]["omero"]["channels"]
    assert [(one["label"], one["color"]) for one in channels] == [
        ("DAPI", "0000FF"),
        ("Cy5", "FF0000"),
    ]
    assert scales(root) == {"y": (0.65, "micrometer"), "x": (0.65, "micrometer")}


def test_colors_and_ranges_of_imagej(tmp_path: Path) -> None:
    root = opened(tmp_path / "a.tif", microscopes.imagej_colors)
    channels = root.attrs["ome"]["omero"]["channels"]
    assert [one["color"] for one in channels] == ["00FFFF", "FFFF00"]
    assert [(c["window"]["start"], c["window"]["end"]) for c in channels] == [(10, 900), (0, 4095)]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        # Of a single table or label tifffile makes no list.
        ({"min": -1.5, "max": 3.25, "Labels": ["cell.tif"]}, ("cell.tif", "FFFFFF", -1.5, 3.25)),
        ({"min": 0.0, "max": 0.0, "Labels": ["cell.tif"]}, ("cell.tif", "FFFFFF", 0.0, 1.0)),
        ({"Ranges": (2.0, 4.0)}, (None, "FFFFFF", 2.0, 4.0)),
    ],
)
def test_ranges_of_one_channel_of_imagej(
    tmp_path: Path, metadata: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    def make(path: Path) -> None:
        options: Any = {"imagej": True, "metadata": {"axes": "YX", **metadata}}
        tifffile.imwrite(path, ramp(HEIGHT, WIDTH, dtype="float32"), **options)

    (shown,) = opened(tmp_path / "a.tif", make).attrs["ome"]["omero"]["channels"]
    window = shown["window"]
    assert (shown.get("label"), shown["color"], window["start"], window["end"]) == expected


def test_resolutions_where_imagej_has_no_unit(tmp_path: Path) -> None:
    """As libvips writes pages with levels."""
    path = tmp_path / "a.tif"
    text = "ImageJ=\nhyperstack=true\nimages=2\nchannels=2\nslices=1\nframes=1"
    options: Any = {"tile": (16, 16), "metadata": None}
    with tifffile.TiffWriter(path) as tif:
        for i, plane in enumerate(ramp(2, 64, 96)):
            tif.write(
                plane,
                subifds=1,
                contiguous=False,
                description=text if i == 0 else None,
                resolution=(20000, 10000),
                resolutionunit="centimeter",
                **options,
            )
            tif.write(plane[::2, ::2], subfiletype=1, **options)
    found = scales(opened(path, lambda _: None))
    assert found == {"y": (1.0, "micrometer"), "x": (0.5, "micrometer")}


def test_calibrations_of_imagej_are_noted(tmp_path: Path) -> None:
    """Signed 16-bit images are unsigned ones with a straight line; z may go down."""

    def make(path: Path) -> None:
        line = {"cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "gray value"}
        metadata = {"axes": "ZYX", "unit": "um", "spacing": -2.5, **line}
        tifffile.imwrite(path, ramp(3, HEIGHT, WIDTH), imagej=True, metadata=metadata)

    root = opened(tmp_path / "a.tif", make)
    assert "-32768 + 1" in str(root["image"].attrs["notes"])
    assert scales(root)["z"] == (2.5, "micrometer")


@pytest.mark.parametrize(
    ("mode", "colors"), [("grayscale", ["FFFFFF"] * 2), ("color", ["FF0000", "00FF00"])]
)
def test_tables_of_imagej_in_grayscale(mode: str, colors: list[str], tmp_path: Path) -> None:
    tables = [
        np.eye(3, dtype=np.uint8)[i][:, None] * np.arange(256, dtype=np.uint8) for i in (0, 1)
    ]

    def make(path: Path) -> None:
        metadata = {"axes": "CYX", "mode": mode, "LUTs": tables}
        tifffile.imwrite(path, ramp(2, HEIGHT, WIDTH), imagej=True, metadata=metadata)

    channels = opened(tmp_path / "a.tif", make).attrs["ome"]["omero"]["channels"]
    assert [one["color"] for one in channels] == colors


def test_gels(tmp_path: Path) -> None:
    """Values are those of the file; attributes say what they mean."""
    linear = opened(tmp_path / "linear.gel", lambda path: microscopes.gel(path, tag=128))["image"]
    assert linear.attrs["scale_factor"] == 0.25
    path = tmp_path / "roots.gel"
    roots = opened(path, microscopes.gel)["image"]
    assert "scale_factor" not in roots.attrs
    assert roots.attrs["notes"]
    np.testing.assert_array_equal(roots[...], ramp(HEIGHT, WIDTH))
    with tifffile.TiffFile(path) as tif:
        expected = tif.series[0].asarray()
    np.testing.assert_array_equal(roots[...].astype("float32") ** 2 * np.float32(0.25), expected)


@pytest.mark.parametrize("at", [4096, 2**32 + 4096])
def test_restart_segments_of_ndpi(tmp_path: Path, at: int) -> None:
    """Each is a chunk, by reference; the header of the stream is in the codec."""
    path = tmp_path / "slide.ndpi"
    microscopes.ndpi(path, at=at)
    plan = VirtualTIFF(ifd_layout="pages").plan(f"file://{path}", local_registry())
    assert [plan.groups[str(i)].arrays["image"].chunk_shape for i in range(2)] == [(3, 8, 32)] * 2
    assert not plan.groups["0"].arrays["image"].inline
    with numcodecs_names(), tifffile.TiffFile(path) as tif:
        store = VirtualTIFF(ifd_layout="pages")(f"file://{path}", local_registry())
        root: Any = zarr.open_group(store, mode="r", zarr_format=3)
        for i, level in enumerate(tif.series[0].levels):
            found = np.moveaxis(root[f"{i}/image"][...], 0, -1)
            np.testing.assert_array_equal(found, level.asarray())
    flat = VirtualTIFF().plan(f"file://{path}", local_registry())
    assert flat.arrays["1"].shape == (3, 32, 64)


def test_subsampled_segments_of_ndpi(tmp_path: Path) -> None:
    """Pixels are those of each segment, as tifffile decodes large levels, and a note says so."""
    path = tmp_path / "slide.ndpi"
    microscopes.ndpi(path, subsampling="420")
    store = VirtualTIFF()(f"file://{path}", local_registry())
    with numcodecs_names(), tifffile.TiffFile(path) as tif:
        array: Any = zarr.open_array(store, path="0", mode="r", zarr_format=3)
        assert "segment" in array.attrs["notes"]
        assert array.chunks == (3, 16, 32)
        for segment, (_, _, y, x, _), _ in tif.pages.first.segments():
            assert segment is not None
            _, height, width, _ = segment.shape
            found = array[:, y : y + height, x : x + width]
            np.testing.assert_array_equal(np.moveaxis(found, 0, -1), segment[0])


def test_segments_of_ndpi_that_are_no_grid(tmp_path: Path) -> None:
    """Segments of 40 columns of 64 end within the rows: the level is one chunk."""
    path = tmp_path / "slide.ndpi"
    microscopes.ndpi(path)
    marker = b"\xff\xdd\x00\x04\x00"
    # A restart interval of 5 blocks instead of 4.
    path.write_bytes(path.read_bytes().replace(marker + b"\x04", marker + b"\x05"))
    plan = VirtualTIFF().plan(f"file://{path}", local_registry())
    assert plan.arrays["1"].chunk_shape == (3, 32, 64)


def test_tiles_of_ventana_overlap(tmp_path: Path) -> None:
    root = opened(tmp_path / "a.bif", microscopes.bif)
    assert root["0/0/image"].attrs["notes"]


def test_plates(tmp_path: Path) -> None:
    root = opened(tmp_path / "a.ome.tif", microscopes.plate)
    plate = root.attrs["ome"]["plate"]
    assert plate["name"] == "screen"
    assert [well["path"] for well in plate["wells"]] == ["A/2", "C/5"]
    assert plate["field_count"] == 2
    assert plate["acquisitions"] == [{"id": 0, "name": "before"}, {"id": 1, "name": "after"}]
    assert root["A/2"].attrs["ome"]["well"]["images"] == [
        {"path": "0", "acquisition": 0},
        {"path": "1", "acquisition": 1},
    ]
    pages = ramp(3, HEIGHT, WIDTH)
    for i, place in enumerate(("A/2/0", "A/2/1", "C/5/0")):
        np.testing.assert_array_equal(root[f"{place}/image"][...], pages[i])


def test_a_plate_of_rows_that_are_no_numbers(tmp_path: Path) -> None:
    """The images are there all the same."""
    path = tmp_path / "a.ome.tif"
    microscopes.plate(path)
    path.write_bytes(path.read_bytes().replace(b'Row="2"', b'Row="C"'))
    plan = VirtualTIFF(ifd_layout="pages").plan(f"file://{path}", local_registry())
    assert sorted(plan.groups) == ["0", "1", "2", "OME"]


def test_names_of_rows() -> None:
    assert [row_name(row) for row in (0, 25, 26, 27, 51, 52)] == ["A", "Z", "AA", "AB", "AZ", "BA"]


def test_text_is_kept(tmp_path: Path) -> None:
    """OME-XML as an array, whole; the description of the first page as an attribute too."""
    path = tmp_path / "a.ome.tif"
    root = opened(path, PAGED["ome-tczyx"])
    text = str(root["OME/METADATA.ome.xml"][()])
    with tifffile.TiffFile(path) as tif:
        assert text == tif.ome_metadata
    assert json.loads(root["image"].attrs["tiff"])["ImageDescription"] == text
    root = opened(tmp_path / "b.tif", PAGED["imagej-tzcyx"])
    assert json.loads(root["image"].attrs["tiff"])["ImageDescription"].startswith("ImageJ=")
    assert not list(root.group_keys())


def test_images_without_a_name_have_that_of_the_file(tmp_path: Path) -> None:
    root = opened(tmp_path / "my image.tif", PAGED["plain"])
    assert root.attrs["ome"]["multiscales"][0]["name"] == "my image.tif"


def test_times_of_planes(tmp_path: Path) -> None:
    def make(path: Path) -> None:
        tifffile.imwrite(
            path,
            ramp(4, HEIGHT, WIDTH),
            metadata={
                "axes": "TYX",
                "Plane": {"DeltaT": [0, 250, 500, 750.5], "DeltaTUnit": ["ms"] * 4},
            },
        )

    assert scales(opened(tmp_path / "a.ome.tif", make))["t"] == (250.166667, "millisecond")


def test_resolutions_are_exact(tmp_path: Path) -> None:
    """tifffile computes positions of pixels in single precision."""
    root = opened(tmp_path / "a.tif", microscopes.generic_pyramid)
    datasets = root.attrs["ome"]["multiscales"][0]["datasets"]
    scale = [dataset["coordinateTransformations"][0]["scale"] for dataset in datasets]
    assert scale == [[1.0, 0.5, 0.5], [1.0, 1.0, 1.0], [1.0, 2.0, 2.0]]


def test_an_image_whose_planes_are_nowhere_declared(tmp_path: Path) -> None:
    """Pages of the size of the one image of the OME-XML are of that size in the specimen too."""

    def make(path: Path) -> None:
        sizes = 'PhysicalSizeX="0.5" PhysicalSizeY="0.25" PhysicalSizeYUnit="micron"'
        text = microscopes.OME.format(
            f'<Image ID="Image:0" Name="cell"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
            f'Type="uint16" SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeC="1" SizeZ="3" SizeT="1" '
            f"{sizes}/></Image>"
        )
        options: Any = {"photometric": "minisblack", "metadata": None}
        tifffile.imwrite(path, ramp(3, HEIGHT, WIDTH), description=text, **options)

    root = opened(tmp_path / "a.ome.tif", make)
    assert scales(root) == {"y": (0.25, "micrometer"), "x": (0.5, "micrometer")}
    assert root.attrs["ome"]["multiscales"][0]["name"] == "cell"
    assert "<OME" in str(root["OME/METADATA.ome.xml"][()])


def test_a_slide_of_too_many_channels(tmp_path: Path) -> None:
    """tifffile makes a list of them."""
    path = tmp_path / "a.scn"
    microscopes.scn(path, last=10**9)
    with pytest.raises(VirtualTIFFError) as caught:
        VirtualTIFF(ifd_layout="pages").plan(f"file://{path}", local_registry())
    assert caught.value.kind == ErrorKind.HEADER_TOO_LARGE


@pytest.mark.parametrize("layout", ["flat", "multiscale", "pages"])
def test_aperio_33003_is_ycbcr_where_it_says_rgb(layout: IFDLayout, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    values = ramp(32, 48, 3, dtype="uint8")
    options = {"level": 0, "reversible": True, "mct": False}
    tifffile.imwrite(
        path, values, photometric="rgb", compression="jpeg2000", compressionargs=options
    )
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags[259].overwrite(33003)
    with numcodecs_names():
        store = VirtualTIFF(ifd_layout=layout)(f"file://{path}", local_registry())
        group = zarr.open_group(store, mode="r", zarr_format=3)
        (image,) = (
            member
            for _, member in group.members(max_depth=None)
            if isinstance(member, zarr.Array) and member.ndim == 3
        )
        assert np.array_equal(np.moveaxis(np.asarray(image[...]), 0, -1), values)
    assert image.attrs["photometric_interpretation"] == "YCbCr"
    assert json.loads(str(image.attrs["color_interpretation"])) == ["Y", "Cb", "Cr"]
    assert "33003" in str(image.attrs["notes"])
