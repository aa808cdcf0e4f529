"""Units of length and time: spellings in files, and the names of OME-Zarr 0.5 (UDUNITS-2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_PREFIXES = {
    **{"Y": "yotta", "Z": "zetta", "E": "exa", "P": "peta", "T": "tera", "G": "giga", "M": "mega"},
    **{"k": "kilo", "h": "hecto", "": "", "d": "deci", "c": "centi", "m": "milli", "µ": "micro"},
    **{"n": "nano", "p": "pico", "f": "femto", "a": "atto", "z": "zepto", "y": "yocto"},
}
#: Names by symbol, as OME-XML (schema 2016-06) has them.
LENGTHS = {f"{short}m": f"{long}meter" for short, long in _PREFIXES.items()} | {
    "Å": "angstrom",
    "in": "inch",
    "ft": "foot",
    "yd": "yard",
    "mi": "mile",
    "pc": "parsec",
}
TIMES = {f"{short}s": f"{long}second" for short, long in _PREFIXES.items()} | {
    "min": "minute",
    "h": "hour",
    "d": "day",
}
#: Other spellings, in lower case and singular, and their symbols.
_SPELLINGS = {
    **{"um": "µm", "us": "µs", "micron": "µm", "inche": "in", "feet": "ft"},
    **{"sec": "s", "msec": "ms", "hr": "h"},
}


def unit_name(text: object, units: Mapping[str, str]) -> str | None:
    r"""Return the name of a unit; `None` for texts that are none of `units`, such as `pixel`.

    Å and µ have two code points each (NFKC). ImageJ escapes characters that are not ASCII, as
    `\u00B5`, and takes any text.
    """
    escaped = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), str(text))
    name = unicodedata.normalize("NFKC", escaped.strip())
    name = name.replace("\N{GREEK SMALL LETTER MU}", "µ")
    for cased in (name, name.lower()):
        singular = cased.removesuffix("s") if len(cased) > 2 else cased
        for spelling in (cased, singular, singular.replace("metre", "meter")):
            unit = _SPELLINGS.get(spelling, spelling)
            if unit in units or unit in units.values():
                return units.get(unit, unit)
    return None
