"""Work that is done again every night: what is known is not read, what has changed is renewed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pyarrow as pa
import pytest
import rasterio
from rasterio.transform import Affine

from tests.cubes.test_stitch import EVEN, SHAPES, flat, mosaic, write_tile, write_tiles
from tests.helpers.archive import (
    PATTERN,
    opened,
    read_paths,
    scanned,
    write_scene,
    write_scenes,
)
from tests.helpers.make import Pixels
from virtual_tiff.audit.history import log
from virtual_tiff.audit.verify import verify
from virtual_tiff.choices import OnPresent
from virtual_tiff.errors import ErrorKind, MismatchError, VirtualTIFFError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.publish import publish
from virtual_tiff.operations.renew import renew
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.publishing.repository import open_repository
from virtual_tiff.publishing.results import PublishResult
from virtual_tiff.publishing.sources_table import Sources, change_sources, read_sources_table


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the files whose headers are read meanwhile."""
    found: list[str] = []
    original = VirtualTIFF.read_async

    async def read(self: VirtualTIFF, url: str, registry: Any) -> Any:
        found.append(url.rsplit("/", 1)[-1])
        return await original(self, url, registry)

    with monkeypatch.context() as patch:
        patch.setattr(VirtualTIFF, "read_async", read)
        yield found


def later(path: Path, *, seed: int, **options: Any) -> None:
    """Write a scene anew, five seconds after it was."""
    before = path.stat().st_mtime_ns
    write_scene(path, seed=seed, **options)
    os.utime(path, ns=(before + 5 * 10**9,) * 2)


def night(folder: Path, repo: str, on_present: OnPresent = "skip", **options: Any) -> PublishResult:
    options = {"datetime_pattern": PATTERN, **options}
    return append(f"{folder}/", repo, on_present=on_present, **options)


def data(repo: str, group: str = "") -> Pixels:
    values: Pixels = opened(open_repository(repo), group)["data"].values
    return values


def test_a_night_reads_what_is_new(
    folder: Path, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(folder, 4)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    with reads(monkeypatch) as read:
        nothing = night(folder, repo)
    assert (nothing.snapshot_id, nothing.known, read) == (None, 4, [])
    paths += write_scenes(folder, 2, first=4)
    with reads(monkeypatch) as read:
        result = night(folder, repo)
    assert sorted(read) == [path.name for path in paths[4:]]
    assert (result.images, result.known) == (2, 4)
    assert np.array_equal(data(repo), read_paths(paths))


def test_a_changed_image_is_renewed_in_the_same_commit(
    folder: Path, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(folder, 4)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    later(paths[1], seed=77)
    paths += write_scenes(folder, 1, first=4)
    skipped = night(folder, repo)
    assert (skipped.images, skipped.replaced, skipped.known) == (1, 0, 3)
    assert verify(repo).exit_status == 1
    with reads(monkeypatch) as read:
        result = night(folder, repo, "replace")
    assert read == [paths[1].name]
    assert (result.images, result.replaced, result.known) == (1, 1, 4)
    assert np.array_equal(data(repo), read_paths(paths))
    report = verify(repo, sample=None)
    assert (report.exit_status, len(report.findings)) == (0, 5)
    with reads(monkeypatch) as read:
        assert night(folder, repo, "replace").snapshot_id is None
    assert read == []


def test_chunks_that_a_renewed_image_lacks_are_gone(folder: Path, repo: str) -> None:
    """A sparse tile of the new file must not show the tile of the old one."""
    paths = write_scenes(folder, 2)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    before = paths[0].stat().st_mtime_ns
    with rasterio.open(paths[0]) as file:
        profile = file.profile
    paths[0].unlink()
    with rasterio.open(paths[0], "w", **profile, sparse_ok=True) as file:
        file.write(np.full((16, 32), 3, "uint16"), 1, window=((0, 16), (0, 32)))
    os.utime(paths[0], ns=(before + 10**9,) * 2)
    assert night(folder, repo, "replace").replaced == 1
    assert np.array_equal(data(repo), read_paths(paths))
    assert verify(repo, sample=None, chunks=9).exit_status == 0


def test_pyramids_and_templates(folder: Path, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_scenes(folder, 3, shape=(64, 128))
    for path in paths:
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
    stack(f"{folder}/", repo, group="{stem}", overviews=True, datetime_pattern=PATTERN)
    options: dict[str, Any] = {"group": "{stem}", "overviews": True}
    with reads(monkeypatch) as read:
        assert night(folder, repo, **options).known == 3
        later(paths[2], seed=50, shape=(64, 128))
        with rasterio.open(paths[2], "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
        result = night(folder, repo, "replace", **options)
    assert read == [paths[2].name]
    assert (result.images, result.replaced, result.known) == (1, 1, 2)
    assert np.array_equal(data(repo, f"{paths[2].stem}/0"), read_paths(paths[2:]))
    assert verify(repo, sample=None).exit_status == 0


def test_images_for_another_array_are_not_known(folder: Path, repo: str) -> None:
    """The same files, but another variable, image, group or band: nothing is left out."""
    paths = write_scenes(folder, 2)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    again = night(folder, repo, name="other")
    assert (again.images, again.known) == (2, 0)
    stack(scanned(folder), repo, group="b")
    assert night(folder, repo, group="b").known == 2
    assert night(folder, repo, group="b", name="third").known == 0
    by_name = night(folder, repo, variable_pattern="(scene)")
    assert (by_name.images, by_name.known) == (2, 0)
    assert night(folder, repo, variable_pattern="(scene)").known == 2
    assert np.array_equal(opened(open_repository(repo))["scene"].values, read_paths(paths))


def test_a_new_file_for_a_place_that_is_taken(folder: Path, repo: str) -> None:
    """Decided as if both were new, whichever night they came in."""
    paths = write_scenes(folder, 2)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    better = folder / f"better_{paths[1].stem[-8:]}.tif"
    write_scene(better, seed=60)
    both: tuple[OnPresent, ...] = ("skip", "replace")
    for on_present in both:
        with pytest.raises(VirtualTIFFError) as caught:
            night(folder, repo, on_present)
        assert caught.value.kind == ErrorKind.DUPLICATE
    # In the order of the listing.
    assert night(folder, repo, "replace", on_duplicate="last").snapshot_id is None
    first = night(folder, repo, "replace", on_duplicate="first")
    assert (first.replaced, first.images) == (1, 1)
    assert np.array_equal(data(repo), read_paths([paths[0], better]))
    report = verify(repo, sample=None)
    assert (report.exit_status, len(report.findings)) == (0, 2)
    # And so every night.
    assert night(folder, repo, "replace", on_duplicate="first").snapshot_id is None
    assert np.array_equal(data(repo), read_paths([paths[0], better]))


def test_a_replaced_image_has_to_fit(folder: Path, repo: str) -> None:
    paths = write_scenes(folder, 2)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    before = data(repo)
    later(paths[1], seed=5, transform=Affine(10, 0, 500_010, 0, -10, 5_400_000))
    with pytest.raises(VirtualTIFFError) as caught:
        night(folder, repo, "replace")
    assert caught.value.kind == ErrorKind.MISMATCH
    later(paths[1], seed=1)
    night(folder, repo, "replace")
    assert np.array_equal(data(repo), before)


def test_a_broken_file_does_not_hide_the_known_ones(folder: Path, repo: str) -> None:
    paths = write_scenes(folder, 2)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    broken = folder / "broken_20250101.tif"
    broken.write_bytes(b"II*\0 nothing")
    with pytest.raises(VirtualTIFFError):
        night(folder, repo)
    write_scenes(folder, 1, first=2)
    result = night(folder, repo, on_failed="skip")
    assert (result.images, result.known, list(result.failed)) == (1, 2, [broken.as_uri()])
    assert len(paths) == 2


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_night_in_which_all_new_files_are_broken(dry_run: bool, folder: Path, repo: str) -> None:
    write_scenes(folder, 2)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    bad = folder / "bad_20240601.tif"
    bad.write_bytes(b"II*\0 nothing")
    options: dict[str, Any] = {"datetime_pattern": PATTERN, "on_failed": "skip"}
    result = append(f"{folder}/", repo, on_present="skip", dry_run=dry_run, **options)
    assert (result.snapshot_id, result.images) == (None, 0)
    assert list(result.failed) == [bad.as_uri()]
    assert result.known == 2


def test_trees_are_brought_up_to_date(
    folder: Path, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(folder, 3)
    publish(f"{folder}/", repo, group="g")
    other = folder / "sub" / paths[0].name
    other.parent.mkdir()
    write_scene(other, seed=8)
    later(paths[1], seed=9)
    with reads(monkeypatch) as read:
        skipped = publish(f"{folder}/", repo, group="g", on_present="skip")
    # The file that was first keeps its name, although another one is called the same.
    assert read == [other.name]
    assert list(skipped.added) == [f"g/sub/{other.stem}"]
    assert skipped.known == 3
    with reads(monkeypatch) as read:
        result = publish(f"{folder}/", repo, group="g", on_present="replace")
    assert read == [paths[1].name]
    assert (list(result.added), result.replaced, result.known) == ([f"g/{paths[1].stem}"], 1, 3)
    report = verify(repo, sample=None, chunks=9)
    assert (report.exit_status, len(report.findings)) == (0, 4)
    for path in (*paths, other):
        name = "g/sub/" if path == other else "g/"
        values = opened(open_repository(repo), f"{name}{path.stem}/0")["image"].values
        assert np.array_equal(values, read_paths([path])[0])
    # From rows too, which are compared with what was published.
    from_rows = publish(scan(f"{folder}/"), repo, group="g", on_present="replace")
    assert (from_rows.snapshot_id, from_rows.known) == (None, 4)


def test_a_sidecar_that_has_changed_is_read_again(folder: Path, repo: str) -> None:
    (path,) = write_scenes(folder, 1)
    sidecar = folder / f"{path.name}.aux.xml"
    text = "<PAMDataset><PAMRasterBand band='1'><Scale>{}</Scale></PAMRasterBand></PAMDataset>"
    sidecar.write_text(text.format(0.1))
    options: dict[str, Any] = {"parser": VirtualTIFF(ifd_layout="multiscale", sidecars=True)}
    publish([path], repo, **options)
    sidecar.write_text(text.format(0.2))
    assert publish([path], repo, on_present="replace", **options).replaced == 1
    attributes = opened(open_repository(repo), f"{path.stem}/0")["image"].attrs
    assert attributes["scale_factor"] == 0.2


def test_another_kind_of_coordinate_is_refused(folder: Path, repo: str) -> None:
    write_scenes(folder, 2)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)
    with pytest.raises(VirtualTIFFError) as caught:
        append(
            f"{folder}/",
            repo,
            along="time",
            columns={"time": r"_(\d{8})"},
            on_present="skip",
            name="other",
        )
    assert caught.value.kind == ErrorKind.MISMATCH


def test_a_group_of_something_else_is_refused(folder: Path, repo: str) -> None:
    paths = write_scenes(folder, 2)
    publish([paths[0]], repo, names=["a"])
    with pytest.raises(VirtualTIFFError) as caught:
        publish([paths[1]], repo, names=["a"], on_present="replace")
    assert caught.value.kind == ErrorKind.CONFLICT


def test_a_scan_uses_the_rows_of_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(folder, 4)
    broken = folder / "broken_20250101.tif"
    broken.write_bytes(b"II*\0 nothing")
    first = scan(f"{folder}/", datetime_pattern=PATTERN)
    first.write(tmp_path / "first.parquet")
    later(paths[1], seed=9)
    paths[2].unlink()
    paths += write_scenes(folder, 1, first=4)
    for known in (first, Inventory.read(tmp_path / "first.parquet")):
        with reads(monkeypatch) as read:
            second = scan(f"{folder}/", datetime_pattern=PATTERN, known=known)
        assert sorted(read) == sorted([broken.name, paths[1].name, paths[4].name])
        plain = scan(f"{folder}/", datetime_pattern=PATTERN)
        same = [table.table.drop_columns(["read_at"]) for table in (second, plain)]
        assert same[0].equals(same[1])
    # Other options may give other rows: nothing is used again.
    with reads(monkeypatch) as read:
        other = scan(f"{folder}/", known=first)
    assert len(read) == 5
    assert other.images.table["datetime"].null_count == 4


def test_times_of_a_table_are_not_used_again(folder: Path) -> None:
    paths = write_scenes(folder, 1)
    table = pa.table({"url": [paths[0].as_uri()], "datetime": ["2001-01-01T00:00:00Z"]})
    first = scan(table)
    assert first.table["datetime"].null_count == 0
    assert scan(f"{folder}/", known=first).table["datetime"].null_count == 1


def test_changed_files_are_renewed_without_a_word_on_options(folder: Path, repo: str) -> None:
    paths = write_scenes(folder, 4)
    stack(f"{folder}/", repo, group="a", name="red", datetime_pattern=PATTERN)
    stack(f"{folder}/", repo, group="{stem}", variable_pattern="(scene)", datetime_pattern=PATTERN)
    assert renew(repo).snapshot_id is None
    later(paths[1], seed=31)
    later(paths[3], seed=32)
    paths[0].unlink()
    result = renew(repo)
    # In a cube each; one file is unchanged, and one is gone.
    assert (result.images, result.replaced, result.known) == (4, 4, 1)
    assert list(result.failed) == [paths[0].as_uri()]
    found = opened(open_repository(repo), "a")["red"]
    for number in (1, 2, 3):
        assert np.array_equal(found[number].values, read_paths([paths[number]])[0])
    one = opened(open_repository(repo), paths[3].stem)["scene"]
    assert np.array_equal(one.values, read_paths(paths[3:]))
    report = verify(repo, sample=None)
    assert [finding.url for finding in report.faults] == [paths[0].as_uri()]
    later(paths[1], seed=5, transform=Affine(10, 0, 500_010, 0, -10, 5_400_000))
    with pytest.raises(VirtualTIFFError) as caught:
        renew(repo)
    assert caught.value.kind == ErrorKind.MISMATCH
    later(paths[3], seed=34)
    skipped = renew(repo, on_mismatch="skip")
    assert (skipped.replaced, list(skipped.mismatched)) == (2, [paths[1].as_uri()])
    found = opened(open_repository(repo), "a")["red"]
    assert np.array_equal(found[3].values, read_paths([paths[3]])[0])
    again = renew(repo, on_mismatch="skip")
    assert (again.snapshot_id, list(again.mismatched)) == (None, [paths[1].as_uri()])
    paths[1].write_bytes(b"II*\0 nothing")
    with pytest.raises(VirtualTIFFError):
        renew(repo, group="a")
    later(paths[2], seed=6)
    skipped = renew(repo, group="a", on_failed="skip")
    assert skipped.replaced == 1
    assert list(skipped.failed) == [paths[0].as_uri(), paths[1].as_uri()]


@pytest.mark.parametrize("shape", ["tiles", "dangling tiles"])
def test_a_tile_that_moved_does_not_take_the_place_of_another(
    shape: str, folder: Path, repo: str
) -> None:
    (paths,) = write_tiles(folder, *EVEN, without=((0, 1, 1),), **SHAPES[shape])
    stack(f"{folder}/", repo, stitch=True)
    before = log(repo)
    write_tile(paths[2], EVEN[0][0], EVEN[1][0], seed=99, **SHAPES[shape])
    with pytest.raises(MismatchError) as caught:
        renew(repo)
    assert (caught.value.kind, caught.value.url) == (ErrorKind.MISMATCH, paths[2].as_uri())
    assert len(log(repo)) == len(before)


def test_a_store_that_does_not_answer_is_no_unchanged_file(
    folder: Path, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_scenes(folder, 2)
    stack(f"{folder}/", repo, datetime_pattern=PATTERN)

    async def silent(url: str, *_: object) -> None:
        raise VirtualTIFFError("no answer.", kind=ErrorKind.STORAGE, url=url)

    monkeypatch.setattr("virtual_tiff.audit.states._fault", silent)
    with pytest.raises(VirtualTIFFError) as caught:
        renew(repo)
    assert caught.value.kind == ErrorKind.STORAGE
    result = renew(repo, on_failed="skip")
    assert (result.known, list(result.failed)) == (0, [path.as_uri() for path in paths])


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("pyramid", [False, True])
def test_bands_and_levels_are_renewed(split: bool, pyramid: bool, folder: Path, repo: str) -> None:
    shape: dict[str, Any] = {"shape": (2, 64, 128), "INTERLEAVE": "BAND"}
    paths = write_scenes(folder, 3, **shape)

    def levels(path: Path) -> None:
        if pyramid:
            with rasterio.open(path, "r+") as file:
                file.build_overviews([2], rasterio.enums.Resampling.nearest)

    for path in paths:
        levels(path)
    options: dict[str, Any] = {"split_bands": split, "overviews": pyramid, "group": "g"}
    stack(f"{folder}/", repo, datetime_pattern=PATTERN, **options)
    later(paths[1], seed=77, **shape)
    levels(paths[1])
    assert renew(repo).replaced == 1
    dataset = opened(open_repository(repo), "g/0" if pyramid else "g")
    wanted = read_paths(paths)
    if split:
        assert np.array_equal(dataset["data_1"].values, wanted[:, 0])
        assert np.array_equal(dataset["data_2"].values, wanted[:, 1])
    else:
        assert np.array_equal(dataset["data"].values, wanted)
    report = verify(repo, sample=None, chunks=99)
    assert (report.exit_status, len(report.findings)) == (0, 3)
    assert renew(repo).snapshot_id is None


@pytest.mark.parametrize("shape", ["tiles", "dangling tiles"])
def test_tiles_are_renewed(shape: str, folder: Path, repo: str) -> None:
    (paths,) = write_tiles(folder, *EVEN, without=((0, 1, 1),), **SHAPES[shape])
    stack(f"{folder}/", repo, stitch=True)
    time = paths[2].stat().st_mtime_ns
    write_tile(paths[2], EVEN[0][0], EVEN[1][2], seed=99, **SHAPES[shape])
    os.utime(paths[2], ns=(time + 10**9,) * 2)
    assert renew(repo).replaced == 1
    with rasterio.open(paths[0]) as one, rasterio.open(paths[-1]) as other:
        bounds = (one.bounds.left, other.bounds.bottom, other.bounds.right, one.bounds.top)
    dataset = opened(open_repository(repo))
    assert np.array_equal(flat(dataset).values, mosaic(paths, bounds, nodata=7))
    assert dataset["data_present"].values.sum() == 5
    report = verify(repo, sample=None, chunks=99)
    assert (report.exit_status, len(report.findings)) == (0, 5)


@pytest.mark.parametrize(
    ("rows", "dropped", "added"),
    [
        (12, [1, 5, 11], 5),
        (12, [11, 1, 5], 3),
        (12, [1, 5, 11], 1),
        (12, [1, 5, 11], 0),
        (3, [0, 1, 2], 0),
        (3, [2], 0),
        (0, [], 2),
        (20_000, [*range(44), 19_999], 0),
    ],
)
def test_rows_of_the_table_of_sources(rows: int, dropped: list[int], added: int) -> None:
    """Rows are dropped and added, whatever is at the end; all columns stay together."""
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    store = repository.writable_session("main").store
    change_sources(store, _rows(range(rows)))
    change_sources(store, _rows(range(100_000, 100_000 + added)), dropped)
    found = read_sources_table(store)
    urls = sorted(found["url"].tolist())
    left = [row for row in range(rows) if row not in dropped] if rows < 100 else None
    if left is None:
        left = [*range(44, 19_999)]
    assert urls == sorted(f"file:///{i}" for i in (*left, *range(100_000, 100_000 + added)))
    for url, size, band in zip(found["url"], found["size"], found["band"], strict=True):
        assert url == f"file:///{size}"
        assert band == size


def _rows(numbers: range) -> Sources:
    texts = [str(number) for number in numbers]
    return Sources.of(
        array=["data"] * len(numbers),
        position=texts,
        url=[f"file:///{text}" for text in texts],
        ifd=["0"] * len(numbers),
        band=list(numbers),
        size=list(numbers),
        etag=[None] * len(numbers),
        last_modified=list(numbers),
        header=texts,
    )
