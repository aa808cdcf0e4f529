"""Types of options with a fixed set of values, and the check of their values.

Imports only the standard library, so that `virtual-tiff --help` lists the values quickly.
"""

from __future__ import annotations

from typing import Literal, TypeAliasType, get_args

from virtual_tiff.errors import InvalidOptionError

type IFDLayout = Literal["flat", "nested", "multiscale", "pages"]
type BandAxis = Literal["first", "last"]
type OnUnsupported = Literal["raise", "copy"]
type ComplexIntegers = Literal["raise", "parts"]
type SidecarKind = Literal["ovr", "msk", "aux.xml", "world"]
type OnDuplicate = Literal["raise", "first", "last", "newest"]
type OnFailed = Literal["raise", "skip"]
type OnPresent = Literal["raise", "skip"]
type OutOfOrder = Literal["raise", "insert"]
type Grid = Literal["auto", "regular", "tiles"]
type OnGap = Literal["raise", "fill"]
type StacMetadata = Literal["use", "ignore"]


def values_of(choice: TypeAliasType) -> tuple[str, ...]:
    """Return the values of one of the types above, in their order.

    Examples
    --------
    >>> values_of(BandAxis)
    ('first', 'last')
    """
    return get_args(choice.__value__)


def check_choice(option: str, value: object, choice: TypeAliasType) -> None:
    """Raise an InvalidOptionError unless a value is one of a type.

    Parameters
    ----------
    option
        Name of the option, for the message.
    value
        Value of the option.
    choice
        One of the types above.
    """
    values = values_of(choice)
    if not isinstance(value, str) or value not in values:
        raise InvalidOptionError(
            f"{option} is {value!r}, but must be one of {', '.join(map(repr, values))}."
        )
