"""Virtual chunk containers: where Icechunk may fetch the chunks of a repository, and how.

A container allows URLs that begin with its prefix. Readers have to authorise each prefix;
`credentials` authorises this package.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import icechunk
from icechunk.storage import azure_store

from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError, SourceError
from virtual_tiff.storage.addresses import (
    WEB_SCHEMES,
    check_no_secret,
    chunk_location,
    is_plain,
    split_account,
    split_url,
)
from virtual_tiff.storage.credentials import cloud, is_anonymous
from virtual_tiff.storage.resolve import AddressRegistry
from virtual_tiff.storage.settings import (
    SOURCE_ENDPOINT,
    check_server,
    is_on,
    own_server,
    server,
)

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry

type ContainerStore = Any

_CREDENTIALS = {"s3": "s3_credentials", "gs": "gcs_credentials", "az": "azure_credentials"}


@dataclass(frozen=True, slots=True)
class Container:
    """A prefix of URLs and the store behind it.

    Parameters
    ----------
    prefix
        Start of the URLs of chunks; ends in `/`.
    store
        One of Icechunk's `ObjectStoreConfig`.
    anonymous
        Whether to access the store without credentials.
    is_assumed
        Whether the endpoint is not known, since files are read through a store of the caller that
        does not tell its settings.
    """

    prefix: str
    store: ContainerStore
    anonymous: bool = False
    is_assumed: bool = False

    def as_icechunk(self) -> icechunk.VirtualChunkContainer:
        """Return it as Icechunk saves it."""
        return icechunk.VirtualChunkContainer(self.prefix, self.store)


def credentials(containers: Iterable[Container]) -> dict[str, Any]:
    """Return credentials with which Icechunk reads from containers, from the environment.

    Cloud stores take credentials from the environment, unless a container is anonymous.
    """
    found = {}
    for each in containers:
        name, arguments = credential(each.prefix, anonymous=each.anonymous)
        found[each.prefix] = attrgetter(name)(icechunk)(**arguments)
    return icechunk.containers_credentials(found)


def credential(prefix: str, *, anonymous: bool) -> tuple[str, dict[str, bool]]:
    """Return the function of Icechunk for the credentials of a prefix, and its arguments."""
    scheme = prefix.partition("://")[0]
    if scheme == "file":
        return "Credentials.LocalFileSystemAccess", {}
    if scheme in WEB_SCHEMES:
        return "Credentials.HttpAccess", {}
    name = _CREDENTIALS[cloud(scheme) or scheme]
    return name, {"anonymous" if anonymous else "from_env": True}


def containers_for(
    urls: Iterable[str],
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
) -> tuple[Container, ...]:
    """Return the virtual chunk containers that files need.

    One for each host or bucket. Local files get their deepest common folder, or one for each folder
    of the root if they have none. A folder whose name has to be escaped in URLs is replaced by its
    parent, since Icechunk 2.3 compares prefixes with and without escapes.

    Parameters
    ----------
    urls
        Addresses of files.
    registry
        Stores with region, endpoint and account; by default from the environment.
    anonymous
        Whether to access the stores without credentials.

    Raises
    ------
    SourceError
        Icechunk cannot reach a file.
    InvalidOptionError
        An Azure account is not known, or two have a container of the same name.
    """
    local: list[str] = []
    remote: dict[str, str] = {}
    for url in urls:
        scheme, netloc, key = split_url(url)
        if scheme == "file":
            local.append("/" + key)
        else:
            remote.setdefault(f"{scheme}://{netloc}/", url)
    found = [
        _remote_container(root, url, _config(url, registry), anonymous=anonymous)
        for root, url in remote.items()
    ]
    check_accounts(found)
    found = list({container.prefix: container for container in found}.values())
    found += [
        Container(f"file://{folder}", icechunk.local_filesystem_store(folder))
        for folder in _shared_folders(local)
    ]
    return tuple(sorted(found, key=lambda container: container.prefix))


def stored_containers(config: icechunk.RepositoryConfig) -> tuple[Container, ...]:
    """Return the containers of a repository."""
    stored = config.virtual_chunk_containers or {}
    return tuple(
        Container(prefix, container.store, _says_anonymous(container.store))
        for prefix, container in stored.items()
        if (scheme := prefix.partition("://")[0]) in ("file", *WEB_SCHEMES) or cloud(scheme)
    )


def store_settings(container: Container) -> dict[str, Any]:
    """Return settings with which an obstore store asks the server that readers of a container ask.

    What the container leaves open is taken from the environment, by readers too.
    """
    options: dict[str, Any] = dict(_options(container.store))
    store = getattr(container.store, "_0", None)
    if isinstance(store, icechunk.S3Options):
        options = {"region": store.region, "endpoint": store.endpoint_url}
        if store.endpoint_url:
            options["virtual_hosted_style_request"] = str(not store.force_path_style).lower()
        if getattr(store, "requester_pays", False):
            options["request_payer"] = "true"
    elif "account" in options:
        options["account_name"] = options.pop("account")
    settings = {key: value for key, value in options.items() if value and key != "allow_http"}
    return settings | ({"skip_signature": True} if container.anonymous else {})


def check_endpoints(stored: Iterable[Container], needed: Iterable[Container]) -> None:
    """Refuse files that were read from another server than a repository names for their URLs.

    Raises
    ------
    RepositoryError
        With kind `conflict`.
    """
    stored = tuple(stored)
    for container in needed:
        for other in stored:
            if container.is_assumed or not container.prefix.startswith(other.prefix):
                continue
            here, there = _endpoint(container), _endpoint(other)
            if here != there:
                raise RepositoryError(
                    f"the files were read from {here or 'the default endpoint'}, but the "
                    f"repository names {there or 'the default endpoint'} for their URLs.",
                    kind=ErrorKind.CONFLICT,
                    url=container.prefix,
                    remedy="Read them from the endpoint of the repository, or publish them to a "
                    "separate repository.",
                )


def _endpoint(container: Container) -> str:
    """Return the address of a server other than the default one of its cloud."""
    return str(store_settings(container).get("endpoint", "")).rstrip("/")


def prefixes_for(config: icechunk.RepositoryConfig, needed: Iterable[Container]) -> tuple[str, ...]:
    """Return the prefixes of the containers of a repository that serve other containers."""
    starts = [container.prefix for container in needed]
    stored = stored_containers(config)
    return tuple(c.prefix for c in stored if any(s.startswith(c.prefix) for s in starts))


def check_accounts(containers: Iterable[Container]) -> None:
    """Refuse two Azure accounts that have a container of the same name.

    The locations of chunks name only the container, so files of one account would be requested from
    the other.
    """
    accounts: dict[str, str] = {}
    for container in containers:
        if cloud(container.prefix.partition("://")[0]) == "az":
            account = _options(container.store).get("account", "")
            if accounts.setdefault(container.prefix, account) != account:
                raise InvalidOptionError(
                    f"two Azure accounts, {accounts[container.prefix]} and {account}, have a "
                    "container of this name; references name the container alone.",
                    url=container.prefix,
                    remedy="Publish the files of each account to a separate repository.",
                )


def _says_anonymous(store: ContainerStore) -> bool:
    options = _options(store)
    if options:
        return str(options.get("skip_signature", "")).lower() == "true"
    return bool(getattr(getattr(store, "_0", None), "anonymous", False))


def _options(store: ContainerStore) -> Mapping[str, str]:
    """Return the settings of a store of Google Cloud or Azure in Icechunk."""
    options = getattr(store, "_0", None)
    return options if isinstance(options, Mapping) else {}


def _config(url: str, registry: ObjectStoreRegistry[Any] | None) -> Mapping[str, Any] | None:
    """Return the settings of the obstore store that serves a URL; `None` if they are not known."""
    if registry is None:
        return {}
    try:
        store, _ = AddressRegistry(registry).resolve(url)
    except ValueError:
        return {}
    return getattr(store, "config", None)


def _remote_container(
    root: str, url: str, known: Mapping[str, Any] | None, *, anonymous: bool
) -> Container:
    config = known or {}
    is_assumed = known is None
    scheme, netloc, _ = split_url(root)
    prefix = chunk_location(root)
    if scheme in WEB_SCHEMES:
        # With any option, browsers cannot open the repository.
        return Container(prefix, icechunk.http_store())
    skips = str(config.get("skip_signature", "")).lower() == "true"
    anonymous = anonymous or skips or is_anonymous(scheme)
    match cloud(scheme):
        case "s3":
            own = own_server(SOURCE_ENDPOINT)
            settings = s3_settings({"endpoint": own, **config} if own else config)
            s3 = icechunk.s3_store(anonymous=anonymous, **settings)
            return Container(prefix, s3, anonymous, is_assumed)
        case "gs":
            options = {"skip_signature": "true"} if anonymous else None
            return Container(prefix, icechunk.gcs_store(options), anonymous)
        case "az":
            account = split_account(netloc)[1] or config.get(
                "account_name", os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
            )
            if not account:
                raise InvalidOptionError(
                    "the Azure account is not known.",
                    url=url,
                    remedy="Set AZURE_STORAGE_ACCOUNT_NAME, or write "
                    "abfs://container@account.dfs.core.windows.net/…",
                )
            options = _azure_options(config, anonymous=anonymous)
            azure = azure_store(account=account, config=options)
            return Container(prefix, azure, anonymous, is_assumed)
    raise SourceError(
        f"Icechunk cannot read {scheme}:// URLs.",
        url=url,
        remedy="Use a local path or file, http, https, s3, gs, az or abfs.",
    )


def _azure_options(config: Mapping[str, Any], *, anonymous: bool) -> dict[str, str] | None:
    """Return endpoint and access by their names in object_store."""
    endpoint = str(config.get("endpoint") or server("az") or "")
    check_no_secret(endpoint)
    options = {"endpoint": endpoint} if endpoint else {}
    if endpoint.startswith("http://"):
        options["allow_http"] = "true"
    if anonymous:
        options["skip_signature"] = "true"
    return options or None


def s3_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return region and endpoint by their names in Icechunk, from settings or environment."""

    def setting(key: str, *variables: str) -> Any:
        values = (config.get(key), *map(os.environ.get, variables))
        return next(filter(None, values), None)

    endpoint = config.get("endpoint") or server("s3")
    check_no_secret(str(endpoint or ""))
    if endpoint:
        check_server("the endpoint", endpoint)
    payer = str(config.get("request_payer") or is_on("AWS_REQUEST_PAYER"))
    return {
        # The default is that of obstore, with which the headers were read.
        "region": setting("region", "AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
        "endpoint_url": endpoint,
        "allow_http": bool(endpoint) and str(endpoint).startswith("http://"),
        # Servers other than Amazon's rarely have a host name for each bucket.
        "force_path_style": bool(endpoint),
        "requester_pays": payer.lower() in ("requester", "true"),
    }


def _shared_folders(paths: list[str]) -> list[str]:
    """Return folders, with a slash at the end, that contain all these files."""
    by_top: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_top[path.split("/")[1]].append(path)
    found = []
    for same_top in by_top.values():
        folders = {path.rpartition("/")[0] or "/" for path in same_top}
        shared = PurePosixPath(os.path.commonpath(folders))
        while not is_plain(str(shared)):
            shared = shared.parent
        if shared == shared.parent:
            raise SourceError(
                "Icechunk cannot read local files that have no folder with a plain name.",
                url=f"file://{same_top[0]}",
                remedy="Move them into a folder whose path begins with letters and digits alone.",
            )
        found.append(f"{shared}/")
    return found
