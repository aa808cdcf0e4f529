"""Which image an overview or a mask belongs to.

NewSubfileType (TIFF 6.0, tag 254) and sub-IFDs say so, never the position alone: GDAL interleaves
the masks of a COG with its overviews.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from virtual_tiff.ifd import Header, ImageFileDirectory, Source, is_dependent


@dataclass(frozen=True, slots=True, eq=False)
class Related:
    """A directory and the full-resolution image it belongs to.

    Parameters
    ----------
    directory
        The image, overview or mask.
    full
        The image that this is an overview or a mask of; `None` for an image of its own.
    source
        The sidecar that holds it; `None` for the file of the image itself.
    prefix
        Of its name: `ovr.` where a sidecar `.ovr` holds it.
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
    """Every directory of a file with the image it belongs to, sub-IFDs after their parents."""
    return tuple(_relate(ifds, parent=None))


def relate_sidecars(header: Header) -> tuple[Related, ...]:
    """Every directory of the sidecars of a file, which belong to its first image."""
    return tuple(
        Related(directory, header.ifds[0], sidecar.header.source, f"{sidecar.suffix}.")
        for sidecar in header.sidecars
        for directory in sidecar.header.ifds
    )


def _relate(
    ifds: Iterable[ImageFileDirectory], parent: ImageFileDirectory | None
) -> Iterator[Related]:
    full = parent
    for directory in ifds:
        dependent = is_dependent(directory)
        if not dependent and parent is None:
            full = directory
        related = Related(directory, full if dependent and full is not directory else None)
        yield related
        yield from _relate(directory.sub_ifds, parent=related.full or directory)


def masks(images: Iterable[Related]) -> dict[Related, Related]:
    """Pair images and overviews with their masks: same full-resolution image, same size."""
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
