"""Python types of JSON values (RFC 8259)."""

from __future__ import annotations

type JSON = None | bool | int | float | str | list[JSON] | dict[str, JSON]
