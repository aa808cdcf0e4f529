"""Files of electron events (EER, Thermo Fisher), which no library writes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.helpers.assemble import BIG_DATA_AT, PLAIN, Field, assemble, changed, long, short
from virtual_tiff.tags import FieldType

#: Bits of a count of pixels, and of a place within a pixel, by compression.
BITS = {65000: (8, 2, 2), 65001: (7, 2, 2), 65002: (9, 3, 1)}
SIZE = 64
_METADATA = 65001


def event_stream(events: Iterable[int], pixels: int, bits: tuple[int, int, int]) -> bytes:
    """Encode positions of events: counts of the pixels between them, and a place of 0 after each.

    A count of all ones is added to the next one, and words have 64 bits.
    """
    skip, *place = bits
    most = (1 << skip) - 1
    value = used = position = 0
    for event in (*events, pixels):
        between = event - position
        while between >= most:
            value |= most << used
            used += skip
            between -= most
        value |= between << used
        used += skip + sum(place)
        position = event + 1
    return value.to_bytes(-(-used // 64) * 8, "little")


def eer_bytes(
    compression: int = 65001,
    *,
    frames: int = 3,
    strips: int = 1,
    integrated: bool = False,
    **changes: Field | None,
) -> bytes:
    """Make frames with an event in every 37th pixel, after their sum if `integrated`."""
    bits = BITS[compression]
    data = bytes(range(16)) if integrated else b""
    metadata = b"<metadata><item name='exposureTime' unit='s'>1.5</item></metadata>"
    first: dict[int, Field] = {_METADATA: Field(FieldType.UNDEFINED, metadata)}
    fields: dict[str, Any] = {
        "IMAGE_WIDTH": short(SIZE),
        "IMAGE_LENGTH": short(SIZE),
        "ROWS_PER_STRIP": short(SIZE // strips),
        "BITS_PER_SAMPLE": short(1),
        "COMPRESSION": short(compression),
    }
    if compression == 65002:
        tags = ("EER_SKIP_BITS", "EER_HORIZONTAL_BITS", "EER_VERTICAL_BITS")
        fields |= {tag: short(value) for tag, value in zip(tags, bits, strict=True)}
    directories = []
    if integrated:
        small = {"IMAGE_WIDTH": short(4), "STRIP_OFFSETS": long(BIG_DATA_AT)}
        directories.append(changed(PLAIN, **small, STRIP_BYTE_COUNTS=long(16)))
    pixels = SIZE * SIZE // strips
    for frame in range(frames):
        streams = [event_stream(range(frame, pixels, 37), pixels, bits)] * strips
        fields["STRIP_OFFSETS"] = long(
            *(BIG_DATA_AT + len(data) + i * len(streams[0]) for i in range(strips))
        )
        fields["STRIP_BYTE_COUNTS"] = long(*map(len, streams))
        directories.append(changed(PLAIN, **(fields | changes)))
        data += b"".join(streams)
    directories[0] |= first
    return assemble(directories, data=data, big=True)


def eer(path: Path) -> None:
    """Write three frames."""
    path.write_bytes(eer_bytes())
