"""Local files: what an address names, which must not be opened, and what a folder contains."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import batched
from pathlib import Path

from obspec import ObjectMeta

from virtual_tiff.errors import ErrorKind, SourceError
from virtual_tiff.storage.addresses import is_local, local_path

#: Characters that no store of obstore or Icechunk opens.
_CONTROL = re.compile("[\x00-\x1f\x7f]")
#: A byte that is no UTF-8, as `source_url` writes it.
_NO_UTF_8 = re.compile(r"\\udc([89a-f][0-9a-f])")


def check_regular(url: str) -> None:
    """Refuse a pipe, socket or device, whose reading blocks or has no end, and names without text.

    Raises
    ------
    SourceError
        With kind `not-a-file`, or `not-found` for a link that leads to itself.
    """
    if not is_local(url):
        return
    path = local_path(url)
    if _CONTROL.search(url) or (_NO_UTF_8.search(url) and os.path.lexists(_bytes_of(path))):
        raise SourceError(
            "its name has a control character, or is not UTF-8, so that no store opens it.",
            kind=ErrorKind.NOT_A_FILE,
            url=url,
            remedy="Rename it.",
        )
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno != errno.ELOOP:
            return  # The store says what is wrong.
        raise SourceError(
            "this link leads to itself.", kind=ErrorKind.NOT_FOUND, url=url, remedy="Remove it."
        ) from error
    except ValueError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SourceError(
            "this is a pipe, a socket or a device, not a file.",
            kind=ErrorKind.NOT_A_FILE,
            url=url,
            remedy="Copy its bytes to a file first.",
        )


def _bytes_of(path: Path) -> bytes:
    """Return the name of a file on disk."""
    text = _NO_UTF_8.sub(lambda found: chr(0xDC00 + int(found[1], 16)), str(path))
    return text.encode("utf-8", "surrogateescape")


#: Files of a batch of a listing.
_BATCH = 1_000


class LocalListing:
    """Lists folders as stores do, with every name; obstore refuses a folder with an odd one.

    Links are followed, but not into a folder that contains them. What is no regular file is listed
    too, so that it is reported when it is read.

    Parameters
    ----------
    root
        Folder that paths are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(
        self, prefix: str | None = None, *, offset: str | None = None
    ) -> Iterator[Sequence[ObjectMeta]]:
        """Yield all files below a folder in batches, by their paths."""
        start = self.root / (prefix or "")
        if start.is_dir():
            yield from batched(map(self._meta, _walk(start, frozenset())), _BATCH)

    def _meta(self, path: Path) -> ObjectMeta:
        try:
            status = path.stat()
        except (OSError, ValueError):
            status = path.lstat()
        nanoseconds = status.st_mtime_ns
        modified = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
        text = str(path.relative_to(self.root)).encode("utf-8", "backslashreplace").decode()
        return {
            "path": text,
            "size": status.st_size,
            "last_modified": modified.replace(microsecond=nanoseconds // 1000 % 10**6),
            # As obstore makes it: readers compare it with the one of their requests.
            "e_tag": f'"{status.st_ino:x}-{max(0, nanoseconds // 1000):x}-{status.st_size:x}"',
            "version": None,
        }


def _walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    names, folders = [], set()
    with os.scandir(folder) as entries:
        for entry in entries:
            names.append(entry.name)
            with suppress(OSError):  # a link to itself
                if entry.is_dir():
                    folders.add(entry.name)
    for name in sorted(names):
        if name in folders:
            yield from _walk(folder / name, above | {here})
        else:
            yield folder / name
