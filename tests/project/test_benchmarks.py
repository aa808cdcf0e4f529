"""The benchmarks run, and the documentation says what they found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from benchmarks import __main__ as runner
from benchmarks import _environment, _model, page
from benchmarks._environment import Environment
from benchmarks._measure import Contender, Sample, interleave
from benchmarks._options import Options
from benchmarks._report import Result, Target, as_json, rows
from virtual_tiff.publishing.manifests import MANIFEST_REFERENCES

ROOT = Path(__file__).resolve().parents[2]

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="benchmarks read memory and processor from /proc"
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return page.read(page.RESULTS)


# --- each benchmark --------------------------------------------------------------------------


@linux_only
@pytest.mark.parametrize("name", runner.NAMES)
def test_benchmark_runs(name: str, tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", name, "--tiny", "--no-peers"),
            *("--json", str(output), "--cache", str(tmp_path / "cache")),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "clients/python/src")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = page.read(output)
    assert found["failed"] == {}
    assert list(found["seconds"]) == [name]
    assert found["options"] == {"rounds": 1, "effort": "tiny"}
    for result in found["results"]:
        assert result["name"].startswith(name)
        # Rows of counts have no time.
        timed = [row for row in result["rows"] if row["ratio"] is not None]
        assert len(timed) > 1
        assert all(row["ratio"] > 0 and row["cpu_ratio"] >= 0 for row in timed)
        assert result["baseline"] in [row["name"] for row in timed]
    # What it found can be shown.
    assert page.results(found).count("## ") == len(found["results"])
    assert "`tiny`" in page.machine(found)
    assert len(page.draw(found, tmp_path / "charts")) >= len(found["results"])


def test_every_benchmark_says_what_quick_leaves_out() -> None:
    listed = {
        path.stem for path in (ROOT / "benchmarks").glob("*.py") if "\ndef run(" in path.read_text()
    }
    assert listed == set(runner.NAMES)
    for name in runner.NAMES:
        source = (ROOT / "benchmarks" / f"{name}.py").read_text()
        assert re.search(r"^QUICK = ", source, flags=re.MULTILINE), name


# --- the runner ------------------------------------------------------------------------------


@linux_only
def test_a_benchmark_that_fails_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Options) -> Result:
        raise AssertionError("other pixels")

    timings = interleave([Contender("one", lambda: None)], 1)
    good = Result(name="good", title="Good", baseline="one", rows=rows(timings, "one"))
    monkeypatch.setitem(sys.modules, "benchmarks.broken", SimpleNamespace(run=broken))
    monkeypatch.setitem(sys.modules, "benchmarks.good", SimpleNamespace(run=lambda _: good))
    output = tmp_path / "results.json"
    options = Options(rounds=1, cache=tmp_path)
    console = Console(file=(tmp_path / "log").open("w"), width=100)
    run = runner._Run(console, options, 0.0, output)
    run.all(("broken", "good"))
    found = page.read(output)
    assert found["failed"] == {"broken": "AssertionError: other pixels"}
    assert [result["name"] for result in found["results"]] == ["good"]
    console.file.close()


def test_a_peer_that_does_not_install_leaves_no_half_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\nif [ "$1" = venv ]; then mkdir -p "$6"; else exit 3; fi\n')
    uv.chmod(0o755)
    monkeypatch.setattr(_environment.shutil, "which", lambda *_, **__: str(uv))  # type: ignore[attr-defined]
    peer = Environment("Peer", "peer", ("peer==1",), tmp_path / "script.py")
    with (tmp_path / "log").open("w+") as log:
        assert runner._python(peer, tmp_path, Console(file=log)) is None
        log.seek(0)
        assert "Its rows stay empty" in log.read()
    assert not (tmp_path / "peer").exists()


@pytest.mark.parametrize(("warm_up", "calls"), [(True, 3), (False, 2)])
def test_rounds_that_count(warm_up: bool, calls: int) -> None:
    seen: list[str] = []
    work = Contender("one", lambda: Sample(1, 2))
    timings = interleave([work], 2, report=seen.append, warm_up=warm_up)
    assert timings["one"].samples == [Sample(1, 2)] * 2
    assert len(seen) == calls
    assert seen[-1] == "round 2 of 2: one"


@pytest.mark.parametrize(
    ("value", "at_least", "met"), [(7, True, False), (8, True, True), (8, False, True)]
)
def test_limits_are_least_or_most(value: float, at_least: bool, met: bool) -> None:
    target = Target("speed", value, 8, at_least=at_least)
    assert target.met is met
    assert ("at least 8×" in str(target)) is at_least


# --- the documentation -----------------------------------------------------------------------


def test_pages_say_what_was_found() -> None:
    assert page.main(["--check"]) == 0, "run: python -m benchmarks.page"


def test_all_markers_are_used() -> None:
    names: set[str] = set()
    for path in page.PAGES:
        found = re.findall(r"<!-- bench: ([\w-]+) -->", path.read_text(encoding="utf-8"))
        assert found, path
        names.update(found)
    assert names == {*page.BLOCKS, *page.FIGURES}


def test_figures_do_not_begin_a_line() -> None:
    # Markdown would take the comment for a block and end the paragraph.
    for path in page.PAGES:
        for line in path.read_text(encoding="utf-8").splitlines():
            found = re.match(r" *<!-- bench: ([\w-]+) -->", line)
            assert found is None or found[1] in page.BLOCKS, f"{path}: {line}"


def test_ratios_in_prose_come_from_the_benchmarks() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    quoted = re.compile(r"\d[\d.]* times (?:faster|slower|less|more)")
    for path in pages:
        if "design" in path.parts:  # what was found at a time, with its date
            continue
        text = re.sub(r"<!-- bench: .*?<!-- /bench -->", "", path.read_text("utf-8"), flags=re.S)
        assert quoted.findall(text) == [], path


def test_a_marker_that_names_nothing_is_an_error(document: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match="nothing"):
        page.filled("<!-- bench: nothing --><!-- /bench -->", document)
    with pytest.raises(KeyError, match="read_series"):
        page.filled("<!-- bench: concurrency --><!-- /bench -->", document | {"results": []})


def test_figures_change_with_the_json(document: dict[str, Any]) -> None:
    text = "was <!-- bench: concurrency -->0<!-- /bench --> times"
    found = page.filled(text, document)
    assert re.fullmatch(r"was <!-- bench: concurrency -->\d+\.\d<!-- /bench --> times", found)
    changed = json.loads(json.dumps(document))
    for result in changed["results"]:
        result["figures"] = dict.fromkeys(result["figures"], 12.34)
    assert "-->12.3<!--" in page.filled(found, changed)


def test_committed_results_are_whole(document: dict[str, Any]) -> None:
    assert document["failed"] == {}
    assert document["options"]["effort"] == "full"
    assert set(document["seconds"]) == set(runner.NAMES)


def test_charts_are_those_of_the_results(document: dict[str, Any], tmp_path: Path) -> None:
    drawn = page.draw(document, tmp_path)
    shown = sorted(page.RESULTS.parent.glob("*.svg"))
    assert [path.name for path in shown] == sorted(path.name for path in drawn)
    for chart in shown:
        # Not the bytes: where text goes depends on matplotlib's release.
        assert texts(chart) == texts(tmp_path / chart.name)
        assert texts(chart)


def texts(chart: Path) -> list[str]:
    tree = ElementTree.parse(chart)
    return sorted(
        "".join(node.itertext()).strip() for node in tree.iter("{http://www.w3.org/2000/svg}text")
    )


def test_charts_have_no_background(document: dict[str, Any], tmp_path: Path) -> None:
    for chart in page.draw(document, tmp_path):
        for color in re.findall(r"fill: ?(#[0-9a-f]+)", chart.read_text(encoding="utf-8")):
            assert color not in ("#ffffff", "#000000"), chart


# --- the scale model -------------------------------------------------------------------------


def scale_figures() -> dict[str, float]:
    """A cube whose costs are linear: 10 bytes of manifest a chunk, 2 µs, and so on."""
    each = {
        "wall": 4e-6,
        "cpu": 2e-6,
        "manifest_bytes": 10.0,
        "repository_bytes": 20.0,
    }
    figures: dict[str, float] = {}
    for chunks, commits in ((10**4, 1), (10**6, 1), (10**7, 10)):
        figures |= {f"{name}_{chunks}": cost * chunks for name, cost in each.items()}
        figures[f"commits_{chunks}"] = commits
        figures[f"images_{chunks}"] = chunks // 100
        # Of one commit, and 50 bytes for each image of those before.
        before = chunks * (1 - 1 / commits)
        figures[f"rise_{chunks}"] = 600 * (chunks - before) + 50 * before / 100
        # One request for each chunk of the coordinate, and 3 bytes for each image.
        figures[f"open_requests_{chunks}"] = 14 + -(-chunks // 100 // 32_768)
        figures[f"open_bytes_{chunks}"] = 50_000 + 3 * chunks / 100
        figures[f"snapshot_bytes_{chunks}"] = 4000 + 30 * chunks / MANIFEST_REFERENCES
    return figures


def test_the_model_is_what_was_measured() -> None:
    model = _model.Model.of(scale_figures())
    assert model.manifest_bytes == pytest.approx(10)
    assert model.cpu_seconds == pytest.approx(2e-6)
    assert model.memory_bytes == pytest.approx(600)
    assert model.memory(10**7, 10**6) == pytest.approx(scale_figures()[f"rise_{10**7}"])
    assert model.memory(10**4, 10**6) == pytest.approx(600 * 10**4)
    requests, size = model.opening(10**7)
    assert requests == 18
    assert size == pytest.approx(350_000, rel=0.01)
    assert model.snapshot(10**8) == pytest.approx(4000 + 30 * 2000, rel=0.01)
    assert model.manifests(10**8) == 2000
    assert model.manifests(10) == 1


@linux_only
def test_results_name_machine_and_versions() -> None:
    found = as_json([], {"effort": "tiny", "rounds": 1})
    machine, versions = found["machine"], found["versions"]
    assert isinstance(machine, dict)
    assert isinstance(versions, dict)
    assert machine["cores"] >= 1
    assert versions["icechunk"] != "not installed"
