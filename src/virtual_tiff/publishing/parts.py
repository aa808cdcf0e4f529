"""What is handed to the one commit: parts that write themselves into a session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import icechunk

from virtual_tiff.publishing.references import Task
from virtual_tiff.publishing.results import Added
from virtual_tiff.publishing.sources_table import Sources


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written:
    """A group that a session holds now, and what has to be put into it still.

    `added` is a summary, in which references and stored chunks are not counted yet; `sources` are
    rows for the table of sources, and `dropped` the numbers of those that do not hold any more.
    """

    path: str
    added: Added
    tasks: Iterable[Task]
    sources: Sources
    dropped: Sequence[int] = ()


class Part(ABC):
    """A tree of files, a new cube, or more images of a cube."""

    __slots__ = ()

    @property
    def grows(self) -> Mapping[str, int]:
        """Chunks of one step, by name of a dimension along which arrays grow."""
        return {}

    @property
    def is_small(self) -> bool:
        """Whether stored chunks are so few, also later, that they may all lie in manifests."""
        return False

    @abstractmethod
    def write(self, session: icechunk.Session) -> Sequence[Written]:
        """Write groups, arrays and coordinates, but no references, into a session.

        It is called again, with a new session, where another writer was faster.
        """
