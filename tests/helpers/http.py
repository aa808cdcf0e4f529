"""The rules of HTTP that the benchmark server follows: ranges, preconditions, faults. No I/O."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Literal, NamedTuple

type Fault = Literal["", "error", "disconnect", "truncate", "stopped"]
type Headers = dict[bytes, str]

_DRAWN: tuple[Fault, ...] = ("error", "disconnect", "truncate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server behaves.

    Parameters
    ----------
    latency
        Seconds between a request and the first byte of its answer.
    error_rate
        Share of requests, 0 to 1, answered with 503.
    disconnect_rate
        Share answered with the first half of the body, after which the connection closes.
    truncate_rate
        Share answered with half of the body and a Content-Length that agrees with the half, so
        that only Content-Range tells.
    stop_after
        After so many requests every further connection is closed without an answer.
    fault_paths
        Glob (`fnmatch`) of the paths, such as `/a*.tif`, that the three rates apply to.
    seed
        The same seed, rates and requests give the same faults, whatever the order in which
        concurrent requests arrive; a repeated request draws again.

    Raises
    ------
    ValueError
        If the latency or a rate is negative, or the rates add up to more than 1.
    """

    latency: float = 0.0
    error_rate: float = 0.0
    disconnect_rate: float = 0.0
    truncate_rate: float = 0.0
    stop_after: int | None = None
    fault_paths: str = "*"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.latency < 0 or min(self.rates) < 0 or sum(self.rates) > 1:
            raise ValueError(f"latency must be >= 0 and the rates within 0 and 1: {self}")

    @property
    def rates(self) -> tuple[float, float, float]:
        """Rates of errors, disconnections and truncations."""
        return self.error_rate, self.disconnect_rate, self.truncate_rate

    def fault(self, path: str, byte_range: str | None, attempt: int) -> Fault:
        """Draw the fault of the `attempt`-th request (from 0) for these bytes."""
        if not any(self.rates) or not fnmatchcase(path, self.fault_paths):
            return ""
        key = f"{self.seed}|{path}|{byte_range}|{attempt}".encode()
        draw = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) / 2**64
        for fault, rate in zip(_DRAWN, self.rates, strict=True):
            if draw < rate:
                return fault
            draw -= rate
        return ""


class Request(NamedTuple):
    """One line of the request log.

    `range` is the Range header or `None`; `status` is 0 where nothing was answered; `sent`
    counts the bytes of the body; `time` is when the request arrived, in seconds of the server's
    monotonic clock.
    """

    method: str
    path: str
    range: str | None
    status: int
    sent: int
    fault: Fault
    time: float


class Selection(NamedTuple):
    """What to answer for one file: the status, and the bytes from `start` to `end`."""

    status: HTTPStatus
    start: int
    end: int


def parse_range(value: str, size: int) -> tuple[int, int] | Literal["ignore", "unsatisfiable"]:
    """First byte and end (exclusive) of a Range header (RFC 9110 section 14.2).

    Several ranges, other units and malformed ones are ignored, as that section allows.
    """
    unit, _, text = value.partition("=")
    first, dash, last = text.strip().partition("-")
    numbers = [part for part in (first, last) if part]
    if unit.strip().lower() != "bytes" or not dash or not numbers:
        return "ignore"
    if not all(number.isascii() and number.isdigit() for number in numbers):
        return "ignore"
    if not first:
        length = min(int(last), size)
        return (size - length, size) if length else "unsatisfiable"
    start = int(first)
    if last and int(last) < start:
        return "ignore"
    if start >= size:
        return "unsatisfiable"
    return start, min(int(last) + 1, size) if last else size


def entity_tag(stat: os.stat_result) -> str:
    """Strong entity tag of a file: changes with its time, its size and its inode."""
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}-{stat.st_ino:x}"'


def select(headers: Headers, stat: os.stat_result) -> Selection:
    """Evaluate preconditions and the range, in the order of RFC 9110 section 13.2.2."""
    etag, modified, size = entity_tag(stat), int(stat.st_mtime), stat.st_size
    if refusal := _precondition(headers, etag, modified):
        return Selection(refusal, 0, 0)
    byte_range = headers.get(b"range")
    if byte_range is None or not _range_applies(headers.get(b"if-range"), etag, modified):
        return Selection(HTTPStatus.OK, 0, size)
    match parse_range(byte_range, size):
        case "ignore":
            return Selection(HTTPStatus.OK, 0, size)
        case "unsatisfiable":
            return Selection(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0)
        case start, end:
            return Selection(HTTPStatus.PARTIAL_CONTENT, start, end)


def describe(selection: Selection, stat: os.stat_result) -> bytes:
    """Headers of an answer: entity tag, Last-Modified, and Content-Range where one belongs."""
    lines = (
        f"Accept-Ranges: bytes\r\nETag: {entity_tag(stat)}\r\n"
        f"Last-Modified: {formatdate(stat.st_mtime, usegmt=True)}\r\n"
        "Content-Type: application/octet-stream\r\n"
    )
    status, start, end = selection
    if status is HTTPStatus.PARTIAL_CONTENT:
        lines += f"Content-Range: bytes {start}-{end - 1}/{stat.st_size}\r\n"
    elif status is HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        lines += f"Content-Range: bytes */{stat.st_size}\r\n"
    return lines.encode()


def _precondition(headers: Headers, etag: str, modified: int) -> HTTPStatus | None:
    unmodified_since = _timestamp(headers.get(b"if-unmodified-since"))
    modified_since = _timestamp(headers.get(b"if-modified-since"))
    if tags := headers.get(b"if-match"):
        if not _lists(tags, etag):
            return HTTPStatus.PRECONDITION_FAILED
    elif unmodified_since is not None and modified > unmodified_since:
        return HTTPStatus.PRECONDITION_FAILED
    if tags := headers.get(b"if-none-match"):
        if _lists(tags, etag):
            return HTTPStatus.NOT_MODIFIED
    elif modified_since is not None and modified <= modified_since:
        return HTTPStatus.NOT_MODIFIED
    return None


def _range_applies(if_range: str | None, etag: str, modified: int) -> bool:
    return if_range is None or if_range == etag or _timestamp(if_range) == modified


def _lists(tags: str, etag: str) -> bool:
    return tags.strip() == "*" or etag in [tag.strip() for tag in tags.split(",")]


def _timestamp(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None  # RFC 9110 section 13.1.3: an invalid date is ignored
