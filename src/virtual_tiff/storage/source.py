"""Object metadata of a TIFF."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """URL of a TIFF, and its metadata from the GET of the header.

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
