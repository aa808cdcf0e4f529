"""Profiles and tags: the same as those of rasterio and tifffile."""

from __future__ import annotations

import json
import logging
import math
import struct
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import RasterioIOError

from tests.helpers.archive import write_scenes
from virtual_tiff import info, profile, publish, read_directories
from virtual_tiff.cli import main
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.tags import FieldType

TRANSFORM = Affine(10, 0, 500_000, 0, -10, 4_600_000)


def same(one: object, other: object) -> bool:
    return bool(one == other) or (one != one and other != other)


def differences(path: Path) -> dict[str, tuple[object, object]]:
    """What is not the same in our profile and in rasterio's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as dataset:
            theirs = dict(dataset.profile)
    ours = profile(path)
    if theirs["transform"].almost_equals(ours["transform"], 1e-9):
        # GDAL computes the corner of PixelIsPoint in another order.
        theirs["transform"] = ours["transform"]
    return {
        key: (theirs.get(key), ours.get(key))
        for key in theirs.keys() | ours.keys()
        if key not in theirs or key not in ours or not same(theirs[key], ours[key])
    }


def test_profile_of_every_file_of_the_corpus(corpus_file: Path) -> None:
    try:
        ours = profile(corpus_file)
    except VirtualTIFFError:
        ours = {}
    try:
        found = differences(corpus_file) if ours else {}
    except RasterioIOError:
        pytest.skip("rasterio cannot open it")
    assert not found


ENCODINGS = [
    {"dtype": dtype, "count": count, "compress": compress, "interleave": interleave, **more}
    for dtype, count, compress, interleave, more in product(
        ("uint8", "int16", "float32"),
        (1, 3),
        ("none", "lerc_zstd"),
        ("pixel", "band"),
        ({}, {"blockysize": 100_000}, {"tiled": True, "blockxsize": 64, "blockysize": 32}),
    )
]
COLORS = [
    {"dtype": "uint8", "count": count, "compress": compress, "photometric": photometric}
    for count, compress, photometric in (
        (3, "jpeg", "ycbcr"),
        (4, "deflate", "cmyk"),
        (3, "deflate", "cielab"),
        (1, "packbits", "minisblack"),
    )
]


@pytest.mark.parametrize("options", [*ENCODINGS, *COLORS], ids=str)
@pytest.mark.parametrize("height", [100, 2001])
def test_profile_of_encodings(tmp_path: Path, options: dict[str, Any], height: int) -> None:
    path = tmp_path / "image.tif"
    shape = (options["count"], height, 80)
    with rasterio.open(
        path, "w", width=80, height=height, crs=32633, transform=TRANSFORM, nodata=5, **options
    ) as dataset:
        dataset.write(np.zeros(shape, options["dtype"]))
    assert not differences(path)


@pytest.mark.parametrize("bits", [1, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_profile_of_narrow_samples(tmp_path: Path, bits: int, count: int) -> None:
    path = tmp_path / "image.tif"
    options: dict[str, Any] = {"dtype": "uint8", "count": count, "nbits": bits}
    with rasterio.open(
        path, "w", width=80, height=2001, blockysize=2001, compress="lzw", **options
    ) as dataset:
        dataset.write(np.zeros((count, 2001, 80), "uint8"))
    assert not differences(path)


TEXTS = (
    *("-9999", "255", "1.5", "abc", "nan", "1e20", "-3.4028235e+38", "9.96921e+36", "-3.40282e+38"),
    *("9223372036854775807", "-1", "1e39", "65535.0", "7 8", ""),
)


@pytest.mark.parametrize("text", TEXTS)
def test_nodata_of_a_profile(tmp_path: Path, text: str) -> None:
    for dtype in ("uint8", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64"):
        path = tmp_path / f"{dtype}.tif"
        extra: list[Any] = [(42113, "s", 0, text, True)]
        tifffile.imwrite(path, np.zeros((8, 8), dtype), extratags=extra, metadata=None)
        assert not differences(path), dtype


@pytest.mark.parametrize("nodata", [0, -9999, 65535, 0.5, 1e20, math.nan, math.inf])
def test_nodata_of_complex_integers(tmp_path: Path, nodata: float) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", "GTiff", 8, 8, 1, dtype="complex_int16", nodata=nodata):
        pass
    assert not differences(path)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16"])
@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_profile_of_lab(tmp_path: Path, dtype: str, count: int, interleave: str) -> None:
    """GDAL converts three samples of eight bits alone."""
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"dtype": dtype, "photometric": "cielab", "interleave": interleave}
    with rasterio.open(path, "w", "GTiff", 40, 30, count, **options) as file:
        file.write(np.zeros((count, 30, 40), dtype))
    assert not differences(path)


def test_control_points_of_a_sidecar_beside_a_transform(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    points = [GroundControlPoint(r, c, c, r) for r, c in ((0, 0), (0, 9), (9, 0), (9, 9))]
    place: dict[str, Any] = {"crs": "EPSG:32633", "transform": TRANSFORM, "PROFILE": "BASELINE"}
    with rasterio.open(path, "w", "GTiff", 8, 8, 1, dtype="uint8", **place) as file:
        file.gcps = (points, "EPSG:32633")
    assert Path(f"{path}.aux.xml").exists()
    assert not differences(path)


def test_a_profile_writes_the_same_file(tmp_path: Path) -> None:
    (path,) = write_scenes(tmp_path, 1)
    found = profile(path)
    with rasterio.open(path) as dataset, rasterio.open(tmp_path / "b.tif", "w", **found) as other:
        other.write(dataset.read())
    assert not differences(tmp_path / "b.tif")
    assert profile(tmp_path / "b.tif") == found


def normal(value: object) -> object:
    """A value of tifffile without its own types."""
    if isinstance(value, np.ndarray):
        value = tuple(value.ravel().tolist())
    if isinstance(value, tuple | list):
        numbers = tuple(map(normal, value))
        return numbers[0] if len(numbers) == 1 else numbers
    if isinstance(value, Mapping):
        return {name: normal(part) for name, part in value.items()}
    if isinstance(value, str):
        return value.strip("\0 \t\r\n")
    if isinstance(value, bytes):
        return normal(tuple(value))
    return value if isinstance(value, float | None) else int(str(int(value)))  # type: ignore[call-overload]


#: Tags whose values are not compared, and why: ours are the numbers and bytes of the file.
DECODED = {
    **dict.fromkeys((33628, 33629, 33630, 33631), "tifffile reads planes of MetaMorph behind them"),
    34412: "the structure of Zeiss LSM, a dictionary in tifffile",
    50838: "lengths of 50839, which tifffile leaves out",
    50839: "metadata of ImageJ, a dictionary in tifffile",
    65420: "NDPI, whose entries tifffile repairs",
}


def test_tags_of_every_file_of_the_corpus(corpus_file: Path) -> None:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        directories = read_directories(corpus_file)
    except VirtualTIFFError:
        pytest.skip("the file cannot be read")
    with tifffile.TiffFile(corpus_file) as file:
        if file.is_ndpi or file.is_lsm or file.is_stk:
            pytest.skip("tifffile repairs the entries of this format")
        for directory in directories:
            file.filehandle.seek(directory.position)
            page = tifffile.TiffPage(file, index=directory.index)
            theirs = {tag.code: tag for tag in reversed(list(page.tags)) if tag.code not in DECODED}
            ours = {tag.code: tag for tag in reversed(directory.tags)}
            assert theirs.keys() <= ours.keys()
            for code, tag in theirs.items():
                mine = ours[code]
                assert (mine.name, mine.type, mine.count) == (
                    tag.name,
                    FieldType(tag.dtype).name,
                    tag.count,
                )
                if tag.count < 5000 and mine.value is not None:
                    assert normal(mine.value) == normal(tag.value), tag.name


def exif_tiff(pointers: Sequence[tuple[int, int, int, int]], behind: bytes = b"") -> bytes:
    """A small TIFF with further entries; `behind` begins at byte 174 + 12 × entries."""
    entries = [(256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    end = 14 + 12 * (9 + len(pointers))
    entries += [(273, 4, 1, end), (277, 3, 1, 1), (278, 4, 1, 4), (279, 4, 1, 16), *pointers]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + directory + bytes(4) + bytes(range(16)) + behind


def exif_directory(at: int, entries: Sequence[tuple[int, int, int, bytes]]) -> bytes:
    """A directory at an offset, with its values behind it."""
    values, head = b"", struct.pack("<H", len(entries))
    end = at + 6 + 12 * len(entries)
    for code, kind, count, data in entries:
        field = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", end + len(values))
        head += struct.pack("<HHI", code, kind, count) + field
        values += data if len(data) > 4 else b""
    return head + bytes(4) + values


EXIF = [
    (0x829A, 5, 1, struct.pack("<II", 1, 250)),
    (0x9000, 7, 4, b"0230"),
    (0x9003, 2, 20, b"2024:01:01 00:00:00\0"),
    (0x9201, 10, 1, struct.pack("<ii", -3, 2)),
    (0x9286, 7, 13, b"ASCII\0\0\0caf\xe9\0"),
    (0x927C, 7, 256, bytes(range(256))),
    (0xA000, 7, 4, b"0100"),
    (0xA002, 4, 1, b"\4\0\0\0"),
    (0xA005, 4, 1, b"\10\0\0\0"),
    (0xFDE8, 3, 2, b"\1\0\2\0"),
]
UNICODE = [(0x9286, 7, 14, b"UNICODE\0" + "h\xe9?".encode("utf-16-le")), (0x9000, 7, 0, b"")]
GPS = [
    (0, 1, 4, b"\2\3\0\0"),
    (1, 2, 2, b"N\0"),
    (2, 5, 3, struct.pack("<6I", 46, 1, 30, 1, 155, 10)),
    (5, 1, 1, b"\1"),
    (6, 5, 1, struct.pack("<II", 5, 0)),
    (29, 2, 11, b"2024:01:01\0"),
]
INTEROPERABILITY = [(1, 2, 4, b"R98\0"), (2, 7, 4, b"0100")]


@pytest.mark.parametrize("kind", [4, 13])
@pytest.mark.parametrize(
    ("code", "entries"),
    [(34665, EXIF), (34665, UNICODE), (34853, GPS), (40965, INTEROPERABILITY)],
    ids=["exif", "unicode", "gps", "interoperability"],
)
def test_directories_of_exif(
    tmp_path: Path,
    code: int,
    kind: int,
    entries: Sequence[tuple[int, int, int, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Their entries are those that tifffile has."""
    path = tmp_path / "a.tif"
    at = len(exif_tiff([(code, kind, 1, 0)]))
    path.write_bytes(exif_tiff([(code, kind, 1, at)], exif_directory(at, entries)))
    with tifffile.TiffFile(path) as file:
        theirs = file.pages.first.tags[code].value
    (found,) = [tag.value for tag in read_directories(path)[0].tags if tag.code == code]
    assert isinstance(found, Mapping)
    assert len(found) == len(entries)
    empty = {name for name, value in theirs.items() if value in (b"", "", ())}
    assert {n: normal(v) for n, v in found.items() if n not in empty} == {
        n: normal(v) for n, v in theirs.items() if n not in empty
    }
    assert main(["info", str(path), "--tags"]) == 0
    lines = capsys.readouterr().out
    assert all(name in lines for name in theirs)
    assert main(["info", str(path), "--tags", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    (said,) = [t["value"] for t in document["directories"][0]["tags"] if t["code"] == code]
    assert said.keys() == found.keys()


@pytest.mark.parametrize(
    ("kind", "count", "value"),
    [
        pytest.param(4, 1, 10**9, id="beyond the end"),
        pytest.param(4, 1, 0, id="zero"),
        pytest.param(4, 1, 173, id="odd"),
        pytest.param(4, 2, 20, id="two"),
        pytest.param(4, 0, 20, id="none"),
        pytest.param(11, 1, 0x40600000, id="float"),
        pytest.param(2, 4, 0x636261, id="text"),
        pytest.param(99, 1, 8, id="unknown type"),
    ],
)
@pytest.mark.parametrize("code", [34665, 34853, 40965])
def test_exif_that_is_no_directory(
    tmp_path: Path, code: int, kind: int, count: int, value: int
) -> None:
    """The image and its other tags are read all the same."""
    path = tmp_path / "a.tif"
    path.write_bytes(exif_tiff([(code, kind, count, value)]))
    (directory,) = read_directories(path)
    tags = {tag.code: tag.value for tag in directory.tags}
    assert tags[256] == 4
    assert not isinstance(tags[code], Mapping)
    if (kind, count) == (4, 1):
        assert tags[code] == value
    assert main(["info", str(path), "--tags", "--json"]) == 0


def test_exif_that_contains_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(exif_tiff([(34665, 4, 1, 8), (34853, 4, 1, 8)]))
    tags = {tag.code: tag.value for tag in read_directories(path)[0].tags}
    for code in (34665, 34853):
        within = tags[code]
        assert isinstance(within, Mapping)
        assert len(within) == 11
        assert all(isinstance(value, int) for value in within.values())


def test_exif_of_more_than_the_file(tmp_path: Path) -> None:
    """Entries that overlap each other do not take more memory than the file has."""
    path = tmp_path / "a.tif"
    entries = [(40000 + i, 7, 2**26, struct.pack("<I", i)) for i in range(4000)]
    at = len(exif_tiff([(34665, 4, 1, 0)]))
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries
    )
    with path.open("wb") as file:
        file.write(exif_tiff([(34665, 4, 1, at)], directory))
        file.truncate(2**26 + 5000)
    found = {tag.code: tag.value for tag in read_directories(path)[0].tags}[34665]
    assert isinstance(found, Mapping)
    kept = [len(value) for value in found.values() if isinstance(value, bytes)]
    assert len(found) == 4000
    assert sum(kept) <= 2**27


def test_every_entry_also_private_ones(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    extra: list[Any] = [(65000, "s", 0, "a private text", True), (65001, 5, 1, (3, 8), True)]
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((16, 16), "uint8"), subifds=1, extratags=extra, metadata=None)
        writer.write(np.zeros((8, 8), "uint8"), subfiletype=1, metadata=None)
    first, second = read_directories(str(path))
    assert (first.index, second.index) == ((0,), (0, 0))
    tags = {tag.code: tag for tag in first.tags}
    assert (tags[65000].name, tags[65000].type, tags[65000].value) == (
        "65000",
        "ASCII",
        "a private text",
    )
    assert (tags[65001].type, tags[65001].value) == ("RATIONAL", (3, 8))
    assert {tag.code for tag in second.tags} >= {254, 256, 257}


def test_json_has_no_nan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra: list[Any] = [(65000, 12, 3, (1.5, math.nan, -math.inf), True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), "uint8"), extratags=extra, metadata=None)
    assert main(["info", str(path), "--tags", "--json"]) == 0

    def refuse(text: str) -> None:
        raise AssertionError(text)

    (document,) = json.loads(capsys.readouterr().out, parse_constant=refuse)
    values = [tag["value"] for tag in document["directories"][0]["tags"] if tag["code"] == 65000]
    assert values == [[1.5, "nan", "-inf"]]


@pytest.mark.parametrize("output", ["--tags", "--profile"])
@pytest.mark.parametrize("form", ["", "--json"])
def test_files_that_cannot_be_read_do_not_hide_others(
    output: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.tif", "c.tif"):
        tifffile.imwrite(tmp_path / name, np.zeros((8, 8), "uint8"))
    (tmp_path / "b.tif").write_text("no TIFF")
    assert main(["info", str(tmp_path), output, *([form] if form else [])]) == 1
    shown = capsys.readouterr()
    assert "a.tif" in shown.out
    assert "c.tif" in shown.out
    assert "b.tif" in shown.err


@pytest.mark.parametrize("form", [[], ["--tags"]])
def test_a_repository_is_called_one(
    form: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), "uint8"))
    publish([path], tmp_path / "repository")
    assert main(["info", str(tmp_path / "repository"), *form]) != 0
    assert "virtual-tiff describe" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["info", str(tmp_path / "empty"), *form]) != 0
    assert "virtual-tiff describe" not in capsys.readouterr().err


def test_tags_and_profile_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a b%20c.tif"
    write_scenes(tmp_path, 1)[0].rename(path)
    assert main(["info", str(path), "--tags"]) == 0
    assert "  256  ImageWidth" in capsys.readouterr().out
    assert main(["info", str(path), "--tags", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["directories"][0]["tags"][0]["code"] in (254, 256)
    assert main(["info", str(path), "--profile"]) == 0
    printed = json.loads(capsys.readouterr().out)
    with rasterio.open(path) as dataset:
        assert printed["blockysize"] == dataset.profile["blockysize"]
        assert printed["transform"] == list(dataset.transform)[:6]
    assert main(["info", str(path), "--tags", "--profile"]) == 2


def test_info_tells_place_bands_and_statistics(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    with rasterio.open(
        path,
        "w",
        width=64,
        height=64,
        count=2,
        dtype="int16",
        crs=32633,
        transform=TRANSFORM,
        nodata=-1,
    ) as dataset:
        dataset.write(np.ones((2, 64, 64), "int16"))
        dataset.scales, dataset.offsets = (0.1, 1.0), (2.0, 0.0)
        dataset.set_band_description(1, "red")
        dataset.set_band_unit(1, "m")
        dataset.update_tags(1, STATISTICS_MEAN="1.5", STATISTICS_MAXIMUM="2")
        dataset.update_tags(AUTHOR="me")
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2])
    image, overview = info(str(path))[0].images
    with rasterio.open(path) as dataset:
        assert image.bounds == tuple(dataset.bounds)
        assert image.transform == tuple(dataset.transform)[:6]
        assert image.resolution == dataset.res
    assert image.metadata[""]["AUTHOR"] == "me"
    first, second = image.band_info
    assert (first.name, first.scale, first.offset, first.unit, first.nodata) == (
        "red",
        0.1,
        2.0,
        "m",
        -1,
    )
    assert first.statistics == {"mean": 1.5, "maximum": 2.0}
    assert second.scale == 1.0
    assert overview.resolution == (20.0, 20.0)
    assert overview.bounds == image.bounds
    assert image.geo_keys["ProjectedCRSGeoKey"] == 32633


class _Signed(SimpleHTTPRequestHandler):
    """Serves a file only with its signature."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if query != "sig=secret%2Bvalue&n=1":
            self.send_error(403)
            return
        data = Path(self.translate_path(path)).read_bytes()
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        part = data[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def signed(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Signed, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_addresses_with_a_query_where_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_scenes(tmp_path, 1)
    with signed(tmp_path) as server:
        url = f"{server}/{path.name}?sig=secret%2Bvalue&n=1"
        assert profile(url) == profile(path)
        assert read_directories(url)[0].tags == read_directories(path)[0].tags
        (file,) = info(url)
        assert file.images == info(path)[0].images
        assert main(["info", url]) == main(["info", url, "--json"]) == 0
        assert main(["info", url, "--tags", "--json"]) == 0
        with pytest.raises(VirtualTIFFError) as wrong:
            profile(f"{server}/{path.name}?sig=secret")
        assert wrong.value.kind == ErrorKind.NOT_AUTHORIZED
        printed = capsys.readouterr()
        assert "secret" not in printed.out + printed.err + str(wrong.value)
        with pytest.raises(InvalidOptionError):
            publish([url], tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def test_folders_are_bounded_and_options_known(tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 3)
    with pytest.raises(InvalidOptionError) as many:
        info(tmp_path, limit=2)
    assert many.value.kind == ErrorKind.INVALID_OPTION
    assert len(info(tmp_path, limit=3)) == len(info(paths, limit=2)) == 3
    assert main(["info", str(tmp_path), "--limit", "2"]) == 2
    with pytest.raises(InvalidOptionError):
        info(tmp_path, prefetched=1)  # type: ignore[call-arg]
