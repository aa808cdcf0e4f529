"""Read the header of one file into the images of an inventory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from virtual_tiff.choices import Pages, check_choice
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    InvalidTIFFError,
    SourceError,
    VirtualTIFFError,
    one_file,
)
from virtual_tiff.inventory.pages import (
    NO_COMPANION,
    NO_MASK,
    NO_ORDER,
    NOT_TAKEN,
    PageImage,
    page_images,
    places_in_set,
)
from virtual_tiff.inventory.rows import Row, error_row, image_row
from virtual_tiff.inventory.times import check_pattern, time_from_name, time_from_tag
from virtual_tiff.json_type import JSON
from virtual_tiff.parser import VirtualTIFF, with_levels
from virtual_tiff.planning.attributes import band_names, noted
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.opening import open_source
from virtual_tiff.storage.resolve import AddressRegistry
from virtual_tiff.tiff.gdal_metadata import parse_gdal_metadata
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.ome_companion import companion_of
from virtual_tiff.tiff.ome_xml import ome_xml_of
from virtual_tiff.tiff.reader import Following, find_following, header_of
from virtual_tiff.tiff.relations import relate

DEFAULT_CONCURRENCY = 256
#: Largest OME-XML in a file of its own, in bytes, and how many are kept.
_MAX_COMPANION = 32 * 1024 * 1024
_COMPANIONS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """Options of a scan that affect each file; see `virtual_tiff.scan`."""

    parser: VirtualTIFF = field(default_factory=lambda: VirtualTIFF(ifd=0))
    pages: Pages = "auto"
    datetime_pattern: str | None = None
    datetime_tag: bool = False
    concurrency: int = DEFAULT_CONCURRENCY

    def __post_init__(self) -> None:
        check_choice("pages", self.pages, Pages)
        if self.datetime_pattern is not None:
            check_pattern(self.datetime_pattern)
        if self.concurrency < 1:
            raise InvalidOptionError(f"concurrency is {self.concurrency}, but must be at least 1.")


class FileReader:
    """Reads files with the same options."""

    def __init__(self, registry: AddressRegistry, options: ScanOptions) -> None:
        self.registry = registry
        self.options = options
        parser = options.parser
        self.pages: Pages = "axes" if parser.ifd_layout == "pages" else options.pages
        self.parser = replace(parser, ifd_layout="flat")
        self._companions: dict[str, asyncio.Future[bytes]] = {}
        self.pattern: re.Pattern[str] | None = None
        if options.datetime_pattern is not None:
            self.pattern = check_pattern(options.datetime_pattern)

    async def read(self, url: str) -> list[Row]:
        """Read the images of one file; errors are rows too."""
        # A change after this moment is not in the rows.
        time = datetime.now(UTC)
        try:
            with one_file(url):
                found = await self._read(url)
        except VirtualTIFFError as error:
            found = [error_row(url, error)]
        return [{**row, "read_at": time} for row in found]

    async def _read(self, url: str) -> list[Row]:
        parser = self.parser
        header, source = await parser.read_async(url, self.registry)
        first = parser.ifd in (0, (0,))
        extra: Row = {}
        notes: tuple[str, ...] = ()
        following = Following()
        if first and self.pages != "axes":
            following = await find_following(header, source)
        if self.pages == "separate":
            # Planes without a directory have a note that says so.
            alone = not following.pages or header.ifds[0].hidden_planes
            notes = () if alone else (NOT_TAKEN,)
        elif self.pages == "axes" or following.pages:
            try:
                images = await self._by_pages(url, header, source)
            except VirtualTIFFError as error:
                missing = error.kind == ErrorKind.NOT_FOUND
                if self.pages == "axes" or (isinstance(error, SourceError) and not missing):
                    raise
                notes = (NO_COMPANION if missing else NO_ORDER,)
            else:
                if self.pages == "axes" or len(images) != 1 or not images[0].is_one_page:
                    return [self._page_row(url, header, image) for image in images]
                # As the directory alone, whose bands have names.
                extra, notes = {"pages": images[0].facts.text()}, images[0].notes
        if following.masks:
            notes = (*notes, NO_MASK)
        found: list[Row] = []
        errors: list[VirtualTIFFError] = []
        for related in relate((await with_levels(header, source)).ifds):
            directory = related.directory
            if not _is_chosen(directory, parser.ifd):
                continue
            try:
                plan = await parser.plan_header_async(header, source, directory.index, alone=True)
                array, mapping = _array(plan, directory)
                array = noted(array, *notes)
                full = related.full or directory
                row = image_row(
                    directory,
                    array,
                    header.source,
                    full=full,
                    time=self._time(url, directory),
                    grid_mapping=mapping,
                    band_names=_band_names(array, full, parser.bands),
                )
                found.append({**row, **extra})
            except VirtualTIFFError as error:
                errors.append(error.at(ifd=directory.index))
        if header.damage is not None and parser.ifd is None:
            errors.append(header.damage)
        return found + [error_row(url, error, header.source) for error in errors]

    async def _by_pages(self, url: str, header: Header, source: ByteSource) -> list[PageImage]:
        """Plan the images of a file with all their pages, or each plane of a set of files."""
        parser = self.parser
        chosen = parser.ifd if isinstance(parser.ifd, tuple | None) else (parser.ifd,)
        if chosen is not None:
            header = await header_of(source)
        places = places_in_set(header, source.budget, await self._companion(header))
        if not places:
            series, plan = await replace(parser, ifd=None, ifd_layout="pages").series_async(
                header, source
            )
            return page_images(header, series, plan, chosen)
        images = []
        for directory in header.ifds:
            if (facts := places.get(directory.index)) is not None:
                index = directory.index
                plan = await parser.plan_header_async(header, source, index, alone=True)
                array, mapping = _array(plan, directory)
                images.append(
                    PageImage(
                        directory=directory,
                        full=directory,
                        array=array,
                        grid_mapping=mapping,
                        facts=facts,
                    )
                )
        return images

    async def _companion(self, header: Header) -> bytes | None:
        """Fetch the OME-XML that is in a file of its own, once for all TIFFs that name it."""
        text = ome_xml_of(header)
        url = None if text is None else companion_of(text, header.source.url)
        if url is None:
            return None
        if url not in self._companions:
            if len(self._companions) >= _COMPANIONS:
                self._companions.clear()
            self._companions[url] = asyncio.ensure_future(self._fetch(url))
        return await self._companions[url]

    async def _fetch(self, url: str) -> bytes:
        source = await open_source(url, self.registry, prefetch=_MAX_COMPANION)
        if source.size > _MAX_COMPANION:
            raise InvalidTIFFError(
                f"it has {source.size} bytes, more than {_MAX_COMPANION}.",
                kind=ErrorKind.HEADER_TOO_LARGE,
                url=url,
            )
        return source.prefix

    def _page_row(self, url: str, header: Header, image: PageImage) -> Row:
        array = noted(image.array, *image.notes)
        row = image_row(
            image.directory,
            array,
            header.source,
            full=image.full,
            time=self._time(url, image.directory),
            grid_mapping=image.grid_mapping,
        )
        role = "overview" if image.is_overview else "image"
        return {**row, "role": role, "pages": image.facts.text()}

    def _time(self, url: str, directory: ImageFileDirectory) -> datetime | None:
        if self.pattern is not None:
            time = time_from_name(self.pattern, url)
            if time is not None:
                return time
        return time_from_tag(directory) if self.options.datetime_tag else None


def _is_chosen(directory: ImageFileDirectory, ifd: int | tuple[int, ...] | None) -> bool:
    return ifd is None or directory.index == (ifd if isinstance(ifd, tuple) else (ifd,))


def _band_names(
    array: ArrayPlan, full: ImageFileDirectory, bands: Sequence[int] | None
) -> Sequence[str] | None:
    """Return the values of the coordinate `band` of an image; `None` if they are 1, 2, …."""
    if "band" not in array.dimension_names:
        return None
    size = array.shape[array.dimension_names.index("band")]
    if full.gdal_metadata is not None:
        names = band_names(parse_gdal_metadata(full.gdal_metadata), full.samples_per_pixel)
        if names and bands is not None:
            names = tuple(names[number - 1] for number in bands)
        if len(names) == len(set(names)) == size:
            return names
    return None if bands is None else [str(number) for number in bands]


def _array(
    plan: GroupPlan, directory: ImageFileDirectory
) -> tuple[ArrayPlan, Mapping[str, JSON] | None]:
    """Return the array of an image, and the attributes of its grid mapping, from a plan."""
    for _, group in plan.walk():
        for array in group.arrays.values():
            if array.ifd == directory.index:
                mapping = group.arrays.get(str(array.attributes.get("grid_mapping")))
                return array, None if mapping is None else mapping.attributes
    raise AssertionError(f"the plan has no array of IFD {directory.index}")
