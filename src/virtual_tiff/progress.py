"""The one callback by which long work reports how far it is."""

from __future__ import annotations

from typing import Literal, Protocol

#: What is being done: sources are listed, headers read, chunks completed, references written, the
#: commit made, or files checked.
type Stage = Literal["list", "read", "write", "commit", "check"]


class Progress(Protocol):
    """A callable that reports the progress of long work."""

    def __call__(self, stage: Stage, done: int, total: int, failed: int, /) -> None:
        """Report progress.

        Parameters
        ----------
        stage
            What is being done.
        done, total
            Items of this stage that are done, failures included, and all its items.
        failed
            Items that failed.
        """


def no_progress(stage: Stage, done: int, total: int, failed: int, /) -> None:
    """Report nothing."""
