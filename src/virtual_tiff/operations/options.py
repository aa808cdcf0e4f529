"""The options of `publish`, `stack` and `append`: names and types (PEP 692), and what they mean."""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, TypedDict, cast

from virtual_tiff.choices import (
    Grid,
    IFDLayout,
    OnDuplicate,
    OnFailed,
    OnGap,
    OnMismatch,
    OnPresent,
    OutOfOrder,
    Pages,
    check_names,
)
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.source_options import SourceArguments
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.progress import Progress

type Names = Sequence[str] | Callable[[str], str]


class CommitOptions(SourceArguments, total=False):
    """Of all three."""

    group: str
    message: str | None
    branch: str
    dry_run: bool
    on_failed: OnFailed
    parser: VirtualTIFF | None
    concurrency: int
    progress: Progress | None
    columns: Mapping[str, str] | None
    images_per_commit: int | None


class TreeOptions(CommitOptions, total=False):
    """Of `publish`."""

    names: Names | None
    ifd_layout: IFDLayout
    into_existing: bool
    on_present: OnPresent


class CubeFields(TypedDict, total=False):
    """The fields of `CubeOptions`."""

    along: str | Sequence[str] | None
    stitch: bool
    grid: Grid
    snap: float
    bounds: Sequence[float] | None
    on_gap: OnGap
    fill_value: float | None
    variable: str | None
    variable_pattern: str | None
    name: str | None
    split_bands: bool
    on_duplicate: OnDuplicate
    on_mismatch: OnMismatch
    overviews: bool
    masks: bool
    item_properties: str | Sequence[str] | None
    coordinates: bool


class CubeArguments(CommitOptions, CubeFields, total=False):
    """Of `stack` and `append`."""

    options: CubeOptions | None
    pages: Pages
    datetime_column: str | None
    datetime_pattern: str | None
    datetime_tag: bool
    checkpoint: str | os.PathLike[str] | None
    executor: Executor | None


class StackOptions(CubeArguments, total=False):
    """Of `stack`."""

    into_existing: bool


class AppendOptions(CubeArguments, total=False):
    """Of `append`."""

    on_present: OnPresent
    out_of_order: OutOfOrder


#: Types and meanings, in the order in which docstrings have them.
MEANINGS = {
    "group": (
        "str",
        "Path of a group: the one that holds the groups of the files, or that of the cube; empty "
        "for the root. With names of columns in braces, such as `sentinel2/{tile}`, the path of "
        "the group of each file, or a cube for each value; `{stem}` is the name of a file without "
        "its suffix, `{datetime:%Y}` a year, and `{lattice}` (of `stack` and `append`) CRS and "
        "pixel size, for images on several lattices.",
    ),
    "names": (
        "sequence of str, or callable",
        "Paths of the groups, one for each file, or a function of its URL. By default the name of "
        "each file without its suffix, with as many folders in front as tell files apart.",
    ),
    "message": ("str", "Of the commit."),
    "branch": (
        "str",
        "Branch to commit to, `main` by default. A new branch starts at `main`.",
    ),
    "dry_run": (
        "bool",
        "Read headers and check everything, but write nothing, and make no repository: `planned` "
        "of the result has the arrays, with shapes, chunks, gaps and bytes that would be copied.",
    ),
    "into_existing": (
        "bool",
        "Add to a repository that has data of other software.",
    ),
    "on_present": (
        '{"raise", "skip", "replace"}',
        "What to do about what is there already, an image in its place of a cube, or the group of "
        "a file: refuse all, skip it, or replace it unless it is the same. Files that a listing "
        "shows unchanged since they were published are not read then.",
    ),
    "out_of_order": (
        '{"raise", "insert"}',
        "What to do about images before the last of the cube: refuse all, or insert them where "
        "they belong, for which references are rewritten.",
    ),
    "on_failed": (
        '{"raise", "skip"}',
        "What to do about files that cannot be read: publish nothing, or leave them out.",
    ),
    "options": (
        "CubeOptions",
        "The fields of `CubeOptions` (`along`, `variable`, `overviews`, …) as one object. Each of "
        "them is an option of its own too.",
    ),
    "parser": (
        "VirtualTIFF",
        "How the files are parsed. By default all images of a file for a group of its own, in the "
        "layout `multiscale`, and the first for a cube. With an inventory, only its `ifd_layout` "
        "and `coords` matter.",
    ),
    "ifd_layout": (
        '{"multiscale", "flat", "nested", "pages"}',
        "How the images of one file become groups, as for `VirtualTIFF`. By default `multiscale`, "
        "or what `parser` says.",
    ),
    "registry": (
        "ObjectStoreRegistry",
        "Stores for the files. By default obstore's, with credentials from the environment.",
    ),
    "anonymous": ("bool", "Read the files without credentials, as for public buckets."),
    "url_column": ("str", "Column of a table that holds URLs, as for `scan`."),
    "columns": (
        "mapping of str",
        "Columns whose values a pattern finds in a URL, as for `scan`: for `along`, `variable` and "
        "templates of `group`.",
    ),
    "assets": ("sequence of str", "Keys or patterns of assets of STAC Items, as for `scan`."),
    "asset_roles": ("sequence of str", "Roles of assets of STAC Items, of which one is enough."),
    "asset_gsd": ("float", "Resolution of assets of STAC Items, in metres."),
    "alternate": ("str", "Name of the alternate address of the assets to use, such as `s3`."),
    "stac_metadata": (
        '{"use", "ignore"}',
        "Whether scale, offset, nodata, unit, names and collection of STAC Items complete what the "
        "TIFFs say. Images that contradict their Item are refused.",
    ),
    "pages": (
        '{"auto", "axes", "separate"}',
        "How pages of one image, such as a z-stack, become a cube: `axes` makes dimensions of "
        "them, in OME-Zarr's order `t`, `c`, `z`, `y`, `x`; `separate` takes directories for "
        "images. `auto` is `axes` where a file has several pages whose order is known.",
    ),
    "bbox": (
        "sequence of float",
        "West, south, east and north in degrees, of the search for a source `catalog:NAME`.",
    ),
    "datetime": (
        "str",
        "Time or interval of that search (RFC 3339), such as `2024-06` or `2024-01-01/2024-12-31`.",
    ),
    "datetime_column": ("str", "Column of a table, or property of STAC Items, that is the time."),
    "datetime_pattern": ("str", "Finds the time in a URL, as for `scan`."),
    "datetime_tag": ("bool", "Whether the TIFF's DateTime is the time, as for `scan`."),
    "images_per_commit": (
        "int",
        "Make several commits of about so many images each, for inventories that are larger than "
        "memory: their files are read piece by piece. After an interruption the same call goes on "
        "where it stopped: what is there unchanged is skipped. Stitched cubes need `along` and "
        "`grid` then. By default readers see all or nothing: there is one commit, or, for a new "
        "cube of more than 250,000 images in the order of time, several that appear together.",
    ),
    "checkpoint": ("str or path", "Folder that lets an interrupted scan go on."),
    "concurrency": ("int", "Headers in flight at once."),
    "executor": (
        "concurrent.futures.Executor",
        "Any executor, or a Dask client, to share the scan and the writing of references; the "
        "repository must not be in memory then.",
    ),
    "progress": (
        "Progress",
        "Called with the stage, the items done, all items and those that failed; maybe from "
        "another thread.",
    ),
}


def documented[F: Callable[..., Any]](options: type) -> Callable[[F], F]:
    """Make a decorator that puts the options of a function into its docstring."""
    known = _keys(options)
    lines = ["Other Parameters", "----------------"]
    for name, (kind, meaning) in MEANINGS.items():
        if name in known and meaning:
            lines += [f"{name} : {kind}", textwrap.indent(textwrap.fill(meaning, 90), "    ")]

    def add(function: F) -> F:
        text = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = text.replace("\nReturns\n", "\n{}\n\nReturns\n".format("\n".join(lines)))
        return function

    return add


def check_options(function: str, given: Mapping[str, object], options: type) -> None:
    """Refuse options that a function does not have; name the one that may be meant."""
    check_names(function, given, options, lambda name: _remedy(function, name))


def _remedy(function: str, name: str) -> str | None:
    if name == "layout":
        return (
            "publish() makes a group for each file, and stack() makes cubes of images; how the "
            "images of one file are laid out is ifd_layout."
        )
    others = {"publish": TreeOptions, "stack": StackOptions, "append": AppendOptions}
    having = [f"{other}()" for other, options in others.items() if name in _keys(options)]
    return f"It is an option of {' and '.join(having)}." if having else None


def cube_options(given: dict[str, Any]) -> CubeOptions:
    """Take `CubeOptions`, as a whole or by its fields, out of the options of `stack`."""
    fields = {name: given.pop(name) for name in CubeFields.__optional_keys__ & given.keys()}
    whole = given.pop("options", None)
    if whole is None:
        return CubeOptions(**fields)
    if fields:
        raise InvalidOptionError(
            f"{min(fields)!r} is given, and options too.",
            remedy="Pass the fields of CubeOptions one by one, or options alone.",
        )
    return cast(CubeOptions, whole)


def _keys(options: type) -> Collection[str]:
    return cast(Any, options).__optional_keys__  # type: ignore[no-any-return]
