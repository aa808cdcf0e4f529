"""Open and create Icechunk repositories.

Icechunk saves storage settings when a repository is created, and every reader uses them for every
virtual chunk: by default, on a local path, five requests of 4 KiB for each object without retries.
This package creates repositories with one request for a chunk, and retries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import icechunk

from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.publishing.containers import (
    Container,
    check_accounts,
    check_endpoints,
    credentials,
    s3_settings,
    stored_containers,
)
from virtual_tiff.storage.addresses import (
    WEB_SCHEMES,
    check_no_secret,
    file_url_path,
    split_account,
    split_url,
)
from virtual_tiff.storage.credentials import cloud, is_anonymous
from virtual_tiff.storage.settings import (
    REPOSITORY_ENDPOINT,
    REPOSITORY_REGION,
    check_environment,
    own_server,
    repository_keys,
)

type Location = str | os.PathLike[str] | icechunk.Storage

#: Metadata of the commits of this package: its version.
COMMIT_KEY = "virtual_tiff"
#: Size in bytes above which Icechunk requests an object in parts.
_REQUEST_SIZE = 12 * 1024 * 1024
#: Keys of the objects that Icechunk writes before a repository exists.
_BEGINNING = re.compile(
    r"(?:snapshots|transactions)(?:/1CECHNKREP0F1RSTCMT0(?:#\d+)?)?|repo(?:#\d+)?"
)
_IN_MEMORY = ("memory", "memory:", "memory://")


def storage_settings() -> icechunk.StorageSettings:
    """Return the storage settings of new repositories."""
    return icechunk.StorageSettings(
        concurrency=icechunk.StorageConcurrencySettings(
            max_concurrent_requests_for_object=1, ideal_concurrent_request_size=_REQUEST_SIZE
        ),
        retries=icechunk.StorageRetriesSettings(
            max_tries=10, initial_backoff_ms=100, max_backoff_ms=180_000
        ),
    )


def storage_at(location: Location, *, anonymous: bool = False) -> icechunk.Storage:
    """Return the storage of a repository.

    Parameters
    ----------
    location
        Local path, `file://`, `s3://`, `gs://`, `az://` or `abfs://` URL with credentials from
        the environment, `memory` for a new one in this process, or a storage.
    anonymous
        Whether to access a cloud without credentials; for reading.

    Raises
    ------
    InvalidOptionError
        The location is none of these.
    """
    if isinstance(location, icechunk.Storage):
        return location
    text = os.fspath(location)
    if text in _IN_MEMORY:
        return icechunk.in_memory_storage()
    if not text:
        raise InvalidOptionError("the location of the repository is empty.")
    folder = local_folder(location)
    if folder is not None:
        return icechunk.local_filesystem_storage(str(folder.absolute()))
    check_no_secret(text)
    scheme = text.partition("://")[0]
    if scheme in WEB_SCHEMES:
        return icechunk.http_storage(text)
    _, netloc, prefix = split_url(text.rstrip("/"))
    if cloud(scheme) is not None and not prefix:
        raise InvalidOptionError(
            "a repository needs a prefix of its own in the bucket.",
            url=text,
            remedy=f"Name one: {text.rstrip('/')}/repository",
        )
    if cloud(scheme) is None:
        raise InvalidOptionError(
            f"no repository can be at a {scheme}:// URL.",
            url=text,
            remedy="Use a local path or file, s3, gs, az or abfs.",
        )
    name, arguments = cloud_storage(scheme, netloc, prefix)
    keys: dict[str, Any] = {}
    if name == "s3_storage" and not anonymous:
        keys |= repository_keys()
    access = "anonymous" if anonymous or is_anonymous(scheme) else "from_env"
    storage: icechunk.Storage = getattr(icechunk, name)(**arguments, **(keys or {access: True}))
    return storage


def cloud_storage(scheme: str, netloc: str, prefix: str) -> tuple[str, dict[str, Any]]:
    """Return the function of Icechunk for a storage in a cloud, and its arguments."""
    check_environment(cloud(scheme) or "s3")
    if cloud(scheme) == "az":
        container, account = split_account(netloc)
        account = account or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
        return "azure_storage", {"account": account, "container": container, "prefix": prefix}
    place = {"bucket": netloc, "prefix": prefix}
    if cloud(scheme) == "gs":
        return "gcs_storage", place
    region = os.environ.get(REPOSITORY_REGION)
    own = {"endpoint": own_server(REPOSITORY_ENDPOINT), "region": region}
    settings = {name: value for name, value in s3_settings(own).items() if value}
    return "s3_storage", place | settings


def open_repository(
    location: Location,
    *,
    create: bool = False,
    containers: Iterable[Container] = (),
    anonymous: bool = False,
) -> icechunk.Repository:
    """Open a repository, authorised to read the chunks of all its containers.

    Parameters
    ----------
    location
        As for `storage_at`.
    create
        Whether to create the repository if it does not exist.
    containers
        Containers to add, and to save in the repository; see `containers_for`.
    anonymous
        Whether to access the repository without credentials.

    Raises
    ------
    RepositoryError
        With kind `repository-not-found`; `not-a-repository` if the location has other data; or the
        storage failed.
    """
    storage = storage_at(location, anonymous=anonymous)
    there = exists(storage, location)
    if not there and not create:
        raise not_found(location)
    with icechunk_errors(location):
        return (_open if there else create_in)(storage, tuple(containers))


def exists(storage: icechunk.Storage, location: Location) -> bool:
    """Return whether a repository exists; nothing is written.

    A location with other files is refused with kind `not-a-repository`. Only local folders are
    checked; in buckets, Icechunk refuses to create a repository among other objects.
    """
    path = local_folder(location)
    if path is not None and path.is_file():
        raise _not_a_repository(location, "this is a file, not an Icechunk repository.")
    try:
        if icechunk.Repository.exists(storage):
            return True
        if path is not None and path.is_dir() and any(path.iterdir()) and not is_begun(storage):
            raise _not_a_repository(
                location, "the folder holds other files, and no Icechunk repository."
            )
    except icechunk.IcechunkError as error:
        raise repository_error(error, location) from error
    except OSError as error:
        raise RepositoryError(
            f"the folder cannot be read: {error.strerror}.", url=text_of(location)
        ) from error
    return False


def is_begun(storage: icechunk.Storage) -> bool:
    """Return whether a writer began to create a repository, and has not finished, or was killed.

    There are only objects of the first snapshot of Icechunk, whose id is always the same. Another
    writer may have finished since the caller looked.
    """
    folder = local_folder(storage)
    if folder is None:
        # The first snapshot comes first; without it, a long listing is spared.
        first = storage.list_objects_metadata(prefix="snapshots/")
        keys = [found.key for found in (first and storage.list_objects_metadata())]
    else:
        # Also empty folders, and files that were not complete.
        keys = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return bool(keys) and all(_BEGINNING.fullmatch(key) for key in keys)


def create_in(
    storage: icechunk.Storage, containers: tuple[Container, ...], *, finish: bool = False
) -> icechunk.Repository:
    """Create a repository with containers and the settings of this package.

    `finish` creates it where `is_begun`. A conditional write of Icechunk decides between two
    writers who do so.
    """
    config = icechunk.RepositoryConfig.default()
    config.storage = storage_settings()
    for container in containers:
        config.set_virtual_chunk_container(container.as_icechunk())
    return icechunk.Repository.create(
        storage,
        config=config,
        authorize_virtual_chunk_access=credentials(containers),
        check_clean_root=not finish,
    )


def _open(storage: icechunk.Storage, containers: tuple[Container, ...]) -> icechunk.Repository:
    config = icechunk.Repository.fetch_config(storage)
    known = () if config is None else stored_containers(config)
    repository = icechunk.Repository.open(
        storage, authorize_virtual_chunk_access=credentials((*containers, *known))
    )
    return add_containers(repository, containers)


def add_containers(
    repository: icechunk.Repository, containers: Iterable[Container]
) -> icechunk.Repository:
    """Save containers in a repository, unless it has containers for the same URLs."""
    config = repository.config
    stored, containers = stored_containers(config), tuple(containers)
    check_accounts((*stored, *containers))
    check_endpoints(stored, containers)
    known = [container.prefix for container in stored]
    new = [c for c in containers if not c.prefix.startswith(tuple(known))]
    if not new:
        return repository
    for container in new:
        config.set_virtual_chunk_container(container.as_icechunk())
    repository = repository.reopen(config=config)
    repository.save_config()
    return repository


def is_published_here(repository: icechunk.Repository, branch: str, *, alone: bool = False) -> bool:
    """Whether this package published to a branch, or nobody has written to it at all.

    With `alone`, whether nobody else has.
    """
    # The first snapshot of every repository has no parent and is empty.
    snapshots = repository.ancestry(branch=branch)
    ours = (COMMIT_KEY in snapshot.metadata for snapshot in snapshots if snapshot.parent_id)
    if alone:
        return all(ours)
    first = next(ours, True)
    return first or any(ours)


def repository_error(error: icechunk.IcechunkError, location: Location) -> RepositoryError:
    """Translate an error of Icechunk into one line with cause and remedy."""
    url = text_of(location)
    kind = str(getattr(error, "kind", ""))
    cause = str(error).split("\n\n", 1)[0].replace("\n", " ").strip()
    if len(cause) > 300:
        cause = cause[:300] + "…"
    lowered = str(error).lower()
    if kind == "parent-directory-not-clean":
        return _not_a_repository(
            location, "the location holds other objects, and no Icechunk repository."
        )
    if isinstance(error, icechunk.RepositoryNotFoundError):
        return not_found(location)
    if isinstance(error, icechunk.ConflictError):
        return RepositoryError(
            f"another writer committed first ({cause}).",
            kind=ErrorKind.CONFLICT,
            url=url,
            remedy="Nothing was committed; try again.",
        )
    if isinstance(error, icechunk.ReadOnlyError):
        return RepositoryError(f"it cannot be written: {cause}.", url=url)
    signs = ("credential", "403", "401", "token", "accessdenied", "forbidden", "unauthorized")
    if isinstance(error, icechunk.StorageError) and any(sign in lowered for sign in signs):
        return RepositoryError(
            f"access to the repository was refused ({cause}).",
            kind=ErrorKind.NOT_AUTHORIZED,
            url=url,
            remedy="Set the credentials of its storage in the environment.",
        )
    return RepositoryError(f"Icechunk failed: {cause}.", url=url)


def _not_a_repository(location: Location, message: str) -> RepositoryError:
    return RepositoryError(
        message,
        kind=ErrorKind.NOT_A_REPOSITORY,
        url=text_of(location),
        remedy="Name another location, or one that does not exist yet.",
    )


def not_found(location: Location) -> RepositoryError:
    """Make the error for a place without a repository."""
    return RepositoryError(
        "there is no Icechunk repository.",
        kind=ErrorKind.REPOSITORY_NOT_FOUND,
        url=text_of(location),
        remedy="Check the location; virtual_tiff.publish makes a new one.",
    )


@contextmanager
def icechunk_errors(repo: Location | icechunk.Repository) -> Iterator[None]:
    """Translate what Icechunk raises."""
    try:
        yield
    except icechunk.IcechunkError as error:
        location = repo.storage if isinstance(repo, icechunk.Repository) else repo
        raise repository_error(error, location) from error


def local_folder(location: Location) -> Path | None:
    """Return the local folder of a repository; `None` if it is somewhere else."""
    if isinstance(location, icechunk.Storage):
        # No attribute has it, but what a storage prints of itself.
        found = re.search(r"^type: local filesystem\npath: (.+)$", str(location), re.MULTILINE)
        return None if found is None else Path(found[1])
    text = os.fspath(location)
    scheme, separator, _ = text.partition("://")
    if text in _IN_MEMORY or (separator and scheme != "file"):
        return None
    return Path(file_url_path(text) if separator else text)


def text_of(location: Location) -> str:
    """Return a location as text; empty for a storage."""
    return "" if isinstance(location, icechunk.Storage) else os.fspath(location)
