"""Options that several commands share, each defined once.

Groups of options are dataclasses. `flattened` makes an option of each field, so that commands take
groups, and users see options. Options with a fixed set of values have a
type of `virtual_tiff.choices`, whose values `--help` then lists.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    TypeAliasType,
    TypedDict,
    Unpack,
    get_args,
    get_type_hints,
)

import typer

from virtual_tiff import choices
from virtual_tiff.cli._common import ifd_path

if TYPE_CHECKING:
    from virtual_tiff.cubes.options import CubeOptions
    from virtual_tiff.parser import VirtualTIFF

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="URLs, paths, folders and prefixes (ending in /), globs in quotes, .txt lists, STAC "
        "JSON or GeoParquet, catalog:NAME, tables (.parquet, .csv) with a column of URLs, or an "
        "inventory.",
        show_default=False,
    ),
]
MaybeSources = Annotated[
    list[str] | None,
    typer.Argument(metavar="SOURCE", help="As for stack.", show_default=False),
]
To = Annotated[
    str,
    typer.Option(
        metavar="REPOSITORY",
        help="Local path, or file, s3, gs, az or abfs URL; publish and stack create it.",
        show_default=False,
    ),
]
Repository = Annotated[
    str, typer.Argument(metavar="REPOSITORY", help="Local path or URL.", show_default=False)
]
ImagesPerCommit = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Several commits of about so many images of a table, which is read piece by piece. "
        "The same command goes on after an interruption.",
    ),
]
Anonymous = Annotated[
    bool, typer.Option("--anonymous", help="Read the files without credentials (public buckets).")
]
IntoExisting = Annotated[
    bool,
    typer.Option("--into-existing", help="Add to a repository that has data of other software."),
]
Branch = Annotated[str, typer.Option(help="Branch of the repository.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
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
Sidecars = Annotated[
    str | None,
    typer.Option(
        metavar="KINDS",
        help="Files beside the TIFFs to read: all, or some of "
        f"{', '.join(choices.values_of(choices.SidecarKind))}, separated by commas.",
        show_default=False,
    ),
]
Group = Annotated[
    str,
    typer.Option(
        help="Group of the cube, or the one above the groups of the files. With columns in "
        "braces, such as {tile}/{stem}, a cube for each value, or the group of each file; {stem} "
        "is the name of a file."
    ),
]


class ParserOptions(TypedDict, total=False):
    """Arguments of `VirtualTIFF` that some commands have as options."""

    ifd: int | tuple[int, ...] | None
    ifd_layout: choices.IFDLayout
    sidecars: bool | Collection[choices.SidecarKind]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChoices:
    """Options for tables of sources and STAC Items."""

    url_column: Annotated[str, typer.Option(help="Column of a table that holds the URLs.")] = "url"
    asset: Annotated[
        list[str] | None,
        typer.Option("--asset", help="Key or pattern of assets of STAC Items; may be repeated."),
    ] = None
    asset_role: Annotated[
        list[str] | None,
        typer.Option("--asset-role", help="Role of assets of STAC Items; may be repeated."),
    ] = None
    asset_gsd: Annotated[
        float | None,
        typer.Option(metavar="METRES", help="Resolution of assets of STAC Items."),
    ] = None
    alternate: Annotated[
        str | None, typer.Option(help="Alternate address of the assets to use, such as s3.")
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for reading a table, and choosing assets."""
        return {
            "url_column": self.url_column,
            "assets": self.asset,
            "asset_roles": self.asset_role,
            "asset_gsd": self.asset_gsd,
            "alternate": self.alternate,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadChoices(TableChoices):
    """Options for reading sources."""

    band_axis: Annotated[
        choices.BandAxis,
        typer.Option(help="first: (band, y, x). last: (y, x, band), faster to decode."),
    ] = "first"
    complex_integers: Annotated[
        choices.ComplexIntegers,
        typer.Option(
            help="Complex integers: raise, or parts, a last dimension of real and imaginary."
        ),
    ] = "raise"
    on_unsupported: Annotated[
        choices.OnUnsupported,
        typer.Option(help="Images that no Zarr codec can decode: raise, or copy their pixels."),
    ] = "raise"
    copy_limit: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            min=0,
            help="Largest image to copy, in decoded bytes; by default 256 MiB.",
        ),
    ] = None
    stac_metadata: Annotated[
        choices.StacMetadata,
        typer.Option(help="Scale, offset, nodata and unit of STAC Items: use, or ignore them."),
    ] = "use"

    bbox: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(
            metavar="WEST SOUTH EAST NORTH",
            help="Place of the search for catalog:NAME, in degrees.",
            show_default=False,
        ),
    ] = None
    datetime: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time or interval of the search for catalog:NAME: 2024-06, 2024-01-01/2024-03-31.",
            show_default=False,
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for reading a table, and choosing assets."""
        from virtual_tiff.inventory.url_columns import pattern_of

        return {
            "columns": dict(map(pattern_of, self.column or ())) or None,
            **TableChoices.arguments(self),
            "bbox": self.bbox,
            "datetime": self.datetime,
            "stac_metadata": self.stac_metadata,
        }

    header_limit: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            min=1,
            help="Memory that the header of a file may take; by default 128 MiB.",
        ),
    ] = None
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Time of the processor that a file may take; by default 3 s."
        ),
    ] = None

    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME=PATTERN",
            help="Column whose values a regular expression finds in URLs, such as "
            r"'tile=_(\d{2}[A-Z]{3})_'; may be repeated.",
            show_default=False,
        ),
    ] = None

    def parser(self, **options: Unpack[ParserOptions]) -> VirtualTIFF:
        """Make the parser."""
        from virtual_tiff.parser import DEFAULT_COPY_LIMIT, VirtualTIFF
        from virtual_tiff.storage.budget import DEFAULT_HEADER_LIMIT, DEFAULT_TIME_LIMIT

        return VirtualTIFF(
            band_axis=self.band_axis,
            complex_integers=self.complex_integers,
            on_unsupported=self.on_unsupported,
            copy_limit=DEFAULT_COPY_LIMIT if self.copy_limit is None else self.copy_limit,
            header_limit=DEFAULT_HEADER_LIMIT if self.header_limit is None else self.header_limit,
            time_limit=DEFAULT_TIME_LIMIT if self.time_limit is None else self.time_limit,
            **options,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanChoices(ReadChoices):
    """Options for selecting images and their times."""

    ifd: Annotated[
        str | None,
        typer.Option(
            help="Image to read: 0, or 0.1 for the second sub-IFD of the first, or all. By "
            "default the first, or all if stack and append have --overviews or --masks."
        ),
    ] = None
    pages: Annotated[
        choices.Pages,
        typer.Option(
            help="Pages of one image, such as a z-stack: axes makes dimensions of them, separate "
            "takes directories for images, auto is axes where their order is known."
        ),
    ] = "auto"
    datetime_column: Annotated[
        str | None, typer.Option(help="Column, or STAC property, with the time.")
    ] = None
    datetime_pattern: Annotated[
        str | None,
        typer.Option(help=r"Regular expression that finds the time in a name, such as '_(\d{8})'."),
    ] = None
    datetime_tag: Annotated[
        bool, typer.Option("--datetime-tag", help="Use DateTime of the TIFF.")
    ] = False
    concurrency: Annotated[int, typer.Option(min=1, help="Headers in flight at once.")] = 256

    def scan_parser(self, *, whole: bool = False) -> VirtualTIFF:
        """Make the parser of a scan, which reads one image of each file, or the `whole`."""
        ifd = self.ifd or ("all" if whole else "0")
        return self.parser(ifd=None if ifd == "all" else ifd_path(ifd))

    def wants_times(self) -> bool:
        """Whether an option defines where times come from."""
        return bool(self.datetime_column or self.datetime_pattern or self.datetime_tag)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `scan`, without the parser."""
        return {
            **ReadChoices.arguments(self),
            "pages": self.pages,
            "datetime_column": self.datetime_column,
            "datetime_pattern": self.datetime_pattern,
            "datetime_tag": self.datetime_tag,
            "concurrency": self.concurrency,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeChoices:
    """How images become a cube."""

    along: Annotated[
        list[str] | None,
        typer.Option(
            help="Column along which images are stacked; may be repeated. By default datetime; "
            "with --stitch none, unless two images claim one place, or the axes of the cube that "
            "images are appended to.",
            show_default=False,
        ),
    ] = None
    stitch: Annotated[
        bool,
        typer.Option("--stitch", help="Images continue each other, as tiles of one grid do."),
    ] = False
    grid: Annotated[
        choices.Grid,
        typer.Option(
            help="regular: one array of (y, x). tiles: (tile_y, tile_x, y, x), for images that do "
            "not end on chunks. auto: regular if possible."
        ),
    ] = "auto"
    snap: Annotated[
        float, typer.Option(help="Greatest distance of a stitched image from its grid, in pixels.")
    ] = 0.01
    bounds: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(
            metavar="LEFT BOTTOM RIGHT TOP",
            help="Extent of a stitched cube in CRS units, with room for later images.",
            show_default=False,
        ),
    ] = None
    on_gap: Annotated[
        choices.OnGap,
        typer.Option(help="Places without an image nor a nodata value: raise, or fill them."),
    ] = "raise"
    fill_value: Annotated[
        float | None,
        typer.Option(help="Value of these places, which no pixel has.", show_default=False),
    ] = None
    variable: Annotated[str | None, typer.Option(help="Column that names the variables.")] = None
    variable_pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression that finds their names in URLs: '_(red|nir)'."),
    ] = None
    name: Annotated[
        str | None, typer.Option(help="Name of the variable, if there is only one: data if new.")
    ] = None
    split_bands: Annotated[
        bool, typer.Option("--split-bands", help="Make each band of planar images a variable.")
    ] = False
    overviews: Annotated[
        bool,
        typer.Option("--overviews", help="A pyramid: groups 0, 1, … for each level of resolution."),
    ] = False
    masks: Annotated[
        bool, typer.Option("--masks", help="Add the masks of the images: NAME_mask.")
    ] = False
    item_properties: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Property of STAC Items, or column, to store as a coordinate along the first "
            "dimension; may be repeated.",
            show_default=False,
        ),
    ] = None
    on_duplicate: Annotated[
        choices.OnDuplicate,
        typer.Option(
            metavar="RULE", help="Several images at one position: raise, first, last or newest."
        ),
    ] = "raise"

    skip_mismatched: Annotated[
        bool,
        typer.Option(
            "--skip-mismatched",
            help="Leave out images with another grid or encoding than most, or than the cube.",
        ),
    ] = False

    def options(self, *, coordinates: bool = True) -> CubeOptions:
        """Make the options of the cube."""
        from virtual_tiff.cubes.options import CubeOptions

        fields = asdict(self)
        on_mismatch: choices.OnMismatch = "skip" if fields.pop("skip_mismatched") else "raise"
        return CubeOptions(**fields, on_mismatch=on_mismatch, coordinates=coordinates)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitChoices:
    """Options of the commit and the output."""

    group: Group = ""
    skip_failed: Annotated[
        bool, typer.Option("--skip-failed", help="Leave out files that cannot be read.")
    ] = False
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing: print arrays, shapes, chunks, gaps and bytes to copy.",
        ),
    ] = False
    message: Annotated[
        str | None,
        typer.Option("--message", "-m", help="Message of the commit.", show_default=False),
    ] = None
    branch: Annotated[
        str, typer.Option(help="Branch to commit to; created if it does not exist.")
    ] = "main"
    anonymous: Anonymous = False
    as_json: Json = False
    quiet: Quiet = False

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `publish`, `stack` and `append`."""
        return {
            "group": self.group,
            "on_failed": "skip" if self.skip_failed else "raise",
            "dry_run": self.dry_run,
            "message": self.message,
            "branch": self.branch,
            "anonymous": self.anonymous,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkChoices:
    """Options for running a scan."""

    executor: Executor = None
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder with which an interrupted scan can continue.")
    ] = None
    images_per_commit: ImagesPerCommit = None


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
        name, inspect.Parameter.KEYWORD_ONLY, annotation=_spelled_out(annotation), default=default
    )


def _spelled_out(annotation: Any) -> Any:
    """Put the values in the place of their alias, of which typer would print the name alone."""
    kind, *details = get_args(annotation)
    return Annotated[kind.__value__, *details] if isinstance(kind, TypeAliasType) else annotation
