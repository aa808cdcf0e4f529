"""How a file is called: by users, by stores, by Icechunk, and as a group of a repository.

Users and this package write one address for a file. In `http` and `https` addresses it is a URL
(RFC 3986), so `%20` is a space. In `file`, `s3`, `gs` and `az` addresses the part after the bucket
is the key itself, as in the tools of those stores, so `%20` is three characters and `?` is part
of the name. Icechunk wants URLs throughout, and for Azure the container alone: it takes what stands
behind the `@` of an `abfs` URL, which is the account, for the container.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from virtual_tiff.errors import ErrorKind, InvalidOptionError

#: Schemes whose addresses are URLs; all others hold keys verbatim.
WEB_SCHEMES = ("http", "https")
#: Other spellings, by the one that Icechunk takes.
_ALIASES = {"s3a": "s3", "gcs": "gs", "azure": "az", "abfss": "abfs"}
#: RFC 3986 section 3.3: what a path holds besides letters, digits and `-._~`.
_PATH_CHARACTERS = "/!$&'()*+,;=:@"
#: Ends of names that say nothing but "TIFF".
_TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".gtif", ".gtiff", ".geotiff", ".btf", ".tf8"})
#: A host that has given a file no time answers with this, or obstore does in its place.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def source_url(source: str | os.PathLike[str]) -> str:
    """Return the address of what a user named.

    Parameters
    ----------
    source
        Local path, or address with a scheme. Escapes in `file` URLs are undone (RFC 8089).

    Raises
    ------
    InvalidOptionError
        It is empty; or a `file` URL names a host; or a web URL has a query, which references
        cannot keep.
    """
    text = os.fspath(source)
    if not text:
        raise InvalidOptionError("the name of a source is empty.")
    scheme, separator, rest = text.partition("://")
    if not separator:
        return "file://" + _absolute(text)
    scheme = scheme.lower()
    if scheme == "file":
        host, _, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise InvalidOptionError(
                f"a file URL has no host, but this one has {host!r}.",
                url=text,
                remedy=f"Write file:///{rest} for the root of this machine, or a plain path.",
            )
        return "file://" + _absolute("/" + unquote(path))
    if scheme in WEB_SCHEMES and "?" in rest:
        raise InvalidOptionError(
            "references cannot keep the query of a URL, such as a signature.",
            url=text.partition("?")[0],
            remedy="Name the object in its bucket instead (s3://, gs://, az://), or a public URL.",
        )
    return f"{_ALIASES.get(scheme, scheme)}://{rest}"


def _absolute(path: str) -> str:
    absolute = os.path.abspath(path).replace(os.sep, "/")
    return absolute if absolute.startswith("/") else "/" + absolute


def split_url(url: str) -> tuple[str, str, str]:
    """Split an address into scheme, host or bucket, and key.

    The key is as a store wants it: without a leading slash, and without escapes.
    """
    scheme, _, rest = url.partition("://")
    netloc, _, path = rest.partition("/")
    return scheme, netloc, unquote(path) if scheme in WEB_SCHEMES else path


def chunk_location(url: str) -> str:
    """Return the URL that Icechunk needs to find a file, with all escapes.

    `abfs://container@account…/key` becomes `az://container/key`; the account is one of the settings
    of the virtual chunk container.

    Parameters
    ----------
    url
        Address of a file.
    """
    scheme, netloc, key = split_url(url)
    if scheme == "abfs":
        scheme, netloc = "az", split_account(netloc)[0]
    return f"{scheme}://{netloc}/{quote(key, safe=_PATH_CHARACTERS)}"


def split_account(netloc: str) -> tuple[str, str]:
    """Split the host part of an Azure address into container and account; that may be empty."""
    container, _, host = netloc.partition("@")
    return container, host.partition(".")[0]


def is_plain(path: str) -> bool:
    """Whether a path is spelled the same with and without escapes."""
    return quote(path, safe=_PATH_CHARACTERS) == path


def checksum_of(
    url: str, etag: str | None, last_modified: datetime | None
) -> str | datetime | None:
    """Return what Icechunk compares to notice that a file changed; `None` if nothing is known.

    On S3 it is the ETag. Elsewhere it is the time of the last change: Icechunk 2.3 strips an
    ETag's quotes, so web servers and its own reader of local files, which compare strictly
    (RFC 9110 section 13.1.1), never find it equal. Icechunk keeps whole seconds, so a time is
    rounded up so that the file does not appear modified.
    """
    if url.startswith("s3://") and etag is not None and not etag.startswith("W/"):
        return etag
    if last_modified is None or last_modified <= _EPOCH:
        return None
    if last_modified.microsecond:
        last_modified += timedelta(seconds=1)
    return last_modified.replace(microsecond=0)


def group_names(urls: Sequence[str]) -> tuple[str, ...]:
    """Name a group for each file: its name without the suffix of a TIFF.

    Files of the same name have the folders in front that tell them apart, from the deepest folder
    that they share: `2024/B04` and `2025/B04`. Files of one folder that differ in the suffix alone
    keep it.

    Parameters
    ----------
    urls
        Addresses of the files.

    Returns
    -------
    tuple of str
        Paths of groups, in the order of `urls`.

    Raises
    ------
    InvalidOptionError
        With kind `duplicate`: a file is named twice, or a group would hold another.
    """
    if repeated := [url for url, count in Counter(urls).items() if count > 1]:
        raise InvalidOptionError(
            "this source is named more than once.", kind=ErrorKind.DUPLICATE, url=repeated[0]
        )
    paths = [_parts(url) for url in urls]
    same: dict[str, list[int]] = defaultdict(list)
    for position, path in enumerate(paths):
        same[_stem(path[-1])].append(position)
    names = [""] * len(urls)
    for stem, positions in same.items():
        shared = _shared_depth([paths[i][:-1] for i in positions])
        folders = Counter(tuple(paths[i][:-1]) for i in positions)
        for i in positions:
            *above, name = paths[i] if len(positions) > 1 else paths[i][-1:]
            last = name if folders[tuple(paths[i][:-1])] > 1 else stem
            names[i] = "/".join(_node_name(part) for part in (*above[shared:], last))
    check_group_names(names, urls)
    return tuple(names)


def _shared_depth(folders: Sequence[Sequence[str]]) -> int:
    """How many folders all of these paths begin with."""
    depth = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        depth += 1
    return depth


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in _TIFF_SUFFIXES else name


def check_group_names(names: Sequence[str], urls: Sequence[str]) -> None:
    """Check that names can be those of groups, one for each file.

    Raises
    ------
    InvalidOptionError
        A name is no path of a group (Zarr v3 core, section "Node names"), or with kind
        `duplicate`: two groups have one name, or one would be within another.
    """
    if len(names) != len(urls):
        raise InvalidOptionError(f"{len(names)} names were given for {len(urls)} sources.")
    owners: dict[str, str] = {}
    for name, url in zip(names, urls, strict=True):
        if name != "/".join(_node_name(part) for part in name.split("/")):
            raise InvalidOptionError(
                f"{name!r} cannot be the name of a group.",
                url=url,
                remedy="Use letters, digits, '-', '_' and '.', with '/' between groups.",
            )
        if name in owners:
            raise InvalidOptionError(
                f"{owners[name]} would have the same group, {name!r}.",
                kind=ErrorKind.DUPLICATE,
                url=url,
            )
        owners[name] = url
    for name, url in owners.items():
        for parent in PurePosixPath(name).parents:
            if (holder := str(parent)) in owners:
                raise InvalidOptionError(
                    f"its group {name!r} would be within {holder!r}, that of {owners[holder]}.",
                    kind=ErrorKind.DUPLICATE,
                    url=url,
                    remedy="Give the groups names of your own.",
                )


def _parts(url: str) -> list[str]:
    scheme, netloc, key = split_url(url)
    return [part for part in (netloc.replace(":", "_"), *key.split("/")) if part] or [scheme]


def _node_name(text: str) -> str:
    """Make a name that every implementation takes for a node's."""
    name = re.sub(r"[\x00-\x1f\x7f\\/]", "_", text)
    if not name.strip("."):
        return "_" + name
    if name == "zarr.json":
        return "_" + name
    # Reserved: two underscores in front.
    return re.sub(r"^__+", "_", name)
