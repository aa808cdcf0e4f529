"""Limits of what reading one file may cost: bytes of its header, and processor time.

Counts and offsets in a TIFF can make a few kilobytes stand for gigabytes: directories that overlap,
or a value that thousands of them share. What is kept is charged to a `Budget`, which refuses a file
that exceeds it. Time is that of the processor, without the time that requests take.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from virtual_tiff.errors import ErrorKind, InvalidOptionError, InvalidTIFFError

#: Default limit of the bytes that the header of one file takes in memory: that of a million tiles
#: takes 16 MB.
DEFAULT_HEADER_LIMIT = 128 * 1024 * 1024
#: Default limit of seconds of the processor for one file.
DEFAULT_TIME_LIMIT = 3.0
#: Seconds more for each directory, since files have thousands of pages.
_DIRECTORY_SECONDS = 0.0002
#: Bytes that are decoded, padded and encoded again in a second; the first of a chunk count less, so
#: that thousands of pages with small strips are within the limit.
_PADDED_RATE = 64e6
_SMALL_CHUNK, _SMALL_RATE = 1024 * 1024, 400e6
#: Directories and values of a file do not overlap, except for some that writers store once.
_MOST_SHARED = 1024 * 1024
#: Kinds of errors that end the reading of a file, and not of one directory.
BUDGET_KINDS = (ErrorKind.HEADER_TOO_LARGE, ErrorKind.TIME_LIMIT)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for one file.

    Parameters
    ----------
    header
        Bytes that its directories and values, and the chunks made from it, may take in memory.
    seconds
        Time of the processor, besides 0.2 ms for each directory.
    """

    header: int = DEFAULT_HEADER_LIMIT
    seconds: float = DEFAULT_TIME_LIMIT

    def __post_init__(self) -> None:
        if not isinstance(self.header, int) or self.header < 1:
            raise InvalidOptionError(
                f"header_limit is {self.header!r}, but must be a number of bytes, at least 1."
            )
        if not isinstance(self.seconds, int | float) or not self.seconds > 0:
            raise InvalidOptionError(
                f"time_limit is {self.seconds!r}, but must be a number of seconds above 0."
            )


class Budget:
    """What one file has cost so far, and its limits."""

    def __init__(self, limits: Limits, size: int) -> None:
        self.limits = limits
        self._most_read = size + _MOST_SHARED
        self._kept = 0
        self._read = 0
        self._seconds = 0.0
        self._allowed = limits.seconds
        self._since: float | None = None
        self._clock = 0.0

    def read(self, nbytes: int) -> None:
        """Count bytes of a directory or of a value, each once; all may not exceed the file."""
        self._read += nbytes
        if self._read > self._most_read:
            raise InvalidTIFFError(
                "its directories and values overlap: they have more bytes than the file.",
                kind=ErrorKind.HEADER_TOO_LARGE,
            )

    def keep(self, nbytes: int) -> None:
        """Count bytes that are kept in memory, and check the time."""
        self._kept += nbytes
        if self._kept > self.limits.header:
            raise InvalidTIFFError(
                f"its header takes more than {self.limits.header} bytes of memory.",
                kind=ErrorKind.HEADER_TOO_LARGE,
                remedy="Pass a larger header_limit.",
            )
        self.check()

    @property
    def left(self) -> int:
        """Return the bytes of memory that may still be kept."""
        return self.limits.header - self._kept

    def pad(self, nbytes: int) -> None:
        """Count the time of padding a chunk, by its size: codecs work in threads of their own."""
        small = min(nbytes, _SMALL_CHUNK)
        self._seconds += small / _SMALL_RATE + (nbytes - small) / _PADDED_RATE
        self.check()

    def add_directory(self) -> None:
        """Count a directory, for which a file may take more time."""
        self._allowed += _DIRECTORY_SECONDS

    def check(self) -> None:
        """Raise if the file has taken too much time."""
        if self._since is None:
            used = self._seconds
        else:
            # The clock on the wall is never behind, and takes far less time to ask.
            used = self._seconds + time.perf_counter() - self._clock
            if used > self._allowed:
                self._stop()
                self._start()
                used = self._seconds
        if used > self._allowed:
            raise InvalidTIFFError(
                f"it takes more than {self._allowed:.3g} s of the processor.",
                kind=ErrorKind.TIME_LIMIT,
                remedy="Pass a larger time_limit.",
            )

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count the time of a block in this thread; it may await nothing but `waiting`."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Do not count the time of a block, in which other files are read."""
        counted = self._since is not None
        self._stop()
        try:
            yield
        finally:
            if counted:
                self._start()

    def _start(self) -> None:
        self._since, self._clock = time.thread_time(), time.perf_counter()

    def _stop(self) -> None:
        if self._since is not None:
            self._seconds += time.thread_time() - self._since
            self._since = None
