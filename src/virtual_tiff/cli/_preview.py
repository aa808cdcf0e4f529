"""The command `preview`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtual_tiff.cli._common import quieten_icechunk, say, sidecar_names
from virtual_tiff.cli._options import Anonymous, Sidecars

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

PREVIEW_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff preview https://example.com/cog.tif -o preview.png

    virtual-tiff preview repository --group aerial
    """


def preview(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Path or URL of a TIFF, or of a repository.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="PNG file to write; without it, the picture is drawn in the terminal.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most pixels of the longer side; by default 512, or as many as the terminal has.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[str, typer.Option(help="Group of a repository.")] = "",
    array: Annotated[
        str | None,
        typer.Option(help="Array of the group; by default the first image.", show_default=False),
    ] = None,
    sidecars: Sidecars = None,
    anonymous: Anonymous = False,
) -> None:
    """Make a picture of a TIFF or of a published array, from the smallest level that serves.

    Colours of 8 bits and palettes are as they are; other values are stretched between the
    percentiles 2 and 98. Pixels without data are transparent. Tiles are put together; of a
    stack, the first position is shown.
    """
    from imagecodecs import png_encode

    from virtual_tiff.operations.preview import picture
    from virtual_tiff.storage.errors import writing

    quieten_icechunk()
    options: dict[str, Any] = {"anonymous": anonymous, "sidecars": sidecar_names(sidecars)}
    if output is None:
        _draw(picture(source, group=group, array=array, size=size or _columns(), **options))
        return
    pixels = picture(source, group=group, array=array, size=size or 512, **options)
    with writing(output):
        output.write_bytes(png_encode(pixels))
    say(f"{output}: {pixels.shape[1]} × {pixels.shape[0]} pixels")


def _columns() -> int:
    from rich.console import Console

    return max(Console().width, 1)


def _draw(pixels: NDArray[np.uint8]) -> None:
    """Draw two rows of pixels in each line, as upper half blocks with a background."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    for row in range(0, len(pixels), 2):
        line = Text()
        for upper, lower in zip(pixels[row], pixels[min(row + 1, len(pixels) - 1)], strict=True):
            line.append("▀", style=f"{_color(upper)} on {_color(lower)}")
        console.print(line, no_wrap=True, crop=True)


def _color(pixel: NDArray[np.uint8]) -> str:
    red, green, blue, alpha = map(int, pixel)
    return f"rgb({red},{green},{blue})" if alpha else "default"
