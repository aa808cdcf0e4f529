"""All attributes of an image, in one call."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_tiff.planning.attributes._array import (
    Attributes,
    FillValue,
    array_attributes,
    band_names,
)
from virtual_tiff.planning.attributes._spatial import group_attributes, spatial_ref_attributes
from virtual_tiff.tiff.gdal_metadata import GDALMetadata, parse_gdal_metadata
from virtual_tiff.tiff.geokeys import CRSResult, GeoTransform, crs, geotransform, overview_transform
from virtual_tiff.tiff.ifd import ImageFileDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Everything the metadata of an image says, ready for a plan.

    Parameters
    ----------
    array_attributes
        Of the array itself.
    spatial_ref_attributes
        Of the scalar variable `array_attributes["grid_mapping"]` names; `None` where the image
        has no georeferencing at all.
    crs
        What the GeoKeys say.
    geotransform
        Corner of the image and steps, in GDAL's order; of this image, not of the one it is an
        overview of.
    band_names
        One name per band where any band has a description, else empty: the `band` coordinate.
    notes
        What in the metadata could not be understood, one line each.
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
    def group_attributes(self) -> Attributes:
        """The `proj` and `spatial` conventions, for the group the array is in."""
        return group_attributes(self.crs, self.geotransform, self.shape)


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
        The nodata value in the data type of the array, `None` where there is none; its Python
        type decides how `_FillValue` is written.
    full
        The image that this is an overview or a mask of. Its GeoKeys hold for both, and its
        transform is stretched to the size of this one; its scales, units and band descriptions
        are those of overviews too, but not of masks.
    """
    source = ifd if full is None else full
    shape = (ifd.image_length, ifd.image_width)
    system = crs(source)
    transform = geotransform(source)
    if transform is not None and full is not None:
        transform = overview_transform(transform, (full.image_length, full.image_width), shape)
    metadata = _metadata(ifd, full)
    spatial_ref = spatial_ref_attributes(source, transform, None if full is None else shape)
    notes = tuple(note for note in (system.note, metadata.note) if note is not None)
    attributes = array_attributes(ifd, metadata, system=system, fill_value=fill_value, full=full)
    if spatial_ref is not None:
        attributes["grid_mapping"] = "spatial_ref"
        # So that xarray makes a coordinate of it without being told to.
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


def _metadata(ifd: ImageFileDirectory, full: ImageFileDirectory | None) -> GDALMetadata:
    """What is said of the samples: an overview's own document only says how it was made."""
    if full is None or ifd.is_mask or full.samples_per_pixel != ifd.samples_per_pixel:
        full = ifd
    own = parse_gdal_metadata(full.gdal_metadata)
    return own if full.auxiliary is None else own.overridden_by(full.auxiliary.metadata)
