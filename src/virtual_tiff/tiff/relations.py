"""Find the image that an overview or a mask belongs to.

NewSubfileType (TIFF 6.0, tag 254) and sub-IFDs determine it, never the position alone: GDAL
interleaves the masks of a COG with its overviews. Slide formats, such as Aperio's, use other
metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from virtual_tiff.storage.source import Source
from virtual_tiff.tags import NewSubfileType
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory, is_dependent
from virtual_tiff.tiff.series import SLIDES, Series


@dataclass(frozen=True, slots=True, eq=False)
class Related:
    """A directory and the full-resolution image it belongs to.

    Parameters
    ----------
    directory
        The image, overview or mask.
    full
        The image that this is an overview or a mask of; `None` for a full-resolution image.
    source
        Source of the sidecar that contains it; `None` for the TIFF itself.
    prefix
        Prefix of its name: `ovr.` for an image in a sidecar `.ovr`.
    """

    directory: ImageFileDirectory
    full: ImageFileDirectory | None = None
    source: Source | None = None
    prefix: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.directory.image_length, self.directory.image_width


def relate(ifds: Iterable[ImageFileDirectory]) -> tuple[Related, ...]:
    """Relate every directory of a file to its image; sub-IFDs follow their parents."""
    return tuple(_relate(ifds, parent=None))


def relate_sidecars(header: Header) -> tuple[Related, ...]:
    """Relate every directory of the sidecars of a file to its first image."""
    return tuple(
        Related(directory, header.ifds[0], sidecar.header.source, f"{sidecar.suffix}.")
        for sidecar in header.sidecars
        for directory in sidecar.header.ifds
    )


def _relate(
    ifds: Iterable[ImageFileDirectory], parent: ImageFileDirectory | None
) -> Iterator[Related]:
    directories = tuple(ifds)
    first = next((one for one in directories if not is_dependent(one)), None)
    full = parent
    for directory in directories:
        dependent = is_dependent(directory)
        if not dependent and parent is None:
            full = directory
        # Some writers put the levels of a pyramid before its image.
        owner = first if full is None and first and _fits(directory, first) else full
        related = Related(directory, owner if dependent and owner is not directory else None)
        yield related
        yield from _relate(directory.sub_ifds, parent=(full and related.full) or directory)


def _fits(directory: ImageFileDirectory, full: ImageFileDirectory) -> bool:
    """Return whether a reduced image or a mask can be one of an image that follows it."""
    down, across = directory.image_length, directory.image_width
    if directory.is_mask:
        return down <= full.image_length and across <= full.image_width
    return down < full.image_length and across < full.image_width


def masks(images: Iterable[Related]) -> dict[Related, Related]:
    """Pair images and overviews with their masks, by full-resolution image and size."""
    found: dict[tuple[int, tuple[int, int]], Related] = {}
    others = []
    for image in images:
        if image.directory.is_mask:
            if image.full is not None:
                found.setdefault((id(image.full), image.size), image)
        else:
            others.append(image)
    return {
        image: mask
        for image in others
        if (mask := found.get((id(image.full or image.directory), image.size))) is not None
    }


def may_hide_levels(ifds: Sequence[ImageFileDirectory], path: tuple[int, ...] | None) -> bool:
    """Return whether an image may have smaller levels that are not marked as such.

    Parameters
    ----------
    ifds
        Directories of the main chain.
    path
        Path of the image; the first of the file if `None`.
    """
    full = next((d for d in ifds if path in (None, d.index)), None)
    if full is None or not full.is_tiled or is_dependent(full):
        return False
    return any(
        one.is_tiled
        and not is_dependent(one)
        and one.samples_per_pixel == full.samples_per_pixel
        and one.image_width < full.image_width
        and one.image_length < full.image_length
        for one in ifds
    )


def mark_levels(
    ifds: Sequence[ImageFileDirectory], series: Iterable[Series]
) -> tuple[ImageFileDirectory, ...]:
    """Mark the levels of slides as overviews, and move them after their image.

    Parameters
    ----------
    ifds
        Directories of the main chain.
    series
        Series of the file; only those of slides with levels of one page are used.
    """
    by_path = {directory.index: directory for directory in ifds}
    levels_of: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for one in series:
        paths = [level.pages[0] for level in one.levels]
        alone = all(len(level.pages) == 1 for level in one.levels)
        if one.kind in SLIDES and alone and all(path in by_path for path in paths):
            full, *smaller = (path for path in paths if path is not None)
            levels_of[full] = smaller
    levels = {path for smaller in levels_of.values() for path in smaller}
    marked = []
    for directory in ifds:
        if directory.index in levels:
            continue
        marked.append(directory)
        marked += [
            replace(
                by_path[path],
                new_subfile_type=by_path[path].new_subfile_type
                | int(NewSubfileType.REDUCED_RESOLUTION),
            )
            for path in levels_of.get(directory.index, ())
        ]
    return tuple(marked)
