"""What the command line prints of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from virtual_tiff.cli._common import size_text
from virtual_tiff.messages import printable, redacted_links
from virtual_tiff.planning.encoding.readers import Reader

if TYPE_CHECKING:
    from virtual_tiff.inspection.records import FileInfo, ImageInfo, SeriesInfo

#: A letter for each client in the table, and its meaning.
_LETTERS = {
    Reader.ZARR_PYTHON: ("P", "zarr-python alone"),
    Reader.IMAGECODECS: ("I", "with imagecodecs-zarr"),
    Reader.ZARRS: ("R", "zarrs"),
    Reader.ZARRITA: ("J", "zarrita.js"),
}
#: Bands and items of metadata that are printed of an image.
_MOST_ITEMS = 20


def print_files(files: Sequence[FileInfo]) -> None:
    """Print a table for each file, and the meaning of its letters."""
    console = Console(highlight=False)
    for file in files:
        _print_file(console, file)
    legend = ", ".join(f"{letter} {meaning}" for letter, meaning in _LETTERS.values())
    console.print(f"Read by: {legend}", style="dim")


def _print_file(console: Console, file: FileInfo) -> None:
    console.print(_text(file.url, style="bold"), overflow="fold")
    facts = [
        size_text(file.size),
        "BigTIFF" if file.big_tiff else "TIFF",
        f"{file.byte_order}-endian",
    ]
    facts += list(dict.fromkeys(image.crs for image in file.images if image.crs))
    nodata = dict.fromkeys(image.nodata for image in file.images if image.nodata)
    facts += [f"nodata {value}" for value in nodata]
    console.print(_text(", ".join(facts)))
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("IFD", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("size", no_wrap=True, justify="right")
    table.add_column("bands", no_wrap=True, justify="right")
    table.add_column("type", overflow="fold")
    table.add_column("chunks", no_wrap=True)
    table.add_column("compression", overflow="fold")
    table.add_column("read by", no_wrap=True)
    for image in file.images:
        table.add_row(*map(_text, _row(image)))
    console.print(table)
    for image in file.images:
        for line in _details(image):
            console.print(_text(line), overflow="fold")
    if file.series:
        console.print(Text("\nWith --ifd-layout pages:"))
        for i, series in enumerate(file.series):
            console.print(_text(f"{i}: {_series(series)}"))
    problems = [f"IFD {image.ifd}: {image.problem}" for image in file.images if image.problem]
    problems += [f"IFD {image.ifd}: {note}" for image in file.images for note in image.notes]
    for url in file.sidecars:
        console.print(_text(f"Sidecar: {url}", style="dim"), overflow="fold")
    if file.damage is not None:
        problems.append(f"After the last IFD: {file.damage}")
    for problem in problems:
        console.print(_text(problem, style="yellow"))
    console.print()


def _details(image: ImageInfo) -> Iterator[str]:
    """Yield lines about the place, the bands and the metadata of a full-resolution image."""
    if image.kind in ("overview", "mask"):
        return
    lines = [*_place(image), *_bands(image)]
    for domain, items in image.metadata.items():
        named = f"metadata {domain}" if domain else "metadata"
        lines += [f"  {named}: {key}={value}" for key, value in list(items.items())[:_MOST_ITEMS]]
        if len(items) > _MOST_ITEMS:
            lines.append(f"  {named}: and {len(items) - _MOST_ITEMS} more, which --json has")
    if lines:
        yield ""
        yield f"IFD {image.ifd}:"
        yield from lines


def _place(image: ImageInfo) -> Iterator[str]:
    if image.transform is not None and image.bounds is not None and image.resolution is not None:
        yield f"  bounds: {_numbers(image.bounds)}"
        yield f"  resolution: {_numbers(image.resolution)}"
        yield f"  transform: {_numbers(image.transform)}"
    if image.area_or_point is not None:
        yield f"  pixels are: {image.area_or_point}"
    if image.control_points:
        yield f"  control points: {image.control_points}"
    if image.rpcs:
        yield "  rational polynomial coefficients"


def _bands(image: ImageInfo) -> Iterator[str]:
    for number, band in enumerate(image.band_info[:_MOST_ITEMS], 1):
        facts = [band.name or "", band.color]
        if (band.scale, band.offset) != (1, 0):
            facts.append(f"scale {band.scale!r}, offset {band.offset!r}")
        facts += [f"unit {band.unit}"] if band.unit else []
        facts += [] if band.nodata is None else [f"nodata {band.nodata!r}"]
        facts += [f"{name} {value!r}" for name, value in band.statistics.items()]
        yield f"  band {number}: {', '.join(fact for fact in facts if fact)}"
    if len(image.band_info) > _MOST_ITEMS:
        yield f"  and {len(image.band_info) - _MOST_ITEMS} more bands, which --json has"


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(map(repr, values))


def _text(text: str, style: str = "") -> Text:
    """Return text without control characters, which names and tags can contain."""
    return Text(printable(redacted_links(text)), style=style)


def _series(series: SeriesInfo) -> str:
    """Return a line about an image that consists of pages."""
    rows, columns = series.levels[0]
    sizes = series.sizes | {"y": rows, "x": columns}
    shape = " × ".join(f"{name} {size}" for name, size in sizes.items())
    levels = f", {len(series.levels)} levels" if len(series.levels) > 1 else ""
    name = f"{series.name}: " if series.name else ""
    return f"{name}{shape}{levels}, from IFD {series.first_ifd} ({series.kind})"


def _row(image: ImageInfo) -> tuple[str, ...]:
    rows, columns = image.segment_shape
    chunks = f"{columns}×{rows}" if image.layout == "tiles" else f"{rows} row{'s' * (rows != 1)}"
    predictor = {"horizontal": " + pred. 2", "floating point": " + pred. 3"}
    return (
        image.ifd,
        image.kind,
        f"{image.width}×{image.height}",
        str(image.bands),
        image.data_type or f"{image.bits_per_sample} bits",
        chunks,
        image.compression + predictor.get(image.predictor or "", ""),
        " ".join(
            letter if reader in image.readers else "·" for reader, (letter, _) in _LETTERS.items()
        ),
    )
