"""Put what `make bench` found into the documentation: `python -m benchmarks.page [JSON]`.

The JSON becomes `docs/benchmarks/results.json`, each of its results a chart beside it, and every
page gets its figures anew: what stands between `<!-- bench: NAME -->` and `<!-- /bench -->` comes
from `BLOCKS` or `FIGURES` here. Without a JSON, pages and charts are made from the one that is
committed; with `--check` nothing is written, and the exit status is 1 if a page is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import _charts
from benchmarks._model import MIB, Model, measured
from virtual_tiff.publishing.manifests import MANIFEST_REFERENCES

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "benchmarks" / "results.json"
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "benchmarks.md",
    ROOT / "docs" / "explanation" / "scale.md",
    ROOT / "docs" / "how-to" / "read-fast.md",
    ROOT / "docs" / "when-to-use.md",
)
OURS = (
    "virtual_tiff",
    "virtual_tiff, every IFD",
    "virtual_tiff.publish",
    "scan + publish",
    "the cube, codec pipeline",
    "the cube, async.concurrency 128",
    "the cube, async.concurrency 10",
    "the cube of tiles, codec pipeline",
    "the cube of tiles, async.concurrency 128",
    "tiles with axes of their own",
    "tiles as one array of y and x",
    "zarr",
    "zarr, settings",
    "zarr, pipeline",
)
"""Rows that are drawn as this package's."""

BUSY = 0.5
_MARKED = re.compile(r"(<!-- bench: ([\w-]+) -->)(.*?)(<!-- /bench -->)", re.DOTALL)

type Document = Mapping[str, Any]


def read(path: Path) -> dict[str, Any]:
    """Read a JSON of results."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


# --- figures in a sentence -------------------------------------------------------------------


def _figures(document: Document, name: str) -> Mapping[str, float]:
    for result in document["results"]:
        if result["name"] == name:
            figures: Mapping[str, float] = result["figures"]
            return figures
    raise KeyError(f"the JSON has no result {name!r}: run all benchmarks")


def _figure(result: str, key: str, style: str = ".1f") -> Callable[[Document], str]:
    return lambda document: format(_figures(document, result)[key], style)


def _count(value: float) -> str:
    return f"{value:,.0f}"


FIGURES: dict[str, Callable[[Document], str]] = {
    "concurrency": _figure("read_series-1-tile", "concurrency"),
    "series-rasterio": _figure("read_series-1-tile", "rasterio"),
    "series-async-geotiff": _figure("read_series-1-tile", "async_geotiff"),
    "series-pipeline": _figure("read_series-1-tile", "pipeline_rasterio"),
    "series-pipeline-async": _figure("read_series-1-tile", "pipeline_async_geotiff"),
    "series-pipeline-4": _figure("read_series-4-tiles", "pipeline_rasterio"),
    "series-pipeline-async-4": _figure("read_series-4-tiles", "pipeline_async_geotiff"),
    "series-rasterio-4": _figure("read_series-4-tiles", "rasterio"),
    "series-async-geotiff-4": _figure("read_series-4-tiles", "async_geotiff"),
    "archive-faster": _figure("publish_archive", "faster", ".0f"),
    "rows-memory": _figure("publish_rows", "memory_gib"),
}
"""What pages quote in sentences, by the name in the marker."""


# --- blocks ----------------------------------------------------------------------------------


def machine(document: Document) -> str:
    """Where and when, with the versions."""
    of = document["machine"]
    cores = f"{of['cores']} cores" if of["cores"] != 1 else "1 core"
    parts = [
        f"Measured on {document['created'][:10]} on {cores} ({of['processor']}), "
        f"{of['memory_gib']:.0f} GiB of memory, {of['system']}, Python {of['python']}; client and "
        "server share the machine.",
    ]
    if document["load_before"] > BUSY * of["cores"]:
        parts.append(
            f"**Others worked on it too** (load {document['load_before']:.1f} before the run): "
            "ratios of processor time say more than those of time."
        )
    if document["options"]["effort"] != "full":
        parts.append(f"The run was `{document['options']['effort']}`, with less data than usual.")
    for name, error in document["failed"].items():
        parts.append(f"`{name}` failed: {error}")
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    return "\n\n".join([" ".join(parts), f"Versions: {versions}."])


def promises(document: Document) -> str:
    """Every target, and whether it was met."""
    lines = ["| | limit | measured | |", "|---|---|---|---|"]
    for result in document["results"]:
        for target in result["targets"]:
            unit = target["unit"] if target["unit"] in ("", "×") else f" {target['unit']}"
            bound = "at least" if target["at_least"] else "at most"
            state = "kept" if target["met"] else "**missed**"
            lines.append(
                f"| {result['name']}: {target['name']} "
                f"| {bound} {target['limit']:g}{unit} | {target['value']:.3g}{unit} | {state} |"
            )
    return "\n".join(lines)


def results(document: Document) -> str:
    """Charts and tables of all results."""
    return "\n\n".join(_result(result) for result in document["results"])


def _result(result: Mapping[str, Any]) -> str:
    rows = result["rows"]
    columns = list(dict.fromkeys(name for row in rows for name in row["more"]))
    spread = any(row["low"] != row["high"] for row in rows)
    headings = [f"{result['quantity']} ×", *(["least–most"] if spread else []), "CPU ×", *columns]
    lines = [f"| | {' | '.join(headings)} |", f"|---|{'---:|' * len(headings)}"]
    for row in rows:
        timed = row["ratio"] is not None
        cells = [_charts.number(row["ratio"]) if timed else "–"]
        if spread:
            cells.append(f"{row['low']:.2f}–{row['high']:.2f}" if timed else "")
        cells.append(_charts.number(row["cpu_ratio"]) if timed else "")
        cells += [row["more"].get(name, "") for name in columns]
        name = f"**{row['name']}**" if row["name"] in OURS else row["name"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    chart = (
        f"![Bars of the {result['quantity']} of each row against {result['baseline']}]"
        f"(benchmarks/{result['name']}.svg)"
    )
    rounds = max(len(row["seconds"]) for row in rows)
    counted = "One run." if rounds == 1 else f"Medians of {rounds} rounds."
    notes = "\n".join(f"- {note}" for note in [counted, *result["notes"]])
    return f"## {result['title']}\n\n{chart}\n\n" + "\n".join(lines) + f"\n\n{notes}"


def whole_arrays(document: Document) -> str:
    """Processor time and time of reading whole images, against rasterio."""
    of = {result["name"]: result["rows"] for result in document["results"]}
    found = {name: {row["name"]: row for row in of[f"read_array-{name}"]} for name in _WHOLE_ARRAYS}
    columns = [name for name in next(iter(found.values())) if name.startswith("zarr")]
    titles = ["as installed", *(name.removeprefix("zarr, ") for name in columns[1:])]
    lines = [f"| time (processor time), rasterio = 1 | {' | '.join(titles)} |"]
    lines.append(f"|---|{'---:|' * len(columns)}")
    for name, title in _WHOLE_ARRAYS.items():
        cells = [found[name][column] for column in columns]
        texts = [f"{cell['ratio']:.1f} ({cell['cpu_ratio']:.1f})" for cell in cells]
        lines.append(f"| {title} | {' | '.join(texts)} |")
    return "\n".join(lines)


_WHOLE_ARRAYS = {
    "deflate-predictor2": "Deflate with predictor 2, uint16",
    "lzw": "LZW, uint16",
    "zstd": "ZSTD, uint16",
    "jpeg": "JPEG, three bands",
}


def scale_measured(document: Document) -> str:
    """What the scale model rests on."""
    figures = _figures(document, "scale")
    lines = [
        "| chunks | commits | manifests | bytes a chunk | repository, bytes a chunk "
        "| memory of a commit | processor time a chunk | to open | to find a chunk |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for n in measured(figures):
        of = {key.removesuffix(f"_{n}"): v for key, v in figures.items() if key.endswith(f"_{n}")}
        lines.append(
            f"| {n:,} | {of['commits']} | {of['manifests']} | {of['manifest_bytes'] / n:.1f} "
            f"| {of['repository_bytes'] / n:.1f} | {of['rise'] / MIB:,.0f} MiB "
            f"| {of['cpu'] / n * 1e6:.1f} µs | {of['open_requests']} requests, "
            f"{of['open_bytes'] / 1024:,.0f} KiB | {of['find_requests']} request, "
            f"{of['find_bytes'] / 1024:,.0f} KiB |"
        )
    return "\n".join(lines)


def scale_model(document: Document) -> str:
    """The model and what it says for 10⁴, 10⁶ and 10⁸ chunks."""
    model = Model.of(_figures(document, "scale"))
    one = max(n for n in measured(_figures(document, "scale")) if n <= 10**6)
    sizes = (10**4, 10**6, 10**8)
    rows: list[tuple[str, Callable[[int], str]]] = [
        ("manifests", lambda n: _count(model.manifests(n))),
        ("bytes of manifests", lambda n: _bytes(model.manifest_bytes * n)),
        ("bytes of the repository", lambda n: _bytes(model.repository_bytes * n)),
        ("bytes of a snapshot", lambda n: _bytes(model.snapshot(n))),
        ("memory, all in one commit", lambda n: _bytes(model.memory_bytes * n)),
        (
            f"memory, in commits of {one:,}",
            lambda n: _bytes(model.memory(n, one)),
        ),
        ("processor time to publish", lambda n: _time(model.cpu_seconds * n)),
        ("requests to open", lambda n: _count(model.opening(n)[0])),
        ("bytes to open", lambda n: _bytes(model.opening(n)[1])),
        ("requests to find a chunk", lambda _: "1"),
    ]
    lines = ["| chunks | 10⁴ | 10⁶ | 10⁸ |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {' | '.join(of(n) for n in sizes)} |" for name, of in rows]
    formula = (
        f"With *n* chunks: manifests *n* / {MANIFEST_REFERENCES:,}, of "
        f"{model.manifest_bytes:.1f} bytes a chunk; repository "
        f"{model.repository_bytes:.1f} bytes a chunk; snapshot "
        f"{model.snapshot_bytes / 1024:.1f} KiB + {model.snapshot_bytes_manifest:.0f} bytes a "
        f"manifest; memory {model.memory_bytes:.0f} bytes for each chunk of a commit and "
        f"{model.memory_bytes_image:,.0f} for each image that is there already; to open "
        f"{model.open_bytes / 1024:.0f} KiB + {model.open_bytes_image:.1f} bytes an image; "
        f"processor {model.cpu_seconds * 1e6:.1f} µs a chunk."
    )
    return "\n".join(lines) + f"\n\n{formula}"


def _bytes(value: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


BLOCKS: dict[str, Callable[[Document], str]] = {
    "machine": machine,
    "promises": promises,
    "results": results,
    "whole-arrays": whole_arrays,
    "scale-measured": scale_measured,
    "scale-model": scale_model,
}
"""What stands in a page as paragraphs, by the name in the marker."""


# --- pages and charts ------------------------------------------------------------------------


def filled(text: str, document: Document) -> str:
    """Give a page with what is between its markers made from a JSON.

    Raises
    ------
    KeyError
        A marker names nothing, or the JSON lacks what it names.
    """

    def replace(match: re.Match[str]) -> str:
        begin, name, _, end = match.groups()
        if name in FIGURES:
            return f"{begin}{FIGURES[name](document)}{end}"
        return f"{begin}\n\n{BLOCKS[name](document)}\n\n{end}"

    return _MARKED.sub(replace, text)


def draw(document: Document, folder: Path) -> list[Path]:
    """Draw the charts of all results into a folder."""
    out = []
    for result in document["results"]:
        if any(row["ratio"] is not None for row in result["rows"]):
            path = folder / f"{result['name']}.svg"
            names = [row["name"] for row in result["rows"]]
            # Where nobody else is compared, all rows are this package's.
            ours = [name for name in names if name in OURS] or names
            _charts.bars(result, ours, path)
            out.append(path)
        if result["name"] == "scale":
            _draw_model(result["figures"], folder / "scale-model.svg")
            out.append(folder / "scale-model.svg")
    return out


def _draw_model(figures: Mapping[str, float], path: Path) -> None:
    model = Model.of(figures)
    chunks = [10.0**power for power in range(4, 9)]
    done = [float(n) for n in measured(figures)]
    single = [n for n in done if figures[f"commits_{n:.0f}"] == 1]

    def values(name: str, counts: list[float], scale: float) -> list[float]:
        return [figures[f"{name}_{n:.0f}"] / scale for n in counts]

    panels = [
        (
            "Manifests, MiB",
            done,
            values("manifest_bytes", done, MIB),
            [model.manifest_bytes * n / MIB for n in chunks],
        ),
        (
            "Memory of one commit, MiB",
            single,
            values("rise", single, MIB),
            [model.memory_bytes * n / MIB for n in chunks],
        ),
        (
            "Processor time, s",
            done,
            values("cpu", done, 1),
            [model.cpu_seconds * n for n in chunks],
        ),
    ]
    _charts.lines(panels, chunks, path)


def main(arguments: list[str] | None = None) -> int:
    """Write or check; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("json", type=Path, nargs="?", help="such as build/bench/results.json")
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args(arguments)
    document = read(given.json or RESULTS)
    pages = {page: filled(page.read_text(encoding="utf-8"), document) for page in PAGES}
    stale = [p for p, text in pages.items() if text != p.read_text(encoding="utf-8")]
    if given.check:
        if stale:
            print("out of date:", *(page.relative_to(ROOT) for page in stale))
        return 1 if stale else 0
    if given.json and given.json.resolve() != RESULTS:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(given.json, RESULTS)
    drawn = draw(document, RESULTS.parent)
    for old in set(RESULTS.parent.glob("*.svg")) - set(drawn):
        old.unlink()
    for page in stale:
        page.write_text(pages[page], encoding="utf-8")
    print("wrote:", *(path.relative_to(ROOT) for path in (RESULTS, *drawn, *stale)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
