"""Errors, grouped by what the caller can do about them.

The tree::

    VirtualTIFFError
    ├── SourceError            (also OSError)     the bytes could not be read
    ├── InvalidTIFFError       (also ValueError)  the bytes are not a valid TIFF
    ├── UnsupportedTIFFError                      a valid TIFF that no Zarr codec can express
    ├── InvalidOptionError     (also ValueError)  an argument is wrong
    ├── MismatchError          (also ValueError)  images that cannot share one array
    ├── RepositoryError                           the Icechunk repository does not allow it
    └── SourcesError                              several files failed; `errors` has one for each

Every error has `url`, `ifd` and `tag` where they are known, a `remedy` that tells what to do next,
and a `kind`: a stable code (`ErrorKind`) to match instead of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from typing import ClassVar, Self

from virtual_tiff.messages import printable, redacted


class ErrorKind(StrEnum):
    """Stable codes of `VirtualTIFFError.kind`; codes are added, never changed."""

    # the source
    NOT_FOUND = "not-found"
    NOT_AUTHORIZED = "not-authorized"
    NO_STORE = "no-store"
    IS_DIRECTORY = "is-directory"
    NOT_A_FILE = "not-a-file"
    SOURCE_CHANGED = "source-changed"
    SEVERAL = "several"
    STORAGE = "storage"
    # the bytes
    EMPTY_FILE = "empty-file"
    NOT_A_TIFF = "not-a-tiff"
    TRUNCATED = "truncated"
    IFD_CYCLE = "ifd-cycle"
    INVALID_IFD = "invalid-ifd"
    INVALID_TAG = "invalid-tag"
    MISSING_TAG = "missing-tag"
    HEADER_TOO_LARGE = "header-too-large"
    TIME_LIMIT = "time-limit"
    INVALID_SEGMENT = "invalid-segment"
    INVALID_SIDECAR = "invalid-sidecar"
    # what no registered codec can express
    UNSUPPORTED_COMPRESSION = "unsupported-compression"
    UNSUPPORTED_DATA_TYPE = "unsupported-data-type"
    UNSUPPORTED_PREDICTOR = "unsupported-predictor"
    UNSUPPORTED_LAYOUT = "unsupported-layout"
    UNSUPPORTED_COLOR = "unsupported-color"
    UNSUPPORTED_FILL_ORDER = "unsupported-fill-order"
    UNSUPPORTED_MASK = "unsupported-mask"
    COPY_LIMIT = "copy-limit"
    # what no other form can express
    NO_TILE_MATRIX_SET = "no-tile-matrix-set"
    # arguments
    INVALID_OPTION = "invalid-option"
    IFD_OUT_OF_RANGE = "ifd-out-of-range"
    NO_SOURCES = "no-sources"
    DUPLICATE = "duplicate"
    # stacking
    MISMATCH = "mismatch"
    # the repository
    REPOSITORY_EXISTS = "repository-exists"
    REPOSITORY_NOT_FOUND = "repository-not-found"
    NOT_A_REPOSITORY = "not-a-repository"
    CONFLICT = "conflict"
    REPOSITORY = "repository"
    # anything else that a library raised while one file was read
    UNEXPECTED = "unexpected"


class VirtualTIFFError(Exception):
    """Base class of every error that this package raises.

    Parameters
    ----------
    message
        Description of the problem in one line, with the rule and the value.
    kind
        A stable code; see `ErrorKind`.
    url
        The TIFF, if known.
    ifd
        Path to the image file directory: `(0,)` is the first one, `(0, 1)` the second
        sub-IFD of the first.
    tag
        Number of the TIFF tag at fault, if there is one.
    remedy
        What the user can do about it.
    """

    default_kind: ClassVar[ErrorKind]

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind | None = None,
        url: str | None = None,
        ifd: tuple[int, ...] | None = None,
        tag: int | None = None,
        remedy: str | None = None,
    ) -> None:
        message = printable(redacted(message))
        super().__init__(message)
        self.message = message
        self.kind = self.default_kind if kind is None else kind
        self.url = None if url is None else redacted(url)
        self.ifd = ifd
        self.tag = tag
        self.remedy = None if remedy is None else printable(redacted(remedy))

    def at(self, *, url: str | None = None, ifd: tuple[int, ...] | None = None) -> Self:
        """Fill in URL and directory where they are not set yet."""
        self.url = redacted(url) if self.url is None and url is not None else self.url
        self.ifd = ifd if self.ifd is None else self.ifd
        return self

    @property
    def text(self) -> str:
        """Message and remedy, without URL, directory and tag."""
        return f"{self.message} {self.remedy}" if self.remedy else self.message

    def __str__(self) -> str:
        place = []
        if self.url is not None:
            place.append(printable(self.url))
        if self.ifd is not None:
            place.append("IFD " + ".".join(str(i) for i in self.ifd))
        if self.tag is not None:
            place.append(f"tag {_tag_name(self.tag)}")
        return f"{', '.join(place)}: {self.text}" if place else self.text

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process boundaries (executors); keyword arguments need this.
        kind, url, ifd, tag, remedy = self.kind, self.url, self.ifd, self.tag, self.remedy
        make = partial(type(self), kind=kind, url=url, ifd=ifd, tag=tag, remedy=remedy)
        return make, (self.message,)


@contextmanager
def one_file(url: str) -> Iterator[None]:
    """Make an error of one file of anything else that is raised while it is read.

    Raises
    ------
    VirtualTIFFError
        With kind `unexpected`, so that one file does not end the work on all others.
    """
    try:
        yield
    except VirtualTIFFError:
        raise
    except Exception as error:  # MemoryError included
        text = " ".join(str(error).split()) or "no message"
        raise VirtualTIFFError(
            f"reading this file raised {type(error).__name__} ({shorten(text)}).",
            kind=ErrorKind.UNEXPECTED,
            url=url,
            remedy="Report it, with the file if you can.",
        ) from error


class SourceError(VirtualTIFFError, OSError):
    """The bytes could not be read: missing, forbidden, unreachable, or no store for the URL."""

    default_kind = ErrorKind.STORAGE


class InvalidTIFFError(VirtualTIFFError, ValueError):
    """The bytes are not a TIFF, or violate TIFF 6.0 such that pixels cannot be trusted."""

    default_kind = ErrorKind.INVALID_IFD


class UnsupportedTIFFError(VirtualTIFFError):
    """A valid TIFF whose encoding no registered Zarr codec expresses exactly."""

    default_kind = ErrorKind.UNSUPPORTED_COMPRESSION


class InvalidOptionError(VirtualTIFFError, ValueError):
    """An argument is wrong; nothing was read."""

    default_kind = ErrorKind.INVALID_OPTION


class MismatchError(VirtualTIFFError, ValueError):
    """Images that differ in grid or encoding cannot be stacked into one array."""

    default_kind = ErrorKind.MISMATCH


class RepositoryError(VirtualTIFFError):
    """The Icechunk repository does not allow the requested operation."""

    default_kind = ErrorKind.REPOSITORY


def shorten(values: object) -> str:
    """Return a value as text for a message, shortened if it is long."""
    text = str(values)
    return text if len(text) <= 60 else f"{text[:56]} …"


class SourcesError(VirtualTIFFError):
    """Several files failed.

    `errors` has one error for each, in the order of the files. `kind` is their common kind, or
    `several`.
    """

    default_kind = ErrorKind.SEVERAL
    errors: tuple[VirtualTIFFError, ...] = ()

    @classmethod
    def of(cls, errors: Sequence[VirtualTIFFError], total: int) -> Self:
        """Combine several errors into one.

        Parameters
        ----------
        errors
            The error of each file that failed.
        total
            Total number of files.
        """
        shown = "; ".join(str(error) for error in errors[:_SHOWN])
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        kinds = {error.kind for error in errors}
        several = cls(
            f"{len(errors)} of {total} sources failed: {shown}{more}",
            kind=kinds.pop() if len(kinds) == 1 else None,
        )
        several.errors = tuple(errors)
        return several

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"errors": self.errors})


def joined(errors: Sequence[VirtualTIFFError], total: int) -> VirtualTIFFError:
    """Return the error of a single file, or a `SourcesError` of several."""
    return errors[0] if len(errors) == 1 else SourcesError.of(errors, total)


#: Number of errors that a combined message shows in full.
_SHOWN = 3


def _tag_name(tag: int) -> str:
    from virtual_tiff.tags import Tag  # Imported here: this module needs only the standard library.

    try:
        return f"{Tag(tag).title} ({tag})"
    except ValueError:
        return str(tag)
