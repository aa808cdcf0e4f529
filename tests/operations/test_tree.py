"""Unlike images as groups: made from rows as they are made from files, and named by a template."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import zarr

from tests.helpers.archive import PATTERN, opened, read_paths, scanned, write_scene, write_scenes
from tests.helpers.make import covering, write
from tests.helpers.read import local_registry, numcodecs_names
from tests.helpers.slides import SLIDE_FORMATS
from tests.helpers.special import names, write_special
from virtual_tiff.audit.verify import verify
from virtual_tiff.choices import IFDLayout
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.inventory.pages import NO_MASK
from virtual_tiff.inventory.scan import scan
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.publish import publish, publish_async
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.operations.tree import plan_files
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.arrangement import PlanOptions
from virtual_tiff.planning.metadata import array_document, group_document
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.publishing.repository import open_repository

LAYOUTS: tuple[IFDLayout, ...] = ("flat", "nested", "multiscale")


def rounded(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of a grid mapping as exact as the WKT of a CRS, which rows have, can be."""
    return {
        key: float(f"{value:.12g}") if isinstance(value, float) else value
        for key, value in attributes.items()
    }


def written(plan: GroupPlan) -> dict[str, Any]:
    """All that would be written of a plan, by path."""
    found: dict[str, Any] = {}
    for path, group in plan.walk():
        found[path] = group_document(group)
        for name, array in group.arrays.items():
            document: dict[str, Any] = dict(array_document(array))
            if name.startswith("spatial_ref"):
                document["attributes"] = rounded(array.attributes)
            if NO_MASK in str(document["attributes"].get("notes", "")):
                # Scans of one image say that its mask is left out.
                del document["attributes"]["notes"]
            found[f"{path}/{name}"] = (
                document,
                array.source,
                array.offsets.tolist(),
                array.lengths.tolist(),
                dict(array.inline),
            )
    return found


def check(path: Path, layout: Any, **options: Any) -> None:
    """Rows of all images of a file become what the parser makes of the file."""
    url = path.as_uri()
    registry = local_registry()
    inventory = scan(str(path), registry=registry, parser=VirtualTIFF(**options))
    try:
        expected = VirtualTIFF(ifd_layout=layout, **options).plan(url, registry)
    except InvalidOptionError:
        with pytest.raises(InvalidOptionError):
            plan_files(inventory, PlanOptions(layout))
        return
    found = plan_files(inventory, PlanOptions(layout))
    assert list(found) == [url]
    assert written(found[url]) == written(expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_make_the_groups_that_files_make(layout: Any, tmp_path: Path) -> None:
    for encoding in covering():
        path = tmp_path / f"{encoding.name}.tif"
        write(encoding, path)
        check(path, layout)
    for name in names():
        path = tmp_path / f"{name.replace(':', '_')}.tif"
        write_special(name, path)
        check(path, layout)


def write_pyramid(path: Path, **options: Any) -> None:
    """Bands with names, overviews, and masks of all levels."""
    write_scene(path, shape=(2, 120, 140), nodata=None, **options)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.descriptions = ("red", "nir")
        file.scales = (0.1, 0.2)
        file.write_mask(np.eye(120, 140, dtype=bool))
        file.build_overviews([2, 4])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"band_axis": "last"}, {"bands": (2, 1)}])
def test_pyramids_with_masks(layout: Any, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    interleave = "BAND" if "bands" in options else "PIXEL"
    write_pyramid(path, INTERLEAVE=interleave)
    if "bands" in options:
        # Masks have one band, so that of all images those of two are chosen one by one.
        options = {**options, "ifd": 0}
    check(path, "flat" if "ifd" in options else layout, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", SLIDE_FORMATS)
def test_slides(name: str, layout: Any, tmp_path: Path) -> None:
    """Their levels are not marked, and their labels are."""
    path = tmp_path / "slide.tif"
    SLIDE_FORMATS[name](path)
    check(path, layout)


@pytest.mark.corpus
def test_the_corpus(corpus_file: Path) -> None:
    for layout in LAYOUTS:
        registry = local_registry()
        try:
            VirtualTIFF(ifd_layout=layout).plan(corpus_file.as_uri(), registry)
        except VirtualTIFFError:
            continue
        check(corpus_file, layout)


# --- the door --------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path) -> str:
    return str(tmp_path / "repository")


def repository_content(repo: str) -> dict[str, Any]:
    """Documents and references of everything in a repository, by path."""
    session = open_repository(repo).readonly_session("main")
    found: dict[str, Any] = {}
    with numcodecs_names():
        root = zarr.open_group(session.store, mode="r", zarr_format=3)
        for path, node in [("", root), *root.members(max_depth=None)]:
            found[path] = node.metadata.to_dict()
            if isinstance(node, zarr.Array):
                values = np.asarray(node[...])
                text = values.dtype.kind == "T"
                found[path] = (found[path], values.tolist() if text else values.tobytes())
    chunks = sorted(session.all_virtual_chunk_locations())
    return {"chunks": chunks, **found}


def commits(repo: str) -> int:
    return sum(s.parent_id is not None for s in open_repository(repo).ancestry(branch="main"))


@pytest.fixture
def archive(tmp_path: Path) -> list[Path]:
    """Images of two tiles that have nothing in common, one with overviews and masks."""
    paths = [tmp_path / tile / name for tile in ("T32", "T33") for name in ("a.tif", "b.tif")]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        if number:
            write_scene(path, seed=number, shape=(number, 40, 50 + number), nodata=None)
        else:
            write_pyramid(path)
    return paths


def tiles(paths: list[Path]) -> Any:
    return pa.table({"url": [str(p) for p in paths], "tile": [p.parent.name for p in paths]})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_inventory_is_published_without_its_files(
    layout: Any, archive: list[Path], repo: str, tmp_path: Path
) -> None:
    parser = VirtualTIFF(ifd_layout=layout)
    expected = publish(archive, str(tmp_path / "expected"), parser=parser)
    inventory = scanned(*map(str, archive), parser=VirtualTIFF())
    file = tmp_path / "inventory.parquet"
    inventory.write(file)
    with hidden(archive):
        result = publish(file, repo, parser=parser)
        assert commits(repo) == 1
    assert (result.groups, result.arrays, result.references, result.stored) == (
        expected.groups,
        expected.arrays,
        expected.references,
        expected.stored,
    )
    assert repository_content(repo) == repository_content(str(tmp_path / "expected"))
    assert verify(repo, sample=None).exit_status == 0


@contextmanager
def hidden(paths: list[Path]) -> Iterator[None]:
    """Nobody can read the files meanwhile."""
    for path in paths:
        path.rename(path.with_suffix(".hidden"))
    yield
    for path in paths:
        path.with_suffix(".hidden").rename(path)


def test_groups_named_by_a_template(archive: list[Path], tmp_path: Path) -> None:
    expected = ["tiles/T32/a", "tiles/T32/b", "tiles/T33/a", "tiles/T33/b"]
    template = "tiles/{tile}/{stem}"
    table = tiles(archive)
    inventory = scanned(table, parser=VirtualTIFF())
    from_rows, from_files = str(tmp_path / "rows"), str(tmp_path / "files")
    assert list(publish(inventory, from_rows, group=template).groups.values()) == expected
    assert list(publish(table, from_files, group=template).groups.values()) == expected
    assert repository_content(from_rows) == repository_content(from_files)

    stems = publish([archive[0], archive[3]], str(tmp_path / "stems"), group="x/{stem}")
    assert list(stems.groups.values()) == ["x/a", "x/b"]
    below = publish(archive, str(tmp_path / "below"), group="/all/")
    assert list(below.groups.values()) == ["all/T32/a", "all/T32/b", "all/T33/a", "all/T33/b"]
    folder = publish(archive[0].parent, str(tmp_path / "folder"), group="one")
    assert list(folder.groups.values()) == ["one/a", "one/b"]
    dated = scanned(archive[0], datetime_tag=True)
    times = pa.array([datetime(2024, 5, 17, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    index = dated.table.schema.get_field_index("datetime")
    dated = Inventory(dated.table.set_column(index, "datetime", times))
    year = publish(dated, str(tmp_path / "year"), group="{datetime:%Y/%m}/{stem}")
    assert list(year.groups.values()) == ["2024/05/a"]


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("{orbit}", "no column 'orbit'"),
        ("{tile}", "would have the same group, 'T32'"),
        ("{tile", "is no template"),
        ("{tile.x}", "no column 'tile.x'"),
        ("{}", "is no name of a column"),
        ("{tile:%d}", "cannot be filled in"),
        ("{cloud}/{stem}", "1 of 4 images have no cloud"),
    ],
)
def test_bad_templates(group: str, message: str, archive: list[Path], repo: str) -> None:
    table = tiles(archive).append_column("cloud", pa.array([1, 2, None, 4]))
    for sources in (table, scanned(table)):
        with pytest.raises(InvalidOptionError, match=message):
            publish(sources, repo, group=group)
    assert not Path(repo).exists()


def test_what_the_door_refuses(archive: list[Path], repo: str) -> None:
    inventory = scanned(tiles(archive))
    for wrong, door, option in (
        ({"layout": "stack"}, publish, "stack()"),
        ({"along": "n"}, publish, "stack() and append()"),
        ({"names": ["a"]}, stack, "publish()"),
        ({"alogn": "n"}, stack, "'along'"),
        ({"into_existing": True}, append, "publish() and stack()"),
        ({"on_present": "ignore"}, append, "'skip'"),
        ({"out_of_order": "sort"}, append, "'insert'"),
        ({"on_failed": "ignore"}, stack, "'skip'"),
        ({"on_failed": "ignore"}, publish, "'skip'"),
        ({"on_duplicate": "best"}, stack, "'newest'"),
        ({"along": "n", "options": CubeOptions()}, stack, "options"),
    ):
        with pytest.raises(InvalidOptionError) as refused:
            door(archive, repo, **wrong)
        assert option in str(refused.value), refused.value
    with pytest.raises(InvalidOptionError, match="not by both"):
        publish(inventory, repo, group="{tile}", names=["a"])
    with pytest.raises(InvalidOptionError, match="was told to take"):
        publish(inventory, repo, parser=VirtualTIFF(ifd=0))
    twice = Inventory(pa.concat_tables([inventory.table, inventory.table]))
    with pytest.raises(InvalidOptionError) as caught:
        publish(twice, repo)
    assert caught.value.kind == ErrorKind.DUPLICATE
    one = pa.table({"url": [str(archive[0])] * 2, "tile": ["a", "b"]})
    with pytest.raises(InvalidOptionError) as named:
        publish([archive[0]] * 2, repo, names=["a", "b"])
    with pytest.raises(InvalidOptionError) as listed:
        publish(one, repo, group="{tile}")
    assert named.value.kind == listed.value.kind == ErrorKind.DUPLICATE
    with pytest.raises(InvalidOptionError) as empty:
        publish([], repo)
    assert empty.value.kind == ErrorKind.NO_SOURCES
    assert not Path(repo).exists()


def test_rows_with_errors(archive: list[Path], repo: str) -> None:
    archive[1].write_bytes(b"no TIFF at all")
    inventory = scanned(tiles(archive))
    with pytest.raises(VirtualTIFFError, match="1 of 4 images could not be read"):
        publish(inventory, repo)
    assert not Path(repo).exists()
    result = publish(inventory, repo, on_failed="skip", group="{tile}/{stem}")
    assert list(result.groups.values()) == ["T32/a", "T33/a", "T33/b"]


def test_stacks_come_through_the_same_door(tmp_path: Path, repo: str) -> None:
    paths = write_scenes(tmp_path / "a", 2)
    result = stack(tmp_path / "a", repo, datetime_pattern=PATTERN)
    assert result.images == 2
    assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))
    other = str(tmp_path / "other")
    fields = stack(tmp_path / "a", other, datetime_pattern=PATTERN, name="data", along="datetime")
    assert fields.images == 2
    assert repository_content(other) == repository_content(repo)
    # A tree goes beside the cube.
    tree = asyncio.run(publish_async(paths, repo, group="images"))
    assert tree.groups[paths[0].as_uri()] == f"images/{paths[0].stem}"
