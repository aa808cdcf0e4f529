"""Text for people: without secrets, and without characters that control a terminal."""

from __future__ import annotations

import re

#: User and password in front of a host or a bucket. An Azure container stands there without `:`.
_USER = re.compile(r"(?i)\b(?:(https?)://[^/\s?#]+@|([a-z][a-z0-9+.-]*)://[^/\s:@]*:[^/\s]*@)")
#: Parameters whose values grant access, behind `?`, `&`, `#` and `;`, or their escapes.
_PARAMETER = re.compile(
    r"(?i)([?&#;]|%3F|%26|%23|%3B)"
    r"((?:x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid|signature|sig|"
    r"(?:access_|id_|auth_|sas_?)?token|api_?key|key|secret|password|pwd|auth|credential|sas)"
    r"(?:=|%3D))"
    r"[^&#;\s\"'<>,)]*"
)
#: Control characters of ASCII and Latin-1, marks of direction, and lone surrogates.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def redacted(text: str) -> str:
    """Replace passwords, signatures and tokens of URLs in a text."""
    if "@" in text:
        text = _USER.sub(lambda found: f"{found[1] or found[2]}://…@", text)
    return _PARAMETER.sub(r"\1\2…", text) if "=" in text or "%3" in text else text


def has_secret(url: str) -> bool:
    """Return whether an address contains what `redacted` replaces."""
    return redacted(url) != url


def printable(text: str) -> str:
    r"""Escape control characters, as `\u001b`, which is also an escape of JSON."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
