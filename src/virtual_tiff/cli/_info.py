"""The command `info`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtual_tiff.cli._common import say, sidecar_names
from virtual_tiff.cli._options import Anonymous, Json, Sidecars, Sources, TableChoices, flattened
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError, joined

if TYPE_CHECKING:
    from virtual_tiff.tiff.ifd import ImageFileDirectory, TagEntry

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

INFO_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff info image.tif

    virtual-tiff info https://example.com/cog.tif --json | jq '.[0].images[0].bounds'

    virtual-tiff info image.tif --tags

    virtual-tiff info https://example.com/cog.tif --tms > tms.json
    """
#: Characters of a value that `--tags` prints.
_LONGEST = 80
_RATIOS = ("RATIONAL", "SRATIONAL")


@flattened
def info(
    sources: Sources,
    *,
    as_json: Json = False,
    tags: Annotated[
        bool,
        typer.Option("--tags", help="List every tag: code, name, type, count and value."),
    ] = False,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Print the profile of each file, as rasterio has it."),
    ] = False,
    tms: Annotated[
        bool,
        typer.Option(
            "--tms", help="Print the tile grid of one file as an OGC TileMatrixSet (JSON)."
        ),
    ] = False,
    sidecars: Sidecars = None,
    table: TableChoices,
    limit: Annotated[
        int, typer.Option(min=1, help="Most files of folders, patterns, lists and tables.")
    ] = 1000,
    concurrency: Annotated[int, typer.Option(min=1, help="Files read at once.")] = 64,
    anonymous: Anonymous = False,
) -> None:
    """Show what is in TIFFs: images, overviews, masks, chunks, codecs, and which clients read them.

    Reads only headers, usually in one request of 32 KiB for each file: size and encoding of each
    image, its place, bands, scales, nodata values and statistics, GDAL's and GeoTIFF's metadata.
    Addresses may have a query, such as a signature. The exit status is 1 if a file cannot be read;
    the others are shown.
    """
    if (tags, profile, tms).count(True) > 1:
        raise typer.BadParameter(
            "--tags, --profile and --tms are three outputs: choose one", param_hint="--tags"
        )
    kinds = sidecar_names(sidecars)
    if tms:
        _print_tile_matrix_set(sources, anonymous=anonymous, sidecars=kinds)
        return
    with _repositories_are_named(sources):
        if tags or profile:
            of_each = _tags_of if tags else _profile_of
            options = {"anonymous": anonymous, **({"sidecars": kinds} if sidecars else {})}
            _print_each(sources, of_each, as_json, limit, table, options)
            return
        _print_info(
            sources,
            as_json=as_json,
            anonymous=anonymous,
            sidecars=kinds,
            limit=limit,
            concurrency=concurrency,
            **table.arguments(),
        )


@contextmanager
def _repositories_are_named(sources: Sequence[str]) -> Iterator[None]:
    """Name the command for a repository where one was given in place of TIFFs."""
    try:
        yield
    except InvalidOptionError as error:
        if error.kind == ErrorKind.NO_SOURCES and len(sources) == 1:
            # Imported here: it imports Icechunk.
            from virtual_tiff.publishing.repository import exists, storage_at

            with suppress(VirtualTIFFError):
                if exists(storage_at(sources[0]), sources[0]):
                    error.remedy = "It is a repository: virtual-tiff describe shows what is in it."
        raise


def _print_info(sources: Sequence[str], *, as_json: bool, **options: Any) -> None:
    from virtual_tiff.cli._output import print_files
    from virtual_tiff.inspection.read import examine

    files, error = examine(sources, **options)
    if as_json and files:
        _print_json([file.to_json() for file in files])
    elif files:
        print_files(files)
    if error is not None:
        raise error


def _print_each(
    sources: Sequence[str],
    of_each: Callable[..., tuple[Any, list[str]]],
    as_json: bool,
    limit: int,
    table: TableChoices,
    options: dict[str, Any],
) -> None:
    """Print something of each file: JSON, or lines."""
    from virtual_tiff.inventory.files import file_urls
    from virtual_tiff.messages import redacted
    from virtual_tiff.storage.addresses import is_local, local_path

    urls = file_urls(sources, limit=limit, anonymous=options["anonymous"], **table.arguments())
    documents: list[dict[str, Any]] = []
    failures = []
    for url in urls:
        try:
            # Addresses of local files hold names verbatim.
            found, lines = of_each(local_path(url) if is_local(url) else url, **options)
        except VirtualTIFFError as error:
            # The others are shown.
            failures.append(error)
            continue
        documents.append({"url": redacted(url), **found})
        if not as_json:
            for line in (*([redacted(url)] if len(urls) > 1 else ()), *lines):
                say(line)
    if as_json and documents:
        _print_json(documents)
    if failures:
        raise joined(failures, len(urls))


def _profile_of(source: str, **options: Any) -> tuple[dict[str, Any], list[str]]:
    from virtual_tiff.inspection.profile import profile

    found = profile(source, **options)
    if found["crs"] is not None:
        found["crs"] = found["crs"].to_string()
    found["transform"] = list(found["transform"][:6])
    found["nodata"] = _number_as_json(found["nodata"])
    return found, [json.dumps(found, ensure_ascii=False)]


def _tags_of(source: str, **options: Any) -> tuple[dict[str, Any], list[str]]:
    from virtual_tiff.inspection.directories import read_directories

    directories = read_directories(source, **options)
    lines = []
    for directory in directories:
        lines.append(f"IFD {_path(directory)} at byte {directory.position}")
        lines += [line for tag in directory.tags for line in _tag_lines(tag)]
    found = [
        {"ifd": _path(directory), "tags": [_as_json(tag) for tag in directory.tags]}
        for directory in directories
    ]
    return {"directories": found}, lines


def _path(directory: ImageFileDirectory) -> str:
    return ".".join(map(str, directory.index))


def _tag_lines(tag: TagEntry) -> Iterator[str]:
    """Yield a line for a tag, and one for each entry of the directory that it names."""
    start = f"  {tag.code:>5}  {tag.name:<28} {tag.type:<10} {tag.count:>8}  "
    if not isinstance(tag.value, Mapping):
        yield start + _shortened(tag.value, is_ratio=tag.type in _RATIOS)
        return
    yield f"{start}{len(tag.value)} entries"
    for name, value in tag.value.items():
        yield f"         {name:<47}  {_shortened(value)}"


def _as_json(tag: TagEntry) -> dict[str, Any]:
    value = tag.value
    return {
        "code": tag.code,
        "name": tag.name,
        "type": tag.type,
        "count": tag.count,
        "value": {name: _value_as_json(part) for name, part in value.items()}
        if isinstance(value, Mapping)
        else _value_as_json(value),
    }


def _value_as_json(value: Any) -> Any:
    if isinstance(value, bytes | tuple):
        return [_number_as_json(one) for one in value]
    return _number_as_json(value)


def _number_as_json(value: Any) -> Any:
    """Return a value that JSON has: it has neither NaN nor infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _shortened(value: Any, *, is_ratio: bool = False) -> str:
    """Return a value in a line; of many numbers the first."""
    if value is None:
        return "(cannot be read)"
    if isinstance(value, tuple):
        many = value[: _LONGEST // 2]
        parts = [f"{a}/{b}" for a, b in zip(many[::2], many[1::2], strict=False)]
        text = ", ".join(parts if is_ratio else map(str, many))
    else:
        text = repr(value[:_LONGEST]) if isinstance(value, bytes) else str(value)
    text = " ".join(text.split()) if isinstance(value, str) else text
    long = len(text) > _LONGEST or (isinstance(value, tuple) and len(value) > _LONGEST // 2)
    return f"{text[:_LONGEST]}…" if long else text


def _print_json(value: Any) -> None:
    say(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False), lines=True)


def _print_tile_matrix_set(sources: Sequence[str], **options: Any) -> None:
    from virtual_tiff.inspection.tile_grid import tile_matrix_set

    if len(sources) != 1:
        raise typer.BadParameter(
            f"{len(sources)} files have as many tile grids: name one", param_hint="--tms"
        )
    print(tile_matrix_set(sources[0], **options).model_dump_json(exclude_none=True, indent=2))
