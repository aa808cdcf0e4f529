"""Make the attributes of classes (CF 1.11 section 3.5): `flag_values`, `flag_meanings`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from virtual_tiff.json_type import JSON

#: What a word of `flag_meanings` consists of.
_OTHER = re.compile(r"[^A-Za-z0-9_.+@-]+")

type Flag = tuple[int, int | None, str]
"""Value, mask of its bits or `None`, and name."""


def flag_attributes(flags: Sequence[Flag], limits: tuple[int, int] | None) -> dict[str, JSON]:
    """Return `flag_values` and `flag_meanings`, and `flag_masks` where flags are bits.

    CF separates meanings by blanks, so each becomes one word. Left out are classes without a name,
    and those beyond the limits of the data type, which are `None` for other numbers than integers.
    """
    if limits is None:
        return {}
    lowest, highest = limits
    found: dict[tuple[int, int | None], str] = {}
    for value, mask, name in flags:
        word = _OTHER.sub("_", name.strip()).strip("_")
        fits = all(lowest <= number <= highest for number in (value, mask or 0))
        if word and fits:
            found.setdefault((value, mask), word)
    if not found:
        return {}
    attributes: dict[str, JSON] = {
        "flag_values": [value for value, _ in found],
        "flag_meanings": " ".join(found.values()),
    }
    masks = [mask for _, mask in found if mask is not None]
    if len(masks) == len(found):
        attributes["flag_masks"] = list[JSON](masks)
    return attributes
