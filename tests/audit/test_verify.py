"""Every planted fault is found, and no sound file is suspected."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import tifffile

from tests.conftest import corpus_files, corpus_root
from tests.helpers.archive import scanned, write_scene, write_scenes
from tests.helpers.assemble import PLAIN, PLAIN_DATA, assemble, changed, long, short
from tests.helpers.make import covering, write, write_with_rasterio
from virtual_tiff.audit import decoding
from virtual_tiff.audit.report import Status, VerifyReport
from virtual_tiff.audit.verify import verify
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.publish import publish
from virtual_tiff.operations.stack import stack
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.progress import Stage
from virtual_tiff.publishing.repository import open_repository
from virtual_tiff.storage.source import Source


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def faults(report: VerifyReport) -> dict[str, Status]:
    return {Path(finding.url).name: finding.status for finding in report.faults}


def test_all_is_well(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 5)
    stack(scanned(tmp_path / "a"), repo)
    seen: list[tuple[Stage, int, int, int]] = []
    report = verify(repo, sample=None, chunks=100, progress=lambda *n: seen.append(n))
    assert report.exit_status == 0
    assert report.decoded == 5 * 6
    assert report.undecided == ()
    assert seen[-1] == ("check", 5, 5, 0)
    assert report.table().num_rows == 5
    assert verify(repo, sample=2).decoded == 2
    assert verify(repo, sample=0).decoded == 0


def test_overviews_and_masks_are_decoded_too(tmp_path: Path, repo: str) -> None:
    """In the layout `flat`, their dimensions have names of their own, such as `y_1`."""
    cog = Path(__file__).parents[2] / "examples" / "aerial.tif"
    publish([cog], repo)
    report = verify(repo, sample=None, chunks=100)
    assert report.undecided == ()
    assert report.exit_status == 0
    with tifffile.TiffFile(cog) as file:
        assert report.decoded == sum(
            -(-page.imagelength // page.tilelength) * -(-page.imagewidth // page.tilewidth)
            for page in file.pages
            if isinstance(page, tifffile.TiffPage)
        )


def _gone(path: Path) -> None:
    path.unlink()


def _replaced(path: Path) -> None:
    write_scene(path, seed=1234)


def _replaced_by_another_grid(path: Path) -> None:
    write_scene(path, seed=1234, shape=(16, 32))


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 40)


def _grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _bytes_of_a_chunk(path: Path) -> None:
    with tifffile.TiffFile(path) as tif:
        offset, count = tif.pages[0].dataoffsets[0], tif.pages[0].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[offset + count // 2] ^= 0xFF
    path.write_bytes(data)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


FAULTS: dict[str, tuple[Callable[[Path], None], Status]] = {
    "gone": (_gone, Status.MISSING),
    "replaced": (_replaced, Status.CHANGED),
    "another grid": (_replaced_by_another_grid, Status.CHANGED),
    "truncated": (_truncated, Status.CHANGED),
    "grown": (_grown, Status.CHANGED),
    "directory": (_a_directory, Status.MISSING),
    "bytes": (_bytes_of_a_chunk, Status.CHANGED),
    "emptied": (_emptied, Status.CHANGED),
}


def test_planted_faults_are_found(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 40)
    stack(scanned(tmp_path / "a"), repo)
    planted = {}
    kinds = list(FAULTS.values())
    for number, path in enumerate(paths[::2]):
        plant, status = kinds[number % len(kinds)]
        plant(path)
        planted[path.name] = status
    assert len(planted) == 20
    report = verify(repo, sample=None)
    assert faults(report) == planted
    assert report.exit_status == 1
    assert all(finding.detail for finding in report.faults)
    assert report.counts[Status.OK] == 20


def test_bytes_changed_behind_the_back_of_the_store(tmp_path: Path, repo: str) -> None:
    """Same size, same time, another first 32 KiB, which are in the first GET of a header."""
    path = write_scenes(tmp_path / "a", 3)[1]
    stack(scanned(tmp_path / "a"), repo)
    before = path.stat()
    _bytes_of_a_chunk(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = verify(repo, sample=0)
    assert faults(report) == {path.name: Status.CHANGED}
    assert report.exit_status == 1


def test_references_that_are_wrong(tmp_path: Path, repo: str) -> None:
    """A cube that shows other pixels than its sources hold is found by decoding them."""
    write_scenes(tmp_path / "a", 2)
    inventory = scanned(tmp_path / "a")
    table = inventory.table
    for name in ("offsets", "lengths"):
        field = table.schema.field(name)
        turned = pa.array([row[::-1] for row in table[name].to_pylist()], field.type)
        table = table.set_column(table.schema.get_field_index(name), field, turned)
    stack(Inventory(table), repo)
    report = verify(repo, sample=None)
    assert set(faults(report).values()) == {Status.DAMAGED}
    assert "other pixels" in report.faults[0].detail


def test_a_store_that_does_not_answer(tmp_path: Path, repo: str) -> None:
    from obspec_utils.registry import ObjectStoreRegistry

    write_scenes(tmp_path / "a", 2)
    stack(scanned(tmp_path / "a"), repo)
    report = verify(repo, registry=ObjectStoreRegistry({}), sample=0)
    assert set(faults(report).values()) == {Status.UNREACHABLE}
    assert report.exit_status == 3


def test_bands_taken_apart_and_variables(tmp_path: Path, repo: str) -> None:
    write_scenes(tmp_path / "a", 2, shape=(3, 48, 64), INTERLEAVE="BAND")
    stack(scanned(tmp_path / "a"), repo, options=CubeOptions(split_bands=True), group="g/h")
    report = verify(repo, sample=None, chunks=100)
    assert (faults(report), report.decoded) == ({}, 2 * 3 * 6)


@pytest.mark.parametrize("axis", ["first", "last"])
def test_every_lossless_encoding_verifies(axis: str, tmp_path: Path, repo: str) -> None:
    (tmp_path / "a").mkdir()
    for encoding in covering()[::3]:
        write(encoding, tmp_path / "a" / f"{encoding.name}.tif")
    inventory = scanned(tmp_path / "a", parser=VirtualTIFF(ifd=0, band_axis=axis))  # type: ignore[arg-type]
    table = inventory.table.append_column("n", pa.array(range(len(inventory))))
    stack(Inventory(table), repo, group="{stem}", options=CubeOptions(along="n"))
    report = verify(repo, sample=None, chunks=3)
    assert (faults(report), report.undecided) == ({}, ())


@pytest.mark.corpus
def test_a_lossy_strip_that_was_padded(tmp_path: Path, repo: str) -> None:
    """Its rows may differ by a few levels from those of the TIFF."""
    values = np.random.default_rng(1).integers(0, 60, (20, 32, 3)).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        values,
        photometric="ycbcr",
        subsampling=(2, 2),
        compression="jpeg",
        rowsperstrip=16,
    )
    publish([path], repo)
    report = verify(repo, sample=None, chunks=2)
    assert report.exit_status == 0
    assert report.decoded == 2


def test_missing_segments_of_one_bit(tmp_path: Path, repo: str) -> None:
    path = tmp_path / "a.tif"
    profile = {"width": 20, "height": 20, "count": 1, "dtype": "uint8", "nodata": 0, "nbits": 1}
    with rasterio.open(path, "w", sparse_ok=True, compress="ccittfax4", **profile):
        pass
    publish([path], repo)
    report = verify(repo, sample=None, chunks=2)
    assert report.exit_status == 0
    assert report.decoded == 1


@pytest.mark.parametrize(
    ("compression", "encode"),
    [(32773, imagecodecs.packbits_encode), (50000, imagecodecs.zstd_encode), (8, zlib.compress)],
    ids=["packbits", "zstd", "deflate"],
)
def test_segments_with_surplus_bytes_are_sound(
    compression: int, encode: Callable[[bytes], Any], tmp_path: Path, repo: str
) -> None:
    """tifffile, which has a buffer of the right size, calls them damaged."""
    path = tmp_path / "a.tif"
    pixels = np.arange(30, dtype="<u2").tobytes()
    data = bytes(encode(pixels + b"\1\2\3"))
    fields = changed(
        PLAIN,
        COMPRESSION=short(compression),
        BITS_PER_SAMPLE=short(16),
        STRIP_BYTE_COUNTS=long(len(data)),
    )
    path.write_bytes(assemble([fields], data=data))
    publish([path], repo)
    report = verify(repo, sample=None)
    assert report.exit_status == 0
    assert len(report.undecided) == 1


def test_a_byte_count_of_zero_is_sound(tmp_path: Path, repo: str) -> None:
    """GDAL reads on from the offset, tifffile nothing."""
    path = tmp_path / "a.tif"
    fields = changed(PLAIN, STRIP_BYTE_COUNTS=long(0))
    path.write_bytes(assemble([fields], data=PLAIN_DATA))
    publish([path], repo)
    report = verify(repo, sample=None)
    assert report.exit_status == 0
    assert len(report.undecided) == 1


def test_images_that_only_libtiff_decodes(tmp_path: Path, repo: str) -> None:
    """Masked pixels of LERC are NaN for libtiff, and 0 for tifffile."""
    path = tmp_path / "a.tif"
    data = np.arange(16 * 32, dtype=np.float32).reshape(1, 16, 32)
    data[0, :4, :4] = np.nan
    write_with_rasterio(path, data, COMPRESS="LERC")
    publish([path], repo)
    report = verify(repo, sample=None)
    assert report.exit_status == 0
    assert len(report.undecided) == 1


def test_no_false_alarm_on_the_corpus(tmp_path: Path, repo: str) -> None:
    """All first images of the corpus in one repository: nothing is suspected."""
    root = corpus_root()
    assert root is not None
    small = [path for path in corpus_files() if path.stat().st_size < 2_000_000]
    inventory = scanned(*map(str, small))
    images = inventory.images
    assert len(images) > 300
    count = len(images)
    names = [f"n{number}" for number in range(count)]
    table = images.table.append_column("n", pa.array(range(count))).append_column(
        "name", pa.array(names)
    )
    roles = np.array(table["role"].to_pylist()) == "image"
    chosen = Inventory(table.filter(pa.array(roles)))
    stack(chosen, repo, group="{name}", options=CubeOptions(along="n"))
    report = verify(repo, sample=None, chunks=2)
    assert {finding.url: finding.detail for finding in report.faults} == {}
    # What tifffile cannot decode is said, not passed over.
    assert len(report.undecided) < len(chosen) // 10


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate", None])
def test_chunks_of_pages_are_decoded(
    planar: str | None,
    compression: str | None,
    tmp_path: Path,
    repo: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stack of pages: each chunk is compared with the page whose bytes it is."""
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    shape = {"contig": (3, 40, 56, 3), "separate": (3, 3, 40, 56), None: (3, 40, 56)}[planar]
    axes = {"contig": "ZYXS", "separate": "ZSYX", None: "ZYX"}[planar]
    options: dict[str, Any] = {} if planar is None else {"photometric": "rgb"}
    for time in range(2):
        tifffile.imwrite(
            tmp_path / "a" / f"stack_t{time}.ome.tif",
            rng.integers(0, 255, shape, np.uint8),
            metadata={"axes": axes},
            compression=compression,
            planarconfig=planar,
            rowsperstrip=16,
            **options,
        )
    stack(
        [str(path) for path in sorted((tmp_path / "a").iterdir())],
        repo,
        along="t",
        columns={"t": r"_t(\d+)"},
    )
    report = verify(repo, sample=None, chunks=100)
    assert (report.undecided, faults(report)) == ((), {})
    assert report.decoded >= 2 * 3
    # With what tifffile would decode from other bytes.
    pixels = decoding._pixels
    monkeypatch.setattr(decoding, "_pixels", lambda *given: pixels(*given) ^ 1)
    found = verify(repo, sample=None, chunks=100)
    assert set(faults(found).values()) == {Status.DAMAGED}
    assert len(found.faults) == 2


def test_repositories_without_a_table_of_sources(tmp_path: Path, repo: str) -> None:
    """Files that were published one by one: Icechunk itself knows what they were."""
    paths = write_scenes(tmp_path / "a", 4, shape=(2, 48, 64))
    for path in paths:
        # Icechunk compares times of whole seconds.
        os.utime(path, (1_700_000_000, 1_700_000_000))
    publish([str(path) for path in paths], repo)
    report = verify(repo, sample=None, chunks=100)
    assert (faults(report), report.decoded, len(report.findings)) == ({}, 4 * 6, 4)
    paths[0].unlink()
    _replaced(paths[1])
    report = verify(repo)
    assert faults(report) == {paths[0].name: Status.MISSING, paths[1].name: Status.CHANGED}


def test_what_tells_a_change() -> None:
    time, other = datetime(2024, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)
    now = {"size": 10, "e_tag": '"a"', "last_modified": time}

    def differs(url: str, size: int, etag: str | None, modified: datetime | None) -> bool:
        source = Source(url=url, size=size, etag=etag, last_modified=modified)
        return source.difference(now) is not None

    for url in ("s3://bucket/a.tif", "https://example.org/a.tif", "file:///a.tif"):
        assert not differs(url, 10, '"a"', time)
        assert not differs(url, 10, "a", time)
        assert differs(url, 11, '"a"', time)
        assert differs(url, 10, '"b"', time)
        assert differs(url, 10, None, other)
        assert not differs(url, 10, None, None)
    # An object store changes the ETag with the content, and readers compare it alone; elsewhere
    # a copy with another time is another file for readers, whatever its ETag.
    assert not differs("s3://bucket/a.tif", 10, '"a"', other)
    assert differs("https://example.org/a.tif", 10, '"a"', other)
    assert differs("file:///a.tif", 10, '"a"', other)


def test_arguments(tmp_path: Path, repo: str) -> None:
    with pytest.raises(InvalidOptionError):
        verify(repo, sample=-1)
    with pytest.raises(RepositoryError) as caught:
        verify(repo)
    assert caught.value.kind == ErrorKind.REPOSITORY_NOT_FOUND
    open_repository(repo, create=True)
    with pytest.raises(RepositoryError) as nothing:
        verify(repo)
    assert nothing.value.kind == ErrorKind.NOT_FOUND
    shutil.rmtree(repo)


def test_a_sampled_file_is_of_one_version(tmp_path: Path, repo: str) -> None:
    """A file that is replaced while chunks of it are compared is no damage of the repository."""
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore

    from tests.helpers.stores import RecordingStore

    write_scenes(tmp_path / "a", 1, shape=(1, 1024, 1024), BLOCKXSIZE=256, BLOCKYSIZE=256)
    (path,) = (tmp_path / "a").iterdir()
    publish([path], repo)

    def replaced(number: int) -> None:
        # The check of the source, the first bytes of the sample, and then its pixels.
        if number == 2:
            write_scene(path, shape=(1, 1024, 1024), seed=5, BLOCKXSIZE=256, BLOCKYSIZE=256)

    store = RecordingStore(LocalStore(), replaced)
    report = verify(repo, sample=None, chunks=100, registry=ObjectStoreRegistry({"file://": store}))
    assert store.conditional[:2] == [False, False]
    assert all(store.conditional[2:])
    assert len(store.conditional) == len(store.requests) > 2
    assert set(faults(report).values()) == {Status.CHANGED}


@pytest.mark.parametrize("pattern", ["", "*.tif", "scene_202402*"])
def test_a_listing_finds_what_requests_find(pattern: str, tmp_path: Path, repo: str) -> None:
    folder = tmp_path / "a"
    paths = write_scenes(folder, 6)
    stack(scanned(folder), repo)
    listing = f"{folder}/{pattern}" if pattern else str(folder)
    report = verify(repo, listing=listing)
    assert report == verify(repo)
    assert report.exit_status == 0
    (folder / "new.tif").write_bytes(paths[0].read_bytes())
    paths[1].unlink()
    os.utime(paths[2], (1, 1))
    write_scene(paths[3], seed=99)
    paths[4].unlink()
    paths[4].mkdir()
    (paths[4] / "inside.tif").write_bytes(b"")
    report = verify(repo, listing=[listing, str(folder)])
    assert report == verify(repo)
    assert [finding.status for finding in report.findings] == [
        *("ok", "missing", "changed", "changed", "missing", "ok")
    ]


@pytest.mark.parametrize("listing", ["a/scene_20240130.tif", "b/", "https://example.org/*.tif"])
def test_listings_that_are_none(
    listing: str, tmp_path: Path, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "a", 1)
    (tmp_path / "b").mkdir()
    stack(scanned(tmp_path / "a"), repo)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidOptionError):
        verify(repo, listing=listing)
