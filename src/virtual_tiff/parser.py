"""`VirtualTIFF`: a VirtualiZarr parser for TIFFs."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from obspec_utils.registry import ObjectStoreRegistry

import virtual_tiff.storage.shutdown  # noqa: F401 - for its effect
from virtual_tiff.choices import (
    BandAxis,
    ComplexIntegers,
    IFDLayout,
    OnUnsupported,
    SidecarKind,
    check_choice,
)
from virtual_tiff.completing.plans import Copies, CopyOptions, plan_completely
from virtual_tiff.errors import InvalidOptionError, VirtualTIFFError, one_file
from virtual_tiff.planning.arrangement import PlanOptions
from virtual_tiff.planning.attributes import value_notes
from virtual_tiff.planning.hierarchy import check_undamaged, plan_header
from virtual_tiff.planning.image_plan import ImageOptions
from virtual_tiff.planning.pages.hierarchy import plan_levels, plan_pages
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.storage.addresses import parsed_url
from virtual_tiff.storage.budget import DEFAULT_HEADER_LIMIT, DEFAULT_TIME_LIMIT, Budget, Limits
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.run import run
from virtual_tiff.storage.settings import default_prefetch
from virtual_tiff.tiff.ifd import Header
from virtual_tiff.tiff.reader import read_header
from virtual_tiff.tiff.relations import are_levels_doubtful, mark_levels
from virtual_tiff.tiff.series import IFDPath, Series
from virtual_tiff.tiff.sidecars import add_sidecars, sidecar_kinds

if TYPE_CHECKING:
    from virtualizarr.manifests import ManifestStore

#: Default limit of decoded bytes of one image that is copied.
DEFAULT_COPY_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VirtualTIFF:
    """Parse a TIFF into a Zarr store of references to its tiles and strips.

    Parameters
    ----------
    ifd
        The image to parse: an index in the file's chain of directories, or a path such as
        `(0, 1)` for the second sub-IFD of the first. `None` parses all.
    ifd_layout
        `flat`: one group with arrays named `0`, `1`, … (`0.1` for sub-IFDs). `nested`: a group
        for each image, for a DataTree. `multiscale`: the full-resolution image in the group `0`,
        and its overviews in `1`, `2`, … down to the smallest, each an array `image` with its
        `mask`; the root carries the `multiscales` Zarr convention. A file with several
        full-resolution images has a group with these for each, named by its directory, unless
        `ifd` chooses one. `pages`: the pages of each
        image as one array `image`, with dimensions such as `t`, `c` and `z` before rows and
        columns, according to OME-TIFF, ImageJ, the slide format, or the pages themselves; in groups
        with OME-Zarr metadata, `0`, `1`, … for the levels of a pyramid, and above them `0`, `1`, …
        for
        the images of a file with several. `ifd` then names any page of the one image to parse.
    band_axis
        `first`: `(band, y, x)`, as in rioxarray. `last`: `(y, x, band)`, the order in which chunky
        samples are stored, so that readers need not transpose. The layout `pages` has the order of
        OME-Zarr, whatever is given.
    bands
        Bands to keep, in this order, counted from 1 as in GDAL. Only for images with separate
        segments for each band (PlanarConfiguration 2); otherwise select from the dataset.
    complex_integers
        How to handle complex integers (CInt16 and CInt32 of GDAL), which Zarr does not have.
        `raise`: as what no codec expresses. `parts`: integers with a last dimension `part`, real
        and imaginary, by reference.
    coords
        Whether to write `x` and `y`, the pixel centres in CRS units (where the grid is parallel
        to the axes, and no longer than 4,194,304 pixels), `band`, and the grid mapping
        `spatial_ref`. Without it, groups hold the arrays of images only.
    on_unsupported
        How to handle an image that no Zarr codec expresses. `raise`: an
        `UnsupportedTIFFError`. `copy`: decode it now, and store its pixels in the manifest; the
        attribute `copied_because` marks these arrays.
    copy_limit
        Largest image that is copied, in decoded bytes.
    sidecars
        Whether to read the files beside a TIFF that GDAL reads with it: `True`, or some of
        `ovr` (overviews), `msk` (a mask), `aux.xml` (metadata), `world` (world files), `rpc`
        (rational polynomials), `imd` (metadata of satellite images) and `xml` (the CRS in metadata
        of ArcGIS). Each costs requests, which are sent together after that of the header. The
        layout `pages` uses only metadata.
    prefetch
        Bytes of the first GET. A header that fits needs no other request.
    header_limit
        Bytes of memory that the header of a file may take, with the chunks that are made from it.
        A file that needs more is refused, with the kind `header-too-large`.
    time_limit
        Seconds of the processor that a file may take, besides 0.2 ms for each directory; requests,
        and copied images, do not count. A file that takes more is refused, with the kind
        `time-limit`.

    Raises
    ------
    InvalidOptionError
        An argument is invalid; raised before anything is read.

    Examples
    --------
    >>> from virtual_tiff import VirtualTIFF
    >>> VirtualTIFF(ifd=0, band_axis="last")
    VirtualTIFF(ifd=0, ifd_layout='flat', band_axis='last', ...)
    """

    ifd: int | tuple[int, ...] | None = None
    ifd_layout: IFDLayout = "flat"
    band_axis: BandAxis = field(default="first", kw_only=True)
    bands: Sequence[int] | None = field(default=None, kw_only=True)
    complex_integers: ComplexIntegers = field(default="raise", kw_only=True)
    coords: bool = field(default=True, kw_only=True)
    on_unsupported: OnUnsupported = field(default="raise", kw_only=True)
    copy_limit: int = field(default=DEFAULT_COPY_LIMIT, kw_only=True)
    sidecars: bool | Collection[SidecarKind] = field(default=False, kw_only=True)
    prefetch: int = field(default_factory=default_prefetch, kw_only=True)
    header_limit: int = field(default=DEFAULT_HEADER_LIMIT, kw_only=True)
    time_limit: float = field(default=DEFAULT_TIME_LIMIT, kw_only=True)

    def __post_init__(self) -> None:
        check_choice("ifd_layout", self.ifd_layout, IFDLayout)
        check_choice("band_axis", self.band_axis, BandAxis)
        check_choice("complex_integers", self.complex_integers, ComplexIntegers)
        check_choice("on_unsupported", self.on_unsupported, OnUnsupported)
        kinds = sidecar_kinds(self.sidecars)
        if self.ifd_layout == "pages" and self.sidecars is not True and kinds & {"ovr", "msk"}:
            raise InvalidOptionError(
                "the layout 'pages' cannot include images of sidecars.",
                remedy='Pass sidecars=("aux.xml", "world"), or another layout.',
            )
        path = self.ifd if isinstance(self.ifd, tuple) else (self.ifd,)
        if self.ifd is not None and (
            not path
            or not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in path)
        ):
            raise InvalidOptionError(
                f"ifd is {self.ifd!r}, but must be None, an index from 0, or a path of them."
            )
        if self.bands is not None and (
            isinstance(self.bands, str)
            or not isinstance(self.bands, Sequence)
            or not self.bands
            or not all(isinstance(band, int) and band >= 1 for band in self.bands)
        ):
            raise InvalidOptionError(
                f"bands is {self.bands!r}, but must be band numbers, counted from 1."
            )
        if not isinstance(self.copy_limit, int) or self.copy_limit < 0:
            raise InvalidOptionError(
                f"copy_limit is {self.copy_limit!r}, but must be a number of bytes."
            )
        if not isinstance(self.prefetch, int) or self.prefetch < 16:
            raise InvalidOptionError(
                f"prefetch is {self.prefetch!r}, but must be at least the 16 bytes of a header."
            )
        _ = self._limits

    def __call__(self, url: str, registry: ObjectStoreRegistry[Any]) -> ManifestStore:
        """Parse one TIFF.

        Parameters
        ----------
        url
            Absolute URL, such as `s3://bucket/image.tif` or `file:///data/image.tif`. A `file` URL
            is taken as it is; its escapes are undone only if there is no such file.
        registry
            Finds the store of the URL; chunks are read through it later.

        Returns
        -------
        virtualizarr.manifests.ManifestStore
            A read-only Zarr store.

        Raises
        ------
        VirtualTIFFError
            See the tree of errors in `virtual_tiff.errors`.
        """
        from virtual_tiff.manifest import manifest_store

        url = parsed_url(url)
        plan, budget = run(self._planned(url, registry))
        for path, group in plan.walk():
            for name, array in group.arrays.items():
                for note in value_notes(array.attributes):
                    warnings.warn(f"{url}, {path}/{name}: {note}", stacklevel=2)
        with one_file(url):
            try:
                return manifest_store(plan, registry, budget)
            except VirtualTIFFError as error:
                raise error.at(url=url) from error.__cause__

    def plan(self, url: str, registry: ObjectStoreRegistry[Any]) -> GroupPlan:
        """Plan one TIFF without making a store."""
        return run(self.plan_async(url, registry))

    async def plan_async(self, url: str, registry: ObjectStoreRegistry[Any]) -> GroupPlan:
        """Plan one TIFF; gather calls to plan many concurrently."""
        return (await self._planned(parsed_url(url), registry))[0]

    async def _planned(
        self, url: str, registry: ObjectStoreRegistry[Any]
    ) -> tuple[GroupPlan, Budget]:
        """Plan one TIFF, and return what it has cost."""
        header, source = await self.read_async(url, registry)
        beside: dict[str, ByteSource] = {}
        if self.sidecars:
            # Overviews and masks are planned together with their image, or with all images.
            first = self.ifd_layout == "multiscale" and self._path == (0,)
            images = self.ifd_layout != "pages" and (self.ifd is None or first)
            kinds = sidecar_kinds(self.sidecars)
            with one_file(url):
                header, beside = await add_sidecars(
                    header,
                    registry,
                    kinds,
                    prefetch=self.prefetch,
                    limits=self._limits,
                    images=images,
                )
        plan = await self.plan_header_async(header, source, self._path, beside=beside)
        return plan, source.budget

    async def read_async(
        self, url: str, registry: ObjectStoreRegistry[Any]
    ) -> tuple[Header, ByteSource]:
        """Read the directories that `plan_async` plans, without sidecars."""
        path = self._path
        # Overviews follow their image, so all directories are needed.
        whole = path is None or self.ifd_layout in ("multiscale", "pages")
        only = None if whole or path is None else path[0]
        with one_file(url):
            return await read_header(
                url, registry, prefetch=self.prefetch, only=only, limits=self._limits
            )

    @property
    def _limits(self) -> Limits:
        return Limits(self.header_limit, self.time_limit)

    @property
    def _image_options(self) -> ImageOptions:
        bands = None if self.bands is None else tuple(self.bands)
        # The order of the dimensions of pages is that of OME-Zarr.
        axis = "first" if self.ifd_layout == "pages" else self.band_axis
        return ImageOptions(band_axis=axis, bands=bands, complex_integers=self.complex_integers)

    @property
    def _path(self) -> tuple[int, ...] | None:
        return self.ifd if isinstance(self.ifd, tuple) or self.ifd is None else (self.ifd,)

    async def plan_header_async(
        self,
        header: Header,
        source: ByteSource,
        path: tuple[int, ...] | None,
        *,
        beside: Mapping[str, ByteSource] | None = None,
        alone: bool = False,
    ) -> GroupPlan:
        """Plan the directories that `read_async` read: one image, or all if `path` is `None`.

        `beside` has the bytes of the sidecars by URL. With `alone`, omit coordinates and attributes
        of groups, which a cube has once for all its images.
        """
        with one_file(header.source.url):
            return await self._plan_header(header, source, path, beside or {}, alone=alone)

    async def _plan_header(
        self,
        header: Header,
        source: ByteSource,
        path: tuple[int, ...] | None,
        beside: Mapping[str, ByteSource],
        *,
        alone: bool,
    ) -> GroupPlan:
        url = header.source.url
        options = self._plan_options(source, alone=alone)
        series: tuple[Series, ...] | None = None
        if self.ifd_layout == "pages":
            check_undamaged(header, "pages")
            series = await _read_series(source, header)
        elif self.ifd_layout == "multiscale":
            header = await with_levels(header, source, path)

        def plan(copies: Copies) -> GroupPlan:
            if series is None:
                return plan_header(header, options, ifd=path, copies=copies)
            return plan_pages(header, series, options, ifd=path, copies=_of_file(copies, url))

        alone = series is None or len(header.ifds) == 1
        sources = {url: source, **beside}
        copying = self._copy_options(may_be_whole=alone)
        return await plan_completely(header, sources, plan, copying)

    async def series_async(
        self, header: Header, source: ByteSource
    ) -> tuple[tuple[Series, ...], GroupPlan]:
        """Plan the pages of a file in the order of its metadata, for an inventory.

        Returns
        -------
        tuple of Series
            Of the file.
        GroupPlan
            A group for each series, with a group for each of its levels; see `plan_levels`.
        """
        url = header.source.url
        with one_file(url):
            check_undamaged(header, "pages")
            series = await _read_series(source, header)
            options = self._plan_options(source, alone=True)
            if self.ifd is not None:
                series = tuple(one for one in series if one.holds(self._path or ()))

            def plan(copies: Copies) -> GroupPlan:
                return plan_levels(header, series, options, copies=_of_file(copies, url))

            alone = len(header.ifds) == 1
            copying = self._copy_options(may_be_whole=alone)
            return series, await plan_completely(header, {url: source}, plan, copying)

    def _copy_options(self, *, may_be_whole: bool) -> CopyOptions:
        return CopyOptions(self._image_options, self.on_unsupported, self.copy_limit, may_be_whole)

    def _plan_options(self, source: ByteSource, *, alone: bool) -> PlanOptions:
        return PlanOptions(
            layout=self.ifd_layout,
            image=self._image_options,
            coords=self.coords,
            alone=alone,
            check=source.budget.keep,
        )


def _of_file(copies: Copies, url: str) -> dict[tuple[int, ...], ArrayPlan]:
    """Return the copies of images of one file by directory."""
    return {ifd: plan for (one, ifd), plan in copies.items() if one == url}


async def with_levels(header: Header, source: ByteSource, path: IFDPath | None = None) -> Header:
    """Mark the levels of slides, and move levels after their image, if marks do not tell."""
    if are_levels_doubtful(header.ifds, path):
        # Without an order of pages, use the levels that are marked as such.
        with suppress(VirtualTIFFError):
            found = await _read_series(source, header)
            return replace(header, ifds=mark_levels(header.ifds, found))
    return header


async def _read_series(source: ByteSource, header: Header) -> tuple[Series, ...]:
    # Imported here: it imports tifffile.
    from virtual_tiff.tiff.reader._series import read_series

    return await read_series(source, header)
