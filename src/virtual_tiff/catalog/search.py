"""Search an archive: the Items of a STAC API, or the addresses of tiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, floor
from typing import Any

from virtual_tiff.catalog.entries import Archive
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError
from virtual_tiff.storage.retries import retry_seconds, timeout_seconds

#: Items of a page.
_PAGE = 100
#: Pages without Items that may follow each other.
_EMPTY_PAGES = 100
#: Seconds between two requests, at most.
_LONGEST_WAIT = 10


def check_bbox(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """Return west, south, east and north, in degrees; refuse anything else."""
    box = tuple(bbox)
    if (
        len(box) != 4
        or not (-90 <= box[1] <= box[3] <= 90)
        or not all(-180 <= x <= 180 for x in box[::2])
    ):
        raise InvalidOptionError(
            f"bbox is {list(bbox)}, but must be west, south, east and north in degrees."
        )
    return box  # west may be greater than east, across the antimeridian


def found_items(
    archive: Archive, bbox: Sequence[float] | None, datetime: str | None
) -> Iterator[dict[str, Any]]:
    """Yield the Items of an archive as dictionaries, of all pages, each once.

    Requests that fail or are throttled are repeated, as those of stores.

    Raises
    ------
    InvalidOptionError
        Neither place nor time is given; or pystac-client is not installed.
    SourceError
        The API does not answer, or answers with anything else than pages of Items that end, or
        with fewer Items than it counts.
    """
    if bbox is None and datetime is None:
        raise InvalidOptionError(
            f"the whole archive {archive.name!r} would be listed.",
            remedy="Pass bbox=(west, south, east, north), or datetime=….",
        )
    try:
        from pystac_client import Client
        from pystac_client.exceptions import APIError
    except ImportError:
        raise InvalidOptionError(
            "a search needs pystac-client, which is not installed.",
            remedy="Install virtual-tiff[stac].",
        ) from None
    from requests.exceptions import RequestException

    box = None if bbox is None else check_bbox(bbox)
    requests = _requests()
    try:
        client = Client.open(archive.endpoint, stac_io=requests)
        try:
            search = client.search(
                method=_method(client),
                collections=list(archive.collections),
                bbox=box,
                datetime=datetime,
                limit=_PAGE,
            )
        except Exception as error:
            # pystac-client raises `Exception` for times that it cannot read.
            raise InvalidOptionError(f"the search is refused: {error}.") from error
        pages = requests.get_pages(search.url, search.method, search.get_parameters())
        for item in _distinct(pages, archive.endpoint):
            yield _rewritten(item, archive.rewrite)
    except (APIError, RequestException) as error:
        raise _failed(f"it does not answer a request: {error}", archive.endpoint) from error
    # A page without links or features, or no JSON at all, as of a login.
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidOptionError):
            raise
        raise _failed(
            f"its answer is no page of Items ({type(error).__name__})", archive.endpoint
        ) from error


def _method(client: Any) -> str:
    """Return how an API is searched: by POST, unless its root offers only GET."""
    links = client.get_links("search")
    methods = {link.extra_fields.get("method") or "GET" for link in links}
    return "GET" if methods == {"GET"} else "POST"


def _requests() -> Any:
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
                page = self.read_json(Link.from_dict(following[0]), parameters=parameters)

    seconds = retry_seconds()
    retry = Retry(
        # Waits 0, 1, 2, 4, 8 and then 10 seconds.
        total=0 if seconds == 0 else 4 + int(seconds // _LONGEST_WAIT),
        backoff_factor=0.5,
        backoff_max=_LONGEST_WAIT,
        status_forcelist=(429, 500, 502, 503, 504),
        # A search is a POST, but changes nothing.
        allowed_methods=None,
    )
    return Pages(max_retries=retry, timeout=timeout_seconds())


def _distinct(pages: Iterable[Mapping[str, Any]], url: str) -> Iterator[dict[str, Any]]:
    """Yield each Item once: pages repeat some while an archive grows.

    Raises
    ------
    SourceError
        A page has no Item that is new, as where pages follow each other in a circle; or the pages
        end before the Items that each of them counts, of which some may come and go meanwhile.
    """
    seen: set[tuple[object, object]] = set()
    counts: list[int] = []
    for page in pages:
        before = len(seen)
        count = number_matched(page)
        if count is not None and (page["features"] or not seen):
            counts.append(count)
        for item in page["features"]:
            name = (item.get("collection"), item["id"])
            if name not in seen:
                seen.add(name)
                yield item
        if page["features"] and len(seen) == before:
            raise _failed("its pages repeat each other without an end", url)
    if counts and min(counts) > len(seen):
        raise _failed(
            f"it counts {min(counts)} Items, but its pages end after {len(seen)}",
            url,
            " If the API only estimates its count, save the Items with pystac-client and name "
            "their file.",
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


def _failed(reason: str, url: str, more: str = "") -> SourceError:
    return SourceError(
        f"the STAC API failed: {reason}.",
        kind=ErrorKind.STORAGE,
        url=url,
        remedy="Nothing was written: try again, or search for a smaller box or a shorter time."
        + more,
    )


def _rewritten(item: dict[str, Any], rewrite: Sequence[str]) -> dict[str, Any]:
    """Return an Item whose assets have the addresses that stores understand."""
    if not rewrite:
        return item
    pattern, replacement = rewrite
    assets: Mapping[str, Mapping[str, Any]] = item.get("assets") or {}
    changed = {
        key: {**asset, "href": re.sub(pattern, replacement, str(asset.get("href", "")))}
        for key, asset in assets.items()
    }
    return {**item, "assets": changed}


def tile_urls(archive: Archive, bbox: Sequence[float] | None) -> list[str]:
    """Return the addresses of the tiles that a box touches; some may have no file.

    Raises
    ------
    InvalidOptionError
        There is no box.
    """
    if bbox is None:
        raise InvalidOptionError(
            f"the whole archive {archive.name!r} would be listed.",
            remedy="Pass bbox=(west, south, east, north).",
        )
    west, south, east, north = check_bbox(bbox)
    size = archive.tile_size
    rows = _edges(south, north, size, 90)
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    columns = [left for first, last in parts for left in _edges(first, last, size, 180)]
    shift = size if archive.corner == "north-west" else 0
    return [
        archive.template.format(
            latitude=_formatted(archive.latitude, bottom + shift, "NS"),
            longitude=_formatted(archive.longitude, left, "EW"),
        )
        for bottom in reversed(rows)
        for left in columns
    ]


def _edges(first: float, last: float, size: int, end: int) -> range:
    """Return the lower edges of tiles between two degrees; one for a point, also on an edge."""
    start = min(floor(first / size) * size, end - size)
    return range(start, max(ceil(last / size) * size, start + size), size)


def _formatted(form: str, degrees: int, hemispheres: str) -> str:
    return form.format(degrees=abs(degrees), hemisphere=hemispheres[degrees < 0])
