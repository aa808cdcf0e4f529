"""Add names, spacings and channels to the series of a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header
from virtual_tiff.tiff.imagej import imagej_facts
from virtual_tiff.tiff.numbers import positive
from virtual_tiff.tiff.ome_xml import OMEImage
from virtual_tiff.tiff.philips import level_factors
from virtual_tiff.tiff.qpi import qpi_channels
from virtual_tiff.tiff.series import SLIDES, Channel, Level, Series, Spacing
from virtual_tiff.tiff.units import LENGTHS, TIMES, unit_name

#: Rows or columns of the largest slide.
_MAX_SIDE = 2**22


def matched(
    found: Sequence[tifffile.TiffPageSeries], images: Sequence[OMEImage]
) -> list[OMEImage | None]:
    """Return the OME-XML's image of each series; tifffile omits images without pages.

    The one image of a document that does not say where its planes are is that of the file, if it
    has its size.
    """
    if len(found) == len(images) and all(one.kind == "ome" for one in found):
        return list(images)
    if len(found) == len(images) == 1 and found[0].kind in _BY_RESOLUTION:
        page = found[0].keyframe
        sizes = (images[0].sizes["y"], images[0].sizes["x"])
        return list(images) if sizes == (page.imagelength, page.imagewidth) else [None]
    names = [image.name for image in images]
    return [
        images[names.index(one.name)] if one.kind == "ome" and names.count(one.name) == 1 else None
        for one in found
    ]


def rows_as_y(axes: str) -> str:
    """Return the dimensions of a series, `Y` for the rows of pages that are times or slices.

    These are scans of Zeiss LSM along a line, or across the slices.
    """
    if "Y" not in axes and axes[-2:] in ("TX", "ZX"):
        return f"{axes[:-2]}YX"
    return axes


def described(
    tif: tifffile.TiffFile,
    found: tifffile.TiffPageSeries,
    plain: Series,
    image: OMEImage | None,
    header: Header,
) -> Series:
    """Add names, spacings, channels and bits to a series, from tifffile or the OME-XML."""
    plain = _described(tif, found, plain, image, header)
    if tif.is_micromanager:
        plain = _with_summary(tif, plain)
    bits = found.keyframe.bitspersample
    if plain.bits is None and bits < 8 * found.dtype.itemsize:
        return replace(plain, bits=bits)
    return plain


def _described(
    tif: tifffile.TiffFile,
    found: tifffile.TiffPageSeries,
    plain: Series,
    image: OMEImage | None,
    header: Header,
) -> Series:
    if image is not None:
        # tifffile names an unnamed image after the file, or by its role.
        return replace(
            plain,
            name=image.name,
            spacing=image.spacing,
            channels=image.channels,
            bits=image.bits,
            well=image.well,
        )
    if tif.is_imagej and plain.holds((0,)) and found.kind in ("imagej", *_BY_RESOLUTION):
        metadata = tif.imagej_metadata or {}
        facts = imagej_facts(metadata, header.ifds[0])
        if "unit" not in metadata:
            # libvips leaves the unit to ResolutionUnit, where ImageJ looks for it too.
            of_pyramid = len(plain.levels) > 1
            facts["spacing"] |= _by_resolution(found.keyframe, of_pyramid=of_pyramid)
        return replace(plain, **facts)
    if found.kind in SLIDES:
        plain = replace(plain, levels=_levels(plain, header))
    channels = qpi_channels(plain, header) if found.kind == "qpi" else _named(found, plain)
    plain = replace(plain, spacing=_measured(tif, found, plain, header), channels=channels)
    remarks = _remarks(tif, found)
    notes = (*plain.notes, *remarks.pop("notes", ()))
    return replace(plain, notes=notes, **remarks)


def _with_summary(tif: tifffile.TiffFile, plain: Series) -> Series:
    """Add what the summary of Micro-Manager has of an image, and the OME-XML has not."""
    summary = (tif.micromanager_metadata or {}).get("Summary", {})
    steps = {
        "x": ("PixelSize_um", "micrometer"),
        "y": ("PixelSize_um", "micrometer"),
        "z": ("z-step_um", "micrometer"),
        "t": ("Interval_ms", "millisecond"),
    }
    spacing = {
        axis: Spacing(step, unit)
        for axis, (key, unit) in steps.items()
        if (step := positive(summary.get(key)))
    }
    names, colors = summary.get("ChNames"), summary.get("ChColors")
    channels = plain.channels
    if isinstance(names, list) and not any(channel.name for channel in channels):
        channels = tuple(Channel(name=str(name)) for name in names)
    if isinstance(colors, list) and len(colors) == len(channels):
        # Alpha, red, green and blue are the bytes of a signed 32-bit number.
        channels = tuple(
            replace(one, color=one.color or f"{color & 0xFFFFFF:06X}")
            if isinstance(color, int)
            else one
            for one, color in zip(channels, colors, strict=True)
        )
    return replace(plain, spacing={**spacing, **plain.spacing}, channels=channels)


#: Units that tifffile does not tell, of formats that have one only.
_UNITS = {
    "lsm": {"t": "second"},
    "scanimage": {"t": "second", "z": "micrometer"},
    "mmstack": {"t": "millisecond", "z": "micrometer"},
}


def _measured(
    tif: tifffile.TiffFile, found: tifffile.TiffPageSeries, plain: Series, header: Header
) -> dict[str, Spacing]:
    """Return the spacings that tifffile finds, or the metadata of electron microscopes has."""
    directory = header.ifds[0]
    if (size := _of_microscope(tif)) is not None:
        return {axis: Spacing(step, "nanometer") for axis, step in zip("xy", size, strict=True)}
    # tifffile computes coordinates of all pixels to find their distance.
    if max(plain.levels[0].size) > _MAX_SIDE or directory.geo_keys or directory.model_tiepoint:
        return {}
    spacing = _by_resolution(found.keyframe, of_pyramid=len(plain.levels) > 1)
    if found.kind in _BY_RESOLUTION:
        return spacing
    units: dict[str, str] = found.coord_units
    with np.errstate(all="ignore"):  # of absurd resolutions
        scales = found.coord_scales
    if rows_as_y(found.axes) != found.axes:
        # Rows are slices: their distance is that of pixels.
        scales = {"Y" if code == "Z" else code: value for code, value in scales.items()}
        units = {"Y" if code == "Z" else code: unit for code, unit in units.items()}
    for code, value in scales.items():
        axis = code.lower()
        unit = units.get(code) or _UNITS.get(found.kind, {}).get(axis)
        known = unit_name(unit, TIMES if axis == "t" else LENGTHS)
        # Where the format has no sizes of its own, tifffile takes the resolution.
        if known in _OF_RESOLUTION and found.kind != "nih":
            continue
        if axis not in "tzyx" or known is None or not 0 < value < math.inf:
            continue
        if axis in "yx" and _is_default(found.keyframe, value):
            continue
        spacing[axis] = Spacing(_rounded(value), known)
    return spacing


def _is_default(page: tifffile.TiffPage, value: float) -> bool:
    """Return whether tifffile took a pixel to the inch or metre, for want of a resolution."""
    if Tag.X_RESOLUTION in page.tags and page.resolutionunit != _NO_UNIT:
        return False
    return any(math.isclose(value * found, 1) for found in page.get_resolution(unit=_MICROMETER))


#: Series of pages without metadata of a format, whose spacing is their resolution.
_BY_RESOLUTION = frozenset({"generic", "uniform", "shaped"})
#: Units of lengths in tifffile that resolutions have; formats have others.
_OF_RESOLUTION = frozenset({"centimeter", "inch"})
#: ResolutionUnit; the inch is often that of a printer, except in pyramids, which are no prints.
_NO_UNIT, _INCH, _MICROMETER = 1, 2, 5


def _by_resolution(page: tifffile.TiffPage, *, of_pyramid: bool) -> dict[str, Spacing]:
    """Return the sizes of pixels in micrometres, in which viewers show specimens."""
    unit = page.tags.valueof(Tag.RESOLUTION_UNIT, default=_INCH)
    if unit not in (3, 4, _MICROMETER) and not (unit == _INCH and of_pyramid):
        return {}
    found = page.get_resolution(unit=_MICROMETER)
    tags = (Tag.X_RESOLUTION, Tag.Y_RESOLUTION)
    return {
        axis: Spacing(_rounded(1 / value), "micrometer")
        for axis, value, tag in zip("xy", found, tags, strict=True)
        if tag in page.tags and 0 < value < math.inf and 1 / value < math.inf
    }


def _rounded(value: float) -> float:
    """Return a number of 12 digits, since powers of ten are not exact."""
    return float(f"{value:.12g}")


def _of_microscope(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return the pixel size in nm of FEI and Zeiss scanning electron microscopes, as (x, y)."""
    if tif.is_fei:
        scan = (tif.fei_metadata or {}).get("Scan", {})
        x, y = (positive(scan.get(f"Pixel{side}")) for side in ("Width", "Height"))
        return (_rounded(x * 1e9), _rounded(y * 1e9)) if x and y else None
    if tif.is_sem:
        value = (tif.sem_metadata or {}).get("ap_image_pixel_size", ())
        if len(value) == 3 and (size := positive(value[1])):
            factor = _NANOMETRES.get(unit_name(value[2], LENGTHS))
            return (size * factor, size * factor) if factor else None
    return None


_NANOMETRES: dict[str | None, float] = {
    **{"picometer": 1e-3, "nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6, "meter": 1e9}
}


def _named(found: tifffile.TiffPageSeries, plain: Series) -> tuple[Channel, ...]:
    """Return the channels that tifffile finds names of."""
    if "C" not in found.axes or max(plain.levels[0].size) > _MAX_SIDE:
        return ()
    names = found.coords.get("C")
    if names is None or names.dtype.kind not in "UT":
        return ()
    return tuple(Channel(name=str(name)) for name in names.tolist())


def _remarks(tif: tifffile.TiffFile, found: tifffile.TiffPageSeries) -> dict[str, Any]:
    """Return what is to be known of the pixels of some formats."""
    if rows_as_y(found.axes) != found.axes:
        return {"notes": (f"Rows are along {found.axes[-2].lower()}.",)}
    if found.kind in ("bif", "trestle"):
        return {"notes": ("Neighbouring tiles of this slide overlap; they are not stitched.",)}
    if (tif.micromanager_metadata or {}).get("MajorVersion", 0) >= _NDTIFF:
        return {"notes": ("Pages are in the order of the file: NDTiff.index is not read.",)}
    metadata = (tif.mdgel_metadata or {}) if found.kind == "mdgel" else {}
    if metadata.get("FileTag") not in (_SQUARE_ROOTS, _LINEAR) or "ScalePixel" not in metadata:
        return {}
    scale = metadata["ScalePixel"][0] / metadata["ScalePixel"][1]
    if metadata["FileTag"] == _LINEAR:
        return {"scale": scale}
    return {"notes": (f"Values are square roots: intensity is {scale:.9g} times their square.",)}


#: Version of Micro-Manager's files from which on an index beside the file has the order of pages.
_NDTIFF = 2
#: MD FileTag of Molecular Dynamics GEL files.
_SQUARE_ROOTS, _LINEAR = 2, 128


def _levels(plain: Series, header: Header) -> tuple[Level, ...]:
    """Return the levels with their scales, if those are not told by the sizes."""
    factors = level_factors(header.ifds[0], len(plain.levels)) if plain.kind == "philips" else None
    if factors is None:
        return plain.levels
    return tuple(
        replace(level, factor=factor) for level, factor in zip(plain.levels, factors, strict=True)
    )
