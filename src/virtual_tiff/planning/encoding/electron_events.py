"""The codec of Electron Event Representation (EER, Thermo Fisher)."""

from __future__ import annotations

from virtual_tiff.errors import ErrorKind
from virtual_tiff.planning.plan import Codec
from virtual_tiff.tags import Compression, Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Compressions, with the bits of a count of pixels, and of the place within a pixel.
EER = {Compression.EER_V0: (8, 2, 2), Compression.EER_V1: (7, 2, 2), Compression.EER_V2: (7, 2, 2)}
_TAGS = (Tag.EER_SKIP_BITS, Tag.EER_HORIZONTAL_BITS, Tag.EER_VERTICAL_BITS)


def eer(ifd: ImageFileDirectory) -> Codec:
    """Return the codec of an image that is 1 where there was an event.

    The numbers of its compressions are those of other formats too, which have more bits.
    """
    rows, columns = ifd.segment_shape
    usual = EER[Compression(ifd.compression)]
    given = ifd.other_tags if ifd.compression == Compression.EER_V2 else {}
    values = map(given.get, _TAGS, usual)
    skip, horizontal, vertical = (value if isinstance(value, int) else 0 for value in values)
    is_possible = (
        skip >= 4
        and 1 <= horizontal <= 4
        and 1 <= vertical <= 4
        and 9 <= skip + horizontal + vertical <= 16
    )
    # The decoder reads words of 64 bits.
    is_whole = ifd.image_length % rows == 0 and not (ifd.byte_counts % 8).any()
    if ifd.bits_per_sample != (1,) or not is_possible or not is_whole:
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_COMPRESSION,
            Tag.COMPRESSION,
            "this is no image of electron events (EER), or one that its codec does not decode.",
        )
    return {
        "name": "imagecodecs_eer",
        "configuration": {
            "shape": [rows, columns],
            "skipbits": skip,
            "horzbits": horizontal,
            "vertbits": vertical,
        },
    }
