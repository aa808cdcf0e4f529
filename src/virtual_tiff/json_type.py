"""Python types of JSON values (RFC 8259), and the memory that they take."""

from __future__ import annotations

type JSON = None | bool | int | float | str | list[JSON] | dict[str, JSON]

#: Bytes of a value, and of the places in the lists and mappings that hold it.
_VALUE = 56


def memory(value: JSON) -> int:
    """Return about how many bytes metadata take: in the image, in its group, in the document."""
    if isinstance(value, str):
        return _VALUE + 3 * len(value)
    if isinstance(value, dict):
        return _VALUE + sum(_VALUE + memory(item) for item in value.values())
    if isinstance(value, list):
        # Lists of numbers may be long.
        if not value or isinstance(value[0], int | float):
            return _VALUE * (1 + len(value))
        return _VALUE + sum(map(memory, value))
    return _VALUE
