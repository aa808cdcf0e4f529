"""Serve a tile by the page for titiler-xarray: `python tests/recipes/serve.py FOLDER`.

`make test-recipes` runs it in an environment without this package, where `FOLDER` has the examples
and the cube. The tile is compared with rasterio's, pixel by pixel.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import morecantile
import numpy as np
import rasterio
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.helpers.fences import write_files  # noqa: E402

PAGE = ROOT / "docs" / "how-to" / "serve.md"
TIFF = "examples/reflectance_20240604_nir.tif"
SIZE = 256


def main(folder: Path) -> int:
    """Start the application of the page, and compare a tile."""
    assert find_spec("virtual_tiff") is None
    assert write_files(PAGE, folder) == ["tiles_app.py"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "tiles_app:app", "--port", str(port)]
    environment = os.environ | {"ICECHUNK_LOG": "error"}
    server = subprocess.Popen([*command, "--log-level", "error"], cwd=folder, env=environment)
    try:
        compare(folder, f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(30)
    print(f"{PAGE.name}: a tile is equal to rasterio's")
    return 0


def compare(folder: Path, server: str) -> None:
    """Read one tile from the server and from the TIFF."""
    grid = morecantile.tms.get("WebMercatorQuad")
    with rasterio.open(folder / TIFF) as file:
        west, south, east, north = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
        tile = grid.tile((west + east) / 2, (south + north) / 2, 13)
        place = from_bounds(*grid.xy_bounds(tile), SIZE, SIZE)
        with WarpedVRT(file, crs="EPSG:3857", transform=place, width=SIZE, height=SIZE) as warped:
            valid = warped.dataset_mask() > 0
            expected = warped.read(1) * file.scales[0] + file.offsets[0]
    query = "url=cube&variable=nir&sel=time=nearest::2024-06-04"
    url = f"{server}/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}"
    data, mask = np.load(io.BytesIO(fetched(f"{url}.npy?{query}")))
    assert valid.any()
    assert not valid.all()
    assert np.array_equal(mask > 0, valid)
    np.testing.assert_allclose(data[valid], expected[valid], rtol=1e-9)
    assert fetched(f"{url}.png?{query}&rescale=0,0.4")[1:4] == b"PNG"


def fetched(url: str) -> bytes:
    """Fetch an address, waiting for the server to start."""
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                data: bytes = response.read()
            return data
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError) or time.monotonic() > end:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
