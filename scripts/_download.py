"""Download test data into a folder: checked, resumed, and never twice.

A folder that was synchronised holds `manifest.json`, with URL, size and SHA-256 of every file. A
download goes into `NAME.part`, beside which `NAME.part.json` remembers the ETag that it began
with; the next run goes on there if the server still has that ETag. Files appear under their own
names when they are complete and their checksums agree.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import obstore
from obstore.store import HTTPStore
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

import virtual_tiff.storage.shutdown  # noqa: F401 - keeps obstore from a crash at exit

ROOT = Path(__file__).resolve().parents[1]
#: Where the scripts put files unless told otherwise; not in the repository.
CACHE = ROOT / ".cache" / "test-images"
MANIFEST = "manifest.json"
SUFFIXES = (".tif", ".tiff", ".gtiff", ".btf")

type Advance = Callable[[int], None]

#: Times that a broken transfer is taken up again, beside the retries of each request.
_ATTEMPTS = 5
_RETRIES: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_CHUNK = 256 * 1024


class DownloadError(Exception):
    """A file that could not be had, in one line."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to have.

    Parameters
    ----------
    url
        Where it is.
    path
        Where it goes, below the folder; with slashes.
    size
        In bytes; `None` if nobody says.
    git_sha1
        Name of the blob in git, which is a checksum of its content.
    sha256
        Checksum, in hexadecimal.
    """

    url: str
    path: str
    size: int | None = None
    git_sha1: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        pure = PurePosixPath(self.path)
        if not self.path or pure.is_absolute() or ".." in pure.parts or pure.name == MANIFEST:
            raise DownloadError(f"{self.url}: {self.path!r} is no place below the folder")


@dataclass(slots=True)
class Report:
    """What a synchronisation came to: files by path, and errors."""

    downloaded: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def synchronize(
    files: Iterable[Remote],
    folder: Path,
    *,
    verify: bool = False,
    concurrency: int = 8,
    advance: Advance = lambda _: None,
) -> Report:
    """Make a folder hold these files, and no others that an earlier call has put there.

    Parameters
    ----------
    files
        With different paths.
    folder
        Made if it is not there.
    verify
        Read files that are there again, instead of trusting their sizes.
    concurrency
        Downloads at once.
    advance
        Called with bytes that are done.
    """
    wanted = {remote.path: remote for remote in files}
    folder.mkdir(parents=True, exist_ok=True)
    known = _read_manifest(folder)
    report = Report()
    entries: dict[str, dict[str, Any]] = {}
    for path, remote in wanted.items():
        if _is_there(folder, remote, known.get(path), verify=verify):
            entries[path] = known[path]
            report.kept.append(path)
            advance(known[path]["size"])
    limiter = asyncio.Semaphore(concurrency)
    stores: dict[str, HTTPStore] = {}

    async def fetch(remote: Remote) -> None:
        async with limiter:
            try:
                sha256, size = await _download(remote, folder, stores, advance)
            except DownloadError as error:
                report.failed.append(str(error))
                return
        entries[remote.path] = {"url": remote.url, "size": size, "sha256": sha256}
        report.downloaded.append(remote.path)
        # After each, so that an interrupted run has nothing to do twice.
        _write_manifest(folder, known | entries)

    await asyncio.gather(*(fetch(r) for path, r in wanted.items() if path not in entries))
    for path in known.keys() - wanted.keys():
        (folder / path).unlink(missing_ok=True)
        report.removed.append(path)
    kept_entries = {path: entry for path, entry in known.items() if path in wanted}
    _write_manifest(folder, kept_entries | entries)
    return report


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise DownloadError(
            f"{folder / MANIFEST} is damaged; remove it to download all again"
        ) from error
    return dict(files)


def _write_manifest(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    text = json.dumps({"files": dict(sorted(files.items()))}, indent=1)
    _replace(folder / MANIFEST, text.encode())


def _replace(path: Path, data: bytes) -> None:
    """Write a file in one step, for whoever reads at the same time."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _is_there(folder: Path, remote: Remote, entry: dict[str, Any] | None, *, verify: bool) -> bool:
    path = folder / remote.path
    if entry is None or entry["url"] != remote.url or not path.is_file():
        return False
    if path.stat().st_size != entry["size"]:
        return False
    if remote.sha256 is not None and remote.sha256 != entry["sha256"]:
        return False
    return not verify or _sha256(path) == entry["sha256"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _download(
    remote: Remote, folder: Path, stores: dict[str, HTTPStore], advance: Advance
) -> tuple[str, int]:
    target = folder / remote.path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    note = target.with_name(target.name + ".part.json")
    address = urlsplit(remote.url)
    origin = f"{address.scheme}://{address.netloc}"
    if origin not in stores:
        stores[origin] = HTTPStore(
            origin,
            client_options={"allow_http": address.scheme == "http", "timeout": "120s"},
            retry_config=_RETRIES,
        )
    key = unquote(address.path.lstrip("/"))
    for attempt in range(_ATTEMPTS):
        try:
            await _transfer(stores[origin], key, remote, part, note, advance)
            break
        except FileNotFoundError as error:
            raise DownloadError(f"{remote.url}: there is no such file") from error
        except Exception as error:
            if attempt == _ATTEMPTS - 1:
                cause = str(error).splitlines()[0]
                raise DownloadError(f"{remote.url}: {cause}") from error
    note.unlink(missing_ok=True)
    digest, size = _check(remote, part)
    part.replace(target)
    return digest, size


async def _transfer(
    store: HTTPStore, key: str, remote: Remote, part: Path, note: Path, advance: Advance
) -> None:
    """Fetch what is missing of a file."""
    start, etag = _begun(remote, part, note)
    options: Any = {"range": {"offset": start}, "if_match": etag} if start else {}
    try:
        result = await obstore.get_async(store, key, options=options)
    except FileNotFoundError:
        raise
    except Exception:
        if not start:
            raise
        # Another file by now, or a server that cannot give a part: from the beginning.
        start = 0
        result = await obstore.get_async(store, key)
    found = result.meta.get("e_tag")
    note.write_text(json.dumps({"url": remote.url, "etag": found}), encoding="utf-8")
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        advance(start)
        done = start
        try:
            async for data in result.stream(min_chunk_size=_CHUNK):
                file.write(data)
                done += len(data)
                advance(len(data))
        except BaseException:
            advance(-done)
            raise
    if done != result.meta["size"]:
        advance(-done)
        raise DownloadError(f"{done} of {result.meta['size']} bytes came")


def _begun(remote: Remote, part: Path, note: Path) -> tuple[int, str | None]:
    """How much of a file an earlier run has, and which version of it."""
    with suppress(OSError, ValueError, AttributeError):
        before = json.loads(note.read_text(encoding="utf-8"))
        size = part.stat().st_size
        complete = remote.size is not None and size >= remote.size
        # A weak tag names content that is alike, not the same bytes (RFC 9110 section 8.8.1).
        etag = before.get("etag")
        if before.get("url") == remote.url and etag and not etag.startswith("W/") and not complete:
            return size, str(etag)
    return 0, None


def _check(remote: Remote, part: Path) -> tuple[str, int]:
    size = part.stat().st_size
    digest = _sha256(part)
    blob = None
    if remote.git_sha1 is not None:
        content = part.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % size + content, usedforsecurity=False).hexdigest()
    for name, ours, theirs in (
        ("size", size, remote.size),
        ("SHA-256", digest, remote.sha256),
        ("git's checksum", blob, remote.git_sha1),
    ):
        if theirs is not None and ours != theirs:
            part.unlink()
            raise DownloadError(f"{remote.url}: its {name} is {ours}, but should be {theirs}")
    return digest, size


# --- GitHub ----------------------------------------------------------------------------------


def github_files(repository: str, ref: str, *, below: str, api: str, raw: str) -> list[Remote]:
    """TIFFs of a repository, with the checksums that git has of them.

    Parameters
    ----------
    repository
        Such as `OSGeo/gdal`.
    ref
        Tag or commit.
    below
        Folder; empty for all.
    api, raw
        Where GitHub is.

    Raises
    ------
    DownloadError
        The list cannot be had.
    """
    url = f"{api}/repos/{repository}/git/trees/{quote(ref, safe='')}?recursive=1"
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.github+json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
    except (OSError, ValueError) as error:
        raise DownloadError(f"{url}: {error}") from error
    if answer.get("truncated"):
        raise DownloadError(f"{url}: the list is not complete")
    prefix = f"{below}/" if below else ""
    return [
        Remote(
            url=f"{raw}/{repository}/{quote(ref, safe='')}/{quote(entry['path'])}",
            path=entry["path"].removeprefix(prefix),
            size=entry["size"],
            git_sha1=entry["sha"],
        )
        for entry in answer["tree"]
        if entry["type"] == "blob"
        and entry["path"].startswith(prefix)
        and entry["path"].lower().endswith(SUFFIXES)
    ]


# --- the command line ------------------------------------------------------------------------


def arguments(description: str | None, name: str, *, github: bool) -> argparse.ArgumentParser:
    """Options that all scripts have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=Path, default=CACHE / name, help="folder (%(default)s)")
    parser.add_argument(
        "--verify", action="store_true", help="read files that are there again, and compare"
    )
    if github:
        parser.add_argument("--api", default="https://api.github.com", help=argparse.SUPPRESS)
        parser.add_argument(
            "--raw", default="https://raw.githubusercontent.com", help=argparse.SUPPRESS
        )
    return parser


def run(find: Callable[[], list[Remote]], options: argparse.Namespace) -> int:
    """Synchronise, show how it goes, and return the exit status."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    try:
        files = find()
        total = sum(remote.size or 0 for remote in files) or None
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(f"{len(files)} files", total=total)
            report = asyncio.run(
                synchronize(
                    files,
                    options.to,
                    verify=options.verify,
                    advance=lambda done: progress.advance(task, done),
                )
            )
    except DownloadError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    print(
        f"{options.to}: {len(report.downloaded)} downloaded, {len(report.kept)} kept, "
        f"{len(report.removed)} removed, {len(report.failed)} failed"
    )
    for line in report.failed:
        print(line, file=sys.stderr)
    return 1 if report.failed else 0
