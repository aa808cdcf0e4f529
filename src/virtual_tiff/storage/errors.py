"""Translate errors of stores into errors of this package."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import obstore.exceptions

from virtual_tiff.errors import ErrorKind, InvalidTIFFError, SourceError, VirtualTIFFError
from virtual_tiff.storage.settings import RETRY_SECONDS


def changed(url: str, detail: str) -> SourceError:
    """Return the error for a file that changed after its header was read."""
    return SourceError(
        f"the file changed after its header was read ({detail}).",
        kind=ErrorKind.SOURCE_CHANGED,
        url=url,
        remedy="Open it again, when the file is complete.",
    )


def is_markup(start: bytes) -> bool:
    """Return whether bytes begin as those of a web page (HTML), or of XML."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def web_page(url: str | None, wanted: str) -> InvalidTIFFError:
    """Return the error for a web page in place of a file."""
    return InvalidTIFFError(
        f"this is a web page (HTML) or XML, not {wanted}; a server that wants a login gives one.",
        kind=ErrorKind.NOT_A_TIFF,
        url=url,
        remedy="Look into it: open the file in an editor, or the address in a browser. Name the "
        "object in its bucket, with credentials.",
    )


def storage_error(error: BaseException, url: str) -> VirtualTIFFError:
    """Translate an exception of a store into an error with cause and remedy."""
    text = str(error).split("\n", 1)[0].strip()
    lowered = str(error).lower()
    remedy = None
    if isinstance(error, obstore.exceptions.InvalidPathError) or text.startswith(_NO_PATH):
        return _unreadable_name(error, url)
    gone = "status code: 410" in lowered
    if gone or isinstance(error, FileNotFoundError | obstore.exceptions.NotFoundError):
        if "is directory" in lowered or "is a directory" in lowered:
            return SourceError(
                "this is a directory, not a TIFF.",
                kind=ErrorKind.IS_DIRECTORY,
                url=url,
                remedy="Name the files in it.",
            )
        return SourceError(
            "there is no such file.",
            kind=ErrorKind.NOT_FOUND,
            url=url,
            remedy="Check the spelling."
            if url.startswith("file://")
            else "Check the spelling, and that the bucket and prefix of the store match the URL.",
        )
    if isinstance(
        error,
        PermissionError
        | obstore.exceptions.PermissionDeniedError
        | obstore.exceptions.UnauthenticatedError,
    ) or any(word in lowered for word in ("credential", "403 forbidden", "401 unauthorized")):
        return SourceError(
            f"access was refused ({text}).",
            kind=ErrorKind.NOT_AUTHORIZED,
            url=url,
            remedy="Give the store credentials, or pass skip_signature=True for a public bucket.",
        )
    if isinstance(error, obstore.exceptions.AlreadyExistsError) or "409 conflict" in lowered:
        # What is only read cannot exist already: obstore takes each 409 for that.
        return SourceError(
            "the server refuses to read this without credentials (409"
            + (", PublicAccessNotPermitted)." if "publicaccessnotpermitted" in lowered else ")."),
            kind=ErrorKind.NOT_AUTHORIZED,
            url=url,
            remedy="Azure answers so: name the object in its container (az://…), with a key or "
            "a SAS token in the environment.",
        )
    if isinstance(error, obstore.exceptions.PreconditionError):
        return changed(url, "its ETag is different")
    if "toolarge" in lowered or "only 0 bytes long" in lowered or "416 range" in lowered:
        return InvalidTIFFError(
            "the file is empty.", kind=ErrorKind.EMPTY_FILE, url=url, remedy="Upload it again."
        )
    if isinstance(error, obstore.exceptions.NotSupportedError):
        return SourceError(
            "the server does not serve byte ranges.",
            kind=ErrorKind.STORAGE,
            url=url,
            remedy="Virtual references need them: use a server or a bucket that answers 206.",
        )
    if "429 too many" in lowered or "503 service" in lowered or "slow down" in lowered:
        text = f"it throttled the requests, or is not available: {text}"
    elif "timed out" in lowered or "timedout" in lowered:
        text = f"the request timed out: {text}"
    elif any(f"status code: {code}" in lowered for code in (500, 502, 504)):
        text = f"the server has a fault of its own: {text}"
    elif "content-range" in lowered or "content_range" in lowered or "requested " in lowered:
        text = f"the server answered with another range of bytes: {text}"
    elif "following redirect" in lowered or "status code: 30" in lowered:
        text = f"the server names another address, which cannot be followed: {text}"
    elif "error sending request" in lowered or "body error" in lowered:
        text = f"the connection was refused or broken: {text}"
        remedy = (
            f"Check the address, and that its server runs. {RETRY_SECONDS} is how long a "
            "request is repeated; 0 for none."
        )
    return SourceError(f"the store failed: {text}", kind=ErrorKind.STORAGE, url=url, remedy=remedy)


#: How obstore begins the message on an address that it does not accept.
_NO_PATH = "Could not parse path"
_NAME = re.compile(r'Path "(.*?)"(?: contained|: Encountered)', re.DOTALL)


def _unreadable_name(error: BaseException, url: str) -> SourceError:
    """Return the error for a key that obstore does not read; in a listing, it ends the listing."""
    name = _NAME.search(str(error))
    return SourceError(
        f"the name {name[1] if name else url!r} cannot be read.",
        kind=ErrorKind.NOT_A_FILE,
        url=url,
        remedy='Rename it, without control characters, empty parts, "." and ".." as parts; or name '
        "the other files of its folder one by one.",
    )


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Translate what the operating system raises while a local file is written."""
    try:
        yield
    except OSError as error:
        raise VirtualTIFFError(
            f"the file cannot be written: {error.strerror or error}.",
            kind=ErrorKind.STORAGE,
            url=os.fspath(path),
            remedy="Name a folder that can be written and has space.",
        ) from error
