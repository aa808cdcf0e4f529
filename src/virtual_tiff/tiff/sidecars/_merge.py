"""Merge sidecars into the header of the TIFF they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from virtual_tiff.tags import NewSubfileType, Tag
from virtual_tiff.tiff.auxiliary import Auxiliary, GeoTransform, Polynomials, invalid_sidecar
from virtual_tiff.tiff.gdal_metadata import Domains, GDALMetadata, parse_gdal_metadata
from virtual_tiff.tiff.geokeys import raster_type
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory, Sidecar
from virtual_tiff.tiff.imagery import polynomials
from virtual_tiff.tiff.relations import relate

_REDUCED = int(NewSubfileType.REDUCED_RESOLUTION)
_MASK = int(NewSubfileType.MASK)
#: Item of a mask file: the bits of GDAL's mask flags, for the first band.
_FLAGS = "INTERNAL_MASK_FLAGS_1"
_PER_DATASET = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What providers of satellite images put beside a file (`virtual_tiff.tiff.imagery`).

    Parameters
    ----------
    polynomials
        From a `.RPB` or `_RPC.TXT`.
    domains
        Items of an `.IMD`.
    crs
        Code of the CRS in an XML of ArcGIS, which comes before the GeoKeys in GDAL.
    urls
        Addresses of those that exist.
    """

    polynomials: Polynomials | None = None
    domains: Domains = field(default_factory=dict)
    crs: str | None = None
    urls: tuple[str, ...] = ()


def as_overviews(header: Header, image: ImageFileDirectory) -> Sidecar:
    """Mark the directories of an `.ovr` as overviews of an image, and as their masks."""
    for level in header.ifds:
        if level.image_width > image.image_width or level.image_length > image.image_length:
            raise invalid_sidecar(
                header.source.url,
                f"an overview has {level.image_width} × {level.image_length} pixels, more than "
                f"the {image.image_width} × {image.image_length} of its image.",
            )
    return _sidecar("ovr", header, first=_REDUCED, more=_REDUCED)


def as_masks(header: Header, image: ImageFileDirectory) -> Sidecar | None:
    """Mark the directories of an `.msk` as the mask of an image, and as its overviews.

    `None` if its metadata does not declare a mask for all bands, which GDAL requires.
    """
    mask = header.ifds[0]
    items = parse_gdal_metadata(mask.gdal_metadata).domains.get("", {})
    try:
        flags = int(items.get(_FLAGS, "0"))
    except ValueError:
        flags = 0
    if not flags & _PER_DATASET:
        return None
    if (mask.image_width, mask.image_length) != (image.image_width, image.image_length):
        raise invalid_sidecar(
            header.source.url,
            f"the mask has {mask.image_width} × {mask.image_length} pixels, but its image "
            f"{image.image_width} × {image.image_length}.",
        )
    return _sidecar("msk", header, first=_MASK, more=_MASK | _REDUCED)


def as_overviews_of_mask(header: Header) -> Sidecar:
    """Mark the directories of an `.msk.ovr` as masks of overviews."""
    return _sidecar("msk.ovr", header, first=_MASK | _REDUCED, more=_MASK | _REDUCED)


def _sidecar(suffix: str, header: Header, *, first: int, more: int) -> Sidecar:
    if header.damage is not None:
        raise header.damage.at(url=header.source.url)
    kept = [_as(header.ifds[0], first)]
    for directory in header.ifds[1:]:
        # As in GDAL, other directories are other images, which are ignored.
        if directory.is_mask:
            kept.append(_as(directory, more | _MASK))
        elif directory.is_reduced:
            kept.append(_as(directory, more))
    return Sidecar(suffix=suffix, header=replace(header, ifds=tuple(kept)))


def _as(directory: ImageFileDirectory, subfile_type: int) -> ImageFileDirectory:
    return replace(directory, new_subfile_type=subfile_type, sub_ifds=())


def merge(
    header: Header,
    metadata: Auxiliary | None,
    world: tuple[str, GeoTransform] | None,
    sidecars: Sequence[Sidecar],
    beside: Beside | None = None,
) -> Header:
    """Merge sidecars into the header.

    Parameters
    ----------
    header
        Header to whose first directory the sidecars belong.
    metadata
        Metadata of the `.aux.xml`.
    world
        Address and transform of the world file, which is used if neither the metadata nor the tags
        have a transform.
    sidecars
        Overviews and masks.
    beside
        What providers of satellite images put beside the file.
    """
    found = _with_beside(header.ifds[0], metadata, beside or Beside())
    if world is not None and (found is None or found.geotransform is None):
        url, transform = world
        found = found or Auxiliary()
        # GDAL ignores control points if there is a world file.
        found = replace(found, geotransform=transform, control_points=None, urls=(*found.urls, url))
    if found is None:
        return replace(header, sidecars=tuple(sidecars))
    if raster_type(header.ifds[0]) is not None:
        found = replace(found, metadata=_without_raster_type(found.metadata))
    levels = Auxiliary(nodata=found.nodata, urls=found.urls) if found.nodata else None
    overviews = _overviews(header) if levels is not None else set()
    ifds = tuple(_with_nodata(directory, levels, overviews) for directory in header.ifds)
    return replace(
        header,
        ifds=(replace(ifds[0], auxiliary=found), *ifds[1:]),
        sidecars=tuple(_sidecar_with_nodata(sidecar, levels) for sidecar in sidecars),
    )


def _with_beside(
    image: ImageFileDirectory, metadata: Auxiliary | None, beside: Beside
) -> Auxiliary | None:
    """Add what is beside the file; polynomials of the tag come before those of PAM."""
    found = metadata or Auxiliary()
    crs = beside.crs if found.crs is None else found.crs
    terms = beside.polynomials
    if terms is None and image.other_tags.get(Tag.RPC_COEFFICIENT) is None:
        terms = polynomials(found.metadata.domains.get("RPC", {}))
    items = found.metadata
    if beside.domains:
        items = GDALMetadata(domains=beside.domains).overridden_by(items)
    urls = (*found.urls, *beside.urls)
    found = replace(found, crs=crs, polynomials=terms, metadata=items, urls=urls)
    return found if metadata is not None or beside.urls else None


def _without_raster_type(metadata: GDALMetadata) -> GDALMetadata:
    """Remove AREA_OR_POINT: in GDAL, that of the TIFF takes precedence."""
    items = {k: v for k, v in metadata.domains.get("", {}).items() if k != "AREA_OR_POINT"}
    return replace(metadata, domains={**metadata.domains, "": items})


def _overviews(header: Header) -> set[int]:
    """Return the ids of the directories that are overviews of the first image."""
    image = header.ifds[0]
    return {
        id(one.directory)
        for one in relate(header.ifds)
        if one.full is image
        and not one.directory.is_mask
        and one.directory.samples_per_pixel == image.samples_per_pixel
    }


def _with_nodata(
    directory: ImageFileDirectory, levels: Auxiliary | None, overviews: set[int]
) -> ImageFileDirectory:
    """Set the nodata values of the image on overviews, also among the sub-IFDs."""
    if levels is None:
        return directory
    if any(id(below) in overviews for below in directory.sub_ifds):
        below = tuple(_with_nodata(d, levels, overviews) for d in directory.sub_ifds)
        return replace(directory, sub_ifds=below)
    return replace(directory, auxiliary=levels) if id(directory) in overviews else directory


def _sidecar_with_nodata(sidecar: Sidecar, levels: Auxiliary | None) -> Sidecar:
    if levels is None or sidecar.suffix != "ovr":
        return sidecar
    ifds = tuple(d if d.is_mask else replace(d, auxiliary=levels) for d in sidecar.header.ifds)
    return replace(sidecar, header=replace(sidecar.header, ifds=ifds))
