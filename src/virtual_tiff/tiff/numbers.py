"""Read numbers out of text as GDAL does (`CPLAtofM`): what a text begins with counts."""

from __future__ import annotations

import re
from math import inf, isfinite

_SPACE = r"[ \t\n\v\f\r]*+"
#: The decimal point may be a comma, from programs that write in the user's locale.
_NUMBER = re.compile(
    _SPACE + r"(?P<number>[+-]?(?:[0-9]++(?:[.,][0-9]*+)?|[.,][0-9]++)(?:[eE][+-]?[0-9]++)?)"
)
_WORD = re.compile(_SPACE + r"(?P<sign>[+-]?)(?P<word>nan|inf)", re.IGNORECASE)
#: Texts of C runtimes for NaN and infinity: `-1.#QNAN`, `1.#INF00`, `-1.#IND`.
_MSVC = re.compile(_SPACE + r"(?P<sign>[+-]?)1\.#(?P<word>[QS]?NAN|IND|INF)", re.IGNORECASE)
_INTEGER = re.compile(_SPACE + r"([+-]?[0-9]++)")


def leading_number(text: str) -> float | None:
    """Return the number at the start of a text, which may be NaN or infinite.

    Returns
    -------
    float or None
        `None` if the text does not begin with a number, for which GDAL takes 0.

    Examples
    --------
    >>> [leading_number(text) for text in ("-9999 m", "0,5", "1_000", "none")]
    [-9999.0, 0.5, 1.0, None]
    """
    if "#" in text and (word := _MSVC.match(text)):
        return _not_finite(word)
    if found := _NUMBER.match(text):
        return float(found["number"].replace(",", "."))
    word = _WORD.match(text)
    return None if word is None else _not_finite(word)


def _not_finite(word: re.Match[str]) -> float:
    return float(word["sign"] + ("inf" if word["word"].lower() == "inf" else "nan"))


def leading_integer(text: str) -> int | None:
    """Return the decimal digits at the start of a text, as C's `strtoll` reads them."""
    found = _INTEGER.match(text)
    # Longer ones exceed any data type, and Python refuses very long ones.
    return None if found is None else int(found[1][:40])


def finite_number(text: str | None) -> float | None:
    """Return the number at the start of a text; `None` if there is none, or none JSON can hold."""
    value = leading_number(text or "")
    return value if value is not None and isfinite(value) else None


def significant_digits(text: str) -> int:
    """Return how many digits the number at the start of a text has, without leading zeros."""
    found = _NUMBER.match(text)
    if found is None:
        return 0
    mantissa = re.split("[eE]", found["number"])[0]
    return len(re.sub("[^0-9]", "", mantissa).lstrip("0"))


def positive(value: object) -> float | None:
    """Return a number that is greater than 0 and finite; `None` for anything else."""
    if isinstance(value, int | float) and 0 < value < inf:
        return float(value)
    return None
