"""Add names, spacings and channels to the series of a file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile

from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory
from virtual_tiff.tiff.ome_xml import LENGTHS, TIMES, OMEImage, plain_unit
from virtual_tiff.tiff.philips import level_factors
from virtual_tiff.tiff.qpi import qpi_channels
from virtual_tiff.tiff.series import SLIDES, Channel, Level, Series, Spacing

#: Rows or columns of the largest slide.
_MAX_SIDE = 2**22


def matched(
    found: Sequence[tifffile.TiffPageSeries], images: Sequence[OMEImage]
) -> list[OMEImage | None]:
    """Return the OME-XML's image of each series; tifffile omits images without pages."""
    if len(found) == len(images) and all(one.kind == "ome" for one in found):
        return list(images)
    names = [image.name for image in images]
    return [
        images[names.index(one.name)] if one.kind == "ome" and names.count(one.name) == 1 else None
        for one in found
    ]


def described(
    tif: tifffile.TiffFile,
    found: tifffile.TiffPageSeries,
    plain: Series,
    image: OMEImage | None,
    header: Header,
) -> Series:
    """Add names, spacings and channels to a series, from tifffile or the OME-XML."""
    if image is not None:
        # tifffile names an unnamed image after the file, or by its role.
        plain = replace(
            plain,
            name=image.name,
            spacing=image.spacing,
            channels=image.channels,
            bits=image.bits,
            well=image.well,
        )
        return _with_summary(tif, plain) if tif.is_micromanager else plain
    if found.kind == "imagej":
        spacing, channels = _imagej(tif.imagej_metadata or {}, header.ifds[0])
        return replace(plain, spacing=spacing, channels=channels)
    if found.kind in SLIDES:
        plain = replace(plain, levels=_levels(plain, header))
    channels = qpi_channels(plain, header) if found.kind == "qpi" else _named(found, plain)
    plain = replace(plain, spacing=_measured(tif, found, plain, header), channels=channels)
    return replace(plain, **_remarks(tif, found))


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
        if (step := _positive(summary.get(key)))
    }
    names = summary.get("ChNames")
    channels = plain.channels
    if isinstance(names, list) and not any(channel.name for channel in channels):
        channels = tuple(Channel(name=str(name)) for name in names)
    return replace(plain, spacing={**spacing, **plain.spacing}, channels=channels)


#: Units that tifffile does not tell, of formats that have one only.
_UNITS = {
    "lsm": {"t": "second"},
    "scanimage": {"t": "second", "z": "micrometer"},
    "mmstack": {"t": "millisecond", "z": "micrometer"},
    "ndtiff": {"t": "millisecond", "z": "micrometer"},
}
#: Units of resolutions that describe the specimen: those per inch are often those of a printer.
_OF_SPECIMENS = frozenset({"centimeter", "millimeter", "micrometer"})
_MICROMETRES = {"inch": 25400.0, "centimeter": 1e4, "millimeter": 1e3}


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
    spacing = {}
    has_resolution = Tag.X_RESOLUTION in found.keyframe.tags
    units: dict[str, str] = found.coord_units
    with np.errstate(all="ignore"):  # of absurd resolutions
        scales = found.coord_scales
    for code, value in scales.items():
        axis = code.lower()
        unit = units.get(code) or _UNITS.get(found.kind, {}).get(axis)
        known = _imagej_unit(unit, TIMES if axis == "t" else LENGTHS)
        if axis not in "tzyx" or known is None or not 0 < value < math.inf:
            continue
        if found.kind in _BY_RESOLUTION and known not in _OF_SPECIMENS and len(plain.levels) == 1:
            continue
        # Viewers show lengths of specimens in micrometres.
        is_resolution = found.kind in _BY_RESOLUTION and known in _MICROMETRES
        factor, known = (_MICROMETRES[known], "micrometer") if is_resolution else (1.0, known)
        step = float(value) * factor
        if axis in "yx" and not has_resolution and math.isclose(step, _MICROMETRES["inch"]):
            # tifffile takes the default of TIFF 6.0: a pixel to the inch.
            continue
        spacing[axis] = Spacing(step, known)
    return spacing


#: Series of pages without metadata of a format, whose spacing is their resolution.
_BY_RESOLUTION = frozenset({"generic", "uniform", "shaped", "nih"})


def _of_microscope(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return the pixel size in nm of FEI and Zeiss scanning electron microscopes, as (x, y)."""
    if tif.is_fei:
        scan = (tif.fei_metadata or {}).get("Scan", {})
        x, y = (_positive(scan.get(f"Pixel{side}")) for side in ("Width", "Height"))
        # 12 digits, since powers of ten are not exact.
        return (float(f"{x * 1e9:.12g}"), float(f"{y * 1e9:.12g}")) if x and y else None
    if tif.is_sem:
        value = (tif.sem_metadata or {}).get("ap_image_pixel_size", ())
        if len(value) == 3 and (size := _positive(value[1])):
            factor = _NANOMETRES.get(plain_unit(str(value[2])))
            return (size * factor, size * factor) if factor else None
    return None


_NANOMETRES = {"pm": 1e-3, "nm": 1.0, "µm": 1e3, "um": 1e3, "mm": 1e6, "m": 1e9}


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


def _imagej(
    metadata: Mapping[str, Any], directory: ImageFileDirectory
) -> tuple[dict[str, Spacing], tuple[Channel, ...]]:
    """Return spacings and labels of ImageJ, whose resolutions are pixels per `unit`."""
    unit = metadata.get("unit")
    rate = _positive(metadata.get("fps"))
    # ImageJ writes units of y and z only where they are not that of x.
    found = {
        "x": (_inverse(directory.other_tags.get(Tag.X_RESOLUTION)), unit),
        "y": (_inverse(directory.other_tags.get(Tag.Y_RESOLUTION)), metadata.get("yunit", unit)),
        "z": (_positive(metadata.get("spacing")), metadata.get("zunit", unit)),
    }
    spacing = {
        axis: Spacing(step, name)
        for axis, (step, text) in found.items()
        if step and (name := _imagej_unit(text, LENGTHS))
    }
    interval = _positive(metadata.get("finterval"))
    tick = _imagej_unit(metadata.get("tunit", "s"), TIMES)
    if interval and tick:
        spacing["t"] = Spacing(interval, tick)
    elif rate:
        spacing["t"] = Spacing(1 / rate, "second")
    return spacing, _imagej_channels(metadata)


def _imagej_channels(metadata: Mapping[str, Any]) -> tuple[Channel, ...]:
    """Return labels, colours (the last of each LUT) and ranges of the channels of ImageJ."""
    count = metadata.get("channels", 1)
    labels = metadata.get("Labels")
    labels = labels if isinstance(labels, list) else []
    tables = metadata.get("LUTs")
    tables = tables if isinstance(tables, list) and len(tables) == count else []
    ranges = metadata.get("Ranges")
    ranges = list(ranges) if isinstance(ranges, tuple) and len(ranges) == 2 * count else []
    if not tables and not ranges:
        return tuple(Channel(name=str(label)) for label in labels)
    names = [str(label) for label in labels] if len(labels) == count else [""] * count
    if metadata.get("mode") == "grayscale":
        tables = []
    return tuple(
        Channel(
            name=name,
            color="".join(f"{int(c):02X}" for c in tables[i][:, -1]) if tables else None,
            window=(float(ranges[2 * i]), float(ranges[2 * i + 1])) if ranges else None,
        )
        for i, name in enumerate(names)
    )


def _positive(value: object) -> float | None:
    if isinstance(value, int | float) and 0 < value < math.inf:
        return float(value)
    return None


def _inverse(resolution: object) -> float | None:
    found = _positive(resolution)
    return None if found is None else 1 / found


#: Spellings of units in ImageJ's metadata that are none of OME-XML or OME-Zarr.
_SPELLINGS = {"micron": "µm", "inch": "in", "inches": "in", "sec": "s", "msec": "ms", "feet": "ft"}


def _imagej_unit(text: object, units: Mapping[str, str]) -> str | None:
    r"""Return the unit of ImageJ's metadata, which has several spellings.

    ImageJ escapes characters that are not ASCII, as `\\u00B5`.
    """
    escaped = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), str(text))
    name = plain_unit(escaped)
    singular = name.removesuffix("s") if len(name) > 3 else name
    for spelling in (name, singular, singular.replace("metre", "meter")):
        known = _SPELLINGS.get(spelling, spelling)
        for unit in (known, known.lower()):
            if unit in units or unit in units.values():
                return units.get(unit, unit)
    return None
