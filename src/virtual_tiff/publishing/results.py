"""What a commit added, in all and group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from virtual_tiff.json_type import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What was added to one group.

    Parameters
    ----------
    images
        Images that were added; in the group of a file, its arrays that hold images.
    replaced
        How many of them took the place of another image, or of the same file as it was before.
    removed
        Images that were removed.
    arrays
        Arrays that were made or extended, coordinates included.
    references
        Chunks that point into the files.
    stored
        Chunks whose bytes are in the repository, such as a short last strip.
    source
        URL of the file that the group was made of; `None` for a cube.
    has_groups
        Whether the group holds groups, which xarray opens as a DataTree.
    dataset
        Path of the first group that xarray opens as a dataset.
    steps
        New steps of the first dimension of a cube.
    first, last
        Least and greatest coordinate of the images in a cube, as text.
    variables
        Names of the variables of a cube that the images went into.
    skipped
        Images that were in the cube before.
    levels
        Levels of resolution of a cube; more than one with overviews.
    notes
        What was decided for the caller, and why, such as the grid of a stitched cube.
    """

    images: int
    arrays: int
    references: int = 0
    stored: int = 0
    source: str | None = None
    has_groups: bool = False
    dataset: str = ""
    steps: int = 0
    first: str = ""
    last: str = ""
    variables: tuple[str, ...] = ()
    skipped: int = 0
    replaced: int = 0
    removed: int = 0
    levels: int = 1
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, JSON]:
        """For machines, and for the metadata of a commit."""
        return {**asdict(self), "variables": list(self.variables), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedArray:
    """An array that a dry run would write, or make longer.

    Parameters
    ----------
    dimensions
        Names of the dimensions.
    shape, chunks
        Along the dimensions, after the commit.
    data_type
        Zarr's name of it.
    references
        Chunks that would point into the files.
    stored, bytes_stored
        Chunks, and their bytes, that would be copied into the repository.
    gaps
        Places without an image, after the commit.
    """

    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    data_type: str
    references: int = 0
    stored: int = 0
    bytes_stored: int = 0
    gaps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """What was published: by `publish`, `stack` and `append` alike.

    Parameters
    ----------
    snapshot_id
        The commit; `None` if there was nothing to commit.
    branch
        Where it was made.
    added
        What was added, by path of the group.
    failed
        URLs of files that were left out (`on_failed="skip"`), and why.
    mismatched
        URLs of files with images that were left out since they are not like the others
        (`on_mismatch="skip"`), and why.
    dry_run
        Whether nothing was written; `planned` has what would have been.
    planned
        Arrays that a dry run would write, by path.
    unchecked
        URLs of files whose server tells nothing that shows a change: readers will not notice one.
    containers
        Prefixes that a reader has to authorise.
    copied
        URLs of files with images that no Zarr codec expresses, and the reasons why their pixels
        were copied (`on_unsupported="copy"`).
    notes
        What readers have to know of the values of an array, by path of the array: scales that
        differ by band, nodata values that CF cannot express, metadata that could not be read; and
        what is not published, such as a damaged sub-IFD or planes without a directory.
    known
        Files that were published before, and that a listing shows unchanged: their headers were not
        read.
    """

    snapshot_id: str | None
    branch: str
    added: Mapping[str, Added]
    failed: Mapping[str, str] = field(default_factory=dict)
    mismatched: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    planned: Mapping[str, PlannedArray] = field(default_factory=dict)
    unchecked: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    copied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    known: int = 0

    @property
    def groups(self) -> Mapping[str, str]:
        """Path of the group of each file, by URL; empty for cubes."""
        return {a.source: path for path, a in self.added.items() if a.source is not None}

    @property
    def trees(self) -> tuple[str, ...]:
        """Paths of the groups that hold groups, which xarray opens as a DataTree."""
        return tuple(path for path, added in self.added.items() if added.has_groups)

    @property
    def images(self) -> int:
        """Images that were added, in all groups."""
        return sum(added.images for added in self.added.values())

    @property
    def replaced(self) -> int:
        """How many of them took the place of others, in all groups."""
        return sum(added.replaced for added in self.added.values())

    @property
    def removed(self) -> int:
        """Images that were removed, in all groups."""
        return sum(added.removed for added in self.added.values())

    @property
    def arrays(self) -> int:
        """Arrays that were made or extended, in all groups."""
        return sum(added.arrays for added in self.added.values())

    @property
    def references(self) -> int:
        """Chunks that point into the files, in all groups."""
        return sum(added.references for added in self.added.values())

    @property
    def stored(self) -> int:
        """Chunks whose bytes are in the repository, in all groups."""
        return sum(added.stored for added in self.added.values())

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        totals = ("images", "replaced", "removed", "arrays", "references", "stored")
        return {
            "snapshot_id": self.snapshot_id,
            "branch": self.branch,
            **{name: getattr(self, name) for name in totals},
            "groups": dict(self.groups),
            "trees": list(self.trees),
            "added": {path: added.as_json() for path, added in self.added.items()},
            "failed": dict(self.failed),
            "dry_run": self.dry_run,
            "planned": {path: asdict(array) for path, array in self.planned.items()},
            "mismatched": dict(self.mismatched),
            "known": self.known,
            "unchecked": list(self.unchecked),
            "containers": list(self.containers),
            "copied": {url: list(reasons) for url, reasons in self.copied.items()},
            "notes": {path: list(notes) for path, notes in self.notes.items()},
        }


def combined(results: Sequence[PublishResult]) -> PublishResult:
    """Sum up commits that followed each other; the snapshot is that of the last."""
    added: dict[str, Added] = {}
    for result in results:
        for path, each in result.added.items():
            added[path] = _together(added[path], each) if path in added else each
    last = results[-1]
    snapshots = [each.snapshot_id for each in results if each.snapshot_id is not None]
    return replace(
        last,
        snapshot_id=snapshots[-1] if snapshots else None,
        added=added,
        failed={url: why for each in results for url, why in each.failed.items()},
        mismatched={url: why for each in results for url, why in each.mismatched.items()},
        unchecked=tuple(dict.fromkeys(url for each in results for url in each.unchecked)),
        containers=tuple(dict.fromkeys(name for each in results for name in each.containers)),
        copied={url: why for each in results for url, why in each.copied.items()},
        notes={path: notes for each in results for path, notes in each.notes.items()},
        known=sum(each.known for each in results),
    )


def _together(one: Added, other: Added) -> Added:
    sums = ("images", "references", "stored", "steps", "skipped", "replaced", "removed")
    return replace(
        other if other.images else one,
        **{name: getattr(one, name) + getattr(other, name) for name in sums},
        arrays=max(one.arrays, other.arrays),
        first=min(filter(None, (one.first, other.first)), default=""),
        last=max(one.last, other.last),
        variables=tuple(dict.fromkeys((*one.variables, *other.variables))),
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
    )
