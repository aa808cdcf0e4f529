"""Settings from the environment: what users set once for all commands and functions."""

from __future__ import annotations

import logging
import os
import re
from urllib.parse import urlsplit

from virtual_tiff.errors import InvalidOptionError

PREFETCH = "VIRTUAL_TIFF_PREFETCH"
CONCURRENCY = "VIRTUAL_TIFF_CONCURRENCY"
RETRY_SECONDS = "VIRTUAL_TIFF_RETRY_SECONDS"
TIMEOUT_SECONDS = "VIRTUAL_TIFF_TIMEOUT_SECONDS"
LOG = "VIRTUAL_TIFF_LOG"
LOCAL_LINKS = "VIRTUAL_TIFF_LOCAL_LINKS"
CATALOG = "VIRTUAL_TIFF_CATALOG"
SOURCE_ENDPOINT = "VIRTUAL_TIFF_SOURCE_ENDPOINT"
REPOSITORY_ENDPOINT = "VIRTUAL_TIFF_REPOSITORY_ENDPOINT"
REPOSITORY_REGION = "VIRTUAL_TIFF_REPOSITORY_REGION"
#: Variables of the credentials of a repository in S3, by their names in Icechunk.
_REPOSITORY_KEYS = {
    "access_key_id": "VIRTUAL_TIFF_REPOSITORY_ACCESS_KEY_ID",
    "secret_access_key": "VIRTUAL_TIFF_REPOSITORY_SECRET_ACCESS_KEY",
    "session_token": "VIRTUAL_TIFF_REPOSITORY_SESSION_TOKEN",
}

#: Variables, their defaults and meanings, for the reference.
MEANINGS = {
    PREFETCH: (
        "32768",
        "Bytes of the first GET of a file, unless an option says otherwise. Larger where headers "
        "are long, so that one request is enough.",
    ),
    CONCURRENCY: (
        "",
        "Most files that are read at once, also where an option or a default is greater: for "
        "servers that throttle.",
    ),
    RETRY_SECONDS: (
        "90",
        "Seconds for which a request that failed or was throttled is repeated; 0 for none.",
    ),
    TIMEOUT_SECONDS: ("30", "Seconds for one request, more than 0."),
    LOG: (
        "",
        "Writes log messages to standard error: `debug` has each request of a file with its bytes. "
        "From Python, use the logger `virtual_tiff`.",
    ),
    LOCAL_LINKS: ("", "Set to any text, lists and documents from elsewhere may name local files."),
    CATALOG: (
        "",
        "TOML file with an entry of the catalogue, or a folder of them; see "
        "[how to use a known archive](../how-to/catalog.md#add-your-own).",
    ),
    SOURCE_ENDPOINT: (
        "",
        "Address of the S3 server of the files, if it is another than that of `AWS_ENDPOINT_URL`; "
        "also `--source-endpoint`.",
    ),
    REPOSITORY_ENDPOINT: (
        "",
        "Address of the S3 server of the repository, likewise; also `--repository-endpoint`.",
    ),
    REPOSITORY_REGION: ("", "Region of a repository in S3, if it is another than `AWS_REGION`."),
    _REPOSITORY_KEYS["access_key_id"]: (
        "",
        "Key of a repository in S3, where that of `AWS_ACCESS_KEY_ID` is for the files alone.",
    ),
    _REPOSITORY_KEYS["secret_access_key"]: ("", "Its secret."),
    _REPOSITORY_KEYS["session_token"]: ("", "Its token, if the key is temporary."),
    "AWS_REQUEST_PAYER": ("", "`requester` where the requester pays for S3."),
    "AWS_SKIP_SIGNATURE": (
        "",
        "`true` sends no credentials; also `GOOGLE_SKIP_SIGNATURE` and `AZURE_SKIP_SIGNATURE`.",
    ),
    "AWS_…, GOOGLE_…, AZURE_…": (
        "",
        "Credentials, regions, endpoints and proxies; see "
        "[how to give credentials](../how-to/credentials.md).",
    ),
    "ICECHUNK_LOG": ("", "Filter of Icechunk's log, such as `icechunk=debug`."),
    "DASK_SCHEDULER_ADDRESS": ("", "Scheduler of the cluster for `--executor dask`."),
}

#: Variables of obstore and of Icechunk, by cloud: addresses of servers (the first that is set
#: counts), and switches.
_SERVERS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": (),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_SWITCHES = {
    "s3": ("AWS_SKIP_SIGNATURE", "AWS_REQUEST_PAYER", "AWS_ALLOW_HTTP"),
    "gs": ("GOOGLE_SKIP_SIGNATURE", "GOOGLE_ALLOW_HTTP"),
    "az": ("AZURE_SKIP_SIGNATURE", "AZURE_ALLOW_HTTP", "AZURE_STORAGE_USE_EMULATOR"),
}
_ON, _OFF = ("1", "true", "on", "yes", "y"), ("0", "false", "off", "no", "n")
#: Characters that no URL has (RFC 3986 section 2), and those that begin a query or a fragment.
_NO_SERVER = re.compile(r"[^!-~]|[\"<>\\^`{|}?#]")

#: Bytes of the first GET. The header of a COG with five overviews and 4,000 tiles fits.
DEFAULT_PREFETCH = 32 * 1024
#: No number of seconds, bytes or files that is meant is greater.
_MOST = 1_000_000_000
_LEVELS = ("debug", "info", "warning", "error")


def default_prefetch() -> int:
    """Return the bytes of the first GET of a file where no option names them.

    Raises
    ------
    InvalidOptionError
        The variable is not a whole number of at least 16, the bytes of a header.
    """
    return _number(PREFETCH, 16) or DEFAULT_PREFETCH


def most_at_once(limit: int) -> int:
    """Return the files in flight at once: those of an option, or fewer by the environment."""
    most = _number(CONCURRENCY, 1)
    return limit if most is None else min(limit, most)


def seconds(variable: str, default: float, *, zero: bool) -> float:
    """Return a number of seconds; `zero` is whether it may be 0.

    Raises
    ------
    InvalidOptionError
        The variable is no such number.
    """
    text = os.environ.get(variable, "").strip()
    try:
        found = float(text) if text else default
    except ValueError:
        found = -1.0
    if not (found >= 0 if zero else found > 0) or not found <= _MOST:
        least = "0 or more" if zero else "more than 0"
        raise InvalidOptionError(
            f"{variable} is {text!r}, but must be a number of seconds, {least}."
        )
    return found


def is_on(variable: str) -> bool:
    """Return whether a switch is on, as obstore reads it.

    Raises
    ------
    InvalidOptionError
        The variable is neither on nor off.
    """
    text = os.environ.get(variable)
    on = (*_ON, "requester") if variable == "AWS_REQUEST_PAYER" else _ON
    if text is not None and text.lower() not in (*on, *_OFF):
        raise InvalidOptionError(
            f"{variable} is {text!r}, but must be one of {', '.join((*on, *_OFF))}.",
            remedy="Unset it for the default.",
        )
    return text is not None and text.lower() in on


def check_server(name: str, address: str) -> None:
    """Refuse an address of a server, of a variable or an option, that no request can be sent to.

    Raises
    ------
    InvalidOptionError
        obstore and Icechunk would panic.
    """
    try:
        parts = urlsplit(address)
        good = bool(parts.hostname) and parts.port != 0  # a port beyond 65535 is a ValueError
    except ValueError:
        good = False
    if not good or _NO_SERVER.search(address) or not address.startswith(("http://", "https://")):
        raise InvalidOptionError(
            f"{name} is {address!r}, which is no address of a server.",
            remedy="Write it with its scheme, as https://s3.example.com or http://localhost:9000.",
        )


def server(cloud: str) -> str | None:
    """Return the address of a cloud's server that the environment names, if any.

    Raises
    ------
    InvalidOptionError
        See `check_server`.
    """
    for variable in _SERVERS[cloud]:
        if (address := os.environ.get(variable)) is not None:
            check_server(variable, address)
            return address
    return None


def own_server(variable: str) -> str | None:
    """Return the address of the S3 server in `SOURCE_ENDPOINT` or `REPOSITORY_ENDPOINT`, if any.

    Raises
    ------
    InvalidOptionError
        See `check_server`.
    """
    if address := os.environ.get(variable):
        check_server(variable, address)
    return address or None


def repository_keys() -> dict[str, str]:
    """Return the credentials of a repository in S3 by their names in Icechunk; empty if none.

    Raises
    ------
    InvalidOptionError
        One of the key and its secret is missing.
    """
    found = {name: os.environ.get(variable, "") for name, variable in _REPOSITORY_KEYS.items()}
    keys = {name: value for name, value in found.items() if value}
    if keys and not {"access_key_id", "secret_access_key"} <= keys.keys():
        lacking = next(v for n, v in _REPOSITORY_KEYS.items() if n not in keys)
        raise InvalidOptionError(
            f"{lacking} is not set, but another credential of the repository is.",
            remedy="Set both the key and its secret, or none of them.",
        )
    return keys


def check_environment(cloud: str) -> None:
    """Refuse wrong variables of a cloud by name, before obstore or Icechunk reads them.

    Raises
    ------
    InvalidOptionError
        With the first of them.
    """
    for variable in _SERVERS[cloud]:
        if (address := os.environ.get(variable)) is not None:
            check_server(variable, address)
    for variable in _SWITCHES[cloud]:
        is_on(variable)


def culprit(cloud: str, message: str) -> str | None:
    """Return the variable of a cloud whose value an error of obstore quotes, if there is one."""
    quoted = re.search(r'"([^"]*)"', message)
    start = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}[cloud]
    found = [n for n, v in os.environ.items() if n.startswith(start) and quoted and v == quoted[1]]
    return min(found, default=None)


def start_log() -> None:
    """Write messages to standard error if the environment says so.

    Raises
    ------
    InvalidOptionError
        The variable is no level.
    """
    level = os.environ.get(LOG, "").strip().lower()
    if not level:
        return
    if level not in _LEVELS:
        raise InvalidOptionError(f"{LOG} is {level!r}, but must be one of {', '.join(_LEVELS)}.")
    logger = logging.getLogger("virtual_tiff")
    logger.setLevel(level.upper())
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)


def _number(variable: str, least: int) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    number = int(text) if text.isdecimal() else -1
    if not least <= number <= _MOST:
        raise InvalidOptionError(
            f"{variable} is {text!r}, but must be a whole number, at least {least}."
        )
    return number
