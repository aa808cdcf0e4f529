"""`VirtualTIFF`: the parser that VirtualiZarr calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.errors import InvalidOptionError, VirtualTIFFError
from virtual_tiff.hierarchy import BandAxis, Layout, PlanOptions, plan_header
from virtual_tiff.plan import GroupPlan
from virtual_tiff.reader import DEFAULT_PREFETCH, read_header

if TYPE_CHECKING:
    from virtualizarr.manifests import ManifestStore


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
        for each image, for a DataTree.
    band_axis
        `first`: `(band, y, x)`, as rioxarray has it. `last`: `(y, x, band)`, as chunky samples
        are stored, so that no reader has to transpose.
    prefetch
        Bytes of the first GET. A header that fits costs no other request.

    Raises
    ------
    InvalidOptionError
        An argument is not one of these; raised before anything is read.

    Examples
    --------
    >>> from virtual_tiff import VirtualTIFF
    >>> VirtualTIFF(ifd=0, band_axis="last")
    VirtualTIFF(ifd=0, ifd_layout='flat', band_axis='last', prefetch=32768)
    """

    ifd: int | tuple[int, ...] | None = None
    ifd_layout: Layout = "flat"
    band_axis: BandAxis = field(default="first", kw_only=True)
    prefetch: int = field(default=DEFAULT_PREFETCH, kw_only=True)

    def __post_init__(self) -> None:
        _check_choice("ifd_layout", self.ifd_layout, get_args(Layout.__value__))
        _check_choice("band_axis", self.band_axis, get_args(BandAxis.__value__))
        path = self.ifd if isinstance(self.ifd, tuple) else (self.ifd,)
        if self.ifd is not None and (
            not path
            or not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in path)
        ):
            raise InvalidOptionError(
                f"ifd is {self.ifd!r}, but must be None, an index from 0, or a path of them."
            )
        if not isinstance(self.prefetch, int) or self.prefetch < 16:
            raise InvalidOptionError(
                f"prefetch is {self.prefetch!r}, but must be at least the 16 bytes of a header."
            )

    def __call__(self, url: str, registry: ObjectStoreRegistry[Any]) -> ManifestStore:
        """Parse one TIFF.

        Parameters
        ----------
        url
            Absolute URL, such as `s3://bucket/image.tif` or `file:///data/image.tif`.
        registry
            Finds the store of the URL, and reads the chunks later.

        Returns
        -------
        virtualizarr.manifests.ManifestStore
            A read-only Zarr store.

        Raises
        ------
        VirtualTIFFError
            The tree is in `virtual_tiff.errors`.
        """
        from virtual_tiff.manifest import manifest_store

        return manifest_store(self.plan(url, registry), registry)

    def plan(self, url: str, registry: ObjectStoreRegistry[Any]) -> GroupPlan:
        """Plan one TIFF, without making a store of it."""
        return _run(self.plan_async(url, registry))

    async def plan_async(self, url: str, registry: ObjectStoreRegistry[Any]) -> GroupPlan:
        """Plan one TIFF; many at once where many calls are gathered."""
        path = self.ifd if isinstance(self.ifd, tuple) or self.ifd is None else (self.ifd,)
        header, source = await read_header(
            url, registry, prefetch=self.prefetch, only=None if path is None else path[0]
        )
        options = PlanOptions(layout=self.ifd_layout, band_axis=self.band_axis)
        plan = plan_header(header, options, ifd=path)
        if not any(array.partial for _, group in plan.walk() for array in group.arrays.values()):
            return plan
        # Imported here, since it needs zarr and most files do not need it.
        from virtual_tiff.segments import complete

        try:
            return await complete(plan, source)
        except VirtualTIFFError as error:
            raise error.at(url=url) from error.__cause__


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidOptionError(
            f"{name} is {value!r}, but must be one of {', '.join(map(repr, choices))}."
        )


def _run[T](work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, from a thread that may already have a running event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
