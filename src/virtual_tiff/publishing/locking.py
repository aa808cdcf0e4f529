"""One writer at a time in a repository in a local folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from virtual_tiff.errors import RepositoryError


@contextmanager
def locked(folder: Path | None) -> Iterator[None]:
    """Keep other writers of this package out of a local folder while the block runs.

    Icechunk's commits are safe against each other in object stores, by conditional writes, but
    not in a local folder. The folder itself is locked (`flock`), so that no file has to lie in
    it, and the lock ends with the process. The folder is made if it is not there, and removed if
    nothing was written to it. Nothing is locked where `folder` is `None`, or on Windows, which
    has no such locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        folder = None
    if folder is None:
        yield
        return
    made = not folder.exists()
    descriptor = -1
    try:
        while descriptor < 0:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_at(descriptor, folder):
                # The writer that held the lock has removed the empty folder.
                os.close(descriptor)
                descriptor = -1
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise RepositoryError(
            f"the folder cannot be locked for writing: {error.strerror}.",
            url=str(folder),
            remedy="Name a folder that can be written, on a file system that has locks.",
        ) from error
    try:
        yield
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()
        os.close(descriptor)


def _is_at(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
