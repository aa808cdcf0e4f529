"""Make all attributes of an image."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_tiff.json_type import memory
from virtual_tiff.planning.attributes._array import (
    Attributes,
    FillValue,
    array_attributes,
    band_names,
)
from virtual_tiff.planning.attributes._notes import attribute_notes, tag_notes
from virtual_tiff.planning.attributes._spatial import group_attributes, spatial_ref_attributes
from virtual_tiff.tiff.gdal_metadata import GDALMetadata, parse_gdal_metadata
from virtual_tiff.tiff.geokeys import CRSResult, GeoTransform, crs, geotransform, overview_transform
from virtual_tiff.tiff.ifd import ImageFileDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """All attributes of an image, for a plan.

    Parameters
    ----------
    array_attributes
        Attributes of the array.
    spatial_ref_attributes
        The whole georeferencing, as attributes of the variable that
        `array_attributes["grid_mapping"]` names; `None` if the image has none.
    crs
        CRS of the GeoKeys.
    geotransform
        Affine transform of this image (for an overview not of the full image), in GDAL's order.
    band_names
        Values of the `band` coordinate: a name for each band if any band has a description, else
        empty.
    notes
        What the attributes do not say in the way of CF, or not at all, one line each.
    shape
        Rows and columns.
    """

    array_attributes: Attributes
    spatial_ref_attributes: Attributes | None
    crs: CRSResult
    geotransform: GeoTransform | None
    band_names: tuple[str, ...]
    notes: tuple[str, ...]
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Return about how many bytes of memory the attributes take."""
        return memory(self.array_attributes) + memory(self.spatial_ref_attributes)

    @property
    def group_attributes(self) -> Attributes:
        """Return the `proj` convention for the group of the array."""
        return group_attributes(self.crs)


def describe(
    ifd: ImageFileDirectory,
    *,
    fill_value: FillValue | None = None,
    full: ImageFileDirectory | None = None,
) -> Description:
    """Make all attributes of an image.

    Parameters
    ----------
    ifd
        The image.
    fill_value
        The nodata value in the data type of the array, or `None`; its Python type determines the
        form of `_FillValue`.
    full
        The image that this is an overview or a mask of. Its GeoKeys apply to both, and its
        transform is scaled to the size of this one; its scales, units and band descriptions apply
        to overviews, but not to masks.
    """
    source = ifd if full is None else full
    shape = (ifd.image_length, ifd.image_width)
    system = crs(source)
    whole = geotransform(source)
    transform = whole
    if whole is not None and full is not None:
        transform = overview_transform(whole, (full.image_length, full.image_width), shape)
    metadata = image_metadata(ifd, full)
    spatial_ref = spatial_ref_attributes(source, transform, None if full is None else shape)
    attributes = array_attributes(ifd, metadata, system=system, fill_value=fill_value, full=full)
    if metadata.note is not None:
        attributes["metadata_note"] = metadata.note
    if found := tag_notes(source, whole):
        attributes["notes"] = found
    notes = (*(() if system.note is None else (system.note,)), *attribute_notes(attributes))
    if spatial_ref is not None:
        attributes["grid_mapping"] = "spatial_ref"
        # So that xarray makes it a coordinate by default.
        attributes["coordinates"] = "spatial_ref"
    return Description(
        array_attributes=attributes,
        spatial_ref_attributes=spatial_ref,
        crs=system,
        geotransform=transform,
        band_names=band_names(metadata, ifd.samples_per_pixel),
        notes=notes,
        shape=shape,
    )


def image_metadata(ifd: ImageFileDirectory, full: ImageFileDirectory | None) -> GDALMetadata:
    """Return the metadata of the samples; an overview's document only tells how it was made."""
    if full is None or ifd.is_mask or full.samples_per_pixel != ifd.samples_per_pixel:
        full = ifd
    own = parse_gdal_metadata(full.gdal_metadata)
    return own if full.auxiliary is None else own.overridden_by(full.auxiliary.metadata)
