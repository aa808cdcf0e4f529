"""Plan one array for each level of an image; all pages of a level have to agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import (
    ErrorKind,
    InvalidTIFFError,
    UnsupportedTIFFError,
    VirtualTIFFError,
    shorten,
)
from virtual_tiff.json_type import JSON, memory
from virtual_tiff.planning.agreement import disagreements
from virtual_tiff.planning.attributes import Description, noted
from virtual_tiff.planning.axes import place_of
from virtual_tiff.planning.hierarchy import damaged_overview
from virtual_tiff.planning.image_plan import ImageOptions, alike_references, plan_image
from virtual_tiff.planning.metadata import json_scalar
from virtual_tiff.planning.pages.attributes import describe_page, mismatch, page_attributes
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.planning.stacks import StackReferences, stack
from virtual_tiff.storage.source import Source
from virtual_tiff.tags import Compression, Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory, likeness
from virtual_tiff.tiff.series import IFDPath, Level, Series

_ENCODING = ("shape", "dimensions", "data type", "chunk shape", "codecs", "fill value")
_GO_FLAT = 'The layout "flat" uses the directories.'


@dataclass(frozen=True, slots=True, eq=False)
class LevelPlan:
    """The array of all pages of a level, metadata of the first page, and rows and columns.

    `factor` has the pixels of the full image that one covers, if the sizes do not tell; `names`
    those of pages along their one dimension (PageName).
    """

    array: ArrayPlan
    description: Description
    size: tuple[int, int]
    factor: float | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """The directories of a file by path, and arrays of those that cannot be referenced.

    `check` is that of `PlanOptions`.
    """

    source: Source
    directories: Mapping[IFDPath, ImageFileDirectory]
    options: ImageOptions
    copies: Mapping[IFDPath, ArrayPlan]
    check: Callable[[int], None]

    def levels(self, series: Series) -> list[LevelPlan]:
        """Plan the levels of a series; errors have the URL and the directory at fault.

        Smaller ones that are damaged are left out, with a note on the image.
        """
        levels: list[LevelPlan] = []
        damaged: list[str] = []
        full: ImageFileDirectory | None = None
        try:
            for level in series.levels:
                pages = [None if p is None else self.directories[p] for p in level.pages]
                first = next((page for page in pages if page is not None), None)
                if first is None:
                    # tifffile ends a pyramid at this level too.
                    break
                try:
                    plan = self._level(series, level, pages, first, full)
                except InvalidTIFFError as error:
                    if not levels:
                        raise
                    damaged.append(damaged_overview(error.ifd or first.index, error))
                    continue
                if levels and plan.array.dimension_names != levels[0].array.dimension_names:
                    raise mismatch(
                        first,
                        f"the dimensions are {plan.array.dimension_names}, but "
                        f"{levels[0].array.dimension_names} at full resolution.",
                    )
                levels.append(plan)
                full = full or first
        except VirtualTIFFError as error:
            raise error.at(url=self.source.url) from error.__cause__
        levels[0] = replace(levels[0], array=noted(levels[0].array, *damaged))
        return levels

    def _level(
        self,
        series: Series,
        level: Level,
        pages: Sequence[ImageFileDirectory | None],
        first: ImageFileDirectory,
        full: ImageFileDirectory | None,
    ) -> LevelPlan:
        if (first.image_length, first.image_width) != level.size:
            raise UnsupportedTIFFError(
                f"the metadata of the file declares {level.size[0]} × {level.size[1]} pixels, the "
                f"directory of {first.image_length} × {first.image_width}.",
                kind=ErrorKind.UNSUPPORTED_LAYOUT,
                ifd=first.index,
                remedy=_GO_FLAT,
            )
        if series.contiguous:
            image, references = self._contiguous(first, math.prod(series.sizes.values()))
        else:
            image, references = self._separate(pages)
        description = describe_page(first, image.data_type, full)
        there = [page for page in pages if page is not None]
        self.check(description.nbytes)
        attributes = page_attributes(description, there, image.data_type, full, self.check)
        array = _stacked(image, series, references)
        attributes |= image.attributes
        if series.scale is not None:
            attributes["scale_factor"] = series.scale
        # Planes without a directory are noted, but here they are there.
        own = [] if series.contiguous else [note for page in there for note in page.notes]
        if len(there) < len(pages):
            missing = len(pages) - len(there)
            own.append(f"{missing} of {len(pages)} planes are not in the file: they read as 0.")
        array = noted(replace(array, attributes=attributes), *series.notes, *dict.fromkeys(own))
        names = () if len(series.sizes) != 1 or len(there) < len(pages) else _names(there)
        return LevelPlan(array, description, level.size, level.factor, names)

    def _plan(self, page: ImageFileDirectory, options: ImageOptions) -> ArrayPlan:
        copied = self.copies.get(page.index)
        if copied is not None:
            return copied
        try:
            plan = plan_image(page, self.source, options)
            self.check(memory([*plan.codecs]))
        except VirtualTIFFError as error:
            raise error.at(ifd=page.index) from error.__cause__
        return plan

    def _separate(
        self, pages: Sequence[ImageFileDirectory | None]
    ) -> tuple[ArrayPlan, StackReferences]:
        """Plan pages that have a directory each."""
        there = [page for page in pages if page is not None]
        copied = [page for page in there if page.index in self.copies]
        if copied and len(copied) < len(there):
            # The parser then copies the other pages too.
            raise UnsupportedTIFFError(
                "another page of the image was copied.",
                kind=ErrorKind.UNSUPPORTED_LAYOUT,
                ifd=next(page.index for page in there if page.index not in self.copies),
            )
        for merge_strips in (True, False):
            plans, groups = self._plans(pages, merge_strips=merge_strips)
            # Merging uncompressed strips depends on their offsets, which differ between pages.
            if len({plan.chunk_shape for plan in plans if plan is not None}) == 1:
                break
        image = next(plan for plan in plans if plan is not None)
        for page, plan in zip(pages, plans, strict=True):
            if page is not None and plan is not None:
                _check(page, plan, image)
        references = StackReferences.of(plans, image.grid_shape)
        partial = [*references.partial]
        for numbers, found in groups:
            references.offsets[numbers], references.lengths[numbers] = found.offsets, found.lengths
            partial += [(int(numbers[i]), segment) for i, segment in found.partial]
        return image, replace(references, partial=tuple(partial))

    def _plans(
        self, pages: Sequence[ImageFileDirectory | None], *, merge_strips: bool
    ) -> tuple[list[ArrayPlan | None], list[tuple[NDArray[np.intp], StackReferences]]]:
        """Plan pages: of those that are alike the first alone, and the others at once.

        Returns
        -------
        list
            The plan of each page; `None` for those that are missing, and for those that are alike.
        list
            References of pages that are alike, and their numbers.
        """
        plans: list[ArrayPlan | None] = [None] * len(pages)
        groups: list[tuple[NDArray[np.intp], StackReferences]] = []
        there = {i: page for i, page in enumerate(pages) if page is not None}
        alike: dict[Hashable, list[int]] = {}
        for i, page in there.items():
            alike.setdefault(likeness(page), []).append(i)
        alone: list[int] = []
        options = replace(self.options, merge_strips=merge_strips)
        for first, *others in alike.values():
            plan = plans[first] = self._plan(there[first], options)
            if others and not self.copies:
                found, chosen = alike_references([there[i] for i in others], plan, options)
                numbers = np.array(others, np.intp)
                groups.append((numbers[chosen], found))
                others = np.delete(numbers, chosen).tolist()
            alone += others
        for i in sorted(alone):
            plans[i] = self._plan(there[i], options)
        return plans, groups

    def _contiguous(
        self, page: ImageFileDirectory, steps: int
    ) -> tuple[ArrayPlan, StackReferences]:
        """Plan contiguous pages of which only the first has a directory."""
        if page.compression != Compression.NONE or page.index in self.copies:
            raise UnsupportedTIFFError(
                "pages without a directory can only be referenced.",
                kind=ErrorKind.UNSUPPORTED_LAYOUT,
                ifd=page.index,
                tag=Tag.COMPRESSION,
                remedy=_GO_FLAT,
            )
        image = self._plan(page, self.options)
        pixels = page.image_width * page.image_length * page.image_depth
        page_bytes = pixels * page.samples_per_pixel * image.data_type.itemsize
        end = int(image.offsets.flat[0]) + steps * page_bytes
        if end > self.source.size or not image.lengths.all():
            raise InvalidTIFFError(
                f"{steps} pages of {page_bytes} bytes end at {end}, beyond the end of the file "
                f"({self.source.size} bytes).",
                kind=ErrorKind.TRUNCATED,
                ifd=page.index,
                remedy="The file was cut short: copy or download it again.",
            )
        moved = page.offsets + np.uint64((steps - 1) * page_bytes)
        # Only the last page can be so near to the end of the file that its last chunk is partial.
        last = self._plan(replace(page, offsets=moved), self.options)
        _check(page, last, image)
        tail = StackReferences.of([last], image.grid_shape)
        by = np.arange(steps, dtype=np.uint64) * np.uint64(page_bytes)
        lengths = np.repeat(image.lengths[None], steps, axis=0)
        lengths[-1] = last.lengths
        return image, StackReferences(
            offsets=image.offsets[None] + by.reshape(-1, *(1 for _ in image.grid_shape)),
            lengths=lengths,
            partial=tuple((steps - 1, segment) for _, segment in tail.partial),
        )


def _names(pages: Sequence[ImageFileDirectory]) -> tuple[str, ...]:
    """Return the names of pages, if all have different ones."""
    texts = [page.other_tags.get(Tag.PAGE_NAME) for page in pages]
    names = tuple(text.strip() for text in texts if isinstance(text, str))
    return names if all(names) and len(set(names)) == len(pages) else ()


def _check(page: ImageFileDirectory, plan: ArrayPlan, image: ArrayPlan) -> None:
    """Raise if a page cannot be in one array with the first."""
    for found in disagreements([_encoding(image), _encoding(plan)], _ENCODING):
        value, expected = shorten(found.value), shorten(found.expected)
        raise mismatch(page, f"the {found.key} is {value}, but {expected} in the first.")


def _encoding(plan: ArrayPlan) -> dict[str, JSON]:
    """What pages of one array share, by the names of `_ENCODING`."""
    values: tuple[JSON, ...] = (
        list(plan.shape),
        list(plan.dimension_names),
        plan.data_type.name,
        list(plan.chunk_shape),
        list(plan.codecs),
        json_scalar(plan.fill_value),
    )
    return dict(zip(_ENCODING, values, strict=True))


def _stacked(image: ArrayPlan, series: Series, references: StackReferences) -> ArrayPlan:
    names = tuple(series.samples if name == "band" else name for name in image.dimension_names)
    new = [*series.sizes, *names]
    last = new[-1:] if names[-1] not in ("y", "x") else []
    # Each page has its own chunks, so pages can be in any order.
    order = sorted(new[: len(new) - len(last)], key=place_of) + last
    return stack(replace(image, dimension_names=names), series.sizes, references, order)
