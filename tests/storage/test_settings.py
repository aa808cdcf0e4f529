"""Settings from the environment: each does what its row in the reference says."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import virtual_tiff
from tests.helpers.archive import write_scenes
from tests.helpers.range_server import RangeServer
from virtual_tiff import VirtualTIFF, info, scan
from virtual_tiff.cli import main
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.storage.settings import MEANINGS

PACKAGE = Path(virtual_tiff.__file__).parent


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    logger = logging.getLogger("virtual_tiff")
    yield
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()


def test_every_variable_is_in_the_table() -> None:
    code = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    own = {name for name in MEANINGS if name.startswith("VIRTUAL_TIFF_")}
    assert set(re.findall(r"VIRTUAL_TIFF_[A-Z_]+", code)) == own


def test_prefetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write_scenes(tmp_path, 1)
    monkeypatch.setenv("VIRTUAL_TIFF_PREFETCH", "600")
    with RangeServer(tmp_path) as server:
        url = f"{server.url}/{path.name}"
        info(url)
        scan([url])
        info(url, prefetch=700)
        firsts = [r.range for r in server.requests if (r.range or "").startswith("bytes=0-")]
    assert firsts.count("bytes=0-599") == 2
    assert firsts.count("bytes=0-699") == 1
    assert VirtualTIFF(prefetch=16).prefetch == 16


def test_concurrency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_scenes(tmp_path, 12)
    monkeypatch.setenv("VIRTUAL_TIFF_CONCURRENCY", "2")
    with RangeServer(tmp_path, latency=0.02) as server:
        urls = [f"{server.url}/{path.name}" for path in paths]
        info(urls, concurrency=10)
        scan(urls)
        assert server.statistics["peak_waiting"] == 2


@pytest.mark.parametrize("name", ["PREFETCH", "CONCURRENCY", "LOG"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5"])
def test_wrong_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (path,) = write_scenes(tmp_path, 1)
    monkeypatch.setenv(f"VIRTUAL_TIFF_{name}", value)
    assert main(["info", str(path)]) == 2
    if name != "LOG":
        with pytest.raises(InvalidOptionError):
            info(path)


def test_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_scenes(tmp_path, 1)
    with RangeServer(tmp_path) as server:
        url = f"{server.url}/{path.name}"
        assert main(["info", url]) == 0
        assert capsys.readouterr().err == ""
        monkeypatch.setenv("VIRTUAL_TIFF_LOG", "debug")
        assert main(["info", f"{url}?sig=secret"]) == 0
    logged = capsys.readouterr().err
    assert "bytes 0 to 32767" in logged
    assert path.name in logged
    assert "secret" not in logged
