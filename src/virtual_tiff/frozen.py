"""Copies of frozen dataclasses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

_names: dict[type[Any], tuple[str, ...]] = {}


def unchecked_copy[T](instance: T, **changes: object) -> T:
    """Return a copy of a dataclass with other values of some fields, without `__post_init__`.

    `dataclasses.replace` takes five times as long, mostly to check again what does not change.
    """
    kind: type[Any] = type(instance)
    names = _names.get(kind)
    if names is None:
        names = _names[kind] = tuple(one.name for one in fields(kind))
    made: T = object.__new__(kind)
    put = object.__setattr__
    for name in names:
        put(made, name, changes[name] if name in changes else getattr(instance, name))
    return made
