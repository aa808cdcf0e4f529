"""Plan the images of a file, and describe them: those that are alike once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

from virtual_tiff.json_type import memory
from virtual_tiff.planning.arrangement import PlanOptions
from virtual_tiff.planning.attributes import Description, describe, noted, of_bands
from virtual_tiff.planning.encoding.data_type import image_nodata
from virtual_tiff.planning.image_plan import alike_references, plan_image
from virtual_tiff.planning.plan import ArrayPlan, PartialSegment
from virtual_tiff.storage.source import Source
from virtual_tiff.tiff.ifd import ImageFileDirectory, likeness
from virtual_tiff.tiff.relations import Related
from virtual_tiff.tiff.series import IFDPath


class Images:
    """The images of a file and its sidecars.

    Parameters
    ----------
    related
        All of them.
    source
        The file.
    options
        Choices that change what is planned.
    copies
        Arrays of images that cannot be referenced, by URL and path.
    """

    def __init__(
        self,
        related: Iterable[Related],
        source: Source,
        options: PlanOptions,
        copies: Mapping[tuple[str, IFDPath], ArrayPlan],
    ) -> None:
        self._source = source
        self._options = options
        self._copies = copies
        self._alike: dict[Hashable, list[ImageFileDirectory]] = {}
        self._keys: dict[IFDPath, Hashable] = {}
        for one in related:
            path = one.directory.index
            # Of the first directory more is inspected.
            if one.full is None and path != (0,) and (source.url, path) not in copies:
                key = self._keys[path] = likeness(one.directory)
                self._alike.setdefault(key, []).append(one.directory)
        self._arrays: dict[IFDPath, ArrayPlan] = {}
        #: Each with the bytes that it takes.
        self._descriptions: dict[Hashable, tuple[Description, int]] = {}

    def plan(self, related: Related) -> tuple[ArrayPlan, Description]:
        """Plan an image, and describe it."""
        directory = _with_nodata_of_full(related)
        source = related.source or self._source
        key = None if related.source is not None else self._keys.get(directory.index)
        array = self._copies.get((source.url, directory.index))
        if array is None:
            array = self._arrays.pop(directory.index, None)
        if array is None:
            array = plan_image(directory, source, self._options.image)
            if key is not None:
                self._plan_alike(directory, self._alike.pop(key, []), array)
        array = noted(array, *directory.notes)
        # What the tags of pages say is in the attributes.
        key = None if key is None else (key, id(directory.other_tags), array.data_type)
        found = self._descriptions.get(key)
        if found is None:
            description = self._describe(directory, related.full, array)
            found = description, description.nbytes + memory([*array.codecs])
            if key is not None:
                self._descriptions[key] = found
        # Alike images too, since each has a document of its own where it is written.
        description, taken = found
        self._options.check(taken)
        return array, description

    def _plan_alike(
        self,
        directory: ImageFileDirectory,
        group: Iterable[ImageFileDirectory],
        plan: ArrayPlan,
    ) -> None:
        """Plan the other images of a group, as far as they can be planned at once."""
        others = [one for one in group if one is not directory]
        if not others:
            return
        found, chosen = alike_references(others, plan, self._options.image)
        partial: dict[int, list[PartialSegment]] = {}
        for i, segment in found.partial:
            partial.setdefault(i, []).append(replace(segment, image=None))
        for i, number in enumerate(chosen.tolist()):
            index = others[number].index
            self._arrays[index] = plan.with_references(
                ifd=index,
                offsets=found.offsets[i],
                lengths=found.lengths[i],
                partial=tuple(partial.get(i, ())),
            )

    def _describe(
        self, directory: ImageFileDirectory, full: ImageFileDirectory | None, array: ArrayPlan
    ) -> Description:
        bands = self._options.image.bands
        description = describe(
            directory, fill_value=image_nodata(directory, array.data_type, full, bands), full=full
        )
        if bands is None:
            return description
        chosen = of_bands(
            description.array_attributes, bands, directory.samples_per_pixel, array.data_type
        )
        return replace(description, array_attributes=chosen)


def _with_nodata_of_full(related: Related) -> ImageFileDirectory:
    """Return the directory; an overview without a nodata value has that of its image.

    GDAL masks by the nodata value of the image, whichever level it reads, and some writers leave
    the tag out of overviews.
    """
    directory, full = related.directory, related.full
    if (
        full is None
        or directory.is_mask
        or directory.gdal_nodata is not None
        or full.gdal_nodata is None
        or directory.samples_per_pixel != full.samples_per_pixel
    ):
        return directory
    return replace(directory, gdal_nodata=full.gdal_nodata)
