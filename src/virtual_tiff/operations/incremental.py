"""Which files of a call a repository has already, unchanged: they are not read again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from virtual_tiff.choices import OnPresent
from virtual_tiff.cubes.coordinate import positions
from virtual_tiff.cubes.grouping import group_paths, is_template
from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.placing import variable_names
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.headers import ScanOptions
from virtual_tiff.inventory.listing import Listing
from virtual_tiff.inventory.scan import Listed
from virtual_tiff.inventory.source_options import SourceOptions
from virtual_tiff.inventory.table import SCHEMA, Inventory
from virtual_tiff.inventory.unchanged import unchanged
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.names import names_of
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.sources_table import Recorded, Sources
from virtual_tiff.publishing.target import Target

_READ = ("pages", "datetime_pattern", "datetime_tag", "concurrency")


def list_sources(sources: object, given: Mapping[str, Any]) -> Listed:
    """List the files that options of `scan` name, without reading any."""
    read = {name: given[name] for name in _READ if name in given}
    return Listed.of(
        sources,
        SourceOptions.of(given),
        ScanOptions(parser=given.get("parser") or VirtualTIFF(ifd=0), **read),
        given.get("columns"),
        registry=given.get("registry"),
        anonymous=given.get("anonymous", False),
    )


def known_in_cubes(
    recorded: Recorded, listed: Listed, group: str, options: CubeOptions
) -> set[str]:
    """Return the files whose images the cubes of a call have, and that are unchanged.

    Only images that would come into the same array count, as far as that can be told without
    their headers.
    """
    sources = recorded.table
    urls = listed.urls
    wanted = _arrays(listed.table, group, options)
    ifd = listed.options.parser.ifd
    number = None if ifd is None else ".".join(map(str, ifd if isinstance(ifd, tuple) else (ifd,)))
    rows = []
    columns = (sources[name].tolist() for name in ("url", "array", "ifd"))
    for row, (url, array, of_image) in enumerate(zip(*columns, strict=True)):
        where = wanted.get(url)
        if where is None or (number is not None and of_image != number):
            continue
        holder, _, name = array.rpartition("/")
        above, name_wanted, exact = where
        inside = holder == above if exact else f"{holder}/".startswith(key_prefix(above))
        if inside and (name_wanted is None or name == name_wanted):
            rows.append(row)
    same = unchanged(sources.files(rows), urls, listed.listing)
    return {url for url, is_same in zip(urls, same.tolist(), strict=True) if is_same}


def _arrays(
    listed: pa.Table, group: str, options: CubeOptions
) -> dict[str, tuple[str, str | None, bool]]:
    """Return the group and name of the array of each file, and whether the group is exact.

    The name is `None` where it cannot be told without the header, such as that of a band.
    """
    urls: list[str] = listed["url"].to_pylist()
    names = _names(listed, options)
    groups, exact = [group] * len(urls), True
    if is_template(group):
        try:
            groups = group_paths(listed, group)
        except InvalidOptionError:
            literal = group.partition("{")[0]
            groups, exact = [literal.rpartition("/")[0]] * len(urls), False
    full = [f"{key_prefix(path)}0" if options.overviews else path for path in groups]
    if options.overviews and not exact:
        full = groups
    found = zip(full, names, strict=True)
    return {url: (path, name, exact) for url, (path, name) in zip(urls, found, strict=True)}


def _names(listed: pa.Table, options: CubeOptions) -> list[str | None]:
    """Return the name of the variable of each file; `None` where the rows have to tell."""
    unknown: list[str | None] = [None] * len(listed)
    if options.split_bands or options.variable not in (None, *listed.column_names):
        return unknown
    # An inventory of which only these columns are known.
    others = [field for field in SCHEMA if field.name not in listed.column_names]
    columns = [*listed.columns, *(pa.nulls(len(listed), field.type) for field in others)]
    table = pa.table(columns, [*listed.column_names, *(field.name for field in others)])
    try:
        names = variable_names(
            Inventory(table), options.variable, options.variable_pattern, options.label
        )
    except InvalidOptionError:
        return unknown  # said when the others are planned
    return list(names)


def clashing(recorded: Recorded, cubes: Mapping[str, CubePlan], known: Collection[str]) -> set[str]:
    """Return the known files that hold a place which another file of the same call claims."""
    if not known:
        return set()
    found = set()
    for path, cube in cubes.items():
        prefix = key_prefix(f"{key_prefix(path)}0" if cube.overviews else path)
        urls = cube.inventory.table["url"]
        for name, variable in cube.variables.items():
            places = positions(cube.axes, variable, cube.grid_kind)
            rows = recorded.rows(f"{prefix}{name}", places)
            for image in np.flatnonzero(rows >= 0).tolist():
                holder = str(recorded.table["url"][int(rows[image])])
                if holder in known and holder != urls[int(variable.rows[image])].as_py():
                    found.add(holder)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Present:
    """Groups of files, and which of them a repository has.

    Parameters
    ----------
    paths
        Paths of the groups by URL; those of files that were published before as they were then.
    rows
        Rows of the table of sources of the files that the repository has, by URL.
    sources
        The table; `None` if it was not read.
    on_present
        What is done about groups that are there.
    is_certain
        Whether the TIFFs alone tell that nothing has changed; not where sidecars say more.
    """

    paths: Mapping[str, str]
    rows: Mapping[str, Sequence[int]]
    sources: Sources | None
    on_present: OnPresent
    is_certain: bool = True

    @classmethod
    def find(
        cls,
        target: Target,
        paths: Mapping[str, str],
        group: str | None,
        on_present: OnPresent,
        is_certain: bool = True,
    ) -> Self:
        """Look up groups of files, which have names of their own if `group` is `None`.

        Else their names depended on the other files of the call in which they were published.
        """
        store = None if on_present == "raise" else target.store()
        if store is None:
            return cls(paths=paths, rows={}, sources=None, on_present=on_present)
        sources = Recorded(store).table
        rows: dict[str, list[int]] = {url: [] for url in paths}
        for row, url in enumerate(sources["url"].tolist()):
            if url in rows:
                rows[url].append(row)
        named, there = dict(paths), {}
        for url, found in rows.items():
            names = () if group is None else names_of(url)
            for path in (paths[url], *(f"{key_prefix(group or '')}{name}" for name in names)):
                start = key_prefix(path)
                within = [row for row in found if str(sources["array"][row]).startswith(start)]
                if within:
                    named[url], there[url] = path, within
                    break
        return cls(
            paths=named,
            rows=there,
            sources=sources,
            on_present=on_present,
            is_certain=is_certain,
        )

    @property
    def free(self) -> list[str]:
        """Paths of the groups that are new."""
        return [path for url, path in self.paths.items() if url not in self.rows]

    def known(self, listing: Listing) -> set[str]:
        """Return the files that need not be read."""
        if self.sources is None or self.on_present == "skip":
            return set(self.rows)
        if not self.is_certain:
            return set()
        rows = [row for found in self.rows.values() for row in found]
        same = unchanged(self.sources.files(rows), list(self.rows), listing)
        return {url for url, is_same in zip(self.rows, same.tolist(), strict=True) if is_same}

    def is_same(self, url: str, plan: GroupPlan) -> bool:
        """Whether a file that was read is the one that was published."""
        if self.sources is None or url not in self.rows or not self.is_certain:
            return False
        arrays = (array for _, group in plan.walk() for array in group.arrays.values())
        now = [array.source for array in arrays if array.source is not None]
        before = [self.sources.source(row) for row in self.rows[url]]
        return all(any(one.is_same(other) for other in now) for one in before)

    def groups(
        self, plans: Mapping[str, GroupPlan]
    ) -> tuple[dict[str, tuple[str, GroupPlan]], frozenset[str]]:
        """Return URL and plan of the groups to write, by path, and the paths that are replaced."""
        left = {
            url: plan
            for url, plan in plans.items()
            if not (url in self.rows and (self.on_present == "skip" or self.is_same(url, plan)))
        }
        replaced = frozenset(self.paths[url] for url in left if url in self.rows)
        return {self.paths[url]: (url, plan) for url, plan in left.items()}, replaced
