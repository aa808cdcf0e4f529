"""Convert plans to VirtualiZarr's manifest arrays, groups and stores."""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import virtualizarr.writers.kerchunk as kerchunk_writer
import xarray as xr
from obspec_utils.registry import ObjectStoreRegistry
from virtualizarr.manifests import ChunkManifest, ManifestArray, ManifestGroup, ManifestStore
from virtualizarr.manifests.manifest import INLINED_CHUNK_PATH, MISSING_CHUNK_PATH
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec
from zarr.dtype import parse_dtype

from virtual_tiff.errors import UnsupportedTIFFError
from virtual_tiff.planning.metadata import array_document
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.storage.budget import Budget
from virtual_tiff.storage.version import VersionRegistry

#: Codecs that make bytes of arrays, and that Zarr v2 expresses by the data type.
_IN_ZARR_V2: Final = frozenset({"bytes", "vlen-utf8"})
#: Bytes of a chunk in a manifest: offset, length and path.
_CHUNK_BYTES: Final = 32
_CONVERT: Final = "convert_v3_to_v2_metadata"


class ScalarManifestArray(ManifestArray):
    """A scalar without chunks, such as a grid mapping, which virtual datasets hold as its value.

    When xarray joins datasets, it compares the variables that do not grow, which needs values.
    """

    def to_virtual_variable(self) -> xr.Variable:
        """Return a variable with the fill value, which is the value of the missing chunk."""
        value = np.asarray(self.metadata.fill_value, self.dtype)
        return xr.Variable((), value, dict(self.metadata.attributes))


def manifest_store(
    plan: GroupPlan, registry: ObjectStoreRegistry[Any], budget: Budget | None = None
) -> ManifestStore:
    """Make a read-only Zarr store from a plan; it reads chunks through the registry.

    A read of a file that is gone, or is no longer the one whose header was read, raises a
    `SourceError`.

    Raises
    ------
    InvalidTIFFError
        With kind `header-too-large` or `time-limit`: it takes more memory or time than `budget`
        allows.
    """
    arrays = (array for _, group in plan.walk() for array in group.arrays.values())
    sources = {array.source.url: array.source for array in arrays if array.source is not None}
    checked = VersionRegistry(registry, sources)
    make = _Manifests(budget)
    if budget is None:
        return ManifestStore(make.group(plan), registry=checked)
    with budget.working():
        return ManifestStore(make.group(plan), registry=checked)


def manifest_group(plan: GroupPlan) -> ManifestGroup:
    """Make the manifest group of a plan, with all groups and arrays below it."""
    return _Manifests().group(plan)


class _Manifests:
    """Makes manifest groups and arrays; arrays that are alike have the same metadata."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget
        # The arrays are kept too, since an `id` is unique only as long as its object exists.
        self._alike: dict[tuple[object, ...], tuple[ArrayPlan, ManifestArray]] = {}

    def group(self, plan: GroupPlan) -> ManifestGroup:
        return ManifestGroup(
            arrays={name: self._array(array) for name, array in plan.arrays.items()},
            groups={name: self.group(group) for name, group in plan.groups.items()},
            attributes=dict(plan.attributes),
        )

    def _array(self, plan: ArrayPlan) -> ManifestArray:
        if self._budget is not None:
            self._budget.keep(_CHUNK_BYTES * plan.lengths.size)
        key = (
            *(id(plan.attributes), id(plan.codecs), plan.data_type, repr(plan.fill_value)),
            *(plan.shape, plan.chunk_shape, plan.dimension_names),
        )
        _, same = self._alike.get(key, (None, None))
        if same is not None and plan.shape and not plan.partial:
            return ManifestArray(metadata=same.metadata, chunkmanifest=_chunk_manifest(plan))
        made = manifest_array(plan)
        self._alike[key] = plan, made
        return made


def manifest_array(plan: ArrayPlan) -> ManifestArray:
    """Make the manifest array of a plan.

    Raises
    ------
    AssertionError
        The plan still has partial segments.
    """
    if plan.partial:
        raise AssertionError("partial segments must be completed first")
    document: dict[str, Any] = array_document(plan)
    del document["zarr_format"], document["node_type"]
    document["data_type"] = parse_dtype(document["data_type"], zarr_format=3)
    document["fill_value"] = document["data_type"].from_json_scalar(
        document["fill_value"], zarr_format=3
    )
    with warnings.catch_warnings():
        # zarr warns that numcodecs.* names are not in the specification; the table of readers in
        # the documentation lists who reads them.
        warnings.simplefilter("ignore")
        kind = ManifestArray if plan.shape or plan.lengths.any() else ScalarManifestArray
        return kind(metadata=document, chunkmanifest=_chunk_manifest(plan))


def _chunk_manifest(plan: ArrayPlan) -> ChunkManifest:
    url = "" if plan.source is None else plan.source.url
    paths = np.full(plan.grid_shape, url, np.dtypes.StringDType())
    paths[plan.lengths == 0] = MISSING_CHUNK_PATH
    # Not ascontiguousarray, which adds a dimension to scalars.
    lengths = np.asarray(plan.lengths, order="C")
    if plan.inline:
        lengths = lengths.copy()
        for index, data in plan.inline.items():
            paths[index] = INLINED_CHUNK_PATH
            lengths[index] = len(data)
    return ChunkManifest.from_arrays(
        paths=paths,
        offsets=np.asarray(plan.offsets, order="C"),
        lengths=lengths,
        validate_paths=False,
        inlined=dict(plan.inline),
    )


def refuse_codecs_without_names_in_zarr_v2() -> None:
    """Make `to_kerchunk` refuse arrays whose codecs Zarr v2 references cannot name.

    VirtualiZarr leaves out codecs that make bytes of arrays, and data types that predictors need,
    so readers get other pixels without an error (docs/design/upstream.md). Its Zarr v3 references
    are right. Does nothing where VirtualiZarr converts otherwise.
    """
    convert = getattr(kerchunk_writer, _CONVERT, None)
    if convert is None or convert.__module__ == __name__:
        return

    def checked(metadata: Any, *args: Any, **options: Any) -> Any:
        for codec in metadata.codecs:
            name = str(codec.to_dict()["name"])
            is_left_out = isinstance(codec, ArrayBytesCodec) and name not in _IN_ZARR_V2
            of_arrays = isinstance(codec, ArrayArrayCodec) and name.startswith("imagecodecs_")
            if is_left_out or of_arrays:
                raise UnsupportedTIFFError(
                    f"Zarr v2 references cannot name the codec {name}, and readers would get other "
                    "pixels.",
                    remedy="Pass zarr_format=3 to to_kerchunk, or write to Icechunk.",
                )
        return convert(metadata, *args, **options)

    setattr(kerchunk_writer, _CONVERT, checked)


refuse_codecs_without_names_in_zarr_v2()
