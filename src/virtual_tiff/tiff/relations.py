"""Find the image that an overview or a mask belongs to.

NewSubfileType (TIFF 6.0, tag 254) and sub-IFDs determine it, never the position alone: GDAL
interleaves the masks of a COG with its overviews. Slide formats, such as Aperio's, use other
metadata.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from virtual_tiff.storage.source import Source
from virtual_tiff.tags import NewSubfileType
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory, is_dependent
from virtual_tiff.tiff.series import SLIDES, IFDPath, Level, Series


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


def are_levels_doubtful(ifds: Sequence[ImageFileDirectory], path: tuple[int, ...] | None) -> bool:
    """Return whether marks and the order of directories may not tell the levels of an image.

    Slides have smaller tiled images that are not marked, mark labels, which are no levels, and put
    focal planes, or channels, before all their levels.

    Parameters
    ----------
    ifds
        Directories of the main chain.
    path
        Path of the image; the largest one in tiles if `None`.
    """
    fulls = [d for d in ifds if d.is_tiled and not is_dependent(d) and path in (None, d.index)]
    full = max(fulls, key=lambda d: d.image_width * d.image_length, default=None)
    return _has_stray_levels(ifds) or (
        full is not None and any(_may_be_level(one, full) for one in ifds)
    )


def _has_stray_levels(ifds: Sequence[ImageFileDirectory]) -> bool:
    """Return whether an image has two levels of one size, or one in strips beside tiles."""
    is_tiled = any(directory.is_tiled for directory in ifds)
    sizes: set[tuple[int, int]] = set()
    for directory in ifds:
        if not is_dependent(directory):
            sizes.clear()
        elif not directory.is_mask:
            size = directory.image_length, directory.image_width
            if size in sizes or (is_tiled and not directory.is_tiled):
                return True
            sizes.add(size)
    return False


def _may_be_level(one: ImageFileDirectory, full: ImageFileDirectory) -> bool:
    """Return whether a smaller image in tiles, which is not marked, may be a level of another."""
    return (
        one.is_tiled
        and not is_dependent(one)
        and one.samples_per_pixel == full.samples_per_pixel
        and one.image_width < full.image_width
        and one.image_length < full.image_length
    )


def mark_levels(
    ifds: Sequence[ImageFileDirectory], series: Iterable[Series]
) -> tuple[ImageFileDirectory, ...]:
    """Move levels after their image; of slides, mark them as overviews, and no other image.

    Parameters
    ----------
    ifds
        Directories of the main chain.
    series
        Series of the file. Each focal plane or channel has levels of its own. Only in slides may
        levels be unmarked.
    """
    by_path = {directory.index: directory for directory in ifds}
    levels_of: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    seen: set[tuple[int, ...]] = set()
    for one in series:
        for pages in zip(*(level.pages for level in one.levels), strict=True):
            paths = [path for path in pages if path is not None]
            # Metadata may name a page twice.
            if not paths or any(path not in by_path or path in seen for path in paths):
                continue
            marks = [by_path[path].is_reduced for path in paths]
            if one.kind in SLIDES or (not marks[0] and all(marks[1:])):
                levels_of[paths[0]] = paths[1:]
                seen.update(paths)
    levels = {path for smaller in levels_of.values() for path in smaller}
    marked = []
    for directory in ifds:
        if directory.index in levels:
            continue
        smaller = levels_of.get(directory.index)
        is_alone = smaller is None or directory.is_mask
        marked.append(directory if is_alone else _marked(directory, is_level=False))
        marked += [_marked(by_path[path], is_level=True) for path in smaller or ()]
    return tuple(marked)


def _marked(directory: ImageFileDirectory, *, is_level: bool) -> ImageFileDirectory:
    level = int(NewSubfileType.REDUCED_RESOLUTION)
    kind = directory.new_subfile_type | level if is_level else directory.new_subfile_type & ~level
    return replace(directory, new_subfile_type=kind)


def left_out(
    ifds: Iterable[ImageFileDirectory], used: Container[IFDPath | None]
) -> tuple[ImageFileDirectory, ...]:
    """Return the images that are not among those used; levels and masks belong to others."""
    return tuple(
        one for one in ifds if one.index not in used and not one.is_reduced and not one.is_mask
    )


def with_marked_levels(
    series: Iterable[Series], ifds: Sequence[ImageFileDirectory]
) -> tuple[Series, ...]:
    """Add levels that NewSubfileType marks to OME-TIFFs, whose format has them in sub-IFDs only.

    Programs such as `gdaladdo` append them to the main chain. Images with sub-IFDs, or of whose
    pages some lack a level, stay as they are.
    """
    following: dict[IFDPath, list[ImageFileDirectory]] = {}
    for related in relate(ifds):
        full = related.full
        if full is not None and _is_level(related.directory, full):
            following.setdefault(full.index, []).append(related.directory)
    return tuple(_with_marked_levels(one, following) for one in series)


def _is_level(reduced: ImageFileDirectory, full: ImageFileDirectory) -> bool:
    """Return whether a reduced image has the samples and, to a pixel, the shape of an image."""
    across = reduced.image_width * full.image_length
    down = reduced.image_length * full.image_width
    return (
        reduced.is_reduced
        and not reduced.is_mask
        and reduced.samples_per_pixel == full.samples_per_pixel
        and reduced.bits_per_sample == full.bits_per_sample
        and abs(across - down) <= max(full.image_width, full.image_length)
    )


def _with_marked_levels(
    one: Series, following: Mapping[IFDPath, Sequence[ImageFileDirectory]]
) -> Series:
    found = [following.get(page, ()) for page in one.levels[0].pages if page is not None]
    if one.kind != "ome" or len(one.levels) > 1 or None in one.levels[0].pages:
        return one
    if len({len(levels) for levels in found}) > 1:
        return one
    levels = []
    for pages in zip(*found, strict=True):
        sizes = {(page.image_length, page.image_width) for page in pages}
        if len(sizes) > 1:
            return one
        levels.append(Level(pages=tuple(page.index for page in pages), size=sizes.pop()))
    levels.sort(key=lambda level: level.size, reverse=True)
    return replace(one, levels=(one.levels[0], *levels))
