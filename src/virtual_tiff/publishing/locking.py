"""One writer at a time in a repository on a local path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import icechunk

from virtual_tiff.publishing.repository import Location, text_of


@contextmanager
def locked(repo: Location | icechunk.Repository) -> Iterator[None]:
    """Keep other writers of this package from a repository on a local path.

    Icechunk's commits are safe against one another in object stores, by conditional writes, but
    not in a local folder.
    """
    folder = None if isinstance(repo, icechunk.Repository) else _local_folder(repo)
    if folder is None:
        yield
        return
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _local_folder(repo: Location) -> Path | None:
    text = text_of(repo)
    if not text or text.startswith("memory"):
        return None
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Path(text)
    return Path(rest) if scheme == "file" else None
