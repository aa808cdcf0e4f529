"""Charts of the page of benchmarks: SVG on no background, in colours for light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#7d8590"  # legible on white and on the dark pages of MkDocs Material
OURS = "#0f9d8f"
OTHERS = "#9aa3b0"

_STYLE: Any = {
    # Text stays text, and the same figures give the same bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "virtual-tiff",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_LOGARITHMIC_FROM = 12
_WIDTH = 7.2


def bars(result: Mapping[str, Any], ours: Sequence[str], path: Path) -> None:
    """Draw the ratios of one result as bars, with the spread of the rounds.

    Parameters
    ----------
    result
        As in the JSON.
    ours
        Names of rows that are drawn in the colour of this package.
    path
        Where the SVG goes.
    """
    rows = [row for row in result["rows"] if row["ratio"] is not None]
    ratios = [row["ratio"] for row in rows]
    logarithmic = max(ratios) / min(ratios) > _LOGARITHMIC_FROM
    least = min(row["low"] for row in rows)
    # Bars on a logarithmic axis begin at a round number below all of them.
    begin = 10 ** math.floor(math.log10(least * 0.8)) if logarithmic else 0
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure(0.34 * len(rows) + 0.5)
        for place, row in enumerate(reversed(rows)):
            color = OURS if row["name"] in ours else OTHERS
            axes.barh(place, row["ratio"] - begin, left=begin, color=color, height=0.62)
            if row["low"] != row["high"]:
                axes.plot([row["low"], row["high"]], [place, place], color=INK, linewidth=1.2)
            right = max(row["ratio"], row["high"])
            axes.annotate(
                number(row["ratio"]),
                (right, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                weight="bold" if row["name"] in ours else "normal",
            )
        axes.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)])
        axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        if logarithmic:
            axes.set_xscale("log")
        axes.set_xlim(begin, max(row["high"] for row in rows) * (2.2 if logarithmic else 1.12))
        axes.set_xticks([], minor=False)
        axes.set_xticks([], minor=True)
        scale = ", logarithmic" if logarithmic else ""
        axes.set_xlabel(f"{result['quantity']} against {result['baseline']}{scale}")
        _save(figure, path)


def lines(
    panels: Sequence[tuple[str, Sequence[float], Sequence[float], Sequence[float]]],
    chunks: Sequence[float],
    path: Path,
) -> None:
    """Draw what was measured as dots and what a model says as lines, on logarithmic axes.

    Parameters
    ----------
    panels
        Title, chunks that were measured, values measured, and values of the model at `chunks`.
    chunks
        Where the model is drawn.
    path
        Where the SVG goes.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 2.4), layout="constrained")
        for place, (title, measured, values, model) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), place + 1)
            axes.plot(chunks, model, color=OTHERS, linewidth=1.5, linestyle=(0, (4, 3)))
            axes.plot(measured, values, "o", color=OURS, markersize=6)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_title(title, fontsize=10, color=INK)
            axes.set_xticks([1e4, 1e6, 1e8], ["10⁴", "10⁶", "10⁸"])
            low, high = (math.log10(f(*values, *model)) for f in (min, max))
            decades = range(math.floor(low), math.ceil(high) + 1)
            shown = [d for d in decades if d % 2 == 0 or len(decades) < 5]
            axes.set_yticks([10.0**d for d in shown], [f"10{_superscript(d)}" for d in shown])
            axes.minorticks_off()
            _bare(axes)
        _save(figure, path)


def number(value: float) -> str:
    """Show two significant digits, or three."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _superscript(value: int) -> str:
    return str(value).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    _bare(axes)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    return figure, axes


def _bare(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
