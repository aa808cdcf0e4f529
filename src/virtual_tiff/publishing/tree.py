"""A group for each file → a part of a commit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import icechunk

from virtual_tiff.planning.pages.hierarchy import OME
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.publishing.nodes import (
    check_free,
    check_outside,
    key_prefix,
    write_group,
    write_parents,
)
from virtual_tiff.publishing.parts import Part, Written
from virtual_tiff.publishing.references import References, Task
from virtual_tiff.publishing.results import Added
from virtual_tiff.publishing.sources_table import Sources, microseconds, read_sources_table
from virtual_tiff.storage.run import run

#: Bytes of stored chunks in one manifest, which readers fetch as a whole, up to which they may
#: all lie in it.
_INLINE_IN_ALL = 1024 * 1024
TAKEN = "Put the new ones into another one (group=…). Or name each of them (names=…)."


@dataclass(frozen=True, slots=True, eq=False)
class Tree(Part):
    """Groups of files.

    Parameters
    ----------
    groups
        URL and plan, without partial segments, by path.
    replaced
        Paths of those groups that are there and are written anew.
    """

    groups: Mapping[str, tuple[str, GroupPlan]]
    replaced: frozenset[str] = frozenset()

    @property
    def is_small(self) -> bool:
        """Whether no array has more than a MiB of stored chunks."""
        return all(
            sum(map(len, array.inline.values())) <= _INLINE_IN_ALL
            for _, plan in self.groups.values()
            for _, group in plan.walk()
            for array in group.arrays.values()
        )

    def write(self, session: icechunk.Session) -> list[Written]:
        """Write the documents of all groups; refuse groups that are there, or replace them."""
        run(self._write(session.store))
        rows = rows_within(session.store, self.replaced)
        return [
            _written(path, url, plan, rows.get(path)) for path, (url, plan) in self.groups.items()
        ]

    async def _write(self, store: icechunk.IcechunkStore) -> None:
        for path in self.replaced:
            await store.delete_dir(path)
        await check_free(store, list(self.groups), remedy=TAKEN)
        await check_outside(store, self.groups)
        await write_parents(store, self.groups)
        for path, (_, plan) in self.groups.items():
            await write_group(store, path, plan)


def rows_within(store: icechunk.IcechunkStore, paths: Collection[str]) -> dict[str, list[int]]:
    """Return the rows of the table of sources of images in some groups, by path of the group."""
    rows: dict[str, list[int]] = {path: [] for path in paths}
    if not rows:
        return rows
    for row, array in enumerate(read_sources_table(store)["array"].tolist()):
        parts = array.split("/")
        for depth in range(1, len(parts)):
            if (path := "/".join(parts[:depth])) in rows:
                rows[path].append(row)
    return rows


def _written(path: str, url: str, plan: GroupPlan, dropped: Sequence[int] | None = None) -> Written:
    arrays = dict(_arrays(path, plan))
    images = {name: a for name, a in arrays.items() if a.ifd is not None and a.source is not None}
    sources = [array.source for array in images.values() if array.source is not None]
    return Written(
        path=path,
        added=Added(
            images=len(images),
            replaced=0 if dropped is None else len(images),
            arrays=len(arrays),
            source=url,
            has_groups=bool(plan.groups.keys() - {OME}),
            dataset=next((within for within, group in plan.walk(path) if group.arrays), path),
        ),
        tasks=(
            Task(
                group=path,
                array=name,
                grid=array.grid_shape,
                references=References.of_plan(array),
                images=int(name in images),
            )
            for name, array in arrays.items()
        ),
        dropped=dropped or (),
        sources=Sources.of(
            array=list(images),
            position=["{}"] * len(images),
            url=[source.url for source in sources],
            ifd=[".".join(map(str, array.ifd or ())) for array in images.values()],
            band=[-1] * len(images),
            size=[source.size for source in sources],
            etag=[source.etag for source in sources],
            last_modified=[microseconds(source.last_modified) for source in sources],
            header=[source.header for source in sources],
        ),
    )


def _arrays(path: str, plan: GroupPlan) -> Iterator[tuple[str, ArrayPlan]]:
    for within, group in plan.walk(path):
        for name, array in group.arrays.items():
            yield key_prefix(within) + name, array
