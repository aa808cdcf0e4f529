"""The bar that shows how far long work is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import virtual_tiff.cli._progress
from tests.helpers.archive import PATTERN, write_scenes
from virtual_tiff import cli
from virtual_tiff.cli._progress import progress_bar


def test_a_bar_shows_stage_rate_and_failures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar(quiet=False) as report:
        report("read", 3, 10, 2)
        report("check", 4, 5, 0)
        report("check", 5, 5, 1)
    shown = capsys.readouterr()
    assert shown.out == ""
    for text in ("Checking files", "5/5", "/s, 1 failed"):
        assert text in shown.err


def test_lines_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line every few seconds, and none for what is done before."""
    with progress_bar(quiet=False) as report:
        report("read", 3, 10, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(virtual_tiff.cli._progress, "INTERVAL", 0.0)
    with progress_bar(quiet=False) as report:
        report("read", 3_000, 10_000, 2)
        report("write", 1, 2, 0)
    shown = capsys.readouterr()
    first, second = shown.err.splitlines()
    assert first.startswith("virtual-tiff: Reading headers: 3,000 of 10,000, ")
    assert first.endswith(", 2 failed")
    assert second.startswith("virtual-tiff: Writing references: 1 of 2, ")
    assert shown.out == ""
    with progress_bar(quiet=True) as report:
        report("read", 3, 10, 2)
    assert capsys.readouterr().err == ""


def test_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same lines on standard error and in a file, errors with their cause."""
    write_scenes(tmp_path / "a", 2)
    log, repo = tmp_path / "night.log", tmp_path / "repository"
    common = ["--to", str(repo), "--datetime-pattern", PATTERN]
    stack = ["stack", f"{tmp_path}/a/", *common]
    assert cli.main([*stack, "--log-file", str(log), "--verbose", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["images"] == 2
    lines = log.read_text().splitlines()
    assert shown.err.splitlines() == lines
    assert "INFO stack: begins" in lines[0]
    assert any("Reading headers: 2 of 2" in line for line in lines)
    assert any("Writing references: 2 of 2" in line for line in lines)
    assert "INFO stack: done" in lines[-1]
    assert cli.main([*stack, "--log-file", str(log)]) == 1
    text = log.read_text()
    assert text.startswith("\n".join(lines))
    assert "ERROR stack: " in text
    assert "(conflict)" in text
    assert "Traceback" in text
    assert capsys.readouterr().err.count("\n") == 1
    # One line of --verbose and one of the error: the cause stands in the file alone.
    assert cli.main([*stack, "--log-file", str(log), "--verbose"]) == 1
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert printed.count("\n") == log.read_text().removeprefix(text).count("INFO") + 2
    text = log.read_text()
    assert cli.main([*stack, "--verbose"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == printed.splitlines()[-1]
    nowhere = str(tmp_path / "nowhere" / "log")
    assert cli.main(["log", str(repo), "--log-file", nowhere]) == 2
    # Without the options nothing is written anywhere.
    assert cli.main(["log", str(repo)]) == 0
    assert capsys.readouterr().err.count("\n") == 1
    assert log.read_text() == text
    table = str(tmp_path / "t.parquet")
    assert cli.main(["scan", f"{tmp_path}/a/", "-o", table, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2
    assert cli.main(["scan", f"{tmp_path}/a/", "-o", table, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["known"] == 2
