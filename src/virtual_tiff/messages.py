"""Text for people: without secrets, and without characters that control a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# No pattern takes more than linear time, since texts of files have a million characters.

#: User and password in front of a host or a bucket. An Azure container stands there without `:`.
_USER = re.compile(
    r"(?i)(?:\b(?:(https?)://[^/\s?#\"<>\\]+@|([a-z][a-z0-9+.-]{0,30})://[^/\s:@\"<>\\]*:[^/\s\"<>\\]*@)"
    r"|(?<![:/])//[^/\s:@\"<>\\]+:[^/\s\"<>\\]*@)"
)
#: Parameters whose values grant access, behind `?`, `&`, `#` and `;`, or their escapes in URLs and
#: in JSON. A value ends where a JSON text escapes a character, so that the rest stays JSON.
_PARAMETER = re.compile(
    r"(?i)([?&#;]|%3F|%26|%23|%3B|\\u0026)"
    r"((?:x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid|signature|sig|"
    r"(?:access_|id_|auth_|sas_?)?token|api_?key|key|secret|password|pwd|auth|credential|sas)"
    r"(?:=|%3D|\\u003d))"
    r"[^&#;\s\"'<>,)\\]*"
)
#: An address in a text, perhaps without its scheme, whose slashes JSON may escape.
_LINK = re.compile(r"(?i)(?:(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}:)?(?:\\*/){2}[^\s\"<>]*")
#: Control characters of ASCII and Latin-1, marks of direction, and lone surrogates.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

_WITHOUT_TEXT = frozenset({bool, int, float, type(None)})
#: The common type first: asking an abstract class takes ten times as long.
_MAPPINGS = (dict, Mapping)
_SEQUENCES = (list, tuple)


def redacted(text: str) -> str:
    """Replace passwords, signatures and tokens of URLs in a text."""
    if not _may_have_secret(text):
        return text
    return _PARAMETER.sub(r"\1\2…", _USER.sub(_without_user, text))


def _may_have_secret(text: str) -> bool:
    # Single characters first, which are found much faster in a text of kilobytes.
    return (
        "@" in text
        or "=" in text
        or ("%" in text and "%3" in text)
        or ("\\" in text and "\\u003d" in text.lower())
    )


def _without_user(found: re.Match[str]) -> str:
    scheme = found[1] or found[2]
    return f"{scheme}://…@" if scheme else "//…@"


def has_secret(url: str) -> bool:
    """Return whether an address contains what `redacted` replaces."""
    return redacted(url) != url


def redacted_links[T](value: T) -> T:
    """Replace passwords, signatures and tokens in the addresses of a text, or of a JSON value.

    For texts of files and tables, of which the rest stays as it is.

    Returns
    -------
    str, list, dict, …
        `value` itself if there are none.
    """
    return _redacted_links(value) if _may_have_link(value) else value


def _may_have_link(value: object) -> bool:
    """Whether a JSON value has a text to look into. Few have, and all attributes come here."""
    # A loop, since calls took a tenth of the time of planning an image.
    rest = [value]
    while rest:
        part = rest.pop()
        if type(part) in _WITHOUT_TEXT:
            continue
        if isinstance(part, str):
            if "/" in part and _may_have_secret(part) and ("//" in part or "\\/" in part):
                return True
        elif isinstance(part, _MAPPINGS):
            rest += part
            rest += part.values()
        elif isinstance(part, _SEQUENCES):
            rest += part
    return False


def _redacted_links(value: Any) -> Any:
    if isinstance(value, str):
        if "//" not in value and "\\/" not in value:
            return value
        return _LINK.sub(lambda found: redacted(found[0]), value)
    if isinstance(value, list | tuple):
        parts: list[Any] = [_redacted_links(part) for part in value]
        same = all(one is other for one, other in zip(parts, value, strict=True))
        return value if same else type(value)(parts)
    if isinstance(value, Mapping):
        found = {_redacted_links(key): _redacted_links(part) for key, part in value.items()}
        same = all(key in found and found[key] is part for key, part in value.items())
        return value if same else found
    return value


def printable(text: str) -> str:
    r"""Escape control characters, as `\u001b`, which is also an escape of JSON."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
