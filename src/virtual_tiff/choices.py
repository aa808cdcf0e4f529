"""Types of options with a fixed set of values, and the check of their values.

Imports only the standard library, so that `virtual-tiff --help` lists the values quickly.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Literal, TypeAliasType, get_args

from virtual_tiff.errors import InvalidOptionError

type IFDLayout = Literal["flat", "nested", "multiscale", "pages"]
type BandAxis = Literal["first", "last"]
type OnUnsupported = Literal["raise", "copy"]
type ComplexIntegers = Literal["raise", "parts"]
type Pages = Literal["auto", "axes", "separate"]
type SidecarKind = Literal["ovr", "msk", "aux.xml", "world", "rpc", "imd", "xml"]
type OnDuplicate = Literal["raise", "first", "last", "newest"]
type OnFailed = Literal["raise", "skip"]
type OnMismatch = Literal["raise", "skip"]
type OnPresent = Literal["raise", "skip", "replace"]
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


def check_names(
    function: str,
    given: Mapping[str, object],
    options: type | frozenset[str],
    remedy: Callable[[str], str | None] = lambda name: None,
) -> None:
    """Refuse options that a function does not have; name the one that may be meant.

    Parameters
    ----------
    function
        Name of the function, for the message.
    given
        Its options.
    options
        The options that it has, or a `TypedDict` of them.
    remedy
        Makes the remedy for an unknown name.
    """
    known = options if isinstance(options, frozenset) else _keys(options)
    for name in given:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1)
        meant = f"; did you mean {near[0]!r}?" if near else "."
        raise InvalidOptionError(f"{function}() has no option {name!r}{meant}", remedy=remedy(name))


def _keys(options: type) -> frozenset[str]:
    found: frozenset[str] = options.__optional_keys__  # type: ignore[attr-defined]
    return found


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
