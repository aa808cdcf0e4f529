"""How a file is called: by users, by stores and by Icechunk.

Users name a file by a path or a URL, and `source_url` makes an address of it, once. An `http` or
`https` address is a URL (RFC 3986), so `%20` is a space. In `file`, `s3`, `gs` and `az` addresses
the part after the bucket is the key itself, as in the tools of those stores, so `%20` is three
characters and `?` is part of the name. A `file` URL of a user is read both ways: by RFC 8089,
where `%20` is a space, as `Path.as_uri` writes it, and as an address, as `f"file://{path}"` is;
what exists decides. Icechunk wants URLs throughout, and for Azure the container
alone: it takes what stands behind the `@` of an `abfs` URL, which is the account, for the
container.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote, urljoin

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.messages import has_secret
from virtual_tiff.storage.settings import LOCAL_LINKS

#: Schemes whose addresses are URLs; all others hold keys verbatim.
WEB_SCHEMES = ("http", "https")
#: Other spellings, and the one that Icechunk accepts.
_ALIASES = {"s3a": "s3", "gcs": "gs", "azure": "az", "abfss": "abfs"}
#: RFC 3986 section 3.3: characters of a path besides letters, digits and `-._~`.
_PATH_CHARACTERS = "/!$&'()*+,;=:@"
#: Addresses without a character that has, or needs, an escape.
_LOCATION = re.compile(r"(?:file|https?|s3|gs|az)://[^/%?#]*/[\w./!$&'()*+,;=:@~-]*", re.ASCII)
#: Servers that have no time for a file return this; or obstore does instead.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def source_url(
    source: str | os.PathLike[str], base: str | os.PathLike[str] = "", *, query: bool = False
) -> str:
    """Return the address of a source that a user named; keep a `/` at its end.

    Never call it with an address: those of local files hold names verbatim, but the escapes of a
    `file` URL are undone, so that `a%20b.tif` would become `a b.tif` where there is such a file.

    Parameters
    ----------
    source
        Local path, or address with a scheme. See `file_url_path` for the escapes of `file` URLs.
    base
        Folder that a relative path starts from; the working directory if it is empty.
    query
        Whether a web URL may have a query, such as a signature: only where nothing is written.

    Raises
    ------
    InvalidOptionError
        It is no path, or empty; a `file` URL names a host; or a web URL has a query, which
        references cannot keep.
    """
    if not isinstance(source, str | os.PathLike):
        raise InvalidOptionError(
            f"{type(source).__name__} is no path or URL.",
            remedy="Name the file by its path or URL.",
        )
    # A name on disk that is not UTF-8 has lone surrogates, which no table can hold.
    text = os.fsdecode(source).encode("utf-8", "backslashreplace").decode()
    if not text:
        raise InvalidOptionError("the name of a source is empty.")
    scheme, separator, rest = text.partition("://")
    if not separator:
        return _local_url(os.path.join(base, os.path.expanduser(text)))
    scheme = scheme.lower()
    if scheme == "file":
        return _local_url(file_url_path(text))
    if scheme in WEB_SCHEMES and "?" in rest:
        if query:
            return f"{scheme}://{rest}"
        raise InvalidOptionError(
            "references cannot keep the query of a URL, such as a signature.",
            url=text.partition("?")[0],
            remedy="Name the object in its bucket instead (s3://, gs://, az://), or a public URL.",
        )
    url = f"{_ALIASES.get(scheme, scheme)}://{rest}"
    check_no_secret(url)
    return url


def file_url_path(url: str) -> str:
    """Return the local path that a user means by a `file` URL.

    Without its escapes (RFC 8089), unless there is no such file or folder, but one whose name is
    the text as it is.

    Raises
    ------
    InvalidOptionError
        The URL names a host.
    """
    decoded, verbatim = _file_url_paths(url)
    if decoded != verbatim and not _exists(decoded) and _exists(verbatim):
        return verbatim
    return decoded


def file_url_readings(url: str) -> tuple[str, ...]:
    """Return the addresses that a `file` URL may mean, the one of RFC 8089 first."""
    return tuple(dict.fromkeys(_local_url(path) for path in _file_url_paths(url)))


def parsed_url(url: str) -> str:
    """Return the address of a file that a parser is given.

    That is an address; but a `file` URL with escapes or with `localhost`, which is the address of
    no file, is read as `source_url` reads it.
    """
    if url.partition("://")[0].lower() != "file" or (is_local(url) and _exists(local_path(url))):
        return url
    return source_url(url)


def _file_url_paths(url: str) -> tuple[str, str]:
    """Return the path of a `file` URL without its escapes, and with them."""
    rest = url.partition("://")[2]
    host, _, path = rest.partition("/")
    if host not in ("", "localhost"):
        raise InvalidOptionError(
            f"a file URL has no host, but this one has {host!r}.",
            url=url,
            remedy=f"Write file:///{rest} for the root of this machine, or a plain path.",
        )
    return "/" + unquote(path), "/" + path


def _exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file or folder, or the folder in which a pattern begins."""
    text = os.fspath(path)
    if os.path.lexists(text):
        return True
    plain, wildcard, _ = text.partition("*")
    return bool(wildcard) and os.path.lexists(os.path.dirname(plain))


def check_no_secret(url: str) -> None:
    """Refuse an address with a password, a signature or a token.

    References, tables and messages hold addresses, so that readers would get the secret. The names
    of local files are looked at too: those of downloads may end in the query of a signed URL.

    Raises
    ------
    InvalidOptionError
        Without the secret in it.
    """
    if has_secret(url):
        raise InvalidOptionError(
            "the address has a password, a signature or a token.",
            url=url,
            remedy="Rename the file."
            if is_local(url)
            else "Give credentials by the environment or by a store of registry=…, or name a "
            "public URL.",
        )


def _local_url(path: str) -> str:
    url = "file://" + _absolute(path)
    check_no_secret(url)
    return url


def _absolute(path: str) -> str:
    absolute = os.path.abspath(path).replace(os.sep, "/")
    absolute = absolute if absolute.startswith("/") else "/" + absolute
    return absolute + "/" if path.endswith("/") and not absolute.endswith("/") else absolute


def linked_url(base: str, href: str) -> str:
    """Return the address that a document links to.

    Parameters
    ----------
    base
        Address of the document.
    href
        Address, path, or path relative to the document (STAC 1.0). Links of web documents are
        references of RFC 3986; elsewhere they hold names verbatim, as paths do.
    """
    if "://" in href:
        return source_url(href)
    scheme, netloc, key = split_url(base)
    if scheme in WEB_SCHEMES:
        return source_url(urljoin(base, href))
    if href.startswith("/"):
        return source_url(href)
    path = posixpath.normpath("/" + posixpath.join(posixpath.dirname(key), href))
    url = f"{scheme}://{netloc}{path}"
    check_no_secret(url)
    return url


def check_reach(base: str | None, urls: Iterable[str]) -> None:
    """Refuse addresses of local files in a list, a table or a document from elsewhere.

    Its author could have any file of this machine read and published. The environment variable
    `VIRTUAL_TIFF_LOCAL_LINKS` allows it.

    Parameters
    ----------
    base
        Address of the list; `None` for one that the caller made.
    urls
        Addresses in it.

    Raises
    ------
    InvalidOptionError
        With the first local address.
    """
    if base is None or is_local(base) or os.environ.get(LOCAL_LINKS):
        return
    for url in urls:
        if is_local(url):
            raise InvalidOptionError(
                f"this list, which is not on this machine, names the local file {local_path(url)}.",
                url=base,
                remedy="If it is meant to, set VIRTUAL_TIFF_LOCAL_LINKS=1 in the environment.",
            )


def is_local(url: str) -> bool:
    """Return whether an address is that of a local file."""
    return url.startswith("file://")


def is_web(url: str) -> bool:
    """Whether an address is a URL of a web server, which has no listing."""
    return url.partition("://")[0] in WEB_SCHEMES


def has_query(url: str) -> bool:
    """Whether an address is a URL of a web server with a query."""
    return is_web(url) and "?" in url


def local_path(url: str) -> Path:
    """Return the local path of an address."""
    return Path(url.removeprefix("file://"))


def split_url(url: str) -> tuple[str, str, str]:
    """Split an address into scheme, host or bucket, and key.

    The key is as a store wants it: without a leading slash, and without escapes or query.
    """
    scheme, _, rest = url.partition("://")
    netloc, _, path = rest.partition("/")
    if scheme in WEB_SCHEMES:
        path = unquote(path.partition("?")[0])
    return scheme, netloc, path


def chunk_location(url: str) -> str:
    """Return the URL of a file for Icechunk, with all escapes.

    `abfs://container@account…/key` becomes `az://container/key`; the account is one of the settings
    of the virtual chunk container.

    Parameters
    ----------
    url
        Address of a file.
    """
    if _LOCATION.fullmatch(url):
        return url
    scheme, netloc, key = split_url(url)
    if scheme == "abfs":
        scheme, netloc = "az", split_account(netloc)[0]
    return f"{scheme}://{netloc}/{quote(key, safe=_PATH_CHARACTERS)}"


def split_account(netloc: str) -> tuple[str, str]:
    """Split the host part of an Azure address into container and account (may be empty)."""
    container, _, host = netloc.partition("@")
    return container, host.partition(".")[0]


def is_plain(path: str) -> bool:
    """Return whether a path is the same with and without escapes."""
    return quote(path, safe=_PATH_CHARACTERS) == path


def checksum_of(
    url: str, etag: str | None, last_modified: datetime | None
) -> str | datetime | None:
    """Return the value by which Icechunk detects that a file changed, or `None`.

    On S3 it is the ETag. Elsewhere it is the time of the last change: Icechunk 2.3 strips an
    ETag's quotes, so web servers and its own reader of local files, which compare strictly
    (RFC 9110 section 13.1.1), never find it equal. Icechunk keeps whole seconds, so a time is
    rounded up so that the file does not appear modified.
    """
    if url.startswith("s3://") and etag is not None and not etag.startswith("W/"):
        return etag
    if last_modified is None or last_modified <= EPOCH:
        return None
    if last_modified.microsecond:
        last_modified += timedelta(seconds=1)
    return last_modified.replace(microsecond=0)
