"""Make attributes on colour (TIFF 6.0 sections 4 to 8, 16, 18 and 20 to 23)."""

from __future__ import annotations

from collections.abc import Sequence

from virtual_tiff.json_type import JSON
from virtual_tiff.tags import Compression, ExtraSample, PhotometricInterpretation
from virtual_tiff.tiff.gdal_metadata import BandMetadata
from virtual_tiff.tiff.ifd import ImageFileDirectory

_PHOTOMETRIC_NAMES = {
    PhotometricInterpretation.WHITE_IS_ZERO: "WhiteIsZero",
    PhotometricInterpretation.BLACK_IS_ZERO: "BlackIsZero",
    PhotometricInterpretation.RGB: "RGB",
    PhotometricInterpretation.PALETTE: "Palette",
    PhotometricInterpretation.TRANSPARENCY_MASK: "TransparencyMask",
    PhotometricInterpretation.SEPARATED: "Separated",
    PhotometricInterpretation.YCBCR: "YCbCr",
    PhotometricInterpretation.CIELAB: "CIELab",
    PhotometricInterpretation.ICCLAB: "ICCLab",
    PhotometricInterpretation.ITULAB: "ITULab",
    PhotometricInterpretation.CFA: "CFA",
    PhotometricInterpretation.LOG_L: "LogL",
    PhotometricInterpretation.LOG_LUV: "LogLuv",
    PhotometricInterpretation.LINEAR_RAW: "LinearRaw",
}
_EXTRA_SAMPLE_NAMES: dict[int, str] = {
    ExtraSample.UNSPECIFIED: "unspecified",
    ExtraSample.ASSOCIATED_ALPHA: "associated_alpha",
    ExtraSample.UNASSOCIATED_ALPHA: "unassociated_alpha",
    999: "unassociated_alpha",  # CorelDRAW's value, which libtiff also accepts
}
_RGB = ("red", "green", "blue")
# GDAL's names of the photometric samples, as in rasterio.
_INTERPRETATIONS: dict[int, tuple[str, ...]] = {
    PhotometricInterpretation.WHITE_IS_ZERO: ("gray",),
    PhotometricInterpretation.BLACK_IS_ZERO: ("gray",),
    PhotometricInterpretation.RGB: _RGB,
    PhotometricInterpretation.PALETTE: ("palette",),
    PhotometricInterpretation.TRANSPARENCY_MASK: ("gray",),
    PhotometricInterpretation.SEPARATED: ("cyan", "magenta", "yellow", "black"),
    PhotometricInterpretation.YCBCR: ("Y", "Cb", "Cr"),
    PhotometricInterpretation.CIELAB: ("lightness", "a", "b"),
    PhotometricInterpretation.ICCLAB: ("lightness", "a", "b"),
    PhotometricInterpretation.ITULAB: ("lightness", "a", "b"),
}
_JPEG = frozenset(
    {Compression.JPEG, Compression.OLD_JPEG, Compression.JPEG_ALT, Compression.JPEG_LOSSY_DNG}
)


def color_attributes(ifd: ImageFileDirectory, bands: Sequence[BandMetadata]) -> dict[str, JSON]:
    """Return the attributes on colour.

    Returns
    -------
    dict
        `photometric_interpretation`
            The value in the file, by its name of TIFF 6.0; absent if the tag is absent.
        `color_interpretation`
            One name for each band of the decoded array: JPEG decoders convert YCbCr to RGB.
        `extra_samples`
            `associated_alpha` (colours are premultiplied), `unassociated_alpha` or
            `unspecified`, for the bands after the photometric ones.
        `color_map`
            For palette images: red, green and blue from 0 to 65535 of each index in turn, in one
            list. `numpy.reshape(a.attrs["color_map"], (-1, 3))[a.values] >> 8` is the 8-bit RGB
            image, of shape `(y, x, 3)`; where no number exceeds 255, without the shift.
    """
    attributes: dict[str, JSON] = {}
    if ifd.photometric_interpretation is not None:
        attributes["photometric_interpretation"] = photometric_name(ifd.photometric_interpretation)
    attributes["color_interpretation"] = list(color_interpretation(ifd, bands))
    if ifd.extra_samples:
        attributes["extra_samples"] = [_extra_sample_name(value) for value in ifd.extra_samples]
    if ifd.auxiliary is not None and ifd.auxiliary.color_table:
        # From 8 bits to 16, with the colour in the high byte.
        table: list[JSON] = [c * 257 for color in ifd.auxiliary.color_table for c in color]
        attributes["color_map"] = table
    elif ifd.color_map is not None and (
        ifd.photometric_interpretation == PhotometricInterpretation.PALETTE
        # GDAL adds a ColorMap to images that were written as gray ones.
        or attributes["color_interpretation"] == ["palette"]
    ):
        colors: list[JSON] = list(ifd.color_map.T.ravel().tolist())
        attributes["color_map"] = colors
    return attributes


def photometric_name(value: int) -> str:
    """Return the TIFF 6.0 name of a photometric interpretation, or its number."""
    try:
        return _PHOTOMETRIC_NAMES[PhotometricInterpretation(value)]
    except ValueError:
        return str(value)


def _extra_sample_name(value: int) -> str:
    return _EXTRA_SAMPLE_NAMES.get(value, str(value))


def color_interpretation(ifd: ImageFileDirectory, bands: Sequence[BandMetadata]) -> tuple[str, ...]:
    """Return a name for each band, from GDAL's metadata or else from the tags."""
    photometric = ifd.photometric_interpretation
    if photometric is None:
        photometric = PhotometricInterpretation.BLACK_IS_ZERO
    named = _INTERPRETATIONS.get(photometric, ())
    if photometric == PhotometricInterpretation.YCBCR and ifd.compression in _JPEG:
        named = _RGB
    count = ifd.samples_per_pixel
    names = [*named[:count], *["undefined"] * (count - len(named))]
    # ExtraSamples follow the photometric ones (TIFF 6.0 section 18).
    for i, extra in enumerate(ifd.extra_samples, len(named)):
        if i < count and _extra_sample_name(extra).endswith("alpha"):
            names[i] = "alpha"
    for i, band in enumerate(bands[:count]):
        if band.color_interpretation is not None:
            names[i] = band.color_interpretation.lower()
    return tuple(names)
