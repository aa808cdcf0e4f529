"""Object metadata of a TIFF, and how it shows a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from virtual_tiff.storage.addresses import is_local, is_web


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
    header
        Checksum of the bytes of the header that were read; see
        `virtual_tiff.storage.header_checksum`. Empty if it is unknown.
    """

    url: str
    size: int
    etag: str | None = None
    last_modified: datetime | None = None
    header: str = ""

    def difference(self, now: Mapping[str, object]) -> str | None:
        """Describe how the metadata of the file differs from this; `None` if it does not.

        Parameters
        ----------
        now
            `size`, `e_tag` and `last_modified`, as obstore gives them. What one of both does not
            tell is not compared.
        """
        if now["size"] != self.size:
            return f"it has {now['size']} bytes, but had {self.size}"
        tag, modified = now.get("e_tag"), now.get("last_modified")
        if self.etag and tag:
            # Azure's listings leave out the quotes.
            if str(tag).strip('"') != self.etag.strip('"'):
                return f"its ETag is {tag}, but was {self.etag}"
            if self.has_strong_tag:
                return None
        before = self.last_modified
        if before is not None and isinstance(modified, datetime) and modified != before:
            return f"it was changed at {_text(modified)}, but had been at {_text(before)}"
        return None

    def is_same(self, other: Source) -> bool:
        """Whether another record is of the same content at the same URL."""
        now = {"size": other.size, "e_tag": other.etag, "last_modified": other.last_modified}
        if self.url != other.url or self.difference(now) is not None:
            return False
        return not (self.header and other.header) or self.header == other.header

    @property
    def has_strong_tag(self) -> bool:
        """Whether the ETag changes with every change of the content.

        That of an object store does, and it stays the same where equal content is written again.
        Web servers and local files make theirs of size and time.
        """
        web = is_web(self.url) or is_local(self.url)
        return bool(self.etag) and not web and not str(self.etag).startswith("W/")


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S.%f}".removesuffix(".000000")
