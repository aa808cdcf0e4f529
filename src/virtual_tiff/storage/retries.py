"""How often, and for how long, requests are repeated: the same for all stores of this package.

obstore repeats a request after 429, 5xx, a timeout, or a connection that failed, but waits as it
thinks fit: it does not read Retry-After. Its defaults give up after about four seconds; these wait
up to ten seconds between two requests, and so outlast a server that throttles for a minute.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from virtual_tiff.storage.settings import RETRY_SECONDS, TIMEOUT_SECONDS, seconds

#: Seconds until a request is not repeated any more, and seconds for each.
_PATIENCE, _TIMEOUT = 90.0, 30.0


def retry_settings() -> dict[str, Any]:
    """Return `retry_config` and `client_options` of obstore's stores, from the environment.

    Raises
    ------
    InvalidOptionError
        A variable is not a number of seconds.
    """
    patience = retry_seconds()
    return {
        "retry_config": {
            # The time limits the retries, not their number.
            "max_retries": 0 if patience == 0 else 1000,
            "retry_timeout": timedelta(seconds=patience),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=10),
                "base": 3,
            },
        },
        "client_options": {"timeout": timedelta(seconds=timeout_seconds())},
    }


def retry_seconds() -> float:
    """Return the seconds for which a request is repeated."""
    return seconds(RETRY_SECONDS, _PATIENCE, zero=True)


def timeout_seconds() -> float:
    """Return the seconds for one request."""
    return seconds(TIMEOUT_SECONDS, _TIMEOUT, zero=False)
