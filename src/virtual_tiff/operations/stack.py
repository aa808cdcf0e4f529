"""`stack` and `append`: images as cubes of a repository, in one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import icechunk
import pyarrow as pa

from virtual_tiff.choices import OnFailed, OnPresent, OutOfOrder, check_choice
from virtual_tiff.cubes.grouping import checked_group, group_paths, is_template
from virtual_tiff.cubes.lattice import lattice_names
from virtual_tiff.cubes.placing import stackable
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.cubes.stack import plan_cube
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.batches import batches_of, inventory_files, to_divide
from virtual_tiff.operations.files import as_inventory, failed_in, inventory_in, no_rows
from virtual_tiff.operations.incremental import clashing, known_in_cubes, list_sources
from virtual_tiff.operations.large import is_large, publish_large
from virtual_tiff.operations.options import (
    AppendOptions,
    StackOptions,
    check_options,
    cube_options,
    documented,
)
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.attributes import attribute_notes
from virtual_tiff.planning.names import check_apart
from virtual_tiff.publishing.commit import Action, commit
from virtual_tiff.publishing.containers import containers_for
from virtual_tiff.publishing.cube import CubePart, existing_levels, has_cube
from virtual_tiff.publishing.extending.fitting import without_unfit
from virtual_tiff.publishing.repository import Location
from virtual_tiff.publishing.results import PublishResult, combined
from virtual_tiff.publishing.sources_table import Recorded
from virtual_tiff.publishing.target import Target

type Repository = icechunk.Repository


@documented(StackOptions)
def stack(
    sources: object, repo: Location | Repository, **options: Unpack[StackOptions]
) -> PublishResult:
    r"""Publish images of one grid as a cube, without copying their pixels, in one commit.

    The cube has an array for each variable. An image has a position on every axis of it: time and
    other columns (`along`), and with `stitch` also y and x, as tiles of one grid have. Images must
    share CRS, lattice, data type and encoding; what differs is named, and nothing is resampled.
    With a template for `group`, there is a cube for each of its values.

    Parameters
    ----------
    sources
        As for `publish`.
    repo
        As for `publish`.
    **options
        See below, and the fields of `CubeOptions`.

    Returns
    -------
    PublishResult
        The snapshot, and what was added.

    Raises
    ------
    InvalidOptionError
        An argument is wrong; nothing was written.
    MismatchError
        Images cannot share an array; names the first, and the remedy.
    RepositoryError
        As for `publish`.
    VirtualTIFFError
        Files cannot be read.

    Examples
    --------
    >>> from virtual_tiff import stack
    >>> names = "examples/reflectance_*_red.tif"
    >>> stack(names, "cube", datetime_pattern=r"_(\d{8})_").images
    3
    """
    check_options("stack", options, StackOptions)
    given: dict[str, Any] = dict(options)
    coordinates = cube_options(dict(given)).coordinates
    into_existing = given.pop("into_existing", False)
    target = Target(repo, given.get("branch", "main"), into_existing=into_existing)
    part = partial(CubePart, coordinates=coordinates)
    return _commits(target, sources, part, "publish", **given)


@documented(AppendOptions)
def append(
    sources: object, repo: Location | Repository, **options: Unpack[AppendOptions]
) -> PublishResult:
    """Add images to cubes, in one commit.

    If another writer commits first, the images are planned again on top of its commit: they are
    added too, or refused if they conflict with it.

    Parameters
    ----------
    sources
        As for `publish`.
    repo
        Of the cube.
    **options
        See below, and the fields of `CubeOptions`.

    Returns
    -------
    PublishResult
        With `snapshot_id` `None` if all images were there and are skipped.

    Raises
    ------
    MismatchError
        Images do not fit the cube.
    InvalidOptionError
        With kind `duplicate` if the cube has images already.
    RepositoryError
        The cube does not exist; or with kind `conflict`, after repeated conflicts with other
        writers.
    """
    check_options("append", options, AppendOptions)
    given: dict[str, Any] = dict(options)
    on_present: OnPresent = given.pop("on_present", "raise")
    out_of_order: OutOfOrder = given.pop("out_of_order", "raise")
    check_choice("on_present", on_present, OnPresent)
    check_choice("out_of_order", out_of_order, OutOfOrder)
    # A cube of other writers is one too.
    target = Target(repo, given.get("branch", "main"), create=False, into_existing=True)
    part = partial(CubePart, is_new=False, on_present=on_present, out_of_order=out_of_order)
    return _commits(target, sources, part, "append", renews=on_present != "raise", **given)


def _commits(
    target: Target,
    sources: object,
    part: Callable[[str, CubePlan], CubePart],
    action: Action,
    *,
    images_per_commit: int | None = None,
    **given: Any,
) -> PublishResult:
    """Make one commit; or several, one for each batch of an inventory, and sum them up."""
    if images_per_commit is None:
        if (large := _large(target, sources, part, action, **given)) is not None:
            return large
        return _commit(target, sources, part, action, **given)
    found = to_divide(sources, images_per_commit)
    options = cube_options(dict(given))
    if options.stitch and options.along is None and action == "publish":
        raise InvalidOptionError(
            "whether a stitched cube has a time depends on all of its images, of which each commit "
            "has some.",
            remedy='Pass along="datetime" if it has a time; without one, make one commit.',
        )
    if options.stitch and options.grid == "auto" and action == "publish":
        raise InvalidOptionError(
            "whether the grid of a stitched cube can be regular depends on all of its images, of "
            "which each commit has some.",
            remedy='Pass grid="tiles", which holds images of one size at any places, or '
            'grid="regular" if all of them begin and end on multiples of their chunks.',
        )
    if given.get("dry_run"):
        # A batch is checked against the cube that those before it have made.
        return _commit(target, sources, part, action, **given)
    columns = given.pop("columns", None)
    results = [
        _commit(target, batch, part, action, resumes=True, **given)
        for batch in batches_of(found, images_per_commit, columns)
    ]
    if not results:
        raise no_rows()
    return combined(results)


def _large(
    target: Target,
    sources: object,
    part: Callable[[str, CubePlan], CubePart],
    action: Action,
    **given: Any,
) -> PublishResult | None:
    """Publish a new cube of a large inventory; `None` for all else."""
    if action != "publish" or given.get("dry_run"):
        return None
    found = sources if isinstance(sources, Inventory) else inventory_files(sources)
    if not found or not is_large(found, cube_options(dict(given))):
        return None

    def commit_one(aside: Target, batch: Inventory) -> PublishResult:
        return _commit(aside, batch, part, action, resumes=True, **given | {"branch": aside.branch})

    columns = given.pop("columns", None)
    return publish_large(target, found, commit_one, columns)


def _commit(
    target: Target,
    sources: object,
    part: Callable[[str, CubePlan], CubePart],
    action: Action,
    *,
    group: str = "",
    on_failed: OnFailed = "raise",
    message: str | None = None,
    branch: str = "main",
    dry_run: bool = False,
    renews: bool = False,
    resumes: bool = False,
    **given: Any,
) -> PublishResult:
    """Read and plan all that is to be written, then commit it.

    A commit that `resumes` others adds to cubes that are there.
    """
    check_choice("on_failed", on_failed, OnFailed)
    group = checked_group(group)
    options = cube_options(given)
    if given.get("parser") is None and (options.overviews or options.masks):
        given["parser"] = VirtualTIFF()
    target.check()
    incremental = renews and inventory_in(sources) is None
    skips = options.on_mismatch == "skip"
    reads = options.stitch or incremental or skips
    store = target.store() if resumes or (action == "append" and reads) else None
    known: set[str] = set()
    if incremental and store is not None:
        recorded, listed = Recorded(store), list_sources(sources, given)
        work = {name: given.get(name) for name in ("executor", "checkpoint", "progress")}
        known = known_in_cubes(recorded, listed, group, options)
        if len(known) == len(listed.urls):
            return PublishResult(
                snapshot_id=None, branch=branch, added={}, known=len(known), dry_run=dry_run
            )
        inventory = listed.without(known).read(**work)
    else:
        inventory = as_inventory(sources, **given)
    failed = failed_in(inventory, on_failed)
    if failed and not len(inventory.images) and (resumes or action == "append"):
        # A night in which all new files are broken changes nothing.
        return PublishResult(
            snapshot_id=None,
            branch=branch,
            added={},
            failed=failed,
            known=len(known),
            dry_run=dry_run,
        )

    alone: dict[str, str] = {}

    def is_new(path: str) -> bool:
        return action == "publish" and not (resumes and store and has_cube(store, path))

    def plan(path: str, images: Inventory) -> CubePlan | None:
        if is_new(path):
            return plan_cube(images, options)
        levels = existing_levels(store, path) if store and options.stitch else ()
        if store is None or not skips:
            return plan_cube(images, options, levels)
        full = f"{path}/0".lstrip("/") if options.overviews else path
        images, unfit = without_unfit(store, full, images, options, levels[:1])
        if unfit and not len(images.images):
            if not known:
                raise next(iter(unfit.values()))
            # Nothing but files of earlier nights that do not fit.
            alone.update((url, error.message) for url, error in unfit.items())
            return None
        cube = plan_cube(images, options, levels)
        left_out = {url: error.message for url, error in unfit.items()}
        return replace(cube, left_out={**left_out, **cube.left_out})

    cubes = _planned(inventory, group, plan, options.snap)
    if known and (claimed := clashing(recorded, cubes, known)):
        # Which of the files has the place is decided as for new ones.
        known -= claimed
        inventory = listed.without(known).read(**work)
        failed = failed_in(inventory, on_failed)
        cubes = _planned(inventory, group, plan, options.snap)
    containers = containers_for(
        inventory.images.table["url"].to_pylist(),
        registry=given.get("registry"),
        anonymous=given.get("anonymous", False),
    )
    parts = [part(path, cube) for path, cube in cubes.items()]
    if resumes:
        parts = [
            replace(
                each,
                resumes=True,
                is_new=is_new(each.path),
                # A cube that is made in one commit takes images in any order.
                out_of_order="insert" if action == "publish" else each.out_of_order,
            )
            for each in parts
        ]
    result = commit(
        target,
        parts,
        message,
        action=action,
        containers=containers,
        executor=given.get("executor"),
        progress=given.get("progress"),
        dry_run=dry_run,
    )
    notes = {
        f"{path}/{name}".lstrip("/"): found
        for path, cube in cubes.items()
        for name, variable in cube.variables.items()
        if (found := attribute_notes(variable.image.attributes))
    }
    mismatched = alone | {url: why for cube in cubes.values() for url, why in cube.left_out.items()}
    return replace(result, failed=failed, mismatched=mismatched, notes=notes, known=len(known))


def _with_lattices(images: Inventory, snap: float) -> Inventory:
    """Add a column `lattice`; overviews have the name of their image."""
    full = stackable(images)
    keys = zip(full.table["url"].to_pylist(), full.table["full_ifd"].to_pylist(), strict=True)
    names = dict(zip(keys, lattice_names(full.table, snap), strict=True))
    table = images.table
    all_keys = zip(table["url"].to_pylist(), table["full_ifd"].to_pylist(), strict=True)
    column = pa.array([names.get(key) for key in all_keys], pa.string())
    return Inventory(table.append_column("lattice", column))


def _planned(
    inventory: Inventory,
    group: str,
    plan: Callable[[str, Inventory], CubePlan | None],
    snap: float,
) -> Mapping[str, CubePlan]:
    """Plan a cube for each group that a template names, but those without images to add."""
    if not is_template(group):
        cube = plan(group, inventory)
        return {} if cube is None else {group: cube}
    # All rows, since they include the overviews.
    images = inventory.images
    if "{lattice}" in group and "lattice" not in images.table.column_names:
        images = _with_lattices(images, snap)
    stackable(images)
    members: dict[str, list[int]] = {}
    for row, path in enumerate(group_paths(images.table, group)):
        members.setdefault(path, []).append(row)
    urls = images.table["url"]
    check_apart({path: urls[rows[0]].as_py() for path, rows in members.items()})
    cubes = {
        path: plan(path, Inventory(images.table.take(pa.array(rows))))
        for path, rows in members.items()
    }
    return {path: cube for path, cube in cubes.items() if cube is not None}
