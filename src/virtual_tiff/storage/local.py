"""What a local address names: a file, or something that must not be opened."""

from __future__ import annotations

import os
import stat

from virtual_tiff.errors import ErrorKind, SourceError
from virtual_tiff.storage.addresses import is_local, local_path


def check_regular(url: str) -> None:
    """Refuse a pipe, socket or device, whose reading blocks or has no end.

    Raises
    ------
    SourceError
        With kind `not-a-file`.
    """
    if not is_local(url):
        return
    try:
        mode = os.stat(local_path(url)).st_mode
    except (OSError, ValueError):
        return  # The store says what is wrong.
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SourceError(
            "this is a pipe, a socket or a device, not a file.",
            kind=ErrorKind.NOT_A_FILE,
            url=url,
            remedy="Copy its bytes to a file first.",
        )
