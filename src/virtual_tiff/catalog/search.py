"""Search an archive: the Items of a STAC API, or the addresses of tiles."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from math import ceil, floor
from typing import Any

from virtual_tiff.catalog.entries import Archive
from virtual_tiff.catalog.pages import distinct, failed, requests
from virtual_tiff.errors import InvalidOptionError

#: Items of a page.
_PAGE = 100
#: Characters of an answer that an error has.
_MOST_TEXT = 300


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
        from pystac_client.errors import ClientTypeError
        from pystac_client.exceptions import APIError
    except ImportError:
        raise InvalidOptionError(
            "a search needs pystac-client, which is not installed.",
            remedy="Install virtual-tiff[stac].",
        ) from None
    from requests.exceptions import RequestException

    box = None if bbox is None else check_bbox(bbox)
    api = requests()
    try:
        search = _search(api, archive, box, datetime)
        pages = api.get_pages(search.url, search.method, search.get_parameters())
        for item in distinct(pages, archive.endpoint):
            yield _rewritten(item, archive.rewrite)
    except APIError as error:
        # Errors that are no answers have no such attribute.
        status = f" (status {error.status_code})" if hasattr(error, "status_code") else ""
        reason = f"it does not answer a request{status}: {str(error)[:_MOST_TEXT]}"
        raise failed(reason.rstrip(": "), archive.endpoint) from error
    except RequestException as error:
        raise failed(f"it does not answer a request: {error}", archive.endpoint) from error
    except ClientTypeError as error:
        raise failed(f"its address is not that of an API: {error}", archive.endpoint) from error
    # A page without links or features, or no JSON at all, as of a login.
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        if isinstance(error, InvalidOptionError):
            raise
        raise failed(
            f"its answer is no page of Items ({type(error).__name__})", archive.endpoint
        ) from error


def _search(api: Any, archive: Archive, box: tuple[float, ...] | None, datetime: str | None) -> Any:
    """Return a search of pystac-client, of which nothing was requested but the root of the API."""
    from pystac_client import Client
    from pystac_client.warnings import PystacClientWarning

    with warnings.catch_warnings():
        # An API that lacks what they are about is an error, or can be searched all the same.
        warnings.simplefilter("ignore", PystacClientWarning)
        client = Client.open(archive.endpoint, stac_io=api)
        try:
            return client.search(
                method=_method(client),
                collections=list(archive.collections),
                bbox=box,
                datetime=datetime,
                limit=_PAGE,
            )
        except Exception as error:
            # pystac-client raises `Exception` for times that it cannot read.
            raise InvalidOptionError(f"the search is refused: {error}.") from error


def _method(client: Any) -> str:
    """Return how an API is searched: by POST, unless its root offers only GET."""
    links = client.get_links("search")
    methods = {link.extra_fields.get("method") or "GET" for link in links}
    return "GET" if methods == {"GET"} else "POST"


def _rewritten(item: dict[str, Any], rewrite: Sequence[str]) -> dict[str, Any]:
    """Return an Item whose assets have the addresses that stores understand."""
    if not rewrite:
        return item
    pattern, replacement = rewrite
    assets: Mapping[str, Mapping[str, Any] | None] = item.get("assets") or {}
    changed = {
        key: {**asset, "href": re.sub(pattern, replacement, href)}
        if asset is not None and isinstance(href := asset.get("href"), str)
        else asset
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
