"""The cases, published twice: by reference in an Icechunk repository, and as a local Zarr copy.

The copy is for readers without Icechunk. Its metadata and chunks are those of the repository, byte
for byte.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import icechunk
from zarr.buffer import default_buffer_prototype

from tests.helpers.make import Pixels
from tests.helpers.range_server import RangeServer
from tests.readers._case import Case
from virtual_tiff import publish
from virtual_tiff.parser import VirtualTIFF

#: Name of the array of the only image of each file.
ARRAY = "0"


@dataclass(frozen=True, slots=True)
class Published:
    """Where the cases are, while the server runs.

    Parameters
    ----------
    server
        Serves all of it.
    prefix
        URL that the TIFFs' URLs begin with, and of the virtual chunk container.
    repository
        Icechunk repository, a group for each case; as a folder, and as a URL.
    copy
        Folder of a Zarr group with the same groups.
    cases, expected
        What was published, and its pixels, by name.
    """

    server: RangeServer
    prefix: str
    repository: Path
    repository_url: str
    copy: Path
    cases: dict[str, Case]
    expected: dict[str, Pixels]


@contextmanager
def published(cases: Iterable[Case], folder: Path) -> Iterator[Published]:
    """Write, serve and publish the cases in a folder.

    Everything that refers to a TIFF does so over HTTP, and the repository is served from the
    same place: that is what a browser can read.
    """
    cases = sorted(cases, key=_options)
    sources, copy, repository = folder / "sources", folder / "copy", folder / "repository"
    sources.mkdir(parents=True)
    with RangeServer(folder) as server:
        expected: dict[str, Pixels] = {}
        prefixes: set[str] = set()
        for (axis, may_copy), same in groupby(cases, key=_options):
            names = []
            for case in same:
                names.append(case.name)
                case.write(path := sources / f"{case.name}.tif")
                expected[case.name] = case.expected(path)
            result = publish(
                [f"{server.url}/sources/{name}.tif" for name in names],
                repository,
                parser=VirtualTIFF(
                    ifd=0, band_axis=axis, on_unsupported="copy" if may_copy else "raise"
                ),
                names=names,
            )
            prefixes |= set(result.containers)
        (prefix,) = prefixes
        store = open_repository(repository, prefix).readonly_session("main").store
        asyncio.run(_copy(store, copy))
        url = f"{server.url}/{repository.name}"
        by_name = {case.name: case for case in cases}
        yield Published(server, prefix, repository, url, copy, by_name, expected)


def _options(case: Case) -> tuple[Any, bool]:
    return case.band_axis, case.copy


def open_repository(folder: Path, prefix: str) -> icechunk.Repository:
    """Open a repository on the local disk whose chunks are behind HTTP."""
    access = icechunk.containers_credentials({prefix: icechunk.Credentials.HttpAccess()})
    return icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(folder)), authorize_virtual_chunk_access=access
    )


async def _copy(store: Any, folder: Path) -> None:
    """Write every key of a store to a file of that name."""

    async def one(key: str) -> None:
        async with limiter:
            data = await store.get(key, default_buffer_prototype())
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.to_bytes())

    limiter = asyncio.Semaphore(64)
    async with asyncio.TaskGroup() as group:
        async for key in store.list():
            group.create_task(one(key))


def codecs_of(published: Published, name: str) -> list[str]:
    """Names of the codecs of a case, array side first."""
    document = json.loads((published.copy / name / ARRAY / "zarr.json").read_bytes())
    return [codec["name"] for codec in document["codecs"]]
