"""`xarray.open_dataset(…, engine="virtual-tiff")`: the pixels of rasterio, lazily."""

from __future__ import annotations

import os
import pickle
import threading
import tomllib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore

from tests.helpers.archive import write_scene, write_scenes
from tests.helpers.range_server import RangeServer
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError
from virtual_tiff.xarray_engine import VirtualTIFFBackend as ENGINE

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def test_the_entry_point_has_this_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["xarray.backends"]
    assert points == {"virtual-tiff": f"{ENGINE.__module__}:{ENGINE.__name__}"}


def test_first_image_at_full_resolution() -> None:
    path = EXAMPLES / "aerial.tif"
    with xr.open_dataset(path, engine=ENGINE) as dataset, rasterio.open(path) as source:
        assert np.array_equal(dataset["image"].values, source.read())
        assert np.array_equal(dataset["mask"].values != 0, source.dataset_mask() != 0)
        assert dataset["x"].values[0] == source.xy(0, 0)[0]
    with xr.open_dataset(path, engine=ENGINE, group="1") as level:
        assert level["image"].shape == (3, 125, 150)


def test_values_are_decoded_as_xarray_is_told() -> None:
    path = EXAMPLES / "reflectance_20240412_red.tif"
    with rasterio.open(path) as source:
        raw = source.read(1)
    with xr.open_dataset(path, engine=ENGINE, mask_and_scale=False) as dataset:
        assert np.array_equal(dataset["image"].values, raw)
    with xr.open_dataset(path, engine=ENGINE) as dataset:
        expected = np.where(raw == 0, np.nan, raw * 1e-4)
        np.testing.assert_allclose(dataset["image"].values, expected)


def test_other_layouts_and_trees() -> None:
    path = EXAMPLES / "aerial.tif"
    options: dict[str, Any] = {"ifd_layout": "flat", "band_axis": "last", "coords": False}
    with xr.open_dataset(path, engine=ENGINE, **options) as flat:
        assert flat["0"].dims == ("y", "x", "band")
    with xr.open_datatree(path, engine=ENGINE) as tree:
        assert sorted(tree.children) == ["0", "1", "2"]
        assert tree["2/image"].shape == (3, 62, 75)
    groups = xr.open_groups(path, engine=ENGINE)
    assert set(groups) == {"/", "/0", "/1", "/2"}


def test_lazily_with_dask_and_pickle(tmp_path: Path) -> None:
    (path,) = write_scenes(tmp_path, 1)
    with rasterio.open(path) as source:
        expected = source.read(1)
    with RangeServer(tmp_path) as server:
        url = f"{server.url}/{path.name}"
        dataset = xr.open_dataset(url, engine=ENGINE, mask_and_scale=False)
        opened = len(server.requests)
        assert opened == 1
        again = pickle.loads(pickle.dumps(dataset))
        assert len(server.requests) == opened
        assert np.array_equal(again["image"].values, expected)
        chunked = xr.open_dataset(url, engine=ENGINE, chunks={}, mask_and_scale=False)
        copy = pickle.loads(pickle.dumps(chunked))
        assert np.array_equal(copy["image"].compute(scheduler="threads").values, expected)


def test_a_registry_and_a_query(tmp_path: Path) -> None:
    (path,) = write_scenes(tmp_path, 1)
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    with xr.open_dataset(path, engine=ENGINE, registry=registry) as local:
        values = local["image"].values
    with RangeServer(tmp_path) as server:
        url = f"{server.url}/{path.name}?sig=secret&n=1"
        with xr.open_dataset(url, engine=ENGINE) as dataset:
            assert np.array_equal(dataset["image"].values, values, equal_nan=True)


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError):
        xr.open_dataset(EXAMPLES / "aerial.tif", engine=ENGINE, ifd_layouts="flat")
    with pytest.raises(InvalidOptionError), (EXAMPLES / "aerial.tif").open("rb") as file:
        xr.open_dataset(file, engine=ENGINE)


@pytest.mark.parametrize("group", ["9", "nope", "0/image", "0/../1", 1])
def test_a_group_that_does_not_exist(group: Any) -> None:
    path = EXAMPLES / "elevation.tif"
    for opening in (xr.open_dataset, xr.open_datatree, xr.open_groups):
        with pytest.raises(InvalidOptionError) as caught:
            opening(path, engine=ENGINE, group=group)
        assert caught.value.remedy


def test_a_group_with_slashes_around_it() -> None:
    for group in ("1", "/1", "1/"):
        with xr.open_dataset(EXAMPLES / "aerial.tif", engine=ENGINE, group=group) as level:
            assert level["image"].shape == (3, 125, 150)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("gone", ErrorKind.NOT_FOUND),
        ("replaced", ErrorKind.SOURCE_CHANGED),
        ("truncated", ErrorKind.SOURCE_CHANGED),
    ],
)
@pytest.mark.parametrize("web", [False, True])
def test_a_file_that_is_no_longer_there(
    fault: str, kind: ErrorKind, web: bool, tmp_path: Path
) -> None:
    """A lazy read never returns the pixels of another file, in this process or another."""
    (path,) = write_scenes(tmp_path, 1, COMPRESS="NONE")
    with RangeServer(tmp_path) as server:
        url = f"{server.url}/{path.name}" if web else str(path)
        dataset = xr.open_dataset(url, engine=ENGINE, mask_and_scale=False)
        chunked = xr.open_dataset(url, engine=ENGINE, chunks={}, mask_and_scale=False)
        again = pickle.loads(pickle.dumps(chunked))
        if fault == "gone":
            path.unlink()
        elif fault == "truncated":
            path.write_bytes(path.read_bytes()[:-1])
        else:
            write_scene(path, seed=9, COMPRESS="NONE")
            os.utime(path, (0, 1_000_000))
        readings: list[Callable[[], object]] = [
            lambda: dataset["image"].values,
            lambda: again["image"].compute(scheduler="threads"),
            lambda: again["image"].compute(scheduler="synchronous"),
        ]
        for reading in readings:
            with pytest.raises(SourceError) as caught:
                reading()
            assert caught.value.kind == kind
            assert caught.value.url
            assert caught.value.url.endswith(path.name)
            assert caught.value.remedy
            assert pickle.loads(pickle.dumps(caught.value)).kind == kind


def test_access_that_is_refused_later(tmp_path: Path) -> None:
    (path,) = write_scenes(tmp_path, 1)
    data, refused = path.read_bytes(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            body = b"" if refused.is_set() else data[int(first) : int(last) + 1]
            self.send_response(206 if body else 403)
            self.send_header("Content-Length", str(len(body)))
            end = int(first) + len(body) - 1
            self.send_header("Content-Range", f"bytes {first}-{end}/{len(data)}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/a.tif?sig=secret"
        dataset = xr.open_dataset(url, engine=ENGINE)
        refused.set()
        with pytest.raises(SourceError) as caught:
            dataset["image"].load()
    finally:
        server.shutdown()
        server.server_close()
    assert caught.value.kind == ErrorKind.NOT_AUTHORIZED
    assert caught.value.remedy
    assert "secret" not in str(caught.value)
