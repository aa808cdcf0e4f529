"""How long requests are repeated, and what the error says then."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from tests.helpers.range_server import RangeServer
from virtual_tiff import VirtualTIFF
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError
from virtual_tiff.storage.retries import retry_settings
from virtual_tiff.storage.settings import RETRY_SECONDS, TIMEOUT_SECONDS
from virtual_tiff.storage.stores import registry_for


def test_they_outlast_a_throttled_minute() -> None:
    config = retry_settings()["retry_config"]
    assert config["retry_timeout"] > timedelta(minutes=1)
    # As object_store does it: each wait is between the first and `base` times the last one.
    backoff = config["backoff"]
    first, longest = backoff["init_backoff"], backoff["max_backoff"]
    chooser = random.Random(1)
    for _ in range(100):
        waited, wait = timedelta(), first
        for _ in range(config["max_retries"]):
            wait = min(longest, first + (wait * backoff["base"] - first) * chooser.random())
            waited += wait
            if waited > timedelta(minutes=1):
                break
        assert timedelta(minutes=1) < waited < config["retry_timeout"]


def test_an_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RETRY_SECONDS, "1")
    (tmp_path / "a.tif").write_bytes(b"II*")
    with RangeServer(tmp_path, error_rate=1.0) as server:
        url = f"{server.url}/a.tif"
        with pytest.raises(SourceError) as throttled:
            VirtualTIFF().plan(url, registry_for([url]))
        assert len(server.requests) > 1
        server.configure(error_rate=0, latency=5)
        monkeypatch.setenv(TIMEOUT_SECONDS, "0.2")
        with pytest.raises(SourceError) as late:
            VirtualTIFF().plan(url, registry_for([url]))
    for error, word in ((throttled.value, "throttled"), (late.value, "timed out")):
        assert error.kind == ErrorKind.STORAGE
        assert word in error.message


def test_no_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RETRY_SECONDS, "0")
    with RangeServer(tmp_path, error_rate=1.0) as server:
        url = f"{server.url}/a.tif"
        with pytest.raises(SourceError):
            VirtualTIFF().plan(url, registry_for([url]))
        assert len(server.requests) == 1


def test_a_refused_connection_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """All retries pass before it is an error, since obstore does not tell why one failed."""
    monkeypatch.setenv(RETRY_SECONDS, "0")
    url = "http://127.0.0.1:1/a.tif"
    with pytest.raises(SourceError) as caught:
        VirtualTIFF().plan(url, registry_for([url]))
    assert RETRY_SECONDS in (caught.value.remedy or "")


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_values_that_are_no_seconds(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RETRY_SECONDS, value)
    with pytest.raises(InvalidOptionError):
        registry_for(["https://example.org/a.tif"])
