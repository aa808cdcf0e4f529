"""Tags of TIFF 6.0, BigTIFF, GeoTIFF 1.1 and GDAL, and the values of the enumerated ones.

Sources: TIFF Revision 6.0 (1992), its Technical Notes 1 and 2, the Adobe PageMaker 6.0 notes
(sub-IFDs), OGC GeoTIFF 1.1 (19-008r4), and the private tags GDAL documents for its driver.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import calcsize


class Tag(IntEnum):
    """Tag numbers that this package interprets."""

    NEW_SUBFILE_TYPE = 254
    SUBFILE_TYPE = 255
    IMAGE_WIDTH = 256
    IMAGE_LENGTH = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC_INTERPRETATION = 262
    FILL_ORDER = 266
    DOCUMENT_NAME = 269
    IMAGE_DESCRIPTION = 270
    MAKE = 271
    MODEL = 272
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES_PER_PIXEL = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTE_COUNTS = 279
    MIN_SAMPLE_VALUE = 280
    MAX_SAMPLE_VALUE = 281
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANAR_CONFIGURATION = 284
    PAGE_NAME = 285
    T4_OPTIONS = 292
    T6_OPTIONS = 293
    RESOLUTION_UNIT = 296
    SOFTWARE = 305
    DATE_TIME = 306
    ARTIST = 315
    HOST_COMPUTER = 316
    PREDICTOR = 317
    COLOR_MAP = 320
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    SUB_IFDS = 330
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    JPEG_INTERCHANGE_FORMAT = 513
    JPEG_INTERCHANGE_FORMAT_LENGTH = 514
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    YCBCR_POSITIONING = 531
    REFERENCE_BLACK_WHITE = 532
    IMAGE_DEPTH = 32997
    TILE_DEPTH = 32998
    COPYRIGHT = 33432
    MODEL_PIXEL_SCALE = 33550
    MODEL_TIEPOINT = 33922
    MODEL_TRANSFORMATION = 34264
    GEO_KEY_DIRECTORY = 34735
    GEO_DOUBLE_PARAMS = 34736
    GEO_ASCII_PARAMS = 34737
    GDAL_METADATA = 42112
    GDAL_NODATA = 42113
    RPC_COEFFICIENT = 50844
    LERC_PARAMETERS = 50674
    EER_SKIP_BITS = 65007
    EER_HORIZONTAL_BITS = 65008
    EER_VERTICAL_BITS = 65009

    @property
    def title(self) -> str:
        """Name in the specification, such as `RowsPerStrip`."""
        return _TITLES[self]


_TITLES = {tag: tag.name.title().replace("_", "") for tag in Tag} | {
    Tag.SUB_IFDS: "SubIFDs",
    Tag.JPEG_TABLES: "JPEGTables",
    Tag.JPEG_INTERCHANGE_FORMAT: "JPEGInterchangeFormat",
    Tag.JPEG_INTERCHANGE_FORMAT_LENGTH: "JPEGInterchangeFormatLength",
    Tag.YCBCR_COEFFICIENTS: "YCbCrCoefficients",
    Tag.YCBCR_SUBSAMPLING: "YCbCrSubSampling",
    Tag.YCBCR_POSITIONING: "YCbCrPositioning",
    Tag.GDAL_METADATA: "GDAL_METADATA",
    Tag.GDAL_NODATA: "GDAL_NODATA",
    Tag.RPC_COEFFICIENT: "RPCCoefficient",
}


class FieldType(IntEnum):
    """Types of an IFD entry (TIFF 6.0 section 2, BigTIFF design)."""

    BYTE = 1
    ASCII = 2
    SHORT = 3
    LONG = 4
    RATIONAL = 5
    SBYTE = 6
    UNDEFINED = 7
    SSHORT = 8
    SLONG = 9
    SRATIONAL = 10
    FLOAT = 11
    DOUBLE = 12
    IFD = 13
    LONG8 = 16
    SLONG8 = 17
    IFD8 = 18

    @property
    def form(self) -> str:
        """Format of one value as in `struct`."""
        return _FORMS[self - 1]

    @property
    def size(self) -> int:
        """Size of one value in bytes."""
        return calcsize(f"={self.form}")


#: By number from 1; 14 and 15 are no types.
_FORMS = ("B", "s", "H", "I", "II", "b", "c", "h", "i", "ii", "f", "d", "I", "", "", "Q", "q", "Q")


class Compression(IntEnum):
    """Values of Compression that have a name here; others stay integers."""

    NONE = 1
    CCITT_RLE = 2
    CCITT_T4 = 3
    CCITT_T6 = 4
    LZW = 5
    OLD_JPEG = 6
    JPEG = 7
    ADOBE_DEFLATE = 8
    NEXT = 32766
    CCITT_RLEW = 32771
    PACKBITS = 32773
    THUNDERSCAN = 32809
    IT8_CTPAD = 32895
    DEFLATE = 32946
    PIXAR_LOG = 32909
    JPEG_2000_APERIO_YCBCR = 33003
    JPEG_2000_ALT = 33004
    JPEG_2000_APERIO_RGB = 33005
    JPEG_ALT = 33007
    SGI_LOG = 34676
    SGI_LOG_24 = 34677
    ZSTD_OLD = 34926
    WEBP_OLD = 34927
    JPEG_2000 = 34712
    LERC = 34887
    JPEG_LOSSY_DNG = 34892
    LZMA = 34925
    PNG = 34933
    JPEG_XR = 34934
    ZSTD = 50000
    WEBP = 50001
    JPEG_XL_OLD = 50002
    DEFLATE_PIXTIFF = 50013
    JPEG_XL = 52546
    JPEG_XR_NDPI = 22610
    EER_V0 = 65000
    EER_V1 = 65001
    EER_V2 = 65002


#: First bytes of JPEG 2000: of a code stream, and of a JP2 file.
JPEG_2000_STARTS = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")


class PhotometricInterpretation(IntEnum):
    """Colour space of the samples (TIFF 6.0, tag 262)."""

    WHITE_IS_ZERO = 0
    BLACK_IS_ZERO = 1
    RGB = 2
    PALETTE = 3
    TRANSPARENCY_MASK = 4
    SEPARATED = 5
    YCBCR = 6
    CIELAB = 8
    ICCLAB = 9
    ITULAB = 10
    CFA = 32803
    LOG_L = 32844
    LOG_LUV = 32845
    LINEAR_RAW = 34892


class PlanarConfiguration(IntEnum):
    """How the samples of a pixel are stored (TIFF 6.0, tag 284)."""

    CHUNKY = 1
    PLANAR = 2


class Predictor(IntEnum):
    """Arithmetic applied before compression (TIFF 6.0 section 14, TIFF Technical Note 3; DNG)."""

    NONE = 1
    HORIZONTAL = 2
    FLOATING_POINT = 3
    FLOATING_POINT_X2 = 34894
    FLOATING_POINT_X4 = 34895


class SampleFormat(IntEnum):
    """How to interpret a sample (TIFF 6.0 section 19)."""

    UINT = 1
    INT = 2
    FLOAT = 3
    VOID = 4
    COMPLEX_INT = 5
    COMPLEX_FLOAT = 6


class ExtraSample(IntEnum):
    """Meaning of the samples beyond the photometric ones (TIFF 6.0, tag 338)."""

    UNSPECIFIED = 0
    ASSOCIATED_ALPHA = 1
    UNASSOCIATED_ALPHA = 2


class NewSubfileType(IntFlag):
    """What kind of image an IFD holds (TIFF 6.0, tag 254)."""

    REDUCED_RESOLUTION = 1
    PAGE = 2
    MASK = 4


class LercCompression(IntEnum):
    """Second value of LercParameters: what was applied after LERC."""

    NONE = 0
    DEFLATE = 1
    ZSTD = 2
