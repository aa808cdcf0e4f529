"""Options that several commands share, each written down once.

Groups of them are dataclasses. `flattened` makes an option of each of their fields, so that a
command takes the groups, and people see options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer

from virtual_tiff.cli._common import ifd_path

if TYPE_CHECKING:
    from virtual_tiff.cubes.stack import CubeOptions
    from virtual_tiff.parser import VirtualTIFF

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="URLs, paths, folders and prefixes (ending in /), globs in quotes, .txt lists, STAC "
        "JSON or GeoParquet, tables (.parquet, .csv) with a column of URLs, or an inventory.",
        show_default=False,
    ),
]
To = Annotated[
    str,
    typer.Option(
        metavar="REPOSITORY",
        help="Local path, or file, s3, gs, az or abfs URL; publish and stack make it.",
        show_default=False,
    ),
]
Repository = Annotated[
    str, typer.Argument(metavar="REPOSITORY", help="Local path or URL.", show_default=False)
]
Branch = Annotated[str, typer.Option(help="To commit to; made if it is not there.")]
Anonymous = Annotated[
    bool, typer.Option("--anonymous", help="Read the files without credentials (public buckets).")
]
IntoExisting = Annotated[
    bool, typer.Option("--into-existing", help="Add to a repository with other people's data.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, and no example.")]
Executor = Annotated[
    str | None,
    typer.Option(
        help="dask (a cluster on this machine, or DASK_SCHEDULER_ADDRESS), or a number of "
        "processes."
    ),
]
BandAxis = Annotated[
    str, typer.Option(help="first: (band, y, x). last: (y, x, band), faster to decode.")
]
OnUnsupported = Annotated[
    str, typer.Option(help="raise, or copy the pixels of images that no Zarr codec can decode.")
]
Sidecars = Annotated[
    str | None,
    typer.Option(
        metavar="KINDS",
        help="Files beside the TIFFs to read too: all, or some of ovr, msk, aux.xml and world, "
        "with commas between.",
        show_default=False,
    ),
]
UrlColumn = Annotated[str, typer.Option(help="Column of a table that holds the URLs.")]
Assets = Annotated[
    list[str] | None, typer.Option("--asset", help="Asset of STAC Items; may be repeated.")
]
SkipFailed = Annotated[
    bool, typer.Option("--skip-failed", help="Leave out what could not be read.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanChoices:
    """Which images are read, and where their times come from."""

    ifd: Annotated[
        str | None,
        typer.Option(
            help="Image to take: 0, or 0.1 for the second sub-IFD of the first, or all. By "
            "default the first, or all where stack and append are told --overviews."
        ),
    ] = None
    band_axis: BandAxis = "first"
    on_unsupported: OnUnsupported = "raise"
    url_column: UrlColumn = "url"
    datetime_column: Annotated[
        str | None, typer.Option(help="Column, or STAC property, that holds the time.")
    ] = None
    datetime_pattern: Annotated[
        str | None,
        typer.Option(help=r"Regular expression that finds the time in a name, such as '_(\d{8})'."),
    ] = None
    datetime_tag: Annotated[
        bool, typer.Option("--datetime-tag", help="Take DateTime of the TIFF.")
    ] = False
    asset: Assets = None
    concurrency: Annotated[int, typer.Option(min=1, help="Headers in flight at once.")] = 256

    def parser(self, *, overviews: bool = False) -> VirtualTIFF:
        """Make the parser."""
        from virtual_tiff.parser import VirtualTIFF

        ifd = self.ifd or ("all" if overviews else "0")
        options: dict[str, Any] = {
            "band_axis": self.band_axis,
            "on_unsupported": self.on_unsupported,
        }
        return VirtualTIFF(ifd=None if ifd == "all" else ifd_path(ifd), **options)

    def wants_times(self) -> bool:
        """Whether it was said where times come from."""
        return bool(self.datetime_column or self.datetime_pattern or self.datetime_tag)

    def arguments(self) -> dict[str, Any]:
        """Further arguments of `scan`."""
        return {
            "url_column": self.url_column,
            "datetime_column": self.datetime_column,
            "datetime_pattern": self.datetime_pattern,
            "datetime_tag": self.datetime_tag,
            "assets": self.asset,
            "concurrency": self.concurrency,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeChoices:
    """How images become a cube, and where it goes."""

    group: Annotated[
        str,
        typer.Option(
            help="Group of the cube. With columns in braces, such as sentinel/{tile}, a cube for "
            "each value; {stem} is the name of the file."
        ),
    ] = ""
    along: Annotated[str, typer.Option(help="Column that orders the images.")] = "datetime"
    variable: Annotated[str | None, typer.Option(help="Column that names the variables.")] = None
    variable_pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression that finds their names in URLs: '_(red|nir)'."),
    ] = None
    name: Annotated[
        str, typer.Option(help="Name of the variable, where nothing names several.")
    ] = "data"
    split_bands: Annotated[
        bool, typer.Option("--split-bands", help="Make each band of planar images a variable.")
    ] = False
    overviews: Annotated[
        bool,
        typer.Option("--overviews", help="A pyramid: groups 0, 1, … for each level of resolution."),
    ] = False
    on_duplicate: Annotated[
        str, typer.Option(help="Several images at one place: raise, first, last or newest.")
    ] = "raise"
    skip_failed: SkipFailed = False

    def options(self, *, coordinates: bool = True) -> CubeOptions:
        """Make the options of the cube."""
        from virtual_tiff.cubes.stack import CubeOptions

        return CubeOptions(
            along=self.along,
            variable=self.variable,
            variable_pattern=self.variable_pattern,
            name=self.name,
            split_bands=self.split_bands,
            overviews=self.overviews,
            on_duplicate=cast(Any, self.on_duplicate),
            coordinates=coordinates,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkChoices:
    """Who does the work, and what is said of it."""

    executor: Executor = None
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder that lets an interrupted scan go on.")
    ] = None
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="Of the commit.", show_default=False)
    ] = None
    branch: Branch = "main"
    anonymous: Anonymous = False
    as_json: Json = False
    quiet: Quiet = False


def flattened(function: Callable[..., None]) -> Callable[..., None]:
    """Make an option of each field of the dataclasses that a command takes."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters = list(_parameters(function, hints, groups))

    @wraps(function)
    def command(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{f.name: given.pop(f.name) for f in fields(group)})
        function(**given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _parameters(
    function: Callable[..., None], hints: dict[str, Any], groups: dict[str, Any]
) -> Iterator[inspect.Parameter]:
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in groups:
            yield _keyword(name, hints[name], parameter.default)
            continue
        types = get_type_hints(groups[name], include_extras=True)
        for each in fields(groups[name]):
            default = inspect.Parameter.empty if each.default is MISSING else each.default
            yield _keyword(each.name, types[each.name], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )
