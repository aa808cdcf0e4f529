"""A TIFF as a store describes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a TIFF's bytes are, and what the GET of its header said about them.

    Parameters
    ----------
    url
        Absolute URL, as given by the caller.
    size
        Length of the file in bytes.
    etag
        Entity tag, quotes included, as the store returned it; `None` if it has none.
    last_modified
        Time of the last change, with a time zone.
    """

    url: str
    size: int
    etag: str | None = None
    last_modified: datetime | None = None
