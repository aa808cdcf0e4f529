"""Which requests readers of a cube make: what docs/how-to/time-series.md says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

from tests.helpers.archive import PATTERN, opened, read_paths, scanned, write_scenes
from tests.helpers.make import Pixels
from tests.helpers.range_server import RangeServer
from virtual_tiff.inventory.scan import scan
from virtual_tiff.operations.stack import stack
from virtual_tiff.publishing.repository import open_repository

DATES = 12
#: Within one tile of 16 × 32.
AREA = {"y": slice(2, 14), "x": slice(2, 30)}
#: Columns and rows of points in three of the six tiles of an image; two share a tile.
POINTS = {"x": [35, 40, 3, 63], "y": [1, 3, 20, 47]}


class Cube:
    """A cube whose files are behind a server that counts."""

    def __init__(self, repo: str, server: RangeServer, pixels: Pixels) -> None:
        self.repo, self.server, self.pixels = repo, server, pixels

    def open(self, chunks: Any, config: icechunk.RepositoryConfig | None = None) -> xr.DataArray:
        repository = open_repository(self.repo)
        if config is not None:
            repository = repository.reopen(config=config)
            found = repository.config
            assert found.max_concurrent_requests == config.max_concurrent_requests
            assert found.caching == config.caching
        array = opened(repository, chunks=chunks)["data"]
        self.server.reset()
        return array

    @property
    def requests(self) -> int:
        return len(self.server.requests)


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cube]:
    folder = tmp_path_factory.mktemp("reading")
    paths = write_scenes(folder / "tiffs", DATES)
    # Enough latency for all requests of a call to be waiting at once.
    with RangeServer(folder / "tiffs", latency=0.1) as server:
        urls = [f"{server.url}/{path.name}" for path in paths]
        stack(scan(urls, datetime_pattern=PATTERN), str(folder / "repository"))
        with zarr.config.set({"async.concurrency": 128}):
            yield Cube(str(folder / "repository"), server, read_paths(paths))


@pytest.mark.parametrize("chunks", [None, "auto", {}, {"time": -1}])
def test_an_area_is_a_request_for_each_tile_and_date(cube: Cube, chunks: Any) -> None:
    array = cube.open(chunks)
    values = array.isel(AREA).values
    assert np.array_equal(values, cube.pixels[:, AREA["y"], AREA["x"]])
    assert cube.requests == DATES


def test_how_many_are_under_way(cube: Cube) -> None:
    """All of them, unless Dask makes a task of each tile."""
    for chunks in (None, {"time": -1}):
        cube.open(chunks).isel(AREA).load()
        assert cube.server.statistics["peak_waiting"] == DATES
    import dask

    with dask.config.set(scheduler="threads", num_workers=2):
        cube.open({}).isel(AREA).load()
    assert cube.server.statistics["peak_waiting"] <= 2


def points() -> dict[str, xr.DataArray]:
    return {name: xr.DataArray(values, dims="point") for name, values in POINTS.items()}


@pytest.mark.parametrize(("chunks", "tiles"), [(None, 3), ({"time": -1}, 3), ("auto", 6)])
def test_points_share_the_requests_of_their_tile(cube: Cube, chunks: Any, tiles: int) -> None:
    array = cube.open(chunks)
    values = array.isel(points()).transpose("time", "point").values
    assert np.array_equal(values, cube.pixels[:, POINTS["y"], POINTS["x"]])
    assert cube.requests == tiles * DATES


def test_a_loop_over_points_shares_nothing(cube: Cube) -> None:
    array = cube.open(None)
    for x, y in zip(POINTS["x"], POINTS["y"], strict=True):
        array.isel(x=x, y=y).load()
    assert cube.requests == 4 * DATES


def test_chunks_of_tiffs_are_not_cached(cube: Cube) -> None:
    config = icechunk.RepositoryConfig.default()
    config.caching = icechunk.CachingConfig(num_bytes_chunks=100_000_000)
    array = cube.open(None, config)
    for _ in range(2):
        array.isel(AREA).values  # noqa: B018
    assert cube.requests == 2 * DATES


def test_the_limit_of_requests_is_not_for_chunks_of_tiffs(cube: Cube) -> None:
    config = icechunk.RepositoryConfig.default()
    config.max_concurrent_requests = 2
    cube.open(None, config).isel(AREA).load()
    assert cube.server.statistics["peak_waiting"] == DATES


def test_points_far_outside(tmp_path: Path) -> None:
    write_scenes(tmp_path / "tiffs", 1)
    repo = str(tmp_path / "repository")
    stack(scanned(tmp_path / "tiffs"), repo)
    array = opened(open_repository(repo))["data"]
    where = {"x": xr.DataArray([0.0], dims="p"), "y": xr.DataArray([0.0], dims="p")}
    assert array.sel(where, method="nearest").shape == (1, 1)
    with pytest.raises(KeyError):
        array.sel(where, method="nearest", tolerance=10)
