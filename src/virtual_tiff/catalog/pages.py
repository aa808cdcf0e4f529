"""The pages of a search: request one after the other, and take each Item once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from virtual_tiff.errors import ErrorKind, SourceError
from virtual_tiff.storage.retries import retry_seconds, timeout_seconds

#: Pages without Items that may follow each other.
_EMPTY_PAGES = 100
#: Items of a search, whose rows are in memory until it ends.
_MOST_ITEMS = 2_000_000
#: Seconds between two requests, at most.
_LONGEST_WAIT = 10


def requests() -> Any:
    """Return what sends requests to a STAC API: with time limits, and repeated if throttled."""
    from pystac import Link
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3.util import Retry

    class Pages(StacApiIO):
        """Yields pages without Items too, and follows their links; pystac-client 0.9 ends there."""

        def get_pages(
            self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
        ) -> Iterator[dict[str, Any]]:
            page = self.read_json(url, method=method, parameters=parameters)
            empty = 0
            while True:
                empty = 0 if page["features"] else empty + 1
                yield page
                following = [link for link in page.get("links") or () if link["rel"] == "next"]
                if not following:
                    return
                if empty > _EMPTY_PAGES:
                    raise APIError(f"{empty} pages without Items follow each other")
                link = {**following[0], "href": urljoin(url, following[0]["href"])}
                page = self.read_json(Link.from_dict(link), parameters=parameters)

    class BoundedRetry(Retry):
        """Waits as long as a server says, but not for hours."""

        def get_retry_after(self, response: Any) -> float | None:
            found = super().get_retry_after(response)
            return None if found is None else min(found, _LONGEST_WAIT)

    seconds = retry_seconds()
    retry = BoundedRetry(
        # Waits 0, 1, 2, 4, 8 and then 10 seconds.
        total=0 if seconds == 0 else 4 + int(seconds // _LONGEST_WAIT),
        backoff_factor=0.5,
        backoff_max=_LONGEST_WAIT,
        status_forcelist=(429, 500, 502, 503, 504),
        # A search is a POST, but changes nothing.
        allowed_methods=None,
    )
    return Pages(max_retries=retry, timeout=timeout_seconds())


def distinct(pages: Iterable[Mapping[str, Any]], url: str) -> Iterator[dict[str, Any]]:
    """Yield each Item once: pages repeat some while an archive grows.

    Raises
    ------
    SourceError
        A page has no Item that is new, as where pages follow each other in a circle; there are more
        than two million; or the pages end before the Items that each of them counts, of which some
        may come and go meanwhile.
    """
    seen: set[tuple[object, object]] = set()
    counts: list[int] = []
    for page in pages:
        before = len(seen)
        count = number_matched(page)
        if count is not None and (page["features"] or not seen):
            counts.append(count)
        for item in page["features"]:
            item["assets"] = item.get("assets") or {}
            if not is_item(item):
                raise failed("its pages hold something else than Items", url)
            name = (item.get("collection"), item["id"])
            if name not in seen:
                seen.add(name)
                if len(seen) > _MOST_ITEMS:
                    raise failed(f"its pages have more than {_MOST_ITEMS:,} Items", url)
                yield item
        if page["features"] and len(seen) == before:
            raise failed("its pages repeat each other without an end", url)
    if counts and min(counts) > len(seen):
        raise failed(
            f"it counts {min(counts)} Items, but its pages end after {len(seen)}",
            url,
            " If the API only estimates its count, save the Items with pystac-client and name "
            "their file.",
        )


def is_item(item: object) -> bool:
    """Return whether a JSON value has the structure of a STAC Item, as far as it is used."""
    return (
        isinstance(item, Mapping)
        and item.get("type") == "Feature"
        and isinstance(item.get("properties") or {}, Mapping)
        and isinstance(assets := item.get("assets"), Mapping)
        and all(asset is None or isinstance(asset, Mapping) for asset in assets.values())
    )


def number_matched(page: Mapping[str, Any]) -> int | None:
    """Return how many Items a search has on all its pages, as one of them says it.

    `numberMatched` is of OGC API Features (part 1, 7.15.8) and must be exact; `context` is of the
    Context extension, which it replaces.
    """
    context = page.get("context")
    before = context.get("matched") if isinstance(context, Mapping) else None
    for count in (page.get("numberMatched"), before):
        if isinstance(count, int) and not isinstance(count, bool):
            return count
    return None


def failed(reason: str, url: str, more: str = "") -> SourceError:
    """Return the error of a search; `more` is added to its remedy."""
    return SourceError(
        f"the STAC API failed: {reason}.",
        kind=ErrorKind.STORAGE,
        url=url,
        remedy="Nothing was written: try again, or search for a smaller box or a shorter time."
        + more,
    )
