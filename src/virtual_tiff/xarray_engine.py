"""`engine="virtual-tiff"`: open a TIFF in xarray, lazily and without a repository."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, override

import xarray as xr
from xarray.backends import BackendEntrypoint

from virtual_tiff.choices import check_names
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.manifest import manifest_store
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.storage.addresses import source_url
from virtual_tiff.storage.stores import registry_for

_OF_PARSER = tuple(field.name for field in fields(VirtualTIFF))
_OF_STORES = ("registry", "anonymous")
#: Groups that an error names.
_NAMED_GROUPS = 10
_OF_XARRAY = (
    "mask_and_scale",
    "decode_times",
    "concat_characters",
    "decode_coords",
    "drop_variables",
    "use_cftime",
    "decode_timedelta",
)


class VirtualTIFFBackend(BackendEntrypoint):
    """Opens a TIFF as what `publish` would make of it.

    Options are those of `virtual_tiff.VirtualTIFF`, `group`, `registry` and `anonymous`. By default
    the layout is `multiscale`: `open_dataset` opens the first image at full resolution, and
    `open_datatree` all images with their overviews. Bytes come from the TIFF with each read.
    """

    description = "Open TIFFs, GeoTIFFs and COGs lazily through references to their chunks"
    url = "https://virtual-tiff.readthedocs.io"
    open_dataset_parameters = ("filename_or_obj", "group", *_OF_XARRAY, *_OF_STORES, *_OF_PARSER)
    supports_groups = True

    @override
    def guess_can_open(self, filename_or_obj: object) -> bool:
        """Return false: other engines open TIFFs too, so that this one has to be named."""
        return False

    @override
    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        group: str | None = None,
        drop_variables: str | Iterable[str] | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Open one group of a TIFF.

        Parameters
        ----------
        filename_or_obj
            Local path or URL, also one with a query.
        group
            Path of the group, such as `1` for the first overview; by default the first with arrays.
        drop_variables, **options
            As for `xarray.open_dataset`, and see the class.

        Raises
        ------
        VirtualTIFFError
            The file cannot be read, or has an encoding that no codec decodes.
        """
        options.setdefault("ifd", None if group else 0)
        store, plan, decoding = _opened(filename_or_obj, options)
        path = _first_with_arrays(plan) if group is None else _checked(group, plan, filename_or_obj)
        return xr.open_dataset(
            store,
            engine="zarr",
            group=path,
            chunks=None,
            cache=False,
            drop_variables=drop_variables,
            zarr_format=3,
            consolidated=False,
            **decoding,
        )

    @override
    def open_datatree(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        **options: Any,
    ) -> xr.DataTree:
        """Open all groups of a TIFF; parameters are those of `open_dataset`."""
        group = options.pop("group", None)
        store, plan, decoding = _opened(filename_or_obj, options)
        return xr.open_datatree(
            store,
            engine="zarr",
            group=None if group is None else _checked(group, plan, filename_or_obj),
            chunks=None,
            cache=False,
            drop_variables=drop_variables,
            zarr_format=3,
            consolidated=False,
            **decoding,
        )

    @override
    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        **options: Any,
    ) -> dict[str, xr.Dataset]:
        """Open each group of a TIFF; parameters are those of `open_dataset`."""
        tree = self.open_datatree(filename_or_obj, drop_variables=drop_variables, **options)
        return {node.path: node.to_dataset(inherit=False) for node in tree.subtree}


def _opened(source: Any, options: dict[str, Any]) -> tuple[Any, GroupPlan, dict[str, Any]]:
    """Return the store of a TIFF, its plan, and the options that are xarray's."""
    known = frozenset((*_OF_XARRAY, *_OF_STORES, *_OF_PARSER))
    check_names("open_dataset", options, known)
    url = source_url(source, query=True)
    parser = replace(
        VirtualTIFF(ifd_layout="multiscale"),
        **{name: options[name] for name in _OF_PARSER if name in options},
    )
    registry = registry_for(
        [url], options.get("registry"), anonymous=options.get("anonymous", False)
    )
    plan = parser.plan(url, registry)
    decoding = {name: options[name] for name in _OF_XARRAY if name in options}
    return manifest_store(plan, registry), plan, decoding


def _checked(group: object, plan: GroupPlan, source: str | os.PathLike[str]) -> str:
    """Return the path of a group; of one that does not exist, xarray makes an empty dataset."""
    paths = [path for path, _ in plan.walk()]
    path = group.strip("/") if isinstance(group, str) else None
    if path is None or path not in paths:
        named = ", ".join(repr(one) for one in paths[:_NAMED_GROUPS] if one)
        further = ", …" if len(paths) > _NAMED_GROUPS else ""
        raise InvalidOptionError(
            f"there is no group {group!r}.",
            url=source_url(source, query=True),
            remedy=f"The groups are {named}{further}."
            if named
            else "The file has no groups but the root: leave it out.",
        )
    return path


def _first_with_arrays(plan: GroupPlan) -> str:
    """Return the path of the first group that has arrays."""
    return next((path for path, group in plan.walk() if group.arrays), "").strip("/")
