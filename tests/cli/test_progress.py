"""The bar that shows how far long work is."""

from __future__ import annotations

import pytest

from virtual_tiff.cli._progress import progress_bar


def test_a_bar_shows_stage_rate_and_failures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar(quiet=False) as report:
        assert report is not None
        report("read", 3, 10, 2)
        report("check", 4, 5, 0)
        report("check", 5, 5, 1)
    shown = capsys.readouterr()
    assert shown.out == ""
    for text in ("Checking files", "5/5", "/s, 1 failed"):
        assert text in shown.err


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(quiet=False) as report:
        assert report is None
    assert capsys.readouterr().err == ""
