"""Options with a fixed set of values, given to the functions of Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from virtual_tiff import CubeOptions, VirtualTIFF, append, publish
from virtual_tiff.errors import ErrorKind, InvalidOptionError


@pytest.mark.parametrize("value", ["rise", None, ["raise"], True])
@pytest.mark.parametrize(
    ("function", "option"),
    [
        (VirtualTIFF, "ifd_layout"),
        (VirtualTIFF, "band_axis"),
        (VirtualTIFF, "on_unsupported"),
        (CubeOptions, "on_duplicate"),
        (publish, "on_failed"),
        (append, "on_failed"),
        (append, "on_present"),
        (append, "out_of_order"),
    ],
)
def test_values_that_are_none_of_a_choice(
    function: Callable[..., Any], option: str, value: object, tmp_path: Path
) -> None:
    """They are refused by name, before anything is made."""
    more: tuple[str, ...] = ()
    if function not in (VirtualTIFF, CubeOptions):
        more = (str(tmp_path / "missing.tif"), str(tmp_path / "repository"))
    with pytest.raises(InvalidOptionError) as caught:
        function(*more, **{option: value})
    assert caught.value.kind == ErrorKind.INVALID_OPTION
    assert option in caught.value.message
    assert list(tmp_path.iterdir()) == []
