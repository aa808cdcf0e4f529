"""Text for people: without secrets, and without characters that control a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

# No pattern takes more than linear time, since texts of files have a million characters.

#: User and password in front of a host or a bucket. An Azure container stands there without `:`.
_USER = re.compile(
    r"(?i)(?:\b(?:(https?)://[^/\s?#\"<>\\]+@|([a-z][a-z0-9+.-]{0,30})://[^/\s:@\"<>\\]*:[^/\s\"<>\\]*@)"
    r"|(?<![:/])//[^/\s:@\"<>\\]+:[^/\s\"<>\\]*@)"
)
#: The same in an address that is a parameter of another, escaped once or several times.
_ESCAPED_USER = re.compile(
    r"(?i)([a-z][a-z0-9+.-]{0,30}%(?:25){0,3}3A(?:%(?:25){0,3}2F){2})"
    r"(?:(?!%(?:25){0,3}2F)[^\s\"<>&/\\])*?%(?:25){0,3}40"
)
#: The name of a parameter, behind `?`, `&`, `#` and `;`, or their escapes in URLs and in JSON; and
#: its value, which ends where a JSON text escapes a character, so that the rest stays JSON.
_PARAMETER = re.compile(
    r"(?i)(?:[?&#;]|%(?:25){0,3}(?:3F|26|23|3B)|\\u0026)"
    r"((?:[\w.~-]|%[2-7][0-9A-F]){1,64}?)(?:=|%(?:25){0,3}3D|\\u003d)"
)
_VALUE = re.compile(r"[^&#;\s\"'<>,)\\]*")
#: Names of parameters whose values grant access, without `-`, `_` and `.`: whole names, and words.
_SECRETS = re.compile(
    r"sig|key|sas|auth|jwt|hmac|pwd|pass|bearer|hdnts|hdnea|keypairid"
    r"|.*(?:signature|token|secret|password|passwd|credential|authorization"
    r"|apikey|accesskey|accessid|subscriptionkey|privatekey|sessionid).*"
)
#: What every secret of an address has.
MAY_HAVE_SECRET = r"[@=]|%(?:25)*3|\\u003[dD]"
_MAY_HAVE_SECRET = re.compile(MAY_HAVE_SECRET)
#: What its alternatives begin with.
_SECRET_MARKS = ("@", "=", "%", "\\")
#: Headers of requests, and elements of S3's answers, which repeat what was sent.
_HEADER = re.compile(
    r"(?i)(\b(?:x-[a-z]{2,8}-(?:security-)?token|(?:proxy-)?authorization|x-api-key)\b[\"']?"
    r"\s{0,3}[:=]\s{0,3}[\"']?(?:(?:bearer|basic|digest|token)\s{1,3})?"
    r"|<(?:[\w-]{0,30}token(?:-\d)?|[\w-]{0,30}(?:secret|accesskey)[\w-]{0,30}"
    r"|signatureprovided)>)"
    r"[^\s\"'<>\\]+"
)
#: Settings and their values, as variables of the environment, in JSON, or of a client of Azure.
_SETTING = re.compile(
    r"(?i)(?<![/\w.-])((?!\w{0,20}skip_)(?:(?:[\w-]{0,30}(?:secret|passw(?:or)?d|(?:access|account"
    r"|api|private|secret|storage|subscription)[_-]?key|_key|[a-z_]token|accesssignature)"
    r"[\w-]{0,20}|pwd)[\"']?\s{0,3}[:=]|(?:[\w-]{0,30}signature|credential|sig)="
    r"|(?:set-)?cookie:\s{0,3}[\w.-]{1,64}=|bearer\s(?=[\w.~+/-]{16}))\s{0,3}(?:Some\()?[\"']?)"
    r"(?!(?:true|false|none|null)\b)[^\s\"'<>\\,;]{2,}"
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
    """Replace passwords, signatures and tokens of URLs, headers, answers and settings in a text."""
    return _redacted_address(_SETTING.sub(r"\1…", text))


def _redacted_address(text: str) -> str:
    text = _HEADER.sub(r"\1…", text)
    if not _MAY_HAVE_SECRET.search(text):
        return text
    return _without_values(_ESCAPED_USER.sub(r"\1…@", _USER.sub(_without_user, text)))


def _without_values(text: str) -> str:
    parts, at = [], 0
    for found in _PARAMETER.finditer(text):
        name = re.sub("[-_.~]", "", unquote(found[1])).lower()
        if found.start() >= at and _SECRETS.fullmatch(name):
            parts += [text[at : found.end()], "…"]
            value = _VALUE.match(text, found.end())
            at = found.end() if value is None else value.end()
    return "".join([*parts, text[at:]])


def _without_user(found: re.Match[str]) -> str:
    scheme = found[1] or found[2]
    return f"{scheme}://…@" if scheme else "//…@"


def has_secret(url: str) -> bool:
    """Return whether an address contains a password, a signature or a token."""
    return _redacted_address(url) != url


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
            # Single characters first, which are found much faster in a text of kilobytes.
            if (
                "/" in part
                and any(mark in part for mark in _SECRET_MARKS)
                and ("//" in part or "\\/" in part)
                and _MAY_HAVE_SECRET.search(part)
            ):
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
        return _LINK.sub(lambda found: _redacted_address(found[0]), value)
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
