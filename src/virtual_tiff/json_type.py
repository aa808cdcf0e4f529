"""The values that JSON has (RFC 8259), as Python types."""

from __future__ import annotations

type JSON = None | bool | int | float | str | list[JSON] | dict[str, JSON]
