"""Settings from the environment: what users set once for all commands and functions."""

from __future__ import annotations

import logging
import os

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
    TIMEOUT_SECONDS: ("30", "Seconds for one request."),
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

#: Bytes of the first GET. The header of a COG with five overviews and 4,000 tiles fits.
DEFAULT_PREFETCH = 32 * 1024
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
    if number < least:
        raise InvalidOptionError(
            f"{variable} is {text!r}, but must be a whole number, at least {least}."
        )
    return number
