"""Which image an overview or a mask belongs to.

NewSubfileType (TIFF 6.0, tag 254) and sub-IFDs say so, never the position alone: GDAL interleaves
the masks of a COG with its overviews.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from virtual_tiff.ifd import ImageFileDirectory, is_dependent


@dataclass(frozen=True, slots=True, eq=False)
class Related:
    """A directory and the full-resolution image it belongs to.

    Parameters
    ----------
    directory
        The image, overview or mask.
    full
        The image that this is an overview or a mask of; `None` for an image of its own.
    """

    directory: ImageFileDirectory
    full: ImageFileDirectory | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.directory.image_length, self.directory.image_width


def relate(ifds: Iterable[ImageFileDirectory]) -> tuple[Related, ...]:
    """Every directory of a file with the image it belongs to, sub-IFDs after their parents."""
    return tuple(_relate(ifds, parent=None))


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


def mask_of(image: Related, all_images: Iterable[Related]) -> Related | None:
    """Return the mask of an image or of an overview: same size, same full image."""
    if image.directory.is_mask:
        return None
    owner = image.full or image.directory
    for other in all_images:
        if other.directory.is_mask and other.full is owner and other.size == image.size:
            return other
    return None
