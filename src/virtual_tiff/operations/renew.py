"""`renew`: the images of files that have changed, without naming files or options again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import icechunk
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from icechunk import IcechunkStore
from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.audit.history import snapshot_of
from virtual_tiff.audit.recorded import RecordedStates
from virtual_tiff.audit.report import Status
from virtual_tiff.audit.states import States, find_changed
from virtual_tiff.choices import OnFailed, OnMismatch, check_choice
from virtual_tiff.cubes.coordinate import positions
from virtual_tiff.cubes.masks import MASK
from virtual_tiff.cubes.options import CubeOptions, column_of
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import ErrorKind, MismatchError, VirtualTIFFError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.added_meaning import Unchanged, added_meaning, with_meaning
from virtual_tiff.operations.files import failed_in
from virtual_tiff.operations.selecting import within
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.names import group_path
from virtual_tiff.planning.stacks import TILES
from virtual_tiff.progress import Progress
from virtual_tiff.publishing.commit import commit
from virtual_tiff.publishing.containers import containers_for, store_settings, stored_containers
from virtual_tiff.publishing.coordinate import read_coordinate
from virtual_tiff.publishing.cube import CubePart, existing_levels, level_count
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.repository import Location, icechunk_errors, open_repository
from virtual_tiff.publishing.results import PublishResult
from virtual_tiff.publishing.sources_table import Sources, read_sources_table
from virtual_tiff.publishing.target import Target
from virtual_tiff.storage.run import run
from virtual_tiff.storage.stores import registry_for

DEFAULT_CONCURRENCY = 128
_REMEDY = (
    'Pass on_mismatch="skip" to leave it out, call append with on_present="replace" and the '
    "options of the cube, remove the images, or publish them as a separate cube."
)


def renew(
    repo: Location | icechunk.Repository,
    *,
    group: str = "",
    branch: str = "main",
    message: str | None = None,
    on_failed: OnFailed = "raise",
    on_mismatch: OnMismatch = "raise",
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PublishResult:
    """Renew the images of cubes whose files have changed since they were published.

    Every file gets one request, as in `verify`; those that have changed are read again, and take
    the places that they had, in one commit. Files that are gone are left as they are, and listed in
    `failed`: see `remove`.

    Parameters
    ----------
    repo
        The repository, or its location.
    group
        Only cubes in this group, or below it.
    branch
        Branch to commit to.
    message
        Of the commit.
    on_failed
        What to do about files whose store does not answer, and changed files that cannot be read,
        or have no image any more where they had one: renew nothing, or leave them out.
    on_mismatch
        What to do about changed files that do not fit their cubes any more, or are at other places:
        renew nothing, or leave them out.
    registry, anonymous
        Stores for the files, as for `verify`.
    concurrency
        Requests in flight at once.
    dry_run
        Check everything, and say what would be renewed, but write nothing.
    progress
        See `virtual_tiff.Progress`.

    Returns
    -------
    PublishResult
        With `snapshot_id` `None` if nothing has changed.

    Raises
    ------
    MismatchError
        Changed images do not fit their cubes any more, or are at other places of a mosaic.
    VirtualTIFFError
        Files cannot be read.
    """
    check_choice("on_failed", on_failed, OnFailed)
    check_choice("on_mismatch", on_mismatch, OnMismatch)
    target = Target(repo, branch, create=False, into_existing=True)
    repository = open_repository(target.location)
    with icechunk_errors(repo):
        snapshot = snapshot_of(repository, branch, only="branch")
        store = repository.readonly_session(snapshot_id=snapshot).store
        sources = _of_cubes(read_sources_table(store), group_path(group))
        recorded = RecordedStates.of(sources)
        settings = {c.prefix: store_settings(c) for c in stored_containers(repository.config)}
    stores = registry_for(recorded.urls(), registry, anonymous=anonymous, settings=settings)
    count = len(recorded)
    states = run(find_changed(recorded.items(), count, stores, concurrency, progress))
    changed = {url for url, (status, _) in states.items() if status == Status.CHANGED}
    others = _without_answer(states, on_failed)
    known = count - len(states)
    if not changed:
        return PublishResult(
            snapshot_id=None, branch=branch, added={}, failed=others, known=known, dry_run=dry_run
        )
    first = all(ifd == "0" for ifd in sources["ifd"].tolist())
    parser = VirtualTIFF(ifd=0) if first else VirtualTIFF()
    read = partial(scan, parser=parser, registry=stores)
    inventory = read(sorted(changed), progress=progress)
    failed = failed_in(inventory, on_failed)
    unchanged = Unchanged(sources, {*states}, cache(read))
    containers = containers_for(sorted(changed), registry=stores, anonymous=anonymous)

    def write(urls: set[str], *, dry_run: bool) -> PublishResult:
        images = _images(store, sources, urls)
        parts = [
            CubePart(path, cube, is_new=False, on_present="replace")
            for path, cube in _planned(store, images, inventory, unchanged)
        ]
        return commit(
            target,
            parts,
            message,
            action="append",
            containers=containers,
            progress=progress,
            dry_run=dry_run,
        )

    readable = changed - failed.keys()
    odd: dict[str, str] = {}
    try:
        result = write(readable, dry_run=dry_run)
    except MismatchError as error:
        if on_mismatch == "skip":
            odd = _unfit(readable, partial(write, dry_run=True))
        if not odd:
            # Remedies of `append` name options that `renew` has not.
            error.remedy = _REMEDY
            raise
        result = write(readable - odd.keys(), dry_run=dry_run)
    return replace(result, failed={**others, **failed}, mismatched=odd, known=known)


def _unfit(urls: set[str], write: Callable[[set[str]], object]) -> dict[str, str]:
    """Return why files do not fit, by URL: each is tried alone, since two may not fit together."""
    found = {}
    for url in sorted(urls):
        try:
            write({url})
        except MismatchError as error:
            found[url] = error.message
    return found


def _without_answer(states: States, on_failed: OnFailed) -> dict[str, str]:
    """Return why files are gone, or cannot be asked for, by URL; raise for the latter."""
    asked = {url: state for url, state in sorted(states.items()) if state[0] != Status.CHANGED}
    for url, (status, why) in asked.items():
        if status == Status.UNREACHABLE and on_failed == "raise":
            raise VirtualTIFFError(
                why,
                kind=ErrorKind.STORAGE,
                url=url,
                remedy='Try again, or pass on_failed="skip" to leave such files as they are.',
            )
    return {url: why for url, (_, why) in asked.items()}


def _of_cubes(sources: Sources, group: str) -> Sources:
    """Return the rows of images that have a place in a cube."""
    columns = (sources["position"].tolist(), within(sources, group).tolist())
    rows = [row for row, (place, is_in) in enumerate(zip(*columns, strict=True)) if is_in]
    return sources.take([row for row in rows if str(sources["position"][row]) != "{}"])


@dataclass(frozen=True, slots=True)
class _Alike:
    """Images that one plan can have: of one cube and variable, or of the same bands of it.

    `names` are those of the variables, by band of the image, which is -1 for all; `masks` says
    whether they have variables of masks.
    """

    cube: str
    names: tuple[tuple[int, str], ...]
    masks: bool


#: URL, image and place of an image.
type _Image = tuple[str, str, str]


def _images(store: IcechunkStore, sources: Sources, urls: set[str]) -> dict[_Alike, list[_Image]]:
    """Return the images of some files, of full resolution, with those that are alike together."""
    bands: dict[tuple[str, _Image], dict[int, str]] = defaultdict(dict)
    arrays = set(sources["array"].tolist())
    columns = (sources[name].tolist() for name in ("array", "url", "ifd", "position", "band"))
    for array, url, ifd, place, band in zip(*columns, strict=True):
        if url not in urls:
            continue
        level, _, name = array.rpartition("/")
        above, _, number = level.rpartition("/")
        if number.isdecimal() and level_count(store, above):
            if number != "0":
                continue  # overviews come with the image that they belong to
            level = above
        # Variables of whole images have a plan each.
        if name.endswith(MASK) and array.removesuffix(MASK) in arrays:
            continue  # masks come with their images
        key = (level, (url, ifd, place)) if band >= 0 else (f"{level}:{name}", (url, ifd, place))
        bands[key][band] = array
    found: dict[_Alike, list[_Image]] = defaultdict(list)
    for (path, image), named in bands.items():
        names = tuple(sorted((band, array.rpartition("/")[2]) for band, array in named.items()))
        masks = any(f"{array}{MASK}" in arrays for array in named.values())
        found[_Alike(path.partition(":")[0], names, masks)].append(image)
    return found


def _planned(
    store: IcechunkStore,
    images: Mapping[_Alike, Sequence[_Image]],
    inventory: Inventory,
    unchanged: Unchanged,
) -> Iterator[tuple[str, CubePlan]]:
    """Plan changed images for the places that they have."""
    table = inventory.images.table
    keys = zip(table["url"].to_pylist(), table["ifd"].to_pylist(), strict=True)
    rows = {key: row for row, key in enumerate(keys)}
    others = inventory.images.filter(pc.not_equal(table["role"], "image")).table
    for alike, members in images.items():
        for url, ifd, _ in members:
            if (url, ifd) not in rows:
                raise MismatchError(
                    f"there is no image {ifd} in the file any more.",
                    url=url,
                    remedy="Remove it from the cube, or put the file back.",
                )
        chosen = table.take(pa.array([rows[url, ifd] for url, ifd, _ in members]))
        places = [json.loads(place) for *_, place in members]
        pyramid = level_count(store, alike.cube) > 0
        full = f"{key_prefix(alike.cube)}0" if pyramid else alike.cube
        group = zarr.open_group(store, path=full or None, mode="r", zarr_format=3)
        chosen, along = _with_axes(chosen, places, group)
        stitched = len(along) < len(places[0])
        options = CubeOptions(
            along=along,
            stitch=stitched,
            split_bands=alike.names[0][0] >= 0,
            name=alike.names[0][1] if alike.names[0][0] < 0 else "data",
            overviews=pyramid,
            masks=alike.masks,
        )
        if pyramid or alike.masks:
            chosen = pa.concat_tables([chosen, others], promote_options="default")
        existing = existing_levels(store, alike.cube) if stitched else ()
        cube = plan_cube(Inventory(chosen), options, existing)
        if added := added_meaning(group, full, _renamed(cube, dict(alike.names)), unchanged):
            chosen, options = with_meaning(chosen, options, added)
            cube = plan_cube(Inventory(chosen), options, existing)
        _check_places(cube, {(url, place) for url, _, place in members})
        yield alike.cube, _renamed(cube, dict(alike.names))


def _check_places(cube: CubePlan, had: Set[tuple[str, str]]) -> None:
    """Refuse images that would take other places than they had, which may be those of others."""
    urls = cube.inventory.table["url"].to_pylist()
    for variable in cube.variables.values():
        places = positions(cube.axes, variable, cube.grid_kind)
        for row, place in zip(variable.rows.tolist(), places, strict=True):
            if (urls[row], place) not in had:
                before = " or ".join(sorted(at for url, at in had if url == urls[row]))
                raise MismatchError(
                    f"the image is at {place} now, but was at {before} in the cube.",
                    url=urls[row],
                    remedy="Remove it from the cube, and append it again.",
                )


def _with_axes(
    table: pa.Table, places: Sequence[Mapping[str, Any]], group: zarr.Group
) -> tuple[pa.Table, list[str]]:
    """Add the coordinates of images to their rows, and return the columns to stack along."""
    along = []
    for axis in places[0]:
        if axis in ("y", "x", *TILES):
            continue
        values = [place[axis] for place in places]
        column, name = pa.array(values), axis
        if read_coordinate(group, axis).dtype.kind == "M":
            times = np.array(values, "datetime64[us]").astype(np.int64)
            column = pa.array(times).cast(pa.timestamp("us", "UTC"))
            name = column_of(axis)
        at = table.schema.get_field_index(name)
        if at >= 0:
            table = table.remove_column(at)
        table = table.append_column(name, column)
        along.append(name)
    return table, along


def _renamed(cube: CubePlan, names: Mapping[int, str]) -> CubePlan:
    """Give the bands of images the names that they have in the cube."""
    if -1 in names:
        return cube
    levels = [
        replace(
            level,
            variables={
                names[v.band.index]: v for v in level.variables.values() if v.band is not None
            },
            overviews=(),
        )
        for level in cube.levels
    ]
    return replace(levels[0], overviews=tuple(levels[1:]))
