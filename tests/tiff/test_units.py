"""Spellings of units become names of OME-Zarr."""

from __future__ import annotations

import pytest

from virtual_tiff.tiff.units import LENGTHS, TIMES, unit_name


@pytest.mark.parametrize(
    ("spellings", "expected"),
    [
        (
            "µm|\u03bcm|um|UM|micron|Micron|microns|micrometer|Micrometers|micrometre"
            "|MICRONS|MICROMETRES",
            "micrometer",
        ),
        (r"\u00B5m|\u03BCm", "micrometer"),
        ("Å|\u212b|Angstrom|angstroms", "angstrom"),
        ("in|inch|inches", "inch"),
        ("mm|MM|millimetres", "millimeter"),
        ("pixel|pixels|reference frame||µm²|None", None),
    ],
)
def test_lengths(spellings: str, expected: str | None) -> None:
    assert {unit_name(text, LENGTHS) for text in spellings.split("|")} == {expected}


@pytest.mark.parametrize(
    ("spellings", "expected"),
    [
        ("s|sec|secs|second|Seconds", "second"),
        ("h|hr|hrs|hours", "hour"),
        ("min|mins|minutes", "minute"),
        ("us|µs", "microsecond"),
        ("ms|msec", "millisecond"),
        ("frame|m", None),
    ],
)
def test_times(spellings: str, expected: str | None) -> None:
    assert {unit_name(text, TIMES) for text in spellings.split("|")} == {expected}
