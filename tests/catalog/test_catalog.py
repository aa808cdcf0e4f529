"""The catalogue: its entries, one's own, and searches of a STAC API that pages as real ones do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from urllib3 import HTTPResponse

from tests.helpers.archive import write_scenes
from virtual_tiff import scan, stack
from virtual_tiff.catalog.entries import archive, archives
from virtual_tiff.catalog.pages import requests
from virtual_tiff.catalog.search import tile_urls
from virtual_tiff.cli import main
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError, VirtualTIFFError

Output = pytest.CaptureFixture[str]
WORLD = (-180.0, -90.0, 180.0, 90.0)


# --- a STAC API ----------------------------------------------------------------------------------


@dataclass
class Api:
    """Items, and how their pages follow each other."""

    items: list[dict[str, Any]]
    style: str
    searches: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    status: int = 200
    #: Statuses of the first searches; then `status`.
    faults: list[int] = field(default_factory=list)
    #: Each search gets the same page, with a link to the next.
    circle: bool = False
    #: Number of pages without Items before each that has some; all of them if negative.
    empty: int = 0
    #: Members of each page that count the Items of all.
    count: dict[str, Any] = field(default_factory=dict)
    #: Number of pages after which there is no link to the next; negative for none.
    ends: int = -1

    def page(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a page of two Items; the last full page of `earth-search` has a next one."""
        _, done, begin = str(body.get("token") or "next:0:0").split(":")
        start = 0 if self.circle else int(begin)
        if self.empty and int(done) != self.empty:
            link = self._next({**body, "token": f"next:{int(done) + 1}:{start}"})
            return {"type": "FeatureCollection", "features": [], "links": [link]}
        found = self.items[start : start + 2]
        answer: dict[str, Any] = {"type": "FeatureCollection", "features": found, "links": []}
        more = bool(found) if self.style == "earth-search" else start + 2 < len(self.items)
        following = {**body, "token": f"next:0:{start + 2}"}
        if self.style == "earth-search" and not self.count:
            matched = len({item["id"] for item in self.items})
            answer |= {"numberMatched": matched, "numberReturned": len(found)}
            answer["context"] = {"limit": 2, "matched": matched}
        if more and len(self.searches) != self.ends:
            answer["links"] = [self._next(following)]
        return answer | self.count

    def _next(self, body: dict[str, Any]) -> dict[str, Any]:
        link = {"rel": "next", "href": f"{self.url}/search"}
        if self.style == "get":
            return {**link, "href": f"{self.url}/search?{urlencode({'token': body['token']})}"}
        merge = {"merge": False} if self.style == "earth-search" else {}
        return {**link, "method": "POST", **merge, "body": body}

    def landing(self) -> dict[str, Any]:
        link = {"href": f"{self.url}/search", "type": "application/geo+json"}
        return {
            "type": "Catalog",
            "id": "test",
            "description": "",
            "stac_version": "1.0.0",
            "conformsTo": [
                "https://api.stacspec.org/v1.0.0/core",
                "https://api.stacspec.org/v1.0.0/collections",
                "https://api.stacspec.org/v1.0.0/item-search",
            ],
            "links": [
                {"rel": "self", "href": self.url, "type": "application/json"},
                {"rel": "root", "href": self.url, "type": "application/json"},
                {"rel": "search", "method": "GET", **link},
                *([] if self.style == "get" else [{"rel": "search", "method": "POST", **link}]),
            ],
        }


@pytest.fixture(params=["earth-search", "planetary-computer", "get"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    paths = write_scenes(tmp_path, 4)
    served = Api([_item(path, i) for i, path in enumerate(paths)], request.param)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            if address.path != "/search":
                self._answer(served.landing())
                return
            given = dict(parse_qsl(address.query))
            lists = {
                "collections": given.get("collections", "").split(","),
                "bbox": [float(edge) for edge in given.get("bbox", "").split(",") if edge],
            }
            self._search({**given, **lists})

        def do_POST(self) -> None:
            self._search(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _search(self, body: dict[str, Any]) -> None:
            served.searches.append(body)
            status = served.faults.pop(0) if served.faults else served.status
            self._answer(served.page(body), status)

        def _answer(self, document: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def _item(path: Path, number: int) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"item-{number}",
        "collection": "scenes",
        "geometry": None,
        "bbox": [0, 0, 1, 1],
        "properties": {
            "datetime": None,
            "start_datetime": f"2024-01-0{number + 1}T00:00:00Z",
            "grid:code": "MGRS-33TWN",
        },
        "links": [],
        "assets": {
            "red": {"href": f"https://elsewhere.example/data{path}", "type": "image/tiff"},
            "other": {"href": f"https://elsewhere.example/none{path}", "type": "image/tiff"},
        },
    }


def write_entry(folder: Path, endpoint: str, **more: object) -> Path:
    fields: dict[str, object] = {
        "title": "Scenes",
        "kind": "api",
        "endpoint": endpoint,
        "collections": ["scenes"],
        "assets": ["red"],
        "datetime_column": "start_datetime",
        "rewrite": ["^https://elsewhere.example/data", "file://"],
        "layout": "stack",
        "licence": "?",
        "credentials": "none",
        "readers": "yes",
        **more,
    }
    path = folder / "scenes.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    path.write_text("\n".join([*lines, "[columns]", "month = '_(\\d{6})\\d\\d'"]))
    return path


# --- searches ------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def allow_local_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API names local files, which a list from elsewhere may not."""
    monkeypatch.setenv("VIRTUAL_TIFF_LOCAL_LINKS", "1")


def test_a_search_reads_all_pages(api: Api, tmp_path: Path) -> None:
    entry = write_entry(tmp_path, api.url)
    inventory = scan(f"catalog:{entry}", bbox=(5, 45, 10, 48), datetime="2024-01")
    assert inventory.table["item"].to_pylist() == ["item-0", "item-1", "item-2", "item-3"]
    assert set(inventory.table["asset"].to_pylist()) == {"red"}
    assert inventory.failed.num_rows == 0
    times = inventory.table["datetime"].to_pylist()
    assert [time.day for time in times] == [1, 2, 3, 4]
    assert inventory.table["month"].to_pylist()[0] == 202401
    assert inventory.table["grid:code"].to_pylist()[0] == "MGRS-33TWN"
    first = api.searches[0]
    assert first["collections"] == ["scenes"]
    assert first["bbox"] == [5, 45, 10, 48]
    assert first["datetime"].startswith("2024-01-01T00:00:00Z/2024-01-31")
    pages = 3 if api.style == "earth-search" else 2
    assert len(api.searches) == pages


def test_a_cube_of_an_archive(api: Api, tmp_path: Path) -> None:
    entry = write_entry(tmp_path, api.url)
    result = stack(f"catalog:{entry}", tmp_path / "cube", datetime="2024", on_duplicate="first")
    assert result.images == 4


def test_assets_of_the_caller_take_precedence(api: Api, tmp_path: Path) -> None:
    entry = write_entry(tmp_path, api.url)
    with pytest.raises(InvalidOptionError):
        scan(f"catalog:{entry}", datetime="2024", assets=["blue"])


def test_from_the_command_line(
    api: Api, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_entry(tmp_path, api.url)
    monkeypatch.setenv("VIRTUAL_TIFF_CATALOG", str(tmp_path))
    output = tmp_path / "scenes.parquet"
    command = ["scan", "catalog:scenes", "-o", str(output), "--quiet"]
    assert (
        main([*command, "--bbox", "5", "45", "10", "48", "--datetime", "2024-01-01/2024-02-01"])
        == 0
    )
    assert "4 images" in capsys.readouterr().out
    assert main(command) == 2  # neither place nor time
    assert main(["catalog", "list"]) == 0
    assert "\nscenes  " in capsys.readouterr().out
    assert main(["catalog", "show", "scenes"]) == 0
    assert "virtual-tiff scan catalog:scenes" in capsys.readouterr().out


@pytest.mark.parametrize("bbox", [(1, 2, 3), (0, 50, 1, 40), (0, -91, 1, 2), (-181, 0, 1, 2)])
def test_wrong_places(api: Api, tmp_path: Path, bbox: tuple[float, ...]) -> None:
    with pytest.raises(InvalidOptionError):
        scan(f"catalog:{write_entry(tmp_path, api.url)}", bbox=bbox)
    assert api.searches == []


def test_a_server_that_throttles_midway(api: Api, tmp_path: Path) -> None:
    api.faults = [200, 429, 502]
    inventory = scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
    assert inventory.table["item"].to_pylist() == ["item-0", "item-1", "item-2", "item-3"]
    assert len(api.searches) == (5 if api.style == "earth-search" else 4)


def test_pages_that_repeat_items(api: Api, tmp_path: Path) -> None:
    api.items.insert(2, api.items[1])
    inventory = scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
    assert inventory.table["item"].to_pylist() == ["item-0", "item-1", "item-2", "item-3"]


def test_pages_without_an_end(api: Api, tmp_path: Path) -> None:
    api.circle = True
    with pytest.raises(SourceError) as caught:
        scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
    assert caught.value.kind == ErrorKind.STORAGE
    assert caught.value.remedy
    assert len(api.searches) == 2


def test_pages_of_new_items_without_an_end(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = write_entry(tmp_path, api.url)
    monkeypatch.setattr("virtual_tiff.catalog.pages._MOST_ITEMS", 4)
    assert len(scan(f"catalog:{entry}", datetime="2024")) == 4
    monkeypatch.setattr("virtual_tiff.catalog.pages._MOST_ITEMS", 3)
    with pytest.raises(SourceError) as caught:
        scan(f"catalog:{entry}", datetime="2024")
    assert caught.value.kind == ErrorKind.STORAGE


@pytest.mark.parametrize("count", [{"numberMatched": 4}, {"context": {"matched": 4}}])
@pytest.mark.parametrize(
    "loss",
    [
        pytest.param({"ends": 1}, id="ends"),
        pytest.param({"items": []}, id="empty"),
        # The third Item is lost where the second comes twice, as of a page by number.
        pytest.param({"items": [0, 1, 1, 3]}, id="twice"),
    ],
)
def test_pages_that_end_early(
    api: Api, tmp_path: Path, count: dict[str, Any], loss: dict[str, Any]
) -> None:
    """A search that misses Items of which the API counts more is an error, and no inventory."""
    api.count = count
    api.ends = loss.get("ends", -1)
    api.items = [api.items[i] for i in loss.get("items", range(4))]
    entry = write_entry(tmp_path, api.url)
    with pytest.raises(SourceError) as caught:
        scan(f"catalog:{entry}", datetime="2024")
    assert caught.value.kind == ErrorKind.STORAGE
    assert caught.value.remedy


@pytest.mark.parametrize(
    "count",
    [
        # Fewer than there are: Items came during the search, or went.
        {"numberMatched": 3},
        {"numberMatched": None, "context": None},
        {"numberMatched": "many", "context": {"matched": None}},
        {"numberMatched": True},
        {"numberMatched": float("inf")},
    ],
)
def test_counts_that_say_no_loss(api: Api, tmp_path: Path, count: dict[str, Any]) -> None:
    api.count = count
    inventory = scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
    assert inventory.table["item"].to_pylist() == ["item-0", "item-1", "item-2", "item-3"]


def test_archives_that_change_during_a_search(api: Api, tmp_path: Path) -> None:
    """Counts of later pages include what came, and not what went."""
    page = api.page
    for counts in ([4, 9, 9], [9, 4, 4], [4, 4, 0]):
        left = list(counts)
        api.count = {"numberMatched": None}
        api.page = lambda body, left=left: {  # type: ignore[method-assign, misc]
            **page(body),
            "numberMatched": left.pop(0),
        }
        inventory = scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
        assert inventory.table["item"].to_pylist() == ["item-0", "item-1", "item-2", "item-3"]


def test_pages_without_items(api: Api, tmp_path: Path) -> None:
    entry = write_entry(tmp_path, api.url)
    api.empty = 2
    inventory = scan(f"catalog:{entry}", datetime="2024")
    assert inventory.table["item"].to_pylist() == ["item-0", "item-1", "item-2", "item-3"]
    api.empty = -1
    with pytest.raises(SourceError) as caught:
        scan(f"catalog:{entry}", datetime="2024")
    assert caught.value.kind == ErrorKind.STORAGE
    assert len(api.searches) < 150


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(["^https://elsewhere", "https://bucket"], id="web"),
        pytest.param(["^https://elsewhere.example", "abfs://c@a.dfs.core.windows.net"], id="az"),
        pytest.param(["^https://elsewhere.example/data", "file://"], id="file"),
        pytest.param(["^https://elsewhere.example/data", ""], id="path"),
    ],
)
def test_signed_addresses_are_refused(api: Api, tmp_path: Path, rewrite: list[str]) -> None:
    """They expire, and an inventory or a repository must not hold them."""
    for item in api.items:
        item["assets"]["red"]["href"] += "?st=2024&se=2025&sig=SECRET"
    entry = write_entry(tmp_path, api.url, rewrite=rewrite)
    with pytest.raises(VirtualTIFFError) as caught:
        scan(f"catalog:{entry}", datetime="2024")
    assert "SECRET" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("assets", [None, {}, ...])
def test_items_without_assets(api: Api, tmp_path: Path, assets: Any) -> None:
    if assets is ...:
        del api.items[1]["assets"]
    else:
        api.items[1]["assets"] = assets
    entry = write_entry(tmp_path, api.url)
    inventory = scan(f"catalog:{entry}", datetime="2024")
    assert inventory.table["item"].to_pylist() == ["item-0", "item-2", "item-3"]


@pytest.mark.parametrize("features", [None, [None], [{}], "text"])
def test_answers_that_are_no_page(api: Api, tmp_path: Path, features: Any) -> None:
    entry = write_entry(tmp_path, api.url)
    page = api.page
    api.page = lambda body: {**page(body), "features": features}  # type: ignore[method-assign]
    with pytest.raises(VirtualTIFFError) as caught:
        scan(f"catalog:{entry}", datetime="2024")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "href", ["?token=next:0:2", "search?token=next:0:2", "/search?token=next:0:2"]
)
def test_links_that_are_relative(api: Api, tmp_path: Path, href: str) -> None:
    page = api.page
    api.page = lambda body: {  # type: ignore[method-assign]
        **page(body),
        "links": [] if "token" in body else [{"rel": "next", "href": href, "method": "GET"}],
    }
    inventory = scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
    assert inventory.table["item"].to_pylist() == ["item-0", "item-1", "item-2", "item-3"]


@pytest.mark.parametrize(
    "links",
    [
        [{"rel": "next"}],
        [{"rel": "next", "href": 3}],
        [{"rel": "next", "href": "file:///etc/hostname"}],
        [{"rel": "next", "href": "http://127.0.0.1:9/search"}],
        [{"href": "?token=2"}],
        ["next"],
    ],
)
def test_links_that_lead_nowhere(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: Any
) -> None:
    monkeypatch.setenv("VIRTUAL_TIFF_RETRY_SECONDS", "0")
    page = api.page
    api.page = lambda body: {**page(body), "links": links}  # type: ignore[method-assign]
    with pytest.raises(SourceError) as caught:
        scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
    assert caught.value.kind == ErrorKind.STORAGE


@pytest.mark.parametrize(
    "said", [{"type": "Collection"}, {"type": None}, {"conformsTo": []}, {"stac_version": "0.9.0"}]
)
def test_addresses_that_are_no_api(api: Api, tmp_path: Path, said: dict[str, Any]) -> None:
    landing = api.landing
    api.landing = lambda: landing() | said  # type: ignore[method-assign]
    with pytest.raises(VirtualTIFFError):
        scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")


@pytest.mark.filterwarnings("error")
def test_a_root_without_a_link_to_the_search(api: Api, tmp_path: Path) -> None:
    landing = api.landing
    api.landing = lambda: landing() | {"links": []}  # type: ignore[method-assign]
    inventory = scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
    assert inventory.table.num_rows == 4


@pytest.mark.parametrize("asset", [{}, {"href": None}, "text"])
def test_assets_without_an_address(api: Api, tmp_path: Path, asset: Any) -> None:
    api.items[1]["assets"]["red"] = asset
    for rewrite in ([], ["^https://elsewhere.example/data", "file://"]):
        entry = write_entry(tmp_path, api.url, rewrite=rewrite)
        with pytest.raises(VirtualTIFFError):
            scan(f"catalog:{entry}", datetime="2024")


def test_items_of_which_nothing_is_scanned_are_counted(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api.items[1]["assets"] = {"blue": api.items[1]["assets"]["red"]}
    entry = write_entry(tmp_path, api.url)
    assert scan(f"catalog:{entry}", datetime="2024").table.num_rows == 3
    assert "1 of 4 Items" in caplog.text
    caplog.clear()
    scan(f"catalog:{entry}", datetime="2024", assets=["red", "blue"])
    assert caplog.text == ""


def test_a_search_without_items_names_no_file(api: Api, tmp_path: Path) -> None:
    api.items = []
    with pytest.raises(InvalidOptionError) as caught:
        scan(f"catalog:{write_entry(tmp_path, api.url)}", datetime="2024")
    assert caught.value.url is None
    assert "search" in str(caught.value.remedy)


def test_a_server_that_wants_an_hour() -> None:
    retry = requests().session.get_adapter("https://api.example").max_retries
    for said, waited in (("3600", 10), ("3", 3)):
        assert retry.get_retry_after(HTTPResponse(headers={"Retry-After": said})) == waited


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2024-01-01/..", "2024-01-01T00:00:00Z/.."),
        ("../2024-01-31", "../2024-01-31T23:59:59Z"),
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
    ],
)
def test_open_intervals_and_the_antimeridian(
    api: Api, tmp_path: Path, given: str, sent: str
) -> None:
    scan(f"catalog:{write_entry(tmp_path, api.url)}", bbox=(170, -20, -170, -10), datetime=given)
    assert api.searches[0]["bbox"] == [170, -20, -170, -10]
    assert (
        api.searches[0]["datetime"].replace("2024-01-31T00:00:00Z", "2024-01-31T23:59:59Z") == sent
    )


def test_wrong_times_and_servers_that_fail(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_TIFF_RETRY_SECONDS", "0")
    entry = write_entry(tmp_path, api.url)
    with pytest.raises(InvalidOptionError):
        scan(f"catalog:{entry}", datetime="yesterday")
    api.status = 500
    with pytest.raises(SourceError) as failed:
        scan(f"catalog:{entry}", datetime="2024")
    assert failed.value.kind == ErrorKind.STORAGE
    api.status, api.items = 200, []
    with pytest.raises(InvalidOptionError) as nothing:
        scan(f"catalog:{entry}", datetime="2024")
    assert nothing.value.kind == ErrorKind.NO_SOURCES


def test_an_entry_for_files_beside_it(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "here" / "files", 2)
    more = {"kind": "listing", "sources": ["files/"]}
    entry = write_entry(tmp_path / "here", "https://none.example", **more)
    monkeypatch.chdir(tmp_path)
    assert scan("catalog:here/scenes.toml").table.num_rows == 2
    assert scan(f"catalog:{entry}").table.num_rows == 2
    # The command that is shown names the entry as the caller did.
    assert main(["catalog", "show", "here/scenes.toml"]) == 0
    command = capsys.readouterr().out.splitlines()[-2].split()
    assert main([*command[1:], "--quiet"]) == 0


# --- entries -------------------------------------------------------------------------------------


def test_every_entry_is_complete(capsys: Output) -> None:
    known = archives()
    assert len(known) > 20
    for name, entry in known.items():
        assert entry.licence
        assert entry.credentials
        assert entry.readers
        assert main(["catalog", "show", name]) == 0
    assert main(["catalog", "list", "--json"]) == 0
    out = capsys.readouterr().out
    assert '"name": "es-sentinel-2-l2a"' in out


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("title = 'x'", "credentials"),
        ("titel = 'x'", "titel"),
        ("title = 1", "title"),
        ("title = [", "TOML"),
    ],
)
def test_wrong_entries(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InvalidOptionError, match=key):
        archive(str(path))


def test_more_wrong_entries(tmp_path: Path) -> None:
    wrong: list[dict[str, object]] = [
        {"kind": "http"},
        {"layout": "cube"},
        {"rewrite": ["(", ""]},
        {"collections": []},
        {"collections": [1]},
        {"rewrite": ["a"]},
        {"rewrite": ["a", r"\1"]},
        {"corner": "middle"},
        {"kind": "tiles", "template": "{latitude}"},
        {"kind": "tiles", "template": "{latitude}", "tile_size": -1},
        {"kind": "tiles", "template": "{place}", "tile_size": 10},
        {"kind": "tiles", "template": "{latitude}", "tile_size": 10, "longitude": "{degrees:y}"},
    ]
    for more in wrong:
        with pytest.raises(InvalidOptionError):
            archive(str(write_entry(tmp_path, "http://h", **more)))
    with pytest.raises(InvalidOptionError):
        archive(str(tmp_path / "absent.toml"))
    with pytest.raises(InvalidOptionError, match="es-naip"):
        archive("catalog:es-nap")
    assert main(["catalog", "show", "es-nap"]) == 2


def test_tiles_of_a_template() -> None:
    water = tile_urls(archive("jrc-gsw-occurrence"), (-1, 41, 1, 43))
    assert [url.rsplit("/", 1)[1] for url in water] == [
        "occurrence_10W_50Nv1_4_2021.tif",
        "occurrence_0E_50Nv1_4_2021.tif",
    ]
    forest = tile_urls(archive("hansen-gfc-treecover2000"), (170, -5, -170, 5))
    assert [url.rsplit("_", 2)[1:] for url in forest] == [
        ["10N", "170E.tif"],
        ["10N", "180W.tif"],
        ["00N", "170E.tif"],
        ["00N", "180W.tif"],
    ]
    for box, names in [
        ((10, 50, 10, 50), ["10E_60N"]),
        ((180, 90, 180, 90), ["170E_90N"]),
        ((-180, -90, -180, -90), ["180W_80S"]),
        ((10, 40, 20, 50), ["10E_50N"]),
    ]:
        points = tile_urls(archive("jrc-gsw-occurrence"), box)
        assert [url.rsplit("/", 1)[1] for url in points] == [
            f"occurrence_{name}v1_4_2021.tif" for name in names
        ]
    with pytest.raises(InvalidOptionError):
        tile_urls(archive("jrc-gsw-occurrence"), None)


def test_wrong_catalogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error names the variable."""
    (tmp_path / "empty").mkdir()
    bad = tmp_path / "bad.toml"
    for content in (b"title = [", b"title = 'x'", b"\xff\xfe"):
        bad.write_bytes(content)
        for place in (tmp_path / "empty", tmp_path / "absent.toml", bad, tmp_path):
            monkeypatch.setenv("VIRTUAL_TIFF_CATALOG", str(place))
            assert main(["catalog", "list"]) == 2
            with pytest.raises(InvalidOptionError, match="VIRTUAL_TIFF_CATALOG"):
                archive("es-naip")
    with pytest.raises(InvalidOptionError):
        archive(str(bad))


def test_a_listing_cannot_be_searched(tmp_path: Path) -> None:
    path = write_entry(tmp_path, "", kind="listing", sources=[f"{tmp_path}/"])
    write_scenes(tmp_path, 2)
    with pytest.raises(InvalidOptionError):
        scan(f"catalog:{path}", bbox=WORLD)
    assert len(scan(f"catalog:{path}")) == 2
